//! A breaker per server: after `failures` more failures than successes within `window` the server gets no request for
//! `open_for`, then one as a trial; that one decides.
//!
//! What counts as a failure is that no usable answer came: no connection, a reset, a time-out, a broken message. A 503
//! is an answer: the server is there, and its own word on how busy it is goes to the client (or to stale-if-error).
//! Each success takes back one failure, so that a server that answers most of thousands of requests a second isn't
//! shut off because five of them failed.
//!
//! A pure state machine: time comes in as a value.

use super::settings::Breaker as Rule;
use crate::time::Mono;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is shown of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BreakerState {
    Closed,
    Open,
    /// Open long enough: the next request is the trial, or it is on its way.
    HalfOpen,
}

impl BreakerState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

#[derive(Debug)]
enum State {
    /// Times of recent failures that no success has taken back, oldest first; at most `failures`.
    Closed(VecDeque<Mono>),
    Open {
        until: Mono,
    },
    /// One trial is on its way.
    Trial,
}

/// How a request came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Normal,
    Trial,
}

#[derive(Debug)]
pub(super) struct Breaker {
    rule: Option<Rule>,
    state: Mutex<State>,
}

impl Breaker {
    pub fn new(rule: Option<Rule>) -> Self {
        Self { rule, state: Mutex::new(State::Closed(VecDeque::new())) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether [`Breaker::enter`] would let a request through.
    pub fn usable(&self, now: Mono) -> bool {
        match *self.lock() {
            State::Closed(_) => true,
            State::Open { until } => now >= until,
            State::Trial => false,
        }
    }

    /// Lets a request through, or not. Whoever got an [`Entry`] must settle it: success, failure or abandon.
    pub fn enter(&self, now: Mono) -> Option<Entry> {
        let mut state = self.lock();
        match *state {
            State::Closed(_) => Some(Entry::Normal),
            State::Open { until } if now >= until => {
                *state = State::Trial;
                Some(Entry::Trial)
            }
            State::Open { .. } | State::Trial => None,
        }
    }

    /// True when this closed an open breaker. Late answers of requests that went out before it opened don't.
    pub fn success(&self, entry: Entry) -> bool {
        let mut state = self.lock();
        match (&mut *state, entry) {
            (State::Closed(failures), _) => {
                failures.pop_front();
                false
            }
            (State::Trial, Entry::Trial) => {
                *state = State::Closed(VecDeque::new());
                true
            }
            _ => false,
        }
    }

    /// True when this opened the breaker.
    pub fn failure(&self, entry: Entry, now: Mono) -> bool {
        let Some(rule) = self.rule else { return false };
        let mut state = self.lock();
        match (&mut *state, entry) {
            (State::Closed(failures), _) => {
                while failures.front().is_some_and(|f| now.since(*f) > rule.window) {
                    failures.pop_front();
                }
                failures.push_back(now);
                if failures.len() < rule.failures.max(1) as usize {
                    return false;
                }
                *state = State::Open { until: now.after(rule.open_for) };
                true
            }
            (State::Trial, Entry::Trial) => {
                *state = State::Open { until: now.after(rule.open_for) };
                false
            }
            _ => false,
        }
    }

    /// The request ended without saying anything about the server (its client went away): the next may try.
    pub fn abandon(&self, entry: Entry, now: Mono) {
        let mut state = self.lock();
        if entry == Entry::Trial && matches!(*state, State::Trial) {
            *state = State::Open { until: now };
        }
    }

    pub fn state(&self, now: Mono) -> BreakerState {
        match *self.lock() {
            State::Closed(_) => BreakerState::Closed,
            State::Open { until } if now < until => BreakerState::Open,
            State::Open { .. } | State::Trial => BreakerState::HalfOpen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn breaker() -> Breaker {
        Breaker::new(Some(Rule {
            failures: 3,
            window: Duration::from_secs(10),
            open_for: Duration::from_secs(5),
        }))
    }

    fn fail(b: &Breaker, at: u64) -> bool {
        let entry = b.enter(Mono(at)).expect("let through");
        b.failure(entry, Mono(at))
    }

    fn opened_at_2(b: &Breaker) {
        assert!(!fail(b, 0) && !fail(b, 1) && fail(b, 2));
    }

    #[test]
    fn opens_at_the_nth_failure_within_the_window_and_not_before() {
        let b = breaker();
        assert!(!fail(&b, 0));
        assert!(!fail(&b, 1));
        assert!(!fail(&b, 10_001), "the first is out of the window by then");
        assert!(fail(&b, 10_001));
        assert_eq!(b.state(Mono(10_002)), BreakerState::Open);
        assert_eq!(b.enter(Mono(15_000)), None);
    }

    #[test]
    fn lets_exactly_one_trial_through_and_believes_it() {
        let b = breaker();
        opened_at_2(&b);
        assert!(!b.usable(Mono(5_001)));
        assert!(b.usable(Mono(5_002)));
        assert_eq!(b.enter(Mono(5_002)), Some(Entry::Trial));
        assert_eq!(b.enter(Mono(5_002)), None);
        assert!(!b.failure(Entry::Trial, Mono(5_100)));
        assert_eq!(b.enter(Mono(10_099)), None, "a failed trial opens it for another open_for");
        assert_eq!(b.enter(Mono(10_100)), Some(Entry::Trial));
        assert!(b.success(Entry::Trial));
        assert_eq!(b.state(Mono(10_100)), BreakerState::Closed);
    }

    #[test]
    fn an_abandoned_trial_does_not_leave_it_shut_for_ever() {
        let b = breaker();
        opened_at_2(&b);
        assert_eq!(b.enter(Mono(6_000)), Some(Entry::Trial));
        b.abandon(Entry::Trial, Mono(6_001));
        assert_eq!(b.enter(Mono(6_001)), Some(Entry::Trial));
    }

    #[test]
    fn successes_take_failures_back_so_that_a_busy_healthy_server_stays() {
        let b = breaker();
        for t in 0..100 {
            assert!(!fail(&b, t));
            b.success(Entry::Normal);
        }
        assert_eq!(b.state(Mono(100)), BreakerState::Closed);
    }

    #[test]
    fn answers_of_requests_from_before_it_opened_change_nothing() {
        let b = breaker();
        opened_at_2(&b);
        assert!(!b.success(Entry::Normal));
        assert!(!b.failure(Entry::Normal, Mono(4)));
        assert_eq!(b.enter(Mono(5)), None);
    }

    #[test]
    fn without_a_rule_it_never_opens() {
        let b = Breaker::new(None);
        (0..100).for_each(|t| assert!(!fail(&b, t)));
    }
}
