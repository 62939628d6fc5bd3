//! The cache key: effective scheme, host, path, query (as it will be sent), the origin's name, the set of
//! matched rules with header or cookie conditions, and what `key.*` adds (rulings 4). What is keyed is what is
//! sent; parts are length-prefixed, so that none can imitate another.

use crate::engine::policy::KeyPolicy;
use crate::engine::rules::{RequestFacts, Resolved};
use crate::store::Key;
use crate::store::key::{END_OF_RULES, push_optional as optional, push_part as part};
use http::HeaderMap;
use http::header::COOKIE;

/// The parts of a key; see the module's head.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    pub scheme: &'a str,
    pub host: &'a str,
    pub path: &'a str,
    /// After exclusion and sorting.
    pub query: Option<&'a str>,
    pub origin: &'a str,
    /// Names the set of matched rules that look at headers or cookies.
    pub rule_bits: &'a [u64],
    /// Method, digest and `Content-Type` of a request keyed by its body.
    pub body: Option<&'a [u8]>,
}

/// Builds the key. `seed` is this process's random hash seed.
pub fn build(seed: u64, parts: &Parts<'_>, policy: &KeyPolicy, headers: &HeaderMap) -> Key {
    let mut bytes = Vec::with_capacity(64 + parts.host.len() + parts.path.len());
    let fixed = [parts.scheme.as_bytes(), parts.host.as_bytes(), parts.path.as_bytes()];
    fixed.into_iter().for_each(|p| part(&mut bytes, p));
    optional(&mut bytes, parts.query.map(str::as_bytes));
    part(&mut bytes, parts.origin.as_bytes());
    parts.rule_bits.iter().for_each(|bit| bytes.extend_from_slice(&bit.to_le_bytes()));
    bytes.push(END_OF_RULES);
    optional(&mut bytes, parts.body);
    for name in &policy.headers {
        let mut values = headers.get_all(name).iter().peekable();
        if values.peek().is_none() {
            optional(&mut bytes, None);
            continue;
        }
        let joined = values.map(http::HeaderValue::as_bytes).collect::<Vec<_>>().join(&b", "[..]);
        optional(&mut bytes, Some(&joined));
    }
    for name in &policy.cookies {
        optional(&mut bytes, cookie(headers, name));
    }
    Key::new(seed, &bytes)
}

/// The key that a request leads to by these rules. `query`: as keyed; `headers`: as sent on; `body`: see [`Parts`].
pub fn of(
    seed: u64,
    facts: &RequestFacts<'_>,
    query: Option<&str>,
    resolved: &Resolved,
    headers: &HeaderMap,
    body: Option<&[u8]>,
) -> Key {
    let policy = &resolved.policy;
    let parts = Parts {
        scheme: facts.scheme,
        host: facts.host,
        path: facts.path,
        query,
        origin: &policy.origin,
        rule_bits: &resolved.key_bits,
        body,
    };
    build(seed, &parts, &policy.key, headers)
}

/// The first cookie of that name (RFC 6265 §5.4 leaves the order to the client; servers take the first).
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    cookies(headers).find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

/// All cookies, each as `name=value`, in order.
pub fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(COOKIE).iter();
    lines.flat_map(|line| line.as_bytes().split(|b| *b == b';')).map(<[u8]>::trim_ascii)
}

/// What stands before the `=` of a `name=value`.
pub fn cookie_name(pair: &[u8]) -> &[u8] {
    pair.split(|b| *b == b'=').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::key::Usual;

    fn parts() -> Parts<'static> {
        Parts {
            scheme: "http",
            host: "a.example",
            path: "/x",
            query: None,
            origin: "app",
            rule_bits: &[],
            body: None,
        }
    }

    #[test]
    fn every_part_counts_and_none_can_imitate_another() {
        let policy =
            KeyPolicy { headers: vec![http::HeaderName::from_static("x-tenant")], ..Default::default() };
        let none = HeaderMap::new();
        let mut tenant = HeaderMap::new();
        tenant.insert("x-tenant", http::HeaderValue::from_static("b"));
        let mut empty = HeaderMap::new();
        empty.insert("x-tenant", http::HeaderValue::from_static(""));
        let all = [
            build(1, &parts(), &policy, &none),
            build(1, &parts(), &policy, &tenant),
            build(1, &parts(), &policy, &empty),
            build(1, &Parts { scheme: "https", ..parts() }, &policy, &none),
            build(1, &Parts { host: "a.exampl", path: "e/x", ..parts() }, &policy, &none),
            build(1, &Parts { query: Some(""), ..parts() }, &policy, &none),
            build(1, &Parts { path: "/x?", ..parts() }, &policy, &none),
            build(1, &Parts { origin: "ap", ..parts() }, &policy, &none),
            build(1, &Parts { rule_bits: &[1], ..parts() }, &policy, &none),
            build(1, &Parts { body: Some(b""), ..parts() }, &policy, &none),
        ];
        for (i, a) in all.iter().enumerate() {
            for (j, b) in all.iter().enumerate() {
                assert_eq!(a == b, i == j, "{i} {j}");
            }
        }
    }

    #[test]
    fn what_is_made_of_place_and_origin_alone_is_not_kept_beside_the_entry() {
        let none = HeaderMap::new();
        let plain = KeyPolicy::default();
        let usual = Usual { scheme: "http", authority: "a.example", url: "/x", origin: "app" };
        assert!(usual.is(&build(1, &parts(), &plain, &none)));
        let query = Parts { query: Some("b=1&a=?"), ..parts() };
        assert!(Usual { url: "/x?b=1&a=?", ..usual }.is(&build(1, &query, &plain, &none)));
        let policy = KeyPolicy { headers: vec![http::HeaderName::from_static("x-tenant")], ..plain };
        assert!(!usual.is(&build(1, &parts(), &policy, &none)));
        assert!(!usual.is(&build(1, &Parts { rule_bits: &[1], ..parts() }, &KeyPolicy::default(), &none)));
    }

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, http::HeaderValue::from_static("xsid=1; sid=2;a=b"));
        headers.append(COOKIE, http::HeaderValue::from_static("sid=3"));
        assert_eq!(cookie(&headers, "sid"), Some(&b"2"[..]));
        assert_eq!(cookie(&headers, "a"), Some(&b"b"[..]));
        assert_eq!(cookie(&headers, "si"), None);
    }
}
