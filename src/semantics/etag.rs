//! Entity tags (RFC 9110 §8.8.3): what is one, strong and weak comparison (§8.8.3.2), and the lists of
//! `If-None-Match` (§13.1.2).
//!
//! Origins also send things that are no entity tag: `abc` without quotes, `w/"abc"`, tags with a space. They
//! know their own work when it comes back byte for byte, so such a value is kept as an *odd* tag: it equals only
//! itself, never counts as strong, and is sent as it came. What can't travel in a list without being taken for
//! something else (`*`, a comma outside quotes, a single quote mark) is no validator at all.

use super::fields::Lookup;
use http::header::ETAG;

/// A parsed entity tag; `opaque` keeps the quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityTag<'a> {
    pub weak: bool,
    pub opaque: &'a [u8],
}

impl<'a> EntityTag<'a> {
    /// `None` when it is no entity-tag. The `W` is case-sensitive; the opaque part is any of `!`, `#` to `~`
    /// and the bytes above ASCII, between quotes: no space, no escape (RFC 9110 §8.8.3).
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let (weak, opaque) = match value.strip_prefix(b"W/") {
            Some(rest) => (true, rest),
            None => (false, value),
        };
        let inside = opaque.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        inside.iter().all(|b| matches!(b, 0x21 | 0x23..=0x7e | 0x80..)).then_some(Self { weak, opaque })
    }
    pub fn strong_eq(&self, other: &EntityTag<'_>) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }
    pub fn weak_eq(&self, other: &EntityTag<'_>) -> bool {
        self.opaque == other.opaque
    }
}

/// The value of an `ETag` field, or a member of `If-None-Match`, as a validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag<'a> {
    Entity(EntityTag<'a>),
    /// Not an entity tag by the grammar: equal only to the same bytes, and never strong.
    Odd(&'a [u8]),
}

impl<'a> Tag<'a> {
    /// `None` for what can't be one member of a list: empty, `*`, or an odd tag with a comma or an odd number
    /// of quote marks.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let value = value.trim_ascii();
        if let Some(tag) = EntityTag::parse(value) {
            return Some(Self::Entity(tag));
        }
        let quotes = value.iter().filter(|b| **b == b'"').count();
        let travels =
            !value.is_empty() && value != b"*" && !value.contains(&b',') && quotes.is_multiple_of(2);
        travels.then_some(Self::Odd(value))
    }

    /// The `ETag` of a message. `None` also when there are several that differ: nobody can say which is meant.
    pub fn of(headers: &'a impl Lookup) -> Option<Self> {
        let mut lines = headers.values(&ETAG);
        let first = lines.next()?;
        if lines.any(|other| other != first) {
            return None;
        }
        Self::parse(first)
    }

    /// RFC 9110 §8.8.3.2.
    pub fn strong_eq(&self, other: &Tag<'_>) -> bool {
        matches!((self, other), (Tag::Entity(a), Tag::Entity(b)) if a.strong_eq(b))
    }

    /// RFC 9110 §8.8.3.2; odd tags byte for byte.
    pub fn weak_eq(&self, other: &Tag<'_>) -> bool {
        match (self, other) {
            (Tag::Entity(a), Tag::Entity(b)) => a.weak_eq(b),
            (Tag::Odd(a), Tag::Odd(b)) => a == b,
            _ => false,
        }
    }

    pub const fn is_strong(&self) -> bool {
        matches!(self, Tag::Entity(tag) if !tag.weak)
    }
}

/// The members of a comma-separated list, without white space around them and without empty ones (RFC 9110
/// §5.6.1.2). Commas between quote marks don't separate: `"a,b"` is one tag.
pub fn members(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    list.split(move |b| {
        quoted ^= *b == b'"';
        *b == b',' && !quoted
    })
    .map(<[u8]>::trim_ascii)
    .filter(|member| !member.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue};
    use proptest::prelude::*;

    #[test]
    fn rfc9110_8_8_3_what_is_an_entity_tag() {
        /// A value; is it weak, and its opaque part.
        type Case = (&'static [u8], Option<(bool, &'static [u8])>);
        let cases: [Case; 20] = [
            (b"\"xyzzy\"", Some((false, b"\"xyzzy\""))),
            (b"W/\"xyzzy\"", Some((true, b"\"xyzzy\""))),
            (b"\"\"", Some((false, b"\"\""))),
            (b"W/\"\"", Some((true, b"\"\""))),
            (b"\"a,b\"", Some((false, b"\"a,b\""))),
            (b"\"a\\b\"", Some((false, b"\"a\\b\""))),
            (b"\"*\"", Some((false, b"\"*\""))),
            (b"\"abcdef\xc3\xbc\"", Some((false, b"\"abcdef\xc3\xbc\""))),
            (b"w/\"xyzzy\"", None),
            (b"W\"xyzzy\"", None),
            (b"W\\\"xyzzy\"", None),
            (b"W/ \"xyzzy\"", None),
            (b"xyzzy", None),
            (b"\"a b\"", None),
            (b"\"a\"b\"", None),
            (b"\"a\x7f\"", None),
            (b"\"", None),
            (b"W/\"", None),
            (b"*", None),
            (b"", None),
        ];
        for (value, expected) in cases {
            let parsed = EntityTag::parse(value).map(|t| (t.weak, t.opaque));
            assert_eq!(parsed, expected, "{}", value.escape_ascii());
        }
    }

    #[test]
    fn rfc9110_8_8_3_2_the_table_of_comparisons() {
        let cases: [(&[u8], &[u8], bool, bool); 7] = [
            (b"W/\"1\"", b"W/\"1\"", false, true),
            (b"W/\"1\"", b"W/\"2\"", false, false),
            (b"W/\"1\"", b"\"1\"", false, true),
            (b"\"1\"", b"\"1\"", true, true),
            (b"\"a\"", b"\"A\"", false, false),
            (b"odd", b"odd", false, true),
            (b"odd", b"\"odd\"", false, false),
        ];
        for (a, b, strong, weak) in cases {
            let (a, b) = (Tag::parse(a).unwrap(), Tag::parse(b).unwrap());
            assert_eq!((a.strong_eq(&b), a.weak_eq(&b)), (strong, weak), "{a:?} {b:?}");
            assert_eq!((b.strong_eq(&a), b.weak_eq(&a)), (strong, weak), "{b:?} {a:?}");
        }
    }

    #[test]
    fn odd_tags_that_a_list_would_change_the_meaning_of_are_no_validators() {
        for value in ["*", "", " ", "a,b", "\"a", "a\"b", "W/\"a\", \"b\""] {
            assert_eq!(Tag::parse(value.as_bytes()), None, "{value}");
        }
        for value in ["abc", "w/\"abc\"", "W\"abc\"", "\"a b\""] {
            assert_eq!(Tag::parse(value.as_bytes()), Some(Tag::Odd(value.as_bytes())), "{value}");
        }
    }

    #[test]
    fn rfc9110_8_8_3_etag_is_a_single_field() {
        let mut headers = HeaderMap::new();
        assert_eq!(Tag::of(&headers), None);
        headers.append(ETAG, HeaderValue::from_static("\"a\""));
        headers.append(ETAG, HeaderValue::from_static("\"a\""));
        assert_eq!(Tag::of(&headers), Tag::parse(b"\"a\""), "the same one twice is one");
        headers.append(ETAG, HeaderValue::from_static("\"b\""));
        assert_eq!(Tag::of(&headers), None, "two that differ are none");
    }

    #[test]
    fn rfc9110_5_6_1_list_members() {
        let split = |list: &'static str| members(list.as_bytes()).collect::<Vec<_>>();
        assert_eq!(split(" \"a\" ,W/\"b\",, \t\"c,d\","), [&b"\"a\""[..], b"W/\"b\"", b"\"c,d\""]);
        assert!(split(" , ,").is_empty());
        assert_eq!(split("\"a, \"b\""), [&b"\"a, \"b\""[..]], "a quote left open swallows the rest");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = EntityTag::parse(&bytes);
            let _ = Tag::parse(&bytes);
            for member in members(&bytes) {
                prop_assert!(!member.is_empty());
            }
        }

        #[test]
        fn a_tag_survives_a_list(tags in proptest::collection::vec("(W/)?\"[!#-~]{0,8}\"", 1..8)) {
            let list = tags.join(", ");
            let back: Vec<&[u8]> = members(list.as_bytes()).collect();
            prop_assert_eq!(back, tags.iter().map(|t| t.as_bytes()).collect::<Vec<_>>());
        }
    }
}
