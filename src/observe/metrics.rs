//! The metrics of `interface.md` §4, on `prometheus-client`. Label values are bounded: rule names, outcomes and
//! reasons; never a path, a tag or a client address. Children whose labels are known beforehand exist from the
//! start, so that every family is there with its TYPE line and rates start at zero.

use super::fleet::FleetMetrics;
use super::percore::{Cells, Count, Counts, Tallies, Tally};
use super::process::Scrape;
use super::samples::Samples;
use super::traces::TraceMetrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    rule: Arc<str>,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct WhyLabel {
    why: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DirectionLabel {
    direction: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OriginLabel {
    origin: Arc<str>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OriginStatusLabels {
    origin: Arc<str>,
    status: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PurgeLabels {
    kind: &'static str,
    mode: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CauseLabel {
    cause: &'static str,
}

type Gauge64 = Gauge<u64, AtomicU64>;

/// All of them. Cheap to record; read by [`Metrics::render`].
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// What `/status` reads back; see [`Metrics::samples`].
    shown: Registry,
    /// What every hit counts, counts here.
    cells: Arc<Cells>,
    requests: Family<RequestLabels, Count, Counts>,
    request_seconds: Family<OutcomeLabel, Tally, Tallies>,
    bytes: Family<DirectionLabel, Count, Counts>,
    /// The child of `bytes` for clients.
    client_bytes: Count,
    origin_requests: Family<OriginStatusLabels, Counter>,
    origin_seconds: Family<OriginLabel, Histogram>,
    origin_up: Family<OriginLabel, Gauge64>,
    rendering: Mutex<()>,
    not_stored: Family<ReasonLabel, Counter>,
    stale_served: Family<WhyLabel, Counter>,
    refused: Family<ReasonLabel, Counter>,
    tags_rejected: Counter,
    served_age: Tally,
    entry_ttl: Histogram,
    memory_bytes: Gauge64,
    memory_entries: Gauge64,
    memory_capacity: Gauge64,
    started: Gauge<f64, AtomicU64>,
    evictions: Family<CauseLabel, Counter>,
    variants_dropped: Counter,
    inflight: Gauge64,
    connections: Gauge64,
    turned: Family<ReasonLabel, Counter>,
    purges: Family<PurgeLabels, Counter>,
    purge_apply: Histogram,
    log_dropped: Counter,
    /// Of the shared tier and the fleet's purge log.
    pub fleet: FleetMetrics,
    /// Of spans on their way to a collector.
    pub traces: TraceMetrics,
}

/// See [`Metrics::counts`].
#[derive(Clone, Debug)]
pub struct RequestCounts {
    requests: Count,
    seconds: Tally,
}

/// The words used as label values, handed in by the rooms that own them.
#[derive(Debug, Default)]
pub struct Vocabulary<'a> {
    pub outcomes: &'a [&'static str],
    pub not_stored: &'a [&'static str],
    pub stale: &'a [&'static str],
    pub refusals: &'a [&'static str],
    pub purge_kinds: &'a [&'static str],
    pub purge_modes: &'a [&'static str],
    pub traces_lost: &'a [&'static str],
    /// Calls to the shared tier: operations, each with a result.
    pub shared_calls: &'a [(&'static str, &'static str)],
    pub shared_roles: &'a [&'static str],
    pub log_events: &'a [&'static str],
    pub rules: &'a [Arc<str>],
    pub origins: &'a [Arc<str>],
}

/// What is read off the running parts at the moment of a scrape.
#[derive(Clone, Debug, Default)]
pub struct Levels {
    pub memory_bytes: u64,
    pub memory_entries: u64,
    pub memory_capacity: u64,
    /// When the process began, seconds since 1970.
    pub started_s: f64,
    pub evicted_size: u64,
    pub evicted_expired: u64,
    pub variants_dropped: u64,
    pub inflight: u64,
    pub connections: u64,
    /// Whether some server of it would get a request now.
    pub origins_up: Vec<(Arc<str>, bool)>,
    /// Connections closed before they could ask for anything, by reason.
    pub turned: Vec<(&'static str, u64)>,
    pub fleet: super::fleet::FleetLevels,
}

const CLASSES: [&str; 7] = ["1xx", "2xx", "3xx", "4xx", "5xx", "other", "error"];

/// Seconds: from a hit in memory to an origin that takes its time.
const LATENCY: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// Seconds: ages and lifetimes, from a moment to a month.
const LIFETIME: [f64; 11] =
    [0.0, 1.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 21_600.0, 86_400.0, 2_592_000.0];

/// Seconds: until a purge holds on this node, from a microsecond up.
const APPLY: [f64; 9] = [0.000_001, 0.000_01, 0.000_1, 0.001, 0.005, 0.01, 0.05, 0.1, 1.0];

impl Metrics {
    pub fn new(words: &Vocabulary<'_>) -> Arc<Self> {
        let cells = Cells::new();
        let bytes = Family::new_with_constructor(Counts(cells.clone()));
        let client_bytes = bytes.get_or_create(&DirectionLabel { direction: "client" }).clone();
        let mut metrics = Self {
            registry: Registry::default(),
            shown: Registry::default(),
            requests: Family::new_with_constructor(Counts(cells.clone())),
            request_seconds: Family::new_with_constructor(Tallies(cells.clone(), &LATENCY)),
            client_bytes,
            bytes,
            origin_requests: Family::default(),
            origin_seconds: Family::new_with_constructor(|| Histogram::new(LATENCY)),
            origin_up: Family::default(),
            rendering: Mutex::default(),
            not_stored: Family::default(),
            stale_served: Family::default(),
            refused: Family::default(),
            tags_rejected: Counter::default(),
            served_age: Tally::new(&cells, &LIFETIME),
            entry_ttl: Histogram::new(LIFETIME),
            memory_bytes: Gauge64::default(),
            memory_entries: Gauge64::default(),
            memory_capacity: Gauge64::default(),
            started: Gauge::default(),
            evictions: Family::default(),
            variants_dropped: Counter::default(),
            inflight: Gauge64::default(),
            connections: Gauge64::default(),
            turned: Family::default(),
            purges: Family::default(),
            purge_apply: Histogram::new(APPLY),
            log_dropped: Counter::default(),
            fleet: FleetMetrics::default(),
            traces: TraceMetrics::default(),
            cells,
        };
        metrics.register();
        metrics.show();
        metrics.announce(words);
        Arc::new(metrics)
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        r.register(
            "larder_requests",
            "Requests by the last matching rule and by outcome",
            self.requests.clone(),
        );
        r.register(
            "larder_request_seconds",
            "From the request's head to the answer's last byte, by outcome",
            self.request_seconds.clone(),
        );
        r.register(
            "larder_bytes",
            "Body bytes sent to clients and received from origins",
            self.bytes.clone(),
        );
        r.register(
            "larder_origin_requests",
            "Requests answered by an origin, by status class; error = no answer",
            self.origin_requests.clone(),
        );
        r.register(
            "larder_origin_seconds",
            "From sending a request to the origin's first byte",
            self.origin_seconds.clone(),
        );
        r.register(
            "larder_origin_up",
            "1 while some server of the origin may be used",
            self.origin_up.clone(),
        );
        r.register(
            "larder_not_stored",
            "Answers that were fetched and not stored, by reason",
            self.not_stored.clone(),
        );
        r.register("larder_stale_served", "Stale answers, by what allowed them", self.stale_served.clone());
        r.register("larder_refused", "Responses this proxy made itself, by reason", self.refused.clone());
        r.register(
            "larder_tags_rejected",
            "Answers not stored because of too many or too long tags",
            self.tags_rejected.clone(),
        );
        r.register(
            "larder_served_age_seconds",
            "How old what we serve from the store is",
            self.served_age.clone(),
        );
        r.register(
            "larder_entry_ttl_seconds",
            "Remaining lifetime of answers when stored",
            self.entry_ttl.clone(),
        );
        r.register(
            "larder_memory_bytes",
            "Bodies and metadata in the memory tier",
            self.memory_bytes.clone(),
        );
        r.register("larder_memory_entries", "Stored variants", self.memory_entries.clone());
        r.register("larder_evictions", "Keys that left the memory tier, by cause", self.evictions.clone());
        r.register(
            "larder_variants_dropped",
            "Variants pushed out by max_variants",
            self.variants_dropped.clone(),
        );
        self.register_levels();
    }

    /// What has no response to belong to.
    fn register_levels(&mut self) {
        let r = &mut self.registry;
        r.register("larder_inflight", "Fetches in progress that others may join", self.inflight.clone());
        r.register("larder_connections", "Open client connections", self.connections.clone());
        r.register(
            "larder_connections_turned",
            "Connections closed before they could ask for anything, by reason",
            self.turned.clone(),
        );
        r.register(
            "larder_purges",
            "Purges asked for, by mode and by the kinds of what they name",
            self.purges.clone(),
        );
        r.register(
            "larder_purge_apply_seconds",
            "From a purge's call until it holds on this node",
            self.purge_apply.clone(),
        );
        r.register(
            "larder_log_dropped",
            "Access log lines dropped because the log could not keep up",
            self.log_dropped.clone(),
        );
        self.fleet.register(&mut self.registry);
        self.traces.register(&mut self.registry);
        self.register_process();
    }

    /// Under the names that all clients of Prometheus use, and what belongs beside them.
    fn register_process(&mut self) {
        let r = &mut self.registry;
        r.register(
            "larder_memory_capacity_bytes",
            "What the memory tier may hold: memory.capacity",
            self.memory_capacity.clone(),
        );
        r.register(
            "process_start_time_seconds",
            "Start time of the process since unix epoch in seconds",
            self.started.clone(),
        );
        r.register_collector(Box::new(Scrape));
    }

    /// Names as [`Metrics::samples`] has them.
    fn show(&mut self) {
        let r = &mut self.shown;
        r.register("request_seconds", "", self.request_seconds.clone());
        r.register("bytes", "", self.bytes.clone());
        r.register("origin_requests", "", self.origin_requests.clone());
        r.register("origin_seconds", "", self.origin_seconds.clone());
        r.register("not_stored", "", self.not_stored.clone());
        r.register("stale_served", "", self.stale_served.clone());
        r.register("refused", "", self.refused.clone());
    }

    /// Creates the children whose labels are known.
    pub fn announce(&self, words: &Vocabulary<'_>) {
        for outcome in words.outcomes.iter().copied() {
            drop(self.request_seconds.get_or_create(&OutcomeLabel { outcome }));
            for rule in words.rules {
                drop(self.requests.get_or_create(&RequestLabels { rule: rule.clone(), outcome }));
            }
        }
        for reason in words.not_stored.iter().copied() {
            drop(self.not_stored.get_or_create(&ReasonLabel { reason }));
        }
        for why in words.stale.iter().copied() {
            drop(self.stale_served.get_or_create(&WhyLabel { why }));
        }
        for reason in words.refusals.iter().copied() {
            drop(self.refused.get_or_create(&ReasonLabel { reason }));
        }
        for kind in words.purge_kinds.iter().copied() {
            for mode in words.purge_modes.iter().copied() {
                drop(self.purges.get_or_create(&PurgeLabels { kind, mode }));
            }
        }
        self.traces.announce(words.traces_lost);
        self.fleet.announce(words.shared_calls, words.shared_roles, words.log_events);
        for direction in ["client", "origin"] {
            drop(self.bytes.get_or_create(&DirectionLabel { direction }));
        }
        for cause in ["size", "expired"] {
            drop(self.evictions.get_or_create(&CauseLabel { cause }));
        }
        for origin in words.origins {
            drop(self.origin_seconds.get_or_create(&OriginLabel { origin: origin.clone() }));
            drop(self.origin_up.get_or_create(&OriginLabel { origin: origin.clone() }));
            for status in CLASSES {
                drop(
                    self.origin_requests
                        .get_or_create(&OriginStatusLabels { origin: origin.clone(), status }),
                );
            }
        }
    }

    /// One answer to a client is over.
    pub fn request(&self, rule: &Arc<str>, outcome: &'static str, took: Duration, bytes: u64) {
        self.requests.get_or_create(&RequestLabels { rule: rule.clone(), outcome }).add(1);
        self.request_seconds.get_or_create(&OutcomeLabel { outcome }).observe(took);
        self.client_bytes.add(bytes);
    }

    /// An answer came from the store.
    pub fn served_from_store(&self, age: Duration) {
        self.served_age.observe(age);
    }

    /// Where requests of this rule and outcome are counted: to be looked up once, for [`Metrics::stored_answer`].
    pub fn counts(&self, rule: &Arc<str>, outcome: &'static str) -> RequestCounts {
        RequestCounts {
            requests: self.requests.get_or_create(&RequestLabels { rule: rule.clone(), outcome }).clone(),
            seconds: self.request_seconds.get_or_create(&OutcomeLabel { outcome }).clone(),
        }
    }

    /// [`Metrics::request`] and [`Metrics::served_from_store`] together, without a look at a label: some loads and stores
    /// in memory of this thread.
    pub fn stored_answer(&self, counts: &RequestCounts, took: Duration, age: Duration, bytes: u64) {
        let mine = self.cells.mine();
        counts.requests.add_in(&mine, 1);
        counts.seconds.observe_in(&mine, took);
        self.client_bytes.add_in(&mine, bytes);
        self.served_age.observe_in(&mine, age);
    }

    pub fn stored(&self, ttl: i64) {
        #[allow(clippy::cast_precision_loss)] // a histogram's bucket boundary is far coarser
        self.entry_ttl.observe(ttl as f64);
    }

    pub fn stale(&self, why: &'static str) {
        self.stale_served.get_or_create(&WhyLabel { why }).inc();
    }

    pub fn not_stored(&self, reason: &'static str) {
        self.not_stored.get_or_create(&ReasonLabel { reason }).inc();
        if reason == "tags" {
            self.tags_rejected.inc();
        }
    }

    pub fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// An origin answered.
    pub fn origin_answer(&self, origin: &Arc<str>, status: u16, first_byte: Duration) {
        let class = usize::from(status / 100);
        let status = if (1..=5).contains(&class) { CLASSES.get(class - 1) } else { CLASSES.get(5) };
        let status = status.copied().unwrap_or("other");
        self.origin_requests.get_or_create(&OriginStatusLabels { origin: origin.clone(), status }).inc();
        self.origin_seconds
            .get_or_create(&OriginLabel { origin: origin.clone() })
            .observe(first_byte.as_secs_f64());
    }

    /// An origin gave no answer.
    pub fn origin_error(&self, origin: &Arc<str>) {
        self.origin_requests
            .get_or_create(&OriginStatusLabels { origin: origin.clone(), status: "error" })
            .inc();
    }

    pub fn origin_bytes(&self, bytes: u64) {
        self.bytes.get_or_create(&DirectionLabel { direction: "origin" }).add(bytes);
    }

    /// A purge that names something of this kind.
    pub fn purged(&self, kind: &'static str, mode: &'static str) {
        self.purges.get_or_create(&PurgeLabels { kind, mode }).inc();
    }

    /// A purge holds on this node.
    pub fn purge_applied(&self, took: Duration) {
        self.purge_apply.observe(took.as_secs_f64());
    }

    pub fn log_dropped(&self) {
        self.log_dropped.inc();
    }

    /// The Prometheus (OpenMetrics) text of everything.
    pub fn render(&self, levels: &Levels) -> String {
        // One after the other: nobody reads what another has half set.
        let _one = self.rendering.lock().unwrap_or_else(PoisonError::into_inner);
        self.memory_bytes.set(levels.memory_bytes);
        self.memory_entries.set(levels.memory_entries);
        self.memory_capacity.set(levels.memory_capacity);
        self.started.set(levels.started_s);
        // The store counts these itself; they are copied here at each scrape.
        let set = |counter: &Counter, value| counter.inner().store(value, Ordering::Relaxed);
        set(&self.evictions.get_or_create(&CauseLabel { cause: "size" }), levels.evicted_size);
        set(&self.evictions.get_or_create(&CauseLabel { cause: "expired" }), levels.evicted_expired);
        set(&self.variants_dropped, levels.variants_dropped);
        self.inflight.set(levels.inflight);
        self.connections.set(levels.connections);
        self.fleet.set(&levels.fleet);
        for (reason, count) in levels.turned.iter().copied() {
            set(&self.turned.get_or_create(&ReasonLabel { reason }), count);
        }
        // One that a reload has removed is neither up nor down.
        self.origin_up.clear();
        for (origin, up) in &levels.origins_up {
            self.origin_up.get_or_create(&OriginLabel { origin: origin.clone() }).set(u64::from(*up));
        }
        let mut text = String::new();
        // Writing to a String can't fail; an encoder error would leave the text short, which a scraper reports.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }

    /// What was counted so far of requests, bytes, origins and reasons, for `/status`.
    pub fn samples(&self) -> Samples {
        let mut text = String::new();
        // As in `render`.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.shown);
        Samples::parse(&text)
    }
}

/// The media type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
