//! The log as this node has applied it: shared by everybody who uses entries, written by one at a time.
//!
//! Two kinds of node use it. *Alone* ([`PurgeLog::alone`]) a purge gets its id here. In a *fleet*
//! ([`PurgeLog::in_fleet`]) ids come from the common log only: a purge that starts here is applied as *pending* at once,
//! and [`super::fleet::Follower`] has it appended and feeds what is read back through [`PurgeLog::apply`].
//!
//! # Why a reader can't miss what was applied
//! Writers publish in the order table, predicates, floors, buckets, version, position (mod.rs). A check that begins after
//! an apply has returned loads the new version, and with it everything published before. A check that overlaps an apply
//! may go either way, but keeps the old version in mind and asks again at the next use.
//!
//! What leaves a structure has arrived elsewhere before: the older half of a full table and predicates that are
//! dropped raise a floor first, a pending purge that was logged is in the table first. Readers look in the
//! order pending, table, predicates, floors, so what they don't find any more they find later on.

mod touching;

pub use touching::{By, Touch, naming};

use super::check::Verdict;
use super::floors::Floors;
use super::history::History;
use super::pending::Pending;
use super::predicate::{Predicate, Subject};
use super::receipts::{Matched, Receipt, Receipts};
use super::sync::SyncedUntil;
use super::table::{Buckets, Table};
use super::{Born, Cause, Mode, Purge, PurgeId, Selector, SelectorHash, Selectors};
use crate::time::{Mono, Wall};
use arc_swap::ArcSwap;
use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How much the log remembers; beyond that it forgets, safely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Pairs of selector and mode that were purged on request; 17 bytes each, times the slack of a hash map.
    pub selectors: usize,
    /// The same for invalidation by unsafe methods, a share of its own.
    pub writes: usize,
    /// Regular expressions and wildcards.
    pub predicates: usize,
    /// Atomics in front of the table, 8 bytes each.
    pub buckets: usize,
    pub shards: usize,
    /// Positions of a fleet's log at which shared entries may have been born, 8 bytes each.
    pub history: usize,
    pub receipts: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            selectors: 1_000_000,
            writes: 100_000,
            predicates: 256,
            // 8 MiB. With 100,000 live purges one bucket in ten has been hit, so
            // that most selectors are passed by one load; of 65,536 buckets nearly all had been (bench/purge).
            buckets: 1 << 20,
            shards: 64,
            history: 1_000_000,
            receipts: 1_000,
        }
    }
}

/// Where a purge stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum At {
    /// In the log.
    Logged(PurgeId),
    /// Applied on this node and not yet read back from the fleet's log; counted by this node.
    Pending(u64),
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Logged(id) => id.fmt(f),
            Self::Pending(seq) => write!(f, "pending-{seq}"),
        }
    }
}

/// A purge of this node has been applied: whoever asks from now on gets it respected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    pub at: At,
    /// How many selectors and predicates it had.
    pub selectors: usize,
}

/// What became of the invalidation that an unsafe method causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    Applied(Applied),
    /// Everything that it names is already covered by an earlier one.
    Duplicate,
}

impl Written {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applied(_) => "applied",
            Self::Duplicate => "duplicate",
        }
    }
}

/// A purge read from a fleet's log.
#[derive(Clone, Debug)]
pub struct Logged {
    pub id: PurgeId,
    pub purge: Arc<Purge>,
    /// The pending purges of this node that it settles; empty for those of other nodes.
    pub own: Vec<u64>,
}

/// What one read of a fleet's log brings, applied as one.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub purges: Vec<Logged>,
    /// Everything born before is a miss: a gap, a fork, a barrier.
    pub raise: PurgeId,
    /// What was known of the history belongs to another branch, or lies before a gap.
    pub restart: bool,
    /// From now on no entry is trusted but those that this node fills itself.
    pub distrust: bool,
    /// And from now on, entries that were born here or later are trusted again.
    pub trust: bool,
    /// Ascending.
    pub positions: Vec<PurgeId>,
    /// Where the reader stands now. It may be behind where it stood: then the log has forked, and `raise` is beyond both.
    pub cursor: PurgeId,
}

#[derive(Clone, Debug)]
struct Ban {
    id: PurgeId,
    /// The version that published it: who was clean at that version needn't be matched again.
    version: u64,
    mode: Mode,
    predicate: Predicate,
}

/// See the head of this file.
#[derive(Debug)]
pub struct PurgeLog {
    limits: Limits,
    /// Changes with everything that can change a verdict for the worse. Starts at 1; `0` is "never checked".
    version: AtomicU64,
    cursor: AtomicU64,
    local: AtomicU64,
    floors: Floors,
    buckets: Buckets,
    table: Table,
    writes: Table,
    bans: ArcSwap<VecDeque<Ban>>,
    pending: Pending,
    /// In a fleet only.
    history: Option<History>,
    synced: SyncedUntil,
    receipts: Receipts,
    writer: Mutex<()>,
}

impl PurgeLog {
    /// For a node without a fleet: it makes the ids, and is always synced.
    pub fn alone(limits: Limits) -> Self {
        Self::new(limits, None, SyncedUntil::always())
    }

    /// For a node of a fleet: ids come from [`PurgeLog::apply`].
    pub fn in_fleet(limits: Limits) -> Self {
        Self::new(limits, Some(History::new(limits.history)), SyncedUntil::not_yet())
    }

    fn new(limits: Limits, history: Option<History>, synced: SyncedUntil) -> Self {
        Self {
            limits,
            version: AtomicU64::new(1),
            cursor: AtomicU64::new(0),
            local: AtomicU64::new(0),
            floors: Floors::default(),
            buckets: Buckets::new(limits.buckets),
            table: Table::new(limits.selectors, limits.shards),
            writes: Table::new(limits.writes, limits.shards),
            bans: ArcSwap::default(),
            pending: Pending::default(),
            history,
            synced,
            receipts: Receipts::new(limits.receipts),
            writer: Mutex::new(()),
        }
    }

    /// Load this before anything else of a check.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// When a fill that begins after this call was born. Read it before the request leaves for the origin, and once per
    /// flight: who waits for a flight inherits its birth.
    pub fn cursor(&self) -> Born {
        Born { id: PurgeId(self.cursor.load(Ordering::Acquire)), local: self.local.load(Ordering::Acquire) }
    }

    /// Entries born before are misses.
    pub fn hard_floor(&self) -> PurgeId {
        self.floors.get(Mode::Hard)
    }

    /// Entries born before must be validated.
    pub fn floor(&self) -> PurgeId {
        self.floors.get(Mode::Invalidate)
    }

    /// Pairs of selector and mode that are remembered, those of writes included.
    pub fn remembered(&self) -> usize {
        self.table.len() + self.writes.len()
    }

    /// Purges of this node that are not in the fleet's log yet.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// What the log says about an entry of this node's memory, or a flight. Prefer [`super::Check::verify`], which
    /// remembers the answer.
    pub fn check(&self, born: Born, selectors: &Selectors, subject: &Subject<'_>) -> Verdict {
        self.check_since(0, born, selectors, subject)
    }

    /// The same for an entry that was found clean at version `clean_at`: predicates published by then are skipped.
    pub(super) fn check_since(
        &self,
        clean_at: u64,
        born: Born,
        selectors: &Selectors,
        subject: &Subject<'_>,
    ) -> Verdict {
        // The look-ups below rely on this load: what the version published is visible after it.
        let _ = self.version();
        self.look_up(clean_at, born, selectors.all(), Some(subject))
    }

    /// What the log says about an entry that comes from the shared tier. The caller remembers nothing of it: what is
    /// promoted to memory starts with a new [`super::Check`] and [`Born::shared`].
    pub fn check_shared(&self, born: PurgeId, selectors: &Selectors, subject: &Subject<'_>) -> Verdict {
        let _ = self.version();
        // Born beyond our own position, on another branch, before a gap, or before our time.
        if self.history.as_ref().is_some_and(|history| !history.contains(born)) {
            return Verdict::Hard;
        }
        self.look_up(0, Born::shared(born), selectors.all(), Some(subject))
    }

    /// Without a subject, predicates are left out.
    fn look_up(
        &self,
        clean_at: u64,
        born: Born,
        hashes: &[SelectorHash],
        subject: Option<&Subject<'_>>,
    ) -> Verdict {
        let mut worst = self.pending.verdict(born.local, hashes, subject);
        for hash in hashes {
            if worst == Verdict::Hard {
                return worst;
            }
            if self.buckets.newest(*hash) > born.id {
                worst = worst.max(self.table.verdict(*hash, born.id));
                worst = worst.max(self.writes.verdict(*hash, born.id));
            }
        }
        if let Some(subject) = subject {
            for ban in self.bans.load().iter() {
                let verdict = Verdict::from(ban.mode);
                let concerns = ban.version > clean_at && ban.id > born.id && verdict > worst;
                if concerns && ban.predicate.matches(subject) {
                    worst = verdict;
                }
            }
        }
        worst.max(self.floors.verdict(born.id))
    }

    /// Applies a purge that starts on this node. Alone, it is in the log with that; in a fleet it is pending, and
    /// [`super::fleet::Follower::submit`] is the way to call this.
    pub fn apply_local(&self, purge: &Arc<Purge>, now: Wall) -> Applied {
        let _writer = self.lock();
        let at = match self.history {
            None => {
                let id = PurgeId(self.cursor.load(Ordering::Relaxed)).next(now);
                self.publish(&[(id, purge)], PurgeId::ZERO, false);
                self.cursor.store(id.0, Ordering::Release);
                At::Logged(id)
            }
            Some(_) => {
                let seq = self.local.load(Ordering::Relaxed).saturating_add(1);
                self.pending.insert(seq, purge);
                self.version.fetch_add(1, Ordering::Release);
                self.local.store(seq, Ordering::Release);
                At::Pending(seq)
            }
        };
        if purge.cause == Cause::Request {
            self.receipts.push(Receipt::new(at, purge, now));
        }
        Applied { at, selectors: purge.size() }
    }

    /// Invalidation by an unsafe method (RFC 9111 §4.4) on a node alone; in a fleet call
    /// [`super::fleet::Follower::write`]. Each URL comes with the newest birth among what is stored or in flight for it,
    /// looked up after the origin's answer was there: what an earlier purge covers needs no other. `None` = not known.
    pub fn write(&self, urls: Vec<(Selector, Option<Born>)>, now: Wall) -> Written {
        let left = urls
            .into_iter()
            .filter(|(url, newest)| !newest.is_some_and(|newest| self.covers(url, newest)))
            .map(|(url, _)| url)
            .collect::<Vec<_>>();
        match left.is_empty() {
            true => Written::Duplicate,
            false => Written::Applied(self.apply_local(&Arc::new(written(left)), now)),
        }
    }

    /// Whether whatever was born by then must at least be validated, by purges of this one selector.
    pub(super) fn covers(&self, selector: &Selector, born: Born) -> bool {
        let mut covered = false;
        selector.each_hash(|hash| {
            covered |= self.look_up(0, born, &[hash], None) >= Verdict::MustValidate;
        });
        covered
    }

    /// Applies what a read of the fleet's log brought.
    pub fn apply(&self, batch: &Batch) {
        let _writer = self.lock();
        let local = self.local.load(Ordering::Relaxed).saturating_add(u64::from(batch.distrust));
        if batch.distrust {
            self.pending.distrust(local);
        }
        let purges: Vec<_> = batch.purges.iter().map(|logged| (logged.id, &logged.purge)).collect();
        self.publish(&purges, batch.raise, batch.distrust);
        if let Some(history) = &self.history {
            history.extend(batch.restart, &batch.positions);
        }
        self.cursor.store(batch.cursor.0, Ordering::Release);
        self.local.store(local, Ordering::Release);
        if batch.trust {
            self.pending.distrust(0);
        }
        for Logged { id, purge, own } in &batch.purges {
            self.pending.settle(own);
            let known = own.iter().filter(|seq| self.receipts.logged(**seq, *id)).count();
            if known == 0 && purge.cause == Cause::Request {
                self.receipts.push(Receipt::new(At::Logged(*id), purge, Wall(id.ms())));
            }
        }
    }

    /// Replaces pending purges by one that covers them all, because too many wait for the store.
    pub(super) fn fold_pending(&self, seqs: &[u64], into: u64, purge: &Arc<Purge>) {
        let _writer = self.lock();
        self.pending.fold(seqs, into, purge);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Proven at the tail until then.
    pub fn extend_sync(&self, until: Mono) {
        self.synced.extend(until);
    }

    /// Whether this node is known to have every purge that was answered more than `max_unsynced` ago. `now` must have
    /// been read after the process woke up, on a clock that counts sleep.
    pub fn is_synced(&self, now: Mono) -> bool {
        now < self.synced.get()
    }

    /// The newest receipts, newest first.
    pub fn recent(&self, limit: usize) -> Vec<Receipt> {
        self.receipts.recent(limit)
    }

    /// Notes how many entries a purge selected. False if its receipt is gone.
    pub fn note_matched(&self, at: At, matched: Matched) -> bool {
        self.receipts.matched(at, matched)
    }

    /// Steps 1 to 5 of the order in the head of mod.rs. The caller holds the writer's lock and moves the position after.
    fn publish(&self, purges: &[(PurgeId, &Arc<Purge>)], raise: PurgeId, anyway: bool) {
        if purges.is_empty() && raise == PurgeId::ZERO && !anyway {
            return;
        }
        let version = self.version.load(Ordering::Relaxed).saturating_add(1);
        let mut raised = Vec::new();
        for (id, purge) in purges {
            let table = match purge.cause {
                Cause::Request => &self.table,
                Cause::Write => &self.writes,
            };
            for selector in &purge.selectors {
                selector.each_hash(|hash| {
                    table.insert(hash, purge.mode, *id);
                    raised.push((hash, *id));
                });
            }
            table.shrink(&self.floors);
        }
        self.ban(purges, version);
        for (id, purge) in purges {
            if purge.selectors.contains(&Selector::Everything) {
                self.floors.raise(purge.mode, *id);
            }
        }
        self.floors.raise_all(raise);
        raised.iter().for_each(|(hash, id)| self.buckets.raise(*hash, *id));
        self.version.store(version, Ordering::Release);
    }

    /// Adds the predicates of these purges, each once. What is over the limit raises its floor before it goes.
    fn ban(&self, purges: &[(PurgeId, &Arc<Purge>)], version: u64) {
        if purges.iter().all(|(_, purge)| purge.predicates.is_empty()) {
            return;
        }
        let mut bans = VecDeque::clone(&self.bans.load());
        for (id, purge) in purges {
            for predicate in &purge.predicates {
                bans.retain(|ban| ban.mode != purge.mode || ban.predicate != *predicate || ban.id > *id);
                bans.push_back(Ban { id: *id, version, mode: purge.mode, predicate: predicate.clone() });
                if bans.len() > self.limits.predicates
                    && let Some(dropped) = bans.pop_front()
                {
                    self.floors.raise(dropped.mode, dropped.id);
                }
            }
        }
        self.bans.store(Arc::new(bans));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, ()> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The purge that an unsafe method causes.
pub(super) fn written(urls: Vec<Selector>) -> Purge {
    Purge {
        mode: Mode::Invalidate,
        selectors: urls,
        predicates: Vec::new(),
        who: "unsafe method".to_owned(),
        cause: Cause::Write,
    }
}

#[cfg(test)]
#[path = "log_tests.rs"]
pub(super) mod tests;
