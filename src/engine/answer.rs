//! One request, start to end: rules, key, look-up, plan, and then whichever of serve, wait, fetch or pass the
//! plan asks for. No decision is taken here that the plan or the semantics could take.

use crate::body::OutBody;
use crate::engine::deliver::{self, Client};
use crate::engine::draft::{self, Base, Refused};
use crate::engine::fast::Plain;
use crate::engine::fetch::{self, Fetch, LeaderAnswer, content_type};
use crate::engine::flight::{Flight, FlightKey, Shared, Stage, Ticket};
use crate::engine::key;
use crate::engine::markers::Mark;
use crate::engine::outcome::{Kind, Outcome};
use crate::engine::pass;
use crate::engine::plan::{self, Found, Lookup, PassWhy, Plan, Seen, StaleWhy, ValidateWhy, Wishes};
use crate::engine::policy::{Policy, Respond};
use crate::engine::request::{Incoming, Raw};
use crate::engine::rules::{RequestFacts, Resolved};
use crate::engine::site::{self, Engine, Site};
use crate::interim::InterimSender;
use crate::origin::{OriginBody, OriginError};
use crate::semantics::cache_control::RequestDirectives;
use crate::semantics::cache_status::{Collapsed, Forward, Member};
use crate::semantics::reuse::Failure as Reach;
use crate::semantics::{preconditions, validate, vary};
use crate::store::entry::Meta;
use crate::store::memory::is_useless;
use crate::store::{Entry, Key, Resource};
use crate::time::Now;
use bytes::{Bytes, BytesMut};
use http::header::RANGE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Why the engine has no response; `front` turns it into one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// RFC 9111 §5.2.1.7.
    OnlyIfCached,
    Origin(OriginError),
    /// The client's body could not be read to its end.
    RequestBody,
    Internal,
}

/// A response or the reason for none, and what to log.
pub type Answered = (Result<Response<OutBody>, Failure>, Outcome);

/// How often a request goes round (waiting, finding that the answer doesn't fit, looking again) before it
/// fetches for itself.
const ROUNDS: usize = 3;

/// What stays the same for one request while it is answered.
pub(super) struct Ask {
    pub engine: Arc<Engine>,
    pub site: Arc<Site>,
    pub resolved: Resolved,
    pub method: Method,
    /// The client's fields, for preconditions and ranges.
    pub client_headers: HeaderMap,
    /// Normalised, with the rules' edits: what selects a variant and goes to the origin.
    pub headers: HeaderMap,
    pub directives: RequestDirectives,
    pub key: Key,
    pub path_and_query: String,
    pub target: Arc<str>,
    pub base: Base,
    pub edits: Vec<(HeaderName, HeaderValue)>,
    /// `None`: a tag of a rule is too long to be kept, so that nothing may be stored (interface.md §2.3).
    pub tags: Option<Vec<String>>,
    pub body: Option<Bytes>,
    pub interim: InterimSender,
    pub raw: Option<Raw>,
}

impl Engine {
    /// Answers one request.
    pub async fn handle(self: &Arc<Self>, mut incoming: Incoming) -> Answered {
        let site = self.site_owned();
        let resolved = site.rules.resolve(&facts(&incoming));
        let policy = resolved.policy.clone();
        if let Some(respond) = &policy.respond {
            let response = responded(respond, &resolved, &facts(&incoming));
            return (Ok(response), Outcome::new(Kind::Pass, "respond", &policy.rule));
        }
        let keyed = match keyed_body(&mut incoming, &policy).await {
            Ok(keyed) => keyed,
            Err(failure) => return (Err(failure), Outcome::new(Kind::Error, "request-body", &policy.rule)),
        };
        let admitted = plan::admit(&plan::Facts {
            method: &incoming.method,
            has_body: !incoming.body.is_end_stream(),
            keyed_body: keyed.is_some(),
            bypass: policy.bypass,
            ambiguous_path: resolved.disagree,
            connection_named_end_to_end: incoming.connection_named_end_to_end,
            upgrade: incoming.upgrade.is_some(),
            only_origin_may_judge: preconditions::only_origin_may_judge(&incoming.headers),
        });
        let query = policy.key.apply_query(incoming.query.as_deref()).map(|q| q.into_owned());
        let base = Base::new(incoming.scheme, &incoming.host, &incoming.path, query.as_deref());
        match (admitted, base) {
            (Ok(()), Ok(base)) => {
                let ask = Ask::new(self.clone(), site, resolved, incoming, query, base, keyed);
                ask.answer().await
            }
            (Err(why), base) => pass::pass(self, &site, resolved, incoming, query, base.ok(), why).await,
            (Ok(()), Err(_)) => {
                pass::pass(self, &site, resolved, incoming, query, None, PassWhy::Unselectable).await
            }
        }
    }
}

/// The request as the rules see it.
pub(super) fn facts(incoming: &Incoming) -> RequestFacts<'_> {
    RequestFacts {
        method: &incoming.method,
        scheme: incoming.scheme,
        host: &incoming.host,
        path: &incoming.path,
        query: incoming.query.as_deref(),
        headers: &incoming.headers,
    }
}

/// Reads the body of a request that a rule keys by it: POST and QUERY with `key.body`. `Ok(None)`: not such a
/// request, or its body is over the rule's `max`, and is then sent on as it came.
async fn keyed_body(incoming: &mut Incoming, policy: &Policy) -> Result<Option<Bytes>, Failure> {
    let Some(max) = policy.key.body_max else { return Ok(None) };
    if incoming.method != Method::POST && incoming.method.as_str() != "QUERY" {
        return Ok(None);
    }
    // Only a body whose length is known beforehand to fit is gathered; others stream through.
    match incoming.body.size_hint().upper() {
        Some(length) if length <= max => {}
        _ => return Ok(None),
    }
    let mut body = std::mem::replace(&mut incoming.body, crate::body::empty_in());
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Failure::RequestBody)?;
        bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |d| d));
    }
    Ok(Some(bytes.freeze()))
}

impl Ask {
    fn new(
        engine: Arc<Engine>,
        site: Arc<Site>,
        resolved: Resolved,
        incoming: Incoming,
        query: Option<String>,
        base: Base,
        body: Option<Bytes>,
    ) -> Self {
        let policy = &resolved.policy;
        let seen = facts(&incoming);
        let edits = policy.response_headers.values(&resolved.captures, &seen);
        let tags = policy.tags.iter().map(|t| t.render(&resolved.captures, &seen).ok()).collect();
        let mut headers = incoming.headers.clone();
        policy.request_headers.apply(&mut headers, &resolved.captures, &seen);
        vary::normalise_request(&mut headers);
        fetch::strip_selective(&mut headers);
        let digest = body.as_ref().map(|b| body_digest(&incoming.method, &incoming.headers, b));
        let parts = key::Parts {
            scheme: incoming.scheme,
            host: &incoming.host,
            path: &incoming.path,
            query: query.as_deref(),
            origin: &policy.origin,
            rule_bits: &resolved.key_bits,
            body: digest.as_ref().map(|d| &d[..]),
        };
        let key = key::build(engine.seed, &parts, &policy.key, &headers);
        let target =
            super::request::target_uri(incoming.scheme, &incoming.host, &incoming.path, query.as_deref());
        let path_and_query = path_and_query(policy, &incoming.path, query.as_deref());
        let directives = incoming.directives();
        Self {
            path_and_query,
            edits,
            tags,
            headers,
            key,
            target: target.into(),
            base,
            directives,
            method: incoming.method,
            client_headers: incoming.headers,
            interim: incoming.interim,
            raw: incoming.raw,
            body,
            engine,
            site,
            resolved,
        }
    }

    fn policy(&self) -> &Policy {
        &self.resolved.policy
    }

    pub(super) fn client(&self) -> Client<'_> {
        self.client_under(self.policy())
    }

    fn client_under<'a>(&'a self, policy: &'a Policy) -> Client<'a> {
        site::client(&self.site, policy, &self.edits, &self.method, &self.client_headers)
    }

    /// The policy once status and content type are known.
    fn policy_for(&self, meta: &Meta) -> Arc<Policy> {
        self.site.rules.resolve_response(&self.resolved, meta.status, content_type(&meta.headers))
    }

    fn outcome(&self, kind: Kind, reason: &'static str) -> Outcome {
        Outcome::new(kind, reason, &self.policy().rule)
    }

    /// What the store has for this request, with the purge log's word on it.
    fn look_up(&self, now: Now) -> Held {
        let resource = self.engine.memory.get(&self.key);
        let entry =
            resource.as_ref().and_then(|r| r.select(&self.headers)).filter(|e| !is_useless(e, now.mono));
        let entry = entry.map(|e| (e.clone(), self.seen(e, now)));
        Held { resource, entry }
    }

    fn seen(&self, entry: &Entry, now: Now) -> Seen {
        Seen::from_verdict(self.engine.verdict(entry), || entry.meta.age(entry.check.stale_since(now.mono)))
    }

    fn wishes(&self) -> Wishes {
        Wishes {
            honour_client: self.policy().client_revalidate_honour,
            early_refresh: self.policy().early_refresh,
        }
    }

    async fn answer(self) -> Answered {
        let now = self.engine.clock.now();
        let mark = self.engine.markers.get(&self.key, now.mono);
        if mark == Some(Mark::TooLarge) && self.client_headers.contains_key(RANGE) {
            return pass::range_of_large(self).await;
        }
        let mut alone = self.policy().coalesce.is_none() || mark.is_some();
        let mut collapsed = Collapsed::NotTried;
        let mut hint = None;
        for round in 0.. {
            let now = self.engine.clock.now();
            let held = self.look_up(now);
            let forward = match self.plan(&held, now) {
                Plan::Serve { stale, refresh } => return self.serve(&held, stale, refresh, now),
                Plan::Refuse => {
                    return (Err(Failure::OnlyIfCached), self.outcome(Kind::Error, "only-if-cached"));
                }
                Plan::Fetch(forward) => Going { forward, why: None },
                Plan::Validate(why) => Going { forward: why.forward(), why: Some(why) },
            };
            if self.method == Method::HEAD {
                return pass::head(self, forward.forward).await;
            }
            if alone || round >= ROUNDS {
                self.engine.flights.solo_begins();
                let flight = self.start();
                return self.lead(held, forward, flight, None, collapsed).await;
            }
            let variant = hint.take().or_else(|| held.variant_hint(&self.headers));
            let flight_key = FlightKey { key: self.key.clone(), variant };
            let ticket = self.engine.flights.join_or_lead(&flight_key, |f| self.may_join(f), || self.start());
            let flight = match ticket {
                Ticket::Lead(flight) => {
                    return self.lead(held, forward, flight, Some(flight_key), collapsed).await;
                }
                Ticket::Wait(flight) => flight,
            };
            match self.wait(&held, forward, &flight).await {
                Waited::Done(answered) => return *answered,
                Waited::OtherVariant(variant) => hint = Some(variant),
                Waited::Again => {}
                Waited::Alone => {
                    alone = true;
                    collapsed = Collapsed::No;
                }
            }
        }
        (Err(Failure::Internal), self.outcome(Kind::Error, "internal"))
    }

    fn plan(&self, held: &Held, now: Now) -> Plan {
        let lookup = match (&held.entry, &held.resource) {
            (Some((entry, seen)), _) => Lookup::Found(found(entry, *seen, now)),
            (None, Some(_)) => Lookup::OtherVariants,
            (None, None) => Lookup::Nothing,
        };
        let fetch_time = held.entry.as_ref().map_or(Duration::ZERO, |(e, _)| e.meta.fetch_time);
        plan::decide(lookup, &self.directives, self.wishes(), fetch_time, 1.0 - fastrand::f64())
    }

    fn start(&self) -> Arc<Flight> {
        // Read before the request leaves: a purge from here on wins over the answer (purge.md, P6).
        Flight::new(self.engine.purges.cursor(), self.base.selectors.clone())
    }

    /// A request that arrives after a purge must not be answered by a fetch from before it (rulings 10).
    fn may_join(&self, flight: &Flight) -> bool {
        let untouched = self.engine.untouched_since(flight.born, &self.base);
        match flight.stage() {
            Stage::Shared(shared) => untouched && self.engine.untouched_meta(&shared.meta),
            Stage::Confirmed(entry, _) => untouched && self.engine.untouched_meta(&entry.meta),
            Stage::Pending => untouched,
            Stage::NotShareable(_) | Stage::Failed(_) => false,
        }
    }

    /// From the store, as it is.
    fn serve(&self, held: &Held, stale: Option<StaleWhy>, refresh: bool, now: Now) -> Answered {
        let Some((entry, _)) = &held.entry else {
            return (Err(Failure::Internal), self.outcome(Kind::Error, "internal"));
        };
        if refresh {
            self.refresh_in_background(entry);
        }
        let member = Member {
            ttl: Some(entry.meta.freshness.ttl(entry.meta.age(now.mono))),
            detail: stale.map(StaleWhy::as_str),
            ..Member::default()
        };
        let kind = if stale.is_some() { Kind::Stale } else { Kind::Hit };
        if let (Kind::Hit, Some(raw)) = (kind, &self.raw) {
            let plain = Plain { tls: raw.tls, host: &raw.host, target: &raw.target };
            self.engine.remember(&plain, &self.key, &self.resolved, self.site.generation);
        }
        self.from_store(entry, kind, stale.map_or("", StaleWhy::as_str), &member, now)
    }

    fn from_store(
        &self,
        entry: &Entry,
        kind: Kind,
        reason: &'static str,
        member: &Member,
        now: Now,
    ) -> Answered {
        let policy = self.policy_for(&entry.meta);
        let response = deliver::from_entry(&self.client_under(&policy), entry, member, now);
        let mut outcome = self.outcome(kind, reason).with_member(member);
        outcome.tier = Some("memory");
        outcome.age = Some(entry.meta.age(now.mono));
        (Ok(response), outcome)
    }

    /// Waits for another client's fetch, for as long as the rule allows.
    async fn wait(&self, held: &Held, going: Going, flight: &Flight) -> Waited {
        let patience = self.policy().coalesce.unwrap_or(Duration::ZERO);
        let Ok(stage) = tokio::time::timeout(patience, flight.head()).await else { return Waited::Alone };
        let now = self.engine.clock.now();
        let mut member = Member { collapsed: Collapsed::Yes, ..site::forwarded(going.forward) };
        match stage {
            Stage::Pending => Waited::Again,
            Stage::Shared(shared) => {
                if let Err(other) = self.fits(&shared.meta) {
                    return Waited::OtherVariant(other);
                }
                if !self.usable(&shared.meta, now) {
                    return Waited::Alone;
                }
                member.ttl = Some(shared.meta.freshness.ttl(shared.meta.age(now.mono)));
                let policy = self.policy_for(&shared.meta);
                let client = self.client_under(&policy);
                let response = deliver::from_shared(&client, &shared, false, None, &member, now);
                let Some(response) = response else { return Waited::Alone };
                let mut outcome = self.outcome(Kind::Collapsed, "").with_member(&member);
                outcome.origin_time = Some(shared.origin_time);
                outcome.age = Some(shared.meta.age(now.mono));
                Waited::Done(Box::new((Ok(response), outcome)))
            }
            Stage::Confirmed(entry, origin_time) => {
                if let Err(other) = self.fits(&entry.meta) {
                    return Waited::OtherVariant(other);
                }
                member.ttl = Some(entry.meta.freshness.ttl(entry.meta.age(now.mono)));
                member.forward_status = Some(304);
                let (response, mut outcome) = self.from_store(&entry, Kind::Collapsed, "", &member, now);
                outcome.origin_time = Some(origin_time);
                Waited::Done(Box::new((response, outcome)))
            }
            Stage::NotShareable(status) => match self.stale_instead(held, status_failure(status)) {
                Some(why) => Waited::Done(Box::new(self.serve_stale(held, why, going, None, now))),
                None => Waited::Alone,
            },
            Stage::Failed(failure) => Waited::Done(Box::new(self.failed(held, going, failure, now))),
        }
    }

    /// `Err`: another variant; the bytes tell which flight to look for.
    fn fits(&self, meta: &Meta) -> Result<(), Box<[u8]>> {
        if draft::selects(meta, &self.headers) {
            Ok(())
        } else {
            Err(vary::variant(&meta.nominated, &self.headers))
        }
    }

    /// Could what is arriving answer this request if it were stored already (rulings 8)? The client's wish for
    /// a fresh answer is met by one that is just arriving.
    fn usable(&self, meta: &Meta, now: Now) -> bool {
        let lookup = Lookup::Found(Found {
            freshness: &meta.freshness,
            age: meta.age(now.mono),
            verdict: Seen::Clean,
        });
        let wishes = Wishes { honour_client: false, early_refresh: None };
        matches!(plan::decide(lookup, &self.directives, wishes, Duration::ZERO, 1.0), Plan::Serve { .. })
    }

    fn stale_instead(&self, held: &Held, failure: Option<Reach>) -> Option<StaleWhy> {
        let (entry, _) = held.entry.as_ref()?;
        let now = self.engine.clock.now();
        // Asked again: a purge may have come while the origin failed.
        plan::on_failure(found(entry, self.seen(entry, now), now), &self.directives, failure?)
    }

    fn serve_stale(
        &self,
        held: &Held,
        why: StaleWhy,
        going: Going,
        status: Option<u16>,
        now: Now,
    ) -> Answered {
        let Some((entry, _)) = &held.entry else {
            return (Err(Failure::Internal), self.outcome(Kind::Error, "internal"));
        };
        let member = Member {
            forward_status: status,
            ttl: Some(entry.meta.freshness.ttl(entry.meta.age(now.mono))),
            detail: Some(why.as_str()),
            ..site::forwarded(going.forward)
        };
        self.from_store(entry, Kind::Stale, why.as_str(), &member, now)
    }

    /// No answer from the origin: stale if that is allowed, else an error.
    fn failed(&self, held: &Held, going: Going, failure: OriginError, now: Now) -> Answered {
        match self.stale_instead(held, Some(Reach::Disconnected)) {
            Some(why) => {
                let (mut response, outcome) = self.serve_stale(held, why, going, None, now);
                if let Ok(response) = &mut response {
                    proxy_status(response, &self.site.server_name, failure.proxy_status());
                }
                (response, outcome)
            }
            None => (Err(Failure::Origin(failure)), self.outcome(Kind::Error, failure.as_str())),
        }
    }

    /// Starts the fetch and answers with what it brings.
    async fn lead(
        self,
        held: Held,
        going: Going,
        flight: Arc<Flight>,
        registered: Option<FlightKey>,
        collapsed: Collapsed,
    ) -> Answered {
        let (leader, answer) = oneshot::channel();
        let fetch = self.fetch(&held, flight, registered, Some(leader));
        tokio::spawn(fetch.run(None));
        let Ok(answer) = answer.await else {
            return (Err(Failure::Internal), self.outcome(Kind::Error, "internal"));
        };
        let now = self.engine.clock.now();
        let mut member = Member { collapsed, ..site::forwarded(going.forward) };
        match answer {
            LeaderAnswer::Shared { shared, received_age } => {
                self.lead_shared(&shared, received_age, &mut member, now)
            }
            LeaderAnswer::Confirmed { entry, origin_time, stored } => {
                member.forward_status = Some(304);
                member.stored = stored;
                member.ttl = Some(entry.meta.freshness.ttl(entry.meta.age(now.mono)));
                let reason = going.why.map_or("", ValidateWhy::as_str);
                let (response, mut outcome) =
                    self.from_store(&entry, Kind::Revalidated, reason, &member, now);
                outcome.origin_time = Some(origin_time);
                (response, outcome)
            }
            LeaderAnswer::Response { response, why, origin_time } => {
                let status = response.status();
                if let Some(stale) = self.stale_instead(&held, status_failure(status)) {
                    return self.serve_stale(&held, stale, going, Some(status.as_u16()), now);
                }
                self.lead_unstored(response, why, origin_time, member, now)
            }
            LeaderAnswer::TooLargeForRange => pass::range_of_large(self).await,
            LeaderAnswer::Failed(failure) => self.failed(&held, going, failure, now),
        }
    }

    fn lead_shared(
        &self,
        shared: &Shared,
        received_age: Option<HeaderValue>,
        member: &mut Member,
        now: Now,
    ) -> Answered {
        member.stored = true;
        member.ttl = Some(shared.meta.freshness.ttl(shared.meta.age(now.mono)));
        let policy = self.policy_for(&shared.meta);
        let client = self.client_under(&policy);
        let response = deliver::from_shared(&client, shared, true, received_age, member, now);
        let mut outcome = self.outcome(Kind::Miss, "").with_member(member);
        outcome.origin_time = Some(shared.origin_time);
        match response {
            Some(response) => (Ok(response), outcome),
            None => (Err(Failure::Internal), self.outcome(Kind::Error, "internal")),
        }
    }

    fn lead_unstored(
        &self,
        response: Response<OriginBody>,
        why: Refused,
        origin_time: Duration,
        mut member: Member,
        now: Now,
    ) -> Answered {
        member.detail = Some(why.as_str());
        let mut outcome = self.outcome(Kind::Miss, why.as_str()).with_member(&member);
        outcome.origin_time = Some(origin_time);
        (Ok(pass::relay(&self.client(), response, &member, now)), outcome)
    }

    pub(super) fn fetch(
        &self,
        held: &Held,
        flight: Arc<Flight>,
        registered: Option<FlightKey>,
        leader: Option<oneshot::Sender<LeaderAnswer>>,
    ) -> Fetch {
        Fetch {
            engine: self.engine.clone(),
            site: self.site.clone(),
            key: self.key.clone(),
            resolved: self.resolved.clone(),
            flight,
            registered,
            method: self.method.clone(),
            headers: self.headers.clone(),
            body: self.body.clone(),
            path_and_query: self.path_and_query.clone(),
            target: self.target.clone(),
            base: self.base.clone(),
            rule_tags: self.tags.clone(),
            candidate: held.candidate(&self.engine),
            interim: self.interim.clone(),
            wants_range: self.client_headers.contains_key(RANGE),
            leader,
        }
    }

    /// One background refresh per entry (RFC 5861 §3), with a request of our own: it carries nothing of the
    /// client's but what selects the response (standards.md §8.7).
    fn refresh_in_background(&self, entry: &Arc<Entry>) {
        if !entry.try_refresh() {
            return;
        }
        let flight_key = FlightKey { key: self.key.clone(), variant: Some(entry.meta.variant.clone()) };
        let ticket = self.engine.flights.join_or_lead(&flight_key, |f| self.may_join(f), || self.start());
        let Ticket::Lead(flight) = ticket else {
            entry.refresh_done();
            return;
        };
        let held = Held { resource: None, entry: Some((entry.clone(), Seen::Clean)) };
        let mut fetch = self.fetch(&held, flight, Some(flight_key), None);
        fetch.headers = selecting_fields(&self.headers, &entry.meta.nominated, self.policy());
        fetch.interim = InterimSender::none();
        fetch.wants_range = false;
        tokio::spawn(fetch.run(Some(entry.clone())));
    }
}

/// What the store had when we looked.
pub(super) struct Held {
    resource: Option<Arc<Resource>>,
    entry: Option<(Arc<Entry>, Seen)>,
}

impl Held {
    fn variant_hint(&self, headers: &HeaderMap) -> Option<Box<[u8]>> {
        self.resource.as_ref()?.variant_hint(headers)
    }

    /// What a conditional request may name: the selected entry, unless it was purged for good (rulings 14). Other
    /// variants are not offered: where `Vary` selects none, nothing says that this request could have one.
    fn candidate(&self, engine: &Engine) -> Option<Arc<Entry>> {
        let (entry, _) = self.entry.as_ref()?;
        let usable = validate::has_validator(&entry.meta.headers)
            && engine.verdict(entry) != crate::purge::Verdict::Hard;
        usable.then(|| entry.clone())
    }
}

fn found(entry: &Entry, seen: Seen, now: Now) -> Found<'_> {
    Found { freshness: &entry.meta.freshness, age: entry.meta.age(now.mono), verdict: seen }
}

/// Where a request is going, and why.
#[derive(Clone, Copy)]
struct Going {
    forward: Forward,
    why: Option<ValidateWhy>,
}

/// What waiting for another's fetch came to.
enum Waited {
    Done(Box<Answered>),
    OtherVariant(Box<[u8]>),
    Again,
    Alone,
}

/// RFC 5861 §4: these statuses are errors for stale-if-error.
fn status_failure(status: StatusCode) -> Option<Reach> {
    matches!(status.as_u16(), 500 | 502 | 503 | 504).then_some(Reach::ErrorStatus)
}

/// The fields of a background request: `Host`, what `Vary` nominates, what the key is made of, and our own.
fn selecting_fields(headers: &HeaderMap, nominated: &[HeaderName], policy: &Policy) -> HeaderMap {
    let own = [http::header::HOST, http::header::VIA, HeaderName::from_static("cdn-loop")];
    let mut out = HeaderMap::new();
    for name in own.iter().chain(nominated).chain(&policy.key.headers) {
        if out.contains_key(name) {
            continue;
        }
        for value in headers.get_all(name) {
            out.append(name.clone(), value.clone());
        }
    }
    let cookies: Vec<Vec<u8>> = policy
        .key
        .cookies
        .iter()
        .filter_map(|n| key::cookie(headers, n).map(|v| [n.as_bytes(), b"=", v].concat()))
        .collect();
    if !cookies.is_empty()
        && !out.contains_key(http::header::COOKIE)
        && let Ok(value) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        out.insert(http::header::COOKIE, value);
    }
    out
}

/// Method, content type and digest of a body that is part of the key.
fn body_digest(method: &Method, headers: &HeaderMap, body: &Bytes) -> Vec<u8> {
    let mut out = method.as_str().as_bytes().to_vec();
    for name in [http::header::CONTENT_TYPE, http::header::CONTENT_ENCODING] {
        let value = headers.get(name).map_or(&b""[..], HeaderValue::as_bytes);
        out.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(value);
    }
    // The whole body, not a digest of it: it is at most the rule's `max` (64 KiB by default), and equality of
    // keys must not rest on a hash (architecture.md, rule 9).
    out.extend_from_slice(body);
    out
}

/// RFC 9209: a stale answer says what kept the fresh one from being had.
fn proxy_status(response: &mut Response<OutBody>, server_name: &str, error: &str) {
    if let Ok(value) = HeaderValue::try_from(format!("{server_name}; error={error}")) {
        response.headers_mut().append(HeaderName::from_static("proxy-status"), value);
    }
}

/// The target as it is sent: the rules' rewrite of the path, and the query.
pub(super) fn path_and_query(policy: &Policy, path: &str, query: Option<&str>) -> String {
    let path = policy.rewrite.as_ref().map_or(std::borrow::Cow::Borrowed(path), |r| r.apply(path));
    match query {
        Some(query) => format!("{path}?{query}"),
        None => path.into_owned(),
    }
}

/// A rule's `respond`.
fn responded(respond: &Respond, resolved: &Resolved, facts: &RequestFacts<'_>) -> Response<OutBody> {
    let body = respond.body.clone().unwrap_or_default();
    let mut response = Response::new(OutBody::full(body));
    *response.status_mut() = respond.status;
    let location = respond.location.as_ref().and_then(|l| l.render(&resolved.captures, facts).ok());
    if let Some(value) = location.and_then(|l| HeaderValue::try_from(l).ok()) {
        response.headers_mut().insert(http::header::LOCATION, value);
    }
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(http::header::CONTENT_TYPE, plain);
    response
}
