//! A limit on what a server can make us keep: bytes that come without completing an answer.
//!
//! The parser gathers a reply until it is whole, however long it claims to be. Past the limit the stream fails, and the
//! connection with it.

use super::dial::Stream;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Counts the bytes since the last answer.
#[derive(Debug)]
pub(super) struct Meter {
    most: u64,
    read: AtomicU64,
}

impl Meter {
    pub fn new(most: u64) -> Arc<Self> {
        Arc::new(Self { most, read: AtomicU64::new(0) })
    }

    /// An answer is complete.
    pub fn reset(&self) {
        self.read.store(0, Ordering::Release);
    }
}

pub(super) struct Metered {
    stream: Stream,
    meter: Arc<Meter>,
}

impl Metered {
    pub fn new(stream: Stream, meter: Arc<Meter>) -> Self {
        Self { stream, meter }
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let read = u64::try_from(buf.filled().len() - before).unwrap_or(u64::MAX);
        if self.meter.read.fetch_add(read, Ordering::AcqRel).saturating_add(read) > self.meter.most {
            // Of this kind, as the client crate goes on reading after others.
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "a reply beyond every size",
            )));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
