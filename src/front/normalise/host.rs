//! The authority of a request in one spelling (RFC 9110 §4.2.3, §7.2; standards.md §8.1 "host in key").
//! What comes out of here is keyed, matched and forwarded, so that no two of these can disagree.

use super::Scheme;
use std::net::Ipv6Addr;

/// A DNS name has at most 253 characters (RFC 1035 §2.3.4, without the root's dot).
const NAME_MAX: usize = 253;

/// Lower-case, without a trailing dot, without the default port of `scheme`. `None` when it is no host that
/// a reverse proxy serves: user information, a comma, a space, an empty label, a port that is none.
///
/// Stricter than RFC 3986's `reg-name`, which allows sub-delimiters and percent-encoding: no name that
/// resolves has them, and they are what routing and cache-poisoning tricks are made of.
pub fn canonical(authority: &str, scheme: Scheme) -> Option<String> {
    let (name, port) = split(authority)?;
    let mut host = if let Some(inner) = name.strip_prefix('[') {
        let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
        format!("[{address}]")
    } else {
        let name = name.strip_suffix('.').unwrap_or(name);
        if !is_name(name) {
            return None;
        }
        name.to_ascii_lowercase()
    };
    if let Some(port) = parse_port(port)?
        && port != scheme.default_port()
    {
        host.push(':');
        host.push_str(&port.to_string());
    }
    Some(host)
}

/// The host without its port; the brackets of an IPv6 address stay.
pub fn name_of(host: &str) -> &str {
    split(host).map_or(host, |(name, _)| name)
}

/// Whether `Host` and `:authority` mean the same (RFC 9113 §8.3.1): a server cannot tell which of two
/// different ones the next hop would believe.
pub fn same(a: &str, b: &str, scheme: Scheme) -> bool {
    match (canonical(a, scheme), canonical(b, scheme)) {
        (Some(a), Some(b)) => a == b,
        _ => false,
    }
}

fn split(authority: &str) -> Option<(&str, Option<&str>)> {
    // The colon of a port comes after the bracket of an IPv6 address.
    let start = authority.find(']').unwrap_or_default();
    let tail = authority.get(start..)?;
    match tail.find(':') {
        Some(colon) => {
            let colon = start + colon;
            Some((authority.get(..colon)?, authority.get(colon + 1..)))
        }
        None => Some((authority, None)),
    }
}

/// `Some(None)`: no port given (an empty one counts as none, RFC 3986 §3.2.3). `None`: no port at all.
fn parse_port(port: Option<&str>) -> Option<Option<u16>> {
    let Some(digits) = port.filter(|p| !p.is_empty()) else { return Some(None) };
    if digits.len() > 5 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u16>().ok().filter(|&p| p != 0).map(Some)
}

fn is_name(name: &str) -> bool {
    name.len() <= NAME_MAX
        && name.split('.').all(|label| {
            !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_for_one_authority() {
        use Scheme::{Http, Https};
        let cases = [
            ("EX.com", Http, Some("ex.com")),
            ("ex.com.", Http, Some("ex.com")),
            ("EX.com:443", Https, Some("ex.com")),
            ("EX.com:443", Http, Some("ex.com:443")),
            ("ex.com:80", Http, Some("ex.com")),
            ("ex.com.:080", Http, Some("ex.com")),
            ("ex.com:", Http, Some("ex.com")),
            ("ex.com:8080", Http, Some("ex.com:8080")),
            ("10.0.0.1:81", Http, Some("10.0.0.1:81")),
            ("[::1]:80", Http, Some("[::1]")),
            ("[2001:DB8:0::1]:8443", Https, Some("[2001:db8::1]:8443")),
            ("a_b.ex-1.com", Http, Some("a_b.ex-1.com")),
            ("", Http, None),
            (".", Http, None),
            ("ex.com..", Http, None),
            (".ex.com", Http, None),
            ("a..b", Http, None),
            ("a@b", Http, None),
            ("a/b", Http, None),
            ("a,b", Http, None),
            ("a b", Http, None),
            ("a\tb", Http, None),
            ("a%00b", Http, None),
            ("[::1", Http, None),
            ("[::1]x", Http, None),
            ("[::1%25eth0]", Http, None),
            ("::1", Http, None),
            ("ex.com:0", Http, None),
            ("ex.com:65536", Http, None),
            ("ex.com:+80", Http, None),
            ("ex.com:80:80", Http, None),
            ("ex.com:80@evil.com", Http, None),
            ("ex.com?x", Http, None),
            ("ex.com#x", Http, None),
            ("exämple.com", Http, None),
            ("*", Http, None),
        ];
        for (given, scheme, expected) in cases {
            assert_eq!(canonical(given, scheme).as_deref(), expected, "{given:?}");
        }
        assert_eq!(canonical(&"a.".repeat(127), Http).map(|h| h.len()), Some(253));
        assert_eq!(canonical(&"a.".repeat(128), Http), None, "longer than a DNS name");
    }
}
