//! `Cache-Control` (RFC 9111 §5.2) of requests and responses, and `Pragma` of requests (§5.4).

use http::{HeaderMap, HeaderName};

/// A directive that may name fields: `no-cache`, `private` (RFC 9111 §5.2.2.4, §5.2.2.7).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Qualified {
    #[default]
    Absent,
    /// Concerns the whole response.
    Whole,
    /// Concerns only these fields.
    Fields(Vec<HeaderName>),
}

/// What a response's `Cache-Control`, or the targeted field that stands for it, says. Seconds saturate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseDirectives {
    pub max_age: Option<u64>,
    pub s_maxage: Option<u64>,
    pub no_cache: Qualified,
    pub private: Qualified,
    pub no_store: bool,
    pub public: bool,
    pub must_revalidate: bool,
    pub proxy_revalidate: bool,
    pub must_understand: bool,
    pub no_transform: bool,
    pub immutable: bool,
    pub stale_while_revalidate: Option<u64>,
    pub stale_if_error: Option<u64>,
    /// `max-age` or `s-maxage` was there and could not be read: treat as stale (§4.2.1).
    pub unreadable_lifetime: bool,
}

impl ResponseDirectives {
    /// From every `Cache-Control` line of a response.
    pub fn parse(headers: &HeaderMap) -> Self {
        let _ = headers;
        Self::default()
    }
}

/// `max-stale` (RFC 9111 §5.2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxStale {
    Any,
    Seconds(u64),
}

/// What a request's `Cache-Control` (or, in its absence, `Pragma: no-cache`) asks for (RFC 9111 §5.2.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestDirectives {
    pub no_cache: bool,
    pub no_store: bool,
    pub no_transform: bool,
    pub only_if_cached: bool,
    pub max_age: Option<u64>,
    pub max_stale: Option<MaxStale>,
    pub min_fresh: Option<u64>,
    /// RFC 5861 §4, request form.
    pub stale_if_error: Option<u64>,
}

impl RequestDirectives {
    pub fn parse(headers: &HeaderMap) -> Self {
        let _ = headers;
        Self::default()
    }
}
