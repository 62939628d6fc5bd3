//! One server of an origin: where it is, and how it has been doing.

use super::breaker::{Breaker, Entry};
use super::error::OriginError;
use super::link::H2;
use super::settings::{Server as Declared, ServerUrl, Settings};
use crate::clock::Clock;
use http::HeaderValue;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

pub(super) struct Server {
    pub index: usize,
    /// Its URL as text: how it is named in logs and to the outside.
    pub name: Arc<str>,
    pub url: ServerUrl,
    /// Its authority, as a `Host`.
    pub host: HeaderValue,
    pub weight: u32,
    pub backup: bool,
    /// The word of the health checks; true without any.
    pub healthy: AtomicBool,
    pub breaker: Breaker,
    /// The one HTTP/2 connection. Held while it is being made, so that one is made.
    pub h2: tokio::sync::Mutex<Option<H2>>,
    in_flight: AtomicUsize,
    /// Moving average of the time to the response head, microseconds.
    latency_us: AtomicU64,
}

impl Server {
    pub fn new(index: usize, declared: &Declared, settings: &Settings) -> Arc<Self> {
        let authority = declared.url.authority().as_str();
        Arc::new(Self {
            index,
            name: declared.url.to_string().into(),
            url: declared.url.clone(),
            // An authority that http has parsed is a valid field value.
            host: HeaderValue::from_str(authority).unwrap_or_else(|_| HeaderValue::from_static("")),
            weight: declared.weight.max(1),
            backup: declared.backup,
            healthy: AtomicBool::new(true),
            breaker: Breaker::new(settings.breaker),
            h2: tokio::sync::Mutex::new(None),
            in_flight: AtomicUsize::new(0),
            latency_us: AtomicU64::new(0),
        })
    }

    pub fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Acquire)
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub fn latency(&self) -> Duration {
        Duration::from_micros(self.latency_us.load(Ordering::Relaxed))
    }

    /// An eighth of the new, seven of the old; a lost update under contention does no harm.
    pub fn note_latency(&self, took: Duration) {
        let new = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let old = self.latency_us.load(Ordering::Relaxed);
        let mean = if old == 0 { new } else { old - old / 8 + new / 8 };
        self.latency_us.store(mean, Ordering::Relaxed);
    }
}

/// A request in flight: its place in `max_connections` and in its server's count.
pub(super) struct Busy {
    server: Arc<Server>,
    _permit: OwnedSemaphorePermit,
}

impl Busy {
    pub fn new(server: Arc<Server>, permit: OwnedSemaphorePermit) -> Self {
        server.in_flight.fetch_add(1, Ordering::AcqRel);
        Self { server, _permit: permit }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.server.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

impl std::fmt::Debug for Busy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Busy({})", self.server.name)
    }
}

/// A way through a server's breaker. Dropped unsettled, nothing was learnt.
pub(super) struct Pass {
    pub server: Arc<Server>,
    entry: Entry,
    clock: Clock,
    settled: bool,
}

impl Pass {
    pub fn enter(server: &Arc<Server>, clock: &Clock) -> Option<Self> {
        let entry = server.breaker.enter(clock.now().mono)?;
        Some(Self { server: Arc::clone(server), entry, clock: clock.clone(), settled: false })
    }

    /// A usable answer began.
    pub fn success(mut self) {
        self.settled = true;
        if self.server.breaker.success(self.entry) {
            tracing::info!(server = %self.server.name, "origin server answers again: breaker closed");
        }
    }

    pub fn failure(mut self, error: OriginError) {
        if error.is_origin_fault() {
            self.settled = true;
            self.server.blame(self.entry, error, &self.clock);
        }
    }
}

impl Server {
    fn blame(&self, entry: Entry, error: OriginError, clock: &Clock) {
        if self.breaker.failure(entry, clock.now().mono) {
            tracing::warn!(server = %self.name, last = error.as_str(), "origin server fails: breaker open");
        }
    }

    /// A failure after the head, when the pass has been settled.
    pub fn blame_late(&self, error: OriginError, clock: &Clock) {
        if error.is_origin_fault() {
            self.blame(Entry::Normal, error, clock);
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if !self.settled {
            self.server.breaker.abandon(self.entry, self.clock.now().mono);
        }
    }
}
