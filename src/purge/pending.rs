//! Purges of this node that its fleet's log doesn't have yet. They act here at once, by a counter of this node
//! ([`super::Born::local`]) instead of an id, until the log has been read past them.

use super::check::Verdict;
use super::floors::PerMode;
use super::predicate::{Predicate, Subject};
use super::selector::{Selector, SelectorHash};
use super::{Mode, Purge};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// Bounded by whoever queues them for the store ([`super::fleet`]), who folds them into one when they are too many.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// So that a reader needs no lock while nothing is pending.
    len: AtomicUsize,
    /// Entries with a smaller local birth are misses, and so is everything from the shared tier; `0` = none. From a gap
    /// or fork until the log has been read up to a record that this node appended after it.
    distrusted: AtomicU64,
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    purges: HashMap<u64, Arc<Purge>>,
    newest: HashMap<SelectorHash, PerMode<u64>>,
    predicates: Vec<(u64, Mode, Predicate)>,
    /// Of [`Selector::Everything`].
    everything: PerMode<u64>,
}

impl Pending {
    pub fn insert(&self, seq: u64, purge: &Arc<Purge>) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.insert(seq, purge);
        self.len.store(state.purges.len(), Ordering::Release);
    }

    /// These have been read from the log, or are covered by a floor. The caller has published that before.
    pub fn settle(&self, seqs: &[u64]) {
        if seqs.is_empty() || self.len() == 0 {
            return;
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        seqs.iter().for_each(|seq| state.remove(*seq));
        self.len.store(state.purges.len(), Ordering::Release);
    }

    /// Puts `purge` in the place of `seqs`, in one step.
    pub fn fold(&self, seqs: &[u64], into: u64, purge: &Arc<Purge>) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        seqs.iter().for_each(|seq| state.remove(*seq));
        state.insert(into, purge);
        self.len.store(state.purges.len(), Ordering::Release);
    }

    /// Falls back to `0` only when a floor has taken its place.
    pub fn distrust(&self, before: u64) {
        self.distrusted.store(before, Ordering::Release);
    }

    /// `Acquire`: a reader that finds a purge gone from here finds it in the table.
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// `born` is the entry's [`super::Born::local`]. Without a subject, predicates are left out.
    pub fn verdict(&self, born: u64, hashes: &[SelectorHash], subject: Option<&Subject<'_>>) -> Verdict {
        if born < self.distrusted.load(Ordering::Acquire) {
            return Verdict::Hard;
        }
        if self.len() == 0 {
            return Verdict::Clean;
        }
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let by_hash = hashes.iter().filter_map(|hash| state.newest.get(hash)).map(|seqs| worst(seqs, born));
        let by_predicate = state
            .predicates
            .iter()
            .filter(|(seq, _, ban)| *seq > born && subject.is_some_and(|subject| ban.matches(subject)))
            .map(|(_, mode, _)| Verdict::from(*mode));
        by_hash.chain(by_predicate).fold(worst(&state.everything, born), Verdict::max)
    }
}

fn worst(seqs: &PerMode<u64>, born: u64) -> Verdict {
    Mode::ALL.into_iter().rev().find(|mode| *seqs.get(*mode) > born).map_or(Verdict::Clean, Verdict::from)
}

impl State {
    fn insert(&mut self, seq: u64, purge: &Arc<Purge>) {
        for selector in &purge.selectors {
            if *selector == Selector::Everything {
                *self.everything.get_mut(purge.mode) = seq;
            }
            selector.each_hash(|hash| *self.newest.entry(hash).or_default().get_mut(purge.mode) = seq);
        }
        self.predicates.extend(purge.predicates.iter().map(|p| (seq, purge.mode, p.clone())));
        self.purges.insert(seq, Arc::clone(purge));
    }

    /// An older pending purge of the same selector and mode needs no entry of its own afterwards: what it selects was
    /// born before the one that is now in the log.
    fn remove(&mut self, seq: u64) {
        let Some(purge) = self.purges.remove(&seq) else { return };
        for selector in &purge.selectors {
            let everything = self.everything.get_mut(purge.mode);
            if *selector == Selector::Everything && *everything == seq {
                *everything = 0;
            }
            selector.each_hash(|hash| {
                if let Some(seqs) = self.newest.get_mut(&hash) {
                    if *seqs.get(purge.mode) == seq {
                        *seqs.get_mut(purge.mode) = 0;
                    }
                    if Mode::ALL.iter().all(|mode| *seqs.get(*mode) == 0) {
                        self.newest.remove(&hash);
                    }
                }
            });
        }
        self.predicates.retain(|(of, _, _)| *of != seq);
    }
}
