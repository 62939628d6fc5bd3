//! What a purge selects among the stored entries: how many, for its receipt, and where to look for them.
//!
//! Tags, groups, URLs and bare hosts are sets of the index. Prefixes, sites and hosts with a port are found by
//! walking the entries of their host, patterns by walking all.

use super::entry::{Described, Entry};
use super::index::{Index, Scope, Slot};
use crate::purge::{Matched, Predicate, Purge, Selector, SelectorHash};
use std::collections::{HashMap, HashSet};

/// Up to here a count is exact (rulings 29) as far as sets go; beyond, it may be a lower bound.
const EXACT: usize = 10_000;

/// Set members and walked entries that one count looks at, some 100 ns each. A purge holds from the moment it is
/// applied, which is before it is counted; this bounds how long its receipt takes.
const LOOKS: usize = 100_000;

/// Entries per turn of a walk, under one lock.
const PAGE: usize = 512;

/// Where the entries are that a purge selects. A walk visits those of its scope, and asks each.
#[derive(Debug, Default)]
pub struct Targets<'p> {
    /// Every entry of these is selected.
    pub sets: Vec<SelectorHash>,
    /// Entries of this host that carry one of these.
    pub walks: HashMap<SelectorHash, HashSet<SelectorHash>>,
    pub predicates: &'p [Predicate],
    pub everything: bool,
}

impl<'p> Targets<'p> {
    pub fn of(purge: &'p Purge) -> Self {
        let mut targets = Self { predicates: &purge.predicates, ..Self::default() };
        for selector in &purge.selectors {
            let host = match selector {
                Selector::Everything => {
                    targets.everything = true;
                    continue;
                }
                Selector::Prefix(prefix) => prefix.split('/').next(),
                Selector::Site(origin) => origin.split("://").nth(1),
                Selector::Host(authority) if has_port(authority) => Some(authority.as_str()),
                _ => None,
            };
            match host {
                Some(authority) => targets.walk(SelectorHash::host(without_port(authority)), selector),
                None => selector.each_hash(|hash| targets.sets.push(hash)),
            }
        }
        targets
    }

    fn walk(&mut self, host: SelectorHash, selector: &Selector) {
        let carried = self.walks.entry(host).or_default();
        selector.each_hash(|hash| {
            carried.insert(hash);
        });
    }

    /// Where to walk in order to meet every selected entry.
    pub fn scopes(&self) -> Vec<Scope> {
        if self.everything || !self.predicates.is_empty() {
            return vec![Scope::All];
        }
        self.sets.iter().chain(self.walks.keys()).copied().map(Scope::Carrying).collect()
    }
}

fn has_port(authority: &str) -> bool {
    without_port(authority).len() != authority.len()
}

/// In normal form a colon outside brackets begins a port.
fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        _ => authority,
    }
}

impl Index {
    /// How many stored variants a purge selects, each once. Exact up to 10,000, and beyond that for everything and for a
    /// single set (a tag of a million costs one look-up); else a lower bound. For prefixes, sites and patterns a lower bound also where more
    /// than 100,000 entries would have to be looked at.
    pub fn matched(&self, purge: &Purge) -> Matched {
        let targets = Targets::of(purge);
        if targets.everything {
            return Matched { count: self.len(), exact: true };
        }
        if let ([only], [], true) = (&targets.sets[..], targets.predicates, targets.walks.is_empty()) {
            return Matched { count: self.size_of(Scope::Carrying(*only)), exact: true };
        }
        let mut count = Count { index: self, seen: HashSet::new(), least: 0, looks: 0, exact: true };
        count.sets(&targets.sets);
        for (host, carried) in &targets.walks {
            let carries = |entry: &Entry| entry.selectors().all().iter().any(|hash| carried.contains(hash));
            count.walk(Scope::Carrying(*host), carries);
        }
        if !targets.predicates.is_empty() {
            count.walk(Scope::All, |entry| targets.predicates.iter().any(|p| p.matches(&entry.subject())));
        }
        Matched { count: count.least.max(count.seen.len() as u64), exact: count.exact }
    }
}

/// A count on its way.
struct Count<'i> {
    index: &'i Index,
    seen: HashSet<Slot>,
    /// The largest set that was not looked into.
    least: u64,
    looks: usize,
    exact: bool,
}

impl Count<'_> {
    fn sets(&mut self, hashes: &[SelectorHash]) {
        for hash in hashes {
            let scope = Scope::Carrying(*hash);
            let slots = self.index.slots(scope, None, EXACT + 1);
            self.looks += slots.len() + 1;
            if slots.len() > EXACT {
                self.least = self.least.max(self.index.size_of(scope));
                self.exact = false;
            } else {
                self.seen.extend(slots);
            }
            if self.seen.len() > EXACT || self.looks > LOOKS {
                self.exact = false;
                return;
            }
        }
    }

    fn walk(&mut self, scope: Scope, selected: impl Fn(&Entry) -> bool) {
        let mut after = None;
        loop {
            let page = self.index.page(scope, after, PAGE);
            let Some((last, _)) = page.last() else { return };
            after = Some(*last);
            self.looks += page.len();
            let selected = page.iter().filter(|(_, record)| selected(&record.entry));
            self.seen.extend(selected.map(|(slot, _)| *slot));
            if self.looks > LOOKS {
                self.exact = false;
                return;
            }
        }
    }
}
