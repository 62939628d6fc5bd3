//! What must not be served any more, by whom, and since when.
//!
//! A demand is a version that a page must have at least. It is made when a purge was answered, for requests that begin after a
//! moment:
//!
//! * 200, `wait: fleet`, and every node is counted: on every node from the moment of the answer (P4).
//! * 200, `wait: node`, or a node is not counted because it has been silent for longer than `max_unsynced`: the purge stands in the
//!   log: on every node `max_unsynced` after the answer (P2; who is cut off may use what it has itself validated for that long),
//!   on this one at once (P1).
//! * 202: on this node at once (P1), for as long as that process lives; the others hear of it when the store is back.

use super::Receipt;
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

/// One process of a node: a node that was started again is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Life {
    pub node: usize,
    pub number: u32,
}

#[derive(Clone, Copy, Debug)]
struct Demand {
    version: u64,
    since: Duration,
    /// `None` = everybody.
    of: Option<Life>,
    /// It stood in the log, no more, when it was answered.
    deferred: bool,
}

#[derive(Debug, Default)]
pub struct Oracle {
    demands: Mutex<HashMap<String, Vec<Demand>>>,
    /// Purges answered 202 that nobody but this process knows of for certain.
    kept: Mutex<Vec<(String, u64, Life)>>,
    max_unsynced: Duration,
}

impl Oracle {
    pub fn new(max_unsynced: Duration) -> Self {
        Self { max_unsynced, ..Self::default() }
    }

    /// A purge of `path` was answered by this process; it was made after the origin had `version`. `everywhere`: it waited for the
    /// fleet, and no node was left out of its count.
    pub fn purged(&self, path: &str, version: u64, by: Life, everywhere: bool, receipt: &Receipt) {
        self.demand(path, Demand { version, since: receipt.at, of: Some(by), deferred: false });
        match receipt.status {
            200 if everywhere => {
                self.demand(path, Demand { version, since: receipt.at, of: None, deferred: false })
            }
            200 => {
                let since = receipt.at + self.max_unsynced;
                self.demand(path, Demand { version, since, of: None, deferred: true });
            }
            _ => self.kept.lock().unwrap().push((path.to_owned(), version, by)),
        }
    }

    /// A write through this process was answered; the others hear of it when they do.
    pub fn written(&self, path: &str, version: u64, by: Life, at: Duration) {
        self.demand(path, Demand { version, since: at, of: Some(by), deferred: false });
    }

    fn demand(&self, path: &str, new: Demand) {
        let mut demands = self.demands.lock().unwrap();
        let demands = demands.entry(path.to_owned()).or_default();
        // What asks for less, later or for fewer, says nothing more.
        demands.retain(|old| {
            !(old.version <= new.version && old.since >= new.since && (new.of.is_none() || old.of == new.of))
        });
        demands.push(new);
        let now = super::now();
        let settled = demands.iter().filter(|d| d.of.is_none() && d.since <= now).map(|d| d.version).max();
        demands.retain(|d| settled.is_none_or(|v| d.version > v || (d.version == v && d.of.is_none())));
    }

    /// The store lost what it was told since then, and not everybody may have read it: what was to hold later on every node
    /// is no demand any more.
    pub fn lost_since(&self, moment: Duration) {
        let mut demands = self.demands.lock().unwrap();
        for demands in demands.values_mut() {
            demands.retain(|d| d.of.is_some() || d.since <= moment || !d.deferred);
        }
    }

    /// The least version that an answer may have whose request began then.
    pub fn least(&self, path: &str, life: Life, began: Duration) -> u64 {
        let demands = self.demands.lock().unwrap();
        let holds = |d: &&Demand| d.since <= began && d.of.is_none_or(|of| of == life);
        demands.get(path).into_iter().flatten().filter(holds).map(|d| d.version).max().unwrap_or(0)
    }

    /// What was answered 202 and must hold everywhere once the fleet is well, if the process that took it still lives.
    pub fn kept(&self) -> Vec<(String, u64, Life)> {
        self.kept.lock().unwrap().clone()
    }
}
