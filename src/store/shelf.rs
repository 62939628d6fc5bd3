//! The map of the memory tier: keys to values, bounded by the bytes that the values are charged with.
//!
//! It is cut into racks by the key's hash, each under a lock of its own that is held for a look-up, for the exchange of a
//! pointer, or to find who goes, never while a caller decides or anything is freed. By frequency, a look-up writes to its
//! rack's sketch: what is asked for most is kept in front of this ([`super::Near`]). The bound is one for all racks, so
//! that one large value may take what it needs.
//!
//! # What goes
//! Values are in a main queue, in which the one that was not asked for since its last turn is the next to go: least recently used, as
//! CLOCK finds it. That is all by [`Order::Recency`].
//!
//! By [`Order::Frequency`] a value has to earn its place there (TinyLFU: Einziger, Friedman, Manes, ACM Transactions on Storage 2017). It
//! comes into a small queue first, a tenth of all; when its turn is over it moves on if it was asked for more often than all
//! those together that would have to go for it, and goes itself otherwise. So a scan washes through the small queue, and a large
//! value must be worth what it displaces. How often a key was asked for, stored or not, a [`Sketch`] knows.
//!
//! Which was chosen for what reason, with figures: `docs/decisions/0011-memory-map.md`.

use super::kept::Kept;
use super::key::Key;
use super::sketch::Sketch;
use super::wide;
use crate::time::Mono;
use hashbrown::HashTable;
use slab::Slab;
use smallvec::SmallVec;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Most racks, and the bytes that a rack should have at least: with few values a queue per rack says little of their order.
const RACKS: u64 = 64;
const RACK_BYTES: u64 = 64 << 20;

/// Values that are looked at to find who goes; then the next does all the same: the lock is held meanwhile.
const TURNS: usize = 64;

/// Values that get another turn in the small queue before one goes all the same.
const CHANCES: usize = 8;

/// The small queue has one part in so many.
const SMALL: u64 = 10;

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
    /// What a rack has of the capacity, while nothing is larger than that.
    share: u64,
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
    sketch: Sketch,
    /// Where the search for what is useless goes on.
    looked: usize,
}

#[derive(Debug)]
struct Node<T> {
    /// Of its key.
    hash: u64,
    value: T,
    /// Where the value does not tell it.
    key: Option<Box<Key>>,
    weight: u64,
    /// Whole seconds, rounded up.
    useless_after: u32,
    /// Towards the head and the tail of its queue.
    newer: u32,
    older: u32,
    /// It was asked for since its last turn.
    used: AtomicBool,
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

impl<T: Kept> Shelf<T> {
    /// `capacity` in bytes.
    pub fn new(capacity: u64, order: Order) -> Self {
        let racks = (capacity / RACK_BYTES).clamp(1, RACKS).next_power_of_two();
        let rack = |_| Locked(RwLock::new(Rack::default()));
        Self {
            racks: (0..racks).map(rack).collect(),
            capacity,
            share: capacity / racks,
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
    pub fn get(&self, key: &Key) -> Option<T> {
        let rack = self.rack(key)?.read();
        if self.order == Order::Frequency {
            rack.sketch.count(key.hash_value());
        }
        let node = rack.node(rack.find(key)?)?;
        if !node.used.load(Ordering::Relaxed) {
            node.used.store(true, Ordering::Relaxed);
        }
        Some(node.value.clone())
    }

    /// A look-up that doesn't.
    pub fn peek(&self, key: &Key) -> Option<T> {
        let rack = self.rack(key)?.read();
        Some(rack.node(rack.find(key)?)?.value.clone())
    }

    /// Puts `new` (`None`: nothing) in the place of `seen` (`None`: nothing), if that is still what is there; tells whether it was.
    /// Call [`Shelf::evict`] afterwards.
    pub fn exchange(&self, key: &Key, seen: Option<&T>, new: Option<(T, Charge)>) -> bool {
        let Some(locked) = self.rack(key) else { return false };
        let mut rack = locked.write();
        let place = rack.find(key);
        let there = place.and_then(|place| rack.node(place)).map(|node| &node.value);
        let same = match (there, seen) {
            (None, None) => true,
            (Some(there), Some(seen)) => there.is_same(seen),
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
                rack.add(key, value, charge, self.order, self.share);
            }
            (Some(place), None) => {
                if let Some(node) = rack.take(place) {
                    self.gone(&node);
                }
            }
            (Some(place), Some((value, charge))) => {
                let before = rack.replace(place, key, value, charge);
                self.used.fetch_add(charge.weight, Ordering::Relaxed);
                self.used.fetch_sub(before, Ordering::Relaxed);
            }
        }
        true
    }

    /// Gives up values until the rest fits, after something that weighs so much was put under this key. They are handed over outside
    /// of all locks.
    ///
    /// First the rack of the key gives, down to its share of the capacity: there the newcomer has to be better than others. What is
    /// missing for a large one the others give in turn.
    pub fn evict(&self, key: &Key, weight: u64, mut gone: impl FnMut(T)) {
        let mut empty = 0;
        while self.used() > self.capacity && empty < 2 * self.racks.len() {
            let own = self
                .rack(key)
                .filter(|_| empty == 0)
                .map(|rack| rack.write().evict(self.order, self.share.saturating_add(weight), self.share));
            let out = own.filter(|out| !out.is_empty()).unwrap_or_else(|| {
                let turn = self.turn.fetch_add(1, Ordering::Relaxed);
                let rack = self.racks.get(turn % self.racks.len());
                // Once round for those that have more than their share.
                let most = if empty < self.racks.len() { self.share } else { 0 };
                rack.map(|rack| rack.write().evict(self.order, most, self.share)).unwrap_or_default()
            });
            empty = if out.is_empty() { empty + 1 } else { 0 };
            for node in out {
                self.gone(&node);
                gone(node.value);
            }
        }
    }

    /// Gives up some of what is useless by now: each call looks a little further. Reclaims memory, decides nothing.
    pub fn expire(&self, now: Mono, mut gone: impl FnMut(T)) {
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
    pub fn iter(&self) -> impl Iterator<Item = (Key, T)> + '_ {
        self.racks.iter().flat_map(|rack| {
            let rack = rack.read();
            let pair = |(_, node): (usize, &Node<T>)| Some((node.key()?, node.value.clone()));
            rack.nodes.iter().filter_map(pair).collect::<Vec<_>>()
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

impl<T: Kept> Node<T> {
    fn is_under(&self, key: &Key) -> bool {
        self.hash == key.hash_value()
            && match &self.key {
                None => self.value.is_under(key),
                Some(own) => **own == *key,
            }
    }

    fn key(&self) -> Option<Key> {
        match &self.key {
            None => self.value.key(self.hash),
            Some(own) => Some(Key::clone(own)),
        }
    }
}

/// What of a key has to be kept beside the value.
fn key_beside<T: Kept>(key: &Key, value: &T) -> Option<Box<Key>> {
    (!value.is_under(key)).then(|| Box::new(key.clone()))
}

impl<T> Locked<T> {
    // A thread that died here was in the middle of nothing: under the lock values only set a mark.
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
            sketch: Sketch::default(),
            looked: 0,
        }
    }
}

impl<T: Kept> Rack<T> {
    fn find(&self, key: &Key) -> Option<u32> {
        let is = |place: &u32| self.node(*place).is_some_and(|node| node.is_under(key));
        self.table.find(key.hash_value(), is).copied()
    }

    fn node(&self, place: u32) -> Option<&Node<T>> {
        self.nodes.get(wide(place))
    }

    fn add(&mut self, key: &Key, value: T, charge: Charge, order: Order, share: u64) {
        let hash = key.hash_value();
        // Four thousand million values in a rack: not on a machine of today.
        let Ok(place) = u32::try_from(self.nodes.vacant_key()) else { return };
        value.comes();
        self.nodes.insert(Node {
            hash,
            key: key_beside(key, &value),
            value,
            weight: charge.weight,
            useless_after: seconds_up(charge.useless_after),
            newer: NONE,
            older: NONE,
            used: AtomicBool::new(false),
            is_main: order == Order::Recency,
        });
        let nodes = &self.nodes;
        let hash_of = |place: &u32| nodes.get(wide(*place)).map_or(0, |node| node.hash);
        self.table.insert_unique(hash, place, hash_of);
        self.push(place);
        if order == Order::Frequency {
            self.sketch.fit(self.nodes.len());
            // While there is room, nobody has to be better than anybody.
            for _ in 0..2 {
                if !self.is_small_over(share) || !self.has_room(self.small.tail, share) {
                    break;
                }
                self.move_on(self.small.tail);
            }
        }
    }

    fn is_small_over(&self, share: u64) -> bool {
        self.small.head != self.small.tail && self.small.weight > share / SMALL
    }

    /// In the main queue, beside what there is.
    fn has_room(&self, place: u32, share: u64) -> bool {
        self.node(place)
            .is_some_and(|node| self.main.weight.saturating_add(node.weight) <= share - share / SMALL)
    }

    /// From the small queue to the main one.
    fn move_on(&mut self, place: u32) {
        self.unlink(place);
        if let Some(node) = self.nodes.get_mut(wide(place)) {
            node.is_main = true;
            *node.used.get_mut() = false;
        }
        self.push(place);
    }

    /// Its weight before.
    fn replace(&mut self, place: u32, key: &Key, value: T, charge: Charge) -> u64 {
        let Some(node) = self.nodes.get_mut(wide(place)) else { return 0 };
        let before = std::mem::replace(&mut node.weight, charge.weight);
        // In this order, for where both are the same.
        node.value.goes();
        value.comes();
        node.key = key_beside(key, &value);
        node.value = value;
        node.useless_after = seconds_up(charge.useless_after);
        let queue = if node.is_main { &mut self.main } else { &mut self.small };
        queue.weight = queue.weight.saturating_add(charge.weight).saturating_sub(before);
        before
    }

    fn take(&mut self, place: u32) -> Option<Node<T>> {
        self.unlink(place);
        let node = self.nodes.try_remove(wide(place))?;
        node.value.goes();
        if let Ok(found) = self.table.find_entry(node.hash, |at| *at == place) {
            found.remove();
        }
        self.give_back();
        Some(node)
    }

    /// The next to go, if there is more than `most`: one, or all those that have to for one that moves on.
    fn evict(&mut self, order: Order, most: u64, share: u64) -> SmallVec<[Node<T>; 4]> {
        let mut out = SmallVec::new();
        if self.small.weight + self.main.weight <= most {
            return out;
        }
        for _ in 0..TURNS {
            if !self.is_small_over(share) || !self.has_room(self.small.tail, share) {
                break;
            }
            self.move_on(self.small.tail);
        }
        if order == Order::Recency || (!self.is_small_over(share) && self.main.tail != NONE) {
            let victim = self.victims(1, u64::MAX).and_then(|all| all.first().copied());
            out.extend(self.take(victim.unwrap_or(self.main.tail)));
            return out;
        }
        for _ in 0..CHANCES {
            let candidate = self.small.tail;
            let Some(node) = self.nodes.get_mut(wide(candidate)) else { return out };
            let (weight, hash) = (node.weight, node.hash);
            let used = std::mem::take(node.used.get_mut());
            match self.victims(weight, self.sketch.estimate(hash)) {
                Some(victims) => {
                    self.move_on(candidate);
                    out.extend(victims.into_iter().filter_map(|place| self.take(place)));
                    return out;
                }
                // Too large to get into the main queue, but asked for: it stays for as long as that goes on.
                None if used => {
                    self.unlink(candidate);
                    self.push(candidate);
                }
                None => {
                    out.extend(self.take(candidate));
                    return out;
                }
            }
        }
        out.extend(self.take(self.small.tail));
        out
    }

    /// From the end of the main queue, as many as weigh so much; those that were asked for get another turn. `None`: they were, all in
    /// all, asked for no less often than `count`, or are too many.
    fn victims(&mut self, weight: u64, count: u64) -> Option<SmallVec<[u32; 8]>> {
        let mut found: SmallVec<[u32; 8]> = SmallVec::new();
        let (mut weighs, mut counts) = (0, 0);
        let mut next = self.main.tail;
        for _ in 0..TURNS {
            if weighs >= weight {
                return Some(found);
            }
            let place = next;
            let node = self.nodes.get_mut(wide(place))?;
            next = node.newer;
            if std::mem::take(node.used.get_mut()) {
                self.unlink(place);
                self.push(place);
                next = if next == NONE { place } else { next };
                continue;
            }
            weighs += node.weight;
            if count != u64::MAX {
                counts += self.sketch.estimate(node.hash);
                // One for one it must be better. A large one may be a little worse than the sum: that is about requests, and bytes
                // count too.
                let leave = 1 + found.len().min(1) as u64;
                if counts * 2 >= count * (1 + leave) {
                    return None;
                }
            }
            found.push(place);
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

    /// Tables keep their room when they empty; after a purge of nearly all that would be much of what was to be freed.
    fn give_back(&mut self) {
        if self.table.capacity() > 4096 && self.table.len() < self.table.capacity() / 8 {
            let nodes = &self.nodes;
            let hash_of = |place: &u32| nodes.get(wide(*place)).map_or(0, |node| node.hash);
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
