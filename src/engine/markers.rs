//! What is remembered of keys that could not be stored: the next request for one must not make others wait for
//! an answer that they can't share (hit-for-miss), and a range of a huge object must not fetch the whole.

use crate::store::Key;
use crate::store::key::BuildKeyHasher;
use crate::time::Mono;
use std::time::Duration;

/// How long a key is remembered. An origin that changes its mind is noticed at the first response that can be
/// stored, which removes the mark; this only bounds the memory of keys that nobody asks for again.
pub const REMEMBERED: Duration = Duration::from_secs(120);

/// Bytes of keys that are remembered, some 100,000 of usual length; neither random URLs nor large bodies that are part
/// of the key can grow it further.
pub const CAPACITY: u64 = 16 << 20;

/// Charged for each key beside its bytes.
const OVERHEAD: usize = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The last answer could not be shared.
    NotShareable,
    /// The last answer to a request with `Authorization` could not be shared (RFC 9111 §3.5); those without may
    /// fare better.
    NotShareableAuthorized,
    /// The last answer to a request with `Cookie` could not be shared, for want of an explicit lifetime; those without may
    /// fare better.
    NotShareableWithCookie,
    /// The object is over `max_object`.
    TooLarge,
}

impl Mark {
    pub const ALL: [Self; 4] =
        [Self::NotShareable, Self::NotShareableAuthorized, Self::NotShareableWithCookie, Self::TooLarge];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotShareable => "not-shareable",
            Self::NotShareableAuthorized => "not-shareable-authorized",
            Self::NotShareableWithCookie => "not-shareable-with-cookie",
            Self::TooLarge => "too-large",
        }
    }
}

/// A bounded memory of [`Mark`]s.
#[derive(Debug, Clone)]
pub struct Markers(moka::sync::Cache<Key, (Mark, Mono), BuildKeyHasher>);

impl Markers {
    pub fn new() -> Self {
        let map = moka::sync::Cache::builder()
            .max_capacity(CAPACITY)
            .weigher(|key: &Key, _| u32::try_from(key.len().saturating_add(OVERHEAD)).unwrap_or(u32::MAX))
            .time_to_live(REMEMBERED)
            .build_with_hasher(BuildKeyHasher::default());
        Self(map)
    }

    pub fn get(&self, key: &Key, now: Mono) -> Option<Mark> {
        self.look(key, now).map(|(mark, _)| mark)
    }

    /// The same, and whether it need not be set again for now: more than half of its time is left.
    pub fn look(&self, key: &Key, now: Mono) -> Option<(Mark, bool)> {
        let (mark, since) = self.0.get(key)?;
        let age = now.since(since);
        (age < REMEMBERED).then_some((mark, age < REMEMBERED / 2))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_worth_setting_again_when_half_of_its_time_is_over() {
        let (markers, key) = (Markers::new(), Key::new(1, b"k"));
        markers.set(&key, Mark::TooLarge, Mono(1));
        assert_eq!(markers.look(&key, Mono(60_000)), Some((Mark::TooLarge, true)));
        assert_eq!(markers.look(&key, Mono(60_001)), Some((Mark::TooLarge, false)));
        assert_eq!(markers.look(&key, Mono(120_000)), Some((Mark::TooLarge, false)));
        assert_eq!(markers.look(&key, Mono(120_001)), None);
    }

    #[test]
    fn keys_that_hold_large_bodies_are_bounded_by_their_bytes() {
        let markers = Markers::new();
        for n in 0..1000u32 {
            let mut bytes = vec![0; 64 * 1024];
            bytes.extend_from_slice(&n.to_le_bytes());
            markers.set(&Key::new(1, &bytes), Mark::NotShareable, Mono(0));
        }
        markers.0.run_pending_tasks();
        assert!(markers.0.weighted_size() <= CAPACITY);
        assert!(markers.0.entry_count() > 0);
    }
}
