//! Leaves alone what keeps failing: after so many failures in a row, calls are not tried for a while; then one is, and
//! what comes of it decides for the others.

use super::error::{CallError, Fault};
use crate::fleet::settings;
use crate::time::Mono;
use std::sync::{Arc, Mutex, PoisonError};

/// What a call says about the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Works,
    Fails,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        until: Mono,
    },
    /// One call is out to see.
    Probing,
}

#[derive(Debug)]
pub(super) struct Breaker {
    settings: settings::Breaker,
    /// For the log: a role, and where.
    name: String,
    state: Mutex<State>,
}

/// Leave to try. Dropped without a verdict it says nothing, and the next call may try.
#[derive(Debug)]
pub(super) struct Permit {
    breaker: Arc<Breaker>,
    probe: bool,
    judged: bool,
}

impl Breaker {
    pub fn new(settings: settings::Breaker, name: String) -> Arc<Self> {
        Arc::new(Self { settings, name, state: Mutex::new(State::Closed { failures: 0 }) })
    }

    pub fn enter(self: &Arc<Self>, now: Mono) -> Result<Permit, Fault> {
        let mut state = self.lock();
        let probe = match *state {
            State::Closed { .. } => false,
            State::Open { until } if until <= now => {
                *state = State::Probing;
                true
            }
            State::Open { .. } | State::Probing => {
                return Err(Fault::own(CallError::BreakerOpen, "left alone after failures"));
            }
        };
        Ok(Permit { breaker: Arc::clone(self), probe, judged: false })
    }

    pub fn is_open(&self) -> bool {
        !matches!(*self.lock(), State::Closed { .. })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn judge(&self, verdict: Verdict, probe: bool, now: Mono, detail: &str) {
        let mut state = self.lock();
        let open = State::Open { until: now.after(self.settings.open_for) };
        match (*state, verdict) {
            (State::Closed { .. }, Verdict::Works) => *state = State::Closed { failures: 0 },
            (State::Closed { failures }, Verdict::Fails) if failures + 1 < self.settings.failures.max(1) => {
                *state = State::Closed { failures: failures + 1 };
            }
            (State::Closed { failures }, Verdict::Fails) => {
                *state = open;
                tracing::warn!(link = %self.name, failures = failures + 1, last = detail,
                    open_for = ?self.settings.open_for, "shared store: left alone for a while");
            }
            (State::Probing, Verdict::Works) if probe => {
                *state = State::Closed { failures: 0 };
                tracing::info!(link = %self.name, "shared store: answers again");
            }
            (State::Probing, Verdict::Fails) if probe => {
                *state = open;
                tracing::debug!(link = %self.name, last = detail, "shared store: still failing");
            }
            // Calls from before it opened know nothing new.
            (State::Open { .. } | State::Probing, _) => {}
        }
    }
}

impl Permit {
    pub fn judge(mut self, verdict: Verdict, now: Mono, detail: &str) {
        self.judged = true;
        self.breaker.judge(verdict, self.probe, now, detail);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.probe && !self.judged {
            *self.breaker.lock() = State::Open { until: Mono(0) };
        }
    }
}
