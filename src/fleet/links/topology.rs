//! Where the masters are: at a fixed address, where the sentinels say, or slot by slot in a cluster.
//!
//! What is known is used until something speaks against it: a redirection, a master that is none any more, a lost connection.
//! Then it is asked for again, in the background and not too often; and now and then without any reason, since a master that was
//! cut off from the others still talks to us.

use super::cluster;
use super::connection::{Connection, Linker};
use super::error::{CallError, Fault};
use super::sentinel;
use super::single::Single;
use crate::fleet::settings::{Address, Auth, Topology};
use crate::time::Mono;
use redis::{Pipeline, Value};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub(super) const SLOTS: u16 = 16384;
/// A slot that nobody has.
const NOBODY: u16 = u16::MAX;
/// A cluster is said to have no more than this; what redirections add in between is bounded by it.
const MOST_MASTERS: usize = 1000;
/// One question to one sentinel or node.
pub(super) const QUESTION: Duration = Duration::from_millis(700);
/// Not more often than this, whatever happens.
const SHORTEST: Duration = Duration::from_millis(100);
/// While calls are refused without trying.
const DOUBT: Duration = Duration::from_secs(1);
/// Ask a cluster again although nothing happened: its nodes say themselves when a slot isn't theirs any more.
const CLUSTER_ROUTINE: Duration = Duration::from_secs(10);
/// Ask a sentinel again although nothing happened: after a failover the old master goes on as one for some eight seconds, if it
/// lives, and what is written to it is lost.
const SENTINEL_ROUTINE: Duration = Duration::from_secs(1);

/// Who has what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Map {
    masters: Vec<Address>,
    /// By slot: index in `masters`. Empty when there is but one.
    slots: Vec<u16>,
}

impl Map {
    pub fn of_one(master: Address) -> Self {
        Self { masters: vec![master], slots: Vec::new() }
    }

    /// From ranges of slots, first and last, and who has them.
    pub fn of_ranges(ranges: impl IntoIterator<Item = (u16, u16, Address)>) -> Self {
        let mut map = Self { masters: Vec::new(), slots: vec![NOBODY; usize::from(SLOTS)] };
        let mut known = HashMap::new();
        for (first, last, master) in ranges {
            let index = *known.entry(master.clone()).or_insert_with(|| map.add(master));
            if let Some(slots) = map.slots.get_mut(usize::from(first)..=usize::from(last)) {
                slots.fill(index);
            }
        }
        map
    }

    pub fn master(&self, slot: u16) -> Option<&Address> {
        let index = if self.slots.is_empty() { 0 } else { *self.slots.get(usize::from(slot))? };
        self.masters.get(usize::from(index))
    }

    pub fn masters(&self) -> &[Address] {
        &self.masters
    }

    fn with(&self, slot: u16, master: &Address) -> Self {
        let mut map = self.clone();
        let index = match map.masters.iter().position(|known| known == master) {
            Some(index) => u16::try_from(index).unwrap_or(NOBODY),
            None if map.masters.len() >= MOST_MASTERS => return map,
            None => map.add(master.clone()),
        };
        if let Some(place) = map.slots.get_mut(usize::from(slot)) {
            *place = index;
        }
        map
    }

    fn add(&mut self, master: Address) -> u16 {
        self.masters.push(master);
        u16::try_from(self.masters.len() - 1).unwrap_or(NOBODY)
    }
}

#[derive(Debug)]
pub(super) struct Finder {
    topology: Topology,
    linker: Arc<Linker>,
    map: Arc<Single<Arc<Map>>>,
    /// [`Mono`] of the last time it was asked for.
    asked: AtomicU64,
}

impl Finder {
    pub fn new(topology: Topology, linker: Arc<Linker>) -> Self {
        let fixed = match &topology {
            Topology::Standalone(address) => Some(Arc::new(Map::of_one(address.clone()))),
            Topology::Sentinel { .. } | Topology::Cluster(_) => None,
        };
        let map = Single::new(fixed, linker.clock.clone());
        Self { topology, linker, map, asked: AtomicU64::new(0) }
    }

    pub fn is_cluster(&self) -> bool {
        matches!(self.topology, Topology::Cluster(_))
    }

    pub fn known(&self) -> Option<Arc<Map>> {
        self.map.value()
    }

    /// What is known, or what comes of asking. Takes as long as an attempt: bound it.
    pub async fn map(&self) -> Result<Arc<Map>, Fault> {
        if let Some(map) = self.map.value() {
            match &self.topology {
                Topology::Standalone(_) => {}
                Topology::Sentinel { .. } => self.ask_again_after(SENTINEL_ROUTINE, false),
                Topology::Cluster(_) => self.ask_again_after(CLUSTER_ROUTINE, false),
            }
            return Ok(map);
        }
        self.asked.store(self.linker.clock.now().mono.0, Ordering::Release);
        self.map.get(|| self.question(true)).await
    }

    /// A cluster said where this slot is now.
    pub fn moved(&self, slot: u16, to: &Address) {
        if let Some(map) = self.map.value()
            && map.master(slot) != Some(to)
        {
            self.map.set(Arc::new(map.with(slot, to)));
        }
        self.ask_again_after(SHORTEST, true);
    }

    /// Something speaks against what is known.
    pub fn suspect(&self) {
        self.ask_again_after(SHORTEST, true);
    }

    /// A master is left alone because it failed: is it one still?
    pub fn doubt(&self) {
        self.ask_again_after(DOUBT, true);
    }

    fn ask_again_after(&self, age: Duration, suspicious: bool) {
        if matches!(self.topology, Topology::Standalone(_)) {
            return;
        }
        let now = self.linker.clock.now().mono;
        let asked = self.asked.load(Ordering::Acquire);
        let due = now.since(Mono(asked)) >= age;
        if due && self.asked.compare_exchange(asked, now.0, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            self.map.renew(|| self.question(suspicious));
        }
    }

    /// `suspicious`: a master that is named again must show that it is one.
    fn question(&self, suspicious: bool) -> impl Future<Output = Result<Arc<Map>, Fault>> + Send + 'static {
        let (topology, linker) = (self.topology.clone(), Arc::clone(&self.linker));
        let map = Arc::clone(&self.map);
        async move {
            let known = map.value();
            let known = known.as_deref().map_or(&[][..], Map::masters);
            match topology {
                Topology::Standalone(address) => Ok(Arc::new(Map::of_one(address))),
                Topology::Sentinel { sentinels, master } => {
                    let trusted = if suspicious { None } else { known.first() };
                    found(sentinel::find(&linker, &sentinels, &master, trusted).await)
                }
                Topology::Cluster(seeds) => found(cluster::find(&linker, known, &seeds).await),
            }
        }
    }
}

/// For callers it is all the same how those failed that could have told.
fn found(map: Result<Map, Fault>) -> Result<Arc<Map>, Fault> {
    let connect = |fault: Fault| match fault.why {
        CallError::NotNow => fault,
        _ => Fault { why: CallError::Connect, ..fault },
    };
    map.map(Arc::new).map_err(connect)
}

/// Asks one server one thing, on a connection for that alone.
pub(super) async fn ask(
    linker: &Linker,
    address: &Address,
    auth: &Auth,
    question: &Pipeline,
) -> Result<Value, Fault> {
    let asking = async {
        let connection: Connection = linker.open(address, auth, 0).await?;
        connection
            .send(question)
            .await?
            .into_iter()
            .next()
            .ok_or_else(|| Fault::new(CallError::Refused, "no answer"))
    };
    match tokio::time::timeout(QUESTION, asking).await {
        Ok(answer) => answer,
        Err(_) => Err(Fault::new(CallError::Timeout, format_args!("{address}: no answer"))),
    }
}
