//! A thing that takes time to obtain (a connection, the map of the masters): one attempt at a time, for all who wait.
//!
//! An attempt belongs to nobody. It runs on when the caller that began it gives up, so that what takes longer than
//! one caller's patience succeeds all the same, for the next; and it is bounded, so that it can't run for ever. After a failure there is a pause, in which calls
//! fail at once: a store that is away must cost its callers nothing.

use super::error::{CallError, Fault};
use crate::clock::Clock;
use crate::time::Mono;
use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// One attempt, whoever waits for it.
pub(super) const ATTEMPT: Duration = Duration::from_secs(2);
/// The pause after the first failure; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// An attempt that is under way, until it has an outcome. Those who wait are woken in the order in which they came, so that a simulation
/// can be repeated (the channels of tokio wake in an order of their own).
#[derive(Debug)]
struct Attempt<T> {
    outcome: OnceLock<Result<T, Fault>>,
    ended: Notify,
}

impl<T: Clone> Attempt<T> {
    async fn outcome(&self) -> Result<T, Fault> {
        let ended = self.ended.notified();
        tokio::pin!(ended);
        ended.as_mut().enable();
        if self.outcome.get().is_none() {
            ended.await;
        }
        self.outcome.get().cloned().unwrap_or_else(|| Err(given_up()))
    }
}

/// Whatever becomes of its task: an attempt ends.
struct Ending<T>(Arc<Attempt<T>>);

impl<T> Drop for Ending<T> {
    fn drop(&mut self) {
        self.0.outcome.get_or_init(|| Err(given_up()));
        self.0.ended.notify_waiters();
    }
}

fn given_up() -> Fault {
    Fault::new(CallError::Connect, "the attempt was given up")
}

#[derive(Debug)]
pub(super) struct Single<T> {
    state: Mutex<State<T>>,
    clock: Clock,
}

#[derive(Debug)]
struct State<T> {
    value: Option<T>,
    /// The last that began; it may have died with its runtime.
    attempt: Option<Arc<Attempt<T>>>,
    /// Attempts that failed in a row, the last one's fault, and until when there is no other.
    failures: u32,
    fault: Option<Fault>,
    rest_until: Mono,
}

enum Found<T> {
    Value(T),
    Attempt(Arc<Attempt<T>>),
    Resting(Fault),
}

impl<T: Clone + Send + Sync + 'static> Single<T> {
    pub fn new(value: Option<T>, clock: Clock) -> Arc<Self> {
        let state = State { value, attempt: None, failures: 0, fault: None, rest_until: Mono(0) };
        Arc::new(Self { state: Mutex::new(state), clock })
    }

    /// What is there now.
    pub fn value(&self) -> Option<T> {
        self.lock().value.clone()
    }

    /// What is there, or what comes of the attempt that is under way or begins now. Takes as long as an attempt: bound it.
    /// `make` is called under the lock: what it needs of this value, its future must look up.
    pub async fn get<F>(self: &Arc<Self>, make: impl FnOnce() -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>> + Send + 'static,
    {
        match self.find(make) {
            Found::Value(value) => Ok(value),
            Found::Resting(fault) => Err(fault),
            Found::Attempt(attempt) => attempt.outcome().await,
        }
    }

    /// Begins an attempt in the background, unless there is one or a pause; until it succeeds, what is there stays.
    pub fn renew<F>(self: &Arc<Self>, make: impl FnOnce() -> F)
    where
        F: Future<Output = Result<T, Fault>> + Send + 'static,
    {
        let mut state = self.lock();
        if state.under_way().is_none() && self.clock.now().mono >= state.rest_until {
            self.begin(&mut state, make());
        }
    }

    /// Replaces what is there.
    pub fn set(&self, value: T) {
        self.lock().value = Some(value);
    }

    /// Throws away what is there if it is what `which` means.
    pub fn forget(&self, which: impl Fn(&T) -> bool) {
        let mut state = self.lock();
        if state.value.as_ref().is_some_and(which) {
            state.value = None;
        }
    }

    fn find<F>(self: &Arc<Self>, make: impl FnOnce() -> F) -> Found<T>
    where
        F: Future<Output = Result<T, Fault>> + Send + 'static,
    {
        let mut state = self.lock();
        if let Some(value) = &state.value {
            return Found::Value(value.clone());
        }
        if let Some(attempt) = state.under_way() {
            return Found::Attempt(attempt);
        }
        match &state.fault {
            Some(fault) if self.clock.now().mono < state.rest_until => Found::Resting(fault.clone()),
            _ => Found::Attempt(self.begin(&mut state, make())),
        }
    }

    fn begin<F>(self: &Arc<Self>, state: &mut State<T>, making: F) -> Arc<Attempt<T>>
    where
        F: Future<Output = Result<T, Fault>> + Send + 'static,
    {
        let attempt = Arc::new(Attempt { outcome: OnceLock::new(), ended: Notify::new() });
        state.attempt = Some(Arc::clone(&attempt));
        let (single, ending) = (Arc::clone(self), Ending(Arc::clone(&attempt)));
        tokio::spawn(async move {
            let outcome = match tokio::time::timeout(ATTEMPT, making).await {
                Ok(outcome) => outcome,
                Err(_) => Err(Fault::new(CallError::Connect, "no answer while connecting")),
            };
            single.ended(&outcome);
            ending.0.outcome.get_or_init(|| outcome);
        });
        attempt
    }

    fn ended(&self, outcome: &Result<T, Fault>) {
        let now = self.clock.now().mono;
        let mut state = self.lock();
        state.attempt = None;
        match outcome {
            Ok(value) => {
                state.value = Some(value.clone());
                state.failures = 0;
                state.fault = None;
            }
            Err(fault) => {
                state.rest_until = now.after(pause(state.failures));
                state.failures = state.failures.saturating_add(1);
                state.fault = Some(fault.clone());
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    fn under_way(&self) -> Option<Arc<Attempt<T>>> {
        self.attempt.as_ref().filter(|attempt| attempt.outcome.get().is_none()).cloned()
    }
}

/// Half of it is chance, so that a fleet doesn't come back as one.
fn pause(failures: u32) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(1 << failures.min(8)).min(LONGEST_PAUSE);
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}
