//! The decision: what to do with a request, given what is stored for it. Pure; every `if` that weighs look-up,
//! request and policy is here, so that `explain` can run it dry and tests can tabulate it.

use crate::purge::Verdict;
use crate::semantics::cache_control::RequestDirectives;
use crate::semantics::cache_status::Forward;
use crate::semantics::freshness::Freshness;
use crate::semantics::reuse::{self, Failure, Use, Why};
use crate::store::entry::Described;
use crate::time::Now;
use http::Method;
use std::time::Duration;

/// Why a request is sent on as it is, without look-up and without storing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PassWhy {
    /// A rule says `cache: bypass`.
    Rule,
    /// Neither GET nor HEAD, nor a read keyed by its body.
    Method,
    /// A GET or HEAD with a body.
    Body,
    /// A keyed body over the rule's `max`.
    BodyTooLarge,
    /// `If-Match`, `If-Unmodified-Since`: only the origin may judge them (RFC 9111 §4.3.2).
    Precondition,
    /// Raw and decoded path match different rules (rulings 36).
    AmbiguousPath,
    /// `Connection` named an end-to-end field.
    ConnectionNamed,
    Upgrade,
    /// A range of an object that is known to be over `max_object` (rulings 30).
    RangeOfLargeObject,
    /// A HEAD that the store can't answer.
    Head,
    /// The path has more than 32 segments, or the URL no normal form: no purge could be sure to select it
    /// (rulings 24).
    Unselectable,
    /// This node is not known to have heard of every purge, and `when_unsynced: bypass` is set.
    Unsynced,
    /// A client that has just written (`read_your_writes`).
    ReadYourWrites,
}

impl PassWhy {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Method => "method",
            Self::Body => "request-body",
            Self::BodyTooLarge => "request-body-too-large",
            Self::Precondition => "precondition",
            Self::AmbiguousPath => "ambiguous-path",
            Self::ConnectionNamed => "connection-named",
            Self::Upgrade => "upgrade",
            Self::RangeOfLargeObject => "range-of-large-object",
            Self::Head => "head",
            Self::Unselectable => "unselectable",
            Self::Unsynced => "unsynced",
            Self::ReadYourWrites => "read-your-writes",
        }
    }

    pub const fn forward(self) -> Forward {
        match self {
            Self::Method => Forward::Method,
            Self::Head => Forward::UriMiss,
            Self::RangeOfLargeObject | Self::Precondition | Self::ReadYourWrites => Forward::Request,
            _ => Forward::Bypass,
        }
    }
}

/// What is known of a request before the store is asked.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    pub method: &'a Method,
    pub has_body: bool,
    /// The rule keys this method by its body, and the body fits.
    pub keyed_body: bool,
    /// The rule keys this method by its body, but the body doesn't fit.
    pub keyed_body_too_large: bool,
    pub bypass: bool,
    pub ambiguous_path: bool,
    pub connection_named_end_to_end: bool,
    pub upgrade: bool,
    pub only_origin_may_judge: bool,
    /// `when_unsynced: bypass`, and this node is.
    pub unsynced: bool,
    /// The client wrote lately, and the rule has it read past the cache.
    pub wrote_lately: bool,
}

/// May the store be asked at all? The first reason not to.
pub fn admit(facts: &Facts<'_>) -> Result<(), PassWhy> {
    let read = matches!(*facts.method, Method::GET | Method::HEAD) || facts.keyed_body;
    let reasons = [
        // Before the rule's own: the policy of such a path always says `bypass` too.
        (facts.ambiguous_path, PassWhy::AmbiguousPath),
        (facts.bypass, PassWhy::Rule),
        (facts.unsynced, PassWhy::Unsynced),
        (facts.upgrade, PassWhy::Upgrade),
        (facts.keyed_body_too_large, PassWhy::BodyTooLarge),
        (!read, PassWhy::Method),
        (facts.has_body && !facts.keyed_body, PassWhy::Body),
        (facts.connection_named_end_to_end, PassWhy::ConnectionNamed),
        (facts.only_origin_may_judge, PassWhy::Precondition),
        (facts.wrote_lately, PassWhy::ReadYourWrites),
    ];
    reasons.into_iter().find(|(holds, _)| *holds).map_or(Ok(()), |(_, why)| Err(why))
}

/// What is stored for this request.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    pub freshness: Freshness,
    pub age: Duration,
    pub verdict: Seen,
    /// This node may have missed a purge of it: the origin must be asked first (`when_unsynced: revalidate`). When it can't be,
    /// what may be used else is still allowed: whoever purged it can't be heard either (rulings 19).
    pub unsynced: bool,
}

/// The purge log's word on an entry, with the moment a soft purge was first noticed put as the age it then had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    Clean,
    Hard,
    MustValidate,
    SoftAtAge(Duration),
}

impl Seen {
    pub fn from_verdict(verdict: Verdict, age_when_noticed: impl FnOnce() -> Duration) -> Self {
        match verdict {
            Verdict::Clean => Self::Clean,
            Verdict::Hard => Self::Hard,
            Verdict::MustValidate => Self::MustValidate,
            Verdict::Soft => Self::SoftAtAge(age_when_noticed()),
        }
    }

    /// Seconds of freshness left, negative when it is stale: for a soft-purged entry counted from the purge.
    pub fn ttl(self, meta: &impl Described, now: Now) -> i64 {
        let freshness = match self {
            Self::SoftAtAge(age) => expired_at(&meta.freshness(), age),
            Self::Clean | Self::Hard | Self::MustValidate => meta.freshness(),
        };
        freshness.ttl(meta.age(now.mono))
    }
}

/// What the store returned.
#[derive(Clone, Copy, Debug)]
pub enum Lookup {
    Nothing,
    /// The key is stored, but no variant of it fits.
    OtherVariants,
    Found(Found),
}

/// Why an answer from the store is not plainly fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StaleWhy {
    WhileRevalidate,
    MaxStale,
    IfError,
    Disconnected,
}

impl StaleWhy {
    pub const ALL: [Self; 4] = [Self::WhileRevalidate, Self::MaxStale, Self::IfError, Self::Disconnected];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WhileRevalidate => "stale-while-revalidate",
            Self::MaxStale => "max-stale",
            Self::IfError => "stale-if-error",
            Self::Disconnected => "disconnected",
        }
    }
}

/// Why a stored response must be confirmed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValidateWhy {
    Reuse(Why),
    /// A purge in mode invalidate, an unsafe request, or a floor of the purge log.
    Invalidated,
    /// This node is not known to have heard of every purge.
    Unsynced,
}

impl ValidateWhy {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reuse(why) => why.as_str(),
            Self::Invalidated => "invalidated",
            Self::Unsynced => "unsynced",
        }
    }

    pub const fn forward(self) -> Forward {
        match self {
            Self::Reuse(why) if why.is_request() => Forward::Request,
            _ => Forward::Stale,
        }
    }
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Plan {
    /// Answer from the store; and fetch it anew in the background?
    Serve { stale: Option<StaleWhy>, refresh: bool },
    /// Ask the origin whether it still holds, then answer.
    Validate(ValidateWhy),
    /// Nothing usable: fetch.
    Fetch(Forward),
    /// `only-if-cached` and nothing usable: 504 (RFC 9111 §5.2.1.7).
    Refuse,
}

/// What the rules say that matters here.
#[derive(Clone, Copy, Debug)]
pub struct Wishes {
    pub honour_client: bool,
    /// XFetch's beta; `None` = off.
    pub early_refresh: Option<f64>,
}

/// `luck` is a uniform random number in (0, 1], for early refresh.
pub fn decide(
    lookup: Lookup,
    request: &RequestDirectives,
    wishes: Wishes,
    fetch_time: Duration,
    luck: f64,
) -> Plan {
    let found = match lookup {
        Lookup::Nothing => return forward(request, Plan::Fetch(Forward::UriMiss)),
        Lookup::OtherVariants => return forward(request, Plan::Fetch(Forward::VaryMiss)),
        Lookup::Found(found) => found,
    };
    let freshness = match found.verdict {
        Seen::Hard => return forward(request, Plan::Fetch(Forward::Stale)),
        Seen::MustValidate => return forward(request, Plan::Validate(ValidateWhy::Invalidated)),
        Seen::Clean => found.freshness,
        Seen::SoftAtAge(age) => expired_at(&found.freshness, age),
    };
    if found.unsynced {
        return forward(request, Plan::Validate(ValidateWhy::Unsynced));
    }
    match reuse::judge(&freshness, found.age, request, wishes.honour_client) {
        Use::Fresh => {
            let refresh = wishes
                .early_refresh
                .is_some_and(|beta| early(freshness.lifetime, found.age, fetch_time, beta, luck));
            Plan::Serve { stale: None, refresh }
        }
        Use::MaxStale => Plan::Serve { stale: Some(StaleWhy::MaxStale), refresh: false },
        Use::WhileRevalidate => Plan::Serve { stale: Some(StaleWhy::WhileRevalidate), refresh: true },
        Use::Validate(why) => forward(request, Plan::Validate(ValidateWhy::Reuse(why))),
    }
}

fn forward(request: &RequestDirectives, plan: Plan) -> Plan {
    if request.only_if_cached { Plan::Refuse } else { plan }
}

/// A soft purge ends the lifetime at the age the entry had when it was noticed, unless it had ended before:
/// the stale windows start there (rulings 23).
pub fn expired_at(freshness: &Freshness, age: Duration) -> Freshness {
    Freshness { lifetime: freshness.lifetime.min(age), ..*freshness }
}

/// XFetch (Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache Stampede Prevention, VLDB 2015):
/// refresh when `age - delta * beta * ln(luck) >= lifetime`, `delta` being the time a fetch takes.
fn early(lifetime: Duration, age: Duration, delta: Duration, beta: f64, luck: f64) -> bool {
    let head_start = delta.as_secs_f64() * beta * -luck.clamp(f64::MIN_POSITIVE, 1.0).ln();
    age.as_secs_f64() + head_start >= lifetime.as_secs_f64()
}

/// After validation failed: may what is stored be used, and by which permission?
pub fn on_failure(found: Found, request: &RequestDirectives, failure: Failure) -> Option<StaleWhy> {
    let freshness = match found.verdict {
        // A hard purge or an invalidation never allows stale-if-error (interface.md §5).
        Seen::Hard | Seen::MustValidate => return None,
        Seen::Clean => found.freshness,
        Seen::SoftAtAge(age) => expired_at(&found.freshness, age),
    };
    reuse::usable_on_failure(&freshness, found.age, request, failure).then_some(match failure {
        Failure::Disconnected => StaleWhy::Disconnected,
        Failure::ErrorStatus => StaleWhy::IfError,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::freshness::{Source, StaleUse};

    const SECS: fn(u64) -> Duration = Duration::from_secs;

    fn facts(method: &Method) -> Facts<'_> {
        Facts {
            method,
            has_body: false,
            keyed_body: false,
            keyed_body_too_large: false,
            bypass: false,
            ambiguous_path: false,
            connection_named_end_to_end: false,
            upgrade: false,
            only_origin_may_judge: false,
            unsynced: false,
            wrote_lately: false,
        }
    }

    fn minute() -> Freshness {
        Freshness {
            lifetime: SECS(60),
            source: Source::MaxAge,
            initial_age: Duration::ZERO,
            stale: StaleUse {
                while_revalidate: SECS(30),
                if_error: SECS(30),
                when_disconnected: true,
                max_stale: true,
            },
            must_validate: false,
            immutable: false,
            no_transform: false,
        }
    }

    fn plan(age: u64, verdict: Seen) -> Plan {
        let f = minute();
        let wishes = Wishes { honour_client: true, early_refresh: None };
        let found = Lookup::Found(Found { freshness: f, age: SECS(age), verdict, unsynced: false });
        decide(found, &RequestDirectives::default(), wishes, SECS(1), 0.5)
    }

    #[test]
    fn only_reads_are_looked_up_and_the_first_reason_is_named() {
        assert_eq!(admit(&facts(&Method::GET)), Ok(()));
        assert_eq!(admit(&facts(&Method::HEAD)), Ok(()));
        assert_eq!(admit(&facts(&Method::POST)), Err(PassWhy::Method));
        assert_eq!(admit(&Facts { keyed_body: true, has_body: true, ..facts(&Method::POST) }), Ok(()));
        assert_eq!(admit(&Facts { has_body: true, ..facts(&Method::GET) }), Err(PassWhy::Body));
        assert_eq!(admit(&Facts { bypass: true, upgrade: true, ..facts(&Method::GET) }), Err(PassWhy::Rule));
        let disguised = Facts { ambiguous_path: true, bypass: true, ..facts(&Method::GET) };
        assert_eq!(admit(&disguised), Err(PassWhy::AmbiguousPath));
        let wrote = Facts { wrote_lately: true, ..facts(&Method::GET) };
        assert_eq!(admit(&wrote), Err(PassWhy::ReadYourWrites));
        assert_eq!(admit(&Facts { method: &Method::POST, ..wrote }), Err(PassWhy::Method));
        let named = Facts { connection_named_end_to_end: true, ..facts(&Method::GET) };
        assert_eq!(admit(&named), Err(PassWhy::ConnectionNamed));
    }

    #[test]
    fn the_stages_of_an_entry() {
        assert_eq!(plan(59, Seen::Clean), Plan::Serve { stale: None, refresh: false });
        let swr = Plan::Serve { stale: Some(StaleWhy::WhileRevalidate), refresh: true };
        assert_eq!(plan(60, Seen::Clean), swr);
        assert_eq!(plan(91, Seen::Clean), Plan::Validate(ValidateWhy::Reuse(Why::Stale)));
    }

    #[test]
    fn purges_win_over_freshness() {
        assert_eq!(plan(1, Seen::Hard), Plan::Fetch(Forward::Stale));
        assert_eq!(plan(1, Seen::MustValidate), Plan::Validate(ValidateWhy::Invalidated));
        let swr = Plan::Serve { stale: Some(StaleWhy::WhileRevalidate), refresh: true };
        assert_eq!(plan(11, Seen::SoftAtAge(SECS(10))), swr);
        assert_eq!(plan(41, Seen::SoftAtAge(SECS(10))), Plan::Validate(ValidateWhy::Reuse(Why::Stale)));
    }

    #[test]
    fn what_may_have_been_purged_unheard_is_validated_first_rulings_19() {
        let f = minute();
        let wishes = Wishes { honour_client: true, early_refresh: None };
        let plan = |age, verdict| {
            let found = Found { freshness: f, age: SECS(age), verdict, unsynced: true };
            decide(Lookup::Found(found), &RequestDirectives::default(), wishes, SECS(1), 0.5)
        };
        let validate = Plan::Validate(ValidateWhy::Unsynced);
        assert_eq!(plan(1, Seen::Clean), validate);
        assert_eq!(plan(70, Seen::Clean), validate);
        assert_eq!(plan(11, Seen::SoftAtAge(SECS(10))), validate);
        assert_eq!(plan(1, Seen::Hard), Plan::Fetch(Forward::Stale));
    }

    #[test]
    fn only_if_cached_never_goes_forward_rfc9111_5_2_1_7() {
        let request = RequestDirectives { only_if_cached: true, ..Default::default() };
        let wishes = Wishes { honour_client: true, early_refresh: None };
        assert_eq!(decide(Lookup::Nothing, &request, wishes, SECS(0), 1.0), Plan::Refuse);
    }

    #[test]
    fn after_a_failure_only_a_clean_or_soft_purged_entry_may_be_used() {
        let f = minute();
        let used = |age, verdict, failure| {
            let found = Found { freshness: f, age: SECS(age), verdict, unsynced: true };
            on_failure(found, &RequestDirectives::default(), failure)
        };
        assert_eq!(used(80, Seen::Clean, Failure::ErrorStatus), Some(StaleWhy::IfError));
        assert_eq!(used(95, Seen::Clean, Failure::ErrorStatus), None);
        assert_eq!(used(95, Seen::Clean, Failure::Disconnected), Some(StaleWhy::Disconnected));
        assert_eq!(used(80, Seen::MustValidate, Failure::Disconnected), None);
        assert_eq!(used(80, Seen::Hard, Failure::Disconnected), None);
    }

    #[test]
    fn early_refresh_grows_likelier_towards_the_end() {
        let at = |age, luck| early(SECS(60), SECS(age), SECS(2), 1.0, luck);
        assert!(!at(0, 0.5));
        assert!(!at(58, 0.9));
        assert!(at(58, 0.3));
        assert!(at(60, 1.0));
    }
}
