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
use http::{HeaderMap, StatusCode};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    /// Only the leader may have it. The status tells waiters whether stale-if-error applies to them.
    NotShareable(StatusCode),
    Failed(OriginError),
}

/// One fetch in progress.
#[derive(Debug)]
pub struct Flight {
    /// The purge log's version before `born` was read: no purge lies between this flight's start and a request that
    /// arrives at the same version.
    pub version: u64,
    pub born: Born,
    /// Selectors known before the head: URL, host, prefixes.
    pub selectors: Arc<Selectors>,
    stage: watch::Sender<Stage>,
}

impl Flight {
    /// A flight that begins now: call it before the request leaves, so that a purge from here on wins over the
    /// answer (purge.md, P6).
    pub fn begin(purges: &PurgeLog, selectors: Arc<Selectors>) -> Arc<Self> {
        let version = purges.version();
        Arc::new(Self {
            version,
            born: purges.cursor(),
            selectors,
            stage: watch::Sender::new(Stage::Pending),
        })
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
    /// There are flights of which it is not known what they are for.
    Unknown,
}

const SHARDS: usize = 64;

type Shard = Mutex<HashMap<FlightKey, Arc<Flight>>>;

/// All flights of this process.
#[derive(Debug)]
pub struct Flights {
    shards: Box<[Shard]>,
    /// Flights that nobody can join, and that the map doesn't hold.
    solo: AtomicUsize,
}

impl Default for Flights {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Shard::default()).collect(), solo: AtomicUsize::new(0) }
    }
}

impl Flights {
    fn shard(&self, key: &Key) -> MutexGuard<'_, HashMap<FlightKey, Arc<Flight>>> {
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
            if let Some(flight) = shard.get(key)
                && joinable(flight)
            {
                return Ticket::Wait(flight.clone());
            }
        }
        let Some(flight) = start() else { return Ticket::LookAgain };
        shard.insert(key.clone(), flight.clone());
        Ticket::Lead(flight)
    }

    /// Takes `flight` out, unless another has taken its place.
    pub fn remove(&self, key: &FlightKey, flight: &Arc<Flight>) {
        let mut shard = self.shard(&key.key);
        if shard.get(key).is_some_and(|f| Arc::ptr_eq(f, flight)) {
            shard.remove(key);
        }
    }

    /// Counts a flight that isn't in the map; call before its position in the purge log is read.
    pub fn solo_begins(&self) {
        self.solo.fetch_add(1, Ordering::SeqCst);
    }

    pub fn solo_ends(&self) {
        self.solo.fetch_sub(1, Ordering::SeqCst);
    }

    /// The newest birth among the flights for `key`.
    pub fn newest_born(&self, key: &Key) -> Newest {
        if self.solo.load(Ordering::SeqCst) > 0 {
            return Newest::Unknown;
        }
        let shard = self.shard(key);
        let born = shard.iter().filter(|(k, _)| k.key == *key).map(|(_, f)| f.born);
        born.max_by_key(birth_order).map_or(Newest::None, Newest::Born)
    }

    /// Flights in progress, for `larder_inflight`.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|s| s.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Requests that wait for the head of another's fetch.
    pub fn waiters(&self) -> usize {
        let waiting = |s: &Shard| -> usize {
            let shard = s.lock().unwrap_or_else(PoisonError::into_inner);
            shard.values().map(|f| f.stage.receiver_count()).sum()
        };
        self.shards.iter().map(waiting).sum()
    }

    /// No fetch is in progress, not even one that nobody can join.
    pub fn is_idle(&self) -> bool {
        self.solo.load(Ordering::SeqCst) == 0 && self.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::purge::Limits;

    fn flight() -> Arc<Flight> {
        let purges = PurgeLog::alone(Limits::default());
        let selectors = Selectors::of_url("http", "site.example", "/", None).unwrap();
        Flight::begin(&purges, Arc::new(selectors))
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
        flights.remove(&key(), &first);
        assert!(flights.is_idle());
    }

    #[test]
    fn rulings_10_a_flight_that_was_replaced_removes_only_itself() {
        let flights = Flights::default();
        let Ticket::Lead(old) = flights.join_or_lead(&key(), |_| true, || Some(flight())) else { panic!() };
        let Ticket::Lead(new) = flights.join_or_lead(&key(), |_| false, || Some(flight())) else { panic!() };
        flights.remove(&key(), &old);
        let Ticket::Wait(joined) = flights.join_or_lead(&key(), |_| true, || None) else { panic!() };
        assert!(Arc::ptr_eq(&new, &joined));
    }

    #[test]
    fn who_looked_before_a_fetch_ended_and_comes_after_it_looks_again_instead_of_fetching() {
        let flights = Flights::default();
        let stored = std::cell::Cell::new(false);
        let found = stored.get(); // the look-up: nothing there
        let Ticket::Lead(fetch) = flights.join_or_lead(&key(), |_| true, || Some(flight())) else { panic!() };
        stored.set(true); // the fetch stores, then leaves the map
        flights.remove(&key(), &fetch);
        let start = || (stored.get() == found).then(flight);
        assert!(matches!(flights.join_or_lead(&key(), |_| true, start), Ticket::LookAgain));
        assert!(flights.is_idle());
    }
}
