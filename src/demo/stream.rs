//! Bodies that are made while they are sent: large ones from one shared buffer, slow ones by a timer.

use crate::body::BoxError;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior};

/// The content of every `/bytes/{n}` repeats after this many bytes.
const BLOCK: usize = 64 * 1024;

static BLOCK_BYTES: LazyLock<Bytes> = LazyLock::new(|| {
    // xorshift32 with a fixed seed: the same on every machine, and not worth compressing.
    let mut x: u32 = 0x2545_f491;
    let next = std::iter::repeat_with(move || {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        x.to_le_bytes()
    });
    next.flatten().take(BLOCK).collect::<Vec<u8>>().into()
});

/// The bytes of the deterministic content from `offset` on, at least one and at most 64 KiB: what `/bytes/{n}`
/// sends there for any `n` beyond them. For tests that check what a cache delivers.
pub fn bytes_at(offset: u64) -> Bytes {
    let within = usize::try_from(offset % BLOCK as u64).unwrap_or(0);
    BLOCK_BYTES.slice(within..)
}

/// The first `left` bytes of the deterministic content, without a copy.
#[derive(Debug)]
pub struct Repeat {
    left: u64,
}

impl Repeat {
    pub fn new(length: u64) -> Self {
        Self { left: length }
    }
}

impl Body for Repeat {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let take = usize::try_from(self.left).unwrap_or(BLOCK).min(BLOCK);
        self.left -= take as u64;
        Poll::Ready(Some(Ok(Frame::data(BLOCK_BYTES.slice(..take)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// `count` pieces made by `make`, which is told their number from 0, one `every` so often; the first at once.
pub struct Paced<F> {
    timer: Interval,
    next: u64,
    count: u64,
    make: F,
}

impl<F: Fn(u64) -> Bytes + Unpin> Paced<F> {
    pub fn new(count: u64, every: Duration, make: F) -> Self {
        // A timer refuses a period of nought.
        let mut timer = tokio::time::interval(every.max(Duration::from_millis(1)));
        // After a client that read slowly, go on at the pace: don't catch up in a burst.
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { timer, next: 0, count, make }
    }
}

impl<F: Fn(u64) -> Bytes + Unpin> Body for Paced<F> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.next >= self.count {
            return Poll::Ready(None);
        }
        ready!(self.timer.poll_tick(cx));
        let piece = (self.make)(self.next);
        self.next += 1;
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}
