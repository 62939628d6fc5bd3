//! Fields that concern one connection only (RFC 9110 §7.6.1, RFC 9111 §3.1).

use http::HeaderMap;

/// Removes `Connection`, every field it names, and Keep-Alive, Proxy-Connection, TE, Trailer is kept, Transfer-Encoding,
/// Upgrade. Returns true when `Connection` named a field that selects or authorises a response (Cookie,
/// Authorization, Host, Cache-Control, any request field but the connection's own): such a request must not be
/// answered from, or stored under, the normal key (standards.md §8.5).
pub fn strip(headers: &mut HeaderMap) -> bool {
    let _ = headers;
    false
}

/// Also removes what a cache must not store: `Proxy-Authenticate`, `Proxy-Authentication-Info`,
/// `Proxy-Authorization` (RFC 9111 §3.1).
pub fn strip_for_storing(headers: &mut HeaderMap) {
    let _ = headers;
}
