//! Real servers: `redis-server`, and Valkey's where `LARDER_VALKEY` says where it is. Each ends with the test that began it.

use super::*;
use redis::Value;
use std::ffi::OsString;
use std::process::{Child, Command, Stdio};

/// What to test against. A machine without `redis-server` fails, unless `LARDER_NO_REDIS` says that this is meant.
pub fn stores() -> Vec<OsString> {
    if std::env::var_os("LARDER_NO_REDIS").is_some() {
        eprintln!("LARDER_NO_REDIS is set: nothing is tested against a real store");
        return Vec::new();
    }
    let mut stores = vec![OsString::from("redis-server")];
    match std::env::var_os("LARDER_VALKEY") {
        Some(valkey) => stores.push(valkey),
        None => eprintln!("LARDER_VALKEY is not set: Valkey is not tested"),
    }
    stores
}

pub struct Server {
    child: Child,
    store: OsString,
    pub port: u16,
    dir: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Server {
    pub async fn start(store: &OsString) -> Self {
        for _ in 0..5 {
            let dir = tempfile::tempdir().unwrap();
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            drop(listener);
            let child = spawn(store, port, dir.path());
            let mut server = Self { child, store: store.clone(), port, dir };
            if server.is_up().await {
                return server;
            }
        }
        panic!("{store:?} doesn't start");
    }

    async fn is_up(&mut self) -> bool {
        let looking = async {
            while tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
                if self.child.try_wait().unwrap().is_some() {
                    return false;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            true
        };
        tokio::time::timeout(AMPLE, looking).await.expect("a server that neither starts nor ends")
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// At the same place, empty.
    pub async fn start_again(&mut self) {
        self.child = spawn(&self.store, self.port, self.dir.path());
        assert!(self.is_up().await);
    }

    /// Asks past the nodes.
    pub async fn ask(&self, command: &[&str]) -> Value {
        self.try_to_ask(command).await.unwrap()
    }

    pub async fn try_to_ask(&self, command: &[&str]) -> Result<Value, CallError> {
        let links = Links::new(&settings(self.port, "asks"), Clock::system());
        let mut commands = redis::pipe();
        // Two, so that an error is a value.
        commands.cmd(command[0]).arg(&command[1..]).cmd("PING");
        links.call(Role::Small, b"x", &commands, AMPLE).await.map(|mut values| values.remove(0))
    }
}

fn spawn(store: &OsString, port: u16, dir: &std::path::Path) -> Child {
    Command::new(store)
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
        ])
        .arg(dir)
        .args(["--repl-diskless-sync-delay", "0"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|e| {
            panic!("{store:?} doesn't start ({e}): install it, or set LARDER_NO_REDIS=1 to go without")
        })
}
