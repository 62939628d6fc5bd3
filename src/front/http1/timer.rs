//! The time-outs of a connection, which waits for two things at most: bytes from the client, and room to
//! write to it. A timer is armed only when the socket has answered "not yet", and it is armed lazily: what is noted at
//! the beginning of a wait is when it will be over. The timer of an earlier wait, which fires before that, is left to
//! fire, and is set to the noted time then. So a connection that waits between any two requests touches the timer wheel
//! once per time-out, not once per request.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
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
    armed: Option<Armed>,
    /// Of the wait that is going on.
    due: Option<Instant>,
}

#[derive(Debug)]
struct Armed {
    sleep: Pin<Box<Sleep>>,
    /// Who is woken.
    waker: Waker,
}

impl Timer {
    /// There was progress, or nothing is waited for any more: the next wait begins anew.
    pub const fn clear(&mut self, wait: Wait) {
        self.deadline(wait).due = None;
    }

    /// To be called when `wait` is pending: ready when it has been pending for `patience` since the first
    /// such call after the last [`Self::clear`]. Until then the task will be woken in time, perhaps too early.
    pub fn poll(&mut self, cx: &mut Context<'_>, wait: Wait, patience: Duration) -> Poll<()> {
        let Deadline { armed, due } = self.deadline(wait);
        let due = *due.get_or_insert_with(|| now() + patience);
        match armed {
            None => {
                let sleep = Box::pin(tokio::time::sleep_until(due));
                armed.insert(Armed { sleep, waker: cx.waker().clone() }).sleep.as_mut().poll(cx)
            }
            Some(Armed { sleep, waker }) => {
                let wakes_us = waker.will_wake(cx.waker());
                if wakes_us && sleep.deadline() <= due && !sleep.is_elapsed() {
                    return Poll::Pending;
                }
                if !wakes_us {
                    waker.clone_from(cx.waker());
                }
                sleep.as_mut().reset(due);
                sleep.as_mut().poll(cx)
            }
        }
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

    #[tokio::test(start_paused = true)]
    async fn a_timer_of_an_earlier_wait_fires_for_nothing_and_a_shorter_wait_is_not_overslept() {
        let mut timer = Timer::default();
        let start = now();
        let mut woken = 0;
        // Pending now, armed for the tenth second; progress after seven; then ten more.
        assert!(poll_fn(|cx| Poll::Ready(timer.poll(cx, Wait::Read, READ).is_pending())).await);
        tokio::time::advance(Duration::from_secs(7)).await;
        timer.clear(Wait::Read);
        poll_fn(|cx| {
            woken += 1;
            timer.poll(cx, Wait::Read, READ)
        })
        .await;
        assert_eq!((start.elapsed(), woken), (Duration::from_secs(17), 3));
        // Armed for ten seconds from now; a wait of five is over after five.
        timer.clear(Wait::Read);
        assert!(poll_fn(|cx| Poll::Ready(timer.poll(cx, Wait::Read, READ).is_pending())).await);
        timer.clear(Wait::Read);
        poll_fn(|cx| timer.poll(cx, Wait::Read, WRITE)).await;
        assert_eq!(start.elapsed(), Duration::from_secs(22));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_is_woken() {
        let timer = std::sync::Arc::new(tokio::sync::Mutex::new(Timer::default()));
        let mut first = timer.lock().await;
        assert!(poll_fn(|cx| Poll::Ready(first.poll(cx, Wait::Read, READ).is_pending())).await);
        drop(first);
        // Another task goes on waiting, with another waker.
        let waited = tokio::spawn(async move {
            let mut timer = timer.lock().await;
            poll_fn(|cx| timer.poll(cx, Wait::Read, READ)).await;
        });
        waited.await.unwrap();
    }
}
