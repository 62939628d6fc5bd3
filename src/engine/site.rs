//! What the engine works with: the parts that live as long as the process ([`Engine`]), and those that a
//! reload replaces as a whole ([`Site`]).

use crate::clock::Clock;
use crate::engine::draft::Refused;
use crate::engine::flight::Flights;
use crate::engine::markers::Markers;
use crate::engine::policy::Policy;
use crate::engine::rules::RuleSet;
use crate::engine::{deliver, fast};
use crate::observe::Metrics;
use crate::body::InBody;
use crate::origin::{Answer, Origin, OriginError, SendOptions};
use crate::purge::{PurgeLog, Subject, Verdict};
use crate::semantics::cache_status::Member;
use crate::store::entry::{Meta, PreparedHead};
use crate::store::{Entry, Memory};
use crate::time::Now;
use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the configuration says, in the form that requests need.
#[derive(Debug)]
pub struct Site {
    pub rules: RuleSet,
    pub origins: HashMap<Arc<str>, Arc<Origin>>,
    /// In `Cache-Status`, `Via`, `Proxy-Status` (`server.name`).
    pub server_name: String,
    /// `1.1 NAME`
    pub via: HeaderValue,
    /// Largest body that is stored, bytes.
    pub max_object: u64,
    /// Rises with every reload; prepared heads and fast-lane memos of another generation are not used.
    pub generation: u64,
}

impl Site {
    pub fn origin(&self, name: &str) -> Result<&Arc<Origin>, OriginError> {
        // The configuration check makes sure that every rule names an origin that exists.
        self.origins.get(name).ok_or_else(OriginError::unsendable)
    }
}

/// The engine. One per process, shared by all connections.
pub struct Engine {
    pub clock: Clock,
    pub memory: Memory,
    pub flights: Flights,
    pub markers: Markers,
    pub purges: Arc<PurgeLog>,
    pub metrics: Arc<Metrics>,
    pub fill_budget: FillBudget,
    pub memos: fast::Memos,
    /// Seed of key hashes: random per process, so that nobody can choose colliding URLs.
    pub seed: u64,
    site: ArcSwap<Site>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("memory", &self.memory).finish_non_exhaustive()
    }
}

/// Bytes of bodies that are being downloaded and not yet in the store: bounded, since the store's own bound
/// does not count them.
#[derive(Debug)]
pub struct FillBudget {
    used: AtomicU64,
    limit: u64,
}

impl FillBudget {
    pub fn new(limit: u64) -> Self {
        Self { used: AtomicU64::new(0), limit }
    }

    /// False when that would be too much; nothing is taken then.
    pub fn take(&self, bytes: u64) -> bool {
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > self.limit {
            self.give_back(bytes);
            return false;
        }
        true
    }

    pub fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

impl Engine {
    pub fn new(
        clock: Clock,
        memory: Memory,
        purges: Arc<PurgeLog>,
        metrics: Arc<Metrics>,
        site: Site,
    ) -> Arc<Self> {
        // A quarter of the store on top of it; at least a few of the largest objects.
        let budget = (memory.capacity() / 4).max(site.max_object.saturating_mul(4));
        Arc::new(Self {
            clock,
            fill_budget: FillBudget::new(budget),
            memory,
            flights: Flights::default(),
            markers: Markers::new(),
            memos: fast::Memos::default(),
            purges,
            metrics,
            seed: fastrand::u64(..),
            site: ArcSwap::from_pointee(site),
        })
    }

    pub fn site(&self) -> arc_swap::Guard<Arc<Site>> {
        self.site.load()
    }

    pub fn site_owned(&self) -> Arc<Site> {
        self.site.load_full()
    }

    /// Puts a new configuration in force; requests under way finish with the old one.
    pub fn reload(&self, site: Site) {
        self.site.store(Arc::new(site));
    }

    /// The purge log's word on an entry. Checked on every use, cheap when nothing happened since the last.
    pub fn verdict(&self, entry: &Entry) -> Verdict {
        let subject = Subject { url: &entry.meta.url, raw_tags: entry.meta.raw_tags.as_deref(), content_type: None };
        entry.check.verify(&self.purges, entry.meta.born, &entry.meta.selectors, &subject)
    }

    /// Makes an entry of its parts, with its prepared head.
    pub fn seal(
        &self,
        site: &Site,
        policy: &Policy,
        meta: Meta,
        body: Arc<[Bytes]>,
        length: u64,
        trailers: Option<HeaderMap>,
    ) -> Entry {
        let head = if fast::eligible(&meta, policy, trailers.is_some()) {
            PreparedHead {
                bytes: fast::prepare(site, policy, &meta, length),
                generation: site.generation,
            }
        } else {
            PreparedHead::default()
        };
        Entry::new(meta, body, length, trailers, head)
    }

    pub fn note_not_stored(&self, why: Refused) {
        self.metrics.not_stored(why.as_str());
    }

    /// Sends a request to the policy's origin, and counts what came of it.
    pub async fn ask_origin(
        &self,
        site: &Site,
        policy: &Policy,
        request: http::Request<InBody>,
        options: SendOptions,
    ) -> Result<Answer, OriginError> {
        let origin = site.origin(&policy.origin)?;
        let answer = origin.send(request, options).await;
        match &answer {
            Ok(answer) => {
                self.metrics.origin_answer(&policy.origin, answer.response.status().as_u16(), answer.first_byte);
            }
            Err(error) => {
                self.metrics.origin_error(&policy.origin);
                tracing::debug!(origin = %policy.origin, %error, "no answer from the origin");
            }
        }
        answer
    }

    pub fn now(&self) -> Now {
        self.clock.now()
    }
}

/// Shorthand for the client's side of an answer.
pub fn client<'a>(
    site: &'a Site,
    policy: &'a Policy,
    edits: &'a [(HeaderName, HeaderValue)],
    method: &'a http::Method,
    headers: &'a HeaderMap,
) -> deliver::Client<'a> {
    deliver::Client { method, headers, policy, edits, server_name: &site.server_name, via: &site.via }
}

/// A member that says why a request went forward.
pub fn forwarded(forward: crate::semantics::cache_status::Forward) -> Member {
    Member { forward: Some(forward), ..Member::default() }
}
