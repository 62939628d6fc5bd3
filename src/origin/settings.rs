//! What an origin is told (`origins.*` of the configuration, checked and typed by then).

use http::HeaderValue;
use http::uri::{Authority, Scheme, Uri};
use std::path::PathBuf;
use std::time::Duration;

/// Where one server listens: `http` or `https`, a host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl {
    https: bool,
    authority: Authority,
}

impl ServerUrl {
    /// Reads `http://host[:port]` or `https://host[:port]`, with nothing but an optional `/` after it.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let uri: Uri = text.parse().map_err(|e| format!("`{text}` is not a URL: {e}"))?;
        let https = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(format!("`{text}` must begin with http:// or https://")),
        };
        let authority = uri.authority().cloned().ok_or_else(|| format!("`{text}` names no host"))?;
        if authority.as_str().contains('@') {
            return Err(format!("`{text}` must not hold a user name"));
        }
        // http's own reading of a port is generous: `99999` and nothing at all are none to it.
        let port = authority.as_str().get(authority.host().len()..).unwrap_or_default();
        if authority.host().is_empty() || !(port.is_empty() || authority.port_u16().is_some_and(|p| p > 0)) {
            return Err(format!("`{text}` must be http(s)://host or http(s)://host:port, port 1 to 65535"));
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(format!("`{text}` must end after host and port"));
        }
        Ok(Self { https, authority })
    }

    pub const fn is_https(&self) -> bool {
        self.https
    }

    /// Host without the brackets of an IPv6 literal.
    pub fn host(&self) -> &str {
        self.authority.host().trim_start_matches('[').trim_end_matches(']')
    }

    pub fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(if self.https { 443 } else { 80 })
    }

    /// As for `Host`: `host` or `host:port`.
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    pub(super) const fn scheme(&self) -> &Scheme {
        if self.https { &Scheme::HTTPS } else { &Scheme::HTTP }
    }

    /// Whether the host is a name that has to be looked up, not an address.
    pub(super) fn is_name(&self) -> bool {
        self.host().parse::<std::net::IpAddr>().is_err()
    }
}

impl std::fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", self.scheme(), self.authority)
    }
}

#[derive(Clone, Debug)]
pub struct Server {
    pub url: ServerUrl,
    /// Its share among the others; at least 1.
    pub weight: u32,
    /// Used only when no other server is usable.
    pub backup: bool,
}

impl Server {
    pub const fn new(url: ServerUrl) -> Self {
        Self { url, weight: 1, backup: false }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// In turn, smoothly by weight.
    RoundRobin,
    /// The fewest requests in flight per weight.
    LeastRequests,
    /// The same key always to the same server, as long as it is usable (rendezvous hashing).
    HashKey,
}

/// The `Host` a server sees.
#[derive(Clone, Debug)]
pub enum HostHeader {
    /// The client's.
    Preserve,
    /// The authority of the server's own URL.
    Server,
    Literal(HeaderValue),
}

/// Requests that wait for one of `max_connections`.
#[derive(Clone, Copy, Debug)]
pub struct Queue {
    pub length: usize,
    pub wait: Duration,
}

#[derive(Clone, Debug, Default)]
pub struct TlsSettings {
    /// PEM file of the issuers to trust **instead of** those of the machine.
    pub ca: Option<PathBuf>,
    /// Accept any certificate. Logged loudly.
    pub insecure: bool,
    /// Name for SNI and for the check of the certificate; the URL's host otherwise.
    pub server_name: Option<String>,
    /// PEM files of our own certificate and its key, for servers that ask for one.
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

/// Active health checks: `GET path`, healthy is 2xx and 3xx.
#[derive(Clone, Debug)]
pub struct Health {
    pub path: String,
    /// From the end of one check to the start of the next.
    pub interval: Duration,
    /// For the whole check, connection included.
    pub timeout: Duration,
    /// Failed checks in a row until a server counts as down.
    pub unhealthy_after: u32,
    /// Passed checks in a row until it counts as up again.
    pub healthy_after: u32,
}

/// Passive health: see `breaker.rs`.
#[derive(Clone, Copy, Debug)]
pub struct Breaker {
    pub failures: u32,
    pub window: Duration,
    pub open_for: Duration,
}

#[derive(Clone, Debug)]
pub struct Settings {
    pub servers: Vec<Server>,
    pub balance: Balance,
    pub host_header: HostHeader,
    /// Name look-up, TCP, TLS and the HTTP/2 preface together.
    pub connect_timeout: Duration,
    /// From the last byte of the request that the server took, or from its last interim response, to the head of the
    /// final response.
    pub first_byte_timeout: Duration,
    /// Between two pieces of a response body.
    pub between_bytes_timeout: Duration,
    /// Attempts after the first. Idempotent requests without a body; and any request while no connection could be
    /// made, to another server.
    pub retries: u32,
    /// Requests in flight at this origin, over all of its servers, upgraded connections included. Over HTTP/1 that is as
    /// good as a bound on sockets: idle ones are closed to make room for new ones.
    pub max_connections: usize,
    pub queue: Queue,
    /// `http`: HTTP/2 with prior knowledge; `https`: offered by ALPN, beside HTTP/1.1.
    pub http2: bool,
    pub tls: TlsSettings,
    pub health: Option<Health>,
    pub breaker: Option<Breaker>,
    /// Header lines of a response head, and of its trailers.
    pub response_headers: usize,
    /// Bytes of a response head. Also bounds the read buffer of a connection (at least 8 KiB).
    pub response_header_bytes: usize,
    /// How long an unused connection is kept. Below what servers usually have (60 s and more), so that they rarely
    /// close one just as it is used.
    pub idle_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            balance: Balance::LeastRequests,
            host_header: HostHeader::Preserve,
            connect_timeout: Duration::from_secs(2),
            first_byte_timeout: Duration::from_secs(30),
            between_bytes_timeout: Duration::from_secs(30),
            retries: 1,
            max_connections: 512,
            queue: Queue { length: 1000, wait: Duration::from_secs(5) },
            http2: false,
            tls: TlsSettings::default(),
            health: None,
            breaker: Some(Breaker {
                failures: 5,
                window: Duration::from_secs(10),
                open_for: Duration::from_secs(5),
            }),
            response_headers: 2000,
            response_header_bytes: 1024 * 1024,
            idle_timeout: Duration::from_secs(55),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_urls_are_scheme_host_and_port_and_nothing_else() {
        let url = ServerUrl::parse("https://[::1]/").unwrap();
        assert_eq!((url.is_https(), url.host(), url.port()), (true, "::1", 443));
        let url = ServerUrl::parse("http://app:3000").unwrap();
        assert_eq!(
            (url.is_https(), url.host(), url.port(), url.to_string()),
            (false, "app", 3000, "http://app:3000".into())
        );
        for bad in [
            "app:3000",
            "ftp://app",
            "http://",
            "http://u:p@app",
            "http://app/x",
            "http://app?x",
            "http://app:99999",
            "http://app:",
            "http://app:0",
            "http://[::1]:x",
            "unix:/run/x",
        ] {
            assert!(ServerUrl::parse(bad).is_err(), "{bad}");
        }
    }
}
