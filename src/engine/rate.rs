//! `rate`: how many requests one client may make under one rule.
//!
//! Counted by the generic cell rate algorithm (ITU-T I.371, A.1): for each client one number is kept, the time at
//! which its next request is due if it kept strictly to the rate. A request is admitted while that is no more than
//! `per` ahead of now. So a client may use up its whole allowance at once, and then gets it back evenly; what is
//! refused costs it nothing.
//!
//! A client is an address as `server.trusted_proxies` lets it be told; of IPv6 the first 64 bits, which are one
//! subscriber's (RFC 6177). At most [`CLIENTS`] are remembered, and the one that was silent longest is forgotten
//! first: who commands more addresses than that is not held by a rate per address, remembered or not.

use crate::engine::policy::{Rate, RateBy};
use crate::time::Mono;
use moka::policy::EvictionPolicy;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Clients that are remembered, of all rules together; some 300 bytes each.
const CLIENTS: u64 = 100_000;

/// The reason in the log, the metric and the response of what is refused.
pub const REASON: &str = "too-many-requests";

/// Whose requests under which rule are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Account {
    rule: Arc<str>,
    client: IpAddr,
}

/// All clients' accounts. One per process: they outlive a reload.
#[derive(Debug)]
pub struct Rates(moka::sync::Cache<Account, Arc<AtomicU64>>);

impl Default for Rates {
    fn default() -> Self {
        let accounts =
            moka::sync::Cache::builder().max_capacity(CLIENTS).eviction_policy(EvictionPolicy::lru()).build();
        Self(accounts)
    }
}

impl Rates {
    /// Counts a request of `client`. `rule` is the one that set `rate`.
    ///
    /// # Errors
    /// One too many; it would be admitted after that time.
    pub fn admit(&self, rule: &Arc<str>, rate: &Rate, client: IpAddr, now: Mono) -> Result<(), Duration> {
        let client = match rate.by {
            RateBy::Ip => subscriber(client),
        };
        let account = Account { rule: rule.clone(), client };
        let due = match self.0.get(&account) {
            Some(due) => due,
            None => self.0.get_with(account, Arc::default),
        };
        let now = nanoseconds(now.since(Mono(0)));
        let mut wait = 0;
        let counted = due.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |due| {
            next_due(rate, due, now).map_err(|too_early| wait = too_early).ok()
        });
        counted.map(drop).map_err(|_| Duration::from_nanos(wait))
    }
}

/// What `Retry-After` says (RFC 9110 §10.2.3): whole seconds, rounded up.
pub fn retry_after(wait: Duration) -> u64 {
    let whole = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    whole.max(1)
}

/// When the request after this one is due, all in nanoseconds. The error is how much too early it is.
fn next_due(rate: &Rate, due: u64, now: u64) -> Result<u64, u64> {
    let per = nanoseconds(rate.per);
    let interval = (per / u64::from(rate.requests.max(1))).max(1);
    let latest = now.saturating_add(per);
    // Nobody gets further ahead than that by this rate: what is kept is from a slower one, before a reload.
    let due = if due > latest { now } else { due.max(now) };
    let next = due.saturating_add(interval);
    next.checked_sub(latest).filter(|early| *early > 0).map_or(Ok(next), Err)
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn subscriber(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(requests: u32, per: Duration) -> Rate {
        Rate { requests, per, by: RateBy::Ip }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_allowance_may_be_used_at_once_and_comes_back_evenly() {
        let (rates, rule, three) = (Rates::default(), Arc::from("r"), rate(3, Duration::from_secs(3)));
        let ask = |ms| rates.admit(&rule, &three, ip("192.0.2.1"), Mono(ms));
        for _ in 0..3 {
            assert_eq!(ask(0), Ok(()));
        }
        assert_eq!(ask(0), Err(Duration::from_secs(1)));
        assert_eq!(ask(400), Err(Duration::from_millis(600)), "a refusal costs nothing");
        assert_eq!(ask(1000), Ok(()));
        assert_eq!(ask(1000), Err(Duration::from_secs(1)));
        // After a long silence it has the allowance, and no more.
        for _ in 0..3 {
            assert_eq!(ask(60_000), Ok(()));
        }
        assert!(ask(60_000).is_err());
    }

    #[test]
    fn every_rule_and_every_client_has_an_account_of_its_own() {
        let (rates, once) = (Rates::default(), rate(1, Duration::from_secs(1)));
        let (a, b) = (Arc::from("a"), Arc::from("b"));
        let ask = |rule: &Arc<str>, client| rates.admit(rule, &once, ip(client), Mono(0)).is_ok();
        assert!(ask(&a, "192.0.2.1") && !ask(&a, "192.0.2.1"));
        assert!(ask(&b, "192.0.2.1") && ask(&a, "192.0.2.2"));
        assert!(!ask(&a, "::ffff:192.0.2.1"), "an IPv4 address in an IPv6 one is the same client");
        assert!(ask(&a, "2001:db8:0:1::1") && !ask(&a, "2001:db8:0:1:ffff::2"), "a /64 is one subscriber");
        assert!(ask(&a, "2001:db8:0:2::1"));
    }

    #[test]
    fn a_reload_that_changes_the_rate_holds_nobody_for_longer_than_the_new_one() {
        let (rates, rule) = (Rates::default(), Arc::from("r"));
        let (hourly, often) = (rate(1, Duration::from_secs(3600)), rate(1, Duration::from_secs(1)));
        let ask = |rate, ms| rates.admit(&rule, rate, ip("192.0.2.1"), Mono(ms));
        assert_eq!(ask(&hourly, 0), Ok(()));
        assert_eq!(ask(&hourly, 1000), Err(Duration::from_secs(3599)));
        assert_eq!(ask(&often, 1000), Ok(()));
        assert_eq!(ask(&often, 1000), Err(Duration::from_secs(1)));
    }

    #[test]
    fn rfc9110_10_2_3_retry_after_is_whole_seconds_and_never_too_early() {
        for (ms, seconds) in [(0, 1), (1, 1), (999, 1), (1000, 1), (1001, 2), (60_000, 60)] {
            assert_eq!(retry_after(Duration::from_millis(ms)), seconds, "{ms}");
        }
    }

    #[test]
    fn rates_at_the_edge_of_what_can_be_configured_do_not_overflow() {
        for (requests, per) in
            [(1, Duration::MAX), (1_000_000_000, Duration::from_millis(1)), (0, Duration::ZERO)]
        {
            let rates = Rates::default();
            let rule = Arc::from("r");
            for ms in [0, u64::MAX / 2, u64::MAX] {
                let _ = rates.admit(&rule, &rate(requests, per), ip("::1"), Mono(ms));
            }
        }
    }

    #[test]
    fn the_memory_of_clients_is_bounded() {
        let (rates, rule, once) = (Rates::default(), Arc::from("r"), rate(1, Duration::from_secs(1)));
        for n in 0..(CLIENTS as u32 + 20_000) {
            let _ = rates.admit(&rule, &once, IpAddr::V4(n.into()), Mono(0));
        }
        rates.0.run_pending_tasks();
        assert!(rates.0.entry_count() <= CLIENTS);
    }
}
