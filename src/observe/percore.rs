//! Counters for what happens at every hit. Each thread counts in memory of its own, with plain loads and stores; a scrape adds
//! them up. One counter for all threads would be a cache line that every processor wants to write at every hit.
//!
//! A counter is a place, the same in every thread's [`Cells`]. Places are given out and never taken back, as the children of
//! a metric family stay for as long as the process.

use crate::worker;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::family::MetricConstructor;
use prometheus_client::metrics::{MetricType, TypedMetric};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Cells that are allocated together.
const CHUNK: usize = 256;
/// Chunks before the first of a chain; enough for a thousand rules.
const CHUNKS: usize = 64;

/// All cells of all threads.
#[derive(Debug)]
pub struct Cells {
    /// By the number of the thread; the last is for those without.
    of: [OnceLock<Box<Shard>>; worker::NUMBERS + 1],
    next: AtomicU32,
}

/// One thread's. Chunks are made when something is counted in them.
#[derive(Debug)]
struct Shard {
    chunks: [OnceLock<Box<Chunk>>; CHUNKS],
    more: OnceLock<Box<Shard>>,
}

/// No other thread's data shares a cache line with it; some processors fetch lines in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Chunk([AtomicU64; CHUNK]);

impl Default for Chunk {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; CHUNK])
    }
}

impl Default for Shard {
    fn default() -> Self {
        Self { chunks: [const { OnceLock::new() }; CHUNKS], more: OnceLock::new() }
    }
}

impl Shard {
    fn cell(&self, at: u32) -> Option<&AtomicU64> {
        let mut at = at as usize;
        let mut shard = self;
        while at >= CHUNK * CHUNKS {
            at -= CHUNK * CHUNKS;
            shard = shard.more.get_or_init(Box::default);
        }
        shard.chunks.get(at / CHUNK)?.get_or_init(Box::default).0.get(at % CHUNK)
    }
}

impl Cells {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { of: [const { OnceLock::new() }; worker::NUMBERS + 1], next: AtomicU32::new(0) })
    }

    /// Where this thread counts.
    pub fn mine(&self) -> Mine<'_> {
        let number = worker::number();
        let shard =
            self.of.get(number.unwrap_or(worker::NUMBERS)).map(|shard| &**shard.get_or_init(Box::default));
        Mine { shard, alone: number.is_some() }
    }

    fn places(&self, count: u32) -> u32 {
        self.next.fetch_add(count, Ordering::Relaxed)
    }

    /// Over all threads. What is being counted meanwhile may be in it or not.
    fn sum(&self, at: u32) -> u64 {
        let of_one = |shard: &Shard| shard.cell(at).map_or(0, |cell| cell.load(Ordering::Relaxed));
        self.of.iter().filter_map(OnceLock::get).map(|shard| of_one(shard)).fold(0, u64::wrapping_add)
    }
}

/// This thread's cells.
#[derive(Clone, Copy, Debug)]
pub struct Mine<'c> {
    shard: Option<&'c Shard>,
    /// No other thread writes them.
    alone: bool,
}

impl Mine<'_> {
    fn add(&self, at: u32, count: u64) {
        let Some(cell) = self.shard.and_then(|shard| shard.cell(at)) else { return };
        if self.alone {
            cell.store(cell.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
        } else {
            cell.fetch_add(count, Ordering::Relaxed);
        }
    }
}

/// A counter.
#[derive(Clone, Debug)]
pub struct Count {
    cells: Arc<Cells>,
    at: u32,
}

impl Count {
    pub fn new(cells: &Arc<Cells>) -> Self {
        Self { at: cells.places(1), cells: cells.clone() }
    }

    pub fn add(&self, count: u64) {
        self.add_in(&self.cells.mine(), count);
    }

    /// The same for who has the thread's cells at hand.
    pub fn add_in(&self, mine: &Mine<'_>, count: u64) {
        mine.add(self.at, count);
    }

    pub fn get(&self) -> u64 {
        self.cells.sum(self.at)
    }
}

impl TypedMetric for Count {
    const TYPE: MetricType = MetricType::Counter;
}

impl EncodeMetric for Count {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        encoder.encode_counter::<NoLabelSet, _, u64>(&self.get(), None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

/// A histogram of durations, to the microsecond.
#[derive(Clone, Debug)]
pub struct Tally {
    cells: Arc<Cells>,
    /// The sum, in microseconds; behind it the buckets.
    first: u32,
    /// Upper bounds in seconds, ascending; one more bucket has what lies beyond.
    bounds: &'static [f64],
    /// The same in microseconds.
    micros: Arc<[u64]>,
}

impl Tally {
    pub fn new(cells: &Arc<Cells>, bounds: &'static [f64]) -> Self {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        // bounds are written by hand, above zero
        let micros = bounds.iter().map(|bound| (bound * 1e6).round() as u64).collect();
        let places = u32::try_from(bounds.len()).unwrap_or(u32::MAX).saturating_add(2);
        Self { first: cells.places(places), cells: cells.clone(), bounds, micros }
    }

    pub fn observe(&self, value: Duration) {
        self.observe_in(&self.cells.mine(), value);
    }

    /// The same for who has the thread's cells at hand.
    pub fn observe_in(&self, mine: &Mine<'_>, value: Duration) {
        let micros = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
        let bucket = self.micros.iter().take_while(|bound| micros > **bound).count();
        mine.add(self.first, micros);
        mine.add(self.bucket(bucket), 1);
    }

    fn bucket(&self, at: usize) -> u32 {
        self.first.saturating_add(1).saturating_add(u32::try_from(at).unwrap_or(u32::MAX))
    }
}

impl TypedMetric for Tally {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Tally {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> =
            bounds.enumerate().map(|(at, bound)| (bound, self.cells.sum(self.bucket(at)))).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        #[allow(clippy::cast_precision_loss)] // microseconds of two hundred years fit
        let sum = self.cells.sum(self.first) as f64 / 1e6;
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

/// Makes the children of a family of counters.
#[derive(Clone, Debug)]
pub struct Counts(pub Arc<Cells>);

impl MetricConstructor<Count> for Counts {
    fn new_metric(&self) -> Count {
        Count::new(&self.0)
    }
}

/// Makes the children of a family of histograms.
#[derive(Clone, Debug)]
pub struct Tallies(pub Arc<Cells>, pub &'static [f64]);

impl MetricConstructor<Tally> for Tallies {
    fn new_metric(&self) -> Tally {
        Tally::new(&self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode;
    use prometheus_client::metrics::histogram::Histogram;
    use prometheus_client::registry::Registry;

    #[test]
    fn what_many_threads_count_adds_up_also_of_those_that_ended() {
        let cells = Cells::new();
        let many: Vec<Count> = (0..3 * CHUNK * CHUNKS / 2).map(|_| Count::new(&cells)).collect();
        let last = many.last().unwrap();
        // More threads than numbers: the last ones share.
        for _ in 0..3 {
            std::thread::scope(|scope| {
                for _ in 0..worker::NUMBERS + 8 {
                    scope.spawn(|| (0..100).for_each(|_| last.add(2)));
                }
            });
        }
        assert_eq!(last.get(), 3 * 200 * (worker::NUMBERS as u64 + 8));
        assert_eq!(many.first().unwrap().get() + many.get(1).unwrap().get(), 0);
    }

    #[test]
    fn a_tally_is_told_as_the_crates_histogram_is() {
        const BOUNDS: [f64; 4] = [0.0, 0.0005, 0.5, 30.0];
        let ours = Tally::new(&Cells::new(), &BOUNDS);
        let theirs = Histogram::new(BOUNDS);
        for micros in [0, 1, 499, 500, 501, 500_000, 500_001, 30_000_000, 30_000_001, 4_000_000_000] {
            ours.observe(Duration::from_micros(micros));
            theirs.observe(Duration::from_micros(micros).as_secs_f64());
        }
        let text = |register: &dyn Fn(&mut Registry)| {
            let mut registry = Registry::default();
            register(&mut registry);
            let mut text = String::new();
            encode(&mut text, &registry).unwrap();
            text
        };
        let ours = text(&|registry| registry.register("x", "X", ours.clone()));
        assert_eq!(ours, text(&|registry| registry.register("x", "X", theirs.clone())));
        assert!(ours.contains("le=\"0.0005\"} 4"), "{ours}");
    }
}
