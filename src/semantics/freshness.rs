//! Freshness lifetime (RFC 9111 §4.2.1, §4.2.2) and what may be done once it is over (§4.2.4, RFC 5861).

use std::time::Duration;

/// Where a lifetime came from, most specific first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
