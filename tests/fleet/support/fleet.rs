//! A fleet: a store, an origin, nodes, and between each node and the store a proxy of its own.

use super::client::Answer;
use super::cluster::Cluster;
use super::node::Node;
use super::origin::Origin;
use super::proxy::FaultProxy;
use super::server::{Engine, Server};
use super::{PATIENCE, eventually};
use serde_json::json;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// How a fleet is made. Time-outs are wide unless a test is about them: the machine may be busy.
#[derive(Clone, Debug)]
pub struct Plan {
    nodes: usize,
    shared: BTreeMap<String, String>,
    top: String,
    own: String,
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
            top: "memory: { capacity: 64MiB }".into(),
            own: String::new(),
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

    /// The default of a field of `shared`.
    pub fn without(mut self, field: &str) -> Self {
        self.shared.remove(field);
        self
    }

    /// Sections at the top level, instead of `memory`.
    pub fn top(mut self, yaml: &str) -> Self {
        self.top = yaml.to_owned();
        self
    }

    /// Fields of `server`.
    pub fn own(mut self, fields: &str) -> Self {
        self.own = fields.to_owned();
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
             rules: [{{ name: all, origin: app }}]\n",
            self.top
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
        let mut fleet = Fleet {
            nodes: Vec::new(),
            origin: Arc::new(Origin::start().await),
            server: Some(server),
            plan: self,
        };
        for _ in 0..fleet.plan.nodes {
            fleet.join().await;
        }
        fleet.assembled().await;
        fleet
    }

    /// In front of a cluster, without proxies.
    pub async fn before_cluster(self, cluster: &Cluster) -> Fleet {
        self.at(&cluster.url()).await
    }

    /// With this URL for the store.
    pub async fn at(self, url: &str) -> Fleet {
        let origin = Arc::new(Origin::start().await);
        let mut nodes = Vec::new();
        for number in 1..=self.nodes {
            let yaml = self.yaml(url, origin.address);
            nodes.push(Node::start(&format!("node{number}"), &self.own, &yaml, None).await);
        }
        let fleet = Fleet { nodes, origin, server: None, plan: self };
        fleet.assembled().await;
        fleet
    }
}

/// Dropped: everything ends.
#[derive(Debug)]
pub struct Fleet {
    pub nodes: Vec<Node>,
    pub origin: Arc<Origin>,
    pub server: Option<Server>,
    plan: Plan,
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

    /// One node more, before the same server; it may not be in step yet.
    pub async fn join(&mut self) -> usize {
        self.join_with(|plan| plan).await
    }

    /// The same with another configuration.
    pub async fn join_with(&mut self, change: impl FnOnce(Plan) -> Plan) -> usize {
        let plan = change(self.plan.clone());
        let proxy = FaultProxy::before(self.server().address()).await;
        let password = plan.password.as_ref().map_or(String::new(), |p| format!(":{p}@"));
        let yaml = plan.yaml(&format!("redis://{password}{}", proxy.address), self.origin.address);
        let name = format!("node{}", self.nodes.len() + 1);
        self.nodes.push(Node::start(&name, &plan.own, &yaml, Some(proxy)).await);
        self.nodes.len() - 1
    }

    /// Waits until every node is in step with the log and every node knows of every other.
    pub async fn assembled(&self) {
        for node in &self.nodes {
            node.synced(PATIENCE).await;
            eventually("a fleet that knows all its nodes", PATIENCE, async || {
                let receipt = node.purge(&json!({ "tags": ["nobody-has-this"], "wait": "fleet" })).await;
                let known = receipt.status == 200 && receipt.total == self.nodes.len();
                if !known {
                    eprintln!("not assembled, says {}: {}", node.name, receipt.said);
                }
                known
            })
            .await;
        }
    }

    /// Fills a page on the first node, and returns when the others can have it from the store.
    pub async fn share(&self, path: &str) -> Answer {
        let before = self.nodes[0].puts().await;
        let answer = self.nodes[0].get(path).await;
        eventually("a value in the store", PATIENCE, async || self.nodes[0].puts().await > before).await;
        answer
    }
}
