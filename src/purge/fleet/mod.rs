//! Following the common log of a fleet, as a pure state machine. The wiring to the store feeds it what it reads and
//! carries out what it says; all judgement is here, and all of it is driven by the model in `tests/purge_model`.
//!
//! # The log
//! One stream. An append is one step in the store: read the last id, add a record with that id as its `prev`, under an
//! id made by [`PurgeId::appended`]. A read is one step as well: the records after a position (from the
//! first retained one if the node has no position), and the stream's last id (`tail`).
//!
//! # Rules
//! 1. `prev` is our position: in order. Apply.
//! 2. `prev` is beyond our position, or a read brings nothing although the tail is beyond it: a **gap** (trimmed under
//!    us). Everything born before what was read is a miss.
//! 3. `prev` or the tail is before our position: a **fork** (the store failed over, was flushed, or restarted).
//!    Everything born up to both positions is a miss; go on from what was read; append our own recent purges again, then a
//!    **barrier** with an id beyond both branches. Every reader of a barrier, at its start too, makes everything born
//!    before it a miss.
//! 4. After a gap or a fork, nothing is trusted until a record that we appended **after we noticed** is read back: the
//!    barrier, or after a gap a **mark**, which means nothing to others. What we have applied may be on another branch, and
//!    no comparison of ids tells whether an entry of this branch was filled before or after it; an entry born at our own
//!    mark was. What this node itself fetches after a gap is good at once; after a fork it counts as a miss until
//!    the barrier is read, whose floor is beyond both branches. For the same reason our own recent purges are appended again after
//!    a gap, too: a node that went on with a master that was cut off may see a gap where the fork was trimmed away.
//! 5. A record that can't be read is a gap, but for rule 4: its `prev` shows that we are on the same branch.
//! 6. A log without any record begins with a barrier, so that no entry is ever born at zero.
//! 7. The position moves only by reading. A purge of this node acts here at once, as pending, until it is read back;
//!    whatever is doubtful about its way into the log (time-outs, gaps, forks) makes it be appended again.
//! 8. A read that proves that we are at the tail extends the time until which this node is synced, counted from when the
//!    request was **sent**, or from the last sign that the answering master was still the one ([`Read::proven_at`]).

pub mod codec;
mod follower;
mod outbox;

pub use follower::Follower;
pub use outbox::{Append, OutboxLimits};

use super::log::Batch;
use super::{Purge, PurgeId};
use crate::time::Mono;
use std::sync::Arc;

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    Purge(Arc<Purge>),
    /// The log forked before this; its id is beyond both branches.
    Barrier,
    /// A node looks for the end of the log.
    Mark,
    /// Of a later version, or broken.
    Unreadable,
}

/// Who appended a record, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Random per process: a node that was restarted has nothing pending.
    pub node: u64,
    /// The pending purges of the node that a purge record carries; of a barrier or mark, the number of the break it
    /// answers.
    pub seqs: Vec<u64>,
}

/// One record of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub id: PurgeId,
    /// The last id of the stream when this was appended.
    pub prev: PurgeId,
    pub by: Stamp,
    pub body: Body,
}

/// The answer to one read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// After the follower's position, in order; may end before the tail.
    pub records: Vec<Record>,
    /// The stream's last id, from the **same** step as the records (`ZERO` for a stream that isn't there); `None` if
    /// the answer doesn't say, as from a blocking read.
    pub tail: Option<PurgeId>,
    /// Since when the answer proves that `tail` is the tail: when the request **left**, on this node's clock, or, of a
    /// master with replicas, when one of them last acknowledged it, if that is earlier. A master that was cut off and
    /// replaced goes on answering, but the replica that replaced it has stopped acknowledging by then. `None` if the
    /// answer is not from a master.
    pub proven_at: Option<Mono>,
}

/// What to do, in this order.
#[derive(Clone, Debug)]
pub enum Effect {
    /// [`crate::purge::PurgeLog::apply`].
    Apply(Batch),
    /// [`crate::purge::PurgeLog::extend_sync`].
    SyncedUntil(Mono),
    /// For metrics and the operator's log.
    Notice(Notice),
}

impl Effect {
    /// Carries out what concerns the log.
    pub fn perform(&self, log: &super::PurgeLog) {
        match self {
            Self::Apply(batch) => log.apply(batch),
            Self::SyncedUntil(until) => log.extend_sync(*until),
            Self::Notice(_) => {}
        }
    }
}

/// Something that cost this node its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Notice {
    /// A record between our position and this one was trimmed.
    Gap,
    /// Everything between our position and the tail was trimmed.
    Trimmed,
    Fork,
    Barrier,
    Unreadable,
    /// The log has no record: a new fleet, or one that lost everything.
    Empty,
}

impl Notice {
    pub const ALL: [Self; 6] =
        [Self::Gap, Self::Trimmed, Self::Fork, Self::Barrier, Self::Unreadable, Self::Empty];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gap => "gap",
            Self::Trimmed => "trimmed",
            Self::Fork => "fork",
            Self::Barrier => "barrier",
            Self::Unreadable => "unreadable",
            Self::Empty => "empty",
        }
    }
}
