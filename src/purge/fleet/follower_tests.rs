//! The rules of `fleet/mod.rs`, one by one. That they suffice together is what the model shows.

use super::*;
use crate::purge::fleet::Stamp;
use crate::purge::{Limits, Mode, Selectors, Subject, Verdict};
use crate::time::Mono;

const NOW: Wall = Wall(1_767_225_600_000);
const SECOND: Duration = Duration::from_secs(1);

struct Node {
    log: PurgeLog,
    follower: Follower,
}

/// One record is a step.
const SINGLY: OutboxLimits = OutboxLimits {
    purges: 10_000,
    unread: 10_000,
    selectors: 100_000,
    recent: 1_000,
    writes_per_record: 500,
    records_per_step: 1,
};

impl Node {
    fn new() -> Self {
        Self::with(SINGLY)
    }

    fn with(limits: OutboxLimits) -> Self {
        Self {
            log: PurgeLog::in_fleet(Limits { buckets: 16, shards: 1, ..Limits::default() }),
            follower: Follower::new(7, SECOND, limits),
        }
    }

    /// At the tail of a log that has the records 10 and 20.
    fn started() -> Self {
        let mut node = Self::new();
        node.read(vec![barrier(10, 0), other(20, 10, "x")], Some(20));
        node
    }

    fn read(&mut self, records: Vec<Record>, tail: Option<u64>) -> Vec<&'static str> {
        let read = Read { records, tail: tail.map(PurgeId), proven_at: Some(Mono(500)) };
        let effects = self.follower.on_read(read);
        effects.iter().for_each(|effect| effect.perform(&self.log));
        let notice = |effect: &Effect| match effect {
            Effect::Notice(notice) => Some(notice.as_str()),
            _ => None,
        };
        effects.iter().filter_map(notice).collect()
    }

    fn purge(&mut self, tag: &str) -> Applied {
        self.follower.submit(&self.log, Purge::new(Mode::Hard, vec![Selector::tag(tag)]), NOW)
    }

    /// The only record of the next step.
    fn append(&mut self) -> Option<Append> {
        let mut step = self.follower.next_appends();
        assert!(step.len() <= 1, "{step:?}");
        step.pop()
    }

    /// Everything there is to append, taken by the store: which pending purges, or which answer.
    fn append_all(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(append) = self.append() {
            self.follower.appended(&append);
            let what = match append.body {
                Body::Purge(_) => "purge",
                Body::Barrier => "barrier",
                Body::Mark => "mark",
                Body::Unreadable => "unreadable",
            };
            all.push(format!("{what} {:?}", append.by.seqs));
        }
        all
    }

    fn position(&self) -> u64 {
        self.follower.position().map_or(u64::MAX, |id| id.0)
    }

    fn memory(&self, born: Born) -> Verdict {
        let selectors = Selectors::of_url("http", "e", "/", None).unwrap();
        self.log.check(born, &selectors, &Subject::default())
    }

    fn shared(&self, born: u64, tag: &str) -> Verdict {
        let mut tags = crate::purge::Tags::default();
        tags.add(tag).unwrap();
        let selectors = Selectors::new("http", "e", "/", None, &tags).unwrap();
        self.log.check_shared(PurgeId(born), &selectors, &Subject::default())
    }
}

fn record(id: u64, prev: u64, by: Stamp, body: Body) -> Record {
    Record { id: PurgeId(id), prev: PurgeId(prev), by, body }
}

fn other(id: u64, prev: u64, tag: &str) -> Record {
    let purge = Purge::new(Mode::Hard, vec![Selector::tag(tag)]);
    record(id, prev, Stamp { node: 1, seqs: vec![1] }, Body::Purge(Arc::new(purge)))
}

fn own(id: u64, prev: u64, seqs: &[u64], tag: &str) -> Record {
    Record { by: Stamp { node: 7, seqs: seqs.to_vec() }, ..other(id, prev, tag) }
}

fn barrier(id: u64, prev: u64) -> Record {
    record(id, prev, Stamp { node: 1, seqs: vec![1] }, Body::Barrier)
}

/// Our own barrier or mark.
fn answer(id: u64, prev: u64, body: Body, number: u64) -> Record {
    record(id, prev, Stamp { node: 7, seqs: vec![number] }, body)
}

#[test]
fn rule_1_records_in_order_are_applied() {
    let mut node = Node::started();
    assert_eq!((node.position(), node.log.cursor().id), (20, PurgeId(20)));
    assert_eq!(node.shared(10, "y"), Verdict::Clean);
    assert_eq!(node.shared(10, "x"), Verdict::Hard);
    assert!(node.read(vec![other(30, 20, "y"), other(40, 30, "z")], Some(40)).is_empty());
    assert_eq!(node.shared(20, "y"), Verdict::Hard);
    assert_eq!(node.shared(30, "y"), Verdict::Clean);
    assert_eq!(node.shared(40, "z"), Verdict::Clean);
    // Read again after a time-out: nothing new.
    assert!(node.read(vec![other(30, 20, "y"), other(40, 30, "z")], Some(40)).is_empty());
    assert_eq!(node.position(), 40);
}

#[test]
fn rule_2_a_record_missing_before_ours_is_a_gap() {
    let mut node = Node::started();
    assert_eq!(node.read(vec![other(40, 30, "z")], Some(40)), ["gap"]);
    assert_eq!((node.position(), node.log.hard_floor()), (40, PurgeId(40)));
    assert_eq!(node.shared(20, "y"), Verdict::Hard);
}

#[test]
fn rule_2_nothing_to_read_before_the_tail_is_a_gap() {
    let mut node = Node::started();
    assert_eq!(node.read(Vec::new(), Some(50)), ["trimmed"]);
    assert_eq!((node.position(), node.log.hard_floor(), node.log.floor()), (50, PurgeId(50), PurgeId(50)));
    // But not if there was something to read: the answer just ends before the tail.
    assert!(node.read(vec![other(60, 50, "y")], Some(90)).is_empty());
    assert_eq!(node.position(), 60);
}

#[test]
fn rule_3_a_tail_behind_us_is_a_fork() {
    let mut node = Node::started();
    node.purge("mine");
    assert_eq!(node.append_all(), ["purge [1]"]);
    node.read(vec![own(30, 20, &[1], "mine")], Some(30));
    assert_eq!((node.follower.waiting(), node.log.pending()), (0, 0));
    assert_eq!(node.read(Vec::new(), Some(10)), ["fork"]);
    assert_eq!((node.position(), node.log.cursor().id), (10, PurgeId(10)));
    // Also what was born at the lost position itself.
    assert_eq!(node.log.hard_floor(), PurgeId(31));
    // Our purge again, then a barrier beyond both branches.
    assert_eq!(node.append().map(|append| append.by.seqs), Some(vec![1]));
    let barrier_append = node.append().unwrap();
    assert_eq!((&barrier_append.body, barrier_append.above), (&Body::Barrier, PurgeId(30)));
    assert_eq!(node.append(), None);
    node.read(vec![own(12, 10, &[1], "mine"), answer(31, 12, Body::Barrier, 1)], Some(31));
    assert_eq!(node.append(), None);
    assert_eq!(node.follower.waiting(), 0);
    assert_eq!(node.shared(31, "mine"), Verdict::Clean);
}

#[test]
fn rule_3_a_record_that_follows_an_older_one_is_a_fork() {
    let mut node = Node::started();
    assert_eq!(node.read(vec![other(40, 10, "z")], Some(40)), ["fork"]);
    assert_eq!((node.position(), node.log.hard_floor()), (40, PurgeId(40)));
    assert_eq!(node.append().map(|append| (append.body, append.above)), Some((Body::Barrier, PurgeId(40))));
}

#[test]
fn rule_3_a_flushed_log_is_a_fork() {
    let mut node = Node::started();
    assert_eq!(node.read(Vec::new(), Some(0)), ["fork"]);
    assert_eq!((node.position(), node.log.hard_floor()), (0, PurgeId(21)));
    assert_eq!(node.append().map(|append| append.above), Some(PurgeId(20)));
}

#[test]
fn rule_3_every_reader_of_a_barrier_gives_up_what_is_older() {
    let mut node = Node::started();
    assert_eq!(node.read(vec![barrier(30, 20)], Some(30)), ["barrier"]);
    assert_eq!(node.log.hard_floor(), PurgeId(30));
    // At its start too.
    let mut late = Node::new();
    assert_eq!(
        late.read(vec![other(25, 20, "x"), barrier(30, 25), other(40, 30, "y")], Some(40)),
        ["barrier"]
    );
    assert_eq!(late.shared(25, "z"), Verdict::Hard);
    assert_eq!(late.shared(30, "z"), Verdict::Clean);
}

#[test]
fn rule_4_nothing_is_trusted_until_what_we_appended_after_the_break_is_read_back() {
    for (broken, notice, body) in
        [(other(40, 30, "x"), "gap", Body::Mark), (other(40, 10, "x"), "fork", Body::Barrier)]
    {
        let mut node = Node::started();
        let before = node.log.cursor();
        assert_eq!(node.read(vec![broken], Some(40)), [notice]);
        let kept = node.log.cursor();
        assert_eq!(node.memory(before), Verdict::Hard);
        assert_eq!(node.memory(kept), Verdict::Clean, "what we fetch ourselves is good at once");
        assert_eq!(node.shared(40, "y"), Verdict::Hard);
        // Neither another node's answer nor our own to an earlier break will do.
        node.read(vec![barrier(50, 40), answer(60, 50, body.clone(), 0)], Some(60));
        assert_eq!(node.shared(60, "y"), Verdict::Hard);
        assert_eq!(node.append().map(|append| (append.body, append.by.seqs)), Some((body.clone(), vec![1])));
        node.read(vec![other(70, 60, "z"), answer(80, 70, body, 1), other(90, 80, "z")], Some(90));
        assert_eq!(node.log.hard_floor(), PurgeId(80));
        assert_eq!(node.shared(70, "y"), Verdict::Hard);
        assert_eq!(node.shared(80, "y"), Verdict::Clean);
        assert_eq!(node.append(), None);
    }
}

#[test]
fn rule_4_a_break_after_the_answer_in_the_same_read_counts() {
    let mut node = Node::started();
    node.read(vec![other(40, 30, "x")], Some(40));
    node.append();
    let effects = node.read(vec![answer(50, 40, Body::Mark, 1), other(70, 60, "x")], Some(70));
    assert_eq!(effects, ["gap"]);
    assert_eq!(node.shared(70, "y"), Verdict::Hard);
    assert_eq!(node.append().map(|append| append.by.seqs), Some(vec![2]));
}

#[test]
fn rule_4_the_mark_of_another_node_means_nothing() {
    let mut node = Node::started();
    let mark = record(30, 20, Stamp { node: 1, seqs: vec![1] }, Body::Mark);
    assert!(node.read(vec![mark], Some(30)).is_empty());
    assert_eq!(node.shared(20, "y"), Verdict::Clean);
    assert_eq!(node.shared(30, "y"), Verdict::Clean);
}

#[test]
fn rule_5_an_unreadable_record_is_a_gap_on_the_same_branch() {
    let mut node = Node::started();
    let unreadable = record(30, 20, Stamp::default(), Body::Unreadable);
    assert_eq!(node.read(vec![unreadable, other(40, 30, "x")], Some(40)), ["unreadable"]);
    assert_eq!(node.log.hard_floor(), PurgeId(30));
    assert_eq!(node.shared(20, "y"), Verdict::Hard);
    assert_eq!(node.shared(30, "y"), Verdict::Clean);
}

#[test]
fn rule_6_an_empty_log_begins_with_a_barrier() {
    let mut node = Node::new();
    assert_eq!(node.read(Vec::new(), None), [""; 0]);
    assert_eq!(node.follower.position(), None);
    assert_eq!(node.read(Vec::new(), Some(0)), ["empty"]);
    assert_eq!(node.append().map(|append| append.body), Some(Body::Barrier));
    assert_eq!(node.shared(0, "y"), Verdict::Hard);
    assert_eq!(node.read(vec![answer(10, 0, Body::Barrier, 1)], Some(10)), ["barrier"]);
    assert_eq!(node.shared(10, "y"), Verdict::Clean);
}

#[test]
fn a_node_that_starts_knows_nothing_of_what_was_before_the_first_retained_record() {
    let mut node = Node::new();
    assert!(node.read(vec![other(30, 20, "x")], Some(30)).is_empty());
    assert_eq!(node.log.hard_floor(), PurgeId(20));
    assert_eq!(node.shared(10, "y"), Verdict::Hard);
    assert_eq!(node.shared(20, "y"), Verdict::Clean);
    assert_eq!(node.shared(20, "x"), Verdict::Hard);
    let mut trimmed = Node::new();
    assert!(trimmed.read(Vec::new(), Some(30)).is_empty());
    assert_eq!((trimmed.position(), trimmed.log.hard_floor()), (30, PurgeId(30)));
}

#[test]
fn rule_7_a_purge_waits_until_it_is_read_back() {
    let mut node = Node::started();
    assert_eq!(node.purge("a").at, At::Pending(1));
    assert_eq!(node.shared(20, "a"), Verdict::Hard);
    let append = node.append().unwrap();
    assert_eq!(node.append(), None, "it is on its way");
    node.follower.append_failed(&append);
    assert_eq!(node.append(), Some(append.clone()), "nobody knows what became of it");
    node.follower.appended(&append);
    assert_eq!((node.append(), node.log.pending()), (None, 1));
    node.read(vec![own(30, 20, &[1], "a"), own(40, 30, &[1], "a")], Some(40));
    assert_eq!((node.follower.waiting(), node.log.pending(), node.append()), (0, 0, None));
}

#[test]
fn rule_7_what_the_store_took_and_lost_without_a_trace_is_sent_again() {
    let mut node = Node::started();
    node.purge("a");
    assert_eq!(node.append_all(), ["purge [1]"]);
    node.read(Vec::new(), Some(20));
    assert_eq!(node.append(), None, "the answer may have crossed the append");
    node.read(Vec::new(), Some(20));
    assert_eq!(node.append_all(), ["purge [1]"]);
}

#[test]
fn rule_7_after_a_gap_what_was_not_read_back_is_sent_again() {
    let mut node = Node::started();
    node.purge("a");
    assert_eq!(node.append_all(), ["purge [1]"]);
    node.read(Vec::new(), Some(90));
    assert_eq!(node.append_all(), ["purge [1]", "mark [1]"]);
    assert_eq!(node.log.pending(), 1);
}

/// Our position may be on the branch of a master that was cut off, and all that was read back there stand nowhere else.
#[test]
fn rule_7_after_a_gap_what_was_read_back_is_sent_again_too() {
    let mut node = Node::started();
    node.purge("a");
    assert_eq!(node.append_all(), ["purge [1]"]);
    node.read(vec![own(30, 20, &[1], "a")], Some(30));
    assert_eq!(node.follower.waiting(), 0);
    assert_eq!(node.read(vec![other(90, 80, "x")], Some(90)), ["gap"]);
    assert_eq!(node.append_all(), ["purge [1]", "mark [1]"]);
}

#[test]
fn rule_8_synced_counts_from_the_proof() {
    let mut node = Node::new();
    assert!(!node.log.is_synced(Mono(0)));
    node.read(vec![barrier(10, 0)], None);
    assert!(!node.log.is_synced(Mono(500)), "nobody said that this was the tail");
    node.read(vec![other(20, 10, "x")], Some(30));
    assert!(!node.log.is_synced(Mono(500)), "there is more");
    let unproven = Read { records: vec![other(30, 20, "x")], tail: Some(PurgeId(30)), proven_at: None };
    node.follower.on_read(unproven).iter().for_each(|effect| effect.perform(&node.log));
    assert!(!node.log.is_synced(Mono(500)), "a master that nobody follows proves nothing");
    node.read(Vec::new(), Some(30));
    assert!(node.log.is_synced(Mono(1499)));
    assert!(!node.log.is_synced(Mono(1500)));
}

#[test]
fn too_many_waiting_purges_become_one_of_everything_in_the_strictest_mode() {
    let mut node = Node::with(OutboxLimits { purges: 2, ..SINGLY });
    node.read(vec![barrier(10, 0)], Some(10));
    let sent = {
        node.purge("a");
        node.append().unwrap()
    };
    node.follower.submit(&node.log, Purge::new(Mode::Soft, vec![Selector::tag("b")]), NOW);
    node.follower.submit(&node.log, Purge::new(Mode::Invalidate, vec![Selector::tag("c")]), NOW);
    assert_eq!(node.shared(10, "unrelated"), Verdict::Clean);
    node.follower.submit(&node.log, Purge::new(Mode::Soft, vec![Selector::tag("d")]), NOW);
    assert_eq!(node.shared(10, "unrelated"), Verdict::MustValidate);
    assert_eq!(node.shared(10, "a"), Verdict::Hard);
    assert_eq!((node.follower.waiting(), node.log.pending()), (2, 2));
    node.follower.appended(&sent);
    let folded = node.append().unwrap();
    assert_eq!(folded.by.seqs, [4]);
    let Body::Purge(purge) = folded.body else { panic!("not a purge") };
    assert_eq!((purge.mode, purge.selectors.as_slice()), (Mode::Invalidate, &[Selector::Everything][..]));
    let landed = record(30, 20, Stamp { node: 7, seqs: vec![4] }, Body::Purge(purge));
    node.read(vec![own(20, 10, &[1], "a"), landed], Some(30));
    assert_eq!((node.follower.waiting(), node.log.pending()), (0, 0));
    assert_eq!(node.log.floor(), PurgeId(30));
}

#[test]
fn rfc9111_4_4_writes_that_wait_leave_in_one_record_and_duplicates_not_at_all() {
    let mut node = Node::started();
    let url = |n: u64| Selector::url(&format!("http://e/{n}")).unwrap();
    let born = node.log.cursor();
    let write =
        |node: &mut Node, n, newest| node.follower.write(&node.log, vec![(url(n), newest)], NOW).as_str();
    assert_eq!(write(&mut node, 1, Some(born)), "applied");
    assert_eq!(write(&mut node, 1, Some(born)), "duplicate");
    node.purge("between");
    assert_eq!(write(&mut node, 2, None), "applied");
    let record = node.append().unwrap();
    assert_eq!(record.by.seqs, [1, 3]);
    let Body::Purge(purge) = &record.body else { panic!("not a purge") };
    assert_eq!((purge.mode, purge.selectors.as_slice()), (Mode::Invalidate, &[url(1), url(2)][..]));
    // Once it has left, another node may fill after it: not a duplicate any more, even if it came to nothing, for all
    // anybody knows.
    node.follower.append_failed(&record);
    assert_eq!(write(&mut node, 1, Some(born)), "applied");
    assert_eq!(node.append().map(|append| append.by.seqs), Some(vec![1, 3, 4]));
    assert_eq!(node.append().map(|append| append.by.seqs), Some(vec![2]));
}

#[test]
fn writes_are_folded_by_themselves_and_never_push_out_what_was_purged_on_request() {
    let mut node = Node::with(OutboxLimits { purges: 2, recent: 2, ..SINGLY });
    node.read(vec![barrier(10, 0)], Some(10));
    node.purge("a");
    let write = |node: &mut Node, n: u64| {
        let url = Selector::url(&format!("http://e/{n}")).unwrap();
        node.follower.write(&node.log, vec![(url, None)], NOW)
    };
    (0..9).for_each(|n| assert_eq!(write(&mut node, n).as_str(), "applied"));
    assert_eq!(node.shared(10, "unrelated"), Verdict::MustValidate);
    assert!(node.follower.waiting() <= 3);
    let first = node.append().unwrap();
    assert_eq!((first.by.seqs.as_slice(), node.log.recent(9).len()), (&[1][..], 1));
    let second = node.append().unwrap();
    let mut records = vec![record(20, 10, first.by, first.body), record(30, 20, second.by, second.body)];
    for n in 0..5 {
        write(&mut node, n);
        let next = node.append().unwrap();
        records.push(record(40 + 10 * n, 30 + 10 * n, next.by, next.body));
    }
    node.read(records, Some(80));
    assert_eq!((node.follower.waiting(), node.log.pending()), (0, 0));
    // After a fork all of what is kept goes out again: the purge, the last two writes, the barrier.
    node.read(Vec::new(), Some(70));
    let again = node.append_all();
    assert_eq!((again.len(), again[0].as_str(), again[2].as_str()), (3, "purge [1]", "barrier [1]"));
}

#[test]
fn what_the_store_takes_while_nothing_is_read_back_is_bounded_apart() {
    let mut node = Node::with(OutboxLimits { purges: 2, unread: 5, ..SINGLY });
    node.read(vec![barrier(10, 0)], Some(10));
    // As long as they leave, each remains what it is.
    for n in 0..5 {
        node.purge(&format!("t{n}"));
        node.append_all();
        assert_eq!(node.shared(10, "unrelated"), Verdict::Clean);
    }
    // One is on its way, and is left alone.
    node.purge("sent");
    let sent = node.append().unwrap();
    node.purge("one too many");
    assert_eq!(node.shared(10, "unrelated"), Verdict::Hard);
    assert_eq!((node.follower.waiting(), node.log.pending()), (2, 2));
    node.follower.appended(&sent);
    assert_eq!(node.append_all(), ["purge [7]"]);
    for n in 0..100 {
        node.purge(&format!("u{n}"));
        node.append_all();
        assert!(node.follower.waiting() <= 6 && node.log.pending() <= 6);
    }
    // What was folded is read back all the same, and settles nothing that still counts.
    node.read(vec![own(20, 10, &[1], "t0"), own(30, 20, &[6], "sent")], Some(30));
    assert_eq!(node.shared(30, "unrelated"), Verdict::Hard);
}

/// A thousand purges after a fork are a few round trips, not a thousand.
#[test]
fn what_goes_out_again_after_a_fork_leaves_in_a_few_steps_and_the_barrier_after_it() {
    let mut node = Node::with(OutboxLimits::default());
    node.read(vec![barrier(10, 0)], Some(10));
    (0..1_000).for_each(|n| {
        node.purge(&format!("t{n}"));
    });
    let mut at = 10;
    loop {
        let step = node.follower.next_appends();
        if step.is_empty() {
            break;
        }
        for append in &step {
            node.follower.appended(append);
            node.read(vec![own(at + 1, at, &append.by.seqs, "t")], Some(at + 1));
            at += 1;
        }
    }
    assert_eq!(node.follower.waiting(), 0);
    node.read(Vec::new(), Some(5));
    let mut steps = Vec::new();
    loop {
        let step = node.follower.next_appends();
        if step.is_empty() {
            break;
        }
        step.iter().for_each(|append| node.follower.appended(append));
        steps.push(step);
    }
    let lengths: Vec<usize> = steps.iter().map(Vec::len).collect();
    assert_eq!(lengths, [128, 128, 128, 128, 128, 128, 128, 104, 1]);
    assert_eq!(steps.last().map(|step| &step[0].body), Some(&Body::Barrier));
    let seqs: Vec<u64> = steps[..8].iter().flatten().flat_map(|append| append.by.seqs.clone()).collect();
    assert_eq!(seqs, (1..=1_000).collect::<Vec<_>>());
}

#[test]
fn a_step_ends_with_the_record_that_makes_it_long() {
    let mut node = Node::with(OutboxLimits::default());
    node.read(vec![barrier(10, 0)], Some(10));
    for size in [1, 600, 600, 1] {
        let selectors = (0..size).map(|n| Selector::tag(&format!("t{n}"))).collect();
        node.follower.submit(&node.log, Purge::new(Mode::Hard, selectors), NOW);
    }
    let lengths: Vec<usize> = (0..3).map(|_| node.follower.next_appends().len()).collect();
    assert_eq!(lengths, [3, 1, 0]);
}
