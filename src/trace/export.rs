//! From the queue to the collector: OTLP over gRPC, or over HTTP with Protobuf bodies.
//!
//! The messages are those of `opentelemetry-proto`; they are sent by the house's own HTTP client, so that a collector is
//! reached by the same TLS, time-outs and connections as an origin is (docs/decisions/0012-traces.md). One request is under
//! way at a time. While the collector can't be reached the batch in hand is kept and tried again, ever more seldom; the queue
//! fills meanwhile, and what it has no room for is counted. That it began and that it ended is logged once each.
//!
//! * OTLP 1.x: status codes that mean "again, later" and those that don't; partial success

use crate::clock::Clock;
use crate::observe::Metrics;
use crate::origin::settings::{HostHeader, Server, ServerUrl, Settings as OriginSettings};
use crate::origin::{Answer, Origin, SendOptions};
use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

/// Spans in one request.
const BATCH: usize = 512;

/// How long the first span of a batch waits for others.
const LINGER: Duration = Duration::from_secs(1);

/// For one request, from its first byte to the answer's last.
const ANSWER: Duration = Duration::from_secs(10);

/// Pauses after failures, from the first to the longest.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

/// For the last request of a process.
const LAST: Duration = Duration::from_secs(2);

/// What a collector may answer, bytes.
const MOST: usize = 64 * 1024;

const GRPC_PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const HTTP_PATH: &str = "/v1/traces";

/// How the collector is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Grpc,
    Http,
}

/// Where spans go, and under whose name.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `http` or `https`, host, port; over HTTP perhaps a path, to which `/v1/traces` is added.
    pub url: String,
    pub protocol: Protocol,
    /// Sent with every request: what the collector knows us by.
    pub headers: HeaderMap,
    /// `service.name`
    pub service: String,
    /// `service.instance.id`
    pub instance: String,
}

/// Why a span never got to the collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// There was no room for it.
    QueueFull,
    /// The collector would not take it.
    Refused,
    /// The process ended first.
    Shutdown,
}

impl Lost {
    pub const ALL: [Self; 3] = [Self::QueueFull, Self::Refused, Self::Shutdown];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue-full",
            Self::Refused => "refused",
            Self::Shutdown => "shutdown",
        }
    }
}

/// What came of one request.
enum Failure {
    /// It may be taken another time.
    Passing(Cow<'static, str>),
    /// It never will.
    Lasting(Cow<'static, str>),
}

/// What was last known of the collector; `None` = nothing yet.
#[derive(Debug, Default)]
struct Known(Option<bool>);

/// See the head of this file.
pub struct Exporter {
    collector: Arc<Origin>,
    url: String,
    protocol: Protocol,
    path: Uri,
    headers: HeaderMap,
    resource: Resource,
    metrics: Arc<Metrics>,
    known: Known,
    /// What is being sent: the collector has not taken it yet.
    pending: Option<Message>,
}

/// Spans as they are sent.
#[derive(Clone)]
struct Message {
    body: Bytes,
    spans: u64,
}

impl Exporter {
    /// # Errors
    /// A URL that names no collector, or that can't be had by TLS, in a sentence.
    pub fn new(settings: Settings, clock: Clock, metrics: Arc<Metrics>) -> Result<Self, String> {
        let (server, path) = place(&settings.url, settings.protocol)?;
        let grpc = settings.protocol == Protocol::Grpc;
        let origin = OriginSettings {
            servers: vec![Server::new(ServerUrl::parse(&server)?)],
            host_header: HostHeader::Server,
            first_byte_timeout: ANSWER,
            between_bytes_timeout: ANSWER,
            retries: 0,
            max_connections: 1,
            http2: grpc,
            breaker: None,
            ..OriginSettings::default()
        };
        let collector = Origin::new("tracing.otlp", origin, clock).map_err(|error| error.to_string())?;
        let mut headers = settings.headers;
        let kind = if grpc { "application/grpc" } else { "application/x-protobuf" };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        if grpc {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        let attributes = vec![
            attribute("service.name", settings.service),
            attribute("service.version", env!("CARGO_PKG_VERSION").to_owned()),
            attribute("service.instance.id", settings.instance),
        ];
        let resource = Resource { attributes, ..Resource::default() };
        let (url, protocol) = (settings.url, settings.protocol);
        let known = Known::default();
        Ok(Self { collector, url, protocol, path, headers, resource, metrics, known, pending: None })
    }

    /// Takes spans to the collector until `stop` turns true; then sends what is left once more.
    pub async fn run(mut self, mut spans: mpsc::Receiver<Span>, mut stop: watch::Receiver<bool>) {
        self.collector.start();
        let stopped = async move { drop(stop.wait_for(|stop| *stop).await) };
        let mut batch = Vec::new();
        tokio::select! {
            () = self.batches(&mut spans, &mut batch) => return,
            () = stopped => {}
        }
        let pending = self.pending.take();
        self.last(pending).await;
        while batch.len() < BATCH && spans.try_recv().map(|span| batch.push(span)).is_ok() {}
        let rest = (!batch.is_empty()).then(|| self.encode(batch));
        self.last(rest).await;
        let mut left = 0;
        while spans.try_recv().is_ok() {
            left += 1;
        }
        self.metrics.traces.dropped(Lost::Shutdown.as_str(), left);
    }

    /// One more try, and no other.
    async fn last(&self, message: Option<Message>) {
        let Some(message) = message else { return };
        if !matches!(timeout(LAST, self.send(&message)).await, Ok(Ok(()))) {
            self.metrics.traces.dropped(Lost::Shutdown.as_str(), message.spans);
        }
    }

    /// Ends when nobody can make spans any more. Dropped at any moment: what is in `batch` and in `pending` has not been
    /// taken yet.
    async fn batches(&mut self, spans: &mut mpsc::Receiver<Span>, batch: &mut Vec<Span>) {
        loop {
            if batch.is_empty() && spans.recv_many(batch, BATCH).await == 0 {
                return;
            }
            let full = sleep(LINGER);
            tokio::pin!(full);
            while batch.len() < BATCH {
                let room = BATCH - batch.len();
                tokio::select! {
                    biased;
                    more = spans.recv_many(batch, room) => if more == 0 { break },
                    () = &mut full => break,
                }
            }
            let message = self.encode(std::mem::take(batch));
            self.pending = Some(message.clone());
            self.deliver(&message).await;
            self.pending = None;
        }
    }

    /// Until it is taken, or refused for good.
    async fn deliver(&mut self, message: &Message) {
        let [mut pause, longest] = PAUSES;
        loop {
            let sent = match timeout(ANSWER, self.send(message)).await {
                Ok(sent) => sent,
                Err(_) => Err(Failure::Passing("it does not answer".into())),
            };
            match sent {
                Ok(()) => return self.known.works(&self.url),
                Err(Failure::Lasting(why)) => {
                    self.metrics.traces.dropped(Lost::Refused.as_str(), message.spans);
                    return self.known.fails(&self.url, &why);
                }
                Err(Failure::Passing(why)) => self.known.fails(&self.url, &why),
            }
            sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }

    /// One request; counts what was taken of it.
    async fn send(&self, message: &Message) -> Result<(), Failure> {
        let mut request = Request::new(crate::body::full_in(message.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.path.clone();
        *request.headers_mut() = self.headers.clone();
        let answer = self.collector.send(request, SendOptions::default()).await;
        let answer = answer.map_err(|error| Failure::Passing(error.to_string().into()))?;
        let body = read(answer).await?;
        let told = match self.protocol {
            Protocol::Http => &*body,
            Protocol::Grpc => body.get(5..).unwrap_or_default(), // behind the frame's head
        };
        // Partial success: some of it was not taken, and will not be.
        let told = ExportTraceServiceResponse::decode(told).unwrap_or_default().partial_success;
        let refused = told.map_or(0, |told| u64::try_from(told.rejected_spans).unwrap_or(0));
        let refused = refused.min(message.spans);
        self.metrics.traces.dropped(Lost::Refused.as_str(), refused);
        self.metrics.traces.sent(message.spans - refused);
        Ok(())
    }

    fn encode(&self, batch: Vec<Span>) -> Message {
        let spans = batch.len() as u64;
        let scope = InstrumentationScope {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let scope_spans = ScopeSpans { scope: Some(scope), spans: batch, schema_url: SCHEMA.to_owned() };
        let resource_spans = ResourceSpans {
            resource: Some(self.resource.clone()),
            scope_spans: vec![scope_spans],
            schema_url: SCHEMA.to_owned(),
        };
        let message = ExportTraceServiceRequest { resource_spans: vec![resource_spans] };
        let length = message.encoded_len();
        let mut out = BytesMut::with_capacity(length + 5);
        if self.protocol == Protocol::Grpc {
            out.put_u8(0); // not compressed
            out.put_u32(u32::try_from(length).unwrap_or(u32::MAX)); // some hundred KiB
        }
        // It grows as it needs; the message is made of what fits into memory.
        let _ = message.encode(&mut out);
        Message { body: out.freeze(), spans }
    }
}

/// The semantic conventions that the names of attributes are from.
const SCHEMA: &str = "https://opentelemetry.io/schemas/1.37.0";

fn attribute(key: &str, value: String) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value)) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

/// The server of a URL, and the path that spans are posted to.
fn place(url: &str, protocol: Protocol) -> Result<(String, Uri), String> {
    let uri: Uri = url.parse().map_err(|error| format!("`{url}` is not a URL: {error}"))?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(format!("`{url}` must begin with http:// or https://"));
    };
    let base = uri.path().trim_end_matches('/');
    let path = match protocol {
        Protocol::Grpc if base.is_empty() => GRPC_PATH.to_owned(),
        Protocol::Grpc => {
            return Err(format!("`{url}` must end after host and port: gRPC has paths of its own"));
        }
        Protocol::Http if base.ends_with(HTTP_PATH) => base.to_owned(),
        Protocol::Http => format!("{base}{HTTP_PATH}"),
    };
    let path = path.parse().map_err(|error| format!("`{url}`: {error}"))?;
    Ok((format!("{scheme}://{authority}"), path))
}

/// The body of an answer by which it was taken.
async fn read(answer: Answer) -> Result<Bytes, Failure> {
    let (parts, body) = answer.response.into_parts();
    let broke = |_| Failure::Passing("its answer broke off".into());
    let body = Limited::new(body, MOST).collect().await.map_err(broke)?;
    let trailers = body.trailers().cloned().unwrap_or_default();
    // Of an answer without a message it stands among the header fields.
    let grpc = |name| trailers.get(name).or_else(|| parts.headers.get(name)).cloned();
    let status = Status {
        http: parts.status,
        grpc: grpc("grpc-status").and_then(|code| code.to_str().ok()?.parse().ok()),
        message: grpc("grpc-message").and_then(|text| Some(text.to_str().ok()?.to_owned())),
    };
    let taken = parts.status == StatusCode::OK && status.grpc.unwrap_or(0) == 0;
    if taken { Ok(body.to_bytes()) } else { Err(of_http(status)) }
}

struct Status {
    http: StatusCode,
    grpc: Option<u32>,
    message: Option<String>,
}

/// What of it is worth another try (OTLP, "Failures").
fn of_http(status: Status) -> Failure {
    let Status { http, grpc, message } = status;
    let passing = match grpc {
        // CANCELLED, DEADLINE_EXCEEDED, ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS. Not RESOURCE_EXHAUSTED: it is what a server says to
        // a message that is larger than it takes, and always will be.
        Some(code) => matches!(code, 1 | 4 | 10 | 11 | 14 | 15),
        None => matches!(http.as_u16(), 429 | 502 | 503 | 504),
    };
    let told = match (grpc, message) {
        (Some(code), Some(message)) => format!("gRPC status {code}: {message}"),
        (Some(code), None) => format!("gRPC status {code}"),
        (None, _) => format!("status {http}"),
    };
    if passing { Failure::Passing(told.into()) } else { Failure::Lasting(told.into()) }
}

impl Known {
    fn works(&mut self, url: &str) {
        if self.0.replace(true) == Some(false) {
            tracing::info!(collector = url, "the collector takes traces again");
        }
    }

    fn fails(&mut self, url: &str, why: &str) {
        if self.0.replace(false) != Some(false) {
            let what = "the collector takes no traces: some seconds of them are kept, the rest is dropped and counted";
            tracing::warn!(collector = url, why, "{what}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_posted_where_otlp_says() {
        let of = |url, protocol| place(url, protocol).map(|(server, path)| (server, path.to_string()));
        let grpc = || ("http://c:4317".to_owned(), GRPC_PATH.to_owned());
        assert_eq!(of("http://c:4317", Protocol::Grpc), Ok(grpc()));
        assert_eq!(of("http://c:4317/", Protocol::Grpc), Ok(grpc()));
        assert!(of("http://c:4317/v1/traces", Protocol::Grpc).is_err());
        for (url, path) in [
            ("https://c:4318", "/v1/traces"),
            ("https://c:4318/", "/v1/traces"),
            ("https://c:4318/otlp", "/otlp/v1/traces"),
            ("https://c:4318/otlp/v1/traces", "/otlp/v1/traces"),
        ] {
            assert_eq!(of(url, Protocol::Http), Ok(("https://c:4318".into(), path.into())), "{url}");
        }
    }

    #[test]
    fn otlp_failures_are_tried_again_or_given_up_as_it_says() {
        let of = |http: u16, grpc| {
            let http = StatusCode::from_u16(http).unwrap();
            matches!(of_http(Status { http, grpc, message: None }), Failure::Passing(_))
        };
        for (http, grpc, again) in [
            (429, None, true),
            (503, None, true),
            (400, None, false),
            (404, None, false),
            (500, None, false),
            (200, Some(14), true),
            (200, Some(8), false),
            (200, Some(3), false),
            (200, Some(16), false),
            (200, Some(12), false),
        ] {
            assert_eq!(of(http, grpc), again, "{http} {grpc:?}");
        }
    }
}
