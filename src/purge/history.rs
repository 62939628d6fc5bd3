//! The positions that this node's branch of a fleet's log has had. A shared entry is trusted only if it was born at
//! one of them.
//!
//! "Not beyond our own position" is not enough. When the store fails over and loses the tail of the log, an entry that
//! was filled at a lost position may survive in the shared tier. Nodes that never saw that position notice nothing:
//! their log goes on without a break, past it, and a purge that came after the fill but has a smaller id than the
//! lost position would seem older than the entry. Ids are unique across branches ([`super::PurgeId::appended`]), so
//! being in the history proves that the fill began after the same record was appended.

use super::PurgeId;
use std::collections::VecDeque;
use std::sync::{PoisonError, RwLock};

/// Ascending, bounded: the oldest are forgotten, and entries born there are misses.
#[derive(Debug)]
pub(super) struct History {
    positions: RwLock<VecDeque<PurgeId>>,
    cap: usize,
}

impl History {
    pub fn new(cap: usize) -> Self {
        Self { positions: RwLock::default(), cap }
    }

    pub fn contains(&self, id: PurgeId) -> bool {
        self.positions.read().unwrap_or_else(PoisonError::into_inner).binary_search(&id).is_ok()
    }

    /// `restart`: what was known before belongs to another branch, or lies before a gap.
    pub fn extend(&self, restart: bool, positions: &[PurgeId]) {
        let mut known = self.positions.write().unwrap_or_else(PoisonError::into_inner);
        if restart {
            known.clear();
        }
        for id in positions {
            // No entry is born before the first record, and the order is what the search relies on.
            if *id == PurgeId::ZERO || known.back().is_some_and(|last| last >= id) {
                continue;
            }
            if known.len() >= self.cap {
                known.pop_front();
            }
            known.push_back(*id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_newest_positions_of_one_branch() {
        let history = History::new(3);
        history.extend(false, &[PurgeId(0), PurgeId(2), PurgeId(4)]);
        history.extend(false, &[PurgeId(4), PurgeId(3), PurgeId(6), PurgeId(8)]);
        let known =
            |history: &History| (0..10).filter(|id| history.contains(PurgeId(*id))).collect::<Vec<_>>();
        assert_eq!(known(&history), [4, 6, 8]);
        history.extend(true, &[PurgeId(5)]);
        assert_eq!(known(&history), [5]);
    }
}
