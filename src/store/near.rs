//! A small table per thread in front of the memory tier, for what is asked for most. Looking there writes nothing that another
//! thread writes or reads: no list of recent uses, no reference count that all processors share.
//!
//! Each thread with a number ([`worker::number`]) has a table of its own and is alone in it, but for the sweep that frees what has
//! left the store; whoever finds a table taken goes on without it, so nobody ever waits. A place goes to whom it
//! is asked for most: every hit earns its holder credit, everyone who comes in vain takes some away, and he who finds none
//! left moves in.
//!
//! What is in a table is as good as what the store has, or is refused by the caller: values tell whether the resource they were
//! made of is still the stored one ([`Resource::is_current`](super::Resource::is_current)).

use crate::worker;
use std::sync::{Arc, Mutex, MutexGuard};

/// Places of one table.
const PLACES: usize = 1024;

/// What the values of one table may weigh together, bytes. Not beside the store's capacity: nearly all of it is
/// in the store as well. It bounds what stays behind of what has left, until the next sweep.
const MOST: u64 = 64 << 20;

/// What is heavier is not kept.
const HEAVIEST: u64 = MOST / 8;

/// More than this a holder can't earn.
const CREDIT: u8 = 8;

/// The store's counter of uses has four bits: the first so many uses of a value are told to it, and then every so many.
const TELL: u32 = 16;

/// See the head of this file.
#[derive(Debug)]
pub struct Near<T>(Box<[Mutex<Table<T>>]>);

/// Aligned so that no two threads write one cache line; some processors fetch lines in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Table<T> {
    /// None, or [`PLACES`].
    places: Box<[Option<Place<T>>]>,
    weight: u64,
}

#[derive(Debug)]
struct Place<T> {
    hash: u64,
    weight: u64,
    uses: u32,
    credit: u8,
    value: Arc<T>,
}

/// What was found.
#[derive(Debug)]
pub struct Found<T> {
    pub value: Arc<T>,
    /// This use should be told to the store, by a look-up: else it would take its most used keys for forgotten ones.
    pub tell: bool,
}

impl<T> Default for Near<T> {
    fn default() -> Self {
        let table = || Mutex::new(Table { places: Box::default(), weight: 0 });
        Self((0..worker::NUMBERS).map(|_| table()).collect())
    }
}

impl<T> Near<T> {
    /// What this thread keeps under this hash, if it `fits`; what has the hash and doesn't fit is dropped.
    pub fn get(&self, hash: u64, fits: impl FnOnce(&T) -> bool) -> Option<Found<T>> {
        let mut table = self.mine()?;
        let place = table.place(hash)?;
        let held = place.as_mut().filter(|held| held.hash == hash)?;
        if !fits(&held.value) {
            let weight = held.weight;
            *place = None;
            table.weight -= weight;
            return None;
        }
        held.credit = (held.credit + 1).min(CREDIT);
        held.uses = held.uses.wrapping_add(1);
        let tell = held.uses < TELL || held.uses % TELL == 0;
        Some(Found { value: held.value.clone(), tell })
    }

    /// Called after [`Near::get`] found nothing: may something of this hash and weight be kept? Each time costs the holder of
    /// its place some credit.
    pub fn has_room(&self, hash: u64, weight: u64) -> bool {
        let Some(mut table) = self.mine().filter(|_| weight <= HEAVIEST) else { return false };
        match table.place(hash) {
            None => true, // the first of this table
            Some(Some(held)) if held.credit > 0 => {
                held.credit -= 1;
                false
            }
            Some(_) => true,
        }
    }

    /// Keeps a value, in the place of what is there.
    pub fn put(&self, hash: u64, weight: u64, value: Arc<T>) {
        let Some(mut table) = self.mine().filter(|_| weight <= HEAVIEST) else { return };
        if table.places.is_empty() || table.weight + weight > MOST {
            table.weight = 0;
            table.places = (0..PLACES).map(|_| None).collect();
        }
        let Some(place) = table.place(hash) else { return };
        let before = place.replace(Place { hash, weight, uses: 1, credit: 1, value });
        table.weight += weight;
        table.weight -= before.map_or(0, |held| held.weight);
    }

    /// Drops, in all tables, what is not to be kept.
    pub fn sweep(&self, keep: impl Fn(&T) -> bool) {
        for table in &self.0 {
            // Its thread is alone with it and leaves it at once; poisoned means that a thread died in it.
            let mut table = table.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let Table { places, weight } = &mut *table;
            for place in
                places.iter_mut().filter(|place| place.as_ref().is_some_and(|held| !keep(&held.value)))
            {
                *weight -= place.take().map_or(0, |held| held.weight);
            }
        }
    }

    fn mine(&self) -> Option<MutexGuard<'_, Table<T>>> {
        self.0.get(worker::number()?)?.try_lock().ok()
    }
}

impl<T> Table<T> {
    fn place(&mut self, hash: u64) -> Option<&mut Option<Place<T>>> {
        let at = usize::try_from(hash % PLACES as u64).ok()?;
        self.places.get_mut(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(near: &Near<&'static str>, hash: u64, name: &str) -> bool {
        near.get(hash, |held| *held == name).is_some()
    }

    #[test]
    fn a_place_goes_to_whom_it_is_asked_for_most() {
        let near = Near::default();
        let rival = 1 + PLACES as u64;
        assert!(!found(&near, 1, "a") && near.has_room(1, 1));
        near.put(1, 1, Arc::new("a"));
        (0..3).for_each(|_| assert!(found(&near, 1, "a")));
        // Four credits: one for coming, three for being asked for.
        (0..4).for_each(|_| assert!(!found(&near, rival, "b") && !near.has_room(rival, 1)));
        assert!(found(&near, 1, "a"));
        assert!(!near.has_room(rival, 1) && near.has_room(rival, 1));
        near.put(rival, 1, Arc::new("b"));
        assert!(found(&near, rival, "b") && !found(&near, 1, "a"));
    }

    #[test]
    fn what_no_longer_fits_is_dropped_at_once_and_what_is_not_to_be_kept_at_a_sweep() {
        let near = Near::default();
        let value = Arc::new("a");
        near.put(1, 1, value.clone());
        assert!(!found(&near, 1, "other"));
        assert_eq!(Arc::strong_count(&value), 1);
        near.put(1, 1, value.clone());
        near.sweep(|held| *held != "b");
        assert_eq!(Arc::strong_count(&value), 2);
        // Of every thread, also by one that has no table.
        std::thread::scope(|scope| scope.spawn(|| near.sweep(|held| *held != "a")).join().unwrap());
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn what_a_table_keeps_alive_is_bounded() {
        let near = Near::default();
        let values: Vec<_> = (0..100).map(|_| Arc::new("x")).collect();
        let kept = || values.iter().filter(|value| Arc::strong_count(value) > 1).count() as u64;
        for (hash, value) in (0..).zip(&values) {
            assert!(near.has_room(hash, HEAVIEST));
            near.put(hash, HEAVIEST, value.clone());
            assert!(kept() * HEAVIEST <= MOST);
        }
        assert!(kept() > 0);
        assert!(!near.has_room(200, HEAVIEST + 1));
        near.put(200, HEAVIEST + 1, values[0].clone());
        assert!(!found(&near, 200, "x"));
    }

    #[test]
    fn the_store_is_told_of_the_first_uses_and_then_of_some() {
        let near = Near::default();
        near.put(1, 1, Arc::new("a"));
        let told = (0..160).filter(|_| near.get(1, |_| true).unwrap().tell).count();
        assert_eq!(told, 14 + 10);
    }

    #[test]
    fn a_table_that_is_taken_is_done_without() {
        let near = Near::default();
        near.put(1, 1, Arc::new("a"));
        let _taken = near.mine().unwrap();
        assert!(!found(&near, 1, "a") && !near.has_room(2, 1));
        near.put(2, 1, Arc::new("b"));
    }
}
