//! Where the two differ, and who decides.

use super::case::Case;
use super::{Ours, Theirs};
use Question::*;
use larder::semantics::reuse::{Use, Why};
use larder::semantics::storable::NotStored;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// We store it, they don't.
    WeStore,
    /// They store it, we don't.
    TheyStore,
    Lifetime,
    Age,
    /// We use it without asking the origin, they don't.
    WeUse,
    TheyUse,
}

pub struct Line {
    pub on: Question,
    /// Who decides.
    pub by: &'static str,
    pub what: &'static str,
    pub when: fn(&Case, &Ours, &Theirs) -> bool,
}

const fn line(
    on: Question,
    by: &'static str,
    what: &'static str,
    when: fn(&Case, &Ours, &Theirs) -> bool,
) -> Line {
    Line { on, by, what, when }
}

pub const LEDGER: &[Line] = &[
    line(
        TheyStore,
        "RFC 9110 §9.3.2",
        "HEAD: a choice, its answer serves later HEADs only",
        |case, ours, _| case.method == "HEAD" && refused(ours, NotStored::Method),
    ),
    line(TheyStore, "RFC 9110 §9.3.3", "POST needs its own URI in Content-Location", |case, ours, _| {
        case.method == "POST" && !case.has("content-location") && refused(ours, NotStored::Method)
    }),
    line(
        TheyStore,
        "RFC 9111 §3",
        "without lifetime and validator nothing need be stored",
        |case, ours, _| case.is_silent() && !case.etag && refused(ours, NotStored::NoLifetime),
    ),
    line(
        TheyStore,
        "standards.md §9.5",
        "nothing is guessed for requests with cookies or credentials",
        |case, ours, _| {
            case.is_silent() && (case.cookie || case.authorization) && refused(ours, NotStored::NoLifetime)
        },
    ),
    line(
        TheyStore,
        "RFC 9111 §4.2.4",
        "no validator, and no use without one: a copy nobody could use",
        |case, ours, theirs| {
            let modified = case.last_modified.as_deref().is_some_and(|value| value != "foo");
            let age_on_arrival = case.aged(case.stated_age()).saturating_sub(case.later);
            let stale_on_arrival =
                theirs.lifetime <= age_on_arrival || case.unreadable() || case.is_of_another_zone();
            let useless = case.says("no-cache") || (stale_on_arrival && case.forbids_stale_use());
            !case.etag && !modified && useless && refused(ours, NotStored::NoValidator)
        },
    ),
    line(TheyStore, "RFC 9111 §7.3", "Set-Cookie: local policy", |case, ours, _| {
        case.has("set-cookie") && refused(ours, NotStored::SetCookie)
    }),
    line(TheyStore, "RFC 9111 §4.1", "Vary: * matches nothing, so we don't store it", |case, ours, _| {
        case.has("vary") && refused(ours, NotStored::VaryStar)
    }),
    line(TheyStore, "rulings.md 7", "414 and 501 only with explicit freshness", |case, ours, _| {
        case.is_silent() && [414, 501].contains(&case.status) && refused(ours, NotStored::ErrorStatus)
    }),
    line(TheyStore, "RFC 9111 §5.2", "names are case-insensitive: No-Store, PRIVATE", |case, ours, _| {
        (case.says("No-Store") && refused(ours, NotStored::NoStore))
            || (case.says("PRIVATE") && refused(ours, NotStored::Private))
    }),
    line(
        TheyStore,
        "RFC 9111 §3.5",
        "a contradiction does not stand for must-revalidate",
        |case, ours, _| case.authorization && case.conflicts() && refused(ours, NotStored::Authorization),
    ),
    line(TheyStore, "RFC 9110 §5.6.4", "no directive inside a quoted string", |case, ours, _| {
        case.says("ext=\"a, max-age=60\"") && ours.stored.is_err()
    }),
    line(TheyStore, "RFC 9213 §2.2", "CDN-Cache-Control governs alone", |case, ours, _| {
        case.has("cdn-cache-control") && ours.stored.is_err()
    }),
    line(WeStore, "RFC 9213 §2.2", "CDN-Cache-Control governs alone", |case, _, _| {
        case.has("cdn-cache-control")
    }),
    line(WeStore, "RFC 9111 §5.2.2.7", "private=\"x\" keeps x out, not the response", |case, ours, _| {
        case.says("private=\"x\"") && omits(ours)
    }),
    line(WeStore, "RFC 9111 §5.2.2.3", "must-understand lifts no-store", |case, _, _| {
        case.says("must-understand") && case.says("no-store")
    }),
    line(
        WeStore,
        "RFC 9111 §3",
        "any final status may be stored when it is explicitly fresh",
        |case, _, _| {
            [201, 299, 403, 500, 503].contains(&case.status) && (!case.is_silent() || case.says("public"))
        },
    ),
    line(WeStore, "RFC 9111 §5.2", "names are case-insensitive: MAX-AGE", |case, _, _| {
        case.says("MAX-AGE=60")
    }),
    line(
        Lifetime,
        "RFC 9111 §5.2.2.4",
        "no-cache is no lifetime of 0: we keep the two apart",
        |case, ours, theirs| case.says("no-cache") && theirs.lifetime == 0 && must_validate(ours),
    ),
    line(Lifetime, "RFC 9111 §5.2.2.4", "no-cache=\"x\" concerns x only", |case, ours, theirs| {
        case.says("no-cache=\"x\"") && theirs.lifetime == 0 && omits(ours)
    }),
    line(Lifetime, "RFC 9111 §5.2.2.8", "proxy-revalidate shortens no lifetime", |case, _, theirs| {
        case.says("proxy-revalidate") && theirs.lifetime == 0
    }),
    line(Lifetime, "RFC 9111 §5.4", "Pragma means nothing in a response", |case, _, theirs| {
        case.has("pragma") && theirs.lifetime == 0
    }),
    line(
        Lifetime,
        "RFC 9111 §4.2.1",
        "what can't be read is stale, whatever else is there",
        |case, ours, _| case.unreadable() && ours.lifetime == 0,
    ),
    line(
        Lifetime,
        "RFC 9111 §1.2.2",
        "a number that is too large is the largest we hold",
        |case, ours, theirs| {
            case.says("max-age=99999999999999999999") && ours.lifetime == u64::MAX && theirs.lifetime == 0
        },
    ),
    line(Lifetime, "RFC 9110 §5.6.4", "no directive inside a quoted string", |case, _, theirs| {
        case.says("ext=\"a, max-age=60\"") && theirs.lifetime == 60
    }),
    line(Lifetime, "RFC 9111 §5.2", "names are case-insensitive: MAX-AGE", |case, ours, _| {
        case.says("MAX-AGE=60") && ours.lifetime == 60
    }),
    line(Lifetime, "RFC 9110 §5.6.7", "all three formats of dates are accepted", |case, _, _| {
        let obsolete = |date: &Option<String>| {
            date.as_deref()
                .is_some_and(|date| date.contains("-26 ") || date.contains("-25 ") || date.ends_with(" 2026"))
        };
        obsolete(&case.expires) || obsolete(&case.date)
    }),
    line(Lifetime, "RFC 9111 §4.2", "a date with a zone other than GMT is invalid", |case, ours, _| {
        case.is_of_another_zone() && ours.lifetime == 0
    }),
    line(Lifetime, "RFC 9213 §2.2", "CDN-Cache-Control governs alone", |case, _, _| {
        case.has("cdn-cache-control")
    }),
    line(Age, "RFC 9111 §4.2.3", "Date and the time the answer took count", |case, ours, theirs| {
        ours.age > theirs.age && ours.age == case.aged(theirs.age - case.later)
    }),
    line(Age, "RFC 9111 §5.1", "of a list the first member counts", |case, ours, _| {
        case.age == Some("70, 0") && ours.age == case.aged(70)
    }),
    line(Age, "RFC 9111 §5.1", "what is no non-negative integer is ignored: +50", |case, ours, theirs| {
        case.age == Some("+50") && theirs.age == case.later + 50 && ours.age == case.aged(0)
    }),
    line(Age, "RFC 9111 §1.2.2", "a number that is too large is the largest we hold", |case, ours, _| {
        case.age == Some("99999999999999999999") && ours.age == u64::MAX
    }),
    line(WeUse, "RFC 5861 §3", "stale-while-revalidate", |case, ours, _| {
        case.says("stale-while-revalidate=600") && ours.usage == Use::WhileRevalidate
    }),
    line(WeUse, "RFC 9111 §5.4", "Pragma counts only in the absence of Cache-Control", |case, _, _| {
        case.pragma && !case.asks.is_empty() && !case.asks("no-cache")
    }),
    line(
        WeUse,
        "RFC 8246 §2.1",
        "a fresh immutable response is not validated for max-age",
        |case, ours, _| case.says("immutable") && case.asks("max-age") && ours.usage == Use::Fresh,
    ),
    line(WeUse, "RFC 9110 §9.3.3", "what POST answered serves later GETs", |case, _, _| {
        case.method == "POST"
    }),
    line(WeUse, "RFC 9111 §4.2.1", "a contradiction does not stand for must-revalidate", |case, ours, _| {
        case.conflicts() && ours.usage == Use::MaxStale
    }),
    line(WeUse, "RFC 9111 §5.2.1.2", "max-stale=N accepts a staleness of N", |case, ours, theirs| {
        let staleness = ours.age.saturating_sub(ours.lifetime);
        [30, 1000].contains(&staleness)
            && case.asks("max-stale=")
            && ours.age == theirs.age
            && ours.usage == Use::MaxStale
    }),
    line(
        TheyUse,
        "RFC 9111 §5.2.2.4",
        "a client's max-stale does not override no-cache",
        |case, ours, _| {
            case.says("no-cache") && case.asks("max-stale") && ours.usage == Use::Validate(Why::NoCache)
        },
    ),
    line(TheyUse, "RFC 9111 §5.2.2.8", "nor proxy-revalidate", |case, _, _| {
        case.says("proxy-revalidate") && case.asks("max-stale")
    }),
    line(TheyUse, "RFC 9111 §5.2.2.10", "nor s-maxage", |case, _, _| {
        case.says_some("s-maxage") && case.asks("max-stale")
    }),
    line(
        TheyUse,
        "RFC 9111 §4.2.1",
        "nor a lifetime that can't be read and may have been s-maxage",
        |case, _, _| case.unreadable() && case.asks("max-stale"),
    ),
    line(TheyUse, "RFC 9111 §5.2.1.2", "a max-stale that can't be read accepts nothing", |case, _, _| {
        case.asks("max-stale=abc")
    }),
    line(TheyUse, "RFC 9111 §4.2.4", "nor does it make stale what never had a lifetime", |case, ours, _| {
        (case.is_silent() || case.has("cdn-cache-control")) && case.asks("max-stale") && ours.lifetime == 0
    }),
    line(WeUse, "RFC 9213 §2.2", "CDN-Cache-Control governs alone", |case, ours, _| {
        case.has("cdn-cache-control") && case.forbids_stale_use() && ours.usage == Use::MaxStale
    }),
    line(TheyUse, "RFC 9111 §5.2.1.1", "max-age=0 asks for validation at any age", |case, ours, theirs| {
        case.asks("max-age=0") && ours.age == 0 && theirs.age == 0
    }),
];

fn refused(ours: &Ours, reason: NotStored) -> bool {
    ours.stored.as_ref().err() == Some(&reason)
}

fn omits(ours: &Ours) -> bool {
    ours.stored.as_ref().is_ok_and(|storable| !storable.omit.is_empty())
}

fn must_validate(ours: &Ours) -> bool {
    ours.stored.as_ref().is_ok_and(|storable| storable.freshness.must_validate)
}
