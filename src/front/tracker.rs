//! How many client connections there are, over all listeners, and which were turned away.

use super::handler::Limits;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// Why a connection was closed before it could ask for anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Turned {
    /// `server.limits.connections`.
    TooMany,
    /// `server.limits.connections_per_address`.
    TooManyFromAddress,
    /// A PROXY header was required and none, a bad one, or one from an untrusted peer came.
    ProxyHeader,
    /// The TLS handshake failed.
    Tls,
    /// Nothing, or too little, came in time.
    Silent,
}

impl Turned {
    pub const ALL: [Self; 5] =
        [Self::TooMany, Self::TooManyFromAddress, Self::ProxyHeader, Self::Tls, Self::Silent];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooMany => "too_many",
            Self::TooManyFromAddress => "too_many_from_address",
            Self::ProxyHeader => "proxy_header",
            Self::Tls => "tls",
            Self::Silent => "silent",
        }
    }
}

/// Shared by all listeners and whoever shows the numbers.
#[derive(Clone, Debug, Default)]
pub struct ConnTracker(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    live: AtomicUsize,
    /// Only addresses that have a connection now: bounded by `live`.
    by_address: Mutex<HashMap<IpAddr, usize>>,
    turned: [AtomicU64; Turned::ALL.len()],
    empty: Notify,
}

impl ConnTracker {
    /// Connections open now.
    pub fn live(&self) -> usize {
        self.0.live.load(Ordering::Relaxed)
    }

    /// How many were turned away for this reason since the start.
    pub fn turned(&self, why: Turned) -> u64 {
        self.0.turned.get(why as usize).map_or(0, |n| n.load(Ordering::Relaxed))
    }

    /// Ready when no connection is open.
    pub async fn none_left(&self) {
        loop {
            // Registered before looking, so that the last one can't leave unnoticed in between.
            let mut left = std::pin::pin!(self.0.empty.notified());
            left.as_mut().enable();
            if self.0.live.load(Ordering::Acquire) == 0 {
                return;
            }
            left.await;
        }
    }

    pub(super) fn count_turned(&self, why: Turned) {
        if let Some(n) = self.0.turned.get(why as usize) {
            n.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A place for one more connection, given back when the slot is dropped.
    pub(super) fn admit(&self, limits: &Limits) -> Result<Slot, Turned> {
        let more = |live: usize| (live < limits.connections).then_some(live + 1);
        match self.0.live.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(_) => Ok(Slot { tracker: self.clone(), address: None }),
            Err(_) => Err(Turned::TooMany),
        }
    }
}

/// One connection's place.
#[derive(Debug)]
pub(super) struct Slot {
    tracker: ConnTracker,
    address: Option<IpAddr>,
}

impl Slot {
    /// Counts this connection under its client's address: later than [`ConnTracker::admit`], because behind
    /// a load balancer the address is known only after the PROXY header.
    pub(super) fn claim(&mut self, client: IpAddr, limits: &Limits) -> Result<(), Turned> {
        let key = neighbourhood(client);
        let mut by_address = self.tracker.0.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_address.entry(key).or_default();
        if *count >= limits.connections_per_address {
            if *count == 0 {
                by_address.remove(&key);
            }
            return Err(Turned::TooManyFromAddress);
        }
        *count += 1;
        self.address = Some(key);
        Ok(())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let inner = &self.tracker.0;
        if let Some(address) = self.address {
            let mut by_address = inner.by_address.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(count) = by_address.get_mut(&address) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    by_address.remove(&address);
                }
            }
        }
        if inner.live.fetch_sub(1, Ordering::AcqRel) == 1 {
            inner.empty.notify_waiters();
        }
    }
}

/// One IPv6 customer usually holds a /64 and can come from any address in it.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(a) => IpAddr::V6(Ipv6Addr::from_bits(a.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_given_back() {
        let limits = Limits { connections: 2, connections_per_address: 1, ..Limits::default() };
        let tracker = ConnTracker::default();
        let mut a = tracker.admit(&limits).unwrap();
        let mut b = tracker.admit(&limits).unwrap();
        assert_eq!(tracker.admit(&limits).unwrap_err(), Turned::TooMany);
        a.claim("2001:db8::1".parse().unwrap(), &limits).unwrap();
        let neighbour = "2001:db8::ffff:1".parse().unwrap();
        assert_eq!(b.claim(neighbour, &limits).unwrap_err(), Turned::TooManyFromAddress);
        drop(a);
        b.claim(neighbour, &limits).unwrap();
        assert_eq!(tracker.live(), 1);
        drop(b);
        assert_eq!(tracker.live(), 0);
        assert!(tracker.0.by_address.lock().unwrap().is_empty(), "nothing is kept of those who left");
    }

    #[tokio::test]
    async fn none_left_waits_for_the_last() {
        let tracker = ConnTracker::default();
        tracker.none_left().await;
        let slot = tracker.admit(&Limits::default()).unwrap();
        let waiting = tokio::spawn({
            let tracker = tracker.clone();
            async move { tracker.none_left().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(slot);
        waiting.await.unwrap();
    }
}
