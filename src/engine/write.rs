//! What a write and its answer do to the store: the invalidation of RFC 9111 §4.4 and RFC 9875 §3, and the answer to
//! a POST that is kept for GET (RFC 9110 §9.3.3).

use crate::body::OutBody;
use crate::engine::deliver::{self, Client};
use crate::engine::draft::{self, Asked, Base, Refused};
use crate::engine::growing::{Demand, Growing, compact};
use crate::engine::key;
use crate::engine::policy::Policy;
use crate::engine::request::{self, Incoming, target_uri};
use crate::engine::site::{Engine, Site};
use crate::origin::{Answer, OriginBody};
use crate::purge::Born;
use crate::semantics::cache_status::Member;
use crate::semantics::fields::content_type;
use crate::semantics::{invalidate, vary};
use crate::store::Key;
use crate::store::entry::Meta;
use crate::time::Now;
use http::{HeaderMap, Method, Response};
use http_body::Body;
use http_body_util::BodyExt;
use std::sync::Arc;

/// A request that may change things, and its answer.
pub struct Write<'a> {
    pub engine: &'a Arc<Engine>,
    pub site: &'a Arc<Site>,
    pub incoming: &'a Incoming,
    pub query: Option<&'a str>,
    pub base: Option<Base>,
    /// The purge log's position when the request left.
    pub born: Born,
    pub sent: Now,
    pub now: Now,
}

/// An answer to POST that is kept for GET.
pub struct Kept {
    key: Key,
    meta: Meta,
    policy: Arc<Policy>,
    site: Arc<Site>,
    /// A write that comes while this is on its way must find that there is something to invalidate.
    counted: Counted,
}

/// Counts a fill that no flight stands for, from before its birth is read until it is stored.
struct Counted(Arc<Engine>);

impl Counted {
    fn begin(engine: &Arc<Engine>) -> Self {
        engine.flights.kept_begins();
        Self(engine.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.flights.kept_ends();
    }
}

impl Write<'_> {
    /// Invalidates what the answer says is no longer true, before it goes out; returns the answer's description if
    /// it may be stored. `is_read`: a rule says that this request changes nothing.
    ///
    /// The stored answer is newer than the invalidation that the same request causes, and older than every other
    /// purge since the request left. So it is judged by its birth first, then reborn after its own invalidation;
    /// should another purge have come between, which the log's version tells, it is not stored.
    pub fn take_effect(&self, headers: &HeaderMap, answer: &Answer, is_read: bool) -> Option<Kept> {
        if is_read {
            return None;
        }
        let storable = self.storable(headers, answer).map(|parts| (parts, Counted::begin(self.engine)));
        let version = self.engine.purges.version();
        let storable = storable.filter(|((_, meta, _), _)| self.engine.untouched_meta(meta));
        let invalidated = self.invalidate(answer);
        let ((key, meta, policy), counted) = storable?;
        let born = self.engine.purges.cursor();
        if self.engine.purges.version() != version + u64::from(invalidated) {
            return None;
        }
        Some(Kept { key, meta: Meta { born, ..meta }, policy, site: self.site.clone(), counted })
    }

    fn target(&self) -> String {
        target_uri(self.incoming.scheme, &self.incoming.host, &self.incoming.path, self.query)
    }

    /// RFC 9111 §4.4, RFC 9875 §3. Whether the purge log has changed by it.
    fn invalidate(&self, answer: &Answer) -> bool {
        let (method, status) = (&self.incoming.method, answer.response.status());
        let headers = answer.response.headers();
        let urls = invalidate::targets(method, status, &self.target(), headers);
        let groups = invalidate::groups(method, status, headers);
        if urls.is_empty() && groups.is_empty() {
            return false;
        }
        let origin = format!("{}://{}", self.incoming.scheme, self.incoming.host);
        self.engine.invalidate_after_write(self.site, &urls, &origin, &groups, self.now)
    }

    /// RFC 9110 §9.3.3: explicit freshness, and its own URI in `Content-Location`.
    fn storable(&self, headers: &HeaderMap, answer: &Answer) -> Option<(Key, Meta, Arc<Policy>)> {
        if self.incoming.method != Method::POST {
            return None;
        }
        let base = self.base.as_ref()?;
        let mut facts = self.incoming.facts();
        facts.method = &Method::GET;
        let resolved = self.site.rules.resolve(&facts);
        if resolved.policy.bypass || resolved.disagree || self.incoming.connection_named_end_to_end {
            return None;
        }
        let target: Arc<str> = self.target().into();
        let (status, fields) = (answer.response.status(), answer.response.headers());
        let policy = self.site.rules.resolve_response(&resolved, status, content_type(fields));
        let asked =
            Asked { method: &Method::POST, headers, target: &target, base, born: self.born, sent: self.sent };
        let tags = request::rule_tags(&policy, &resolved.captures, &facts);
        let drafted = draft::draft(&asked, status, fields, &policy, tags, self.now, 0.0).ok()?;
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

impl Kept {
    /// Relays the answer while keeping a copy, which is stored once it is whole.
    pub fn relay(
        self,
        client: &Client<'_>,
        response: Response<OriginBody>,
        member: &Member,
        now: Now,
    ) -> Response<OutBody> {
        let (parts, from) = response.into_parts();
        let body = Growing::charged(from.size_hint().exact(), self.counted.0.fill_budget.clone());
        let reader = body.read(0..u64::MAX);
        tokio::spawn(self.fill(from, body));
        let mut headers = parts.headers;
        draft::for_clients(&mut headers, now.wall);
        let out = reader.map_or(OutBody::Empty, OutBody::stream);
        deliver::finish(client, parts.status, headers, out, None, member)
    }

    async fn fill(self, mut from: OriginBody, body: Arc<Growing>) {
        let engine = self.counted.0.clone();
        let keeping = body.charge(body.expected().unwrap_or(0));
        if !keeping {
            engine.note_not_stored(Refused::FillBudget);
            body.keep_no_more();
        }
        loop {
            if body.room().await == Demand::Abandoned {
                return body.fail("fetch-aborted");
            }
            let Some(frame) = from.frame().await else { break };
            match frame.map(http_body::Frame::into_data) {
                Ok(Ok(chunk)) => {
                    body.push(chunk);
                }
                Ok(Err(_)) => {} // trailers of an answer that is kept for GET are not kept
                Err(_) => return body.fail("origin-incomplete"),
            }
        }
        let total = body.total();
        if body.expected().is_some_and(|expected| expected != total) {
            return body.fail("origin-incomplete");
        }
        engine.metrics.origin_bytes(total);
        if keeping {
            let chunks = compact(body.chunks());
            let entry = engine.seal(&self.site, &self.policy, self.meta.clone(), chunks, total, None);
            let entry = Arc::new(entry);
            engine.put(&self.key, entry.clone(), &self.policy);
            engine.share(&self.key, &entry, None);
        }
        body.finish(None);
    }
}
