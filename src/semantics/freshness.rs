//! Freshness lifetime (RFC 9111 §4.2.1, §4.2.2) and what may be done once it is over (§4.2.4, RFC 5861).
//!
//! **Lifetime**, the first that applies:
//!
//! 1. a rule's `ttl`;
//! 2. the governing field's `s-maxage`, its `max-age`;
//! 3. `Expires - Date`, if `Cache-Control` governs: a targeted field silences both (RFC 9213 §2.2);
//! 4. a rule's `negative_ttl` on 404 and 410, then a rule's `default_ttl`;
//! 5. the heuristic of §4.2.2: a part of the time since `Last-Modified`.
//!
//! 4 and 5 guess, so they need the origin's silence (§4.2.2: MUST NOT where an explicit expiration time is
//! present), and never act on the answer to a request that carried `Cookie` or `Authorization`, which may be
//! one person's. Freshness information that can't be read is explicit and in the past (§4.2.1, §5.3).
//! `min_ttl` and `max_ttl` clamp what came out. `min_ttl` needs something to raise: it does not invent a
//! lifetime, and `no-cache`, `max-age=0` or an `Expires` in the past stay what they are.
//!
//! **Stale use.** `no-cache`, `must-revalidate` and `proxy-revalidate` forbid all of it (§4.2.4). `s-maxage`
//! implies `proxy-revalidate` (§5.2.2.10) and does the same, with one deliberate departure: beside an explicit
//! `stale-while-revalidate` or `stale-if-error` of the same field those windows hold, because an origin that
//! writes both asks for both; `strict_s_maxage` gives the letter. What §4.2.4 calls an explicit prohibition is
//! not lifted by a rule's windows, nor by a client's `max-stale`: both act only where nothing forbids. One exception
//! is for who runs the origin as well: with `stale_despite_s_maxage` a rule's windows hold beside an `s-maxage`, which many
//! applications send without a thought of stale use; never beside the other three, which nobody writes by accident.
//!
//! Without a prohibition a cache that can't reach the origin may use what it has (§4.2.4), until a limit that
//! someone stated: beyond `stale-if-error=N` a response SHOULD NOT be used (RFC 5861 §4), and a lost
//! connection is one of its errors. Whether N came from the origin or from a rule makes no difference.
//!
//! What never had a lifetime ([`Source::None`]) has not outlived it either: a rule's `stale_while_revalidate`
//! and a client's `max-stale` don't apply, it is validated first. When that fails it is as good as a stale one.

use super::cache_control::{Qualified, ResponseDirectives};
use super::storable::{Exchange, Heuristic, HeuristicStatuses, Options, RuleTtl};
use super::targeted::Field;
use super::{age, date};
use http::StatusCode;
use http::header::{AUTHORIZATION, COOKIE, EXPIRES, LAST_MODIFIED};
use std::time::Duration;

/// Where a lifetime came from, most specific first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A rule's `ttl`.
    Rule,
    SMaxage,
    MaxAge,
    Expires,
    /// A rule's `negative_ttl`.
    Negative,
    /// A rule's `default_ttl`.
    Default,
    /// RFC 9111 §4.2.2.
    Heuristic,
    /// No lifetime: only good after validation.
    None,
}

impl Source {
    pub const ALL: [Self; 8] = [
        Self::Rule,
        Self::SMaxage,
        Self::MaxAge,
        Self::Expires,
        Self::Negative,
        Self::Default,
        Self::Heuristic,
        Self::None,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::SMaxage => "s-maxage",
            Self::MaxAge => "max-age",
            Self::Expires => "expires",
            Self::Negative => "negative-ttl",
            Self::Default => "default-ttl",
            Self::Heuristic => "heuristic",
            Self::None => "none",
        }
    }
}

/// What may be served once the lifetime is over. All false and zero when something forbids stale use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StaleUse {
    /// RFC 5861 §3: how long after expiry a response may be used while it is refreshed.
    pub while_revalidate: Duration,
    /// RFC 5861 §4: how long after expiry a response may be used when the origin answers with an error.
    pub if_error: Duration,
    /// RFC 9111 §4.2.4: the origin can't be reached at all.
    pub when_disconnected: bool,
    /// RFC 9111 §5.2.1.2: a client's `max-stale` is listened to.
    pub max_stale: bool,
}

/// Everything time-related that a stored response needs on its later uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    pub lifetime: Duration,
    pub source: Source,
    /// `corrected_initial_age` (RFC 9111 §4.2.3), at the moment the response arrived.
    pub initial_age: Duration,
    pub stale: StaleUse,
    /// Unqualified `no-cache`: every use needs a successful validation.
    pub must_validate: bool,
    /// RFC 8246.
    pub immutable: bool,
    pub no_transform: bool,
}

impl Freshness {
    /// `current_age` after `resident` time in the store (RFC 9111 §4.2.3). Saturates.
    pub fn age(&self, resident: Duration) -> Duration {
        self.initial_age.saturating_add(resident)
    }

    /// Strictly `lifetime > age` (RFC 9111 §4.2).
    pub fn is_fresh(&self, age: Duration) -> bool {
        self.lifetime > age
    }

    /// Remaining lifetime in whole seconds, negative once stale; what `Cache-Status: ttl` says (RFC 9211 §2.5).
    pub fn ttl(&self, age: Duration) -> i64 {
        let secs = |d: Duration| i64::try_from(d.as_secs()).unwrap_or(i64::MAX);
        secs(self.lifetime).saturating_sub(secs(age))
    }
}

/// The lifetime that the origin stated (RFC 9111 §4.2.1). What can't be read counts as stated, and as over.
pub(super) fn explicit(
    exchange: &Exchange<'_>,
    field: Field,
    said: &ResponseDirectives,
) -> Option<(Duration, Source)> {
    if said.unreadable_lifetime {
        let source = if said.s_maxage.is_some() { Source::SMaxage } else { Source::MaxAge };
        return Some((Duration::ZERO, source));
    }
    if let Some(seconds) = said.s_maxage {
        return Some((Duration::from_secs(seconds), Source::SMaxage));
    }
    if let Some(seconds) = said.max_age {
        return Some((Duration::from_secs(seconds), Source::MaxAge));
    }
    if field != Field::CacheControl {
        return None;
    }
    // Of several lines the first counts (§4.2.1); what is no date, `0` above all, is in the past (§5.3).
    let expires = exchange.response.get(EXPIRES)?;
    let lifetime = date::parse_at(expires.as_bytes(), exchange.response_time)
        .map_or(Duration::ZERO, |expires| expires.since(date_value(exchange)));
    Some((lifetime, Source::Expires))
}

/// The lifetime, clamped; `None` when there is none. `explicit` is the result of [`explicit()`].
pub(super) fn lifetime(
    exchange: &Exchange<'_>,
    said: &ResponseDirectives,
    explicit: Option<(Duration, Source)>,
    options: &Options,
) -> Option<(Duration, Source)> {
    let by_rule = |ttl: Option<RuleTtl>| ttl.filter(|ttl| ttl.acts_on(exchange.status));
    let (mut lifetime, source) = by_rule(options.ttl)
        .map(|ttl| (ttl.value, Source::Rule))
        .or(explicit)
        .or_else(|| guess(exchange, said, options))?;

    if let Some(least) = by_rule(options.min_ttl)
        && !lifetime.is_zero()
        && said.no_cache != Qualified::Whole
    {
        lifetime = lifetime.max(least.value);
    }
    if let Some(most) = options.max_ttl {
        lifetime = lifetime.min(most);
    }
    Some((lifetime, source))
}

/// A lifetime for a response whose origin stated none.
fn guess(
    exchange: &Exchange<'_>,
    said: &ResponseDirectives,
    options: &Options,
) -> Option<(Duration, Source)> {
    if is_personal(exchange) {
        return None;
    }
    let missing = matches!(exchange.status, StatusCode::NOT_FOUND | StatusCode::GONE);
    if let Some(negative) = options.negative_ttl
        && missing
    {
        return Some((negative, Source::Negative));
    }
    if let Some(ttl) = options.default_ttl
        && ttl.acts_on(exchange.status)
    {
        return Some((ttl.value, Source::Default));
    }
    let lifetime = heuristic(exchange, said, options.heuristic.as_ref()?)?;
    Some((lifetime, Source::Heuristic))
}

/// The request carried credentials or a session: nothing but the origin's word makes its answer public.
pub(super) fn is_personal(exchange: &Exchange<'_>) -> bool {
    exchange.request.contains_key(COOKIE) || exchange.request.contains_key(AUTHORIZATION)
}

/// RFC 9111 §4.2.2. Needs a valid `Last-Modified` before `Date`.
fn heuristic(exchange: &Exchange<'_>, said: &ResponseDirectives, heuristic: &Heuristic) -> Option<Duration> {
    let covered = match heuristic.statuses {
        HeuristicStatuses::Usual => is_usual(exchange.status),
        // §4.2.2, §5.2.2.9: `public` marks a response of any status as cacheable.
        HeuristicStatuses::All => said.public || is_heuristically_cacheable(exchange.status),
    };
    let modified = exchange.response.get(LAST_MODIFIED).filter(|_| covered)?;
    let modified = date::parse_at(modified.as_bytes(), exchange.response_time)?;
    let unchanged_for = date_value(exchange).since(modified);
    let lifetime = Duration::try_from_secs_f64(unchanged_for.as_secs_f64() * heuristic.fraction).ok()?;
    // Whole seconds, as every other lifetime; rounded down.
    let lifetime = Duration::from_secs(lifetime.min(heuristic.max).as_secs());
    (!lifetime.is_zero()).then_some(lifetime)
}

/// RFC 9110 §6.6.1: without a valid `Date`, the time of receipt.
fn date_value(exchange: &Exchange<'_>) -> crate::time::Wall {
    age::date_value(exchange.response, exchange.response_time).unwrap_or(exchange.response_time)
}

/// Statuses on which a rule's lifetime and the usual heuristics act without being asked to.
pub(super) fn is_usual(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 300 | 301 | 308)
}

/// RFC 9110 §15.1, without 206, which is never stored here.
pub(super) fn is_heuristically_cacheable(status: StatusCode) -> bool {
    is_usual(status) || matches!(status.as_u16(), 404 | 405 | 410 | 414 | 501)
}

/// What in a response forbids to use it once it is stale (RFC 9111 §4.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forbids {
    NoCache,
    MustRevalidate,
    ProxyRevalidate,
    /// By what it implies; windows of the same field hold beside it.
    SMaxage,
    /// A lifetime that could not be read may have been `s-maxage`.
    Unreadable,
}

impl Forbids {
    pub const ALL: [Self; 5] =
        [Self::NoCache, Self::MustRevalidate, Self::ProxyRevalidate, Self::SMaxage, Self::Unreadable];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoCache => "no-cache",
            Self::MustRevalidate => "must-revalidate",
            Self::ProxyRevalidate => "proxy-revalidate",
            Self::SMaxage => "s-maxage",
            Self::Unreadable => "unreadable-lifetime",
        }
    }

    /// The first that applies, strictest first.
    pub fn of(said: &ResponseDirectives) -> Option<Self> {
        let reasons = [
            (said.no_cache == Qualified::Whole, Self::NoCache), // §5.2.2.4
            (said.must_revalidate, Self::MustRevalidate),       // §5.2.2.2
            (said.proxy_revalidate, Self::ProxyRevalidate),     // §5.2.2.8
            (said.unreadable_lifetime, Self::Unreadable),
            (said.s_maxage.is_some(), Self::SMaxage), // §5.2.2.10
        ];
        reasons.into_iter().find(|(applies, _)| *applies).map(|(_, why)| why)
    }
}

/// What may be done with the response once its lifetime, if it had one, is over.
pub(super) fn stale_use(said: &ResponseDirectives, had_lifetime: bool, options: &Options) -> StaleUse {
    let seconds = |n: Option<u64>| n.map(Duration::from_secs);
    let while_revalidate = seconds(said.stale_while_revalidate);
    let if_error = seconds(said.stale_if_error);

    let by_rule = options.stale_while_revalidate.filter(|_| had_lifetime);
    let rules_windows =
        (while_revalidate.or(by_rule).unwrap_or_default(), if_error.or(options.stale_if_error));
    let (while_revalidate, if_error) = match Forbids::of(said) {
        None => {
            let (while_revalidate, if_error) = rules_windows;
            return StaleUse {
                while_revalidate,
                if_error: if_error.unwrap_or_default(),
                when_disconnected: if_error.is_none(),
                max_stale: had_lifetime,
            };
        }
        Some(Forbids::SMaxage | Forbids::Unreadable) if options.strict_s_maxage => {
            return StaleUse::default();
        }
        Some(Forbids::SMaxage) if options.stale_despite_s_maxage => rules_windows,
        Some(Forbids::SMaxage | Forbids::Unreadable) => (while_revalidate.unwrap_or_default(), if_error),
        Some(Forbids::NoCache | Forbids::MustRevalidate | Forbids::ProxyRevalidate) => {
            return StaleUse::default();
        }
    };
    // Within a window, and no more: neither a lost connection nor a client's wish.
    let if_error = if_error.unwrap_or_default();
    StaleUse { while_revalidate, if_error, when_disconnected: false, max_stale: false }
}

#[cfg(test)]
mod tests;
