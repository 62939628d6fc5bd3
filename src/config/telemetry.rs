//! `log` and `tracing`: what is told to the outside.

use super::net::ServiceUrl;
use super::scalar::{Share, Word};
use super::section::{choice, section};

section! {
    /// Logs: of requests to standard output, of all else to standard error.
    pub struct Log {
        /// One line per request on standard output: `json`, `text` (like Apache's combined format), or `off`. A log that can't keep up loses lines (`larder_log_dropped_total`), never delays requests.
        /// Example: `access: text`
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
        /// The collector (gRPC).
        otlp: String as ServiceUrl;
        /// The share of requests that is traced.
        sample: f64 as Share = 0.01;
    }
}
