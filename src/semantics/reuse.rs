//! May this stored response answer this request now (RFC 9111 §4, §4.2.4, §5.2.1)?

use super::cache_control::RequestDirectives;
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
    let _ = (freshness, age, request, honour_client);
    Use::Validate(Why::Stale)
}

/// How an attempt to validate failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No answer at all: refused, reset, timed out, circuit open.
    Disconnected,
    /// 500, 502, 503 or 504 (RFC 5861 §4).
    ErrorStatus,
}

/// May a stale response be used after that failure (RFC 5861 §4, RFC 9111 §4.2.4)?
pub fn usable_on_failure(
    freshness: &Freshness,
    age: Duration,
    request: &RequestDirectives,
    failure: Failure,
) -> bool {
    let _ = (freshness, age, request, failure);
    false
}
