//! The fetch: a task of its own that asks the origin, tells everyone who waits, downloads, and stores. It lives on
//! when the client that started it goes away. It carries out; what may be stored, confirmed or shared is
//! decided by the semantics and the plan.

use crate::body::InBody;
use crate::engine::draft::{self, Asked, Base, Draft, Refused};
use crate::engine::fleet::{FromFleet, Sharing};
use crate::engine::flight::{Flight, FlightKey, Shared, Stage};
use crate::engine::growing::{Growing, ReadBody};
use crate::engine::held::found;
use crate::engine::markers::Mark;
use crate::engine::plan::{self, Seen};
use crate::engine::policy::Policy;
use crate::engine::rules::Resolved;
use crate::engine::serve::status_failure;
use crate::engine::sink::Sink;
use crate::engine::{Engine, Site, compress, deliver, request};
use crate::fleet::tier::Lease;
use crate::interim::InterimSender;
use crate::origin::{Answer, OriginBody, OriginError, SendOptions};
use crate::purge::Verdict;
use crate::semantics::cache_control::RequestDirectives;
use crate::semantics::fields::content_type;
use crate::semantics::hop;
use crate::semantics::storable::NotStored;
use crate::semantics::validate::{self, Stored};
use crate::store::entry::{Described, Meta, field_bytes};
use crate::store::memory::Written;
use crate::store::{Entry, Key};
use crate::time::Now;
use crate::trace::{Kind, Trace};
use bytes::Bytes;
use http::header::{AGE, AUTHORIZATION, CONTENT_LENGTH, IF_MODIFIED_SINCE, RANGE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// What only the client that started the fetch may have.
pub enum LeaderAnswer {
    /// Not storable, or too large: the origin's response itself.
    Response {
        response: Response<OriginBody>,
        why: Refused,
        origin_time: Duration,
    },
    /// Storable, its body on the way; whether the others got it too makes no difference to the leader.
    Shared {
        shared: Arc<Shared>,
        received_age: Option<HeaderValue>,
        /// Holds the beginning of the body for the leader, however far the download is when it comes to read.
        place: Option<ReadBody>,
    },
    /// A 304 confirmed what is stored. `stored` is false when it may not be kept.
    Confirmed {
        entry: Arc<Entry>,
        origin_time: Duration,
        stored: bool,
    },
    /// The shared tier had it, and it fits.
    Promoted(Arc<Entry>),
    /// A range of an object over `max_object`: to be asked for again, as a range (rulings 30).
    TooLargeForRange,
    Failed(OriginError),
}

/// Everything a fetch needs; built while its client waits, then moved into the task.
pub struct Fetch {
    pub engine: Arc<Engine>,
    pub site: Arc<Site>,
    pub key: Key,
    pub resolved: Resolved,
    pub flight: Arc<Flight>,
    /// Under which key the flight is in the map; `None` for one that nobody can join.
    pub registered: Option<FlightKey>,
    /// GET, or the method of a read keyed by its body.
    pub method: Method,
    /// The fields to send, without conditions and ranges.
    pub headers: Arc<HeaderMap>,
    /// Body of a read keyed by it.
    pub body: Option<Bytes>,
    pub path_and_query: String,
    pub target: Arc<str>,
    pub base: Base,
    pub asked: Arc<request::Asked>,
    /// The stored response that this request selects and a 304 may confirm.
    pub candidate: Option<Arc<Entry>>,
    /// What was stored for this request: a new answer takes its place, whatever it varies on.
    pub replaces: Option<Arc<Entry>>,
    pub interim: InterimSender,
    pub wants_range: bool,
    /// How the key is marked, and for long enough.
    pub marked: Option<Mark>,
    /// `None` for a background refresh.
    pub leader: Option<oneshot::Sender<LeaderAnswer>>,
    /// How it makes use of the fleet; `None` = not at all.
    pub sharing: Option<Sharing>,
    /// The right to fetch for the whole fleet.
    pub lease: Option<Lease>,
    /// Where it belongs in the trace of the request that started it.
    pub trace: Trace,
}

/// Takes the flight out of the map, and frees its waiters even if the task panics.
struct Registration {
    engine: Arc<Engine>,
    key: Key,
    place: Option<FlightKey>,
    flight: Arc<Flight>,
    refreshing: Option<Arc<Entry>>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.engine.flights.ends(&self.key, self.place.as_ref(), &self.flight);
        if self.flight.is_pending() {
            self.flight.advance(Stage::Failed(OriginError::Request));
        }
        if let Some(entry) = &self.refreshing {
            entry.refresh_done();
        }
    }
}

impl Fetch {
    /// Runs to the end. `refreshing` is the entry whose background refresh this is.
    pub async fn run(mut self, refreshing: Option<Arc<Entry>>) {
        let _registration = Registration {
            engine: self.engine.clone(),
            key: self.key.clone(),
            place: self.registered.clone(),
            flight: self.flight.clone(),
            refreshing,
        };
        let mut step = self.trace.step(Kind::Internal);
        self.trace = step.trace().clone();
        self.flight.is_traced_as(step.trace().context());
        if let Some(span) = step.span() {
            span.name("fetch")
                .text("larder.rule", &*self.resolved.policy.rule)
                .flag("larder.background", self.leader.is_none())
                .flag("larder.conditional", self.candidate.is_some());
        }
        let flight = self.flight.clone();
        self.carry_out().await;
        if let Some(span) = step.span() {
            span.text("larder.fetch.result", flight.stage().as_str());
        }
    }

    async fn carry_out(mut self) {
        match self.ask_fleet().await {
            FromFleet::Done => return,
            FromFleet::Fetch(lease) => self.lease = lease,
        }
        let mut conditional = self.candidate.is_some();
        loop {
            let sent = self.engine.clock.now();
            match self.send(conditional).await {
                Ok(answer) if conditional && answer.response.status() == StatusCode::NOT_MODIFIED => {
                    if self.confirmed(&answer, sent) {
                        return;
                    }
                    // A 304 that speaks of nothing we hold, or of something purged meanwhile: ask plainly.
                    conditional = false;
                }
                Ok(answer) => return self.received(answer, sent).await,
                Err(error) => return self.failed(error),
            }
        }
    }

    async fn send(&mut self, conditional: bool) -> Result<Answer, OriginError> {
        let mut headers = HeaderMap::clone(&self.headers);
        let mut again = Some(self.headers.clone());
        if let (true, Some(entry)) = (conditional, &self.candidate) {
            validate::make_conditional(&mut headers, &[as_stored(entry, &entry.headers())]);
            again = None;
        }
        let body: InBody = match &self.body {
            Some(bytes) => crate::body::full_in(bytes.clone()),
            None => crate::body::empty_in(),
        };
        let request = origin_request(&self.method, &self.path_and_query, headers, body)?;
        let options = SendOptions {
            key_hash: self.key.hash_value(),
            interim: self.interim.clone(),
            retry_safe: self.body.is_none(),
            again,
            first_byte_timeout: None,
        };
        self.engine.ask_origin(&self.site, &self.resolved.policy, request, options, &self.trace).await
    }

    fn failed(&mut self, error: OriginError) {
        self.flight.advance(Stage::Failed(error));
        self.tell_leader(LeaderAnswer::Failed(error));
    }

    pub(super) fn tell_leader(&mut self, answer: LeaderAnswer) {
        if let Some(leader) = self.leader.take() {
            let _ = leader.send(answer); // gone: an unstorable response is dropped, and its connection freed
        }
    }

    /// A 304: renews what it confirms (RFC 9111 §4.3.4). False when it confirms nothing usable.
    fn confirmed(&mut self, answer: &Answer, sent: Now) -> bool {
        let now = self.engine.clock.now();
        let Some(old) = self.candidate.clone() else { return false };
        if validate::confirmed_by(answer.response.headers(), &[as_stored(&old, &old.headers())]).is_empty() {
            return false;
        }
        // What was purged for good while we asked is not revived (rulings 14).
        if self.engine.verdict(&old) == Verdict::Hard {
            return false;
        }
        let fields = validate::updated(&old.full_headers(), &renewing(answer.response.headers(), now));
        let policy = self.site.rules.resolve_response(&self.resolved, old.status, content_type(&fields));
        let drafted = self.draft(old.status, &fields, &policy, sent, now);
        let origin_time = answer.first_byte;
        let (meta, refused) = match drafted {
            Ok(draft) => (Meta { fetch_time: old.fetch_time(), ..draft.meta }, None),
            Err(why) => (self.unkept(&old, &fields, now), Some(why)),
        };
        let keep = refused.is_none();
        let entry = Arc::new(self.engine.seal_again(&self.site, &policy, meta, &old));
        let replace = || self.engine.memory.replace(&self.key, &old, entry.clone());
        let stored = keep && replace() == Written::Stored;
        if stored {
            self.engine.metrics.stored(entry.ttl(now.mono));
            self.engine.share(&self.key, &entry, self.lease.take());
        }
        if let Some(why) = refused {
            self.give_up_lease(why);
        }
        if keep && is_shareable(&*entry, now) {
            self.engine.markers.clear(&self.key);
            self.flight.advance(Stage::Confirmed(entry.clone(), origin_time));
        } else {
            match refused {
                // What this one request carried ends nothing for the others.
                Some(why) if why.is_own_affair(&self.headers) => self.mark_own_affair(why, now),
                refused => {
                    if refused.is_some() {
                        self.engine.memory.remove(&self.key, &old);
                    }
                    self.engine.markers.set(&self.key, Mark::NotShareable, now.mono);
                }
            }
            self.flight.advance(Stage::NotShareable(StatusCode::NOT_MODIFIED));
        }
        self.tell_leader(LeaderAnswer::Confirmed { entry, origin_time, stored });
        true
    }

    /// What a 304 says may not be kept (it now says `no-store`, say), for the one answer it is still good for.
    fn unkept(&self, old: &Entry, fields: &HeaderMap, now: Now) -> Meta {
        let mut headers = fields.clone();
        draft::for_clients(&mut headers, now.wall);
        headers.remove(AGE);
        Meta { headers, arrived: now.mono, received: now.wall, ..old.describe() }
    }

    fn draft(
        &self,
        status: StatusCode,
        response: &HeaderMap,
        policy: &Policy,
        sent: Now,
        now: Now,
    ) -> Result<Draft, Refused> {
        let asked = Asked {
            // A read that a rule keys by its body is stored like a GET (rulings 32).
            method: &Method::GET,
            headers: &self.headers,
            target: &self.target,
            base: &self.base,
            born: self.flight.born,
            sent,
        };
        let tags = request::rule_tags(policy, &self.resolved.captures, &self.asked.facts());
        draft::draft(&asked, status, response, policy, tags, now, fastrand::f64())
    }

    /// A full answer: decide, publish its head, download, store.
    async fn received(mut self, answer: Answer, sent: Now) {
        let now = self.engine.clock.now();
        let origin_time = answer.first_byte;
        let status = answer.response.status();
        let fields = answer.response.headers();
        let policy = self.site.rules.resolve_response(&self.resolved, status, content_type(fields));
        let drafted = if self.is_sheltered(status, now) {
            Err(Refused::Semantics(NotStored::ErrorStatus))
        } else {
            self.draft(status, fields, &policy, sent, now).and_then(|d| self.fits(d, fields))
        };
        match drafted {
            Ok(draft) => {
                self.engine.markers.clear(&self.key);
                self.download(answer, draft, policy, origin_time, now).await;
            }
            Err(why) => self.not_stored(answer, why, now),
        }
    }

    /// An error does not take the place of what may be served instead of it (RFC 5861 §4), however long it says
    /// that it holds.
    fn is_sheltered(&self, status: StatusCode, now: Now) -> bool {
        let Some(failure) = status_failure(status) else { return false };
        self.replaces.as_ref().is_some_and(|entry| {
            let noticed = || entry.age(entry.check.stale_since(now.mono));
            let seen = Seen::from_verdict(self.engine.verdict(entry), noticed);
            plan::on_failure(found(entry, seen, now), &RequestDirectives::default(), failure).is_some()
        })
    }

    /// Known to be over `max_object`, or more than all the memory there is?
    fn fits(&self, draft: Draft, fields: &HeaderMap) -> Result<Draft, Refused> {
        let known = content_length(fields).unwrap_or(0);
        // What comes on top of body and fields is found out when it is all there (`Engine::put`).
        let least = known.saturating_add(field_bytes(&draft.meta.headers) as u64);
        if known > self.site.max_object || least > self.engine.memory.capacity() {
            Err(Refused::TooLarge)
        } else {
            Ok(draft)
        }
    }

    fn not_stored(&mut self, answer: Answer, why: Refused, now: Now) {
        let status = answer.response.status();
        self.engine.note_key_not_stored(&self.key, why, status);
        let passing = is_passing(status);
        if !passing {
            self.give_up_lease(why);
        }
        match why {
            Refused::TooLarge => self.mark(Mark::TooLarge, now),
            // A failing origin must not lose its shelter by its failure, nor a key by what one client sent. A 206 or
            // 304 answers a range or condition that was sent on because of the mark: it must not renew it for ever.
            _ if passing || why == Refused::Semantics(NotStored::Status) => {}
            _ if why.is_own_affair(&self.headers) => self.mark_own_affair(why, now),
            _ => self.mark(Mark::NotShareable, now),
        }
        self.flight.advance(Stage::NotShareable(status));
        // The origin has a new answer that may not be kept: what it replaces is of no further use. Unless the answer
        // says nothing of it, or is kept out by what this one request carried.
        if let Some(old) = &self.replaces
            && !passing
            && !why.is_own_affair(&self.headers)
        {
            self.engine.memory.remove(&self.key, old);
        }
        if why == Refused::TooLarge && self.wants_range {
            return self.tell_leader(LeaderAnswer::TooLargeForRange);
        }
        let origin_time = answer.first_byte;
        self.tell_leader(LeaderAnswer::Response { response: answer.response, why, origin_time });
    }

    /// Remembers which requests for the key had better not wait for each other: those that carry the same as this one.
    fn mark_own_affair(&self, why: Refused, now: Now) {
        let mark = match why {
            Refused::Semantics(NotStored::RequestNoStore) => return,
            _ if self.headers.contains_key(AUTHORIZATION) => Mark::NotShareableAuthorized,
            _ => Mark::NotShareableWithCookie,
        };
        self.mark(mark, now);
    }

    fn mark(&self, mark: Mark, now: Now) {
        if self.marked != Some(mark) {
            self.engine.markers.set(&self.key, mark, now.mono);
        }
    }

    async fn download(
        mut self,
        answer: Answer,
        draft: Draft,
        policy: Arc<Policy>,
        origin_time: Duration,
        now: Now,
    ) {
        let expected = if deliver::bodyless(draft.meta.status) {
            Some(0)
        } else {
            content_length(answer.response.headers())
        };
        let received_age = answer.response.headers().get(AGE).cloned();
        let body = Growing::charged(expected, self.engine.fill_budget.clone());
        let meta = Arc::new(draft.meta);
        let shared = Arc::new(Shared {
            meta: meta.clone(),
            leader_only: draft.leader_only,
            body: body.clone(),
            origin_time,
        });
        let mut sink = Sink {
            engine: self.engine.clone(),
            site: self.site.clone(),
            key: self.key.clone(),
            forms: compress::wanted(&policy, &self.asked.headers, self.replaces.as_deref()),
            policy,
            meta: meta.clone(),
            replaces: self.replaces.take(),
            // What will not be shared is not waited for by other nodes.
            lease: self.lease.take().filter(|_| self.engine.can_share(expected.unwrap_or(0))),
            body: body.clone(),
            started: now,
            received: 0,
            keeping: true,
            stored: false,
            throttled: None,
        };
        if expected == Some(0) {
            sink.store(None, None); // there is no last byte to store it before
        }
        self.announce(shared, received_age, now);
        sink.fill(answer.response.into_body()).await;
    }

    /// Tells the leader and all who wait.
    fn announce(&mut self, shared: Arc<Shared>, received_age: Option<HeaderValue>, now: Now) {
        // Before anything can move on without it.
        let place = shared.body.read(0..u64::MAX);
        if is_shareable(&*shared.meta, now) {
            self.flight.advance(Stage::Shared(shared.clone()));
        } else {
            // Stored, but every use needs the origin: waiting for it would only queue them up.
            self.engine.markers.set(&self.key, Mark::NotShareable, now.mono); // any other has been cleared
            self.flight.advance(Stage::NotShareable(shared.meta.status));
        }
        self.tell_leader(LeaderAnswer::Shared { shared, received_age, place });
    }
}

/// Errors and refusals that are over when the trouble is, and say nothing of the resource.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429)
}

/// Whether others than the leader may have it without asking the origin themselves.
fn is_shareable(meta: &impl Described, now: Now) -> bool {
    let freshness = meta.freshness();
    freshness.is_fresh(meta.age(now.mono)) && !freshness.must_validate
}

fn as_stored<'f>(entry: &Entry, fields: &'f HeaderMap) -> Stored<'f> {
    Stored { headers: fields, date: entry.date }
}

/// A 304's fields as they renew stored ones. One without `Date` was made now (RFC 9110 §6.6.1).
fn renewing(not_modified: &HeaderMap, now: Now) -> HeaderMap {
    let mut fields = not_modified.clone();
    hop::strip(&mut fields);
    draft::ensure_date(&mut fields, now.wall);
    fields
}

fn content_length(fields: &HeaderMap) -> Option<u64> {
    fields.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A request as the origin room takes it: origin-form target.
pub fn origin_request(
    method: &Method,
    path_and_query: &str,
    headers: HeaderMap,
    body: InBody,
) -> Result<Request<InBody>, OriginError> {
    let uri: http::Uri = path_and_query.parse().map_err(|_| OriginError::Request)?;
    let mut request = Request::new(body);
    *request.method_mut() = method.clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Ok(request)
}

/// Fields of a client's request that must not be in one whose answer is stored: its conditions and ranges.
pub fn strip_selective(headers: &mut HeaderMap) {
    for name in [
        RANGE,
        http::header::IF_RANGE,
        http::header::IF_NONE_MATCH,
        IF_MODIFIED_SINCE,
        http::header::IF_MATCH,
        http::header::IF_UNMODIFIED_SINCE,
        http::header::EXPECT,
    ] {
        headers.remove(name);
    }
}
