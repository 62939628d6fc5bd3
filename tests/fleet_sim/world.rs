//! What happens to the fleet, in an order that the seed gives.
//!
//! Over 600 lines because it is one thing: the events, how often they happen, and what each does.

use crate::content::{self, KEYS, WHAT, names};
use crate::node::{self, Cell, Common, NODE_NAMES, NODES, Order};
use crate::oracle::{MAX_UNSYNCED, Oracle, Use};
use crate::resp;
use crate::store::{Flaw, Mood, NAMES, SERVERS, Store};
use fastrand::Rng;
use larder::clock::Clock;
use larder::observe::Metrics;
use larder::observe::metrics::Vocabulary;
use larder::purge::fleet::OutboxLimits;
use larder::purge::sync::usable_unsynced;
use larder::purge::{Born, Check, Mode, PurgeId, Verdict};
use larder::time::Mono;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use turmoil::Sim;
use turmoil::net::TcpListener;

pub const TICK: Duration = Duration::from_millis(4);
/// Events between two ticks.
const DRAWS: usize = 3;

#[derive(Clone, Copy, Debug)]
enum Event {
    Request,
    Finish,
    Replicate,
    Evict,
    Purge,
    Relink,
    Reset,
    Believe,
    FailOver,
    Attach,
    Third,
    Save,
    Flush,
    Restart,
    Mood,
    Trim,
    Rubbish,
    SetClock,
    Crash,
    Leave,
}

/// How often each happens, of a hundred thousand.
const USUAL: [(Event, u32); 20] = [
    (Event::Request, 50_000),
    (Event::Finish, 20_000),
    (Event::Replicate, 12_000),
    (Event::Evict, 1_000),
    (Event::Purge, 1_500),
    (Event::Relink, 600),
    (Event::Reset, 600),
    (Event::Believe, 1_000),
    (Event::FailOver, 80),
    (Event::Attach, 100),
    (Event::Third, 500),
    (Event::Save, 100),
    (Event::Flush, 20),
    (Event::Restart, 40),
    (Event::Mood, 300),
    (Event::Trim, 100),
    (Event::Rubbish, 30),
    (Event::SetClock, 60),
    (Event::Crash, 40),
    (Event::Leave, 20),
];

/// Each schedule has its own: some events are rare in it, others frequent, others don't happen.
struct Climate {
    events: Vec<(Event, u32)>,
    total: u32,
    skew: i64,
    latency: u64,
    /// Records of one answer.
    portion: usize,
}

impl Climate {
    fn new(rng: &mut Rng) -> Self {
        let events: Vec<_> = USUAL
            .iter()
            .enumerate()
            .map(|(at, (event, usual))| {
                let rate = match (at < 3, rng.u32(..6)) {
                    (true, _) => *usual,
                    (false, 0) => 0,
                    (false, roll) => usual / 4 * (1 << roll.min(4)),
                };
                (*event, rate)
            })
            .collect();
        Self {
            total: events.iter().map(|(_, rate)| rate).sum(),
            events,
            skew: [0, 5, 300, 5_000][rng.usize(..4)],
            latency: [2, 12, 40][rng.usize(..3)],
            portion: [2, 5, 512][rng.usize(..3)],
        }
    }

    fn draw(&self, rng: &mut Rng) -> Event {
        let mut roll = rng.u32(..self.total);
        for (event, rate) in &self.events {
            match roll.checked_sub(*rate) {
                Some(left) => roll = left,
                None => return *event,
            }
        }
        Event::Request
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Net {
    Up,
    Cut,
    /// Nothing arrives, nothing is lost.
    Held,
    /// Nothing gets to the store; or from it.
    Deaf,
    Mute,
}

#[derive(Debug)]
struct Entry {
    born: Born,
    began: u64,
    own: bool,
    check: Check,
}

#[derive(Debug)]
struct Flight {
    node: usize,
    key: usize,
    born: Born,
    began: u64,
}

/// What a node could have stored just before a purge: in the end it must know that the purge selects it.
#[derive(Debug)]
struct Probe {
    number: usize,
    mode: Mode,
    key: usize,
    issuer: (usize, u32),
    node: (usize, u32),
    born: Born,
}

type Shared = [Option<(PurgeId, u64)>; KEYS];

/// What happened, to see that it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub uses: u64,
    pub hits: u64,
    pub shared_hits: u64,
    pub purges: u64,
    pub everywhere: u64,
    pub not_everywhere: u64,
    pub fail_overs: u64,
    pub forks: u64,
    pub gaps: u64,
    pub unreadable: u64,
    /// Purges whose end was looked at, on every node; and the most that waited.
    pub probes: u64,
    pub waiting: usize,
    pub settled_after_ms: u64,
}

impl Counts {
    pub fn add(&mut self, other: &Self) {
        self.uses += other.uses;
        self.hits += other.hits;
        self.shared_hits += other.shared_hits;
        self.purges += other.purges;
        self.everywhere += other.everywhere;
        self.not_everywhere += other.not_everywhere;
        self.fail_overs += other.fail_overs;
        self.forks += other.forks;
        self.gaps += other.gaps;
        self.unreadable += other.unreadable;
        self.probes += other.probes;
        self.waiting = self.waiting.max(other.waiting);
        self.settled_after_ms = self.settled_after_ms.max(other.settled_after_ms);
    }
}

pub struct World {
    sim: Sim<'static>,
    common: Arc<Common>,
    rng: Rng,
    climate: Climate,
    memory: [[Option<Entry>; KEYS]; NODES],
    shared: Shared,
    /// The shared tier as the replica has it.
    replicated: Shared,
    flights: Vec<Flight>,
    probes: Vec<Probe>,
    /// Counts the lives of each node.
    lives: [u32; NODES],
    flaw: Flaw,
    /// When the last purge was issued. No fill begins in the same tick: which came first would be open.
    purged_at: u64,
    net: [[Net; SERVERS]; NODES],
    /// Steps until a node that was killed starts again.
    down: [Option<u32>; NODES],
    pub counts: Counts,
    pub failure: Option<String>,
    trace: Option<Vec<String>>,
}

/// A line for whoever replays a schedule.
macro_rules! tell {
    ($world:expr, $($text:tt)*) => {
        if let Some(lines) = $world.trace.as_mut() {
            lines.push(format!("{:>6} {}", $world.common.now(), format!($($text)*)));
        }
    };
}

impl World {
    pub fn new(seed: u64, flaw: Flaw, trace: bool) -> Self {
        // Pauses between attempts to connect come from there.
        fastrand::seed(seed);
        let mut rng = Rng::with_seed(seed);
        let climate = Climate::new(&mut rng);
        let clock = Clock::manual();
        let skews = std::array::from_fn(|_| rng.i64(-climate.skew..=climate.skew));
        let common = Arc::new(Common {
            store: Arc::new(Mutex::new(Store::new(&clock, flaw, skews))),
            clock,
            cells: Mutex::default(),
            oracle: Mutex::new(Oracle::default()),
            believes: Mutex::default(),
            metrics: Metrics::new(&Vocabulary::default()),
            outbox: if rng.bool() { node::SMALL } else { OutboxLimits::default() },
            seeds: Mutex::new(rng.fork()),
            starts: Default::default(),
            receipts: Mutex::default(),
        });
        let mut sim = turmoil::Builder::new()
            .rng_seed(rng.u64(..))
            .tick_duration(TICK)
            .epoch(std::time::UNIX_EPOCH)
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(Duration::from_millis(climate.latency))
            .tcp_capacity(4096)
            .build();
        for (server, name) in NAMES.into_iter().enumerate() {
            let (store, portion) = (common.store.clone(), climate.portion);
            sim.host(name, move || {
                let store = store.clone();
                async move {
                    let listener = TcpListener::bind(("0.0.0.0", 6379)).await?;
                    loop {
                        let (stream, _) = listener.accept().await?;
                        tokio::spawn(resp::serve(stream, store.clone(), server, portion));
                    }
                }
            });
        }
        for (node, name) in NODE_NAMES.into_iter().enumerate() {
            let common = common.clone();
            common.starts[node].notify_one();
            sim.host(name, move || node::run(common.clone(), node));
        }
        let mut world = Self {
            sim,
            common,
            rng,
            climate,
            memory: Default::default(),
            shared: Default::default(),
            replicated: Default::default(),
            flights: Vec::new(),
            probes: Vec::new(),
            lives: [0; NODES],
            flaw,
            purged_at: 0,
            net: [[Net::Up; SERVERS]; NODES],
            down: [None; NODES],
            counts: Counts::default(),
            failure: None,
            trace: trace.then(Vec::new),
        };
        // The fleet is up when the schedule begins.
        for _ in 0..150 {
            world.tick();
        }
        if world.rng.bool() {
            world.common.store.lock().unwrap().attach();
        }
        world
    }

    pub fn trace(&self) -> String {
        let mut text = String::new();
        for line in self.trace.iter().flatten() {
            let _ = write!(text, "\n{line}");
        }
        text
    }

    fn tick(&mut self) {
        if let Err(error) = self.sim.step() {
            self.failure.get_or_insert(format!("a host has ended: {error}"));
        }
        self.common.clock.advance(TICK);
        let now = self.common.now();
        let most = node::most_waiting(&self.common.outbox);
        for cell in self.common.cells.lock().unwrap().iter_mut().flatten() {
            let state = cell.transport.state();
            cell.met = cell.met.or(state.position.map(|_| now));
            self.counts.waiting = self.counts.waiting.max(state.waiting);
            if state.waiting > most {
                self.failure.get_or_insert(format!("{} purges wait on a node", state.waiting));
            }
        }
        let store = self.common.store.lock().unwrap();
        let mut oracle = self.common.oracle.lock().unwrap();
        oracle.held(&store.leader().data.holds, now);
        if let Some(violation) = &oracle.violation {
            self.failure.get_or_insert_with(|| violation.clone());
        }
    }

    pub fn step(&mut self) {
        for _ in 0..DRAWS {
            let event = self.climate.draw(&mut self.rng);
            self.happen(event);
        }
        self.start_those_that_are_due();
        self.tick();
    }

    fn happen(&mut self, event: Event) {
        let node = self.rng.usize(..NODES);
        match event {
            Event::Request => self.request(node),
            Event::Finish => self.finish(),
            Event::Replicate => self.replicate(),
            Event::Evict => {
                let key = self.rng.usize(..KEYS);
                self.memory[node][key] = None;
            }
            Event::Purge => self.purge(node),
            Event::Relink => self.relink(node),
            Event::Reset => {
                // The oldest connection, or the youngest.
                let store = self.common.store.lock().unwrap();
                let reset = &store.servers[self.rng.usize(..SERVERS)].reset;
                if self.rng.bool() { reset.notify_one() } else { reset.notify_last() }
            }
            Event::Believe => {
                let master = self.common.store.lock().unwrap().master;
                self.common.believes.lock().unwrap()[node] = master;
            }
            Event::FailOver => self.fail_over(),
            Event::Attach => self.common.store.lock().unwrap().attach(),
            Event::Third => self.common.store.lock().unwrap().third = true,
            Event::Save => self.common.store.lock().unwrap().save(),
            Event::Flush => self.lose(false),
            Event::Restart => self.lose(true),
            Event::Mood => self.change_mood(),
            Event::Trim => {
                let keep = self.rng.usize(..4);
                let mut store = self.common.store.lock().unwrap();
                let records = &mut store.leader_mut().data.records;
                let excess = records.len().saturating_sub(keep);
                records.drain(..excess);
                tell!(self, "the log is trimmed to {keep}");
            }
            Event::Rubbish => {
                let mut store = self.common.store.lock().unwrap();
                let leader = store.leader_mut();
                let id = PurgeId::appended(leader.data.last, PurgeId::ZERO, leader.now(), self.rng.u32(..));
                leader.push(id, None, b"rubbish");
                tell!(self, "rubbish at {id}");
            }
            Event::SetClock => {
                let skew = self.rng.i64(-self.climate.skew..=self.climate.skew);
                self.common.store.lock().unwrap().leader_mut().skew = skew;
                tell!(self, "the leader's clock is wrong by {skew}");
            }
            Event::Crash => self.crash(node),
            Event::Leave => self.leave(node),
        }
    }

    /// What a node that runs and serves says; `None` otherwise.
    fn with<T>(&self, node: usize, ask: impl FnOnce(&Cell) -> T) -> Option<T> {
        self.common.cells.lock().unwrap()[node].as_ref().filter(|cell| !cell.leaving).map(ask)
    }

    fn request(&mut self, node: usize) {
        let key = self.rng.usize(..KEYS);
        let now = Mono(self.common.now());
        let lax = self.flaw == Flaw::ServeUnsynced;
        let known = self.with(node, |c| (c.purges.clone(), lax || c.purges.is_synced(now)));
        let Some((purges, synced)) = known else { return };
        self.counts.uses += 1;
        let content = content::key(key);
        if let Some(entry) = &self.memory[node][key] {
            let verdict = entry.check.verify(
                &purges,
                entry.born,
                || Cow::Borrowed(&content.selectors),
                || content.subject(),
            );
            let period = Duration::from_millis(MAX_UNSYNCED);
            let usable = synced || entry.own && usable_unsynced(Mono(entry.began), now, period);
            if verdict <= Verdict::Soft && usable {
                self.counts.hits += 1;
                let began = entry.began;
                return self.judge(node, key, began, verdict, "memory");
            }
        }
        if synced
            && let Some((born, began)) = self.shared[key]
            && let verdict = purges.check_shared(born, &content.selectors, &content.subject())
            && verdict <= Verdict::Soft
        {
            self.counts.shared_hits += 1;
            self.judge(node, key, began, verdict, "shared");
            let entry = Entry { born: Born::shared(born), began, own: false, check: Check::new() };
            self.memory[node][key] = Some(entry);
            return;
        }
        if self.purged_at == now.0 {
            return;
        }
        let flight = Flight { node, key, born: purges.cursor(), began: now.0 };
        tell!(self, "{} fetches key {key}, born {:?}", NODE_NAMES[node], flight.born);
        self.flights.push(flight);
    }

    /// A response is there: for both tiers.
    fn finish(&mut self) {
        if self.flights.is_empty() {
            return;
        }
        let flight = self.flights.swap_remove(self.rng.usize(..self.flights.len()));
        let Flight { node, key, born, began } = flight;
        if self.with(node, |_| ()).is_none() {
            return;
        }
        if self.memory[node][key].as_ref().is_none_or(|there| there.began < began) {
            self.memory[node][key] = Some(Entry { born, began, own: true, check: Check::new() });
        }
        if self.rng.u32(..8) != 0 {
            self.shared[key] = Some((born.id, began));
        }
    }

    fn judge(&mut self, node: usize, key: usize, began: u64, verdict: Verdict, what: &str) {
        let how = if verdict == Verdict::Clean { Use::Fresh } else { Use::Stale };
        let now = self.common.now();
        tell!(self, "{} serves key {key} of {began} from {what}, {how:?}", NODE_NAMES[node]);
        self.common.oracle.lock().unwrap().judge(node, key, began, now, how, what);
    }

    fn replicate(&mut self) {
        let mut store = self.common.store.lock().unwrap();
        store.replicate();
        if store.linked {
            self.replicated = self.shared;
        }
    }

    fn purge(&mut self, node: usize) {
        let what = self.rng.usize(..WHAT);
        let mode = Mode::ALL[self.rng.usize(..Mode::ALL.len())];
        let receipt = self.rng.u32(..3) == 0;
        let Some((transport, orders)) = self.with(node, |c| (c.transport.clone(), c.orders.clone())) else {
            return;
        };
        let now = self.common.clock.now();
        let number = {
            let mut oracle = self.common.oracle.lock().unwrap();
            let number = oracle.issue(mode, std::array::from_fn(|key| names(what, key)), now.mono.0);
            oracle.applied(node, number, now.mono.0);
            number
        };
        self.probe(node, number, what, mode);
        let at = transport.submit(content::purge(number, what, mode), now.wall).at;
        self.counts.purges += 1;
        self.purged_at = now.mono.0;
        tell!(self, "{} issues purge {number}: {} {what}", NODE_NAMES[node], mode.as_str());
        if receipt {
            let _ = orders.try_send(Order::Reach(number, at));
        }
    }

    fn probe(&mut self, issuer: usize, number: usize, what: usize, mode: Mode) {
        let Some(key) = (0..KEYS).find(|key| names(what, *key)) else { return };
        for node in 0..NODES {
            if let Some(born) = self.with(node, |cell| cell.purges.cursor()) {
                let [issuer, node] = [issuer, node].map(|node| (node, self.lives[node]));
                self.probes.push(Probe { number, mode, key, issuer, node, born });
            }
        }
    }

    /// Every purge that was given to a node that lives on, or that the store holds, has reached every node.
    fn look_at_probes(&mut self) {
        let holds = self.common.store.lock().unwrap().leader().data.holds.clone();
        for Probe { number, mode, key, issuer, node, born } in std::mem::take(&mut self.probes) {
            let lives = |(node, life): (usize, u32)| self.lives[node] == life;
            if !lives(node) || !(lives(issuer) || holds.contains(&number)) {
                continue;
            }
            let content = content::key(key);
            let check = |c: &Cell| c.purges.check(born, &content.selectors, &content.subject());
            let Some(verdict) = self.with(node.0, check) else { continue };
            self.counts.probes += 1;
            if verdict < Verdict::from(mode) {
                let name = NODE_NAMES[node.0];
                self.failure
                    .get_or_insert(format!("{name} never heard of purge {number}: {verdict:?}, {born:?}"));
            }
        }
    }

    fn relink(&mut self, node: usize) {
        let server = self.rng.usize(..SERVERS);
        let (a, b) = (NODE_NAMES[node], NAMES[server]);
        let before = self.net[node][server];
        let after = match (before, self.rng.u32(..6)) {
            (Net::Up, 0 | 1) => Net::Cut,
            (Net::Up, 2) => Net::Held,
            (Net::Up, 3) => Net::Deaf,
            (Net::Up, 4) => Net::Mute,
            _ => Net::Up,
        };
        match (before, after) {
            (_, Net::Cut) => self.sim.partition(a, b),
            (_, Net::Held) => self.sim.hold(a, b),
            (_, Net::Deaf) => self.sim.partition_oneway(a, b),
            (_, Net::Mute) => self.sim.partition_oneway(b, a),
            (Net::Held, Net::Up) => self.sim.release(a, b),
            (_, Net::Up) => self.sim.repair(a, b),
        }
        self.net[node][server] = after;
        tell!(self, "{a} to {b}: {after:?}");
    }

    fn fail_over(&mut self) {
        let mut store = self.common.store.lock().unwrap();
        if !store.fail_over() {
            return;
        }
        let (master, last) = (store.master, store.leader().data.last);
        drop(store);
        if self.rng.bool() {
            self.shared = self.replicated;
        }
        self.counts.fail_overs += 1;
        tell!(self, "{} leads, its log ends at {last}", NAMES[master]);
    }

    fn lose(&mut self, restarted: bool) {
        let with_saved = restarted && self.rng.bool();
        let last = {
            let mut store = self.common.store.lock().unwrap();
            if restarted {
                store.restart(with_saved)
            } else {
                store.flush()
            }
            store.leader().data.last
        };
        if !with_saved && self.rng.bool() {
            self.shared = Default::default();
        }
        tell!(self, "the store has lost data, restarted: {restarted}, its log ends at {last}");
    }

    fn change_mood(&mut self) {
        let server = self.rng.usize(..SERVERS);
        let mut store = self.common.store.lock().unwrap();
        let mood = &mut store.servers[server].mood;
        *mood = match (*mood, self.rng.u32(..5)) {
            (Mood::Well, 0 | 1) => Mood::Slow(self.rng.u64(5..500)),
            (Mood::Well, 2) => Mood::Full,
            (Mood::Well, 3) => Mood::Loading,
            (Mood::Well, _) => Mood::Rubbish,
            _ => Mood::Well,
        };
        tell!(self, "{}: {:?}", NAMES[server], *mood);
    }

    fn crash(&mut self, node: usize) {
        if self.down[node].is_some() {
            return;
        }
        tell!(self, "{} is killed", NODE_NAMES[node]);
        if let Some(cell) = self.common.cells.lock().unwrap()[node].take() {
            cell.kill.notify_one();
        }
        self.lives[node] += 1;
        self.memory[node] = Default::default();
        self.flights.retain(|flight| flight.node != node);
        self.common.oracle.lock().unwrap().restarted(node);
        self.down[node] = Some(self.rng.u32(1..200));
    }

    /// Stops serving and signs off; killed when that is done.
    fn leave(&mut self, node: usize) {
        if let Some(cell) = &mut self.common.cells.lock().unwrap()[node]
            && !cell.leaving
        {
            cell.leaving = true;
            let _ = cell.orders.try_send(Order::Leave);
            tell!(self, "{} leaves", NODE_NAMES[node]);
        }
    }

    fn start_those_that_are_due(&mut self) {
        for (node, name) in NODE_NAMES.into_iter().enumerate() {
            let left = self.common.cells.lock().unwrap()[node].as_ref().is_some_and(|cell| cell.left);
            if left {
                self.crash(node);
            }
            match self.down[node] {
                Some(0) => {
                    tell!(self, "{name} starts");
                    // A process that starts looks up where the store is.
                    let master = self.common.store.lock().unwrap().master;
                    self.common.believes.lock().unwrap()[node] = master;
                    self.common.starts[node].notify_one();
                    self.down[node] = None;
                }
                Some(steps) => self.down[node] = Some(steps - 1),
                None => {}
            }
        }
    }

    /// All is well from now on: then the fleet must agree before long, and a purge must reach everyone.
    pub fn heal(&mut self) {
        for (a, b) in NODE_NAMES.iter().flat_map(|a| NAMES.map(|b| (*a, b))) {
            self.sim.repair(a, b);
            self.sim.release(a, b);
        }
        {
            let mut store = self.common.store.lock().unwrap();
            store.attach();
            store.servers.iter_mut().for_each(|server| server.mood = Mood::Well);
            *self.common.believes.lock().unwrap() = [store.master; NODES];
        }
        tell!(self, "all is well");
        let began = self.common.now();
        // What is kept of old connections must be found out first; then there are breakers and pauses.
        self.go_on("the fleet agrees", Duration::from_secs(12), |world| {
            let last = world.common.store.lock().unwrap().leader().data.last;
            let cells = world.common.cells.lock().unwrap();
            cells.iter().all(|cell| {
                cell.as_ref().is_some_and(|cell| {
                    let state = cell.transport.state();
                    !cell.leaving && state.synced && state.waiting == 0 && state.position == Some(last)
                })
            })
        });
        self.counts.settled_after_ms = self.common.now() - began;
        if self.failure.is_none() {
            self.look_at_probes();
        }
        let before = self.common.receipts.lock().unwrap().0;
        let number = self.common.oracle.lock().unwrap().purges.len();
        while self.failure.is_none() && self.common.oracle.lock().unwrap().purges.len() == number {
            self.purge(0);
        }
        if let Some((at, orders)) = self.with(0, |cell| {
            let last = cell.purges.recent(1).first().map(|receipt| receipt.at);
            (last, cell.orders.clone())
        }) && let Some(at) = at
        {
            let _ = orders.try_send(Order::Reach(number, at));
        }
        self.go_on("a purge reaches everyone", Duration::from_secs(4), |world| {
            world.common.receipts.lock().unwrap().0 > before
        });
        self.tally();
    }

    fn go_on(&mut self, what: &str, within: Duration, holds: impl Fn(&Self) -> bool) {
        let until = self.common.now() + u64::try_from(within.as_millis()).unwrap();
        while self.failure.is_none() && !holds(self) {
            if self.common.now() > until {
                let cells = self.common.cells.lock().unwrap();
                let states: Vec<_> =
                    cells.iter().map(|cell| cell.as_ref().map(|cell| cell.transport.state())).collect();
                self.failure = Some(format!("never by {until}: {what}: {states:#?}"));
                return;
            }
            self.replicate();
            let node = self.rng.usize(..NODES);
            self.request(node);
            self.finish();
            self.start_those_that_are_due();
            self.tick();
        }
    }

    fn tally(&mut self) {
        (self.counts.everywhere, self.counts.not_everywhere) = *self.common.receipts.lock().unwrap();
        let text = self.common.metrics.render(&Default::default());
        let events = |event: &str| {
            let line = format!("larder_purge_log_events_total{{event=\"{event}\"}} ");
            text.lines().find_map(|l| l.strip_prefix(&line)).map_or(0, |count| count.parse().unwrap())
        };
        self.counts.forks = events("fork");
        self.counts.gaps = events("gap") + events("trimmed");
        self.counts.unreadable = events("unreadable");
    }
}
