//! Requests that are sent on as they are: writes, bypassed paths, upgrades, and reads that the store has no part
//! in. Their answers stream straight through, at the pace of their one client. What a write does to the store
//! (RFC 9111 §4.4) and what a HEAD teaches it (§4.3.5) happens here too.

use crate::body::OutBody;
use crate::engine::answer::{self, Answered, Ask, Failure};
use crate::engine::deliver::{self, Client};
use crate::engine::draft::{self, Asked, Base};
use crate::engine::fetch::origin_request;
use crate::engine::growing::Growing;
use crate::engine::key;
use crate::engine::outcome::{Kind, Outcome};
use crate::engine::plan::PassWhy;
use crate::engine::policy::Policy;
use crate::engine::request::{Incoming, target_uri};
use crate::engine::rules::Resolved;
use crate::engine::site::{self, Engine, Site};
use crate::origin::{Answer, OriginBody, OriginError, SendOptions};
use crate::purge::Born;
use crate::semantics::cache_status::{Forward, Member};
use crate::semantics::freshness::Freshness;
use crate::semantics::{invalidate, validate, vary};
use crate::store::entry::Meta;
use crate::store::{Entry, Key};
use crate::time::Now;
use http::header::{CONNECTION, RANGE, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use std::sync::Arc;

/// Sends one request on and relays its answer.
pub(super) async fn pass(
    engine: &Arc<Engine>,
    site: &Arc<Site>,
    resolved: Resolved,
    mut incoming: Incoming,
    query: Option<String>,
    base: Option<Base>,
    why: PassWhy,
) -> Answered {
    let policy = resolved.policy.clone();
    let (edits, mut headers) = {
        let seen = answer::facts(&incoming);
        let mut headers = incoming.headers.clone();
        policy.request_headers.apply(&mut headers, &resolved.captures, &seen);
        (policy.response_headers.values(&resolved.captures, &seen), headers)
    };
    if let Some(protocol) = &incoming.upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol.clone());
    }
    let body = std::mem::replace(&mut incoming.body, crate::body::empty_in());
    let born = engine.purges.cursor();
    let path_and_query = answer::path_and_query(&policy, &incoming.path, query.as_deref());
    let sent = engine.clock.now();
    let retry_safe = body.is_end_stream() && is_idempotent(&incoming.method);
    let options =
        SendOptions { key_hash: 0, interim: incoming.interim.clone(), retry_safe, first_byte_timeout: None };
    let outcome = Outcome::new(Kind::Pass, why.as_str(), &policy.rule);
    let answer = match origin_request(&incoming.method, &path_and_query, headers.clone(), body) {
        Ok(request) => engine.ask_origin(site, &policy, request, options).await,
        Err(error) => Err(error),
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return origin_error(&policy, error),
    };
    let now = engine.clock.now();
    let untouched = base.as_ref().is_some_and(|b| engine.untouched_since(born, b));
    let write =
        Write { engine, site, incoming: &incoming, query: query.as_deref(), base, untouched, sent, now };
    write.invalidate(&answer);
    let client = site::client(site, &policy, &edits, &incoming.method, &incoming.headers);
    let mut member = Member {
        forward_status: None,
        detail: (why != PassWhy::Method).then_some(why.as_str()),
        ..site::forwarded(why.forward())
    };
    let mut outcome = outcome;
    outcome.origin_time = Some(answer.first_byte);
    if let Some((key, meta, get_policy)) = write.storable(&headers, &answer) {
        member.stored = true;
        let response =
            relay_and_store(engine, site, &client, answer.response, &member, now, key, meta, get_policy);
        return (Ok(response), outcome);
    }
    (Ok(relay(&client, answer.response, &member, now)), outcome)
}

fn origin_error(policy: &Policy, error: OriginError) -> Answered {
    (Err(Failure::Origin(error)), Outcome::new(Kind::Error, error.as_str(), &policy.rule))
}

/// RFC 9110 §9.2.2.
fn is_idempotent(method: &Method) -> bool {
    method.is_idempotent() || method.as_str() == "QUERY"
}

/// An origin's response as the client gets it, unstored.
pub(super) fn relay(
    client: &Client<'_>,
    response: Response<OriginBody>,
    member: &Member,
    now: Now,
) -> Response<OutBody> {
    let (mut parts, body) = response.into_parts();
    let upgrade = parts.headers.get(UPGRADE).cloned();
    draft::for_clients(&mut parts.headers, now.wall);
    if parts.status == StatusCode::SWITCHING_PROTOCOLS
        && let Some(protocol) = upgrade
    {
        parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        parts.headers.insert(UPGRADE, protocol);
    }
    let body = if body.is_end_stream() { OutBody::Empty } else { OutBody::stream(body) };
    let mut relayed = deliver::finish(client, parts.status, parts.headers, body, None, member);
    *relayed.extensions_mut() = parts.extensions; // an upgraded connection's other end
    relayed
}

/// A range of an object that is too large to be stored: asked for as a range (rulings 30).
pub(super) async fn range_of_large(ask: Ask) -> Answered {
    let mut headers = ask.headers.clone();
    for name in [RANGE, http::header::IF_RANGE] {
        if let Some(value) = ask.client_headers.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    send_plain(&ask, headers, PassWhy::RangeOfLargeObject, PassWhy::RangeOfLargeObject.forward()).await
}

/// A HEAD that the store can't answer: sent on with the client's own conditions; a 200 renews or ends the
/// lifetime of what is stored (RFC 9111 §4.3.5).
pub(super) async fn head(ask: Ask, forward: Forward) -> Answered {
    let mut headers = ask.client_headers.clone();
    vary::normalise_request(&mut headers);
    send_plain(&ask, headers, PassWhy::Head, forward).await
}

async fn send_plain(ask: &Ask, headers: HeaderMap, why: PassWhy, forward: Forward) -> Answered {
    let policy = ask.resolved.policy.clone();
    let born = ask.engine.purges.cursor();
    let sent = ask.engine.clock.now();
    let request = origin_request(&ask.method, &ask.path_and_query, headers, crate::body::empty_in());
    let options = SendOptions {
        key_hash: ask.key.hash_value(),
        interim: ask.interim.clone(),
        retry_safe: true,
        first_byte_timeout: None,
    };
    let answer = match request {
        Ok(request) => ask.engine.ask_origin(&ask.site, &policy, request, options).await,
        Err(error) => Err(error),
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return origin_error(&policy, error),
    };
    let now = ask.engine.clock.now();
    if why == PassWhy::Head && answer.response.status() == StatusCode::OK {
        learn_from_head(ask, &answer, born, sent, now);
    }
    let member = Member { detail: Some(why.as_str()), ..site::forwarded(forward) };
    let mut outcome = Outcome::new(Kind::Pass, why.as_str(), &policy.rule);
    outcome.origin_time = Some(answer.first_byte);
    (Ok(relay(&ask.client(), answer.response, &member, now)), outcome)
}

/// RFC 9111 §4.3.5: a 200 to HEAD that speaks of the stored representation renews it; one that doesn't makes it
/// stale.
fn learn_from_head(ask: &Ask, answer: &Answer, born: Born, sent: Now, now: Now) {
    let Some(resource) = ask.engine.memory.get(&ask.key) else { return };
    let Some(old) = resource.select(&ask.headers).cloned() else { return };
    let fields = answer.response.headers();
    let policy = ask.resolved.policy.clone();
    let new = if validate::head_confirms(&old.meta.full_headers(), old.length, fields)
        && ask.engine.verdict(&old) != crate::purge::Verdict::Hard
    {
        let mut news = fields.clone();
        draft::ensure_date(&mut news, now.wall);
        let updated = validate::updated(&old.meta.full_headers(), &news);
        let asked = Asked {
            method: &Method::GET,
            headers: &ask.headers,
            target: &ask.target,
            base: &ask.base,
            born,
            sent,
        };
        let tags = ask.tags.clone();
        match draft::draft(&asked, old.meta.status, &updated, &policy, tags, now, fastrand::f64()) {
            Ok(draft) => Some(draft.meta),
            Err(_) => None,
        }
    } else {
        None
    };
    let meta = new.unwrap_or_else(|| stale_from_now(&old.meta, now));
    let entry = ask.engine.seal(&ask.site, &policy, meta, old.body.clone(), old.length, old.trailers.clone());
    ask.engine.memory.replace(&ask.key, &old, Arc::new(entry));
}

/// The same, but with its lifetime over.
fn stale_from_now(meta: &Meta, now: Now) -> Meta {
    let age = meta.age(now.mono);
    let lifetime = meta.freshness.lifetime.min(age);
    Meta { freshness: Freshness { lifetime, ..meta.freshness }, ..meta.clone() }
}

/// A request that may change things, and its answer.
struct Write<'a> {
    engine: &'a Arc<Engine>,
    site: &'a Arc<Site>,
    incoming: &'a Incoming,
    query: Option<&'a str>,
    base: Option<Base>,
    /// Nothing purged the target since the request left.
    untouched: bool,
    sent: Now,
    now: Now,
}

impl Write<'_> {
    fn target(&self) -> String {
        target_uri(self.incoming.scheme, &self.incoming.host, &self.incoming.path, self.query)
    }

    /// RFC 9111 §4.4, RFC 9875 §3: applied before the answer goes out.
    fn invalidate(&self, answer: &Answer) {
        let (method, status) = (&self.incoming.method, answer.response.status());
        let headers = answer.response.headers();
        let urls = invalidate::targets(method, status, &self.target(), headers);
        let groups = invalidate::groups(method, status, headers);
        if !urls.is_empty() || !groups.is_empty() {
            let origin = format!("{}://{}", self.incoming.scheme, self.incoming.host);
            self.engine.invalidate_after_write(self.site, &urls, &origin, &groups, self.now);
        }
    }

    /// An answer to POST that may be stored for GET: explicit freshness, and its own URI in `Content-Location`
    /// (RFC 9110 §9.3.3). It is newer than the invalidation that the same request caused.
    fn storable(&self, headers: &HeaderMap, answer: &Answer) -> Option<(Key, Meta, Arc<Policy>)> {
        if self.incoming.method != Method::POST {
            return None;
        }
        let base = self.base.as_ref()?;
        let mut facts = answer::facts(self.incoming);
        facts.method = &Method::GET;
        let resolved = self.site.rules.resolve(&facts);
        if resolved.policy.bypass || resolved.disagree || self.incoming.connection_named_end_to_end {
            return None;
        }
        // Whatever was purged while the origin worked is purged.
        if !self.untouched {
            return None;
        }
        let target: Arc<str> = self.target().into();
        let (status, fields) = (answer.response.status(), answer.response.headers());
        let content_type = fields.get(http::header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let policy = self.site.rules.resolve_response(&resolved, status, content_type);
        let asked = Asked {
            method: &Method::POST,
            headers,
            target: &target,
            base,
            // What this request itself invalidated is older than its answer.
            born: self.engine.purges.cursor(),
            sent: self.sent,
        };
        let drafted = draft::draft(&asked, status, fields, &policy, Some(Vec::new()), self.now, 0.0).ok()?;
        let length = answer.response.body().size_hint().exact()?;
        if length > self.site.max_object || !drafted.leader_only.is_empty() {
            return None;
        }
        let query = policy.key.apply_query(self.incoming.query.as_deref());
        let parts = key::Parts {
            scheme: self.incoming.scheme,
            host: &self.incoming.host,
            path: &self.incoming.path,
            query: query.as_deref(),
            origin: &policy.origin,
            rule_bits: &resolved.key_bits,
            body: None,
        };
        let mut selecting = headers.clone();
        vary::normalise_request(&mut selecting);
        Some((key::build(self.engine.seed, &parts, &policy.key, &selecting), drafted.meta, policy))
    }
}

/// Relays a POST's answer while keeping a copy, which is stored once it is whole.
#[allow(clippy::too_many_arguments)] // what a response needs to be sent, and what an entry needs to be stored
fn relay_and_store(
    engine: &Arc<Engine>,
    site: &Arc<Site>,
    client: &Client<'_>,
    response: Response<OriginBody>,
    member: &Member,
    now: Now,
    key: Key,
    meta: Meta,
    policy: Arc<Policy>,
) -> Response<OutBody> {
    let (parts, mut from) = response.into_parts();
    let body = Growing::new(from.size_hint().exact());
    let reader = body.read(0..u64::MAX);
    let (engine, site) = (engine.clone(), site.clone());
    tokio::spawn(async move {
        while let Some(frame) = from.frame().await {
            match frame.map(http_body::Frame::into_data) {
                Ok(Ok(chunk)) => {
                    body.push(chunk);
                }
                Ok(Err(_)) => {}
                Err(_) => return body.fail("origin-incomplete"),
            }
        }
        let total = body.total();
        let entry: Entry = engine.seal(&site, &policy, meta, body.chunks(), total, None);
        engine.memory.put(&key, Arc::new(entry), policy.max_variants);
        body.finish(None);
    });
    let mut headers = parts.headers;
    draft::for_clients(&mut headers, now.wall);
    let out = reader.map_or(OutBody::Empty, OutBody::stream);
    deliver::finish(client, parts.status, headers, out, None, member)
}
