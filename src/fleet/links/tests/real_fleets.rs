//! Against real servers in numbers: a cluster whose slots move, and sentinels that change the master.

use super::cluster::slot;
use super::servers::{Server, ask, stores};
use super::*;
use std::ffi::OsString;

const NODE: &[&str] = &["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"];

/// Three masters that know each other.
async fn three(store: &OsString) -> Vec<Server> {
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(Server::start(store, &[NODE, &["--cluster-require-full-coverage", "no"]].concat()));
    }
    for (node, (first, last)) in nodes.iter().zip([("0", "5460"), ("5461", "10922"), ("10923", "16383")]) {
        assert_eq!(node.ask(&["CLUSTER", "ADDSLOTSRANGE", first, last]).await, Value::Okay);
    }
    for node in &nodes[1..] {
        let port = node.address.port.to_string();
        assert_eq!(nodes[0].ask(&["CLUSTER", "MEET", "127.0.0.1", &port]).await, Value::Okay);
    }
    for node in &nodes {
        eventually("the cluster is complete", || async {
            let Value::BulkString(info) = node.ask(&["CLUSTER", "INFO"]).await else { return false };
            let info = String::from_utf8_lossy(&info).into_owned();
            info.contains("cluster_state:ok") && info.contains("cluster_slots_ok:16384")
        })
        .await;
    }
    nodes
}

async fn id(node: &Server) -> String {
    let Value::BulkString(id) = node.ask(&["CLUSTER", "MYID"]).await else { panic!("no id") };
    String::from_utf8(id).unwrap()
}

fn cluster(seed: &Server) -> Arc<Links> {
    Links::new(&settings(Topology::Cluster(vec![seed.address.clone()])), Clock::system())
}

async fn one(links: &Links, key: &str, command: &[&str]) -> Result<Value, CallError> {
    links.call(Role::Small, key.as_bytes(), &pipe(&[command]), AMPLE).await.map(|mut values| values.remove(0))
}

async fn holds(node: &Server, key: &str) -> bool {
    let slot = slot(key.as_bytes()).to_string();
    matches!(node.ask(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]).await, Value::Array(keys) if keys.contains(&bulk(key)))
}

#[tokio::test]
async fn a_cluster_is_followed_while_its_slots_move() {
    for store in stores() {
        let nodes = three(&store).await;
        let links = cluster(&nodes[1]);
        for number in 0..50 {
            let key = format!("key{number}");
            assert_eq!(one(&links, &key, &["SET", &key, "1"]).await, Ok(Value::Okay));
            assert_eq!(one(&links, &key, &["GET", &key]).await, Ok(bulk("1")));
        }
        assert_eq!(state(&links, Role::Small).connected, 3);

        // `{a}` belongs to the third and is on its way to the first: one key is still there, one is gone already.
        let (from, to, moving) = (&nodes[2], &nodes[0], slot(b"a").to_string());
        let (from_id, to_id) = (id(from).await, id(to).await);
        for key in ["{a}stays", "{a}goes"] {
            assert_eq!(one(&links, "{a}", &["SET", key, key]).await, Ok(Value::Okay));
        }
        to.ask(&["CLUSTER", "SETSLOT", &moving, "IMPORTING", &from_id]).await;
        from.ask(&["CLUSTER", "SETSLOT", &moving, "MIGRATING", &to_id]).await;
        let port = to.address.port.to_string();
        assert_eq!(from.ask(&["MIGRATE", "127.0.0.1", &port, "{a}goes", "0", "5000"]).await, Value::Okay);
        let commands =
            pipe(&[&["GET", "{a}goes"], &["GET", "{a}stays"], &["SET", "{a}new", "n"], &["GET", "{a}new"]]);
        let values = links.call(Role::Small, b"{a}", &commands, AMPLE).await;
        assert_eq!(values, Ok(vec![bulk("{a}goes"), bulk("{a}stays"), Value::Okay, bulk("n")]));
        assert!(holds(to, "{a}new").await && holds(from, "{a}stays").await);
        let script = Script { text: "return redis.call('GET', KEYS[1])" };
        let value = links.script(Role::Small, &script, &[b"{a}goes"], &[], AMPLE).await;
        assert_eq!(value, Ok(bulk("{a}goes")), "ASK and NOSCRIPT together");
        let mut both = pipe(&[&["INCR", "{a}n"], &["INCR", "{a}n"]]);
        both.atomic();
        assert_eq!(
            links.call(Role::Small, b"{a}", &both, AMPLE).await,
            Ok(vec![Value::Int(1), Value::Int(2)])
        );
        // Of two keys one is here and one is there: not before the move is over.
        let mget = one(&links, "{a}", &["MGET", "{a}goes", "{a}stays"]).await;
        assert_eq!(mget, Err(CallError::NotNow), "TRYAGAIN");

        assert_eq!(from.ask(&["MIGRATE", "127.0.0.1", &port, "{a}stays", "0", "5000"]).await, Value::Okay);
        for node in [to, from] {
            assert_eq!(node.ask(&["CLUSTER", "SETSLOT", &moving, "NODE", &to_id]).await, Value::Okay);
        }
        let mget = one(&links, "{a}", &["MGET", "{a}goes", "{a}stays"]).await;
        assert_eq!(mget, Ok(Value::Array(vec![bulk("{a}goes"), bulk("{a}stays")])), "MOVED");
    }
}

#[tokio::test]
async fn a_node_that_is_away_takes_its_slots_with_it_and_no_others() {
    for store in stores() {
        let mut nodes = three(&store).await;
        let links = cluster(&nodes[0]);
        let set = async |key: &str| one(&links, key, &["SET", key, "1"]).await;
        for key in ["a", "b", "foo"] {
            assert_eq!(set(key).await, Ok(Value::Okay)); // slots 15495, 3300, 12182
        }
        nodes[2].kill();
        eventually("it is noticed", || async { state(&links, Role::Small).connected == 1 }).await;
        for _ in 0..20 {
            assert_eq!(set("b").await, Ok(Value::Okay));
            assert_ne!(set("a").await, Ok(Value::Okay));
        }
        let roles = state(&links, Role::Small);
        assert!(roles.breaker_open, "towards that node");
    }
}

#[tokio::test]
async fn a_replica_that_takes_over_in_a_cluster_is_found() {
    for store in stores() {
        let mut nodes = three(&store).await;
        let replica = Server::start(&store, NODE);
        let port = nodes[0].address.port.to_string();
        assert_eq!(replica.ask(&["CLUSTER", "MEET", "127.0.0.1", &port]).await, Value::Okay);
        let third = id(&nodes[2]).await;
        eventually("the replica knows its master", || async {
            replica.ask(&["CLUSTER", "REPLICATE", &third]).await == Value::Okay
        })
        .await;
        eventually("it follows", || async {
            matches!(replica.ask(&["INFO", "replication"]).await, Value::BulkString(info)
                if String::from_utf8_lossy(&info).contains("master_link_status:up"))
        })
        .await;
        let links = cluster(&nodes[0]);
        assert_eq!(one(&links, "a", &["SET", "a", "1"]).await, Ok(Value::Okay));
        assert_eq!(one(&links, "a", &["WAIT", "1", "5000"]).await, Ok(Value::Int(1)));
        eventually("the others know, whose votes it needs", || async {
            let mut know = true;
            for node in &nodes {
                let Value::BulkString(list) = node.ask(&["CLUSTER", "NODES"]).await else { return false };
                know &= String::from_utf8_lossy(&list).contains(&format!("slave {third}"));
            }
            know
        })
        .await;
        nodes[2].kill();
        eventually("it takes over and is found", || async {
            one(&links, "a", &["GET", "a"]).await == Ok(bulk("1"))
        })
        .await;
        let map = links.finder.known().unwrap();
        assert_eq!(map.master(slot(b"a")), Some(&replica.address));
    }
}

#[tokio::test]
async fn a_standalone_configuration_that_meets_a_cluster_says_so() {
    for store in stores() {
        let nodes = three(&store).await;
        let links = Links::new(&settings(Topology::Standalone(nodes[0].address.clone())), Clock::system());
        assert_eq!(one(&links, "a", &["GET", "a"]).await, Err(CallError::Refused));
    }
}

#[tokio::test]
async fn a_master_is_found_by_its_sentinel_and_the_next_one_after_a_failover() {
    for store in stores() {
        let watched = Watched::start(&store).await;
        eventually("the sentinel begins", || async {
            ask(&watched.sentinel.address, &["SENTINEL", "FAILOVER", "larder"]).await == Value::Okay
        })
        .await;
        watched.changes().await;
    }
}

#[tokio::test]
async fn a_master_is_found_after_its_predecessor_fell_silent() {
    for store in stores() {
        let watched = Watched::start(&store).await;
        watched.master.signal(rustix::process::Signal::STOP);
        watched.changes().await;
    }
}

/// A master, its replica, a sentinel, and links that have written once.
struct Watched {
    master: Server,
    replica: Server,
    sentinel: Server,
    links: Arc<Links>,
}

impl Watched {
    async fn start(store: &OsString) -> Self {
        let auth = ["--requirepass", "secret", "--masterauth", "secret"];
        let master = Server::start(store, &auth);
        let port = master.address.port.to_string();
        let replica = Server::start(store, &[&auth[..], &["--replicaof", "127.0.0.1", &port]].concat());
        let with_password = Linker {
            auth: Auth { username: None, password: Some("secret".into()) },
            ..super::servers::linker()
        };
        eventually("the replica follows", || async {
            let connection = with_password.connect(&replica.address).await.unwrap();
            let info = connection.send(&pipe(&[&["INFO", "replication"]])).await.unwrap().remove(0);
            matches!(info, Value::BulkString(text) if String::from_utf8_lossy(&text).contains("master_link_status:up"))
        })
        .await;
        // A sentinel looks closely at first and then every ten seconds.
        let sentinel = sentinel(store, &master).await;
        let sentinels = vec![sentinel.address.clone()];
        let topology = Topology::Sentinel { sentinels, master: "larder".into() };
        let auth = Auth { username: None, password: Some("secret".into()) };
        let links = Links::new(&Settings { auth, ..settings(topology) }, Clock::system());
        assert_eq!(one(&links, "a", &["SET", "a", "1"]).await, Ok(Value::Okay));
        assert_eq!(links.finder.known().unwrap().masters(), std::slice::from_ref(&master.address));
        eventually("the sentinel knows the replica", || async {
            let replicas = ask(&sentinel.address, &["SENTINEL", "REPLICAS", "larder"]).await;
            let known = text("master-link-status", "ok");
            matches!(replicas, Value::Array(list) if format!("{list:?}").contains(&known))
        })
        .await;
        Self { master, replica, sentinel, links }
    }

    /// Until the replica is the master that is written to.
    async fn changes(&self) {
        let (set, patience) = (pipe(&[&["SET", "a", "2"]]), Duration::from_millis(50));
        eventually("the new master is found", || async {
            let written = self.links.call(Role::Write, b"a", &set, patience).await;
            let map = self.links.finder.known().unwrap();
            written.is_ok() && map.masters() == [self.replica.address.clone()]
        })
        .await;
    }
}

/// How two values that follow each other look in a dump.
fn text(name: &str, value: &str) -> String {
    format!("{:?}, {:?}", bulk(name), bulk(value))
}

async fn sentinel(store: &OsString, master: &Server) -> Server {
    let file = tempfile::Builder::new().suffix(".conf").tempfile().unwrap();
    let (_, path) = file.keep().unwrap();
    let watched = format!(
        "sentinel monitor larder 127.0.0.1 {} 1\nsentinel auth-pass larder secret\nsentinel down-after-milliseconds larder 500\n",
        master.address.port
    );
    std::fs::write(&path, watched).unwrap();
    Server::start(store, &[path.to_str().unwrap(), "--sentinel"])
}

#[tokio::test]
async fn a_sentinel_that_knows_no_such_master_or_names_a_replica_is_not_believed() {
    use super::fake::{Fake, say};
    for store in stores() {
        let master = Server::start(&store, &[]);
        let replica = Server::start(&store, &["--replicaof", "127.0.0.1", &master.address.port.to_string()]);
        let named = |port: u16| {
            move |_: usize, _: &str| {
                say(&format!("*2\r\n$9\r\n127.0.0.1\r\n${}\r\n{port}", port.to_string().len()))
            }
        };
        let wrong = Fake::start(named(replica.address.port)).await;
        let right = Fake::start(named(master.address.port)).await;
        let none = Fake::start(|_, _| say("*-1")).await;
        let by = |sentinels: &[&Fake]| {
            let sentinels = sentinels.iter().map(|fake| fake.address.clone()).collect();
            Links::new(&settings(Topology::Sentinel { sentinels, master: "larder".into() }), Clock::system())
        };
        let get = ["GET", "a"];
        assert_eq!(one(&by(&[&none]), "a", &get).await, Err(CallError::Connect));
        assert_eq!(one(&by(&[&wrong]), "a", &get).await, Err(CallError::NotNow));
        assert_eq!(one(&by(&[&none, &wrong, &right]), "a", &get).await, Ok(Value::Nil));
    }
}
