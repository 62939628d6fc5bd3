//! A fleet: a store, an origin, nodes, and between each node and the store a proxy of its own.

use super::cluster::Cluster;
use super::node::Node;
use super::origin::Origin;
use super::proxy::FaultProxy;
use super::server::{Engine, Server};
use super::{PATIENCE, eventually};
use serde_json::json;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// How a fleet is made. Time-outs are wide unless a test is about them: the machine may be busy.
#[derive(Clone, Debug)]
pub struct Plan {
    nodes: usize,
    shared: BTreeMap<String, String>,
    rule: String,
    top: String,
    password: Option<String>,
}

impl Default for Plan {
    fn default() -> Self {
        let shared = [
            ("namespace", "larder"),
            ("timeout", "2s"),
            ("max_unsynced", "5s"),
            ("breaker", "{ failures: 3, open_for: 500ms }"),
        ];
        Self {
            nodes: 2,
            shared: shared.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            rule: String::new(),
            top: "memory: { capacity: 64MiB }".into(),
            password: None,
        }
    }
}

impl Plan {
    pub fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes;
        self
    }

    /// A field of `shared`.
    pub fn shared(mut self, field: &str, value: &str) -> Self {
        self.shared.insert(field.to_owned(), value.to_owned());
        self
    }

    /// Fields of the one rule: `, coalesce: { wait: 5s }`.
    pub fn rule(mut self, fields: &str) -> Self {
        self.rule = fields.to_owned();
        self
    }

    /// Sections at the top level, instead of `memory`.
    pub fn top(mut self, yaml: &str) -> Self {
        self.top = yaml.to_owned();
        self
    }

    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// The configuration of a node, but for its addresses.
    fn yaml(&self, url: &str, origin: SocketAddr) -> String {
        let shared: String = self.shared.iter().map(|(k, v)| format!(", {k}: {v}")).collect();
        format!(
            "log: {{ access: off, level: info }}\n\
             origins: {{ app: {{ servers: [\"http://{origin}\"], retries: 0, max_connections: 2000 }} }}\n\
             shared: {{ url: \"{url}\"{shared} }}\n{}\n\
             rules: [{{ name: all, origin: app{} }}]\n",
            self.top, self.rule
        )
    }

    /// In front of one server.
    pub async fn start(self, engine: &Engine) -> Fleet {
        let options: Vec<&str> = match &self.password {
            Some(password) => vec!["--requirepass", password],
            None => Vec::new(),
        };
        let server = Server::with(engine, &options).await;
        self.before(server).await
    }

    /// In front of this server.
    pub async fn before(self, server: Server) -> Fleet {
        let origin = Origin::start().await;
        let mut nodes = Vec::new();
        for number in 1..=self.nodes {
            let proxy = FaultProxy::before(server.address()).await;
            let password = self.password.as_ref().map_or(String::new(), |p| format!(":{p}@"));
            let yaml = self.yaml(&format!("redis://{password}{}", proxy.address), origin.address);
            nodes.push(Node::start(&format!("node{number}"), &yaml, Some(proxy)).await);
        }
        let fleet = Fleet { nodes, origin, server: Some(server) };
        fleet.assembled().await;
        fleet
    }

    /// In front of a cluster, without proxies.
    pub async fn before_cluster(self, cluster: &Cluster) -> Fleet {
        self.at(&cluster.url()).await
    }

    /// With this URL for the store.
    pub async fn at(self, url: &str) -> Fleet {
        let origin = Origin::start().await;
        let mut nodes = Vec::new();
        for number in 1..=self.nodes {
            nodes.push(Node::start(&format!("node{number}"), &self.yaml(url, origin.address), None).await);
        }
        let fleet = Fleet { nodes, origin, server: None };
        fleet.assembled().await;
        fleet
    }
}

/// Dropped: everything ends.
#[derive(Debug)]
pub struct Fleet {
    pub nodes: Vec<Node>,
    pub origin: Origin,
    server: Option<Server>,
}

impl Fleet {
    pub fn plan() -> Plan {
        Plan::default()
    }

    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("a fleet in front of one server")
    }

    pub fn server_mut(&mut self) -> &mut Server {
        self.server.as_mut().expect("a fleet in front of one server")
    }

    /// Waits until every node is in step with the log and every node knows of every other.
    pub async fn assembled(&self) {
        for node in &self.nodes {
            node.synced(PATIENCE).await;
            eventually("a fleet that knows all its nodes", PATIENCE, async || {
                let receipt = node.purge(&json!({ "tags": ["nobody-has-this"], "wait": "fleet" })).await;
                receipt.status == 200 && receipt.total == self.nodes.len()
            })
            .await;
        }
    }

    /// Fills a page on one node, and waits until another can have it from the store.
    pub async fn share(&self, path: &str) {
        let before = self.stored().await;
        self.nodes[0].get(path).await.version();
        eventually("a value in the store", PATIENCE, async || self.stored().await > before).await;
    }

    /// Values that this fleet's first node has written to the store.
    async fn stored(&self) -> f64 {
        self.nodes[0].metric("larder_shared_requests_total", &[("op", "put"), ("result", "ok")]).await
    }
}
