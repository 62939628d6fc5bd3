//! The state machine: reads in, effects out (the rules are in the head of `fleet/mod.rs`).

use super::outbox::{Append, Outbox, OutboxLimits};
use super::{Body, Effect, Notice, Read, Record};
use crate::purge::log::{Applied, At, Batch, Logged, PurgeLog, Written, written};
use crate::purge::{Born, Purge, PurgeId, Selector};
use crate::time::Wall;
use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

/// One node's view of its fleet's log. Whoever drives it:
/// * reads after [`Follower::position`], one read at a time, and hands the answer to [`Follower::on_read`], at least once
///   per heart-beat with the tail;
/// * sends what [`Follower::next_appends`] gives, in one step of the store, and reports each of them with [`Follower::appended`] or
///   [`Follower::append_failed`] before it asks for more;
/// * carries out effects in order ([`Effect::perform`]).
#[derive(Debug)]
pub struct Follower {
    node: u64,
    max_unsynced: Duration,
    /// The last record read; `None` before the first answer.
    position: Option<PurgeId>,
    outbox: Outbox,
}

impl Follower {
    /// `node` is random per process.
    pub fn new(node: u64, max_unsynced: Duration, limits: OutboxLimits) -> Self {
        Self { node, max_unsynced, position: None, outbox: Outbox::new(node, limits) }
    }

    /// Where to read on: after this id, or from the first retained record. It is also what the node has applied.
    pub fn position(&self) -> Option<PurgeId> {
        self.position
    }

    /// Purges of this node that were not read back yet.
    pub fn waiting(&self) -> usize {
        self.outbox.len()
    }

    /// Applies a purge of this node at once and queues it for the log.
    pub fn submit(&mut self, log: &PurgeLog, purge: Purge, now: Wall) -> Applied {
        let purge = Arc::new(purge);
        let applied = log.apply_local(&purge, now);
        if let At::Pending(seq) = applied.at
            && let Some(folded) = self.outbox.push(seq, purge)
        {
            log.fold_pending(&folded.seqs, folded.into, &folded.purge);
        }
        applied
    }

    /// Invalidation by an unsafe method; see [`PurgeLog::write`]. What others have stored is not known here, so a
    /// duplicate is only what this node covers **and** has not sent yet: its record will stand after every fill so far.
    pub fn write(&mut self, log: &PurgeLog, urls: Vec<(Selector, Option<Born>)>, now: Wall) -> Written {
        let left: Vec<Selector> = urls
            .into_iter()
            .filter(|(url, newest)| {
                !(newest.is_some_and(|newest| log.covers(url, newest)) && self.outbox.holds_unsent(url))
            })
            .map(|(url, _)| url)
            .collect();
        match left.is_empty() {
            true => Written::Duplicate,
            false => Written::Applied(self.submit(log, written(left), now)),
        }
    }

    /// The next records to append, in this order.
    pub fn next_appends(&mut self) -> Vec<Append> {
        self.outbox.next()
    }

    /// The store took the record. That moves nothing: the position moves by reading.
    pub fn appended(&mut self, append: &Append) {
        self.outbox.appended(append);
    }

    /// The store refused, or didn't answer in time and may have taken it or not.
    pub fn append_failed(&mut self, append: &Append) {
        self.outbox.failed(append);
    }

    /// The answer to a read after [`Follower::position`].
    pub fn on_read(&mut self, read: Read) -> Vec<Effect> {
        let mut step = Step::default();
        let Some(mut position) = self.position.or_else(|| self.start(&read, &mut step)) else {
            return Vec::new();
        };
        let found_nothing = read.records.is_empty();
        for record in read.records {
            position = self.take(position, record, &mut step);
        }
        if let Some(tail) = read.tail {
            position = self.compare(position, tail, found_nothing, &mut step);
        }
        self.position = Some(position);
        step.batch.cursor = position;
        let mut effects: Vec<Effect> = step.notices.into_iter().map(Effect::Notice).collect();
        if step.changed {
            effects.push(Effect::Apply(step.batch));
        }
        if read.tail == Some(position) {
            self.outbox.at_tail();
            if let Some(proven_at) = read.proven_at {
                effects.push(Effect::SyncedUntil(proven_at.after(self.max_unsynced)));
            }
        }
        effects
    }

    /// The first answer: we stand before the first retained record, and know nothing of what was before it.
    fn start(&mut self, read: &Read, step: &mut Step) -> Option<PurgeId> {
        let position = match (read.records.first(), read.tail) {
            (Some(first), _) => first.prev,
            (None, Some(tail)) => tail,
            (None, None) => return None,
        };
        step.jump(position, position);
        if position == PurgeId::ZERO && read.records.is_empty() {
            step.notices.push(Notice::Empty);
            step.batch.distrust = true;
            self.outbox.fork(PurgeId::ZERO);
        }
        Some(position)
    }

    fn take(&mut self, position: PurgeId, record: Record, step: &mut Step) -> PurgeId {
        let Record { id, prev, by, body } = record;
        // Answers to overlapping reads repeat records. If it is another branch, its next record or the tail shows it.
        if id <= position {
            return position;
        }
        match prev.cmp(&position) {
            Ordering::Equal => {}
            Ordering::Greater => {
                step.broken(Notice::Gap, id, id);
                self.outbox.gap();
            }
            Ordering::Less => {
                step.broken(Notice::Fork, id, id);
                self.outbox.fork(id);
            }
        }
        let ours = by.node == self.node;
        match body {
            Body::Purge(purge) => {
                let own = if ours { by.seqs } else { Vec::new() };
                self.outbox.landed(&own);
                step.batch.purges.push(Logged { id, purge, own });
            }
            Body::Barrier => {
                step.notices.push(Notice::Barrier);
                step.jump(id, id);
                step.batch.trust |= ours && self.outbox.answered(&by.seqs);
            }
            Body::Mark => {
                if ours && self.outbox.answered(&by.seqs) {
                    step.jump(id, id);
                    step.batch.trust = true;
                }
            }
            Body::Unreadable => {
                step.notices.push(Notice::Unreadable);
                step.jump(id, id);
            }
        }
        step.reach(id);
        id
    }

    fn compare(&mut self, position: PurgeId, tail: PurgeId, found_nothing: bool, step: &mut Step) -> PurgeId {
        if tail > position && found_nothing {
            step.broken(Notice::Trimmed, tail, tail);
            self.outbox.gap();
            return tail;
        }
        if tail < position {
            // What was born at our own position was born on the lost branch.
            step.broken(Notice::Fork, tail, position.following());
            self.outbox.fork(position);
            return tail;
        }
        position
    }
}

/// What one read adds up to.
#[derive(Default)]
struct Step {
    batch: Batch,
    notices: Vec<Notice>,
    changed: bool,
}

impl Step {
    /// A gap or a fork: from here on nothing is trusted, whatever an earlier record of this read has restored.
    fn broken(&mut self, notice: Notice, to: PurgeId, floor: PurgeId) {
        self.notices.push(notice);
        self.jump(to, floor);
        self.batch.distrust = true;
        self.batch.trust = false;
    }

    /// The log goes on at `to`, and what was born before `floor` can't be compared with it.
    fn jump(&mut self, to: PurgeId, floor: PurgeId) {
        self.batch.raise = self.batch.raise.max(floor);
        self.batch.restart = true;
        self.batch.positions.clear();
        self.reach(to);
    }

    fn reach(&mut self, position: PurgeId) {
        if self.batch.positions.last().is_none_or(|last| *last < position) {
            self.batch.positions.push(position);
        }
        self.changed = true;
    }
}

#[cfg(test)]
#[path = "follower_tests.rs"]
mod tests;
