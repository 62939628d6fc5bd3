//! Everything that can be wrong with one store, one after the other. In every case: clients see no error; what a request
//! waits for the store stays under `shared.timeout` and is nothing once the breaker is open; no old content is served as fresh
//! beyond `max_unsynced`; and the fleet recovers by itself. The figures are printed.

use crate::support::*;
use std::time::Duration;

const TIMEOUT: Duration = ms(100);
const MAX_UNSYNCED: Duration = ms(1500);

/// What a request may take beyond all reasons. How often the machine itself makes more of it, as it may run other things at the
/// time, shows on a node that has no store: whatever happens to that one is not the store's doing.
const SLACK: Duration = ms(150);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// SIGSTOP.
    Stopped,
    Killed,
    RestartedEmpty,
    Flushed,
    /// `-OOM` to every write.
    Full,
    /// Bytes that are no RESP.
    Rubbish,
    /// RESP, but not what was asked for.
    Lies,
    /// 200 ms later than asked for: longer than the time-out.
    Slow,
    Reset,
    Cut,
    Throttled,
    NothingArrives,
    NothingComesBack,
}

impl Trouble {
    async fn begin(self, fleet: &mut Fleet) {
        let all = |fleet: &Fleet, fault| fleet.nodes.iter().for_each(|node| node.proxy().set(fault));
        match self {
            Self::Stopped => fleet.server().pause().await,
            Self::Killed => fleet.server_mut().kill(),
            Self::RestartedEmpty => fleet.server_mut().restart_empty().await,
            Self::Flushed => fleet.server().tell::<()>(&["FLUSHALL"]).await,
            Self::Full => fleet.server().tell::<()>(&["CONFIG", "SET", "maxmemory", "1"]).await,
            Self::Rubbish => {
                all(fleet, Fault::Answer(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n\x00\xff"))
            }
            Self::Lies => all(fleet, Fault::Answer(b"*2\r\n:42\r\n$5\r\nhello\r\n+OK\r\n")),
            Self::Slow => all(fleet, Fault::Delay(ms(200))),
            Self::Reset => all(fleet, Fault::Reset),
            Self::Cut => all(fleet, Fault::Cut(5)),
            Self::Throttled => all(fleet, Fault::Throttle(200)),
            Self::NothingArrives => all(fleet, Fault::BlackHole(Way::ToServer)),
            Self::NothingComesBack => all(fleet, Fault::BlackHole(Way::FromServer)),
        }
    }

    async fn end(self, fleet: &mut Fleet) {
        match self {
            Self::Stopped => fleet.server().resume(),
            Self::Killed => fleet.server_mut().restart().await,
            Self::RestartedEmpty | Self::Flushed => {}
            Self::Full => fleet.server().tell::<()>(&["CONFIG", "SET", "maxmemory", "0"]).await,
            _ => fleet.nodes.iter().for_each(|node| node.proxy().heal()),
        }
    }

    /// Whether it is over by itself the moment that it has happened.
    fn is_momentary(self) -> bool {
        matches!(self, Self::RestartedEmpty | Self::Flushed)
    }
}

/// One cold page after the other, on one node after the other, and each on the node without a store.
#[derive(Default)]
struct Probe {
    asked: usize,
    took: Vec<Duration>,
    /// While the breaker of look-ups was open.
    unbothered: Vec<Duration>,
    /// Without a store.
    alone: Vec<Duration>,
}

impl Probe {
    async fn ask(&mut self, fleet: &Fleet, alone: &Node, name: &str) {
        self.asked += 1;
        let node = &fleet.nodes[self.asked % 2];
        let is_open = async || node.metric("larder_shared_breaker_open", &[("role", "small")]).await > 0.0;
        let open = is_open().await;
        let answer = node.get(&format!("/{name}/{}", self.asked)).await;
        assert_eq!(answer.version(), 1);
        self.took.push(answer.took);
        self.alone.push(alone.get(&format!("/{name}/{}", self.asked)).await.took);
        if open && is_open().await {
            self.unbothered.push(answer.took);
        }
    }
}

async fn endure(engine: &Engine, trouble: Trouble) {
    let plan = Fleet::plan().shared("timeout", "100ms").shared("max_unsynced", "1500ms");
    let mut fleet = plan.start(engine).await;
    fleet.share("/a").await;
    fleet.nodes[1].get("/a").await.version();
    let yaml = format!(
        "log: {{ access: off }}\norigins: {{ app: {{ servers: [\"http://{}\"] }} }}\n",
        fleet.origin.address
    );
    let alone = Node::start("alone", "", &yaml, None).await;
    let mut quiet = Probe::default();
    for _ in 0..30 {
        quiet.ask(&fleet, &alone, "quiet").await;
    }
    let usual = quantile(&mut quiet.took, 0.5);

    trouble.begin(&mut fleet).await;
    let began = now();
    let version = fleet.origin.bump("/a");
    let receipt = fleet.nodes[0].purge_page("/a", "node").await;
    assert!(matches!(receipt.status, 200 | 202), "{}", receipt.said);
    assert_eq!(fleet.nodes[0].get("/a").await.version(), version, "where it was purged it holds at once");
    let mut probe = Probe::default();
    let mut fresh_after = None;
    let window = if trouble.is_momentary() { ms(0) } else { MAX_UNSYNCED + ms(700) };
    while fresh_after.is_none() || now() - began < window {
        probe.ask(&fleet, &alone, "troubled").await;
        let answer = fleet.nodes[1].get("/a").await;
        if answer.version() == version {
            fresh_after.get_or_insert(answer.began.saturating_sub(receipt.at));
        } else {
            let late = answer.began.saturating_sub(receipt.at);
            assert!(late < MAX_UNSYNCED, "{trouble:?}: old content {late:?} after the purge");
        }
    }
    let worst = quantile(&mut probe.took, 1.0);
    let open = quantile(&mut probe.unbothered, 0.5);
    let opened = !probe.unbothered.is_empty();
    let plain = quantile(&mut probe.alone, 0.5).max(usual);
    if opened {
        assert!(
            open < plain + TIMEOUT / 2,
            "{trouble:?}: {open:?} although the breaker is open, usually {usual:?}"
        );
    }
    let late = |took: &[Duration], limit| took.iter().filter(|took| **took > limit).count();
    let (delayed, machine) = (late(&probe.took, usual + TIMEOUT + SLACK), late(&probe.alone, usual + SLACK));
    assert!(
        delayed <= 2 + 3 * machine,
        "{trouble:?}: {delayed} requests were late, {worst:?} at worst, and {machine} without a store; usually {usual:?}"
    );

    trouble.end(&mut fleet).await;
    let ended = if trouble.is_momentary() { began } else { now() };
    let mut page = 0;
    eventually("a value that goes from node to node", PATIENCE, async || {
        page += 1;
        let path = format!("/well/{page}");
        let before = fleet.nodes[0].puts().await;
        fleet.nodes[0].get(&path).await.version();
        let stored = async || fleet.nodes[0].puts().await > before;
        let begin = now();
        while !stored().await && now() - begin < ms(200) {
            tokio::time::sleep(ms(5)).await;
        }
        fleet.nodes[1].get(&path).await.is_hit()
    })
    .await;
    let values = now() - ended;
    fleet.assembled().await;
    let purges = now() - ended;
    assert_eq!(fleet.nodes[1].get("/a").await.version(), version, "nothing of it is lost");
    eprintln!(
        "{trouble:?} on {}: {} requests, usually {usual:?}; in trouble p50 {:?}, worst {worst:?}, {delayed} late ({machine} without a store); breaker open: {}; \
         purge answered {} after {:?}, respected by the other node {}; well again: values {values:?}, purges {purges:?}",
        engine.name,
        probe.took.len(),
        quantile(&mut probe.took, 0.5),
        if opened { format!("p50 {open:?}") } else { "never".into() },
        receipt.status,
        receipt.took,
        fresh_after.map_or(String::new(), |d| format!("{d:?} after that")),
    );
}

macro_rules! endured {
    ($($name:ident: $trouble:ident,)*) => { $(
        scenario! {
            async fn $name(engine: Engine) {
                endure(&engine, Trouble::$trouble).await;
            }
        }
    )* };
}

endured! {
    the_store_is_stopped: Stopped,
    the_store_is_killed: Killed,
    the_store_is_restarted_empty: RestartedEmpty,
    the_store_is_flushed: Flushed,
    the_store_is_full: Full,
    the_store_answers_rubbish: Rubbish,
    the_store_answers_something_else: Lies,
    the_store_is_slow_by_200_ms: Slow,
    connections_are_reset: Reset,
    answers_are_cut_short: Cut,
    answers_trickle: Throttled,
    nothing_reaches_the_store: NothingArrives,
    nothing_comes_back: NothingComesBack,
}

scenario! {
    async fn a_node_starts_without_its_store_and_finds_it_later(engine: Engine) {
        let mut fleet = Fleet::plan().nodes(1).shared("timeout", "100ms").start(&engine).await;
        fleet.server_mut().kill();
        let late = fleet.join().await;
        assert_eq!(fleet.nodes[late].get("/a").await.version(), 1);
        // Some calls have to fail first: until then it is `degraded`.
        let ready = async || fleet.nodes[late].admin("/readyz").await;
        eventually("a node that says so", PATIENCE, async || ready().await.json()["shared"] == "down").await;
        assert_eq!(ready().await.status, 200, "it serves all the same");
        fleet.server_mut().restart_empty().await;
        fleet.assembled().await;
        fleet.share("/b").await;
        fleet.nodes[late].get("/b").await.assert_hit();
    }
}

scenario! {
    async fn a_store_that_takes_connections_and_answers_nothing_is_not_up(engine: Engine) {
        let fleet = Fleet::plan().nodes(1).start(&engine).await;
        let node = &fleet.nodes[0];
        let shared = async || node.admin("/readyz").await.json()["shared"].as_str().map(str::to_owned);
        assert_eq!(shared().await.as_deref(), Some("up"));
        fleet.server().pause().await;
        eventually("a node that says so", PATIENCE, async || shared().await.as_deref() != Some("up")).await;
        assert_eq!(node.admin("/readyz").await.status, 200, "it still serves");
    }
}

scenario! {
    async fn a_store_with_a_password_serves_and_one_that_refuses_it_is_done_without(engine: Engine) {
        let mut fleet = Fleet::plan().nodes(2).password("right").start(&engine).await;
        fleet.share("/a").await;
        fleet.nodes[1].get("/a").await.assert_hit();
        let wrong = fleet.join_with(|plan| plan.password("wrong")).await;
        assert_eq!(fleet.nodes[wrong].get("/a").await.version(), 1);
        assert!(!fleet.nodes[wrong].is_synced().await);
        assert!(!fleet.nodes[wrong].log().contains("wrong@"), "{}", fleet.nodes[wrong].log());
    }
}
