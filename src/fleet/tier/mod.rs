//! The shared tier: look-up, lease, promotion, writes.

use super::links::{CallError, Links};
use super::settings::Settings;
use super::value::Stored;
use crate::clock::Clock;
use crate::observe::Metrics;
use crate::store::{Entry, Key};
use http::HeaderMap;
use std::sync::Arc;
use std::time::Duration;

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

/// The right to fetch, renewed in the background until it is dropped (released) or used up.
#[derive(Debug)]
pub struct Lease {
    #[allow(dead_code)]
    token: u64,
}

#[derive(Debug)]
pub struct Tier {}

impl Tier {
    pub fn new(_links: Arc<Links>, _settings: &Settings, _metrics: Arc<Metrics>, _clock: Clock) -> Arc<Self> {
        Arc::new(Self {})
    }

    /// Looks up a value; where there is none that `accepts` takes, asks for the lease; where another node has it, waits for what that
    /// brings. The first look-up and the lease are one round trip, bounded by `shared.timeout`.
    pub async fn obtain(&self, _wanted: Wanted<'_>, _accepts: impl Fn(&Stored) -> bool + Send) -> Obtained {
        Obtained::Without(Why::Failed(CallError::Connect))
    }

    /// Queues a response for the store; releases the lease once it is written. Never waits: dropped and counted where the queue is full.
    pub fn put(&self, _key: &Key, _entry: Arc<Entry>, _lease: Option<Lease>) {}

    /// Remembers for a short while that the answer could not be shared, and releases the lease.
    pub fn not_shareable(&self, _key: &Key, _lease: Lease) {}

    /// Runs the writers until it is dropped.
    pub async fn run(self: Arc<Self>) {
        std::future::pending().await
    }
}
