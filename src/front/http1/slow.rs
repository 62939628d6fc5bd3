//! hyper's lane: one request that has a body, or asks for another protocol. [`exchange`] through the [`Gate`], after
//! which the connection goes on, and [`upgrade`] with the whole connection, when it may stop being HTTP.

use super::drain::Drain;
use super::framing::{Body, Framing};
use super::gate::{Cut, Gate, Signals};
use super::interim;
use super::lent::Lent;
use super::timer::Wait;
use super::wire::Wire;
use crate::body::{BoxError, InBody, OutBody, empty_in};
use crate::front::handler::{Conn, Handler, Limits, Verdict};
use crate::front::refusal::Refusal;
use crate::interim::InterimSender;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::error::Error as _;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::io::{AsyncRead, AsyncWrite};

/// hyper's buffers, of either direction, per request in progress (its default is 400 KiB).
const BUFFER: usize = 64 * 1024;
/// Header lines that hyper parses without allocating for them.
const HEADERS_INLINE: usize = 100;

/// What does not change during a connection.
pub(super) struct Shared<H> {
    pub conn: Arc<Conn>,
    pub handler: Arc<H>,
    pub limits: Arc<Limits>,
    /// Who answers requests without a body. Always [`Bodiless::Here`], but where a test compares.
    pub bodiless: Bodiless,
}

/// See [`Shared`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bodiless {
    Here,
    #[cfg(test)]
    ByHyper,
}

/// What the head reader has found out about a request for hyper.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// The head is that long, at the front of the wire's buffer.
    pub head_len: usize,
    /// Lines to take out of it before hyper reads it, in order.
    pub without: Vec<Range<usize>>,
    pub framing: Framing,
    pub http10: bool,
    /// `Expect: 100-continue`, which HTTP/1.0 does not know (RFC 9110 §10.1.1).
    pub expect: bool,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// The connection is ready for the next.
    Next,
    /// Answered in full, and the connection is to be closed.
    Close,
    /// Not answered, and to be answered by ourselves.
    Refuse(Refusal),
    /// Broken: the client went away, or the answer could not be finished. Nothing more may be written.
    Abort,
}

/// Runs one request and its answer.
pub(super) async fn exchange<IO, H>(
    wire: &mut Wire<IO>,
    plan: &Plan,
    shared: &Shared<H>,
    drain: &mut Drain,
) -> After
where
    IO: AsyncRead + AsyncWrite + Unpin + Send,
    H: Handler,
{
    let limits = &*shared.limits;
    let body = Body::new(plan.framing, limits.request_body);
    // What has already arrived of a malformed body need not trouble anybody.
    if let Err(refusal) = body.clone().scan(wire.buf.get(plan.head_len..).unwrap_or_default()) {
        return After::Refuse(refusal);
    }
    let (sender, hints) = interim::channel(plan.http10);
    let verdict = (!body.is_done()).then(Verdict::default);
    let signals = Signals::new(verdict.clone());
    let service = Once { shared, interims: sender, verdict, may_upgrade: false };
    let mut gate =
        Gate::new(wire, &signals, (plan.head_len, body, plan.expect), limits.body_read_timeout, hints);
    let ended = {
        let mut builder = builder(limits);
        // Draining: hyper then says `Connection: close` in its answer.
        let mut told = drain.is_on();
        builder.half_close(true).keep_alive(!told);
        let mut http = builder.serve_connection(TokioIo::new(&mut gate), service);
        std::future::poll_fn(|cx| {
            loop {
                if let Poll::Ready(result) = Pin::new(&mut http).poll(cx) {
                    return Poll::Ready(Some(result));
                }
                if signals.cut().is_some() {
                    return Poll::Ready(None);
                }
                // Once the answer has begun it can't say `close` any more.
                if told || signals.begun() || drain.poll(cx).is_pending() {
                    return Poll::Pending;
                }
                told = true;
                Pin::new(&mut http).graceful_shutdown();
            }
        })
        .await
        .map(|result| result.map(|()| http.into_parts().read_buf.is_empty()))
    };
    let wants_more = gate.wants_more();
    wire.timer.clear(Wait::Read);
    wire.timer.clear(Wait::Write);
    match (ended, signals.cut()) {
        (_, Some(Cut::Refused(refusal))) => After::Refuse(refusal),
        (Some(Err(error)), None) if error.is_user() && !signals.begun() => After::Refuse(fault(&error)),
        (_, Some(Cut::Gone)) | (Some(Err(_)) | None, None) => After::Abort,
        // By construction hyper has never seen a byte of the next request. If it has, they are lost to us.
        (Some(Ok(nothing_left)), None) if wants_more && nothing_left => After::Next,
        (Some(Ok(_)), None) => After::Close,
    }
}

/// Runs a request that asks for another protocol (RFC 9110 §7.8), to the end of the connection: that of
/// the upgraded one, when the handler answers 101 and takes it over, else right after the answer, which
/// says so. Not back to the loop: a client may have sent bytes of the other protocol on the assumption
/// that it would get it, and those must not be read as a request (RFC 9931).
pub(super) async fn upgrade<IO, H>(wire: Wire<IO>, shared: &Shared<H>)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    let (lent, back) = Lent::new(wire);
    let service = Once { shared, interims: InterimSender::none(), verdict: None, may_upgrade: true };
    let http = builder(&shared.limits).serve_connection(TokioIo::new(lent), service).with_upgrades();
    let served = http.await;
    // An upgraded connection still counts as one, and lives as long as this task, wherever it is served.
    if let Ok(wire) = back.await
        && served.is_ok()
    {
        wire.linger().await;
    }
}

/// What is wrong with an answer of which nothing has left: the body's error, or a head that can't be encoded.
fn fault(error: &hyper::Error) -> Refusal {
    if error.source().is_some() { Refusal::OriginIncomplete } else { Refusal::Internal }
}

fn builder(limits: &Limits) -> Builder {
    let mut builder = Builder::new();
    // The head is complete when hyper gets it; other time-outs are the gate's and the wire's.
    builder.header_read_timeout(None).max_buf_size(BUFFER.max(limits.request_header_bytes.saturating_add(1)));
    if limits.request_headers > HEADERS_INLINE {
        builder.max_headers(limits.request_headers);
    }
    builder
}

/// The service of one request.
struct Once<'s, H> {
    shared: &'s Shared<H>,
    interims: InterimSender,
    /// `None`: there is no body.
    verdict: Option<Verdict>,
    may_upgrade: bool,
}

impl<H: Handler> Service<Request<Incoming>> for Once<'_, H> {
    type Response = Response<OutBody>;
    type Error = Infallible;
    /// Boxed: it would set the size of every connection's task.
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (mut head, body) = request.into_parts();
        let body: InBody = match &self.verdict {
            None => empty_in(),
            Some(verdict) => {
                head.extensions.insert(verdict.clone());
                body.map_err(|error| -> BoxError { Box::new(error) }).boxed_unsync()
            }
        };
        let closes = self.may_upgrade;
        let Shared { conn, handler, .. } = self.shared;
        // Boxed at once: it has ten kilobytes, which would be copied into the future around it, twice.
        let answer = Box::pin(handler.handle(
            Request::from_parts(head, body),
            Arc::clone(conn),
            self.interims.clone(),
        ));
        Box::pin(async move {
            let mut response = answer.await;
            if closes && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        })
    }
}
