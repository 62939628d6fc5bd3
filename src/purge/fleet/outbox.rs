//! What this node still has to append: its purges, and the answer to a gap or fork. Nothing leaves before it was read back from the log,
//! and what is doubtful is sent again; a purge that is applied twice does no harm.

use super::{Body, Stamp};
use crate::purge::log::written;
use crate::purge::{Cause, Mode, Purge, PurgeId, Selector};
use std::collections::VecDeque;
use std::sync::Arc;

/// When the store is away for long, what waits is folded into one purge of everything. Never dropped. The same happens to what the store
/// takes while nothing can be read back, but apart: as long as purges leave, those that come must not become purges of everything
/// because of those that have left. Purges on request and invalidations by unsafe methods have these limits each, so that neither is
/// folded because of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxLimits {
    /// Purges that wait to be sent.
    pub purges: usize,
    /// Purges that were sent and not read back.
    pub unread: usize,
    /// Selectors of the purges that wait; of those that were not read back; and of those that are kept for a fork.
    pub selectors: usize,
    /// Purges of this node that are kept, to be appended again after a fork.
    pub recent: usize,
    /// Invalidations by unsafe methods that go out in one record: what waits while an append is on its way leaves
    /// with the next, so that the round trip to the store bounds their rate.
    pub writes_per_record: usize,
    /// Records that go out in one step, which ends as well when it has [`STEP_SELECTORS`].
    pub records_per_step: usize,
}

/// Selectors of a step beyond which there is no other record in it: so many can be an ordinary purge, and a record, by its length.
const STEP_SELECTORS: usize = 1_000;

impl Default for OutboxLimits {
    fn default() -> Self {
        Self {
            purges: 10_000,
            unread: 10_000,
            selectors: 100_000,
            recent: 1_000,
            writes_per_record: 500,
            records_per_step: 128,
        }
    }
}

/// One record to append: the store gives it the id [`PurgeId::appended`]`(last, above, …)`, with `last` the record before it in a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    pub by: Stamp,
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
    /// Has left once. A copy may be in the log already although nobody said so, and will then settle this purge.
    tried: bool,
}

impl Item {
    fn new(seq: u64, purge: Arc<Purge>) -> Self {
        Self { seq, purge, state: State::Queued, tried: false }
    }
}

/// The answer to the last break of the log: a barrier after a fork, else a mark.
#[derive(Clone, Copy, Debug)]
struct Answer {
    number: u64,
    barrier: bool,
    above: PurgeId,
    state: State,
}

#[derive(Debug)]
pub(super) struct Outbox {
    node: u64,
    limits: OutboxLimits,
    items: VecDeque<Item>,
    /// Counts gaps and forks.
    breaks: u64,
    answer: Option<Answer>,
    /// Items in front of the answer: it leaves when none of them is queued.
    before_answer: usize,
    recent: Recent,
    recent_writes: Recent,
}

/// How much of something there is.
#[derive(Debug, Default)]
struct Load {
    purges: usize,
    selectors: usize,
}

impl Load {
    fn add(&mut self, purge: &Purge) {
        self.purges += 1;
        self.selectors += purge.size();
    }

    fn is_over(&self, purges: usize, limits: &OutboxLimits) -> bool {
        self.purges > purges || self.selectors > limits.selectors
    }
}

/// The last purges of this node that were read back.
#[derive(Debug, Default)]
struct Recent {
    purges: VecDeque<(u64, Arc<Purge>)>,
    selectors: usize,
}

impl Recent {
    fn push(&mut self, seq: u64, purge: Arc<Purge>, limits: &OutboxLimits) {
        self.selectors += purge.size();
        self.purges.push_back((seq, purge));
        while self.purges.len() > limits.recent || self.selectors > limits.selectors {
            let Some((_, oldest)) = self.purges.pop_front() else { break };
            self.selectors -= oldest.size();
        }
    }

    fn take(&mut self) -> VecDeque<(u64, Arc<Purge>)> {
        std::mem::take(self).purges
    }
}

/// Purges that were folded into one.
pub(super) struct Folded {
    pub seqs: Vec<u64>,
    pub into: u64,
    pub purge: Arc<Purge>,
}

impl Outbox {
    pub fn new(node: u64, limits: OutboxLimits) -> Self {
        Self {
            node,
            limits,
            items: VecDeque::new(),
            breaks: 0,
            answer: None,
            before_answer: 0,
            recent: Recent::default(),
            recent_writes: Recent::default(),
        }
    }

    /// How many purges have not been read back.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Queues a purge. If that is too much, says what became one purge of everything, in the strictest mode among them.
    pub fn push(&mut self, seq: u64, purge: Arc<Purge>) -> Option<Folded> {
        let cause = purge.cause;
        self.items.push_back(Item::new(seq, purge));
        let (mut waiting, mut unread) = (Load::default(), Load::default());
        for item in self.items.iter().filter(|item| item.purge.cause == cause) {
            let load = if item.state == State::Queued { &mut waiting } else { &mut unread };
            load.add(&item.purge);
        }
        // A record that is on its way may still come to nothing, and is left alone: there is one step of them at a time.
        if unread.is_over(self.limits.unread, &self.limits) {
            self.fold(seq, cause, |state| state != State::Sent)
        } else if waiting.is_over(self.limits.purges, &self.limits) {
            self.fold(seq, cause, |state| state == State::Queued)
        } else {
            None
        }
    }

    fn fold(&mut self, into: u64, cause: Cause, which: impl Fn(State) -> bool) -> Option<Folded> {
        let mut seqs = Vec::new();
        let mut strictest = None;
        self.keep(|item| {
            let folded = which(item.state) && item.purge.cause == cause;
            if folded {
                seqs.push(item.seq);
                strictest = strictest.max(Some(item.purge.mode));
            }
            !folded
        });
        let purge = Arc::new(Purge { who: "folded".to_owned(), cause, ..Purge::everything(strictest?) });
        self.items.push_back(Item::new(into, Arc::clone(&purge)));
        Some(Folded { seqs, into, purge })
    }

    /// Keeps some of the items, and in mind which of them were there before the answer.
    fn keep(&mut self, mut keep: impl FnMut(&Item) -> bool) {
        let (mut at, mut kept_before) = (0, 0);
        let before_answer = self.before_answer;
        self.items.retain(|item| {
            let kept = keep(item);
            kept_before += usize::from(kept && at < before_answer);
            at += 1;
            kept
        });
        self.before_answer = kept_before;
    }

    /// Whether an invalidation of this selector waits and has never left, so that its record will stand after every fill
    /// that has begun anywhere by now.
    pub fn holds_unsent(&self, selector: &Selector) -> bool {
        self.items.iter().any(|item| {
            !item.tried && item.purge.mode >= Mode::Invalidate && item.purge.selectors.contains(selector)
        })
    }

    /// The next records, which are on their way with that: some purges, or the answer to a break, which leaves when all before it has.
    /// The caller has the store take them in this order and in one step, and reports what came of each before it asks again.
    pub fn next(&mut self) -> Vec<Append> {
        let mut step = Vec::new();
        let mut selectors = 0;
        while step.len() < self.limits.records_per_step.max(1)
            && selectors < STEP_SELECTORS
            && let Some((append, size)) = self.next_purge()
        {
            selectors += size;
            step.push(append);
        }
        if step.is_empty() { self.next_answer().into_iter().collect() } else { step }
    }

    /// With the number of its selectors.
    fn next_purge(&mut self) -> Option<(Append, usize)> {
        let ahead = match self.answer {
            Some(Answer { state: State::Queued, .. }) => self.before_answer,
            _ => self.items.len(),
        };
        let first = self.items.iter().take(ahead).position(|item| item.state == State::Queued)?;
        let mut seqs = Vec::new();
        let mut purges = Vec::new();
        for item in self.items.iter_mut().take(ahead).skip(first) {
            let joins = seqs.is_empty() || item.purge.cause == Cause::Write;
            if item.state != State::Queued || !joins {
                continue;
            }
            item.state = State::Sent;
            item.tried = true;
            seqs.push(item.seq);
            purges.push(Arc::clone(&item.purge));
            if item.purge.cause == Cause::Request || seqs.len() >= self.limits.writes_per_record {
                break;
            }
        }
        let by = Stamp { node: self.node, seqs };
        let size = purges.iter().map(|purge| purge.size()).sum();
        Some((Append { by, body: Body::Purge(merge(&purges)), above: PurgeId::ZERO }, size))
    }

    fn next_answer(&mut self) -> Option<Append> {
        let answer = self.answer.as_mut().filter(|answer| answer.state == State::Queued)?;
        answer.state = State::Sent;
        let (above, body) = match answer.barrier {
            true => (answer.above, Body::Barrier),
            false => (PurgeId::ZERO, Body::Mark),
        };
        Some(Append { by: Stamp { node: self.node, seqs: vec![answer.number] }, body, above })
    }

    /// The store took it.
    pub fn appended(&mut self, append: &Append) {
        self.report(append, State::Taken);
    }

    /// The store didn't take it, or nobody knows.
    pub fn failed(&mut self, append: &Append) {
        self.report(append, State::Queued);
    }

    fn report(&mut self, append: &Append, state: State) {
        let concerns = |number: u64, of: State| of == State::Sent && append.by.seqs.contains(&number);
        if matches!(append.body, Body::Purge(_)) {
            self.items.iter_mut().filter(|i| concerns(i.seq, i.state)).for_each(|i| i.state = state);
        } else {
            self.answer.iter_mut().filter(|a| concerns(a.number, a.state)).for_each(|a| a.state = state);
        }
    }

    /// A record of this node was read back: done, but for a fork.
    pub fn landed(&mut self, seqs: &[u64]) {
        if seqs.is_empty() {
            return;
        }
        let mut landed = Vec::new();
        self.keep(|item| {
            let done = seqs.contains(&item.seq);
            if done {
                landed.push((item.seq, Arc::clone(&item.purge)));
            }
            !done
        });
        for (seq, purge) in landed {
            let recent = match purge.cause {
                Cause::Request => &mut self.recent,
                Cause::Write => &mut self.recent_writes,
            };
            recent.push(seq, purge, &self.limits);
        }
    }

    /// A barrier or mark of this node was read back. Whether it answers the last break: then everything that happened
    /// before we noticed it lies before this record.
    pub fn answered(&mut self, numbers: &[u64]) -> bool {
        let answered = self.answer.is_some_and(|answer| numbers.contains(&answer.number));
        if answered {
            self.answer = None;
        }
        answered
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
        self.answer.iter_mut().for_each(|answer| later(&mut answer.state));
    }

    /// Records are missing. What the store has taken may be among them, and what was read back may stand on another branch: one that went on
    /// with a master that was cut off, while the log that we see now was trimmed too far to show the fork. So all of it again, then a mark.
    pub fn gap(&mut self) {
        self.again();
        self.broken(false, PurgeId::ZERO);
    }

    /// The log has forked: what we had appended may be on the other branch. Recent purges first, then what waits, then
    /// a barrier beyond `above`.
    pub fn fork(&mut self, above: PurgeId) {
        self.again();
        self.broken(true, above);
    }

    fn again(&mut self) {
        self.items.iter_mut().for_each(|item| item.state = State::Queued);
        let recent = self.recent.take().into_iter().chain(self.recent_writes.take());
        let mut again: VecDeque<Item> =
            recent.map(|(seq, purge)| Item { tried: true, ..Item::new(seq, purge) }).collect();
        again.append(&mut self.items);
        self.items = again;
    }

    fn broken(&mut self, barrier: bool, above: PurgeId) {
        self.breaks = self.breaks.saturating_add(1);
        let before = self.answer.take();
        self.answer = Some(Answer {
            number: self.breaks,
            barrier: barrier || before.is_some_and(|answer| answer.barrier),
            above: before.map_or(above, |answer| answer.above.max(above)),
            state: State::Queued,
        });
        self.before_answer = self.items.len();
    }
}

/// Several invalidations by unsafe methods as one.
fn merge(purges: &[Arc<Purge>]) -> Arc<Purge> {
    match purges {
        [only] => Arc::clone(only),
        _ => Arc::new(written(purges.iter().flat_map(|purge| purge.selectors.iter().cloned()).collect())),
    }
}
