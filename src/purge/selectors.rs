//! What an entry carries: the hash of every selector that names it. Built once when it is stored (or, without tags,
//! when its flight begins), kept with it in both tiers.

use super::normal::{BadUrl, Target};
use super::selector::SelectorHash;
use super::tags::{MAX_TAGS, Tags};
use smallvec::SmallVec;

/// The deepest path that is stored: every `/`-boundary above it is one prefix selector.
pub const MAX_PREFIXES: usize = 32;

/// URL, site, and host and prefixes each with and without the port.
const MAX_IMPLICIT: usize = 2 + 2 * (1 + MAX_PREFIXES);

/// Each tag at most twice: as it is and folded, or as a tag and as a group.
const MAX_HASHES: usize = MAX_IMPLICIT + 3 * MAX_TAGS;

/// Why an entry can't carry all the selectors that name it. It is passed on and not stored: nobody could purge it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unselectable {
    #[error("the path has more than {MAX_PREFIXES} segments")]
    TooDeep,
    #[error("the URL has no normal form")]
    BadUrl,
}

impl Unselectable {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooDeep => "path-too-deep",
            Self::BadUrl => "url-not-selectable",
        }
    }
}

impl From<BadUrl> for Unselectable {
    fn from(_: BadUrl) -> Self {
        Self::BadUrl
    }
}

/// The selectors of one entry. The implicit ones (of its URL) come first, then those of its tags and groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selectors {
    /// On the stack for as many as most entries have: stored entries keep theirs as bytes ([`Selectors::to_bytes`]), and
    /// every check after a purge reads them.
    hashes: SmallVec<[SelectorHash; 12]>,
    implicit: usize,
}

impl Selectors {
    /// Of a request: enough to ask whether a purge selects a flight before its head is there. `authority` is `host`
    /// or `host:port`, path and query as the entry is keyed (excluded parameters gone, sorted).
    pub fn of_url(
        scheme: &str,
        authority: &str,
        path: &str,
        query: Option<&str>,
    ) -> Result<Self, Unselectable> {
        Self::new(scheme, authority, path, query, &Tags::default())
    }

    /// Of a response: those of the request, its tags, and its groups (RFC 9875) both as groups of this origin and as tags.
    pub fn new(
        scheme: &str,
        authority: &str,
        path: &str,
        query: Option<&str>,
        tags: &Tags,
    ) -> Result<Self, Unselectable> {
        let target = Target::new(scheme, authority, path, query)?;
        let mut hashes = SmallVec::new();
        hashes.push(SelectorHash::url(&target.url()));
        hashes.push(SelectorHash::host(target.host()));
        push_prefixes(target.host(), target.path(), &mut hashes)?;
        let origin = target.origin();
        hashes.push(SelectorHash::site(&origin));
        let authority = target.authority();
        if authority != target.host() {
            hashes.push(SelectorHash::host(&authority));
            push_prefixes(&authority, target.path(), &mut hashes)?;
        }
        let implicit = hashes.len();
        for tag in tags.tags().chain(tags.groups()) {
            hashes.push(SelectorHash::tag(tag));
            if tag.bytes().any(|b| b.is_ascii_uppercase()) {
                hashes.push(SelectorHash::tag_folded(&tag.to_ascii_lowercase()));
            }
        }
        hashes.extend(tags.groups().map(|name| SelectorHash::group(&origin, name)));
        Ok(Self { hashes, implicit })
    }

    /// Of an entry whose place is in normal form, with hashes of tags and groups as [`Selectors::to_bytes`] wrote them. Who stores an
    /// entry compares this with what [`Selectors::new`] says, and relies on it only where both are the same.
    pub fn of_place(scheme: &str, authority: &str, url: &str, explicit: &[u8]) -> Self {
        let path = url.split('?').next().unwrap_or_default();
        let mut hashes = SmallVec::new();
        let mut text = String::with_capacity(scheme.len() + 3 + authority.len() + url.len());
        [scheme, "://", authority, url].into_iter().for_each(|part| text.push_str(part));
        hashes.push(SelectorHash::url(&text));
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => host,
            _ => authority,
        };
        hashes.push(SelectorHash::host(host));
        // Deeper than that is not stored.
        let _ = push_prefixes(host, path, &mut hashes);
        hashes.push(SelectorHash::site(text.get(..text.len() - url.len()).unwrap_or_default()));
        if host != authority {
            hashes.push(SelectorHash::host(authority));
            let _ = push_prefixes(authority, path, &mut hashes);
        }
        let implicit = hashes.len();
        let (explicit, _) = explicit.as_chunks::<8>();
        hashes.extend(explicit.iter().map(|hash| SelectorHash(u64::from_le_bytes(*hash))));
        Self { hashes, implicit }
    }

    /// As read from a shared value; `None` for counts that no entry can have.
    pub fn from_stored(hashes: Vec<SelectorHash>, implicit: usize) -> Option<Self> {
        let possible =
            (2..=MAX_IMPLICIT).contains(&implicit) && (implicit..=MAX_HASHES).contains(&hashes.len());
        possible.then(|| Self { hashes: hashes.into(), implicit })
    }

    /// The hashes, as [`Selectors::from_bytes`] reads them.
    pub fn to_bytes(&self, out: &mut Vec<u8>) {
        self.hashes.iter().for_each(|hash| out.extend_from_slice(&hash.0.to_le_bytes()));
    }

    /// Of what [`Selectors::to_bytes`] wrote in this process.
    pub fn from_bytes(bytes: &[u8], implicit: usize) -> Self {
        let (hashes, _) = bytes.as_chunks::<8>();
        Self { hashes: hashes.iter().map(|hash| SelectorHash(u64::from_le_bytes(*hash))).collect(), implicit }
    }

    pub fn all(&self) -> &[SelectorHash] {
        &self.hashes
    }

    /// URL, host, prefixes, site: how many of [`Selectors::all`] come from the URL.
    pub fn implicit_len(&self) -> usize {
        self.implicit
    }

    /// Of tags and groups. With URL and host, this is what an index of entries holds.
    pub fn explicit(&self) -> &[SelectorHash] {
        self.hashes.get(self.implicit..).unwrap_or_default()
    }

    /// The URL without its variant, and the host without its port.
    pub fn url_and_host(&self) -> &[SelectorHash] {
        self.hashes.get(..2).unwrap_or_default()
    }
}

/// `host/a`, `host/a/b`, … for `/a/b/…`. Slashes in a row are one boundary, because a purge of `host/a/` is that of
/// `host/a`.
fn push_prefixes(
    authority: &str,
    path: &str,
    hashes: &mut SmallVec<[SelectorHash; 12]>,
) -> Result<(), Unselectable> {
    let text = format!("{authority}{path}");
    let boundaries = text.match_indices('/').map(|(at, _)| at).chain([text.len()]);
    let mut last = authority;
    let mut count = 0;
    for at in boundaries {
        let prefix = text.get(..at).unwrap_or_default().trim_end_matches('/');
        if prefix.len() <= last.len() {
            continue;
        }
        last = prefix;
        count += 1;
        if count > MAX_PREFIXES {
            return Err(Unselectable::TooDeep);
        }
        hashes.push(SelectorHash::prefix(prefix));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::selector::Selector;
    use super::*;

    fn carries(selectors: &Selectors, selector: &Selector) -> bool {
        let mut found = false;
        selector.each_hash(|hash| found |= selectors.all().contains(&hash));
        found
    }

    fn entry(url: &str, tags: &Tags) -> Selectors {
        let (scheme, rest) = url.split_once("://").unwrap();
        let (authority, rest) = rest.split_once('/').unwrap();
        let (path, query) = rest.split_once('?').map_or((rest, None), |(p, q)| (p, Some(q)));
        Selectors::new(scheme, authority, &format!("/{path}"), query, tags).unwrap()
    }

    #[test]
    fn prefix_matches_the_path_what_is_below_it_and_its_query_only() {
        let blog = Selector::prefix("shop.example.com/blog").unwrap();
        for (url, wanted) in [
            ("https://shop.example.com/blog", true),
            ("http://shop.example.com/blog", true),
            ("https://shop.example.com/blog/", true),
            ("https://shop.example.com/blog//", true),
            ("https://shop.example.com/blog/2024/post", true),
            ("https://shop.example.com/blog?page=2", true),
            ("https://SHOP.example.com:443/%62log/x", true),
            ("https://shop.example.com:8443/blog", true),
            ("https://shop.example.com/blogs", false),
            ("https://shop.example.com/a/blog", false),
            ("https://shop.example.com/Blog", false),
            ("https://example.com/blog", false),
            ("https://shop.example.com/", false),
        ] {
            assert_eq!(carries(&entry(url, &Tags::default()), &blog), wanted, "{url}");
        }
        let port = Selector::prefix("shop.example.com:8443/blog").unwrap();
        assert!(carries(&entry("https://shop.example.com:8443/blog/x", &Tags::default()), &port));
        assert!(!carries(&entry("https://shop.example.com/blog/x", &Tags::default()), &port));
    }

    #[test]
    fn url_host_and_site_name_what_they_say() {
        let page = entry("https://shop.example.com:8443/a?x=1", &Tags::default());
        let yes = [
            Selector::url("https://shop.example.com:8443/a?x=1").unwrap(),
            Selector::host("shop.example.com").unwrap(),
            Selector::host("SHOP.example.com:8443").unwrap(),
            Selector::site("https://shop.example.com:8443").unwrap(),
        ];
        let no = [
            Selector::url("https://shop.example.com:8443/a").unwrap(),
            Selector::url("http://shop.example.com:8443/a?x=1").unwrap(),
            Selector::url("https://shop.example.com/a?x=1").unwrap(),
            Selector::host("example.com").unwrap(),
            Selector::host("shop.example.com:8080").unwrap(),
            Selector::site("https://shop.example.com").unwrap(),
            Selector::site("http://shop.example.com:8443").unwrap(),
        ];
        assert!(yes.iter().all(|s| carries(&page, s)));
        assert!(!no.iter().any(|s| carries(&page, s)));
    }

    #[test]
    fn rfc9875_2_1_groups_are_of_one_origin_but_tags_reach_them_everywhere() {
        let mut tags = Tags::default();
        tags.add_group("Scripts").unwrap();
        tags.add("p:1").unwrap();
        let page = entry("https://a.example/x", &tags);
        assert!(carries(&page, &Selector::group("https://a.example:443", "Scripts").unwrap()));
        assert!(!carries(&page, &Selector::group("https://b.example", "Scripts").unwrap()));
        assert!(!carries(&page, &Selector::group("https://a.example", "p:1").unwrap()));
        assert!(carries(&page, &Selector::tag("Scripts")));
        assert!(!carries(&page, &Selector::tag("scripts")));
        assert!(carries(&page, &Selector::tag_any_case("sCRIPTS")));
        assert!(carries(&page, &Selector::tag_any_case("P:1")));
        assert_eq!(page.url_and_host().len() + page.explicit().len(), 2 + 4);
    }

    #[test]
    fn those_of_a_place_in_normal_form_are_those_of_its_url() {
        for (scheme, authority, url) in [
            ("https", "a.example", "/"),
            ("http", "a.example", "/x/y//z/?q=/1"),
            ("http", "a.example:8080", "/x?"),
            ("https", "[2001:db8::1]", "/x/"),
            ("https", "[2001:db8::1]:8443", "/x"),
        ] {
            let (path, query) = url.split_once('?').map_or((url, None), |(path, query)| (path, Some(query)));
            let expected = Selectors::of_url(scheme, authority, path, query).unwrap();
            assert_eq!(
                Selectors::of_place(scheme, authority, url, &[]),
                expected,
                "{scheme}://{authority}{url}"
            );
        }
    }

    #[test]
    fn a_path_of_32_segments_is_stored_and_one_of_33_is_not() {
        let path = |n: usize| "/s".repeat(n);
        let deepest = Selectors::of_url("http", "e:8080", &path(32), None).unwrap();
        assert_eq!(deepest.implicit_len(), MAX_IMPLICIT);
        assert_eq!(Selectors::of_url("http", "e", &path(33), None), Err(Unselectable::TooDeep));
        assert_eq!(Selectors::of_url("http", "e", &(path(32) + "////////"), None).unwrap().all().len(), 35);
        assert_eq!(Selectors::of_url("http", "e f", "/", None), Err(Unselectable::BadUrl));
    }

    #[test]
    fn stored_selectors_come_back_and_impossible_ones_do_not() {
        let page = entry("https://a.example/x/y", &Tags::default());
        assert_eq!(Selectors::from_stored(page.all().to_vec(), page.implicit_len()), Some(page.clone()));
        assert_eq!(Selectors::from_stored(page.all().to_vec(), page.all().len() + 1), None);
        assert_eq!(Selectors::from_stored(Vec::new(), 0), None);
        assert_eq!(Selectors::from_stored(vec![SelectorHash(1); MAX_HASHES + 1], 4), None);
    }
}
