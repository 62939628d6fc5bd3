//! Lifetimes and stale windows, through [`assess`](super::super::storable::assess): a case is a response, the
//! options of a rule, and what comes out.

use super::super::storable::{Exchange, Options, SetCookie, assess};
use super::*;
use crate::time::Wall;
use http::{HeaderMap, HeaderValue, Method};

/// 2026-01-01 00:00:00, when every response here arrives.
const NOW: Wall = Wall::from_secs(1_767_225_600);
const DATE_NOW: (&str, &str) = ("date", "Thu, 01 Jan 2026 00:00:00 GMT");
const IN_AN_HOUR: (&str, &str) = ("expires", "Thu, 01 Jan 2026 01:00:00 GMT");
const AN_HOUR_AGO: (&str, &str) = ("expires", "Wed, 31 Dec 2025 23:00:00 GMT");
/// A thousand seconds ago: a heuristic lifetime of 100 s.
const MODIFIED: (&str, &str) = ("last-modified", "Wed, 31 Dec 2025 23:43:20 GMT");
const ETAG: (&str, &str) = ("etag", "\"v1\"");

type Fields<'a> = &'a [(&'static str, &'static str)];

fn map(fields: Fields<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_static(value));
    }
    headers
}

fn status_freshness(
    status: u16,
    request: Fields<'_>,
    response: Fields<'_>,
    options: &Options,
) -> Option<Freshness> {
    let exchange = Exchange {
        method: &Method::GET,
        request: &map(request),
        status: StatusCode::from_u16(status).unwrap(),
        response: &map(response),
        request_time: NOW,
        response_time: NOW,
        target: "http://example.com/",
    };
    assess(&exchange, options).ok().map(|storable| storable.freshness)
}

fn freshness(response: Fields<'_>, options: &Options) -> Freshness {
    status_freshness(200, &[], response, options).unwrap()
}

fn lifetime(response: Fields<'_>, options: &Options) -> (u64, Source) {
    let found = freshness(response, options);
    (found.lifetime.as_secs(), found.source)
}

fn ttl(secs: u64) -> Option<RuleTtl> {
    Some(RuleTtl { value: Duration::from_secs(secs), any_status: false })
}

fn any_ttl(secs: u64) -> Option<RuleTtl> {
    Some(RuleTtl { value: Duration::from_secs(secs), any_status: true })
}

fn secs(n: u64) -> Option<Duration> {
    Some(Duration::from_secs(n))
}

fn all_statuses() -> Options {
    let heuristic = Options::default().heuristic.unwrap();
    Options {
        heuristic: Some(Heuristic { statuses: HeuristicStatuses::All, ..heuristic }),
        ..Options::default()
    }
}

#[test]
fn rfc9111_4_2_1_the_first_match_is_the_lifetime() {
    let cases: &[(Fields<'_>, (u64, Source))] = &[
        (&[("cache-control", "max-age=1, s-maxage=3600"), IN_AN_HOUR], (3600, Source::SMaxage)),
        (&[("cache-control", "max-age=3600, s-maxage=1")], (1, Source::SMaxage)),
        (&[("cache-control", "max-age=3600"), ("cache-control", "s-maxage=1")], (1, Source::SMaxage)),
        (&[("cache-control", "max-age=0, s-maxage=3600"), AN_HOUR_AGO], (3600, Source::SMaxage)),
        (&[("cache-control", "max-age=60"), IN_AN_HOUR, DATE_NOW], (60, Source::MaxAge)),
        // §5.3: MUST ignore Expires beside max-age, past, invalid or future.
        (&[("cache-control", "max-age=3600"), AN_HOUR_AGO, DATE_NOW], (3600, Source::MaxAge)),
        (&[("cache-control", "max-age=3600"), ("expires", "0"), DATE_NOW], (3600, Source::MaxAge)),
        (&[("cache-control", "max-age=0"), IN_AN_HOUR, DATE_NOW], (0, Source::MaxAge)),
        (&[IN_AN_HOUR, DATE_NOW, MODIFIED], (3600, Source::Expires)),
        (&[MODIFIED, DATE_NOW], (100, Source::Heuristic)),
        (&[ETAG, DATE_NOW], (0, Source::None)),
        (&[("cache-control", "max-age=99999999999")], (99_999_999_999, Source::MaxAge)),
        (&[("cache-control", "max-age=99999999999999999999999")], (u64::MAX, Source::MaxAge)),
    ];
    for (response, expected) in cases {
        assert_eq!(lifetime(response, &Options::default()), *expected, "{response:?}");
    }
}

#[test]
fn rfc9111_4_2_1_what_cannot_be_read_is_explicit_and_over() {
    for value in
        ["max-age=abc", "max-age=1.5", "max-age=-1", "max-age", "s-maxage=x", "max-age=60, s-maxage=x"]
    {
        let mut response = map(&[IN_AN_HOUR, MODIFIED, ETAG, DATE_NOW]);
        response.insert("cache-control", HeaderValue::from_static(value));
        let exchange = Exchange {
            method: &Method::GET,
            request: &HeaderMap::new(),
            status: StatusCode::OK,
            response: &response,
            request_time: NOW,
            response_time: NOW,
            target: "http://example.com/",
        };
        let options = Options { default_ttl: ttl(9), ..Options::default() };
        let found = assess(&exchange, &options).unwrap().freshness;
        assert!(found.lifetime.is_zero() && found.source != Source::Expires, "{value}: {found:?}");
        // It may have been a lifetime for us, so nothing stale is used either.
        assert_eq!(found.stale, StaleUse::default(), "{value}");
    }
}

#[test]
fn rfc9111_5_3_expires() {
    let cases: &[(&str, Fields<'_>, u64)] = &[
        ("future", &[IN_AN_HOUR, DATE_NOW], 3600),
        ("past", &[AN_HOUR_AGO, DATE_NOW], 0),
        ("now", &[("expires", "Thu, 01 Jan 2026 00:00:00 GMT"), DATE_NOW], 0),
        ("invalid: 0", &[("expires", "0"), DATE_NOW], 0),
        ("invalid: -1", &[("expires", "-1"), DATE_NOW], 0),
        ("invalid: empty", &[("expires", ""), DATE_NOW], 0),
        ("invalid: not GMT", &[("expires", "Thu, 01 Jan 2026 01:00:00 UTC"), DATE_NOW], 0),
        ("no Date: from receipt", &[IN_AN_HOUR], 3600),
        ("invalid Date: from receipt", &[IN_AN_HOUR, ("date", "foo")], 3600),
        (
            "older than a fast Date",
            &[("expires", "Thu, 01 Jan 2026 00:05:00 GMT"), ("date", "Thu, 01 Jan 2026 00:06:40 GMT")],
            0,
        ),
        ("relative to a slow Date", &[IN_AN_HOUR, ("date", "Wed, 31 Dec 2025 23:59:50 GMT")], 3610),
        ("rfc850", &[("expires", "Thursday, 01-Jan-26 01:00:00 GMT"), DATE_NOW], 3600),
        ("asctime", &[("expires", "Thu Jan  1 01:00:00 2026"), DATE_NOW], 3600),
        ("first of two", &[IN_AN_HOUR, AN_HOUR_AGO, DATE_NOW], 3600),
        ("first of two, past", &[AN_HOUR_AGO, IN_AN_HOUR, DATE_NOW], 0),
        ("first of two, invalid", &[("expires", "0"), IN_AN_HOUR, DATE_NOW], 0),
        ("far future", &[("expires", "Fri, 31 Dec 9999 23:59:59 GMT"), DATE_NOW], 251_635_075_199),
        ("long ago", &[("expires", "Mon, 01 Jan 0001 00:00:00 GMT"), DATE_NOW], 0),
    ];
    for (name, response, expected) in cases {
        let options = Options { default_ttl: ttl(9), ..Options::default() };
        assert_eq!(lifetime(response, &options), (*expected, Source::Expires), "{name}");
    }
}

#[test]
fn rfc9111_1_2_2_sums_do_not_wrap() {
    let response = [("cache-control", "max-age=99999999999999999999"), ("age", "99999999999999999999")];
    let found = freshness(&response, &Options::default());
    let age = found.age(Duration::MAX);
    assert!(!found.is_fresh(age));
    assert_eq!(found.ttl(age), 0);
    let old = Freshness { lifetime: Duration::ZERO, ..found };
    assert_eq!(old.ttl(age), -i64::MAX);
}

#[test]
fn rfc9211_2_5_ttl_is_what_is_left_and_negative_once_stale() {
    let found = freshness(&[("cache-control", "max-age=60"), ("age", "20")], &Options::default());
    for (resident, ttl, fresh) in [(0, 40, true), (39, 1, true), (40, 0, false), (50, -10, false)] {
        let age = found.age(Duration::from_secs(resident));
        assert_eq!((found.ttl(age), found.is_fresh(age)), (ttl, fresh), "{resident}");
    }
}

#[test]
fn rfc9213_2_2_a_targeted_field_silences_cache_control_and_expires() {
    let cases: &[(Fields<'_>, (u64, Source))] = &[
        (&[("cdn-cache-control", "max-age=60"), ("cache-control", "s-maxage=9")], (60, Source::MaxAge)),
        (&[("cdn-cache-control", "s-maxage=60"), ("cache-control", "max-age=9")], (60, Source::SMaxage)),
        (&[("cdn-cache-control", "none"), IN_AN_HOUR, MODIFIED, DATE_NOW], (100, Source::Heuristic)),
        (
            &[("cdn-cache-control", "max-age=\"60\""), ("cache-control", "max-age=9"), MODIFIED, DATE_NOW],
            (100, Source::Heuristic),
        ),
        (
            &[("cdn-cache-control", "max-age=60"), ("cache-control", "no-store"), AN_HOUR_AGO],
            (60, Source::MaxAge),
        ),
        (
            &[("surrogate-control", "max-age=60"), ("cache-control", "no-store"), AN_HOUR_AGO],
            (60, Source::MaxAge),
        ),
        (&[("surrogate-control", "max-age=0"), IN_AN_HOUR, DATE_NOW], (0, Source::MaxAge)),
        (&[("surrogate-control", "max-age=60;other"), IN_AN_HOUR, DATE_NOW], (3600, Source::Expires)),
        (
            &[("larder-cdn-cache-control", "max-age=1"), ("cdn-cache-control", "max-age=60")],
            (1, Source::MaxAge),
        ),
    ];
    for (response, expected) in cases {
        assert_eq!(lifetime(response, &Options::default()), *expected, "{response:?}");
    }
}

#[test]
fn rfc9111_4_2_2_heuristics() {
    let options = Options::default();
    for (modified, expected) in [
        ("Wed, 31 Dec 2025 23:43:20 GMT", (100, Source::Heuristic)),
        // Capped at an hour.
        ("Thu, 01 Jan 2015 00:00:00 GMT", (3600, Source::Heuristic)),
        ("Mon, 01 Jan 0001 00:00:00 GMT", (3600, Source::Heuristic)),
    ] {
        assert_eq!(lifetime(&[("last-modified", modified), DATE_NOW], &options), expected, "{modified}");
    }
    // Without a valid Date: since the time of receipt.
    assert_eq!(lifetime(&[MODIFIED], &options), (100, Source::Heuristic));
    // Not later than Date, or no date: no heuristic.
    for modified in ["Thu, 01 Jan 2026 00:00:00 GMT", "Fri, 02 Jan 2026 00:00:00 GMT", "yesterday", ""] {
        assert_eq!(
            lifetime(&[("last-modified", modified), DATE_NOW, ETAG], &options),
            (0, Source::None),
            "{modified}"
        );
    }
    // MUST NOT be used where explicit expiration is present, be it in the past.
    for explicit in [("cache-control", "max-age=0"), ("expires", "0"), ("cache-control", "max-age=x")] {
        assert_eq!(lifetime(&[explicit, MODIFIED, DATE_NOW], &options).0, 0, "{explicit:?}");
    }
    // Query strings are no exception, `Pragma` in a response means nothing (§5.4).
    assert_eq!(lifetime(&[MODIFIED, ("pragma", "no-cache")], &options), (100, Source::Heuristic));
    let off = Options { heuristic: None, ..Options::default() };
    assert_eq!(lifetime(&[MODIFIED, DATE_NOW], &off), (0, Source::None));
}

#[test]
fn rfc9111_4_2_2_a_senseless_fraction_gives_no_lifetime() {
    for fraction in [f64::NAN, -1.0, 0.0, f64::INFINITY, f64::NEG_INFINITY] {
        let mut options = Options::default();
        options.heuristic.as_mut().unwrap().fraction = fraction;
        assert_eq!(lifetime(&[MODIFIED, DATE_NOW], &options), (0, Source::None), "{fraction}");
    }
}

#[test]
fn rfc9111_4_2_2_heuristics_act_on_the_statuses_of_their_setting() {
    let heuristic = |status: u16, options: &Options, extra: Fields<'_>| {
        let response = [&[MODIFIED, DATE_NOW], extra].concat();
        let found = status_freshness(status, &[], &response, options);
        found.is_some_and(|found| found.source == Source::Heuristic)
    };
    for status in 200..600 {
        let usual = matches!(status, 200 | 203 | 204 | 300 | 301 | 308);
        let all = usual || matches!(status, 404 | 405 | 410 | 414 | 501);
        let never = matches!(status, 206 | 304 | 412 | 416);
        assert_eq!(heuristic(status, &Options::default(), &[]), usual, "{status}");
        assert_eq!(heuristic(status, &all_statuses(), &[]), all, "{status}");
        // §5.2.2.9: `public` makes any status heuristically cacheable, where that was chosen.
        let public = [("cache-control", "public")];
        assert_eq!(heuristic(status, &Options::default(), &public), usual, "{status} public");
        assert_eq!(heuristic(status, &all_statuses(), &public), !never, "{status} public");
    }
}

#[test]
fn standards_9_5_nothing_is_guessed_when_the_request_had_a_cookie_or_credentials() {
    let guesses = Options { default_ttl: any_ttl(9), negative_ttl: secs(9), ..all_statuses() };
    // `public`, so that §3.5 is not the reason.
    let response = [("cache-control", "public"), MODIFIED, DATE_NOW];
    for header in [("cookie", "a=b"), ("authorization", "Basic x")] {
        for status in [200, 404] {
            assert!(status_freshness(status, &[], &response, &guesses).is_some());
            assert_eq!(status_freshness(status, &[header], &response, &guesses), None, "{status} {header:?}");
        }
        let ruled = Options { ttl: ttl(5), ..Options::default() };
        let found = status_freshness(200, &[header], &response, &ruled).unwrap();
        assert_eq!((found.lifetime.as_secs(), found.source), (5, Source::Rule));
    }
    let explicit =
        status_freshness(200, &[("cookie", "a=b")], &[("cache-control", "max-age=7")], &guesses).unwrap();
    assert_eq!((explicit.lifetime.as_secs(), explicit.source), (7, Source::MaxAge));
}

#[test]
fn rulings_2_a_rule_s_ttl_replaces_the_lifetime_on_the_usual_statuses_or_those_it_names() {
    let options = Options { ttl: ttl(9), ..Options::default() };
    for response in
        [[("cache-control", "max-age=60")], [("cdn-cache-control", "max-age=60")], [("expires", "0")]]
    {
        assert_eq!(lifetime(&response, &options), (9, Source::Rule), "{response:?}");
    }
    for status in [200, 203, 204, 300, 301, 308, 201, 302, 404, 410, 418] {
        let usual = [200, 203, 204, 300, 301, 308].contains(&status);
        let response = [("cache-control", "max-age=60")];
        let found = status_freshness(status, &[], &response, &options).unwrap();
        assert_eq!(found.source == Source::Rule, usual, "{status}");
        let named = Options { ttl: any_ttl(9), ..Options::default() };
        let found = status_freshness(status, &[], &response, &named).unwrap();
        assert_eq!((found.lifetime.as_secs(), found.source), (9, Source::Rule), "{status}");
    }
    // "All other directives hold."
    let found = freshness(&[("cache-control", "s-maxage=60, must-revalidate, immutable"), ETAG], &options);
    assert_eq!((found.lifetime.as_secs(), found.stale, found.immutable), (9, StaleUse::default(), true));
    assert!(freshness(&[("cache-control", "max-age=60, no-cache"), ETAG], &options).must_validate);
}

#[test]
fn rulings_2_a_rule_s_default_ttl_acts_only_without_explicit_freshness() {
    let options = Options { default_ttl: ttl(9), ..Options::default() };
    assert_eq!(lifetime(&[], &options), (9, Source::Default));
    assert_eq!(lifetime(&[MODIFIED, DATE_NOW], &options), (9, Source::Default), "before heuristics");
    assert_eq!(lifetime(&[("cache-control", "max-age=60")], &options), (60, Source::MaxAge));
    assert_eq!(lifetime(&[("cache-control", "max-age=0")], &options), (0, Source::MaxAge));
    assert_eq!(lifetime(&[("expires", "0")], &options), (0, Source::Expires));
    assert_eq!(status_freshness(302, &[], &[], &options), None);
    let named = Options { default_ttl: any_ttl(9), ..Options::default() };
    assert_eq!(status_freshness(302, &[], &[], &named).unwrap().source, Source::Default);
}

#[test]
fn interface_2_2_negative_ttl_is_for_404_and_410_without_explicit_freshness() {
    let options = Options { negative_ttl: secs(9), default_ttl: any_ttl(5), ..Options::default() };
    for status in [200, 403, 404, 405, 410, 451] {
        let negative = status == 404 || status == 410;
        let found = status_freshness(status, &[], &[], &options).unwrap();
        assert_eq!(found.source == Source::Negative, negative, "{status}");
        let found = status_freshness(status, &[], &[("cache-control", "max-age=60")], &options).unwrap();
        assert_eq!(found.source, Source::MaxAge, "{status}");
    }
}

#[test]
fn rulings_2_min_ttl_raises_a_lifetime_but_never_no_cache_or_max_age_0() {
    let options = Options { min_ttl: ttl(100), ..Options::default() };
    let cases: &[(Fields<'_>, u64)] = &[
        (&[("cache-control", "max-age=60")], 100),
        (&[("cache-control", "max-age=600")], 600),
        (&[("cache-control", "s-maxage=1, max-age=600")], 100),
        (&[IN_AN_HOUR], 3600),
        (&[("cache-control", "max-age=0")], 0),
        (&[("cache-control", "max-age=x"), ETAG], 0),
        (&[("expires", "0")], 0),
        (&[AN_HOUR_AGO, DATE_NOW], 0),
        (&[("cache-control", "no-cache, max-age=60"), ETAG], 60),
        (&[("cache-control", "no-cache=\"a\", max-age=60"), ETAG], 100),
        (&[("last-modified", "Wed, 31 Dec 2025 23:59:50 GMT"), DATE_NOW], 100),
        // Nothing there to raise.
        (&[ETAG], 0),
    ];
    for (response, expected) in cases {
        assert_eq!(lifetime(response, &options).0, *expected, "{response:?}");
    }
    let found = status_freshness(404, &[], &[("cache-control", "max-age=60")], &options).unwrap();
    assert_eq!(found.lifetime.as_secs(), 60, "not a usual status");
}

#[test]
fn interface_2_2_max_ttl_clamps_every_lifetime() {
    let clamp = Options { max_ttl: secs(30), ..Options::default() };
    let cases: &[(Options, Fields<'_>, (u64, Source))] = &[
        (clamp.clone(), &[("cache-control", "max-age=60")], (30, Source::MaxAge)),
        (clamp.clone(), &[("cache-control", "max-age=20")], (20, Source::MaxAge)),
        (clamp.clone(), &[IN_AN_HOUR], (30, Source::Expires)),
        (clamp.clone(), &[MODIFIED], (30, Source::Heuristic)),
        (Options { ttl: ttl(60), ..clamp.clone() }, &[], (30, Source::Rule)),
        (Options { default_ttl: ttl(60), ..clamp.clone() }, &[], (30, Source::Default)),
        (
            Options { min_ttl: ttl(60), ..clamp.clone() },
            &[("cache-control", "max-age=1")],
            (30, Source::MaxAge),
        ),
    ];
    for (options, response, expected) in cases {
        assert_eq!(lifetime(response, options), *expected, "{response:?}");
    }
}

/// `while_revalidate`, `if_error`, `when_disconnected`, `max_stale`.
fn stale(response: Fields<'_>, options: &Options) -> (u64, u64, bool, bool) {
    let stale = freshness(&[response, &[ETAG]].concat(), options).stale;
    (stale.while_revalidate.as_secs(), stale.if_error.as_secs(), stale.when_disconnected, stale.max_stale)
}

const FORBIDDEN: (u64, u64, bool, bool) = (0, 0, false, false);

#[test]
fn rfc9111_4_2_4_what_forbids_stale_use() {
    let windows = Options { stale_while_revalidate: secs(3), stale_if_error: secs(4), ..Options::default() };
    for options in [Options::default(), windows] {
        for directives in [
            "max-age=60, must-revalidate, stale-while-revalidate=1, stale-if-error=2",
            "max-age=60, proxy-revalidate, stale-while-revalidate=1, stale-if-error=2",
            "max-age=60, no-cache, stale-while-revalidate=1, stale-if-error=2",
            "s-maxage=60, must-revalidate, stale-if-error=2",
            "s-maxage=60",
            "max-age=60, s-maxage=x",
        ] {
            assert_eq!(stale(&[("cache-control", directives)], &options), FORBIDDEN, "{directives}");
        }
    }
    // Not these: a list of fields concerns those fields only.
    assert_eq!(
        stale(&[("cache-control", "max-age=60, no-cache=\"a\"")], &Options::default()),
        (0, 0, true, true)
    );
    assert_eq!(
        stale(&[("cache-control", "max-age=60, public, immutable")], &Options::default()),
        (0, 0, true, true)
    );
}

#[test]
fn standards_9_1_s_maxage_beside_an_explicit_window_leaves_that_window_and_no_more() {
    let options = Options { stale_while_revalidate: secs(3), stale_if_error: secs(4), ..Options::default() };
    for (directives, expected) in [
        ("s-maxage=60, stale-while-revalidate=1", (1, 0, false, false)),
        ("s-maxage=60, stale-if-error=2", (0, 2, false, false)),
        ("s-maxage=60, stale-while-revalidate=1, stale-if-error=2", (1, 2, false, false)),
        ("max-age=x, stale-while-revalidate=1", (1, 0, false, false)),
    ] {
        assert_eq!(stale(&[("cache-control", directives)], &options), expected, "{directives}");
        let strict = Options { strict_s_maxage: true, ..options.clone() };
        assert_eq!(stale(&[("cache-control", directives)], &strict), FORBIDDEN, "{directives}");
    }
    // The window must be the same field's: Cache-Control has no say beside a targeted one.
    let response = [("cdn-cache-control", "s-maxage=60"), ("cache-control", "stale-if-error=2")];
    assert_eq!(stale(&response, &options), FORBIDDEN);
    let response = [
        ("cdn-cache-control", "max-age=60, stale-if-error=2"),
        ("cache-control", "s-maxage=9, must-revalidate"),
    ];
    assert_eq!(stale(&response, &Options::default()), (0, 2, false, true));
}

#[test]
fn a_rule_that_says_so_has_its_windows_beside_s_maxage_and_beside_nothing_stricter() {
    let rule = Options {
        stale_while_revalidate: secs(3),
        stale_if_error: secs(4),
        stale_despite_s_maxage: true,
        ..Options::default()
    };
    for (directives, expected) in [
        ("s-maxage=60", (3, 4, false, false)),
        ("s-maxage=60, stale-if-error=2", (3, 2, false, false)),
        ("s-maxage=60, must-revalidate", FORBIDDEN),
        ("s-maxage=60, proxy-revalidate", FORBIDDEN),
        ("s-maxage=60, no-cache", FORBIDDEN),
        ("max-age=60, s-maxage=x", FORBIDDEN),
        ("max-age=60", (3, 4, false, true)),
    ] {
        assert_eq!(stale(&[("cache-control", directives)], &rule), expected, "{directives}");
    }
    // Without a window of its own it changes nothing: a client's `max-stale`, a lost connection least of all.
    let bare = Options { stale_despite_s_maxage: true, ..Options::default() };
    assert_eq!(stale(&[("cache-control", "s-maxage=60")], &bare), FORBIDDEN);
    let strict = Options { strict_s_maxage: true, ..rule };
    assert_eq!(stale(&[("cache-control", "s-maxage=60")], &strict), FORBIDDEN);
}

#[test]
fn rfc5861_the_origin_s_windows_and_where_it_sent_none_the_rule_s() {
    let none = Options::default();
    let rule = Options { stale_while_revalidate: secs(3), stale_if_error: secs(4), ..Options::default() };
    for (directives, options, expected) in [
        ("max-age=60", &none, (0, 0, true, true)),
        ("max-age=60, stale-while-revalidate=1", &none, (1, 0, true, true)),
        ("max-age=60", &rule, (3, 4, false, true)),
        ("max-age=60, stale-while-revalidate=1", &rule, (1, 4, false, true)),
        ("max-age=60, stale-if-error=2", &rule, (3, 2, false, true)),
        // A zero is an answer too.
        ("max-age=60, stale-while-revalidate=0, stale-if-error=0", &rule, (0, 0, false, true)),
    ] {
        assert_eq!(stale(&[("cache-control", directives)], options), expected, "{directives}");
    }
    let response = [("surrogate-control", "max-age=60+30")];
    assert_eq!(stale(&response, &rule), (30, 30, false, true));
}

#[test]
fn rfc9111_4_2_4_what_never_had_a_lifetime_is_validated_before_use() {
    let rule = Options { stale_while_revalidate: secs(3), stale_if_error: secs(4), ..Options::default() };
    assert_eq!(stale(&[], &rule), (0, 4, false, false));
    assert_eq!(stale(&[], &Options::default()), (0, 0, true, false));
    assert_eq!(stale(&[("cdn-cache-control", "none")], &rule), (0, 4, false, false));
    // What the origin itself allows it allows.
    assert_eq!(stale(&[("cache-control", "stale-while-revalidate=1")], &rule), (1, 4, false, false));
    // A lifetime of zero is one.
    assert_eq!(stale(&[("cache-control", "max-age=0")], &rule), (3, 4, false, true));
}

#[test]
fn rfc5861_4_a_stated_limit_holds_for_lost_connections_too() {
    let stated = [("cache-control", "max-age=60, stale-if-error=30")];
    assert!(!freshness(&stated, &Options::default()).stale.when_disconnected);
    assert!(freshness(&[("cache-control", "max-age=60")], &Options::default()).stale.when_disconnected);
}

#[test]
fn rfc9111_5_2_2_6_no_transform_is_heard_in_cache_control_whatever_governs() {
    let cases: &[(Fields<'_>, bool)] = &[
        (&[("cache-control", "max-age=60, no-transform")], true),
        (&[("cdn-cache-control", "max-age=60, no-transform")], true),
        (&[("cdn-cache-control", "max-age=60"), ("cache-control", "no-transform")], true),
        (&[("surrogate-control", "max-age=60"), ("cache-control", "no-transform")], true),
        (&[("cdn-cache-control", "max-age=60"), ("cache-control", "max-age=60")], false),
    ];
    for (response, expected) in cases {
        assert_eq!(freshness(response, &Options::default()).no_transform, *expected, "{response:?}");
    }
    let response =
        [("cdn-cache-control", "max-age=60"), ("cache-control", "immutable, no-cache, must-revalidate")];
    let found = freshness(&response, &Options::default());
    assert!(!found.immutable && !found.must_validate && found.stale.max_stale, "{found:?}");
}

proptest::proptest! {
    #[test]
    fn no_options_and_no_directives_panic_or_lengthen_beyond_max_ttl(
        cache_control in "(max-age=[0-9]{0,21}|s-maxage=[0-9]{1,3}|public|no-cache|private|, ){0,6}",
        age in "[0-9]{0,21}",
        value: u64, max: u64, fraction: f64, any_status: bool, force: bool,
        status in 100u16..1000,
        times: (u64, u64),
    ) {
        let mut response = map(&[MODIFIED, ETAG]);
        response.insert("cache-control", HeaderValue::try_from(cache_control).unwrap());
        response.insert("age", HeaderValue::try_from(age).unwrap());
        let rule = Some(RuleTtl { value: Duration::from_secs(value), any_status });
        let options = Options {
            ttl: rule.filter(|_| value % 2 == 0),
            default_ttl: rule,
            min_ttl: rule,
            max_ttl: secs(max),
            force,
            heuristic: Some(Heuristic { fraction, max: Duration::MAX, statuses: HeuristicStatuses::All }),
            set_cookie: SetCookie::Strip,
            names_status: true,
            ..Options::default()
        };
        let exchange = Exchange {
            method: &Method::GET,
            request: &HeaderMap::new(),
            status: StatusCode::from_u16(status).unwrap(),
            response: &response,
            request_time: Wall(times.0),
            response_time: Wall(times.1),
            target: "http://example.com/",
        };
        if let Ok(storable) = assess(&exchange, &options) {
            proptest::prop_assert!(storable.freshness.lifetime <= Duration::from_secs(max));
        }
    }
}
