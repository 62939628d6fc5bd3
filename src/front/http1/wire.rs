//! One client's socket, with the bytes that have been read from it and not yet been used. The loop, the gate and
//! an upgraded connection all read and write through this, so two rules hold for all of them: nothing
//! that was read is lost, and a write that makes no progress for `write_stall_timeout` is an error.

use super::timer::{Timer, Wait};
use bytes::{Buf, BytesMut};
use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

/// Bytes per read of a head. On the stack: an idle connection holds no read buffer.
const READ: usize = 4096;
/// After our last byte the client gets this long, and may send this much more, before the socket is
/// closed for good (RFC 9112 §9.6: else a reset may destroy the response on its way).
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 64 * 1024;
/// What an idle connection may keep allocated.
const KEEP: usize = 4096;

pub(super) struct Wire<IO> {
    /// Boxed, because a TLS stream is large and is moved with this.
    io: Box<IO>,
    /// Read, not used yet. Bounded by those who fill it.
    pub buf: BytesMut,
    pub timer: Timer,
    stall: Duration,
    /// Dropped with the wire: tells the connection's task that an upgraded connection is over.
    pub held: Option<oneshot::Sender<Infallible>>,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Wire<IO> {
    pub fn new(io: IO, already_read: &[u8], stall: Duration) -> Self {
        Self { io: Box::new(io), buf: BytesMut::from(already_read), timer: Timer::new(), stall, held: None }
    }

    /// Appends what one read gives to `buf`; 0 is the end. No time limit.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = [const { MaybeUninit::uninit() }; READ];
        let mut read = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut *self.io).poll_read(cx, &mut read))?;
        self.buf.extend_from_slice(read.filled());
        Poll::Ready(Ok(read.filled().len()))
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

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        let result = Pin::new(&mut *wire.io).poll_write(cx, bytes);
        wire.unless_stalled(cx, result)
    }
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        let result = Pin::new(&mut *wire.io).poll_write_vectored(cx, slices);
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
