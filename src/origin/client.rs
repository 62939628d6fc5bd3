//! An origin as the engine sees it: one call that answers a request from one of its servers.

use super::balance::{Balancer, Candidate};
use super::body::{Hold, OriginBody, Source};
use super::breaker::BreakerState;
use super::connect::{Connector, Link, Wanted};
use super::error::{BuildError, OriginError};
use super::gate::Gate;
use super::health;
use super::http1::H1;
use super::link::{Refused, Tunnel, send_h2};
use super::message::{self, Outgoing};
use super::pool::Pool;
use super::server::{Busy, Pass, Server};
use super::settings::{HostHeader, Settings};
use super::upload::{Exchange, Upload};
use crate::body::{InBody, empty_in};
use crate::clock::Clock;
use crate::interim::{Interim, InterimSender};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body::Body;
use hyper::client::conn::http2;
use smallvec::SmallVec;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::AbortHandle;

/// How one request is to be sent.
#[derive(Debug, Default)]
pub struct SendOptions {
    /// For `balance: hash_key`.
    pub key_hash: u64,
    /// Where 1xx responses of HTTP/1.1 servers go (102, 103 and later; 100 is each hop's own). All of them have been
    /// handed over when [`Origin::send`] returns. hyper's HTTP/2 client swallows them.
    pub interim: InterimSender,
    /// The method is idempotent: without a body the request may be sent again (RFC 9110 §9.2.2).
    pub retry_safe: bool,
    /// The request's header fields once more, for when it is sent again; without them they are copied in any case.
    pub again: Option<Arc<HeaderMap>>,
    /// Instead of the origin's own.
    pub first_byte_timeout: Option<Duration>,
}

/// The head of the final response, and its body as it arrives.
#[derive(Debug)]
pub struct Answer {
    /// Checked: at most one `Content-Length`, no `Transfer-Encoding`. Other hop-by-hop fields are as received. Of a 101,
    /// `hyper::upgrade::on` gives the stream, which keeps its place in `max_connections` until it is dropped.
    pub response: Response<OriginBody>,
    /// URL of the server that answered.
    pub server: Arc<str>,
    /// From the start of the attempt that succeeded (its connection included) to the head.
    pub first_byte: Duration,
}

/// One server, as shown on the dashboard.
#[derive(Clone, Debug)]
pub struct ServerSnapshot {
    pub url: Arc<str>,
    pub backup: bool,
    pub healthy: bool,
    pub breaker: BreakerState,
    pub in_flight: usize,
    /// Moving average of the time to the head.
    pub latency: Duration,
}

#[derive(Clone, Debug)]
pub struct Snapshot {
    pub servers: Vec<ServerSnapshot>,
    /// Requests that wait for one of `max_connections`.
    pub waiting: usize,
    /// Unused HTTP/1.1 connections.
    pub idle: usize,
}

/// See the module's head.
pub struct Origin {
    name: Arc<str>,
    settings: Settings,
    clock: Clock,
    servers: Vec<Arc<Server>>,
    balancer: Balancer,
    gate: Gate,
    pool: Pool,
    connector: Connector,
    health_path: Option<PathAndQuery>,
    /// Health checks and the sweeper; they end with the origin.
    tasks: Mutex<Vec<AbortHandle>>,
}

/// A connection to send one request on.
enum Channel {
    Http1(Box<H1>),
    /// And whether it was there before.
    Http2(http2::SendRequest<Upload>, bool),
    Tunnel(Box<Tunnel>),
}

impl Channel {
    /// On a new connection.
    fn new(link: Link) -> Self {
        match link {
            Link::Http1(conn) => Self::Http1(conn),
            Link::Http2(conn) => Self::Http2(conn.sender(), false),
            Link::Tunnel(tunnel) => Self::Tunnel(tunnel),
        }
    }
}

/// What stays the same over the attempts of one request.
struct Job<'a> {
    outgoing: &'a Outgoing,
    exchange: &'a Arc<Exchange>,
    /// The head, where the request may be sent twice.
    spare: Option<&'a Spare>,
    interim: &'a InterimSender,
    limit: Duration,
}

impl Job<'_> {
    /// The request once more, for those that may be repeated.
    fn again(&self) -> Option<Request<Upload>> {
        let spare = self.spare?;
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.method = spare.method.clone();
        parts.uri = spare.uri.clone();
        parts.headers = HeaderMap::clone(&spare.headers);
        message::prepare(&mut parts, &empty_in());
        Some(Request::from_parts(parts, Upload::none(Arc::clone(self.exchange))))
    }
}

/// A head without body, as it was handed to [`Origin::send`].
struct Spare {
    method: Method,
    uri: Uri,
    headers: Arc<HeaderMap>,
}

type Tried = SmallVec<[usize; 4]>;

impl Origin {
    /// Builds an origin. No traffic and no task yet: see [`Origin::start`].
    ///
    /// # Errors
    /// Unreadable certificates, no servers: see [`BuildError`].
    pub fn new(name: &str, settings: Settings, clock: Clock) -> Result<Arc<Self>, BuildError> {
        if settings.servers.is_empty() {
            return Err(BuildError::NoServers);
        }
        let servers: Vec<_> =
            settings.servers.iter().enumerate().map(|(i, s)| Server::new(i, s, &settings)).collect();
        let health_path = settings.health.as_ref().map(|h| health_path(&h.path)).transpose()?;
        Ok(Arc::new(Self {
            name: name.into(),
            balancer: Balancer::new(settings.balance, servers.len()),
            gate: Gate::new(settings.max_connections, settings.queue),
            pool: Pool::new(servers.len(), settings.idle_timeout),
            connector: Connector::new(&settings)?,
            health_path,
            tasks: Mutex::new(Vec::new()),
            servers,
            settings,
            clock,
        }))
    }

    /// Starts the health checks and the closing of unused connections, on the current runtime. They end when the origin
    /// is dropped. Once.
    pub fn start(self: &Arc<Self>) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if !tasks.is_empty() {
            return;
        }
        tasks.push(tokio::spawn(sweep(Arc::downgrade(self), self.settings.idle_timeout)).abort_handle());
        if let (Some(rule), Some(path)) = (&self.settings.health, &self.health_path) {
            for server in &self.servers {
                let watch = health::watch(Arc::downgrade(self), server.index, rule.clone(), path.clone());
                tasks.push(tokio::spawn(watch).abort_handle());
            }
        }
    }

    /// Sends a request and waits for the head of its final response. The request's URI is path and query; its headers have
    /// no hop-by-hop fields but `Connection` and `Upgrade` of an upgrade; `Host` is the client's. Framing fields are set
    /// here. Dropped, it gives up, and closes the connection it was using.
    ///
    /// # Errors
    /// See [`OriginError`]. Any status is an answer, 5xx as well.
    pub async fn send(
        self: &Arc<Self>,
        request: Request<InBody>,
        options: SendOptions,
    ) -> Result<Answer, OriginError> {
        let permit = self.gate.enter().await?;
        let (mut parts, body) = request.into_parts();
        let outgoing = message::prepare(&mut parts, &body);
        let bodyless = body.is_end_stream();
        let exchange = Exchange::new(bodyless);
        let spare = (options.retry_safe && bodyless && !outgoing.upgrade).then(|| Spare {
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            headers: options.again.unwrap_or_else(|| Arc::new(parts.headers.clone())),
        });
        let job = Job {
            outgoing: &outgoing,
            exchange: &exchange,
            spare: spare.as_ref(),
            interim: &options.interim,
            limit: options.first_byte_timeout.unwrap_or(self.settings.first_byte_timeout),
        };
        let request = Request::from_parts(parts, Upload::new(body, Arc::clone(&exchange)));
        self.attempts(request, &job, options.key_hash, permit).await
    }

    /// One server after the other, as far as `retries` and safety allow.
    async fn attempts(
        self: &Arc<Self>,
        mut request: Request<Upload>,
        job: &Job<'_>,
        key_hash: u64,
        permit: OwnedSemaphorePermit,
    ) -> Result<Answer, OriginError> {
        let mut tried = Tried::new();
        let mut retries = self.settings.retries;
        let mut pass = self.choose(&tried, key_hash)?;
        loop {
            let started = self.clock.now().mono;
            let server = Arc::clone(&pass.server);
            let failure = match self.attempt(&server, request, job).await {
                Ok(response) => {
                    let first_byte = self.clock.now().mono.since(started);
                    return self.answer(pass, response, job, (permit, first_byte));
                }
                Err(failure) => failure,
            };
            tracing::debug!(origin = %self.name, server = %server.name, error = failure.error.as_str(), "attempt failed");
            pass.failure(failure.error);
            tried.push(server.index);
            if retries == 0 {
                return Err(failure.error);
            }
            retries -= 1;
            (request, pass) = self.next(failure, job, &tried, key_hash)?;
        }
    }

    /// The next attempt after a failed one, or its error.
    fn next(
        &self,
        failure: Refused,
        job: &Job<'_>,
        tried: &[usize],
        key_hash: u64,
    ) -> Result<(Request<Upload>, Pass), OriginError> {
        let error = failure.error;
        if !error.is_origin_fault() || !failure.silent {
            return Err(error);
        }
        // What was never written may go to another server whatever its method: nobody can have acted on it (RFC 9110
        // §9.2.2). What was, only if it may be repeated.
        let request = failure.unsent.or_else(|| job.again()).ok_or(error)?;
        // The same server again only for what may be repeated, and not after a time-out: it has the request, is slow,
        // and would get it twice.
        let same = job.spare.is_some() && error != OriginError::FirstByteTimeout;
        let pass = self
            .choose(tried, key_hash)
            .ok()
            .filter(|p| same || !tried.contains(&p.server.index))
            .ok_or(error)?;
        Ok((request, pass))
    }

    /// The server for a request: among the usable ones that were not tried yet the primaries, else the backups, else the
    /// tried ones.
    fn choose(&self, tried: &[usize], key_hash: u64) -> Result<Pass, OriginError> {
        let now = self.clock.now().mono;
        let usable = |s: &Server| s.is_healthy() && s.breaker.usable(now);
        // Another request may have taken a half-open breaker's trial in between: then the choice is made anew.
        for _ in 0..=self.servers.len() {
            let pick = |fits: &dyn Fn(&Server) -> bool| {
                let candidates: SmallVec<[Candidate<'_>; 8]> = self
                    .servers
                    .iter()
                    .filter(|s| usable(s) && fits(s))
                    .map(|s| Candidate {
                        index: s.index,
                        weight: s.weight,
                        in_flight: s.in_flight(),
                        name: &s.name,
                    })
                    .collect();
                self.balancer.choose(&candidates, key_hash)
            };
            let fresh = |s: &Server| !tried.contains(&s.index);
            let chosen = pick(&|s| !s.backup && fresh(s))
                .or_else(|| pick(&|s| s.backup && fresh(s)))
                .or_else(|| pick(&|_| true));
            let Some(server) = chosen.and_then(|i| self.servers.get(i)) else { break };
            if let Some(pass) = Pass::enter(server, &self.clock) {
                return Ok(pass);
            }
        }
        if self.servers.iter().any(|s| s.is_healthy()) {
            Err(OriginError::BreakerOpen)
        } else {
            Err(OriginError::NoHealthyServer)
        }
    }

    /// One request to one server. A connection that the server closed while it was idle is no failure: the request goes
    /// out once more, on a new one, if it was not written or may be repeated.
    async fn attempt(
        &self,
        server: &Arc<Server>,
        mut request: Request<Upload>,
        job: &Job<'_>,
    ) -> Result<Response<Source>, Refused> {
        // An upgrade takes its connection away for good, and can't be repeated: it gets one of its own.
        let mut fresh = job.outgoing.upgrade;
        loop {
            let channel = match self.channel(server, job.outgoing.upgrade, fresh).await {
                Ok(channel) => channel,
                Err(error) => return Err(Refused { error, unsent: Some(request), silent: true }),
            };
            let is_http2 = matches!(channel, Channel::Http2(..));
            let policy = &self.settings.host_header;
            if let Err(error) = message::address(&mut request, job.outgoing, server, policy, is_http2) {
                return Err(Refused { error, unsent: None, silent: true });
            }
            let (sent, reused) = match channel {
                Channel::Http1(mut conn) => {
                    let sent = conn.send(request, job.exchange, job.interim, job.limit).await;
                    let reused = conn.reused;
                    (sent.map(|head| head.map(|()| Source::Http1(conn))), reused)
                }
                Channel::Http2(mut sender, reused) => {
                    let sent = send_h2(&mut sender, request, job.exchange, job.limit).await;
                    (sent.map(|response| response.map(Source::Http2)), reused)
                }
                Channel::Tunnel(mut tunnel) => {
                    listen_for_interims(&mut request, job);
                    let sent = tunnel.send(request, job.exchange, job.limit).await;
                    (sent.map(|response| response.map(|body| Source::Tunnel(body, tunnel))), false)
                }
            };
            let refused = match sent {
                Ok(answer) => return Ok(answer),
                Err(refused) => refused,
            };
            let stale = reused && !fresh && refused.silent && refused.error == OriginError::Reset;
            if !stale {
                return Err(refused);
            }
            fresh = true;
            request = match refused.unsent.or_else(|| job.again()) {
                Some(request) => request,
                None => return Err(Refused { error: refused.error, unsent: None, silent: true }),
            };
        }
    }

    /// A connection that waits, or a new one. `fresh`: only a new one.
    async fn channel(&self, server: &Server, upgrade: bool, fresh: bool) -> Result<Channel, OriginError> {
        let now = self.clock.now().mono;
        if !fresh && let Some(conn) = self.pool.take(server.index, now) {
            return Ok(Channel::Http1(conn));
        }
        if upgrade {
            return self.new_connection(server, Wanted::Upgrade).await.map(Channel::new);
        }
        if !self.settings.http2 {
            return self.new_connection(server, Wanted::Answers).await.map(Channel::new);
        }
        // The lock is held while connecting; so its wait counts as connecting.
        let slot = tokio::time::timeout(self.settings.connect_timeout, server.h2.lock()).await;
        let mut slot = slot.map_err(|_| OriginError::ConnectTimeout)?;
        if let Some(conn) = slot.as_ref().filter(|c| !fresh && c.is_usable(now)) {
            return Ok(Channel::Http2(conn.sender(), true));
        }
        match self.new_connection(server, Wanted::Answers).await? {
            Link::Http2(conn) => {
                let sender = conn.sender();
                *slot = Some(conn);
                Ok(Channel::Http2(sender, false))
            }
            link => Ok(Channel::new(link)),
        }
    }

    pub(super) async fn new_connection(&self, server: &Server, wanted: Wanted) -> Result<Link, OriginError> {
        // One more socket: an idle one makes room, so that `max_connections` holds for all of them.
        self.pool.shrink(self.gate.room());
        // Boxed: it is most of what this room's futures hold, they are copied when they are started, and mostly there is a
        // connection.
        Box::pin(self.connector.connect(server, wanted, self.clock.now().mono)).await
    }

    /// Checks the head and packs up what the body needs.
    fn answer(
        self: &Arc<Self>,
        pass: Pass,
        mut response: Response<Source>,
        job: &Job<'_>,
        (permit, first_byte): (OwnedSemaphorePermit, Duration),
    ) -> Result<Answer, OriginError> {
        let server = Arc::clone(&pass.server);
        if let Err(error) = message::check(&mut response, job.outgoing, self.settings.response_headers) {
            tracing::debug!(origin = %self.name, server = %server.name, error = error.as_str(), "unusable answer");
            pass.failure(error);
            return Err(error);
        }
        pass.success();
        server.note_latency(first_byte);
        let busy = Busy::new(Arc::clone(&server), permit);
        let exchange = Arc::clone(job.exchange);
        let name = Arc::clone(&server.name);
        let switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let response = response.map(|source| match source {
            Source::Tunnel(_, tunnel) if switched => {
                tunnel.give_away(busy);
                OriginBody::upgraded(exchange)
            }
            source => {
                let reusable = source.request_is_out();
                let hold = Hold { origin: Arc::clone(self), server, busy, reusable };
                OriginBody::new(source, hold, exchange, self.settings.between_bytes_timeout)
            }
        });
        Ok(Answer { response, server: name, first_byte })
    }

    pub(super) fn put_back(&self, conn: Box<H1>) {
        self.pool.put(conn, self.clock.now().mono);
        // The request that is ending still has its place: that one is this connection's.
        self.pool.shrink(self.gate.room().saturating_add(1));
    }

    pub(super) const fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(super) fn server(&self, index: usize) -> Option<&Arc<Server>> {
        self.servers.get(index)
    }

    pub(super) const fn host_policy(&self) -> &HostHeader {
        &self.settings.host_header
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Some server would get a request now (`larder_origin_up`).
    pub fn is_up(&self) -> bool {
        let now = self.clock.now().mono;
        self.servers.iter().any(|s| s.is_healthy() && s.breaker.usable(now))
    }

    pub fn snapshot(&self) -> Snapshot {
        let now = self.clock.now().mono;
        let servers = self
            .servers
            .iter()
            .map(|s| ServerSnapshot {
                url: Arc::clone(&s.name),
                backup: s.backup,
                healthy: s.is_healthy(),
                breaker: s.breaker.state(now),
                in_flight: s.in_flight(),
                latency: s.latency(),
            })
            .collect();
        Snapshot { servers, waiting: self.gate.waiting(), idle: self.pool.len() }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        for task in self.tasks.get_mut().unwrap_or_else(PoisonError::into_inner) {
            task.abort();
        }
    }
}

impl std::fmt::Debug for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Origin").field("name", &self.name).finish_non_exhaustive()
    }
}

fn health_path(text: &str) -> Result<PathAndQuery, BuildError> {
    match text.parse::<PathAndQuery>() {
        Ok(path) if text.starts_with('/') => Ok(path),
        _ => Err(BuildError::HealthPath(text.to_owned())),
    }
}

/// For hyper's HTTP/1.1; its HTTP/2 never asks.
fn listen_for_interims(request: &mut Request<Upload>, job: &Job<'_>) {
    let (interim, exchange) = (job.interim.clone(), Arc::clone(job.exchange));
    hyper::ext::on_informational(request, move |response| {
        exchange.beat();
        if response.status() != StatusCode::CONTINUE && interim.is_some() {
            interim.send(Interim { status: response.status(), headers: response.headers().clone() });
        }
    });
}

async fn sweep(origin: Weak<Origin>, idle_timeout: Duration) {
    // Servers close idle connections when they like; until one is taken, only here is it noticed.
    let every = (idle_timeout / 2).clamp(Duration::from_secs(1), Duration::from_secs(5));
    loop {
        tokio::time::sleep(every).await;
        let Some(origin) = origin.upgrade() else { return };
        origin.pool.sweep(origin.clock.now().mono);
    }
}
