//! Fields that a client must not set (standards.md §8.1, §8.3): each of them makes some framework answer as if
//! something else had been asked, and none of them is in the key.

use http::{HeaderMap, HeaderName};
use smallvec::SmallVec;

/// Fields that make common frameworks serve another resource or method than the one in the request line.
/// They would not be in the key, so they are dropped whoever sent them: a trusted proxy passes a client's
/// on unread. `Proxy` becomes HTTP_PROXY in CGI programs.
const REWRITES: [&str; 10] = [
    "x-original-url",
    "x-rewrite-url",
    "x-override-url",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-http-host-override",
    "x-original-method",
    "http2-settings",
    "proxy",
];

/// Fields in which a proxy tells by what address, host, scheme or path the client came. What we found out of
/// them is said in fields of our own; the rest would reach the origin unkeyed, and a trusted proxy that does not
/// know a field passes a client's on: dropped, whoever sent them. So is all that begins with [`CLAIM`].
const CLAIMS: [&str; 8] = [
    "x-forwarded",
    "forwarded",
    "x-host",
    "x-original-host",
    "x-scheme",
    "x-original-scheme",
    "x-url-scheme",
    "front-end-https",
];
const CLAIM: &str = "x-forwarded-";

/// Fields that hold the client's address and nothing else. Only a trusted proxy has anything to tell.
const ADDRESSES: [&str; 13] = [
    "x-forwarded-for",
    "forwarded-for",
    "x-original-forwarded-for",
    "x-real-ip",
    "client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-remote-ip",
    "x-remote-addr",
    "x-originating-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "fastly-client-ip",
];

/// What is ours to say, or frames the message, and may not be said with underscores.
const OURS: [&str; 6] =
    ["content-length", "transfer-encoding", "content-type", "cdn-loop", "x-request-id", "max-forwards"];

fn rewrites(name: &str) -> bool {
    REWRITES.contains(&name)
}

fn claims(name: &str) -> bool {
    name.starts_with(CLAIM) || CLAIMS.contains(&name)
}

fn addresses(name: &str) -> bool {
    ADDRESSES.contains(&name)
}

/// CGI and its heirs read `X_Forwarded_Host` and `X-Forwarded-Host` as one variable, so an underscore is a way
/// round every rule above.
fn impersonates(name: &str) -> bool {
    if !name.contains('_') {
        return false;
    }
    let dashed = name.replace('_', "-");
    rewrites(&dashed) || claims(&dashed) || addresses(&dashed) || OURS.contains(&dashed.as_str())
}

/// Longest name that is spelt out above.
const LONGEST: usize = 32;

/// For each first letter a bit for each length that a name above has. What begins with [`CLAIM`] may have any length.
const LENGTHS: [u64; 26] = {
    let mut lengths = [0; 26];
    let lists: [&[&str]; 4] = [&REWRITES, &CLAIMS, &ADDRESSES, &OURS];
    let mut list = 0;
    while list < lists.len() {
        let mut at = 0;
        while at < lists[list].len() {
            let name = lists[list][at].as_bytes();
            assert!(name.len() <= LONGEST);
            lengths[(name[0] - b'a') as usize] |= 1 << name.len();
            at += 1;
        }
        list += 1;
    }
    let mut length = CLAIM.len();
    while length < 64 {
        lengths[(CLAIM.as_bytes()[0] - b'a') as usize] |= 1 << length;
        length += 1;
    }
    lengths
};

/// Whether a field (of any case) may be one that does not reach the rules and the origin as sent. Asked for every field of
/// every request: most are let through by their first letter and length. One with an underscore is only suspected.
pub fn is_settled_here(name: &str) -> bool {
    let bytes = name.as_bytes();
    let letter = bytes.first().map_or(usize::MAX, |byte| usize::from((byte | 0x20).wrapping_sub(b'a')));
    let lengths = LENGTHS.get(letter).copied().unwrap_or(0);
    if lengths >> bytes.len().min(63) & 1 == 0 {
        return false;
    }
    if bytes.contains(&b'_') {
        return true; // rare, and one by one not worth a look
    }
    if bytes.get(..CLAIM.len()).is_some_and(|start| start.eq_ignore_ascii_case(CLAIM.as_bytes())) {
        return true;
    }
    let mut lower = [0; LONGEST];
    let Some(lower) = lower.get_mut(..bytes.len()) else { return false };
    lower.copy_from_slice(bytes);
    lower.make_ascii_lowercase();
    std::str::from_utf8(lower).is_ok_and(|name| rewrites(name) || claims(name) || addresses(name))
}

/// Whether rules, keys and the origin never see what a client sent in this field (lower-case, no underscores), unless we say
/// the same in it.
pub fn is_hidden(name: &str, trusted_peer: bool) -> bool {
    rewrites(name) || claims(name) || (addresses(name) && !trusted_peer)
}

/// Removes them from a client's message, before ours are added.
pub fn remove(headers: &mut HeaderMap, trusted_peer: bool) {
    let doomed: SmallVec<[HeaderName; 8]> = headers
        .keys()
        .filter(|name| is_settled_here(name.as_str()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    /// What the fast lane hides of a trusted proxy's fields is what the slow one removes, but for `X-Forwarded-For`, in which
    /// it says something else.
    #[test]
    fn a_trusted_proxy_is_let_say_the_same_on_both_lanes() {
        for name in REWRITES.iter().chain(&CLAIMS).chain(&ADDRESSES).chain(&["x-forwarded-port", "cookie"]) {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("x"));
            remove(&mut headers, true);
            assert_eq!(is_hidden(name, true), headers.is_empty() || *name == "x-forwarded-for", "{name}");
        }
    }

    /// The fast lane asks [`is_settled_here`], the slow one removes: what is removed must not be let through.
    #[test]
    fn the_fast_lane_lets_nothing_through_that_the_slow_one_removes() {
        let spelt = REWRITES.iter().chain(&CLAIMS).chain(&ADDRESSES).chain(&OURS).copied();
        let odd = ["x-forwarded-", "x-forwarded-anything", "x_forwarded_x", "cookie", "x-forwarded_for"];
        for name in spelt.chain(odd) {
            let imitated = name.replace('-', "_");
            let long = format!("x-forwarded-{}", "y".repeat(100));
            for name in [name, &imitated, &long] {
                let mut headers = HeaderMap::new();
                headers
                    .insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static("x"));
                remove(&mut headers, false);
                if headers.is_empty() {
                    assert!(is_settled_here(name) && is_settled_here(&name.to_ascii_uppercase()), "{name}");
                }
                let expected = name != "cookie" && !(OURS.contains(&name) && name.contains('-'));
                assert_eq!(headers.is_empty(), expected, "{name}");
                if !name.contains('_') {
                    assert_eq!(is_hidden(name, false), expected, "{name}");
                }
            }
        }
    }
}
