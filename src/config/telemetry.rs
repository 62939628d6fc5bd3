//! `log` and `tracing`: what is told to the outside.

use super::compound::Dict;
use super::net::{Header, ServiceUrl};
use super::scalar::{BLANK, Name, Refusal, Scalar, Share, Single, Word};
use super::section::{choice, section};
use http::{HeaderName, HeaderValue};
use serde_json::{Value as Json, json};
use std::sync::Arc;

section! {
    /// Logs: of requests to standard output, of all else to standard error.
    pub struct Log {
        /// One line per request on standard output: `json`, `combined` (Apache's format, for programs that read it), `text` (that with outcome, duration and request id), or `off`. A log that can't keep up loses lines (`larder_log_dropped_total`), never delays requests. The fields: `docs/logs.md`.
        /// Example: `access: combined`
        access: AccessLog as Word = AccessLog::Json;
        /// How much else is told, on standard error: `error`, `warn`, `info`, `debug`, `trace`. The environment variable `RUST_LOG` wins.
        /// Example: `level: warn`
        level: Level as Word = Level::Info;
    }
}

choice! {
    /// The form of the access log.
    pub enum AccessLog {
        Json = "json",
        Text = "text",
        /// Apache's combined format, and nothing else.
        Combined = "combined",
        Off = "off" | "false",
    }
}

choice! {
    /// How much is logged beside requests.
    pub enum Level {
        Error = "error",
        Warn = "warn",
        Info = "info",
        Debug = "debug",
        Trace = "trace",
    }
}

section! {
    /// Traces, to an OpenTelemetry collector.
    pub struct Tracing {
        /// The collector.
        /// Example: `otlp: http://127.0.0.1:4317`
        otlp: String as ServiceUrl;
        /// How it is spoken to: OTLP over gRPC (port 4317, as a rule), or Protobuf over HTTP (4318), posted to `/v1/traces`.
        /// Example: `protocol: http`
        protocol: OtlpProtocol as Word = OtlpProtocol::Grpc;
        /// The share of requests that is traced, of those that bring no decision of a trusted proxy with them. A reload can change it.
        /// Example: `sample: 5%`
        sample: f64 as Share = 0.01;
        /// `service.name`: what this cache is called in traces.
        /// Example: `service: edge`
        service: Arc<str> as Name = Arc::from("larder");
        /// Sent to the collector with every call: API keys and the like.
        /// Example: `headers: { X-Api-Key: "${LARDER_OTLP_KEY:-key}" }`
        headers: Vec<(HeaderName, HeaderValue)> as Dict<Header, SecretHeader> = Vec::new();
    }
}

choice! {
    /// How a collector is spoken to.
    pub enum OtlpProtocol {
        Grpc = "grpc",
        /// Protobuf over HTTP.
        Http = "http" | "http/protobuf",
    }
}

/// The value of a header field that nobody else may know.
#[derive(Debug)]
pub struct SecretHeader;
impl Single for SecretHeader {}

impl Scalar<HeaderValue> for SecretHeader {
    const SECRET: bool = true;
    fn what() -> String {
        "the value of a header field".into()
    }
    fn parse(text: &str) -> Result<HeaderValue, Refusal> {
        let value = HeaderValue::from_str(text)
            .map_err(|_| Refusal::new("it can't stand in a header field").help("text, on one line"));
        value.map(|mut value| {
            value.set_sensitive(true);
            value
        })
    }
    fn show(_: &HeaderValue) -> Json {
        json!(BLANK)
    }
    fn schema() -> Json {
        json!({ "type": "string" })
    }
}
