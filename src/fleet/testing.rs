//! For the tests of this room: servers of the real kind, started on free ports and killed with their guard.

use crate::fleet::Settings;
use crate::fleet::settings::{Address, Auth, Breaker, Keys, Topology, WhenUnsynced};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// A `redis-server` (or what `LARDER_REDIS` names) of one's own, that keeps nothing on disk.
#[derive(Debug)]
pub struct Server {
    child: Child,
    pub port: u16,
    _dir: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// With more arguments: `["--maxmemory", "2mb"]`.
    pub fn with(args: &[&str]) -> Self {
        let program = std::env::var("LARDER_REDIS").unwrap_or_else(|_| "redis-server".to_owned());
        for _ in 0..8 {
            // Somebody may take the port before the server does; then it ends, and we try another.
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let dir = tempfile::tempdir().unwrap();
            let mut child = Command::new(&program)
                .args([
                    "--port",
                    &port.to_string(),
                    "--bind",
                    "127.0.0.1",
                    "--save",
                    "",
                    "--appendonly",
                    "no",
                ])
                .args(["--dir", &dir.path().to_string_lossy()])
                .args(args)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap_or_else(|e| panic!("{program} (install it, or name another in LARDER_REDIS): {e}"));
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
            if lines.any(|line| line.contains("Ready to accept connections")) {
                // It goes on to write there, and must not meet a closed pipe.
                std::thread::spawn(move || lines.for_each(drop));
                return Self { child, port, _dir: dir };
            }
            let _ = child.wait();
        }
        panic!("{program} does not start");
    }

    pub fn address(&self) -> Address {
        Address { host: "127.0.0.1".into(), port: self.port }
    }

    /// Asks it something on a connection of its own, behind the back of what is tested.
    pub fn ask<T: redis::FromRedisValue>(&self, command: &[&[u8]]) -> T {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}/", self.port)).unwrap();
        let mut connection = client.get_connection().unwrap();
        let (name, args) = command.split_first().unwrap();
        redis::cmd(std::str::from_utf8(name).unwrap()).arg(args).query(&mut connection).unwrap()
    }

    /// Settings of a node that has this store. A generous time-out, as the machine may be busy.
    pub fn settings(&self) -> Settings {
        Settings {
            topology: Topology::Standalone(self.address()),
            tls: false,
            auth: Auth::default(),
            db: 0,
            namespace: "test".into(),
            timeout: Duration::from_secs(5),
            max_object: 8 << 20,
            breaker: Breaker { failures: 5, open_for: Duration::from_secs(2) },
            lease: Duration::from_secs(10),
            max_unsynced: Duration::from_secs(10),
            when_unsynced: WhenUnsynced::Revalidate,
            keys: Keys::default(),
            secret: None,
            node_name: Arc::from("node"),
        }
    }
}
