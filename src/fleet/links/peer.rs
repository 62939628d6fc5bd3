//! The connections of one role to one master, and the breaker that guards them.

use super::Role;
use super::breaker::Breaker;
use super::connection::{Connection, Linker};
use super::error::{CallError, Fault};
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

    /// The least busy of the connections that are up, or the one that is being made. Takes as long as connecting: bound it.
    pub async fn connection(&self, linker: &Arc<Linker>) -> Result<Arc<Connection>, Fault> {
        let make = || {
            let (linker, address) = (Arc::clone(linker), self.address.clone());
            async move { linker.connect(&address).await }
        };
        let mut best: Option<Arc<Connection>> = None;
        let mut empty = None;
        for place in &self.places {
            place.forget(|connection| !connection.is_usable());
            match place.value() {
                None => empty = empty.or(Some(place)),
                Some(up) if best.as_ref().is_none_or(|best| up.outstanding() < best.outstanding()) => {
                    best = Some(up);
                }
                Some(_) => {}
            }
        }
        match (best, empty) {
            (Some(best), Some(place)) if best.outstanding() > 0 => {
                // All are busy: another one for those who come later. Nobody waits for it while there is one.
                place.renew(make);
                Ok(best)
            }
            (Some(best), _) => Ok(best),
            (None, Some(place)) => place.get(make).await,
            (None, None) => Err(Fault::own(CallError::Connect, "no place for a connection")),
        }
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
    if matches!(role, Role::Tail | Role::Sync | Role::Append) {
        settings.open_for = settings.open_for.min(LOG_OPEN_FOR);
    }
    Breaker::new(settings, format!("{} {place}", role.as_str()))
}
