//! May this stored response answer this request now (RFC 9111 §4, §4.2.4, §5.2.1)?
//!
//! The response has been found under the request's key and variant; what is left is time. [`judge`] asks:
//!
//! 1. Must every use be validated (`no-cache`)? No wish of anybody lifts that.
//! 2. Does the client insist on validation (`no-cache`)?
//! 3. Is it fresh, `lifetime > age`? Then only the client's `max-age` or `min-fresh` can object.
//! 4. It is stale by `age - lifetime`. Does the client accept that much (`max-stale`)? Did the origin, or a
//!    rule, allow it while a refresh is on its way (`stale-while-revalidate`)? Both windows include their last
//!    second: allowed iff `staleness <= N` (RFC 5861 §3).
//!
//! What forbids stale use was settled when the response was stored ([`StaleUse`]): nothing here can widen it,
//! a client's `max-stale` least of all (§4.2.4).
//!
//! A client that sends `max-age` does not wish a stale response unless it also sends `max-stale` (§5.2.1.1),
//! and one that sends `min-fresh` wants what stays fresh for a while (§5.2.1.3); neither is given a stale one
//! for the asking of others. All request directives are advice (§5.2.1): `client_revalidate: ignore` turns a
//! deaf ear to those that cost the origin a request.
//!
//! [`StaleUse`]: super::freshness::StaleUse

use super::cache_control::{MaxStale, RequestDirectives};
use super::freshness::Freshness;
use std::time::Duration;

/// Why a stored response must be validated before it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// Its lifetime is over and nothing allows stale use.
    Stale,
    /// `no-cache` in the response.
    NoCache,
    /// The client's `no-cache`.
    RequestNoCache,
    /// The client's `max-age`.
    RequestMaxAge,
    /// The client's `min-fresh`.
    RequestMinFresh,
}

impl Why {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stale => "stale",
            Self::NoCache => "no-cache",
            Self::RequestNoCache => "request-no-cache",
            Self::RequestMaxAge => "request-max-age",
            Self::RequestMinFresh => "request-min-fresh",
        }
    }
    /// The client's wish, not the response's state, sends it forward: `fwd=request` (RFC 9211 §2.2).
    pub const fn is_request(self) -> bool {
        matches!(self, Self::RequestNoCache | Self::RequestMaxAge | Self::RequestMinFresh)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    Fresh,
    /// Stale, but the client's `max-stale` accepts it.
    MaxStale,
    /// Stale, within `stale-while-revalidate`: use it and refresh in the background.
    WhileRevalidate,
    Validate(Why),
}

/// `honour_client` false: the client's `no-cache`, `max-age`, `min-fresh`, `Pragma` are not listened to
/// (`client_revalidate: ignore`); `max-stale` still is.
pub fn judge(freshness: &Freshness, age: Duration, request: &RequestDirectives, honour_client: bool) -> Use {
    // RFC 9111 §5.2.2.4.
    if freshness.must_validate {
        return Use::Validate(Why::NoCache);
    }
    // §5.2.1.4.
    if honour_client && request.no_cache {
        return Use::Validate(Why::RequestNoCache);
    }
    if freshness.is_fresh(age) {
        match objection(freshness, age, request).filter(|_| honour_client) {
            Some(why) => Use::Validate(why),
            None => Use::Fresh,
        }
    } else {
        stale(freshness, age, request, honour_client)
    }
}

/// What a client has against a fresh response.
fn objection(freshness: &Freshness, age: Duration, request: &RequestDirectives) -> Option<Why> {
    // RFC 8246 §2.1: a reload (`max-age=0`) need not ask whether what never changes has changed.
    if request.max_age.is_some_and(|limit| is_too_old(age, limit)) && !freshness.immutable {
        return Some(Why::RequestMaxAge);
    }
    let remaining = freshness.lifetime.saturating_sub(age);
    if request.min_fresh.is_some_and(|least| remaining < Duration::from_secs(least)) {
        return Some(Why::RequestMinFresh);
    }
    None
}

/// §5.2.1.1. `max-age=0` asks for validation, however new the response is.
fn is_too_old(age: Duration, limit: u64) -> bool {
    limit == 0 || age > Duration::from_secs(limit)
}

fn stale(freshness: &Freshness, age: Duration, request: &RequestDirectives, honour_client: bool) -> Use {
    let staleness = age.saturating_sub(freshness.lifetime);
    let accepted = match request.max_stale.filter(|_| freshness.stale.max_stale) {
        Some(MaxStale::Any) => true,
        Some(MaxStale::Seconds(limit)) => staleness <= Duration::from_secs(limit),
        None => false,
    };
    // §5.2.1.1, §5.2.1.3.
    let objects = honour_client
        && (request.min_fresh.is_some()
            || request.max_age.is_some_and(|limit| !accepted || is_too_old(age, limit)));
    if objects {
        Use::Validate(Why::Stale)
    } else if accepted {
        Use::MaxStale
    } else if is_within(staleness, freshness.stale.while_revalidate) {
        Use::WhileRevalidate
    } else {
        Use::Validate(Why::Stale)
    }
}

/// No window is no permission, even in the instant in which a response becomes stale.
fn is_within(staleness: Duration, window: Duration) -> bool {
    !window.is_zero() && staleness <= window
}

/// How an attempt to validate failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No answer at all: refused, reset, timed out, circuit open.
    Disconnected,
    /// 500, 502, 503 or 504 (RFC 5861 §4).
    ErrorStatus,
}

/// May the stored response be used after that failure (RFC 5861 §4, RFC 9111 §4.2.4)?
///
/// A response that is still fresh, and was sent for validation because the client wished so, may.
pub fn usable_on_failure(
    freshness: &Freshness,
    age: Duration,
    request: &RequestDirectives,
    failure: Failure,
) -> bool {
    if freshness.must_validate {
        return false;
    }
    if freshness.is_fresh(age) {
        return true;
    }
    let staleness = age.saturating_sub(freshness.lifetime);
    // `max_stale` is true exactly where nothing forbids stale use, so that a client may ask for it.
    let asked = request
        .stale_if_error
        .filter(|_| freshness.stale.max_stale)
        .map_or(Duration::ZERO, Duration::from_secs);
    is_within(staleness, freshness.stale.if_error)
        || is_within(staleness, asked)
        || (failure == Failure::Disconnected && freshness.stale.when_disconnected)
}

#[cfg(test)]
mod tests;
