//! A *memo* remembers which key and policy a raw host and target lead to. It exists only where no rule that could match
//! looks at anything else of the request, and only for the configuration it was made under.

use crate::engine::key;
use crate::engine::outcome::Kind;
use crate::engine::policy::Policy;
use crate::engine::rules::{RequestFacts, Resolved};
use crate::engine::site::{Engine, Site};
use crate::observe::metrics::RequestCounts;
use crate::store::Key;
use arc_swap::{ArcSwapOption, Guard};
use http::{HeaderMap, Method};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where memos are kept: a fixed table; a later URL with the same slot takes it over. Half a KiB each, with the longest places one and a
/// half, so usually 8 MiB for the least and 16 for the most, and never over 24 and 48; between them one for every 64 KiB of the store. A hit whose memo was taken over makes
/// one anew ([`Engine::learn`]): of requests for 100,000 URLs by Zipf's law with exponent 1 that is one in four with the least slots.
const SLOTS: std::ops::RangeInclusive<u64> = 1 << 14..=1 << 15;
const BYTES_PER_SLOT: u64 = 64 << 10;

/// Places that lately led to nothing in the store: eight bytes each.
const UNKNOWN: usize = 1 << 12;

/// Longest host and target together that is remembered, bytes: a memo has them twice, as they were sent and as a key.
const LONGEST: usize = 512;

/// Host and target as an HTTP/1 client sent them.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a> {
    pub tls: bool,
    pub host: &'a [u8],
    pub target: &'a [u8],
}

impl Plain<'_> {
    /// Of tables: what is found is compared.
    pub(super) fn hash(&self, seed: u64) -> u64 {
        xxhash_rust::xxh3::xxh3_64_with_seed(self.target, seed ^ u64::from(self.tls))
            ^ xxhash_rust::xxh3::xxh3_64_with_seed(self.host, seed.rotate_left(17))
    }
}

/// A [`Plain`] of its own, and the configuration it was looked at under.
#[derive(Debug)]
pub(super) struct Asked {
    tls: bool,
    host: Box<[u8]>,
    target: Box<[u8]>,
    pub generation: u64,
}

impl Asked {
    pub fn new(plain: &Plain<'_>, generation: u64) -> Self {
        Self { tls: plain.tls, host: plain.host.into(), target: plain.target.into(), generation }
    }

    pub fn is(&self, plain: &Plain<'_>, generation: u64) -> bool {
        self.generation == generation
            && self.tls == plain.tls
            && *self.target == *plain.target
            && *self.host == *plain.host
    }
}

/// What governs a hit, and where it is counted.
#[derive(Debug)]
pub struct Governed {
    pub policy: Arc<Policy>,
    pub counts: RequestCounts,
    /// How the heads of its answers end.
    pub(super) tail: Arc<[u8]>,
}

impl Governed {
    pub(super) fn new(engine: &Engine, site: &Site, policy: Arc<Policy>) -> Arc<Self> {
        let counts = engine.metrics.counts(&policy.rule, Kind::Hit.as_str());
        Arc::new(Self { tail: super::tail(site, &policy), policy, counts })
    }
}

/// What a raw host and target lead to.
#[derive(Debug)]
pub struct Memo {
    asked: Asked,
    pub(super) key: Key,
    pub(super) resolved: Resolved,
    /// By `resolved.policy`.
    pub(super) governed: Arc<Governed>,
}

/// The table of memos.
pub struct Memos {
    slots: Box<[ArcSwapOption<Memo>]>,
    /// Hashes of places where [`Engine::learn`] found nothing: what is never stored should not pay for the search each time. One that is
    /// stored after all has its memo from the ordinary way.
    unknown: Box<[AtomicU64]>,
}

impl std::fmt::Debug for Memos {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memos")
    }
}

impl Memos {
    /// Beside a store of that many bytes.
    pub fn new(capacity: u64) -> Self {
        let slots = (capacity / BYTES_PER_SLOT).clamp(*SLOTS.start(), *SLOTS.end());
        Self {
            slots: (0..slots).map(|_| ArcSwapOption::empty()).collect(),
            unknown: (0..UNKNOWN).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    fn slot(&self, hash: u64) -> Option<&ArcSwapOption<Memo>> {
        self.slots.get(usize::try_from(hash).unwrap_or(0) % self.slots.len())
    }

    fn unknown(&self, hash: u64) -> Option<&AtomicU64> {
        self.unknown.get(usize::try_from(hash).unwrap_or(0) % UNKNOWN)
    }

    fn is_unknown(&self, hash: u64) -> bool {
        self.unknown(hash).is_some_and(|at| at.load(Ordering::Relaxed) == hash)
    }

    fn set_unknown(&self, hash: u64) {
        if let Some(at) = self.unknown(hash) {
            at.store(hash, Ordering::Relaxed);
        }
    }

    fn forget_unknown(&self, hash: u64) {
        if let Some(at) = self.unknown(hash).filter(|at| at.load(Ordering::Relaxed) == hash) {
            at.store(!hash, Ordering::Relaxed); // no hash of this slot
        }
    }

    fn set(&self, hash: u64, memo: Arc<Memo>) {
        self.forget_unknown(hash);
        if let Some(slot) = self.slot(hash) {
            slot.store(Some(memo));
        }
    }

    /// The slot of this hash; [`Memo::is`] tells whether what is in it is meant.
    pub(super) fn load(&self, hash: u64) -> Guard<Option<Arc<Memo>>> {
        self.slot(hash).map_or_else(|| Guard::from_inner(None), ArcSwapOption::load)
    }
}

impl Memo {
    pub(super) fn is(&self, plain: &Plain<'_>, generation: u64) -> bool {
        self.asked.is(plain, generation)
    }
}

impl Engine {
    /// Remembers where this raw host and target lead, if that depends on nothing else.
    pub fn remember(&self, plain: &Plain<'_>, key: &Key, resolved: &Resolved, site: &Site) {
        let hash = plain.hash(self.seed);
        let same = self.memos.load(hash).as_ref().is_some_and(|memo| memo.is(plain, site.generation));
        if !same && is_simple(plain, resolved) {
            self.memos.set(hash, self.memo(plain, key.clone(), resolved.clone(), site));
        }
    }

    /// Where a host and a target lead of which nothing is remembered, found as on the ordinary way, but without a request. `host` gives it in
    /// normal form, or nothing if the ordinary way should see to it. Only for what the store holds: a miss has a longer way to
    /// go anyway, and its memo would push out one that is of use.
    pub(super) fn learn(
        &self,
        hash: u64,
        plain: &Plain<'_>,
        host: impl FnOnce() -> Option<String>,
        site: &Site,
    ) -> Option<Arc<Memo>> {
        if self.memos.is_unknown(hash) {
            return None;
        }
        let memo = self.look_for(plain, host, site);
        match &memo {
            Some(memo) => self.memos.set(hash, memo.clone()),
            None => self.memos.set_unknown(hash),
        }
        memo
    }

    fn look_for(
        &self,
        plain: &Plain<'_>,
        host: impl FnOnce() -> Option<String>,
        site: &Site,
    ) -> Option<Arc<Memo>> {
        let target = std::str::from_utf8(plain.target).ok()?;
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let (host, headers) = (host()?, HeaderMap::new());
        let scheme = if plain.tls { "https" } else { "http" };
        let facts =
            RequestFacts { method: &Method::GET, scheme, host: &host, path, query, headers: &headers };
        let resolved = site.rules.resolve(&facts);
        if !is_simple(plain, &resolved) {
            return None;
        }
        let query = resolved.policy.key.apply_query(query);
        let key = key::of(self.seed, &facts, query.as_deref(), &resolved, &headers, None);
        self.memory.holds(&key).then(|| self.memo(plain, key, resolved, site))
    }

    fn memo(&self, plain: &Plain<'_>, key: Key, resolved: Resolved, site: &Site) -> Arc<Memo> {
        Arc::new(Memo {
            asked: Asked::new(plain, site.generation),
            key,
            governed: Governed::new(self, site, resolved.policy.clone()),
            resolved,
        })
    }
}

/// Whether a place leads to this key and policy whatever else a plain request brings.
fn is_simple(plain: &Plain<'_>, resolved: &Resolved) -> bool {
    let policy = &resolved.policy;
    resolved.repeatable
        && !resolved.disagree
        && !policy.bypass
        && policy.respond.is_none()
        // A hit counts like any other request.
        && policy.rate.is_none()
        && policy.key.headers.is_empty()
        && policy.key.cookies.is_empty()
        && plain.host.len() + plain.target.len() <= LONGEST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_after_all_is_not_unknown_any_more_and_nothing_else_is_touched() {
        let memos = Memos::new(0);
        let (hash, other) = (5, !5);
        memos.set_unknown(hash);
        memos.set_unknown(other);
        assert!(memos.is_unknown(hash) && memos.is_unknown(other));
        memos.forget_unknown(hash);
        assert!(!memos.is_unknown(hash) && memos.is_unknown(other));
    }
}
