//! The names of keys in the store.
//!
//! Everything that belongs to one cache key has the same tag in braces, so that a cluster keeps it in one slot, where
//! one script can see it all:
//!
//! | name | what |
//! | --- | --- |
//! | `{ns:v1:DIGEST}:r` | the record of the response, if it has no variants |
//! | `{ns:v1:DIGEST}:r:VARIANT` | the record of one variant |
//! | `{ns:v1:DIGEST}:vary` | which request fields select the variant |
//! | `{ns:v1:DIGEST}:l`, `…:l:VARIANT` | the lease of whoever fetches it |
//! | `{ns:v1:DIGEST}:m` | the mark that the last answer could not be shared |
//! | `{ns:v1:DIGEST}:c:GENERATION:N` | piece N of a large body; a new body is a new generation, so two never mix |
//! | `{ns:purge}:log`, `{ns:purge}:nodes` | the purge log and who follows it |
//!
//! `v1` is the format of values ([`super::value::VERSION`]), so two releases with different formats share a store and
//! never read each other's bytes. The log has no version: purges must cross a rolling upgrade (rulings 20).
//!
//! A digest is 128 bits in hex, and keyed if there is anything to key it with, so that who can list the store's keys
//! can't test whether a URL (or a cookie that selects a variant) is among them. The digest only finds: every value
//! carries the whole cache key, which is compared.
//!
//! What keys the digest is `server.secret` if that is set, else the **last** of `shared.encryption_keys`: keys are
//! rotated by putting a new one in front, and the names stay while the old one is there. When it is taken away at last,
//! or the secret changes, names change, and the store's content is found no more: it is filled again and the old
//! expires. Nodes of one fleet must agree on both, else they don't share.

use super::settings::{Keys, Settings};
use super::value::{Generation, VERSION};
use crate::store::Key;
use ring::{digest, hmac};
use std::fmt;

/// Bytes of a digest that a name holds.
const DIGEST_BYTES: usize = 16;

/// Separates this use of the secret from all others of it.
const SECRET_LABEL: &[u8] = b"larder names v1";

/// What is digested, so that no variant has the digest of a key.
#[derive(Clone, Copy)]
enum Domain {
    Key = 1,
    Variant,
}

/// Makes all names of one namespace. `Debug` shows no secret.
#[derive(Clone)]
pub struct Names {
    /// `{ns:v1:`
    values: String,
    /// `{ns:purge}:`
    purges: String,
    /// `None`: the digest is a plain SHA-256.
    keyed: Option<hmac::Key>,
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").field("values", &self.values).field("keyed", &self.keyed.is_some()).finish()
    }
}

impl Names {
    pub fn new(namespace: &str, secret: Option<&str>, keys: &Keys) -> Self {
        // A brace in the namespace would end or begin the tag somewhere else.
        let namespace = namespace.replace('%', "%25").replace('{', "%7B").replace('}', "%7D");
        let secret = secret.map(str::as_bytes).or_else(|| keys.0.last().map(|key| key.as_slice()));
        // HKDF-Extract (RFC 5869 §2.2) with the label as salt: the secret serves other purposes too, and may be
        // a text of any length.
        let keyed = secret.map(|secret| {
            let salt = hmac::Key::new(hmac::HMAC_SHA256, SECRET_LABEL);
            hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&salt, secret).as_ref())
        });
        Self {
            values: format!("{{{namespace}:v{VERSION}:"),
            purges: format!("{{{namespace}:purge}}:"),
            keyed,
        }
    }

    pub fn from_settings(settings: &Settings) -> Self {
        Self::new(&settings.namespace, settings.secret.as_deref(), &settings.keys)
    }

    /// The names of all that belongs to one cache key. Costs one digest.
    pub fn of(&self, key: &Key) -> KeyNames {
        KeyNames { tag: format!("{}{}}}", self.values, self.digest(Domain::Key, key.as_bytes())) }
    }

    /// The variant with this normal form (`Meta::variant`, [`crate::semantics::vary::variant`]). Costs one digest.
    pub fn variant(&self, normal_form: &[u8]) -> VariantName {
        VariantName(self.digest(Domain::Variant, normal_form))
    }

    /// The stream of purges.
    pub fn log(&self) -> String {
        self.of_log("log")
    }

    /// Heart-beats and receipts of the nodes.
    pub fn nodes(&self) -> String {
        self.of_log("nodes")
    }

    /// Anything else that must be in the log's slot.
    pub fn of_log(&self, part: &str) -> String {
        format!("{}{part}", self.purges)
    }

    fn digest(&self, domain: Domain, bytes: &[u8]) -> Hex<DIGEST_BYTES> {
        let domain = [domain as u8];
        let mut out = [0; DIGEST_BYTES];
        let mut fill = |from: &[u8]| out.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        match &self.keyed {
            Some(key) => {
                let mut context = hmac::Context::with_key(key);
                context.update(&domain);
                context.update(bytes);
                fill(context.sign().as_ref());
            }
            None => {
                let mut context = digest::Context::new(&digest::SHA256);
                context.update(&domain);
                context.update(bytes);
                fill(context.finish().as_ref());
            }
        }
        Hex(out)
    }
}

/// The names of what belongs to one cache key: all in one slot of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyNames {
    tag: String,
}

/// How a variant is called in names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VariantName(Hex<DIGEST_BYTES>);

impl KeyNames {
    /// The record of the response (of one variant).
    pub fn record(&self, variant: Option<&VariantName>) -> String {
        self.with_variant("r", variant)
    }

    /// Says which request fields select the variant, when there are any.
    pub fn vary(&self) -> String {
        format!("{}:vary", self.tag)
    }

    pub fn lease(&self, variant: Option<&VariantName>) -> String {
        self.with_variant("l", variant)
    }

    pub fn mark(&self) -> String {
        format!("{}:m", self.tag)
    }

    /// Piece `index`, from 0, of a body.
    pub fn chunk(&self, generation: Generation, index: u32) -> String {
        format!("{}:c:{generation}:{index}", self.tag)
    }

    fn with_variant(&self, kind: &str, variant: Option<&VariantName>) -> String {
        match variant {
            None => format!("{}:{kind}", self.tag),
            Some(VariantName(digest)) => format!("{}:{kind}:{digest}", self.tag),
        }
    }
}

/// Bytes that are shown in hex.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Hex<const N: usize>(pub [u8; N]);

impl<const N: usize> fmt::Display for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl<const N: usize> fmt::Debug for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key::new(7, b"https shop.example.com /products/1")
    }

    fn keys(bytes: &[u8]) -> Keys {
        Keys(bytes.iter().map(|byte| [*byte; 32]).collect())
    }

    #[test]
    fn names_are_the_same_on_every_node_and_in_every_release() {
        // Worked out by another program. A change here loses what the store holds, unless it comes with a new version of
        // the format.
        let variant = b"\0\0\0\x0faccept-language\x01\0\0\0\x02de";
        for (names, wanted) in [
            (Names::new("larder", None, &keys(&[])), PLAIN),
            (Names::new("larder", Some("a secret"), &keys(&[1])), BY_SECRET),
            (Names::new("larder", None, &keys(&[2, 1])), BY_KEY),
        ] {
            let (of_key, variant) = (names.of(&key()), names.variant(variant));
            assert_eq!([of_key.record(None), of_key.record(Some(&variant))], wanted);
        }
    }

    const PLAIN: [&str; 2] = [
        "{larder:v1:20df7ca9bed8c2d1d9f6e4793027b45b}:r",
        "{larder:v1:20df7ca9bed8c2d1d9f6e4793027b45b}:r:27d2083ce4dcbc90a9fd165787f7850a",
    ];
    const BY_SECRET: [&str; 2] = [
        "{larder:v1:e3ab3066e46861a7089029d66dbf12b4}:r",
        "{larder:v1:e3ab3066e46861a7089029d66dbf12b4}:r:67ddb5314dd8e34281f11c8b6e7f2866",
    ];
    const BY_KEY: [&str; 2] = [
        "{larder:v1:698dbd1000222ab843c8ef602d8c3573}:r",
        "{larder:v1:698dbd1000222ab843c8ef602d8c3573}:r:5ccd711b48ca1d01ab66e044a1a5a25d",
    ];

    #[test]
    fn everything_of_one_cache_key_has_one_tag_and_the_log_another() {
        let names = Names::new("larder", None, &keys(&[]));
        let (of_key, variant) = (names.of(&key()), names.variant(b"v"));
        let all = [
            of_key.record(None),
            of_key.record(Some(&variant)),
            of_key.vary(),
            of_key.lease(None),
            of_key.lease(Some(&variant)),
            of_key.mark(),
            of_key.chunk(Generation::from_bytes([9; 16]), 12),
        ];
        let tag = |name: &str| name.split_inclusive('}').next().unwrap().to_owned();
        assert!(all.iter().all(|name| tag(name) == tag(&all[0])), "{all:?}");
        assert!(all[6].ends_with(":c:09090909090909090909090909090909:12"), "{}", all[6]);
        let mut different = all.to_vec();
        different.sort();
        different.dedup();
        assert_eq!(different.len(), all.len());
        assert_eq!([names.log(), names.nodes()], ["{larder:purge}:log", "{larder:purge}:nodes"]);
    }

    #[test]
    fn rulings_20_the_format_is_in_the_names_of_values_and_not_of_the_log() {
        let names = Names::new("n", None, &keys(&[]));
        assert!(names.of(&key()).mark().starts_with(&format!("{{n:v{VERSION}:")));
        assert_eq!(names.of_log("tail"), "{n:purge}:tail");
    }

    #[test]
    fn names_stay_when_a_key_is_put_in_front() {
        let before = Names::new("n", None, &keys(&[1])).of(&key());
        assert_eq!(Names::new("n", None, &keys(&[2, 1])).of(&key()), before);
        assert_ne!(Names::new("n", None, &keys(&[2])).of(&key()), before);
        // With a secret, keys may come and go.
        let secret = Names::new("n", Some("s"), &keys(&[1])).of(&key());
        assert_eq!(Names::new("n", Some("s"), &keys(&[2])).of(&key()), secret);
        assert_ne!(secret, before);
    }

    #[test]
    fn a_brace_in_the_namespace_does_not_move_the_tag() {
        let odd = Names::new("a}{b", None, &keys(&[])).of(&key()).mark();
        assert_eq!((odd.matches('{').count(), odd.matches('}').count()), (1, 1));
        assert!(odd.starts_with('{') && odd.ends_with("}:m"));
    }

    #[test]
    fn a_variant_has_not_the_digest_of_a_key_of_the_same_bytes() {
        let names = Names::new("n", None, &keys(&[]));
        let record = names.of(&Key::new(0, b"same")).record(Some(&names.variant(b"same")));
        let (key, variant) = record.trim_start_matches("{n:v1:").split_once("}:r:").unwrap();
        assert_ne!(key, variant);
    }
}
