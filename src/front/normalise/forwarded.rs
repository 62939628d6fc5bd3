//! Who the client is and what it asked for, according to proxies in front of us (RFC 7239, and the older
//! `X-Forwarded-*`). Only read when the peer is trusted (`server.trusted_proxies`).
//!
//! Both families are lists to which each proxy adds at the right, so they are walked from the right: the
//! peer vouches for the last entry; if that entry is itself a trusted proxy, it vouches for the one before,
//! and so on. The first address that is not trusted is the client. Anything further left was written by the
//! client and is worth nothing.
//!
//! Only one family is believed. If any of `X-Forwarded-For`, `-Proto`, `-Host` is there, `Forwarded` is not
//! read: a proxy that speaks one family usually lets the other pass from the client untouched.

use super::Scheme;
use crate::semantics::fields::text;
use http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// What the proxies in front of us say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    pub client: IpAddr,
    pub scheme: Option<Scheme>,
    /// As written; the caller checks and normalises it.
    pub host: Option<String>,
}

/// The fields of a message, parsed to a map or not.
pub trait Fields {
    /// Hands out each value of the field, in order.
    fn each<'s>(&'s self, name: &HeaderName, to: &mut dyn FnMut(&'s [u8]));
}

impl Fields for HeaderMap {
    fn each<'s>(&'s self, name: &HeaderName, to: &mut dyn FnMut(&'s [u8])) {
        self.get_all(name).iter().for_each(|value| to(value.as_bytes()));
    }
}

/// What most requests need room for.
type Members<'a> = SmallVec<[&'a str; 4]>;

/// Whether an address is in one of the networks. IPv4 in IPv6's clothes is IPv4.
pub fn contains(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|net| net.contains(&address))
}

/// `peer` is in `trusted`; who is behind it?
pub fn resolve(headers: &impl Fields, peer: IpAddr, trusted: &[IpNet]) -> Claims {
    let has = |name: &HeaderName| {
        let mut found = false;
        headers.each(name, &mut |_| found = true);
        found
    };
    if has(&X_FORWARDED_FOR) || has(&X_FORWARDED_PROTO) || has(&X_FORWARDED_HOST) {
        from_x_forwarded(headers, peer, trusted)
    } else {
        from_forwarded(headers, peer, trusted)
    }
}

fn from_x_forwarded(headers: &impl Fields, peer: IpAddr, trusted: &[IpNet]) -> Claims {
    let chain = members(headers, &X_FORWARDED_FOR);
    let mut client = peer;
    let mut chosen = None;
    for (at, member) in chain.iter().enumerate().rev() {
        // Garbage or `unknown`: nobody vouches for anything further left.
        let Some(address) = parse_node(member) else { break };
        client = address;
        chosen = Some(at);
        if !contains(trusted, address) {
            break;
        }
    }
    // Proxies that append to `-For` usually replace the other two; where one has as many members as the
    // chain, the member that goes with the client is its own. Otherwise only the last has a known author.
    let matching = |name| {
        let list = members(headers, &name);
        let at = chosen.filter(|_| list.len() == chain.len()).or_else(|| list.len().checked_sub(1));
        at.and_then(|at| list.get(at).map(|v| (*v).to_owned()))
    };
    let scheme = matching(X_FORWARDED_PROTO).and_then(|p| Scheme::parse(&p));
    Claims { client, scheme, host: matching(X_FORWARDED_HOST) }
}

fn from_forwarded(headers: &impl Fields, peer: IpAddr, trusted: &[IpNet]) -> Claims {
    let mut claims = Claims { client: peer, scheme: None, host: None };
    let mut elements = Vec::new();
    let mut well = true;
    headers.each(&header::FORWARDED, &mut |line| match text(line).and_then(parse_forwarded) {
        Some(parsed) => elements.extend(parsed),
        None => well = false,
    });
    // One malformed line makes the order of the chain unknown.
    if !well {
        return claims;
    }
    for element in elements.into_iter().rev() {
        claims.scheme = element.proto.and_then(|p| Scheme::parse(&p));
        claims.host = element.host.map(Cow::into_owned);
        // `unknown` and obfuscated identifiers (RFC 7239 §6.2, §6.3) end the walk.
        let Some(address) = element.node.and_then(|n| parse_node(&n)) else { break };
        claims.client = address;
        if !contains(trusted, address) {
            break;
        }
    }
    claims
}

/// All members of a comma-separated field, over all of its lines, in order, white space trimmed. A line
/// that is not ASCII counts as one member that no parser accepts.
fn members<'a>(headers: &'a impl Fields, name: &HeaderName) -> Members<'a> {
    let mut members = Members::new();
    headers.each(name, &mut |line| members.extend(text(line).unwrap_or("?").split(',').map(str::trim)));
    members
}

/// An address, with or without a port; IPv6 with or without brackets.
fn parse_node(node: &str) -> Option<IpAddr> {
    let bare = node.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(node);
    bare.parse::<IpAddr>()
        .or_else(|_| node.parse::<SocketAddr>().map(|a| a.ip()))
        .ok()
        .map(|address| address.to_canonical())
}

#[derive(Debug, Default)]
struct Element<'a> {
    node: Option<Cow<'a, str>>,
    host: Option<Cow<'a, str>>,
    proto: Option<Cow<'a, str>>,
}

/// RFC 7239 §4. `None` when it is not well-formed, or a parameter occurs twice in one element.
fn parse_forwarded(line: &str) -> Option<Vec<Element<'_>>> {
    let mut elements = Vec::new();
    let mut current = Element::default();
    let mut rest = line;
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        if !rest.starts_with([';', ',']) && !rest.is_empty() {
            let (name, tail) = rest.split_once('=')?;
            let (value, tail) = parse_value(tail)?;
            let slot = match name {
                n if n.eq_ignore_ascii_case("for") => Some(&mut current.node),
                n if n.eq_ignore_ascii_case("host") => Some(&mut current.host),
                n if n.eq_ignore_ascii_case("proto") => Some(&mut current.proto),
                n if is_token(n) => None,
                _ => return None,
            };
            if let Some(slot) = slot
                && slot.replace(value).is_some()
            {
                return None;
            }
            rest = tail.trim_start_matches([' ', '\t']);
        }
        match rest.split_at_checked(1) {
            None => break,
            Some((";", tail)) => rest = tail,
            Some((",", tail)) => {
                elements.push(std::mem::take(&mut current));
                rest = tail;
            }
            Some(_) => return None,
        }
    }
    elements.push(current);
    Some(elements)
}

/// A token or a quoted string, and what follows it.
fn parse_value(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',', ' ', '\t']).unwrap_or(text.len());
        let (value, rest) = text.split_at_checked(end)?;
        return is_token(value).then_some((Cow::Borrowed(value), rest));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((Cow::Owned(value), quoted.get(at + 1..)?)),
            '\\' => value.push(chars.next()?.1),
            c => value.push(c),
        }
    }
    None
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Our own element: the client, the host and the scheme that we decided on.
pub fn element(client: &str, host: &str, scheme: Scheme) -> String {
    let quote = if host.contains([':', '[']) { "\"" } else { "" };
    let (open, close) = if client.contains(':') { ("\"[", "]\"") } else { ("", "") };
    let scheme = scheme.as_str();
    ["for=", open, client, close, ";host=", quote, host, quote, ";proto=", scheme].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    #[test]
    fn the_chain_is_walked_from_the_right_to_the_first_untrusted_address() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let peer: IpAddr = "10.0.0.1".parse().unwrap();
        type Case<'a> = (&'a [(&'static str, &'a str)], &'a str, Option<Scheme>, Option<&'a str>);
        let cases: &[Case<'_>] = &[
            (&[], "10.0.0.1", None, None),
            (&[("x-forwarded-for", "6.6.6.6, 1.2.3.4")], "1.2.3.4", None, None),
            (&[("x-forwarded-for", "6.6.6.6, 1.2.3.4, 10.0.0.9")], "1.2.3.4", None, None),
            (&[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "1.2.3.4")], "1.2.3.4", None, None),
            (&[("x-forwarded-for", "10.0.0.7, 10.0.0.9")], "10.0.0.7", None, None),
            (&[("x-forwarded-for", "6.6.6.6, evil, 10.0.0.9")], "10.0.0.9", None, None),
            (&[("x-forwarded-for", "unknown")], "10.0.0.1", None, None),
            (&[("x-forwarded-for", "1.2.3.4:5678")], "1.2.3.4", None, None),
            (&[("x-forwarded-for", "[2001:db8::1]:80")], "2001:db8::1", None, None),
            (&[("x-forwarded-for", "::ffff:1.2.3.4")], "1.2.3.4", None, None),
            (
                &[
                    ("x-forwarded-for", "1.2.3.4, 10.0.0.9"),
                    ("x-forwarded-proto", "https, http"),
                    ("x-forwarded-host", "a.com, b.com"),
                ],
                "1.2.3.4",
                Some(Scheme::Https),
                Some("a.com"),
            ),
            (
                &[("x-forwarded-for", "6.6.6.6, 1.2.3.4"), ("x-forwarded-proto", "http, https")],
                "1.2.3.4",
                Some(Scheme::Https),
                None,
            ),
            (&[("x-forwarded-proto", "https")], "10.0.0.1", Some(Scheme::Https), None),
            (&[("x-forwarded-proto", "gopher")], "10.0.0.1", None, None),
            (
                &[("x-forwarded-for", "1.2.3.4"), ("forwarded", "for=6.6.6.6;host=evil")],
                "1.2.3.4",
                None,
                None,
            ),
            (
                &[(
                    "forwarded",
                    "for=6.6.6.6;host=evil, For=\"[2001:db8::2]:4711\";proto=https;host=\"a.com:81\"",
                )],
                "2001:db8::2",
                Some(Scheme::Https),
                Some("a.com:81"),
            ),
            (
                &[("forwarded", "for=1.2.3.4;proto=https;host=a.com, for=10.0.0.9;proto=http;host=b.com")],
                "1.2.3.4",
                Some(Scheme::Https),
                Some("a.com"),
            ),
            (&[("forwarded", "for=_hidden;proto=https")], "10.0.0.1", Some(Scheme::Https), None),
            (&[("forwarded", "for=1.2.3.4;for=5.6.7.8")], "10.0.0.1", None, None),
            (&[("forwarded", "for=\"1.2.3.4")], "10.0.0.1", None, None),
            (&[("forwarded", "for=1.2.3.4 proto=https")], "10.0.0.1", None, None),
            (&[("forwarded", "for=1.2.3.4"), ("forwarded", ",;;, for=10.2.2.2")], "10.2.2.2", None, None),
        ];
        for (lines, client, scheme, host) in cases {
            let claims = resolve(&headers(lines), peer, &trusted);
            let expected =
                Claims { client: client.parse().unwrap(), scheme: *scheme, host: host.map(str::to_owned) };
            assert_eq!(claims, expected, "{lines:?}");
        }
    }

    #[test]
    fn our_own_element_can_be_read_back() {
        for (client, host) in [("1.2.3.4", "a.com"), ("2001:db8::1", "a.com:81"), ("::1", "[::1]")] {
            let line = element(client, host, Scheme::Https);
            let client: IpAddr = client.parse().unwrap();
            let parsed = parse_forwarded(&line).unwrap();
            assert_eq!(parsed.len(), 1, "{line}");
            assert_eq!(parse_node(parsed[0].node.as_deref().unwrap()), Some(client), "{line}");
            assert_eq!(parsed[0].host.as_deref(), Some(host), "{line}");
            assert_eq!(parsed[0].proto.as_deref(), Some("https"), "{line}");
        }
    }
}
