//! Requests that are sent on as they are: writes, bypassed paths, upgrades, and reads that the store has no part
//! in. Their answers stream straight through, at the pace of their one client. What a HEAD teaches the store
//! (RFC 9111 §4.3.5) happens here too; what a write does to it is in `write`.

use crate::body::{InBody, OutBody};
use crate::engine::after_write;
use crate::engine::answer::{Answered, Ask, Failure};
use crate::engine::deliver::{self, Client};
use crate::engine::draft::{self, Asked, Base};
use crate::engine::fetch::origin_request;
use crate::engine::outcome::{Kind, Outcome};
use crate::engine::plan::PassWhy;
use crate::engine::policy::{AfterWrite, Policy};
use crate::engine::request::{self, Incoming, is_keyed_by_body};
use crate::engine::rules::Resolved;
use crate::engine::site::{self, Engine, Site};
use crate::engine::write::{Kept, Write};
use crate::observe::Metrics;
use crate::origin::{Answer, OriginBody, OriginError, SendOptions};
use crate::purge::Born;
use crate::semantics::cache_status::Member;
use crate::semantics::fields::content_type;
use crate::semantics::freshness::Freshness;
use crate::semantics::{coding, invalidate, validate};
use crate::store::entry::{Described, Meta};
use crate::time::Now;
use bytes::Bytes;
use http::header::{CONNECTION, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE, SET_COOKIE, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

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
    let mut headers = incoming.headers.clone();
    if site.rules.compress() {
        coding::restore(&mut headers);
    }
    policy.request_headers.apply(&mut headers, &resolved.captures, &incoming.facts());
    if let Some(protocol) = &incoming.upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol.clone());
    }
    let body = std::mem::replace(&mut incoming.body, crate::body::empty_in());
    let unsafe_ = !incoming.method.is_safe() && !is_keyed_by_body(&incoming.method, &policy);
    let exchange = Exchange {
        engine: engine.clone(),
        site: site.clone(),
        policy: policy.clone(),
        incoming,
        headers: Arc::new(headers),
        query,
        base,
    };
    let (incoming, answered) = if unsafe_ {
        // A client that leaves (a reset stream, say) must not keep what its request changed from being invalidated. So
        // the exchange is a task of its own up to the answer's head.
        match tokio::spawn(Box::pin(exchange.run(body))).await {
            Ok(exchanged) => exchanged,
            Err(_) => return (Err(Failure::Internal), Outcome::new(Kind::Error, "internal", &policy.rule)),
        }
    } else {
        exchange.run(body).await
    };
    let (answer, kept, now) = match answered {
        Ok(answered) => answered,
        Err(error) => return origin_error(&policy, error),
    };
    // What a rule sets may depend on the status.
    let (status, fields) = (answer.response.status(), answer.response.headers());
    let policy = site.rules.resolve_response(&resolved, status, content_type(fields));
    let edits = policy.response_headers.values(&resolved.captures, &incoming.facts());
    let client = site::client(site, &policy, &edits, &incoming.method, &incoming.headers);
    let member = Member {
        stored: kept.is_some(),
        detail: (why != PassWhy::Method).then_some(why.as_str()),
        ..site::forwarded(why.forward())
    };
    let mut outcome = Outcome::new(Kind::Pass, why.as_str(), &policy.rule);
    outcome.origin_time = Some(answer.first_byte);
    let mut response = match kept {
        Some(kept) => kept.relay(&client, answer.response, &member, now),
        None => relay(&client, answer.response, &engine.metrics, &member, now),
    };
    // For this client only: what may have been kept for others was settled before.
    let told = engine.has_written(site, &policy, &incoming, status).filter(|_| unsafe_);
    response.headers_mut().extend(told.map(|cookie| (SET_COOKIE, cookie)));
    (Ok(response), outcome)
}

/// A request that is sent on, up to its answer's head and what that does to the store.
struct Exchange {
    engine: Arc<Engine>,
    site: Arc<Site>,
    policy: Arc<Policy>,
    incoming: Incoming,
    /// As they are sent.
    headers: Arc<HeaderMap>,
    query: Option<String>,
    base: Option<Base>,
}

impl Exchange {
    async fn run(self, body: InBody) -> (Incoming, Result<(Answer, Option<Kept>, Now), OriginError>) {
        let Self { engine, site, policy, incoming, headers, query, base } = self;
        let path_and_query = request::path_and_query(&policy, &incoming.path, query.as_deref());
        let (born, sent) = (engine.purges.cursor(), engine.clock.now());
        let options = SendOptions {
            key_hash: 0,
            interim: incoming.interim.clone(),
            retry_safe: body.is_end_stream() && is_idempotent(&incoming.method),
            again: Some(headers.clone()),
            first_byte_timeout: None,
        };
        let sent_headers = HeaderMap::clone(&headers);
        let answer = match origin_request(&incoming.method, &path_and_query, sent_headers, body) {
            Ok(request) => engine.ask_origin(&site, &policy, request, options, &incoming.trace).await,
            Err(error) => Err(error),
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return (incoming, Err(error)),
        };
        let now = engine.clock.now();
        let write = Write {
            engine: &engine,
            site: &site,
            incoming: &incoming,
            query: query.as_deref(),
            base,
            born,
            sent,
            now,
        };
        let is_read = is_keyed_by_body(&incoming.method, &policy);
        let kept = write.take_effect(&headers, &answer, is_read);
        let wrote = !is_read && invalidate::is_write(&incoming.method, answer.response.status());
        if wrote && policy.after_write == AfterWrite::Refresh && kept.is_none() {
            after_write::refresh(&engine, &site, &incoming);
        }
        (incoming, Ok((answer, kept, now)))
    }
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
    metrics: &Arc<Metrics>,
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
    if parts.status == StatusCode::NOT_MODIFIED && client.may_hold_forms {
        coding::confirm_held(client.headers, &mut parts.headers);
    }
    let body = if body.is_end_stream() {
        OutBody::Empty
    } else {
        OutBody::stream(Metered { body, bytes: 0, metrics: metrics.clone() })
    };
    let mut relayed = deliver::finish(client, parts.status, parts.headers, body, None, member);
    *relayed.extensions_mut() = parts.extensions; // an upgraded connection's other end
    relayed
}

/// An origin's body that is counted when it is over.
struct Metered {
    body: OriginBody,
    bytes: u64,
    metrics: Arc<Metrics>,
}

impl Body for Metered {
    type Data = Bytes;
    type Error = <OriginBody as Body>::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            this.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Metered {
    fn drop(&mut self) {
        self.metrics.origin_bytes(self.bytes);
    }
}

/// A range of an object that is too large to be stored: asked for as a range, with the client's conditions, which
/// nothing here could answer (rulings 30, RFC 9111 §4.3.2).
pub(super) async fn range_of_large(ask: &Ask) -> Answered {
    let why = PassWhy::RangeOfLargeObject;
    let answer = send_on(ask, &[RANGE, IF_RANGE, IF_NONE_MATCH, IF_MODIFIED_SINCE]).await;
    match answer {
        Ok(answer) => relay_plainly(ask, answer, why, site::forwarded(why.forward()), ask.engine.clock.now()),
        Err(error) => origin_error(ask.policy(), error),
    }
}

/// A HEAD with the client's own conditions. A 200 renews what is stored, or ends its lifetime (RFC 9111 §4.3.5).
pub(super) async fn send_head(ask: &Ask) -> Result<Answer, OriginError> {
    let (born, sent) = (ask.engine.purges.cursor(), ask.engine.clock.now());
    let answer = send_on(ask, &[RANGE, IF_RANGE, IF_NONE_MATCH, IF_MODIFIED_SINCE]).await?;
    if answer.response.status() == StatusCode::OK {
        learn_from_head(ask, &answer, born, sent, ask.engine.clock.now());
    }
    Ok(answer)
}

/// Sends the client's request on, with those of its fields that a fetch would leave out.
async fn send_on(ask: &Ask, own: &[HeaderName]) -> Result<Answer, OriginError> {
    let mut headers = HeaderMap::clone(&ask.headers);
    for name in own {
        for value in ask.asked.headers.get_all(name) {
            headers.append(name.clone(), value.clone());
        }
    }
    if ask.site.rules.compress() {
        coding::restore(&mut headers);
    }
    let request = origin_request(&ask.asked.method, &ask.path_and_query, headers, crate::body::empty_in())?;
    let options = SendOptions {
        key_hash: ask.key.hash_value(),
        interim: ask.interim.clone(),
        retry_safe: true,
        again: None,
        first_byte_timeout: None,
    };
    ask.engine.ask_origin(&ask.site, ask.policy(), request, options, &ask.trace).await
}

/// The answer to a request of [`send_on`].
pub(super) fn relay_plainly(ask: &Ask, answer: Answer, why: PassWhy, member: Member, now: Now) -> Answered {
    let member = Member { detail: Some(why.as_str()), ..member };
    let policy = ask.policy_for(answer.response.status(), content_type(answer.response.headers()));
    let edits = ask.edits(&policy);
    let client = ask.client(&policy, &edits);
    let mut outcome = ask.outcome(Kind::Pass, why.as_str());
    outcome.origin_time = Some(answer.first_byte);
    (Ok(relay(&client, answer.response, &ask.engine.metrics, &member, now)), outcome)
}

/// RFC 9111 §4.3.5: a 200 to HEAD that speaks of the stored representation renews it; one that doesn't makes it
/// stale. What a purge has touched is left as it is: a HEAD need not say anything of the stored bytes.
fn learn_from_head(ask: &Ask, answer: &Answer, born: Born, sent: Now, now: Now) {
    let Some(resource) = ask.engine.memory.get(&ask.key) else { return };
    let Some(old) = resource.select(&ask.headers).cloned() else { return };
    if ask.engine.verdict(&old) != crate::purge::Verdict::Clean {
        return;
    }
    let stored = old.full_headers();
    let mut news = answer.response.headers().clone();
    let confirms = validate::head_confirms(&stored, old.length, &news);
    draft::ensure_date(&mut news, now.wall);
    let updated = validate::updated(&stored, &news);
    let policy = ask.policy_for(old.status, content_type(&updated));
    let asked = Asked {
        method: &Method::GET,
        headers: &ask.headers,
        target: &ask.target,
        base: &ask.base,
        born,
        sent,
    };
    let tags = request::rule_tags(&policy, &ask.resolved.captures, &ask.asked.facts());
    let renewed = draft::draft(&asked, old.status, &updated, &policy, tags, now, fastrand::f64());
    let meta = match renewed {
        Ok(draft) if confirms => Meta { fetch_time: old.fetch_time(), ..draft.meta },
        // Still true, and kept out by what this one client sent: nothing was learned.
        Err(why) if confirms && why.is_own_affair(&ask.headers) => return,
        _ => stale_from_now(old.describe(), now),
    };
    let entry = ask.engine.seal_again(&ask.site, &policy, meta, &old);
    ask.engine.memory.replace(&ask.key, &old, Arc::new(entry));
}

/// The same, but with its lifetime over.
fn stale_from_now(meta: Meta, now: Now) -> Meta {
    let age = meta.age(now.mono);
    let lifetime = meta.freshness.lifetime.min(age);
    Meta { freshness: Freshness { lifetime, ..meta.freshness }, ..meta }
}
