//! A request in normal form, as `front` hands it over.

use crate::body::InBody;
use crate::engine::answer::Failure;
use crate::engine::policy::Policy;
use crate::engine::rules::RequestFacts;
use crate::engine::rules::template::Captures;
use crate::interim::InterimSender;
use crate::semantics::cache_control::RequestDirectives;
use crate::trace::Trace;
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use http_body::Body;
use http_body_util::BodyExt;
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
    /// Somebody who may ask for it wants the answer fetched anew, whatever the rules say of clients' wishes, and put in
    /// the place of what is stored.
    pub forced: bool,
    /// Host and target as they came, when they alone decided scheme and host: what the fast lane may remember.
    pub raw: Option<Raw>,
    /// Where it belongs in a trace.
    pub trace: Trace,
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

    /// The request as the rules see it.
    pub fn facts(&self) -> RequestFacts<'_> {
        RequestFacts {
            method: &self.method,
            scheme: self.scheme,
            host: &self.host,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &self.headers,
        }
    }

    pub fn directives(&self) -> RequestDirectives {
        RequestDirectives::parse(&self.headers)
    }
}

/// What stays known of a request while it is answered: what templates read, and what the client's own conditions
/// and ranges are.
#[derive(Debug)]
pub struct Asked {
    pub method: Method,
    pub scheme: &'static str,
    pub host: String,
    pub path: String,
    pub query: Option<String>,
    pub headers: HeaderMap,
}

impl Asked {
    pub fn facts(&self) -> RequestFacts<'_> {
        RequestFacts {
            method: &self.method,
            scheme: self.scheme,
            host: &self.host,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &self.headers,
        }
    }
}

/// The tags that rules add. `None`: one of them is too long to be kept, so that nothing may be stored
/// (interface.md §2.3).
pub fn rule_tags(policy: &Policy, captures: &Captures, facts: &RequestFacts<'_>) -> Option<Vec<String>> {
    policy.tags.iter().map(|tag| tag.render(captures, facts).ok()).collect()
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

/// Whether a rule makes this request a read that is keyed by its body (`key.body`): such a request invalidates
/// nothing, even where its body is too large to be keyed (interface.md §5).
pub fn is_keyed_by_body(method: &Method, policy: &Policy) -> bool {
    policy.key.body_max.is_some() && (*method == Method::POST || method.as_str() == "QUERY")
}

/// Reads the body of a request that a rule keys by it: POST and QUERY with `key.body`. `Ok(None)`: not such a
/// request, or its body is over the rule's `max`, and is then sent on as it came.
///
/// # Errors
/// The body broke off.
pub async fn keyed_body(incoming: &mut Incoming, policy: &Policy) -> Result<Option<Bytes>, Failure> {
    let Some(max) = policy.key.body_max.filter(|_| is_keyed_by_body(&incoming.method, policy)) else {
        return Ok(None);
    };
    // Only a body whose length is known beforehand to fit is gathered; others stream through.
    match incoming.body.size_hint().upper() {
        Some(length) if length <= max => {}
        _ => return Ok(None),
    }
    let mut body = std::mem::replace(&mut incoming.body, crate::body::empty_in());
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Failure::RequestBody)?;
        bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |d| d));
    }
    Ok(Some(bytes.freeze()))
}

/// Method, content type and a body that is part of the key.
pub fn body_digest(method: &Method, headers: &HeaderMap, body: &Bytes) -> Vec<u8> {
    let mut out = method.as_str().as_bytes().to_vec();
    for name in [CONTENT_TYPE, CONTENT_ENCODING] {
        let value = headers.get(name).map_or(&b""[..], HeaderValue::as_bytes);
        out.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(value);
    }
    // The whole body, not a digest of it: it is at most the rule's `max` (64 KiB by default), and equality of
    // keys must not rest on a hash (architecture.md, rule 9).
    out.extend_from_slice(body);
    out
}

/// The target as it is sent: the rules' rewrite of the path, and the query.
pub fn path_and_query(policy: &Policy, path: &str, query: Option<&str>) -> String {
    let path = policy.rewrite.as_ref().map_or(std::borrow::Cow::Borrowed(path), |r| r.apply(path));
    match query {
        Some(query) => format!("{path}?{query}"),
        None => path.into_owned(),
    }
}
