//! A client's preconditions, evaluated against a stored response (RFC 9110 §13, RFC 9111 §4.3.2).

use crate::time::Wall;
use http::{HeaderMap, Method, StatusCode};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send the stored response.
    Proceed,
    /// Send 304.
    NotModified,
}

/// `If-None-Match`, else `If-Modified-Since` (ignored unless valid; compared with `Last-Modified`, else `Date`,
/// else `received`). Anything but a stored 2xx proceeds (RFC 9110 §13.2.1).
pub fn evaluate(
    method: &Method,
    request: &HeaderMap,
    status: StatusCode,
    stored: &HeaderMap,
    received: Wall,
) -> Verdict {
    let _ = (method, request, status, stored, received);
    Verdict::Proceed
}

/// Carries `If-Match` or `If-Unmodified-Since`, which only the origin may judge (RFC 9111 §4.3.2).
pub fn only_origin_may_judge(request: &HeaderMap) -> bool {
    let _ = request;
    false
}

/// The header fields of a 304 made from a stored response (RFC 9110 §15.4.5): representation metadata goes,
/// all else stays.
pub fn not_modified_headers(stored: &HeaderMap) -> HeaderMap {
    stored.clone()
}
