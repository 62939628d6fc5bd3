//! How far a purge has come.
//!
//! A purge stands in the log when this node has read it back, and it is everywhere when every live node has published a position at or
//! beyond it. Positions of nodes that stand on another branch of the log are not published (`sync.lua`), so they can't be mistaken
//! for being further. The answer is given only on the word of a store that is proven to be the one everybody
//! writes to, by a proof younger than a second (`nodes` says why this is enough).

use super::Transport;
use super::reader::is_fresh;
use crate::purge::{At, Cause, PurgeId};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Receipts that are waited for at a time; beyond that they say what is known.
const MOST_RECEIPTS: usize = 1024;
/// Purges of this node whose place in the log is remembered.
const MOST_LANDED: usize = 4096;
/// Stand where names would, when nobody knows who has it: the store doesn't answer, or nothing proves that it is the one that all nodes
/// write to; it answers, and has not taken the purge yet; it has lost its list of nodes.
const UNREACHABLE: &str = "fleet unreachable";
const NOT_LOGGED: &str = "purge log";
const UNKNOWN_NODES: &str = "unknown nodes";

/// How far a purge has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    pub applied: usize,
    pub total: usize,
    /// Names of live nodes that have not applied it; or one of `fleet unreachable`, `purge log`, `unknown nodes` when nobody knows.
    pub missing: Vec<String>,
    /// Its place in the log, when it has one by now.
    pub id: Option<PurgeId>,
}

impl Reach {
    /// Whether the purge stands in the log, so that nobody can miss it.
    pub fn is_logged(&self) -> bool {
        self.id.is_some()
    }

    /// Whether every live node has applied it.
    pub fn is_everywhere(&self) -> bool {
        self.is_logged() && self.missing.is_empty() && self.applied == self.total
    }
}

/// Where purges of this node stand in the log, by the number they were pending under.
///
/// Apart by cause: writes may purge thousands of times a second, and must not push out what somebody waits for.
#[derive(Debug, Default)]
pub struct Landed {
    asked_for: BTreeMap<u64, PurgeId>,
    by_writes: BTreeMap<u64, PurgeId>,
}

impl Landed {
    pub fn insert(&mut self, seq: u64, id: PurgeId, cause: Cause) {
        let map = match cause {
            Cause::Request => &mut self.asked_for,
            Cause::Write => &mut self.by_writes,
        };
        map.insert(seq, id);
        if map.len() > MOST_LANDED {
            map.pop_first();
        }
    }

    pub fn get(&self, seq: u64) -> Option<PurgeId> {
        self.asked_for.get(&seq).or_else(|| self.by_writes.get(&seq)).copied()
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

/// One more, for as long as it lives.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Transport {
    /// Waits until the purge stands in the log, at most for `patience`.
    pub async fn logged(&self, at: At, patience: Duration) -> Reach {
        self.wait(at, patience, Reach::is_logged).await
    }

    /// Waits until every live node has applied the purge, at most for `patience`.
    pub async fn reach(&self, at: At, patience: Duration) -> Reach {
        let _hurry = Counted::new(&self.hurry);
        self.wake_reader.notify_one();
        self.wait(at, patience, Reach::is_everywhere).await
    }

    async fn wait(&self, at: At, patience: Duration, is_enough: fn(&Reach) -> bool) -> Reach {
        let _receipt = Counted::new(&self.receipts);
        if self.receipts.load(Ordering::Acquire) > MOST_RECEIPTS {
            return self.measure(at);
        }
        let mut heard = self.heard.subscribe();
        let waiting = async {
            loop {
                let reach = self.measure(at);
                if is_enough(&reach) || heard.changed().await.is_err() {
                    return reach;
                }
            }
        };
        match tokio::time::timeout(patience, waiting).await {
            Ok(reach) => reach,
            Err(_) => self.measure(at),
        }
    }

    /// By the last answer of the store.
    fn measure(&self, at: At) -> Reach {
        let now = self.clock.now().mono;
        let shared = self.lock();
        let (id, here) = match at {
            At::Logged(id) => (Some(id), shared.follower.position() >= Some(id)),
            // A purge of this node acts here from the moment it was submitted.
            At::Pending(seq) => (shared.landed.get(seq), true),
        };
        let mut reach = Reach { applied: usize::from(here), total: 1, missing: Vec::new(), id };
        if !here {
            reach.missing.push(self.name.clone());
        }
        for (name, applied) in shared.roster.others(now) {
            reach.total += 1;
            match id.is_some_and(|id| id <= applied) {
                true => reach.applied += 1,
                false => reach.missing.push(name),
            }
        }
        let unknown = match id {
            _ if !is_fresh(shared.proven, now) => Some(UNREACHABLE),
            None => Some(NOT_LOGGED),
            Some(_) if !shared.roster.is_complete(now) => Some(UNKNOWN_NODES),
            Some(_) => None,
        };
        if let Some(unknown) = unknown {
            reach.missing = vec![unknown.to_owned()];
        }
        reach
    }
}
