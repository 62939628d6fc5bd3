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

/// Fields in which a proxy tells what it knows of the client. Only a trusted one has anything to tell.
fn claims(name: &str) -> bool {
    name.starts_with("x-forwarded-")
        || matches!(
            name,
            "x-forwarded"
                | "forwarded"
                | "forwarded-for"
                | "x-host"
                | "x-original-host"
                | "x-original-forwarded-for"
                | "x-real-ip"
                | "x-client-ip"
                | "x-cluster-client-ip"
                | "x-remote-ip"
                | "x-remote-addr"
                | "x-originating-ip"
                | "x-scheme"
                | "x-url-scheme"
                | "front-end-https"
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

/// Removes them from a client's message, before ours are added.
pub fn remove(headers: &mut HeaderMap, trusted_peer: bool) {
    let doomed: SmallVec<[HeaderName; 8]> = headers
        .keys()
        .filter(|name| {
            let name = name.as_str();
            rewrites(name) || impersonates(name) || (!trusted_peer && claims(name))
        })
        .cloned()
        .collect();
    for name in doomed {
        headers.remove(name);
    }
}
