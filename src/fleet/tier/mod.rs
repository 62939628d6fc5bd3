//! The shared tier: what one node has fetched, the others find in the store.
//!
//! * **Look-up and lease** are one step ([`look`], [`scripts`]): whoever finds nothing is told in the same answer that it may
//!   fetch, that another node does, or that waiting brings nothing ([`lease`]).
//! * **Large bodies** come in pieces over connections of their own ([`body`]).
//! * **Writes** are queued and never waited for ([`queue`], [`write`]).
//!
//! Contract:
//! * What [`Tier::obtain`] returns is whole, belongs to this key and this variant, and was accepted by the caller. Nothing else
//!   is promised: any value may be gone, and an old one may stand where a newer one was.
//! * No call fails a request, and each has a time limit: see [`Obtained::Without`].
//! * Purges delete nothing here: every value says when it was born, and whoever uses it asks the purge log.

mod body;
mod budget;
mod guess;
mod lease;
mod look;
mod queue;
mod scripts;
mod words;
mod write;

pub use lease::Lease;
pub use words::{Op, Outcome, announced};

use super::links::{CallError, Links};
use super::names::Names;
use super::settings::Settings;
use super::value::{Codec, StoreClock, Stored};
use crate::clock::Clock;
use crate::observe::Metrics;
use crate::store::{Entry, Key};
use budget::Budget;
use guess::Guesses;
use http::HeaderMap;
use look::{Found, Search};
use queue::Queue;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use words::{call, count};

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    pub key: &'a Key,
    /// Normalised fields of the request: they select the variant.
    pub request: &'a HeaderMap,
    /// How long to wait for another node that fetches; zero = not at all.
    pub patience: Duration,
}

/// What came of it.
#[derive(Debug)]
pub enum Obtained {
    /// A response that the caller accepted.
    Value(Box<Stored>),
    /// Nothing there, and this node is the one that may fetch.
    Leased(Lease),
    /// The last answer could not be shared: nobody should wait for the next.
    NotShareable,
    /// Go on without the shared tier.
    Without(Why),
}

/// Why a request goes on without the shared tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Failed(CallError),
    /// Another node holds the lease, and patience is over.
    Busy,
}

impl Why {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed(error) => error.as_str(),
            Self::Busy => "busy",
        }
    }
}

/// The store's clock, Unix milliseconds, as far as this node knows it.
pub type StoreNow = Arc<dyn Fn() -> Option<u64> + Send + Sync>;

/// See the head of this file. Shared by `Arc`.
pub struct Tier {
    links: Arc<Links>,
    names: Names,
    codec: Codec,
    metrics: Arc<Metrics>,
    clock: Clock,
    store_now: StoreNow,
    /// Of one look-up.
    timeout: Duration,
    /// How long a lease is renewed, in all.
    lease: Duration,
    /// Bytes of a body.
    max_object: u64,
    guesses: Guesses,
    /// For leases that are kept.
    keepers: Arc<Semaphore>,
    /// For bodies on their way here, in KiB.
    room: Semaphore,
    queue: Queue,
}

impl fmt::Debug for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tier").field("names", &self.names).field("codec", &self.codec).finish_non_exhaustive()
    }
}

impl Tier {
    /// `store_now` is asked whenever a time goes to the store or comes from it; while it doesn't know, this node's own clock
    /// has to do.
    pub fn new(
        links: Arc<Links>,
        settings: &Settings,
        metrics: Arc<Metrics>,
        clock: Clock,
        store_now: StoreNow,
    ) -> Arc<Self> {
        Arc::new(Self {
            links,
            names: Names::from_settings(settings),
            codec: Codec::new(&settings.keys),
            metrics,
            clock,
            store_now,
            timeout: settings.timeout,
            lease: settings.lease,
            max_object: settings.max_object,
            guesses: Guesses::default(),
            keepers: Arc::new(Semaphore::new(lease::KEEPERS)),
            room: Semaphore::new(body::ROOM as usize),
            queue: Queue::default(),
        })
    }

    /// Looks up a value; where there is none that `accepts` takes, asks for the lease; where another node has it, waits for what that
    /// brings. The first look-up and the lease are one round trip, bounded by `shared.timeout`. A body over 64 KiB has
    /// time of its own: ten times that, and a second for every 8 MiB.
    ///
    /// `accepts` judges purges and freshness. It is asked before a large body is fetched, and sees it empty, and again when that is
    /// there, which may be much later; whoever uses the response must check it against the purge log then, as at every use.
    ///
    /// May be dropped at any time; a lease that was just being given is then over after a second.
    pub async fn obtain(&self, wanted: Wanted<'_>, accepts: impl Fn(&Stored) -> bool + Send) -> Obtained {
        let budget = Budget::new(&self.clock, self.timeout);
        let mut search = Search::new(self, wanted, accepts);
        let first = search.look().await;
        call(&self.metrics, Op::Get, of_first(&first, search.noted.take()), budget.spent());
        let found = match first {
            Ok(Found::Busy) => {
                let found = search.wait(wanted.patience).await;
                call(&self.metrics, Op::Lease, of_wait(&found), budget.spent());
                if let Some(noted) = search.noted {
                    count(&self.metrics, Op::Get, noted);
                }
                found
            }
            other => {
                if let Ok(Found::Leased(_) | Found::Unheld(_)) = other {
                    count(&self.metrics, Op::Lease, of_wait(&other));
                }
                other
            }
        };
        match found {
            Ok(Found::Value(stored)) => Obtained::Value(stored),
            Ok(Found::Marked) => Obtained::NotShareable,
            Ok(Found::Leased(lease)) => Obtained::Leased(lease),
            Ok(Found::Unheld(_)) => Obtained::Leased(Lease::unheld()),
            Ok(Found::Busy) => Obtained::Without(Why::Busy),
            Err(error) => Obtained::Without(Why::Failed(error)),
        }
    }

    /// Whether a body of this length is not too large.
    pub fn takes(&self, length: u64) -> bool {
        length <= self.max_object
    }

    /// Queues a response for the store; releases the lease once it is written. Never waits: dropped and counted where the queue is full.
    pub fn put(&self, key: &Key, entry: Arc<Entry>, lease: Option<Lease>) {
        let outcome = if !self.takes(entry.length) {
            Outcome::TooLarge
        } else if self.queue.push(key, entry, lease) {
            return;
        } else {
            Outcome::Dropped
        };
        count(&self.metrics, Op::Put, outcome);
    }

    /// Remembers for a short while that the answer could not be shared, and releases the lease.
    pub fn not_shareable(&self, key: &Key, lease: Lease) {
        if !lease.mark(self.names.of(key).mark()) {
            count(&self.metrics, Op::Mark, Outcome::Dropped);
        }
    }

    /// Runs the writers until it is dropped.
    pub async fn run(self: Arc<Self>) {
        let writers: [_; write::WRITERS] = std::array::from_fn(|_| write::writer(&self));
        let [a, b, c] = writers;
        tokio::join!(a, b, c);
    }

    /// Both clocks now, for times that go to the store or come from it.
    fn store_clock(&self) -> StoreClock {
        let now = self.clock.now();
        StoreClock { mono: now.mono, store_ms: (self.store_now)().unwrap_or(now.wall.0) }
    }
}

fn of_first(found: &Result<Found, CallError>, noted: Option<Outcome>) -> Outcome {
    match found {
        Ok(Found::Value(_)) => Outcome::Hit,
        Ok(Found::Marked) => noted.unwrap_or(Outcome::Marked),
        Ok(Found::Leased(_) | Found::Unheld(_) | Found::Busy) => noted.unwrap_or(Outcome::Miss),
        Err(error) => Outcome::Failed(*error),
    }
}

fn of_wait(found: &Result<Found, CallError>) -> Outcome {
    match found {
        Ok(Found::Value(_)) => Outcome::Hit,
        Ok(Found::Marked) => Outcome::Marked,
        Ok(Found::Leased(_)) => Outcome::Granted,
        Ok(Found::Unheld(error)) | Err(error) => Outcome::Failed(*error),
        Ok(Found::Busy) => Outcome::Busy,
    }
}

#[cfg(test)]
mod tests;
