//! Which selector was last purged when. A fixed array of atomics stands in front, so that the usual answer ("nothing
//! in this bucket since the entry was born") costs one load per selector; behind it are maps in shards.
//!
//! There is one writer at a time (the log's lock); readers take a shard's read lock only where a bucket says that
//! there may be something.

use super::check::Verdict;
use super::floors::{Floors, PerMode};
use super::{Mode, PurgeId, SelectorHash};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

/// The newest purge, of any mode, of all selectors that share a bucket. Never lowered.
#[derive(Debug)]
pub(super) struct Buckets(Box<[AtomicU64]>);

impl Buckets {
    /// `count` is rounded up to a power of two.
    pub fn new(count: usize) -> Self {
        Self((0..count.max(1).next_power_of_two()).map(|_| AtomicU64::new(0)).collect())
    }

    /// `Relaxed`: the reader has loaded the version before, and what that version published is visible.
    pub fn newest(&self, hash: SelectorHash) -> PurgeId {
        PurgeId(self.slot(hash).map_or(u64::MAX, |slot| slot.load(Ordering::Relaxed)))
    }

    pub fn raise(&self, hash: SelectorHash, id: PurgeId) {
        if let Some(slot) = self.slot(hash) {
            slot.fetch_max(id.0, Ordering::Release);
        }
    }

    fn slot(&self, hash: SelectorHash) -> Option<&AtomicU64> {
        // The count is a power of two, and the hash good in its low bits.
        let mask = (self.0.len() as u64).wrapping_sub(1);
        self.0.get(usize::try_from(hash.0 & mask).ok()?)
    }
}

/// The maps are keyed by the hash, and hashed once more with the process's own secret: URLs of clients are among the
/// keys (RFC 9111 §4.4), and the selector hash is public.
type Shard = PerMode<HashMap<SelectorHash, PurgeId>>;

/// Selector → last purge, for each mode, bounded.
#[derive(Debug)]
pub(super) struct Table {
    shards: Box<[RwLock<Shard>]>,
    len: AtomicUsize,
    cap: usize,
}

impl Table {
    /// `cap` counts pairs of selector and mode; `shards` is rounded up to a power of two.
    pub fn new(cap: usize, shards: usize) -> Self {
        Self {
            shards: (0..shards.max(1).next_power_of_two()).map(|_| RwLock::default()).collect(),
            len: AtomicUsize::new(0),
            cap,
        }
    }

    pub fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    pub fn verdict(&self, hash: SelectorHash, born: PurgeId) -> Verdict {
        let Some(shard) = self.shard(hash) else { return Verdict::Hard };
        let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
        Mode::ALL
            .into_iter()
            .rev()
            .find(|mode| shard.get(*mode).get(&hash).is_some_and(|id| *id > born))
            .map_or(Verdict::Clean, Verdict::from)
    }

    /// The newest purge of the selector in that mode, as far as it is remembered.
    pub fn newest(&self, hash: SelectorHash, mode: Mode) -> Option<PurgeId> {
        let shard = self.shard(hash)?.read().unwrap_or_else(PoisonError::into_inner);
        shard.get(mode).get(&hash).copied()
    }

    /// Remembers that `id` purged the selector. The caller calls [`Table::shrink`] afterwards.
    pub fn insert(&self, hash: SelectorHash, mode: Mode, id: PurgeId) {
        let Some(shard) = self.shard(hash) else { return };
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        let map = shard.get_mut(mode);
        let before = map.len();
        let newest = map.entry(hash).or_insert(id);
        *newest = id.max(*newest);
        self.len.fetch_add(map.len() - before, Ordering::Relaxed);
    }

    /// Over the cap, the older half is forgotten. The floors rise to what is forgotten *before* it is, so that a reader
    /// in between finds one or the other.
    pub fn shrink(&self, floors: &Floors) {
        if self.len() <= self.cap {
            return;
        }
        let mut ids: Vec<PurgeId> = Vec::with_capacity(self.len());
        self.each_shard(|shard| Mode::ALL.iter().for_each(|mode| ids.extend(shard.get(*mode).values())));
        let middle = ids.len() / 2;
        if middle >= ids.len() {
            return;
        }
        let newest_forgotten = *ids.select_nth_unstable(middle).1;
        let mut forgotten: PerMode<PurgeId> = PerMode::default();
        self.each_shard(|shard| {
            for mode in Mode::ALL {
                let dropped = shard.get(mode).values().filter(|id| **id <= newest_forgotten).max();
                let highest = forgotten.get_mut(mode);
                *highest = dropped.copied().unwrap_or_default().max(*highest);
            }
        });
        Mode::ALL.into_iter().for_each(|mode| floors.raise(mode, *forgotten.get(mode)));
        let mut left = 0;
        for shard in &self.shards {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            for mode in Mode::ALL {
                let map = shard.get_mut(mode);
                map.retain(|_, id| *id > newest_forgotten);
                left += map.len();
            }
        }
        self.len.store(left, Ordering::Relaxed);
    }

    fn each_shard(&self, mut each: impl FnMut(&Shard)) {
        for shard in &self.shards {
            each(&shard.read().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// By other bits of the hash than the buckets use.
    fn shard(&self, hash: SelectorHash) -> Option<&RwLock<Shard>> {
        let mask = (self.shards.len() as u64).wrapping_sub(1);
        self.shards.get(usize::try_from(hash.0 >> 32 & mask).ok()?)
    }
}
