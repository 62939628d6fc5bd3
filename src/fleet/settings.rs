//! What this room is told of the store; plain data, made from the configuration by `crate::settings`.

use std::sync::Arc;
use std::time::Duration;

/// `host:port`; an IPv6 address in brackets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    pub host: Arc<str>,
    pub port: u16,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// How the masters of the store are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    Standalone(Address),
    /// Ask these for the address of the master of that name.
    Sentinel {
        sentinels: Vec<Address>,
        master: Arc<str>,
    },
    /// Any of these tells where the slots are.
    Cluster(Vec<Address>),
}

/// A user of the store (ACL), or the `requirepass` password alone. `Debug` shows no password.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Auth {
    pub username: Option<Arc<str>>,
    pub password: Option<Arc<str>>,
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let password = self.password.as_ref().map(|_| "***");
        f.debug_struct("Auth").field("username", &self.username).field("password", &password).finish()
    }
}

/// When a role of connections is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it stays open before one call tries again.
    pub open_for: Duration,
}

/// What a node does that is not known to have heard of every purge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenUnsynced {
    Revalidate,
    Serve,
    Bypass,
}

/// Keys that seal values: the first seals, all open. `Debug` shows none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Keys(pub Vec<[u8; 32]>);

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.0.len())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub topology: Topology,
    pub tls: bool,
    pub auth: Auth,
    /// Database number; always 0 in a cluster.
    pub db: i64,
    /// Prefix of all keys.
    pub namespace: Arc<str>,
    /// Of one look-up.
    pub timeout: Duration,
    /// Bytes of a body; larger ones stay on their node.
    pub max_object: u64,
    pub breaker: Breaker,
    /// How long one node may fetch a cold key while the others wait for it, in all.
    pub lease: Duration,
    pub max_unsynced: Duration,
    pub when_unsynced: WhenUnsynced,
    pub keys: Keys,
    /// `server.secret`: keys the names of values when it is set; see `names`.
    pub secret: Option<Arc<str>>,
    /// How this node is called in receipts and on the dashboard.
    pub node_name: Arc<str>,
}
