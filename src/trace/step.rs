//! A step of a request's way: where what is done within it belongs, and the span of it if the request is recorded.

use super::{Context, Place, Stamp, Trace, Tracer};
use http::{HeaderValue, Method};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::{Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{self as proto, SpanFlags, Status};
use std::sync::Arc;

/// Bytes of an attribute; what is longer is cut, as the queue is bounded by spans.
const LONGEST: usize = 1024;

/// What sort of step it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A request that came in.
    Server,
    /// A call to an origin, or to the shared tier.
    Client,
    /// Anything else.
    Internal,
}

impl Kind {
    const fn of(self) -> SpanKind {
        match self {
            Self::Server => SpanKind::Server,
            Self::Client => SpanKind::Client,
            Self::Internal => SpanKind::Internal,
        }
    }
}

/// See the head of this file. Dropped, it is over, and its span on its way.
#[derive(Debug, Default)]
pub struct Step {
    trace: Trace,
    span: Option<Box<Span>>,
}

impl Step {
    pub(super) const fn new(trace: Trace, span: Option<Box<Span>>) -> Self {
        Self { trace, span }
    }

    /// The place of this step: for steps within it.
    pub const fn trace(&self) -> &Trace {
        &self.trace
    }

    /// To write down what came of it; `None` where nothing is recorded.
    pub fn span(&mut self) -> Option<&mut Span> {
        self.span.as_deref_mut()
    }

    pub const fn is_recorded(&self) -> bool {
        self.span.is_some()
    }

    /// Of the trace, where it is recorded.
    pub fn trace_id(&self) -> Option<String> {
        self.span.as_ref()?;
        self.trace.context().map(|context| context.trace_id())
    }

    /// The `traceparent` of what is sent within this step. `None` when tracing is off.
    pub fn traceparent(&self) -> Option<HeaderValue> {
        self.trace.context()?.value()
    }

    /// The span alone, of a step that has no steps within it.
    pub fn into_span(self) -> Option<Box<Span>> {
        self.span
    }
}

/// A span that is being written. Dropped, it ends.
#[derive(Debug)]
pub struct Span {
    tracer: Arc<Tracer>,
    began: Stamp,
    data: proto::Span,
}

/// Of OTLP's `Span.flags`: whether the parent (or what is linked to) is known to be in another process or in this one.
const fn flags(context: u32, remote: bool) -> u32 {
    let known = SpanFlags::ContextHasIsRemoteMask as u32;
    context | known | if remote { SpanFlags::ContextIsRemoteMask as u32 } else { 0 }
}

impl Span {
    pub(super) fn open(place: &Place, kind: Kind, began: Stamp) -> Self {
        let context = place.context;
        let data = proto::Span {
            trace_id: context.trace().to_vec(),
            span_id: context.span().to_vec(),
            trace_state: place.state.as_deref().unwrap_or_default().to_owned(),
            flags: flags(context.flags(), false),
            kind: kind.of().into(),
            start_time_unix_nano: began.unix,
            ..proto::Span::default()
        };
        Self { tracer: place.tracer.clone(), began, data }
    }

    pub(super) fn parent(&mut self, parent: Context) {
        self.data.parent_span_id = parent.span().to_vec();
    }

    /// The parent is another process's.
    pub(super) fn continues(&mut self, parent: Context) {
        self.parent(parent);
        self.data.flags = flags(self.data.flags & 0xff, true);
    }

    pub fn name(&mut self, name: impl Into<String>) -> &mut Self {
        self.data.name = name.into();
        self
    }

    /// `METHOD what`, and the method itself. Words that clients make up are not names (OpenTelemetry, HTTP spans).
    pub fn named_by_method(&mut self, method: Option<&Method>, what: &str) -> &mut Self {
        let sent = method.map_or("-", Method::as_str);
        let known = KNOWN.contains(&sent);
        let (word, attribute) = if known { (sent, sent) } else { ("HTTP", "_OTHER") };
        if !known {
            self.text("http.request.method_original", sent);
        }
        self.text("http.request.method", attribute).name(format!("{word} {what}"))
    }

    pub fn text(&mut self, key: &str, value: impl Into<String>) -> &mut Self {
        let mut value = value.into();
        if value.len() > LONGEST {
            value.truncate(value.floor_char_boundary(LONGEST));
        }
        self.put(key, Value::StringValue(value))
    }

    /// The same, where there is something to say.
    pub fn word(&mut self, key: &str, value: Option<&str>) -> &mut Self {
        match value.filter(|value| !value.is_empty()) {
            Some(value) => self.text(key, value),
            None => self,
        }
    }

    pub fn number(&mut self, key: &str, value: impl TryInto<i64>) -> &mut Self {
        self.put(key, Value::IntValue(value.try_into().unwrap_or(i64::MAX)))
    }

    pub fn flag(&mut self, key: &str, value: bool) -> &mut Self {
        self.put(key, Value::BoolValue(value))
    }

    fn put(&mut self, key: &str, value: Value) -> &mut Self {
        let value = Some(AnyValue { value: Some(value) });
        self.data.attributes.push(KeyValue { key: key.to_owned(), value, ..KeyValue::default() });
        self
    }

    /// It went wrong, in one word.
    pub fn failed(&mut self, why: &str) -> &mut Self {
        self.data.status = Some(Status { message: why.to_owned(), code: StatusCode::Error.into() });
        self.text("error.type", why)
    }

    /// It has to do with another span, of another trace perhaps.
    pub fn link(&mut self, to: Context, remote: bool) {
        self.data.links.push(Link {
            trace_id: to.trace().to_vec(),
            span_id: to.span().to_vec(),
            flags: flags(to.flags(), remote),
            ..Link::default()
        });
    }

    pub fn trace_id(&self) -> Option<String> {
        let id: [u8; 16] = self.data.trace_id.as_slice().try_into().ok()?;
        Some(format!("{:032x}", u128::from_be_bytes(id)))
    }
}

/// The methods that are names (RFC 9110, RFC 5789, QUERY, and PURGE and BAN).
const KNOWN: [&str; 12] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "QUERY", "PURGE", "BAN", "CONNECT", "TRACE"];

impl Drop for Span {
    fn drop(&mut self) {
        let mut data = std::mem::take(&mut self.data);
        data.end_time_unix_nano = self.tracer.end_of(self.began);
        self.tracer.submit(data);
    }
}
