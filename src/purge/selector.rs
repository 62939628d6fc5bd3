//! What a purge can name exactly, and the hash by which entries are found to carry it.

use super::normal::{self, BadUrl, Target};
use serde::{Deserialize, Serialize};
use std::fmt;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Something that a purge names and entries carry. The texts are in normal form (`normal.rs`): use the constructors.
/// This is also what a record of the fleet's log holds, so that purges cross a rolling upgrade.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selector {
    /// A tag, case-sensitive; also reaches the `Cache-Groups` of that name, on any origin.
    Tag(String),
    /// A tag, whatever its case (ASCII); the text is in lower case.
    TagAnyCase(String),
    /// `scheme://host/path?query`, all variants.
    Url(String),
    /// The same under http and https; the text begins with `//host`.
    UrlAnyScheme(String),
    /// `scheme://host[:port]`.
    Site(String),
    /// `host`: all schemes and ports; or `host:port`.
    Host(String),
    /// `host/path` or `host:port/path`, ends at a boundary: `h/blog` is `/blog`, `/blog/…`, `/blog?…`, not `/blogs`.
    Prefix(String),
    /// A cache group of one origin (RFC 9875 §2.1).
    Group {
        origin: String,
        name: String,
    },
    Everything,
}

impl Selector {
    pub fn tag(tag: &str) -> Self {
        Self::Tag(tag.to_owned())
    }

    pub fn tag_any_case(tag: &str) -> Self {
        Self::TagAnyCase(tag.to_ascii_lowercase())
    }

    /// From an absolute URL; the caller has applied the rules' key normalisation (excluded parameters, order).
    pub fn url(url: &str) -> Result<Self, BadUrl> {
        Target::parse(url).map(|target| Self::Url(target.url()))
    }

    /// From an absolute URL whose scheme says nothing: as [`Selector::url`], for http and https. A port that is the
    /// default of the scheme given stands for the default of either.
    pub fn url_any_scheme(url: &str) -> Result<Self, BadUrl> {
        Target::parse(url).map(|target| Self::UrlAnyScheme(target.without_scheme()))
    }

    /// From `scheme://host[:port]`; what follows is ignored.
    pub fn site(origin: &str) -> Result<Self, BadUrl> {
        Target::parse(origin).map(|target| Self::Site(target.origin()))
    }

    pub fn host(host: &str) -> Result<Self, BadUrl> {
        normal::schemeless_authority(host).map(Self::Host)
    }

    /// From `host/path`. A prefix without a path is the host.
    pub fn prefix(prefix: &str) -> Result<Self, BadUrl> {
        normal::prefix(prefix).map(|prefix| match prefix.contains('/') {
            true => Self::Prefix(prefix),
            false => Self::Host(prefix),
        })
    }

    pub fn group(origin: &str, name: &str) -> Result<Self, BadUrl> {
        Target::parse(origin).map(|target| Self::Group { origin: target.origin(), name: name.to_owned() })
    }

    /// All that [`Selector::kind`] can say.
    pub const KINDS: [&'static str; 7] = ["tag", "url", "site", "host", "prefix", "group", "everything"];

    /// The word for metrics (`larder_purges_total{kind}`).
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Tag(_) | Self::TagAnyCase(_) => "tag",
            Self::Url(_) | Self::UrlAnyScheme(_) => "url",
            Self::Site(_) => "site",
            Self::Host(_) => "host",
            Self::Prefix(_) => "prefix",
            Self::Group { .. } => "group",
            Self::Everything => "everything",
        }
    }

    /// Calls `each` with every hash that an entry this selector names carries at least one of. None for
    /// [`Selector::Everything`], which is a floor.
    pub fn each_hash(&self, mut each: impl FnMut(SelectorHash)) {
        match self {
            Self::Tag(tag) => each(SelectorHash::tag(tag)),
            Self::TagAnyCase(tag) => {
                each(SelectorHash::tag(tag));
                each(SelectorHash::tag_folded(tag));
            }
            Self::Url(url) => each(SelectorHash::url(url)),
            Self::UrlAnyScheme(rest) => {
                each(SelectorHash::url(&format!("http:{rest}")));
                each(SelectorHash::url(&format!("https:{rest}")));
            }
            Self::Site(origin) => each(SelectorHash::site(origin)),
            Self::Host(authority) => each(SelectorHash::host(authority)),
            Self::Prefix(prefix) => each(SelectorHash::prefix(prefix)),
            Self::Group { origin, name } => each(SelectorHash::group(origin, name)),
            Self::Everything => {}
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(text) | Self::TagAnyCase(text) => write!(f, "tag {text}"),
            Self::Url(text) | Self::UrlAnyScheme(text) => write!(f, "url {text}"),
            Self::Site(text) => write!(f, "site {text}"),
            Self::Host(text) => write!(f, "host {text}"),
            Self::Prefix(text) => write!(f, "prefix {text}"),
            Self::Group { origin, name } => write!(f, "group {name} of {origin}"),
            Self::Everything => f.write_str("everything"),
        }
    }
}

/// A selector as entries carry it. The same on every node and in every version that reads the same shared values.
///
/// Not keyed, and 64 bits suffice: two selectors that collide are purged together, which costs a miss. An attacker
/// who makes their own URL collide with somebody's tag gains that their own page is purged more often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SelectorHash(pub u64);

/// One domain per kind, so that the tag `a/b` is not the prefix `a/b`.
#[derive(Clone, Copy)]
enum Domain {
    Tag = 1,
    TagFolded,
    Url,
    Site,
    Host,
    Prefix,
    Group,
}

impl SelectorHash {
    fn of(domain: Domain, text: &str) -> Self {
        Self(xxh3_64_with_seed(text.as_bytes(), domain as u64))
    }

    pub fn tag(tag: &str) -> Self {
        Self::of(Domain::Tag, tag)
    }

    /// Of a tag in lower case. Entries carry it for tags that have capitals; the others are found under
    /// [`SelectorHash::tag`].
    pub fn tag_folded(lower: &str) -> Self {
        Self::of(Domain::TagFolded, lower)
    }

    pub fn url(url: &str) -> Self {
        Self::of(Domain::Url, url)
    }

    pub fn site(origin: &str) -> Self {
        Self::of(Domain::Site, origin)
    }

    pub fn host(authority: &str) -> Self {
        Self::of(Domain::Host, authority)
    }

    pub fn prefix(prefix: &str) -> Self {
        Self::of(Domain::Prefix, prefix)
    }

    /// The hash of the origin seeds that of the name, so that no two pairs have the same bytes.
    pub fn group(origin: &str, name: &str) -> Self {
        Self(xxh3_64_with_seed(name.as_bytes(), Self::of(Domain::Group, origin).0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_the_same_on_every_node_and_in_every_release() {
        // Stored in shared values: a change here needs a new version of their format.
        let pinned = [
            (SelectorHash::tag("product:1"), 3_983_380_667_898_927_073),
            (SelectorHash::url("https://e/"), 14_141_737_888_064_865_626),
            (SelectorHash::group("https://e", "g"), 5_124_860_490_187_418_469),
        ];
        assert_eq!(pinned.map(|(hash, _)| hash.0), pinned.map(|(_, value)| value));
    }

    #[test]
    fn kinds_are_separate_domains() {
        let text = "a.example/x";
        let mut all = vec![
            SelectorHash::tag(text),
            SelectorHash::tag_folded(text),
            SelectorHash::url(text),
            SelectorHash::site(text),
            SelectorHash::host(text),
            SelectorHash::prefix(text),
            SelectorHash::group("a.example", "/x"),
            SelectorHash::group("a.example/", "x"),
        ];
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 8);
    }

    #[test]
    fn a_url_under_any_scheme_is_both_urls() {
        let hashes = |selector: Selector| {
            let mut all = Vec::new();
            selector.each_hash(|hash| all.push(hash));
            all
        };
        let both = hashes(Selector::url_any_scheme("https://e:443/a?b").unwrap());
        assert_eq!(both, [SelectorHash::url("http://e/a?b"), SelectorHash::url("https://e/a?b")]);
    }

    #[test]
    fn every_kind_is_listed() {
        let all = [
            Selector::tag("t"),
            Selector::tag_any_case("t"),
            Selector::url("http://e/").unwrap(),
            Selector::url_any_scheme("http://e/").unwrap(),
            Selector::site("http://e").unwrap(),
            Selector::host("e").unwrap(),
            Selector::prefix("e/a").unwrap(),
            Selector::group("http://e", "g").unwrap(),
            Selector::Everything,
        ];
        assert!(all.iter().all(|s| Selector::KINDS.contains(&s.kind())));
    }

    #[test]
    fn constructors_bring_texts_into_normal_form() {
        assert_eq!(Selector::url("HTTP://E:80/%7e"), Ok(Selector::Url("http://e/~".into())));
        assert_eq!(Selector::site("https://E:443"), Ok(Selector::Site("https://e".into())));
        assert_eq!(Selector::host("E:443"), Ok(Selector::Host("e".into())));
        assert_eq!(Selector::prefix("E/a/"), Ok(Selector::Prefix("e/a".into())));
        assert_eq!(Selector::prefix("E/"), Ok(Selector::Host("e".into())));
        assert_eq!(
            Selector::group("https://E:443", "G"),
            Ok(Selector::Group { origin: "https://e".into(), name: "G".into() })
        );
        assert_eq!(Selector::tag_any_case("ABC"), Selector::TagAnyCase("abc".into()));
        assert_eq!(Selector::url_any_scheme("https://E:443/a"), Ok(Selector::UrlAnyScheme("//e/a".into())));
        assert_eq!(Selector::url("/x"), Err(BadUrl::Scheme));
    }
}
