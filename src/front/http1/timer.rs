//! The time-outs of a connection, which waits for two things at most: bytes from the client, and room to
//! write to it. A timer is armed only when the socket has answered "not yet": a hit that finds it ready
//! never touches the timer wheel. It is made when first needed (most connections never wait to write), and
//! then reset, which costs next to nothing while it only moves back.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// What is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wait {
    Read,
    Write,
}

#[derive(Debug, Default)]
pub(super) struct Timer {
    read: Deadline,
    write: Deadline,
}

#[derive(Debug, Default)]
struct Deadline {
    sleep: Option<Pin<Box<Sleep>>>,
    /// `sleep` belongs to the wait that is going on. Else it may still fire, and wakes the task for nothing.
    running: bool,
}

impl Timer {
    /// There was progress, or nothing is waited for any more: the next wait begins anew.
    pub const fn clear(&mut self, wait: Wait) {
        self.deadline(wait).running = false;
    }

    /// To be called when `wait` is pending: ready when it has been pending for `patience` since the first
    /// such call after the last [`Self::clear`]. Until then the task will be woken in time.
    pub fn poll(&mut self, cx: &mut Context<'_>, wait: Wait, patience: Duration) -> Poll<()> {
        let Deadline { sleep, running } = self.deadline(wait);
        let sleep = sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        if !*running {
            *running = true;
            sleep.as_mut().reset(now() + patience);
        }
        sleep.as_mut().poll(cx)
    }

    const fn deadline(&mut self, wait: Wait) -> &mut Deadline {
        match wait {
            Wait::Read => &mut self.read,
            Wait::Write => &mut self.write,
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    const READ: Duration = Duration::from_secs(10);
    const WRITE: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn each_wait_has_its_own_time() {
        let mut timer = Timer::default();
        let start = now();
        // Both wait; the write is over first.
        poll_fn(|cx| {
            let read = timer.poll(cx, Wait::Read, READ);
            assert!(read.is_pending());
            timer.poll(cx, Wait::Write, WRITE)
        })
        .await;
        assert_eq!(start.elapsed(), WRITE);
        // Nobody has cleared the write, and it is not asked for again: the read is woken in time all the same.
        poll_fn(|cx| timer.poll(cx, Wait::Read, READ)).await;
        assert_eq!(start.elapsed(), READ);
        // A wait begins anew after progress, and not before.
        timer.clear(Wait::Write);
        poll_fn(|cx| timer.poll(cx, Wait::Write, WRITE)).await;
        assert_eq!(start.elapsed(), READ + WRITE);
    }
}
