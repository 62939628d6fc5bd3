//! Everything that needs Redis or Valkey: the tier that a fleet of nodes shares, the transport of its purge log, and the
//! leases by which one node fetches for all.
//!
//! Nothing here decides about HTTP, and nothing here is needed: every call has a time limit of ours, every
//! failure has a name and is counted, and whoever asked goes on without the fleet. What keeps purges safe when
//! the store is slow, empty, forked or away is [`crate::purge::fleet`]; this room only carries its records.
//!
//! * [`settings`]: what the configuration says of the store.
//! * [`links`]: connections, one per role and master, with their own time-outs and breakers; standalone, Sentinel, cluster.
//! * [`names`]: the names of keys in the store. [`value`]: stored responses as bytes, sealed when a key is set.
//! * [`tier`]: look-up, lease, promotion, writes. [`transport`]: the purge log, heart-beats, receipts.

pub mod links;
pub mod names;
pub mod settings;
#[cfg(test)]
pub(crate) mod testing;
pub mod tier;
pub mod transport;
pub mod value;

pub use settings::Settings;

use crate::clock::Clock;
use crate::observe::Metrics;
use crate::observe::fleet::FleetLevels;
use crate::purge::PurgeLog;
use std::sync::Arc;
use transport::Hear;

/// A node's membership of a fleet.
#[derive(Debug)]
pub struct Fleet {
    pub settings: Settings,
    pub links: Arc<links::Links>,
    pub log: Arc<transport::Transport>,
    pub tier: Arc<tier::Tier>,
}

impl Fleet {
    /// Connects to nothing yet: the store may be away when a node starts.
    pub fn new(settings: Settings, purges: Arc<PurgeLog>, metrics: Arc<Metrics>, clock: Clock) -> Arc<Self> {
        let links = links::Links::new(&settings, clock.clone());
        let log = transport::Transport::new(links.clone(), &settings, purges, metrics.clone(), clock.clone());
        let store_clock = log.clone();
        let store_now = Arc::new(move || store_clock.store_now());
        let tier = tier::Tier::new(links.clone(), &settings, metrics, clock, store_now);
        Arc::new(Self { settings, links, log, tier })
    }

    /// Runs for as long as it is polled. `applied` hears of every purge that another node made, after it holds here.
    pub async fn run(self: Arc<Self>, applied: Box<Hear>) {
        tokio::join!(self.log.clone().run(applied), self.tier.clone().run());
    }

    /// For the metrics.
    pub fn levels(&self) -> FleetLevels {
        let log = self.log.state();
        FleetLevels {
            breakers: self.links.states().iter().map(|s| (s.role.as_str(), s.breaker_open)).collect(),
            lag_s: log.unsynced_for.map_or(0.0, |lag| lag.as_secs_f64()),
            unsynced: !log.synced,
        }
    }
}
