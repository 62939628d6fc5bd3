//! Frees what was purged for good. Nothing depends on it: a purged entry that is still there is not served, and leaves
//! like any other in the end. So the sweeper may be late, may lose work, and never holds up a request: it works
//! in batches on a blocking thread, and rests between them.
//!
//! It asks the purge log about every entry before it removes it, and removes exactly the entry that it asked about, not
//! whatever stands under its key by then (rulings 22). Invalidated and softly purged entries stay: a 304 revives them.

use crate::engine::Engine;
use crate::purge::{Mode, Purge, Verdict};
use crate::store::index::{Scope, Slot};
use crate::store::matched::Targets;
use crate::store::memory::Written;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// Scopes that wait to be swept. When there are more, everything is swept once instead.
const QUEUE: usize = 4096;

/// Entries per batch: some hundreds of microseconds.
const BATCH: usize = 256;

/// Between two batches: at most a quarter of a million entries per second, and half of one core.
const REST: Duration = Duration::from_millis(1);

/// What is to be swept.
#[derive(Debug)]
pub struct Sweeper {
    due: Mutex<Due>,
    wake: Notify,
    /// Entries freed so far, told when there is nothing left to do.
    settled: watch::Sender<Settled>,
}

#[derive(Debug, Default)]
struct Due {
    scopes: VecDeque<Scope>,
    /// Purges taken in.
    asked: u64,
}

/// How far the sweeper is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Purges whose entries have been looked at, all of them.
    pub purges: u64,
    /// Entries freed since the start.
    pub freed: u64,
}

impl Default for Sweeper {
    fn default() -> Self {
        Self { due: Mutex::default(), wake: Notify::new(), settled: watch::Sender::default() }
    }
}

impl Sweeper {
    /// What this purge selects is to be freed, unless it may come back.
    pub fn add(&self, purge: &Purge) {
        let scopes = match purge.mode {
            Mode::Hard => Targets::of(purge).scopes(),
            Mode::Invalidate | Mode::Soft => Vec::new(),
        };
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        due.asked += 1;
        due.scopes.extend(scopes);
        if due.scopes.len() > QUEUE || due.scopes.contains(&Scope::All) {
            due.scopes.clear();
            due.scopes.push_back(Scope::All);
        }
        drop(due);
        self.wake.notify_one();
    }

    /// Follows how far it is.
    pub fn settled(&self) -> watch::Receiver<Settled> {
        self.settled.subscribe()
    }

    /// The next scope, and how many purges have been taken in by now.
    fn next(&self) -> (Option<Scope>, u64) {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        (due.scopes.pop_front(), due.asked)
    }
}

impl Engine {
    /// Sweeps for as long as it is polled; `app` runs it in the background.
    pub async fn sweep(self: Arc<Self>) {
        let mut freed = 0;
        loop {
            match self.sweeper.next() {
                (Some(scope), _) => freed += self.sweep_scope(scope).await,
                (None, purges) => {
                    self.sweeper.settled.send_replace(Settled { purges, freed });
                    self.sweeper.wake.notified().await;
                    // The answer to who purged goes out first.
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }

    /// Returns how many entries it freed.
    async fn sweep_scope(self: &Arc<Self>, scope: Scope) -> u64 {
        let (mut freed, mut after) = (0, None);
        loop {
            let engine = self.clone();
            let swept = tokio::task::spawn_blocking(move || engine.sweep_batch(scope, after)).await;
            // A batch that panicked, or a runtime that is shutting down.
            let Ok((removed, last)) = swept else { return freed };
            freed += removed;
            if last.is_none() {
                return freed;
            }
            after = last;
            tokio::time::sleep(REST).await;
        }
    }

    /// Looks at some entries of a scope, and removes those that are purged for good. Returns how many it removed, and where
    /// to go on; `None` = that was all. For [`Engine::sweep`], and for whoever wants memory freed at once.
    pub fn sweep_batch(&self, scope: Scope, after: Option<Slot>) -> (u64, Option<Slot>) {
        let page = self.memory.index().page(scope, after, BATCH);
        let last = page.last().map(|(slot, _)| *slot).filter(|_| page.len() == BATCH);
        let mut freed = 0;
        for (_, record) in page {
            if self.verdict(&record.entry) == Verdict::Hard
                && self.memory.remove(&record.key(), &record.entry) == Written::Stored
            {
                freed += 1;
            }
        }
        (freed, last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::purge::Selector;

    #[test]
    fn only_what_is_purged_for_good_is_swept_and_a_flood_of_purges_is_one_sweep() {
        let sweeper = Sweeper::default();
        sweeper.add(&Purge::everything(Mode::Soft));
        sweeper.add(&Purge::everything(Mode::Invalidate));
        assert_eq!(sweeper.next(), (None, 2));
        let tags = |from: usize, count: usize| {
            let tags = (from..from + count).map(|n| Selector::tag(&n.to_string())).collect();
            Purge::new(Mode::Hard, tags)
        };
        sweeper.add(&tags(0, 1));
        assert!(matches!(sweeper.next(), (Some(Scope::Carrying(_)), 3)));
        for n in 0..QUEUE {
            sweeper.add(&tags(n, 1));
        }
        assert_eq!(sweeper.due.lock().unwrap().scopes.len(), QUEUE);
        sweeper.add(&tags(QUEUE, 1));
        assert_eq!(sweeper.next().0, Some(Scope::All));
        assert_eq!(sweeper.next().0, None);
    }
}
