//! Request targets and hosts (RFC 9112 §3.2, RFC 9110 §4.2, §7.2): which we take, and in which of the four
//! forms they came.
//!
//! Bytes: what [`http::Uri`] takes and nothing else, because `bodiless` and hyper build one after us, and a target that
//! we let pass and hyper refuses would be answered by it, without our Proxy-Status. That is RFC 3986 with the
//! additions of the WHATWG (`|`, `^`, `\`, `[`, `]`; quotes and braces in paths) that clients send unencoded.
//! Non-ASCII is refused although `Uri` would take UTF-8: whoever percent-encodes it makes another URL of it,
//! and so another key (standards.md §8.5).

use crate::front::refusal::Refusal;
use std::net::Ipv6Addr;

/// A DNS name has at most 253 characters (RFC 1035 §2.3.4), the root's dot not counted.
const NAME_MAX: usize = 253;

/// The form a target came in (RFC 9112 §3.2). There is no authority-form: that is CONNECT's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `/path?query`
    Origin,
    /// `http://host/path?query`; its authority replaces `Host` (RFC 9112 §3.2.2).
    Absolute,
    /// `*`, with OPTIONS only.
    Asterisk,
}

/// Judges a target. `tls`: whether the connection is, which an absolute target's scheme must agree with.
pub(super) fn form(method: &str, target: &str, tls: bool) -> Result<Form, Refusal> {
    if target.starts_with('/') {
        return path_and_query(target.as_bytes()).map(|()| Form::Origin);
    }
    if target == "*" {
        return if method == "OPTIONS" { Ok(Form::Asterisk) } else { Err(Refusal::BadTarget) };
    }
    absolute(target, tls).map(|()| Form::Absolute)
}

/// Whether it is `/path?query`, of bytes that are allowed in it.
pub(super) fn is_origin_form(target: &[u8]) -> bool {
    target.starts_with(b"/") && path_and_query(target).is_ok()
}

fn absolute(target: &str, tls: bool) -> Result<(), Refusal> {
    let Some((scheme, rest)) = target.split_once("://") else { return Err(Refusal::BadTarget) };
    if !scheme.eq_ignore_ascii_case(if tls { "https" } else { "http" }) {
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
        return Err(if is_scheme { Refusal::SchemeMismatch } else { Refusal::BadTarget });
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if !is_host(authority.as_bytes()) {
        return Err(Refusal::BadHost);
    }
    path_and_query(path.as_bytes())
}

/// Where a byte may stand in a target.
const NOWHERE: u8 = 0;
const IN_PATH: u8 = 1;
const IN_QUERY: u8 = 2;
const BYTES: [u8; 256] = {
    let mut table = [NOWHERE; 256];
    let mut i = 0;
    while i < 256 {
        table[i] = match i as u8 {
            b'"' => IN_PATH,
            b'?' | b'`' => IN_QUERY,
            0x21 | 0x24..=0x3B | 0x3D | 0x40..=0x7E => IN_PATH | IN_QUERY,
            _ => NOWHERE,
        };
        i += 1;
    }
    table
};

fn path_and_query(bytes: &[u8]) -> Result<(), Refusal> {
    let mut place = IN_PATH;
    for &byte in bytes {
        if byte == b'?' {
            place = IN_QUERY;
        }
        if BYTES.get(usize::from(byte)).is_none_or(|allowed| allowed & place == 0) {
            return Err(if byte == b'#' { Refusal::FragmentInTarget } else { Refusal::BadTarget });
        }
    }
    Ok(())
}

/// `host [ ":" port ]` of a name that can be served: letters, digits, `-`, `_` in non-empty labels, or an
/// IPv6 address in brackets. RFC 3986's `reg-name` would also allow sub-delimiters and percent-encoding; no
/// name that resolves has them, and they are what routing tricks are made of. Empty is none.
pub(super) fn is_host(authority: &[u8]) -> bool {
    if let Some(rest) = authority.strip_prefix(b"[") {
        let Some(end) = rest.iter().position(|&b| b == b']') else { return false };
        let (address, port) = rest.split_at(end);
        let address = std::str::from_utf8(address).ok().and_then(|a| a.parse::<Ipv6Addr>().ok());
        return address.is_some() && is_port(port.get(1..).unwrap_or_default());
    }
    let name = name_length(authority);
    name.is_some_and(|length| authority.get(length..).is_some_and(is_port))
}

/// What a byte is in a name.
const NOT_IN_NAME: u8 = 0;
const LABEL: u8 = 1;
const DOT: u8 = 2;
const NAME_BYTES: [u8; 256] = {
    let mut table = [NOT_IN_NAME; 256];
    let mut i = 0;
    while i < 256 {
        table[i] = match i as u8 {
            b'.' => DOT,
            b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => LABEL,
            _ => NOT_IN_NAME,
        };
        i += 1;
    }
    table
};

/// How long the name is with which an authority begins. `None`: it is none.
fn name_length(authority: &[u8]) -> Option<usize> {
    let mut length = 0_usize;
    let mut previous = DOT;
    for &byte in authority {
        let this = NAME_BYTES.get(usize::from(byte)).copied().unwrap_or(NOT_IN_NAME);
        if this == NOT_IN_NAME {
            break;
        }
        if this & previous & DOT != 0 {
            return None; // an empty label
        }
        previous = this;
        length += 1;
    }
    let without_root = if previous == DOT { length.checked_sub(1)? } else { length };
    (1..=NAME_MAX).contains(&without_root).then_some(length)
}

/// Nothing, a colon alone (RFC 3986 §3.2.3: an empty port), or a colon and a number from 1 to 65535.
fn is_port(port: &[u8]) -> bool {
    let Some(digits) = port.strip_prefix(b":") else { return port.is_empty() };
    if digits.len() > 5 || !digits.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let value = digits.iter().fold(0_u32, |value, digit| value * 10 + u32::from(digit - b'0'));
    digits.is_empty() || (1..=65_535).contains(&value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_judged_as_by_the_uri_type_that_hyper_builds() {
        for byte in 0x21..0x7F_u8 {
            for target in [vec![b'/', byte], vec![b'/', b'?', byte]] {
                let target = String::from_utf8(target).unwrap();
                let uri = target.parse::<http::Uri>().is_ok() && byte != b'#';
                assert_eq!(form("GET", &target, false).is_ok(), uri, "{target}");
            }
        }
        assert_eq!(form("GET", "/\u{e4}", false), Err(Refusal::BadTarget));
    }

    #[test]
    fn the_four_forms_rfc_9112_section_3_2() {
        use Refusal::{BadHost, BadTarget, FragmentInTarget, SchemeMismatch};
        for (method, target, tls, expected) in [
            ("GET", "/", false, Ok(Form::Origin)),
            ("GET", "//evil.com/%2e%2e?a=b?c", false, Ok(Form::Origin)),
            ("GET", "/a#b", false, Err(FragmentInTarget)),
            ("GET", "/?a#b", false, Err(FragmentInTarget)),
            ("GET", "/%zz%", false, Ok(Form::Origin)),
            ("OPTIONS", "*", false, Ok(Form::Asterisk)),
            ("GET", "*", false, Err(BadTarget)),
            ("GET", "http://a.example", false, Ok(Form::Absolute)),
            ("GET", "HTTP://a.example:8080?x", false, Ok(Form::Absolute)),
            ("GET", "https://a.example/x", true, Ok(Form::Absolute)),
            ("GET", "https://a.example/x", false, Err(SchemeMismatch)),
            ("GET", "http://a.example/x", true, Err(SchemeMismatch)),
            ("GET", "ftp://a.example/x", false, Err(SchemeMismatch)),
            ("GET", "http:///x", false, Err(BadHost)),
            ("GET", "http://u@a.example/x", false, Err(BadHost)),
            ("GET", "http://a.example/x#y", false, Err(FragmentInTarget)),
            ("GET", "a.example:443", false, Err(BadTarget)),
            ("GET", "index.html", false, Err(BadTarget)),
            ("GET", "?a", false, Err(BadTarget)),
        ] {
            assert_eq!(form(method, target, tls), expected, "{method} {target}");
            if expected.is_ok() {
                assert!(target.parse::<http::Uri>().is_ok(), "{target}");
            }
        }
    }

    #[test]
    fn hosts_rfc_9110_section_7_2() {
        for good in [
            "a",
            "A.b-c_d.example",
            "example.com.",
            "a:80",
            "a:",
            "127.0.0.1:1",
            "[::1]",
            "[2001:db8::1]:443",
        ] {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        let long = "a".repeat(254);
        for bad in [
            "",
            ".",
            "a..b",
            "a@b",
            "a/b",
            "a,b",
            "a b",
            "a?b",
            "a#b",
            "a\\b",
            "[::1",
            "::1",
            "[::1]x",
            "[::1]]",
            "[::1%25eth0]",
            "[]",
            "a:b",
            "a:0",
            "a:65536",
            "a:000080",
            "a:80:80",
            "a:+1",
            "%41",
            "\u{e4}",
            "a;b",
            "..",
            ":80",
            long.as_str(),
        ] {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
    }
}
