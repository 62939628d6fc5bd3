//! A *memo* remembers which key and policy a raw host and target lead to. It exists only where no rule that could match
//! looks at anything else of the request, and only for the configuration it was made under.

use crate::engine::outcome::Kind;
use crate::engine::policy::Policy;
use crate::engine::rules::Resolved;
use crate::engine::site::{Engine, Site};
use crate::observe::metrics::RequestCounts;
use crate::store::Key;
use arc_swap::{ArcSwapOption, Guard};
use std::sync::Arc;

/// Where memos are kept: a fixed table; a later URL with the same slot takes it over. Half a KiB each, so at most some 20 MiB for the
/// least and 80 for the most; between them one for every 64 KiB of the store, which is 2 % of it. A hit whose memo was taken over goes the
/// ordinary way, several times as dear: of requests for 100,000 URLs by Zipf's law with exponent 1 that is one in four with the
/// least slots, and one in eight with the most.
const SLOTS: std::ops::RangeInclusive<u64> = 1 << 14..=1 << 16;
const BYTES_PER_SLOT: u64 = 64 << 10;

/// Longest host and target together that is remembered, bytes.
const LONGEST: usize = 1024;

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
pub struct Memos(Box<[ArcSwapOption<Memo>]>);

impl std::fmt::Debug for Memos {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memos")
    }
}

impl Memos {
    /// Beside a store of that many bytes.
    pub fn new(capacity: u64) -> Self {
        let slots = (capacity / BYTES_PER_SLOT).clamp(*SLOTS.start(), *SLOTS.end());
        Self((0..slots).map(|_| ArcSwapOption::empty()).collect())
    }

    fn slot(&self, hash: u64) -> Option<&ArcSwapOption<Memo>> {
        self.0.get(usize::try_from(hash).unwrap_or(0) % self.0.len())
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
        let policy = &resolved.policy;
        let simple = resolved.repeatable
            && !resolved.disagree
            && !policy.bypass
            && policy.respond.is_none()
            // A hit counts like any other request.
            && policy.rate.is_none()
            && policy.key.headers.is_empty()
            && policy.key.cookies.is_empty()
            && plain.host.len() + plain.target.len() <= LONGEST;
        if !simple {
            return;
        }
        let Some(slot) = self.memos.slot(plain.hash(self.seed)) else { return };
        let same = slot.load().as_ref().is_some_and(|m| m.is(plain, site.generation));
        if !same {
            slot.store(Some(Arc::new(Memo {
                asked: Asked::new(plain, site.generation),
                key: key.clone(),
                resolved: resolved.clone(),
                governed: Governed::new(self, site, policy.clone()),
            })));
        }
    }
}
