//! Tables for [`judge`] and [`usable_on_failure`]. Throughout, a lifetime of 60 s; ages in seconds.

use super::super::freshness::{Source, StaleUse};
use super::*;

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

const NO_STALE_USE: StaleUse = StaleUse {
    while_revalidate: Duration::ZERO,
    if_error: Duration::ZERO,
    when_disconnected: false,
    max_stale: false,
};
/// Nothing forbids stale use, nobody stated a window.
const UNSTATED: StaleUse = StaleUse { when_disconnected: true, max_stale: true, ..NO_STALE_USE };

fn stored(stale: StaleUse) -> Freshness {
    Freshness {
        lifetime: secs(60),
        source: Source::MaxAge,
        initial_age: Duration::ZERO,
        stale,
        must_validate: false,
        immutable: false,
        no_transform: false,
    }
}

fn asks(directives: &'static str) -> RequestDirectives {
    let mut headers = http::HeaderMap::new();
    headers.insert("cache-control", http::HeaderValue::from_static(directives));
    RequestDirectives::parse(&headers)
}

#[track_caller]
fn check(freshness: &Freshness, cases: &[(u64, &'static str, Use)]) {
    for (age, directives, expected) in cases {
        let found = judge(freshness, secs(*age), &asks(directives), true);
        assert_eq!(found, *expected, "age {age}, request {directives:?}, {freshness:?}");
    }
}

const STALE: Use = Use::Validate(Why::Stale);
const REQUEST_MAX_AGE: Use = Use::Validate(Why::RequestMaxAge);
const REQUEST_MIN_FRESH: Use = Use::Validate(Why::RequestMinFresh);
const REQUEST_NO_CACHE: Use = Use::Validate(Why::RequestNoCache);

#[test]
fn rfc9111_4_2_fresh_iff_the_lifetime_is_greater_than_the_age() {
    check(
        &stored(UNSTATED),
        &[(0, "", Use::Fresh), (59, "", Use::Fresh), (60, "", STALE), (61, "", STALE), (u64::MAX, "", STALE)],
    );
    let mut without_lifetime = stored(UNSTATED);
    without_lifetime.lifetime = Duration::ZERO;
    check(&without_lifetime, &[(0, "", STALE), (1, "", STALE)]);
    let just = Duration::from_millis(59_999);
    assert_eq!(judge(&stored(UNSTATED), just, &asks(""), true), Use::Fresh);
}

#[test]
fn rfc9111_5_2_2_4_no_cache_needs_a_validation_on_every_use() {
    let mut freshness = stored(StaleUse { while_revalidate: secs(100), if_error: secs(100), ..UNSTATED });
    freshness.must_validate = true;
    freshness.immutable = true;
    let no_cache = Use::Validate(Why::NoCache);
    check(
        &freshness,
        &[(0, "", no_cache), (70, "", no_cache), (0, "max-stale", no_cache), (0, "no-cache", no_cache)],
    );
    assert_eq!(judge(&freshness, secs(0), &asks(""), false), no_cache);
    for failure in [Failure::Disconnected, Failure::ErrorStatus] {
        for age in [0, 70] {
            assert!(!usable_on_failure(
                &freshness,
                secs(age),
                &asks("stale-if-error=100, max-stale"),
                failure
            ));
        }
    }
}

#[test]
fn rfc9111_5_2_1_4_a_client_s_no_cache_asks_for_validation() {
    check(
        &stored(UNSTATED),
        &[(0, "no-cache", REQUEST_NO_CACHE), (70, "no-cache, max-stale", REQUEST_NO_CACHE)],
    );
    assert!(Why::RequestNoCache.is_request());
}

#[test]
fn rfc9111_5_2_1_1_a_client_s_max_age_limits_the_age() {
    check(
        &stored(UNSTATED),
        &[
            (10, "max-age=9", REQUEST_MAX_AGE),
            (10, "max-age=10", Use::Fresh),
            (10, "max-age=11", Use::Fresh),
            (10, "max-age=0", REQUEST_MAX_AGE),
            // Nothing is so new that a reload would not ask.
            (0, "max-age=0", REQUEST_MAX_AGE),
            (0, "max-age=1", Use::Fresh),
            // max-stale speaks of the lifetime, not of the age.
            (10, "max-age=9, max-stale", REQUEST_MAX_AGE),
        ],
    );
    let just_over = Duration::from_millis(10_001);
    assert_eq!(judge(&stored(UNSTATED), just_over, &asks("max-age=10"), true), REQUEST_MAX_AGE);
}

#[test]
fn rfc9111_5_2_1_1_with_max_age_a_stale_response_is_not_wished_unless_max_stale_is_there_too() {
    let freshness = stored(StaleUse { while_revalidate: secs(100), ..UNSTATED });
    check(
        &freshness,
        &[
            (70, "max-age=100", STALE),
            (70, "max-age=100, max-stale=5", STALE),
            (70, "max-age=100, max-stale=10", Use::MaxStale),
            (70, "max-age=100, max-stale", Use::MaxStale),
            (70, "max-age=65, max-stale", STALE),
            (70, "max-age=0, max-stale", STALE),
        ],
    );
}

#[test]
fn rfc9111_5_2_1_2_max_stale_accepts_so_many_seconds_beyond_the_lifetime() {
    check(
        &stored(UNSTATED),
        &[
            (60, "max-stale=10", Use::MaxStale),
            (70, "max-stale=10", Use::MaxStale),
            (71, "max-stale=10", STALE),
            (60, "max-stale=0", Use::MaxStale),
            (61, "max-stale=0", STALE),
            (1_000_000, "max-stale", Use::MaxStale),
            (1_000_000, "max-stale=99999999999999999999", Use::MaxStale),
            (59, "max-stale", Use::Fresh),
        ],
    );
}

#[test]
fn rfc9111_4_2_4_max_stale_never_overrides_a_prohibition() {
    for stale in [NO_STALE_USE, StaleUse { while_revalidate: secs(5), if_error: secs(5), ..NO_STALE_USE }] {
        check(&stored(stale), &[(66, "max-stale", STALE), (66, "max-stale=100", STALE)]);
    }
}

#[test]
fn rfc9111_5_2_1_3_min_fresh_wants_what_stays_fresh() {
    let freshness = stored(StaleUse { while_revalidate: secs(100), ..UNSTATED });
    check(
        &freshness,
        &[
            (10, "min-fresh=50", Use::Fresh),
            (10, "min-fresh=51", REQUEST_MIN_FRESH),
            (10, "min-fresh=0", Use::Fresh),
            (0, "min-fresh=99999999999999999999", REQUEST_MIN_FRESH),
            (70, "min-fresh=0", STALE),
            (70, "min-fresh=1, max-stale", STALE),
        ],
    );
}

#[test]
fn rfc5861_3_stale_while_revalidate_holds_for_staleness_of_0_to_n() {
    let freshness = stored(StaleUse { while_revalidate: secs(10), ..UNSTATED });
    check(
        &freshness,
        &[
            (59, "", Use::Fresh),
            (60, "", Use::WhileRevalidate),
            (70, "", Use::WhileRevalidate),
            (71, "", STALE),
            (70, "max-stale=5", Use::WhileRevalidate),
            (65, "max-stale=5", Use::MaxStale),
            (70, "no-cache", REQUEST_NO_CACHE),
        ],
    );
    let just_over = Duration::from_millis(70_001);
    assert_eq!(judge(&freshness, just_over, &asks(""), true), STALE);
    // No window is no permission, even at a staleness of exactly zero.
    check(&stored(UNSTATED), &[(60, "", STALE)]);
}

#[test]
fn rfc5861_3_the_window_holds_where_max_stale_is_forbidden_beside_s_maxage() {
    let freshness = stored(StaleUse { while_revalidate: secs(10), ..NO_STALE_USE });
    check(
        &freshness,
        &[(70, "", Use::WhileRevalidate), (70, "max-stale", Use::WhileRevalidate), (71, "max-stale", STALE)],
    );
}

#[test]
fn rfc8246_2_1_a_fresh_immutable_response_is_validated_for_no_cache_only() {
    let mut freshness = stored(UNSTATED);
    freshness.immutable = true;
    check(
        &freshness,
        &[
            (10, "max-age=0", Use::Fresh),
            (10, "max-age=5", Use::Fresh),
            (10, "no-cache", REQUEST_NO_CACHE),
            (10, "min-fresh=51", REQUEST_MIN_FRESH),
            // RFC 8246 §2: once stale it is like any other.
            (60, "", STALE),
            (60, "max-age=0", STALE),
        ],
    );
}

#[test]
fn interface_2_2_client_revalidate_ignore_hears_max_stale_only() {
    let freshness = stored(StaleUse { while_revalidate: secs(10), ..UNSTATED });
    for (age, directives, expected) in [
        (10, "no-cache", Use::Fresh),
        (10, "max-age=0", Use::Fresh),
        (10, "max-age=5", Use::Fresh),
        (10, "min-fresh=100", Use::Fresh),
        (80, "max-stale", Use::MaxStale),
        (80, "max-stale, max-age=0, min-fresh=100", Use::MaxStale),
        (65, "max-age=0", Use::WhileRevalidate),
        (65, "no-cache, min-fresh=1", Use::WhileRevalidate),
        (80, "no-cache", STALE),
    ] {
        assert_eq!(judge(&freshness, secs(age), &asks(directives), false), expected, "{age} {directives}");
    }
}

#[test]
fn rfc9211_2_2_only_a_fresh_response_is_refused_for_the_request_s_sake() {
    for why in [Why::Stale, Why::NoCache] {
        assert!(!why.is_request(), "{}", why.as_str());
    }
    for why in [Why::RequestNoCache, Why::RequestMaxAge, Why::RequestMinFresh] {
        assert!(why.is_request(), "{}", why.as_str());
    }
    check(&stored(UNSTATED), &[(70, "max-age=5", STALE), (70, "min-fresh=5", STALE)]);
}

fn usable(freshness: &Freshness, age: u64, directives: &'static str) -> (bool, bool) {
    let after = |failure| usable_on_failure(freshness, secs(age), &asks(directives), failure);
    (after(Failure::ErrorStatus), after(Failure::Disconnected))
}

#[test]
fn rfc5861_4_stale_if_error_holds_for_staleness_of_0_to_n() {
    let freshness = stored(StaleUse { if_error: secs(10), ..NO_STALE_USE });
    for (age, expected) in [(60, true), (70, true), (71, false), (u64::MAX, false)] {
        assert_eq!(usable(&freshness, age, ""), (expected, expected), "{age}");
    }
}

#[test]
fn rfc9111_4_2_4_a_disconnected_cache_may_use_what_is_stale_where_nothing_forbids_it() {
    assert_eq!(usable(&stored(UNSTATED), 1_000_000, ""), (false, true));
    // must-revalidate, proxy-revalidate, s-maxage.
    assert_eq!(usable(&stored(NO_STALE_USE), 60, ""), (false, false));
}

#[test]
fn rfc5861_4_the_request_form_holds_where_nothing_forbids_stale_use() {
    assert_eq!(
        usable(&stored(StaleUse { when_disconnected: false, ..UNSTATED }), 70, "stale-if-error=10"),
        (true, true)
    );
    assert_eq!(
        usable(&stored(StaleUse { when_disconnected: false, ..UNSTATED }), 71, "stale-if-error=10"),
        (false, false)
    );
    assert_eq!(usable(&stored(UNSTATED), 70, "stale-if-error=0"), (false, true));
    assert_eq!(usable(&stored(NO_STALE_USE), 61, "stale-if-error=10"), (false, false));
    // It is a window of its own; it does not shorten the origin's.
    let freshness = stored(StaleUse { if_error: secs(10), max_stale: true, ..NO_STALE_USE });
    assert_eq!(usable(&freshness, 70, "stale-if-error=1"), (true, true));
    assert_eq!(usable(&freshness, 80, "stale-if-error=20"), (true, true));
}

#[test]
fn a_failure_leaves_what_is_still_fresh_usable() {
    for directives in ["no-cache", "max-age=0", "min-fresh=60"] {
        assert_eq!(usable(&stored(NO_STALE_USE), 10, directives), (true, true), "{directives}");
    }
}

proptest::proptest! {
    #[test]
    fn whatever_is_asked_a_forbidden_stale_response_is_never_used(
        age in 60u64..,
        max_age: Option<u64>, min_fresh: Option<u64>, stale_if_error: Option<u64>, honour: bool,
        max_stale in proptest::option::of(proptest::option::of(0u64..)),
    ) {
        let request = RequestDirectives {
            max_age, min_fresh, stale_if_error,
            max_stale: max_stale.map(|limit| limit.map_or(MaxStale::Any, MaxStale::Seconds)),
            ..RequestDirectives::default()
        };
        let freshness = stored(NO_STALE_USE);
        proptest::prop_assert_eq!(judge(&freshness, secs(age), &request, honour), STALE);
        for failure in [Failure::Disconnected, Failure::ErrorStatus] {
            proptest::prop_assert!(!usable_on_failure(&freshness, secs(age), &request, failure));
        }
    }

    #[test]
    fn a_client_can_only_take_away_from_what_is_fresh(age in 0u64..60, max_age: Option<u64>, min_fresh: Option<u64>) {
        let request = RequestDirectives { max_age, min_fresh, ..RequestDirectives::default() };
        proptest::prop_assert_eq!(judge(&stored(UNSTATED), secs(age), &request, false), Use::Fresh);
        let honoured = judge(&stored(UNSTATED), secs(age), &request, true);
        proptest::prop_assert!(matches!(honoured, Use::Fresh | REQUEST_MAX_AGE | REQUEST_MIN_FRESH));
    }
}
