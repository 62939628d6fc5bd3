//! Which purges an entry is touched by, in words: for people who ask why a page is not served. Whether it may be served is
//! [`PurgeLog::check`]'s to say; this looks in the same places, in the same order, and tells what it finds there.

use super::{At, PurgeLog};
use crate::purge::normal::{BadUrl, Target};
use crate::purge::{Born, Cause, Mode, PredicateSpec, PurgeId, Selector, Subject, Verdict};

/// What touched it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    Selector(Selector),
    /// A regular expression or wildcard.
    Pattern(PredicateSpec),
    /// Everything older than this: a purge of everything, or what the log had to forget.
    Floor,
    /// Purges of this node that are not in the fleet's log yet.
    Pending,
}

/// One purge, later than the birth that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touch {
    pub by: By,
    pub mode: Mode,
    /// `None` while it is pending.
    pub id: Option<PurgeId>,
    pub cause: Cause,
}

/// Everything that a purge could name to select what is stored at this place with these tags. `groups` are cache groups of
/// its own origin.
///
/// # Errors
/// A place without normal form. Nothing is stored at one.
pub fn naming(url: &str, tags: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Vec<Selector>, BadUrl> {
    let target = Target::parse(url)?;
    let (host, authority) = (target.host().to_owned(), target.authority());
    let mut all = vec![Selector::Url(target.url()), Selector::Host(host.clone())];
    all.extend(prefixes(&host, target.path()));
    all.push(Selector::Site(target.origin()));
    if authority != host {
        all.push(Selector::Host(authority.clone()));
        all.extend(prefixes(&authority, target.path()));
    }
    for tag in tags {
        let tag = tag.as_ref();
        all.push(Selector::tag(tag));
        if tag.bytes().any(|b| b.is_ascii_uppercase()) {
            all.push(Selector::tag_any_case(tag));
        }
        all.push(Selector::Group { origin: target.origin(), name: tag.to_owned() });
    }
    Ok(all)
}

/// As entries carry them: see [`crate::purge::Selectors`].
fn prefixes(authority: &str, path: &str) -> Vec<Selector> {
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    let mut found: Vec<Selector> = Vec::new();
    for end in ends {
        let prefix = path.get(..end).unwrap_or_default().trim_end_matches('/');
        let selector = Selector::Prefix(format!("{authority}{prefix}"));
        if !prefix.is_empty() && !found.contains(&selector) {
            found.push(selector);
        }
    }
    found
}

impl PurgeLog {
    /// The purges after `born` that select what carries one of `names`, each name and mode once, the newest first. Without a
    /// subject, patterns are left out.
    pub fn touches(&self, born: Born, names: &[Selector], subject: Option<&Subject<'_>>) -> Vec<Touch> {
        let mut found = Vec::new();
        let hashes: Vec<_> = {
            let mut hashes = Vec::new();
            names.iter().for_each(|name| name.each_hash(|hash| hashes.push(hash)));
            hashes
        };
        let mode_of = |verdict: Verdict| Mode::ALL.into_iter().find(|mode| Verdict::from(*mode) == verdict);
        if let Some(mode) = mode_of(self.pending.verdict(born.local, &hashes, subject)) {
            found.push(Touch { by: By::Pending, mode, id: None, cause: Cause::Request });
        }
        for (name, mode) in names.iter().flat_map(|name| Mode::ALL.map(|mode| (name, mode))) {
            for (table, cause) in [(&self.table, Cause::Request), (&self.writes, Cause::Write)] {
                let mut newest: Option<PurgeId> = None;
                name.each_hash(|hash| newest = newest.max(table.newest(hash, mode)));
                if let Some(id) = newest.filter(|id| *id > born.id) {
                    found.push(Touch { by: By::Selector(name.clone()), mode, id: Some(id), cause });
                }
            }
        }
        for ban in self.bans.load().iter().filter(|ban| ban.id > born.id) {
            if subject.is_some_and(|subject| ban.predicate.matches(subject)) {
                let by = By::Pattern(ban.predicate.spec().clone());
                found.push(Touch { by, mode: ban.mode, id: Some(ban.id), cause: Cause::Request });
            }
        }
        for mode in Mode::ALL {
            let floor = self.floors.get(mode);
            if born.id < floor {
                found.push(Touch { by: By::Floor, mode, id: Some(floor), cause: Cause::Request });
            }
        }
        found.sort_by_key(|touch| std::cmp::Reverse(touch.id.unwrap_or(PurgeId(u64::MAX))));
        found
    }

    /// The receipt of a purge, while it is remembered.
    pub fn receipt(&self, id: PurgeId) -> Option<crate::purge::Receipt> {
        self.recent(usize::MAX).into_iter().find(|receipt| receipt.at == At::Logged(id))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::log;
    use super::*;
    use crate::purge::{Predicate, Purge, Selectors, Tags};
    use crate::time::Wall;
    use std::collections::BTreeSet;
    use std::sync::Arc;

    const URL: &str = "https://shop.example.com:8443/a//b/c?x=1";

    fn tags() -> Tags {
        let mut tags = Tags::default();
        tags.add("Product:7").unwrap();
        tags.add_group("g").unwrap();
        tags
    }

    fn entry() -> Selectors {
        Selectors::new("https", "shop.example.com:8443", "/a//b/c", Some("x=1"), &tags()).unwrap()
    }

    #[test]
    fn whatever_an_entry_carries_has_a_name() {
        let mut named = BTreeSet::new();
        for name in naming(URL, ["Product:7", "g"]).unwrap() {
            name.each_hash(|hash| {
                named.insert(hash);
            });
        }
        let unnamed: Vec<_> = entry().all().iter().filter(|hash| !named.contains(hash)).cloned().collect();
        assert_eq!(unnamed, []);
    }

    #[test]
    fn what_touches_an_entry_is_what_its_verdict_comes_from() {
        let log = log();
        let (born, selectors, names) = (log.cursor(), entry(), naming(URL, ["Product:7", "g"]).unwrap());
        let subject = Subject {
            authority: "shop.example.com:8443",
            url: "/a//b/c?x=1",
            tags: Some("Product:7"),
            content_type: Some(""),
        };
        let mut ms = 0;
        let mut purge = |mode, selectors: Vec<Selector>, pattern: Option<&str>| {
            let spec = |url: &str| PredicateSpec {
                url: Some(crate::purge::predicate::Pattern::Regex(url.into())),
                ..PredicateSpec::default()
            };
            let predicates = pattern.map(|p| Predicate::compile(spec(p)).unwrap()).into_iter().collect();
            ms += 1;
            log.apply_local(&Arc::new(Purge { predicates, ..Purge::new(mode, selectors) }), Wall(ms));
        };
        let worst = || {
            let touches = log.touches(born, &names, Some(&subject));
            let verdict = touches.iter().map(|t| Verdict::from(t.mode)).max().unwrap_or(Verdict::Clean);
            assert_eq!(verdict, log.check(born, &selectors, &subject));
            touches.into_iter().map(|t| (t.by, t.mode)).collect::<Vec<_>>()
        };
        assert_eq!(worst(), []);
        purge(
            Mode::Soft,
            vec![Selector::tag("other"), Selector::prefix("shop.example.com/ab").unwrap()],
            None,
        );
        assert_eq!(worst(), []);
        let prefix = Selector::prefix("shop.example.com/a").unwrap();
        purge(Mode::Soft, vec![prefix.clone()], None);
        assert_eq!(worst(), [(By::Selector(prefix), Mode::Soft)]);
        purge(Mode::Soft, vec![], Some("/c\\?"));
        assert!(matches!(worst().first(), Some((By::Pattern(_), Mode::Soft))));
        purge(Mode::Invalidate, vec![Selector::tag_any_case("PRODUCT:7")], None);
        let any_case = By::Selector(Selector::tag_any_case("product:7"));
        assert_eq!(worst().first(), Some(&(any_case, Mode::Invalidate)));
        purge(Mode::Hard, vec![Selector::Everything], None);
        assert_eq!(worst().first(), Some(&(By::Floor, Mode::Hard)));
        assert!(log.receipt(log.hard_floor()).unwrap().summary.contains("everything"));
        assert_eq!(log.touches(log.cursor(), &names, Some(&subject)), []);
    }
}
