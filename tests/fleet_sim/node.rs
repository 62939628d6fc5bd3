//! A node: the real log, follower, transport and links over the simulated network.

use crate::content;
use crate::oracle::{MAX_UNSYNCED, Oracle};
use crate::store::{NAMES, Store};
use fastrand::Rng;
use larder::clock::Clock;
use larder::fleet::links::{Dial, Dialling, Links, Stream};
use larder::fleet::settings::{Address, Auth, Breaker, Keys, Settings, Topology, WhenUnsynced};
use larder::fleet::transport::Transport;
use larder::observe::Metrics;
use larder::purge::fleet::OutboxLimits;
use larder::purge::{At, Limits, Purge, PurgeLog};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};

pub const NODES: usize = 3;
pub const NODE_NAMES: [&str; NODES] = ["node-0", "node-1", "node-2"];
/// How long a purge call waits for its receipt.
const PATIENCE: Duration = Duration::from_secs(3);

/// When a silent node doesn't count any more, ms; and one answer.
const DEAD_AFTER: u64 = MAX_UNSYNCED + 1_000 + 300;

/// A running node.
#[derive(Debug)]
pub struct Cell {
    pub purges: Arc<PurgeLog>,
    pub transport: Arc<Transport>,
    pub orders: mpsc::Sender<Order>,
    /// When it first had an answer of the store, ms.
    pub met: Option<u64>,
    /// Ends the process.
    pub kill: Arc<Notify>,
    /// It serves nothing any more.
    pub leaving: bool,
    /// It has said so.
    pub left: bool,
}

#[derive(Debug)]
pub enum Order {
    /// Wait for the receipt of a purge.
    Reach(usize, At),
    Leave,
}

/// What the world and the nodes share.
#[derive(Debug)]
pub struct Common {
    pub clock: Clock,
    pub store: Arc<Mutex<Store>>,
    pub cells: Mutex<[Option<Cell>; NODES]>,
    pub oracle: Mutex<Oracle>,
    /// Where each node's new connections lead.
    pub believes: Mutex<[usize; NODES]>,
    pub metrics: Arc<Metrics>,
    pub outbox: OutboxLimits,
    pub seeds: Mutex<Rng>,
    /// Begin processes.
    pub starts: [Notify; NODES],
    /// Receipts that said "everywhere", and those that didn't.
    pub receipts: Mutex<(u64, u64)>,
}

impl Common {
    pub fn now(&self) -> u64 {
        self.clock.now().mono.0
    }
}

#[derive(Debug)]
struct Simulated {
    node: usize,
    common: Arc<Common>,
}

impl Dial for Simulated {
    fn dial<'a>(&'a self, _: &'a Address) -> Dialling<'a> {
        let server = self.common.believes.lock().unwrap()[self.node];
        Box::pin(async move {
            let stream = turmoil::net::TcpStream::connect((NAMES[server], 6379)).await?;
            Ok(Box::new(stream) as Stream)
        })
    }
}

fn settings(node: usize) -> Settings {
    Settings {
        topology: Topology::Standalone(Address { host: "store".into(), port: 6379 }),
        tls: false,
        auth: Auth::default(),
        db: 0,
        namespace: "larder".into(),
        timeout: Duration::from_millis(50),
        max_object: 8 << 20,
        breaker: Breaker { failures: 5, open_for: Duration::from_millis(300) },
        lease: Duration::from_secs(10),
        max_unsynced: Duration::from_millis(MAX_UNSYNCED),
        when_unsynced: WhenUnsynced::Revalidate,
        keys: Keys::default(),
        secret: None,
        node_name: NODE_NAMES[node].into(),
    }
}

/// Small, so that every structure overflows now and then.
const LIMITS: Limits =
    Limits { selectors: 12, writes: 4, predicates: 2, buckets: 32, shards: 1, history: 40, receipts: 4 };

/// The same of the outbox, in half of the schedules: what is folded into purges of everything hides what may be wrong with single ones.
pub const SMALL: OutboxLimits = OutboxLimits {
    purges: 3,
    unread: 4,
    selectors: 40,
    recent: 6,
    writes_per_record: 3,
    records_per_step: 2,
};

/// The most that may wait under these limits: of each kind its limit, one more that is being added, what is on its way, and what
/// goes out again after a fork.
pub fn most_waiting(limits: &OutboxLimits) -> usize {
    limits.purges + limits.unread + limits.recent + limits.records_per_step + 1
}

/// One life after the other. A killed process is one whose everything is dropped: a runtime that is thrown away drops its tasks in an
/// order that depends on what ran before in this process, and then a seed is no schedule.
pub async fn run(common: Arc<Common>, node: usize) -> turmoil::Result {
    loop {
        common.starts[node].notified().await;
        live(common.clone(), node).await?;
    }
}

async fn live(common: Arc<Common>, node: usize) -> turmoil::Result {
    let rng = Rng::with_seed(common.seeds.lock().unwrap().u64(..));
    let settings = settings(node);
    let clock = common.clock.clone();
    let purges = Arc::new(PurgeLog::in_fleet(LIMITS));
    let dial = Arc::new(Simulated { node, common: common.clone() });
    let links = Links::with_dial(&settings, clock.clone(), dial);
    let (metrics, limits) = (common.metrics.clone(), common.outbox);
    let transport = Transport::with(links, &settings, purges.clone(), metrics, clock, limits, rng);
    let (orders, mut ordered) = mpsc::channel(256);
    let killed = Arc::new(Notify::new());
    let kill = killed.clone();
    common.cells.lock().unwrap()[node] = Some(Cell {
        met: None,
        kill,
        purges,
        transport: transport.clone(),
        orders,
        leaving: false,
        left: false,
    });

    let hears = common.clone();
    let hear = move |purge: &Arc<Purge>| {
        if let Some(number) = content::number(purge) {
            hears.oracle.lock().unwrap().applied(node, number, hears.now());
        }
    };
    let running = transport.clone().run(Box::new(hear));
    tokio::pin!(running);
    let mut receipts = tokio::task::JoinSet::new();
    loop {
        let order = tokio::select! {
            biased;
            () = killed.notified() => return Ok(()),
            () = &mut running => return Err("the transport has ended".into()),
            order = ordered.recv() => order,
        };
        match order {
            Some(Order::Reach(number, at)) => {
                receipts.spawn(receipt(common.clone(), transport.clone(), node, number, at));
            }
            Some(Order::Leave) => {
                let (common, transport) = (common.clone(), transport.clone());
                receipts.spawn(async move {
                    transport.sign_off().await;
                    if let Some(cell) = &mut common.cells.lock().unwrap()[node] {
                        cell.left = true;
                    }
                });
            }
            None => return Ok(()),
        }
        while receipts.try_join_next().is_some() {}
    }
}

/// P4: when it says "everywhere", every node that serves without asking has applied the purge, so that from now on P1 holds there.
async fn receipt(common: Arc<Common>, transport: Arc<Transport>, node: usize, number: usize, at: At) {
    let reach = transport.reach(at, PATIENCE).await;
    let mut receipts = common.receipts.lock().unwrap();
    if !reach.is_everywhere() {
        receipts.1 += 1;
        return;
    }
    receipts.0 += 1;
    let now = common.clock.now().mono;
    {
        let store = common.store.lock().unwrap();
        // What the store has lost meanwhile is excepted; and so is what a node can't know that has just started, of nodes that a
        // store has just forgotten (the head of `transport/nodes.rs`).
        let met = common.cells.lock().unwrap()[node].as_ref().and_then(|cell| cell.met);
        let unknowing =
            store.lost_at.is_some_and(|at| met.is_none_or(|met| at <= met) && now.0 <= at + DEAD_AFTER);
        if unknowing || !store.leader().data.holds.contains(&number) {
            return;
        }
    }
    let mut oracle = common.oracle.lock().unwrap();
    for (node, cell) in common.cells.lock().unwrap().iter().enumerate() {
        if cell.as_ref().is_some_and(|cell| !cell.leaving && cell.purges.is_synced(now)) {
            oracle.applied(node, number, now.0);
        }
    }
}
