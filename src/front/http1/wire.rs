//! One client's socket, with the bytes that have been read from it and not yet been used. The loop, the gate and
//! an upgraded connection all read and write through this, so two rules hold for all of them: nothing
//! that was read is lost, and a write that makes no progress for `write_stall_timeout` is an error.

use super::timer::{Timer, Wait};
use bytes::{Buf, BytesMut};
use smallvec::SmallVec;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes per read of a head. On the stack: an idle connection holds no read buffer.
const READ: usize = 4096;
/// Bytes read ahead while a handler works, to notice that the client has gone.
const WATCH: usize = 8 * 1024;
/// After our last byte the client gets this long, and may send this much more, before the socket is
/// closed for good (RFC 9112 §9.6: else a reset may destroy the response on its way).
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 64 * 1024;
/// What an idle connection may keep allocated.
const KEEP: usize = 4096;

/// Bytes per write, and how many more may go along rather than make a write of their own. What is left of a large write when
/// the socket is full costs a wait, and comes back with the caches cold: 128 KiB in one write cost 36 µs, in pieces of 64 KiB
/// and a crumb 20.2, of 48, 80, 96 or 104 KiB 17.1 to 17.5, of 32 KiB 19.4 (loopback, whose segments end 53 bytes before
/// 64 KiB; `bench/RESULTS.md`).
const MOST: usize = 96 * 1024;
const CRUMB: usize = 8 * 1024;

/// Slices per write beyond which it isn't worth to go on.
const SLICES: usize = 16;

pub(super) struct Wire<IO> {
    /// Boxed, because a TLS stream is large and is moved with this.
    io: Box<IO>,
    /// Read, not used yet. Bounded by those who fill it.
    pub buf: BytesMut,
    pub timer: Timer,
    stall: Duration,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Wire<IO> {
    pub fn new(io: IO, already_read: &[u8], stall: Duration) -> Self {
        Self { io: Box::new(io), buf: BytesMut::from(already_read), timer: Timer::default(), stall }
    }

    /// Appends what one read gives to `buf`; 0 is the end. No time limit.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = [const { MaybeUninit::uninit() }; READ];
        let mut read = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut *self.io).poll_read(cx, &mut read))?;
        self.buf.extend_from_slice(read.filled());
        Poll::Ready(Ok(read.filled().len()))
    }

    /// Looks whether the client is still there, while a handler works on its complete request: ready when it is gone.
    ///
    /// The socket is read ahead, at most [`WATCH`] bytes, which are kept as pipelined input. Its end, or an error, means
    /// that the client is gone, as nginx has it. A client that merely closes its sending half before it has its answer
    /// (legal, RFC 9112 §9.6, and rare) is taken for gone too: so this must not be asked once the answer has begun.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.buf.len() < WATCH {
            if let Ok(0) | Err(_) = ready!(self.poll_fill(cx)) {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }

    /// Reads from the socket past `buf`, which must be empty. `None`: nothing came within `patience`.
    pub fn poll_read_within(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
        patience: Duration,
    ) -> Poll<Option<io::Result<()>>> {
        match Pin::new(&mut *self.io).poll_read(cx, out) {
            Poll::Ready(result) => {
                self.timer.clear(Wait::Read);
                Poll::Ready(Some(result))
            }
            Poll::Pending => self.timer.poll(cx, Wait::Read, patience).map(|()| None),
        }
    }

    /// Takes bytes out of the middle of what has been read.
    pub fn cut(&mut self, bytes: std::ops::Range<usize>) {
        if bytes.start <= bytes.end && bytes.end <= self.buf.len() {
            let left = self.buf.len() - bytes.len();
            self.buf.copy_within(bytes.end.., bytes.start);
            self.buf.truncate(left);
        }
    }

    /// Gives memory back before a wait that may be long.
    pub fn relax(&mut self) {
        if self.buf.is_empty() && self.buf.capacity() > KEEP {
            self.buf = BytesMut::new();
        }
    }

    /// Ends the connection so that the client can read what was written last.
    pub async fn linger(mut self) {
        if std::future::poll_fn(|cx| Pin::new(&mut self).poll_shutdown(cx)).await.is_err() {
            return;
        }
        let drained = async {
            let mut left = LINGER_BYTES;
            while let Ok(n @ 1..) = std::future::poll_fn(|cx| self.poll_fill(cx)).await {
                self.buf.clear();
                match left.checked_sub(n) {
                    Some(rest) => left = rest,
                    None => break,
                }
            }
        };
        // Whether the client has closed or has been given up on: it is over.
        let _ = tokio::time::timeout(LINGER, drained).await;
    }

    fn unless_stalled<T>(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_pending() {
            return self
                .timer
                .poll(cx, Wait::Write, self.stall)
                .map(|()| Err(io::ErrorKind::TimedOut.into()));
        }
        self.timer.clear(Wait::Write);
        result
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        if wire.buf.is_empty() {
            return Pin::new(&mut *wire.io).poll_read(cx, out);
        }
        let take = wire.buf.len().min(out.remaining());
        out.put_slice(wire.buf.get(..take).unwrap_or_default());
        wire.buf.advance(take);
        Poll::Ready(Ok(()))
    }
}

/// The first [`MOST`] bytes of `slices`; `None` when that is all of them, but for a [`CRUMB`].
fn first_of<'s>(slices: &'s [IoSlice<'_>]) -> Option<SmallVec<[IoSlice<'s>; SLICES]>> {
    if slices.iter().map(|s| s.len()).sum::<usize>() <= MOST + CRUMB {
        return None;
    }
    let mut left = MOST;
    let mut some = SmallVec::new();
    for slice in slices.iter().take(SLICES) {
        let part = slice.get(..left).unwrap_or(slice);
        left -= part.len();
        some.push(IoSlice::new(part));
        if left == 0 {
            break;
        }
    }
    Some(some)
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        let some = if bytes.len() > MOST + CRUMB { bytes.get(..MOST).unwrap_or(bytes) } else { bytes };
        let result = Pin::new(&mut *wire.io).poll_write(cx, some);
        wire.unless_stalled(cx, result)
    }
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        let some = first_of(slices);
        let result = Pin::new(&mut *wire.io).poll_write_vectored(cx, some.as_deref().unwrap_or(slices));
        wire.unless_stalled(cx, result)
    }
    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        let result = Pin::new(&mut *wire.io).poll_flush(cx);
        wire.unless_stalled(cx, result)
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        let result = Pin::new(&mut *wire.io).poll_shutdown(cx);
        wire.unless_stalled(cx, result)
    }
}
