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

    /// One whose hash is known.
    pub(super) fn with_hash(hash: u64, bytes: &[u8]) -> Self {
        Self { hash, bytes: bytes.into() }
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

/// Appends a part, behind its length.
pub fn push_part(bytes: &mut Vec<u8>, value: &[u8]) {
    bytes.extend_from_slice(&length(value));
    bytes.extend_from_slice(value);
}

/// Appends a part that may be missing.
pub fn push_optional(bytes: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        Some(value) => {
            bytes.push(1);
            push_part(bytes, value);
        }
        None => bytes.push(0),
    }
}

fn length(value: &[u8]) -> [u8; 4] {
    u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes()
}

/// Ends the list of rules in a key; what follows starts with 0 or 1.
pub const END_OF_RULES: u8 = 0xff;

/// How a key ends that is made of the place and the origin alone, as most are.
const NOTHING_ELSE: [u8; 2] = [END_OF_RULES, 0];

/// What most keys are made of, all of which the entry has anyway: such a key is not stored a second time. An entry leads to exactly
/// one key of this kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usual<'e> {
    pub scheme: &'e str,
    pub authority: &'e str,
    /// `path?query`
    pub url: &'e str,
    pub origin: &'e str,
}

impl Usual<'_> {
    fn path_and_query(&self) -> (&str, Option<&str>) {
        self.url.split_once('?').map_or((self.url, None), |(path, query)| (path, Some(query)))
    }

    /// Whether this is the key, byte for byte.
    pub fn is(&self, key: &Key) -> bool {
        let (path, query) = self.path_and_query();
        let mut rest = key.as_bytes();
        let mut begins_with = |bytes: &[u8]| match rest.strip_prefix(bytes) {
            Some(after) => {
                rest = after;
                true
            }
            None => false,
        };
        let mut has = |part: &str| begins_with(&length(part.as_bytes())) && begins_with(part.as_bytes());
        if !(has(self.scheme) && has(self.authority) && has(path)) {
            return false;
        }
        let is_query = match query {
            None => begins_with(&[0]),
            Some(query) => {
                begins_with(&[1]) && begins_with(&length(query.as_bytes())) && begins_with(query.as_bytes())
            }
        };
        is_query
            && begins_with(&length(self.origin.as_bytes()))
            && begins_with(self.origin.as_bytes())
            && rest == NOTHING_ELSE
    }

    pub fn bytes(&self) -> Vec<u8> {
        let (path, query) = self.path_and_query();
        let mut bytes = Vec::with_capacity(64 + self.authority.len() + self.url.len());
        [self.scheme, self.authority, path].into_iter().for_each(|p| push_part(&mut bytes, p.as_bytes()));
        push_optional(&mut bytes, query.map(str::as_bytes));
        push_part(&mut bytes, self.origin.as_bytes());
        bytes.extend_from_slice(&NOTHING_ELSE);
        bytes
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_under_its_usual_key_and_under_no_other() {
        let usual = Usual { scheme: "https", authority: "a.example", url: "/x?y=1", origin: "app" };
        let key = |usual: &Usual<'_>| Key::new(1, &usual.bytes());
        assert!(usual.is(&key(&usual)));
        for other in [
            Usual { scheme: "http", ..usual },
            Usual { authority: "a.exampl", ..usual },
            Usual { url: "/x", ..usual },
            Usual { url: "/x?y=", ..usual },
            Usual { url: "/x?y=12", ..usual },
            Usual { url: "/x?", ..usual },
            Usual { origin: "ap", ..usual },
        ] {
            assert!(
                !usual.is(&key(&other)) && !other.is(&key(&usual)) && other.is(&key(&other)),
                "{other:?}"
            );
        }
        let bytes = usual.bytes();
        for end in 0..bytes.len() {
            assert!(!usual.is(&Key::new(1, &bytes[..end])));
        }
        assert!(!usual.is(&Key::new(1, &[&bytes[..], b"\0"].concat())), "it says more");
    }
}
