//! Tags of a response: the header fields of other products, and `Cache-Groups` (RFC 9875).
//!
//! A tag that is dropped is content which nobody can purge. So a response with more or longer tags than the limits
//! is passed on and not stored, instead of stored with some of its tags.

use http::{HeaderMap, HeaderName};
use sfv::{BareItem, List, ListEntry, Parser};
use std::collections::HashSet;

/// Distinct tags and groups of one response.
pub const MAX_TAGS: usize = 1024;
/// Bytes of one tag.
pub const MAX_TAG_BYTES: usize = 1024;

const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");

/// All are split on commas and white space, all are removed before the client sees them.
const TAG_HEADERS: [HeaderName; 8] = [
    HeaderName::from_static("cache-tag"),
    HeaderName::from_static("surrogate-key"),
    HeaderName::from_static("xkey"),
    HeaderName::from_static("x-cache-tags"),
    HeaderName::from_static("cache-tags"),
    HeaderName::from_static("x-magento-tags"),
    HeaderName::from_static("edge-cache-tag"),
    HeaderName::from_static("purge-cache-tags"),
];

/// Why a response can't be stored with its tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TagsRejected {
    #[error("more than {MAX_TAGS} tags")]
    TooMany,
    #[error("a tag of more than {MAX_TAG_BYTES} bytes")]
    TooLong,
}

impl TagsRejected {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooMany => "too-many-tags",
            Self::TooLong => "tag-too-long",
        }
    }
}

/// The tags of one response, each once, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub struct Tags {
    tags: Distinct,
    groups: Distinct,
    /// The values as they came, one line per header name, its values joined with commas.
    headers: Vec<String>,
    /// Those that rules added; they make one more line.
    by_rules: Vec<String>,
}

impl Tags {
    /// Adds a tag that a rule gives.
    pub fn add(&mut self, tag: &str) -> Result<(), TagsRejected> {
        self.by_rules.push(tag.to_owned());
        self.insert(tag)
    }

    /// Adds a cache group of the response's own origin.
    pub fn add_group(&mut self, name: &str) -> Result<(), TagsRejected> {
        self.check_room(name)?;
        self.groups.insert(name);
        Ok(())
    }

    pub fn tags(&self) -> impl Iterator<Item = &str> {
        self.tags.in_order.iter().map(String::as_str)
    }

    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.in_order.iter().map(String::as_str)
    }

    pub fn is_empty(&self) -> bool {
        self.tags.in_order.is_empty() && self.groups.in_order.is_empty()
    }

    /// What predicates are checked against, stored with the entry: the raw value of each tag header, then the groups,
    /// then the rules' tags, each on a line of its own. Bans of other products are regular expressions over such a value.
    pub fn raw(&self) -> String {
        let mut lines = self.headers.clone();
        for list in [&self.groups.in_order, &self.by_rules] {
            if !list.is_empty() {
                lines.push(list.join(","));
            }
        }
        lines.join("\n")
    }

    fn insert(&mut self, tag: &str) -> Result<(), TagsRejected> {
        self.check_room(tag)?;
        self.tags.insert(tag);
        Ok(())
    }

    fn check_room(&self, tag: &str) -> Result<(), TagsRejected> {
        if tag.len() > MAX_TAG_BYTES {
            return Err(TagsRejected::TooLong);
        }
        let known = self.tags.seen.contains(tag) || self.groups.seen.contains(tag);
        if !known && self.tags.in_order.len() + self.groups.in_order.len() >= MAX_TAGS {
            return Err(TagsRejected::TooMany);
        }
        Ok(())
    }
}

#[derive(Clone, Debug, Default)]
struct Distinct {
    in_order: Vec<String>,
    seen: HashSet<String>,
}

impl Distinct {
    fn insert(&mut self, text: &str) {
        if !text.is_empty() && self.seen.insert(text.to_owned()) {
            self.in_order.push(text.to_owned());
        }
    }
}

/// Every tag and group that the response's header fields give it.
///
/// Bytes that are no UTF-8 are replaced, so that distinct tags may become one: they are then purged together.
pub fn extract_tags(headers: &HeaderMap) -> Result<Tags, TagsRejected> {
    let mut tags = Tags::default();
    for name in &TAG_HEADERS {
        let mut line = String::new();
        for value in headers.get_all(name) {
            let value = String::from_utf8_lossy(value.as_bytes());
            for tag in value.split([',', ' ', '\t']).filter(|tag| !tag.is_empty()) {
                tags.insert(tag)?;
            }
            if !line.is_empty() {
                line.push(',');
            }
            line.push_str(&value);
        }
        if !line.is_empty() {
            tags.headers.push(line);
        }
    }
    for name in cache_groups(headers) {
        tags.add_group(&name)?;
    }
    Ok(tags)
}

/// Removes every tag header but `Cache-Groups`, which is meant for every cache on the way (RFC 9875 §2).
pub fn strip_tag_headers(headers: &mut HeaderMap) {
    for name in &TAG_HEADERS {
        headers.remove(name);
    }
}

/// RFC 9875 §2: a list of strings; parameters are ignored. A field of another type is ignored as a whole.
fn cache_groups(headers: &HeaderMap) -> Vec<String> {
    let values: Vec<&[u8]> = headers.get_all(CACHE_GROUPS).iter().map(|value| value.as_bytes()).collect();
    if values.is_empty() {
        return Vec::new();
    }
    // RFC 9651 §4.2: several lines are one list.
    let Ok(list) = Parser::new(&values.join(&b", "[..])).parse::<List>() else { return Vec::new() };
    let names: Option<Vec<String>> = list
        .into_iter()
        .map(|entry| match entry {
            ListEntry::Item(item) => match item.bare_item {
                BareItem::String(name) => Some(String::from(name)),
                _ => None,
            },
            ListEntry::InnerList(_) => None,
        })
        .collect();
    names.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(lines: &[(&str, &[u8])]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_bytes(value).unwrap(),
            );
        }
        map
    }

    #[test]
    fn tags_are_read_from_every_header_split_on_commas_and_white_space() {
        type Case<'a> = (&'a [(&'a str, &'a [u8])], &'a [&'a str], &'a [&'a str], &'a str);
        let table: &[Case] = &[
            (&[], &[], &[], ""),
            (&[("Cache-Tag", b"a,b")], &["a", "b"], &[], "a,b"),
            (&[("Surrogate-Key", b"a b  c")], &["a", "b", "c"], &[], "a b  c"),
            (&[("Surrogate-Key", b"a, b")], &["a", "b"], &[], "a, b"),
            (&[("xkey", b"a"), ("xkey", b"b a")], &["a", "b"], &[], "a,b a"),
            (&[("X-Cache-Tags", b"site-1,p-5,,")], &["site-1", "p-5"], &[], "site-1,p-5,,"),
            (&[("Cache-Tags", b"node:1 node:10")], &["node:1", "node:10"], &[], "node:1 node:10"),
            (&[("Cache-Tags", b"/books/1?x,/books")], &["/books/1?x", "/books"], &[], "/books/1?x,/books"),
            (&[("X-Magento-Tags", b"cat_p_1\tcat_c")], &["cat_p_1", "cat_c"], &[], "cat_p_1\tcat_c"),
            (&[("Edge-Cache-Tag", b"A"), ("Cache-Tag", b"a")], &["a", "A"], &[], "a\nA"),
            (&[("Purge-Cache-Tags", b"node:1 node:2")], &["node:1", "node:2"], &[], "node:1 node:2"),
            (&[("Cache-Tag", b" , ,")], &[], &[], " , ,"),
            (&[("Cache-Tag", b"caf\xe9")], &["caf\u{fffd}"], &[], "caf\u{fffd}"),
            (&[("Cache-Groups", b"\"a b\", \"c\";x=1")], &[], &["a b", "c"], "a b,c"),
            (&[("Cache-Groups", b"\"a\""), ("Cache-Groups", b"\"b\"")], &[], &["a", "b"], "a,b"),
            // RFC 9875 §2: tokens, inner lists and broken fields make the whole field void.
            (&[("Cache-Groups", b"scripts")], &[], &[], ""),
            (&[("Cache-Groups", b"\"a\", b")], &[], &[], ""),
            (&[("Cache-Groups", b"(\"a\")")], &[], &[], ""),
            (&[("Cache-Groups", b"\"a")], &[], &[], ""),
            (&[("Cache-Tag", b"t"), ("Cache-Groups", b"\"g\"")], &["t"], &["g"], "t\ng"),
            (&[("X-Other", b"t")], &[], &[], ""),
        ];
        for (lines, tags, groups, raw) in table {
            let read = extract_tags(&headers(lines)).unwrap();
            assert_eq!(read.tags().collect::<Vec<_>>(), *tags, "{lines:?}");
            assert_eq!(read.groups().collect::<Vec<_>>(), *groups, "{lines:?}");
            assert_eq!(read.raw(), *raw, "{lines:?}");
            assert_eq!(read.is_empty(), tags.is_empty() && groups.is_empty());
        }
    }

    #[test]
    fn over_the_limits_is_an_error_and_never_a_dropped_tag() {
        let numbered = |n: usize| (0..n).map(|i| format!("t{i}")).collect::<Vec<_>>().join(",");
        let of = |value: &str| extract_tags(&headers(&[("Cache-Tag", value.as_bytes())]));
        assert_eq!(of(&numbered(1024)).unwrap().tags().count(), 1024);
        assert_eq!(of(&numbered(1025)).unwrap_err(), TagsRejected::TooMany);
        assert_eq!(of(&format!("{},t1,t2", numbered(1024))).unwrap().tags().count(), 1024);
        assert!(of(&"x".repeat(1024)).is_ok());
        assert_eq!(of(&"x".repeat(1025)).unwrap_err(), TagsRejected::TooLong);
        let mut full = of(&numbered(1024)).unwrap();
        assert_eq!(full.add("one-more"), Err(TagsRejected::TooMany));
        assert_eq!(full.add_group("one-more"), Err(TagsRejected::TooMany));
        assert_eq!(full.add("t7"), Ok(()));
    }

    #[test]
    fn rule_tags_are_matched_by_predicates_too() {
        let mut tags = extract_tags(&headers(&[("Cache-Tag", b"a")])).unwrap();
        tags.add("products").unwrap();
        tags.add("product:1").unwrap();
        assert_eq!(tags.raw(), "a\nproducts,product:1");
    }

    #[test]
    fn all_tag_headers_but_cache_groups_are_removed_before_the_client_sees_them() {
        let mut map = headers(&[
            ("Cache-Tag", b"a"),
            ("Surrogate-Key", b"a"),
            ("Surrogate-Key", b"b"),
            ("xkey", b"a"),
            ("X-Cache-Tags", b"a"),
            ("Cache-Tags", b"a"),
            ("X-Magento-Tags", b"a"),
            ("Edge-Cache-Tag", b"a"),
            ("Purge-Cache-Tags", b"a"),
            ("Cache-Groups", b"\"a\""),
            ("ETag", b"\"1\""),
        ]);
        strip_tag_headers(&mut map);
        let mut left: Vec<_> = map.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["cache-groups", "etag"]);
    }
}
