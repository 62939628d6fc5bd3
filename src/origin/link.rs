//! One connection to a server with hyper's client on it, and the pool of those that wait for the next request.

use super::error::{OriginError, TlsFault};
use super::io::{Meter, Socket};
use super::server::Busy;
use super::tls::fault;
use super::upload::{Exchange, Phase, Upload};
use crate::time::Mono;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use std::collections::VecDeque;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::AbortHandle;

/// A connection to a *name* takes no new request when it is this old, so that a change in DNS is followed: each new
/// connection looks the name up, and `getaddrinfo` doesn't tell how long its answer holds.
const NAME_HOLDS: Duration = Duration::from_secs(30);

/// How long a connection whose answer has ended may take to become ready again. It takes microseconds.
const READY_WAIT: Duration = Duration::from_secs(1);

/// Why there was no head.
pub(super) struct Refused {
    pub error: OriginError,
    /// The request, if nothing of it has been written.
    pub unsent: Option<Request<Upload>>,
    /// Not a byte came back.
    pub silent: bool,
}

/// When a connection is too old to be used again.
#[derive(Clone, Copy, Debug)]
struct Age {
    made: Mono,
    by_name: bool,
}

impl Age {
    fn is_over(self, now: Mono) -> bool {
        self.by_name && now.since(self.made) >= NAME_HOLDS
    }
}

/// An HTTP/1.1 connection. Dropped, it is closed at once, whatever is under way on it.
pub(super) struct H1 {
    pub server: usize,
    sender: http1::SendRequest<Upload>,
    socket: Socket,
    meter: Arc<Meter>,
    /// hyper's connection task.
    task: Option<AbortHandle>,
    age: Age,
    idle_since: Mono,
    /// It has answered a request before: that it fails now may only mean that the server closed it meanwhile.
    pub reused: bool,
}

impl H1 {
    pub fn new(
        server: usize,
        by_name: bool,
        sender: http1::SendRequest<Upload>,
        wire: (Socket, Arc<Meter>),
        task: AbortHandle,
        now: Mono,
    ) -> Self {
        let (socket, meter) = wire;
        let age = Age { made: now, by_name };
        Self { server, sender, socket, meter, task: Some(task), age, idle_since: now, reused: false }
    }

    /// Sends one request and waits for the head of the final response.
    pub async fn send(
        &mut self,
        request: Request<Upload>,
        exchange: &Exchange,
        limit: Duration,
    ) -> Result<Response<Incoming>, Refused> {
        self.meter.reset();
        let answer = self.sender.try_send_request(request);
        match exchange.head(answer, limit).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(failed)) => Err(refused(failed, exchange, !self.meter.heard())),
            Err(error) => Err(Refused { error, unsent: None, silent: !self.meter.heard() }),
        }
    }

    /// All of the request has left. Asked when the response's head is there: a connection on which the answer came
    /// before the request was out must not carry another (standards §8.4).
    pub fn request_is_out(&self, exchange: &Exchange) -> bool {
        exchange.phase() == Phase::Done && !self.meter.unflushed()
    }

    /// Ready for another request: silent, and hyper is done with the last one.
    async fn is_ready(&mut self) -> bool {
        if !self.socket.is_quiet() || self.sender.is_closed() {
            return false;
        }
        // The answer's end reaches its reader a moment before hyper's task says that it is idle.
        self.sender.is_ready()
            || matches!(tokio::time::timeout(READY_WAIT, self.sender.ready()).await, Ok(Ok(())))
    }

    /// Closes in good order: what hyper does when nobody will send any more.
    fn retire(mut self) {
        self.task = None;
    }

    /// The connection now belongs to whoever asked for the upgrade, and with it its place.
    pub fn give_away(mut self, busy: Busy) {
        self.socket.hold(busy);
        self.task = None;
    }
}

impl Drop for H1 {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

/// The HTTP/2 connection of a server: any number of requests at once.
pub(super) struct H2 {
    sender: http2::SendRequest<Upload>,
    age: Age,
}

impl H2 {
    pub const fn new(sender: http2::SendRequest<Upload>, by_name: bool, now: Mono) -> Self {
        Self { sender, age: Age { made: now, by_name } }
    }

    pub fn is_usable(&self, now: Mono) -> bool {
        !self.sender.is_closed() && !self.age.is_over(now)
    }

    pub fn sender(&self) -> http2::SendRequest<Upload> {
        self.sender.clone()
    }
}

/// Sends on an HTTP/2 connection.
pub(super) async fn send_h2(
    sender: &mut http2::SendRequest<Upload>,
    request: Request<Upload>,
    exchange: &Exchange,
    limit: Duration,
) -> Result<Response<Incoming>, Refused> {
    match exchange.head(sender.try_send_request(request), limit).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(failed)) => Err(refused(failed, exchange, true)),
        Err(error) => Err(Refused { error, unsent: None, silent: true }),
    }
}

fn refused(mut failed: TrySendError<Request<Upload>>, exchange: &Exchange, silent: bool) -> Refused {
    let unsent = failed.take_message();
    let error = classify(failed.error(), exchange);
    tracing::debug!(error = error.as_str(), detail = %chain(failed.error()), "no answer from the origin server");
    Refused { error, unsent, silent }
}

fn classify(error: &hyper::Error, exchange: &Exchange) -> OriginError {
    if exchange.phase() == Phase::Failed || error.is_user() || error.is_body_write_aborted() {
        return OriginError::RequestBody;
    }
    if error.is_parse_too_large() {
        return OriginError::HeadTooLarge;
    }
    if error.is_parse() {
        return OriginError::Protocol;
    }
    let mut source = error.source();
    while let Some(e) = source {
        // In TLS 1.3 a server refuses our certificate when our handshake is long over.
        if e.downcast_ref().map(fault) == Some(TlsFault::Alert) {
            return OriginError::Tls(TlsFault::Alert);
        }
        if let Some(h2) = e.downcast_ref::<h2::Error>() {
            // Found by our side: the server broke the rules. Everything else it did on purpose, or it went away.
            let ours = h2.is_library() && !h2.is_io() && h2.reason().is_some();
            return if ours { OriginError::Protocol } else { OriginError::Reset };
        }
        source = e.source();
    }
    OriginError::Reset
}

/// An error with all of its causes, for the log.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(e) = source {
        text.push_str(": ");
        text.push_str(&e.to_string());
        source = e.source();
    }
    text
}

/// HTTP/1.1 connections between two requests, newest last, by server. Their number is bounded by what `max_connections`
/// leaves beside the busy ones.
pub(super) struct Pool {
    idle: Mutex<Vec<VecDeque<H1>>>,
    idle_timeout: Duration,
}

impl Pool {
    pub fn new(servers: usize, idle_timeout: Duration) -> Self {
        let idle = (0..servers).map(|_| VecDeque::new()).collect();
        Self { idle: Mutex::new(idle), idle_timeout }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<VecDeque<H1>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self, conn: &H1, now: Mono) -> bool {
        now.since(conn.idle_since) >= self.idle_timeout || conn.age.is_over(now)
    }

    /// The connection that was used last and is still good. The others that are tried on the way are closed.
    pub async fn take(&self, server: usize, now: Mono) -> Option<H1> {
        loop {
            let mut conn = self.lock().get_mut(server)?.pop_back()?;
            if self.is_over(&conn, now) {
                conn.retire();
            } else if conn.is_ready().await {
                conn.reused = true;
                return Some(conn);
            }
        }
    }

    pub fn put(&self, mut conn: H1, now: Mono) {
        conn.idle_since = now;
        if self.is_over(&conn, now) || conn.sender.is_closed() {
            conn.retire();
        } else if let Some(list) = self.lock().get_mut(conn.server) {
            list.push_back(conn);
        }
    }

    /// Closes the longest unused until at most `room` are left.
    pub fn shrink(&self, room: usize) {
        let mut lists = self.lock();
        let mut total: usize = lists.iter().map(VecDeque::len).sum();
        while total > room {
            let oldest =
                lists.iter_mut().filter(|l| !l.is_empty()).min_by_key(|l| l.front().map(|c| c.idle_since));
            match oldest.and_then(VecDeque::pop_front) {
                Some(conn) => conn.retire(),
                None => return,
            }
            total -= 1;
        }
    }

    /// Closes what has been unused for too long, and forgets what servers have closed.
    pub fn sweep(&self, now: Mono) {
        for list in self.lock().iter_mut() {
            for conn in std::mem::take(list) {
                if self.is_over(&conn, now) || conn.sender.is_closed() {
                    conn.retire();
                } else {
                    list.push_back(conn);
                }
            }
        }
    }

    pub fn len(&self) -> usize {
        self.lock().iter().map(VecDeque::len).sum()
    }
}
