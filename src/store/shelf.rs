//! The map of the memory tier: keys to values, bounded by the bytes that the values are charged with.
//!
//! It is cut into racks by the key's hash, each under a lock of its own that is held for a look-up or for the exchange of a
//! pointer, never while anything is decided, counted or freed. A look-up writes one byte of the entry it finds, and that only
//! the first three times. The bound is one for all racks, so that one large value may take what it needs.
//!
//! # What goes
//! By [`Order::Frequency`], S3-FIFO (Yang, Zhang, Qiu, Yue, Rashmi: FIFO queues are all you need for cache eviction, SOSP 2023).
//! New values wait in a small queue, a tenth of all; those that are asked for again while they wait move on to the main queue, the others go,
//! and only the fingerprint of their key stays a while: who comes back soon is taken into the main queue at once. There, what was asked for
//! since its last turn gets another one. So a scan washes through the small queue, and what is popular stays.
//! By [`Order::Recency`] all are in the main queue and have one more turn if they were asked for: least recently used, as CLOCK
//! finds it.
//!
//! Which was chosen for what reason, with figures: `docs/decisions/0011-memory-map.md`.

use super::key::Key;
use crate::time::Mono;
use hashbrown::HashTable;
use slab::Slab;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Most racks, and the bytes that a rack should have at least: with few values a queue per rack says little of their order.
const RACKS: u64 = 64;
const RACK_BYTES: u64 = 8 << 20;

/// Uses that count, of a value that waits or has its turn.
const MOST_USES: u8 = 3;

/// How often a value must have been asked for while it waited, to be moved on.
const ENOUGH: u8 = 2;

/// Values that may get another turn in a row; then one goes all the same: the lock is held meanwhile.
const TURNS: usize = 64;

/// Values that one call of [`Shelf::expire`] looks at.
const LOOKS: usize = 4096;

/// What decides who goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Frequency,
    Recency,
}

/// What a value is charged with, and from when on it is of no use.
#[derive(Clone, Copy, Debug)]
pub struct Charge {
    pub weight: u64,
    pub useless_after: Mono,
}

/// See the head of this file.
#[derive(Debug)]
pub struct Shelf<T> {
    racks: Box<[Locked<T>]>,
    capacity: u64,
    used: AtomicU64,
    len: AtomicU64,
    order: Order,
    /// Whose turn it is to give something up, and to be looked through for what is useless.
    turn: AtomicUsize,
    sweep: AtomicUsize,
}

/// Apart, so that no two threads write one cache line; some processors fetch lines in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Locked<T>(RwLock<Rack<T>>);

#[derive(Debug)]
struct Rack<T> {
    /// Places in `nodes` by the hash of their key.
    table: HashTable<u32>,
    nodes: Slab<Node<T>>,
    small: Queue,
    main: Queue,
    /// Fingerprints of keys that went from the small queue, each in the place that its hash gives it; 0 is none.
    ghosts: Box<[u32]>,
    /// Where the search for what is useless goes on.
    looked: usize,
}

#[derive(Debug)]
struct Node<T> {
    key: Key,
    value: Arc<T>,
    weight: u64,
    /// Whole seconds, rounded up.
    useless_after: u32,
    /// Towards the head and the tail of its queue.
    newer: u32,
    older: u32,
    uses: AtomicU8,
    is_main: bool,
}

/// Not a place.
const NONE: u32 = u32::MAX;

/// Newest at the head.
#[derive(Debug)]
struct Queue {
    head: u32,
    tail: u32,
    weight: u64,
}

impl Default for Queue {
    fn default() -> Self {
        Self { head: NONE, tail: NONE, weight: 0 }
    }
}

impl<T> Shelf<T> {
    /// `capacity` in bytes.
    pub fn new(capacity: u64, order: Order) -> Self {
        let racks = (capacity / RACK_BYTES).clamp(1, RACKS).next_power_of_two();
        let rack = |_| Locked(RwLock::new(Rack::default()));
        Self {
            racks: (0..racks).map(rack).collect(),
            capacity,
            used: AtomicU64::new(0),
            len: AtomicU64::new(0),
            order,
            turn: AtomicUsize::new(0),
            sweep: AtomicUsize::new(0),
        }
    }

    /// Bytes that all values are charged with.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    pub fn len(&self) -> u64 {
        self.len.load(Ordering::Relaxed)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A look-up that counts as a use.
    pub fn get(&self, key: &Key) -> Option<Arc<T>> {
        let rack = self.rack(key)?.read();
        let node = rack.node(rack.find(key)?)?;
        let uses = node.uses.load(Ordering::Relaxed);
        if uses < MOST_USES {
            // Two at once may count as one.
            node.uses.store(uses + 1, Ordering::Relaxed);
        }
        Some(node.value.clone())
    }

    /// A look-up that doesn't.
    pub fn peek(&self, key: &Key) -> Option<Arc<T>> {
        let rack = self.rack(key)?.read();
        Some(rack.node(rack.find(key)?)?.value.clone())
    }

    /// Puts `new` (`None`: nothing) in the place of `seen` (`None`: nothing), if that is still what is there; tells whether it was.
    /// Call [`Shelf::evict`] afterwards.
    pub fn exchange(&self, key: &Key, seen: Option<&Arc<T>>, new: Option<(Arc<T>, Charge)>) -> bool {
        let Some(locked) = self.rack(key) else { return false };
        let mut rack = locked.write();
        let place = rack.find(key);
        let there = place.and_then(|place| rack.node(place)).map(|node| &node.value);
        let same = match (there, seen) {
            (None, None) => true,
            (Some(there), Some(seen)) => Arc::ptr_eq(there, seen),
            _ => false,
        };
        if !same {
            return false;
        }
        // What was there is freed by the caller, who has it as `seen`.
        match (place, new) {
            (None, None) => {}
            (None, Some((value, charge))) => {
                self.used.fetch_add(charge.weight, Ordering::Relaxed);
                self.len.fetch_add(1, Ordering::Relaxed);
                rack.add(key.clone(), value, charge, self.order);
            }
            (Some(place), None) => {
                if let Some(node) = rack.take(place) {
                    self.gone(&node);
                }
            }
            (Some(place), Some((value, charge))) => {
                let before = rack.replace(place, value, charge);
                self.used.fetch_add(charge.weight, Ordering::Relaxed);
                self.used.fetch_sub(before, Ordering::Relaxed);
            }
        }
        true
    }

    /// Gives up values until the rest fits. They are handed over outside of all locks.
    pub fn evict(&self, mut gone: impl FnMut(Arc<T>)) {
        let mut empty = 0;
        while self.used() > self.capacity && empty < self.racks.len() {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            let Some(rack) = self.racks.get(turn % self.racks.len()) else { return };
            let out = rack.write().evict(self.order);
            match out {
                Some(node) => {
                    empty = 0;
                    self.gone(&node);
                    gone(node.value);
                }
                None => empty += 1,
            }
        }
    }

    /// Gives up some of what is useless by now: each call looks a little further. Reclaims memory, decides nothing.
    pub fn expire(&self, now: Mono, mut gone: impl FnMut(Arc<T>)) {
        let at = self.sweep.load(Ordering::Relaxed) % self.racks.len();
        let Some(rack) = self.racks.get(at) else { return };
        let (out, is_through) = rack.write().useless(now);
        if is_through {
            self.sweep.fetch_add(1, Ordering::Relaxed);
        }
        for node in out {
            self.gone(&node);
            gone(node.value);
        }
    }

    /// All there is: a snapshot that may miss concurrent changes, and is taken rack by rack.
    pub fn iter(&self) -> impl Iterator<Item = (Key, Arc<T>)> + '_ {
        self.racks.iter().flat_map(|rack| {
            let rack = rack.read();
            let pair = |(_, node): (usize, &Node<T>)| (node.key.clone(), node.value.clone());
            rack.nodes.iter().map(pair).collect::<Vec<_>>()
        })
    }

    fn gone(&self, node: &Node<T>) {
        self.used.fetch_sub(node.weight, Ordering::Relaxed);
        self.len.fetch_sub(1, Ordering::Relaxed);
    }

    fn rack(&self, key: &Key) -> Option<&Locked<T>> {
        // Other bits than the table of the rack goes by.
        let at = usize::try_from(key.hash_value() >> 24).unwrap_or_default() & (self.racks.len() - 1);
        self.racks.get(at)
    }
}

impl<T> Locked<T> {
    // A thread that died here was in the middle of nothing: values are told out of the lock.
    fn read(&self) -> RwLockReadGuard<'_, Rack<T>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Rack<T>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Default for Rack<T> {
    fn default() -> Self {
        Self {
            table: HashTable::new(),
            nodes: Slab::new(),
            small: Queue::default(),
            main: Queue::default(),
            ghosts: Box::default(),
            looked: 0,
        }
    }
}

fn wide(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

impl<T> Rack<T> {
    fn find(&self, key: &Key) -> Option<u32> {
        let is = |place: &u32| self.node(*place).is_some_and(|node| node.key == *key);
        self.table.find(key.hash_value(), is).copied()
    }

    fn node(&self, place: u32) -> Option<&Node<T>> {
        self.nodes.get(wide(place))
    }

    fn add(&mut self, key: Key, value: Arc<T>, charge: Charge, order: Order) {
        let is_main = order == Order::Recency || self.was_here(&key);
        let hash = key.hash_value();
        // Four thousand million values in a rack: not on a machine of today.
        let Ok(place) = u32::try_from(self.nodes.vacant_key()) else { return };
        self.nodes.insert(Node {
            key,
            value,
            weight: charge.weight,
            useless_after: seconds_up(charge.useless_after),
            newer: NONE,
            older: NONE,
            uses: AtomicU8::new(0),
            is_main,
        });
        let nodes = &self.nodes;
        let hash_of = |place: &u32| nodes.get(wide(*place)).map_or(0, |node| node.key.hash_value());
        self.table.insert_unique(hash, place, hash_of);
        self.push(place);
    }

    /// Its weight before.
    fn replace(&mut self, place: u32, value: Arc<T>, charge: Charge) -> u64 {
        let Some(node) = self.nodes.get_mut(wide(place)) else { return 0 };
        let before = std::mem::replace(&mut node.weight, charge.weight);
        node.value = value;
        node.useless_after = seconds_up(charge.useless_after);
        let queue = if node.is_main { &mut self.main } else { &mut self.small };
        queue.weight = queue.weight.saturating_add(charge.weight).saturating_sub(before);
        before
    }

    fn take(&mut self, place: u32) -> Option<Node<T>> {
        self.unlink(place);
        let node = self.nodes.try_remove(wide(place))?;
        if let Ok(found) = self.table.find_entry(node.key.hash_value(), |at| *at == place) {
            found.remove();
        }
        self.give_back();
        Some(node)
    }

    /// The next to go.
    fn evict(&mut self, order: Order) -> Option<Node<T>> {
        for turn in 0.. {
            let from_small = self.small.weight > (self.small.weight + self.main.weight) / 10;
            let queue = if from_small || self.main.tail == NONE { &self.small } else { &self.main };
            let place = queue.tail;
            let node = self.nodes.get_mut(wide(place))?;
            let (is_main, uses) = (node.is_main, *node.uses.get_mut());
            let stays = if is_main { uses > 0 } else { uses >= ENOUGH };
            if !stays || turn >= TURNS {
                let hash = node.key.hash_value();
                if !is_main {
                    self.remember(hash);
                }
                return self.take(place);
            }
            *node.uses.get_mut() = match (is_main, order) {
                (true, Order::Frequency) => uses - 1,
                _ => 0,
            };
            self.unlink(place);
            if let Some(node) = self.nodes.get_mut(wide(place)) {
                node.is_main = true;
            }
            self.push(place);
        }
        None
    }

    /// What is useless among the next few, and whether these were the last.
    fn useless(&mut self, now: Mono) -> (Vec<Node<T>>, bool) {
        let end = self.looked.saturating_add(LOOKS).min(self.nodes.capacity());
        let now = now.0 / 1000;
        let places: Vec<u32> = (self.looked..end)
            .filter(|at| self.nodes.get(*at).is_some_and(|node| u64::from(node.useless_after) <= now))
            .filter_map(|at| u32::try_from(at).ok())
            .collect();
        let is_through = end >= self.nodes.capacity();
        self.looked = if is_through { 0 } else { end };
        (places.into_iter().filter_map(|place| self.take(place)).collect(), is_through)
    }

    fn queue(&mut self, place: u32) -> Option<(&mut Queue, &mut Slab<Node<T>>)> {
        let is_main = self.nodes.get(wide(place))?.is_main;
        let queue = if is_main { &mut self.main } else { &mut self.small };
        Some((queue, &mut self.nodes))
    }

    /// To the head of its queue.
    fn push(&mut self, place: u32) {
        let Some((queue, nodes)) = self.queue(place) else { return };
        let before = std::mem::replace(&mut queue.head, place);
        if let Some(node) = nodes.get_mut(wide(place)) {
            (node.newer, node.older) = (NONE, before);
            queue.weight = queue.weight.saturating_add(node.weight);
        }
        match nodes.get_mut(wide(before)) {
            Some(older) => older.newer = place,
            None => queue.tail = place,
        }
    }

    /// Out of its queue.
    fn unlink(&mut self, place: u32) {
        let Some((queue, nodes)) = self.queue(place) else { return };
        let Some(node) = nodes.get(wide(place)) else { return };
        let (newer, older) = (node.newer, node.older);
        queue.weight = queue.weight.saturating_sub(node.weight);
        match nodes.get_mut(wide(newer)) {
            Some(node) => node.older = older,
            None => queue.head = older,
        }
        match nodes.get_mut(wide(older)) {
            Some(node) => node.newer = newer,
            None => queue.tail = newer,
        }
    }

    /// Notes a key that went.
    fn remember(&mut self, hash: u64) {
        let wanted = self.nodes.len().next_power_of_two();
        // As many as there are values; halved late, so that a rack about the limit does not start anew again and again.
        if self.ghosts.len() < wanted || self.ghosts.len() > 4 * wanted {
            self.ghosts = vec![0; wanted].into_boxed_slice();
        }
        if let Some((place, print)) = self.ghost(hash) {
            *place = print;
        }
    }

    /// Whether this key went lately. Forgets it.
    fn was_here(&mut self, key: &Key) -> bool {
        let Some((place, print)) = self.ghost(key.hash_value()) else { return false };
        let was = *place == print;
        if was {
            *place = 0;
        }
        was
    }

    fn ghost(&mut self, hash: u64) -> Option<(&mut u32, u32)> {
        let at = usize::try_from(hash).unwrap_or_default() & self.ghosts.len().checked_sub(1)?;
        let print = u32::try_from(hash >> 32).unwrap_or_default().max(1);
        Some((self.ghosts.get_mut(at)?, print))
    }

    /// Tables keep their room when they empty; after a purge of nearly all that would be much of what was to be freed.
    fn give_back(&mut self) {
        if self.table.capacity() > 4096 && self.table.len() < self.table.capacity() / 8 {
            let nodes = &self.nodes;
            let hash_of = |place: &u32| nodes.get(wide(*place)).map_or(0, |node| node.key.hash_value());
            self.table.shrink_to(self.table.len() * 2, hash_of);
        }
        if self.nodes.is_empty() && self.nodes.capacity() > 256 {
            self.nodes = Slab::new();
        }
    }
}

fn seconds_up(at: Mono) -> u32 {
    u32::try_from(at.0.div_ceil(1000)).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "shelf_tests.rs"]
mod tests;
