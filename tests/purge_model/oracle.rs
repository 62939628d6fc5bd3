//! Knows the true order of all events, which no node does, and judges every use of an entry.

use larder::purge::Mode;
use std::collections::BTreeSet;

pub const NODES: usize = 4;
pub const KEYS: usize = 5;
/// How long a node that is cut off may serve without asking the origin, in the model's milliseconds.
pub const MAX_UNSYNCED: u64 = 600;

/// One purge as it really happened.
#[derive(Clone, Debug)]
pub struct Purged {
    pub mode: Mode,
    /// Which keys it selects.
    pub names: [bool; KEYS],
    pub issued: u64,
    /// When each node had applied it.
    pub applied: [Option<u64>; NODES],
    /// Since when the store holds it without a break.
    pub stored: Option<u64>,
}

/// How an entry is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    Fresh,
    /// As stale since a soft purge.
    Stale,
}

#[derive(Debug, Default)]
pub struct Oracle {
    pub purges: Vec<Purged>,
    pub violation: Option<String>,
}

impl Oracle {
    pub fn issue(&mut self, mode: Mode, names: [bool; KEYS], now: u64) -> usize {
        self.purges.push(Purged { mode, names, issued: now, applied: [None; NODES], stored: None });
        self.purges.len() - 1
    }

    pub fn applied(&mut self, node: usize, number: usize, now: u64) {
        self.purges[number].applied[node].get_or_insert(now);
    }

    /// A node that starts again has applied nothing, and has nothing.
    pub fn restarted(&mut self, node: usize) {
        self.purges.iter_mut().for_each(|purge| purge.applied[node] = None);
    }

    /// What the master holds has changed.
    pub fn held(&mut self, holds: &BTreeSet<usize>, now: u64) {
        for (number, purge) in self.purges.iter_mut().enumerate() {
            purge.stored = holds.contains(&number).then(|| purge.stored.unwrap_or(now));
        }
    }

    /// A request that arrived at `arrival` is answered with content whose fill began at `began`.
    pub fn judge(&mut self, node: usize, key: usize, began: u64, arrival: u64, how: Use, what: &str) {
        for (number, purge) in self.purges.iter().enumerate() {
            let allowed = purge.mode == Mode::Soft && how == Use::Stale;
            // A fill that began after the purge was issued has brought what was there after it.
            if !purge.names[key] || purge.issued < began || allowed {
                continue;
            }
            let promise = match (purge.applied[node], purge.stored) {
                (Some(applied), _) if applied < arrival => "P1",
                (_, Some(stored)) if stored + MAX_UNSYNCED < arrival => "P2",
                _ => continue,
            };
            self.violation.get_or_insert(format!(
                "{promise}: node {node} answered a request of {arrival} for key {key} ({what}, {how:?}) from a fill of \
                 {began} in spite of purge {number}: {purge:?}"
            ));
        }
    }
}
