//! The memory tier: moka, bounded by bytes of bodies and metadata.
//!
//! Contract, which the shared tier will share:
//! * `get` returns what the last completed write left, or nothing; never half of it.
//! * `put` and `replace` are decided on what is stored at that moment, atomically per key.
//! * Losing anything at any time is allowed (it is a cache); keeping anything that was removed is not.
//!
//! moka's writes may sleep for some microseconds when its write channel is full and another thread is draining
//! it (moka `schedule_write_op`); fetch tasks write, hits never do.

use super::entry::{Described, Entry};
use super::index::Index;
use super::key::{BuildKeyHasher, Key};
use super::resource::Resource;
use crate::time::Mono;
use moka::notification::RemovalCause;
use moka::ops::compute::Op;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Which entries survive when memory is short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Frequency-aware admission (W-TinyLFU): scans don't wash out what is popular.
    #[default]
    TinyLfu,
    Lru,
}

/// Why something left the memory tier; label of `larder_evictions_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    Size,
    Expired,
}

impl Cause {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Expired => "expired",
        }
    }
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
    map: moka::sync::Cache<Key, Arc<Resource>, BuildKeyHasher>,
    stats: Arc<Stats>,
    index: Arc<Index>,
    capacity: u64,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory")
            .field("capacity", &self.capacity)
            .field("keys", &self.map.entry_count())
            .finish()
    }
}

impl Memory {
    /// `capacity` in bytes, bodies and metadata together.
    pub fn new(capacity: u64, policy: Policy) -> Self {
        let stats = Arc::new(Stats::default());
        let listener_stats = stats.clone();
        let index = Arc::new(Index::default());
        let listener_index = index.clone();
        let eviction = match policy {
            Policy::TinyLfu => moka::policy::EvictionPolicy::tiny_lfu(),
            Policy::Lru => moka::policy::EvictionPolicy::lru(),
        };
        let map = moka::sync::Cache::builder()
            .max_capacity(capacity)
            .eviction_policy(eviction)
            .weigher(|key: &Key, resource: &Arc<Resource>| {
                u32::try_from(resource.weight().saturating_add(key.len() as u64)).unwrap_or(u32::MAX)
            })
            .expire_after(UntilUseless)
            .eviction_listener(move |_, resource: Arc<Resource>, cause| {
                resource.leave();
                listener_index.leave(&resource);
                listener_stats.entries.fetch_sub(resource.variants.len() as u64, Ordering::Relaxed);
                match cause {
                    RemovalCause::Size => listener_stats.evicted_size.fetch_add(1, Ordering::Relaxed),
                    RemovalCause::Expired => listener_stats.evicted_expired.fetch_add(1, Ordering::Relaxed),
                    RemovalCause::Explicit | RemovalCause::Replaced => 0,
                };
            })
            .build_with_hasher(BuildKeyHasher::default());
        Self { map, stats, index, capacity }
    }

    pub fn get(&self, key: &Key) -> Option<Arc<Resource>> {
        self.map.get(key)
    }

    /// Stores a variant; see [`Resource::with`] for what it replaces.
    pub fn put(&self, key: &Key, entry: Arc<Entry>, max_variants: usize) -> Written {
        self.change(key, |current| {
            let (resource, dropped) = match current {
                Some(r) => r.with(entry.clone(), max_variants)?,
                None => (Resource::new(vec![entry.clone()]), 0),
            };
            self.stats.variants_dropped.fetch_add(dropped as u64, Ordering::Relaxed);
            Some(resource)
        })
    }

    /// Puts `new` in the place of `old`, if `old` is still there (a 304 replaces only what it validated).
    pub fn replace(&self, key: &Key, old: &Arc<Entry>, new: Arc<Entry>) -> Written {
        self.change(key, |current| current?.replaced(old, new.clone()))
    }

    /// Removes exactly this entry, if it is still there.
    pub fn remove(&self, key: &Key, gone: &Arc<Entry>) -> Written {
        self.change(key, |current| current?.without(gone))
    }

    /// Replaces the resource by what `decide` makes of it: `None` leaves all as it is, an empty one removes it.
    fn change(&self, key: &Key, decide: impl FnOnce(Option<&Resource>) -> Option<Resource>) -> Written {
        let mut written = Written::Superseded;
        let mut before = None;
        self.map.entry(key.clone()).and_compute_with(|current| {
            match decide(current.as_ref().map(|e| e.value().as_ref())) {
                None => Op::Nop,
                Some(resource) => {
                    written = Written::Stored;
                    before = current.map(moka::Entry::into_value);
                    if resource.variants.is_empty() {
                        return Op::Remove;
                    }
                    self.stats.entries.fetch_add(resource.variants.len() as u64, Ordering::Relaxed);
                    self.index.enter(key, &resource);
                    Op::Put(Arc::new(resource))
                }
            }
        });
        // The listener says so too, whenever it comes to that; a completed write is seen by the next look-up.
        if let Some(before) = before {
            before.leave();
        }
        written
    }

    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Bytes in use as charged (bodies and metadata), after pending maintenance.
    pub fn bytes(&self) -> u64 {
        self.map.run_pending_tasks();
        self.map.weighted_size()
    }

    /// Which entries carry which selector.
    pub fn index(&self) -> &Index {
        &self.index
    }

    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Every stored resource; a snapshot that may miss concurrent changes.
    pub fn iter(&self) -> impl Iterator<Item = (Arc<Key>, Arc<Resource>)> + '_ {
        self.map.iter()
    }
}

/// Frees a resource once its last variant is of no use to anybody. Reclaims memory, decides nothing: freshness
/// is judged on use.
///
/// Counted from the newest arrival among the variants, which is when the resource was written, or shortly before; after a
/// variant was removed it may be long before, and the others stay as long again as they did at most.
#[derive(Clone, Copy, Debug)]
struct UntilUseless;

impl UntilUseless {
    fn left(resource: &Resource) -> Duration {
        let end = resource.variants.iter().map(|e| e.useless_after()).max();
        let written = resource.variants.iter().map(|e| e.arrived).max();
        let left = end.zip(written).map(|(end, written)| end.since(written));
        left.unwrap_or_default().min(Duration::from_secs(10 * 365 * 86_400))
    }
}

impl moka::Expiry<Key, Arc<Resource>> for UntilUseless {
    fn expire_after_create(&self, _: &Key, resource: &Arc<Resource>, _: Instant) -> Option<Duration> {
        Some(Self::left(resource))
    }
    fn expire_after_update(
        &self,
        _: &Key,
        resource: &Arc<Resource>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(Self::left(resource))
    }
}

/// Whether an entry of this age is past all use; a look-up treats it as absent.
pub fn is_useless(entry: &Entry, now: Mono) -> bool {
    now >= entry.useless_after()
}
