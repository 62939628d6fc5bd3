//! Between the connections and the engine: normalises requests, turns failures into responses, counts and logs
//! every answer once its last byte has left (or its client has gone).

use crate::body::{Chunks, InBody, OutBody, Window};
use crate::clock::Clock;
use crate::engine::fast::{self, FastHit, Plain, Shape};
use crate::engine::outcome::{Kind, Outcome};
use crate::engine::plan::StaleWhy;
use crate::engine::popular;
use crate::engine::purge_call::{self, is_purge_method};
use crate::engine::rate;
use crate::engine::request::{Incoming, Raw};
use crate::engine::{Engine, Failure};
use crate::front::handler::{CONDITIONS, Conn, FastRequest, Handler, Lines, Verdict};
use crate::front::known::Known;
use crate::front::line::{End, Line, Wanted, split, unmatched};
use crate::front::normalise::forwarded::{self, Claims};
use crate::front::normalise::{self, Normal, Scheme, spoofable};
use crate::front::purging::{self, Purgers};
use crate::front::refusal::{self, Refusal};
use crate::front::request_id::new_request_id;
use crate::front::{traced, tunnel};
use crate::interim::InterimSender;
use crate::observe::{AccessLog, Metrics, Record};
use crate::origin::{OriginError, TlsFault};
use crate::semantics::cache_status::Member;
use crate::semantics::date;
use crate::time::{Mono, Now};
use crate::trace::{Span, Trace};
use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_LENGTH, REFERER, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::upgrade::OnUpgrade;
use std::borrow::Cow;
use std::sync::Arc;

/// What connections hand their requests to. One per process.
#[derive(Debug)]
pub struct Service {
    pub engine: Arc<Engine>,
    pub settings: ArcSwap<normalise::Settings>,
    pub purgers: ArcSwap<Purgers>,
    pub log: AccessLog,
    pub metrics: Arc<Metrics>,
    pub clock: Clock,
}

impl Service {
    fn settings(&self) -> Arc<normalise::Settings> {
        self.settings.load_full()
    }

    /// A response that this proxy makes: counted, logged, never stored. One word for it in the log, the metric and
    /// the response.
    fn refuse(&self, refusal: Refusal, end: End, outcome: Option<Outcome>) -> Response<OutBody> {
        if !end.is_refused() {
            self.metrics.refused(refusal.as_str());
        }
        let response = refusal::response(refusal, &self.settings().server_name, &end.line.request_id, false);
        let mut outcome = outcome.unwrap_or_else(|| Outcome::new(Kind::Error, "", &unmatched()));
        outcome.reason = refusal.as_str();
        end.answer(response, outcome)
    }

    async fn serve(
        self: Arc<Self>,
        request: Request<InBody>,
        conn: Arc<Conn>,
        interim: InterimSender,
    ) -> Response<OutBody> {
        let started = self.clock.now();
        let settings = self.settings();
        let (mut parts, body) = request.into_parts();
        let upgrade = parts.extensions.remove::<OnUpgrade>();
        let step = traced::enter(&self, &settings, &conn, &mut parts.headers);
        let target = fast_target(&parts);
        let verdict = parts.extensions.remove::<Verdict>();
        // From here on the request leaves its trace, even if its client does not wait for an answer.
        let wanted = Wanted { referer: self.log.wants_referer(), length: step.is_recorded() };
        let line = Line::early(&parts, &conn, started, wanted);
        let mut end = End::new(self.clone(), line, verdict, step);
        if is_purge_method(&parts.method) {
            return Box::pin(self.purge(parts, body, &conn, end)).await; // rare, and it would make this future larger
        }
        let normal = match normalise::normalise(parts, &conn, &settings) {
            Ok(normal) => normal,
            Err(refusal) => return self.refuse(refusal, end, None),
        };
        end.line.complete(&normal);
        if normal.max_forwards == Some(0) {
            let outcome = Outcome::new(Kind::Pass, "max-forwards", &unmatched());
            return end.answer(options_here(), outcome);
        }
        let raw = target.map(|target| Raw {
            tls: normal.scheme == Scheme::Https,
            host: normal.asked_host.as_bytes().into(),
            target,
        });
        let forced = self.purgers.load().may_force(&normal);
        let incoming =
            Incoming { trace: end.trace().clone(), ..incoming(normal, body, interim, forced, raw) };
        let (answered, outcome) = self.engine.handle(incoming).await;
        let mut response = match answered {
            Ok(response) => response,
            Err(failure) => {
                let mut response = self.refuse(from_failure(failure), end, Some(outcome));
                if let Failure::TooManyRequests(wait) = failure {
                    response.headers_mut().insert(RETRY_AFTER, rate::retry_after(wait).into());
                }
                return response;
            }
        };
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            tunnel::join(upgrade, &mut response);
        }
        end.answer(response, outcome)
    }

    /// `PURGE` and its kin: answered here, whoever asks.
    async fn purge(
        self: Arc<Self>,
        parts: http::request::Parts,
        body: InBody,
        conn: &Conn,
        mut end: End,
    ) -> Response<OutBody> {
        let (purgers, settings) = (self.purgers.load_full(), self.settings());
        let trace = end.trace().clone();
        let handled = purging::handle(&self.engine, &purgers, &settings, conn, parts, body, trace).await;
        if let Some(normal) = &handled.normal {
            end.line.complete(normal);
        }
        match handled.answer {
            Ok(called) => {
                let kind = if called.is_applied() { Kind::Pass } else { Kind::Error };
                let outcome = Outcome::new(kind, purge_call::REASON, &unmatched());
                end.answer(purging::response(called), outcome)
            }
            Err(refusal) => self.refuse(refusal, end, None),
        }
    }

    pub(super) fn record(&self, outcome: &Outcome, took: std::time::Duration, bytes: u64) {
        self.metrics.request(&outcome.rule, outcome.kind.as_str(), took, bytes);
        if outcome.kind == Kind::Stale {
            self.metrics.stale(outcome.reason);
        }
        if let (Some(_), Some(age)) = (outcome.tier, outcome.age) {
            self.metrics.served_from_store(age);
        }
    }

    /// `reason`: the outcome's, unless the answer broke off.
    pub(super) fn write_line(
        &self,
        outcome: &Outcome,
        reason: &'static str,
        line: Line,
        status: u16,
        bytes: u64,
        took: std::time::Duration,
    ) {
        if !self.log.is_on() {
            return;
        }
        let ms = |d: std::time::Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        let logged = self.log.log(Record {
            time: line.started.wall,
            request_id: line.request_id,
            client: line.client,
            method: line.method.as_ref().map_or(Cow::Borrowed("-"), word_of),
            scheme: line.scheme,
            host: line.host,
            path: line.path,
            query: line.query,
            protocol: line.protocol,
            status,
            outcome: outcome.kind.as_str(),
            reason,
            rule: outcome.rule.clone(),
            tier: outcome.tier,
            age_s: outcome.age.map(|a| a.as_secs()),
            ttl_s: outcome.ttl,
            bytes,
            duration_ms: ms(took),
            origin_ms: outcome.origin_time.map(ms),
            user_agent: line.user_agent,
            trace_id: line.trace_id,
            referer: line.referer,
        });
        if !logged {
            self.metrics.log_dropped();
        }
    }
}

/// The usual ones cost no allocation.
fn word_of(method: &Method) -> Cow<'static, str> {
    match method.as_str() {
        "GET" => "GET".into(),
        "HEAD" => "HEAD".into(),
        "POST" => "POST".into(),
        other => other.to_owned().into(),
    }
}

pub(super) fn incoming(
    normal: Normal,
    body: InBody,
    interim: InterimSender,
    forced: bool,
    raw: Option<Raw>,
) -> Incoming {
    Incoming {
        method: normal.method,
        scheme: normal.scheme.as_str(),
        host: normal.host,
        path: normal.path,
        query: normal.query,
        headers: normal.headers,
        body,
        client: normal.client,
        request_id: normal.request_id,
        connection_named_end_to_end: normal.connection_named_end_to_end,
        upgrade: normal.upgrade,
        interim,
        forced,
        raw,
        trace: Trace::off(),
    }
}

/// The target as a client sent it, in a form that the fast lane takes.
fn fast_target(parts: &http::request::Parts) -> Option<Box<[u8]>> {
    let usual = match parts.version {
        Version::HTTP_11 => parts.uri.authority().is_none(),
        Version::HTTP_2 => parts.uri.authority().is_some(),
        _ => false,
    };
    parts.uri.path_and_query().filter(|_| usual).map(|target| target.as_str().as_bytes().into())
}

/// RFC 9110 §7.6.2: `OPTIONS` with `Max-Forwards: 0` is answered by whoever holds it.
fn options_here() -> Response<OutBody> {
    let mut response = Response::new(OutBody::Empty);
    let allow = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, QUERY");
    response.headers_mut().insert(ALLOW, allow);
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    response
}

/// The engine's failures in the words of [`Refusal`].
fn from_failure(failure: Failure) -> Refusal {
    match failure {
        Failure::OnlyIfCached => Refusal::OnlyIfCached,
        Failure::Origin(failure) => from_origin(failure),
        Failure::RequestBody => Refusal::IncompleteBody,
        Failure::TooManyRequests(_) => Refusal::TooManyRequests,
        Failure::Internal => Refusal::Internal,
    }
}

/// Why an origin gave no answer, as the client is told.
fn from_origin(error: OriginError) -> Refusal {
    match error {
        OriginError::ConnectRefused => Refusal::OriginRefused,
        OriginError::ConnectTimeout => Refusal::OriginConnectTimeout,
        OriginError::Unreachable => Refusal::OriginUnroutable,
        OriginError::DnsFailed => Refusal::OriginDns,
        OriginError::Tls(TlsFault::Certificate) => Refusal::OriginCertificate,
        OriginError::Tls(TlsFault::Alert | TlsFault::Protocol) => Refusal::OriginTls,
        OriginError::FirstByteTimeout => Refusal::OriginTimeout,
        OriginError::WriteTimeout => Refusal::OriginWriteTimeout,
        OriginError::ReadTimeout => Refusal::OriginReadTimeout,
        OriginError::Reset => Refusal::OriginBroke,
        OriginError::Protocol => Refusal::OriginMalformed,
        OriginError::HeadTooLarge => Refusal::OriginHeaderTooLarge,
        OriginError::BodyTruncated => Refusal::OriginIncomplete,
        OriginError::UpgradeFailed => Refusal::OriginUpgradeFailed,
        OriginError::NoHealthyServer | OriginError::BreakerOpen => Refusal::NoHealthyOrigin,
        OriginError::QueueFull | OriginError::QueueTimeout => Refusal::QueueFull,
        OriginError::RequestBody => Refusal::IncompleteBody,
        OriginError::LocalResources => Refusal::LocalResources,
        OriginError::Request => Refusal::Internal,
    }
}

/// What a fast answer leaves for the log.
#[derive(Debug)]
pub struct FastRecord {
    hit: FastHit,
    shape: Shape,
    is_head: bool,
    started: Mono,
    line: Option<Box<Line>>,
    span: Option<Box<Span>>,
}

impl Handler for Arc<Service> {
    type Record = FastRecord;

    fn handle(
        &self,
        request: Request<InBody>,
        conn: Arc<Conn>,
        interim: InterimSender,
    ) -> impl Future<Output = Response<OutBody>> + Send + 'static {
        self.clone().serve(request, conn, interim)
    }

    fn fast(&self, request: &FastRequest<'_>, conn: &Conn, out: &mut Vec<u8>) -> Option<FastRecord> {
        let (record, ()) = self.find(request, conn, |hit, shape| {
            fast::complete(hit, shape, out);
            Some(())
        })?;
        Some(record)
    }

    fn fast_response(
        &self,
        request: &FastRequest<'_>,
        conn: &Conn,
    ) -> Option<(FastRecord, Response<Chunks>)> {
        let (record, head) = self.find(request, conn, fast::response_head)?;
        // Its count is one that all threads write: not touched for an answer without a body.
        let body = || record.hit.entry().body.clone();
        let body = match &record.shape {
            Shape::Whole if !record.is_head => Chunks::new(body()),
            Shape::Part(part) => Chunks::slice(body(), part.clone()),
            Shape::Whole | Shape::NotModified => Chunks::new(Bytes::new()),
        };
        Some((record, head.map(|()| body)))
    }

    fn fast_body<'r>(&self, record: &'r FastRecord) -> Window<'r> {
        let body = &record.hit.entry().body;
        match &record.shape {
            Shape::Whole if !record.is_head => Window::new(body, 0..u64::MAX),
            Shape::Part(part) => Window::new(body, part.clone()),
            Shape::Whole | Shape::NotModified => Window::default(),
        }
    }

    fn fast_sent(&self, record: FastRecord, _: &Conn, bytes: u64, waited: bool) {
        let FastRecord { hit, shape, started, line, span, .. } = record;
        // What left at once took less than this clock can tell.
        let took = if waited { self.clock.mono().since(started) } else { std::time::Duration::ZERO };
        let governed = hit.governed();
        match hit.stale {
            None => self.metrics.stored_answer(&governed.counts, took, hit.age, bytes),
            Some(_) => self.record(&fast_outcome(&hit), took, bytes),
        }
        if popular::is_due() {
            let entry = hit.entry();
            let selectors = entry.selectors();
            self.engine.popular.note(entry.authority(), entry.url(), Some(&selectors), self.clock.mono());
        }
        if let Some(line) = line {
            let outcome = fast_outcome(&hit);
            let status = match shape {
                Shape::Whole => hit.entry().status,
                Shape::NotModified => StatusCode::NOT_MODIFIED,
                Shape::Part(_) => StatusCode::PARTIAL_CONTENT,
            };
            let (status, reason) = (status.as_u16(), outcome.reason);
            if let Some(mut span) = span {
                let detail = hit.stale.map(StaleWhy::as_str);
                let member = Member { ttl: Some(hit.ttl), detail, ..Member::default() };
                let told = member.to_value(&self.settings.load().server_name);
                let cache_status = told.to_str().ok();
                let answer = traced::Answer { outcome: &outcome, reason, status, bytes, cache_status };
                traced::describe(&mut span, &line, &answer);
            }
            self.write_line(&outcome, reason, *line, status, bytes, took);
        }
    }

    fn refused(&self, refusal: Refusal, conn: &Conn, known: &Known) -> Bytes {
        let response = self.refuse_message(refusal, conn, known, "HTTP/1.1", true);
        let date = date::format(self.clock.now().wall);
        refusal::encode_http1(&response, std::str::from_utf8(&date).unwrap_or_default())
    }

    fn refused_response(&self, refusal: Refusal, conn: &Conn, known: &Known) -> Response<OutBody> {
        self.refuse_message(refusal, conn, known, "HTTP/2", false)
    }

    fn now(&self) -> Now {
        self.clock.now()
    }
}

impl Service {
    /// The hit that a plain request is, if it is one, and its head; `None` also where `head` has none.
    fn find<T>(
        &self,
        request: &FastRequest<'_>,
        conn: &Conn,
        head: impl FnOnce(&FastHit, &Shape) -> Option<T>,
    ) -> Option<(FastRecord, T)> {
        let settings = request.settled.then(|| self.settings.load());
        if settings.as_ref().is_some_and(|settings| may_be_ours(request, settings)) {
            return None; // to be refused: what is stored must not hide a loop
        }
        let claims = settings.as_ref().and_then(|settings| claims(request, conn, settings));
        // Without a name from TLS a connection is for every host, and a trusted proxy's is for those it tells.
        if claims.is_none()
            && conn.sni.is_some()
            && !self.settings.load().hosts.is_empty()
            && !std::str::from_utf8(request.host).is_ok_and(|host| normalise::is_for(conn, host))
        {
            return None; // to be answered 421
        }
        let started = self.clock.mono();
        let plain = Plain {
            tls: claims.as_ref().and_then(|c| c.scheme).map_or(conn.tls, |scheme| scheme == Scheme::Https),
            host: claims.as_ref().and_then(|c| c.host.as_deref()).map_or(request.host, str::as_bytes),
            target: request.target,
        };
        // What the slow way removes is not there. What it says in its own words instead is not there either, so that an
        // answer that varies on it is not found.
        let hides =
            |name: &HeaderName| request.settled && spoofable::is_hidden(name.as_str(), claims.is_some());
        let fields = |name: &HeaderName, each: &mut dyn FnMut(&[u8])| {
            if !hides(name) {
                request.lines.values(name, each);
            }
        };
        let host = || normalise::plain_host(&plain, &self.settings.load());
        let hit = self.engine.fast_hit(&plain, host, fields, started)?;
        let shape = if request.conditional { shape(&hit, request)? } else { Shape::Whole };
        let head = head(&hit, &shape)?;
        let span = traced::enter_fast(self, request, conn);
        let line = (self.log.is_on() || span.is_some()).then(|| {
            let line = self.fast_line(request, conn, &plain, claims.as_ref());
            Box::new(Line { trace_id: span.as_ref().and_then(|span| span.trace_id()), ..line })
        });
        Some((FastRecord { hit, shape, is_head: request.head, started, line, span }, head))
    }

    fn fast_line(
        &self,
        request: &FastRequest<'_>,
        conn: &Conn,
        plain: &Plain<'_>,
        claims: Option<&Claims>,
    ) -> Line {
        let peer = conn.peer.ip();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (path, query) = split(&text(request.target));
        let first = |name| {
            let mut first = None;
            request.lines.values(name, |value| first = first.take().or_else(|| Some(text(value))));
            first
        };
        let trusted = || self.settings.load().trusts(peer);
        let given = || normalise::given_request_id(&request.lines).filter(|_| claims.is_some() || trusted());
        Line {
            started: self.clock.now(),
            request_id: given().unwrap_or_else(new_request_id),
            client: claims.map_or(peer, |claims| claims.client),
            method: Some(if request.head { Method::HEAD } else { Method::GET }),
            scheme: if plain.tls { "https" } else { "http" },
            host: text(plain.host).to_ascii_lowercase(),
            path,
            query,
            protocol: if matches!(request.lines, Lines::Map(_)) { "HTTP/2" } else { "HTTP/1.1" },
            user_agent: first(&USER_AGENT),
            referer: if self.log.wants_referer() { first(&REFERER) } else { None },
            request_length: None,
            trace_id: None,
        }
    }

    /// A message that never became a request.
    fn refuse_message(
        &self,
        refusal: Refusal,
        conn: &Conn,
        known: &Known,
        protocol: &'static str,
        close: bool,
    ) -> Response<OutBody> {
        let line = Line::of_refused(known, conn, protocol, self.clock.now());
        self.metrics.refused(refusal.as_str());
        let response = refusal::response(refusal, &self.settings().server_name, &line.request_id, close);
        let outcome = Outcome::new(Kind::Error, refusal.as_str(), &unmatched());
        let status = response.status().as_u16();
        self.record(&outcome, std::time::Duration::ZERO, 0);
        self.write_line(&outcome, outcome.reason, line, status, 0, std::time::Duration::ZERO);
        response
    }
}

fn fast_outcome(hit: &FastHit) -> Outcome {
    let kind = if hit.stale.is_some() { Kind::Stale } else { Kind::Hit };
    let reason = hit.stale.map_or("", StaleWhy::as_str);
    let mut outcome = Outcome::new(kind, reason, &hit.governed().policy.rule);
    outcome.tier = Some("memory");
    outcome.age = Some(hit.age);
    outcome.ttl = Some(hit.ttl);
    outcome
}

/// Whether `CDN-Loop` names this node (RFC 8586), or looks as if: what we send always has fields of a proxy as well.
fn may_be_ours(request: &FastRequest<'_>, settings: &normalise::Settings) -> bool {
    let id = settings.node_id.as_bytes();
    let mut found = false;
    request.lines.values(&normalise::CDN_LOOP, |value| {
        found |= !id.is_empty() && value.windows(id.len()).any(|some| some == id);
    });
    found
}

/// What a trusted proxy says of who asks, and for what; `None`: it is none.
fn claims(request: &FastRequest<'_>, conn: &Conn, settings: &normalise::Settings) -> Option<Claims> {
    let peer = conn.peer.ip().to_canonical();
    let resolve = || forwarded::resolve(&request.lines, peer, &settings.trusted_proxies);
    settings.trusts(peer).then(resolve)
}

/// What a request with conditions or ranges gets.
fn shape(hit: &FastHit, request: &FastRequest<'_>) -> Option<Shape> {
    let mut asked = HeaderMap::with_capacity(CONDITIONS.len());
    let mut well = true;
    request.lines.each(|name, value| {
        let wanted = |condition: &&HeaderName| name.eq_ignore_ascii_case(condition.as_str().as_bytes());
        if let Some(name) = CONDITIONS.iter().find(wanted) {
            match HeaderValue::from_bytes(value) {
                Ok(value) => {
                    asked.append(name, value);
                }
                Err(_) => well = false,
            }
        }
    });
    if !well {
        return None;
    }
    let method = if request.head { Method::HEAD } else { Method::GET };
    hit.shape(&method, &asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9209 §2.3 recommends a status for each: the origin room knows it, and a client must get it.
    #[test]
    fn rfc9209_2_3_a_failed_origin_is_told_with_the_status_and_the_word_that_the_origin_room_has_for_it() {
        for error in [
            OriginError::ConnectRefused,
            OriginError::ConnectTimeout,
            OriginError::Unreachable,
            OriginError::DnsFailed,
            OriginError::Tls(TlsFault::Certificate),
            OriginError::Tls(TlsFault::Protocol),
            OriginError::FirstByteTimeout,
            OriginError::WriteTimeout,
            OriginError::ReadTimeout,
            OriginError::Reset,
            OriginError::Protocol,
            OriginError::HeadTooLarge,
            OriginError::BodyTruncated,
            OriginError::UpgradeFailed,
            OriginError::NoHealthyServer,
            OriginError::BreakerOpen,
            OriginError::QueueFull,
            OriginError::QueueTimeout,
            OriginError::RequestBody,
            OriginError::Request,
            OriginError::LocalResources,
        ] {
            let refusal = from_origin(error);
            assert_eq!(refusal.status(), error.status(), "{error}");
            assert_eq!(refusal.proxy_status_error(), error.proxy_status(), "{error}");
        }
    }
}
