//! The rig itself: what the scenarios rely on must be true before they mean anything.

use crate::support::process::{accepts, free_port};
use crate::support::server::sentinel;
use crate::support::*;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Sends back what it gets.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    address
}

struct Caller(TcpStream);

impl Caller {
    async fn new(proxy: &FaultProxy) -> Self {
        Self(TcpStream::connect(proxy.address).await.unwrap())
    }

    async fn say(&mut self, text: &[u8]) {
        self.0.write_all(text).await.unwrap();
    }

    async fn hears(&mut self, text: &[u8]) {
        let mut heard = vec![0; text.len()];
        soon("an echo", self.0.read_exact(&mut heard)).await.unwrap();
        assert_eq!(heard, text);
    }

    /// Whether nothing comes although the echo had time for it: another connection's is back meanwhile.
    async fn hears_nothing(&mut self, echo: SocketAddr) {
        let mut other = TcpStream::connect(echo).await.unwrap();
        for _ in 0..20 {
            other.write_all(b"x").await.unwrap();
            other.read_u8().await.unwrap();
        }
        let mut byte = [0];
        assert!(self.0.try_read(&mut byte).is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock));
    }

    async fn is_reset(&mut self) {
        let read = soon("a reset", self.0.read_u8()).await;
        assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    }
}

#[tokio::test]
async fn proxy_passes_and_counts() {
    let proxy = FaultProxy::before(echo().await).await;
    let mut caller = Caller::new(&proxy).await;
    for word in [b"one", b"two"] {
        caller.say(word).await;
        caller.hears(word).await;
    }
    assert_eq!((proxy.connections(), proxy.turns(), proxy.answered()), (1, 2, 6));
    // The end of one side reaches the other.
    caller.0.shutdown().await.unwrap();
    assert_eq!(soon("the end", caller.0.read(&mut [0])).await.unwrap(), 0);
}

#[tokio::test]
async fn proxy_swallows_in_either_direction_and_delivers_when_healed() {
    let echo = echo().await;
    for way in [Way::ToServer, Way::FromServer, Way::Both] {
        let proxy = FaultProxy::before(echo).await;
        let mut caller = Caller::new(&proxy).await;
        caller.say(b"before").await;
        caller.hears(b"before").await;
        proxy.set(Fault::BlackHole(way));
        caller.say(b"after").await;
        caller.hears_nothing(echo).await;
        proxy.heal();
        caller.hears(b"after").await;
    }
}

#[tokio::test]
async fn proxy_resets_refuses_and_recovers_on_the_same_port() {
    let proxy = FaultProxy::before(echo().await).await;
    let mut old = Caller::new(&proxy).await;
    old.say(b"hello").await;
    old.hears(b"hello").await;
    proxy.set(Fault::Reset);
    old.is_reset().await;
    Caller::new(&proxy).await.is_reset().await;
    proxy.set(Fault::Refuse);
    eventually("a refused connection", PATIENCE, async || !accepts(proxy.address).await).await;
    proxy.heal();
    eventually("a connection", PATIENCE, async || accepts(proxy.address).await).await;
    let mut new = Caller::new(&proxy).await;
    new.say(b"again").await;
    new.hears(b"again").await;
}

#[tokio::test]
async fn proxy_delays_without_slowing_down() {
    let proxy = FaultProxy::before(echo().await).await;
    proxy.set(Fault::Delay(ms(150)));
    let mut caller = Caller::new(&proxy).await;
    let begin = now();
    for _ in 0..10 {
        caller.say(b"x").await;
        tokio::task::yield_now().await;
    }
    caller.hears(b"xxxxxxxxxx").await;
    let took = now() - begin;
    assert!(took >= ms(150) && took < ms(1400), "{took:?}");
    // Healed, what was on its way comes at once.
    proxy.set(Fault::Delay(PATIENCE));
    caller.say(b"y").await;
    proxy.heal();
    caller.hears(b"y").await;
}

#[tokio::test]
async fn proxy_throttles() {
    let proxy = FaultProxy::before(echo().await).await;
    proxy.set(Fault::Throttle(100_000));
    let mut caller = Caller::new(&proxy).await;
    let begin = now();
    let text = vec![b'x'; 20_000];
    caller.say(&text).await;
    caller.hears(&text).await;
    let took = now() - begin;
    assert!(took >= ms(150) && took < ms(2000), "{took:?}");
}

#[tokio::test]
async fn proxy_cuts_an_answer_short() {
    let proxy = FaultProxy::before(echo().await).await;
    proxy.set(Fault::Cut(3));
    let mut caller = Caller::new(&proxy).await;
    caller.say(b"hello").await;
    caller.hears(b"hel").await;
    caller.is_reset().await;
}

#[tokio::test]
async fn proxy_answers_for_the_server() {
    let proxy = FaultProxy::before(echo().await).await;
    let mut caller = Caller::new(&proxy).await;
    proxy.set(Fault::Answer(b"+NO\r\n"));
    caller.say(b"hello").await;
    caller.hears(b"+NO\r\n").await;
    proxy.heal();
    caller.say(b"hello").await;
    caller.hears(b"hello").await;
}

#[tokio::test]
async fn proxy_sends_new_connections_elsewhere() {
    let proxy = FaultProxy::before(echo().await).await;
    let mut old = Caller::new(&proxy).await;
    old.say(b"x").await;
    old.hears(b"x").await;
    // Nobody listens there: the connection is reset at once.
    proxy.retarget(([127, 0, 0, 1], free_port()).into());
    old.is_reset().await;
    Caller::new(&proxy).await.is_reset().await;
    proxy.retarget(echo().await);
    let mut new = Caller::new(&proxy).await;
    new.say(b"y").await;
    new.hears(b"y").await;
}

scenario! {
    async fn a_server_stops_goes_on_dies_and_comes_back(engine: Engine) {
        let mut server = Server::with(&engine, &["--appendonly", "yes"]).await;
        server.tell::<()>(&["SET", "a", "1"]).await;
        server.pause().await;
        let silent = tokio::time::timeout(ms(100), server.ask::<String>(&["GET", "a"])).await;
        assert!(silent.is_err(), "a stopped server answers: {silent:?}");
        server.resume();
        assert_eq!(server.tell::<String>(&["GET", "a"]).await, "1");
        server.restart().await;
        assert_eq!(server.tell::<String>(&["GET", "a"]).await, "1");
        server.restart_empty().await;
        assert_eq!(server.tell::<Option<String>>(&["GET", "a"]).await, None);
        let address = server.address();
        server.kill();
        assert!(!accepts(address).await);
    }
}

scenario! {
    async fn a_server_wants_its_password_and_keeps_its_limit(engine: Engine) {
        let server = Server::with(&engine, &["--requirepass", "secret", "--maxmemory", "1mb"]).await;
        let full = server.ask::<()>(&["SET", "a", &"x".repeat(2_000_000)]).await;
        let again = server.ask::<()>(&["SET", "b", "1"]).await;
        assert!(format!("{full:?}{again:?}").contains("OOM"), "{full:?} {again:?}");
        let without = redis::Client::open(format!("redis://{}", server.address())).unwrap();
        let mut connection = without.get_multiplexed_async_connection().await.unwrap();
        let refused = redis::cmd("GET").arg("a").query_async::<()>(&mut connection).await;
        assert!(refused.unwrap_err().to_string().contains("NOAUTH"));
    }
}

scenario! {
    async fn a_replica_lags_behind_a_black_hole_and_is_promoted(engine: Engine) {
        let (master, replica) = (Server::start(&engine).await, Server::start(&engine).await);
        let proxy = FaultProxy::before(master.address()).await;
        master.tell::<()>(&["SET", "a", "1"]).await;
        replica.follow(proxy.address).await;
        assert_eq!(replica.tell::<String>(&["GET", "a"]).await, "1");
        proxy.set(Fault::BlackHole(Way::Both));
        master.tell::<()>(&["SET", "a", "2"]).await;
        assert_eq!(replica.tell::<String>(&["GET", "a"]).await, "1");
        replica.promote().await;
        replica.tell::<()>(&["SET", "b", "3"]).await;
    }
}

scenario! {
    async fn a_sentinel_replaces_a_dead_master(engine: Engine) {
        let (mut master, replica) = (Server::start(&engine).await, Server::start(&engine).await);
        replica.follow(master.address()).await;
        let sentinel = sentinel(&engine, &master).await;
        eventually("a sentinel that knows the replica", PATIENCE, async || {
            let known: Vec<redis::Value> = sentinel.tell(&["SENTINEL", "REPLICAS", "main"]).await;
            known.len() == 1
        })
        .await;
        master.kill();
        eventually("another master", PATIENCE, async || {
            let at: Vec<String> = sentinel.tell(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"]).await;
            at[1] == replica.port().to_string()
        })
        .await;
    }
}

scenario! {
    async fn a_cluster_moves_a_slot(engine: Engine) {
        let cluster = Cluster::start(&engine).await;
        let slot = cluster.slot("a").await;
        let from = cluster.owner(slot).await;
        let to = (from + 1) % 3;
        cluster.masters[from].tell::<()>(&["SET", "a", "1"]).await;
        cluster.begin_move(slot, to).await;
        cluster.move_keys(slot, from, to).await;
        let ask = cluster.masters[from].ask::<()>(&["GET", "a"]).await.unwrap_err();
        assert!(ask.to_string().to_uppercase().contains("ASK"), "{ask}");
        cluster.end_move(slot, to).await;
        assert_eq!(cluster.owner(slot).await, to);
        assert_eq!(cluster.masters[to].tell::<String>(&["GET", "a"]).await, "1");
    }
}

#[tokio::test]
async fn the_origin_remembers_what_it_said() {
    let origin = Origin::start().await;
    let client = client::Client::default();
    let get =
        async |headers: &[(&str, &str)]| client.send(origin.address, "GET", "/a", headers, "").await.unwrap();
    origin.page("/a", |page| page.size = 100_000);
    let first = get(&[]).await;
    assert_eq!((first.version(), first.body.len()), (1, 100_000));
    assert_eq!(get(&[("if-none-match", "\"v1\"")]).await.status, 304);
    assert_eq!(origin.bump("/a"), 2);
    assert_eq!(get(&[("if-none-match", "\"v1\"")]).await.version(), 2);
    assert_eq!((origin.hits("/a"), origin.conditional("/a"), origin.total()), (3, 2, 3));
    origin.hold("/a");
    let held = async {
        origin.asked("/a", 4).await;
        // The version of an answer is that of its request's arrival.
        assert_eq!(origin.bump("/a"), 3);
        origin.release("/a");
    };
    assert_eq!(tokio::join!(get(&[]), held).0.version(), 2);
    assert_eq!(client.send(origin.address, "POST", "/a", &[], "").await.unwrap().status, 204);
    assert_eq!(origin.version("/a"), 4);
}

#[tokio::test]
async fn a_node_alone_serves_dies_and_comes_back() {
    let origin = Origin::start().await;
    let yaml = format!(
        "log: {{ access: off }}\norigins: {{ app: {{ servers: [\"http://{}\"] }} }}\n",
        origin.address
    );
    let mut node = Node::start("alone", "", &yaml, None).await;
    assert_eq!(node.get("/a").await.version(), 1);
    node.get("/a").await.assert_hit();
    assert_eq!(node.metric("larder_requests_total", &[("outcome", "hit")]).await, 1.0);
    origin.bump("/a");
    node.purge_page("/a", "fleet").await.assert_everywhere(1);
    assert_eq!(node.get("/a").await.version(), 2);
    assert!(node.process().resident() > 1_000_000 && node.process().descriptors() > 5);
    node.pause().await;
    let waiting = node.try_get("/a");
    let waiting = tokio::time::timeout(ms(100), waiting).await;
    assert!(waiting.is_err(), "a stopped node answers");
    node.resume();
    node.get("/a").await.assert_hit();
    node.kill();
    assert!(node.try_get("/a").await.is_err());
    node.restart().await;
    assert!(!node.get("/a").await.is_hit(), "memory survives no restart");
    assert!(node.terminate().await, "{}", node.log());
}
