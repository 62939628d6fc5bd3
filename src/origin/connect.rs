//! Making connections: name, TCP (happy eyeballs, RFC 8305, by hyper-util's connector), TLS, and the client on top.

use super::error::{BuildError, OriginError, TlsFault};
use super::http1::{H1, Limits};
use super::io::{Place, Placed, Stream};
use super::link::{Age, H2, Tunnel, chain};
use super::server::Server;
use super::settings::Settings;
use super::tls::{Tls, fault};
use crate::time::Mono;
use http::Uri;
use hyper::client::conn::{http1, http2};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiAddrs, GaiResolver, Name};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tower_service::Service;

/// hyper's smallest read buffer; it panics below.
const MIN_BUFFER: usize = 8192;

/// What a new connection speaks.
pub(super) enum Link {
    Http1(Box<H1>),
    Http2(H2),
    /// HTTP/1.1, for an upgrade.
    Tunnel(Box<Tunnel>),
}

/// What a connection is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Over HTTP/2 where it is configured.
    Answers,
    /// HTTP/2 has no word for it.
    Upgrade,
}

pub(super) struct Connector {
    tcp: HttpConnector<Resolver>,
    tls: Option<Tls>,
    limits: Limits,
    tunnel: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    use_http2: bool,
    timeout: Duration,
}

impl Connector {
    /// # Errors
    /// As of [`Tls::new`]; TLS is set up only if a server needs it.
    pub fn new(settings: &Settings) -> Result<Self, BuildError> {
        let mut tcp = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(Duration::from_secs(60)));
        // Spread over a name's addresses, so that a dead one leaves time for the next.
        tcp.set_connect_timeout(Some(settings.connect_timeout));

        let mut tls = None;
        for server in settings.servers.iter().filter(|s| s.url.is_https()) {
            let made = match tls.take() {
                Some(made) => made,
                None => Tls::new(&settings.tls, &server.url)?,
            };
            made.server_name(&server.url)?;
            tls = Some(made);
        }

        let limits =
            Limits { headers: settings.response_headers, head_bytes: settings.response_header_bytes };
        let mut tunnel = http1::Builder::new();
        tunnel
            .max_headers(settings.response_headers)
            .max_header_size(settings.response_header_bytes)
            .max_buf_size(settings.response_header_bytes.max(MIN_BUFFER))
            // RFC 9112 §5.1: a proxy must remove such space from a response, not refuse it.
            .allow_spaces_after_header_name_in_responses(true);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_header_list_size(u32::try_from(settings.response_header_bytes).unwrap_or(u32::MAX))
            .keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(10))
            .adaptive_window(true);
        let (use_http2, timeout) = (settings.http2, settings.connect_timeout);
        Ok(Self { tcp, tls, limits, tunnel, http2, use_http2, timeout })
    }

    /// A new connection, within `connect_timeout`.
    pub async fn connect(&self, server: &Server, wanted: Wanted, now: Mono) -> Result<Link, OriginError> {
        let made = tokio::time::timeout(self.timeout, self.establish(server, wanted, now)).await;
        made.unwrap_or(Err(OriginError::ConnectTimeout))
    }

    async fn establish(&self, server: &Server, wanted: Wanted, now: Mono) -> Result<Link, OriginError> {
        let uri = Uri::builder()
            .scheme(server.url.scheme().clone())
            .authority(server.url.authority().clone())
            .path_and_query("/")
            .build()
            .map_err(|_| OriginError::Request)?;
        let stream = self.tcp.clone().call(uri).await.map_err(|e| {
            let error = tcp_error(&e);
            tracing::debug!(server = %server.name, error = error.as_str(), detail = %chain(&e), "no connection to the origin server");
            error
        })?;
        let stream = stream.into_inner();
        let http2 = self.use_http2 && wanted == Wanted::Answers;
        if !server.url.is_https() {
            return self.speak(server, wanted, http2, Stream::Plain(stream), now).await;
        }
        let tls = self.tls.as_ref().ok_or(OriginError::Tls(TlsFault::Protocol))?;
        let name = tls.server_name(&server.url).map_err(|_| OriginError::Tls(TlsFault::Certificate))?;
        let stream = tls.connector(http2).connect(name, stream).await.map_err(|e| {
            let fault = fault(&e);
            tracing::debug!(server = %server.name, error = OriginError::Tls(fault).as_str(), detail = %e, "no TLS with the origin server");
            OriginError::Tls(fault)
        })?;
        let chosen_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        self.speak(server, wanted, chosen_http2, Stream::Tls(Box::new(stream)), now).await
    }

    /// Puts the client on it; hyper's has a task of its own.
    async fn speak(
        &self,
        server: &Server,
        wanted: Wanted,
        http2: bool,
        stream: Stream,
        now: Mono,
    ) -> Result<Link, OriginError> {
        let age = Age { made: now, by_name: server.url.is_name() };
        if http2 {
            let (sender, connection) =
                self.http2.handshake(TokioIo::new(stream)).await.map_err(|e| hello_error(server, &e))?;
            tokio::spawn(connection);
            return Ok(Link::Http2(H2::new(sender, age)));
        }
        if wanted == Wanted::Answers {
            return Ok(Link::Http1(Box::new(H1::new(server.index, stream, self.limits, age))));
        }
        let place = Place::default();
        let io = TokioIo::new(Placed::new(stream, place.clone()));
        let (sender, connection) = self.tunnel.handshake(io).await.map_err(|e| hello_error(server, &e))?;
        let task = tokio::spawn(connection.with_upgrades()).abort_handle();
        Ok(Link::Tunnel(Box::new(Tunnel::new(sender, place, task))))
    }
}

fn hello_error(server: &Server, error: &hyper::Error) -> OriginError {
    tracing::debug!(server = %server.name, detail = %chain(error), "the origin server ended the connection at once");
    OriginError::Reset
}

/// Linux' EMFILE and ENFILE: no descriptors left, which std has no kind for.
const OUT_OF_FILES: [i32; 2] = [24, 23];

fn tcp_error(error: &(dyn Error + 'static)) -> OriginError {
    let mut source = Some(error);
    while let Some(e) = source {
        if e.is::<NoSuchName>() {
            return OriginError::DnsFailed;
        }
        if let Some(io) = e.downcast_ref::<io::Error>() {
            return match io.kind() {
                io::ErrorKind::TimedOut => OriginError::ConnectTimeout,
                io::ErrorKind::HostUnreachable
                | io::ErrorKind::NetworkUnreachable
                | io::ErrorKind::NetworkDown => OriginError::Unreachable,
                io::ErrorKind::AddrNotAvailable | io::ErrorKind::OutOfMemory => OriginError::LocalResources,
                _ if io.raw_os_error().is_some_and(|n| OUT_OF_FILES.contains(&n)) => {
                    OriginError::LocalResources
                }
                _ => OriginError::ConnectRefused,
            };
        }
        source = e.source();
    }
    OriginError::ConnectRefused
}

/// `getaddrinfo`, with its failures marked as such: hyper-util's connector folds all causes into one type.
#[derive(Clone)]
struct Resolver(GaiResolver);

#[derive(Debug)]
struct NoSuchName(io::Error);

impl std::fmt::Display for NoSuchName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for NoSuchName {}

impl Service<Name> for Resolver {
    type Response = GaiAddrs;
    type Error = NoSuchName;
    type Future = Pin<Box<dyn Future<Output = Result<GaiAddrs, NoSuchName>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), NoSuchName>> {
        self.0.poll_ready(cx).map_err(NoSuchName)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let answer = self.0.call(name);
        Box::pin(async move { answer.await.map_err(NoSuchName) })
    }
}
