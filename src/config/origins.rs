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
        /// URLs, or the word `demo` for the built-in sample origin. Names are resolved again as connections are made.
        /// Example: `servers: [http://10.0.0.5:3000, { url: "http://10.0.0.6:3000", weight: 2 }]`
        servers: Vec<Server> as List<Short, 1>;
        /// How requests are spread: `least_requests` to who has the fewest under way, `round_robin` in turn, `hash_key` the same cache key to the same server (where servers have caches of their own).
        /// Example: `balance: hash_key`
        balance: Balance as Word = Balance::LeastRequests;
        /// The `Host` that the servers see: `preserve` = the client's, `server` = that of the URL, or a name. `server` where one machine serves many names and knows itself by that of the URL.
        /// Example: `host_header: shop.example.com`
        host_header: HostHeader as HostHeaderWord = HostHeader::Preserve;
        /// Until a connection stands: name look-up, TCP, TLS. Then the next server is tried, else 504.
        /// Example: `connect_timeout: 1s`
        connect_timeout: Duration as Timeout = Duration::from_secs(2);
        /// From the end of the request to the response's head; then 504, or what is stored if `stale_if_error` allows. Set it just above what your slowest page takes.
        /// Example: `first_byte_timeout: 10s`
        first_byte_timeout: Duration as Timeout = Duration::from_secs(30);
        /// Silence within a response body; then the response is broken off, and not stored. Long-polling and event streams need more.
        /// Example: `between_bytes_timeout: 2m`
        between_bytes_timeout: Duration as Timeout = Duration::from_secs(30);
        /// How often a request that got no answer at all is tried again, on another server where there is one: what may be repeated (idempotent, without a body),
        /// and what had not been sent yet. An answer, be it 503, is not tried again.
        /// Example: `retries: 2`
        retries: u32 as Count<0, 10> = 1;
        /// Requests under way at this origin, all its servers together; over HTTP/1 that bounds its connections. Set it to what the application can really do at once: the rest waits in `queue`.
        /// Example: `max_connections: 100`
        max_connections: usize as Count<1, 1_000_000> = 512;
        /// Where requests wait while `max_connections` are busy.
        queue: Queue as Sect;
        /// Speak HTTP/2 to the servers: offered by ALPN beside HTTP/1.1 on `https`, with prior knowledge on `http`.
        /// Example: `http2: on`
        http2: bool as Switch = false;
        /// How TLS to servers with `https` is made.
        tls: Tls as Sect;
        /// Asks the servers at intervals, and leaves alone those that fail. Turn it on wherever there are two servers.
        /// Example: `health: { path: /healthz }`
        health: Option<Health> as Off<Sect> = None;
        /// Leaves a server alone that keeps giving no usable answer (no connection, time-outs, broken messages; a 503 is an answer). Works without `health`.
        /// Example: `breaker: off`
        breaker: Option<Breaker> as Off<Sect> = defaults();
        /// Bounds on what the servers may answer; beyond them 502.
        limits: ResponseLimits as Sect;
    }
}

section! {
    /// One server.
    pub struct Server ["url"] {
        /// `http://host:port`, `https://host`, or `demo`. Without a path: that goes into a rule's `rewrite`.
        /// Example: `url: https://app.internal`
        url: Upstream as UpstreamUrl;
        /// Its share of the requests, compared with the others'.
        /// Example: `weight: 3`
        weight: u32 as Count<1, 1000> = 1;
        /// Asked only while no other server can be.
        /// Example: `backup: true`
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
        /// How many may wait; the next is answered 503 at once (`queue-full`). 0 = nobody waits.
        /// Example: `length: 100`
        length: usize as Count<0, 1_000_000> = 1000;
        /// How long one waits; then 503 (`queue-full` too).
        /// Example: `wait: 2s`
        wait: Duration as Timeout = Duration::from_secs(5);
    }
}

section! {
    /// TLS to the servers.
    pub struct Tls {
        /// PEM file of the authorities to trust **instead of** the system's.
        ca: Option<PathBuf> as Opt<File>;
        /// PEM file of a client certificate, for servers that ask for one. With `key`.
        cert: Option<PathBuf> as Opt<File>;
        /// PEM file of the client certificate's key.
        key: Option<PathBuf> as Opt<File>;
        /// Accept any certificate. For tests; said loudly in the log.
        /// Example: `insecure: true`
        insecure: bool as Switch = false;
        /// The name to ask for (SNI) and to check in the certificate, instead of the URL's host. For servers that are reached by address.
        /// Example: `server_name: app.internal`
        server_name: Option<String> as Opt<Text<255>>;
    }
}

section! {
    /// Active health checks: a GET that must answer 2xx or 3xx.
    pub struct Health {
        /// What is asked for: something cheap that fails when the application does.
        /// Example: `path: /healthz`
        path: String as UrlPath;
        /// From the end of one check to the start of the next.
        /// Example: `interval: 2s`
        interval: Duration as Timeout = Duration::from_secs(5);
        /// Of one check, connection included.
        /// Example: `timeout: 1s`
        timeout: Duration as Timeout = Duration::from_secs(2);
        /// Failed checks in a row until a server counts as down.
        /// Example: `unhealthy_after: 2`
        unhealthy_after: u32 as Count<1, 1000> = 3;
        /// Passed checks in a row until it counts as up again.
        /// Example: `healthy_after: 3`
        healthy_after: u32 as Count<1, 1000> = 2;
    }
}

section! {
    /// Stops asking a server that keeps failing.
    pub struct Breaker {
        /// How many more failures than successes within `window` open it.
        /// Example: `failures: 10`
        failures: u32 as Count<1, 10_000> = 5;
        /// The time in which they are counted.
        /// Example: `window: 30s`
        window: Duration as Timeout = Duration::from_secs(10);
        /// How long the server is left alone; then one request is the trial.
        /// Example: `open_for: 10s`
        open_for: Duration as Timeout = Duration::from_secs(5);
    }
}

section! {
    /// Bounds on what the servers may answer.
    pub struct ResponseLimits {
        /// Header lines of a response (tags may arrive in many).
        /// Example: `response_headers: 500`
        response_headers: usize as Count<1, 100_000> = 2000;
        /// A whole response head.
        /// Example: `response_header_bytes: 64KiB`
        response_header_bytes: u64 as Size<1024, 16_777_216> = 1024 * 1024;
    }
}
