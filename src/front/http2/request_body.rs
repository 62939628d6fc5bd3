//! A request body on its way in. The client may send more only when what it sent has been taken.

use crate::body::BoxError;
use crate::front::handler::{Limits, Verdict};
use crate::front::refusal::Refusal;
use crate::interim::{Interim, InterimSender};
use bytes::Bytes;
use h2::RecvStream;
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// Why a request body ended early.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error("request body over the limit of {0} bytes")]
    TooLarge(u64),
    #[error("request body stopped coming for {0:?}")]
    TimedOut(Duration),
    #[error("request body broke off: {0}")]
    Broken(#[from] h2::Error),
}

enum State {
    Data,
    Trailers,
    Ended,
}

pub struct RequestBody {
    recv: RecvStream,
    state: State,
    /// From `content-length`, which `h2` holds the client to.
    announced: Option<u64>,
    read: u64,
    limit: u64,
    patience: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    /// The client wants to be asked first (RFC 9110 §10.1.1).
    ask: Option<InterimSender>,
    verdict: Verdict,
}

impl RequestBody {
    /// `ask`: where to send 100 (Continue) when the body is first wanted.
    pub fn new(
        recv: RecvStream,
        announced: Option<u64>,
        limits: &Limits,
        ask: Option<InterimSender>,
    ) -> Self {
        Self {
            recv,
            state: State::Data,
            announced,
            read: 0,
            limit: limits.request_body,
            patience: limits.body_read_timeout,
            waiting: None,
            ask,
            verdict: Verdict::default(),
        }
    }

    pub fn verdict(&self) -> Verdict {
        self.verdict.clone()
    }

    fn fail(&mut self, refusal: Refusal, error: BodyError) -> BoxError {
        self.verdict.refuse(refusal);
        self.state = State::Ended;
        error.into()
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        let Some(data) = ready!(self.recv.poll_data(cx)) else { return Poll::Ready(None) };
        let data = match data {
            Ok(data) => data,
            Err(error) => {
                self.state = State::Ended;
                return Poll::Ready(Some(Err(BodyError::Broken(error).into())));
            }
        };
        // Whoever polls has room for it.
        let _ = self.recv.flow_control().release_capacity(data.len());
        self.read = self.read.saturating_add(data.len() as u64);
        if self.read > self.limit {
            let error = BodyError::TooLarge(self.limit);
            return Poll::Ready(Some(Err(self.fail(Refusal::BodyTooLarge, error))));
        }
        Poll::Ready(Some(Ok(data)))
    }

    fn poll_any(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if matches!(self.state, State::Data) {
            match ready!(self.poll_data(cx)) {
                Some(data) => return Poll::Ready(Some(data.map(Frame::data))),
                None => self.state = State::Trailers,
            }
        }
        if matches!(self.state, State::Trailers) {
            let trailers = ready!(self.recv.poll_trailers(cx));
            self.state = State::Ended;
            return Poll::Ready(match trailers {
                Ok(trailers) => trailers.map(|t| Ok(Frame::trailers(t))),
                Err(error) => Some(Err(BodyError::Broken(error).into())),
            });
        }
        Poll::Ready(None)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let frame = this.poll_any(cx);
        if frame.is_ready() {
            (this.waiting, this.ask) = (None, None);
            return frame;
        }
        if let Some(ask) = this.ask.take() {
            ask.send(Interim { status: StatusCode::CONTINUE, headers: HeaderMap::new() });
        }
        let patience = this.patience;
        let waiting = this.waiting.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(waiting.as_mut().poll(cx));
        this.waiting = None;
        let error = BodyError::TimedOut(patience);
        Poll::Ready(Some(Err(this.fail(Refusal::BodyTimeout, error))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Ended) || self.recv.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.announced {
            Some(length) => SizeHint::with_exact(length.saturating_sub(self.read)),
            None => SizeHint::default(),
        }
    }
}
