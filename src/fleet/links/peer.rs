//! The connections of one role to one master, and the breaker that guards them.

use super::Role;
use super::breaker::Breaker;
use super::connection::{Connection, Linker};
use super::error::Fault;
use super::single::Single;
use crate::fleet::settings::{self, Address};
use std::sync::Arc;
use std::time::Duration;

/// What follows the purge log must be back soon after the store is: its breaker stays open no longer than this.
const LOG_OPEN_FOR: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Peer {
    pub address: Address,
    pub breaker: Arc<Breaker>,
    places: Vec<Arc<Single<Arc<Connection>>>>,
}

impl Peer {
    pub fn new(role: Role, address: Address, breaker: settings::Breaker, linker: &Linker) -> Self {
        let breaker = breaker_for(role, breaker, &address.to_string());
        let places = (0..role.connections()).map(|_| Single::new(None, linker.clock.clone())).collect();
        Self { address, breaker, places }
    }

    /// A connection that is up: the least busy, a new one only where the others are busy. Takes as long as connecting:
    /// bound it.
    pub async fn connection(&self, linker: &Arc<Linker>) -> Result<Arc<Connection>, Fault> {
        let mut best: Option<(u64, &Arc<Single<Arc<Connection>>>)> = None;
        for place in &self.places {
            place.forget(|connection| !connection.is_usable());
            // Opening one costs as much as standing behind a call.
            let load = place.value().map_or(1, |connection| connection.outstanding());
            if best.is_none_or(|(least, _)| load < least) {
                best = Some((load, place));
            }
        }
        let Some((_, place)) = best else {
            return Err(Fault::own(super::CallError::Connect, "no place for a connection"));
        };
        let got = place
            .get(|| {
                let (linker, address) = (Arc::clone(linker), self.address.clone());
                async move { linker.connect(&address).await }
            })
            .await;
        // A second connection that isn't granted is no reason to fail while there is a first.
        got.or_else(|fault| self.up().next().ok_or(fault))
    }

    /// This connection is not to be used again. Calls that still wait on it may get their answers.
    pub fn forget(&self, connection: &Arc<Connection>) {
        for place in &self.places {
            place.forget(|held| Arc::ptr_eq(held, connection));
        }
    }

    pub fn up(&self) -> impl Iterator<Item = Arc<Connection>> + '_ {
        self.places.iter().filter_map(|place| place.value()).filter(|connection| connection.is_usable())
    }
}

pub(super) fn breaker_for(role: Role, mut settings: settings::Breaker, place: &str) -> Arc<Breaker> {
    if matches!(role, Role::Tail | Role::Sync) {
        settings.open_for = settings.open_for.min(LOG_OPEN_FOR);
    }
    Breaker::new(settings, format!("{} {place}", role.as_str()))
}
