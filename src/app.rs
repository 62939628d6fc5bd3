//! The composition root: builds the rooms from a checked configuration, starts the listeners, reloads, drains.
//! Nothing here decides about HTTP.

use crate::access::{Gate, Scope, Token};
use crate::admin::reload::Asked;
use crate::admin::{self, Admin, Connections};
use crate::clock::Clock;
use crate::config::{self, Config, origins as wanted, server, storage, telemetry};
use crate::engine::draft::Refused;
use crate::engine::outcome::Kind;
use crate::engine::plan::StaleWhy;
use crate::engine::rules::RuleSet;
use crate::engine::{self, Engine, Site};
use crate::front::handler::Limits;
use crate::front::listener::{self, ConnSettings, Listener};
use crate::front::normalise;
use crate::front::purging::Purgers;
use crate::front::refusal::Refusal;
use crate::front::service::Service;
use crate::front::tls::{TlsFiles, TlsReloader};
use crate::front::tracker::ConnTracker;
use crate::observe::metrics::Vocabulary;
use crate::observe::{AccessLog, Format, Metrics};
use crate::origin::{self, Origin};
use crate::purge::{Limits as PurgeLimits, Mode, PurgeLog};
use crate::semantics::storable::NotStored;
use crate::store::{Memory, memory};
use arc_swap::ArcSwap;
use http::HeaderValue;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// How often certificate files are looked at.
const TLS_WATCH: Duration = Duration::from_secs(2);

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
    background: JoinSet<()>,
    reloads: mpsc::Receiver<Asked>,
    demo: Option<SocketAddr>,
}

/// Starts everything that a configuration asks for. Returns once all listeners accept.
///
/// # Errors
/// A port that is taken, a certificate that can't be read, an origin that can't be built.
pub async fn start(config: Config, clock: Clock) -> Result<Running, StartError> {
    let Config { server, admin, origins, memory, log, rules, shown, .. } = config;
    let mut background = JoinSet::new();
    let demo = start_demo(&origins, &clock, &mut background).await?;
    let site = site(&server, &origins, memory.max_object, rules, &clock, demo, 1)?;
    let metrics = metrics(&site);
    let memory = Memory::new(memory.capacity, policy(memory.policy));
    let purges = Arc::new(PurgeLog::alone(PurgeLimits::default()));
    let engine = Engine::new(clock.clone(), memory, purges, metrics.clone(), site);
    background.spawn(engine.clone().sweep());
    let service = Arc::new(Service {
        engine: engine.clone(),
        settings: ArcSwap::from_pointee(settings(&server, &new_node_id())),
        purgers: ArcSwap::from_pointee(purgers(&admin)),
        log: access_log(log.access)?,
        metrics,
        clock: clock.clone(),
    });
    let tracker = ConnTracker::default();
    let connections = Arc::new(ArcSwap::from_pointee(conn_settings(&server)));
    let (drain, draining) = watch::channel(false);
    let mut listeners = JoinSet::new();
    let mut public = Vec::new();
    for wanted in &server.listen {
        let listener = open(wanted, server.proxy_protocol, &draining, &mut background)?;
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
    let admin = Arc::new(Admin {
        engine,
        gate: ArcSwap::from_pointee(gate(&admin)),
        draining: false.into(),
        started: clock.now(),
        connections: Box::new(tracker.clone()),
        config: ArcSwap::from_pointee(shown),
        reload,
    });
    let (stop_admin, stopped) = watch::channel(false);
    let admin_address = start_admin(address, &admin, stopped, &mut background).await?;
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
        background,
        reloads,
        demo,
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

    /// Puts a new configuration in force without losing a connection or an entry: rules, origins, limits, tokens.
    /// Listeners, memory capacity and the log's format stay as they were started; a change of those is named in
    /// the returned list.
    ///
    /// # Errors
    /// As [`start`]; everything stays as it was then.
    pub fn reload(&self, config: Config) -> Result<Vec<&'static str>, StartError> {
        let Config { server, admin, origins, memory, rules, shown, .. } = config;
        let generation = self.engine().site().generation + 1;
        let clock = &self.service.clock;
        let site = site(&server, &origins, memory.max_object, rules, clock, self.demo, generation)?;
        self.service.metrics.announce(&vocabulary(&rule_names(&site), &origin_names(&site)));
        self.connections.store(Arc::new(conn_settings(&server)));
        self.admin.gate.store(Arc::new(gate(&admin)));
        self.service.purgers.store(Arc::new(purgers(&admin)));
        let node_id = self.service.settings.load().node_id.clone();
        self.service.settings.store(Arc::new(settings(&server, &node_id)));
        self.engine().reload(site);
        self.admin.config.store(Arc::new(shown));
        let mut kept = Vec::new();
        if self.engine().memory.capacity() != memory.capacity {
            kept.push("memory.capacity");
        }
        let same = |(running, wanted): (&SocketAddr, &server::Listener)| {
            wanted.address.port() == 0 || *running == wanted.address
        };
        let listen = &server.listen;
        if listen.len() != self.public.len() || !self.public.iter().zip(listen).all(same) {
            kept.push("server.listen");
        }
        Ok(kept)
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
        self.drain.send_replace(true);
        while self.listeners.join_next().await.is_some() {}
        self.stop_admin.send_replace(true);
        self.background.abort_all();
        while self.background.join_next().await.is_some() {}
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
}

type Origins = [(Arc<str>, wanted::Origin)];

async fn start_demo(
    origins: &Origins,
    clock: &Clock,
    background: &mut JoinSet<()>,
) -> Result<Option<SocketAddr>, StartError> {
    let wanted = origins.iter().flat_map(|(_, o)| &o.servers).any(|s| s.url == config::net::Upstream::Demo);
    if !wanted {
        return Ok(None);
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(StartError::Demo)?;
    let address = listener.local_addr().map_err(StartError::Demo)?;
    let clock = clock.clone();
    background.spawn(async move {
        if let Err(error) = crate::demo::serve(listener, clock, std::future::pending()).await {
            tracing::error!(%error, "the demo origin ended");
        }
    });
    Ok(Some(address))
}

fn open(
    wanted: &server::Listener,
    proxy_protocol: bool,
    draining: &watch::Receiver<bool>,
    background: &mut JoinSet<()>,
) -> Result<Listener, StartError> {
    let tls = match &wanted.tls {
        None => None,
        Some(files) => {
            let files = TlsFiles { cert: files.cert.clone(), key: files.key.clone() };
            let reloader = TlsReloader::load(files).map_err(|e| StartError::Tls(e.to_string()))?;
            background.spawn(reloader.clone().watch(TLS_WATCH, draining.clone()));
            Some(reloader)
        }
    };
    let socket = listener::bind(wanted.address, false).map_err(|e| StartError::Listen(wanted.address, e))?;
    let proxy_protocol = wanted.proxy_protocol.unwrap_or(proxy_protocol);
    Ok(Listener { socket, tls, proxy_protocol })
}

async fn start_admin(
    address: Option<SocketAddr>,
    admin: &Arc<Admin>,
    mut stopped: watch::Receiver<bool>,
    background: &mut JoinSet<()>,
) -> Result<Option<SocketAddr>, StartError> {
    let Some(address) = address else { return Ok(None) };
    let socket = TcpListener::bind(address).await.map_err(|e| StartError::Listen(address, e))?;
    let bound = socket.local_addr().map_err(|e| StartError::Listen(address, e))?;
    let router = admin::router(admin.clone()).into_make_service_with_connect_info::<SocketAddr>();
    background.spawn(async move {
        let stop = async move {
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        if let Err(error) = axum::serve(socket, router).with_graceful_shutdown(stop).await {
            tracing::error!(%error, "the admin listener ended");
        }
    });
    Ok(Some(bound))
}

fn access_log(wanted: telemetry::AccessLog) -> Result<AccessLog, StartError> {
    let format = match wanted {
        telemetry::AccessLog::Off => return Ok(AccessLog::off()),
        telemetry::AccessLog::Json => Format::Json,
        telemetry::AccessLog::Text => Format::Text,
    };
    AccessLog::start(format, std::io::stdout()).map_err(StartError::Log)
}

/// The part of a configuration that requests need.
fn site(
    server: &server::Server,
    wanted: &Origins,
    max_object: u64,
    rules: RuleSet,
    clock: &Clock,
    demo: Option<SocketAddr>,
    generation: u64,
) -> Result<Site, StartError> {
    let mut origins = HashMap::new();
    for (name, wanted) in wanted {
        let settings = origin_settings(wanted, demo);
        let origin = Origin::new(name, settings, clock.clone())
            .map_err(|e| StartError::Origin(name.to_string(), e.to_string()))?;
        origin.start();
        origins.insert(name.clone(), origin);
    }
    let server_name = server.name.to_string();
    let via = HeaderValue::try_from(format!("1.1 {server_name}"));
    Ok(Site {
        rules,
        origins,
        via: via.unwrap_or(HeaderValue::from_static("1.1 larder")),
        schemes: schemes(server),
        server_name,
        max_object,
        generation,
    })
}

/// The schemes that the listeners serve.
fn schemes(server: &server::Server) -> Vec<&'static str> {
    let serves = |tls| server.listen.iter().any(|listener| listener.tls.is_some() == tls);
    [("http", false), ("https", true)]
        .into_iter()
        .filter(|(_, tls)| serves(*tls))
        .map(|(scheme, _)| scheme)
        .collect()
}

fn origin_settings(wanted: &wanted::Origin, demo: Option<SocketAddr>) -> origin::settings::Settings {
    let server = |server: &wanted::Server| {
        let url = match (&server.url, demo) {
            (config::net::Upstream::Demo, Some(address)) => format!("http://{address}"),
            (url, _) => url.to_string(),
        };
        let url = origin::settings::ServerUrl::parse(&url).ok()?;
        Some(origin::settings::Server { url, weight: server.weight, backup: server.backup })
    };
    origin::settings::Settings {
        servers: wanted.servers.iter().filter_map(server).collect(),
        balance: match wanted.balance {
            wanted::Balance::RoundRobin => origin::settings::Balance::RoundRobin,
            wanted::Balance::LeastRequests => origin::settings::Balance::LeastRequests,
            wanted::Balance::HashKey => origin::settings::Balance::HashKey,
        },
        host_header: match &wanted.host_header {
            config::net::HostHeader::Preserve => origin::settings::HostHeader::Preserve,
            config::net::HostHeader::Server => origin::settings::HostHeader::Server,
            config::net::HostHeader::Literal(host) => origin::settings::HostHeader::Literal(host.clone()),
        },
        connect_timeout: wanted.connect_timeout,
        first_byte_timeout: wanted.first_byte_timeout,
        between_bytes_timeout: wanted.between_bytes_timeout,
        retries: wanted.retries,
        max_connections: wanted.max_connections,
        queue: origin::settings::Queue { length: wanted.queue.length, wait: wanted.queue.wait },
        http2: wanted.http2,
        tls: origin::settings::TlsSettings {
            ca: wanted.tls.ca.clone(),
            insecure: wanted.tls.insecure,
            server_name: wanted.tls.server_name.clone(),
            cert: wanted.tls.cert.clone(),
            key: wanted.tls.key.clone(),
        },
        health: wanted.health.as_ref().map(|h| origin::settings::Health {
            path: h.path.clone(),
            interval: h.interval,
            timeout: h.timeout,
            unhealthy_after: h.unhealthy_after,
            healthy_after: h.healthy_after,
        }),
        breaker: wanted.breaker.as_ref().map(|b| origin::settings::Breaker {
            failures: b.failures,
            window: b.window,
            open_for: b.open_for,
        }),
        response_headers: wanted.limits.response_headers,
        response_header_bytes: usize::try_from(wanted.limits.response_header_bytes).unwrap_or(usize::MAX),
        ..origin::settings::Settings::default()
    }
}

fn settings(server: &server::Server, node_id: &str) -> normalise::Settings {
    normalise::Settings {
        trusted_proxies: server.trusted_proxies.clone(),
        server_name: server.name.to_string(),
        node_id: node_id.to_owned(),
        hosts: server.hosts.clone(),
    }
}

/// Different for every process: tells a forwarding loop from two Larders in a row (RFC 8586).
fn new_node_id() -> String {
    format!("n{:016x}", fastrand::u64(..))
}

fn conn_settings(server: &server::Server) -> ConnSettings {
    let l = &server.limits;
    let bytes = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let limits = Limits {
        request_header_bytes: bytes(l.request_header_bytes),
        request_headers: l.request_headers,
        url_bytes: bytes(l.url_bytes),
        request_body: l.request_body,
        header_read_timeout: l.header_read_timeout,
        body_read_timeout: l.body_read_timeout,
        idle_timeout: l.idle_timeout,
        write_stall_timeout: l.write_stall_timeout,
        connections: l.connections,
        connections_per_address: l.connections_per_address,
        h2_streams: l.h2_streams,
        h2_resets: l.h2_resets,
    };
    ConnSettings { limits: Arc::new(limits), trusted: server.trusted_proxies.clone().into() }
}

fn gate(admin: &server::Admin) -> Gate {
    let scope = |p: &server::Permission| match p {
        server::Permission::Read => Scope::Read,
        server::Permission::Purge => Scope::Purge,
        server::Permission::Admin => Scope::Admin,
    };
    let token = |t: &server::Token| Token {
        name: t.name.to_string(),
        secret: t.secret.expose().to_owned(),
        allow: t.allow.iter().map(scope).collect(),
    };
    Gate {
        tokens: admin.tokens.iter().map(token).collect(),
        address: admin.address.unwrap_or(([127, 0, 0, 1], 0).into()),
    }
}

fn purgers(admin: &server::Admin) -> Purgers {
    Purgers { from: admin.purge_from.clone(), gate: gate(admin) }
}

fn policy(wanted: storage::Eviction) -> memory::Policy {
    match wanted {
        storage::Eviction::TinyLfu => memory::Policy::TinyLfu,
        storage::Eviction::Lru => memory::Policy::Lru,
    }
}

fn rule_names(site: &Site) -> Vec<Arc<str>> {
    site.rules.rules().map(|r| r.name.clone()).chain([Arc::from("none")]).collect()
}

fn origin_names(site: &Site) -> Vec<Arc<str>> {
    site.origins.keys().cloned().collect()
}

fn metrics(site: &Site) -> Arc<Metrics> {
    Metrics::new(&vocabulary(&rule_names(site), &origin_names(site)))
}

/// Every word that can be a label, from the enums that own them.
fn vocabulary<'a>(rules: &'a [Arc<str>], origins: &'a [Arc<str>]) -> Vocabulary<'a> {
    static OUTCOMES: std::sync::LazyLock<Vec<&str>> =
        std::sync::LazyLock::new(|| Kind::ALL.iter().map(|k| k.as_str()).collect());
    static NOT_STORED: std::sync::LazyLock<Vec<&str>> = std::sync::LazyLock::new(|| {
        let own = Refused::OWN.iter().map(|r| r.as_str());
        NotStored::ALL.iter().map(|n| n.as_str()).chain(own).collect()
    });
    static STALE: std::sync::LazyLock<Vec<&str>> =
        std::sync::LazyLock::new(|| StaleWhy::ALL.iter().map(|s| s.as_str()).collect());
    static REFUSALS: std::sync::LazyLock<Vec<&str>> =
        std::sync::LazyLock::new(|| Refusal::ALL.iter().map(|r| r.as_str()).collect());
    static KINDS: std::sync::LazyLock<Vec<&str>> =
        std::sync::LazyLock::new(|| engine::purge::kinds().collect());
    static MODES: [&str; 3] = [Mode::Soft.as_str(), Mode::Invalidate.as_str(), Mode::Hard.as_str()];
    Vocabulary {
        outcomes: &OUTCOMES,
        not_stored: &NOT_STORED,
        stale: &STALE,
        refusals: &REFUSALS,
        purge_kinds: &KINDS,
        purge_modes: &MODES,
        rules,
        origins,
    }
}
