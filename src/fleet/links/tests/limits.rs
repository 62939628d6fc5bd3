//! Time, breakers, connections: what a store that is slow, silent or away may cost.

use super::connection::MOST_OUTSTANDING;
use super::fake::{Act, Fake, say};
use super::*;
use std::sync::atomic::AtomicUsize;
use tokio::sync::Notify;
use tokio::task::JoinSet;

const SHORT: Duration = Duration::from_millis(20);

fn links_with(address: &Address) -> (Arc<Links>, Clock) {
    let clock = Clock::manual();
    (Links::new(&settings(Topology::Standalone(address.clone())), clock.clone()), clock)
}

fn get() -> Pipeline {
    pipe(&[&["GET", "a"]])
}

/// A call, and a time limit of the test's own that is never reached.
async fn call(links: &Links, role: Role, patience: Duration) -> Result<Vec<Value>, CallError> {
    tokio::time::timeout(AMPLE, links.call(role, b"a", &get(), patience)).await.expect("a call hangs")
}

#[tokio::test]
async fn a_store_that_never_answers_costs_a_caller_its_patience_and_then_nothing() {
    let fake = Fake::start(|_, _| Act::Nothing).await;
    let (links, clock) = links_with(&fake.address);
    for _ in 0..5 {
        assert_eq!(call(&links, Role::Small, SHORT).await, Err(CallError::Timeout));
    }
    assert!(state(&links, Role::Small).breaker_open);
    assert_eq!(call(&links, Role::Small, AMPLE).await, Err(CallError::BreakerOpen));
    clock.advance(Duration::from_secs(2));
    assert_eq!(call(&links, Role::Small, SHORT).await, Err(CallError::Timeout), "one call tries again");
    assert_eq!(call(&links, Role::Small, AMPLE).await, Err(CallError::BreakerOpen));
    assert!(!state(&links, Role::Bulk).breaker_open, "other roles have breakers of their own");
}

#[tokio::test]
async fn a_store_that_does_not_even_accept_costs_no_more() {
    // The kernel takes the connection, nobody ever answers AUTH.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings =
        settings(Topology::Standalone(address("127.0.0.1", listener.local_addr().unwrap().port())));
    settings.auth.password = Some("secret".into());
    let links = Links::new(&settings, Clock::manual());
    assert_eq!(call(&links, Role::Small, SHORT).await, Err(CallError::Timeout));
    assert_eq!(call(&links, Role::Small, SHORT).await, Err(CallError::Timeout));
    assert_eq!(state(&links, Role::Small).connected, 0);
}

#[tokio::test]
async fn a_store_that_is_away_is_not_dialled_again_at_once() {
    let dial = Counted::new();
    let clock = Clock::manual();
    let nobody = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        address("127.0.0.1", listener.local_addr().unwrap().port())
    };
    let links = Links::with_dial(&settings(Topology::Standalone(nobody)), clock.clone(), dial.clone());
    for _ in 0..3 {
        assert_eq!(call(&links, Role::Small, AMPLE).await, Err(CallError::Connect));
    }
    assert_eq!(dial.times(), 1);
    clock.advance(Duration::from_millis(50));
    assert_eq!(call(&links, Role::Small, AMPLE).await, Err(CallError::Connect));
    assert_eq!(dial.times(), 2);
    // The fifth failure in a row.
    assert_eq!(call(&links, Role::Small, AMPLE).await, Err(CallError::Connect));
    assert_eq!(call(&links, Role::Small, AMPLE).await, Err(CallError::BreakerOpen));
}

#[tokio::test]
async fn the_log_is_tried_again_after_a_second_though_the_breaker_is_set_to_longer() {
    let fake = Fake::start(|_, _| say("-READONLY no")).await;
    let mut settings = settings(Topology::Standalone(fake.address.clone()));
    settings.breaker = settings::Breaker { failures: 1, open_for: Duration::from_secs(60) };
    let clock = Clock::manual();
    let links = Links::new(&settings, clock.clone());
    for role in Role::ALL {
        assert_eq!(call(&links, role, AMPLE).await, Err(CallError::NotNow));
        assert_eq!(call(&links, role, AMPLE).await, Err(CallError::BreakerOpen));
    }
    clock.advance(Duration::from_secs(1));
    for role in Role::ALL {
        let soon = matches!(role, Role::Tail | Role::Sync | Role::Append);
        let expected = if soon { CallError::NotNow } else { CallError::BreakerOpen };
        assert_eq!(call(&links, role, AMPLE).await, Err(expected), "{role:?}");
    }
}

#[tokio::test]
async fn a_call_that_works_closes_the_breaker() {
    let broken = Arc::new(AtomicUsize::new(1));
    let asked = Arc::clone(&broken);
    let fake = Fake::start(move |_, _| match asked.load(Ordering::SeqCst) {
        0 => say("+OK"),
        _ => say("-LOADING soon"),
    })
    .await;
    let (links, clock) = links_with(&fake.address);
    for _ in 0..5 {
        assert_eq!(call(&links, Role::Small, AMPLE).await, Err(CallError::NotNow));
    }
    assert_eq!(call(&links, Role::Small, AMPLE).await, Err(CallError::BreakerOpen));
    broken.store(0, Ordering::SeqCst);
    clock.advance(Duration::from_secs(2));
    assert!(call(&links, Role::Small, AMPLE).await.is_ok());
    assert_eq!(
        state(&links, Role::Small),
        RoleState { role: Role::Small, connected: 1, breaker_open: false }
    );
}

#[tokio::test]
async fn a_late_answer_is_nobodys() {
    let gate = Arc::new(Notify::new());
    let told = Arc::clone(&gate);
    let fake = Fake::start(move |_, command| match command {
        "GET slow" => Act::SayAfter(Arc::clone(&told), b"$4\r\nslow\r\n".to_vec()),
        _ => say("$4\r\nfast"),
    })
    .await;
    let (links, _) = links_with(&fake.address);
    let slow = pipe(&[&["GET", "slow"]]);
    assert_eq!(links.call(Role::Small, b"slow", &slow, SHORT).await, Err(CallError::Timeout));
    let (fast, ()) = tokio::join!(call(&links, Role::Small, AMPLE), async { gate.notify_one() });
    assert_eq!(fast, Ok(vec![bulk("fast")]));
    assert_eq!(fake.connections(), 1, "one call that ran out of time is no reason to reconnect");
}

#[tokio::test]
async fn a_connection_that_brings_nothing_is_thrown_away() {
    let fake = Fake::start(|connection, _| if connection == 1 { Act::Nothing } else { say("+OK") }).await;
    let (links, clock) = links_with(&fake.address);
    // Three calls that run out at one moment are one sign.
    let mut calls = JoinSet::new();
    for _ in 0..3 {
        let links = Arc::clone(&links);
        calls.spawn(async move { call(&links, Role::Small, SHORT).await });
    }
    assert!(calls.join_all().await.iter().all(|outcome| *outcome == Err(CallError::Timeout)));
    assert_eq!(state(&links, Role::Small).connected, 1);
    clock.advance(Duration::from_millis(150));
    assert_eq!(call(&links, Role::Small, SHORT).await, Err(CallError::Timeout));
    assert_eq!(state(&links, Role::Small).connected, 0);
    assert!(call(&links, Role::Small, AMPLE).await.is_ok());
    assert_eq!(fake.connections(), 2);
}

#[tokio::test]
async fn a_connection_that_was_silent_for_a_second_is_thrown_away_with_the_first_call_that_runs_out() {
    let fake = Fake::start(|connection, _| if connection == 1 { Act::Nothing } else { say("+OK") }).await;
    let (links, clock) = links_with(&fake.address);
    let (waiting, ()) = tokio::join!(call(&links, Role::Tail, Duration::from_millis(200)), async {
        eventually("heard", || async { !fake.heard().is_empty() }).await;
        clock.advance(Duration::from_millis(1001));
    });
    assert_eq!(waiting, Err(CallError::Timeout));
    assert_eq!(state(&links, Role::Tail).connected, 0);
    assert!(call(&links, Role::Tail, AMPLE).await.is_ok());
}

#[tokio::test]
async fn a_connection_that_died_in_the_meantime_costs_no_call() {
    let fake = Fake::start(|connection, _| match connection {
        1 => Act::SayAndHangUp(b"+OK\r\n".to_vec()),
        _ => say("+OK"),
    })
    .await;
    let (links, _) = links_with(&fake.address);
    assert!(call(&links, Role::Small, AMPLE).await.is_ok());
    eventually("noticed", || async { state(&links, Role::Small).connected == 0 }).await;
    assert!(call(&links, Role::Small, AMPLE).await.is_ok());
}

#[tokio::test]
async fn a_blocking_read_holds_up_nobody_else() {
    let fake = Fake::start(|connection, _| if connection == 1 { Act::Nothing } else { say("+OK") }).await;
    let (links, _) = links_with(&fake.address);
    let tail = tokio::spawn({
        let links = Arc::clone(&links);
        async move { call(&links, Role::Tail, AMPLE).await }
    });
    eventually("the tail waits", || async { fake.connections() == 1 && fake.heard().len() == 1 }).await;
    for role in [Role::Sync, Role::Append, Role::Small, Role::Bulk, Role::Write] {
        assert!(call(&links, role, AMPLE).await.is_ok(), "{role:?}");
    }
    assert_eq!(fake.connections(), 6);
    tail.abort();
}

#[tokio::test]
async fn bodies_have_a_second_connection_when_the_first_is_busy() {
    let gate = Arc::new(Notify::new());
    let told = Arc::clone(&gate);
    let fake = Fake::start(move |connection, _| match connection {
        1 => Act::SayAfter(Arc::clone(&told), b"+FIRST\r\n".to_vec()),
        _ => say("+SECOND"),
    })
    .await;
    let (links, _) = links_with(&fake.address);
    let spawn = || {
        let links = Arc::clone(&links);
        tokio::spawn(async move { call(&links, Role::Bulk, AMPLE).await })
    };
    let first = spawn();
    eventually("the first waits", || async { fake.heard().len() == 1 }).await;
    let second = spawn();
    eventually("another is made", || async { state(&links, Role::Bulk).connected == 2 }).await;
    assert_eq!(call(&links, Role::Bulk, AMPLE).await, Ok(vec![Value::SimpleString("SECOND".to_owned())]));
    gate.notify_one();
    first.await.unwrap().unwrap();
    gate.notify_one();
    second.await.unwrap().unwrap();
    assert_eq!(fake.connections(), 2);
}

#[tokio::test]
async fn beyond_a_thousand_calls_under_way_there_is_no_queue() {
    let fake = Fake::start(|_, _| Act::Nothing).await;
    let (links, clock) = links_with(&fake.address);
    let mut calls = JoinSet::new();
    for _ in 0..MOST_OUTSTANDING {
        let links = Arc::clone(&links);
        calls.spawn(async move { call(&links, Role::Small, AMPLE).await });
    }
    let sent = usize::try_from(MOST_OUTSTANDING).unwrap();
    eventually("all are under way", || async { fake.heard().len() == sent }).await;
    for _ in 0..10 {
        assert_eq!(call(&links, Role::Small, AMPLE).await, Err(CallError::NotNow));
    }
    assert!(!state(&links, Role::Small).breaker_open, "a limit of ours says nothing about the store");

    // Callers that have given up make no room, an answer would; and a connection that is full and silent is replaced.
    calls.shutdown().await;
    assert_eq!(call(&links, Role::Small, AMPLE).await, Err(CallError::NotNow));
    clock.advance(Duration::from_millis(1001));
    assert_eq!(call(&links, Role::Small, SHORT).await, Err(CallError::Timeout));
    assert_eq!(fake.connections(), 2);
}

#[tokio::test]
async fn connecting_is_shared_and_outlives_the_callers_that_gave_up() {
    let fake = Fake::start(|_, _| say("+OK")).await;
    let dial = Counted::gated();
    let links = Links::with_dial(
        &settings(Topology::Standalone(fake.address.clone())),
        Clock::manual(),
        dial.clone(),
    );
    for _ in 0..3 {
        assert_eq!(call(&links, Role::Small, SHORT).await, Err(CallError::Timeout));
    }
    let mut calls = JoinSet::new();
    for _ in 0..20 {
        let links = Arc::clone(&links);
        calls.spawn(async move { call(&links, Role::Small, AMPLE).await });
    }
    dial.gate.notify_one();
    assert!(calls.join_all().await.iter().all(Result::is_ok));
    assert_eq!((dial.times(), fake.connections()), (1, 1));
}

#[tokio::test]
async fn a_caller_that_goes_away_takes_nothing_with_it() {
    let fake = Fake::start(|_, _| say("+OK")).await;
    let (links, _) = links_with(&fake.address);
    for _ in 0..50 {
        let commands = get();
        let mut call = std::pin::pin!(links.call(Role::Small, b"a", &commands, AMPLE));
        let once = std::future::poll_fn(|cx| {
            let _ = call.as_mut().poll(cx);
            std::task::Poll::Ready(())
        });
        once.await;
    }
    assert!(call(&links, Role::Small, AMPLE).await.is_ok());
    assert!(!state(&links, Role::Small).breaker_open);
    assert_eq!(fake.connections(), 1);
}

/// Counts the times it dials; may wait to be let go.
#[derive(Debug)]
struct Counted {
    times: AtomicUsize,
    gated: bool,
    gate: Notify,
}

impl Counted {
    fn new() -> Arc<Self> {
        Arc::new(Self { times: AtomicUsize::new(0), gated: false, gate: Notify::new() })
    }

    fn gated() -> Arc<Self> {
        Arc::new(Self { times: AtomicUsize::new(0), gated: true, gate: Notify::new() })
    }

    fn times(&self) -> usize {
        self.times.load(Ordering::SeqCst)
    }
}

impl Dial for Counted {
    fn dial<'a>(&'a self, address: &'a Address) -> Dialling<'a> {
        Box::pin(async move {
            self.times.fetch_add(1, Ordering::SeqCst);
            if self.gated {
                self.gate.notified().await;
            }
            let tcp = tokio::net::TcpStream::connect((&*address.host, address.port)).await?;
            Ok(Box::new(tcp) as Stream)
        })
    }
}
