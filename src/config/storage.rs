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
        /// What is stored may take so much: bodies, header fields, tags and a measured constant per entry. Downloads under way may take a quarter more. Set it to about two thirds of the memory the process
        /// may have; `docs/operations.md` says how to reckon.
        /// Example: `capacity: 4GiB`
        capacity: u64 as Size<1_048_576> = 512 << 20;
        /// Larger bodies stream through and are not stored (`too-large`). At most `capacity`.
        /// Example: `max_object: 128MiB`
        max_object: u64 as Size<1, MAX_OBJECT> = 32 << 20;
        /// What is kept when it is full: `tiny_lfu` what is asked for often (a crawl does not push out the pages people read), `lru` what was asked for last.
        /// Example: `policy: lru`
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
        /// `redis://host:6379/0` one server, `rediss://` over TLS, `redis+cluster://h1,h2,h3`, `redis+sentinel://h1,h2/name`; user and password as usual. Redis 7 or later, Valkey 8 or later.
        /// Example: `url: "redis://:${REDIS_PASSWORD:-secret}@cache-db:6379"`
        url: RedisUrl as RedisUrlText;
        /// Prefix of all keys in the store. Fleets that must not share have different ones.
        /// Example: `namespace: shop`
        namespace: Arc<str> as Name = Arc::from("larder");
        /// Of one look-up; after it the request goes on as if the tier had nothing (ten times that and a second for every 8 MiB for bodies over 64 KiB). This is what a slow store may cost a cold page.
        /// Example: `timeout: 20ms`
        timeout: Duration as Timeout = Duration::from_millis(50);
        /// Larger bodies stay on their node.
        /// Example: `max_object: 1MiB`
        max_object: u64 as Size<1, MAX_OBJECT> = 8 << 20;
        /// Leaves a store alone that keeps failing.
        breaker: SharedBreaker as Sect;
        /// For how long in all one node may fetch a cold key while the others wait for it. It is renewed every second: when the node dies the others go on after at most that.
        /// Example: `lease: 30s`
        lease: Duration as Timeout = Duration::from_secs(10);
        /// How long a node may trust its memory without having heard from the purge log: after that much a purge holds everywhere, whatever the network does. Lower = purges hold sooner
        /// on a node that is cut off, and the origin hears sooner that the store is away. The same on all nodes.
        /// Example: `max_unsynced: 5s`
        max_unsynced: Duration as Timeout = Duration::from_secs(10);
        /// What a node does then: `revalidate` asks the origin before it uses an entry, once per entry and period; `serve` goes on, and purges reach it late; `bypass` neither looks up nor stores.
        /// Example: `when_unsynced: serve`
        when_unsynced: WhenUnsynced as Word = WhenUnsynced::Revalidate;
        /// The same as a list of one in `encryption_keys`.
        encryption_key: Option<SealKey> as Opt<SealKeyText>;
        /// Seals values (AES-256-GCM) before they leave the node: 32 bytes in base64 each; the first seals, all of them open. Set it wherever others can read or write the store.
        /// Example: `encryption_keys: ["${LARDER_KEY:-MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=}"]`
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
        /// Example: `failures: 3`
        failures: u32 as Count<1, 10_000> = 5;
        /// How long the store is left alone; then one call is the trial.
        /// Example: `open_for: 5s`
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
