//! Against real servers: what one node does to the log, all others see.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that can't go on should say so and fail

mod breaks;
mod replicas;
mod scripts;
mod servers;
mod wiring;

use super::*;
use crate::fleet::settings::{self, Address, Auth, Keys, Settings, Topology, WhenUnsynced};
use crate::observe::metrics::Vocabulary;
use crate::purge::predicate::Subject;
use crate::purge::{At, Limits, Mode, Selectors, Tags, Verdict};
use servers::{Server, stores};
use std::sync::atomic::{AtomicU16, Ordering};
use tokio::task::JoinHandle;

/// Long enough for a busy machine; only a failing test waits for it.
const AMPLE: Duration = Duration::from_secs(20);

fn settings(port: u16, name: &str) -> Settings {
    Settings {
        topology: Topology::Standalone(Address { host: "127.0.0.1".into(), port }),
        tls: false,
        auth: Auth::default(),
        db: 0,
        namespace: "larder".into(),
        timeout: Duration::from_millis(50),
        max_object: 8 << 20,
        breaker: settings::Breaker { failures: 5, open_for: Duration::from_secs(1) },
        lease: Duration::from_secs(10),
        max_unsynced: Duration::from_secs(2),
        when_unsynced: WhenUnsynced::Revalidate,
        keys: Keys::default(),
        secret: None,
        node_name: name.into(),
    }
}

/// One node, running. Its link leads through a port that can be pointed elsewhere.
struct TestNode {
    purges: Arc<PurgeLog>,
    transport: Arc<Transport>,
    running: JoinHandle<()>,
    heard: Arc<Mutex<Vec<String>>>,
    gate: Gate,
}

impl Drop for TestNode {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// A proxy between a node and the store: shut, it is a network that has fallen silent.
struct Gate {
    port: u16,
    target: Arc<AtomicU16>,
    /// Whether it takes connections, and how often it was shut.
    open: watch::Sender<(bool, u32)>,
    running: JoinHandle<()>,
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Gate {
    async fn to(port: u16) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let target = Arc::new(AtomicU16::new(port));
        let open = watch::Sender::new((true, 0));
        let (to, state) = (target.clone(), open.clone());
        let running = tokio::spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let (to, mut state) = (to.clone(), state.subscribe());
                tokio::spawn(async move {
                    let (open, shut) = *state.borrow();
                    if !open {
                        return;
                    }
                    let port = to.load(Ordering::Acquire);
                    let Ok(mut far) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await else {
                        return;
                    };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = state.wait_for(|now| now.1 != shut) => {}
                    }
                });
            }
        });
        Self { port: own, target, open, running }
    }

    /// Ends every connection, and takes no others.
    fn shut(&self) {
        self.open.send_modify(|state| *state = (false, state.1 + 1));
    }

    fn open(&self) {
        self.open.send_modify(|state| state.0 = true);
    }

    /// New connections lead there.
    fn point_at(&self, port: u16) {
        self.target.store(port, Ordering::Release);
    }
}

impl TestNode {
    async fn start(port: u16, name: &str) -> Self {
        let gate = Gate::to(port).await;
        let settings = settings(gate.port, name);
        let clock = Clock::system();
        let purges = Arc::new(PurgeLog::in_fleet(Limits::default()));
        let links = Links::new(&settings, clock.clone());
        let transport =
            Transport::new(links, &settings, purges.clone(), Metrics::new(&Vocabulary::default()), clock);
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hear = heard.clone();
        let told = Box::new(move |purge: &Arc<Purge>| hear.lock().unwrap().push(purge.who.clone()));
        let running = tokio::spawn(transport.clone().run(told));
        Self { purges, transport, running, heard, gate }
    }

    /// Purges a tag; in receipts and callbacks it is known by `tag`.
    fn purge(&self, tag: &str) -> At {
        let purge = Purge { who: tag.to_owned(), ..Purge::new(Mode::Hard, vec![Selector::tag(tag)]) };
        self.transport.submit(purge, Wall(0)).at
    }

    /// Whether an entry of this node that carries the tag, and was filled from now on or before the purge, may be used.
    fn verdict(&self, born: Born, tag: &str) -> Verdict {
        let mut tags = Tags::default();
        tags.add(tag).unwrap();
        let selectors = Selectors::new("http", "e", "/x", None, &tags).unwrap();
        let subject = Subject { authority: "e", url: "/x", tags: Some(tag), content_type: None };
        self.purges.check(born, &selectors, &subject)
    }

    fn state(&self) -> LogState {
        self.transport.state()
    }

    fn heard(&self, tag: &str) -> bool {
        self.heard.lock().unwrap().iter().any(|who| who == tag)
    }

    fn events(&self, event: &str) -> u64 {
        let text = self.transport.metrics.render(&Default::default());
        let line = format!("larder_purge_log_events_total{{event=\"{event}\"}} ");
        text.lines().find_map(|l| l.strip_prefix(&line)).map_or(0, |count| count.parse().unwrap())
    }

    async fn synced(&self) {
        eventually("synced", || self.state().synced).await;
    }

    async fn everywhere(&self, at: At) -> Reach {
        let reach = self.transport.reach(at, AMPLE).await;
        assert!(reach.is_everywhere(), "{reach:?}");
        reach
    }
}

/// Three nodes that know each other.
async fn three(server: &Server) -> [TestNode; 3] {
    let port = server.port;
    let nodes = [
        TestNode::start(port, "a").await,
        TestNode::start(port, "b").await,
        TestNode::start(port, "c").await,
    ];
    for node in &nodes {
        node.synced().await;
        eventually("they know each other", || node.state().nodes.len() == 3).await;
    }
    // The answers to the empty log have passed, so that what follows is about what follows.
    settled(&nodes).await;
    nodes
}

/// All stand at the same place, and nothing is on its way.
async fn settled(nodes: &[TestNode]) {
    eventually("settled", || {
        let states: Vec<_> = nodes.iter().map(TestNode::state).collect();
        states.iter().all(|s| s.synced && s.waiting == 0 && s.position == states[0].position)
            && states.iter().all(|s| s.nodes.iter().all(|node| Some(node.applied) == s.position))
    })
    .await;
}

/// Waits until it holds; by looking, since nobody tells.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let looking = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(AMPLE, looking).await.unwrap_or_else(|_| panic!("never: {what}"));
}
