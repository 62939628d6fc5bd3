//! The memory tier, bounded by bytes of bodies and metadata.
//!
//! Contract, which the shared tier will share:
//! * `get` returns what the last completed write left, or nothing; never half of it.
//! * `put` and `replace` are decided on what is stored at that moment, atomically per key.
//! * Losing anything at any time is allowed (it is a cache); keeping anything that was removed is not.
//!
//! A write is decided on what is there, announced to the index, and then exchanged for exactly that; where another
//! write was faster it is decided anew. So no lock is held meanwhile, and hits wait for nothing but the exchange of a pointer.

use super::entry::{Described, Entry, rounded};
use super::index::Index;
use super::kept::Kept;
use super::key::Key;
use super::resource::Resource;
use super::shelf::{Charge, Order, Shelf};
use crate::time::Mono;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Which entries survive when memory is short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Frequency-aware admission (TinyLFU): scans don't wash out what is popular.
    #[default]
    TinyLfu,
    Lru,
}

/// Counters the memory tier keeps of itself.
#[derive(Debug, Default)]
pub struct Stats {
    pub evicted_size: AtomicU64,
    pub evicted_expired: AtomicU64,
    pub variants_dropped: AtomicU64,
    /// Stored variants.
    pub entries: AtomicU64,
}

/// Outcome of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    Stored,
    /// What is there is newer, or what was to be replaced is gone.
    Superseded,
}

/// The memory tier. Cheap to clone.
#[derive(Clone)]
pub struct Memory {
    shelf: Arc<Shelf<Resource>>,
    stats: Arc<Stats>,
    index: Arc<Index>,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory")
            .field("capacity", &self.shelf.capacity())
            .field("keys", &self.shelf.len())
            .finish()
    }
}

impl Memory {
    /// `capacity` in bytes, bodies and metadata together.
    pub fn new(capacity: u64, policy: Policy) -> Self {
        let order = match policy {
            Policy::TinyLfu => Order::Frequency,
            Policy::Lru => Order::Recency,
        };
        Self { shelf: Arc::new(Shelf::new(capacity, order)), stats: Arc::default(), index: Arc::default() }
    }

    pub fn get(&self, key: &Key) -> Option<Resource> {
        self.shelf.get(key)
    }

    /// Whether something is under this key. Not counted as a use.
    pub fn holds(&self, key: &Key) -> bool {
        self.shelf.peek(key).is_some()
    }

    /// Stores a variant; see [`Resource::with`] for what it replaces.
    pub fn put(&self, key: &Key, entry: Arc<Entry>, max_variants: usize) -> Written {
        let dropped = Cell::new(0);
        let written = self.change(key, |current| {
            dropped.set(0);
            let Some(current) = current else { return Some(Resource::new([entry.clone()])) };
            let (resource, over) = current.with(entry.clone(), max_variants)?;
            dropped.set(over as u64);
            Some(resource)
        });
        self.stats.variants_dropped.fetch_add(dropped.get(), Ordering::Relaxed);
        written
    }

    /// Puts `new` in the place of `old`, if `old` is still there (a 304 replaces only what it validated).
    pub fn replace(&self, key: &Key, old: &Arc<Entry>, new: Arc<Entry>) -> Written {
        self.change(key, |current| current?.replaced(old, new.clone()))
    }

    /// Removes exactly this entry, if it is still there.
    pub fn remove(&self, key: &Key, gone: &Arc<Entry>) -> Written {
        self.change(key, |current| current?.without(gone))
    }

    /// Replaces the resource by what `decide` makes of it: `None` leaves all as it is, an empty one removes it. May be decided
    /// several times; the last time counts.
    fn change(&self, key: &Key, decide: impl Fn(Option<&Resource>) -> Option<Resource>) -> Written {
        let mut weight;
        loop {
            let before = self.shelf.peek(key);
            let Some(resource) = decide(before.as_ref()) else { return Written::Superseded };
            let charge = charge(key, &resource);
            weight = charge.weight;
            let fits = charge.weight <= self.shelf.capacity();
            let new = (fits && !resource.variants().is_empty()).then_some(resource);
            if let Some(new) = &new {
                self.enter(key, new);
            }
            if self.shelf.exchange(key, before.as_ref(), new.clone().map(|new| (new, charge))) {
                if let Some(before) = before {
                    self.leave(&before);
                }
                // Weighed again: a form may have been made meanwhile, which was charged to what this has replaced; and what was replaced
                // no longer shares with it what entries have in common.
                if let Some(new) = new {
                    let now = self::charge(key, &new);
                    if now.weight > weight && self.shelf.exchange(key, Some(&new), Some((new.clone(), now))) {
                        weight = now.weight;
                    }
                }
                break;
            }
            if let Some(new) = new {
                self.leave(&new);
            }
        }
        self.shelf.evict(key, weight, |gone| {
            self.leave(&gone);
            self.stats.evicted_size.fetch_add(1, Ordering::Relaxed);
        });
        Written::Stored
    }

    /// Frees a little of what is of no use to anybody by now; called from time to time.
    pub fn expire(&self, now: Mono) {
        self.shelf.expire(now, |gone| {
            self.leave(&gone);
            self.stats.evicted_expired.fetch_add(1, Ordering::Relaxed);
        });
    }

    /// A resource is about to be stored.
    fn enter(&self, key: &Key, resource: &Resource) {
        self.stats.entries.fetch_add(resource.variants().len() as u64, Ordering::Relaxed);
        self.index.enter(key, resource);
    }

    /// It is not, or no longer.
    fn leave(&self, resource: &Resource) {
        self.index.leave(resource);
        self.stats.entries.fetch_sub(resource.variants().len() as u64, Ordering::Relaxed);
    }

    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Bytes in use as charged (bodies and metadata).
    pub fn bytes(&self) -> u64 {
        self.shelf.used()
    }

    /// Which entries carry which selector.
    pub fn index(&self) -> &Index {
        &self.index
    }

    pub fn capacity(&self) -> u64 {
        self.shelf.capacity()
    }

    /// Every stored resource; a snapshot that may miss concurrent changes.
    pub fn iter(&self) -> impl Iterator<Item = (Key, Resource)> + '_ {
        self.shelf.iter()
    }
}

/// What a resource is charged with. It may go once its last variant is of no use to anybody; freshness is judged on use.
fn charge(key: &Key, resource: &Resource) -> Charge {
    let end = resource.variants().iter().map(|e| e.useless_after()).max();
    let key = if resource.is_under(key) { 0 } else { rounded(16 + key.len()) + rounded(size_of::<Key>()) };
    let weight = resource.weight().saturating_add(key as u64);
    Charge { weight, useless_after: end.unwrap_or_default() }
}

/// Whether an entry of this age is past all use; a look-up treats it as absent.
pub fn is_useless(entry: &Entry, now: Mono) -> bool {
    now >= entry.useless_after()
}
