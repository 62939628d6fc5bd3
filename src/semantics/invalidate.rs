//! What an answer to an unsafe request invalidates (RFC 9111 §4.4, RFC 9875 §3).
//!
//! The target must go; `Location` and `Content-Location` may, and do here, if they are of the same origin: a POST to
//! `/comments` that answers `Location: /article` changed the article. URI references are resolved as RFC 3986 §5.2
//! says, in bytes and without normalising beyond dot segments, because the cache's keys are raw: the result must be
//! the URL that a client would ask for. Another origin, and whatever can't be read, is dropped.

use http::header::{CONTENT_LOCATION, LOCATION};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use sfv::{BareItem, List, ListEntry, Parser};

/// A `Location` longer than this, in bytes, is not followed: no URL of that length is answered (interface.md §3).
const MAX_REFERENCE: usize = 8192;

/// Ceilings of `Cache-Group-Invalidation` (RFC 9875 §3 asks for at least 32 of 32 characters): what is stored has no
/// more and no longer groups either.
const MAX_GROUPS: usize = 1024;
const MAX_GROUP: usize = 1024;

/// GET, HEAD, OPTIONS, TRACE (RFC 9110 §9.2.1), QUERY (RFC 10008). Any other method, known or not, is unsafe.
/// Methods are case-sensitive (RFC 9110 §9.1).
pub fn is_safe(method: &Method) -> bool {
    matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS" | "TRACE" | "QUERY")
}

/// RFC 9111 §4.4: a non-error answer (2xx, 3xx) to an unsafe method.
pub fn is_write(method: &Method, status: StatusCode) -> bool {
    !is_safe(method) && (status.is_success() || status.is_redirection())
}

/// The URIs to invalidate: on a 2xx or 3xx answer to an unsafe request the target itself, and `Location` and
/// `Content-Location`, resolved against it, when they are of the same origin (scheme, host, port). Each as
/// `scheme://authority/path?query`, without fragment, without duplicates, target first, all with the target's
/// spelling of scheme and authority. Else empty. `target` has the same form.
pub fn targets(method: &Method, status: StatusCode, target: &str, response: &HeaderMap) -> Vec<String> {
    if !is_write(method, status) {
        return Vec::new();
    }
    let mut uris = vec![target.to_owned()];
    for field in [LOCATION, CONTENT_LOCATION] {
        // Both are single fields; of several lines the first is as good as any, for this is a MAY.
        let reference = response.get(field).and_then(|value| value.to_str().ok());
        if let Some(uri) = reference.and_then(|reference| resolve(target, reference.trim()))
            && !uris.contains(&uri)
        {
            uris.push(uri);
        }
    }
    uris
}

/// A URI reference in its parts (RFC 3986 §3, appendix B), without its fragment.
#[derive(Clone, Copy)]
struct Reference<'a> {
    scheme: Option<&'a str>,
    authority: Option<&'a str>,
    path: &'a str,
    query: Option<&'a str>,
}

/// `None` for what is no reference: a colon in the first segment that ends no scheme.
fn split(reference: &str) -> Option<Reference<'_>> {
    let rest = reference.split_once('#').map_or(reference, |(rest, _fragment)| rest);
    let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
    let (scheme, rest) = match rest.split_once(':') {
        Some((before, after)) if !before.contains('/') => {
            let mut characters = before.chars();
            let letter_first = characters.next().is_some_and(|c| c.is_ascii_alphabetic());
            if !letter_first || !characters.all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)) {
                return None;
            }
            (Some(before), after)
        }
        _ => (None, rest),
    };
    let (authority, path) = match rest.strip_prefix("//") {
        Some(rest) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            (Some(authority), path)
        }
        None => (None, rest),
    };
    Some(Reference { scheme, authority, path, query })
}

/// Host and port (RFC 9110 §4.3.1: an origin is scheme, host and port). The host in lower case; a port that is missing
/// or empty is the scheme's. `None` for an authority that is none, or one with user information, which RFC 9110
/// §4.2.4 tells recipients to treat as an error.
fn host_and_port(scheme: &str, authority: &str) -> Option<(String, Option<u16>)> {
    if authority.contains('@') {
        return None;
    }
    // The colons of an IPv6 address are inside its brackets.
    let end = if authority.starts_with('[') {
        authority.find(']')? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let (host, port) = authority.split_at_checked(end)?;
    let port = match (port.strip_prefix(':'), port) {
        (_, "") | (Some(""), _) => match scheme.to_ascii_lowercase().as_str() {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        },
        (Some(digits), _) if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok()?),
        _ => return None,
    };
    (!host.is_empty()).then(|| (host.to_ascii_lowercase(), port))
}

/// RFC 3986 §5.2.2, as far as it stays in the target's origin. Fields hold visible ASCII only; spaces and tabs inside
/// make it no URI.
pub(super) fn resolve(target: &str, reference: &str) -> Option<String> {
    if reference.len() > MAX_REFERENCE || reference.bytes().any(|b| !b.is_ascii_graphic()) {
        return None;
    }
    let base = split(target)?;
    let (scheme, authority) = (base.scheme?, base.authority?);
    let new = split(reference)?;
    if new.scheme.is_some_and(|other| !other.eq_ignore_ascii_case(scheme)) {
        return None;
    }
    let (path, query) = match new.authority {
        Some(other) => {
            if host_and_port(scheme, other)? != host_and_port(scheme, authority)? {
                return None;
            }
            (remove_dots(new.path), new.query)
        }
        // `http:path` is no http URI (RFC 9110 §4.2.1), and strict resolution does not make it one.
        None if new.scheme.is_some() => return None,
        None if new.path.is_empty() => (base.path.to_owned(), new.query.or(base.query)),
        None if new.path.starts_with('/') => (remove_dots(new.path), new.query),
        None => {
            // §5.2.3: everything up to the last slash of the base.
            let folder = base.path.rfind('/').and_then(|slash| base.path.get(..slash)).unwrap_or("");
            (remove_dots(&format!("{folder}/{}", new.path)), new.query)
        }
    };
    let path = if path.is_empty() { "/" } else { &path };
    let (mark, query) = query.map_or(("", ""), |query| ("?", query));
    Some(format!("{scheme}://{authority}{path}{mark}{query}"))
}

/// RFC 3986 §5.2.4, for a path that is empty or begins with a slash.
fn remove_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        let dots = segment == "." || segment == "..";
        if segment == ".." {
            kept.pop();
        }
        if !dots {
            kept.push(segment);
        } else if segments.peek().is_none() {
            // `/a/.` and `/a/b/..` are the folder, `/a/`.
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

/// `Cache-Group-Invalidation` on 2xx/3xx answers to unsafe requests: the groups named (RFC 9875 §3), each once, in
/// order. MUST be ignored on answers to safe ones; that errors don't count either is RFC 9111 §4.4's rule, which RFC
/// 9875 leaves open. A field that is no list of strings is ignored; parameters are. At most 1024 groups; names longer
/// than 1024 bytes are left out, since nothing is stored under them.
pub fn groups(method: &Method, status: StatusCode, response: &HeaderMap) -> Vec<String> {
    const FIELD: HeaderName = HeaderName::from_static("cache-group-invalidation");
    if !is_write(method, status) || !response.contains_key(&FIELD) {
        return Vec::new();
    }
    // RFC 9651 §4.2: several lines are one list.
    let lines: Vec<&[u8]> = response.get_all(&FIELD).iter().map(|line| line.as_bytes()).collect();
    let Ok(list) = Parser::new(&lines.join(&b", "[..])).parse::<List>() else { return Vec::new() };
    let mut groups: Vec<String> = Vec::new();
    for member in list {
        // One Token, number or inner list, and it is no list of strings.
        let ListEntry::Item(item) = member else { return Vec::new() };
        let BareItem::String(name) = item.bare_item else { return Vec::new() };
        let name = String::from(name);
        if groups.len() < MAX_GROUPS && name.len() <= MAX_GROUP && !groups.contains(&name) {
            groups.push(name);
        }
    }
    groups
}

#[cfg(test)]
mod tests;
