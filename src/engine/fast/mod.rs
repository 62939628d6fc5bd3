//! The fast lane's half of a hit: a GET or HEAD that asks for nothing unusual, and
//! whose entry is fresh, or stale and already being refreshed in the background, is answered from bytes that were prepared when
//! it was stored ([`head`]). The decision is the same pure plan that every other request goes through, and conditions and ranges are judged by the same
//! semantics; whatever they don't settle as a plain hit is left to the ordinary way.
//!
//! Two tables lead from what a client sends to the entry. A *memo* ([`memo`]) knows the key and the policy of a raw host and
//! target, and is made where there is none; the entry is then looked up in the store. What is asked for most is *ready*: a thread's own table ([`Near`]) has
//! memo, entry and policy together, and such a hit writes no memory that another thread reads or writes.
//!
//! [`Near`]: crate::store::Near

pub mod head;
pub mod memo;
mod ready;

pub use head::{complete, eligible, prepare, response_head, tail};
pub use memo::{Governed, Memos, Plain};
pub use ready::Ready;

use crate::engine::answer::Ask;
use crate::engine::plan::{self, Lookup, Plan, Seen, StaleWhy, Wishes};
use crate::engine::policy::Policy;
use crate::engine::ryw;
use crate::engine::site::Engine;
use crate::purge::Verdict;
use crate::semantics::cache_control::RequestDirectives;
use crate::semantics::coding::Coding;
use crate::semantics::fields::content_type;
use crate::semantics::{preconditions, range, vary};
use crate::store::entry::Described;
use crate::store::forms::Form;
use crate::store::{Entry, Resource};
use crate::time::Mono;
use http::header::COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use memo::Memo;
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The luck that the fast lane assumes for early refreshes: it leaves all requests to the ordinary way from the age on at
/// which one in a thousand of them would refresh. Before that age none does.
const LUCKIEST: f64 = 0.001;

/// Gives every value of a request field, in order, to its second argument.
pub trait Fields: Fn(&HeaderName, &mut dyn FnMut(&[u8])) {}
impl<F: Fn(&HeaderName, &mut dyn FnMut(&[u8]))> Fields for F {}

/// An answer from the store with nothing else to be done.
#[derive(Debug)]
pub struct FastHit {
    found: Found,
    /// The coded form of what was found that is sent.
    form: Option<Coding>,
    pub age: Duration,
    /// Seconds; negative when it is stale.
    pub ttl: i64,
    pub stale: Option<StaleWhy>,
}

/// Where it was found.
#[derive(Debug)]
enum Found {
    Near { ready: Arc<Ready>, choice: usize },
    Far { entry: Arc<Entry>, governed: Arc<Governed> },
}

/// What of an entry a request gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    Whole,
    NotModified,
    Part(Range<u64>),
}

impl FastHit {
    /// What is sent.
    pub fn entry(&self) -> &Entry {
        let plain = match &self.found {
            Found::Near { ready, choice } => ready.entry(*choice),
            Found::Far { entry, .. } => entry,
        };
        // Not by a reference of its own, whose count all threads would write.
        match self.form.map(|coding| plain.forms.get(coding)) {
            Some(Form::Made(form)) => form,
            _ => plain,
        }
    }

    /// Where the fields of its whole answer are kept, for as long as a thread has it at hand.
    fn kept_fields(&self) -> Option<&OnceLock<Option<head::Fields>>> {
        match &self.found {
            Found::Near { ready, choice } => Some(ready.fields(*choice, self.form)),
            Found::Far { .. } => None,
        }
    }

    pub fn governed(&self) -> &Governed {
        match &self.found {
            Found::Near { ready, choice } => ready.governed(*choice),
            Found::Far { governed, .. } => governed,
        }
    }

    /// What a request with these conditions and ranges gets, in the order in which [`deliver::from_entry`] asks. `None`: it
    /// is not for the fast lane.
    ///
    /// [`deliver::from_entry`]: crate::engine::deliver::from_entry
    pub fn shape(&self, method: &Method, asked: &HeaderMap) -> Option<Shape> {
        let entry = self.entry();
        let verdict = preconditions::evaluate(method, asked, entry.status, entry, entry.received);
        let shape = if verdict == preconditions::Verdict::NotModified {
            Shape::NotModified
        } else {
            match range::select(method, asked, entry.status, entry, entry.length) {
                range::Selected::Whole => Shape::Whole,
                range::Selected::One(part) => Shape::Part(part),
                range::Selected::Many(_) | range::Selected::Unsatisfiable => return None,
            }
        };
        (shape == Shape::Whole || entry.head_parts().is_some()).then_some(shape)
    }
}

impl Engine {
    /// A plain hit, if this is one. `host` is asked for the normal form of the host where nothing is remembered of this place; it gives
    /// none for what the ordinary way is to refuse. `fields`: those of the request.
    pub fn fast_hit(
        &self,
        plain: &Plain<'_>,
        host: impl FnOnce() -> Option<String>,
        fields: impl Fields,
        now: Mono,
    ) -> Option<FastHit> {
        let hash = plain.hash(self.seed);
        let found = match self.find_ready(hash, plain, &fields) {
            Some((ready, choice)) => Found::Near { ready, choice },
            None => self.find_far(hash, plain, host, &fields)?,
        };
        let hit = FastHit { found, form: None, age: Duration::ZERO, ttl: 0, stale: None };
        let (entry, policy) = (hit.entry(), &hit.governed().policy);
        if policy.read_your_writes.is_some() && is_in_cookies(&fields) {
            return None;
        }
        let (age, stale) = self.usable_as_it_is(entry, policy, now)?;
        let form = self.fast_form(policy, entry, &fields)?;
        Some(FastHit { form, age, ttl: entry.freshness().ttl(age), stale, ..hit })
    }

    fn find_far(
        &self,
        hash: u64,
        plain: &Plain<'_>,
        host: impl FnOnce() -> Option<String>,
        fields: &impl Fields,
    ) -> Option<Found> {
        let site = self.site();
        let slot = self.memos.load(hash);
        let learnt;
        let memo = match slot.as_ref().filter(|m| m.is(plain, site.generation)) {
            Some(memo) => memo,
            None => {
                learnt = self.learn(hash, plain, host, &site)?;
                &learnt
            }
        };
        let resource = self.memory.get(&memo.key)?;
        let entry = select(memo, &resource, fields)?;
        // Made under another configuration, or not for the fast lane.
        if entry.generation() != site.generation || entry.head().is_empty() {
            return None;
        }
        let governed = if memo.resolved.awaits_response() {
            let policy = site.rules.resolve_response(&memo.resolved, entry.status, content_type(&**entry));
            Governed::new(self, &site, policy)
        } else {
            memo.governed.clone()
        };
        let entry = entry.clone();
        self.make_ready(hash, plain, memo, &resource, (&entry, &governed), fields);
        Some(Found::Far { entry, governed })
    }

    /// Its age, if the plan says to serve it, and there is nothing to do beside. What is stale is asked for as often as what is
    /// fresh, for as long as the origin takes: only the first request has a refresh to start.
    fn usable_as_it_is(
        &self,
        entry: &Entry,
        policy: &Policy,
        now: Mono,
    ) -> Option<(Duration, Option<StaleWhy>)> {
        if self.verdict(entry) != Verdict::Clean || !self.is_synced(now) {
            return None;
        }
        let age = entry.age(now);
        let verdict = Seen::Clean;
        let found = plan::Found { freshness: entry.freshness(), age, verdict, unsynced: false };
        let wishes = Wishes { honour_client: true, early_refresh: policy.early_refresh };
        // No draw here: where an early refresh is at all likely the ordinary way draws for it, once.
        let plan = plan::decide(
            Lookup::Found(found),
            &RequestDirectives::default(),
            wishes,
            entry.fetch_time(),
            LUCKIEST,
        );
        match plan {
            Plan::Serve { stale: None, refresh: false } => Some((age, None)),
            Plan::Serve { stale: stale @ Some(StaleWhy::WhileRevalidate), .. }
                if entry.is_being_refreshed() =>
            {
                Some((age, stale))
            }
            _ => None,
        }
    }
}

/// Whether a cookie of `read_your_writes` is sent; whether it is good, the ordinary way finds out.
fn is_in_cookies(fields: &impl Fields) -> bool {
    let mut found = false;
    fields(&COOKIE, &mut |line| found |= ryw::is_in(line));
    found
}

/// The entry that this request selects among a resource's variants.
fn select<'r>(memo: &Memo, resource: &'r Resource, fields: &impl Fields) -> Option<&'r Arc<Entry>> {
    if let [only] = resource.variants()
        && only.nominated().is_empty()
    {
        return Some(only);
    }
    if !memo.resolved.policy.request_headers.is_empty() {
        // A rule may set what `Vary` nominates: the client's own fields don't tell the variant.
        return None;
    }
    resource.select(&selecting(resource.variants(), fields)?)
}

/// The request fields that any variant nominates, normalised as on the ordinary way.
fn selecting(variants: &[Arc<Entry>], fields: &impl Fields) -> Option<HeaderMap> {
    let mut map = HeaderMap::new();
    let mut well = true;
    for name in variants.iter().flat_map(|e| e.nominated().iter()) {
        if map.contains_key(name) {
            continue;
        }
        fields(name, &mut |value| match HeaderValue::from_bytes(value) {
            Ok(value) => {
                map.append(name.clone(), value);
            }
            Err(_) => well = false,
        });
    }
    vary::normalise_request(&mut map);
    well.then_some(map)
}

impl Ask {
    /// After a reload a prepared head is of no use to the fast lane: makes one by the new rules, once.
    pub(super) fn prepare_anew(&self, entry: &Arc<Entry>) {
        // What is just being refreshed is replaced anyway; a copy would be refreshed again.
        if entry.generation() >= self.site.generation || !entry.try_refresh() {
            return;
        }
        let policy = self.policy_for(entry.status, content_type(&**entry));
        let anew = self.engine.seal_again(&self.site, &policy, entry.describe(), entry);
        self.engine.memory.replace(&self.key, entry, Arc::new(anew));
        entry.refresh_done();
    }
}
