//! Until when this node is known to be at the tail of its fleet's log. A node that is cut off doesn't hear of purges;
//! after `max_unsynced` it treats what it has by policy (`when_unsynced`).

use crate::time::Mono;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Compared at every use with a time that was read **after** the process woke up, on a clock that runs on while the
/// machine sleeps: a timer that should have set a flag doesn't run in a paused process.
#[derive(Debug)]
pub(super) struct SyncedUntil(AtomicU64);

impl SyncedUntil {
    /// A node alone.
    pub const fn always() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }

    /// A node of a fleet, before its first answer.
    pub const fn not_yet() -> Self {
        Self(AtomicU64::new(0))
    }

    pub fn extend(&self, until: Mono) {
        self.0.fetch_max(until.0, Ordering::AcqRel);
    }

    pub fn get(&self) -> Mono {
        Mono(self.0.load(Ordering::Acquire))
    }
}

/// When an entry began that this node neither filled nor validated itself.
pub const NEVER: Mono = Mono(u64::MAX);

/// Whether an entry may be used by an unsynced node with policy `revalidate`: until `max_unsynced` after its own last
/// fill or validation **began** on this node. So the origin sees one request per key and period, not one per hit.
pub fn usable_unsynced(began: Mono, now: Mono, max_unsynced: Duration) -> bool {
    began <= now && now < began.after(max_unsynced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unsynced_node_uses_its_own_fill_for_one_period() {
        let period = Duration::from_secs(10);
        assert!(usable_unsynced(Mono(1000), Mono(10_999), period));
        assert!(!usable_unsynced(Mono(1000), Mono(11_000), period));
        assert!(!usable_unsynced(NEVER, Mono(0), period));
    }
}
