//! Random schedules against the purge protocol: nodes with memory, a shared tier and a log that fails over, forks, is
//! flushed, trimmed, and stamped by clocks that disagree; partitions, isolated masters, paused and restarted nodes, lost
//! answers, fills in flight, purges in every mode.
//!
//! The state machine under test is the real one (`src/purge`), driven as the wiring to the store will drive it. The
//! oracle (`oracle.rs`) knows the true order of all events and checks every use of every entry. Designs that are
//! known to be wrong run in the same world, so that the test fails if the oracle or the world becomes too kind.
//!
//! A schedule is a seed. A failing one is printed with the last of its events; `LARDER_SEED=n` replays it,
//! `LARDER_SCHEDULES=n` runs more of them than CI does.

#![allow(clippy::unwrap_used)]

mod larder_node;
mod naive;
mod oracle;
mod store;
mod world;

use larder_node::{Flaw, Larder};
use naive::{DeleteKeys, LocalClocks};
use world::{Design, World};

/// Steps of one schedule.
const STEPS: usize = 1_000;
/// Schedules in CI.
const SCHEDULES: u64 = 6_000;
/// Within how many schedules a wrong design must be found out. Most are in the first hundred; the rarest need
/// thousands.
const CAUGHT_WITHIN: u64 = 20_000;

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

/// The first violation of one schedule.
fn run<D: Design>(design: D, seed: u64, trace: bool) -> Result<world::Counts, String> {
    let mut world = World::new(design, seed, trace);
    for _ in 0..STEPS {
        world.step();
        if let Some(violation) = world.violation() {
            return Err(format!("seed {seed}: {violation}{}", world.trace()));
        }
    }
    Ok(world.counts())
}

/// How many schedules it took to find the design out.
fn caught<D: Design>(design: impl Fn(u64) -> D) -> Option<u64> {
    (0..CAUGHT_WITHIN).find(|seed| run(design(*seed), *seed, false).is_err()).map(|seed| seed + 1)
}

fn assert_caught<D: Design>(name: &str, design: impl Fn(u64) -> D) {
    let schedules = caught(design);
    println!("{name}: found out in schedule {schedules:?}");
    assert!(schedules.is_some(), "{name} served nothing wrong in {CAUGHT_WITHIN} schedules");
}

#[test]
fn nothing_is_served_that_a_purge_has_selected() {
    if let Some(seed) = env("LARDER_SEED") {
        run(Larder::new(Flaw::None, seed), seed, true).unwrap_or_else(|violation| panic!("{violation}"));
        return;
    }
    let schedules = env("LARDER_SCHEDULES").unwrap_or(SCHEDULES);
    let threads = 2;
    let total = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|worker| {
                scope.spawn(move || {
                    let mut total = world::Counts::default();
                    for seed in (worker..schedules).step_by(threads as usize) {
                        match run(Larder::new(Flaw::None, seed), seed, false) {
                            Ok(counts) => total.add(&counts),
                            Err(_) => {
                                let told = run(Larder::new(Flaw::None, seed), seed, true).unwrap_err();
                                panic!("{told}\nreplay with LARDER_SEED={seed}");
                            }
                        }
                    }
                    total
                })
            })
            .collect();
        let mut total = world::Counts::default();
        workers.into_iter().for_each(|worker| total.add(&worker.join().unwrap()));
        total
    });
    println!("{schedules} schedules: {total:?}");
    // The world must stay one in which caching works and everything that can go wrong does.
    assert!(total.hits > total.uses / 4, "caching hardly works: {total:?}");
    for (what, count) in [
        ("shared hits", total.shared_hits),
        ("joined flights", total.joined),
        ("stale uses", total.stale),
        ("forks", total.notices.fork),
        ("gaps", total.notices.gap),
        ("trims", total.notices.trimmed),
        ("barriers", total.notices.barrier),
        ("unreadable records", total.notices.unreadable),
        ("purges", total.purges),
    ] {
        assert!(count > schedules / 20, "hardly any {what}: {total:?}");
    }
}

/// Delete the keys everywhere, by messages.
#[test]
fn deleting_keys_is_caught() {
    assert_caught("delete the keys", |_| DeleteKeys);
}

/// The log, but with times of the nodes' own clocks.
#[test]
fn local_clocks_are_caught() {
    assert_caught("local clocks", |_| LocalClocks::default());
}

/// This protocol, with one of its rules left out.
#[test]
fn every_rule_is_needed() {
    for flaw in Flaw::ALL {
        assert_caught(flaw.as_str(), |seed| Larder::new(flaw, seed));
    }
}
