//! What the log answers: against a naive list of all purges, over its limits, and from several threads.

use super::*;
use crate::purge::predicate::Pattern;
use crate::purge::{Check, PredicateSpec, Tags};
use proptest::prelude::*;
use std::borrow::Cow;
use std::sync::atomic::AtomicBool;

const NOW: Wall = Wall(1_767_225_600_000);

fn small() -> Limits {
    Limits { buckets: 64, shards: 2, history: 64, receipts: 8, ..Limits::default() }
}

pub fn log() -> PurgeLog {
    PurgeLog::alone(small())
}

pub fn page(tags: &[&str]) -> Selectors {
    page_at("/a/b", tags)
}

fn page_at(path: &str, names: &[&str]) -> Selectors {
    let mut tags = Tags::default();
    names.iter().for_each(|tag| tags.add(tag).unwrap());
    Selectors::new("http", "e.example", path, None, &tags).unwrap()
}

pub fn purge(log: &PurgeLog, mode: Mode, selector: Selector) -> Applied {
    log.apply_local(&Arc::new(Purge::new(mode, vec![selector])), NOW)
}

fn ban(mode: Mode, url: &str) -> Arc<Purge> {
    let spec = PredicateSpec { url: Some(Pattern::Regex(url.into())), ..PredicateSpec::default() };
    Arc::new(Purge {
        mode,
        predicates: vec![Predicate::compile(spec).unwrap()],
        who: "editor".into(),
        ..Purge::default()
    })
}

fn verdict(log: &PurgeLog, born: Born, selectors: &Selectors) -> Verdict {
    log.check(born, selectors, &Subject { authority: "e.example", url: "/a/b", ..Subject::default() })
}

fn id_of(applied: Applied) -> PurgeId {
    match applied.at {
        At::Logged(id) => id,
        At::Pending(_) => panic!("not in the log"),
    }
}

#[test]
fn a_purge_selects_what_was_born_before_it_and_nothing_else() {
    let log = log();
    let (before, entry) = (log.cursor(), page(&["a"]));
    assert_eq!(verdict(&log, before, &entry), Verdict::Clean);
    purge(&log, Mode::Hard, Selector::tag("a"));
    assert_eq!(verdict(&log, before, &entry), Verdict::Hard);
    assert_eq!(verdict(&log, before, &page(&["b"])), Verdict::Clean);
    assert_eq!(verdict(&log, log.cursor(), &entry), Verdict::Clean);
}

#[test]
fn of_several_purges_the_strictest_counts() {
    let log = log();
    let (before, entry) = (log.cursor(), page(&["a", "b", "c"]));
    purge(&log, Mode::Soft, Selector::tag("a"));
    assert_eq!(verdict(&log, before, &entry), Verdict::Soft);
    purge(&log, Mode::Hard, Selector::tag("b"));
    purge(&log, Mode::Invalidate, Selector::tag("a"));
    assert_eq!(verdict(&log, before, &entry), Verdict::Hard);
    assert_eq!(verdict(&log, before, &page(&["a"])), Verdict::MustValidate);
}

#[test]
fn a_milder_purge_does_not_hide_a_stricter_one_of_the_same_selector() {
    let log = log();
    let before = log.cursor();
    purge(&log, Mode::Hard, Selector::tag("a"));
    let between = log.cursor();
    purge(&log, Mode::Soft, Selector::tag("a"));
    assert_eq!(verdict(&log, before, &page(&["a"])), Verdict::Hard);
    assert_eq!(verdict(&log, between, &page(&["a"])), Verdict::Soft);
}

#[test]
fn everything_is_a_floor_of_its_mode() {
    for mode in Mode::ALL {
        let log = log();
        let (before, version) = (log.cursor(), log.version());
        let id = id_of(purge(&log, mode, Selector::Everything));
        assert!(log.version() > version);
        assert_eq!(verdict(&log, before, &page(&[])), Verdict::from(mode));
        assert_eq!(verdict(&log, log.cursor(), &page(&[])), Verdict::Clean);
        assert_eq!(log.hard_floor() == id, mode == Mode::Hard);
        assert_eq!(log.floor() == id, mode == Mode::Invalidate);
        assert_eq!(log.remembered(), 0);
    }
}

#[test]
fn ids_rise_when_the_clock_stands_or_steps_back() {
    let log = log();
    let mut last = PurgeId::ZERO;
    for now in [5000, 5000, 4000, 0, 5001, u64::MAX] {
        let purge = Arc::new(Purge::new(Mode::Hard, vec![Selector::tag("a")]));
        let id = id_of(log.apply_local(&purge, Wall(now)));
        assert!(id > last);
        last = id;
        assert_eq!(log.cursor().id, id);
    }
}

#[test]
fn predicates_select_by_what_the_entry_keeps_and_only_what_is_older() {
    let log = log();
    let (before, entry) = (log.cursor(), page(&[]));
    log.apply_local(&ban(Mode::Invalidate, "^/a/"), NOW);
    log.apply_local(&ban(Mode::Hard, "^/other"), NOW);
    assert_eq!(verdict(&log, before, &entry), Verdict::MustValidate);
    assert_eq!(verdict(&log, log.cursor(), &entry), Verdict::Clean);
}

#[test]
fn a_checked_entry_is_matched_against_newer_predicates_only_and_against_all_of_them() {
    let log = log();
    let (before, entry, check) = (log.cursor(), page(&[]), Check::new());
    let subject = Subject { authority: "e.example", url: "/a/b", ..Subject::default() };
    log.apply_local(&ban(Mode::Hard, "^/other"), NOW);
    assert_eq!(check.verify(&log, before, || Cow::Borrowed(&entry), || subject), Verdict::Clean);
    log.apply_local(&ban(Mode::Hard, "^/other/2"), NOW);
    assert_eq!(check.verify(&log, before, || Cow::Borrowed(&entry), || subject), Verdict::Clean);
    // The same predicate again is newer now, and must be matched again by whoever was clean before.
    log.apply_local(&ban(Mode::Hard, "^/a"), NOW);
    assert_eq!(check.verify(&log, before, || Cow::Borrowed(&entry), || subject), Verdict::Hard);
}

#[test]
fn the_257th_predicate_raises_the_floor_to_the_one_it_drops() {
    let log = log();
    let before = log.cursor();
    let first = id_of(log.apply_local(&ban(Mode::Hard, "^/nothing/0$"), NOW));
    let after_first = log.cursor();
    for n in 1..256 {
        log.apply_local(&ban(Mode::Hard, &format!("^/nothing/{n}$")), NOW);
    }
    // A repetition takes no room.
    log.apply_local(&ban(Mode::Hard, "^/nothing/17$"), NOW);
    assert_eq!(verdict(&log, before, &page(&[])), Verdict::Clean);
    log.apply_local(&ban(Mode::Soft, "^/nothing/new$"), NOW);
    assert_eq!(log.hard_floor(), first);
    assert_eq!(verdict(&log, before, &page(&[])), Verdict::Hard);
    assert_eq!(verdict(&log, after_first, &page(&[])), Verdict::Clean);
}

#[test]
fn overflow_forgets_the_older_half_and_never_lets_an_older_entry_pass() {
    let log = PurgeLog::alone(Limits { selectors: 100, ..small() });
    let mut entries = Vec::new();
    for n in 0..1000 {
        let tag = format!("t{n}");
        entries.push((log.cursor(), page(&[&tag])));
        let mode = Mode::ALL[n % 3];
        purge(&log, mode, Selector::tag(&tag));
        assert!(log.remembered() <= 100);
        if n % 50 == 49 {
            for (at, (born, entry)) in entries.iter().enumerate() {
                assert!(
                    verdict(&log, *born, entry) >= Verdict::from(Mode::ALL[at % 3]),
                    "tag {at} after {n}"
                );
            }
        }
    }
    // Not by refusing everything: what is younger than the floor and not purged is clean.
    let (young, _) = entries[990];
    assert_eq!(verdict(&log, young, &page(&["t5"])), Verdict::Clean);
    assert!(log.hard_floor() > PurgeId::ZERO && log.floor() > PurgeId::ZERO);
}

#[test]
fn two_million_distinct_purges_stay_below_the_cap() {
    let log = PurgeLog::alone(Limits::default());
    let first = log.cursor();
    for block in 0..2000 {
        let selectors = (0..1000).map(|n| Selector::Tag(format!("t{block}-{n}"))).collect();
        log.apply_local(&Arc::new(Purge::new(Mode::Hard, selectors)), NOW);
        assert!(log.remembered() <= 1_000_000);
    }
    assert!(log.remembered() >= 500_000 - 1000);
    assert_eq!(verdict(&log, first, &page(&["t0-0"])), Verdict::Hard);
    assert_eq!(verdict(&log, first, &page(&["t1999-999"])), Verdict::Hard);
    assert_eq!(log.recent(usize::MAX).len(), 1000);
}

#[test]
fn rfc9111_4_4_invalidation_has_a_share_of_its_own() {
    let log = PurgeLog::alone(Limits { writes: 10, ..small() });
    let before = log.cursor();
    purge(&log, Mode::Hard, Selector::tag("editor"));
    for n in 0..100 {
        let url = Selector::url(&format!("http://e.example/{n}")).unwrap();
        assert!(matches!(log.write(vec![(url, Some(log.cursor()))], NOW), Written::Applied(_)));
    }
    assert!(log.remembered() <= 11);
    assert_eq!(log.hard_floor(), PurgeId::ZERO);
    assert!(log.floor() > PurgeId::ZERO);
    assert_eq!(verdict(&log, before, &page(&["editor"])), Verdict::Hard);
    assert_eq!(verdict(&log, before, &page(&["other"])), Verdict::MustValidate);
}

#[test]
fn rfc9111_4_4_repeated_writes_without_a_fill_between_are_one_purge() {
    let log = log();
    let url = || Selector::url("http://e.example/a/b").unwrap();
    let other = || Selector::url("http://e.example/other").unwrap();
    let first_fill = log.cursor();
    assert!(matches!(log.write(vec![(url(), Some(first_fill))], NOW), Written::Applied(_)));
    let version = log.version();
    assert_eq!(log.write(vec![(url(), Some(first_fill))], NOW), Written::Duplicate);
    assert_eq!(log.version(), version);
    // Not known what is stored: applied.
    assert!(matches!(log.write(vec![(url(), None)], NOW), Written::Applied(_)));
    // Filled again since: applied, and only what is not covered.
    let second_fill = log.cursor();
    match log.write(vec![(other(), Some(second_fill)), (url(), Some(first_fill))], NOW) {
        Written::Applied(applied) => assert_eq!(applied.selectors, 1),
        Written::Duplicate => panic!("the other URL was filled since"),
    }
    assert!(matches!(log.write(vec![(url(), Some(second_fill))], NOW), Written::Applied(_)));
    assert_eq!(verdict(&log, second_fill, &page(&[])), Verdict::MustValidate);
    // A soft purge doesn't cover it, and a predicate is not asked.
    let third_fill = log.cursor();
    purge(&log, Mode::Soft, url());
    log.apply_local(&ban(Mode::Hard, ""), NOW);
    assert!(matches!(log.write(vec![(url(), Some(third_fill))], NOW), Written::Applied(_)));
}

#[test]
fn receipts_say_what_was_purged_by_whom() {
    let log = log();
    let mut wide = Purge::new(Mode::Soft, vec![Selector::tag("a"), Selector::tag("b")]);
    wide.who = "deploy".into();
    let applied = log.apply_local(&Arc::new(wide), NOW);
    assert!(log.note_matched(applied.at, Matched { count: 7, exact: true }));
    log.apply_local(&ban(Mode::Hard, "^/"), NOW);
    let recent = log.recent(10);
    assert_eq!((recent[1].summary.as_str(), recent[1].who.as_str()), ("tag a and 1 more", "deploy"));
    assert_eq!((recent[1].mode, recent[1].selectors), (Mode::Soft, 2));
    assert_eq!(recent[1].matched, Some(Matched { count: 7, exact: true }));
    assert_eq!((recent[0].summary.as_str(), recent[0].who.as_str()), ("pattern", "editor"));
    for _ in 0..20 {
        purge(&log, Mode::Hard, Selector::Everything);
    }
    assert_eq!(log.recent(100).len(), 8);
    assert_eq!(log.recent(3).len(), 3);
    assert!(!log.note_matched(applied.at, Matched { count: 1, exact: true }));
}

fn batch(ids: &[u64], purges: Vec<Logged>) -> Batch {
    let positions: Vec<PurgeId> = ids.iter().map(|id| PurgeId(*id)).collect();
    Batch { purges, cursor: positions.last().copied().unwrap_or_default(), positions, ..Batch::default() }
}

fn hard(tag: &str) -> Arc<Purge> {
    Arc::new(Purge::new(Mode::Hard, vec![Selector::tag(tag)]))
}

#[test]
fn in_a_fleet_a_purge_acts_here_at_once_and_on_shared_entries_until_it_is_read_back() {
    let log = PurgeLog::in_fleet(small());
    log.apply(&batch(&[10, 20], Vec::new()));
    let (mine, entry, subject) = (log.cursor(), page(&["a"]), Subject::default());
    assert_eq!(log.check_shared(PurgeId(20), &entry, &subject), Verdict::Clean);
    let purge = hard("a");
    let applied = log.apply_local(&purge, NOW);
    assert_eq!((applied.at, log.pending()), (At::Pending(1), 1));
    assert_eq!(verdict(&log, mine, &entry), Verdict::Hard);
    assert_eq!(log.check_shared(PurgeId(20), &entry, &subject), Verdict::Hard);
    // The position has not moved, but what is filled from now on is younger than the purge: here.
    let refilled = log.cursor();
    assert_eq!(refilled, Born { id: PurgeId(20), local: 1 });
    assert_eq!(verdict(&log, refilled, &entry), Verdict::Clean);
    assert_eq!(log.check_shared(refilled.id, &entry, &subject), Verdict::Hard);
    // Read back: now the id speaks, for everybody.
    log.apply(&batch(&[30], vec![Logged { id: PurgeId(30), purge, own: vec![1] }]));
    assert_eq!(log.pending(), 0);
    assert_eq!(verdict(&log, mine, &entry), Verdict::Hard);
    assert_eq!(log.check_shared(PurgeId(20), &entry, &subject), Verdict::Hard);
    assert_eq!(log.check_shared(PurgeId(30), &entry, &subject), Verdict::Clean);
    assert_eq!(log.recent(9).len(), 1);
    assert_eq!(log.recent(9)[0].at, At::Logged(PurgeId(30)));
    assert!(log.note_matched(applied.at, Matched { count: 1, exact: true }));
}

#[test]
fn in_a_fleet_shared_entries_are_trusted_only_where_our_own_log_has_been() {
    let log = PurgeLog::in_fleet(small());
    let shared = |log: &PurgeLog, id| log.check_shared(PurgeId(id), &page(&["a"]), &Subject::default());
    assert_eq!(shared(&log, 0), Verdict::Hard, "before the first read");
    log.apply(&batch(&[10, 20, 30], vec![Logged { id: PurgeId(20), purge: hard("x"), own: Vec::new() }]));
    assert_eq!(shared(&log, 0), Verdict::Hard, "born before there was a log");
    assert_eq!(shared(&log, 5), Verdict::Hard, "born before what we know");
    assert_eq!(shared(&log, 20), Verdict::Clean);
    assert_eq!(shared(&log, 25), Verdict::Hard, "born at a position that our branch doesn't have");
    assert_eq!(shared(&log, 31), Verdict::Hard, "born beyond our position");
    // A fork: back to 20, and everything up to 30 is void on every branch.
    log.apply(&Batch { raise: PurgeId(31), restart: true, ..batch(&[20], Vec::new()) });
    assert_eq!(log.cursor().id, PurgeId(20));
    for id in [10, 20, 30] {
        assert_eq!(shared(&log, id), Verdict::Hard);
        assert_eq!(verdict(&log, Born { id: PurgeId(id), local: 9 }, &page(&[])), Verdict::Hard);
    }
    log.apply(&batch(&[40], Vec::new()));
    assert_eq!(shared(&log, 40), Verdict::Clean);
}

#[test]
fn pending_purges_of_one_selector_settle_in_any_order() {
    for order in [[1, 2], [2, 1]] {
        let log = PurgeLog::in_fleet(small());
        let old = log.cursor();
        log.apply_local(&hard("a"), NOW);
        log.apply_local(&hard("a"), NOW);
        for (step, seq) in order.into_iter().enumerate() {
            let id = 10 + step as u64;
            log.apply(&batch(&[id], vec![Logged { id: PurgeId(id), purge: hard("a"), own: vec![seq] }]));
            assert_eq!(verdict(&log, old, &page(&["a"])), Verdict::Hard);
        }
        assert_eq!(log.pending(), 0);
        assert_eq!(verdict(&log, log.cursor(), &page(&["a"])), Verdict::Clean);
    }
}

#[test]
fn folded_pending_purges_select_at_least_what_they_selected() {
    let log = PurgeLog::in_fleet(small());
    let old = log.cursor();
    log.apply_local(&hard("a"), NOW);
    log.apply_local(&ban(Mode::Soft, "^/x"), NOW);
    let version = log.version();
    log.fold_pending(&[1, 2], 2, &Arc::new(Purge::everything(Mode::Hard)));
    assert!(log.version() > version);
    assert_eq!((log.pending(), verdict(&log, old, &page(&["b"]))), (1, Verdict::Hard));
    assert_eq!(verdict(&log, log.cursor(), &page(&["b"])), Verdict::Clean);
}

/// What a schedule does to a log, in terms of few tags and paths, so that they meet.
#[derive(Clone, Debug)]
enum Op {
    Purge { mode: Mode, what: u8 },
    Fill { tag: u8, path: u8 },
    Check,
}

fn op() -> impl Strategy<Value = Op> {
    let mode = prop_oneof![Just(Mode::Soft), Just(Mode::Invalidate), Just(Mode::Hard)];
    prop_oneof![
        3 => (mode, 0..16u8).prop_map(|(mode, what)| Op::Purge { mode, what }),
        3 => (0..6u8, 0..3u8).prop_map(|(tag, path)| Op::Fill { tag, path }),
        2 => Just(Op::Check),
    ]
}

const PATHS: [&str; 3] = ["/a", "/a/b", "/c"];

/// Whether the purge `what` names the entry (tag, path).
type Names = fn(u8, u8, u8) -> bool;

fn purge_of(mode: Mode, what: u8) -> (Arc<Purge>, Names) {
    let selector = match what {
        0..=9 => Selector::tag(&format!("t{}", what % 6)),
        10 => Selector::prefix("e.example/a").unwrap(),
        11 => Selector::url("http://e.example/a").unwrap(),
        12 => Selector::host("e.example").unwrap(),
        13 => Selector::Everything,
        _ => return (ban(mode, "^/a/"), |_, _, path| path == 1),
    };
    let names: Names = match what {
        0..=9 => |what, tag, _| tag == what % 6,
        10 => |_, _, path| path < 2,
        11 => |_, _, path| path == 0,
        _ => |_, _, _| true,
    };
    (Arc::new(Purge::new(mode, vec![selector])), names)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// With room for everything the table says what a list of all purges says; without, nothing milder.
    #[test]
    fn the_log_agrees_with_a_naive_list_of_all_purges(
        ops in prop::collection::vec(op(), 1..80),
        tiny in any::<bool>(),
    ) {
        let limits = match tiny {
            true => Limits { selectors: 4, predicates: 2, buckets: 2, ..small() },
            false => small(),
        };
        let log = PurgeLog::alone(limits);
        let mut purges: Vec<(Mode, u8, Names)> = Vec::new();
        let mut entries: Vec<(Born, Selectors, Check, u8, u8, usize)> = Vec::new();
        for op in ops {
            match op {
                Op::Purge { mode, what } => {
                    let (purge, names) = purge_of(mode, what);
                    log.apply_local(&purge, NOW);
                    purges.push((mode, what, names));
                }
                Op::Fill { tag, path } => {
                    let selectors = page_at(PATHS[usize::from(path)], &[&format!("t{tag}")]);
                    entries.push((log.cursor(), selectors, Check::new(), tag, path, purges.len()));
                }
                Op::Check => for (born, selectors, check, tag, path, since) in &entries {
                    let url = PATHS[usize::from(*path)];
                    let subject = Subject { authority: "e.example", url, ..Subject::default() };
                    let naive = purges[*since..]
                        .iter()
                        .filter(|(_, what, names)| names(*what, *tag, *path))
                        .map(|(mode, ..)| Verdict::from(*mode))
                        .max()
                        .unwrap_or(Verdict::Clean);
                    for said in [
                        log.check(*born, selectors, &subject),
                        check.verify(&log, *born, || Cow::Borrowed(selectors), || subject),
                    ] {
                        if tiny {
                            prop_assert!(said >= naive, "{said:?} for {naive:?}");
                        } else {
                            prop_assert_eq!(said, naive);
                        }
                    }
                },
            }
        }
    }
}

/// Each tag has one thread that purges it and one that fills and checks an entry of it: a check that begins after an
/// apply has returned must see it, through overflow of every structure.
#[test]
fn a_check_that_begins_after_a_purge_was_applied_sees_it() {
    const TAGS: usize = 3;
    const PURGES: u64 = 3_000;
    let log = PurgeLog::alone(Limits { selectors: 16, predicates: 2, buckets: 8, ..small() });
    let started: [AtomicU64; TAGS] = Default::default();
    let applied: [AtomicU64; TAGS] = Default::default();
    let done = AtomicBool::new(false);
    let missed = AtomicU64::new(0);
    let checks = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let mut purgers = Vec::new();
        for tag in 0..TAGS {
            let (log, started, applied) = (&log, &started[tag], &applied[tag]);
            purgers.push(scope.spawn(move || {
                for n in 0..PURGES {
                    started.fetch_add(1, Ordering::SeqCst);
                    let mut purge = Purge::new(Mode::Hard, vec![Selector::tag(&format!("t{tag}"))]);
                    purge.selectors.push(Selector::tag(&format!("filler-{tag}-{n}")));
                    log.apply_local(&Arc::new(purge), NOW);
                    applied.fetch_add(1, Ordering::SeqCst);
                }
            }));
            let (started, applied, done, missed, checks) = (started, applied, &done, &missed, &checks);
            scope.spawn(move || {
                let selectors = page(&[&format!("t{tag}")]);
                let subject = Subject::default();
                while !done.load(Ordering::Relaxed) {
                    let born = log.cursor();
                    let begun = started.load(Ordering::SeqCst);
                    let check = Check::new();
                    for _ in 0..50 {
                        // More purges have been applied than had begun when the entry was born: one came after.
                        let purged = applied.load(Ordering::SeqCst) > begun;
                        let verdict = check.verify(log, born, || Cow::Borrowed(&selectors), || subject);
                        checks.fetch_add(1, Ordering::Relaxed);
                        if purged && verdict != Verdict::Hard {
                            missed.fetch_add(1, Ordering::Relaxed);
                        }
                        if verdict == Verdict::Hard {
                            break;
                        }
                    }
                }
            });
        }
        purgers.into_iter().for_each(|purger| purger.join().unwrap());
        done.store(true, Ordering::Relaxed);
    });
    assert!(checks.load(Ordering::Relaxed) > 0);
    assert_eq!(missed.load(Ordering::Relaxed), 0);
}

/// Runs `round` again and again. Once it has handed over the birth of an entry that is purged, two threads check that
/// entry, and must find it purged whatever goes on in the log.
fn hammer(log: &PurgeLog, rounds: u64, mut round: impl FnMut(u64, &dyn Fn(Born))) {
    const NOTHING: u64 = u64::MAX;
    let purged = AtomicU64::new(NOTHING);
    let (done, missed, checks) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let selectors = page(&["victim"]);
                while !done.load(Ordering::Relaxed) {
                    let born = purged.load(Ordering::Acquire);
                    if born != NOTHING {
                        let verdict = log.check(Born::shared(PurgeId(born)), &selectors, &Subject::default());
                        missed.fetch_add(u64::from(verdict != Verdict::Hard), Ordering::Relaxed);
                        checks.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        for n in 0..rounds {
            round(n, &|born| purged.store(born.id.0, Ordering::Release));
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(checks.load(Ordering::Relaxed) > 0);
    assert_eq!(missed.load(Ordering::Relaxed), 0);
}

#[test]
fn no_check_slips_between_the_table_and_the_floor_when_the_table_overflows() {
    let log = PurgeLog::alone(Limits { selectors: 8, buckets: 4, shards: 1, ..small() });
    hammer(&log, 15_000, |_, purged| {
        let born = log.cursor();
        purge(&log, Mode::Hard, Selector::tag("victim"));
        purged(born);
        let flood = |n| Purge::new(Mode::Hard, (0..n).map(|n| Selector::Tag(format!("f{n}"))).collect());
        log.apply_local(&Arc::new(flood(9)), NOW);
    });
}

#[test]
fn no_check_slips_between_the_predicates_and_the_floor_when_the_oldest_is_dropped() {
    let log = PurgeLog::alone(Limits { predicates: 1, buckets: 4, ..small() });
    let (victim, other) = (ban(Mode::Hard, "^$"), ban(Mode::Hard, "^/other"));
    hammer(&log, 15_000, |_, purged| {
        let born = log.cursor();
        log.apply_local(&victim, NOW);
        purged(born);
        log.apply_local(&other, NOW);
    });
}

#[test]
fn no_check_slips_between_pending_and_the_table_when_a_purge_is_read_back() {
    let log = PurgeLog::in_fleet(Limits { buckets: 4, ..small() });
    log.apply(&batch(&[1], Vec::new()));
    hammer(&log, 15_000, |n, purged| {
        let born = log.cursor();
        let purge = hard("victim");
        log.apply_local(&purge, NOW);
        purged(born);
        let id = 2 + n;
        log.apply(&batch(&[id], vec![Logged { id: PurgeId(id), purge, own: vec![n + 1] }]));
    });
}

#[test]
fn no_check_slips_between_distrust_and_the_floor_when_the_answer_is_read_back() {
    let log = PurgeLog::in_fleet(Limits { buckets: 4, ..small() });
    log.apply(&batch(&[1], Vec::new()));
    hammer(&log, 15_000, |n, purged| {
        let born = log.cursor();
        let id = 2 + n;
        log.apply(&Batch { distrust: true, ..batch(&[id], Vec::new()) });
        purged(born);
        log.apply(&Batch { trust: true, raise: PurgeId(id), ..batch(&[id], Vec::new()) });
    });
}
