//! Our reading of RFC 9111 against somebody else's: random exchanges are judged by `larder::semantics` and by
//! the crate `http-cache-semantics`, and wherever the two differ the difference must stand in `ledger.rs`,
//! with the paragraph that decides it and a condition as narrow as can be said in one line. A difference that
//! is not in the ledger fails; so does a line of the ledger that never applied, for then it is not true.
//!
//! Four questions are compared: may it be stored, what is its lifetime, how old is it later, and may it then be
//! used for a second request without asking the origin. Whether the last differs only because age or lifetime
//! already did is not held against anybody; the tally at the end makes sure that enough is left.
//!
//! The run is the same every time. `ORACLE_CASES=400000 cargo test --test semantics_oracle` looks further.

#![allow(clippy::unwrap_used)] // helpers of tests, to which the exception for tests does not reach

#[path = "semantics_oracle/case.rs"]
mod case;
#[path = "semantics_oracle/ledger.rs"]
mod ledger;

use case::{Case, NOW, TARGET, cases};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_cache_semantics::{CacheOptions, CachePolicy};
use larder::semantics::cache_control::RequestDirectives;
use larder::semantics::reuse::{Use, Why, judge};
use larder::semantics::storable::{
    Exchange, Heuristic, HeuristicStatuses, NotStored, Options, Storable, assess,
};
use larder::time::Wall;
use ledger::{LEDGER, Question, Question::*};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRng, TestRunner};
use std::cell::RefCell;
use std::time::{Duration, SystemTime};

const CASES: u32 = 30_000;

/// One judgement of a case.
#[derive(Clone, Debug)]
struct Ours {
    stored: Result<Storable, NotStored>,
    lifetime: u64,
    age: u64,
    usage: Use,
}

#[derive(Clone, Debug)]
struct Theirs {
    storable: bool,
    lifetime: u64,
    age: u64,
    usable: bool,
}

/// As near to the bare RFC as our options go: heuristics for every status it allows, without a cap, and error
/// statuses as if a rule named them.
fn ours(case: &Case) -> Ours {
    let options = Options {
        heuristic: Some(Heuristic {
            fraction: f64::from(0.1f32),
            max: Duration::MAX,
            statuses: HeuristicStatuses::All,
        }),
        names_status: true,
        ..Options::default()
    };
    let stored = assess(
        &Exchange {
            method: &Method::from_bytes(case.method.as_bytes()).unwrap(),
            request: &case.request(),
            status: StatusCode::from_u16(case.status).unwrap(),
            response: &case.response(),
            request_time: Wall::from_secs(NOW - case.delay),
            response_time: Wall::from_secs(NOW),
            target: TARGET,
        },
        &options,
    );
    let Ok(storable) = &stored else {
        return Ours { stored, lifetime: 0, age: 0, usage: Use::Validate(Why::Stale) };
    };
    let freshness = storable.freshness;
    let age = freshness.age(Duration::from_secs(case.later));
    let usage = judge(&freshness, age, &RequestDirectives::parse(&case.later_request()), true);
    Ours { stored, lifetime: freshness.lifetime.as_secs(), age: age.as_secs(), usage }
}

fn theirs(case: &Case) -> Theirs {
    let request = |method: &str, headers: HeaderMap| {
        let mut request = Request::builder().method(method).uri(TARGET).body(()).unwrap();
        *request.headers_mut() = headers;
        request
    };
    let policy = |headers: HeaderMap| {
        let mut response = Response::builder().status(case.status).body(()).unwrap();
        *response.headers_mut() = headers;
        let options = CacheOptions { immutable_min_time_to_live: Duration::ZERO, ..CacheOptions::default() };
        let received = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
        CachePolicy::new_options(&request(case.method, case.request()), &response, received, options)
    };
    let arrival = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
    let now = arrival + Duration::from_secs(case.later);
    let mut ageless = case.response();
    ageless.remove("age");
    let full = policy(case.response());
    Theirs {
        storable: full.is_storable(),
        lifetime: policy(ageless).time_to_live(arrival).as_secs(),
        age: full.age(now).as_secs(),
        usable: full
            .before_request(&request("GET", case.later_request()), now)
            .satisfies_without_revalidation(),
    }
}

/// The questions to which the two give different answers.
fn differences(ours: &Ours, theirs: &Theirs) -> Vec<Question> {
    match (ours.stored.is_ok(), theirs.storable) {
        (true, false) => return vec![WeStore],
        (false, true) => return vec![TheyStore],
        (false, false) => return vec![],
        (true, true) => {}
    }
    let usable = !matches!(ours.usage, Use::Validate(_));
    let found = [
        (Lifetime, ours.lifetime != theirs.lifetime),
        (Age, ours.age != theirs.age),
        (WeUse, usable && !theirs.usable),
        (TheyUse, !usable && theirs.usable),
    ];
    found.into_iter().filter_map(|(question, differs)| differs.then_some(question)).collect()
}

/// What the run has seen.
#[derive(Default, Debug)]
struct Tally {
    applied: Vec<u32>,
    both_store: u32,
    neither_stores: u32,
    /// Lifetime, age and use were the same.
    agreed: u32,
}

#[test]
fn where_we_and_the_oracle_differ_a_paragraph_decides() {
    let cases_to_run = std::env::var("ORACLE_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(CASES);
    let config = Config { cases: cases_to_run, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(config.rng_algorithm);
    let tally = RefCell::new(Tally { applied: vec![0; LEDGER.len()], ..Tally::default() });

    let result = TestRunner::new_with_rng(config, rng).run(&cases(), |case| {
        let (ours, theirs) = (ours(&case), theirs(&case));
        let differences = differences(&ours, &theirs);
        let mut tally = tally.borrow_mut();
        match (ours.stored.is_ok(), theirs.storable) {
            (true, true) => tally.both_store += 1,
            (false, false) => tally.neither_stores += 1,
            _ => {}
        }
        if differences.is_empty() && theirs.storable {
            tally.agreed += 1;
        }
        let follows = differences.iter().any(|question| matches!(question, Lifetime | Age));
        for question in differences {
            let mut explained = follows && matches!(question, WeUse | TheyUse);
            for (applied, line) in tally.applied.iter_mut().zip(LEDGER) {
                if line.on == question && (line.when)(&case, &ours, &theirs) {
                    *applied += 1;
                    explained = true;
                }
            }
            prop_assert!(explained, "{question:?} is not in the ledger\n{ours:?}\n{theirs:?}");
        }
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }

    let tally = tally.into_inner();
    let idle: Vec<_> = tally.applied.iter().zip(LEDGER).filter(|(applied, _)| **applied == 0).collect();
    for (_, line) in &idle {
        eprintln!("never applied: {:?}, {}: {}", line.on, line.by, line.what);
    }
    assert!(idle.is_empty(), "the ledger holds what is not so");
    // The comparison must not be hollow.
    assert!(tally.both_store > cases_to_run / 4, "{tally:?}");
    assert!(tally.neither_stores > cases_to_run / 20, "{tally:?}");
    assert!(tally.agreed > cases_to_run / 8, "{tally:?}");
}
