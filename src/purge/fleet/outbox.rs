//! What this node still has to append: its purges, and barriers. Nothing leaves before it was read back from the log,
//! and what is doubtful is sent again; a purge that is applied twice does no harm.

use super::Body;
use crate::purge::log::written;
use crate::purge::{Cause, Mode, Purge, PurgeId, Selector};
use std::collections::VecDeque;
use std::sync::Arc;

/// When the store is away for long, what waits is folded into one purge of everything. Never dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxLimits {
    /// Purges that wait.
    pub purges: usize,
    /// Their selectors, and those of the recent purges, together.
    pub selectors: usize,
    /// Purges of this node that are appended again after a fork.
    pub recent: usize,
    /// Invalidations by unsafe methods that go out in one record: what waits while an append is on its way leaves
    /// with the next, so that the round trip to the store bounds their rate.
    pub writes_per_record: usize,
}

impl Default for OutboxLimits {
    fn default() -> Self {
        Self { purges: 10_000, selectors: 100_000, recent: 1_000, writes_per_record: 1_000 }
    }
}

/// One record to append: the store gives it the id [`PurgeId::appended`]`(last, above, …)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// Which purges of this node it carries; none for a barrier.
    pub seqs: Vec<u64>,
    pub body: Body,
    /// The id must be beyond this one.
    pub above: PurgeId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Queued,
    Sent,
    /// The store took it; not read back yet.
    Taken,
    /// We have been at the tail since, and it was not there. That can be an answer which crossed the append; the
    /// second time it was not.
    Overdue,
}

#[derive(Clone, Debug)]
struct Item {
    seq: u64,
    purge: Arc<Purge>,
    state: State,
}

#[derive(Clone, Copy, Debug)]
struct Barrier {
    above: PurgeId,
    state: State,
}

#[derive(Debug)]
pub(super) struct Outbox {
    limits: OutboxLimits,
    items: VecDeque<Item>,
    selectors: usize,
    /// Leaves when nothing is queued that was there before it.
    barrier: Option<Barrier>,
    /// Items in front of the barrier.
    before_barrier: usize,
    recent: VecDeque<(u64, Arc<Purge>)>,
    recent_selectors: usize,
}

/// Purges that were folded into one.
pub(super) struct Folded {
    pub seqs: Vec<u64>,
    pub into: u64,
    pub purge: Arc<Purge>,
}

impl Outbox {
    pub fn new(limits: OutboxLimits) -> Self {
        Self {
            limits,
            items: VecDeque::new(),
            selectors: 0,
            barrier: None,
            before_barrier: 0,
            recent: VecDeque::new(),
            recent_selectors: 0,
        }
    }

    /// How many purges have not been read back.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Queues a purge. If that is too much, says what became one purge of everything, in the strictest mode among them.
    pub fn push(&mut self, seq: u64, purge: Arc<Purge>) -> Option<Folded> {
        self.selectors += purge.size();
        self.items.push_back(Item { seq, purge, state: State::Queued });
        let over = self.items.len() > self.limits.purges || self.selectors > self.limits.selectors;
        over.then(|| self.fold(seq)).flatten()
    }

    fn fold(&mut self, into: u64) -> Option<Folded> {
        let (queued, kept): (VecDeque<_>, _) =
            self.items.drain(..).partition(|item| item.state == State::Queued);
        self.items = kept;
        let mode = queued.iter().map(|item: &Item| item.purge.mode).max()?;
        let seqs = queued.iter().map(|item| item.seq).collect();
        let purge = Arc::new(Purge { who: "folded".to_owned(), ..Purge::everything(mode) });
        self.items.push_back(Item { seq: into, purge: Arc::clone(&purge), state: State::Queued });
        self.before_barrier = self.before_barrier.min(self.items.len());
        self.count();
        Some(Folded { seqs, into, purge })
    }

    /// Whether an invalidation of this selector waits and has not left yet, so that its record will stand after every
    /// fill that has begun anywhere by now.
    pub fn holds_unsent(&self, selector: &Selector) -> bool {
        self.items.iter().any(|item| {
            item.state == State::Queued
                && item.purge.mode >= Mode::Invalidate
                && item.purge.selectors.contains(selector)
        })
    }

    /// The next record, which is on its way with that. The caller sends one at a time and reports what came of it.
    pub fn next(&mut self) -> Option<Append> {
        let ahead = match self.barrier {
            Some(Barrier { state: State::Queued, .. }) => self.before_barrier,
            _ => self.items.len(),
        };
        let Some(first) = self.items.iter().take(ahead).position(|item| item.state == State::Queued) else {
            let barrier = self.barrier.as_mut().filter(|barrier| barrier.state == State::Queued)?;
            barrier.state = State::Sent;
            return Some(Append { seqs: Vec::new(), body: Body::Barrier, above: barrier.above });
        };
        let mut seqs = Vec::new();
        let mut purges = Vec::new();
        for item in self.items.iter_mut().take(ahead).skip(first) {
            let joins = seqs.is_empty() || item.purge.cause == Cause::Write;
            if item.state != State::Queued || !joins {
                continue;
            }
            item.state = State::Sent;
            seqs.push(item.seq);
            purges.push(Arc::clone(&item.purge));
            if item.purge.cause == Cause::Request || seqs.len() >= self.limits.writes_per_record {
                break;
            }
        }
        Some(Append { seqs, body: Body::Purge(merge(purges)?), above: PurgeId::ZERO })
    }

    /// The store took it.
    pub fn appended(&mut self, seqs: &[u64]) {
        self.report(seqs, State::Taken);
    }

    /// The store didn't take it, or nobody knows.
    pub fn failed(&mut self, seqs: &[u64]) {
        self.report(seqs, State::Queued);
    }

    fn report(&mut self, seqs: &[u64], state: State) {
        let sent = |of: &State| *of == State::Sent;
        if seqs.is_empty() {
            self.barrier.iter_mut().filter(|b| sent(&b.state)).for_each(|b| b.state = state);
        }
        for item in self.items.iter_mut().filter(|item| sent(&item.state) && seqs.contains(&item.seq)) {
            item.state = state;
        }
    }

    /// A record of this node was read back: done, but for a fork.
    pub fn landed(&mut self, seqs: &[u64]) {
        if seqs.is_empty() {
            return;
        }
        let mut position = 0;
        let mut left_in_front = 0;
        let (before_barrier, recent) = (self.before_barrier, &mut self.recent);
        self.items.retain(|item| {
            let landed = seqs.contains(&item.seq);
            if landed {
                recent.push_back((item.seq, Arc::clone(&item.purge)));
            } else if position < before_barrier {
                left_in_front += 1;
            }
            position += 1;
            !landed
        });
        self.before_barrier = left_in_front;
        self.count();
        while self.recent.len() > self.limits.recent || self.recent_selectors > self.limits.selectors {
            self.recent.pop_front();
            self.count();
        }
    }

    /// A barrier was read: if it does what ours should do, ours isn't needed.
    pub fn barrier_read(&mut self, id: PurgeId) {
        self.barrier = self.barrier.filter(|barrier| barrier.above >= id);
    }

    /// We are at the tail. What the store took and isn't there was lost with a master that nobody else followed: our log
    /// shows no fork then, so that this is the only sign. Send it again.
    pub fn at_tail(&mut self) {
        let later = |state: &mut State| match *state {
            State::Taken => *state = State::Overdue,
            State::Overdue => *state = State::Queued,
            State::Queued | State::Sent => {}
        };
        self.items.iter_mut().for_each(|item| later(&mut item.state));
        self.barrier.iter_mut().for_each(|barrier| later(&mut barrier.state));
    }

    /// What the store has taken may be lost: send it again.
    pub fn doubt(&mut self) {
        self.items.iter_mut().for_each(|item| item.state = State::Queued);
        self.barrier.iter_mut().for_each(|barrier| barrier.state = State::Queued);
    }

    /// The log has forked: what we had appended may be on the other branch. Recent purges first, then what waits, then
    /// a barrier beyond `above`.
    pub fn fork(&mut self, above: PurgeId) {
        self.doubt();
        for (seq, purge) in self.recent.drain(..).rev() {
            self.items.push_front(Item { seq, purge, state: State::Queued });
        }
        self.count();
        let above = self.barrier.map_or(above, |barrier| barrier.above.max(above));
        self.barrier = Some(Barrier { above, state: State::Queued });
        self.before_barrier = self.items.len();
    }

    fn count(&mut self) {
        self.selectors = self.items.iter().map(|item| item.purge.size()).sum();
        self.recent_selectors = self.recent.iter().map(|(_, purge)| purge.size()).sum();
    }
}

/// Several invalidations by unsafe methods as one.
fn merge(mut purges: Vec<Arc<Purge>>) -> Option<Arc<Purge>> {
    if purges.len() == 1 {
        return purges.pop();
    }
    let selectors: Vec<Selector> = purges.iter().flat_map(|purge| purge.selectors.iter().cloned()).collect();
    (!selectors.is_empty()).then(|| Arc::new(written(selectors)))
}
