//! A snapshot, as `/status` has it. Lists and parts that another version may lack are empty then; what makes it a snapshot at
//! all must be there.

use serde::Deserialize;
use std::collections::BTreeMap;

/// Outcomes of requests, in the order in which they are shown: where there is little room the last ones are left out.
pub const OUTCOMES: [&str; 7] = ["hit", "miss", "error", "pass", "stale", "revalidated", "collapsed"];

#[derive(Clone, Debug, Deserialize)]
pub struct Status {
    pub version: String,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub uptime_s: u64,
    /// Of the life of the process: the time that rates are taken over.
    pub at_s: f64,
    #[serde(default)]
    pub draining: bool,
    pub requests: BTreeMap<String, u64>,
    pub requests_total: u64,
    #[serde(default)]
    pub hit_ratio: Option<f64>,
    #[serde(default)]
    pub byte_hit_ratio: Option<f64>,
    pub bytes: Bytes,
    pub latency: Latency,
    #[serde(default)]
    pub not_stored: Vec<NotStored>,
    #[serde(default)]
    pub stale_served: Vec<Stale>,
    #[serde(default)]
    pub refused: Vec<NotStored>,
    #[serde(default)]
    pub connections: u64,
    #[serde(default)]
    pub inflight: u64,
    pub memory: Memory,
    #[serde(default)]
    pub origins: BTreeMap<String, Origin>,
    #[serde(default)]
    pub hottest: Hottest,
    #[serde(default)]
    pub purges: Vec<Purge>,
    #[serde(default)]
    pub shared: Option<Shared>,
}

/// Bytes of bodies so far.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Bytes {
    pub client: u64,
    pub origin: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Latency {
    /// `None`: without an upper bound.
    pub bounds_ms: Vec<Option<f64>>,
    pub outcomes: BTreeMap<String, Tally>,
}

/// How many answers took how long, by the bounds of [`Latency`].
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Tally {
    #[serde(default)]
    pub buckets: Vec<u64>,
}

/// A reason and how often.
#[derive(Clone, Debug, Deserialize)]
pub struct NotStored {
    pub reason: String,
    pub count: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Stale {
    pub why: String,
    pub count: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Memory {
    pub bytes: u64,
    pub capacity: u64,
    /// Of the whole process; `None` where the system doesn't tell.
    #[serde(default)]
    pub resident: Option<u64>,
    #[serde(default)]
    pub evicted_size: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Origin {
    pub up: bool,
    #[serde(default)]
    pub servers: Vec<Server>,
    #[serde(default)]
    pub waiting: u64,
    /// By class of status (`2xx`), and `error`.
    #[serde(default)]
    pub answers: BTreeMap<String, u64>,
    #[serde(default)]
    pub latency: Tally,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Server {
    pub url: String,
    #[serde(default)]
    pub backup: bool,
    pub healthy: bool,
    #[serde(default)]
    pub breaker: String,
    #[serde(default)]
    pub in_flight: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Hottest {
    #[serde(default)]
    pub pages: Vec<Page>,
    #[serde(default)]
    pub tags: Vec<Tag>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Page {
    pub url: String,
    pub share: f64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Tag {
    pub tag: String,
    pub share: f64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Purge {
    pub summary: String,
    pub mode: String,
    #[serde(default)]
    pub who: String,
    /// RFC 3339, in UTC.
    pub when: String,
    /// `None`: still counted.
    #[serde(default)]
    pub matched: Option<u64>,
    #[serde(default)]
    pub matched_exact: Option<bool>,
}

/// The store that the nodes share, and the nodes.
#[derive(Clone, Debug, Deserialize)]
pub struct Shared {
    pub state: String,
    #[serde(default)]
    pub hits: u64,
    #[serde(default)]
    pub misses: u64,
    #[serde(default)]
    pub latency_ms: Option<f64>,
    #[serde(default)]
    pub synced: bool,
    #[serde(default)]
    pub unsynced_s: Option<f64>,
    #[serde(default)]
    pub waiting_purges: u64,
    #[serde(default)]
    pub nodes: Vec<Node>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Node {
    pub name: String,
    #[serde(default)]
    pub own: bool,
    /// Of the purge log: the store's milliseconds, a dash, a number.
    #[serde(default)]
    pub applied: String,
    #[serde(default)]
    pub silent_ms: u64,
}

impl Status {
    pub fn outcome(&self, outcome: &str) -> u64 {
        self.requests.get(outcome).copied().unwrap_or(0)
    }

    /// Answered from the store, without a word with an origin.
    pub fn hits(&self) -> u64 {
        self.outcome("hit") + self.outcome("stale")
    }

    /// Of the bytes that clients got, those that no origin sent.
    pub fn saved_bytes(&self) -> u64 {
        self.bytes.client.saturating_sub(self.bytes.origin)
    }

    pub fn origin_requests(&self) -> u64 {
        self.origins.values().map(Origin::answered).sum()
    }

    /// Of all outcomes together.
    pub fn buckets(&self) -> Vec<u64> {
        let mut all = vec![0; self.latency.bounds_ms.len()];
        for tally in self.latency.outcomes.values() {
            for (sum, count) in all.iter_mut().zip(&tally.buckets) {
                *sum += count;
            }
        }
        all
    }

    pub fn buckets_of(&self, outcome: &str) -> Vec<u64> {
        self.latency.outcomes.get(outcome).map(|tally| tally.buckets.clone()).unwrap_or_default()
    }
}

impl Origin {
    pub fn answered(&self) -> u64 {
        self.answers.values().sum()
    }

    /// No answer, or one that says that the origin is at fault.
    pub fn failed(&self) -> u64 {
        ["error", "5xx"].iter().filter_map(|class| self.answers.get(*class)).sum()
    }
}

impl Server {
    /// Its state in a word, and whether that is as it should be.
    pub fn word(&self) -> (&'static str, bool) {
        match (self.healthy, self.breaker.as_str()) {
            (false, _) => ("unhealthy", false),
            (true, "open") => ("left alone", false),
            (true, "half_open") => ("on trial", false),
            (true, _) => ("healthy", true),
        }
    }
}

impl Node {
    /// The store's time of the newest purge that it has applied, milliseconds.
    pub fn position_ms(&self) -> u64 {
        self.applied.split('-').next().and_then(|ms| ms.parse().ok()).unwrap_or(0)
    }
}
