//! The composition root: builds the rooms from a checked configuration, starts the listeners, reloads, drains.
//! Nothing here decides about HTTP.

use crate::access::sessions::Sessions;
use crate::admin::reload::Asked;
use crate::admin::{self, Admin, Connections};
use crate::clock::Clock;
use crate::config::{self, Config, origins as wanted, server, storage, telemetry};
use crate::engine::explain::Normaliser;
use crate::engine::rules::RuleSet;
use crate::engine::ryw::Signer;
use crate::engine::{Engine, Site};
use crate::fleet::Fleet;
use crate::front::listener::{self, ConnSettings, Listener};
use crate::front::service::Service;
use crate::front::tls::expiry::{self, Concern};
use crate::front::tls::{TlsFiles, TlsReloader};
use crate::front::tracker::{ConnTracker, Turned};
use crate::observe::access::timestamp;
use crate::observe::{AccessLog, Format, Metrics};
use crate::origin::Origin;
use crate::purge::{Limits as PurgeLimits, Purge, PurgeLog};
use crate::settings::{
    conn_settings, fleet_settings, gate, origin_settings, policy, purgers, schemes, settings, trace_settings,
};
use crate::sockets::Sockets;
use crate::store::Memory;
use crate::time::Wall;
use crate::trace::Tracer;
use crate::trace::export::Exporter;
use crate::vocabulary::{metrics, origin_names, rule_names, vocabulary};
use arc_swap::ArcSwap;
use http::HeaderValue;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

/// How often certificate files are looked at.
const TLS_WATCH: Duration = Duration::from_secs(2);

/// For the last spans on their way to the collector.
const TRACES_GRACE: Duration = Duration::from_secs(5);

/// For requests that are under way when the admin listener closes: longer than a purge call takes, shorter than a successor waits.
const ADMIN_GRACE: Duration = Duration::from_secs(10);

/// Why it could not start (exit status 1) or take a new configuration.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    #[error("cannot start the demo origin: {0}")]
    Demo(std::io::Error),
    #[error("cannot start the access log: {0}")]
    Log(std::io::Error),
    #[error("TLS: {0}")]
    Tls(String),
    #[error("origin {0}: {1}")]
    Origin(String, String),
    #[error("the process before this one: {0}")]
    HandOver(std::io::Error),
    #[error("shared: {0}")]
    Shared(String),
    #[error("tracing: {0}")]
    Tracing(String),
    #[error(
        "the admin listener is bound to {0}, which other machines can reach: `admin.tokens` can't be empty"
    )]
    Exposed(SocketAddr),
}

impl StartError {
    /// It is the configuration's fault, or of a file it names; not the machine's.
    pub const fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::Tls(_) | Self::Origin(..) | Self::Shared(_) | Self::Tracing(_) | Self::Exposed(_)
        )
    }
}

/// A running Larder.
pub struct Running {
    service: Arc<Service>,
    admin: Arc<Admin>,
    connections: Arc<ArcSwap<ConnSettings>>,
    tracker: ConnTracker,
    public: Vec<SocketAddr>,
    admin_address: Option<SocketAddr>,
    drain: watch::Sender<bool>,
    /// Set once the public side is done; the admin listener stays until then.
    stop_admin: watch::Sender<bool>,
    listeners: JoinSet<()>,
    sockets: Sockets,
    admin_task: JoinSet<()>,
    background: JoinSet<()>,
    reloads: mpsc::Receiver<Asked>,
    /// What takes spans to the collector.
    traces: Option<Traces>,
    /// The configuration that this process was started with.
    started: config::changes::Tree,
    /// Held for the whole of a reload: one at a time.
    current: Mutex<Current>,
}

/// What the next reload is compared with.
#[derive(Debug)]
struct Current {
    wanted: Vec<(Arc<str>, wanted::Origin)>,
    demo: Option<Demo>,
    tree: config::changes::Tree,
}

/// What came of a reload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reload {
    pub changes: Vec<config::changes::Change>,
    /// Fields that hold as they were when the process started, and that the configuration now has otherwise.
    pub kept: Vec<&'static str>,
}

/// The task that takes spans to the collector.
struct Traces {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Starts everything that a configuration asks for. Returns once all listeners accept.
///
/// # Errors
/// A port that is taken, a certificate that can't be read, an origin that can't be built.
pub async fn start(config: Config, clock: Clock) -> Result<Running, StartError> {
    start_on(config, clock, Sockets::default()).await
}

/// The same on sockets that were handed over, as far as they are those that the configuration names.
///
/// # Errors
/// As [`start`].
pub async fn start_on(config: Config, clock: Clock, mut sockets: Sockets) -> Result<Running, StartError> {
    let Config { server, admin, origins: wanted, memory, shared, log, tracing, rules, shown, tree } = config;
    let mut background = JoinSet::new();
    let demo = start_demo(&wanted, &clock)?;
    let built = origins(&wanted, &clock, demo.as_ref().map(|demo| demo.address), (&[], &Built::new()))?;
    let site = site(&server, built, memory.max_object, rules, 1);
    let metrics = metrics(&site);
    let memory = Memory::new(memory.capacity, policy(memory.policy));
    let (purges, fleet) = purges(shared.as_ref(), &server, &metrics, &clock)?;
    let node_id = new_node_id();
    let (tracer, traces) = tracer(tracing.as_ref(), &node_id, &metrics, &clock)?;
    let engine = Engine::new(clock.clone(), memory, purges, metrics.clone(), fleet, tracer, site);
    run_engine(&engine, &mut background);
    let service = Arc::new(Service {
        engine: engine.clone(),
        settings: ArcSwap::from_pointee(settings(&server, &node_id)),
        purgers: ArcSwap::from_pointee(purgers(&admin)),
        log: access_log(log.access)?,
        metrics,
        clock: clock.clone(),
    });
    let tracker = ConnTracker::default();
    let connections = Arc::new(ArcSwap::from_pointee(conn_settings(&server)));
    let (drain, draining) = watch::channel(false);
    let (mut listeners, mut public) = (JoinSet::new(), Vec::new());
    for wanted in &server.listen {
        let listener = open(wanted, server.proxy_protocol, &draining, &mut sockets, &mut background)?;
        public.push(listener.socket.local_addr().unwrap_or(wanted.address));
        let run = listener::run(
            listener,
            Arc::new(service.clone()),
            connections.clone(),
            draining.clone(),
            server.shutdown_grace,
            tracker.clone(),
        );
        listeners.spawn(run);
    }
    let address = admin.address;
    let (reload, reloads) = mpsc::channel(admin::reload::QUEUE);
    let listens = service.clone();
    let admin = Arc::new(Admin {
        engine,
        gate: ArcSwap::from_pointee(gate(&admin)),
        draining: false.into(),
        started: clock.now(),
        connections: Box::new(tracker.clone()),
        config: ArcSwap::from_pointee(shown),
        reload,
        normaliser: Normaliser::new(move |question| listens.dry(question)),
        streams: admin::stream::Places::default(),
        sessions: Sessions::default(),
    });
    let (stop_admin, stopped) = watch::channel(false);
    let admin_socket = admin_socket(address, &mut sockets)?;
    sockets.close_unused();
    let mut admin_task = JoinSet::new();
    let admin_address = admin_socket.as_ref().and_then(|socket| socket.local_addr().ok());
    if let Some(socket) = admin_socket {
        admin_task.spawn(admin::serve::run(socket, admin::router(admin.clone()), stopped));
    }
    Ok(Running {
        service,
        admin,
        connections,
        tracker,
        public,
        admin_address,
        drain,
        stop_admin,
        listeners,
        sockets,
        admin_task,
        background,
        reloads,
        traces,
        started: tree.clone(),
        current: Mutex::new(Current { wanted, demo, tree }),
    })
}

impl Running {
    /// Addresses of the public listeners, in the order of the configuration.
    pub fn public(&self) -> &[SocketAddr] {
        &self.public
    }

    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    pub fn engine(&self) -> &Arc<Engine> {
        &self.admin.engine
    }

    /// What connections hand their requests to.
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Puts a new configuration in force without losing a connection or an entry: rules, origins, limits, tokens.
    /// Origins whose settings are the same stay, with their connections and health. Listeners, threads, memory and logs
    /// stay as they were started; what of those the configuration changes is named in what is returned, beside all that
    /// is different from the last configuration.
    ///
    /// # Errors
    /// As [`start`], and a configuration without tokens where others can reach the admin listener; everything stays as
    /// it was then.
    pub fn reload(&self, config: Config) -> Result<Reload, StartError> {
        let Config { server, admin, origins: wanted, memory, tracing, rules, shown, tree, .. } = config;
        // The socket stays as it is bound, whatever this configuration says of its address.
        let exposed = |bound: &SocketAddr| !bound.ip().to_canonical().is_loopback();
        if let Some(bound) = self.admin_address.filter(exposed)
            && admin.tokens.is_empty()
        {
            return Err(StartError::Exposed(bound));
        }
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let running = self.engine().site();
        let clock = &self.service.clock;
        let started = if current.demo.is_none() { start_demo(&wanted, clock)? } else { None };
        let demo = current.demo.as_ref().or(started.as_ref()).map(|demo| demo.address);
        let built = origins(&wanted, clock, demo, (&current.wanted, &running.origins))?;
        let site = site(&server, built, memory.max_object, rules, running.generation + 1);
        self.service.metrics.announce(&vocabulary(&rule_names(&site), &origin_names(&site)));
        self.connections.store(Arc::new(conn_settings(&server)));
        self.admin.gate.store(Arc::new(gate(&admin)));
        self.service.purgers.store(Arc::new(purgers(&admin)));
        let node_id = self.service.settings.load().node_id.clone();
        self.service.settings.store(Arc::new(settings(&server, &node_id)));
        self.engine().reload(site);
        self.admin.config.store(Arc::new(shown));
        if let (Some(tracer), Some(tracing)) = (&self.engine().tracer, &tracing) {
            tracer.set_sample(tracing.sample);
        }
        let changes = tree.changes_since(&current.tree);
        let kept = tree.kept_since(&self.started);
        current.wanted = wanted;
        current.demo = started.or(current.demo.take());
        current.tree = tree;
        Ok(Reload { changes, kept })
    }

    /// The next reload that somebody asks the admin listener for. Who started this process knows where its configuration
    /// is: read it, call [`Running::reload`], answer.
    pub async fn reload_asked(&mut self) -> Asked {
        match self.reloads.recv().await {
            Some(asked) => asked,
            // Not reached: the admin listener's state lives in `self`.
            None => std::future::pending().await,
        }
    }

    /// Stops accepting, lets requests finish for at most `server.shutdown_grace`, then ends what is left. The
    /// admin listener stays open until the end.
    pub async fn drain(mut self) {
        self.admin.draining.store(true, Ordering::Release);
        self.sockets.close();
        self.drain.send_replace(true);
        while self.listeners.join_next().await.is_some() {}
        self.close_admin().await;
        if let Some(fleet) = &self.admin.engine.fleet {
            fleet.log.sign_off().await;
        }
        if let Some(Traces { stop, task }) = self.traces.take() {
            stop.send_replace(true);
            let _ = tokio::time::timeout(TRACES_GRACE, task).await;
        }
        self.background.abort_all();
        while self.background.join_next().await.is_some() {}
    }

    /// The sockets that this process listens on, for the next one.
    ///
    /// # Errors
    /// No descriptor left.
    pub fn sockets(&self) -> std::io::Result<Vec<OwnedFd>> {
        self.sockets.copies()
    }

    /// Stops accepting on the admin listener, and waits until the requests that are under way there are done, but not for one whose
    /// client doesn't read its answer: nobody hears signals meanwhile, and a successor waits. A purge must not be taken by a
    /// process that hands over: it would hold in that one alone (rulings 24).
    pub async fn close_admin(&mut self) {
        self.stop_admin.send_replace(true);
        let done = async { while self.admin_task.join_next().await.is_some() {} };
        if tokio::time::timeout(ADMIN_GRACE, done).await.is_err() {
            self.admin_task.shutdown().await; // its connections end with it
        }
    }

    /// The process that was to take over has failed: accepts on the admin listener again, if there is one.
    pub fn reopen_admin(&mut self) {
        let Some(socket) = self.admin_address.and_then(|address| self.sockets.copy(address)) else { return };
        match listener::adopt(socket) {
            Ok(socket) => {
                let (stop, stopped) = watch::channel(false);
                self.stop_admin = stop;
                let router = admin::router(self.admin.clone());
                self.admin_task.spawn(admin::serve::run(socket, router, stopped));
            }
            Err(error) => tracing::error!(%error, "the admin listener stays closed"),
        }
    }

    /// Open client connections.
    pub fn connections(&self) -> usize {
        self.tracker.live()
    }
}

impl Connections for ConnTracker {
    fn open(&self) -> u64 {
        self.live() as u64
    }

    fn turned(&self) -> Vec<(&'static str, u64)> {
        Turned::ALL.iter().map(|why| (why.as_str(), ConnTracker::turned(self, *why))).collect()
    }
}

type Origins = [(Arc<str>, wanted::Origin)];

/// What the engine does while nobody asks it for anything.
fn run_engine(engine: &Arc<Engine>, background: &mut JoinSet<()>) {
    background.spawn(engine.clone().sweep());
    background.spawn(engine.clone().sweep_near());
    if let Some(fleet) = &engine.fleet {
        let engine = Arc::downgrade(engine);
        let heard = move |purge: &Arc<Purge>| {
            if let Some(engine) = engine.upgrade() {
                engine.heard(purge);
            }
        };
        background.spawn(fleet.clone().run(Box::new(heard)));
    }
}

/// The purge log, and the fleet whose log it follows.
fn purges(
    shared: Option<&storage::Shared>,
    server: &server::Server,
    metrics: &Arc<Metrics>,
    clock: &Clock,
) -> Result<(Arc<PurgeLog>, Option<Arc<Fleet>>), StartError> {
    let Some(shared) = shared else {
        return Ok((Arc::new(PurgeLog::alone(PurgeLimits::default())), None));
    };
    let settings = fleet_settings(shared, server).map_err(StartError::Shared)?;
    let purges = Arc::new(PurgeLog::in_fleet(PurgeLimits::default()));
    let fleet = Fleet::new(settings, purges.clone(), metrics.clone(), clock.clone());
    Ok((purges, Some(fleet)))
}

/// What makes spans, and what takes them away.
fn tracer(
    wanted: Option<&telemetry::Tracing>,
    node_id: &str,
    metrics: &Arc<Metrics>,
    clock: &Clock,
) -> Result<(Option<Arc<Tracer>>, Option<Traces>), StartError> {
    let Some(wanted) = wanted else { return Ok((None, None)) };
    let exporter = Exporter::new(trace_settings(wanted, node_id), clock.clone(), metrics.clone());
    let exporter = exporter.map_err(StartError::Tracing)?;
    let (tracer, spans) = Tracer::new(clock.clone(), metrics.clone(), wanted.sample);
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(exporter.run(spans, stopped));
    Ok((Some(tracer), Some(Traces { stop, task })))
}

/// The sample origin, while somebody may ask it.
#[derive(Debug)]
struct Demo {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts the sample origin where it is asked for.
fn start_demo(origins: &Origins, clock: &Clock) -> Result<Option<Demo>, StartError> {
    let wanted = origins.iter().flat_map(|(_, o)| &o.servers).any(|s| s.url == config::net::Upstream::Demo);
    if !wanted {
        return Ok(None);
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(StartError::Demo)?;
    let listener = listener::adopt(listener).map_err(StartError::Demo)?;
    let address = listener.local_addr().map_err(StartError::Demo)?;
    let clock = clock.clone();
    let task = tokio::spawn(async move {
        if let Err(error) = crate::demo::serve(listener, clock, std::future::pending()).await {
            tracing::error!(%error, "the demo origin ended");
        }
    });
    Ok(Some(Demo { address, task }))
}

/// Whether all certificates and keys that a configuration names can be used, and all origins be built. Opens no
/// socket. Blocks on the disk.
///
/// # Errors
/// The first that can't.
pub fn check(config: &Config) -> Result<(), StartError> {
    for files in config.server.listen.iter().filter_map(|listener| listener.tls.as_ref()) {
        load_tls(files)?;
    }
    if let Some(shared) = &config.shared {
        fleet_settings(shared, &config.server).map_err(StartError::Shared)?;
    }
    if let Some(tracing) = &config.tracing {
        let metrics = Metrics::new(&vocabulary(&[], &[]));
        let exporter = Exporter::new(trace_settings(tracing, ""), Clock::system(), metrics);
        exporter.map_err(StartError::Tracing)?;
    }
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
    for (name, wanted) in &config.origins {
        build(name, wanted, &Clock::system(), Some(nowhere))?;
    }
    Ok(())
}

/// What is wrong with a configuration's files for want of time, sentence by sentence. Blocks on the disk.
pub fn concerns(config: &Config, now: Wall) -> Vec<String> {
    let listeners = config.server.listen.iter().filter_map(|listener| listener.tls.as_ref());
    let told = listeners.filter_map(|files| {
        let files = TlsFiles { cert: files.cert.clone(), key: files.key.clone() };
        let says = match expiry::concern(&files, now)? {
            Concern::Expired(at) => format!("has expired: it was good until {}", timestamp(at)),
            Concern::ExpiresSoon(at) => format!("expires soon: it is good until {}", timestamp(at)),
            Concern::NotYetValid(at) => format!("is not valid yet: it is good from {} on", timestamp(at)),
        };
        Some(format!("the certificate {} {says}", files.cert.display()))
    });
    told.collect()
}

fn load_tls(files: &server::ListenerTls) -> Result<Arc<TlsReloader>, StartError> {
    let files = TlsFiles { cert: files.cert.clone(), key: files.key.clone() };
    TlsReloader::load(files).map_err(|e| StartError::Tls(e.to_string()))
}

fn build(
    name: &Arc<str>,
    wanted: &wanted::Origin,
    clock: &Clock,
    demo: Option<SocketAddr>,
) -> Result<Arc<Origin>, StartError> {
    let failed = |why: String| StartError::Origin(name.to_string(), why);
    let settings = origin_settings(wanted, demo).map_err(failed)?;
    Origin::new(name, settings, clock.clone()).map_err(|e| failed(e.to_string()))
}

/// Files may have changed under the same name: who reads some is built again.
fn reads_files(origin: &wanted::Origin) -> bool {
    let tls = &origin.tls;
    tls.ca.is_some() || tls.cert.is_some() || tls.key.is_some()
}

fn open(
    wanted: &server::Listener,
    proxy_protocol: bool,
    draining: &watch::Receiver<bool>,
    sockets: &mut Sockets,
    background: &mut JoinSet<()>,
) -> Result<Listener, StartError> {
    let tls = match &wanted.tls {
        None => None,
        Some(files) => {
            let reloader = load_tls(files)?;
            background.spawn(reloader.clone().watch(TLS_WATCH, draining.clone()));
            Some(reloader)
        }
    };
    let failed = |e| StartError::Listen(wanted.address, e);
    let socket = sockets.take(wanted.address, || listener::bind(wanted.address)).map_err(failed)?;
    let socket = listener::adopt(socket).map_err(failed)?;
    let proxy_protocol = wanted.proxy_protocol.unwrap_or(proxy_protocol);
    Ok(Listener { socket, tls, proxy_protocol })
}

fn admin_socket(
    address: Option<SocketAddr>,
    sockets: &mut Sockets,
) -> Result<Option<TcpListener>, StartError> {
    let Some(address) = address else { return Ok(None) };
    let failed = |e| StartError::Listen(address, e);
    let socket = sockets.take(address, || listener::bind(address)).map_err(failed)?;
    Ok(Some(listener::adopt(socket).map_err(failed)?))
}

fn access_log(wanted: telemetry::AccessLog) -> Result<AccessLog, StartError> {
    let format = match wanted {
        telemetry::AccessLog::Off => return Ok(AccessLog::off()),
        telemetry::AccessLog::Json => Format::Json,
        telemetry::AccessLog::Text => Format::Text,
        telemetry::AccessLog::Combined => Format::Combined,
    };
    AccessLog::start(format, std::io::stdout()).map_err(StartError::Log)
}

type Built = HashMap<Arc<str>, Arc<Origin>>;

/// Builds the origins that are asked for. Those of `running` that are wanted as they are stay, with their connections,
/// and with what is known of their servers' health.
fn origins(
    wanted: &Origins,
    clock: &Clock,
    demo: Option<SocketAddr>,
    running: (&Origins, &Built),
) -> Result<Built, StartError> {
    let stays = |name: &Arc<str>, wanted: &wanted::Origin| {
        let same = running.0.iter().any(|(n, o)| n == name && o == wanted && !reads_files(o));
        running.1.get(name).filter(|_| same).cloned()
    };
    let mut built = Built::new();
    for (name, wanted) in wanted {
        let origin = match stays(name, wanted) {
            Some(origin) => origin,
            None => build(name, wanted, clock, demo)?,
        };
        built.insert(name.clone(), origin);
    }
    // Only now is it certain that all of them will be used.
    built.values().for_each(Origin::start);
    Ok(built)
}

/// The part of a configuration that requests need.
fn site(server: &server::Server, origins: Built, max_object: u64, rules: RuleSet, generation: u64) -> Site {
    let server_name = server.name.to_string();
    let via = HeaderValue::try_from(format!("1.1 {server_name}"));
    Site {
        rules,
        origins,
        via: via.unwrap_or(HeaderValue::from_static("1.1 larder")),
        schemes: schemes(server),
        server_name,
        max_object,
        generation,
        signer: server.secret.as_ref().map(|secret| Signer::new(secret.expose())),
        tails: std::sync::OnceLock::new(),
    }
}

/// Different for every process: tells a forwarding loop from two Larders in a row (RFC 8586).
fn new_node_id() -> String {
    format!("n{:016x}", fastrand::u64(..))
}
