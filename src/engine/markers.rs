//! What is remembered of keys that could not be stored: the next request for one must not make others wait for
//! an answer that they can't share (hit-for-miss), and a range of a huge object must not fetch the whole.

use crate::store::Key;
use crate::store::key::BuildKeyHasher;
use crate::time::Mono;
use std::time::Duration;

/// How long a key is remembered. An origin that changes its mind is noticed at the first response that can be
/// stored, which removes the mark; this only bounds the memory of keys that nobody asks for again.
pub const REMEMBERED: Duration = Duration::from_secs(120);

/// How many keys are remembered; random URLs can't grow it further.
pub const CAPACITY: u64 = 100_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The last answer could not be shared.
    NotShareable,
    /// The last answer to a request with `Authorization` could not be shared (RFC 9111 §3.5); those without may
    /// fare better.
    NotShareableAuthorized,
    /// The object is over `max_object`.
    TooLarge,
}

/// A bounded memory of [`Mark`]s.
#[derive(Debug, Clone)]
pub struct Markers(moka::sync::Cache<Key, (Mark, Mono), BuildKeyHasher>);

impl Markers {
    pub fn new() -> Self {
        let map = moka::sync::Cache::builder()
            .max_capacity(CAPACITY)
            .time_to_live(REMEMBERED)
            .build_with_hasher(BuildKeyHasher::default());
        Self(map)
    }

    pub fn get(&self, key: &Key, now: Mono) -> Option<Mark> {
        let (mark, since) = self.0.get(key)?;
        (now.since(since) < REMEMBERED).then_some(mark)
    }

    pub fn set(&self, key: &Key, mark: Mark, now: Mono) {
        self.0.insert(key.clone(), (mark, now));
    }

    /// Called for every stored response: costs a look-up where nothing is marked.
    pub fn clear(&self, key: &Key) {
        if self.0.contains_key(key) {
            self.0.invalidate(key);
        }
    }
}

impl Default for Markers {
    fn default() -> Self {
        Self::new()
    }
}
