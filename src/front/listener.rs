//! From a bound socket to connections that speak HTTP/1 or HTTP/2: accepting, the PROXY header, TLS, and
//! finding out the protocol. Also draining: stop accepting at once, tell every connection, wait for them,
//! end what is left.
//!
//! Over `limits.connections` a client is accepted and closed at once, rather than left in the kernel's queue:
//! a load balancer then tries another node immediately instead of running into its time-out, and the
//! queue stays free for those who get the next place. Each is counted ([`Turned`]).
//!
//! Nothing of a client is read without a limit on bytes and on time: PROXY header, TLS handshake and the
//! first bytes of HTTP each have `header_read_timeout`.

use super::handler::{Conn, Handler, Limits};
use super::prefixed::Prefixed;
use super::proxy_protocol::{self, Addresses};
use super::tls::{TlsFiles, TlsReloader};
use super::tracker::{ConnTracker, Slot, Turned};
use super::{http1, http2};
use crate::time::Mono;
use arc_swap::ArcSwap;
use bytes::{Bytes, BytesMut};
use ipnet::IpNet;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Connections the kernel keeps for us; it cuts this to its own maximum.
const BACKLOG: i32 = 4096;
/// After an `accept` that failed for want of descriptors or memory.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Out of descriptors, `accept` fails as often as a connection ends: said once in this time.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// What a client that has not yet asked for anything gets when we drain: a request may be on its way.
pub(super) const LAST_CALL: Duration = Duration::from_secs(1);
/// What an HTTP/2 client sends first (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The first read of a connection in the clear: most request heads fit.
const FIRST_READ: usize = 4096;

/// One entry of `server.listen`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    pub address: SocketAddr,
    pub tls: Option<TlsFiles>,
    /// Every connection must begin with a PROXY header (version 1 or 2).
    pub proxy_protocol: bool,
}

/// A socket that is ready to accept, and how.
#[derive(Debug)]
pub struct Listener {
    pub socket: TcpListener,
    pub tls: Option<Arc<TlsReloader>>,
    pub proxy_protocol: bool,
}

/// What a reload may change for new connections.
#[derive(Clone, Debug)]
pub struct ConnSettings {
    pub limits: Arc<Limits>,
    /// `server.trusted_proxies`: only they may send PROXY headers. None named: nobody may.
    pub trusted: Arc<[IpNet]>,
}

/// Binds an address.
///
/// # Errors
/// The system's: address in use, not allowed, not ours.
pub fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        // `[::]` means every address, IPv4's too, whatever the system's default is.
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Takes a socket that somebody else has bound (socket activation, hand-over, tests). Needs a runtime.
///
/// # Errors
/// When it can't be made non-blocking or registered.
pub fn adopt(socket: std::net::TcpListener) -> io::Result<TcpListener> {
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket)
}

/// IPv4 in IPv6's clothes, as dual-stack sockets report it, is IPv4: networks are compared with it.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Ready when draining is on; never when nobody can switch it on any more.
pub(super) async fn told_to_drain(drain: &mut watch::Receiver<bool>) {
    if drain.wait_for(|&on| on).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// What all connections of a listener share.
struct Shared<H> {
    tls: Option<Arc<TlsReloader>>,
    proxy_protocol: bool,
    handler: Arc<H>,
    tracker: ConnTracker,
}

/// Serves one listener until `drain` becomes true, then waits at most `grace` for its connections and ends
/// the rest. Dropping the future ends them all at once.
pub async fn run<H: Handler>(
    listener: Listener,
    handler: Arc<H>,
    settings: Arc<ArcSwap<ConnSettings>>,
    mut drain: watch::Receiver<bool>,
    grace: Duration,
    tracker: ConnTracker,
) {
    let Listener { socket, tls, proxy_protocol } = listener;
    let shared = Arc::new(Shared { tls, proxy_protocol, handler, tracker });
    let mut connections = JoinSet::new();
    let mut pause = None;
    let mut said: Option<Mono> = None;
    // Registered once: every registration takes a lock that all connections share.
    let told = drain.clone();
    let mut told_to_end = std::pin::pin!(told_to_drain(&mut drain));
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut told_to_end => break,
            // Somebody left, and a descriptor with them: no need to wait any longer.
            Some(left) = connections.join_next(), if !connections.is_empty() => {
                report_panic(left);
                pause = None;
                continue;
            }
            accepted = accept(&socket, pause) => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                pause = None;
                let settings = settings.load();
                match shared.tracker.admit(&settings.limits) {
                    Ok(slot) => {
                        let link = Link { peer: canonical(peer), slot, drain: told.clone() };
                        let settings = ConnSettings::clone(&settings);
                        connections.spawn(connection(stream, link, Arc::clone(&shared), settings));
                    }
                    Err(why) => shared.tracker.count_turned(why),
                }
            }
            // The client's affair: it went away before we came.
            Err(e) if is_about_one_connection(&e) => {}
            Err(error) => {
                let now = shared.handler.now().mono;
                if said.is_none_or(|at| now.since(at) >= SAY_EVERY) {
                    tracing::error!(%error, "cannot accept connections, trying again");
                    said = Some(now);
                }
                pause = Some(pause.map_or(PAUSE_MIN, |p: Duration| (p * 2).min(PAUSE_MAX)));
            }
        }
    }
    drop(socket);
    let all_left = async {
        while let Some(left) = connections.join_next().await {
            report_panic(left);
        }
    };
    if timeout(grace, all_left).await.is_err() {
        tracing::warn!(connections = connections.len(), "grace period over, ending what is left");
    }
    connections.shutdown().await;
}

async fn accept(socket: &TcpListener, pause: Option<Duration>) -> io::Result<(TcpStream, SocketAddr)> {
    if let Some(pause) = pause {
        tokio::time::sleep(pause).await;
    }
    socket.accept().await
}

fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

fn report_panic(left: Result<(), tokio::task::JoinError>) {
    if let Err(error) = left
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked");
    }
}

/// How long a client may take for each step before its first request.
struct Patience {
    limit: Duration,
    drain: watch::Receiver<bool>,
}

impl Patience {
    /// `None`: it took too long.
    async fn wait<T>(&mut self, step: impl Future<Output = T>) -> Option<T> {
        let drain = &mut self.drain;
        let last_call = async {
            told_to_drain(drain).await;
            tokio::time::sleep(LAST_CALL).await;
        };
        tokio::select! {
            biased;
            done = step => Some(done),
            () = tokio::time::sleep(self.limit) => None,
            () = last_call => None,
        }
    }
}

/// What belongs to one connection.
struct Link {
    peer: SocketAddr,
    slot: Slot,
    drain: watch::Receiver<bool>,
}

async fn connection<H: Handler>(
    mut stream: TcpStream,
    mut link: Link,
    shared: Arc<Shared<H>>,
    settings: ConnSettings,
) {
    // Not fatal where it fails: slower, not wrong.
    let _ = stream.set_nodelay(true);
    let turn = |why| shared.tracker.count_turned(why);
    let mut patience = Patience { limit: settings.limits.header_read_timeout, drain: link.drain.clone() };
    let Ok(local) = stream.local_addr() else { return };
    let mut ends = Addresses { source: link.peer, destination: canonical(local) };
    if shared.proxy_protocol {
        match proxied(&mut stream, link.peer, &settings, &mut patience).await {
            Ok(Some(told)) => ends = told,
            Ok(None) => {}
            Err(why) => return turn(why),
        }
    }
    if let Err(why) = link.slot.claim(ends.source.ip(), &settings.limits) {
        return turn(why);
    }
    let mut conn = Conn { peer: ends.source, local: ends.destination, tls: false, sni: None };
    let Some(reloader) = &shared.tls else {
        let mut stream = stream;
        return match patience.wait(sniff(&mut stream)).await {
            Some(Ok((Spoken::Http1, read))) => {
                serve(stream, Spoken::Http1, read, conn, &shared, &settings, link.drain).await;
            }
            Some(Ok((Spoken::Http2, read))) => {
                let stream = Prefixed::new(read, stream);
                serve(stream, Spoken::Http2, Bytes::new(), conn, &shared, &settings, link.drain).await;
            }
            Some(Err(_)) | None => turn(Turned::Silent),
        };
    };
    let acceptor = tokio_rustls::TlsAcceptor::from(reloader.config());
    // Boxed: a TLS stream is over a kilobyte and is moved about by value.
    let stream = match patience.wait(acceptor.accept(stream)).await {
        Some(Ok(stream)) => Box::new(stream),
        Some(Err(error)) => {
            tracing::debug!(%error, peer = %conn.peer, "TLS handshake failed");
            return turn(Turned::Tls);
        }
        None => return turn(Turned::Tls),
    };
    conn.tls = true;
    let session = stream.get_ref().1;
    conn.sni = session.server_name().map(|name| name.to_ascii_lowercase().into());
    // Over TLS only ALPN says HTTP/2 (RFC 9113 §3.2).
    let spoken = if session.alpn_protocol() == Some(b"h2") { Spoken::Http2 } else { Spoken::Http1 };
    serve(stream, spoken, Bytes::new(), conn, &shared, &settings, link.drain).await;
}

async fn serve<IO, H>(
    io: IO,
    spoken: Spoken,
    read: Bytes,
    conn: Conn,
    shared: &Shared<H>,
    settings: &ConnSettings,
    drain: watch::Receiver<bool>,
) where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    H: Handler,
{
    let (conn, handler, limits) = (Arc::new(conn), Arc::clone(&shared.handler), Arc::clone(&settings.limits));
    match spoken {
        Spoken::Http1 => http1::serve(io, read, conn, handler, limits, drain).await,
        Spoken::Http2 => http2::serve(io, conn, handler, limits, drain).await,
    }
}

/// Reads the PROXY header, from those who may send one.
async fn proxied(
    stream: &mut TcpStream,
    peer: SocketAddr,
    settings: &ConnSettings,
    patience: &mut Patience,
) -> Result<Option<Addresses>, Turned> {
    if !settings.trusted.iter().any(|net| net.contains(&peer.ip())) {
        tracing::debug!(%peer, "not a trusted proxy on a listener with proxy_protocol");
        return Err(Turned::ProxyHeader);
    }
    match patience.wait(proxy_protocol::read(stream)).await {
        Some(Ok(addresses)) => Ok(addresses),
        Some(Err(error)) => {
            tracing::debug!(%error, %peer, "connection refused");
            Err(Turned::ProxyHeader)
        }
        None => Err(Turned::ProxyHeader),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spoken {
    Http1,
    Http2,
}

/// The first bytes decide between HTTP/1 and HTTP/2 with prior knowledge (RFC 9113 §3.3). As long as they
/// are a beginning of the preface there may be more to come; the caller bounds the time. An end in the middle
/// of it is HTTP/1's to refuse.
///
/// # Errors
/// The connection ended, or broke, before it said anything.
async fn sniff<IO: AsyncRead + Unpin>(io: &mut IO) -> io::Result<(Spoken, Bytes)> {
    let mut read = BytesMut::with_capacity(FIRST_READ);
    loop {
        if io.read_buf(&mut read).await? == 0 {
            return if read.is_empty() {
                Err(io::ErrorKind::UnexpectedEof.into())
            } else {
                Ok((Spoken::Http1, read.freeze()))
            };
        }
        if read.starts_with(PREFACE) {
            return Ok((Spoken::Http2, read.freeze()));
        }
        if !PREFACE.starts_with(&read) {
            return Ok((Spoken::Http1, read.freeze()));
        }
    }
}

#[cfg(test)]
mod tests;
