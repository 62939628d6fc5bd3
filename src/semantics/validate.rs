//! Validation (RFC 9111 §4.3): conditional requests, which stored responses a 304 selects, and how stored
//! header fields are updated (§3.2) by a 304 or a HEAD.

use crate::time::Wall;
use http::HeaderMap;

/// What validation needs to know of a stored response.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    pub headers: &'a HeaderMap,
    /// Its `Date`, or when it was received: the most recent wins (§4.3.4).
    pub date: Wall,
}

/// Has something to validate with: `ETag` or a valid `Last-Modified`.
pub fn has_validator(headers: &HeaderMap) -> bool {
    let _ = headers;
    false
}

/// Turns `request` into a conditional one (§4.3.1): its own `If-*` and `Range` go, `If-None-Match` with the
/// entity tags of `candidates`; `If-Modified-Since` with the first one's `Last-Modified` (the response that
/// would be used; the others are variants whose tags may match).
pub fn make_conditional(request: &mut HeaderMap, candidates: &[Stored<'_>]) {
    let _ = (request, candidates);
}

/// The indexes of the candidates that a 304 confirms (§4.3.4), best first. Empty: it confirms nothing stored.
pub fn confirmed_by(not_modified: &HeaderMap, candidates: &[Stored<'_>]) -> Vec<usize> {
    let _ = (not_modified, candidates);
    Vec::new()
}

/// The stored fields brought up to date with those of a 304 or HEAD response (§3.2): fields of the new
/// response replace all of the same name; fields excepted there (hop-by-hop ones, `Content-Length`, those the
/// stored body depends on: `Content-Encoding`, `Content-Range`, `Transfer-Encoding`) do not.
pub fn updated(stored: &HeaderMap, new: &HeaderMap) -> HeaderMap {
    let _ = new;
    stored.clone()
}

/// Does a 200 answer to a forwarded HEAD speak of the same representation (§4.3.5)? `length` is the stored
/// body's length in bytes.
pub fn head_confirms(stored: &HeaderMap, length: u64, head: &HeaderMap) -> bool {
    let _ = (stored, length, head);
    false
}
