//! Against a real server: credentials, databases, TLS, scripts, blocking reads, a full store, a restart.

use super::servers::{Server, stores};
use super::*;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::RootCertStore;

fn links(settings: &Settings) -> Arc<Links> {
    Links::new(settings, Clock::system())
}

fn at(server: &Server) -> Settings {
    settings(Topology::Standalone(server.address.clone()))
}

async fn one(links: &Links, role: Role, command: &[&str]) -> Result<Value, CallError> {
    links.call(role, b"", &pipe(&[command]), AMPLE).await.map(|mut values| values.remove(0))
}

#[tokio::test]
async fn values_scripts_and_blocking_reads() {
    for store in stores() {
        let server = Server::start(&store, &[]);
        let links = links(&at(&server));
        let all = pipe(&[&["SET", "a", "1"], &["INCR", "a"], &["LPUSH", "a", "x"], &["GET", "a"]]);
        let values = links.call(Role::Small, b"a", &all, AMPLE).await.unwrap();
        assert_eq!((&values[1], &values[3]), (&Value::Int(2), &bulk("2")));
        assert!(matches!(&values[2], Value::ServerError(e) if e.code() == "WRONGTYPE"));

        let mut both = pipe(&[&["INCR", "a"], &["INCR", "a"]]);
        both.atomic();
        let values = links.call(Role::Write, b"a", &both, AMPLE).await;
        assert_eq!(values, Ok(vec![Value::Int(3), Value::Int(4)]));

        let body = vec![0xA5_u8; 8 << 20];
        let mut set = redis::pipe();
        set.cmd("SET").arg("body").arg(body.as_slice());
        assert_eq!(links.call(Role::Write, b"body", &set, AMPLE).await, Ok(vec![Value::Okay]));
        assert_eq!(one(&links, Role::Bulk, &["GET", "body"]).await, Ok(Value::BulkString(body)));

        let script = Script { text: "return {KEYS[1], ARGV[1], redis.call('GET', 'a')}" };
        for _ in 0..2 {
            let value = links.script(Role::Small, &script, &[b"k"], &[b"v"], AMPLE).await;
            assert_eq!(value, Ok(Value::Array(vec![bulk("k"), bulk("v"), bulk("4")])));
        }
        let fails = Script { text: "return nothing.at.all" };
        assert_eq!(links.script(Role::Small, &fails, &[b"k"], &[], AMPLE).await, Err(CallError::Refused));

        let read = ["XREAD", "BLOCK", "5000", "STREAMS", "log", "$"];
        let (tail, ()) = tokio::join!(one(&links, Role::Tail, &read), async {
            // Once it waits, what is added wakes it.
            eventually("the tail waits", || async {
                let clients = server.ask(&["CLIENT", "LIST"]).await;
                matches!(clients, Value::BulkString(list) if String::from_utf8_lossy(&list).contains("cmd=xread"))
            })
            .await;
            one(&links, Role::Append, &["XADD", "log", "1-0", "a", "b"]).await.unwrap();
        });
        let (id, fields) = (bulk("1-0"), Value::Array(vec![bulk("a"), bulk("b")]));
        let entries = Value::Array(vec![Value::Array(vec![id, fields])]);
        assert_eq!(tail, Ok(Value::Array(vec![Value::Array(vec![bulk("log"), entries])])));
        let short = links.call(Role::Tail, b"log", &pipe(&[&read]), Duration::from_millis(50)).await;
        assert_eq!(short, Err(CallError::Timeout));
    }
}

#[tokio::test]
async fn passwords_users_and_databases() {
    for store in stores() {
        let server = Server::start(&store, &["--requirepass", "s p:a/c@e"]);
        let with = |user: Option<&str>, password: Option<&str>, db| {
            let auth = Auth { username: user.map(Into::into), password: password.map(Into::into) };
            links(&Settings { auth, db, ..at(&server) })
        };
        let admin = with(None, Some("s p:a/c@e"), 0);
        assert_eq!(one(&admin, Role::Small, &["SET", "a", "in 0"]).await, Ok(Value::Okay));
        let add = ["ACL", "SETUSER", "larder", "on", ">pass", "~*", "+@all", "-flushall"];
        assert_eq!(one(&admin, Role::Small, &add).await, Ok(Value::Okay));

        let third = with(Some("larder"), Some("pass"), 3);
        assert_eq!(one(&third, Role::Small, &["GET", "a"]).await, Ok(Value::Nil));
        assert_eq!(one(&third, Role::Small, &["SET", "a", "in 3"]).await, Ok(Value::Okay));
        assert_eq!(one(&admin, Role::Small, &["GET", "a"]).await, Ok(bulk("in 0")));
        assert_eq!(one(&third, Role::Small, &["FLUSHALL"]).await, Err(CallError::Refused), "NOPERM");
        assert_eq!(state(&third, Role::Small).connected, 1);

        for (user, password, db) in [
            (None, Some("wrong"), 0),
            (None, None, 0),
            (Some("larder"), Some("wrong"), 0),
            (Some("nobody"), Some("pass"), 0),
            (None, Some("s p:a/c@e"), 99),
        ] {
            let links = with(user, password, db);
            let call = one(&links, Role::Small, &["GET", "a"]).await;
            assert_eq!(call, Err(CallError::Connect), "{user:?} {password:?} {db}");
            assert_eq!(state(&links, Role::Small).connected, 0);
        }
    }
}

#[tokio::test]
async fn a_store_that_is_full_refuses_what_needs_room() {
    for store in stores() {
        let server = Server::start(&store, &["--maxmemory", "1", "--maxmemory-policy", "noeviction"]);
        let links = links(&at(&server));
        assert_eq!(one(&links, Role::Write, &["SET", "a", "1"]).await, Err(CallError::Full));
        assert_eq!(one(&links, Role::Small, &["GET", "a"]).await, Ok(Value::Nil));
        let script = Script { text: "return redis.call('SET', KEYS[1], 'x')" };
        assert_eq!(links.script(Role::Write, &script, &[b"k"], &[], AMPLE).await, Err(CallError::Full));
    }
}

#[tokio::test]
async fn too_few_replicas_a_replica_and_a_stopped_server() {
    for store in stores() {
        let server = Server::start(&store, &["--min-replicas-to-write", "1"]);
        let links = links(&at(&server));
        assert_eq!(one(&links, Role::Append, &["SET", "a", "1"]).await, Err(CallError::NotNow), "NOREPLICAS");
        let nowhere = ["REPLICAOF", "127.0.0.1", "1"];
        assert_eq!(server.ask(&nowhere).await, Value::Okay);
        assert_eq!(one(&links, Role::Append, &["SET", "a", "1"]).await, Err(CallError::NotNow), "READONLY");

        // Alive, and as if it weren't.
        server.signal(rustix::process::Signal::STOP);
        let patience = Duration::from_millis(50);
        let call = links.call(Role::Small, b"a", &pipe(&[&["GET", "a"]]), patience).await;
        assert_eq!(call, Err(CallError::Timeout));
        server.signal(rustix::process::Signal::CONT);
        assert_eq!(one(&links, Role::Small, &["GET", "a"]).await, Ok(Value::Nil));
    }
}

#[tokio::test]
async fn a_store_that_comes_back_is_found_again() {
    for store in stores() {
        let mut server = Server::start(&store, &[]);
        let links = links(&at(&server));
        assert_eq!(one(&links, Role::Small, &["SET", "a", "1"]).await, Ok(Value::Okay));
        server.kill();
        eventually("it is noticed", || async { state(&links, Role::Small).connected == 0 }).await;
        assert_eq!(one(&links, Role::Small, &["GET", "a"]).await, Err(CallError::Connect));
        server.start_again();
        eventually("it is found", || async {
            one(&links, Role::Small, &["GET", "a"]).await == Ok(Value::Nil)
        })
        .await;
    }
}

/// A root, and a certificate by it for the address of this machine.
fn certificates(dir: &std::path::Path) -> RootCertStore {
    let mut ca = CertificateParams::new(Vec::<String>::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = vec!["127.0.0.1".to_owned()];
    let server = CertificateParams::new(names).unwrap().signed_by(&key, &root).unwrap();
    std::fs::write(dir.join("ca.pem"), root.pem()).unwrap();
    std::fs::write(dir.join("server.pem"), server.pem()).unwrap();
    std::fs::write(dir.join("server.key"), key.serialize_pem()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(root.der().clone()).unwrap();
    roots
}

#[tokio::test]
async fn tls_to_a_server_that_proves_who_it_is_and_to_no_other() {
    for store in stores() {
        let dir = tempfile::tempdir().unwrap();
        let roots = certificates(dir.path());
        let file = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let (ca, cert, key) = (file("ca.pem"), file("server.pem"), file("server.key"));
        let files = ["--tls-ca-cert-file", &ca, "--tls-cert-file", &cert, "--tls-key-file", &key];
        let how = ["--port", "0", "--tls-port", "{port}", "--tls-auth-clients", "no"];
        if store != "redis-server" {
            continue; // the Valkey that tests fetch has no TLS
        }
        let server = Server::start(&store, &[&files[..], &how[..]].concat());
        let dialled = |dial: Tcp| Links::with_dial(&at(&server), Clock::system(), Arc::new(dial));

        let good = dialled(Tcp::with_roots(roots));
        assert_eq!(one(&good, Role::Small, &["SET", "a", "1"]).await, Ok(Value::Okay));
        let unknown = dialled(Tcp::with_roots(certificates(tempfile::tempdir().unwrap().path())));
        assert_eq!(one(&unknown, Role::Small, &["GET", "a"]).await, Err(CallError::Connect));
        let without = dialled(Tcp::with_roots(RootCertStore::empty()));
        assert_eq!(one(&without, Role::Small, &["GET", "a"]).await, Err(CallError::Connect));
        let plain = dialled(Tcp::plain());
        let call = one(&plain, Role::Small, &["GET", "a"]).await;
        assert!(matches!(call, Err(CallError::Broken | CallError::Connect)), "{call:?}");
    }
}
