//! What is counted of the shared tier: the words of `larder_shared_requests_total{op,result}`.

use crate::fleet::links::CallError;
use crate::fleet::value::{BadValue, CannotEncode};
use crate::observe::Metrics;
use std::time::Duration;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// The first look of a request for a value, with all its round trips but not its chunks; once per request. Values that were
    /// looked at later, while waiting for another node, count only if they were no good.
    Get,
    /// The body of a value that is stored in pieces.
    Chunks,
    /// How it came out for those who found nothing: who may fetch, who waited, for what. Timed are those who waited.
    Lease,
    Put,
    Mark,
}

impl Op {
    pub const ALL: [Self; 5] = [Self::Get, Self::Chunks, Self::Lease, Self::Put, Self::Mark];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Chunks => "chunks",
            Self::Lease => "lease",
            Self::Put => "put",
            Self::Mark => "mark",
        }
    }

    /// What may come of it, besides a call that fails.
    fn outcomes(self) -> Vec<Outcome> {
        use Outcome::{
            Bad, Busy, Cannot, Dropped, Granted, Hit, Lost, Marked, Miss, Ok, OtherVariant, Rejected,
            Superseded, TooLarge, Useless,
        };
        let bad = BadValue::ALL.into_iter().map(Bad);
        match self {
            Self::Get => {
                [Hit, Miss, Marked, Rejected, OtherVariant, TooLarge].into_iter().chain(bad).collect()
            }
            Self::Chunks => [Ok, Busy].into_iter().chain(bad).collect(),
            Self::Lease => vec![Granted, Hit, Marked, Busy, Lost],
            Self::Put => {
                let cannot = ENCODING.into_iter().map(Cannot);
                [Ok, Superseded, Useless, TooLarge, Dropped].into_iter().chain(cannot).collect()
            }
            Self::Mark => vec![Ok, Dropped],
        }
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A value that the caller accepted.
    Hit,
    Miss,
    /// The last answer could not be shared.
    Marked,
    /// There is a value, and the caller did not accept it: purged, or stale.
    Rejected,
    /// Under the name of the variant there is another one.
    OtherVariant,
    /// This node may fetch.
    Granted,
    /// Another node fetches, and patience is over; or too many bodies are on their way.
    Busy,
    /// A lease was gone before its holder was done.
    Lost,
    Ok,
    /// What is there began later.
    Superseded,
    /// Nobody would have had any use for it any more.
    Useless,
    TooLarge,
    /// There was no room to queue it.
    Dropped,
    Failed(CallError),
    Bad(BadValue),
    Cannot(CannotEncode),
}

const ENCODING: [CannotEncode; 4] =
    [CannotEncode::Metadata, CannotEncode::Body, CannotEncode::Random, CannotEncode::Sealing];

impl Outcome {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Marked => "marked",
            Self::Rejected => "rejected",
            Self::OtherVariant => "other-variant",
            Self::Granted => "granted",
            Self::Busy => "busy",
            Self::Lost => "lost",
            Self::Ok => "ok",
            Self::Superseded => "superseded",
            Self::Useless => "useless",
            Self::TooLarge => "too-large",
            Self::Dropped => "dropped",
            Self::Failed(error) => error.as_str(),
            Self::Bad(why) => why.as_str(),
            Self::Cannot(why) => why.as_str(),
        }
    }
}

/// Every pair of `op` and `result` that can be counted, so that all are there from the start.
pub fn announced() -> impl Iterator<Item = (&'static str, &'static str)> {
    let failed = || CallError::ALL.into_iter().map(Outcome::Failed);
    Op::ALL.into_iter().flat_map(move |op| {
        op.outcomes().into_iter().chain(failed()).map(move |outcome| (op.as_str(), outcome.as_str()))
    })
}

pub(super) fn call(metrics: &Metrics, op: Op, outcome: Outcome, took: Duration) {
    metrics.fleet.call(op.as_str(), outcome.as_str(), took);
}

/// What takes no time, or whose time is counted elsewhere.
pub(super) fn count(metrics: &Metrics, op: Op, outcome: Outcome) {
    metrics.fleet.count(op.as_str(), outcome.as_str());
}
