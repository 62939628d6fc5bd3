//! The response body: bounds the wait for each piece, tells a whole body from a cut one, and gives the connection back at
//! the end.

use super::client::Origin;
use super::error::OriginError;
use super::link::H1;
use super::server::{Busy, Server};
use super::upload::{Exchange, Phase};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Sleep;

/// What a response in progress occupies. Dropped in the middle, the connection is closed.
pub(super) struct Hold {
    pub origin: Arc<Origin>,
    pub server: Arc<Server>,
    /// Its place in `max_connections`, given back after the connection.
    pub busy: Busy,
    /// The connection, over HTTP/1.1.
    pub conn: Option<Box<H1>>,
    /// Whether it may carry another request.
    pub reusable: bool,
}

impl Hold {
    /// The body has been read to its end.
    fn finish(self) {
        if let Some(conn) = self.conn.filter(|_| self.reusable) {
            self.origin.put_back(*conn);
        }
        drop(self.busy);
    }
}

/// A response body as it arrives. Ends with `None` only if it is whole (RFC 9112 §8); a body that was cut short, or that
/// stood still for `between_bytes_timeout`, ends with an error. Trailers come as the last frame.
pub struct OriginBody {
    inner: Incoming,
    hold: Option<Hold>,
    exchange: Arc<Exchange>,
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    /// The timer runs, since this many beats of the upload.
    armed: Option<u64>,
    over: bool,
}

impl OriginBody {
    pub(super) fn new(inner: Incoming, hold: Hold, exchange: Arc<Exchange>, limit: Duration) -> Self {
        let mut body =
            Self { inner, hold: Some(hold), exchange, limit, timer: None, armed: None, over: false };
        body.finish_at_end();
        body
    }

    /// Of a 101: nothing to read, and the connection lives on elsewhere.
    pub(super) const fn upgraded(inner: Incoming, exchange: Arc<Exchange>) -> Self {
        Self { inner, hold: None, exchange, limit: Duration::ZERO, timer: None, armed: None, over: true }
    }

    /// Readers that know the length don't ask again after the last byte.
    fn finish_at_end(&mut self) {
        if self.inner.is_end_stream() {
            self.finish();
        }
    }

    fn finish(&mut self) {
        if let Some(hold) = self.hold.take() {
            hold.finish();
        }
    }

    fn fail(&mut self, error: OriginError) -> OriginError {
        self.over = true;
        if let Some(hold) = self.hold.take() {
            hold.server.blame_late(error, hold.origin.clock());
        }
        error
    }

    /// Ready when the server has been silent for too long. While the request body is still on its way and moves, or
    /// waits for the client, the server may well have nothing to say.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(self.limit)));
            let beats = self.exchange.beats();
            match self.armed {
                None => {
                    timer.set(tokio::time::sleep(self.limit));
                    self.armed = Some(beats);
                }
                Some(since) => {
                    if timer.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    let uploading = self.exchange.phase() == Phase::Client
                        || (self.exchange.phase() == Phase::Server && beats != since);
                    if !uploading {
                        return Poll::Ready(());
                    }
                    self.armed = None;
                }
            }
        }
    }
}

impl Body for OriginBody {
    type Data = Bytes;
    type Error = OriginError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, OriginError>>> {
        let this = self.get_mut();
        if this.over {
            return Poll::Ready(None);
        }
        match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.armed = None;
                if frame.is_trailers() {
                    this.finish();
                } else {
                    this.finish_at_end();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                let failed = if this.exchange.phase() == Phase::Failed {
                    OriginError::RequestBody
                } else {
                    OriginError::BodyTruncated
                };
                tracing::debug!(error = failed.as_str(), detail = %super::link::chain(&error), "the origin's answer broke off");
                Poll::Ready(Some(Err(this.fail(failed))))
            }
            Poll::Ready(None) => {
                this.over = true;
                this.finish();
                Poll::Ready(None)
            }
            Poll::Pending => this.poll_timer(cx).map(|()| Some(Err(this.fail(OriginError::ReadTimeout)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.over { SizeHint::with_exact(0) } else { self.inner.size_hint() }
    }
}

impl std::fmt::Debug for OriginBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OriginBody").field("over", &self.over).finish_non_exhaustive()
    }
}
