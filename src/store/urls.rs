//! The sets of the index for URLs. There are as many as there are entries, nearly all with one member: those cost four bytes and their
//! share of a table, which finds what belongs to a hash by asking the entry itself.

use super::index::{Resident, Slot, Slots};
use super::wide;
use crate::purge::SelectorHash;
use hashbrown::HashTable;
use slab::Slab;
use std::hash::{BuildHasher, RandomState};

/// Set in what stands for a set in `many`; the other bits are its place.
const MANY: u32 = 1 << 31;

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Urls {
    /// The slot of the only member, or [`MANY`].
    table: HashTable<u32>,
    many: Slab<(SelectorHash, Slots)>,
    /// Clients choose URLs, and the hashes of selectors are the same everywhere.
    spread: RandomState,
}

/// Whose URL an element of the table stands for.
fn hash_of(mark: u32, many: &Slab<(SelectorHash, Slots)>, records: &Slab<Resident>) -> Option<SelectorHash> {
    match mark & MANY {
        0 => records.get(wide(mark))?.entry.url_selector(),
        _ => many.get(wide(mark & !MANY)).map(|(hash, _)| *hash),
    }
}

impl Urls {
    /// Sets.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    #[cfg(test)]
    pub fn capacity(&self) -> usize {
        self.table.capacity()
    }

    pub fn get(&self, hash: SelectorHash, records: &Slab<Resident>) -> Option<Members<'_>> {
        let is = |mark: &u32| hash_of(*mark, &self.many, records) == Some(hash);
        let mark = *self.table.find(self.spread.hash_one(hash), is)?;
        match mark & MANY {
            0 => Some(Members::One(Slots::One(mark))),
            _ => self.many.get(wide(mark & !MANY)).map(|(_, slots)| Members::Many(slots)),
        }
    }

    /// `records` has the entry of this slot already.
    pub fn insert(&mut self, hash: SelectorHash, slot: Slot, records: &Slab<Resident>) {
        let Self { table, many, spread } = self;
        let is = |mark: &u32| *mark != slot && hash_of(*mark, many, records) == Some(hash);
        let Ok(mut found) = table.find_entry(spread.hash_one(hash), is) else {
            let place = |mark: &u32| hash_of(*mark, many, records).map_or(0, |hash| spread.hash_one(hash));
            table.insert_unique(spread.hash_one(hash), slot, place);
            return;
        };
        let mark = *found.get();
        if mark & MANY == 0 {
            let mut slots = Slots::One(mark);
            slots.insert(slot);
            // As many sets of several as half of all slots: not on a machine of today.
            *found.get_mut() = u32::try_from(many.insert((hash, slots))).unwrap_or(!MANY) | MANY;
        } else if let Some((_, slots)) = many.get_mut(wide(mark & !MANY)) {
            slots.insert(slot);
        }
    }

    /// `records` has the entry of this slot still.
    pub fn remove(&mut self, hash: SelectorHash, slot: Slot, records: &Slab<Resident>) {
        let Self { table, many, spread } = self;
        let is = |mark: &u32| hash_of(*mark, many, records) == Some(hash);
        let Ok(found) = table.find_entry(spread.hash_one(hash), is) else { return };
        let mark = *found.get();
        let is_last = match mark & MANY {
            0 => mark == slot,
            _ => many.get_mut(wide(mark & !MANY)).is_some_and(|(_, slots)| slots.remove(slot)),
        };
        if is_last {
            found.remove();
            if mark & MANY != 0 {
                many.try_remove(wide(mark & !MANY));
            }
        }
        // Tables keep their room when they empty. After a purge of a million distinct URLs that would be much of what was to be freed.
        if table.capacity() > 4096 && table.len() < table.capacity() / 8 {
            let place = |mark: &u32| hash_of(*mark, many, records).map_or(0, |hash| spread.hash_one(hash));
            table.shrink_to(table.len() * 2, place);
        }
    }

    /// Every set and its hash.
    #[cfg(test)]
    pub fn iter<'s>(
        &'s self,
        records: &'s Slab<Resident>,
    ) -> impl Iterator<Item = (SelectorHash, Members<'s>)> + 's {
        self.table.iter().filter_map(|mark| {
            let hash = hash_of(*mark, &self.many, records)?;
            Some((hash, self.get(hash, records)?))
        })
    }
}

/// A set of slots, made or found.
#[derive(Debug)]
pub(super) enum Members<'s> {
    One(Slots),
    Many(&'s Slots),
}

impl std::ops::Deref for Members<'_> {
    type Target = Slots;
    fn deref(&self) -> &Slots {
        match self {
            Self::One(slots) => slots,
            Self::Many(slots) => slots,
        }
    }
}
