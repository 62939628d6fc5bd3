//! The world in which a design runs: what happens, in an order that the seed gives.

use crate::oracle::{KEYS, MAX_UNSYNCED, NODES, Oracle, Use};
use crate::store::{Link, Store};
use fastrand::Rng;
use larder::purge::sync::usable_unsynced;
use larder::purge::{Check, Mode, Verdict};
use larder::time::Mono;
use std::fmt::{Debug, Write as _};
use std::time::Duration;

/// What a purge of the model names: entries have few selectors, so that they meet.
pub const WHAT: usize = 10;
pub const EVERYTHING: usize = 9;

pub fn names(what: usize, key: usize) -> bool {
    match what {
        0 | 1 => key % 2 == what,     // a tag
        2..=4 => key % 3 == what - 2, // another
        5 => key < 3,                 // a prefix
        6 | 7 => key == what - 5,     // a URL
        8 => key >= 3,                // a regular expression
        _ => true,
    }
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Request,
    Finish,
    Exchange,
    Append,
    Replicate,
    Evict,
    Purge,
    Write,
    Relink,
    FailOver,
    Flush,
    Trim,
    Restart,
    Pause,
    Sleep,
}

/// How often each event happens, in a hundred thousand steps of a usual schedule.
const USUAL: [(Event, u32); 15] = [
    (Event::Request, 36_000),
    (Event::Finish, 30_000),
    (Event::Exchange, 18_000),
    (Event::Append, 4_000),
    (Event::Replicate, 3_000),
    (Event::Evict, 6_000),
    (Event::Purge, 1_200),
    (Event::Write, 300),
    (Event::Relink, 1_000),
    (Event::FailOver, 200),
    (Event::Flush, 20),
    (Event::Trim, 200),
    (Event::Restart, 100),
    (Event::Pause, 300),
    (Event::Sleep, 150),
];

/// What is usual in one schedule. Each has its own: some events are rare in it, others frequent, others don't happen,
/// because a mixture of everything finds fewer faults than many one-sided ones.
#[derive(Clone, Debug)]
pub struct Climate {
    events: Vec<(Event, u32)>,
    total: u32,
    /// Of a hundred appends that many are not answered, half of them not done.
    pub appends_lost: u32,
    /// Clocks of the store's servers are wrong by that much.
    pub skew: i64,
    /// Of a hundred fail-overs that many leave the shared tier alone.
    shared_kept: u32,
}

impl Climate {
    fn new(rng: &mut Rng) -> Self {
        // Some are about two masters, and a log too short to show it: rare by chance, and what several rules are for.
        let split = rng.u32(..4) == 0;
        let events: Vec<_> = USUAL
            .iter()
            .enumerate()
            .map(|(at, (event, usual))| {
                // Serving goes on in all of them.
                let rate = match (at < 4, rng.u32(..6)) {
                    _ if split && matches!(event, Event::Restart | Event::Flush) => 0,
                    _ if split && matches!(event, Event::FailOver | Event::Trim | Event::Relink) => 4 * usual,
                    _ if split && matches!(event, Event::Purge) => 2 * usual,
                    (true, roll) => usual << (roll % 2),
                    (false, 0) => 0,
                    (false, roll) => usual / 4 * (1 << roll),
                };
                (*event, rate)
            })
            .collect();
        Self {
            total: events.iter().map(|(_, rate)| rate).sum(),
            events,
            appends_lost: [0, 5, 20, 80][rng.usize(..4)],
            skew: [0, 5, 40, 200][rng.usize(if split { 2..4 } else { 0..4 })],
            shared_kept: [0, 50, 100][rng.usize(if split { 1..3 } else { 0..3 })],
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

/// An entry in memory or in the shared tier, or what a flight is bringing.
#[derive(Debug)]
pub struct Entry<B> {
    pub key: usize,
    pub born: B,
    /// When its fill really began.
    pub began: u64,
    /// Filled by this node: an unsynced node may use it for a while.
    pub own: bool,
    pub check: Check,
}

#[derive(Debug)]
struct Flight<B> {
    node: usize,
    key: usize,
    born: B,
    began: u64,
    /// Arrivals; the first began the flight.
    waiters: Vec<u64>,
    /// Whether newcomers find it.
    joinable: bool,
}

pub type Memory<B> = [Option<Entry<B>>; KEYS];
/// A value of the shared tier: birth and true begin.
pub type Shared<B> = [Option<(B, u64)>; KEYS];

/// Everything a design may touch.
pub struct Surroundings<B> {
    pub now: u64,
    pub rng: Rng,
    pub climate: Climate,
    pub store: Store,
    pub links: [Link; NODES],
    pub memory: [Memory<B>; NODES],
    pub shared: Shared<B>,
    pub oracle: Oracle,
    pub counts: Counts,
}

/// A way to purge. `node` is an index; the design keeps the state of its nodes.
pub trait Design {
    type Birth: Copy + Debug;

    fn start(&mut self, node: usize);
    /// Of a fill that begins now.
    fn birth(&self, node: usize, now: u64) -> Self::Birth;
    fn check(&self, node: usize, entry: &Entry<Self::Birth>) -> Verdict;
    /// `known`: the response's head, and with it its tags, is there.
    fn check_flight(&self, node: usize, key: usize, born: Self::Birth, known: bool) -> Verdict;
    fn check_shared(&self, node: usize, key: usize, born: Self::Birth) -> Verdict;
    fn promoted(born: Self::Birth) -> Self::Birth;
    fn is_synced(&self, node: usize, now: u64) -> bool;
    /// A purge by its number in the oracle.
    fn purge(
        &mut self,
        at: &mut Surroundings<Self::Birth>,
        node: usize,
        number: usize,
        what: usize,
        mode: Mode,
    );
    /// An unsafe method on a key: invalidate, with the newest birth that is stored or in flight here.
    fn write(
        &mut self,
        at: &mut Surroundings<Self::Birth>,
        node: usize,
        number: usize,
        key: usize,
        newest: Option<Self::Birth>,
    );
    /// One exchange with the store: reading.
    fn read(&mut self, at: &mut Surroundings<Self::Birth>, node: usize);
    /// One exchange with the store: appending.
    fn append(&mut self, at: &mut Surroundings<Self::Birth>, node: usize);
    /// Of two births of this node, the later one.
    fn later(a: Self::Birth, b: Self::Birth) -> Self::Birth;
    /// Wrong designs may read the birth when the response is there.
    fn birth_at_end(&self) -> bool {
        false
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Notices {
    pub fork: u64,
    pub gap: u64,
    pub trimmed: u64,
    pub barrier: u64,
    pub unreadable: u64,
}

/// What happened, to see that it does.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub uses: u64,
    pub hits: u64,
    pub shared_hits: u64,
    pub joined: u64,
    pub stale: u64,
    pub purges: u64,
    pub notices: Notices,
}

impl Counts {
    pub fn add(&mut self, other: &Self) {
        self.uses += other.uses;
        self.hits += other.hits;
        self.shared_hits += other.shared_hits;
        self.joined += other.joined;
        self.stale += other.stale;
        self.purges += other.purges;
        self.notices.fork += other.notices.fork;
        self.notices.gap += other.notices.gap;
        self.notices.trimmed += other.notices.trimmed;
        self.notices.barrier += other.notices.barrier;
        self.notices.unreadable += other.notices.unreadable;
    }
}

pub struct World<D: Design> {
    design: D,
    at: Surroundings<D::Birth>,
    flights: Vec<Flight<D::Birth>>,
    /// Nodes that do nothing for a while, as in a suspended machine.
    paused: [bool; NODES],
    /// The shared tier as the replica has it.
    replicated: Shared<D::Birth>,
    trace: Option<Vec<String>>,
}

/// A line for whoever replays a schedule.
macro_rules! tell {
    ($world:expr, $($text:tt)*) => {
        if let Some(lines) = $world.trace.as_mut() {
            lines.push(format!("{:>5} {}", $world.at.now, format!($($text)*)));
        }
    };
}

impl<D: Design> World<D> {
    pub fn new(mut design: D, seed: u64, trace: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        (0..NODES).for_each(|node| design.start(node));
        let climate = Climate::new(&mut rng);
        let store = Store::new(rng.i64(-climate.skew..=climate.skew));
        let at = Surroundings {
            now: 1,
            rng,
            climate,
            store,
            links: [Link::Up; NODES],
            memory: Default::default(),
            shared: [None; KEYS],
            oracle: Oracle::default(),
            counts: Counts::default(),
        };
        let mut world = Self {
            design,
            at,
            flights: Vec::new(),
            paused: [false; NODES],
            replicated: [None; KEYS],
            trace: trace.then(Vec::new),
        };
        // The fleet is up when the schedule begins; what start does is met again at every restart and flush.
        for _ in 0..3 {
            for node in 0..NODES {
                world.exchange(node);
            }
        }
        world
    }

    pub fn violation(&self) -> Option<&str> {
        self.at.oracle.violation.as_deref()
    }

    pub fn counts(&self) -> Counts {
        self.at.counts
    }

    pub fn trace(&self) -> String {
        let mut text = String::new();
        for line in self.trace.iter().flatten() {
            let _ = write!(text, "\n{line}");
        }
        text
    }

    pub fn step(&mut self) {
        self.at.now += self.at.rng.u64(1..12);
        let node = self.at.rng.usize(..NODES);
        match self.at.climate.draw(&mut self.at.rng) {
            Event::Request => self.request(node),
            Event::Finish => self.finish(),
            Event::Exchange => self.exchange(node),
            Event::Append => self.append(node),
            Event::Replicate => self.replicate(),
            Event::Evict => self.evict(node),
            Event::Purge => self.purge(node),
            Event::Write => self.write(node),
            Event::Relink => self.relink(node),
            Event::FailOver => self.fail_over(),
            Event::Flush => self.flush(),
            Event::Trim => self.trim(),
            Event::Restart => self.restart(node),
            Event::Pause => self.paused[node] = !self.paused[node],
            Event::Sleep => self.at.now += self.at.rng.u64(..2 * MAX_UNSYNCED),
        }
    }

    fn request(&mut self, node: usize) {
        if self.paused[node] {
            return;
        }
        let key = self.at.rng.usize(..KEYS);
        self.at.counts.uses += 1;
        if !self.serve_from_memory(node, key) && !self.join(node, key) && !self.serve_from_shared(node, key) {
            self.fly(node, key, vec![self.at.now]);
        }
    }

    /// Whether an unsynced node may still use what its own fill brought.
    fn is_usable(&self, node: usize, own: bool, began: u64) -> bool {
        let period = Duration::from_millis(MAX_UNSYNCED);
        self.design.is_synced(node, self.at.now)
            || (own && usable_unsynced(Mono(began), Mono(self.at.now), period))
    }

    fn serve_from_memory(&mut self, node: usize, key: usize) -> bool {
        let Some(entry) = &self.at.memory[node][key] else { return false };
        let (verdict, began, own) = (self.design.check(node, entry), entry.began, entry.own);
        if verdict > Verdict::Soft || !self.is_usable(node, own, began) {
            return false;
        }
        self.at.counts.hits += 1;
        self.judge(node, key, began, self.at.now, verdict, "memory");
        true
    }

    fn join(&mut self, node: usize, key: usize) -> bool {
        let find = |flight: &Flight<D::Birth>| flight.joinable && (flight.node, flight.key) == (node, key);
        let Some(at) = self.flights.iter().position(find) else { return false };
        let (born, began) = (self.flights[at].born, self.flights[at].began);
        let verdict = self.design.check_flight(node, key, born, false);
        if verdict == Verdict::Clean && self.is_usable(node, true, began) {
            self.flights[at].waiters.push(self.at.now);
            self.at.counts.joined += 1;
            return true;
        }
        // It finishes for those who came before; the newcomer's flight takes its place.
        self.flights[at].joinable = false;
        false
    }

    fn serve_from_shared(&mut self, node: usize, key: usize) -> bool {
        if self.at.links[node] == Link::Down || !self.design.is_synced(node, self.at.now) {
            return false;
        }
        let Some((born, began)) = self.at.shared[key] else { return false };
        let verdict = self.design.check_shared(node, key, born);
        if verdict > Verdict::Soft {
            return false;
        }
        self.at.counts.shared_hits += 1;
        self.judge(node, key, began, self.at.now, verdict, "shared");
        let entry = Entry { key, born: D::promoted(born), began, own: false, check: Check::new() };
        self.at.memory[node][key] = Some(entry);
        true
    }

    fn fly(&mut self, node: usize, key: usize, waiters: Vec<u64>) {
        let born = self.design.birth(node, self.at.now);
        tell!(self, "node {node} fetches key {key}, born {born:?}");
        self.flights.push(Flight { node, key, born, began: self.at.now, waiters, joinable: true });
    }

    /// A response has come: for those who wait, unless a purge came between, and for both tiers.
    fn finish(&mut self) {
        if self.flights.is_empty() {
            return;
        }
        let flight = self.flights.swap_remove(self.at.rng.usize(..self.flights.len()));
        let Flight { node, key, began, waiters, .. } = flight;
        let late_birth = self.design.birth_at_end().then(|| self.design.birth(node, self.at.now));
        let born = late_birth.unwrap_or(flight.born);
        let verdict = self.design.check_flight(node, key, born, true);
        tell!(self, "node {node} has key {key} of {began}: {}", verdict.as_str());
        let (served, late): (Vec<u64>, Vec<u64>) =
            waiters.into_iter().partition(|arrival| verdict == Verdict::Clean || *arrival <= began);
        for arrival in served {
            self.judge(node, key, began, arrival, Verdict::Clean, "flight");
        }
        self.store(node, key, born, began);
        if !late.is_empty() {
            self.fly(node, key, late);
        }
    }

    fn store(&mut self, node: usize, key: usize, born: D::Birth, began: u64) {
        let there = self.at.memory[node][key].as_ref();
        // Not over what is younger, unless that is void.
        if there.is_none_or(|there| there.began < began || self.design.check(node, there) != Verdict::Clean) {
            self.at.memory[node][key] = Some(Entry { key, born, began, own: true, check: Check::new() });
        }
        // Writes to the shared tier may be late, lost, and older than what is there.
        if self.at.links[node] != Link::Down && self.at.rng.u32(..8) != 0 {
            self.at.shared[key] = Some((born, began));
        }
    }

    fn judge(&mut self, node: usize, key: usize, began: u64, arrival: u64, verdict: Verdict, what: &str) {
        let how = match verdict {
            Verdict::Clean => Use::Fresh,
            _ => Use::Stale,
        };
        self.at.counts.stale += u64::from(how == Use::Stale);
        tell!(self, "node {node} serves key {key} of {began} to a request of {arrival} from {what}, {how:?}");
        self.at.oracle.judge(node, key, began, arrival, how, what);
    }

    fn exchange(&mut self, node: usize) {
        if self.paused[node] {
            return;
        }
        self.design.read(&mut self.at, node);
        tell!(
            self,
            "node {node} reads, link {:?}, born now {:?}",
            self.at.links[node],
            self.design.birth(node, self.at.now)
        );
        self.append(node);
    }

    fn append(&mut self, node: usize) {
        if self.paused[node] {
            return;
        }
        self.design.append(&mut self.at, node);
        let now = self.at.now;
        self.at.oracle.held(&self.at.store.master.branch.holds, now);
        tell!(
            self,
            "node {node} appends, link {:?}, last {}",
            self.at.links[node],
            self.at.store.master.branch.last.0
        );
    }

    fn purge(&mut self, node: usize) {
        let what = self.at.rng.usize(..WHAT);
        // Everything is purged now and then only, or nothing else would be seen.
        if self.paused[node] || (what == EVERYTHING && self.at.rng.u32(..4) != 0) {
            return;
        }
        let mode = Mode::ALL[self.at.rng.usize(..Mode::ALL.len())];
        let named = std::array::from_fn(|key| names(what, key));
        let number = self.at.oracle.issue(mode, named, self.at.now);
        tell!(self, "node {node} issues purge {number}: {} {what}", mode.as_str());
        self.at.counts.purges += 1;
        self.design.purge(&mut self.at, node, number, what, mode);
    }

    fn write(&mut self, node: usize) {
        if self.paused[node] {
            return;
        }
        let key = self.at.rng.usize(..KEYS);
        let named = std::array::from_fn(|other| other == key);
        let number = self.at.oracle.issue(Mode::Invalidate, named, self.at.now);
        let stored = self.at.memory[node][key].as_ref().map(|entry| entry.born);
        let flying = self.flights.iter().filter(|flight| (flight.node, flight.key) == (node, key));
        let newest = flying.map(|flight| flight.born).chain(stored).reduce(D::later);
        tell!(self, "node {node} has a write of key {key}: purge {number}, newest {newest:?}");
        self.design.write(&mut self.at, node, number, key, newest);
    }

    fn relink(&mut self, node: usize) {
        self.at.links[node] = match (self.at.links[node], self.at.rng.u32(..4)) {
            (Link::Down, _) => Link::Up,
            (Link::Isolated, 0) => Link::Down,
            (Link::Isolated, _) => Link::Up,
            (Link::Up, 0) if self.at.store.isolated.is_some() => Link::Isolated,
            (Link::Up, 0 | 1) => Link::Down,
            (Link::Up, _) => Link::Up,
        };
        tell!(self, "node {node} is linked {:?}", self.at.links[node]);
    }

    fn replicate(&mut self) {
        self.at.store.replicate(self.at.now);
        self.replicated = self.at.shared;
        tell!(self, "the replica is at {}", self.at.store.master.branch.last.0);
    }

    /// The log's master falls; the shared tier's may be another one, that doesn't.
    fn fail_over(&mut self) {
        let skew = self.at.rng.i64(-self.at.climate.skew..=self.at.climate.skew);
        if !self.at.store.fail_over(skew) {
            return;
        }
        if self.at.rng.u32(..100) >= self.at.climate.shared_kept {
            self.at.shared = self.replicated;
        }
        // Some keep talking to the old one for a while.
        for link in &mut self.at.links {
            if *link == Link::Up && self.at.rng.u32(..3) == 0 {
                *link = Link::Isolated;
            }
        }
        self.lost("fail-over");
    }

    fn flush(&mut self) {
        self.at.store.flush();
        if self.at.rng.bool() {
            self.at.shared = [None; KEYS];
        }
        self.lost("flush");
    }

    fn lost(&mut self, what: &str) {
        let now = self.at.now;
        self.at.oracle.held(&self.at.store.master.branch.holds, now);
        tell!(self, "{what}: the log ends at {}", self.at.store.master.branch.last.0);
    }

    fn trim(&mut self) {
        let keep = self.at.rng.usize(..4);
        self.at.store.master.branch.trim(keep);
        tell!(self, "the log is trimmed to {keep}");
    }

    fn restart(&mut self, node: usize) {
        tell!(self, "node {node} is restarted");
        self.flights.retain(|flight| flight.node != node);
        self.at.memory[node] = Default::default();
        self.at.oracle.restarted(node);
        self.paused[node] = false;
        self.design.start(node);
    }

    fn evict(&mut self, node: usize) {
        let key = self.at.rng.usize(..KEYS);
        self.at.memory[node][key] = None;
    }
}
