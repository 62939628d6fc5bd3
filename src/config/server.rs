//! `server` and `admin`: where clients and operators connect.

use super::compound::{List, Off, Opt, Sect, Short};
use super::net::{Address, Cidr, HostPattern};
use super::scalar::{Count, File, Name, Secret, SecretText, Size, Span, Switch, Timeout, Word};
use super::section::{choice, section};
use crate::engine::rules::glob::HostGlob;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// `server.name` where it is not set.
pub const UNNAMED: &str = "larder";

section! {
    /// The public side.
    pub struct Server {
        /// Where clients connect: cleartext, TLS, or both. Several addresses serve the same sites.
        /// Example: `listen: [0.0.0.0:8080, { address: "0.0.0.0:8443", tls: { cert: ok.pem, key: ok.pem } }]`
        listen: Vec<Listener> as List<Short, 1> = vec![Listener::on(loopback(8080))];
        /// Worker threads; 0 = one per core that the process may use. Set it when other programs on the machine need cores of their own.
        /// Example: `threads: 4`
        threads: usize as Count<0, 1024> = 0;
        /// What this cache is called in `Cache-Status`, `Via`, `Proxy-Status` and `CDN-Loop`, and in a fleet in receipts and the list of nodes (unset: the
        /// machine's name and the process). Give two caches in a row, and the nodes of a fleet, different names, so that they can be told apart.
        /// Example: `name: edge-fra1`
        name: Arc<str> as Name = Arc::from(UNNAMED);
        /// Hosts that are served (`*.example.com` is every subdomain); any other is answered 421. Empty = any. Name them wherever clients can reach
        /// the cache directly: else anybody fills the memory under host names of their own.
        /// Example: `hosts: [shop.example.com, "*.shop.example.com"]`
        hosts: Vec<HostGlob> as List<HostPattern> = Vec::new();
        /// Signs the cookie of `read_your_writes`, and in a fleet makes the names of shared values unguessable. The same on every node; without it each
        /// process signs by a random key of its own. At least 32 random characters.
        /// Example: `secret: "${LARDER_SECRET:-kept-out-of-the-file-in-real-life}"`
        secret: Option<Secret> as Opt<SecretText>;
        /// Addresses whose `X-Forwarded-*`, `Forwarded`, `X-Request-Id` and PROXY headers are believed: your load balancers, and nobody else. From all others these
        /// fields are replaced by our own. What is believed decides the client's address (`rate`, `purge_from`, the log), the scheme and the host of the key.
        /// Example: `trusted_proxies: [10.0.0.0/8, "fd00::/8"]`
        trusted_proxies: Vec<IpNet> as List<Cidr> = Vec::new();
        /// Connections start with a PROXY header (version 1 or 2), on listeners that do not say otherwise; those of peers outside `trusted_proxies`, and
        /// those without one, are closed.
        /// Example: `proxy_protocol: on`
        proxy_protocol: bool as Switch = false;
        /// How long requests that are under way may take to finish after SIGTERM, or after a hand-over; what is left then is cut off. Make it longer than your longest
        /// download, and shorter than what your service manager waits before it kills.
        /// Example: `shutdown_grace: 1m`
        shutdown_grace: Duration as Span<0, 86_400_000> = Duration::from_secs(20);
        /// Bounds on what clients may send.
        limits: Limits as Sect;
    }
}

section! {
    /// One address that clients connect to.
    pub struct Listener ["address"] {
        /// IP address and port; `0.0.0.0` and `[::]` are every interface. Fixed while the process lives.
        /// Example: `address: 0.0.0.0:80`
        address: SocketAddr as Address;
        /// Serve TLS 1.2 and 1.3, with HTTP/2 and HTTP/1.1 (ALPN). Without it: cleartext HTTP/1.1, and HTTP/2 for clients that know that it is spoken here.
        tls: Option<ListenerTls> as Opt<Sect>;
        /// Connections start with a PROXY header; left out = as `server.proxy_protocol` says.
        /// Example: `proxy_protocol: on`
        proxy_protocol: Option<bool> as Opt<Switch>;
    }
}

impl Listener {
    /// Cleartext, without PROXY protocol.
    pub fn on(address: SocketAddr) -> Self {
        Self { address, tls: None, proxy_protocol: None }
    }
}

section! {
    /// Certificate and key of a listener; looked at every two seconds, and taken when they are a pair that works.
    pub struct ListenerTls {
        /// PEM file of the certificate and its chain, the server's own first.
        cert: PathBuf as File;
        /// PEM file of its private key.
        key: PathBuf as File;
    }
}

section! {
    /// Bounds on what clients may send.
    pub struct Limits {
        /// Open client connections, all listeners together; more are closed at once (`larder_connections_turned_total{reason="too_many"}`). Each needs a file descriptor: the process raises its own soft limit
        /// and warns when the hard one is too low.
        /// Example: `connections: 50000`
        connections: usize as Count<1, 10_000_000> = 20_000;
        /// Open connections of one client address (IPv6: of one /64). Lower it where clients connect directly; behind a balancer all come from its address unless
        /// it sends PROXY headers.
        /// Example: `connections_per_address: 200`
        connections_per_address: usize as Count<1, 10_000_000> = 20_000;
        /// A whole request head; more is answered 431. Raise it where cookies or tokens are large.
        /// Example: `request_header_bytes: 32KiB`
        request_header_bytes: u64 as Size<1024, 1_048_576> = 16 * 1024;
        /// Header lines of a request; more is answered 431.
        /// Example: `request_headers: 200`
        request_headers: usize as Count<1, 10_000> = 100;
        /// A request target (path and query); more is answered 414. Must fit into `request_header_bytes`.
        /// Example: `url_bytes: 4KiB`
        url_bytes: u64 as Size<256, 1_048_576> = 8 * 1024;
        /// A request body; more is answered 413. Bodies stream through, so this costs no memory. Raise it for uploads.
        /// Example: `request_body: 2GiB`
        request_body: u64 as Size = 64 * 1024 * 1024;
        /// From a connection's first byte of a request until its head is complete; then 408. Also how long a new connection may stay silent, and a TLS handshake take.
        /// Example: `header_read_timeout: 5s`
        header_read_timeout: Duration as Timeout = Duration::from_secs(10);
        /// Silence within a request body; then 408.
        /// Example: `body_read_timeout: 1m`
        body_read_timeout: Duration as Timeout = Duration::from_secs(30);
        /// Silence between two requests of a connection; then it is closed. Keep it longer than the balancer's in front, so that the balancer is the one that closes.
        /// Example: `idle_timeout: 2m`
        idle_timeout: Duration as Timeout = Duration::from_secs(75);
        /// A write to a client that makes no progress; then the connection is closed.
        /// Example: `write_stall_timeout: 10s`
        write_stall_timeout: Duration as Timeout = Duration::from_secs(30);
        /// Concurrent streams of an HTTP/2 connection, as announced to clients.
        /// Example: `h2_streams: 200`
        h2_streams: u32 as Count<1, 10_000> = 100;
        /// Streams that a client may reset within ten seconds; more ends the connection (the "rapid reset" attack).
        /// Example: `h2_resets: 50`
        h2_resets: u32 as Count<1, 10_000> = 100;
    }
}

section! {
    /// The admin listener: purge, explain, metrics, status, dashboard. Never public.
    pub struct Admin {
        /// IP address and port, or `off`. Anything but a loopback address needs `tokens`. Never put it where the public can reach it.
        /// Example: `address: 127.0.0.1:9081`
        address: Option<SocketAddr> as Off<Address> = Some(loopback(9080));
        /// Who may do what. Without tokens anybody who can connect may do everything; once there is one, every call but `/livez` and `/readyz` needs one.
        tokens: Vec<Token> as List<Sect> = Vec::new();
        /// Addresses that may purge on the public listener without a token (`PURGE`, `BAN`, … and forced refreshes): the application servers. See `docs/purging.md`.
        /// Example: `purge_from: [10.0.0.7, 10.1.0.0/16]`
        purge_from: Vec<IpNet> as List<Cidr> = Vec::new();
    }
}

impl Admin {
    /// Reachable from other machines, and nobody is asked for a token: refused by `check` and `serve`.
    pub fn is_exposed(&self) -> bool {
        self.tokens.is_empty() && self.address.is_some_and(|a| !a.ip().to_canonical().is_loopback())
    }
}

section! {
    /// A bearer token of the admin API.
    pub struct Token {
        /// Appears in the log and in the list of purges as who did it.
        /// Example: `name: deploy`
        name: Arc<str> as Name;
        /// The token itself: at least 32 random characters, from the environment.
        /// Example: `secret: "${LARDER_TOKEN:-kept-out-of-the-file-in-real-life}"`
        secret: Secret as SecretText;
        /// `read`: everything that only looks (metrics, status, explain, listings, configuration). `purge`: purging. `admin`: reloading, and both others.
        /// Example: `allow: [read, purge]`
        allow: Vec<Permission> as List<Word, 1> = vec![Permission::Read];
    }
}

choice! {
    /// What a token allows.
    pub enum Permission {
        /// Everything that only looks.
        Read = "read",
        Purge = "purge",
        /// Reload too, and all of the above.
        Admin = "admin",
    }
}
