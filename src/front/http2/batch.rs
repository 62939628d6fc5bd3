//! Writes in batches. `h2` flushes each time it is polled, and it is polled for each request that it hands out, so eight
//! small answers to eight requests of one segment would be eight writes, and a write costs more than a hit. While the
//! connection has more to answer it *holds* ([`Batch::hold`]): what `h2` writes is gathered here, and leaves in one piece
//! once there is nothing more to do.
//!
//! Only small pieces are gathered; large ones go to the socket as they are, behind what was gathered before them. What is
//! gathered is bounded, and counts as written for `h2` only: nothing more is taken until it has left.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A write of at most so many bytes is gathered; more is not worth the copying.
const SMALL: usize = 4 * 1024;
/// So much at most is held back.
const MOST: usize = 48 * 1024;
/// What stays allocated when all has left.
const KEEP: usize = 16 * 1024;
/// Slices per write; `h2` gives two at most.
const SLICES: usize = 8;

/// The connection's hand on what is gathered.
#[derive(Clone, Debug, Default)]
pub struct Batch(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    held: AtomicBool,
    /// Something was written since the last flush that was one.
    owed: AtomicBool,
}

impl Batch {
    /// There is more to come: gather.
    pub fn hold(&self) {
        self.0.held.store(true, Ordering::Relaxed);
    }

    /// There is nothing more to come: the next flush is one. False: none is owed.
    pub fn release(&self) -> bool {
        self.0.held.store(false, Ordering::Relaxed);
        self.0.owed.load(Ordering::Relaxed)
    }
}

/// A socket whose small writes are gathered while [`Batch::hold`] is on.
pub struct Batched<IO> {
    io: IO,
    flags: Arc<Flags>,
    bytes: Vec<u8>,
    /// Of `bytes`, what has left.
    left: usize,
}

impl<IO> Batched<IO> {
    pub fn new(io: IO) -> (Self, Batch) {
        let batch = Batch::default();
        (Self { io, flags: batch.0.clone(), bytes: Vec::new(), left: 0 }, batch)
    }

    fn waiting(&self) -> &[u8] {
        self.bytes.get(self.left..).unwrap_or_default()
    }

    fn gather(&mut self, slices: &[IoSlice<'_>], total: usize) {
        self.bytes.reserve(total);
        slices.iter().for_each(|slice| self.bytes.extend_from_slice(slice));
    }

    fn has_left(&mut self, written: usize) {
        self.left += written;
        if self.left >= self.bytes.len() {
            self.left = 0;
            self.bytes.clear();
            self.bytes.shrink_to(KEEP);
        }
    }
}

impl<IO: AsyncWrite + Unpin> Batched<IO> {
    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.waiting().is_empty() {
            let bytes = self.bytes.get(self.left..).unwrap_or_default();
            match ready!(Pin::new(&mut self.io).poll_write(cx, bytes))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.has_left(written),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// What was gathered, and behind it `slices`; says how much of the latter was taken.
    fn poll_write_behind(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            let waiting = self.bytes.get(self.left..).unwrap_or_default();
            if waiting.is_empty() {
                return Pin::new(&mut self.io).poll_write_vectored(cx, slices);
            }
            let mut all = [IoSlice::new(&[]); SLICES];
            let mut used = 0;
            for (slot, bytes) in
                all.iter_mut().zip(std::iter::once(waiting).chain(slices.iter().map(|s| &**s)))
            {
                *slot = IoSlice::new(bytes);
                used += 1;
            }
            let gathered = waiting.len();
            let all = all.get(..used).unwrap_or_default();
            let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, all))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.has_left(written.min(gathered));
            if written > gathered {
                return Poll::Ready(Ok(written - gathered));
            }
        }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Batched<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(cx, out)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Batched<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let total = slices.iter().map(|slice| slice.len()).sum::<usize>();
        this.flags.owed.store(true, Ordering::Relaxed);
        let held = this.flags.held.load(Ordering::Relaxed);
        if held && total <= SMALL && this.bytes.len() + total <= MOST {
            this.gather(slices, total);
            return Poll::Ready(Ok(total));
        }
        this.poll_write_behind(cx, slices)
    }
    fn is_write_vectored(&self) -> bool {
        true
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.flags.held.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }
        ready!(this.poll_write_out(cx))?;
        ready!(Pin::new(&mut this.io).poll_flush(cx))?;
        this.flags.owed.store(false, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_write_out(cx))?;
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// A socket that takes a few bytes at a time, and counts how often it was asked.
    struct Slow {
        taken: Vec<u8>,
        writes: usize,
        most: usize,
        /// The next write is pending.
        balks: bool,
    }
    impl AsyncWrite for Slow {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
        }
        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.balks = !self.balks;
            if self.balks && self.most < 1000 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let before = self.taken.len();
            let bytes = slices.iter().flat_map(|slice| slice.iter().copied());
            let most = self.most;
            self.taken.extend(bytes.take(most));
            self.writes += 1;
            Poll::Ready(Ok(self.taken.len() - before))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn slow(most: usize) -> Slow {
        Slow { taken: Vec::new(), writes: 0, most, balks: false }
    }

    #[tokio::test]
    async fn what_is_held_leaves_in_one_write_when_it_is_released() {
        let (mut io, batch) = Batched::new(slow(usize::MAX));
        batch.hold();
        for piece in ["a", "bc", "def"] {
            io.write_all(piece.as_bytes()).await.unwrap();
            io.flush().await.unwrap();
        }
        assert_eq!(io.io.writes, 0);
        assert!(batch.release());
        io.flush().await.unwrap();
        assert_eq!((io.io.writes, &*io.io.taken), (1, &b"abcdef"[..]));
        assert!(!batch.release(), "there is nothing left");
    }

    /// Whatever the sizes, and however little the socket takes, bytes leave once and in order.
    #[tokio::test]
    async fn no_byte_is_lost_or_said_twice() {
        for most in [1, 7, 1000, usize::MAX] {
            let (mut io, batch) = Batched::new(slow(most));
            let mut expected = Vec::new();
            for (at, size) in [1, 3000, SMALL, SMALL + 1, 10, 20_000, 1, MOST, 5].into_iter().enumerate() {
                let piece = vec![at as u8; size];
                expected.extend_from_slice(&piece);
                if at % 3 == 2 {
                    batch.release();
                } else {
                    batch.hold();
                }
                let mut from = 0;
                while from < piece.len() {
                    let (first, second) = piece[from..].split_at((piece.len() - from) / 2);
                    let slices = [IoSlice::new(first), IoSlice::new(second)];
                    from += poll_fn(|cx| Pin::new(&mut io).poll_write_vectored(cx, &slices)).await.unwrap();
                }
                assert!(io.bytes.len() <= MOST);
            }
            batch.hold();
            io.shutdown().await.unwrap();
            assert!(io.io.taken == expected, "{most}");
        }
    }

    /// The end of a connection writes what was held, also without a release.
    #[tokio::test]
    async fn an_end_does_not_lose_what_was_held() {
        let (near, mut far) = tokio::io::duplex(64);
        let (mut io, batch) = Batched::new(near);
        batch.hold();
        io.write_all(b"goodbye").await.unwrap();
        io.shutdown().await.unwrap();
        let mut read = Vec::new();
        far.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"goodbye");
    }
}
