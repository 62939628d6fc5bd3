//! Fields that a client must not set (standards.md §8.1, §8.3): each of them makes some framework answer as if
//! something else had been asked, and none of them is in the key.

use http::{HeaderMap, HeaderName};
use smallvec::SmallVec;

/// Fields that make common frameworks serve another resource or method than the one in the request line.
/// They would not be in the key, so they are dropped whoever sent them: a trusted proxy passes a client's
/// on unread. `Proxy` becomes HTTP_PROXY in CGI programs.
fn rewrites(name: &str) -> bool {
    matches!(
        name,
        "x-original-url"
            | "x-rewrite-url"
            | "x-override-url"
            | "x-http-method-override"
            | "x-http-method"
            | "x-method-override"
            | "x-http-host-override"
            | "x-original-method"
            | "http2-settings"
            | "proxy"
    )
}

/// Fields in which a proxy tells by what address, host, scheme or path the client came. What we found out of
/// them is said in fields of our own; the rest would reach the origin unkeyed, and a trusted proxy that does not
/// know a field passes a client's on: dropped, whoever sent them.
fn claims(name: &str) -> bool {
    name.starts_with("x-forwarded-")
        || matches!(
            name,
            "x-forwarded"
                | "forwarded"
                | "x-host"
                | "x-original-host"
                | "x-scheme"
                | "x-original-scheme"
                | "x-url-scheme"
                | "front-end-https"
        )
}

/// Fields that hold the client's address and nothing else. Only a trusted proxy has anything to tell.
fn addresses(name: &str) -> bool {
    matches!(
        name,
        "x-forwarded-for"
            | "forwarded-for"
            | "x-original-forwarded-for"
            | "x-real-ip"
            | "client-ip"
            | "x-client-ip"
            | "x-cluster-client-ip"
            | "x-remote-ip"
            | "x-remote-addr"
            | "x-originating-ip"
            | "true-client-ip"
            | "cf-connecting-ip"
            | "fastly-client-ip"
    )
}

/// CGI and its heirs read `X_Forwarded_Host` and `X-Forwarded-Host` as one variable, so an underscore is a way
/// round every rule above.
fn impersonates(name: &str) -> bool {
    if !name.contains('_') {
        return false;
    }
    let dashed = name.replace('_', "-");
    rewrites(&dashed)
        || claims(&dashed)
        || addresses(&dashed)
        || matches!(
            dashed.as_str(),
            "content-length"
                | "transfer-encoding"
                | "content-type"
                | "cdn-loop"
                | "x-request-id"
                | "max-forwards"
        )
}

/// Longest name that is spelt out above.
const LONGEST: usize = 32;

/// Whether a field, in any case, is one that may not reach the origin as sent, by anybody. Allocates nothing for
/// the usual ones: asked for every field of every hit.
pub fn is_settled_here(name: &str) -> bool {
    let bytes = name.as_bytes();
    // None of them, nor what they are imitated by, begins with another letter: most of what browsers send is let through
    // by this one comparison.
    if !bytes.first().is_some_and(|b| matches!(b | 0x20, b'x' | b'h' | b'p' | b'f' | b'c' | b't' | b'm')) {
        return false;
    }
    if bytes.contains(&b'_') {
        return true; // rare, and one by one not worth a look
    }
    if bytes.get(..12).is_some_and(|start| start.eq_ignore_ascii_case(b"x-forwarded-")) {
        return true;
    }
    let mut lower = [0; LONGEST];
    let Some(lower) = lower.get_mut(..bytes.len()) else { return false };
    lower.copy_from_slice(bytes);
    lower.make_ascii_lowercase();
    std::str::from_utf8(lower).is_ok_and(|name| rewrites(name) || claims(name) || addresses(name))
}

/// Removes them from a client's message, before ours are added.
pub fn remove(headers: &mut HeaderMap, trusted_peer: bool) {
    let doomed: SmallVec<[HeaderName; 8]> = headers
        .keys()
        .filter(|name| {
            let name = name.as_str();
            let wanted = trusted_peer && addresses(name);
            !wanted && (rewrites(name) || claims(name) || addresses(name) || impersonates(name))
        })
        .cloned()
        .collect();
    for name in doomed {
        headers.remove(name);
    }
}
