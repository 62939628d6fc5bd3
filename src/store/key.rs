//! The full cache key and its hash. The hash finds, the bytes decide: two requests share an entry only when
//! every byte of their keys is equal.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// An immutable cache key: length-prefixed parts, so that no part can imitate another (standards.md §8.1,
/// "key delimiter injection").
#[derive(Clone, Debug)]
pub struct Key {
    hash: u64,
    bytes: Arc<[u8]>,
}

impl Key {
    pub fn new(seed: u64, bytes: &[u8]) -> Self {
        Self { hash: xxhash_rust::xxh3::xxh3_64_with_seed(bytes, seed), bytes: bytes.into() }
    }

    /// Seeded 64-bit hash of the bytes; spreads keys over shards and origin servers.
    pub fn hash_value(&self) -> u64 {
        self.hash
    }

    /// Bytes held by the key itself.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && (Arc::ptr_eq(&self.bytes, &other.bytes) || self.bytes == other.bytes)
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// Passes a [`Key`]'s own seeded hash through: hashing it again would only cost time.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        // Not reached for `Key`; kept correct for any other type.
        self.0 = xxhash_rust::xxh3::xxh3_64_with_seed(bytes, self.0);
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// `BuildHasher` for maps keyed by [`Key`].
pub type BuildKeyHasher = std::hash::BuildHasherDefault<KeyHasher>;
