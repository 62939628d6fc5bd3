//! Purging, as one mechanism for every tier.
//!
//! A purge is not a deletion. It is a *fact with a position in a log*. An entry remembers up to which position
//! the log had been applied when its fill began ([`Born`], read before the request leaves for the origin). It may
//! be served as fresh only if no purge that selects it stands later in the log. That one rule covers the memory
//! tier, the shared tier, fetches in flight, nodes that were cut off and fleets, and no tier has to enumerate keys:
//! a purge costs the same however many entries it hits.
//!
//! * [`id`]: positions of the log, and what an entry remembers of them.
//! * [`normal`], [`selector`], [`selectors`], [`tags`], [`predicate`]: what a purge names and what an entry carries.
//! * [`log`]: the shared, concurrent state: the table of selectors behind its array of atomics, floors, predicates,
//!   purges that wait to be logged; [`check`]: the question asked at every use of an entry.
//! * [`fleet`]: the state machine that follows the common log of a fleet, through gaps, trims and forks.
//!
//! Nothing here does I/O or reads a clock, so all of it runs, as it is, in the random-schedule model
//! (`tests/purge_model`), which is where the rules below were found and are kept.
//!
//! # Forgetting is safe
//! Every structure is bounded. What is dropped raises a *floor* first: entries born before the floor of a mode are
//! treated as if a purge of that mode had selected them. Forgetting costs misses, never staleness.
//!
//! # Order
//! Entries may be checked while a purge is being applied. Two rules make that sound, and both are relied on in
//! `log.rs`:
//! 1. A writer publishes in the order table, predicates, floors, buckets, version (Release), position. A reader
//!    loads the version first (Acquire), and remembers it only with a clean verdict.
//! 2. Knowledge moves only in one direction, pending → table and predicates → floors, and is present in its new
//!    place before it leaves the old one; a reader looks in that same order. So it can't slip past a reader.

pub mod check;
pub mod dialects;
pub mod fleet;
mod floors;
mod history;
pub mod id;
pub mod log;
pub mod normal;
mod pending;
pub mod predicate;
pub mod receipts;
pub mod selector;
pub mod selectors;
pub mod sync;
mod table;
pub mod tags;

pub use check::{Check, Verdict};
pub use id::{Born, PurgeId};
pub use log::{Applied, At, By, Limits, PurgeLog, Touch, Written, naming};
pub use predicate::{PatternError, Predicate, PredicateSpec, Subject};
pub use receipts::{Matched, Receipt};
pub use selector::{Selector, SelectorHash};
pub use selectors::{Selectors, Unselectable};
pub use tags::{Tags, TagsRejected, extract_tags, strip_tag_headers};

use serde::{Deserialize, Serialize};

/// What a purge does to the entries it selects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Expired now, so that the stale windows start now.
    Soft,
    /// Must be validated with the origin before it is served again; a 304 revives it.
    Invalidate,
    /// Never served again.
    #[default]
    Hard,
}

impl Mode {
    pub const ALL: [Mode; 3] = [Mode::Soft, Mode::Invalidate, Mode::Hard];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Soft => "soft",
            Self::Invalidate => "invalidate",
            Self::Hard => "hard",
        }
    }
}

/// Who caused a purge. Writes (RFC 9111 §4.4) have a share of the table of their own, so that a busy `POST` URL
/// can't make the log forget what an editor purged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Somebody asked for it, through any dialect.
    #[default]
    Request,
    /// A successful answer to an unsafe method (RFC 9111 §4.4).
    Write,
}

impl Cause {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Write => "write",
        }
    }
}

/// One purge: everything that any of its selectors or predicates names, in one mode.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purge {
    pub mode: Mode,
    pub selectors: Vec<Selector>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub predicates: Vec<Predicate>,
    /// The name of the token, the address, or the part of this product that asked; shown in receipts.
    #[serde(default)]
    pub who: String,
    #[serde(default)]
    pub cause: Cause,
}

impl Purge {
    pub fn new(mode: Mode, selectors: Vec<Selector>) -> Self {
        Self { mode, selectors, ..Self::default() }
    }

    pub fn everything(mode: Mode) -> Self {
        Self::new(mode, vec![Selector::Everything])
    }

    /// Selectors and predicates together.
    pub fn size(&self) -> usize {
        self.selectors.len() + self.predicates.len()
    }
}
