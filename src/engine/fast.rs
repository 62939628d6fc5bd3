//! The fast lane's half of a hit: a plain GET or HEAD that asks for nothing special, whose host and target were
//! seen before, and whose entry is fresh, is answered from bytes that were prepared when it was stored. The
//! decision is the same pure plan that every other request goes through; whatever it doesn't settle as a plain
//! hit is left to the ordinary way.
//!
//! A *memo* remembers which key and policy a raw host and target lead to. It exists only where no rule that
//! could match looks at anything else of the request, and only for the configuration it was made under.

use crate::engine::answer::Ask;
use crate::engine::compress::plain_fields;
use crate::engine::fetch::content_type;
use crate::engine::plan::{self, Found, Lookup, Plan, Seen, Wishes};
use crate::engine::policy::{HeaderSource, Policy};
use crate::engine::rules::Resolved;
use crate::engine::ryw;
use crate::engine::site::{Engine, Site};
use crate::purge::Verdict;
use crate::semantics::cache_control::RequestDirectives;
use crate::semantics::cache_status::Member;
use crate::semantics::vary;
use crate::store::entry::Meta;
use crate::store::memory::is_useless;
use crate::store::{Entry, Key};
use crate::time::Now;
use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, AGE, CONNECTION, CONTENT_LENGTH, COOKIE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

/// Where memos are kept: a fixed table; a later URL with the same slot takes it over. At most some 20 MiB.
const SLOTS: usize = 16_384;

/// Longest host and target together that is remembered, bytes.
const LONGEST: usize = 1024;

/// The luck that the fast lane assumes for early refreshes: it leaves all requests to the ordinary way from the age on at
/// which one in a thousand of them would refresh. Before that age none does.
const LUCKIEST: f64 = 0.001;

/// What a raw host and target lead to.
#[derive(Debug)]
pub struct Memo {
    tls: bool,
    host: Box<[u8]>,
    target: Box<[u8]>,
    key: Key,
    resolved: Resolved,
    generation: u64,
}

/// The table of memos.
pub struct Memos(Box<[ArcSwapOption<Memo>]>);

impl std::fmt::Debug for Memos {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memos")
    }
}

impl Default for Memos {
    fn default() -> Self {
        Self((0..SLOTS).map(|_| ArcSwapOption::empty()).collect())
    }
}

impl Memos {
    fn slot(&self, seed: u64, tls: bool, host: &[u8], target: &[u8]) -> Option<&ArcSwapOption<Memo>> {
        let hash = xxhash_rust::xxh3::xxh3_64_with_seed(target, seed ^ u64::from(tls))
            ^ xxhash_rust::xxh3::xxh3_64_with_seed(host, seed.rotate_left(17));
        self.0.get(usize::try_from(hash).unwrap_or(0) % SLOTS)
    }
}

/// A request that might be a plain hit: nothing in it but what selects a variant.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a> {
    pub tls: bool,
    pub host: &'a [u8],
    pub target: &'a [u8],
}

/// A plain hit.
#[derive(Debug)]
pub struct FastHit {
    pub entry: Arc<Entry>,
    pub policy: Arc<Policy>,
    pub age: Duration,
    pub ttl: i64,
}

impl Engine {
    /// Remembers where this raw host and target lead, if that depends on nothing else. Never where a `rate` applies: a hit
    /// counts like any other request.
    pub fn remember(&self, plain: &Plain<'_>, key: &Key, resolved: &Resolved, generation: u64) {
        let policy = &resolved.policy;
        let simple = resolved.repeatable
            && !resolved.disagree
            && !policy.bypass
            && policy.respond.is_none()
            && policy.rate.is_none()
            && policy.key.headers.is_empty()
            && policy.key.cookies.is_empty()
            && plain.host.len() + plain.target.len() <= LONGEST;
        if !simple {
            return;
        }
        let Some(slot) = self.memos.slot(self.seed, plain.tls, plain.host, plain.target) else { return };
        let same = slot.load().as_ref().is_some_and(|m| m.is(plain, generation));
        if !same {
            slot.store(Some(Arc::new(Memo {
                tls: plain.tls,
                host: plain.host.into(),
                target: plain.target.into(),
                key: key.clone(),
                resolved: resolved.clone(),
                generation,
            })));
        }
    }

    /// A plain hit, if this is one. `nominated` gives the values of a request field, in order.
    pub fn fast_hit<'h>(
        &self,
        plain: &Plain<'_>,
        headers: impl Fn(&HeaderName) -> Vec<&'h [u8]>,
        now: Now,
    ) -> Option<FastHit> {
        let site = self.site();
        let generation = site.generation;
        let slot = self.memos.slot(self.seed, plain.tls, plain.host, plain.target)?.load();
        let memo = slot.as_ref().filter(|m| m.is(plain, generation))?;
        let resource = self.memory.get(&memo.key)?;
        let simple = resource.variants.len() == 1
            && resource.variants.first().is_some_and(|e| e.meta.nominated.is_empty());
        let entry = if simple {
            resource.variants.first()?
        } else if !memo.resolved.policy.request_headers.is_empty() {
            // A rule may set what `Vary` nominates: the client's own fields don't tell the variant.
            return None;
        } else {
            resource.select(&selecting(&resource.variants, &headers)?)?
        };
        if entry.head.generation != generation || entry.head.bytes.is_empty() || is_useless(entry, now.mono) {
            return None;
        }
        if self.verdict(entry) != Verdict::Clean || !self.is_synced(now) {
            return None;
        }
        let age = entry.meta.age(now.mono);
        let found = Found { freshness: &entry.meta.freshness, age, verdict: Seen::Clean, unsynced: false };
        let content_type = content_type(&entry.meta.headers);
        let policy = site.rules.resolve_response(&memo.resolved, entry.meta.status, content_type);
        if policy.read_your_writes.is_some() && headers(&COOKIE).into_iter().any(ryw::is_in) {
            return None;
        }
        let wishes = Wishes { honour_client: true, early_refresh: policy.early_refresh };
        // No draw here: where an early refresh is at all likely the ordinary way draws for it, once.
        let plan = plan::decide(
            Lookup::Found(found),
            &RequestDirectives::default(),
            wishes,
            entry.meta.fetch_time,
            LUCKIEST,
        );
        let form = self.fast_form(&policy, entry, || headers(&ACCEPT_ENCODING))?;
        (plan == Plan::Serve { stale: None, refresh: false }).then(|| FastHit {
            entry: form.clone(),
            policy,
            age,
            ttl: entry.meta.freshness.ttl(age),
        })
    }
}

impl Ask {
    /// After a reload a prepared head is of no use to the fast lane: makes one by the new rules, once.
    pub(super) fn prepare_anew(&self, entry: &Arc<Entry>) {
        // What is just being refreshed is replaced anyway; a copy would be refreshed again.
        if entry.head.generation >= self.site.generation || !entry.try_refresh() {
            return;
        }
        let policy = self.policy_for(entry.meta.status, &entry.meta.headers);
        let anew = self.engine.seal_again(&self.site, &policy, entry.meta.clone(), entry);
        self.engine.memory.replace(&self.key, entry, Arc::new(anew));
        entry.refresh_done();
    }
}

impl Memo {
    fn is(&self, plain: &Plain<'_>, generation: u64) -> bool {
        self.generation == generation
            && self.tls == plain.tls
            && *self.target == *plain.target
            && *self.host == *plain.host
    }
}

/// The request fields that any variant nominates, normalised as on the ordinary way.
fn selecting<'h>(
    variants: &[Arc<Entry>],
    headers: impl Fn(&HeaderName) -> Vec<&'h [u8]>,
) -> Option<HeaderMap> {
    let mut map = HeaderMap::new();
    for name in variants.iter().flat_map(|e| e.meta.nominated.iter()) {
        if map.contains_key(name) {
            continue;
        }
        for value in headers(name) {
            map.append(name.clone(), HeaderValue::from_bytes(value).ok()?);
        }
    }
    vary::normalise_request(&mut map);
    Some(map)
}

/// Whether a response can be answered from a prepared head: nothing in it depends on the request, or on the
/// time besides `Age` and `Cache-Status`.
pub fn eligible(meta: &Meta, policy: &Policy, trailers: bool) -> bool {
    let fixed = |edits: &crate::engine::policy::HeaderEdits| {
        edits.set.iter().all(|(_, source)| matches!(source, HeaderSource::Fixed(_)))
    };
    !trailers
        && policy.browser_ttl.is_none()
        && fixed(&policy.response_headers)
        && !meta.freshness.must_validate
        && !meta.status.is_informational()
}

/// Status line and fields as HTTP/1.1 sends them, up to where `Age` and `Cache-Status` follow.
pub fn prepare(site: &Site, policy: &Policy, meta: &Meta, length: u64) -> Bytes {
    let mut out = Vec::with_capacity(crate::store::entry::field_bytes(&meta.headers) + 128);
    // Writing to a Vec can't fail.
    let reason = meta.status.canonical_reason().unwrap_or("");
    let _ = write!(out, "HTTP/1.1 {} {reason}\r\n", meta.status.as_str());
    let mut headers = plain_fields(policy, meta, Some(length));
    for name in [AGE, CONNECTION, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    if !crate::engine::deliver::bodyless(meta.status) {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    headers.append(http::header::VIA, site.via.clone());
    for name in &policy.response_headers.remove {
        headers.remove(name);
    }
    for (name, source) in &policy.response_headers.set {
        if let HeaderSource::Fixed(value) = source {
            headers.insert(name.clone(), value.clone());
        }
    }
    for (name, value) in &headers {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.into()
}

/// Completes a prepared head: `Age`, `Cache-Status`, the empty line.
pub fn complete(hit: &FastHit, server_name: &str, out: &mut Vec<u8>) {
    let member = Member { ttl: Some(hit.ttl), ..Member::default() };
    out.extend_from_slice(&hit.entry.head.bytes);
    let _ = write!(out, "age: {}\r\ncache-status: ", hit.age.as_secs());
    out.extend_from_slice(member.to_value(server_name).as_bytes());
    out.extend_from_slice(b"\r\n\r\n");
}
