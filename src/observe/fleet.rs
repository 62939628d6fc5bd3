//! What is counted of the shared tier and the purge log of a fleet (interface.md §4). The families are there on a node alone too,
//! at zero.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CallLabels {
    op: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OpLabel {
    op: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RoleLabel {
    role: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct EventLabel {
    event: &'static str,
}

/// Seconds: from a round trip on this machine to a time-out.
const CALL: [f64; 11] = [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 1.0];

/// Cheap to record.
#[derive(Debug)]
pub struct FleetMetrics {
    requests: Family<CallLabels, Counter>,
    seconds: Family<OpLabel, Histogram>,
    breaker_open: Family<RoleLabel, Gauge<u64, AtomicU64>>,
    lag: Gauge<f64, AtomicU64>,
    unsynced: Gauge<u64, AtomicU64>,
    notices: Family<EventLabel, Counter>,
    /// Seconds and calls per operation, of late.
    means: Mutex<HashMap<&'static str, (f64, u32)>>,
}

impl Default for FleetMetrics {
    fn default() -> Self {
        Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(CALL)),
            breaker_open: Family::default(),
            lag: Gauge::default(),
            unsynced: Gauge::default(),
            notices: Family::default(),
            means: Mutex::default(),
        }
    }
}

/// What is read off the fleet at the moment of a scrape.
#[derive(Clone, Debug, Default)]
pub struct FleetLevels {
    /// Roles of connections, and whether their breaker is open.
    pub breakers: Vec<(&'static str, bool)>,
    /// Since this node was last known to be at the end of the purge log, seconds.
    pub lag_s: f64,
    pub unsynced: bool,
}

impl FleetMetrics {
    pub(super) fn register(&self, r: &mut Registry) {
        r.register(
            "larder_shared_requests",
            "Calls to the shared tier by operation and result",
            self.requests.clone(),
        );
        r.register(
            "larder_shared_seconds",
            "How long calls to the shared tier took, by operation",
            self.seconds.clone(),
        );
        r.register(
            "larder_shared_breaker_open",
            "1 while a role of connections to the shared tier is left alone because it kept failing",
            self.breaker_open.clone(),
        );
        r.register(
            "larder_purge_log_lag_seconds",
            "Since this node was last known to be at the end of the fleet's purge log",
            self.lag.clone(),
        );
        r.register(
            "larder_unsynced",
            "1 while this node is not known to have heard of every purge",
            self.unsynced.clone(),
        );
        r.register(
            "larder_purge_log_events",
            "Gaps, forks and the like of the fleet's purge log, as this node met them",
            self.notices.clone(),
        );
    }

    /// Creates the children whose labels are known.
    pub(super) fn announce(
        &self,
        calls: &[(&'static str, &'static str)],
        roles: &[&'static str],
        events: &[&'static str],
    ) {
        for (op, result) in calls.iter().copied() {
            drop(self.requests.get_or_create(&CallLabels { op, result }));
            drop(self.seconds.get_or_create(&OpLabel { op }));
        }
        for role in roles.iter().copied() {
            drop(self.breaker_open.get_or_create(&RoleLabel { role }));
        }
        for event in events.iter().copied() {
            drop(self.notices.get_or_create(&EventLabel { event }));
        }
    }

    /// A call to the shared tier, or what became of a value: `result` is `ok`, `hit`, `miss`, or why not.
    pub fn call(&self, op: &'static str, result: &'static str, took: Duration) {
        self.count(op, result);
        self.seconds.get_or_create(&OpLabel { op }).observe(took.as_secs_f64());
        let mut means = self.means.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mean = means.entry(op).or_default();
        // Of the last thousands of calls, not of all since the start.
        if mean.1 >= 2000 {
            *mean = (mean.0 / 2.0, mean.1 / 2);
        }
        *mean = (mean.0 + took.as_secs_f64(), mean.1 + 1);
    }

    /// The same for what takes no time.
    pub fn count(&self, op: &'static str, result: &'static str) {
        self.requests.get_or_create(&CallLabels { op, result }).inc();
    }

    /// Calls of this operation with this result so far.
    pub fn calls(&self, op: &'static str, result: &'static str) -> u64 {
        self.requests.get_or_create(&CallLabels { op, result }).get()
    }

    /// How long calls of this operation took on average of late, milliseconds; `None` before the first.
    pub fn mean_ms(&self, op: &'static str) -> Option<f64> {
        let means = self.means.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        means.get(op).map(|(seconds, calls)| seconds * 1000.0 / f64::from(*calls))
    }

    pub fn event(&self, event: &'static str) {
        self.notices.get_or_create(&EventLabel { event }).inc();
    }

    pub(super) fn set(&self, levels: &FleetLevels) {
        for (role, open) in levels.breakers.iter().copied() {
            self.breaker_open.get_or_create(&RoleLabel { role }).set(u64::from(open));
        }
        self.lag.set(levels.lag_s);
        self.unsynced.set(u64::from(levels.unsynced));
    }
}
