//! What the log says of a request, and the guard that sees to it that every request is counted and logged once,
//! however it ends: answered to the last byte, broken off by the origin, or left by the client at any time.

use super::handler::{Conn, Verdict};
use super::known::Known;
use super::normalise::Normal;
use super::refusal::Refusal;
use super::request_id::new_request_id;
use super::service::Service;
use super::traced;
use crate::body::{BoxError, OutBody};
use crate::engine::outcome::{Kind, Outcome};
use crate::engine::popular;
use crate::time::Now;
use crate::trace::{Step, Trace};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, REFERER, USER_AGENT};
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};

/// Reason in the log of a request whose client did not wait for the end of its answer.
const CLIENT_GONE: &str = "client-gone";
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
/// Status in the log of a request that got no answer, because nobody was there any more (as nginx has it).
const NOBODY: u16 = 499;

/// What of a request is only kept where somebody wants it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub referer: bool,
    pub length: bool,
}

/// What the log says of a request itself, gathered before the request is taken apart.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub started: Now,
    pub request_id: String,
    pub client: IpAddr,
    /// `None`: it could not be read.
    pub method: Option<Method>,
    pub scheme: &'static str,
    pub host: String,
    pub path: String,
    pub query: Option<String>,
    pub protocol: &'static str,
    pub user_agent: Option<String>,
    /// Only where the log's format has it.
    pub referer: Option<String>,
    /// What the request's `Content-Length` said; only where the request is traced.
    pub request_length: Option<u64>,
    /// Only where the request is traced.
    pub trace_id: Option<String>,
}

impl Line {
    pub fn early(parts: &http::request::Parts, conn: &Conn, started: Now, wanted: Wanted) -> Self {
        let text = |name| parts.headers.get(name).and_then(|v| v.to_str().ok());
        Self {
            started,
            request_id: new_request_id(),
            client: conn.peer.ip(),
            method: Some(parts.method.clone()),
            scheme: scheme(conn),
            host: String::new(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().map(str::to_owned),
            protocol: protocol(parts.version),
            user_agent: text(USER_AGENT).map(str::to_owned),
            referer: text(REFERER).filter(|_| wanted.referer).map(str::to_owned),
            request_length: text(CONTENT_LENGTH).filter(|_| wanted.length).and_then(|l| l.parse().ok()),
            trace_id: None,
        }
    }

    /// Of a message that never became a request.
    pub fn of_refused(known: &Known, conn: &Conn, protocol: &'static str, started: Now) -> Self {
        let (path, query) = split(&known.target);
        Self {
            started,
            request_id: new_request_id(),
            client: conn.peer.ip(),
            method: known.method.clone(),
            scheme: scheme(conn),
            host: known.host.clone(),
            path,
            query,
            protocol,
            user_agent: known.user_agent.clone(),
            referer: None,
            request_length: None,
            trace_id: None,
        }
    }

    pub fn complete(&mut self, normal: &Normal) {
        self.request_id.clone_from(&normal.request_id);
        self.client = normal.client;
        self.scheme = normal.scheme.as_str();
        self.host.clone_from(&normal.host);
        self.path.clone_from(&normal.path);
        self.query.clone_from(&normal.query);
    }
}

pub(super) const fn scheme(conn: &Conn) -> &'static str {
    if conn.tls { "https" } else { "http" }
}

/// Path and query of a target.
pub(super) fn split(target: &str) -> (String, Option<String>) {
    match target.split_once('?') {
        Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
        None => (target.to_owned(), None),
    }
}

const fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

/// Rule name of what never reached the rules.
pub(super) fn unmatched() -> Arc<str> {
    static NONE: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from("none"));
    NONE.clone()
}

/// Counts and logs a request when it is dropped.
#[derive(Debug)]
pub(super) struct End {
    service: Arc<Service>,
    pub line: Line,
    verdict: Option<Verdict>,
    outcome: Outcome,
    status: u16,
    /// Body bytes handed out.
    bytes: u64,
    /// What the answer announced.
    length: Option<u64>,
    /// The answer has been handed out in full.
    over: bool,
    /// Why it never will be.
    broke: Option<&'static str>,
    /// Its place in a trace.
    step: Step,
    /// What the answer's `Cache-Status` said, where the request is traced.
    cache_status: Option<HeaderValue>,
}

impl End {
    /// From now on the request leaves its trace. Until there is an answer, its end is the client's doing.
    pub fn new(service: Arc<Service>, mut line: Line, verdict: Option<Verdict>, step: Step) -> Self {
        line.trace_id = step.trace_id();
        let outcome = Outcome::new(Kind::Error, CLIENT_GONE, &unmatched());
        Self {
            service,
            line,
            verdict,
            outcome,
            status: NOBODY,
            bytes: 0,
            length: None,
            over: false,
            broke: None,
            step,
            cache_status: None,
        }
    }

    /// Where what is done for the request belongs.
    pub const fn trace(&self) -> &Trace {
        self.step.trace()
    }

    /// The connection has refused the rest of this message, and says so itself.
    pub fn is_refused(&self) -> bool {
        self.verdict.as_ref().is_some_and(|verdict| verdict.refusal().is_some())
    }

    /// Wraps the body, so that the request ends with it.
    pub fn answer(mut self, response: Response<OutBody>, outcome: Outcome) -> Response<OutBody> {
        let (parts, body) = response.into_parts();
        self.outcome = outcome;
        self.status = parts.status.as_u16();
        if self.step.span().is_some() {
            self.cache_status = parts.headers.get_all(CACHE_STATUS).iter().next_back().cloned();
        }
        self.length = parts.headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
        let bodiless = self.line.method == Some(Method::HEAD)
            || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        self.over = bodiless || body.is_end_stream();
        Response::from_parts(parts, OutBody::stream(Counted { body, end: self }))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        if let Some(refusal) = self.verdict.as_ref().and_then(Verdict::refusal) {
            if let Some(span) = self.step.span() {
                let method = self.line.method.as_ref();
                span.named_by_method(method, &self.outcome.rule)
                    .word("larder.reason", Some(refusal.as_str()));
            }
            return; // counted and logged by `Handler::refused`
        }
        let took = self.service.clock.now().mono.since(self.line.started.mono);
        self.service.record(&self.outcome, took, self.bytes);
        if popular::is_due() && !self.line.host.is_empty() {
            let carried = self.outcome.selectors.as_ref().map(|carrier| carrier.selectors());
            let popular = &self.service.engine.popular;
            popular.note(&self.line.host, &self.line.path, carried.as_deref(), self.service.clock.now().mono);
        }
        let reason = match self.broke {
            Some(reason) => reason,
            None if !self.over => CLIENT_GONE,
            None => self.outcome.reason,
        };
        if let Some(span) = self.step.span() {
            let cache_status = self.cache_status.as_ref().and_then(|value| value.to_str().ok());
            let (outcome, status, bytes) = (&self.outcome, self.status, self.bytes);
            traced::describe(
                span,
                &self.line,
                &traced::Answer { outcome, reason, status, bytes, cache_status },
            );
        }
        if self.service.log.is_on() {
            self.service.write_line(&self.outcome, reason, self.line.clone(), self.status, self.bytes, took);
        }
    }
}

/// A body that counts what it hands out.
struct Counted {
    body: OutBody,
    end: End,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Self { body, end } = self.get_mut();
        let polled = Pin::new(&mut *body).poll_frame(cx);
        match &polled {
            Poll::Pending => {}
            Poll::Ready(None) => end.over = true,
            Poll::Ready(Some(Err(_))) => end.broke = Some(Refusal::OriginIncomplete.as_str()),
            Poll::Ready(Some(Ok(frame))) => {
                end.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                // Who has all that was announced need not ask for the end.
                end.over = frame.is_trailers() || body.is_end_stream() || end.length == Some(end.bytes);
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
