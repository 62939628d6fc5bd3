//! A body while it downloads: one producer (the fetch), many readers (the client that asked first and all who
//! wait for the same answer), each at its own place. Chunks are shared, never copied.
//!
//! Two modes. **Keep**: every chunk stays, because the whole is going to be stored; a reader may start at any
//! time. **Window**: the object turned out too large to store, so chunks are dropped once the slowest reader has
//! passed them, and the producer waits while [`WINDOW`] bytes are unread: memory stays flat, and the origin is
//! read at the pace of the slowest client (whose stalls the connection's write time-out bounds, and which is given up when it
//! holds back others for too long).

use crate::body::{BoxError, Pieces};
use crate::engine::site::FillBudget;
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use std::collections::VecDeque;
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Bytes that may be ahead of the slowest reader in window mode.
pub const WINDOW: u64 = 512 * 1024;

/// The reason a body ended before its end; what a reader's stream fails with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the response body ended early: {0}")]
pub struct Truncated(pub &'static str);

#[derive(Clone, Debug)]
enum End {
    Open,
    Complete(Option<HeaderMap>),
    Failed(Truncated),
}

#[derive(Debug)]
struct Reader {
    /// Index of its next chunk, counted from the first chunk ever.
    next: usize,
    waker: Option<Waker>,
    /// It was too slow for the others, and gets no more.
    given_up: bool,
}

#[derive(Debug)]
struct Inner {
    /// Chunks still held, the first of which has index `base`.
    chunks: VecDeque<Bytes>,
    base: usize,
    /// Bytes held.
    held: u64,
    /// Bytes received in all.
    total: u64,
    end: End,
    window: bool,
    readers: Vec<Option<Reader>>,
    producer: Option<Waker>,
    charge: Option<Charge>,
}

/// What the body is charged with, for as long as anybody holds it.
#[derive(Debug)]
struct Charge {
    budget: Arc<FillBudget>,
    bytes: u64,
}

impl Charge {
    fn shrink_to(&mut self, bytes: u64) {
        self.budget.give_back(self.bytes.saturating_sub(bytes));
        self.bytes = self.bytes.min(bytes);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

/// The shared body.
#[derive(Debug)]
pub struct Growing {
    inner: Mutex<Inner>,
    /// From `Content-Length`, when the origin sent one.
    expected: Option<u64>,
}

/// Whether the producer should go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    Wanted,
    /// Window mode and nobody reads any more.
    Abandoned,
}

impl Growing {
    /// One whose bytes are charged to `budget` ([`Growing::charge`]) until nobody reads it any more.
    pub fn charged(expected: Option<u64>, budget: Arc<FillBudget>) -> Arc<Self> {
        let body = Self::new(expected);
        body.lock().charge = Some(Charge { budget, bytes: 0 });
        body
    }

    /// Charges bytes that are to come. False when that would be too much; nothing is charged then.
    pub fn charge(&self, bytes: u64) -> bool {
        let mut inner = self.lock();
        let Some(charge) = &mut inner.charge else { return true };
        let fits = charge.budget.take(bytes);
        charge.bytes += if fits { bytes } else { 0 };
        fits
    }

    pub fn new(expected: Option<u64>) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(Inner {
                chunks: VecDeque::new(),
                base: 0,
                held: 0,
                total: 0,
                end: End::Open,
                window: false,
                readers: Vec::new(),
                producer: None,
                charge: None,
            }),
            expected,
        })
    }

    // A poisoned lock means a panic in another reader's poll; the data is whole (every change is one statement).
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn expected(&self) -> Option<u64> {
        self.expected
    }

    /// Adds a chunk and wakes the readers; returns the bytes received so far.
    pub fn push(&self, chunk: Bytes) -> u64 {
        let mut inner = self.lock();
        inner.total += chunk.len() as u64;
        inner.held += chunk.len() as u64;
        inner.chunks.push_back(chunk);
        inner.drop_passed();
        let total = inner.total;
        wake_all(inner);
        total
    }

    /// From now on nothing is kept that every reader has passed. Nobody can join any more.
    pub fn keep_no_more(&self) {
        let mut inner = self.lock();
        inner.window = true;
        inner.drop_passed();
    }

    /// Waits until there is room in the window; at once in keep mode.
    pub fn room(&self) -> impl Future<Output = Demand> + '_ {
        std::future::poll_fn(move |cx| {
            let mut inner = self.lock();
            if !inner.window {
                return Poll::Ready(Demand::Wanted);
            }
            if inner.readers.iter().all(Option::is_none) {
                return Poll::Ready(Demand::Abandoned);
            }
            if inner.held < WINDOW {
                return Poll::Ready(Demand::Wanted);
            }
            inner.producer = Some(cx.waker().clone());
            Poll::Pending
        })
    }

    /// Window mode, and the window is full.
    pub fn is_full(&self) -> bool {
        let inner = self.lock();
        inner.window && inner.held >= WINDOW
    }

    /// Window mode, and the window is more than half full.
    pub fn is_crowded(&self) -> bool {
        let inner = self.lock();
        inner.window && inner.held > WINDOW / 2
    }

    /// Fails the slowest readers if others have read everything and wait.
    pub fn give_up_slowest(&self) {
        let mut inner = self.lock();
        let end = inner.base + inner.chunks.len();
        let reading = || inner.readers.iter().flatten().filter(|r| !r.given_up).map(|r| r.next);
        let (slowest, fastest) = (reading().min(), reading().max());
        if fastest != Some(end) || slowest == fastest {
            return;
        }
        let slow = |r: &&mut Reader| Some(r.next) == slowest;
        let wakers: Vec<Waker> = inner
            .readers
            .iter_mut()
            .flatten()
            .filter(slow)
            .filter_map(|reader| {
                reader.given_up = true;
                reader.waker.take()
            })
            .collect();
        inner.drop_passed();
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The end, with trailers if there were any.
    pub fn finish(&self, trailers: Option<HeaderMap>) {
        let mut inner = self.lock();
        inner.end = End::Complete(trailers);
        wake_all(inner);
    }

    /// The origin broke off; every reader's stream fails, which ends its connection without a proper end.
    pub fn fail(&self, why: &'static str) {
        let mut inner = self.lock();
        if matches!(inner.end, End::Open) {
            inner.end = End::Failed(Truncated(why));
        }
        wake_all(inner);
    }

    /// Everything received, for storing. Only meaningful in keep mode after the end.
    pub fn chunks(&self) -> Vec<Bytes> {
        self.lock().chunks.iter().cloned().collect()
    }

    pub fn total(&self) -> u64 {
        self.lock().total
    }

    /// A stream of `window` (all of it: `0..u64::MAX`) from the first byte on. `None` in window mode, when the
    /// beginning is gone.
    pub fn read(self: &Arc<Self>, window: Range<u64>) -> Option<ReadBody> {
        let mut inner = self.lock();
        if inner.window && inner.base > 0 {
            return None;
        }
        let reader = Reader { next: 0, waker: None, given_up: false };
        let free = inner.readers.iter().position(Option::is_none);
        let slot = match free.and_then(|i| inner.readers.get_mut(i).map(|r| (i, r))) {
            Some((i, place)) => {
                *place = Some(reader);
                i
            }
            None => {
                inner.readers.push(Some(reader));
                inner.readers.len() - 1
            }
        };
        drop(inner);
        Some(ReadBody {
            from: self.clone(),
            slot,
            skip: window.start,
            left: window.end.min(self.expected.unwrap_or(u64::MAX)).saturating_sub(window.start),
            done: false,
        })
    }
}

impl Inner {
    fn drop_passed(&mut self) {
        if !self.window {
            return;
        }
        let slowest = self.readers.iter().flatten().filter(|r| !r.given_up).map(|r| r.next).min();
        let keep_from = slowest.unwrap_or(usize::MAX);
        while self.base < keep_from {
            let Some(chunk) = self.chunks.pop_front() else { break };
            self.held -= chunk.len() as u64;
            self.base += 1;
        }
        let held = self.held;
        if let Some(charge) = &mut self.charge {
            charge.shrink_to(held);
        }
        if (self.held < WINDOW || slowest.is_none())
            && let Some(waker) = self.producer.take()
        {
            waker.wake();
        }
    }
}

/// Wakes every reader after the lock is released: a woken reader takes it at once.
fn wake_all(mut inner: MutexGuard<'_, Inner>) {
    let wakers: Vec<Waker> = inner.readers.iter_mut().flatten().filter_map(|r| r.waker.take()).collect();
    drop(inner);
    wakers.into_iter().for_each(Waker::wake);
}

/// Small pieces of one body share a large read buffer each: a stored body of many tiny chunks, or of one slice of
/// a big buffer, would hold more memory than it is charged with. Such bodies are copied once, here.
pub fn compact(chunks: Vec<Bytes>) -> Pieces {
    /// Chunks below this are merged; a read buffer has 256 KiB at most, and only a body's last one is not full.
    const SMALL: usize = 64 * 1024;
    if chunks.iter().all(|c| c.len() >= SMALL) {
        return chunks.into();
    }
    let mut out: Vec<Bytes> = Vec::new();
    let is_small = |chunk: &Bytes| chunk.len() < SMALL;
    for run in chunks.chunk_by(|a, b| is_small(a) == is_small(b)) {
        if run.first().is_some_and(is_small) {
            // Of exactly the size: what is shrunk stays in the larger block.
            let merged = run.concat();
            out.extend((!merged.is_empty()).then(|| merged.into_boxed_slice().into()));
        } else {
            out.extend(run.iter().cloned());
        }
    }
    out.into()
}

/// One reader's stream of a [`Growing`] body.
#[derive(Debug)]
pub struct ReadBody {
    from: Arc<Growing>,
    slot: usize,
    /// Bytes to pass over before the window begins, and bytes left in it.
    skip: u64,
    left: u64,
    done: bool,
}

impl ReadBody {
    /// Cuts `chunk` to the window.
    fn cut(&mut self, mut chunk: Bytes) -> Option<Bytes> {
        let length = chunk.len() as u64;
        if self.skip >= length {
            self.skip -= length;
            return None;
        }
        if self.skip > 0 {
            chunk = chunk.slice(usize::try_from(self.skip).unwrap_or(usize::MAX).min(chunk.len())..);
            self.skip = 0;
        }
        if chunk.len() as u64 > self.left {
            chunk.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        }
        self.left -= chunk.len() as u64;
        (!chunk.is_empty()).then_some(chunk)
    }

    fn step(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let from = self.from.clone();
        loop {
            if self.done || self.left == 0 {
                return Poll::Ready(None);
            }
            let mut inner = from.lock();
            let base = inner.base;
            let Some(Some(reader)) = inner.readers.get_mut(self.slot) else { return Poll::Ready(None) };
            if reader.given_up {
                self.done = true;
                return Poll::Ready(Some(Err(Box::new(Truncated("reader-too-slow")))));
            }
            let next = reader.next;
            match inner.chunks.get(next.saturating_sub(base)).cloned() {
                Some(chunk) => {
                    if let Some(Some(reader)) = inner.readers.get_mut(self.slot) {
                        reader.next = next + 1;
                    }
                    inner.drop_passed();
                    drop(inner);
                    if let Some(piece) = self.cut(chunk) {
                        return Poll::Ready(Some(Ok(Frame::data(piece))));
                    }
                }
                None => match inner.end.clone() {
                    End::Open => {
                        if let Some(Some(reader)) = inner.readers.get_mut(self.slot) {
                            reader.waker = Some(cx.waker().clone());
                        }
                        return Poll::Pending;
                    }
                    End::Complete(trailers) => {
                        self.done = true;
                        return Poll::Ready(trailers.map(|t| Ok(Frame::trailers(t))));
                    }
                    End::Failed(why) => {
                        self.done = true;
                        return Poll::Ready(Some(Err(Box::new(why))));
                    }
                },
            }
        }
    }
}

impl Body for ReadBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.get_mut().step(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.done || self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        if self.from.expected.is_some() { SizeHint::with_exact(self.left) } else { SizeHint::default() }
    }
}

impl Drop for ReadBody {
    fn drop(&mut self) {
        let mut inner = self.from.lock();
        if let Some(place) = inner.readers.get_mut(self.slot) {
            *place = None;
        }
        inner.drop_passed();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        let mut future = std::pin::pin!(future);
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(t) => Some(t),
            Poll::Pending => None,
        }
    }

    fn data(body: &mut ReadBody) -> Option<Bytes> {
        now(body.frame())?.and_then(|f| f.ok()?.into_data().ok())
    }

    #[test]
    fn every_reader_gets_every_byte_however_late_it_joins() {
        let body = Growing::new(None);
        let mut first = body.read(0..u64::MAX).unwrap();
        assert!(data(&mut first).is_none());
        body.push(Bytes::from_static(b"ab"));
        assert_eq!(data(&mut first).unwrap(), "ab");
        let mut late = body.read(0..u64::MAX).unwrap();
        body.push(Bytes::from_static(b"cd"));
        body.finish(None);
        assert_eq!(now(late.collect()).unwrap().unwrap().to_bytes(), "abcd");
        assert_eq!(now(first.collect()).unwrap().unwrap().to_bytes(), "cd");
        late = body.read(1..3).unwrap();
        assert_eq!(now(late.collect()).unwrap().unwrap().to_bytes(), "bc");
    }

    #[test]
    fn in_window_mode_the_producer_waits_for_the_slowest_reader_and_memory_is_bounded() {
        let body = Growing::new(None);
        let (mut slow, mut fast) = (body.read(0..u64::MAX).unwrap(), body.read(0..u64::MAX).unwrap());
        body.keep_no_more();
        let chunk = Bytes::from(vec![7; 256 * 1024]);
        body.push(chunk.clone());
        body.push(chunk.clone());
        assert!(now(body.room()).is_none());
        assert!(data(&mut fast).is_some());
        assert!(data(&mut fast).is_some());
        assert!(now(body.room()).is_none(), "the slow reader has not moved");
        assert!(data(&mut slow).is_some());
        assert_eq!(now(body.room()), Some(Demand::Wanted));
        assert!(body.read(0..u64::MAX).is_none(), "the beginning is gone");
        drop(slow);
        drop(fast);
        assert_eq!(now(body.room()), Some(Demand::Abandoned));
        assert_eq!(body.lock().held, 0);
    }

    #[test]
    fn who_holds_back_others_that_have_read_everything_is_given_up() {
        let body = Growing::new(None);
        let mut slow = body.read(0..u64::MAX).unwrap();
        let mut fast = body.read(0..u64::MAX).unwrap();
        body.keep_no_more();
        body.push(Bytes::from(vec![b'x'; usize::try_from(WINDOW).unwrap()]));
        assert!(body.is_full());
        body.give_up_slowest();
        assert!(body.is_full(), "both are as slow: nobody is held back");
        data(&mut fast).unwrap();
        body.give_up_slowest();
        assert_eq!(now(body.room()), Some(Demand::Wanted));
        assert!(now(slow.frame()).unwrap().unwrap().is_err());
        body.push(Bytes::from_static(b"y"));
        assert_eq!(data(&mut fast).unwrap(), "y");
    }

    #[test]
    fn bytes_stay_charged_as_long_as_somebody_holds_them() {
        let budget = Arc::new(FillBudget::new(10));
        let body = Growing::charged(None, budget.clone());
        assert!(body.charge(8));
        assert!(!body.charge(8));
        body.push(Bytes::from_static(b"12345678"));
        let reader = body.read(0..u64::MAX).unwrap();
        body.finish(None);
        drop(body);
        assert_eq!(budget.used(), 8);
        drop(reader);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_broken_fetch_fails_every_reader_after_what_it_had() {
        let body = Growing::new(Some(10));
        let mut reader = body.read(0..u64::MAX).unwrap();
        body.push(Bytes::from_static(b"ab"));
        body.fail("origin-reset");
        assert_eq!(data(&mut reader).unwrap(), "ab");
        assert!(now(reader.frame()).unwrap().unwrap().is_err());
        assert!(now(reader.frame()).unwrap().is_none());
    }
}
