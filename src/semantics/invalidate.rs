//! What an answer to an unsafe request invalidates (RFC 9111 §4.4, RFC 9875 §3).

use http::{HeaderMap, Method, StatusCode};

/// GET, HEAD, OPTIONS, TRACE (RFC 9110 §9.2.1), QUERY (RFC 10008). Any other method, known or not, is unsafe.
pub fn is_safe(method: &Method) -> bool {
    let _ = method;
    false
}

/// The URIs to invalidate: on a 2xx or 3xx answer to an unsafe request the target itself, and `Location` and
/// `Content-Location`, resolved against it, when they are of the same origin (scheme, host, port). Each as
/// `scheme://authority/path?query`, without fragment, without duplicates, target first. Else empty.
/// `target` has the same form.
pub fn targets(method: &Method, status: StatusCode, target: &str, response: &HeaderMap) -> Vec<String> {
    let _ = (method, status, target, response);
    Vec::new()
}

/// `Cache-Group-Invalidation` on 2xx/3xx answers to unsafe requests: the groups named (RFC 9875 §3). A field
/// that is no list of strings is ignored.
pub fn groups(method: &Method, status: StatusCode, response: &HeaderMap) -> Vec<String> {
    let _ = (method, status, response);
    Vec::new()
}
