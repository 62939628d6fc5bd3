//! What was last not stored, and why: a small memory for [`Engine::explain`](super), of which no decision knows.

use crate::engine::draft::Refused;
use crate::store::Key;
use crate::store::key::BuildKeyHasher;
use crate::time::Now;
use http::StatusCode;
use std::time::Duration;

/// How long a reason is remembered.
pub const REMEMBERED: Duration = Duration::from_secs(600);

/// What says the same again so soon is not written down again: that costs three times as much as a look.
const SAME: Duration = Duration::from_secs(1);

/// Bytes of keys: some 10,000 of usual length. Neither random URLs nor large bodies that are part of a key can grow it
/// further.
const CAPACITY: u64 = 2 << 20;

/// Charged for each key beside its bytes.
const OVERHEAD: usize = 128;

/// An answer that was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotKept {
    pub why: Refused,
    /// Of the answer.
    pub status: StatusCode,
    pub at: Now,
}

/// See the head of this file.
#[derive(Debug)]
pub struct Lately(moka::sync::Cache<Key, NotKept, BuildKeyHasher>);

impl Default for Lately {
    fn default() -> Self {
        let map = moka::sync::Cache::builder()
            .max_capacity(CAPACITY)
            .weigher(|key: &Key, _| u32::try_from(key.len().saturating_add(OVERHEAD)).unwrap_or(u32::MAX))
            .time_to_live(REMEMBERED)
            .build_with_hasher(BuildKeyHasher::default());
        Self(map)
    }
}

impl Lately {
    pub fn note(&self, key: &Key, kept: NotKept) {
        let same = |last: NotKept| {
            last.why == kept.why && last.status == kept.status && kept.at.mono.since(last.at.mono) < SAME
        };
        if !self.0.get(key).is_some_and(same) {
            self.0.insert(key.clone(), kept);
        }
    }

    pub fn get(&self, key: &Key, now: Now) -> Option<NotKept> {
        self.0.get(key).filter(|kept| now.mono.since(kept.at.mono) < REMEMBERED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Mono;

    #[test]
    fn the_last_reason_is_remembered_for_ten_minutes() {
        let (lately, key) = (Lately::default(), Key::new(1, b"k"));
        let at = |ms| Now { mono: Mono(ms), ..Now::default() };
        let kept = |why, ms| NotKept { why, status: StatusCode::OK, at: at(ms) };
        assert_eq!(lately.get(&key, at(0)), None);
        lately.note(&key, kept(Refused::Tags, 0));
        lately.note(&key, kept(Refused::TooLarge, 1000));
        lately.note(&key, kept(Refused::TooLarge, 1999));
        assert_eq!(lately.get(&key, at(600_999)), Some(kept(Refused::TooLarge, 1000)));
        assert_eq!(lately.get(&key, at(601_000)), None);
    }

    #[test]
    fn it_is_bounded_by_the_bytes_of_its_keys() {
        let lately = Lately::default();
        for n in 0..500u32 {
            let key = Key::new(1, &[&[0; 64 * 1024][..], &n.to_le_bytes()].concat());
            let kept = NotKept { why: Refused::Tags, status: StatusCode::OK, at: Now::default() };
            lately.note(&key, kept);
        }
        lately.0.run_pending_tasks();
        assert!(lately.0.weighted_size() <= CAPACITY && lately.0.entry_count() > 0);
    }
}
