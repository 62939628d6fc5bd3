//! Which server gets a request. Pure: candidates and their state come in, an index goes out.

use super::settings::Balance;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What a choice is made from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<'a> {
    pub index: usize,
    pub weight: u32,
    pub in_flight: usize,
    /// Names it for `hash_key`: its URL, so that order in the configuration doesn't matter.
    pub name: &'a str,
}

#[derive(Debug)]
pub(super) struct Balancer {
    how: Balance,
    /// Round robin: the running score of each server, by index.
    scores: Mutex<Vec<i64>>,
    /// Least requests: where the search starts, so that equals take turns.
    turn: AtomicUsize,
}

impl Balancer {
    pub fn new(how: Balance, servers: usize) -> Self {
        Self { how, scores: Mutex::new(vec![0; servers]), turn: AtomicUsize::new(0) }
    }

    /// The index of the chosen one; `None` only without candidates.
    pub fn choose(&self, candidates: &[Candidate<'_>], key: u64) -> Option<usize> {
        if let [only] = candidates {
            return Some(only.index);
        }
        match self.how {
            Balance::RoundRobin => self.round_robin(candidates),
            Balance::LeastRequests => self.least_requests(candidates),
            Balance::HashKey => hash_key(candidates, key),
        }
    }

    /// nginx's smooth weighted round robin: each gains its weight, the richest is chosen and pays the total. With
    /// weights 5, 1, 1 that gives a a b a c a a, not a a a a a b c.
    fn round_robin(&self, candidates: &[Candidate<'_>]) -> Option<usize> {
        let mut scores = self.scores.lock().unwrap_or_else(PoisonError::into_inner);
        let mut total = 0;
        let mut best: Option<(usize, i64)> = None;
        for c in candidates {
            let score = scores.get_mut(c.index)?;
            *score += i64::from(c.weight.max(1));
            total += i64::from(c.weight.max(1));
            if best.is_none_or(|(_, b)| *score > b) {
                best = Some((c.index, *score));
            }
        }
        let (index, _) = best?;
        *scores.get_mut(index)? -= total;
        Some(index)
    }

    /// The smallest (requests in flight + this one) / weight; so equals in load fall to the heavier, and equals in
    /// both take turns.
    fn least_requests(&self, candidates: &[Candidate<'_>]) -> Option<usize> {
        let load = |c: &Candidate<'_>, other: &Candidate<'_>| {
            (c.in_flight as u128 + 1).saturating_mul(u128::from(other.weight.max(1)))
        };
        let start = self.turn.fetch_add(1, Ordering::Relaxed) % candidates.len().max(1);
        let mut best: Option<&Candidate<'_>> = None;
        for c in candidates.iter().cycle().skip(start).take(candidates.len()) {
            if best.is_none_or(|b| load(c, b) < load(b, c)) {
                best = Some(c);
            }
        }
        best.map(|c| c.index)
    }
}

/// Weighted rendezvous hashing: the highest of −weight / ln(hash in 0..1) wins; when a server leaves, only its own keys
/// move.
fn hash_key(candidates: &[Candidate<'_>], key: u64) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for c in candidates {
        let hash = xxh3_64_with_seed(c.name.as_bytes(), key);
        // 53 bits fit an f64 exactly; the half keeps it off 0 and 1.
        let unit = ((hash >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        let score = -f64::from(c.weight.max(1)) / unit.ln();
        if best.is_none_or(|(_, b)| score > b) {
            best = Some((c.index, score));
        }
    }
    best.map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 3] = ["http://a", "http://b", "http://c"];

    fn candidates(weights: [u32; 3], in_flight: [usize; 3]) -> Vec<Candidate<'static>> {
        (0..3)
            .map(|i| Candidate { index: i, weight: weights[i], in_flight: in_flight[i], name: NAMES[i] })
            .collect()
    }

    #[test]
    fn round_robin_is_smooth_by_weight() {
        let b = Balancer::new(Balance::RoundRobin, 3);
        let c = candidates([5, 1, 1], [0; 3]);
        let order: Vec<_> = (0..7).map(|_| b.choose(&c, 0).unwrap()).collect();
        assert_eq!(order, [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn least_requests_weighs_load_and_gives_ties_to_the_heavier() {
        let b = Balancer::new(Balance::LeastRequests, 3);
        for _ in 0..3 {
            assert_eq!(b.choose(&candidates([1, 1, 1], [2, 1, 3]), 0), Some(1));
            assert_eq!(b.choose(&candidates([1, 1, 4], [0, 0, 0]), 0), Some(2));
            assert_eq!(b.choose(&candidates([1, 1, 4], [0, 1, 4]), 0), Some(0));
        }
    }

    #[test]
    fn equals_take_turns() {
        let b = Balancer::new(Balance::LeastRequests, 3);
        let mut seen: Vec<_> = (0..3).map(|_| b.choose(&candidates([1; 3], [0; 3]), 0).unwrap()).collect();
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2]);
    }

    #[test]
    fn hash_key_keeps_a_key_where_it_is_when_another_server_leaves() {
        let b = Balancer::new(Balance::HashKey, 3);
        let all = candidates([1; 3], [0; 3]);
        let mut counts = [0u32; 3];
        for key in 0..3000u64 {
            let home = b.choose(&all, key).unwrap();
            counts[home] += 1;
            let without: Vec<_> = all.iter().copied().filter(|c| c.index != (home + 1) % 3).collect();
            assert_eq!(b.choose(&without, key), Some(home));
        }
        assert!(counts.iter().all(|n| (800..1200).contains(n)), "{counts:?}");
    }

    #[test]
    fn hash_key_shares_keys_by_weight() {
        let b = Balancer::new(Balance::HashKey, 3);
        let all = candidates([2, 1, 1], [0; 3]);
        let first = (0..4000u64).filter(|k| b.choose(&all, *k) == Some(0)).count();
        assert!((1800..2200).contains(&first), "{first}");
    }
}
