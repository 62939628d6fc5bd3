//! Larder nodes as processes: the binary itself, with a configuration file of its own, so that it can be killed and stopped like any
//! other.

use super::client::{Answer, Client};
use super::process::Process;
use super::proxy::FaultProxy;
use super::{PATIENCE, eventually, now, soon};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The host of all requests.
pub const HOST: &str = "site.example";

/// One node. Dropped: killed.
#[derive(Debug)]
pub struct Node {
    pub name: String,
    /// Between this node and the store, where the store is one server.
    pub proxy: Option<FaultProxy>,
    dir: tempfile::TempDir,
    process: Option<Process>,
    public: SocketAddr,
    admin: SocketAddr,
    client: Client,
}

impl Node {
    /// `yaml` without `server` and `admin`: they are this node's own.
    pub async fn start(name: &str, yaml: &str, proxy: Option<FaultProxy>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = format!(
            "server: {{ listen: [{{ address: \"127.0.0.1:0\" }}], name: {name}, shutdown_grace: 2s }}\n\
             admin: {{ address: \"127.0.0.1:0\" }}\n{yaml}"
        );
        std::fs::write(dir.path().join("larder.yaml"), file).unwrap();
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut node = Self {
            name: name.to_owned(),
            proxy,
            dir,
            process: None,
            public: nowhere,
            admin: nowhere,
            client: Client::default(),
        };
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
                (self.public, self.admin, self.process) = (public, admin, Some(process));
                return;
            }
            assert!(process.is_alive() && now() - begin < PATIENCE, "{} does not start:\n{log}", self.name);
            tokio::time::sleep(super::ms(5)).await;
        }
    }

    /// What it has logged since it was last started.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.public
    }

    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("the node runs")
    }

    pub fn is_up(&self) -> bool {
        self.process.is_some()
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

    /// # Errors
    /// See [`Client::send`].
    pub async fn try_get(&self, path: &str) -> Result<Answer, String> {
        self.client.send(self.public, "GET", path, &[("host", HOST)], "").await
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> impl Future<Output = Answer> {
        self.send("GET", path)
    }

    pub async fn send(&self, method: &str, path: &str) -> Answer {
        let answer = self.client.send(self.public, method, path, &[("host", HOST)], "").await;
        answer.unwrap_or_else(|e| panic!("{} of {}: {e}\n{}", path, self.name, self.log()))
    }

    /// Clients of their own that ask at the same time, each on a connection of its own.
    pub async fn crowd(&self, clients: usize, path: &str) -> Vec<Answer> {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..clients {
            let (to, path) = (self.public, path.to_owned());
            tasks.spawn(async move {
                Client::default().send(to, "GET", &path, &[("host", HOST)], "").await.expect("an answer")
            });
        }
        soon("a crowd", tasks.join_all()).await
    }

    /// # Errors
    /// See [`Client::send`].
    pub async fn try_purge(&self, purge: &Value) -> Result<Receipt, String> {
        let headers = [("content-type", "application/json")];
        let answer = self.client.send(self.admin, "POST", "/purge", &headers, purge.to_string()).await?;
        let (said, nodes) = (answer.json(), answer.json()["nodes"].clone());
        let count = |of: &str| usize::try_from(nodes[of].as_u64().unwrap_or(0)).unwrap();
        let missing = nodes["missing"].as_array().into_iter().flatten();
        Ok(Receipt {
            status: answer.status,
            applied: count("applied"),
            total: count("total"),
            missing: missing.filter_map(Value::as_str).map(str::to_owned).collect(),
            took: answer.took,
            at: answer.began + answer.took,
            said,
        })
    }

    /// Purges by the tag that every page has for itself.
    pub async fn purge_page(&self, path: &str, wait: &str) -> Receipt {
        self.purge(&json!({ "tags": [format!("page:{path}")], "wait": wait })).await
    }

    pub async fn purge(&self, purge: &Value) -> Receipt {
        let receipt = self.try_purge(purge).await;
        receipt.unwrap_or_else(|e| panic!("purge on {}: {e}\n{}", self.name, self.log()))
    }

    pub async fn admin(&self, path: &str) -> Answer {
        let answer = self.client.send(self.admin, "GET", path, &[], "").await;
        answer.unwrap_or_else(|e| panic!("{path} of {}: {e}\n{}", self.name, self.log()))
    }

    /// The sum of a metric's series that have all these labels; 0 where there is none.
    pub async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let text = self.admin("/metrics").await.text();
        let value = |line: &str| {
            let rest = line.strip_prefix(name)?;
            let (set, value) = match rest.strip_prefix('{') {
                Some(rest) => rest.rsplit_once("} ")?,
                None => ("", rest.strip_prefix(' ')?),
            };
            let has =
                |(label, wanted): &(&str, &str)| set.split(',').any(|l| l == format!("{label}=\"{wanted}\""));
            labels.iter().all(has).then(|| value.parse::<f64>().ok()).flatten()
        };
        text.lines().filter_map(value).sum()
    }

    /// Whether it is known to have heard of every purge.
    pub async fn is_synced(&self) -> bool {
        self.metric("larder_unsynced", &[]).await == 0.0
    }

    /// Waits until it is in step with the log; how long that took.
    pub async fn synced(&self, within: Duration) -> Duration {
        eventually(&format!("{} in step with the log", self.name), within, async || self.is_synced().await)
            .await
    }

    /// Waits until it knows that it is not.
    pub async fn unsynced(&self, within: Duration) -> Duration {
        eventually(&format!("{} out of step", self.name), within, async || !self.is_synced().await).await
    }

    /// Whether any role of connections to the store is being left alone.
    pub async fn breaker_is_open(&self) -> bool {
        self.metric("larder_shared_breaker_open", &[]).await > 0.0
    }
}

/// What `POST /purge` answered.
#[derive(Clone, Debug)]
pub struct Receipt {
    pub status: u16,
    pub applied: usize,
    pub total: usize,
    pub missing: Vec<String>,
    pub took: Duration,
    /// When the answer was there.
    pub at: Duration,
    pub said: Value,
}

impl Receipt {
    /// Every one of `nodes` live nodes has applied it.
    #[track_caller]
    pub fn assert_everywhere(&self, nodes: usize) {
        assert_eq!((self.status, self.applied, self.total), (200, nodes, nodes), "{}", self.said);
        assert!(self.missing.is_empty(), "{}", self.said);
    }
}
