//! What the engine works with: the parts that live as long as the process ([`Engine`]), and those that a
//! reload replaces as a whole ([`Site`]).

use crate::body::{InBody, Pieces};
use crate::clock::Clock;
use crate::engine::compress::Compressor;
use crate::engine::draft::{Base, Refused};
use crate::engine::explain::lately::{Lately, NotKept};
use crate::engine::flight::{Flights, Newest};
use crate::engine::markers::Markers;
use crate::engine::policy::Policy;
use crate::engine::popular::Popular;
use crate::engine::rate::Rates;
use crate::engine::rules::{RequestFacts, RuleSet};
use crate::engine::ryw::Signer;
use crate::engine::sweep::Sweeper;
use crate::engine::{deliver, fast, key};
use crate::fleet::Fleet;
use crate::observe::Metrics;
use crate::origin::{Answer, Origin, OriginError, SendOptions};
use crate::purge::{self, Born, PurgeLog, Selector, Subject, Verdict};
use crate::semantics::cache_status::Member;
use crate::store::entry::{Described, Meta, PreparedHead, birth_order};
use crate::store::memory::Written;
use crate::store::{Entry, Key, Memory, Near};
use crate::time::Now;
use crate::trace::{Kind, TRACEPARENT, Trace, Tracer};
use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// What the configuration says, in the form that requests need.
#[derive(Debug)]
pub struct Site {
    pub rules: RuleSet,
    pub origins: HashMap<Arc<str>, Arc<Origin>>,
    /// In `Cache-Status`, `Via`, `Proxy-Status` (`server.name`).
    pub server_name: String,
    /// `1.1 NAME`
    pub via: HeaderValue,
    /// The schemes that the listeners serve.
    pub schemes: Vec<&'static str>,
    /// Largest body that is stored, bytes.
    pub max_object: u64,
    /// Rises with every reload; prepared heads and fast-lane memos of another generation are not used.
    pub generation: u64,
    /// Signs cookies by `server.secret`; `None` where it is not set.
    pub signer: Option<Signer>,
    /// How prepared heads end; see [`fast::tail`], which fills it.
    pub tails: OnceLock<[Arc<[u8]>; 2]>,
}

impl Site {
    pub fn origin(&self, name: &str) -> Result<&Arc<Origin>, OriginError> {
        // The configuration check makes sure that every rule names an origin that exists.
        self.origins.get(name).ok_or(OriginError::Request)
    }
}

/// The engine. One per process, shared by all connections.
pub struct Engine {
    pub clock: Clock,
    pub memory: Memory,
    pub flights: Flights,
    pub markers: Markers,
    /// For `explain` alone.
    pub lately: Lately,
    pub popular: Popular,
    pub purges: Arc<PurgeLog>,
    pub sweeper: Sweeper,
    pub metrics: Arc<Metrics>,
    pub fill_budget: Arc<FillBudget>,
    pub memos: fast::Memos,
    /// What the threads of the fast lane have at hand.
    pub near: Near<fast::Ready>,
    /// Of `site`, for who needs no more of it.
    pub(super) generation: AtomicU64,
    /// What clients have used up of the rules' `rate`.
    pub rates: Rates,
    pub compressor: Compressor,
    /// Seed of key hashes: random per process, so that nobody can choose colliding URLs.
    pub seed: u64,
    /// The other nodes; `None` = this one is alone.
    pub fleet: Option<Arc<Fleet>>,
    /// Where spans go; `None` = nothing is traced.
    pub tracer: Option<Arc<Tracer>>,
    /// Signs cookies where there is no `server.secret`.
    pub own_signer: Option<Signer>,
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
        fleet: Option<Arc<Fleet>>,
        tracer: Option<Arc<Tracer>>,
        site: Site,
    ) -> Arc<Self> {
        // A quarter of the store on top of it; at least a few of the largest objects.
        let budget = (memory.capacity() / 4).max(site.max_object.saturating_mul(4));
        Arc::new(Self {
            clock,
            fill_budget: Arc::new(FillBudget::new(budget)),
            memos: fast::Memos::new(memory.capacity()),
            memory,
            flights: Flights::default(),
            markers: Markers::new(),
            lately: Lately::default(),
            popular: Popular::default(),
            near: Near::default(),
            generation: AtomicU64::new(site.generation),
            rates: Rates::default(),
            compressor: Compressor::default(),
            purges,
            sweeper: Sweeper::default(),
            metrics,
            seed: fastrand::u64(..),
            fleet,
            tracer,
            own_signer: Signer::random(),
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
        let generation = site.generation;
        self.site.store(Arc::new(site));
        self.generation.store(generation, Ordering::Release);
    }

    /// The purge log's word on an entry. Checked on every use, cheap when nothing happened since the last.
    pub fn verdict(&self, entry: &Entry) -> Verdict {
        entry.check.verify(&self.purges, entry.born, || Cow::Owned(entry.selectors()), || entry.subject())
    }

    /// Whether no purge since `born` selects what a request for this place could be answered with, as far as that
    /// is known before the answer's head.
    pub fn untouched_since(&self, born: Born, base: &Base) -> bool {
        let place = &base.place;
        let subject =
            Subject { authority: &place.authority, url: &place.url, tags: None, content_type: None };
        self.purges.check(born, &base.selectors, &subject) == Verdict::Clean
    }

    /// The same once the head is known.
    pub fn untouched_meta(&self, meta: &impl Described) -> bool {
        self.purges.check(meta.born(), &meta.selectors(), &meta.subject()) == Verdict::Clean
    }

    /// What a successful unsafe request invalidates (RFC 9111 §4.4, RFC 9875 §3): applied here before its answer
    /// goes out. URLs for which nothing is stored or on its way are left out, so that writes to URLs that nobody
    /// reads can't crowd the table (rulings 21). Whether the log has changed by it.
    pub fn invalidate_after_write(
        &self,
        site: &Site,
        urls: &[String],
        origin: &str,
        groups: &[String],
        now: Now,
    ) -> bool {
        let mut selectors = Vec::new();
        for url in urls {
            // By the query under which its entries are stored.
            let Ok(keyed) = site.purged_url(url) else { continue };
            let born = match self.newest_birth(site, url) {
                // Other nodes may have it; ours has nothing that would need a second record.
                Birth::Nothing if self.fleet.is_some() => Some(Born::default()),
                Birth::Nothing => continue,
                Birth::Known(born) => Some(born),
                Birth::Unknown => None,
            };
            selectors.extend(keyed.into_iter().map(|selector| (selector, born)));
        }
        for group in groups {
            if let Ok(selector) = Selector::group(origin, group) {
                selectors.push((selector, None));
            }
        }
        if selectors.is_empty() {
            return false;
        }
        let written = match &self.fleet {
            None => self.purges.write(selectors, now.wall),
            Some(fleet) => fleet.log.write(selectors, now.wall),
        };
        matches!(written, purge::Written::Applied(_))
    }

    /// The newest birth among what is stored or in flight for a URL.
    fn newest_birth(&self, site: &Site, url: &str) -> Birth {
        let Some((scheme, host, path, query)) = parts_of(url) else { return Birth::Unknown };
        let headers = HeaderMap::new();
        let facts = RequestFacts { method: &Method::GET, scheme, host, path, query, headers: &headers };
        let resolved = site.rules.resolve(&facts);
        let policy = &resolved.policy;
        let one_key = resolved.repeatable
            && policy.key.headers.is_empty()
            && policy.key.cookies.is_empty()
            && policy.key.body_max.is_none();
        if !one_key {
            return Birth::Unknown;
        }
        let query = policy.key.apply_query(query);
        let key = key::of(self.seed, &facts, query.as_deref(), &resolved, &headers, None);
        // Flights first: what has left them is in the store.
        let flying = match self.flights.newest_born(&key) {
            Newest::Unknown => return Birth::Unknown,
            Newest::None => None,
            Newest::Born(born) => Some(born),
        };
        let stored = self.memory.get(&key);
        let stored = stored.iter().flat_map(|r| r.variants().iter().map(|e| e.born));
        flying.into_iter().chain(stored).max_by_key(birth_order).map_or(Birth::Nothing, Birth::Known)
    }

    /// Makes an entry of its parts, with its prepared head.
    pub fn seal(
        &self,
        site: &Site,
        policy: &Policy,
        meta: Meta,
        body: impl Into<Pieces>,
        length: u64,
        trailers: Option<HeaderMap>,
    ) -> Entry {
        let eligible = fast::eligible(&meta, policy, trailers.is_some());
        let head = if eligible {
            fast::prepare(site, policy, &meta, length)
        } else {
            PreparedHead { generation: site.generation, ..PreparedHead::default() }
        };
        Entry::new(meta, body, length, trailers, head)
    }

    /// Stores an entry, and counts it.
    pub fn put(&self, key: &Key, entry: Arc<Entry>, policy: &Policy) {
        let ttl = entry.ttl(self.now().mono);
        let status = entry.status;
        // With its fields and tags it may be more than all the memory there is; the body alone has been compared with `max_object`.
        if entry.weight() > self.memory.capacity() {
            return self.note_key_not_stored(key, Refused::TooLarge, status);
        }
        match self.memory.put(key, entry, policy.max_variants) {
            Written::Stored => self.metrics.stored(ttl),
            Written::Superseded => self.note_key_not_stored(key, Refused::Superseded, status),
        }
    }

    pub fn note_not_stored(&self, why: Refused) {
        self.metrics.not_stored(why.as_str());
    }

    /// The same for an answer whose key is known, which `explain` can tell of later.
    pub fn note_key_not_stored(&self, key: &Key, why: Refused, status: StatusCode) {
        self.note_not_stored(why);
        self.lately.note(key, NotKept { why, status, at: self.now() });
    }

    /// Sends a request to the policy's origin, as a step of `trace`, and counts what came of it.
    pub async fn ask_origin(
        &self,
        site: &Site,
        policy: &Policy,
        mut request: http::Request<InBody>,
        mut options: SendOptions,
        trace: &Trace,
    ) -> Result<Answer, OriginError> {
        let origin = site.origin(&policy.origin)?;
        let mut step = trace.step(Kind::Client);
        // What a rule sets or removes stays as the rule has it.
        let edits = &policy.request_headers;
        let ruled = || edits.set.iter().map(|(name, _)| name).chain(&edits.remove).any(|n| *n == TRACEPARENT);
        if let Some(context) = step.traceparent().filter(|_| !ruled()) {
            request.headers_mut().insert(TRACEPARENT, context);
            options.again = None; // they have no such field
        }
        if let Some(span) = step.span() {
            span.named_by_method(Some(request.method()), &policy.origin)
                .text("larder.origin", &*policy.origin)
                .text("url.path", request.uri().path());
        }
        let answer = origin.send(request, options).await;
        match &answer {
            Ok(answer) => {
                let status = answer.response.status();
                self.metrics.origin_answer(&policy.origin, status.as_u16(), answer.first_byte);
                if let Some(span) = step.span() {
                    span.text("server.address", &*answer.server)
                        .number("http.response.status_code", status.as_u16());
                    if status.is_client_error() || status.is_server_error() {
                        span.failed(status.as_str());
                    }
                }
            }
            Err(error) => {
                self.metrics.origin_error(&policy.origin);
                if let Some(span) = step.span() {
                    span.failed(error.as_str());
                }
                tracing::debug!(origin = %policy.origin, %error, "no answer from the origin");
            }
        }
        answer
    }

    pub fn now(&self) -> Now {
        self.clock.now()
    }
}

/// What [`Engine::newest_birth`] found.
enum Birth {
    Nothing,
    Known(Born),
    Unknown,
}

/// `scheme://authority/path?query` taken apart.
fn parts_of(url: &str) -> Option<(&'static str, &str, &str, Option<&str>)> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = match scheme {
        "http" => "http",
        "https" => "https",
        _ => return None,
    };
    let (rest, query) = rest.split_once('?').map_or((rest, None), |(r, q)| (r, Some(q)));
    let slash = rest.find('/')?;
    let (host, path) = rest.split_at(slash);
    Some((scheme, host, path, query))
}

/// Shorthand for the client's side of an answer.
pub fn client<'a>(
    site: &'a Site,
    policy: &'a Policy,
    edits: &'a [(HeaderName, HeaderValue)],
    method: &'a http::Method,
    headers: &'a HeaderMap,
) -> deliver::Client<'a> {
    deliver::Client {
        method,
        headers,
        policy,
        edits,
        server_name: &site.server_name,
        via: &site.via,
        may_hold_forms: site.rules.compress(),
    }
}

/// A member that says why a request went forward.
pub fn forwarded(forward: crate::semantics::cache_status::Forward) -> Member {
    Member { forward: Some(forward), ..Member::default() }
}
