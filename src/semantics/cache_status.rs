//! `Cache-Status` (RFC 9211): how one response was handled, in words that a person and a program can read.
//!
//! The field is a structured list; its first member is the cache closest to the origin, its last the one
//! closest to the user, so ours is appended to what came from upstream. Written as `larder; hit; ttl=376`:
//! a blank after each semicolon, which every parser of structured fields takes (RFC 9651 §4.2.3.2).
//!
//! What is left out is left out on purpose. `hit` excludes `fwd` (§2.1), and `fwd-status`, `stored` and
//! `collapsed` mean something beside `fwd` only (§2.3, §2.5, §2.6).

use super::cache_control::is_tchar;
use http::HeaderValue;
use std::fmt::Write;

/// Why a request went forward, most specific known (RFC 9211 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Forward {
    Bypass,
    Method,
    UriMiss,
    VaryMiss,
    Miss,
    Request,
    Stale,
    Partial,
}

impl Forward {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::Partial => "partial",
        }
    }
}

/// Whether coalescing was tried, and with what result (RFC 9211 §2.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Collapsed {
    #[default]
    NotTried,
    Yes,
    No,
}

/// This cache's member of the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// `None` = `hit`.
    pub forward: Option<Forward>,
    pub forward_status: Option<u16>,
    /// Seconds, negative when stale.
    pub ttl: Option<i64>,
    pub stored: bool,
    pub collapsed: Collapsed,
    /// Only for callers who may see it.
    pub key: Option<String>,
    /// A token: one of the words this product uses for reasons.
    pub detail: Option<&'static str>,
}

impl Member {
    /// `name; hit; ttl=376`; `name` is `server.name` (a token if it is one, else a quoted string).
    pub fn to_value(&self, name: &str) -> HeaderValue {
        let mut text = String::with_capacity(64);
        push_token_or_string(&mut text, name);
        match self.forward {
            None => text.push_str("; hit"),
            Some(reason) => self.push_forward(&mut text, reason),
        }
        // Writing to a `String` can't fail.
        if let Some(ttl) = self.ttl {
            let _ = write!(text, "; ttl={}", ttl.clamp(-MAX_INTEGER, MAX_INTEGER));
        }
        if let Some(key) = &self.key {
            text.push_str("; key=");
            push_string(&mut text, key);
        }
        if let Some(detail) = self.detail {
            text.push_str("; detail=");
            push_token_or_string(&mut text, detail);
        }
        // Only visible ASCII and blanks have been written, which a field value always takes.
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("larder"))
    }

    fn push_forward(&self, text: &mut String, reason: Forward) {
        text.push_str("; fwd=");
        text.push_str(reason.as_str());
        if let Some(status) = self.forward_status {
            let _ = write!(text, "; fwd-status={status}");
        }
        if self.stored {
            text.push_str("; stored");
        }
        match self.collapsed {
            Collapsed::NotTried => {}
            Collapsed::Yes => text.push_str("; collapsed"),
            Collapsed::No => text.push_str("; collapsed=?0"),
        }
    }
}

/// The largest Integer of structured fields: fifteen digits (RFC 9651 §3.3.1).
const MAX_INTEGER: i64 = 999_999_999_999_999;

/// A Token (RFC 9651 §3.3.4) where `value` is one, else a String.
fn push_token_or_string(text: &mut String, value: &str) {
    let starts_well = value.starts_with(|first: char| first.is_ascii_alphabetic() || first == '*');
    let is_token = value.bytes().all(|byte| is_tchar(byte) || matches!(byte, b':' | b'/'));
    if starts_well && is_token { text.push_str(value) } else { push_string(text, value) }
}

/// A String (RFC 9651 §3.3.3). It holds printable ASCII only; other bytes are percent-encoded, as in a URL.
fn push_string(text: &mut String, value: &str) {
    text.push('"');
    for byte in value.bytes() {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => {
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use sfv::{BareItem, List, ListEntry, Parser};

    fn text(member: &Member) -> String {
        member.to_value("larder").to_str().unwrap().to_owned()
    }

    fn forward(reason: Forward) -> Member {
        Member { forward: Some(reason), ..Member::default() }
    }

    #[test]
    fn rfc9211_2_one_member_for_each_way_of_answering() {
        for (member, expected) in [
            (Member { ttl: Some(376), ..Member::default() }, "larder; hit; ttl=376"),
            (
                Member { ttl: Some(-3), detail: Some("stale-while-revalidate"), ..Member::default() },
                "larder; hit; ttl=-3; detail=stale-while-revalidate",
            ),
            (Member::default(), "larder; hit"),
            (
                Member {
                    forward_status: Some(503),
                    ttl: Some(-40),
                    detail: Some("stale-if-error"),
                    ..forward(Forward::Stale)
                },
                "larder; fwd=stale; fwd-status=503; ttl=-40; detail=stale-if-error",
            ),
            (
                Member { stored: true, ttl: Some(60), ..forward(Forward::UriMiss) },
                "larder; fwd=uri-miss; stored; ttl=60",
            ),
            (forward(Forward::UriMiss), "larder; fwd=uri-miss"),
            (Member { stored: true, ..forward(Forward::VaryMiss) }, "larder; fwd=vary-miss; stored"),
            (
                Member { collapsed: Collapsed::Yes, ..forward(Forward::UriMiss) },
                "larder; fwd=uri-miss; collapsed",
            ),
            (
                Member { collapsed: Collapsed::No, ..forward(Forward::UriMiss) },
                "larder; fwd=uri-miss; collapsed=?0",
            ),
            (
                Member { forward_status: Some(304), stored: true, ttl: Some(60), ..forward(Forward::Stale) },
                "larder; fwd=stale; fwd-status=304; stored; ttl=60",
            ),
            (
                Member { forward_status: Some(206), ..forward(Forward::Partial) },
                "larder; fwd=partial; fwd-status=206",
            ),
            (forward(Forward::Method), "larder; fwd=method"),
            (forward(Forward::Bypass), "larder; fwd=bypass"),
            (forward(Forward::Miss), "larder; fwd=miss"),
            (
                Member { forward_status: Some(304), ..forward(Forward::Request) },
                "larder; fwd=request; fwd-status=304",
            ),
            (
                Member {
                    forward_status: Some(200),
                    ttl: Some(0),
                    stored: true,
                    collapsed: Collapsed::No,
                    key: Some("k".to_owned()),
                    detail: Some("d"),
                    ..forward(Forward::Stale)
                },
                "larder; fwd=stale; fwd-status=200; stored; collapsed=?0; ttl=0; key=\"k\"; detail=d",
            ),
        ] {
            assert_eq!(text(&member), expected);
        }
    }

    #[test]
    fn rfc9211_2_1_what_needs_fwd_is_not_sent_beside_hit() {
        let member = Member {
            forward: None,
            forward_status: Some(200),
            stored: true,
            collapsed: Collapsed::Yes,
            ..Member::default()
        };
        assert_eq!(text(&member), "larder; hit");
    }

    #[test]
    fn rfc9211_2_the_name_is_a_token_or_a_string() {
        for (name, expected) in [
            ("larder", "larder; hit"),
            ("edge-1.example.com:443", "edge-1.example.com:443; hit"),
            ("*", "*; hit"),
            ("1st", "\"1st\"; hit"),
            ("my edge", "\"my edge\"; hit"),
            ("a\"b\\c", "\"a\\\"b\\\\c\"; hit"),
            ("caf\u{e9}", "\"caf%C3%A9\"; hit"),
            ("", "\"\"; hit"),
            ("a;b", "\"a;b\"; hit"),
        ] {
            assert_eq!(Member::default().to_value(name).to_str().unwrap(), expected);
        }
    }

    #[test]
    fn rfc9651_3_3_1_ttl_stays_within_fifteen_digits() {
        let ttl = |ttl| text(&Member { ttl: Some(ttl), ..Member::default() });
        assert_eq!(ttl(i64::MAX), "larder; hit; ttl=999999999999999");
        assert_eq!(ttl(i64::MIN), "larder; hit; ttl=-999999999999999");
    }

    proptest::proptest! {
        #[test]
        fn every_member_is_a_structured_list_that_says_what_was_put_in(
            name: String,
            key: String,
            ttl: i64,
            status: u16,
            stored: bool,
            hit: bool,
        ) {
            let member = Member {
                forward: (!hit).then_some(Forward::Stale),
                forward_status: Some(status),
                ttl: Some(ttl),
                stored,
                collapsed: Collapsed::No,
                key: Some(key),
                detail: Some("stale-if-error"),
            };
            let value = member.to_value(&name);
            let list: List = Parser::new(value.as_bytes()).parse().unwrap();
            let [ListEntry::Item(item)] = &list[..] else { panic!("{value:?}") };
            proptest::prop_assert_eq!(item.params.get("hit").is_some(), hit);
            proptest::prop_assert_eq!(item.params.get("fwd").is_some(), !hit);
            proptest::prop_assert_eq!(item.params.get("stored").is_some(), stored && !hit);
            proptest::prop_assert!(matches!(item.params.get("key"), Some(BareItem::String(_))));
        }
    }
}
