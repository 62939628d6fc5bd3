//! The purge log's transport: feeds [`crate::purge::fleet::Follower`] with what the store says, and carries out what it asks for. All
//! judgement is there; here is the wiring, and it must not invent any.
//!
//! # In the store
//! `{ns:purge}:log`, a stream: each record has the id of the one before (`prev`) and what it says (`r`, `codec`).
//! `{ns:purge}:nodes`, a hash: each node's last sign of life, by the store's clock, and up to where it has applied the log.
//! Everything is done by scripts (`scripts`), each one step.
//!
//! # Four loops, one truth
//! * The *reader* (`reader`) beats and reads in one step, and is the only one that tells the follower anything of the log. The position, the
//!   proof of being at the tail and the receipts all come from these answers, in the order in which they were asked for.
//! * The *watcher* blocks on the stream with a connection of its own, and only wakes the reader: what it hears is not used. Without it, purges
//!   of others arrive with the next beat.
//! * The *appender* (`appender`) sends records, one step at a time, until each was taken; the reader sees them come back.
//! * The *keeper* (`keeper`) has replicas acknowledge a number, without which a master with replicas proves nothing
//!   (`proof`), and looks whether the store might evict the log. `WAIT` blocks its connection; the reader's must not be blocked.
//!
//! # Receipts
//! See `receipts` and `nodes`.
//!
//! # Times
//! A beat is at most [`BEAT`], and at most a quarter of `max_unsynced`, so that a node misses several before it is unsynced.
//! All that is *judged* by time is judged by times of [`Clock`], read before a request leaves or after an answer is there; timers only
//! wake.

mod answer;
mod appender;
mod keeper;
mod nodes;
mod offset;
mod proof;
mod reader;
mod receipts;
mod scripts;

use super::links::{CallError, Links, Role};
use super::names;
use super::settings::Settings;
use crate::clock::Clock;
use crate::observe::Metrics;
use crate::purge::fleet::{Follower, OutboxLimits};
use crate::purge::{Applied, Born, Purge, PurgeId, PurgeLog, Selector, Written};
use crate::time::{Mono, Wall};
use nodes::Roster;
use offset::StoreClock;
use proof::Proof;
pub use reader::Hear;
use receipts::Landed;
pub use receipts::Reach;
use ring::rand::SecureRandom;
use scripts::{Names, Run};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// Between two heart-beats.
const BEAT: Duration = Duration::from_millis(250);
/// One call, but for what says otherwise; also the oldest that the proof of a receipt may be, see `nodes`.
const PATIENCE: Duration = Duration::from_secs(1);
/// Added to `max_unsynced`: then a silent node doesn't count any more (rulings 17).
const MARGIN: Duration = Duration::from_secs(1);
/// A node that leaves waits no longer than this for its last purges to stand in the log, and as long for its word to be heard.
const LEAVE_WITHIN: Duration = Duration::from_millis(500);
/// Characters of a node's name.
const NAME: usize = 200;

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

/// How the store was when it was last asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Unknown,
    Up,
    Lost(CallError),
}

/// What the loops share. Held for moments, never across an await.
#[derive(Debug)]
struct Shared {
    follower: Follower,
    roster: Roster,
    proof: Proof,
    clock: StoreClock,
    landed: Landed,
    /// Of ids and pauses.
    rng: fastrand::Rng,
    link: Link,
    /// Since when the last answer proves what it says, if it does; `None` while the store fails.
    proven: Option<Mono>,
    /// When this node was last known to be at the tail.
    synced_at: Option<Mono>,
    /// What was last told to the operator.
    synced: bool,
}

/// See the head of this file. Shared by `Arc`.
#[derive(Debug)]
pub struct Transport {
    links: Arc<Links>,
    purges: Arc<PurgeLog>,
    metrics: Arc<Metrics>,
    clock: Clock,
    names: Names,
    /// This node: random per process, in hex.
    me: String,
    name: String,
    beat: Duration,
    /// One exchange of the reader.
    patience: Duration,
    shared: Mutex<Shared>,
    /// Counts answers of the reader; those who wait for a receipt look again.
    heard: watch::Sender<u64>,
    /// Receipts that are waited for.
    receipts: AtomicUsize,
    /// Those for which the reader hurries.
    hurry: AtomicUsize,
    wake_reader: Notify,
    wake_appender: Notify,
    wake_keeper: Notify,
    /// A new connection: whether the store may evict the log was not asked yet.
    policy_unknown: AtomicBool,
    /// The store is back.
    recovered: Notify,
}

impl Transport {
    /// Connects to nothing before [`Transport::run`].
    pub fn new(
        links: Arc<Links>,
        settings: &Settings,
        purges: Arc<PurgeLog>,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Arc<Self> {
        let mut seed = [0; 8];
        // Two nodes of one name would take each other's records for their own: not from a clock.
        let rng = match ring::rand::SystemRandom::new().fill(&mut seed) {
            Ok(()) => fastrand::Rng::with_seed(u64::from_le_bytes(seed)),
            Err(_) => fastrand::Rng::new(),
        };
        Self::with(links, settings, purges, metrics, clock, OutboxLimits::default(), rng)
    }

    /// With these limits, and chance from there: the node's number, ids, pauses.
    pub fn with(
        links: Arc<Links>,
        settings: &Settings,
        purges: Arc<PurgeLog>,
        metrics: Arc<Metrics>,
        clock: Clock,
        limits: OutboxLimits,
        mut rng: fastrand::Rng,
    ) -> Arc<Self> {
        let node = rng.u64(..);
        let me = format!("{node:016x}");
        let quarter = settings.max_unsynced / 4;
        Arc::new(Self {
            links,
            purges,
            metrics,
            clock,
            names: Names::new(&names::Names::from_settings(settings), &me),
            me,
            name: settings.node_name.chars().filter(|c| !c.is_control()).take(NAME).collect(),
            beat: quarter.clamp(Duration::from_millis(20), BEAT),
            patience: (settings.max_unsynced / 2).clamp(Duration::from_millis(100), PATIENCE),
            shared: Mutex::new(Shared {
                follower: Follower::new(node, settings.max_unsynced, limits),
                roster: Roster::new(node, settings.max_unsynced.saturating_add(MARGIN)),
                proof: Proof::default(),
                clock: StoreClock::default(),
                landed: Landed::default(),
                rng,
                link: Link::Unknown,
                proven: None,
                synced_at: None,
                synced: false,
            }),
            heard: watch::Sender::new(0),
            receipts: AtomicUsize::new(0),
            hurry: AtomicUsize::new(0),
            wake_reader: Notify::new(),
            wake_appender: Notify::new(),
            wake_keeper: Notify::new(),
            policy_unknown: AtomicBool::new(false),
            recovered: Notify::new(),
        })
    }

    /// Applies a purge here at once, and queues it for the log.
    pub fn submit(&self, purge: Purge, now: Wall) -> Applied {
        let applied = self.lock().follower.submit(&self.purges, purge, now);
        self.wake_appender.notify_one();
        applied
    }

    /// See [`crate::purge::fleet::Follower::write`].
    pub fn write(&self, urls: Vec<(Selector, Option<Born>)>, now: Wall) -> Written {
        let written = self.lock().follower.write(&self.purges, urls, now);
        if let Written::Applied(_) = written {
            self.wake_appender.notify_one();
        }
        written
    }

    /// Follows the log for as long as it is polled. `applied` hears of every purge that others have made, after it
    /// holds here.
    pub async fn run(self: Arc<Self>, applied: Box<Hear>) {
        tokio::join!(self.read(&*applied), self.watch(), self.append(), self.keep());
    }

    /// This node leaves: its last purges go into the log (invalidations by unsafe methods are on their way when their answers have left),
    /// and receipts need not wait for it. It should not answer from what it has stored after this. Takes at most a second; where the
    /// store doesn't hear of it, the others wait until this node has been silent for long enough.
    pub async fn sign_off(&self) {
        let mut heard = self.heard.subscribe();
        let logged = async { while self.lock().follower.waiting() > 0 && heard.changed().await.is_ok() {} };
        if tokio::time::timeout(LEAVE_WITHIN, logged).await.is_err() {
            let lost = self.lock().follower.waiting();
            tracing::warn!(lost, "purge log: this node leaves with purges that the store has not taken");
        }
        let run = Run {
            role: Role::Sync,
            keys: &[&self.names.nodes],
            args: &[self.me.as_bytes(), self.name.as_bytes()],
            then: &[],
            patience: LEAVE_WITHIN,
        };
        let leaving = scripts::LEAVE.run(&self.links, run);
        let left = tokio::time::timeout(LEAVE_WITHIN, leaving).await.unwrap_or(Err(CallError::Timeout));
        if let Err(error) = left {
            tracing::debug!(%error, "purge log: could not sign off");
        }
    }

    pub fn state(&self) -> LogState {
        let now = self.clock.now().mono;
        let shared = self.lock();
        LogState {
            position: shared.follower.position(),
            unsynced_for: shared.synced_at.map(|at| now.since(at)),
            synced: self.purges.is_synced(now),
            waiting: shared.follower.waiting(),
            nodes: shared.roster.list(now),
        }
    }

    /// The store's clock now, Unix milliseconds, as this node knows it by its last heart-beats; `None` before the first.
    pub fn store_now(&self) -> Option<u64> {
        let now = self.clock.now().mono;
        self.lock().clock.at(now)
    }

    /// A panic elsewhere doesn't make what is in there wrong: each change is complete before the next begins.
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
