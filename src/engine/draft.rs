//! From an origin's answer to what is stored and sent: which fields stay, which go, and the description
//! ([`Meta`]) that a stored response carries for all its later uses.

use crate::engine::policy::Policy;
use crate::purge::{self, Born, Selectors, Tags, Unselectable};
use crate::semantics::freshness::Freshness;
use crate::semantics::storable::{self, Exchange, NotStored, SetCookie, Storable};
use crate::semantics::vary::{self, Vary};
use crate::semantics::{date, hop, targeted};
use crate::store::entry::{Described, Meta, Place};
use crate::time::{Now, Wall};
use http::header::{AGE, AUTHORIZATION, COOKIE, DATE, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use std::sync::Arc;
use std::time::Duration;

/// Why an answer isn't stored, beyond what the RFC says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refused {
    Semantics(NotStored),
    /// More tags, or longer ones, than can be kept: content nobody could purge (interface.md §2.3).
    Tags,
    /// More than 32 path prefixes (rulings 24).
    PathTooDeep,
    /// Over `memory.max_object`.
    TooLarge,
    /// The body broke off.
    Incomplete,
    /// No memory left for bodies in flight.
    FillBudget,
    /// A newer answer, or a purge, came first.
    Superseded,
}

impl Refused {
    /// All but those of the semantics.
    pub const OWN: [Self; 6] =
        [Self::Tags, Self::PathTooDeep, Self::TooLarge, Self::Incomplete, Self::FillBudget, Self::Superseded];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Semantics(why) => why.as_str(),
            Self::Tags => "tags",
            Self::PathTooDeep => "path-too-deep",
            Self::TooLarge => "too-large",
            Self::Incomplete => "incomplete",
            Self::FillBudget => "fill-budget",
            Self::Superseded => "superseded",
        }
    }

    /// Whether an answer is not stored because of what its request carried, so that others may fare better with theirs.
    pub fn is_own_affair(self, request: &HeaderMap) -> bool {
        match self {
            Self::Semantics(NotStored::RequestNoStore | NotStored::Authorization) => true,
            Self::Semantics(NotStored::NoLifetime | NotStored::NoValidator) => {
                request.contains_key(COOKIE) || request.contains_key(AUTHORIZATION)
            }
            _ => false,
        }
    }
}

/// What is known of the request whose answer is being judged.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// GET for a read that a rule keys by its body.
    pub method: &'a Method,
    /// The fields sent to the origin.
    pub headers: &'a HeaderMap,
    pub target: &'a str,
    pub base: &'a Base,
    pub born: Born,
    pub sent: Now,
}

/// A storable answer: its description, and the fields that only the leader may see.
#[derive(Debug)]
pub struct Draft {
    pub meta: Meta,
    pub leader_only: HeaderMap,
}

/// Judges an answer and describes what would be stored. `luck` in [0, 1) shortens the lifetime by up to
/// `jitter`. `rule_tags` are those that rules add; `None` when one of
/// them can't be kept.
pub fn draft(
    asked: &Asked<'_>,
    status: StatusCode,
    response: &HeaderMap,
    policy: &Policy,
    rule_tags: Option<Vec<String>>,
    now: Now,
    luck: f64,
) -> Result<Draft, Refused> {
    let exchange = Exchange {
        method: asked.method,
        request: asked.headers,
        status,
        response,
        request_time: asked.sent.wall,
        response_time: now.wall,
        target: asked.target,
    };
    let Storable { freshness, omit } =
        storable::assess(&exchange, &policy.store).map_err(Refused::Semantics)?;
    let rule_tags = rule_tags.ok_or(Refused::Tags)?;
    let mut tags = purge::extract_tags(response).map_err(|_| Refused::Tags)?;
    rule_tags.iter().try_for_each(|tag| tags.add(tag)).map_err(|_| Refused::Tags)?;
    let selectors = asked.base.with_tags(&tags)?;
    let mut headers = response.clone();
    let leader_only = split(&mut headers, &omit, policy.store.set_cookie);
    hop::strip_for_storing(&mut headers);
    let all = headers.clone();
    for_clients(&mut headers, now.wall);
    headers.remove(AGE);
    let mut control = all;
    headers.keys().for_each(|shown| drop(control.remove(shown)));
    control.remove(AGE);
    let nominated: Arc<[HeaderName]> = match vary::parse(response, &policy.store.vary_ignore) {
        Vary::On(names) => names.into(),
        Vary::None | Vary::Star => Arc::from([]),
    };
    let date = headers.get(DATE).and_then(|d| date::parse(d.as_bytes())).unwrap_or(now.wall);
    let meta = Meta {
        status,
        freshness: jittered(freshness, policy.jitter, luck),
        arrived: now.mono,
        began: asked.sent.mono,
        received: now.wall,
        date,
        keep: policy.keep,
        variant: vary::variant(&nominated, asked.headers),
        nominated,
        born: asked.born,
        selectors: Arc::new(selectors),
        place: asked.base.place.clone(),
        raw_tags: tags.raw().into(),
        fetch_time: now.mono.since(asked.sent.mono),
        rule: policy.rule.clone(),
        origin: policy.origin.clone(),
        control,
        headers,
    };
    Ok(Draft { meta, leader_only })
}

/// Takes the fields that must not be stored out of `headers`; returns those that the client whose request
/// fetched them may still see: all but a stripped `Set-Cookie`.
fn split(headers: &mut HeaderMap, omit: &[HeaderName], set_cookie: SetCookie) -> HeaderMap {
    let mut private = HeaderMap::new();
    for name in omit {
        if let http::header::Entry::Occupied(field) = headers.entry(name) {
            let (_, values) = field.remove_entry_mult();
            if *name != SET_COOKIE || set_cookie != SetCookie::Strip {
                values.for_each(|v| {
                    private.append(name.clone(), v);
                });
            }
        }
    }
    private
}

/// What happens to every origin response's fields before a client sees them, stored or not: hop-by-hop fields,
/// tags and this cache's own control fields go, and `Date` is added where the origin sent none
/// (RFC 9110 §6.6.1, §7.6.1).
pub fn for_clients(headers: &mut HeaderMap, received: Wall) {
    hop::strip(headers);
    targeted::strip_private_fields(headers);
    purge::strip_tag_headers(headers);
    ensure_date(headers, received);
}

/// RFC 9110 §6.6.1: a recipient with a clock adds the `Date` that is missing.
pub fn ensure_date(headers: &mut HeaderMap, received: Wall) {
    if !headers.contains_key(DATE)
        && let Ok(value) = HeaderValue::from_bytes(&date::format(received))
    {
        headers.insert(DATE, value);
    }
}

fn jittered(freshness: Freshness, jitter: f64, luck: f64) -> Freshness {
    if jitter <= 0.0 {
        return freshness;
    }
    let factor = 1.0 - jitter.min(1.0) * luck.clamp(0.0, 1.0);
    let lifetime = Duration::try_from_secs_f64(freshness.lifetime.as_secs_f64() * factor);
    Freshness { lifetime: lifetime.unwrap_or(freshness.lifetime), ..freshness }
}

/// Whether a waiter's request selects this answer (RFC 9111 §4.1).
pub fn selects(meta: &impl Described, request: &HeaderMap) -> bool {
    meta.nominated().is_empty() || *vary::variant(meta.nominated(), request) == *meta.variant()
}

/// What a request says of the entry it may lead to, before any answer is known.
#[derive(Clone, Debug)]
pub struct Base {
    scheme: &'static str,
    path: Arc<str>,
    query: Option<Arc<str>>,
    pub place: Arc<Place>,
    /// URL, host, prefixes; no tags yet.
    pub selectors: Arc<Selectors>,
}

impl Base {
    pub fn new(
        scheme: &'static str,
        host: &str,
        path: &str,
        query: Option<&str>,
    ) -> Result<Self, Unselectable> {
        let selectors = Arc::new(Selectors::of_url(scheme, host, path, query)?);
        let url = query.map_or_else(|| path.to_owned(), |q| format!("{path}?{q}"));
        let place = Arc::new(Place { scheme, authority: host.into(), url: url.into() });
        Ok(Self { scheme, path: path.into(), query: query.map(Into::into), place, selectors })
    }

    fn with_tags(&self, tags: &Tags) -> Result<Selectors, Refused> {
        if tags.is_empty() {
            return Ok(Selectors::clone(&self.selectors));
        }
        let query = self.query.as_deref();
        Selectors::new(self.scheme, &self.place.authority, &self.path, query, tags)
            .map_err(|_| Refused::PathTooDeep)
    }
}
