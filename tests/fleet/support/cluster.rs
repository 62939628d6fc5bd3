//! Three masters that share the slots.

use super::server::{Engine, Server};
use super::{PATIENCE, eventually};

/// Slots of a cluster.
pub const SLOTS: u16 = 16_384;

#[derive(Debug)]
pub struct Cluster {
    pub masters: Vec<Server>,
}

impl Cluster {
    pub async fn start(engine: &Engine) -> Self {
        let options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];
        let mut masters = Vec::new();
        for _ in 0..3 {
            masters.push(Server::with(engine, &options).await);
        }
        let cluster = Self { masters };
        for (at, master) in (0u16..).zip(&cluster.masters) {
            let (first, end) = (SLOTS / 3 * at, if at == 2 { SLOTS } else { SLOTS / 3 * (at + 1) });
            let range = [first.to_string(), (end - 1).to_string()];
            master.tell::<()>(&["CLUSTER", "ADDSLOTSRANGE", &range[0], &range[1]]).await;
            master.tell::<()>(&["CLUSTER", "SET-CONFIG-EPOCH", &(at + 1).to_string()]).await;
        }
        for other in &cluster.masters[1..] {
            let port = other.port().to_string();
            cluster.masters[0].tell::<()>(&["CLUSTER", "MEET", "127.0.0.1", &port]).await;
        }
        eventually("a cluster that agrees", PATIENCE, async || {
            for master in &cluster.masters {
                let info: String = master.tell(&["CLUSTER", "INFO"]).await;
                if !info.contains("cluster_state:ok") || !info.contains("cluster_known_nodes:3") {
                    return false;
                }
            }
            true
        })
        .await;
        cluster
    }

    /// `redis+cluster://…` with all masters.
    pub fn url(&self) -> String {
        let hosts: Vec<String> = self.masters.iter().map(|m| m.address().to_string()).collect();
        format!("redis+cluster://{}", hosts.join(","))
    }

    /// The slot of a key.
    pub async fn slot(&self, key: &str) -> u16 {
        self.masters[0].tell(&["CLUSTER", "KEYSLOT", key]).await
    }

    /// Which master has a slot.
    pub async fn owner(&self, slot: u16) -> usize {
        for (at, master) in self.masters.iter().enumerate() {
            let nodes: String = master.tell(&["CLUSTER", "NODES"]).await;
            let own = nodes.lines().find(|l| l.contains("myself")).unwrap();
            let has = |range: &str| {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                matches!((first.parse::<u16>(), last.parse::<u16>()), (Ok(f), Ok(l)) if f <= slot && slot <= l)
            };
            if own.split(' ').skip(8).any(has) {
                return at;
            }
        }
        panic!("nobody has slot {slot}");
    }

    async fn id(&self, master: usize) -> String {
        self.masters[master].tell(&["CLUSTER", "MYID"]).await
    }

    /// Begins to move a slot: both masters know, no key has moved.
    pub async fn begin_move(&self, slot: u16, to: usize) -> usize {
        let from = self.owner(slot).await;
        let slot = slot.to_string();
        let (source, target) = (self.id(from).await, self.id(to).await);
        self.masters[to].tell::<()>(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source]).await;
        self.masters[from].tell::<()>(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target]).await;
        from
    }

    /// Moves the keys of a slot that [`Cluster::begin_move`] was called for, one after the other.
    pub async fn move_keys(&self, slot: u16, from: usize, to: usize) {
        let (slot, port) = (slot.to_string(), self.masters[to].port().to_string());
        loop {
            let keys: Vec<String> = self.masters[from].tell(&["CLUSTER", "GETKEYSINSLOT", &slot, "10"]).await;
            let Some(key) = keys.first() else { return };
            let _: redis::Value =
                self.masters[from].tell(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]).await;
        }
    }

    /// Ends a move: the slot is the other's.
    pub async fn end_move(&self, slot: u16, to: usize) {
        let (slot, target) = (slot.to_string(), self.id(to).await);
        self.masters[to].tell::<()>(&["CLUSTER", "SETSLOT", &slot, "NODE", &target]).await;
        for master in &self.masters {
            master.tell::<()>(&["CLUSTER", "SETSLOT", &slot, "NODE", &target]).await;
        }
    }

    /// All keys of all masters.
    pub async fn keys(&self) -> Vec<String> {
        let mut keys = Vec::new();
        for master in &self.masters {
            keys.extend(master.keys().await);
        }
        keys
    }
}
