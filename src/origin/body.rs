//! The response body: bounds the wait for each piece, tells a whole body from a cut one, and gives the connection back at
//! the end.

use super::client::Origin;
use super::error::OriginError;
use super::http1::H1;
use super::link::{Tunnel, chain};
use super::server::{Busy, Server};
use super::upload::{Exchange, Phase, Timer};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// What a body is read from. Dropped in the middle, an HTTP/1.1 connection is closed, an HTTP/2 stream reset.
pub(super) enum Source {
    Http1(Box<H1>),
    Http2(Incoming),
    /// Of an upgrade that was declined; its connection is not used again.
    Tunnel(Incoming, Box<Tunnel>),
    /// All has been read, or nothing more will be.
    Over,
}

impl Source {
    /// Asked when the response's head is there: see [`H1::request_is_out`].
    pub fn request_is_out(&self) -> bool {
        matches!(self, Self::Http1(conn) if conn.request_is_out())
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(conn) => conn.body_is_over(),
            Self::Http2(body) | Self::Tunnel(body, _) => body.is_end_stream(),
            Self::Over => true,
        }
    }

    fn poll_frame(
        &mut self,
        exchange: &Exchange,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, OriginError>>> {
        let failed = |detail: String| {
            let failed = if exchange.phase() == Phase::Failed {
                OriginError::RequestBody
            } else {
                OriginError::BodyTruncated
            };
            tracing::debug!(error = failed.as_str(), %detail, "the origin's answer broke off");
            failed
        };
        match self {
            Self::Http1(conn) => conn.poll_body(exchange, cx).map_err(|e| failed(e.to_string())),
            Self::Http2(body) | Self::Tunnel(body, _) => {
                Pin::new(body).poll_frame(cx).map_err(|e| failed(chain(&e)))
            }
            Self::Over => Poll::Ready(None),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(conn) => conn.body_left().map_or_else(SizeHint::default, SizeHint::with_exact),
            Self::Http2(body) | Self::Tunnel(body, _) => body.size_hint(),
            Self::Over => SizeHint::with_exact(0),
        }
    }

    /// Who the request waits for.
    fn phase(&self, exchange: &Exchange) -> Phase {
        match self {
            Self::Http1(conn) => conn.phase(exchange),
            _ => exchange.phase(),
        }
    }
}

/// What a response in progress occupies.
pub(super) struct Hold {
    pub origin: Arc<Origin>,
    pub server: Arc<Server>,
    /// Its place in `max_connections`, given back after the connection.
    pub busy: Busy,
    /// Whether its connection may carry another request.
    pub reusable: bool,
}

/// A response body as it arrives. Ends with `None` only if it is whole (RFC 9112 §8); a body that was cut short, or that
/// stood still for `between_bytes_timeout`, ends with an error. Trailers come as the last frame.
pub struct OriginBody {
    // Before its place: the connection ends first.
    source: Source,
    hold: Option<Hold>,
    exchange: Arc<Exchange>,
    limit: Duration,
    timer: Timer,
    /// The timer runs, since this many beats of the upload.
    armed: Option<u64>,
    over: bool,
}

impl OriginBody {
    pub(super) fn new(mut source: Source, hold: Hold, exchange: Arc<Exchange>, limit: Duration) -> Self {
        let timer = match &mut source {
            Source::Http1(conn) => std::mem::take(&mut conn.timer),
            _ => Timer::default(),
        };
        let mut body = Self { source, hold: Some(hold), exchange, limit, timer, armed: None, over: false };
        body.finish_at_end();
        body
    }

    /// Of a 101: nothing to read, and the connection lives on elsewhere.
    pub(super) fn upgraded(exchange: Arc<Exchange>) -> Self {
        let (limit, timer) = (Duration::ZERO, Timer::default());
        Self { source: Source::Over, hold: None, exchange, limit, timer, armed: None, over: true }
    }

    /// Readers that know the length don't ask again after the last byte.
    fn finish_at_end(&mut self) {
        if self.source.is_end_stream() {
            self.finish();
        }
    }

    /// The body has been read to its end.
    fn finish(&mut self) {
        let Some(hold) = self.hold.take() else { return };
        match std::mem::replace(&mut self.source, Source::Over) {
            Source::Http1(mut conn) if hold.reusable && conn.may_rest() => {
                conn.timer = std::mem::take(&mut self.timer);
                hold.origin.put_back(conn);
            }
            source => drop(source),
        }
        drop(hold.busy);
    }

    fn fail(&mut self, error: OriginError) -> OriginError {
        self.over = true;
        self.source = Source::Over;
        if let Some(hold) = self.hold.take() {
            hold.server.blame_late(error, hold.origin.clock());
        }
        error
    }

    /// Ready when the server has been silent for too long. While the request body is still on its way and moves, or
    /// waits for the client, the server may well have nothing to say.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let beats = self.exchange.beats();
            match self.armed {
                None => {
                    self.timer.start(self.limit);
                    self.armed = Some(beats);
                }
                Some(since) => {
                    std::task::ready!(self.timer.poll(cx));
                    let uploading = match self.source.phase(&self.exchange) {
                        Phase::Client => true,
                        // Also where it has just ended: the server's time began then.
                        Phase::Server | Phase::Done => beats != since,
                        Phase::Failed => false,
                    };
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
        match this.source.poll_frame(&this.exchange, cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.armed = None;
                if frame.is_trailers() {
                    this.finish();
                } else {
                    this.finish_at_end();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(this.fail(error)))),
            Poll::Ready(None) => {
                this.over = true;
                this.finish();
                Poll::Ready(None)
            }
            Poll::Pending => this.poll_timer(cx).map(|()| Some(Err(this.fail(OriginError::ReadTimeout)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.source.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.over { SizeHint::with_exact(0) } else { self.source.size_hint() }
    }
}

impl std::fmt::Debug for OriginBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OriginBody").field("over", &self.over).finish_non_exhaustive()
    }
}
