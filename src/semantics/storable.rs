//! May a response be stored by a shared cache, and with which lifetime (RFC 9111 §3, §3.5, §4.2, §5.2.2)?
//!
//! [`assess`] asks, in this order, and the first "no" is the reason that is shown everywhere:
//!
//! 1. the method (§3; RFC 9110 §9.3);
//! 2. the client's `no-store` (§5.2.1.5);
//! 3. the status: informational ones are not final (§3); 206 and 304 are parts of other responses (§3.3,
//!    §4.3.4); 412 and 416 answer the conditions and the range of one request, which are in no key;
//! 4. `must-understand` (§5.2.2.3), which in turn lifts the `no-store` sent for caches that don't know it;
//! 5. `no-store` (§5.2.2.5), `private` (§5.2.2.7);
//! 6. `Authorization` in the request without `public`, `s-maxage` or `must-revalidate` (§3.5);
//! 7. `Set-Cookie`, which the RFC permits to store (§7.3) and this cache does not unless told to strip it;
//! 8. `Vary: *` (§4.1);
//! 9. error statuses: 5xx, 400, 413, 414, and 428, 429, 431, 511, for which RFC 6585 says MUST NOT. A rule
//!    that names the status is what §3 calls a cache extension; the response must then be explicitly fresh.
//!    (The heuristics of `statuses: all` bring in what RFC 9110 §15.1 lists, by that choice only.);
//! 10. a lifetime, or else a validator and a status that RFC 9110 §15.1 lets a cache keep without being told:
//!     such a response is validated before each use;
//! 11. whether a stored copy could be used at all.
//!
//! "Governing field" is the one [`targeted`] chose; every directive above is read from it alone. Only
//! `no-transform` is heard in `Cache-Control` too: it is about content, not about caching (RFC 9213 §2.2).

use super::cache_control::{Qualified, RequestDirectives, ResponseDirectives};
use super::freshness::{self, Freshness, Source};
use super::invalidate;
use super::targeted::{self, Field};
use super::vary::{self, Vary};
use super::{age, validate};
use crate::time::Wall;
use http::header::{AUTHORIZATION, CONTENT_LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use std::time::Duration;

/// One request and its final response, with the wall clock at both ends.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    pub method: &'a Method,
    pub request: &'a HeaderMap,
    pub status: StatusCode,
    pub response: &'a HeaderMap,
    /// When the request left.
    pub request_time: Wall,
    /// When the response's head was complete.
    pub response_time: Wall,
    /// The target URI as `scheme://authority/path?query` (a POST answer's `Content-Location` is compared with it).
    pub target: &'a str,
}

/// A lifetime given by a rule. It acts on 200 203 204 300 301 308; on other statuses only when the rule that
/// set it names them in its `match.status` (rulings 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleTtl {
    pub value: Duration,
    pub any_status: bool,
}

impl RuleTtl {
    pub(super) fn acts_on(self, status: StatusCode) -> bool {
        self.any_status || freshness::is_usual(status)
    }
}

/// Which statuses heuristics may act on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeuristicStatuses {
    /// 200 203 204 300 301 308.
    #[default]
    Usual,
    /// Every status of RFC 9110 §15.1, and any response marked `public` (RFC 9111 §4.2.2).
    All,
}

/// RFC 9111 §4.2.2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heuristic {
    /// Of the time since `Last-Modified`; 0.1 = 10 %.
    pub fraction: f64,
    pub max: Duration,
    pub statuses: HeuristicStatuses,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SetCookie {
    /// A response with `Set-Cookie` is not stored.
    #[default]
    Refuse,
    /// It is stored and served without it.
    Strip,
    /// It is stored with it, as RFC 9111 §3.1 and §7.3 have it: every client gets the same cookie.
    Store,
}

/// The part of a policy that decides on storing (interface.md §2.2).
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    pub ttl: Option<RuleTtl>,
    /// `force: true` beside `ttl`: lifts private, no-store, no-cache; never Authorization, Set-Cookie, `Vary: *`.
    pub force: bool,
    pub default_ttl: Option<RuleTtl>,
    pub min_ttl: Option<RuleTtl>,
    pub max_ttl: Option<Duration>,
    /// For 404 and 410 without explicit freshness.
    pub negative_ttl: Option<Duration>,
    pub heuristic: Option<Heuristic>,
    pub stale_while_revalidate: Option<Duration>,
    pub stale_if_error: Option<Duration>,
    pub strict_s_maxage: bool,
    /// The rule's own windows hold beside `s-maxage` too; `strict_s_maxage` wins over it.
    pub stale_despite_s_maxage: bool,
    pub set_cookie: SetCookie,
    /// A matching rule names this status: 5xx, 400, 413, 414, 431 are stored only then, and only when
    /// explicitly fresh (rulings 7).
    pub names_status: bool,
    /// `vary.ignore`: fields that don't count in `Vary` (but `*` always does).
    pub vary_ignore: Vec<HeaderName>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ttl: None,
            force: false,
            default_ttl: None,
            min_ttl: None,
            max_ttl: None,
            negative_ttl: None,
            heuristic: Some(Heuristic {
                fraction: 0.1,
                max: Duration::from_secs(3600),
                statuses: HeuristicStatuses::Usual,
            }),
            stale_while_revalidate: None,
            stale_if_error: None,
            strict_s_maxage: false,
            stale_despite_s_maxage: false,
            set_cookie: SetCookie::Refuse,
            names_status: false,
            vary_ignore: Vec::new(),
        }
    }
}

/// A response that may be stored, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Storable {
    pub freshness: Freshness,
    /// Fields that must not be stored: `Set-Cookie` under `strip`, those that a qualified `private` or
    /// `no-cache` names.
    pub omit: Vec<HeaderName>,
}

/// Why a response was not stored: the word in `Cache-Status`, the log, the metric label and `explain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotStored {
    Method,
    RequestNoStore,
    NoStore,
    Private,
    Authorization,
    SetCookie,
    VaryStar,
    /// 206, 304 or another status that this cache does not store.
    Status,
    /// `must-understand` on a status that this cache does not know (RFC 9111 §5.2.2.3).
    NotUnderstood,
    /// 5xx, 400, 413, 414, 431 that no rule names.
    ErrorStatus,
    /// Neither a lifetime nor a validator.
    NoLifetime,
    /// `no-cache` (or no lifetime left) without a validator: a stored copy could never be used.
    NoValidator,
}

impl NotStored {
    pub const ALL: [Self; 12] = [
        Self::Method,
        Self::RequestNoStore,
        Self::NoStore,
        Self::Private,
        Self::Authorization,
        Self::SetCookie,
        Self::VaryStar,
        Self::Status,
        Self::NotUnderstood,
        Self::ErrorStatus,
        Self::NoLifetime,
        Self::NoValidator,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::RequestNoStore => "request-no-store",
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::Authorization => "authorization",
            Self::SetCookie => "set-cookie",
            Self::VaryStar => "vary-star",
            Self::Status => "status",
            Self::NotUnderstood => "not-understood",
            Self::ErrorStatus => "error-status",
            Self::NoLifetime => "no-lifetime",
            Self::NoValidator => "no-validator",
        }
    }
}

/// The decision. GET responses; POST responses that carry explicit freshness and their own URI in
/// `Content-Location` (RFC 9110 §9.3.3), to be stored for GET.
pub fn assess(exchange: &Exchange<'_>, options: &Options) -> Result<Storable, NotStored> {
    let (field, mut said) = targeted::governing(exchange.response);
    let explicit = freshness::explicit(exchange, field, &said);
    check_request(exchange, explicit.is_some())?;
    check_status(exchange.status, &mut said)?;

    widen_lists(&mut said);
    if options.force && options.ttl.is_some_and(|ttl| ttl.acts_on(exchange.status)) {
        lift(&mut said);
    }
    check_directives(exchange, &said)?;
    let omit = omitted(exchange, &said, options)?;
    if vary::parse(exchange.response, &options.vary_ignore) == Vary::Star {
        return Err(NotStored::VaryStar);
    }

    let lifetime = freshness::lifetime(exchange, &said, explicit, options);
    check_error_status(exchange.status, explicit.is_some(), lifetime, options)?;
    let freshness = Freshness {
        lifetime: lifetime.map_or(Duration::ZERO, |(lifetime, _)| lifetime),
        source: lifetime.map_or(Source::None, |(_, source)| source),
        initial_age: age::initial(exchange.response, exchange.request_time, exchange.response_time),
        stale: freshness::stale_use(&said, lifetime.is_some(), options),
        must_validate: said.no_cache == Qualified::Whole,
        immutable: said.immutable,
        no_transform: said.no_transform
            || (field != Field::CacheControl && ResponseDirectives::parse(exchange.response).no_transform),
    };
    check_use(exchange, &said, &freshness)?;
    Ok(Storable { freshness, omit })
}

/// Method and `no-store` of the request.
fn check_request(exchange: &Exchange<'_>, explicitly_fresh: bool) -> Result<(), NotStored> {
    let cacheable = match *exchange.method {
        Method::GET => true,
        // RFC 9110 §9.3.3: what POST answered with is what GET of that URI would have answered with.
        Method::POST => explicitly_fresh && content_location_is_target(exchange),
        // HEAD could answer later HEADs only (§9.3.2); the others are not cacheable or not safe.
        _ => false,
    };
    if !cacheable {
        return Err(NotStored::Method);
    }
    if RequestDirectives::parse(exchange.request).no_store {
        return Err(NotStored::RequestNoStore);
    }
    Ok(())
}

/// Statuses that are never stored, and `must-understand`.
fn check_status(status: StatusCode, said: &mut ResponseDirectives) -> Result<(), NotStored> {
    if status.is_informational() || matches!(status.as_u16(), 206 | 304 | 412 | 416) {
        return Err(NotStored::Status);
    }
    if said.must_understand {
        if !is_understood(status) {
            return Err(NotStored::NotUnderstood);
        }
        // RFC 9111 §5.2.2.3: SHOULD ignore the accompanying no-store.
        said.no_store = false;
    }
    Ok(())
}

/// The final statuses of RFC 9110 §15 but those refused above: what it says about caching them is what this
/// file does.
fn is_understood(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200..=205 | 300..=303 | 305 | 307 | 308 | 400..=411 | 413..=415 | 417 | 421 | 422 | 426 | 500..=505
    )
}

/// A list of fields that names one without which the stored response would be misread speaks of the whole
/// response: RFC 9111 §5.2.2.4 and §5.2.2.7 let a cache take every list so.
fn widen_lists(said: &mut ResponseDirectives) {
    const NEEDED: [&str; 3] = ["vary", "content-encoding", "content-type"];
    for list in [&mut said.private, &mut said.no_cache] {
        if list.fields().iter().any(|name| NEEDED.contains(&name.as_str())) {
            *list = Qualified::Whole;
        }
    }
}

/// `force: true`. Lists of fields stay: they don't keep the response out.
fn lift(said: &mut ResponseDirectives) {
    said.no_store = false;
    for list in [&mut said.private, &mut said.no_cache] {
        if *list == Qualified::Whole {
            *list = Qualified::Absent;
        }
    }
}

/// RFC 9111 §5.2.2.5, §5.2.2.7, §3.5.
fn check_directives(exchange: &Exchange<'_>, said: &ResponseDirectives) -> Result<(), NotStored> {
    if said.no_store {
        return Err(NotStored::NoStore);
    }
    if said.private == Qualified::Whole {
        return Err(NotStored::Private);
    }
    let shareable = said.public || said.s_maxage.is_some() || said.must_revalidate;
    if exchange.request.contains_key(AUTHORIZATION) && !shareable {
        return Err(NotStored::Authorization);
    }
    Ok(())
}

/// What is stored without; an error when `Set-Cookie` would have to be among it and may not.
fn omitted(
    exchange: &Exchange<'_>,
    said: &ResponseDirectives,
    options: &Options,
) -> Result<Vec<HeaderName>, NotStored> {
    let mut omit = said.private.fields().to_vec();
    for name in said.no_cache.fields() {
        if !omit.contains(name) {
            omit.push(name.clone());
        }
    }
    if exchange.response.contains_key(SET_COOKIE) && !omit.contains(&SET_COOKIE) {
        match options.set_cookie {
            SetCookie::Refuse => return Err(NotStored::SetCookie),
            SetCookie::Strip => omit.push(SET_COOKIE),
            SetCookie::Store => {}
        }
    }
    Ok(omit)
}

/// Error pages don't get in by accident (rulings 7).
fn check_error_status(
    status: StatusCode,
    explicitly_fresh: bool,
    lifetime: Option<(Duration, Source)>,
    options: &Options,
) -> Result<(), NotStored> {
    let is_error = status.is_server_error() || matches!(status.as_u16(), 400 | 413 | 414 | 428 | 429 | 431);
    let source = lifetime.map_or(Source::None, |(_, source)| source);
    let wanted = match source {
        // Under `statuses: all` alone does this source occur here.
        Source::Heuristic => true,
        source => options.names_status && (explicitly_fresh || source == Source::Rule),
    };
    if is_error && !wanted { Err(NotStored::ErrorStatus) } else { Ok(()) }
}

/// Would a stored copy ever be of use?
fn check_use(
    exchange: &Exchange<'_>,
    said: &ResponseDirectives,
    freshness: &Freshness,
) -> Result<(), NotStored> {
    let has_validator = validate::has_validator(exchange.response);
    if freshness.source == Source::None {
        // RFC 9111 §3: without explicit freshness the status must be cacheable by definition, or `public` said.
        let by_definition = said.public || freshness::is_heuristically_cacheable(exchange.status);
        if !has_validator || !by_definition || freshness::is_personal(exchange) {
            return Err(NotStored::NoLifetime);
        }
    }
    let always_stale = !freshness.is_fresh(freshness.initial_age);
    let unusable_stale = freshness.stale == freshness::StaleUse::default();
    if !has_validator && (freshness.must_validate || (always_stale && unusable_stale)) {
        return Err(NotStored::NoValidator);
    }
    Ok(())
}

/// RFC 9110 §9.3.3: the value, resolved against the target URI, is the target URI.
fn content_location_is_target(exchange: &Exchange<'_>) -> bool {
    let mut values = exchange.response.get_all(CONTENT_LOCATION).iter();
    match (values.next().map(|value| value.to_str()), values.next()) {
        (Some(Ok(reference)), None) => refers_to(reference.trim(), exchange.target),
        _ => false,
    }
}

/// Does this reference, resolved against `target`, name the target itself?
fn refers_to(reference: &str, target: &str) -> bool {
    invalidate::resolve(target, reference).as_deref() == Some(target)
}

#[cfg(test)]
mod tests;
