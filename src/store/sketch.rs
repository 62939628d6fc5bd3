//! How often keys were asked for lately: what TinyLFU admits by ([`super::shelf`]).

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// How often keys were asked for lately, about: a count-min sketch of counters with four bits, four for each key, all in one line of the
/// processor's cache. Who comes by at the same time may count as one.
#[derive(Debug, Default)]
pub(super) struct Sketch {
    /// Sixteen counters each; whole lines.
    words: Box<[AtomicU64]>,
    /// Counted since all counters were halved.
    counted: AtomicU32,
}

/// Words of a line.
const LINE: usize = 8;

/// Low bits of all counters after they were halved.
const HALVES: u64 = 0x7777_7777_7777_7777;

impl Sketch {
    /// Room for so many keys, and the old forgotten by and by: all are halved after six times as many counts.
    pub fn fit(&mut self, keys: usize) {
        let wanted = (keys / 2).next_power_of_two().max(LINE);
        if self.words.len() < wanted {
            // Twice as many lines say the same of every key as before.
            let times = (wanted / self.words.len().max(1)).max(1);
            let old: Vec<u64> = self.words.iter().map(|word| word.load(Ordering::Relaxed)).collect();
            let all = old.iter().copied().cycle().take(old.len() * times);
            self.words = match old.is_empty() {
                true => (0..wanted).map(|_| AtomicU64::new(0)).collect(),
                false => all.map(AtomicU64::new).collect(),
            };
        }
        let most = u32::try_from(self.words.len() * 12).unwrap_or(u32::MAX);
        if *self.counted.get_mut() >= most {
            *self.counted.get_mut() /= 2;
            for word in &mut self.words {
                *word.get_mut() = (*word.get_mut() >> 1) & HALVES;
            }
        }
    }

    /// The words and shifts of a key's counters.
    fn counters(&self, hash: u64) -> impl Iterator<Item = (&AtomicU64, u32)> {
        let hash = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let lines = (self.words.len() / LINE).max(1);
        let line = (usize::try_from(hash >> 40).unwrap_or_default() & (lines - 1)) * LINE;
        (0..4).filter_map(move |n| {
            let bits = hash >> (8 * n);
            let word = line + 2 * n as usize + (bits & 1) as usize;
            Some((self.words.get(word)?, ((bits >> 1) & 15) as u32 * 4))
        })
    }

    pub fn count(&self, hash: u64) {
        for (word, shift) in self.counters(hash) {
            let now = word.load(Ordering::Relaxed);
            if (now >> shift) & 15 < 15 {
                word.store(now + (1 << shift), Ordering::Relaxed);
            }
        }
        let counted = self.counted.load(Ordering::Relaxed);
        self.counted.store(counted.saturating_add(1), Ordering::Relaxed);
    }

    pub fn estimate(&self, hash: u64) -> u64 {
        self.counters(hash)
            .map(|(word, shift)| (word.load(Ordering::Relaxed) >> shift) & 15)
            .min()
            .unwrap_or(0)
    }
}
