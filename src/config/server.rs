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

section! {
    /// The public side.
    pub struct Server {
        /// Where clients connect.
        listen: Vec<Listener> as List<Short, 1> = vec![Listener::on(loopback(8080))];
        /// Worker threads; 0 = one per core.
        threads: usize as Count<0, 1024> = 0;
        /// The name in Cache-Status, Via, Proxy-Status and CDN-Loop.
        name: Arc<str> as Name = Arc::from("larder");
        /// Hosts that are served; empty = any, otherwise all others are answered 421.
        hosts: Vec<HostGlob> as List<HostPattern> = Vec::new();
        /// Signs cookies; the same on every node of a fleet.
        secret: Option<Secret> as Opt<SecretText>;
        /// Whose X-Forwarded-*, Forwarded and PROXY protocol are believed.
        trusted_proxies: Vec<IpNet> as List<Cidr> = Vec::new();
        /// Connections start with a PROXY header (v1 or v2), on listeners that do not say otherwise.
        proxy_protocol: bool as Switch = false;
        /// How long running requests may take to finish after SIGTERM.
        shutdown_grace: Duration as Span<0, 86_400_000> = Duration::from_secs(20);
        /// Bounds on what clients may send.
        limits: Limits as Sect;
    }
}

section! {
    /// One address that clients connect to.
    pub struct Listener ["address"] {
        /// IP address and port.
        address: SocketAddr as Address;
        /// Serve TLS (HTTP/2 and HTTP/1.1); without it cleartext HTTP/1.1, and HTTP/2 with prior knowledge.
        tls: Option<ListenerTls> as Opt<Sect>;
        /// Connections start with a PROXY header; without it as `server.proxy_protocol` says.
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
    /// Certificate and key of a listener; read again when they change.
    pub struct ListenerTls {
        /// PEM file of the certificate and its chain.
        cert: PathBuf as File;
        /// PEM file of the private key.
        key: PathBuf as File;
    }
}

section! {
    /// Bounds on what clients may send.
    pub struct Limits {
        /// Open client connections.
        connections: usize as Count<1, 10_000_000> = 20_000;
        /// Open connections of one client address.
        connections_per_address: usize as Count<1, 10_000_000> = 20_000;
        /// A whole request head; more is answered 431.
        request_header_bytes: u64 as Size<1024, 1_048_576> = 16 * 1024;
        /// Header lines of a request; more is answered 431.
        request_headers: usize as Count<1, 10_000> = 100;
        /// A request target; more is answered 414.
        url_bytes: u64 as Size<256, 1_048_576> = 8 * 1024;
        /// A request body; more is answered 413.
        request_body: u64 as Size = 64 * 1024 * 1024;
        /// Until a request head is complete.
        header_read_timeout: Duration as Timeout = Duration::from_secs(10);
        /// Between two reads of a request body.
        body_read_timeout: Duration as Timeout = Duration::from_secs(30);
        /// Between two requests of a connection.
        idle_timeout: Duration as Timeout = Duration::from_secs(75);
        /// A write to a client that makes no progress.
        write_stall_timeout: Duration as Timeout = Duration::from_secs(30);
        /// Concurrent streams of an HTTP/2 connection.
        h2_streams: u32 as Count<1, 10_000> = 100;
        /// Streams that a client may reset within ten seconds; more ends the connection.
        h2_resets: u32 as Count<1, 10_000> = 100;
    }
}

section! {
    /// The admin listener: purge, explain, metrics, status, dashboard. Never public.
    pub struct Admin {
        /// IP address and port, or `off`. Anything but this machine needs `tokens`.
        address: Option<SocketAddr> as Off<Address> = Some(loopback(9080));
        /// Who may do what. Without tokens anybody who can connect may do anything.
        tokens: Vec<Token> as List<Sect> = Vec::new();
        /// Who may purge on the public listener without a token (PURGE, BAN, ...).
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
        /// Appears in logs and in the list of purges.
        name: Arc<str> as Name;
        /// The token.
        secret: Secret as SecretText;
        /// What it allows; `admin` implies the others.
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
