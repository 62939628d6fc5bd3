//! What can be held as a table: URLs, slots, maps, the breaker's rules, one attempt at a time.

use super::breaker::Verdict;
use super::cluster::{parse, slot};
use super::error::Meaning;
use super::single::Single;
use super::*;
use std::sync::atomic::AtomicUsize;
use tokio::sync::Notify;

fn standalone(host: &str, port: u16) -> Topology {
    Topology::Standalone(address(host, port))
}

fn auth(username: Option<&str>, password: Option<&str>) -> Auth {
    Auth { username: username.map(Into::into), password: password.map(Into::into) }
}

#[test]
fn urls_say_where_the_store_is_and_who_we_are() {
    let none = auth(None, None);
    let cases = [
        ("redis://127.0.0.1", standalone("127.0.0.1", 6379), false, none.clone(), 0),
        ("redis://cache.example:7000/3", standalone("cache.example", 7000), false, none.clone(), 3),
        ("REDIS://h/", standalone("h", 6379), false, none.clone(), 0),
        ("rediss://h", standalone("h", 6379), true, none.clone(), 0),
        ("redis://[::1]:6380", standalone("::1", 6380), false, none.clone(), 0),
        ("redis://[2001:db8::1]", standalone("2001:db8::1", 6379), false, none.clone(), 0),
        ("redis://:secret@h", standalone("h", 6379), false, auth(None, Some("secret")), 0),
        ("redis://larder:secret@h:1/2", standalone("h", 1), false, auth(Some("larder"), Some("secret")), 2),
        ("redis://a%40b:c%3Ad%2F%25@h", standalone("h", 6379), false, auth(Some("a@b"), Some("c:d/%")), 0),
        ("redis://u:p@ss@h", standalone("h", 6379), false, auth(Some("u"), Some("p@ss")), 0),
        ("redis://@h", standalone("h", 6379), false, none.clone(), 0),
        (
            "redis+cluster://h1,h2:7001,[::1]:7002",
            Topology::Cluster(vec![address("h1", 6379), address("h2", 7001), address("::1", 7002)]),
            false,
            none.clone(),
            0,
        ),
        (
            "rediss+cluster://:p@h1/0",
            Topology::Cluster(vec![address("h1", 6379)]),
            true,
            auth(None, Some("p")),
            0,
        ),
        (
            "redis+sentinel://s1,s2:5000/mymaster",
            Topology::Sentinel {
                sentinels: vec![address("s1", 26379), address("s2", 5000)],
                master: "mymaster".into(),
            },
            false,
            none.clone(),
            0,
        ),
        (
            "rediss+sentinel://u:p@s1/my%20master/4",
            Topology::Sentinel { sentinels: vec![address("s1", 26379)], master: "my master".into() },
            true,
            auth(Some("u"), Some("p")),
            4,
        ),
    ];
    for (text, topology, tls, auth, db) in cases {
        assert_eq!(url::parse(text), Ok((topology, tls, auth, db)), "{text}");
    }
}

#[test]
fn urls_that_say_nothing_clear_are_refused_without_repeating_a_password() {
    let cases = [
        ("localhost:6379", "no scheme"),
        ("http://h", "the scheme"),
        ("redis://", "empty host"),
        ("redis://h:0", "the port"),
        ("redis://h:65536", "the port"),
        ("redis://h:", "the port"),
        ("redis://::1", "without brackets"),
        ("redis://[::1", "a [ without a ]"),
        ("redis://[nonsense]", "no IPv6"),
        ("redis://[::1]x", "between ] and the port"),
        ("redis://h1,h2", "several hosts"),
        ("redis://h/one", "number of a database"),
        ("redis://h/-1", "number of a database"),
        ("redis://h/1/2", "number of a database"),
        ("redis://h?db=1", "no parameters"),
        ("redis://h/#1", "no parameters"),
        ("redis://user@h", "user without a password"),
        ("redis://:%ff@h", "no UTF-8"),
        ("redis+cluster://h1,,h2", "empty host"),
        ("redis+cluster://h1/1", "number 0 only"),
        ("redis+sentinel://h1", "names no master"),
        ("redis+sentinel://h1/name/x", "number of a database"),
        ("redis://a b", "white space"),
        ("redis://u:hunter2@h:x", "the port"),
        ("redis://u:hunter2/x@h", "%2F"),
        ("redis://u:x/hunter2@h", "%2F"),
    ];
    for (text, why) in cases {
        let error = url::parse(text).unwrap_err();
        assert!(error.contains(why), "{text}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn the_slot_of_a_key_is_that_of_its_tag() {
    let cases = [
        ("123456789", 12739),
        ("foo", 12182),
        ("bar", 5061),
        ("foo{bar}baz", 5061),
        ("{bar}{foo}", 5061),
        ("{user1000}.following", 3443),
        ("", 0),
    ];
    for (key, expected) in cases {
        assert_eq!(slot(key.as_bytes()), expected, "{key}");
    }
    // An empty tag, or one that doesn't end, is none.
    assert_ne!(slot(b"foo{}{bar}"), slot(b"bar"));
    assert_ne!(slot(b"foo{bar"), slot(b"bar"));
    assert_eq!(slot(b"foo{{bar}}zap"), slot(b"{bar"));
}

fn row(first: i64, last: i64, host: Value, port: i64) -> Value {
    let node = Value::Array(vec![host, Value::Int(port), bulk("id")]);
    Value::Array(vec![Value::Int(first), Value::Int(last), node])
}

#[test]
fn cluster_slots_are_read_row_by_row_and_what_makes_no_sense_is_passed_over() {
    let asked = address("asked", 1);
    let answer = Value::Array(vec![
        row(0, 5460, bulk("a"), 7000),
        row(5461, 10922, bulk(""), 7001),
        row(10923, 12000, Value::Nil, 7001),
        row(12001, 12001, bulk("?"), 7002),
        row(12002, 70000, bulk("b"), 7002),
        row(9, 3, bulk("b"), 7002),
        row(12003, 12004, bulk("b"), 70000),
        row(-1, 12004, bulk("b"), 7002),
        Value::Array(vec![]),
        Value::Okay,
        row(16383, 16383, bulk("c"), 7003),
    ]);
    let map = parse(&answer, &asked).unwrap();
    assert_eq!(map.masters(), [address("a", 7000), address("asked", 7001), address("c", 7003)]);
    let owners = [
        (0, Some("a")),
        (5460, Some("a")),
        (5461, Some("asked")),
        (12000, Some("asked")),
        (12001, None),
        (16382, None),
        (16383, Some("c")),
        (16384, None),
    ];
    for (slot, owner) in owners {
        assert_eq!(map.master(slot).map(|a| &*a.host), owner, "{slot}");
    }
    for nothing in [Value::Nil, Value::Array(vec![]), Value::Array(vec![Value::Int(1)])] {
        assert!(parse(&nothing, &asked).is_err(), "{nothing:?}");
    }
}

#[test]
fn error_replies_mean_what_they_say() {
    let to = |ask, host: &str, port| Meaning::Redirect { ask, to: address(host, port) };
    let cases = [
        ("MOVED 3999 10.0.0.1:6381", to(false, "10.0.0.1", 6381)),
        ("ASK 3999 2001:db8::1:6381", to(true, "2001:db8::1", 6381)),
        ("MOVED 3999 :6381", to(false, "", 6381)),
        ("MOVED 3999", Meaning::Plain),
        ("MOVED 3999 host:port", Meaning::Plain),
        ("TRYAGAIN Multiple keys request during rehashing of slot", Meaning::Again),
        ("CLUSTERDOWN The cluster is down", Meaning::Again),
        ("OOM command not allowed when used memory > 'maxmemory'.", Meaning::Fault(CallError::Full)),
        ("READONLY You can't write against a read only replica.", Meaning::Fault(CallError::NotNow)),
        ("LOADING Redis is loading the dataset in memory", Meaning::Fault(CallError::NotNow)),
        ("MASTERDOWN Link with MASTER is down", Meaning::Fault(CallError::NotNow)),
        ("NOREPLICAS Not enough good replicas to write.", Meaning::Fault(CallError::NotNow)),
        ("MISCONF Redis is configured to save RDB snapshots", Meaning::Fault(CallError::NotNow)),
        ("BUSY Redis is busy running a script.", Meaning::Fault(CallError::NotNow)),
        ("UNBLOCKED force unblock from blocking operation", Meaning::Fault(CallError::NotNow)),
        ("NOAUTH Authentication required.", Meaning::Fault(CallError::Connect)),
        ("ERR max number of clients reached", Meaning::Fault(CallError::Connect)),
        ("DENIED Redis is running in protected mode", Meaning::Fault(CallError::Connect)),
        ("ERR unknown command", Meaning::Plain),
        ("WRONGTYPE Operation against a key", Meaning::Plain),
        ("NOPERM User has no permissions", Meaning::Plain),
        ("", Meaning::Plain),
    ];
    for (reply, expected) in cases {
        let Ok(Value::ServerError(e)) = redis::parse_redis_value(format!("-{reply}\r\n").as_bytes()) else {
            panic!("{reply}");
        };
        assert_eq!(error::meaning(&e), expected, "{reply}");
    }
}

#[test]
fn names_of_errors_are_distinct() {
    let names: std::collections::HashSet<_> = CallError::ALL.iter().map(|e| e.as_str()).collect();
    assert_eq!(names.len(), CallError::ALL.len());
    assert_eq!(CallError::NotNow.to_string(), "not-now");
    for (place, role) in Role::ALL.into_iter().enumerate() {
        assert_eq!(role as usize, place, "Links::finding relies on it");
    }
}

#[test]
fn the_breaker_opens_after_failures_in_a_row_and_closes_by_one_call_that_works() {
    let clock = Clock::manual();
    let settings = settings::Breaker { failures: 3, open_for: Duration::from_secs(2) };
    let breaker = Breaker::new(settings, "test".to_owned());
    let now = || clock.now().mono;
    let judge = |verdict| breaker.enter(now()).unwrap().judge(verdict, now(), "");

    // Not in a row.
    for verdict in [Verdict::Fails, Verdict::Fails, Verdict::Works, Verdict::Fails, Verdict::Fails] {
        judge(verdict);
    }
    assert!(!breaker.is_open());
    let late = breaker.enter(now()).unwrap();
    judge(Verdict::Fails);
    assert!(breaker.is_open());
    assert_eq!(breaker.enter(now()).unwrap_err().why, CallError::BreakerOpen);

    // What began before it opened says nothing.
    late.judge(Verdict::Works, now(), "");
    assert!(breaker.is_open());

    clock.advance(Duration::from_millis(1999));
    assert!(breaker.enter(now()).is_err());
    clock.advance(Duration::from_millis(1));
    let probe = breaker.enter(now()).unwrap();
    assert!(breaker.enter(now()).is_err(), "one probe at a time");
    probe.judge(Verdict::Fails, now(), "");
    assert!(breaker.enter(now()).is_err(), "a probe that fails opens it again");

    clock.advance(Duration::from_secs(2));
    drop(breaker.enter(now()).unwrap());
    let probe = breaker.enter(now()).expect("a probe that was given up lets the next one try");
    probe.judge(Verdict::Works, now(), "");
    assert!(!breaker.is_open());
    judge(Verdict::Fails);
    assert!(!breaker.is_open(), "it counts from nothing again");
}

#[tokio::test]
async fn an_attempt_is_shared_outlives_its_caller_and_is_followed_by_a_pause_when_it_fails() {
    let clock = Clock::manual();
    let single = Single::<u32>::new(None, clock.clone());
    let (begun, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let attempt = |outcome: Result<u32, Fault>| {
        let (begun, gate) = (Arc::clone(&begun), Arc::clone(&gate));
        move || {
            begun.fetch_add(1, Ordering::SeqCst);
            async move {
                gate.notified().await;
                outcome
            }
        }
    };

    // Two callers, one attempt; both give up, it goes on.
    let short = Duration::from_millis(1);
    assert!(tokio::time::timeout(short, single.get(attempt(Ok(7)))).await.is_err());
    assert!(tokio::time::timeout(short, single.get(attempt(Ok(8)))).await.is_err());
    gate.notify_one();
    assert_eq!(single.get(attempt(Ok(9))).await.unwrap(), 7);
    assert_eq!(begun.load(Ordering::SeqCst), 1);

    // A renewal keeps what is there until there is something newer.
    single.renew(attempt(Ok(10)));
    assert_eq!(single.value(), Some(7));
    gate.notify_one();
    eventually("renewed", || async { single.value() == Some(10) }).await;

    // After a failure calls fail at once, and longer each time.
    single.forget(|value| *value == 7);
    assert_eq!(single.value(), Some(10), "that is another one");
    single.forget(|value| *value == 10);
    gate.notify_one();
    let gone = || Fault::new(CallError::Connect, "gone");
    assert_eq!(single.get(attempt(Err(gone()))).await.unwrap_err().why, CallError::Connect);
    let before = begun.load(Ordering::SeqCst);
    assert_eq!(&*single.get(attempt(Ok(11))).await.unwrap_err().detail, "gone");
    single.renew(attempt(Ok(11)));
    assert_eq!(begun.load(Ordering::SeqCst), before, "nothing is tried in the pause");
    clock.advance(Duration::from_millis(50));
    gate.notify_one();
    assert!(single.get(attempt(Err(gone()))).await.is_err());
    assert_eq!(begun.load(Ordering::SeqCst), before + 1);
    clock.advance(Duration::from_millis(49));
    assert!(single.get(attempt(Ok(12))).await.is_err());
    assert_eq!(begun.load(Ordering::SeqCst), before + 1, "the second pause is longer than the first");
    clock.advance(Duration::from_millis(51));
    gate.notify_one();
    assert_eq!(single.get(attempt(Ok(12))).await.unwrap(), 12);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_ends_by_itself() {
    let single = Single::<u32>::new(None, Clock::manual());
    let fault = single.get(std::future::pending).await.unwrap_err();
    assert_eq!(fault.why, CallError::Connect);
}

#[test]
fn an_attempt_that_died_with_its_runtime_is_no_attempt() {
    let single = Single::<u32>::new(None, Clock::manual());
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let gone = runtime();
    gone.block_on(async { single.renew(std::future::pending) });
    drop(gone);
    let got = runtime().block_on(single.get(|| std::future::ready(Ok(1))));
    assert_eq!(got.unwrap(), 1);
}
