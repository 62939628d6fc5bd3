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
