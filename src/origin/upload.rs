//! The request body on its way to the server, watched: whether it has been taken whole (only then may the connection
//! be used again, RFC 9112 §9.3), whether it failed at the client's side, and whether it is the client or the server
//! that lets the other wait.

use super::error::OriginError;
use crate::body::{BoxError, InBody};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Sleep;

/// Who the upload waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// All of it has been taken; also of a request without body.
    Done,
    /// The server is to take what there is.
    Server,
    /// The client is to send more.
    Client,
    /// The client's body failed.
    Failed,
}

/// One request's exchange, seen from both directions.
#[derive(Debug)]
pub(super) struct Exchange {
    phase: AtomicU8,
    /// Pieces of the request taken, and interim responses received.
    beats: AtomicU64,
    moved: Notify,
}

impl Exchange {
    pub fn new(bodyless: bool) -> Arc<Self> {
        let phase = if bodyless { Phase::Done } else { Phase::Server };
        Arc::new(Self { phase: AtomicU8::new(phase as u8), beats: AtomicU64::new(0), moved: Notify::new() })
    }

    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Done,
            1 => Phase::Server,
            2 => Phase::Client,
            _ => Phase::Failed,
        }
    }

    pub fn beats(&self) -> u64 {
        self.beats.load(Ordering::Relaxed)
    }

    fn set(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    /// The client's body is not what its head said.
    pub fn fail(&self) {
        self.set(Phase::Failed);
    }

    /// Something moved: the server gets its time anew.
    pub fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
        self.moved.notify_one();
    }

    /// For hyper: waits for the final response head, as long as the server makes progress: each piece of the request that it
    /// takes and each interim response start `limit` anew, and while the client is to send more nothing runs against
    /// the server (the client has a time-out of its own, at the front).
    ///
    /// # Errors
    /// `FirstByteTimeout`, `WriteTimeout`, `RequestBody`.
    pub async fn head<F: Future>(&self, answer: F, limit: Duration) -> Result<F::Output, OriginError> {
        tokio::pin!(answer);
        let timer = tokio::time::sleep(limit);
        tokio::pin!(timer);
        loop {
            tokio::select! {
                biased;
                output = &mut answer => return Ok(output),
                () = self.moved.notified() => {
                    if self.phase() == Phase::Failed {
                        return Err(OriginError::RequestBody);
                    }
                    timer.set(tokio::time::sleep(limit));
                }
                () = &mut timer => match self.phase() {
                    Phase::Client => timer.set(tokio::time::sleep(limit)),
                    Phase::Done => return Err(OriginError::FirstByteTimeout),
                    Phase::Server => return Err(OriginError::WriteTimeout),
                    Phase::Failed => return Err(OriginError::RequestBody),
                },
            }
        }
    }
}

/// A time-out that is set again and again.
#[derive(Debug, Default)]
pub(super) struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// From now.
    pub fn start(&mut self, limit: Duration) {
        let anew = tokio::time::sleep(limit);
        match &mut self.0 {
            // One that is moved back keeps its place in the runtime's wheel.
            Some(sleep) => sleep.as_mut().reset(anew.deadline()),
            None => self.0 = Some(Box::pin(anew)),
        }
    }

    /// Ready when it is over; never, if it was not started.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().map_or(Poll::Pending, |sleep| sleep.as_mut().poll(cx))
    }
}

/// The body that is sent.
pub(super) struct Upload {
    body: Option<InBody>,
    exchange: Arc<Exchange>,
}

impl Upload {
    pub fn new(body: InBody, exchange: Arc<Exchange>) -> Self {
        let body = (!body.is_end_stream()).then_some(body);
        Self { body, exchange }
    }

    pub const fn none(exchange: Arc<Exchange>) -> Self {
        Self { body: None, exchange }
    }

    /// There is no body.
    pub const fn is_none(&self) -> bool {
        self.body.is_none()
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        let polled = Pin::new(&mut *body).poll_frame(cx);
        match &polled {
            Poll::Pending => this.exchange.set(Phase::Client),
            Poll::Ready(Some(Ok(frame))) => {
                let last = frame.is_trailers() || body.is_end_stream();
                this.exchange.set(if last { Phase::Done } else { Phase::Server });
                this.exchange.beat();
            }
            Poll::Ready(Some(Err(_))) => {
                this.body = None;
                this.exchange.set(Phase::Failed);
                this.exchange.beat();
            }
            Poll::Ready(None) => {
                this.body = None;
                this.exchange.set(Phase::Done);
                this.exchange.beat();
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
