//! The real state machine, wired to the model's store as the real wiring will be; and the same with one rule left
//! out, by lying to it about what was read.

use crate::oracle::{KEYS, MAX_UNSYNCED, NODES};
use crate::world::{Counts, Design, EVERYTHING, Entry, Surroundings, WHAT, names};
use larder::purge::fleet::{Body, Effect, Follower, Notice, OutboxLimits, Read};
use larder::purge::predicate::Pattern;
use larder::purge::{
    At, Born, Limits, Mode, Predicate, PredicateSpec, Purge, PurgeId, PurgeLog, Selector, Selectors, Subject,
    Tags, Verdict, Written,
};
use larder::time::{Mono, Wall};
use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Duration;

/// Which rule is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    None,
    /// Rule 2: trimmed records are not missed.
    NoGaps,
    /// Rule 3: a log that lost its tail is followed as if nothing had happened.
    NoForks,
    /// Rule 4: after a gap or fork, what was born later is trusted at once.
    NoDistrust,
    /// Shared entries are trusted up to our own position, whatever branch they were born on.
    NoHistory,
    /// Rule 5: what can't be read is skipped.
    SkipUnreadable,
    /// Ids are counted instead of scattered.
    CountedIds,
    /// Rule 7: purges of this node act here when they are read back.
    NoPending,
    /// The birth of an entry is read when the response is there.
    BornAtEnd,
    /// Flights are joined without a check.
    JoinBlindly,
    /// Unsynced nodes serve.
    ServeUnsynced,
    /// An answer proves the tail at the time at which it is handled.
    ProvenWhenHandled,
    /// Every master's word counts, also of one that nobody acknowledges any more.
    TrustIsolated,
}

impl Flaw {
    pub const ALL: [Flaw; 12] = [
        Flaw::NoGaps,
        Flaw::NoForks,
        Flaw::NoDistrust,
        Flaw::NoHistory,
        Flaw::SkipUnreadable,
        Flaw::CountedIds,
        Flaw::NoPending,
        Flaw::BornAtEnd,
        Flaw::JoinBlindly,
        Flaw::ServeUnsynced,
        Flaw::ProvenWhenHandled,
        Flaw::TrustIsolated,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::NoGaps => "no gap rule",
            Self::NoForks => "no fork rule",
            Self::NoDistrust => "trust at once after a break",
            Self::NoHistory => "no history",
            Self::SkipUnreadable => "unreadable records skipped",
            Self::CountedIds => "counted ids",
            Self::NoPending => "no pending purges",
            Self::BornAtEnd => "born when the response is there",
            Self::JoinBlindly => "flights joined without a check",
            Self::ServeUnsynced => "unsynced nodes serve",
            Self::ProvenWhenHandled => "proof dated when it is handled",
            Self::TrustIsolated => "isolated masters trusted",
        }
    }
}

/// The keys as the real code sees them; made once, because hashing is slow in test builds.
struct Key {
    full: Selectors,
    implicit: Selectors,
    url: String,
    tags: String,
}

impl Key {
    fn subject(&self, known: bool) -> Subject<'_> {
        Subject {
            authority: "e",
            url: &self.url,
            tags: known.then_some(self.tags.as_str()),
            content_type: known.then_some("text/html"),
        }
    }
}

fn path(key: usize) -> String {
    format!("/{}/{key}", if names(5, key) { "low" } else { "high" })
}

fn keys() -> &'static [Key; KEYS] {
    static KEYS_ONCE: OnceLock<[Key; KEYS]> = OnceLock::new();
    KEYS_ONCE.get_or_init(|| {
        std::array::from_fn(|key| {
            let mut tags = Tags::default();
            for what in (0..5).filter(|what| names(*what, key)) {
                tags.add(&format!("t{what}")).unwrap();
            }
            let url = path(key);
            Key {
                full: Selectors::new("http", "e", &url, None, &tags).unwrap(),
                implicit: Selectors::of_url("http", "e", &url, None).unwrap(),
                url,
                tags: tags.raw(),
            }
        })
    })
}

fn url(key: usize) -> Selector {
    Selector::url(&format!("http://e{}", path(key))).unwrap()
}

fn purge(what: usize, mode: Mode) -> Purge {
    static ALL: OnceLock<[Purge; WHAT]> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        std::array::from_fn(|what| match what {
            0..5 => Purge::new(Mode::Hard, vec![Selector::tag(&format!("t{what}"))]),
            5 => Purge::new(Mode::Hard, vec![Selector::prefix("e/low").unwrap()]),
            6 | 7 => Purge::new(Mode::Hard, vec![url(what - 5)]),
            EVERYTHING => Purge::everything(Mode::Hard),
            _ => {
                let spec =
                    PredicateSpec { url: Some(Pattern::Regex("^/high".into())), ..PredicateSpec::default() };
                Purge { predicates: vec![Predicate::compile(spec).unwrap()], ..Purge::default() }
            }
        })
    });
    Purge { mode, ..all[what].clone() }
}

struct Node {
    log: PurgeLog,
    follower: Follower,
    /// An answer that is on its way, and when its request left.
    coming: Option<(Read, u64)>,
    /// Numbers of the purges that wait, by the number the log gave them.
    numbers: HashMap<u64, usize>,
    /// Of [`Flaw::NoPending`]: purges that act nowhere yet.
    unapplied: Vec<(usize, Purge)>,
}

/// The fleet.
pub struct Larder {
    flaw: Flaw,
    nodes: Vec<Node>,
    processes: u64,
    /// Which purges a record carries.
    carried: HashMap<PurgeId, Vec<usize>>,
}

impl Larder {
    pub fn new(flaw: Flaw) -> Self {
        Self { flaw, nodes: Vec::with_capacity(NODES), processes: 0, carried: HashMap::new() }
    }

    fn answer(&self, at: &mut Surroundings<Born>, node: usize, now: u64) -> Option<Read> {
        let count = at.rng.usize(1..4);
        let server = at.store.server(at.links[node])?;
        let position = self.nodes[node].follower.position();
        let (mut records, tail) = server.branch.read(position, count);
        let mut proven = now.min(server.acknowledged.unwrap_or(now));
        if self.flaw == Flaw::TrustIsolated {
            proven = now;
        }
        // Some records are of a later version than some nodes are.
        for record in &mut records {
            if record.id.0 % 23 == node as u64 && matches!(record.body, Body::Purge(_)) {
                record.body = Body::Unreadable;
            }
        }
        let mut read = Read { records, tail: Some(tail), proven_at: Some(Mono(proven)) };
        self.lie(&mut read, position);
        Some(read)
    }

    /// What a flawed design makes of an answer.
    fn lie(&self, read: &mut Read, position: Option<PurgeId>) {
        let Some(mut position) = position else { return };
        for record in &mut read.records {
            let hide = match self.flaw {
                Flaw::NoGaps => record.prev > position,
                Flaw::NoForks => record.prev < position,
                _ => false,
            };
            if hide {
                record.prev = position;
            }
            if self.flaw == Flaw::SkipUnreadable && record.body == Body::Unreadable {
                record.body = Body::Purge(Purge::new(Mode::Hard, Vec::new()).into());
            }
            position = record.id;
        }
        let found_nothing = read.records.is_empty();
        read.tail = read.tail.map(|tail| match self.flaw {
            Flaw::NoGaps if found_nothing && tail > position => position,
            Flaw::NoForks if tail < position => position,
            _ => tail,
        });
    }

    fn perform(&mut self, at: &mut Surroundings<Born>, node: usize, effects: Vec<Effect>) {
        for mut effect in effects {
            if let (Flaw::NoDistrust, Effect::Apply(batch)) = (self.flaw, &mut effect) {
                batch.distrust = false;
            }
            effect.perform(&self.nodes[node].log);
            match effect {
                Effect::Apply(batch) => {
                    for id in batch.purges.iter().map(|logged| logged.id) {
                        for number in self.carried.get(&id).into_iter().flatten() {
                            at.oracle.applied(node, *number, at.now);
                        }
                    }
                }
                Effect::Notice(notice) => count(&mut at.counts, notice),
                Effect::SyncedUntil(_) => {}
            }
        }
    }
}

fn count(counts: &mut Counts, notice: Notice) {
    let notices = &mut counts.notices;
    match notice {
        Notice::Gap => notices.gap += 1,
        Notice::Trimmed => notices.trimmed += 1,
        Notice::Fork => notices.fork += 1,
        Notice::Barrier => notices.barrier += 1,
        Notice::Unreadable => notices.unreadable += 1,
        Notice::Empty => {}
    }
}

impl Design for Larder {
    type Birth = Born;

    fn start(&mut self, index: usize) {
        self.processes += 1;
        // Small limits, so that every structure overflows now and then.
        let limits = Limits {
            selectors: 12,
            writes: 4,
            predicates: 2,
            buckets: 32,
            shards: 1,
            history: 40,
            receipts: 4,
        };
        let outbox = OutboxLimits { purges: 6, selectors: 40, recent: 6, writes_per_record: 3 };
        let node = Node {
            log: PurgeLog::in_fleet(limits),
            follower: Follower::new(self.processes, Duration::from_millis(MAX_UNSYNCED), outbox),
            coming: None,
            numbers: HashMap::new(),
            unapplied: Vec::new(),
        };
        match self.nodes.get_mut(index) {
            Some(old) => *old = node,
            None => self.nodes.push(node),
        }
    }

    fn birth(&self, node: usize, _: u64) -> Born {
        self.nodes[node].log.cursor()
    }

    fn check(&self, node: usize, entry: &Entry<Born>) -> Verdict {
        let key = &keys()[entry.key];
        let selectors = || std::borrow::Cow::Borrowed(&key.full);
        entry.check.verify(&self.nodes[node].log, entry.born, selectors, || key.subject(true))
    }

    fn check_flight(&self, node: usize, key: usize, born: Born, known: bool) -> Verdict {
        if self.flaw == Flaw::JoinBlindly {
            return Verdict::Clean;
        }
        let key = &keys()[key];
        let selectors = if known { &key.full } else { &key.implicit };
        self.nodes[node].log.check(born, selectors, &key.subject(known))
    }

    fn check_shared(&self, node: usize, key: usize, born: Born) -> Verdict {
        let (log, key) = (&self.nodes[node].log, &keys()[key]);
        if self.flaw == Flaw::NoHistory {
            return match born.id > log.cursor().id {
                true => Verdict::Hard,
                false => log.check(Born::shared(born.id), &key.full, &key.subject(true)),
            };
        }
        log.check_shared(born.id, &key.full, &key.subject(true))
    }

    fn promoted(born: Born) -> Born {
        Born::shared(born.id)
    }

    fn is_synced(&self, node: usize, now: u64) -> bool {
        self.flaw == Flaw::ServeUnsynced || self.nodes[node].log.is_synced(Mono(now))
    }

    fn purge(&mut self, at: &mut Surroundings<Born>, node: usize, number: usize, what: usize, mode: Mode) {
        let purge = purge(what, mode);
        at.oracle.applied(node, number, at.now);
        if self.flaw == Flaw::NoPending {
            self.nodes[node].unapplied.push((number, purge));
            return;
        }
        let Node { log, follower, numbers, .. } = &mut self.nodes[node];
        if let At::Pending(seq) = follower.submit(log, purge, Wall(at.now)).at {
            numbers.insert(seq, number);
        }
    }

    fn write(
        &mut self,
        at: &mut Surroundings<Born>,
        node: usize,
        number: usize,
        key: usize,
        newest: Option<Born>,
    ) {
        let Node { log, follower, numbers, .. } = &mut self.nodes[node];
        at.oracle.applied(node, number, at.now);
        if let Written::Applied(applied) = follower.write(log, vec![(url(key), newest)], Wall(at.now))
            && let At::Pending(seq) = applied.at
        {
            numbers.insert(seq, number);
        }
    }

    /// An answer is handled one exchange after its request left, or never.
    fn read(&mut self, at: &mut Surroundings<Born>, node: usize) {
        if let Some((mut read, sent)) = self.nodes[node].coming.take()
            && at.rng.u32(..12) != 0
        {
            if self.flaw == Flaw::ProvenWhenHandled {
                let late = Mono(at.now - sent);
                read.proven_at = read.proven_at.map(|proven| Mono(proven.0 + late.0));
            }
            let effects = self.nodes[node].follower.on_read(read);
            self.perform(at, node, effects);
        }
        let now = at.now;
        self.nodes[node].coming = self.answer(at, node, now).map(|read| (read, now));
    }

    fn append(&mut self, at: &mut Surroundings<Born>, node: usize) {
        for (number, purge) in std::mem::take(&mut self.nodes[node].unapplied) {
            let Node { log, follower, numbers, .. } = &mut self.nodes[node];
            if let At::Pending(seq) = follower.submit(log, purge, Wall(at.now)).at {
                numbers.insert(seq, number);
            }
        }
        let nonce = at.rng.u32(..);
        let (lost, arrived) = (at.rng.u32(..100) < at.climate.appends_lost, at.rng.bool());
        let nonce = if self.flaw == Flaw::CountedIds { 0 } else { nonce };
        let now = at.now;
        let Some(server) = at.store.server(at.links[node]) else { return };
        let Node { follower, numbers, .. } = &mut self.nodes[node];
        let Some(append) = follower.next_append() else { return };
        // Either it doesn't arrive, or the answer doesn't.
        if !lost || arrived {
            let id = PurgeId::appended(server.branch.last, append.above, server.clock(now), nonce);
            let seqs = if matches!(append.body, Body::Purge(_)) { append.by.seqs.as_slice() } else { &[] };
            let carried: Vec<usize> = seqs.iter().filter_map(|seq| numbers.get(seq).copied()).collect();
            server.branch.append(id, append.by.clone(), append.body.clone(), &carried);
            // Under counted ids, two branches may have one id.
            self.carried.entry(id).or_default().extend(carried);
        }
        match lost {
            true => follower.append_failed(&append),
            false => follower.appended(&append),
        }
    }

    fn later(a: Born, b: Born) -> Born {
        if (a.id, a.local) < (b.id, b.local) { b } else { a }
    }

    fn birth_at_end(&self) -> bool {
        self.flaw == Flaw::BornAtEnd
    }
}
