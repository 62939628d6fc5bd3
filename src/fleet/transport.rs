//! The purge log's transport: feeds [`crate::purge::fleet::Follower`] with what the store says and carries out what it asks
//! for.

use super::links::Links;
use super::settings::Settings;
use crate::clock::Clock;
use crate::purge::{Applied, At, Born, Purge, PurgeId, PurgeLog, Selector, Written};
use crate::time::Wall;
use std::sync::Arc;
use std::time::Duration;

/// A node of the fleet as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub name: String,
    /// Up to where it has applied the log.
    pub applied: PurgeId,
    /// Since its last sign of life.
    pub silent_for: Duration,
    /// It is this node.
    pub own: bool,
}

/// How far a purge has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    pub applied: usize,
    pub total: usize,
    /// Names of live nodes that have not applied it; `fleet unreachable` when nobody knows.
    pub missing: Vec<String>,
    /// Its place in the log, when it has one by now.
    pub id: Option<PurgeId>,
}

impl Reach {
    /// Whether the purge stands in the log, so that nobody can miss it.
    pub fn is_logged(&self) -> bool {
        self.id.is_some()
    }

    /// Whether every live node has applied it.
    pub fn is_everywhere(&self) -> bool {
        self.is_logged() && self.missing.is_empty() && self.applied == self.total
    }
}

/// For status, readiness, metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogState {
    pub position: Option<PurgeId>,
    /// Since this node was last known to be at the tail; `None` = never yet.
    pub unsynced_for: Option<Duration>,
    pub synced: bool,
    /// Purges of this node that are not in the log yet.
    pub waiting: usize,
    pub nodes: Vec<Node>,
}

#[derive(Debug)]
pub struct Transport {}

impl Transport {
    pub fn new(_links: Arc<Links>, _settings: &Settings, _purges: Arc<PurgeLog>, _clock: Clock) -> Arc<Self> {
        Arc::new(Self {})
    }

    /// Applies a purge here at once, and queues it for the log.
    pub fn submit(&self, _purge: Purge, _now: Wall) -> Applied {
        Applied { at: At::Pending(0), selectors: 0 }
    }

    /// See [`crate::purge::fleet::Follower::write`].
    pub fn write(&self, _urls: Vec<(Selector, Option<Born>)>, _now: Wall) -> Written {
        Written::Duplicate
    }

    /// Waits until the purge stands in the log, at most for `patience`.
    pub async fn logged(&self, _at: At, _patience: Duration) -> Reach {
        Reach::default()
    }

    /// Waits until every live node has applied the purge, at most for `patience`.
    pub async fn reach(&self, _at: At, _patience: Duration) -> Reach {
        Reach::default()
    }

    /// Follows the log for as long as it is polled. `applied` hears of every purge that others have made, after it
    /// holds here.
    pub async fn run(self: Arc<Self>, _applied: Box<dyn Fn(&Arc<Purge>) + Send + Sync>) {
        std::future::pending().await
    }

    /// This node leaves: receipts need not wait for it.
    pub async fn sign_off(&self) {}

    pub fn state(&self) -> LogState {
        LogState::default()
    }

    /// The store's clock now, Unix milliseconds, as this node knows it by its last heart-beat; `None` before the first.
    pub fn store_now(&self) -> Option<u64> {
        None
    }
}
