//! Which of very many things come most often, in little memory: the Space-Saving sketch (Metwally, Agrawal, El Abbadi:
//! Efficient Computation of Frequent and Top-k Elements in Data Streams, ICDT 2005), whose counts fade, so that it
//! tells of now and not of the whole life of the process.

use crate::time::Mono;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// All counts are halved this often.
const HALF_LIFE: Duration = Duration::from_secs(60);

/// Below this a faded count makes place.
const FADED: f64 = 0.1;

/// See the head of this file.
#[derive(Debug)]
pub struct Sketch<K> {
    counts: HashMap<K, f64>,
    capacity: usize,
    /// Of everything that was noted, faded too.
    total: f64,
    halved: Mono,
}

impl<K: Eq + Hash + Clone + Ord> Sketch<K> {
    /// `capacity` is how many are counted: what comes more often than one in so many is certain to be among them.
    pub fn new(capacity: usize) -> Self {
        Self { counts: HashMap::new(), capacity: capacity.max(1), total: 0.0, halved: Mono(0) }
    }

    pub fn note(&mut self, key: K, now: Mono) {
        self.fade(now);
        self.total += 1.0;
        if let Some(count) = self.counts.get_mut(&key) {
            *count += 1.0;
            return;
        }
        // The newcomer takes over the count of the rarest: it may have been here before, and been forgotten.
        let mut inherited = 0.0;
        if self.counts.len() >= self.capacity {
            let rarest = self.counts.iter().min_by(|a, b| a.1.total_cmp(b.1)).map(|(key, _)| key.clone());
            inherited = rarest.and_then(|rarest| self.counts.remove(&rarest)).unwrap_or_default();
        }
        self.counts.insert(key, inherited + 1.0);
    }

    /// The most frequent, each with its share of all, most frequent first.
    pub fn top(&mut self, most: usize, now: Mono) -> Vec<(K, f64)> {
        self.fade(now);
        let mut all: Vec<(&K, f64)> = self.counts.iter().map(|(key, count)| (key, *count)).collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        let total = self.total.max(f64::MIN_POSITIVE);
        all.into_iter().take(most).map(|(key, count)| (key.clone(), (count / total).min(1.0))).collect()
    }

    fn fade(&mut self, now: Mono) {
        let periods = now.since(self.halved).as_secs() / HALF_LIFE.as_secs();
        if periods == 0 {
            return;
        }
        self.halved = self.halved.after(HALF_LIFE.saturating_mul(u32::try_from(periods).unwrap_or(u32::MAX)));
        let factor = 0.5f64.powi(i32::try_from(periods).unwrap_or(i32::MAX));
        self.total *= factor;
        self.counts.retain(|_, count| {
            *count *= factor;
            *count >= FADED
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Mono {
        Mono(seconds * 1000)
    }

    #[test]
    fn what_comes_often_is_found_among_very_many_that_come_once() {
        let mut sketch = Sketch::new(100);
        for n in 0..100_000u32 {
            sketch.note(n, at(1));
            if n % 10 == 0 {
                sketch.note(u32::MAX, at(1));
            }
            if n % 20 == 0 {
                sketch.note(u32::MAX - 1, at(1));
            }
        }
        let top = sketch.top(2, at(1));
        assert_eq!(top.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [u32::MAX, u32::MAX - 1]);
        assert!((0.08..0.1).contains(&top[0].1), "{top:?}");
        assert!(sketch.counts.len() <= 100);
    }

    #[test]
    fn what_was_frequent_fades_and_is_forgotten() {
        let mut sketch = Sketch::new(10);
        (0..8).for_each(|_| sketch.note("old", at(0)));
        assert_eq!(sketch.top(9, at(59)), [("old", 1.0)]);
        (0..6).for_each(|_| sketch.note("new", at(120)));
        assert_eq!(sketch.top(9, at(120)), [("new", 0.75), ("old", 0.25)]);
        assert_eq!(sketch.top(9, at(3600)), []);
        sketch.note("again", at(3600));
        assert_eq!(sketch.top(9, at(3600))[0].0, "again");
        assert_eq!(sketch.top(9, Mono(u64::MAX)), []);
    }
}
