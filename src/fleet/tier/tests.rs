//! The shared tier against a real `redis-server`.
//!
//! What is queued is written by the test itself ([`Node::put`]), so that it knows when it is done; only
//! [`who_waits_gets_what_the_holder_brings`] lets the writers run.

use super::*;
use crate::fleet::settings::{Keys, Topology};
use crate::fleet::testing::Server;
use crate::fleet::value::{CHUNK_SIZE, MAX_INLINE};
use crate::observe::metrics::Vocabulary;
use crate::purge::{Born, PurgeId, Selectors, extract_tags};
use crate::semantics::freshness::{Freshness, Source, StaleUse};
use crate::semantics::vary;
use crate::store::entry::{Meta, Place, PreparedHead};
use crate::time::Mono;
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE};
use http::{HeaderName, HeaderValue, StatusCode};
use std::sync::atomic::{AtomicUsize, Ordering};

const LONG: Duration = Duration::from_secs(20);

struct Node {
    tier: Arc<Tier>,
    metrics: Arc<Metrics>,
    clock: Clock,
}

impl Node {
    fn new(server: &Server) -> Self {
        Self::with(&server.settings())
    }

    fn with(settings: &Settings) -> Self {
        let metrics = Metrics::new(&Vocabulary::default());
        let clock = Clock::system();
        let links = Links::new(settings, clock.clone());
        let tier = Tier::new(links, settings, metrics.clone(), clock.clone(), Arc::new(|| None));
        Self { tier, metrics, clock }
    }

    async fn obtain(&self, key: &Key, patience: Duration) -> Obtained {
        self.obtain_for(key, &HeaderMap::new(), patience).await
    }

    async fn obtain_for(&self, key: &Key, request: &HeaderMap, patience: Duration) -> Obtained {
        self.tier.obtain(Wanted { key, request, patience }, |_| true).await
    }

    /// The body that this request gets; `None` and the lease (given back) when there is none.
    async fn body(&self, key: &Key, request: &HeaderMap) -> Option<Vec<u8>> {
        match self.obtain_for(key, request, LONG).await {
            Obtained::Value(stored) => Some(stored.body.concat()),
            Obtained::Leased(lease) => {
                drop(lease);
                None
            }
            other => panic!("{other:?}"),
        }
    }

    /// Puts, and sees it written.
    async fn put(&self, key: &Key, entry: Entry, lease: Option<Lease>) {
        self.tier.put(key, Arc::new(entry), lease);
        let item = self.tier.queue.pop().await.unwrap();
        write::write(&self.tier, item).await;
    }

    fn calls(&self, op: &'static str, result: &'static str) -> u64 {
        assert!(announced().any(|pair| pair == (op, result)), "{op} {result} is not announced");
        self.metrics.fleet.calls(op, result)
    }

    /// Waits for a background task to have counted this.
    async fn counted(&self, op: &'static str, result: &'static str, times: u64) {
        until(|| self.calls(op, result) >= times).await;
    }

    fn names(&self, key: &Key) -> crate::fleet::names::KeyNames {
        self.tier.names.of(key)
    }

    /// Name of the record of the variant that this request selects by these fields.
    fn record(&self, key: &Key, by: &[HeaderName], request: &HeaderMap) -> String {
        self.names(key).record(Some(&self.tier.names.variant(&vary::variant(by, request))))
    }

    fn entry(&self, body: &[u8]) -> Entry {
        self.entry_of(meta(self.clock.now().mono), body)
    }

    fn entry_for(&self, body: &[u8], by: &[HeaderName], request: &HeaderMap) -> Entry {
        let now = self.clock.now().mono;
        let variant = vary::variant(by, request);
        self.entry_of(Meta { nominated: by.into(), variant, ..meta(now) }, body)
    }

    fn entry_born(&self, body: &[u8], born: u64) -> Entry {
        self.entry_of(Meta { born: Born::shared(PurgeId(born)), ..meta(self.clock.now().mono) }, body)
    }

    fn entry_of(&self, meta: Meta, body: &[u8]) -> Entry {
        let body = Bytes::copy_from_slice(body);
        let length = body.len() as u64;
        Entry::new(meta, body, length, None, PreparedHead::default())
    }
}

fn meta(now: Mono) -> Meta {
    let tags = extract_tags(&HeaderMap::new()).unwrap();
    Meta {
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        freshness: Freshness {
            lifetime: Duration::from_secs(3600),
            source: Source::MaxAge,
            initial_age: Duration::ZERO,
            stale: StaleUse::default(),
            must_validate: false,
            immutable: false,
            no_transform: false,
        },
        control: HeaderMap::new(),
        arrived: now,
        began: now,
        received: crate::time::Wall(0),
        date: crate::time::Wall(0),
        keep: Duration::from_secs(600),
        nominated: Arc::from([]),
        variant: Box::from([]),
        born: Born::shared(PurgeId(7)),
        selectors: Arc::new(Selectors::new("http", "a.test", "/p", None, &tags).unwrap()),
        place: Arc::new(Place { scheme: "http", authority: "a.test".into(), url: "/p".into() }),
        raw_tags: "".into(),
        fetch_time: Duration::ZERO,
        rule: Arc::from("rule"),
        origin: Arc::from("origin"),
    }
}

fn key(text: &str) -> Key {
    Key::new(7, text.as_bytes())
}

fn request(fields: &[(HeaderName, &'static str)]) -> HeaderMap {
    fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
}

fn speaking(language: &'static str) -> HeaderMap {
    request(&[(ACCEPT_LANGUAGE, language)])
}

/// Not the same bytes anywhere, so that pieces can't be mistaken for each other.
fn noise(length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(length as u64);
    std::iter::repeat_with(|| random.u8(..)).take(length).collect()
}

fn leased(obtained: Obtained) -> Lease {
    match obtained {
        Obtained::Leased(lease) => lease,
        other => panic!("not leased: {other:?}"),
    }
}

/// Waits for what a background task brings about.
async fn until(holds: impl Fn() -> bool) {
    let held = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(LONG, held).await.expect("this should have come about long ago");
}

fn exists(server: &Server, name: &str) -> bool {
    server.ask::<i64>(&[b"EXISTS", name.as_bytes()]) == 1
}

/// How often the store carried out this command since the last reset.
fn times(server: &Server, command: &str) -> u64 {
    let stats: String = server.ask(&[b"INFO", b"commandstats"]);
    let line = stats.lines().find_map(|l| l.strip_prefix(&format!("cmdstat_{command}:calls=")));
    line.and_then(|l| l.split(',').next()).map_or(0, |n| n.parse().unwrap())
}

fn forget_stats(server: &Server) {
    server.ask::<()>(&[b"CONFIG", b"RESETSTAT"]);
}

fn names(server: &Server) -> Vec<String> {
    server.ask(&[b"KEYS", b"*"])
}

#[tokio::test]
async fn a_hit_takes_one_round_trip() {
    let server = Server::start();
    let (one, two) = (Node::new(&server), Node::new(&server));
    one.put(&key("a"), one.entry(b"hello"), None).await;
    assert_eq!(one.calls("put", "ok"), 1);
    let br = request(&[(ACCEPT_ENCODING, "br")]);
    let usual = two.entry_for(b"packed", &[ACCEPT_ENCODING], &br);
    two.put(&key("b"), usual, None).await;
    assert_eq!(one.body(&key("a"), &HeaderMap::new()).await.unwrap(), b"hello"); // the script is known from here on
    forget_stats(&server);
    assert_eq!(two.body(&key("a"), &HeaderMap::new()).await.unwrap(), b"hello");
    // What selects it is guessed: `Accept-Encoding` it is as a rule.
    assert_eq!(one.body(&key("b"), &br).await.unwrap(), b"packed");
    assert_eq!([times(&server, "evalsha"), times(&server, "eval"), times(&server, "get")], [2, 0, 0]);
    assert_eq!((one.calls("get", "hit"), two.calls("get", "hit")), (2, 1));
}

#[tokio::test]
async fn a_value_comes_back_as_it_was() {
    let server = Server::start();
    let node = Node::new(&server);
    let now = node.clock.now().mono;
    let mut headers = HeaderMap::new();
    headers.insert("x-a", HeaderValue::from_static("1"));
    let entry = node.entry_of(Meta { headers: headers.clone(), ..meta(now) }, b"body");
    node.put(&key("a"), entry, None).await;
    let Obtained::Value(stored) = Node::new(&server).obtain(&key("a"), LONG).await else { panic!() };
    assert_eq!((stored.meta.headers, stored.length), (headers, 4));
    assert_eq!((stored.meta.born, stored.meta.began), (Born::shared(PurgeId(7)), crate::purge::sync::NEVER));
}

#[tokio::test]
async fn rfc9111_4_1_each_request_gets_its_variant_and_no_other() {
    let server = Server::start();
    let (one, two) = (Node::new(&server), Node::new(&server));
    let by = [ACCEPT_LANGUAGE];
    for language in ["de", "en"] {
        let entry = one.entry_for(language.as_bytes(), &by, &speaking(language));
        one.put(&key("a"), entry, None).await;
    }
    assert_eq!(two.body(&key("a"), &speaking("de")).await.unwrap(), b"de");
    forget_stats(&server);
    assert_eq!(two.body(&key("a"), &speaking("en")).await.unwrap(), b"en");
    assert_eq!(times(&server, "evalsha"), 1, "what selects variants is remembered");
    assert_eq!(two.body(&key("a"), &speaking("fr")).await, None);
    assert_eq!(two.body(&key("a"), &HeaderMap::new()).await, None);
    assert_eq!((two.calls("get", "hit"), two.calls("get", "miss")), (2, 2));
}

#[tokio::test]
async fn leases_of_two_variants_are_two() {
    let server = Server::start();
    let (one, two) = (Node::new(&server), Node::new(&server));
    let entry = one.entry_for(b"de", &[ACCEPT_LANGUAGE], &speaking("de"));
    one.put(&key("a"), entry, None).await;
    let french = leased(one.obtain_for(&key("a"), &speaking("fr"), LONG).await);
    let english = leased(two.obtain_for(&key("a"), &speaking("en"), LONG).await);
    let busy = two.obtain_for(&key("a"), &speaking("fr"), Duration::ZERO).await;
    assert!(matches!(busy, Obtained::Without(Why::Busy)), "{busy:?}");
    drop((french, english));
    // Nor does the one stay that a wrong guess had brought.
    until(|| !names(&server).iter().any(|name| name.contains(":l"))).await;
}

#[tokio::test]
async fn a_variant_counts_before_a_value_for_all_unless_it_is_no_good() {
    let server = Server::start();
    let node = Node::new(&server);
    let by = [ACCEPT_LANGUAGE];
    node.put(&key("a"), node.entry_for(b"de", &by, &speaking("de")), None).await;
    node.put(&key("a"), node.entry(b"all"), None).await;
    assert_eq!(node.body(&key("a"), &speaking("de")).await.unwrap(), b"de");
    assert_eq!(node.body(&key("a"), &speaking("en")).await.unwrap(), b"all");
    let german = speaking("de");
    let wanted = Wanted { key: &key("a"), request: &german, patience: LONG };
    let other = node.tier.obtain(wanted, |stored| stored.meta.nominated.is_empty()).await;
    assert!(matches!(other, Obtained::Value(stored) if stored.body.concat() == b"all"));
}

#[tokio::test]
async fn of_many_who_ask_at_once_one_may_fetch() {
    let server = Server::start();
    let nodes = [Node::new(&server), Node::new(&server), Node::new(&server)];
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..20 {
        let tier = nodes[n % 3].tier.clone();
        tasks.spawn(async move {
            let request = HeaderMap::new();
            let wanted = Wanted { key: &key("a"), request: &request, patience: Duration::ZERO };
            tier.obtain(wanted, |_| true).await
        });
    }
    let all = tasks.join_all().await;
    let leases = all.iter().filter(|o| matches!(o, Obtained::Leased(_))).count();
    let busy = all.iter().filter(|o| matches!(o, Obtained::Without(Why::Busy))).count();
    assert_eq!((leases, busy), (1, 19));
    let sum = |result| nodes.iter().map(|node| node.calls("lease", result)).sum::<u64>();
    assert_eq!((sum("granted"), sum("busy")), (1, 19));
}

#[tokio::test]
async fn who_waits_gets_what_the_holder_brings() {
    let server = Server::start();
    let (holder, waiter) = (Node::new(&server), Node::new(&server));
    let lease = leased(holder.obtain(&key("a"), LONG).await);
    let writers = tokio::spawn(holder.tier.clone().run());
    let tier = waiter.tier.clone();
    let waiting = tokio::spawn(async move {
        let request = HeaderMap::new();
        tier.obtain(Wanted { key: &key("a"), request: &request, patience: LONG }, |_| true).await
    });
    waiter.counted("get", "miss", 1).await; // so it waits
    holder.tier.put(&key("a"), Arc::new(holder.entry(b"brought")), Some(lease));
    let obtained = waiting.await.unwrap();
    assert!(matches!(obtained, Obtained::Value(stored) if stored.body.concat() == b"brought"));
    assert_eq!(waiter.calls("lease", "hit"), 1);
    writers.abort();
}

#[tokio::test]
async fn a_value_its_lease_and_its_mark_change_in_one_step() {
    let server = Server::start();
    let node = Node::new(&server);
    let lease = leased(node.obtain(&key("a"), LONG).await);
    let names = node.names(&key("a"));
    assert!(exists(&server, &names.lease(None)));
    server.ask::<()>(&[b"SET", names.mark().as_bytes(), b"1", b"PX", b"60000"]);
    node.put(&key("a"), node.entry(b"x"), Some(lease)).await;
    assert!(!exists(&server, &names.lease(None)));
    assert!(!exists(&server, &names.mark()));
    assert!(exists(&server, &names.record(None)));
}

#[tokio::test]
async fn rulings_25_a_dropped_lease_is_free_at_once() {
    let server = Server::start();
    let (one, two) = (Node::new(&server), Node::new(&server));
    let lease = leased(one.obtain(&key("a"), LONG).await);
    // Only who releases it can make it free within the time that the other waits.
    let name = one.names(&key("a")).lease(None);
    server.ask::<i64>(&[b"PEXPIRE", name.as_bytes(), b"600000"]);
    drop(lease);
    drop(leased(two.obtain(&key("a"), LONG).await));
}

#[tokio::test]
async fn rulings_25_a_lease_is_renewed_and_one_of_a_dead_node_is_not() {
    let server = Server::start();
    let (one, two) = (Node::new(&server), Node::new(&server));
    let lease = leased(one.obtain(&key("a"), LONG).await);
    let longer_than_it_lives = lease::LIFE + lease::LIFE / 2;
    let busy = two.obtain(&key("a"), longer_than_it_lives).await;
    assert!(matches!(busy, Obtained::Without(Why::Busy)), "{busy:?}");
    lease.abandon();
    let left: i64 = server.ask(&[b"PTTL", one.names(&key("a")).lease(None).as_bytes()]);
    assert!(left <= 1000, "{left}");
    drop(leased(two.obtain(&key("a"), LONG).await));
    assert_eq!((two.calls("lease", "busy"), two.calls("lease", "granted")), (1, 1));
}

#[tokio::test]
async fn rulings_25_a_lease_ends_when_its_total_is_used_up() {
    let server = Server::start();
    let settings = Settings { lease: Duration::from_millis(700), ..server.settings() };
    let (one, two) = (Node::with(&settings), Node::new(&server));
    let lease = leased(one.obtain(&key("a"), LONG).await);
    let taken = leased(two.obtain(&key("a"), LONG).await);
    // The first holder releases nothing of the second's any more.
    drop(lease);
    one.put(&key("b"), one.entry(b""), None).await;
    assert!(exists(&server, &two.names(&key("a")).lease(None)));
    drop(taken);
}

#[tokio::test]
async fn a_lease_that_is_gone_is_not_renewed() {
    let server = Server::start();
    let node = Node::new(&server);
    let lease = leased(node.obtain(&key("a"), LONG).await);
    let name = node.names(&key("a")).lease(None);
    server.ask::<()>(&[b"SET", name.as_bytes(), b"somebody else", b"PX", b"60000"]);
    node.counted("lease", "lost", 1).await;
    drop(lease);
    assert!(exists(&server, &name));
}

#[tokio::test]
async fn a_lease_without_a_keeper_is_over_by_itself() {
    let server = Server::start();
    let (one, two) = (Node::new(&server), Node::new(&server));
    let all = one.tier.keepers.clone().try_acquire_many_owned(lease::KEEPERS as u32).unwrap();
    let lease = leased(one.obtain(&key("a"), LONG).await);
    drop(leased(two.obtain(&key("a"), LONG).await));
    one.tier.not_shareable(&key("a"), lease);
    assert_eq!(one.calls("mark", "dropped"), 1);
    // The one who writes still releases it.
    let lease = leased(one.obtain(&key("b"), LONG).await);
    one.put(&key("b"), one.entry(b"x"), Some(lease)).await;
    assert!(!exists(&server, &one.names(&key("b")).lease(None)));
    drop(all);
}

#[tokio::test]
async fn nobody_waits_for_what_can_not_be_shared() {
    let server = Server::start();
    let (one, two) = (Node::new(&server), Node::new(&server));
    let lease = leased(one.obtain(&key("a"), LONG).await);
    let (tier, waiting_key) = (two.tier.clone(), key("a"));
    let waiting = tokio::spawn(async move {
        let request = HeaderMap::new();
        tier.obtain(Wanted { key: &waiting_key, request: &request, patience: LONG }, |_| true).await
    });
    two.counted("get", "miss", 1).await;
    one.tier.not_shareable(&key("a"), lease);
    assert!(matches!(waiting.await.unwrap(), Obtained::NotShareable));
    one.counted("mark", "ok", 1).await;
    assert!(matches!(two.obtain(&key("a"), LONG).await, Obtained::NotShareable));
    assert_eq!((two.calls("lease", "marked"), two.calls("get", "marked")), (1, 1));
    let names = one.names(&key("a"));
    assert!(!exists(&server, &names.lease(None)));
    let left: i64 = server.ask(&[b"PTTL", names.mark().as_bytes()]);
    assert!((1..=5000).contains(&left), "{left}");
    // What can be shared again ends it.
    one.put(&key("a"), one.entry(b"x"), None).await;
    assert!(!exists(&server, &names.mark()));
}

#[tokio::test]
async fn a_large_body_comes_in_pieces_sealed_or_not() {
    let server = Server::start();
    let sealed = Settings { keys: Keys(vec![[3; 32]]), namespace: "sealed".into(), ..server.settings() };
    for settings in [server.settings(), sealed] {
        let (one, two) = (Node::with(&settings), Node::with(&settings));
        for length in [MAX_INLINE, MAX_INLINE + 1, 5 * CHUNK_SIZE, 5 << 20, (5 << 20) + 1] {
            let (key, body) = (key(&length.to_string()), noise(length));
            one.put(&key, one.entry(&body), None).await;
            assert!(two.body(&key, &HeaderMap::new()).await.unwrap() == body, "{length}");
        }
        assert_eq!((one.calls("put", "ok"), two.calls("chunks", "ok")), (5, 4));
    }
}

#[tokio::test]
async fn a_missing_or_bad_piece_is_a_miss() {
    let server = Server::start();
    let node = Node::new(&server);
    for (key, ruin) in [(key("gone"), "missing-chunk"), (key("cut"), "truncated")] {
        node.put(&key, node.entry(&noise(3 * CHUNK_SIZE)), None).await;
        let piece = names(&server).into_iter().find(|name| name.contains(":c:") && name.ends_with(":1"));
        let piece = piece.unwrap();
        let mut bytes: Vec<u8> = server.ask(&[b"GET", piece.as_bytes()]);
        server.ask::<()>(&[b"DEL", piece.as_bytes()]);
        if ruin == "truncated" {
            bytes.pop();
            server.ask::<()>(&[b"SET", piece.as_bytes(), &bytes, b"PX", b"60000"]);
        }
        assert_eq!(node.body(&key, &HeaderMap::new()).await, None);
        assert_eq!((node.calls("chunks", ruin), node.calls("get", ruin)), (1, 1), "{ruin}");
        server.ask::<()>(&[b"FLUSHALL"]);
    }
}

#[tokio::test]
async fn garbage_is_a_miss_with_a_name() {
    let server = Server::start();
    let node = Node::new(&server);
    let (record, vary) = (node.names(&key("a")).record(None), node.names(&key("a")).vary());
    node.put(&key("b"), node.entry(b"of another key"), None).await;
    let foreign: Vec<u8> = server.ask(&[b"GET", node.names(&key("b")).record(None).as_bytes()]);
    for (bytes, why) in [
        (b"x".to_vec(), "truncated"),
        (
            b"no value at all, but as long as the head of one is, or even longer than that".repeat(2),
            "version",
        ),
        (foreign.get(..foreign.len() - 1).unwrap().to_vec(), "truncated"),
        (foreign.clone(), "checksum"),
    ] {
        server.ask::<()>(&[b"SET", record.as_bytes(), &bytes]);
        let before = node.calls("get", why);
        assert_eq!(node.body(&key("a"), &HeaderMap::new()).await, None);
        assert_eq!(node.calls("get", why), before + 1, "{why}");
    }
    // Nothing, something that is no string at all, and a vary record of that kind.
    server.ask::<()>(&[b"SET", record.as_bytes(), b""]);
    assert_eq!(node.body(&key("a"), &HeaderMap::new()).await, None);
    server.ask::<()>(&[b"DEL", record.as_bytes()]);
    server.ask::<i64>(&[b"RPUSH", record.as_bytes(), b"x"]);
    server.ask::<()>(&[b"SET", vary.as_bytes(), b"accept-everything"]);
    assert_eq!(node.body(&key("a"), &HeaderMap::new()).await, None);
    // And none of it is in the way of a good value.
    node.put(&key("a"), node.entry(b"good"), None).await;
    assert_eq!(node.body(&key("a"), &HeaderMap::new()).await.unwrap(), b"good");
}

#[tokio::test]
async fn a_value_that_the_caller_rejects_leads_to_the_lease_and_is_not_sent_again() {
    let server = Server::start();
    let (one, two) = (Node::new(&server), Node::new(&server));
    one.put(&key("a"), one.entry_born(b"purged", 7), None).await;
    let seen = AtomicUsize::new(0);
    let not_purged = |stored: &Stored| {
        seen.fetch_add(1, Ordering::Relaxed);
        stored.meta.born.id > PurgeId(7)
    };
    let request = HeaderMap::new();
    let a = key("a");
    let wanted = |patience| Wanted { key: &a, request: &request, patience };
    let lease = leased(one.tier.obtain(wanted(LONG), not_purged).await);
    assert_eq!(one.calls("get", "rejected"), 1);
    let busy = two.tier.obtain(wanted(Duration::from_millis(200)), not_purged).await;
    assert!(matches!(busy, Obtained::Without(Why::Busy)));
    assert_eq!(seen.load(Ordering::Relaxed), 2, "each node has seen it once");
    one.put(&a, one.entry_born(b"new", 8), Some(lease)).await;
    let new = two.tier.obtain(wanted(LONG), not_purged).await;
    assert!(matches!(new, Obtained::Value(stored) if stored.body.concat() == b"new"));
}

#[tokio::test]
async fn rulings_22_an_older_fill_does_not_replace_a_newer_one() {
    let server = Server::start();
    let node = Node::new(&server);
    // More than 53 bits, and bytes on both sides of 0x80: what Lua's numbers and a locale would get wrong.
    let ids = [0x7fff_ffff_ffff_fffe, 0x7fff_ffff_ffff_ffff, 0x80aa_0000_0000_0001, 0xff00_0000_0000_0080];
    for pair in ids.windows(2) {
        let key = key(&pair[1].to_string());
        node.put(&key, node.entry_born(b"newer", pair[1]), None).await;
        node.put(&key, node.entry_born(&noise(CHUNK_SIZE), pair[0]), None).await;
        assert_eq!(node.body(&key, &HeaderMap::new()).await.unwrap(), b"newer");
        node.put(&key, node.entry_born(b"as new", pair[1]), None).await;
        assert_eq!(node.body(&key, &HeaderMap::new()).await.unwrap(), b"as new");
    }
    assert_eq!((node.calls("put", "superseded"), node.calls("put", "ok")), (3, 6));
    // The pieces of what was not written go.
    until(|| !names(&server).iter().any(|name| name.contains(":c:"))).await;
}

#[tokio::test]
async fn the_lease_of_a_superseded_fill_is_released_too() {
    let server = Server::start();
    let node = Node::new(&server);
    let lease = leased(node.obtain(&key("a"), LONG).await);
    node.put(&key("a"), node.entry_born(b"newer", 9), None).await;
    node.put(&key("a"), node.entry_born(b"older", 8), Some(lease)).await;
    assert!(!exists(&server, &node.names(&key("a")).lease(None)));
}

#[tokio::test]
async fn every_key_has_an_end() {
    let server = Server::start();
    let node = Node::new(&server);
    let large = noise(3 * CHUNK_SIZE);
    node.put(&key("a"), node.entry_for(&large, &[ACCEPT_LANGUAGE], &speaking("de")), None).await;
    node.put(&key("b"), node.entry(b"small"), None).await;
    let marked = leased(node.obtain(&key("c"), LONG).await);
    node.tier.not_shareable(&key("c"), marked);
    node.counted("mark", "ok", 1).await;
    let lease = leased(node.obtain(&key("d"), LONG).await);
    let all = names(&server);
    for kind in [":r", ":r:", ":vary", ":c:", ":m", ":l"] {
        assert!(all.iter().any(|name| name.contains(kind)), "{kind}: {all:?}");
    }
    for name in &all {
        let left: i64 = server.ask(&[b"PTTL", name.as_bytes()]);
        assert!((1..=4_210_000).contains(&left), "{name}: {left}");
        assert_eq!(left > 4_200_000, name.contains(":c:"), "pieces outlive their record: {name}: {left}");
    }
    drop(lease);
}

#[tokio::test]
async fn a_record_of_variants_stays_as_long_as_the_longest_of_them() {
    let server = Server::start();
    let node = Node::new(&server);
    let by = [ACCEPT_LANGUAGE];
    node.put(&key("a"), node.entry_for(b"de", &by, &speaking("de")), None).await;
    let now = node.clock.now().mono;
    let variant = vary::variant(&by, &speaking("en"));
    let brief = Meta { keep: Duration::ZERO, nominated: Arc::from(by.clone()), variant, ..meta(now) };
    let freshness = Freshness { lifetime: Duration::from_secs(5), ..brief.freshness };
    node.put(&key("a"), node.entry_of(Meta { freshness, ..brief }, b"en"), None).await;
    let left = |name: String| server.ask::<i64>(&[b"PTTL", name.as_bytes()]);
    assert!(left(node.names(&key("a")).vary()) > 1_000_000);
    assert!((1..=5000).contains(&left(node.record(&key("a"), &by, &speaking("en")))));
}

#[tokio::test]
async fn what_nobody_has_a_use_for_is_not_written() {
    let server = Server::start();
    let node = Node::new(&server);
    let useless = Meta { keep: Duration::ZERO, ..meta(node.clock.now().mono) };
    let freshness = Freshness { lifetime: Duration::ZERO, ..useless.freshness };
    let lease = leased(node.obtain(&key("a"), LONG).await);
    node.put(&key("a"), node.entry_of(Meta { freshness, ..useless }, b"x"), Some(lease)).await;
    assert_eq!(node.calls("put", "useless"), 1);
    drop(leased(node.obtain(&key("a"), LONG).await));
    assert!(!exists(&server, &node.names(&key("a")).record(None)));
}

#[tokio::test]
async fn pieces_of_a_replaced_body_go_before_their_time() {
    let server = Server::start();
    let node = Node::new(&server);
    node.put(&key("a"), node.entry(&noise(2 * CHUNK_SIZE)), None).await;
    let old: Vec<String> = names(&server).into_iter().filter(|name| name.contains(":c:")).collect();
    assert_eq!(old.len(), 2);
    node.put(&key("a"), node.entry(&noise(2 * CHUNK_SIZE + 1)), None).await;
    for name in names(&server).iter().filter(|name| name.contains(":c:")) {
        let left: i64 = server.ask(&[b"PTTL", name.as_bytes()]);
        assert_eq!(left < 200_000, old.contains(name), "{name}: {left}");
    }
    assert_eq!(node.body(&key("a"), &HeaderMap::new()).await.unwrap().len(), 2 * CHUNK_SIZE + 1);
}

#[tokio::test]
async fn a_full_queue_drops_and_counts_and_frees_the_lease() {
    let server = Server::start();
    let node = Node::with(&Settings { max_object: 1 << 30, ..server.settings() });
    let small = Arc::new(node.entry(b"small"));
    for _ in 0..queue::ITEMS {
        node.tier.put(&key("a"), small.clone(), None);
    }
    assert_eq!(node.calls("put", "dropped"), 0);
    let lease = leased(node.obtain(&key("a"), LONG).await);
    node.tier.put(&key("a"), small.clone(), Some(lease));
    assert_eq!(node.calls("put", "dropped"), 1);
    drop(leased(node.obtain(&key("a"), LONG).await));
}

#[tokio::test]
async fn bytes_of_the_queue_are_bounded_and_given_back() {
    let server = Server::start();
    let node = Node::with(&Settings { max_object: 1 << 30, ..server.settings() });
    let pieces: Vec<Bytes> = std::iter::repeat_n(Bytes::from(vec![0; 1 << 20]), 40).collect();
    let large = Entry::new(meta(node.clock.now().mono), pieces, 40 << 20, None, PreparedHead::default());
    let large = Arc::new(large);
    node.tier.put(&key("a"), large.clone(), None);
    node.tier.put(&key("b"), large.clone(), None);
    assert_eq!(node.calls("put", "dropped"), 1);
    drop(node.tier.queue.pop().await);
    node.tier.put(&key("b"), large, None);
    assert_eq!(node.calls("put", "dropped"), 1);
}

#[tokio::test]
async fn what_is_too_large_stays_here_and_frees_the_lease() {
    let server = Server::start();
    let settings = Settings { max_object: 4, ..server.settings() };
    let node = Node::with(&settings);
    let lease = leased(node.obtain(&key("a"), LONG).await);
    node.tier.put(&key("a"), Arc::new(node.entry(b"12345")), Some(lease));
    assert_eq!(node.calls("put", "too-large"), 1);
    drop(leased(node.obtain(&key("a"), LONG).await));
    // A node that allows more may have put it there.
    let other = Node::new(&server);
    other.put(&key("a"), other.entry(b"12345"), None).await;
    assert_eq!(node.body(&key("a"), &HeaderMap::new()).await, None);
    assert_eq!(node.calls("get", "too-large"), 1);
}

#[tokio::test]
async fn p5_a_full_store_still_answers_and_everybody_may_fetch() {
    let server = Server::start();
    let node = Node::new(&server);
    node.put(&key("a"), node.entry(b"there"), None).await;
    server.ask::<()>(&[b"CONFIG", b"SET", b"maxmemory", b"1"]);
    assert_eq!(node.body(&key("a"), &HeaderMap::new()).await.unwrap(), b"there");
    let (one, two) = (node.obtain(&key("b"), LONG).await, node.obtain(&key("b"), LONG).await);
    assert_eq!(node.calls("lease", "full"), 2);
    drop(leased(two));
    node.put(&key("b"), node.entry(b"no room"), Some(leased(one))).await;
    node.put(&key("c"), node.entry(&noise(3 * CHUNK_SIZE)), None).await;
    assert_eq!((node.calls("put", "full"), node.calls("get", "miss")), (2, 2));
    server.ask::<()>(&[b"CONFIG", b"SET", b"maxmemory", b"0"]);
    assert_eq!(names(&server), [node.names(&key("a")).record(None)]);
}

#[tokio::test]
async fn p5_a_store_that_is_away_fails_nobody() {
    let server = Server::start();
    let node = Node::new(&server);
    drop(server);
    let without = node.obtain(&key("a"), LONG).await;
    let Obtained::Without(Why::Failed(why)) = without else { panic!("{without:?}") };
    assert_eq!(node.calls("get", why.as_str()), 1);
    node.put(&key("a"), node.entry(b"x"), None).await;
    assert_eq!(node.calls("put", "ok"), 0);
}

#[tokio::test]
async fn p5_a_store_that_hangs_costs_no_more_than_the_time_out() {
    let server = Server::start();
    let node = Node::with(&Settings { timeout: Duration::from_millis(50), ..server.settings() });
    drop(leased(node.obtain(&key("a"), LONG).await));
    server.ask::<()>(&[b"CLIENT", b"PAUSE", b"60000", b"ALL"]);
    let before = node.clock.elapsed();
    let without = node.obtain(&key("b"), LONG).await;
    assert!(matches!(without, Obtained::Without(Why::Failed(CallError::Timeout))), "{without:?}");
    assert!(node.clock.elapsed() - before < Duration::from_secs(5));
}

#[tokio::test]
async fn in_a_cluster_all_of_a_key_is_in_one_slot() {
    let server = Server::with(&["--cluster-enabled", "yes"]);
    server.ask::<()>(&[b"CLUSTER", b"ADDSLOTSRANGE", b"0", b"16383"]);
    until(|| server.ask::<String>(&[b"CLUSTER", b"INFO"]).contains("cluster_state:ok")).await;
    let topology = Topology::Cluster(vec![server.address()]);
    let node = Node::with(&Settings { topology, ..server.settings() });
    let body = noise(3 * CHUNK_SIZE);
    let lease = leased(node.obtain_for(&key("a"), &speaking("de"), LONG).await);
    let entry = node.entry_for(&body, &[ACCEPT_LANGUAGE], &speaking("de"));
    node.put(&key("a"), entry, Some(lease)).await;
    assert!(node.body(&key("a"), &speaking("de")).await.unwrap() == body);
    let lease = leased(node.obtain_for(&key("a"), &speaking("fr"), LONG).await);
    node.tier.not_shareable(&key("a"), lease);
    node.counted("mark", "ok", 1).await;
    node.put(&key("a"), node.entry(&noise(2 * CHUNK_SIZE)), None).await;
    assert_eq!(node.calls("put", "ok"), 2);
}

#[test]
fn every_word_is_announced_once() {
    let all: Vec<_> = announced().collect();
    let mut different = all.clone();
    different.sort_unstable();
    different.dedup();
    assert_eq!(all.len(), different.len());
}
