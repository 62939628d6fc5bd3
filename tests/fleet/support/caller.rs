//! Asks a node: pages, purges, metrics.

use super::client::{Answer, Client};
use super::{eventually, soon};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The host of all requests.
pub const HOST: &str = "site.example";

/// Who asks one node; a clone shares its connections. A node that was started again has other addresses, and its callers are
/// other ones.
#[derive(Clone, Debug)]
pub struct Caller {
    pub name: String,
    log: PathBuf,
    public: SocketAddr,
    admin: SocketAddr,
    client: Client,
}

impl Caller {
    pub fn new(name: &str, log: PathBuf) -> Self {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { name: name.to_owned(), log, public: nowhere, admin: nowhere, client: Client::default() }
    }

    pub fn moved(&mut self, public: SocketAddr, admin: SocketAddr) {
        (self.public, self.admin, self.client) = (public, admin, Client::default());
    }

    /// The same with connections of its own, which end with it.
    pub fn with_own_connections(&self) -> Self {
        Self { client: Client::default(), ..self.clone() }
    }

    /// What the node has logged since it was last started.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// # Errors
    /// See [`Client::send`].
    pub async fn try_send(&self, method: &str, path: &str) -> Result<Answer, String> {
        self.client.send(self.public, method, path, &[("host", HOST)], "").await
    }

    /// # Errors
    /// See [`Client::send`].
    pub async fn try_get(&self, path: &str) -> Result<Answer, String> {
        self.try_send("GET", path).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path).await
    }

    pub async fn send(&self, method: &str, path: &str) -> Answer {
        self.send_with(method, path, &[]).await
    }

    /// With more fields.
    pub async fn send_with(&self, method: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let fields = [&[("host", HOST)], fields].concat();
        let answer = self.client.send(self.public, method, path, &fields, "").await;
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

    /// Values that it has written to the store.
    pub async fn puts(&self) -> f64 {
        self.shared("put", "ok").await
    }

    /// `larder_shared_requests_total` of an operation and a result.
    pub async fn shared(&self, op: &str, result: &str) -> f64 {
        self.metric("larder_shared_requests_total", &[("op", op), ("result", result)]).await
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
