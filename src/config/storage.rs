//! `memory` and `shared`: where responses are kept.

use super::compound::{List, Opt, Sect};
use super::net::{RedisUrl, RedisUrlText};
use super::scalar::{Count, Name, Refusal, Scalar, Secret, SecretText, Single, Size, Timeout, Word};
use super::section::{choice, section};
use base64::Engine as _;
use serde_json::{Value as Json, json};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The memory tier's weights are 32 bits wide (rulings 28).
const MAX_OBJECT: u64 = (4 << 30) - 1;

section! {
    /// The memory tier.
    pub struct Memory {
        /// Bodies and metadata together; enforced.
        capacity: u64 as Size<1_048_576> = 512 << 20;
        /// Larger responses pass through and are not stored.
        max_object: u64 as Size<1, MAX_OBJECT> = 32 << 20;
        /// What is kept when it is full.
        policy: Eviction as Word = Eviction::TinyLfu;
    }
}

choice! {
    /// What is kept when the memory tier is full.
    pub enum Eviction {
        /// What is asked for often.
        TinyLfu = "tiny_lfu",
        /// What was asked for last.
        Lru = "lru",
    }
}

section! {
    /// The tier that a fleet shares; without this section the node is alone.
    pub struct Shared {
        /// `redis://h:6379`, `rediss://`, `redis+cluster://h1,h2`, `redis+sentinel://h1,h2/name`.
        url: RedisUrl as RedisUrlText;
        /// Prefix of all keys.
        namespace: Arc<str> as Name = Arc::from("larder");
        /// Of one look-up; after it the request goes on without the shared tier.
        timeout: Duration as Timeout = Duration::from_millis(50);
        /// Larger responses stay on their node.
        max_object: u64 as Size<1, MAX_OBJECT> = 8 << 20;
        /// Stops asking a store that keeps failing.
        breaker: SharedBreaker as Sect;
        /// How long one node may fetch a cold key while the others wait for it.
        lease: Duration as Timeout = Duration::from_secs(10);
        /// How long a node that is cut off may serve without asking the origin.
        max_unsynced: Duration as Timeout = Duration::from_secs(10);
        /// What a node does then.
        when_unsynced: WhenUnsynced as Word = WhenUnsynced::Revalidate;
        /// Seals values: 32 bytes in base64. The same as a list of one in `encryption_keys`.
        encryption_key: Option<SealKey> as Opt<SealKeyText>;
        /// Seals values: the first key seals, all of them open.
        encryption_keys: Vec<SealKey> as List<SealKeyText> = Vec::new();
    }
}

impl Shared {
    /// The keys, the one that seals first.
    pub fn keys(&self) -> impl Iterator<Item = &SealKey> {
        self.encryption_key.iter().chain(&self.encryption_keys)
    }
}

section! {
    /// Stops asking a store that keeps failing.
    pub struct SharedBreaker {
        /// Failures in a row that open it.
        failures: u32 as Count<1, 10_000> = 5;
        /// How long the store is left alone.
        open_for: Duration as Timeout = Duration::from_secs(2);
    }
}

choice! {
    /// What a node does that has not heard from the purge log for `max_unsynced`.
    pub enum WhenUnsynced {
        /// Ask the origin before using an entry.
        Revalidate = "revalidate",
        /// Go on as if nothing were.
        Serve = "serve",
        /// Neither look up nor store.
        Bypass = "bypass",
    }
}

/// A key that seals values of the shared tier.
#[derive(Clone, PartialEq, Eq)]
pub struct SealKey([u8; 32]);

impl SealKey {
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(***)")
    }
}

/// 32 bytes in base64.
#[derive(Debug)]
pub struct SealKeyText;
impl Single for SealKeyText {}

impl Scalar<SealKey> for SealKeyText {
    const SECRET: bool = true;
    fn what() -> String {
        "32 bytes in base64".into()
    }
    fn parse(text: &str) -> Result<SealKey, Refusal> {
        let secret: Secret = SecretText::parse(text)?;
        let bytes = base64::engine::general_purpose::STANDARD.decode(secret.expose());
        let help = "`head -c 32 /dev/urandom | base64` makes one";
        let bytes = bytes.map_err(|_| Refusal::new("the key is not base64").help(help))?;
        let count = bytes.len();
        let key = bytes
            .try_into()
            .map_err(|_| Refusal::new(format!("the key has {count} bytes, not 32")).help(help))?;
        Ok(SealKey(key))
    }
    fn show(_: &SealKey) -> Json {
        json!(super::scalar::BLANK)
    }
    fn schema() -> Json {
        json!({ "type": "string", "minLength": 1 })
    }
}
