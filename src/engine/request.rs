//! A request in normal form, as `front` hands it over.

use crate::body::InBody;
use crate::interim::InterimSender;
use crate::semantics::cache_control::RequestDirectives;
use http::{HeaderMap, HeaderValue, Method};
use std::net::IpAddr;

/// One client request. Its header fields are what would be sent to the origin: hop-by-hop fields are gone,
/// forwarding fields are ours.
pub struct Incoming {
    pub method: Method,
    /// `http` or `https`, effective.
    pub scheme: &'static str,
    /// Lower-case, without default port.
    pub host: String,
    /// As sent, at least `/`.
    pub path: String,
    pub query: Option<String>,
    pub headers: HeaderMap,
    pub body: InBody,
    pub client: IpAddr,
    pub request_id: String,
    /// `Connection` named an end-to-end field: neither answered from nor stored in the cache.
    pub connection_named_end_to_end: bool,
    /// A protocol upgrade is asked for.
    pub upgrade: Option<HeaderValue>,
    pub interim: InterimSender,
    /// Host and target as they came, when they alone decided scheme and host: what the fast lane may remember.
    pub raw: Option<Raw>,
}

/// See [`Incoming::raw`].
#[derive(Clone, Debug)]
pub struct Raw {
    pub tls: bool,
    pub host: Box<[u8]>,
    pub target: Box<[u8]>,
}

impl Incoming {
    /// `scheme://host/path?query`, the target URI.
    pub fn target(&self) -> String {
        target_uri(self.scheme, &self.host, &self.path, self.query.as_deref())
    }

    pub fn directives(&self) -> RequestDirectives {
        RequestDirectives::parse(&self.headers)
    }
}

/// `scheme://host/path?query`
pub fn target_uri(scheme: &str, host: &str, path: &str, query: Option<&str>) -> String {
    let mut uri =
        String::with_capacity(scheme.len() + host.len() + path.len() + 4 + query.map_or(0, str::len));
    uri.push_str(scheme);
    uri.push_str("://");
    uri.push_str(host);
    uri.push_str(path);
    if let Some(query) = query {
        uri.push('?');
        uri.push_str(query);
    }
    uri
}
