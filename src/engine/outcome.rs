//! What became of a request: the same words in `Cache-Status`, the access log, the metric labels and `explain`.

use crate::semantics::cache_status::Member;
use crate::store::entry::Carrier;
use crate::trace::Context;
use std::sync::Arc;
use std::time::Duration;

/// `larder_requests_total{outcome}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Fresh, from the store.
    Hit,
    /// Stale, from the store: within a stale window, or because the origin failed.
    Stale,
    /// From the store after the origin confirmed it.
    Revalidated,
    Miss,
    /// From another client's fetch.
    Collapsed,
    /// Not for the cache: method, rule, upgrade, ….
    Pass,
    /// An error this proxy made.
    Error,
}

impl Kind {
    pub const ALL: [Self; 7] =
        [Self::Hit, Self::Stale, Self::Revalidated, Self::Miss, Self::Collapsed, Self::Pass, Self::Error];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Stale => "stale",
            Self::Revalidated => "revalidated",
            Self::Miss => "miss",
            Self::Collapsed => "collapsed",
            Self::Pass => "pass",
            Self::Error => "error",
        }
    }
}

/// The record of one answer; travels in the response's extensions to the log and the metrics.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub kind: Kind,
    /// One word: why it was not a plain hit, or was not stored. Empty for a plain hit or a stored miss.
    pub reason: &'static str,
    /// The last rule that matched.
    pub rule: Arc<str>,
    /// `memory` when the body came from the memory tier.
    pub tier: Option<&'static str>,
    pub age: Option<Duration>,
    pub ttl: Option<i64>,
    /// Time to the origin's first byte, when it was asked.
    pub origin_time: Option<Duration>,
    /// The selectors of the response, where it has a description: which tags are asked for.
    pub selectors: Option<Carrier>,
    /// The span of another client's fetch that brought it.
    pub waited_for: Option<Context>,
}

impl Outcome {
    pub fn new(kind: Kind, reason: &'static str, rule: &Arc<str>) -> Self {
        Self {
            kind,
            reason,
            rule: rule.clone(),
            tier: None,
            age: None,
            ttl: None,
            origin_time: None,
            selectors: None,
            waited_for: None,
        }
    }

    /// Takes over what the `Cache-Status` member says.
    pub fn with_member(mut self, member: &Member) -> Self {
        self.ttl = member.ttl;
        self
    }
}
