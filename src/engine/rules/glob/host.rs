//! Hosts and their patterns.

use super::{GlobError, Shape, check_size, value_shape};
use std::fmt;
use std::sync::Arc;

/// A pattern for hosts, case-insensitive. `*` stands for any run of characters, dots included (as in nginx):
/// `*.example.com` is every sub-domain at any depth. Without a port it matches any port.
#[derive(Clone)]
pub struct HostGlob {
    source: Arc<str>,
    shape: Shape,
    port: Option<u16>,
}

/// Where a host pattern stands in the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine::rules) enum HostKey<'a> {
    Any,
    Exact(&'a [u8]),
    /// `.example.com` of `*.example.com`.
    Domain(&'a [u8]),
    Other,
}

impl HostGlob {
    pub fn new(pattern: &str) -> Result<Self, GlobError> {
        check_size(pattern)?;
        let (name, port) = split_port(pattern);
        let port = match port {
            Some(port) => {
                Some(port.parse().ok().filter(|p| *p > 0).ok_or_else(|| GlobError::Port(port.to_owned()))?)
            }
            None => None,
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._*[]:~%".contains(c);
        if let Some(bad) = name.chars().find(|c| !allowed(*c)) {
            return Err(GlobError::HostCharacter(bad));
        }
        if name.is_empty() {
            return Err(GlobError::Empty);
        }
        Ok(Self { source: Arc::from(pattern), shape: value_shape(&name.to_ascii_lowercase())?, port })
    }

    pub fn matches(&self, host: &Host<'_>) -> bool {
        (self.port.is_none() || self.port == host.port) && self.shape.matches(host.name.as_bytes())
    }

    /// The pattern as written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The host, when the pattern stands for one only (on any port or one).
    pub fn exact(&self) -> Option<&str> {
        match &self.shape {
            Shape::Exact(name) => std::str::from_utf8(name).ok(),
            _ => None,
        }
    }

    pub(in crate::engine::rules) fn key(&self) -> HostKey<'_> {
        match &self.shape {
            Shape::Any => HostKey::Any,
            Shape::Exact(name) => HostKey::Exact(name),
            Shape::Suffix(suffix) if suffix.starts_with(b".") => HostKey::Domain(suffix),
            _ => HostKey::Other,
        }
    }
}

impl PartialEq for HostGlob {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl fmt::Debug for HostGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostGlob({})", self.source)
    }
}

/// A request's host, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host<'a> {
    /// Lower-case; IPv6 in brackets.
    pub name: &'a str,
    /// As given, else that of the scheme.
    pub port: Option<u16>,
}

impl<'a> Host<'a> {
    /// `host` is lower-case, with or without a port.
    pub fn new(host: &'a str, scheme: &str) -> Self {
        let (name, port) = split_port(host);
        let default = match scheme {
            "https" => Some(443),
            "http" => Some(80),
            _ => None,
        };
        Self { name, port: port.and_then(|p| p.parse().ok()).or(default) }
    }
}

/// `h:80`, `[::1]:80`, `h`. Several colons without brackets are a bare IPv6 address.
fn split_port(host: &str) -> (&str, Option<&str>) {
    if let Some(end) = host.rfind(']') {
        let (name, rest) = host.split_at(end + 1);
        return (name, rest.strip_prefix(':'));
    }
    match host.split_once(':') {
        Some((name, port)) if !port.contains(':') => (name, Some(port)),
        _ => (host, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_patterns() {
        let is =
            |pattern: &str, host: &str| HostGlob::new(pattern).unwrap().matches(&Host::new(host, "https"));
        assert!(is("Shop.Example.com", "shop.example.com"));
        assert!(is("shop.example.com", "shop.example.com:8443"));
        assert!(is("shop.example.com:443", "shop.example.com"));
        assert!(!is("shop.example.com:8443", "shop.example.com"));
        assert!(is("*.example.com", "a.b.example.com"));
        assert!(!is("*.example.com", "example.com"));
        assert!(is("*", "anything:1"));
        assert!(is("[::1]:8080", "[::1]:8080"));
        assert!(is("api-*.example.com", "api-7.example.com"));
    }

    #[test]
    fn refused_hosts() {
        for (pattern, error) in [
            ("http://x", GlobError::Port("//x".into())),
            ("x/y", GlobError::HostCharacter('/')),
            ("x:0", GlobError::Port("0".into())),
            (":80", GlobError::Empty),
        ] {
            assert_eq!(HostGlob::new(pattern).unwrap_err(), error, "{pattern}");
        }
    }
}
