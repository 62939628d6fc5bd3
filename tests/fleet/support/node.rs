//! Larder nodes as processes: the binary itself, with a configuration file of its own, so that it can be killed and stopped like any
//! other.

use super::caller::Caller;
use super::process::Process;
use super::proxy::FaultProxy;
use super::{PATIENCE, now};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

/// One node. Dropped: killed.
#[derive(Debug)]
pub struct Node {
    /// Between this node and the store, where the store is one server.
    pub proxy: Option<FaultProxy>,
    dir: tempfile::TempDir,
    process: Option<Process>,
    caller: Caller,
}

impl Node {
    /// `yaml` without `server` and `admin`: they are this node's own, but for what `server` adds (`secret: x`).
    pub async fn start(name: &str, server: &str, yaml: &str, proxy: Option<FaultProxy>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = format!(
            "server: {{ listen: [{{ address: \"127.0.0.1:0\" }}], name: {name}, shutdown_grace: 2s, {server} }}\n\
             admin: {{ address: \"127.0.0.1:0\" }}\n{yaml}"
        );
        std::fs::write(dir.path().join("larder.yaml"), file).unwrap();
        let caller = Caller::new(name, dir.path().join("log"));
        let mut node = Self { proxy, dir, process: None, caller };
        node.run().await;
        node
    }

    /// Starts the process, and returns once it accepts.
    async fn run(&mut self) {
        let log = std::fs::File::create(self.dir.path().join("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
        command
            .current_dir(self.dir.path())
            .args(["serve", "-c", "larder.yaml"])
            .env_remove("RUST_LOG")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let mut process = Process::spawn(&mut command);
        let begin = now();
        let address = |line: &str| line.rsplit_once("http://")?.1.trim().parse::<SocketAddr>().ok();
        loop {
            let log = self.log();
            let find = |what: &str| log.lines().find(|l| l.starts_with(what)).and_then(address);
            if let (Some(public), Some(admin)) = (find("larder: serving"), find("larder: admin")) {
                self.caller.moved(public, admin);
                self.process = Some(process);
                return;
            }
            assert!(process.is_alive() && now() - begin < PATIENCE, "{} does not start:\n{log}", self.name);
            tokio::time::sleep(super::ms(5)).await;
        }
    }

    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("the node runs")
    }

    /// The way to the store.
    pub fn proxy(&self) -> &FaultProxy {
        self.proxy.as_ref().expect("a node with a proxy before its store")
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// SIGTERM, and waits for the end; whether it ended well.
    pub async fn terminate(&mut self) -> bool {
        let mut process = self.process.take().expect("the node runs");
        process.terminate().await
    }

    /// A new process with the same configuration, on other ports.
    pub async fn restart(&mut self) {
        self.kill();
        self.run().await;
    }

    pub async fn pause(&self) {
        self.process().pause().await;
    }

    pub fn resume(&self) {
        self.process().resume();
    }
}

impl std::ops::Deref for Node {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}
