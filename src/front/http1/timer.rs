//! The one timer of a connection. It may wait for two things at once, bytes from the client and room to
//! write to it, and is armed only when one of them has answered "not yet": a hit that finds both ready
//! never touches the timer wheel, and pushing a deadline back does not either.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// What is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wait {
    Read,
    Write,
}

#[derive(Debug)]
pub(super) struct Timer {
    sleep: Pin<Box<Sleep>>,
    read: Option<Instant>,
    write: Option<Instant>,
}

impl Timer {
    pub fn new() -> Self {
        Self { sleep: Box::pin(tokio::time::sleep(Duration::ZERO)), read: None, write: None }
    }

    /// There was progress, or nothing is waited for any more: the next wait begins anew.
    pub const fn clear(&mut self, wait: Wait) {
        *self.due(wait) = None;
    }

    const fn due(&mut self, wait: Wait) -> &mut Option<Instant> {
        match wait {
            Wait::Read => &mut self.read,
            Wait::Write => &mut self.write,
        }
    }

    /// To be called when `wait` is pending: ready when it has been pending for `patience` since the first
    /// such call after the last [`Self::clear`]. Until then the task will be woken in time.
    pub fn poll(&mut self, cx: &mut Context<'_>, wait: Wait, patience: Duration) -> Poll<()> {
        let due = *self.due(wait).get_or_insert_with(|| now() + patience);
        let first = self.read.into_iter().chain(self.write).min().unwrap_or(due);
        if self.sleep.deadline() != first {
            self.sleep.as_mut().reset(first);
        }
        ready!(self.sleep.as_mut().poll(cx));
        if due <= first {
            return Poll::Ready(());
        }
        // The other wait is over, and whoever waits for it will be told when it asks. On to ours.
        self.sleep.as_mut().reset(due);
        self.sleep.as_mut().poll(cx)
    }
}

/// Deadlines are points on the timer's own clock, which tests can pause. Nothing but a time-out is decided by it.
#[expect(clippy::disallowed_methods, reason = "a deadline for a timer, not a decision about HTTP")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
pub(super) fn tests_now() -> Instant {
    now()
}
