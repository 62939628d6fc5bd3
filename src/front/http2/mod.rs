//! HTTP/2 for clients (RFC 9113), on the `h2` crate directly: hyper's server has no way to send interim
//! responses (1xx), and no hook for the checks made here.
//!
//! One task per connection drives frames and accepts streams, and answers plain hits at once ([`fast`]), whose
//! writes it gathers ([`batch`]); one task per other stream answers it. The streams' tasks belong to the connection's: when it ends, they are ended, and with them the
//! handlers' futures.
//!
//! | against | what holds |
//! | --- | --- |
//! | rapid reset (CVE-2023-44487) | a stream counts against the maximum until its *task* has ended; resets are counted per ten seconds; `h2` bounds those that were reset before we accepted them |
//! | MadeYouReset (CVE-2025-8671) | resets that the client makes us send are bounded by `h2` |
//! | CONTINUATION flood, HPACK bomb | bounded by `h2` through the header list size |
//! | small and empty DATA frames, PING, SETTINGS | bounded by `h2`, which reads no further until its answers are written |
//! | slow reading | [`stall`] for the socket, [`respond`] for a window that stays closed |
//! | slow sending | preface: `header_read_timeout`; body: `body_read_timeout`; nothing at all: `idle_timeout` |
//!
//! What `h2` refuses by itself (upper-case names, connection-specific fields, bad or repeated pseudo-header
//! fields, a `content-length` that is not the sum of DATA) ends the stream or the connection with
//! PROTOCOL_ERROR and never becomes a request. What it lets pass is in [`head`].

mod batch;
mod fast;
mod head;
mod request_body;
mod respond;
mod stall;
mod stream;
#[cfg(test)]
mod tests;

pub use request_body::BodyError;

use super::handler::{Conn, Handler, Limits};
use super::listener::told_to_drain;
use batch::{Batch, Batched};
use bytes::Bytes;
use h2::server::{Builder, Connection};
use h2::{Reason, RecvStream};
use http::Request;
use stall::{Guarded, Progress};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;
use stream::{Context, StreamEnd};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Sleep, sleep, timeout};

/// How much of a request body may be under way unread, per stream and per connection.
const STREAM_WINDOW: u32 = 512 * 1024;
const CONNECTION_WINDOW: u32 = 2 * 1024 * 1024;
/// How much of a response may be handed to `h2` and not yet be in the socket, per stream.
const SEND_BUFFER: usize = 128 * 1024;
/// Streams that were reset before they were accepted: `h2`'s own default.
const PENDING_RESETS: usize = 20;
/// The window of `limits.h2_resets`.
const RESET_WINDOW: Duration = Duration::from_secs(10);
/// `h2` counts the resets that it was made to send over the whole life of a connection, not per window: so many
/// windows' worth.
const LIFETIME: usize = 10;
/// What `h2` adds per field when it sizes a header list (RFC 9113 §6.5.2).
const FIELD_OVERHEAD: usize = 32;

/// Serves one connection until it ends. `io` begins with the client's preface.
///
/// When `drain` becomes true: GOAWAY, streams that are open finish, new ones are refused. The caller bounds
/// how long that may take by dropping this future.
pub async fn serve<IO, H>(
    io: IO,
    conn: Arc<Conn>,
    handler: Arc<H>,
    limits: Arc<Limits>,
    mut drain: watch::Receiver<bool>,
) where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    H: Handler,
{
    let (io, progress) = Guarded::new(io, limits.write_stall_timeout);
    let (io, batch) = Batched::new(io);
    let handshake = builder(&limits).handshake::<_, Bytes>(io);
    let connection = match timeout(limits.header_read_timeout, handshake).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return tracing::debug!(%error, peer = %conn.peer, "HTTP/2 handshake failed"),
        Err(_) => return tracing::debug!(peer = %conn.peer, "HTTP/2 preface did not come in time"),
    };
    let idle = Box::pin(sleep(limits.idle_timeout));
    let resets = Resets { limit: limits.h2_resets, count: 0, window: None };
    let context = Arc::new(Context { conn, handler, limits });
    let mut serving = Serving {
        connection,
        context,
        streams: JoinSet::new(),
        resets,
        idle,
        progress,
        seen: 0,
        batch,
        closing: false,
        answered: false,
    };
    serving.run(&mut drain).await;
    serving.streams.shutdown().await;
}

fn builder(limits: &Limits) -> Builder {
    // Twice our own limit: what is over ours, but within this, gets a proper 431 that is counted; beyond it
    // `h2` answers a bare 431 by itself, and far beyond it ends the connection.
    let list =
        limits.request_header_bytes.saturating_mul(2) + limits.request_headers.saturating_mul(FIELD_OVERHEAD);
    let resets = usize::try_from(limits.h2_resets).unwrap_or(usize::MAX);
    let mut builder = Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(limits.h2_streams)
        .max_header_list_size(u32::try_from(list).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(PENDING_RESETS.min(resets))
        .max_local_error_reset_streams(Some(resets.saturating_mul(LIFETIME)));
    builder
}

struct Serving<IO, H> {
    connection: Connection<Batched<Guarded<IO>>, Bytes>,
    context: Arc<Context<H>>,
    streams: JoinSet<StreamEnd>,
    resets: Resets,
    /// Runs while no stream is open.
    idle: Pin<Box<Sleep>>,
    progress: Progress,
    /// `progress` when `idle` was last set.
    seen: u64,
    batch: Batch,
    /// GOAWAY has been sent.
    closing: bool,
    /// A stream has been answered without a task since `idle` was last set.
    answered: bool,
}

impl<IO, H> Serving<IO, H>
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    H: Handler,
{
    async fn run(&mut self, drain: &mut watch::Receiver<bool>) {
        // Registered once: every registration takes a lock that all connections share.
        let mut told = std::pin::pin!(told_to_drain(drain));
        let mut draining = false;
        poll_fn(|cx| {
            loop {
                while let Poll::Ready(Some(ended)) = self.streams.poll_join_next(cx) {
                    self.stream_ended(ended);
                }
                if self.poll_connection(cx).is_ready() {
                    return Poll::Ready(());
                }
                // What is decided from here on has to go through the connection.
                if !draining && told.as_mut().poll(cx).is_ready() {
                    draining = true;
                    if !self.closing {
                        self.say_goodbye();
                        continue;
                    }
                }
                if self.resets.poll_window_over(cx).is_ready() {
                    self.resets.count = 0;
                }
                if !self.streams.is_empty() || self.idle.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                if !self.still_of_use() {
                    return Poll::Ready(());
                }
            }
        })
        .await;
    }

    /// Takes and begins to answer whatever has come; ready when the connection is over. As long as there are as many tasks
    /// as there may be, nothing is taken.
    fn poll_connection(&mut self, cx: &mut task::Context<'_>) -> Poll<()> {
        let maximum = usize::try_from(self.context.limits.h2_streams).unwrap_or(usize::MAX);
        loop {
            if self.streams.len() >= maximum {
                self.batch.release();
                return self.connection.poll_closed(cx).map(|ended| self.ended(ended.err()));
            }
            self.batch.hold();
            let mut accepted = self.connection.poll_accept(cx);
            if accepted.is_pending() && self.batch.release() {
                // Nothing more has come: what was gathered leaves with this.
                accepted = self.connection.poll_accept(cx);
            }
            match accepted {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok((request, respond)))) => self.accepted(request, respond),
                Poll::Ready(Some(Err(error))) => {
                    self.ended(Some(error));
                    return Poll::Ready(());
                }
                Poll::Ready(None) => return Poll::Ready(()),
            }
        }
    }

    fn ended(&self, error: Option<h2::Error>) {
        if let Some(error) = error {
            tracing::debug!(%error, peer = %self.context.conn.peer, "HTTP/2 connection ended");
        }
    }

    fn accepted(&mut self, request: Request<RecvStream>, respond: h2::server::SendResponse<Bytes>) {
        match fast::answer(request, respond, &self.context) {
            fast::Taken::Answered => self.answered = true,
            fast::Taken::Rest(rest) => drop(self.streams.spawn(rest.send())),
            fast::Taken::Left(request, respond) => {
                // Boxed: it has more than ten kilobytes, which starting and ending a task would copy eight times.
                self.streams.spawn(Box::pin(stream::answer(request, respond, Arc::clone(&self.context))));
            }
        }
    }

    fn stream_ended(&mut self, ended: Result<StreamEnd, JoinError>) {
        match ended {
            Ok(StreamEnd::Reset) if self.resets.one_more() => {
                tracing::info!(peer = %self.context.conn.peer, "HTTP/2 client resets too many streams");
                self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                self.closing = true;
            }
            Ok(_) => {}
            Err(error) if error.is_panic() => tracing::error!(%error, "a stream's task panicked"),
            Err(_) => {}
        }
        if self.streams.is_empty() {
            let limits = &self.context.limits;
            self.set_idle(if self.closing { limits.write_stall_timeout } else { limits.idle_timeout });
        }
    }

    fn say_goodbye(&mut self) {
        self.connection.graceful_shutdown();
        self.closing = true;
        // The orderly end needs an answer from the client; one that is dead gives none.
        self.set_idle(self.context.limits.write_stall_timeout);
    }

    fn set_idle(&mut self, after: Duration) {
        self.answered = false;
        self.seen = self.progress.get();
        self.idle.set(sleep(after));
    }

    /// No task runs and the time is up. What tasks handed to `h2` may still be on its way to a slow reader:
    /// as long as bytes leave, it has time.
    fn still_of_use(&mut self) -> bool {
        // Setting the timer anew with every answer would cost more than looking back, and only makes a connection last a
        // little longer.
        if self.answered && !self.closing {
            self.set_idle(self.context.limits.idle_timeout);
            return true;
        }
        let owed = self.batch.release();
        if (owed || self.connection.has_streams()) && self.progress.get() != self.seen {
            self.set_idle(self.context.limits.write_stall_timeout);
            return true;
        }
        if self.closing {
            return false;
        }
        self.say_goodbye();
        true
    }
}

/// Resets by the client in the current window.
struct Resets {
    limit: u32,
    count: u32,
    window: Option<Pin<Box<Sleep>>>,
}

impl Resets {
    /// Counts one; true when it is one too many. A window begins with the first reset in it.
    fn one_more(&mut self) -> bool {
        self.window.get_or_insert_with(|| Box::pin(sleep(RESET_WINDOW)));
        self.count = self.count.saturating_add(1);
        self.count > self.limit
    }

    fn poll_window_over(&mut self, cx: &mut task::Context<'_>) -> Poll<()> {
        let Some(window) = &mut self.window else { return Poll::Pending };
        let over = window.as_mut().poll(cx);
        if over.is_ready() {
            self.window = None;
        }
        over
    }
}
