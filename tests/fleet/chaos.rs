//! Three nodes under load while everything around them breaks, for as long as `LARDER_CHAOS_SECONDS` says (10 unless told
//! otherwise; `tests/run` takes two minutes, `bench/chaos` ten).
//!
//! Clients ask, purgers purge, and an oracle knows which version of a page may not be served any more, by whom, since when. At the
//! end: nothing stale, no error that is not the test's own doing, no purge lost, memory and descriptors flat. The seed is printed;
//! `LARDER_SEED=N` draws the same faults and requests again (not the same moments: the processes are real).

use crate::support::load::{Load, path};
use crate::support::oracle::Life;
use crate::support::*;
use std::sync::atomic::Ordering;
use std::time::Duration;

const NODES: usize = 3;
const PAGES: u64 = 60;
const MAX_UNSYNCED: Duration = ms(2000);

/// What a node may hold more at the end than before: queues and pools that have once been full.
const GROWTH: u64 = 48 << 20;
const DESCRIPTORS: usize = 16;

#[derive(Clone, Copy, Debug)]
enum Event {
    StoreStopped,
    StoreRestartedEmpty,
    StoreFlushed,
    StoreFull,
    LogTrimmed,
    /// To a replica that has not heard for a while.
    FailedOver,
    NodeKilled,
    NodeStopped,
    /// One node's way to the store, or everybody's.
    Network(Fault),
}

const EVENTS: [Event; 19] = [
    Event::StoreStopped,
    Event::StoreRestartedEmpty,
    Event::StoreFlushed,
    Event::StoreFull,
    Event::LogTrimmed,
    Event::FailedOver,
    Event::NodeKilled,
    Event::NodeKilled,
    Event::NodeStopped,
    Event::NodeStopped,
    Event::Network(Fault::BlackHole(Way::ToServer)),
    Event::Network(Fault::BlackHole(Way::FromServer)),
    Event::Network(Fault::BlackHole(Way::Both)),
    Event::Network(Fault::Reset),
    Event::Network(Fault::Refuse),
    Event::Network(Fault::Delay(ms(120))),
    Event::Network(Fault::Throttle(20_000)),
    Event::Network(Fault::Cut(3000)),
    Event::Network(Fault::Answer(b"+OK\r\n:7\r\n*-1\r\n$3\r\nabc\r\nnonsense\x00\xff")),
];

/// What `/proc` said of a process.
#[derive(Clone, Copy, Debug)]
struct Sample {
    life: Life,
    at: Duration,
    resident: u64,
    descriptors: usize,
}

struct Chaos {
    fleet: Fleet,
    load: Load,
    standby: Server,
    /// Between the store and its replica.
    between: FaultProxy,
    random: fastrand::Rng,
    engine: Engine,
    samples: Vec<Sample>,
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

impl Chaos {
    async fn begin(engine: &Engine, seed: u64) -> Self {
        let plan = Fleet::plan()
            .nodes(NODES)
            .shared("timeout", "100ms")
            .shared("max_unsynced", "2s")
            .shared("lease", "5s")
            .top("memory: { capacity: 1MiB }");
        let fleet = plan.start(engine).await;
        let between = FaultProxy::before(fleet.server().address()).await;
        let standby = Server::start(engine).await;
        standby.follow(between.address).await;
        let callers = fleet.nodes.iter().map(|node| node.with_own_connections()).collect();
        let load = Load::start(callers, fleet.origin.clone(), MAX_UNSYNCED, (8, 8, PAGES), seed);
        let random = fastrand::Rng::with_seed(seed);
        Self { fleet, load, standby, between, random, engine: engine.clone(), samples: Vec::new() }
    }

    fn sample(&mut self) {
        let targets = self.load.shared.targets.read().unwrap();
        for (node, target) in self.fleet.nodes.iter().zip(targets.iter()) {
            let process = node.process();
            self.samples.push(Sample {
                life: target.life,
                at: now(),
                resident: process.resident(),
                descriptors: process.descriptors(),
            });
        }
    }

    /// Most troubles are short; some last longer than a node may go on without the log.
    fn lasting(&mut self) -> Duration {
        match self.random.u8(0..6) {
            0 => MAX_UNSYNCED + ms(self.random.u64(0..2500)),
            _ => ms(self.random.u64(50..1500)),
        }
    }

    /// One trouble, sometimes with a bad network on one node besides.
    async fn step(&mut self) {
        let event = EVENTS[self.random.usize(0..EVENTS.len())];
        let lasting = self.lasting();
        let beside = match (self.random.u8(0..4), event) {
            (0, Event::StoreStopped | Event::StoreFull | Event::StoreRestartedEmpty | Event::NodeKilled) => {
                Some((self.random.usize(0..NODES), Fault::BlackHole(Way::Both)))
            }
            _ => None,
        };
        eprintln!(
            "[{:8.3} s] {event:?} for {lasting:?}{}",
            now().as_secs_f64(),
            match beside {
                Some((node, fault)) => format!(", and node{} {fault:?}", node + 1),
                None => String::new(),
            }
        );
        if let Some((node, fault)) = beside {
            self.fleet.nodes[node].proxy().set(fault);
        }
        self.happen(event, lasting).await;
        if let Some((node, _)) = beside {
            self.fleet.nodes[node].proxy().heal();
        }
        let rest = ms(self.random.u64(0..800));
        tokio::time::sleep(rest).await;
    }

    async fn happen(&mut self, event: Event, lasting: Duration) {
        let node = self.random.usize(0..NODES);
        match event {
            Event::StoreStopped => {
                self.fleet.server().pause().await;
                tokio::time::sleep(lasting).await;
                self.fleet.server().resume();
            }
            Event::StoreRestartedEmpty => {
                self.fleet.server_mut().kill();
                tokio::time::sleep(lasting).await;
                self.fleet.server_mut().restart_empty().await;
            }
            Event::StoreFlushed => self.fleet.server().tell::<()>(&["FLUSHALL"]).await,
            Event::StoreFull => {
                self.fleet.server().tell::<()>(&["CONFIG", "SET", "maxmemory", "1"]).await;
                tokio::time::sleep(lasting).await;
                self.fleet.server().tell::<()>(&["CONFIG", "SET", "maxmemory", "0"]).await;
            }
            Event::LogTrimmed => {
                self.fleet.server().tell::<()>(&["XTRIM", "{larder:purge}:log", "MAXLEN", "0"]).await;
            }
            Event::FailedOver => self.fail_over(lasting.min(ms(1500))).await,
            // The last one lives through it all: whether something grows shows on it.
            Event::NodeKilled => self.kill(node % (NODES - 1), lasting).await,
            Event::NodeStopped => {
                self.target(node, |target| target.shy = true);
                self.fleet.nodes[node].pause().await;
                tokio::time::sleep(lasting).await;
                self.fleet.nodes[node].resume();
                self.target(node, |target| target.shy = false);
            }
            Event::Network(fault) => {
                let all = self.random.bool();
                let hit = |at: usize| all || at == node;
                for (_, node) in self.fleet.nodes.iter().enumerate().filter(|(at, _)| hit(*at)) {
                    node.proxy().set(fault);
                }
                tokio::time::sleep(lasting).await;
                self.fleet.nodes.iter().for_each(|node| node.proxy().heal());
            }
        }
    }

    fn target(&self, node: usize, change: impl FnOnce(&mut load::Target)) {
        change(&mut self.load.shared.targets.write().unwrap()[node]);
    }

    async fn kill(&mut self, node: usize, lasting: Duration) {
        self.target(node, |target| target.down = true);
        self.fleet.nodes[node].kill();
        tokio::time::sleep(lasting.min(ms(1500))).await;
        self.fleet.nodes[node].restart().await;
        let caller = self.fleet.nodes[node].with_own_connections();
        self.target(node, |target| {
            target.caller = caller;
            target.life.number += 1;
            target.down = false;
        });
    }

    /// The store is replaced by a replica that has heard nothing for a while. All nodes are in step before and after: what no node
    /// knows and the new master does not have is lost, and that is the store's promise to keep, not ours.
    async fn fail_over(&mut self, lag: Duration) {
        for node in &self.fleet.nodes {
            node.synced(PATIENCE).await;
        }
        eventually("a replica that is connected", PATIENCE, async || {
            self.standby.info("master_link_status").await.as_deref() == Some("up")
        })
        .await;
        self.between.set(Fault::BlackHole(Way::Both));
        let behind_since = now();
        tokio::time::sleep(lag).await;
        self.fleet.server_mut().kill();
        self.standby.promote().await;
        self.load.shared.oracle.lost_since(behind_since);
        for node in &self.fleet.nodes {
            node.proxy().retarget(self.standby.address());
        }
        let new = Server::start(&self.engine).await;
        self.fleet.server = Some(std::mem::replace(&mut self.standby, new));
        self.between = FaultProxy::before(self.fleet.server().address()).await;
        self.standby.follow(self.between.address).await;
        for node in &self.fleet.nodes {
            node.synced(PATIENCE).await;
        }
    }

    /// Everything is well: what was promised is kept, and nothing has grown.
    async fn end(self, seed: u64, steps: usize) {
        let healed = now();
        self.fleet.assembled().await;
        let recovered = now() - healed;
        let shared = self.load.stop().await;
        let kept = shared.oracle.kept();
        for (path, version, by) in &kept {
            if shared.targets.read().unwrap()[by.node].life != *by {
                continue; // it died with what it had not handed on
            }
            for node in &self.fleet.nodes {
                eventually(
                    &format!("{path} {version} of a purge answered 202, on {}", node.name),
                    ms(10_000),
                    async || node.get(path).await.version() >= *version,
                )
                .await;
            }
        }
        for number in 0..PAGES {
            let path = path(number);
            self.fleet.nodes[0].purge_page(&path, "fleet").await.assert_everywhere(NODES);
            for node in &self.fleet.nodes {
                assert_eq!(node.get(&path).await.version(), self.fleet.origin.version(&path), "{path}");
            }
        }
        self.fleet.share("/after").await;
        self.fleet.nodes[1].get("/after").await.assert_hit();
        let mut latencies = shared.seen.latencies();
        let mut found = 0.0;
        for node in &self.fleet.nodes {
            found += node.shared("get", "hit").await;
        }
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        eprintln!(
            "chaos: {}, seed {seed}: {steps} troubles, {} requests ({} hits, {found} of the shared tier by those that live), {} purges ({} answered 200, {} kept), p50 {:?}, \
             p99 {:?}, worst {:?}, well again {recovered:?} after the last, {} answers wrong",
            self.engine.name,
            count(&shared.seen.requests),
            count(&shared.seen.hits),
            count(&shared.seen.purges),
            count(&shared.seen.done),
            kept.len(),
            quantile(&mut latencies, 0.5),
            quantile(&mut latencies, 0.99),
            quantile(&mut latencies, 1.0),
            shared.seen.wrong().len(),
        );
        let wrong = shared.seen.wrong();
        assert!(
            wrong.is_empty(),
            "LARDER_SEED={seed}: {} wrong:\n{:#?}",
            wrong.len(),
            wrong.get(..20.min(wrong.len()))
        );
        assert!(count(&shared.seen.requests) > 100 && count(&shared.seen.hits) > 20, "too little happened");
        let lives: Vec<Life> = shared.targets.read().unwrap().iter().map(|target| target.life).collect();
        drop(shared);
        is_flat(self.engine.name, &self.fleet, &self.samples, &lives).await;
    }
}

/// Neither memory nor descriptors of a process have grown with what it has been through.
async fn is_flat(engine: &str, fleet: &Fleet, samples: &[Sample], lives: &[Life]) {
    for (node, life) in fleet.nodes.iter().zip(lives) {
        let samples: Vec<Sample> = samples.iter().filter(|s| s.life == *life).copied().collect();
        let (Some(first), Some(last)) = (samples.first(), samples.last()) else { continue };
        // The first third is for warming up.
        let warm = first.at + (last.at - first.at) / 3;
        let most = |late: bool| {
            samples.iter().filter(|s| (s.at > warm) == late).map(|s| s.resident).max().unwrap_or(0)
        };
        let (before, after) = (most(false), most(true));
        let mebi = |bytes: u64| bytes >> 20;
        eprintln!(
            "chaos: {engine}, {} lived {:?}: {} MiB at first, then at most {} MiB; {} descriptors at first, {} at the end",
            node.name,
            last.at - first.at,
            mebi(before),
            mebi(after),
            first.descriptors,
            node.process().descriptors()
        );
        assert!(after < before + GROWTH, "{}: memory grew from {before} to {after}", node.name);
        eventually("clients' connections closed", ms(20_000), async || {
            node.process().descriptors() <= first.descriptors + DESCRIPTORS
        })
        .await;
    }
}
async fn chaos(engine: Engine) {
    let seed = setting("LARDER_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000_000));
    let lasting = Duration::from_secs(setting("LARDER_CHAOS_SECONDS").unwrap_or(10));
    eprintln!("chaos: {} for {lasting:?}, LARDER_SEED={seed}", engine.name);
    let mut chaos = Chaos::begin(&engine, seed).await;
    let (begin, mut steps) = (now(), 0);
    chaos.sample();
    while now() - begin < lasting {
        chaos.step().await;
        chaos.sample();
        steps += 1;
    }
    chaos.end(seed, steps).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chaos_on_redis() {
    chaos(Engine::redis()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chaos_on_valkey() {
    if let Some(valkey) = Engine::valkey() {
        chaos(valkey).await;
    }
}
