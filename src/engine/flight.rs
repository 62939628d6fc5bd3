//! Single flight: one fetch per key and variant, however many ask. The first leads, the others wait for the
//! head and then read the same growing body. When the answer turns out not to be shareable all are released at
//! once, and each goes on its own way.
//!
//! A flight belongs to its fetch task, not to the client that started it. It leaves the map when the task ends;
//! a later flight may have taken its place by then, so it removes only itself (rulings 10).

use crate::engine::growing::Growing;
use crate::origin::OriginError;
use crate::purge::{Born, PurgeLog, Selectors};
use crate::store::Entry;
use crate::store::entry::{Meta, birth_order};
use crate::store::key::Key;
use crate::time::Mono;
use crate::trace::Context;
use http::{HeaderMap, StatusCode};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// A storable answer whose body is on its way.
#[derive(Debug)]
pub struct Shared {
    pub meta: Arc<Meta>,
    /// Fields that only the client whose request fetched it may see (qualified `private`).
    pub leader_only: HeaderMap,
    pub body: Arc<Growing>,
    pub origin_time: Duration,
}

/// How far a flight is.
#[derive(Clone, Debug)]
pub enum Stage {
    Pending,
    /// The head is there, it can be stored, and it is fresh: all may read.
    Shared(Arc<Shared>),
    /// A 304 confirmed what was stored.
    Confirmed(Arc<Entry>, Duration),
    /// The shared tier had it.
    Promoted(Arc<Entry>),
    /// A background refresh that another node does for all: nothing was brought, and nothing has failed.
    LeftToOthers,
    /// Only the leader may have it. The status tells waiters whether stale-if-error applies to them.
    NotShareable(StatusCode),
    Failed(OriginError),
}

impl Stage {
    /// In traces.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Shared(_) => "shared",
            Self::Confirmed(..) => "confirmed",
            Self::Promoted(_) => "promoted",
            Self::LeftToOthers => "left-to-others",
            Self::NotShareable(_) => "not-shareable",
            Self::Failed(_) => "failed",
        }
    }
}

/// One fetch in progress.
#[derive(Debug)]
pub struct Flight {
    /// The purge log's version before `born` was read: no purge lies between this flight's start and a request that
    /// arrives at the same version.
    pub version: u64,
    pub born: Born,
    /// When it began.
    pub began: Mono,
    /// Selectors known before the head: URL, host, prefixes.
    pub selectors: Arc<Selectors>,
    stage: watch::Sender<Stage>,
    /// The span of its fetch.
    traced: OnceLock<Context>,
}

impl Flight {
    /// A flight that begins now: call it before the request leaves, so that a purge from here on wins over the
    /// answer (purge.md, P6).
    pub fn begin(purges: &PurgeLog, selectors: Arc<Selectors>, now: Mono) -> Arc<Self> {
        let version = purges.version();
        Arc::new(Self {
            version,
            born: purges.cursor(),
            began: now,
            selectors,
            stage: watch::Sender::new(Stage::Pending),
            traced: OnceLock::new(),
        })
    }

    /// Before anything is published. `None` when tracing is off.
    pub fn is_traced_as(&self, span: Option<Context>) {
        if let Some(span) = span {
            let _ = self.traced.set(span); // once per fetch
        }
    }

    /// The span of its fetch, for those who waited for it.
    pub fn traced(&self) -> Option<Context> {
        self.traced.get().copied()
    }

    pub fn stage(&self) -> Stage {
        self.stage.borrow().clone()
    }

    /// Publishes the next stage and wakes all waiters at once.
    pub fn advance(&self, stage: Stage) {
        self.stage.send_replace(stage);
    }

    pub fn is_pending(&self) -> bool {
        matches!(*self.stage.borrow(), Stage::Pending)
    }

    /// The first stage after `Pending`.
    pub async fn head(&self) -> Stage {
        let mut changes = self.stage.subscribe();
        match changes.wait_for(|s| !matches!(s, Stage::Pending)).await {
            Ok(stage) => stage.clone(),
            // The sender lives in `self`, so it can't be gone; the current value is as good an answer.
            Err(_) => self.stage(),
        }
    }
}

/// What tells flights apart: the key, and the variant as far as it is known beforehand.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FlightKey {
    pub key: Key,
    pub variant: Option<Box<[u8]>>,
    /// With `Authorization`: its answer is rarely for others (RFC 9111 §3.5), so they don't wait for it.
    pub authorized: bool,
}

/// Who asks.
pub enum Ticket {
    /// The caller must run the fetch.
    Lead(Arc<Flight>),
    Wait(Arc<Flight>),
    /// Neither: what the caller found in the store is no longer what is there. Look again.
    LookAgain,
}

/// The newest of the flights for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Newest {
    None,
    Born(Born),
    /// There are answers on their way of which it is not known what they are for.
    Unknown,
}

const SHARDS: usize = 64;

/// A share of the keys.
#[derive(Debug, Default)]
struct Shard {
    /// Those that can be joined.
    joinable: HashMap<FlightKey, Arc<Flight>>,
    /// All whose fetch is running: also those that nobody can join, and those whose place another has taken.
    running: HashMap<Key, Vec<Arc<Flight>>>,
}

impl Shard {
    fn begins(&mut self, key: &Key, flight: &Arc<Flight>) {
        self.running.entry(key.clone()).or_default().push(flight.clone());
    }

    fn ends(&mut self, key: &Key, flight: &Arc<Flight>) {
        let Some(flights) = self.running.get_mut(key) else { return };
        flights.retain(|f| !Arc::ptr_eq(f, flight));
        if flights.is_empty() {
            self.running.remove(key);
        }
    }
}

/// All flights of this process.
#[derive(Debug)]
pub struct Flights {
    shards: Box<[Mutex<Shard>]>,
    /// Answers to POST that are being kept for GET, for which no flight stands.
    kept: AtomicUsize,
}

impl Default for Flights {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), kept: AtomicUsize::new(0) }
    }
}

impl Flights {
    fn shard(&self, key: &Key) -> MutexGuard<'_, Shard> {
        let at = usize::try_from(key.hash_value() >> 32).unwrap_or(0) % SHARDS;
        #[allow(clippy::indexing_slicing)] // `at < SHARDS`
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins the flight for `key` if there is one and `joinable` agrees; else starts one that replaces it.
    ///
    /// A flight stores its answer before it leaves the map. So `start`, which runs while the map can't change, sees
    /// in the store what any flight that is gone has left there; it returns `None` when that changes matters.
    /// Otherwise a request that looked before the end of a fetch and came here after it would fetch again.
    pub fn join_or_lead(
        &self,
        key: &FlightKey,
        joinable: impl Fn(&Flight) -> bool,
        start: impl FnOnce() -> Option<Arc<Flight>>,
    ) -> Ticket {
        let mut shard = self.shard(&key.key);
        // An answer to a request without `Authorization` is good for one with it; the other way round rarely.
        let public = key.authorized.then(|| FlightKey { authorized: false, ..key.clone() });
        for key in public.iter().chain([key]) {
            if let Some(flight) = shard.joinable.get(key)
                && joinable(flight)
            {
                return Ticket::Wait(flight.clone());
            }
        }
        let Some(flight) = start() else { return Ticket::LookAgain };
        shard.joinable.insert(key.clone(), flight.clone());
        shard.begins(&key.key, &flight);
        Ticket::Lead(flight)
    }

    /// Starts a flight that nobody can join. `start` runs while the map can't change: a write either finds the flight, or
    /// has been answered before its birth was read.
    pub fn alone(&self, key: &Key, start: impl FnOnce() -> Arc<Flight>) -> Arc<Flight> {
        let mut shard = self.shard(key);
        let flight = start();
        shard.begins(key, &flight);
        flight
    }

    /// The fetch of `flight` is over. It leaves its place, unless another has taken that; `joinable` is `None` for one
    /// that nobody could join.
    pub fn ends(&self, key: &Key, joinable: Option<&FlightKey>, flight: &Arc<Flight>) {
        let mut shard = self.shard(key);
        if let Some(place) = joinable
            && shard.joinable.get(place).is_some_and(|f| Arc::ptr_eq(f, flight))
        {
            shard.joinable.remove(place);
        }
        shard.ends(key, flight);
    }

    /// Counts an answer to POST that is being kept; call before its position in the purge log is read.
    pub fn kept_begins(&self) {
        self.kept.fetch_add(1, Ordering::SeqCst);
    }

    pub fn kept_ends(&self) {
        self.kept.fetch_sub(1, Ordering::SeqCst);
    }

    /// The newest birth among the flights for `key`, those included that nobody can join.
    pub fn newest_born(&self, key: &Key) -> Newest {
        if self.kept.load(Ordering::SeqCst) > 0 {
            return Newest::Unknown;
        }
        let shard = self.shard(key);
        let born = shard.running.get(key).into_iter().flatten().map(|f| f.born);
        born.max_by_key(birth_order).map_or(Newest::None, Newest::Born)
    }

    /// Flights that can be joined, for `larder_inflight`.
    pub fn len(&self) -> usize {
        self.sum(|shard| shard.joinable.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn sum(&self, count: impl Fn(&Shard) -> usize) -> usize {
        self.shards.iter().map(|s| count(&s.lock().unwrap_or_else(PoisonError::into_inner))).sum()
    }

    /// Requests that wait for the head of another's fetch.
    pub fn waiters(&self) -> usize {
        self.sum(|shard| shard.joinable.values().map(|f| f.stage.receiver_count()).sum())
    }

    /// No fetch is in progress, not even one that nobody can join.
    pub fn is_idle(&self) -> bool {
        self.kept.load(Ordering::SeqCst) == 0 && self.sum(|shard| shard.running.len()) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::purge::Limits;

    fn flight() -> Arc<Flight> {
        let purges = PurgeLog::alone(Limits::default());
        let selectors = Selectors::of_url("http", "site.example", "/", None).unwrap();
        Flight::begin(&purges, Arc::new(selectors), Mono(0))
    }

    fn key() -> FlightKey {
        FlightKey { key: Key::new(1, b"k"), variant: None, authorized: false }
    }

    #[test]
    fn the_first_leads_and_the_others_wait() {
        let flights = Flights::default();
        let Ticket::Lead(first) = flights.join_or_lead(&key(), |_| true, || Some(flight())) else { panic!() };
        let Ticket::Wait(joined) = flights.join_or_lead(&key(), |_| true, || Some(flight())) else {
            panic!()
        };
        assert!(Arc::ptr_eq(&first, &joined));
        flights.ends(&key().key, Some(&key()), &first);
        assert!(flights.is_idle());
    }

    #[test]
    fn rulings_10_a_flight_that_was_replaced_removes_only_itself() {
        let flights = Flights::default();
        let Ticket::Lead(old) = flights.join_or_lead(&key(), |_| true, || Some(flight())) else { panic!() };
        let Ticket::Lead(new) = flights.join_or_lead(&key(), |_| false, || Some(flight())) else { panic!() };
        flights.ends(&key().key, Some(&key()), &old);
        let Ticket::Wait(joined) = flights.join_or_lead(&key(), |_| true, || None) else { panic!() };
        assert!(Arc::ptr_eq(&new, &joined));
    }

    #[test]
    fn rfc9111_4_4_a_write_finds_every_running_fetch_replaced_and_unjoinable_ones_too() {
        let flights = Flights::default();
        let key = key();
        assert_eq!(flights.newest_born(&key.key), Newest::None);
        let Ticket::Lead(old) = flights.join_or_lead(&key, |_| true, || Some(flight())) else { panic!() };
        let Ticket::Lead(new) = flights.join_or_lead(&key, |_| false, || Some(flight())) else { panic!() };
        let alone = flights.alone(&key.key, flight);
        flights.ends(&key.key, Some(&key), &new);
        assert!(flights.is_empty() && !flights.is_idle());
        assert!(matches!(flights.newest_born(&key.key), Newest::Born(_)));
        flights.ends(&key.key, Some(&key), &old);
        assert!(matches!(flights.newest_born(&key.key), Newest::Born(_)));
        assert_eq!(flights.newest_born(&Key::new(1, b"other")), Newest::None);
        flights.ends(&key.key, None, &alone);
        assert_eq!(flights.newest_born(&key.key), Newest::None);
        assert!(flights.is_idle());
    }

    #[test]
    fn who_looked_before_a_fetch_ended_and_comes_after_it_looks_again_instead_of_fetching() {
        let flights = Flights::default();
        let stored = std::cell::Cell::new(false);
        let found = stored.get(); // the look-up: nothing there
        let Ticket::Lead(fetch) = flights.join_or_lead(&key(), |_| true, || Some(flight())) else { panic!() };
        stored.set(true); // the fetch stores, then leaves the map
        flights.ends(&key().key, Some(&key()), &fetch);
        let start = || (stored.get() == found).then(flight);
        assert!(matches!(flights.join_or_lead(&key(), |_| true, start), Ticket::LookAgain));
        assert!(flights.is_idle());
    }
}
