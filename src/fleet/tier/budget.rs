//! Time for something that takes several calls.

use crate::clock::Clock;
use crate::fleet::links::CallError;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Budget<'a> {
    clock: &'a Clock,
    /// On [`Clock::elapsed`].
    from: Duration,
    total: Duration,
}

impl<'a> Budget<'a> {
    pub fn new(clock: &'a Clock, total: Duration) -> Self {
        Self { clock, from: clock.elapsed(), total }
    }

    /// What remains for the next call. Nothing, when it is next to nothing: the call would only fail, and count against a
    /// store and a connection that may be as good as ever.
    pub fn left(&self) -> Result<Duration, CallError> {
        let left = self.total.saturating_sub(self.spent());
        if left < self.total / 10 { Err(CallError::Timeout) } else { Ok(left) }
    }

    pub fn spent(&self) -> Duration {
        self.clock.elapsed().saturating_sub(self.from)
    }

    /// What was done meanwhile had a budget of its own.
    pub fn restart(&mut self) {
        self.from = self.clock.elapsed();
    }
}

/// For a body in pieces, in or out: ten look-ups' worth, and a second for every 8 MiB, which a line of
/// 100 Mbit/s can do.
pub(super) fn for_body(timeout: Duration, length: u64) -> Duration {
    const BYTES_PER_MS: u64 = (8 << 20) / 1000;
    timeout.saturating_mul(10).saturating_add(Duration::from_millis(length / BYTES_PER_MS))
}
