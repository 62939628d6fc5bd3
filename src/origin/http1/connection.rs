//! A connection, and the one exchange that is under way on it.

use super::buffer::ReadBuffer;
use super::framing::{Framing, Malformed, Step};
use super::request::Outbound;
use super::response::{self, Head};
use super::{Fault, INTERIMS, Limits};
use crate::interim::{Interim, InterimSender};
use crate::origin::error::{OriginError, TlsFault};
use crate::origin::io::Stream;
use crate::origin::link::{Age, Refused};
use crate::origin::tls;
use crate::origin::upload::{Exchange, Phase, Timer, Upload};
use crate::time::Mono;
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::AsyncWrite;

/// Why a body ended before its end.
#[derive(Debug)]
pub(in crate::origin) enum BodyFault {
    /// The connection ended.
    Cut,
    Io(io::Error),
    Malformed(Malformed),
    /// The request's own body failed; the answer was to come on the same connection.
    RequestBody,
}

impl std::fmt::Display for BodyFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cut => f.write_str("the connection ended"),
            Self::Io(error) => error.fmt(f),
            Self::Malformed(malformed) => f.write_str(malformed.as_str()),
            Self::RequestBody => f.write_str("the request's body failed"),
        }
    }
}

/// An HTTP/1.1 connection. Dropped, it is closed at once, whatever is under way on it.
pub(in crate::origin) struct H1 {
    pub server: usize,
    /// It has answered a request before: that it fails now may only mean that the server closed it meanwhile.
    pub reused: bool,
    pub age: Age,
    pub idle_since: Mono,
    /// Runs while the server is to move. Kept, because to set one anew costs less than to make one.
    pub timer: Timer,
    stream: Stream,
    limits: Limits,
    read: ReadBuffer,
    out: Outbound,
    /// What is still to be added to `out`.
    upload: Option<Upload>,
    /// Bytes of this exchange have been written; and may be held back by TLS.
    wrote: bool,
    unflushed: bool,
    /// A write failed: nothing more is sent. What the server said before it closed is still read.
    deaf: bool,
    /// A byte has been received in this exchange.
    heard: bool,
    /// Where the search for the end of the head is to go on.
    searched: usize,
    /// Interim responses so far.
    interims: usize,
    framing: Framing,
    keep_alive: bool,
}

impl H1 {
    pub fn new(server: usize, stream: Stream, limits: Limits, age: Age) -> Self {
        Self {
            server,
            reused: false,
            age,
            idle_since: age.made,
            timer: Timer::default(),
            stream,
            limits,
            read: ReadBuffer::default(),
            out: Outbound::default(),
            upload: None,
            wrote: false,
            unflushed: false,
            deaf: false,
            heard: false,
            searched: 0,
            interims: 0,
            framing: Framing::Over,
            keep_alive: false,
        }
    }

    /// Sends one request and waits for the head of the final response, as long as the server makes progress: each piece
    /// of the request that it takes and each interim response start `limit` anew, and while the client is to send more
    /// nothing runs against the server (the client has a time-out of its own, at the front).
    ///
    /// # Errors
    /// `HeadTooLarge`, `Protocol`, `Reset`, `Tls`, `FirstByteTimeout`, `WriteTimeout`, `RequestBody`.
    pub async fn send(
        &mut self,
        request: Request<Upload>,
        exchange: &Arc<Exchange>,
        interim: &InterimSender,
        limit: Duration,
    ) -> Result<Response<()>, Refused> {
        let (parts, upload) = request.into_parts();
        let bodyless = upload.is_none();
        self.begin(&parts, upload);
        let mut armed = None;
        let head = poll_fn(|cx| {
            if let Poll::Ready(head) = self.poll_head(exchange, interim, &parts.method, cx) {
                return Poll::Ready(head);
            }
            self.poll_patience(&mut armed, exchange, limit, cx).map(Err)
        });
        let head = match head.await {
            Ok(head) => head,
            Err(fault) => {
                tracing::debug!(
                    error = OriginError::from(fault).as_str(),
                    "no answer from the origin server"
                );
                let silent = !self.heard;
                // Only a request without a body is sure to be as it was.
                let unsent = (silent && !self.wrote && bodyless)
                    .then(|| Request::from_parts(parts, Upload::none(Arc::clone(exchange))));
                return Err(Refused { error: fault.into(), unsent, silent });
            }
        };
        let mut response = Response::new(());
        *response.status_mut() = head.status;
        *response.version_mut() = head.version;
        *response.headers_mut() = head.headers;
        Ok(response)
    }

    fn begin(&mut self, parts: &Parts, upload: Upload) {
        let bodyless = upload.is_none();
        self.out.head(parts, bodyless);
        self.upload = (!bodyless).then_some(upload);
        (self.wrote, self.unflushed, self.deaf, self.heard) = (false, false, false, false);
        (self.searched, self.interims) = (0, 0);
        (self.framing, self.keep_alive) = (Framing::Over, false);
    }

    /// Ready when the server has had its time.
    fn poll_patience(
        &mut self,
        armed: &mut Option<u64>,
        exchange: &Exchange,
        limit: Duration,
        cx: &mut Context<'_>,
    ) -> Poll<Fault> {
        loop {
            let beats = exchange.beats();
            if *armed != Some(beats) {
                self.timer.start(limit);
                *armed = Some(beats);
            }
            std::task::ready!(self.timer.poll(cx));
            match self.phase(exchange) {
                Phase::Client => *armed = None,
                Phase::Done => return Poll::Ready(Fault::FirstByteTimeout),
                Phase::Server => return Poll::Ready(Fault::WriteTimeout),
                Phase::Failed => return Poll::Ready(Fault::RequestBody),
            }
        }
    }

    /// Who the request waits for. What has been taken from the client is still the server's to take.
    pub fn phase(&self, exchange: &Exchange) -> Phase {
        match exchange.phase() {
            Phase::Done if self.upload.is_some() || !self.is_out() => Phase::Server,
            // Nobody has to wait for what will not be sent.
            Phase::Client if self.deaf || !self.is_out() => Phase::Server,
            phase => phase,
        }
    }

    fn is_out(&self) -> bool {
        self.out.is_empty() && !self.unflushed
    }

    /// All of the request has left. Asked when the response's head is there: a connection on which the answer came
    /// before the request was out must not carry another (RFC 9112 §9.3).
    pub fn request_is_out(&self) -> bool {
        self.upload.is_none() && self.is_out() && !self.deaf
    }

    fn poll_head(
        &mut self,
        exchange: &Exchange,
        interim: &InterimSender,
        method: &Method,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Head, Fault>> {
        self.poll_upload(exchange, cx).map_err(|()| Fault::RequestBody)?;
        loop {
            while let Some(mut head) = response::read(&mut self.read.bytes, &mut self.searched, &self.limits)?
            {
                if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS {
                    self.interims += 1;
                    if self.interims > INTERIMS {
                        return Poll::Ready(Err(Fault::Protocol));
                    }
                    exchange.beat();
                    if head.status != StatusCode::CONTINUE && interim.is_some() {
                        interim.send(Interim { status: head.status, headers: head.headers });
                    }
                    continue;
                }
                self.framing = response::framing(&mut head, method)?;
                self.keep_alive = response::keeps_alive(&head, &self.framing);
                return Poll::Ready(Ok(head));
            }
            match std::task::ready!(self.read.poll_fill(&mut self.stream, None, cx)) {
                Ok(0) => return Poll::Ready(Err(Fault::Reset)),
                Ok(_) => self.heard = true,
                Err(error) => {
                    tracing::debug!(detail = %error, "reading from the origin server failed");
                    let alert = tls::fault(&error) == TlsFault::Alert;
                    return Poll::Ready(Err(if alert { Fault::Alert } else { Fault::Reset }));
                }
            }
        }
    }

    /// The next of the response's body; `None` at its end. The rest of the request goes out beside it.
    pub fn poll_body(
        &mut self,
        exchange: &Exchange,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        if self.poll_upload(exchange, cx).is_err() {
            return Poll::Ready(Some(Err(BodyFault::RequestBody)));
        }
        loop {
            match self.framing.next(&mut self.read.bytes, &self.limits) {
                Ok(Step::Piece(piece)) => return Poll::Ready(Some(Ok(Frame::data(piece)))),
                Ok(Step::Trailers(trailers)) => return Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
                Ok(Step::End) => return Poll::Ready(None),
                Ok(Step::More) => {}
                Err(malformed) => return Poll::Ready(Some(Err(BodyFault::Malformed(malformed)))),
            }
            let left = self.framing.left();
            match std::task::ready!(self.read.poll_fill(&mut self.stream, left, cx)) {
                Ok(0) if matches!(self.framing, Framing::UntilClose) => {
                    self.framing = Framing::Over;
                    return Poll::Ready(None);
                }
                Ok(0) => return Poll::Ready(Some(Err(BodyFault::Cut))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(BodyFault::Io(error)))),
            }
        }
    }

    /// Nothing more of the body is to come.
    pub const fn body_is_over(&self) -> bool {
        self.framing.is_over()
    }

    /// Bytes of the body that are to come, where that is known.
    pub const fn body_left(&self) -> Option<u64> {
        self.framing.left()
    }

    /// Sends as much of the request as there is and the server takes.
    ///
    /// # Errors
    /// The request's body failed, or is not as long as its head says.
    fn poll_upload(&mut self, exchange: &Exchange, cx: &mut Context<'_>) -> Result<(), ()> {
        if self.deaf || self.request_is_out() {
            return Ok(());
        }
        loop {
            self.gather(exchange, cx)?;
            if self.out.is_empty() {
                if self.unflushed {
                    match Pin::new(&mut self.stream).poll_flush(cx) {
                        Poll::Ready(Ok(())) => self.unflushed = false,
                        Poll::Ready(Err(error)) => self.deafen(&error),
                        Poll::Pending => {}
                    }
                }
                return Ok(());
            }
            let stream = Pin::new(&mut self.stream);
            let polled = match self.out.slice() {
                Some(bytes) => stream.poll_write(cx, bytes),
                None => stream.poll_write_vectored(cx, &self.out.slices()),
            };
            match polled {
                Poll::Ready(Ok(0)) => {
                    self.deafen(&io::ErrorKind::WriteZero.into());
                    return Ok(());
                }
                Poll::Ready(Ok(written)) => {
                    self.out.advance(written);
                    self.wrote = true;
                    self.unflushed = self.stream.holds_back();
                    exchange.beat();
                }
                Poll::Ready(Err(error)) => {
                    self.deafen(&error);
                    return Ok(());
                }
                Poll::Pending => return Ok(()),
            }
        }
    }

    /// Takes from the client what fits.
    fn gather(&mut self, exchange: &Exchange, cx: &mut Context<'_>) -> Result<(), ()> {
        while !self.out.is_full()
            && let Some(upload) = &mut self.upload
        {
            let fits = match Pin::new(&mut *upload).poll_frame(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Some(Err(error))) => {
                    tracing::debug!(detail = %error, "the request's body failed");
                    return Err(());
                }
                Poll::Ready(None) => {
                    self.upload = None;
                    self.out.end(None)
                }
                Poll::Ready(Some(Ok(frame))) => {
                    let over = upload.is_end_stream();
                    match frame.into_data() {
                        Ok(piece) if over => {
                            self.upload = None;
                            self.out.push(piece).and_then(|()| self.out.end(None))
                        }
                        Ok(piece) => self.out.push(piece),
                        Err(frame) => {
                            self.upload = None;
                            self.out.end(frame.trailers_ref())
                        }
                    }
                }
            };
            if let Err(mismatch) = fits {
                tracing::debug!(detail = mismatch.as_str(), "the request's body failed");
                exchange.fail();
                return Err(());
            }
        }
        Ok(())
    }

    /// The server takes no more. What it said before that it closed comes next, or the end.
    fn deafen(&mut self, error: &io::Error) {
        tracing::debug!(detail = %error, "writing to the origin server failed");
        self.deaf = true;
    }

    /// The exchange is over, and the server will take another; nothing lies here that nobody asked for (RFC 9112 §9.2).
    pub fn may_rest(&self) -> bool {
        self.keep_alive && self.framing.is_over() && self.request_is_out() && self.read.bytes.is_empty()
    }

    /// Gives back what an idle connection does not need.
    pub fn rest(&mut self, now: Mono) {
        self.idle_since = now;
        self.read.rest();
        self.out.rest();
    }

    /// Nothing has come since the last answer: see [`Stream::is_quiet`].
    pub fn is_quiet(&mut self) -> bool {
        self.stream.is_quiet()
    }

    /// Closes in good order.
    pub fn retire(mut self) {
        self.stream.goodbye();
    }
}
