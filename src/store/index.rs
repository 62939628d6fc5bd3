//! Which entries of the memory tier carry which selector: for the count in a purge's receipt, for listings, and for
//! freeing what was purged. Serving never looks here; whether an entry may be served is the purge log's word alone.
//!
//! Indexed are tags, groups, the URL and the host. Prefixes and sites would be dozens of sets per entry (rulings
//! 28); they are found among the entries of their host.
//!
//! # How it stays exact
//! The memory tier tells once of every value that leaves, whatever the cause, and each value that enters was
//! announced before. A value is a whole [`Resource`], and neighbouring values share entries. So an entry counts the
//! resources that hold it: it is in the index from the first announcement to the last farewell, in whichever order
//! these two come when a replacement races with an eviction. The count lives in the entry and changes under the index's lock only.
//!
//! Entries have small numbers ([`Slot`]), so that a set of a million costs some megabytes; a set of one, as most URLs have,
//! costs no allocation. One mutex guards all. Hits never take it, and nothing is done under it that grows
//! with the number of entries but the growth of a table: long walks go in pages.

use super::entry::Entry;
use super::key::Key;
use super::resource::Resource;
use super::urls::{Members, Urls};
use super::wide;
use crate::purge::{SelectorHash, Selectors};
use slab::Slab;
use smallvec::SmallVec;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The number of an entry in the index, used again after it has left.
pub type Slot = u32;

/// Charged to an entry for each of its tags and groups, bytes: the set's place in its map and its share of the name.
pub const TAG_OVERHEAD: usize = 64;

/// What the index notes in an entry, and the map.
#[derive(Debug)]
pub struct Seat {
    /// How many stored resources hold the entry.
    residents: AtomicU32,
    slot: AtomicU32,
    /// It is stored, and the only variant of its key: see [`Resource::is_current`]. An entry is stored under one key.
    pub(super) is_alone: AtomicBool,
}

const NO_SLOT: Slot = Slot::MAX;

/// Slots are smaller: the other half of the numbers stand for sets ([`super::urls`]).
const END: Slot = 1 << 31;

impl Default for Seat {
    fn default() -> Self {
        Self { residents: AtomicU32::new(0), slot: AtomicU32::new(NO_SLOT), is_alone: AtomicBool::new(false) }
    }
}

/// A stored entry and where it is stored.
#[derive(Clone, Debug)]
pub struct Record {
    pub entry: Arc<Entry>,
    hash: u64,
    /// Its key, where the entry does not tell it.
    beside: Option<Key>,
}

impl Record {
    /// Made when it is asked for: few look at more than the entry.
    pub fn key(&self) -> Key {
        self.beside.clone().unwrap_or_else(|| self.entry.usual_key(self.hash))
    }
}

/// The same in less room.
#[derive(Debug)]
pub(super) struct Resident {
    pub entry: Arc<Entry>,
    /// Of its key.
    hash: u64,
}

/// Where a walk goes: through all entries, or those of one set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    All,
    /// Of a tag, a group, a URL or a host without port.
    Carrying(SelectorHash),
}

/// A tag and how many stored variants carry it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagCount {
    pub tag: Arc<str>,
    pub entries: u64,
}

/// See the head of this file.
#[derive(Debug, Default)]
pub struct Index(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    records: Slab<Resident>,
    /// The keys of those that don't tell theirs by themselves ([`Entry::is_under`]).
    keys: HashMap<Slot, Key>,
    urls: Urls,
    hosts: HashMap<SelectorHash, Slots>,
    /// Tags, as they are and folded, and groups.
    tags: HashMap<SelectorHash, Tagged>,
    /// Of those tags in `tags` whose text is known, in order.
    names: BTreeMap<Arc<str>, SelectorHash>,
}

#[derive(Debug)]
struct Tagged {
    slots: Slots,
    name: Name,
}

/// The text of a tag.
#[derive(Debug)]
enum Name {
    /// Not looked for yet.
    Unknown,
    Known(Arc<str>),
    /// The raw tags don't give it: the hash is of a group, or of a folded tag.
    None,
}

impl Name {
    fn known(&self) -> Option<&Arc<str>> {
        if let Self::Known(name) = self { Some(name) } else { None }
    }
}

/// Made without the lock: there are hashes to compute.
fn selectors(resource: &Resource) -> SmallVec<[Selectors; 1]> {
    resource.variants().iter().map(|entry| entry.selectors()).collect()
}

impl Index {
    /// A resource is about to be stored. Call before it can be seen.
    pub(super) fn enter(&self, key: &Key, resource: &Resource) {
        let selectors = selectors(resource);
        let mut state = self.lock();
        for (entry, selectors) in resource.variants().iter().zip(&selectors) {
            if entry.seat.residents.fetch_add(1, Ordering::Relaxed) == 0 {
                state.add(key, entry, selectors);
            }
        }
    }

    /// A stored resource is gone from the store.
    pub(super) fn leave(&self, resource: &Resource) {
        let selectors = selectors(resource);
        let mut state = self.lock();
        for (entry, selectors) in resource.variants().iter().zip(&selectors) {
            if entry.seat.residents.fetch_sub(1, Ordering::Relaxed) == 1 {
                state.take(entry, selectors);
            }
        }
    }

    /// Stored variants.
    pub fn len(&self) -> u64 {
        self.lock().records.len() as u64
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many entries a scope has.
    pub fn size_of(&self, scope: Scope) -> u64 {
        let state = self.lock();
        match scope {
            Scope::All => state.records.len() as u64,
            Scope::Carrying(hash) => state.slots(hash).map_or(0, |slots| slots.len() as u64),
        }
    }

    /// At most `limit` slots of the scope after `after`, ascending.
    pub fn slots(&self, scope: Scope, after: Option<Slot>, limit: usize) -> Vec<Slot> {
        let state = self.lock();
        match scope {
            Scope::All => state.all_after(after).take(limit).collect(),
            Scope::Carrying(hash) => state.slots(hash).map_or_else(Vec::new, |s| s.after(after, limit)),
        }
    }

    /// The same with what stands there.
    pub fn page(&self, scope: Scope, after: Option<Slot>, limit: usize) -> Vec<(Slot, Record)> {
        let state = self.lock();
        let slots: Vec<Slot> = match scope {
            Scope::All => state.all_after(after).take(limit).collect(),
            Scope::Carrying(hash) => state.slots(hash).map_or_else(Vec::new, |s| s.after(after, limit)),
        };
        let record = |slot: Slot| Some((slot, state.record(slot)?));
        slots.into_iter().filter_map(record).collect()
    }

    /// At most `limit` tags that begin with `prefix`, after the tag `after`, in order of their bytes. Left out are group
    /// names that hold commas, which the raw tags of an entry don't give back.
    pub fn tags(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<TagCount> {
        let state = self.lock();
        let start = match after.filter(|after| *after >= prefix) {
            Some(after) => Bound::Excluded(after),
            None => Bound::Included(prefix),
        };
        let count = |hash: &SelectorHash| state.tags.get(hash).map_or(0, |t| t.slots.len() as u64);
        state
            .names
            .range::<str, _>((start, Bound::Unbounded))
            .take_while(|(name, _)| name.starts_with(prefix))
            .take(limit)
            .map(|(name, hash)| TagCount { tag: name.clone(), entries: count(hash) })
            .collect()
    }

    /// The text of a tag that something stored carries, where it is known.
    pub fn name_of(&self, tag: SelectorHash) -> Option<Arc<str>> {
        self.lock().tags.get(&tag)?.name.known().cloned()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn slots(&self, hash: SelectorHash) -> Option<Members<'_>> {
        let tagged = || self.tags.get(&hash).map(|tagged| &tagged.slots);
        let named = self.hosts.get(&hash).or_else(tagged).map(Members::Many);
        named.or_else(|| self.urls.get(hash, &self.records))
    }

    fn record(&self, slot: Slot) -> Option<Record> {
        let Resident { entry, hash } = self.records.get(wide(slot))?;
        Some(Record { entry: entry.clone(), hash: *hash, beside: self.keys.get(&slot).cloned() })
    }

    fn all_after(&self, after: Option<Slot>) -> impl Iterator<Item = Slot> {
        let from = after.map_or(0, |slot| wide(slot).saturating_add(1));
        let end = self.records.capacity();
        (from..end).filter(|at| self.records.contains(*at)).filter_map(|at| Slot::try_from(at).ok())
    }

    fn add(&mut self, key: &Key, entry: &Arc<Entry>, selectors: &Selectors) {
        let vacant = self.records.vacant_entry();
        // Two thousand million entries of a kilobyte: not on a machine of today. It would go unlisted.
        let Some(slot) = Slot::try_from(vacant.key()).ok().filter(|slot| *slot < END) else { return };
        vacant.insert(Resident { entry: entry.clone(), hash: key.hash_value() });
        if !entry.is_under(key) {
            self.keys.insert(slot, key.clone());
        }
        entry.seat.slot.store(slot, Ordering::Relaxed);
        if let [url, host] = selectors.url_and_host() {
            self.urls.insert(*url, slot, &self.records);
            self.hosts.entry(*host).and_modify(|slots| slots.insert(slot)).or_insert(Slots::One(slot));
        }
        let mut unnamed = false;
        for hash in selectors.explicit() {
            let first = || Tagged { slots: Slots::One(slot), name: Name::Unknown };
            let tagged = self.tags.entry(*hash).and_modify(|t| t.slots.insert(slot)).or_insert_with(first);
            unnamed |= matches!(tagged.name, Name::Unknown);
        }
        if unnamed {
            self.learn_names(entry.raw_tags());
            for hash in selectors.explicit() {
                if let Some(tagged) = self.tags.get_mut(hash)
                    && matches!(tagged.name, Name::Unknown)
                {
                    tagged.name = Name::None;
                }
            }
        }
    }

    fn learn_names(&mut self, raw: &str) {
        for (name, hash) in possible_names(raw) {
            let Some(tagged) = self.tags.get_mut(&hash) else { continue };
            if tagged.name.known().is_some() {
                continue;
            }
            let name: Arc<str> = Arc::from(name);
            tagged.name = Name::Known(name.clone());
            self.names.insert(name, hash);
        }
    }

    fn take(&mut self, entry: &Arc<Entry>, selectors: &Selectors) {
        let slot = entry.seat.slot.swap(NO_SLOT, Ordering::Relaxed);
        if let [url, host] = selectors.url_and_host() {
            self.urls.remove(*url, slot, &self.records);
            if self.hosts.get_mut(host).is_some_and(|slots| slots.remove(slot)) {
                self.hosts.remove(host);
            }
        }
        self.keys.remove(&slot);
        if self.records.try_remove(wide(slot)).is_none() {
            return;
        }
        for hash in selectors.explicit() {
            if self.tags.get_mut(hash).is_some_and(|tagged| tagged.slots.remove(slot))
                && let Some(tagged) = self.tags.remove(hash)
                && let Some(name) = tagged.name.known()
            {
                self.names.remove(name);
            }
        }
        self.give_back();
    }

    /// Maps keep their room when they empty. After a purge of a million distinct URLs that would be the larger part of
    /// what was to be freed.
    fn give_back(&mut self) {
        let loose = |len: usize, capacity: usize| capacity > 4096 && len < capacity / 8;
        if loose(self.tags.len(), self.tags.capacity()) {
            self.tags.shrink_to(self.tags.len() * 2);
        }
        if loose(self.keys.len(), self.keys.capacity()) {
            self.keys.shrink_to(self.keys.len() * 2);
        }
        if self.records.is_empty() && self.records.capacity() > 4096 {
            self.records = Slab::new();
        }
    }
}

/// What may be a tag or group among an entry's raw tags ([`crate::purge::Tags::raw`]), whose lines are lists with different
/// separators. The hash decides: what an entry carries under the hash of a name has that name.
pub fn possible_names(raw: &str) -> impl Iterator<Item = (&str, SelectorHash)> {
    let of_line = |line| str::split(line, [',', ' ', '\t']).chain(str::split(line, ',')).chain([line]);
    raw.lines().flat_map(of_line).filter(|name| !name.is_empty()).map(|name| (name, SelectorHash::tag(name)))
}

/// A set of slots. Never empty in a map. Most have one member, so the others are boxed: 16 bytes for all.
#[allow(clippy::box_collection)]
#[derive(Debug)]
pub(super) enum Slots {
    One(Slot),
    Many(Box<BTreeSet<Slot>>),
}

impl Slots {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Many(slots) => slots.len(),
        }
    }

    pub(super) fn insert(&mut self, slot: Slot) {
        match self {
            Self::One(only) if *only == slot => {}
            Self::One(only) => *self = Self::Many(Box::new(BTreeSet::from([*only, slot]))),
            Self::Many(slots) => {
                slots.insert(slot);
            }
        }
    }

    /// True when that was the last one.
    pub(super) fn remove(&mut self, slot: Slot) -> bool {
        match self {
            Self::One(only) => *only == slot,
            Self::Many(slots) => {
                slots.remove(&slot);
                slots.is_empty()
            }
        }
    }

    fn after(&self, after: Option<Slot>, limit: usize) -> Vec<Slot> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        match self {
            Self::One(only) => {
                Some(*only).filter(|only| after.is_none_or(|a| a < *only)).into_iter().collect()
            }
            Self::Many(slots) => slots.range((start, Bound::Unbounded)).take(limit).copied().collect(),
        }
    }
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
