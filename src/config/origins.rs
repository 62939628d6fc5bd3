//! `origins`: where responses come from.

use super::compound::{List, Off, Opt, Sect, Short};
use super::net::{HostHeader, HostHeaderWord, Upstream, UpstreamUrl, UrlPath};
use super::scalar::{Count, File, Size, Switch, Text, Timeout, Word};
use super::section::{choice, defaults, section};
use std::path::PathBuf;
use std::time::Duration;

section! {
    /// A group of servers that answer alike.
    pub struct Origin {
        /// URLs, or the word `demo` for the built-in sample origin.
        servers: Vec<Server> as List<Short, 1>;
        /// How requests are spread over the servers.
        balance: Balance as Word = Balance::LeastRequests;
        /// The `Host` that the servers see: `preserve` (the client's), `server` (that of the URL), or a literal.
        host_header: HostHeader as HostHeaderWord = HostHeader::Preserve;
        /// Until a connection stands, TLS included.
        connect_timeout: Duration as Timeout = Duration::from_secs(2);
        /// From the end of the request to the response's head.
        first_byte_timeout: Duration as Timeout = Duration::from_secs(30);
        /// Between two reads of a response body.
        between_bytes_timeout: Duration as Timeout = Duration::from_secs(30);
        /// How often an idempotent request without a body is tried again.
        retries: u32 as Count<0, 10> = 1;
        /// Open connections to each server.
        max_connections: usize as Count<1, 1_000_000> = 512;
        /// Where requests wait while `max_connections` are busy; beyond it they are answered 503.
        queue: Queue as Sect;
        /// Speak HTTP/2 to the servers.
        http2: bool as Switch = false;
        /// How TLS to the servers is made.
        tls: Tls as Sect;
        /// Active health checks.
        health: Option<Health> as Off<Sect> = None;
        /// Stops asking a server that keeps failing.
        breaker: Option<Breaker> as Off<Sect> = defaults();
        /// Bounds on what the servers may answer.
        limits: ResponseLimits as Sect;
    }
}

section! {
    /// One server.
    pub struct Server ["url"] {
        /// `http://host:port`, `https://host`, or `demo`.
        url: Upstream as UpstreamUrl;
        /// Its share of the requests, compared with the others'.
        weight: u32 as Count<1, 1000> = 1;
        /// Asked only while no other server is healthy.
        backup: bool as Switch = false;
    }
}

choice! {
    /// How requests are spread over the servers of an origin.
    pub enum Balance {
        LeastRequests = "least_requests",
        RoundRobin = "round_robin",
        /// The same key to the same server.
        HashKey = "hash_key",
    }
}

section! {
    /// Requests that wait for a connection.
    pub struct Queue {
        /// How many may wait; 0 = none.
        length: usize as Count<0, 1_000_000> = 1000;
        /// How long one waits.
        wait: Duration as Timeout = Duration::from_secs(5);
    }
}

section! {
    /// TLS to the servers.
    pub struct Tls {
        /// PEM file of the authorities to trust instead of the system's.
        ca: Option<PathBuf> as Opt<File>;
        /// PEM file of a client certificate.
        cert: Option<PathBuf> as Opt<File>;
        /// PEM file of the client certificate's key.
        key: Option<PathBuf> as Opt<File>;
        /// Accept any certificate. For tests.
        insecure: bool as Switch = false;
        /// The name to ask for and to check, instead of the URL's.
        server_name: Option<String> as Opt<Text<255>>;
    }
}

section! {
    /// Active health checks: a GET that must answer 2xx or 3xx.
    pub struct Health {
        /// What is asked for.
        path: String as UrlPath;
        /// Between two checks.
        interval: Duration as Timeout = Duration::from_secs(5);
        /// Of one check.
        timeout: Duration as Timeout = Duration::from_secs(2);
        /// Failures in a row that make a server unhealthy.
        unhealthy_after: u32 as Count<1, 1000> = 3;
        /// Successes in a row that make it healthy again.
        healthy_after: u32 as Count<1, 1000> = 2;
    }
}

section! {
    /// Stops asking a server that keeps failing.
    pub struct Breaker {
        /// Failures within `window` that open it.
        failures: u32 as Count<1, 10_000> = 5;
        /// The time in which failures are counted.
        window: Duration as Timeout = Duration::from_secs(10);
        /// How long the server is left alone.
        open_for: Duration as Timeout = Duration::from_secs(5);
    }
}

section! {
    /// Bounds on what the servers may answer.
    pub struct ResponseLimits {
        /// Header lines of a response (tags arrive in many).
        response_headers: usize as Count<1, 100_000> = 2000;
        /// A whole response head.
        response_header_bytes: u64 as Size<1024, 16_777_216> = 1024 * 1024;
    }
}
