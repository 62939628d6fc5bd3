//! What a connection asks of the rest of the house, and what it tells it.

use super::http1::again::Place;
use super::known::Known;
use super::normalise::forwarded;
use super::refusal::Refusal;
use crate::body::{Chunks, InBody, OutBody, Window};
use crate::interim::InterimSender;
use crate::time::Now;
use bytes::Bytes;
use http::header::{HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE};
use http::{HeaderMap, Request, Response};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// One client connection. Shared by all of its requests.
#[derive(Clone, Debug)]
pub struct Conn {
    /// The client as told by the socket, or by a trusted PROXY header.
    pub peer: SocketAddr,
    pub local: SocketAddr,
    pub tls: bool,
    /// Server name of the TLS handshake, lower-case.
    pub sni: Option<Arc<str>>,
}

/// Bounds on what a client may send (`server.limits`, rulings 9 and 39).
#[derive(Clone, Debug)]
pub struct Limits {
    /// Whole request head, bytes: more is 431.
    pub request_header_bytes: usize,
    /// Header lines: more is 431.
    pub request_headers: usize,
    /// Request target, bytes: more is 414.
    pub url_bytes: usize,
    /// Request body, bytes: more is 413.
    pub request_body: u64,
    pub header_read_timeout: Duration,
    /// Between two reads of a request body.
    pub body_read_timeout: Duration,
    /// Between two requests.
    pub idle_timeout: Duration,
    /// A write to the client that makes no progress for this long ends the connection.
    pub write_stall_timeout: Duration,
    pub connections: usize,
    pub connections_per_address: usize,
    pub h2_streams: u32,
    /// Resets by the client within ten seconds: more ends the connection (CVE-2023-44487).
    pub h2_resets: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_header_bytes: 16 * 1024,
            request_headers: 100,
            url_bytes: 8 * 1024,
            request_body: 64 * 1024 * 1024,
            header_read_timeout: Duration::from_secs(10),
            body_read_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            write_stall_timeout: Duration::from_secs(30),
            connections: 20_000,
            connections_per_address: 20_000,
            h2_streams: 100,
            h2_resets: 100,
        }
    }
}

/// A request head that the strict reader has accepted: borrowed, unparsed beyond its lines. Of HTTP/2 only where nothing
/// about it differs from the HTTP/1 request that it could have been.
#[derive(Clone, Copy, Debug)]
pub struct FastRequest<'a> {
    /// True: HEAD, false: GET. Nothing else takes the fast lane.
    pub head: bool,
    /// Origin-form target as sent, starting with `/`.
    pub target: &'a [u8],
    /// The only `Host` (`:authority`), as sent.
    pub host: &'a [u8],
    pub lines: Lines<'a>,
    /// There is one of [`CONDITIONS`] among them.
    pub conditional: bool,
    /// There is one among them that reaches neither rules nor origin as sent (`normalise::spoofable`).
    pub settled: bool,
}

/// The header lines of a request.
#[derive(Clone, Copy, Debug)]
pub enum Lines<'a> {
    /// Just read: in order, values trimmed.
    Read(&'a [httparse::Header<'a>]),
    /// Byte by byte those of the last request of this connection for which [`Handler::fast`] had an answer.
    Known { block: &'a [u8], places: &'a [Place] },
    /// Of HTTP/2.
    Map(&'a HeaderMap),
}

impl<'a> Lines<'a> {
    /// Hands out name and value of each, in order.
    pub fn each(&self, mut to: impl FnMut(&'a [u8], &'a [u8])) {
        match *self {
            Self::Read(headers) => headers.iter().for_each(|header| to(header.name.as_bytes(), header.value)),
            Self::Known { block, places } => places.iter().for_each(|place| {
                let (name, value) = place.of(block);
                to(name, value);
            }),
            Self::Map(map) => {
                map.iter().for_each(|(name, value)| to(name.as_str().as_bytes(), value.as_bytes()))
            }
        }
    }

    /// Hands out each value of the field `name`, in order.
    pub fn values(&self, name: &HeaderName, mut to: impl FnMut(&'a [u8])) {
        if let Self::Map(map) = self {
            return map.get_all(name).iter().for_each(|value| to(value.as_bytes()));
        }
        let wanted = name.as_str().as_bytes();
        self.each(|name, value| {
            if name.eq_ignore_ascii_case(wanted) {
                to(value);
            }
        });
    }
}

impl forwarded::Fields for Lines<'_> {
    fn each<'s>(&'s self, name: &HeaderName, to: &mut dyn FnMut(&'s [u8])) {
        self.values(name, to);
    }
}

/// The fields by which a client asks for less than a whole answer, as far as the fast lane takes them. Other fields that begin
/// with `If-` are for the origin.
pub const CONDITIONS: [HeaderName; 4] = [IF_NONE_MATCH, IF_MODIFIED_SINCE, RANGE, IF_RANGE];

/// What the reader of a request's body found wrong with it before there was an answer. In the extensions of requests
/// that have a body: whatever the handler makes of a broken body, the connection tells the client.
#[derive(Clone, Debug, Default)]
pub struct Verdict(Arc<OnceLock<Option<Refusal>>>);

impl Verdict {
    pub fn refuse(&self, refusal: Refusal) {
        let _ = self.0.set(Some(refusal));
    }

    /// The answer is about to leave: what is found from now on is too late. The refusal, if that came first.
    pub fn settle(&self) -> Option<Refusal> {
        *self.0.get_or_init(|| None)
    }

    pub fn refusal(&self) -> Option<Refusal> {
        self.0.get().copied().flatten()
    }
}

/// What the connection code needs from the product. The engine is one implementation, tests bring others.
pub trait Handler: Send + Sync + 'static {
    /// What the fast lane remembers between answer and write.
    type Record: Send + Sync;

    /// Answers one request. Never fails: errors are responses. The request has been accepted by the strict
    /// reader, its version and headers are as received, hop-by-hop fields included; its URI is in the form it
    /// came in. Must not rely on being polled by one thread. Dropped when the client goes away, or when the
    /// connection refuses the rest of the message: then the [`Verdict`] in the request's extensions says so, and
    /// [`Handler::refused`] counts and logs it.
    fn handle(
        &self,
        request: Request<InBody>,
        conn: Arc<Conn>,
        interim: InterimSender,
    ) -> impl Future<Output = Response<OutBody>> + Send + 'static;

    /// A plain hit, if this request is one: appends a complete HTTP/1.1 response head to `out`, from the
    /// status line to and including the empty line, without `Connection`. `None` leaves `out` as it was.
    fn fast(&self, request: &FastRequest<'_>, conn: &Conn, out: &mut Vec<u8>) -> Option<Self::Record>;

    /// The same for HTTP/2: all of the head, and the body. No fields that are about a connection.
    fn fast_response(
        &self,
        _request: &FastRequest<'_>,
        _conn: &Conn,
    ) -> Option<(Self::Record, Response<Chunks>)> {
        None
    }

    /// The body of a fast answer over HTTP/1.
    fn fast_body<'r>(&self, record: &'r Self::Record) -> Window<'r>;

    /// A fast answer has left (or the client went away after `bytes` of its body). `waited`: not at once, the client
    /// had to make room.
    fn fast_sent(&self, record: Self::Record, conn: &Conn, bytes: u64, waited: bool);

    /// The connection refused a message before it became a request (malformed, over a limit, timed out):
    /// returns the complete HTTP/1.1 response to send before closing; counts and logs it.
    fn refused(&self, refusal: Refusal, conn: &Conn, known: &Known) -> Bytes;

    /// The same for HTTP/2, where a refusal is a response on a stream: counts and logs it, returns the
    /// response. The connection goes on.
    fn refused_response(&self, refusal: Refusal, conn: &Conn, known: &Known) -> Response<OutBody>;

    /// The time, of the one clock; for a `Date` that is missing (RFC 9110 §6.6.1).
    fn now(&self) -> Now;
}
