//! What has been read and not been taken. Its pieces are handed out as slices, so that it is always its rear that is
//! filled; and it reads as much at once as the server sends: a large body comes in few large pieces, while a connection
//! that carries small answers holds little, and an idle one nothing.

use bytes::BytesMut;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Read at once, at first.
const LEAST: usize = 8 * 1024;
/// And at most.
const MOST: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct ReadBuffer {
    pub bytes: BytesMut,
    size: usize,
}

impl Default for ReadBuffer {
    fn default() -> Self {
        Self { bytes: BytesMut::new(), size: LEAST }
    }
}

impl ReadBuffer {
    /// Reads what has come: 0 bytes at the end. `most`: more than that is not expected.
    pub fn poll_fill<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        most: Option<u64>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let expected = most.and_then(|most| usize::try_from(most).ok()).unwrap_or(MOST);
        let size = self.size.min(expected.max(LEAST));
        // What is left of the last buffer, unless it would mean many small reads.
        if self.spare() < size / 4 {
            self.bytes.reserve(size);
        }
        let spare = self.spare();
        let polled = pin!(stream.read_buf(&mut self.bytes)).poll(cx);
        if let Poll::Ready(Ok(read)) = &polled {
            if *read == spare {
                self.size = (self.size * 2).min(MOST);
            } else if *read < self.size / 4 {
                self.size = (self.size / 2).max(LEAST);
            }
        }
        polled
    }

    fn spare(&self) -> usize {
        self.bytes.capacity() - self.bytes.len()
    }

    /// Between two requests.
    pub fn rest(&mut self) {
        *self = Self::default();
    }
}
