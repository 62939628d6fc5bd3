//! One request, start to end: rules, key, look-up, plan, and then whichever of serve, wait, fetch or pass the
//! plan asks for. No decision is taken here that the plan or the semantics could take.

use crate::body::OutBody;
use crate::engine::deliver::{self, Client};
use crate::engine::draft::{Base, Refused};
use crate::engine::fetch::{self, Fetch, LeaderAnswer};
use crate::engine::fleet::Sharing;
use crate::engine::flight::{Flight, FlightKey, Shared, Stage, Ticket};
use crate::engine::held::{Going, Held, found};
use crate::engine::key;
use crate::engine::markers::Mark;
use crate::engine::outcome::{Kind, Outcome};
use crate::engine::pass;
use crate::engine::plan::{self, Found, Lookup, PassWhy, Plan, Seen, ValidateWhy, Wishes};
use crate::engine::policy::{Policy, Respond};
use crate::engine::rate;
use crate::engine::request::{Asked, Incoming, Raw, body_digest, keyed_body, path_and_query};
use crate::engine::rules::{RequestFacts, Resolved};
use crate::engine::serve::status_failure;
use crate::engine::site::{self, Engine, Site};
use crate::engine::waiting::Waited;
use crate::engine::way::{Entrance, Way};
use crate::interim::InterimSender;
use crate::origin::{OriginBody, OriginError};
use crate::semantics::cache_control::RequestDirectives;
use crate::semantics::cache_status::{Collapsed, Member};
use crate::semantics::fields::content_type;
use crate::semantics::{coding, vary};
use crate::store::entry::{Carrier, Described};
use crate::store::memory::is_useless;
use crate::store::{Entry, Key};
use crate::time::Now;
use crate::trace::Trace;
use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use std::pin::Pin;
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
    /// More requests than a rule's `rate` allows; the next is admitted after that time.
    TooManyRequests(Duration),
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
    /// The purge log's version when the request arrived.
    pub arrived: u64,
    pub asked: Arc<Asked>,
    /// Normalised, with the rules' edits: what selects a variant and goes to the origin.
    pub headers: Arc<HeaderMap>,
    pub directives: RequestDirectives,
    pub key: Key,
    pub path_and_query: String,
    pub target: Arc<str>,
    pub base: Base,
    pub body: Option<Bytes>,
    pub interim: InterimSender,
    /// See [`Incoming::forced`].
    pub forced: bool,
    pub raw: Option<Raw>,
    pub sharing: Option<Sharing>,
    /// See [`Fetch::marked`].
    pub marked: Option<Mark>,
    /// Only to be explained: nothing is set going.
    pub dry: bool,
    pub trace: Trace,
}

impl Engine {
    /// Answers one request.
    pub async fn handle(self: &Arc<Self>, mut incoming: Incoming) -> Answered {
        let site = self.site_owned();
        let wrote_lately = self.wrote_lately(&site, &mut incoming);
        let resolved = site.rules.resolve(&incoming.facts());
        let policy = resolved.policy.clone();
        if let Some(limit) = &policy.rate
            && let Err(wait) = self.rates.admit(&policy.rated_by, limit, incoming.client, self.now().mono)
        {
            let outcome = Outcome::new(Kind::Error, rate::REASON, &policy.rule);
            return (Err(Failure::TooManyRequests(wait)), outcome);
        }
        if let Some(respond) = &policy.respond {
            let response = responded(respond, &resolved, &incoming.facts());
            return (Ok(response), Outcome::new(Kind::Pass, "respond", &policy.rule));
        }
        let keyed = match keyed_body(&mut incoming, &policy).await {
            Ok(keyed) => keyed,
            Err(failure) => return (Err(failure), Outcome::new(Kind::Error, "request-body", &policy.rule)),
        };
        let Entrance { why, query, base } = self.enter(&incoming, &resolved, keyed.is_some(), wrote_lately);
        let (why, base) = match (why, base) {
            (None, Some(base)) => {
                let ask = Ask::new(self.clone(), site, resolved, incoming, query, base, keyed);
                return ask.answer().await;
            }
            (why, base) => (why.unwrap_or(PassWhy::Unselectable), base),
        };
        if let Some(bytes) = keyed {
            incoming.body = crate::body::full_in(bytes); // gathered in vain: it goes with the request
        }
        pass::pass(self, &site, resolved, incoming, query, base, why).await
    }
}

impl Ask {
    pub(super) fn new(
        engine: Arc<Engine>,
        site: Arc<Site>,
        resolved: Resolved,
        incoming: Incoming,
        query: Option<String>,
        base: Base,
        body: Option<Bytes>,
    ) -> Self {
        let policy = &resolved.policy;
        let seen = incoming.facts();
        let mut headers = incoming.headers.clone();
        policy.request_headers.apply(&mut headers, &resolved.captures, &seen);
        vary::normalise_request(&mut headers);
        fetch::strip_selective(&mut headers);
        let digest = body.as_ref().map(|b| body_digest(&incoming.method, &incoming.headers, b));
        let digest = digest.as_ref().map(|digest| &digest[..]);
        let key = key::of(engine.seed, &seen, query.as_deref(), &resolved, &headers, digest);
        let target =
            super::request::target_uri(incoming.scheme, &incoming.host, &incoming.path, query.as_deref());
        let path_and_query = path_and_query(policy, &incoming.path, query.as_deref());
        let mut directives = incoming.directives();
        directives.no_cache |= incoming.forced;
        Self {
            arrived: engine.purges.version(),
            path_and_query,
            headers: Arc::new(headers),
            key,
            target: target.into(),
            base,
            directives,
            asked: Arc::new(Asked {
                method: incoming.method,
                scheme: incoming.scheme,
                host: incoming.host,
                path: incoming.path,
                query: incoming.query,
                headers: incoming.headers,
            }),
            interim: incoming.interim,
            forced: incoming.forced,
            raw: incoming.raw,
            sharing: None,
            marked: None,
            dry: false,
            trace: incoming.trace,
            body,
            engine,
            site,
            resolved,
        }
    }

    pub(super) fn policy(&self) -> &Policy {
        &self.resolved.policy
    }

    /// The policy once status and content type are known.
    pub(super) fn policy_for(&self, status: StatusCode, content_type: Option<&str>) -> Arc<Policy> {
        self.site.rules.resolve_response(&self.resolved, status, content_type)
    }

    /// What the rules set in the answer.
    pub(super) fn edits(&self, policy: &Policy) -> Vec<(HeaderName, HeaderValue)> {
        policy.response_headers.values(&self.resolved.captures, &self.asked.facts())
    }

    pub(super) fn client<'a>(
        &'a self,
        policy: &'a Policy,
        edits: &'a [(HeaderName, HeaderValue)],
    ) -> Client<'a> {
        site::client(&self.site, policy, edits, &self.asked.method, &self.asked.headers)
    }

    pub(super) fn wants_range(&self) -> bool {
        self.asked.headers.contains_key(RANGE)
    }

    pub(super) fn outcome(&self, kind: Kind, reason: &'static str) -> Outcome {
        Outcome::new(kind, reason, &self.policy().rule)
    }

    /// What the store has for this request, with the purge log's word on it.
    pub(super) fn look_up(&self, now: Now) -> Held {
        self.held(now, |entry| self.seen(entry, now))
    }

    pub(super) fn held(&self, now: Now, seen: impl Fn(&Entry) -> Seen) -> Held {
        let resource = self.engine.memory.get(&self.key);
        let selected = resource.as_ref().and_then(|r| r.select(&self.headers));
        let other_variants = resource.is_some() && selected.is_none();
        let entry = selected.filter(|e| !is_useless(e, now.mono));
        let unsynced = entry.is_some_and(|e| self.engine.may_be_purged_unheard(e.began, now));
        let entry = entry.map(|e| (e.clone(), seen(e)));
        Held { resource, other_variants, entry, unsynced }
    }

    /// Would a look-up still find the same?
    pub(super) fn is_current(&self, held: &Held) -> bool {
        let now = self.look_up(self.engine.clock.now());
        match (&now.entry, &held.entry) {
            (Some((now, _)), Some((then, _))) => Arc::ptr_eq(now, then),
            (None, None) => true,
            _ => false,
        }
    }

    pub(super) fn seen(&self, entry: &Entry, now: Now) -> Seen {
        Seen::from_verdict(self.engine.verdict(entry), || entry.age(entry.check.stale_since(now.mono)))
    }

    pub(super) fn wishes(&self) -> Wishes {
        Wishes {
            honour_client: self.policy().client_revalidate_honour || self.forced,
            early_refresh: self.policy().early_refresh,
        }
    }

    /// Whether what is remembered of the key makes this request fetch for itself.
    pub(super) fn keeps_apart(&self, mark: Option<Mark>) -> bool {
        match mark {
            None => false,
            Some(Mark::NotShareable | Mark::TooLarge) => true,
            Some(Mark::NotShareableAuthorized) => self.headers.contains_key(AUTHORIZATION),
            Some(Mark::NotShareableWithCookie) => self.headers.contains_key(COOKIE),
        }
    }

    /// How this request makes use of the other nodes. Not at all where nothing of theirs could answer it.
    pub(super) fn may_share(&self) -> Option<Sharing> {
        let wishes = self.wishes();
        let wants_new = wishes.honour_client
            && (self.directives.no_cache || self.directives.max_age.is_some_and(|age| age == 0));
        let shares = self.engine.fleet.is_some() && !self.forced && !self.directives.no_store && !wants_new;
        shares.then(|| Sharing {
            patience: self.policy().coalesce.unwrap_or_default(),
            directives: self.directives.clone(),
            honour_client: wishes.honour_client,
        })
    }

    /// Nothing is stored, and most likely nothing will be: the client's conditions and ranges go to the origin
    /// (RFC 9111 §4.3.2), which may then answer 304 or 206.
    fn forward_conditions(&mut self) {
        let own = [IF_NONE_MATCH, IF_MODIFIED_SINCE, RANGE, IF_RANGE];
        let compress = self.site.rules.compress();
        if !compress && !own.iter().any(|name| self.asked.headers.contains_key(name)) {
            return;
        }
        let headers = Arc::make_mut(&mut self.headers);
        for name in own {
            for value in self.asked.headers.get_all(&name) {
                headers.append(name.clone(), value.clone());
            }
        }
        if compress {
            coding::restore(headers);
        }
    }

    pub(super) fn flight_key(&self, variant: Option<Box<[u8]>>) -> FlightKey {
        FlightKey { key: self.key.clone(), variant, authorized: self.headers.contains_key(AUTHORIZATION) }
    }

    async fn answer(mut self) -> Answered {
        let look = self.engine.markers.look(&self.key, self.engine.clock.now().mono);
        let mark = look.map(|(mark, _)| mark);
        self.marked = look.filter(|(_, lasts)| *lasts).map(|(mark, _)| mark);
        let apart = self.keeps_apart(mark);
        // An answer to a request with `no-store` is for nobody else (RFC 9111 §5.2.1.5).
        let mut alone = self.policy().coalesce.is_none() || self.directives.no_store || apart;
        self.sharing = self.may_share().filter(|_| !apart);
        let mut collapsed = Collapsed::NotTried;
        let mut hint = None;
        for round in 0.. {
            let now = self.engine.clock.now();
            let held = self.look_up(now);
            let going = match self.way(self.plan(&held, now, 1.0 - fastrand::f64()), mark) {
                Way::Serve { stale, refresh } => return self.serve(&held, stale, refresh, now),
                Way::Refuse => {
                    return (Err(Failure::OnlyIfCached), self.outcome(Kind::Error, "only-if-cached"));
                }
                Way::RangeOfLarge => return pass::range_of_large(&self).await,
                Way::Head(going) => return self.head(held, going).await,
                Way::Fetch(going) => going,
            };
            if alone || round >= ROUNDS {
                // Who has waited in vain here does not wait for other nodes too.
                if self.policy().coalesce.is_some() {
                    self.sharing = None;
                }
                let flight = self.engine.flights.alone(&self.key, || self.start());
                if mark == Some(Mark::NotShareable) && held.entry.is_none() {
                    self.forward_conditions();
                }
                return self.lead(held, going, flight, None, (collapsed, apart)).await;
            }
            let variant = hint.take().or_else(|| held.variant_hint(&self.headers));
            let flight_key = self.flight_key(variant);
            let start = || self.is_current(&held).then(|| self.start());
            let flight = match self.engine.flights.join_or_lead(&flight_key, |f| self.may_join(f), start) {
                Ticket::Lead(flight) => {
                    return self.lead(held, going, flight, Some(flight_key), (collapsed, false)).await;
                }
                Ticket::Wait(flight) => flight,
                Ticket::LookAgain => continue,
            };
            match self.wait(&held, going, &flight).await {
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

    /// `luck` is a uniform random number in (0, 1], for early refresh.
    pub(super) fn plan(&self, held: &Held, now: Now, luck: f64) -> Plan {
        let lookup = match &held.entry {
            Some((entry, seen)) => {
                Lookup::Found(Found { unsynced: held.unsynced, ..found(entry, *seen, now) })
            }
            None if held.other_variants => Lookup::OtherVariants,
            None => Lookup::Nothing,
        };
        let fetch_time = held.entry.as_ref().map_or(Duration::ZERO, |(e, _)| e.fetch_time());
        plan::decide(lookup, &self.directives, self.wishes(), fetch_time, luck)
    }

    pub(super) fn start(&self) -> Arc<Flight> {
        let now = self.engine.clock.now().mono;
        Flight::begin(&self.engine.purges, self.base.selectors.clone(), now)
    }

    /// A request that arrives after a purge must not be answered by a fetch from before it (rulings 10).
    /// Neither may one that wants what the origin has now, of which an earlier fetch knows nothing. And a node that may have
    /// missed a purge uses a fetch no longer than what that will have stored (rulings 19).
    pub(super) fn may_join(&self, flight: &Flight) -> bool {
        let now = self.engine.clock.now();
        if self.forced || self.engine.may_be_purged_unheard(flight.began, now) {
            return false;
        }
        let untouched = self.engine.untouched_since(flight.born, &self.base);
        match flight.stage() {
            Stage::Shared(shared) => untouched && self.engine.untouched_meta(&*shared.meta),
            Stage::Confirmed(entry, _) | Stage::Promoted(entry) => {
                untouched
                    && self.engine.untouched_meta(&*entry)
                    && !self.engine.may_be_purged_unheard(entry.began, now)
            }
            Stage::Pending => untouched,
            Stage::NotShareable(_) | Stage::Failed(_) | Stage::LeftToOthers => false,
        }
    }

    /// A HEAD that the store can't answer: sent on by itself. When the origin fails it is as good as a GET.
    async fn head(&self, held: Held, going: Going) -> Answered {
        let mut member = site::forwarded(going.forward);
        let answer = pass::send_head(self).await;
        let now = self.engine.clock.now();
        let answer = match answer {
            Ok(answer) => answer,
            Err(failure) => return self.failed(&held, member, failure, now),
        };
        let status = answer.response.status();
        if let Some(why) = self.stale_instead(&held, status_failure(status)) {
            member.forward_status = Some(status.as_u16());
            return self.serve_stale(&held, why, member, now);
        }
        pass::relay_plainly(self, answer, PassWhy::Head, member, now)
    }

    /// Starts the fetch and answers with what it brings. `apart`: most likely nothing of it will be stored, and nobody else
    /// waits for it.
    async fn lead(
        self,
        held: Held,
        going: Going,
        flight: Arc<Flight>,
        registered: Option<FlightKey>,
        (collapsed, apart): (Collapsed, bool),
    ) -> Answered {
        let (leader, answer) = oneshot::channel();
        // Boxed: it has some ten kilobytes, which starting and ending a task would copy eight times.
        let run = Box::pin(self.fetch(&held, flight, registered, Some(leader)).run(None));
        let answer = if apart {
            first_of(run, answer).await
        } else {
            tokio::spawn(run);
            answer.await
        };
        let Ok(answer) = answer else {
            return (Err(Failure::Internal), self.outcome(Kind::Error, "internal"));
        };
        let now = self.engine.clock.now();
        let mut member = Member { collapsed, ..site::forwarded(going.forward) };
        match answer {
            LeaderAnswer::Shared { shared, received_age, place } => {
                let answered = self.lead_shared(&shared, received_age, &mut member, now);
                drop(place); // the response has a place of its own now
                answered
            }
            LeaderAnswer::Confirmed { entry, origin_time, stored } => {
                member.forward_status = Some(304);
                member.stored = stored;
                member.ttl = Some(entry.ttl(now.mono));
                let reason = going.why.map_or("", ValidateWhy::as_str);
                let (response, mut outcome) =
                    self.stored_answer(&entry, Kind::Revalidated, reason, &member, now);
                outcome.origin_time = Some(origin_time);
                (response, outcome)
            }
            LeaderAnswer::Response { response, why, origin_time } => {
                let status = response.status();
                if let Some(stale) = self.stale_instead(&held, status_failure(status)) {
                    member.forward_status = Some(status.as_u16());
                    return self.serve_stale(&held, stale, member, now);
                }
                self.lead_unstored(response, why, origin_time, member, now)
            }
            LeaderAnswer::Promoted(entry) => self.promoted_answer(&entry, now),
            LeaderAnswer::TooLargeForRange => pass::range_of_large(&self).await,
            LeaderAnswer::Failed(failure) => self.failed(&held, member, failure, now),
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
        member.ttl = Some(shared.meta.ttl(now.mono));
        let policy = self.policy_for(shared.meta.status, content_type(&shared.meta.headers));
        let edits = self.edits(&policy);
        let client = self.client(&policy, &edits);
        let response = deliver::from_shared(&client, shared, true, received_age, member, now);
        let mut outcome = Outcome::new(Kind::Miss, "", &policy.rule).with_member(member);
        outcome.origin_time = Some(shared.origin_time);
        outcome.selectors = Some(Carrier::Described(shared.meta.selectors.clone()));
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
        let policy = self.policy_for(response.status(), content_type(response.headers()));
        let mut outcome = Outcome::new(Kind::Miss, why.as_str(), &policy.rule).with_member(&member);
        outcome.origin_time = Some(origin_time);
        let edits = self.edits(&policy);
        let client = self.client(&policy, &edits);
        (Ok(pass::relay(&client, response, &self.engine.metrics, &member, now)), outcome)
    }

    /// What a fetch with this method may ask the origin to confirm.
    pub(super) fn candidate(&self, held: &Held, method: &Method) -> Option<Arc<Entry>> {
        // RFC 9110 §13.1.2: an If-None-Match that fails is a 304 for GET and HEAD, and a 412 for POST. QUERY is as
        // safe as GET.
        let validates = !self.forced && *method != Method::POST;
        if validates { held.candidate(&self.engine) } else { None }
    }

    pub(super) fn fetch(
        &self,
        held: &Held,
        flight: Arc<Flight>,
        registered: Option<FlightKey>,
        leader: Option<oneshot::Sender<LeaderAnswer>>,
    ) -> Fetch {
        // A HEAD leads only where it is forced, and what it starts else is the refresh of what a GET brought.
        let method = if self.body.is_some() { self.asked.method.clone() } else { Method::GET };
        Fetch {
            engine: self.engine.clone(),
            site: self.site.clone(),
            key: self.key.clone(),
            resolved: self.resolved.clone(),
            flight,
            registered,
            asked: self.asked.clone(),
            headers: self.headers.clone(),
            body: self.body.clone(),
            path_and_query: self.path_and_query.clone(),
            target: self.target.clone(),
            base: self.base.clone(),
            candidate: self.candidate(held, &method),
            method,
            replaces: held.entry.as_ref().map(|(entry, _)| entry.clone()),
            interim: self.interim.clone(),
            wants_range: self.wants_range(),
            marked: self.marked,
            leader,
            sharing: self.sharing.clone(),
            lease: None,
            trace: self.trace.clone(),
        }
    }
}

/// Runs a fetch until it has an answer for its leader. What it has to do beyond that is done in a task of its own; should
/// the leader leave before, it ends.
async fn first_of<F>(
    mut run: Pin<Box<F>>,
    mut answer: oneshot::Receiver<LeaderAnswer>,
) -> Result<LeaderAnswer, oneshot::error::RecvError>
where
    F: Future<Output = ()> + Send + 'static,
{
    let (answer, over) = std::future::poll_fn(|cx| {
        let over = run.as_mut().poll(cx).is_ready();
        // Once it is over its end of the channel is gone.
        Pin::new(&mut answer).poll(cx).map(|answer| (answer, over))
    })
    .await;
    if !over {
        tokio::spawn(run);
    }
    answer
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
