//! Real servers: `redis-server`, and Valkey's where `LARDER_VALKEY` says where it is. Each ends with the test that began it.

use super::*;
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
    arguments: Vec<String>,
    pub address: Address,
    /// Its working directory, for files of its own.
    pub dir: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Server {
    /// With these arguments beside the port; `{port}` in them stands for it.
    pub async fn start(store: &OsString, arguments: &[&str]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|&a| a.to_owned()).collect();
        for _ in 0..5 {
            let dir = tempfile::tempdir().unwrap();
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            drop(listener);
            let child = spawn(store, &arguments, port, &dir);
            let address = address("127.0.0.1", port);
            let mut server = Self { child, store: store.clone(), arguments: arguments.clone(), address, dir };
            if server.is_up().await {
                return server;
            }
        }
        panic!("{store:?} {arguments:?} doesn't start");
    }

    /// Until it takes connections; false when it has ended, as the port was taken in the meantime.
    async fn is_up(&mut self) -> bool {
        let (host, port) = (self.address.host.to_string(), self.address.port);
        let looking = async {
            loop {
                if self.child.try_wait().unwrap().is_some() {
                    return false;
                }
                if tokio::net::TcpStream::connect((host.as_str(), port)).await.is_ok() {
                    return true;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(AMPLE, looking).await.expect("a server that neither starts nor ends")
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// At the same place as before.
    pub async fn start_again(&mut self) {
        self.child = spawn(&self.store, &self.arguments, self.address.port, &self.dir);
        assert!(self.is_up().await);
    }

    /// Asks the server itself, past the links.
    pub async fn ask(&self, command: &[&str]) -> Value {
        ask(&self.address, command).await
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(id, signal).unwrap();
    }
}

fn spawn(store: &OsString, arguments: &[String], port: u16, dir: &tempfile::TempDir) -> Child {
    let port = port.to_string();
    let arguments = arguments.iter().map(|argument| argument.replace("{port}", &port));
    let mut command = Command::new(store);
    command.args(arguments);
    if !command.get_args().any(|argument| argument == "--port") {
        command.args(["--port", &port]);
    }
    command
        .args([
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--repl-diskless-sync-delay",
            "0",
            "--dir",
        ])
        .arg(dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|e| {
            panic!("{store:?} doesn't start ({e}): install it, or set LARDER_NO_REDIS=1 to go without")
        })
}

pub fn linker() -> Linker {
    Linker {
        dial: Arc::new(Tcp::plain()),
        auth: Auth::default(),
        db: 0,
        check_master: false,
        most_bytes: REPLIES,
        clock: Clock::system(),
    }
}

pub async fn ask(address: &Address, command: &[&str]) -> Value {
    let asking = async {
        let connection = linker().connect(address).await.map_err(|e| e.detail.to_string())?;
        connection.send(&pipe(&[command])).await.map_err(|e| e.detail.to_string())
    };
    let answer = tokio::time::timeout(AMPLE, asking).await.expect("no answer");
    answer.unwrap_or_else(|e| panic!("{command:?} at {address}: {e}")).remove(0)
}
