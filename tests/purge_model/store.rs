//! A Redis-like store as far as the log needs it: one stream, a replica that lags behind, a master that may be cut off
//! and go on answering.

use larder::purge::PurgeId;
use larder::purge::fleet::{Body, Record, Stamp};
use std::collections::BTreeSet;

/// The stream as one server has it.
#[derive(Clone, Debug, Default)]
pub struct Branch {
    pub records: Vec<Record>,
    pub last: PurgeId,
    /// Numbers of the purges that were ever appended here; trimming forgets none.
    pub holds: BTreeSet<usize>,
}

impl Branch {
    pub fn append(&mut self, id: PurgeId, by: Stamp, body: Body, numbers: &[usize]) {
        assert!(id > self.last, "a stream rejects ids that don't rise");
        self.records.push(Record { id, prev: self.last, by, body });
        self.last = id;
        self.holds.extend(numbers);
    }

    /// After a position, or from the first retained record; and the last id.
    pub fn read(&self, after: Option<PurgeId>, count: usize) -> (Vec<Record>, PurgeId) {
        let after = after.unwrap_or(PurgeId::ZERO);
        (self.records.iter().filter(|record| record.id > after).take(count).cloned().collect(), self.last)
    }

    pub fn trim(&mut self, keep: usize) {
        let excess = self.records.len().saturating_sub(keep);
        self.records.drain(..excess);
    }
}

/// Where a node's connection leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    Up,
    Down,
    /// To a master that was cut off and replaced; it doesn't know.
    Isolated,
}

#[derive(Clone, Debug)]
pub struct Server {
    pub branch: Branch,
    /// When its replica last acknowledged; `None` while it has no replica.
    pub acknowledged: Option<u64>,
    /// Its clock against the true time.
    pub skew: i64,
}

#[derive(Debug)]
pub struct Store {
    pub master: Server,
    pub replica: Option<Branch>,
    pub isolated: Option<Server>,
}

impl Store {
    pub fn new(skew: i64) -> Self {
        let master = Server { branch: Branch::default(), acknowledged: None, skew };
        Self { master, replica: None, isolated: None }
    }

    pub fn server(&mut self, link: Link) -> Option<&mut Server> {
        match link {
            Link::Up => Some(&mut self.master),
            Link::Down => None,
            Link::Isolated => self.isolated.as_mut(),
        }
    }

    /// The replica catches up, or attaches.
    pub fn replicate(&mut self, now: u64) {
        self.replica = Some(self.master.branch.clone());
        self.master.acknowledged = Some(now);
    }

    /// The replica becomes the master, without what it hadn't got. False without a replica.
    pub fn fail_over(&mut self, skew: i64) -> bool {
        let Some(branch) = self.replica.take() else { return false };
        let old = std::mem::replace(&mut self.master, Server { branch, acknowledged: None, skew });
        self.isolated = Some(old);
        true
    }

    /// `FLUSHALL`, or a restart without persistence.
    pub fn flush(&mut self) {
        self.master.branch = Branch::default();
        self.replica = None;
        self.master.acknowledged = None;
    }
}

impl Server {
    /// Coarse, so that branches of a fork come close to each other.
    pub fn clock(&self, now: u64) -> u64 {
        const START: u64 = 1_000_000;
        START.saturating_add_signed(self.skew) + now / 8
    }
}
