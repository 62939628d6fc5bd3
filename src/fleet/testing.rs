//! For the tests of this room: servers of the real kind, started on free ports and killed with their guard.

use crate::clock::Clock;
use crate::fleet::Settings;
use crate::fleet::settings::{Address, Auth, Breaker, Keys, Topology, WhenUnsynced};
use std::ffi::{OsStr, OsString};
use std::net::TcpListener;
use std::ops::Deref;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// Long enough on a busy machine.
const AMPLE: Duration = Duration::from_secs(20);

/// The stores to test against: `redis-server`, and Valkey's where `LARDER_VALKEY` says where it is. A machine without
/// `redis-server` fails, unless `LARDER_NO_REDIS` says that this is meant.
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

/// A store's process on a free port, that keeps nothing on disk and ends with this value.
#[derive(Debug)]
pub struct Process {
    child: Child,
    store: OsString,
    arguments: Vec<String>,
    pub port: u16,
    /// Its working directory, for files of its own.
    pub dir: tempfile::TempDir,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Process {
    /// With these arguments beside the port; `{port}` in them stands for it.
    pub fn start(store: &OsStr, arguments: &[&str]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|&a| a.to_owned()).collect();
        for _ in 0..8 {
            // Somebody may take the port before the server does; then it ends, and we try another.
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let dir = tempfile::tempdir().unwrap();
            let child = spawn(store, &arguments, port, &dir);
            let mut process =
                Self { child, store: store.to_owned(), arguments: arguments.clone(), port, dir };
            if process.is_up() {
                return process;
            }
        }
        panic!("{} {arguments:?} doesn't start", store.display());
    }

    /// Until it takes connections; false when it has ended.
    fn is_up(&mut self) -> bool {
        let clock = Clock::system();
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            assert!(clock.elapsed() < AMPLE, "a server that neither starts nor ends");
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// At the same place as before, empty.
    pub fn start_again(&mut self) {
        self.child = spawn(&self.store, &self.arguments, self.port, &self.dir);
        assert!(self.is_up());
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    pub fn address(&self) -> Address {
        Address { host: "127.0.0.1".into(), port: self.port }
    }
}

fn spawn(store: &OsStr, arguments: &[String], port: u16, dir: &tempfile::TempDir) -> Child {
    let port = port.to_string();
    let mut command = Command::new(store);
    command.args(arguments.iter().map(|argument| argument.replace("{port}", &port)));
    if !command.get_args().any(|argument| argument == "--port") {
        command.args(["--port", &port]);
    }
    command
        .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .args(["--repl-diskless-sync-delay", "0", "--dir"])
        .arg(dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|e| {
            let store = store.display();
            panic!("{store} doesn't start ({e}): install it, or set LARDER_NO_REDIS=1 to go without")
        })
}

/// For the shared tier's tests: what `LARDER_REDIS` names, else `redis-server`.
#[derive(Debug)]
pub struct Server(Process);

impl Deref for Server {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.0
    }
}

impl Server {
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// With more arguments: `["--maxmemory", "2mb"]`.
    pub fn with(args: &[&str]) -> Self {
        let program = std::env::var_os("LARDER_REDIS").unwrap_or_else(|| "redis-server".into());
        Self(Process::start(&program, args))
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
