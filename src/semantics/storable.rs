//! May a response be stored by a shared cache, and with which lifetime (RFC 9111 §3, §3.5, §4.2, §5.2.2)?

use super::freshness::Freshness;
use crate::time::Wall;
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
    let _ = (exchange, options);
    Err(NotStored::Method)
}
