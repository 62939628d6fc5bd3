//! The span of a request: where it begins, and what is written down of it when its last byte has left. The names are
//! OpenTelemetry's for HTTP servers; what is this product's own begins with `larder.`.

use super::handler::{Conn, FastRequest};
use super::line::Line;
use super::normalise;
use super::service::Service;
use crate::engine::outcome::{Kind, Outcome};
use crate::trace::{Context, Parent, Span, Step, TRACEPARENT, TRACESTATE, state};
use http::HeaderMap;

/// The server span's place. With tracing off the fields stay as they were sent.
pub(super) fn enter(
    service: &Service,
    settings: &normalise::Settings,
    conn: &Conn,
    headers: &mut HeaderMap,
) -> Step {
    let Some(tracer) = &service.engine.tracer else { return Step::default() };
    tracer.enter(&Parent::take(headers, settings.trusts(conn.peer.ip())))
}

/// The same for a request of the fast lane: nothing but a look at its fields and a random number, unless it is recorded.
pub(super) fn enter_fast(service: &Service, request: &FastRequest<'_>, conn: &Conn) -> Option<Box<Span>> {
    let tracer = service.engine.tracer.as_ref()?;
    let (mut sent, mut lines) = (None, 0);
    request.lines.values(&TRACEPARENT, |value| {
        sent = Some(value);
        lines += 1;
    });
    let context = sent.filter(|_| lines == 1).and_then(Context::parse);
    let trusted = context.is_some() && service.settings.load().trusts(conn.peer.ip());
    if !tracer.samples(context, trusted) {
        return None;
    }
    let mut said = Vec::new();
    if trusted {
        request.lines.values(&TRACESTATE, |value| said.extend(std::str::from_utf8(value)));
    }
    let parent = Parent { context, trusted, state: state(said.into_iter()) };
    tracer.enter_decided(&parent, true).into_span()
}

/// How a request was answered.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    pub outcome: &'a Outcome,
    /// The outcome's, unless the answer broke off.
    pub reason: &'a str,
    pub status: u16,
    /// Of the body.
    pub bytes: u64,
    /// `Cache-Status`, as sent.
    pub cache_status: Option<&'a str>,
}

/// What there is to say of a request.
pub(super) fn describe(span: &mut Span, line: &Line, answer: &Answer<'_>) {
    let Answer { outcome, reason, status, bytes, cache_status } = *answer;
    span.named_by_method(line.method.as_ref(), &outcome.rule)
        .text("http.route", &*outcome.rule)
        .text("url.scheme", line.scheme)
        .text("server.address", line.host.as_str())
        .text("url.path", line.path.as_str())
        .word("url.query", line.query.as_deref())
        .text("client.address", line.client.to_string())
        .text("network.protocol.version", line.protocol.trim_start_matches("HTTP/"))
        .word("user_agent.original", line.user_agent.as_deref())
        .text("larder.request_id", line.request_id.as_str())
        .number("http.response.status_code", status)
        .number("http.response.body.size", bytes)
        .text("larder.outcome", outcome.kind.as_str())
        .word("larder.reason", Some(reason))
        .word("larder.tier", outcome.tier)
        .word("larder.cache_status", cache_status);
    if let Some(length) = line.request_length {
        span.number("http.request.body.size", length);
    }
    if let Some(age) = outcome.age {
        span.number("larder.age_s", age.as_secs());
    }
    if let Some(ttl) = outcome.ttl {
        span.number("larder.ttl_s", ttl);
    }
    if let Some(fetch) = outcome.waited_for {
        span.link(fetch, false);
    }
    // A client's own mistakes, and its going away, are no failures of the server (OpenTelemetry, HTTP spans).
    if status >= 500 || (outcome.kind == Kind::Error && !(400..500).contains(&status)) {
        span.failed(if reason.is_empty() { outcome.kind.as_str() } else { reason });
    }
}
