//! The store's clock, as far as a node can know it: what it said, in the middle of the round trip that brought it.

use crate::time::Mono;
use std::collections::VecDeque;

/// Answers that are kept; the one with the shortest way counts.
const SAMPLES: usize = 8;

#[derive(Clone, Copy, Debug)]
struct Sample {
    round_trip: u64,
    /// On our clock, and what the store's showed then.
    at: Mono,
    store_ms: u64,
}

/// Counts on with this node's monotonic clock: it doesn't step when somebody sets the time.
#[derive(Debug, Default)]
pub struct StoreClock {
    samples: VecDeque<Sample>,
}

impl StoreClock {
    pub fn take(&mut self, sent: Mono, received: Mono, store_ms: u64) {
        let round_trip = received.0.saturating_sub(sent.0);
        self.samples.push_back(Sample { round_trip, at: Mono(sent.0 + round_trip / 2), store_ms });
        if self.samples.len() > SAMPLES {
            self.samples.pop_front();
        }
    }

    /// Unix milliseconds.
    pub fn at(&self, now: Mono) -> Option<u64> {
        // Of equal ones the newest: clocks drift.
        let best = self.samples.iter().rev().min_by_key(|sample| sample.round_trip)?;
        let ahead = best.store_ms.saturating_add(now.0.saturating_sub(best.at.0));
        Some(ahead.saturating_sub(best.at.0.saturating_sub(now.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_with_the_shortest_way_counts() {
        let mut clock = StoreClock::default();
        assert_eq!(clock.at(Mono(5)), None);
        clock.take(Mono(100), Mono(110), 1_000_005);
        clock.take(Mono(200), Mono(300), 1_000_199);
        assert_eq!(clock.at(Mono(305)), Some(1_000_205));
        // Eight later, the first is forgotten.
        for round in 0..8 {
            let sent = 1000 + 100 * round;
            clock.take(Mono(sent), Mono(sent + 20), 2_000_000 + sent);
        }
        assert_eq!(clock.at(Mono(2000)), Some(2_001_990));
    }
}
