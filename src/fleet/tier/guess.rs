//! Which fields a key's values depend on, as last seen: a look-up must name the variant before it can read what selects
//! it, so it guesses, and asks again when it was wrong.

use crate::store::Key;
use http::HeaderName;
use http::header::ACCEPT_ENCODING;
use std::sync::Arc;

/// Keys remembered. A key that is not costs one round trip more, if it depends on anything but the usual.
const KEYS: u64 = 100_000;

/// Remembers by the key's hash: two keys with one hash spoil each other's guess and nothing else.
#[derive(Debug)]
pub struct Guesses {
    seen: moka::sync::Cache<u64, Arc<[HeaderName]>>,
    /// What most responses depend on that depend on anything.
    usual: Arc<[HeaderName]>,
}

impl Default for Guesses {
    fn default() -> Self {
        Self { seen: moka::sync::Cache::new(KEYS), usual: Arc::new([ACCEPT_ENCODING]) }
    }
}

impl Guesses {
    pub fn of(&self, key: &Key) -> Arc<[HeaderName]> {
        self.seen.get(&key.hash_value()).unwrap_or_else(|| self.usual.clone())
    }

    pub fn remember(&self, key: &Key, nominated: &[HeaderName]) {
        if *nominated == *self.usual {
            self.seen.invalidate(&key.hash_value());
        } else {
            self.seen.insert(key.hash_value(), nominated.into());
        }
    }
}
