//! Writing an answer of the fast lane: a head made by the handler and the chunks of a stored body, in as few
//! vectored writes as the socket takes. Nothing is copied.

use super::wire::Wire;
use crate::body::Chunks;
use crate::front::handler::{Conn, Handler};
use bytes::{Buf, Bytes};
use smallvec::SmallVec;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};

/// Slices per write; the body's chunks are large.
const SLICES: usize = 16;

/// Tells the handler what has left, also when the connection ends or is ended in between.
pub(super) struct Receipt<'c, H: Handler> {
    handler: &'c H,
    conn: &'c Conn,
    record: Option<H::Record>,
    /// Of the body; the head does not count.
    bytes: u64,
}

impl<'c, H: Handler> Receipt<'c, H> {
    pub const fn new(handler: &'c H, conn: &'c Conn, record: H::Record) -> Self {
        Self { handler, conn, record: Some(record), bytes: 0 }
    }
}

impl<H: Handler> Drop for Receipt<'_, H> {
    fn drop(&mut self) {
        if let Some(record) = self.record.take() {
            self.handler.fast_sent(record, self.conn, self.bytes);
        }
    }
}

/// What is still to be written.
struct Outgoing<'a> {
    head: &'a [u8],
    /// Of these, those before `at` are written, and perhaps the beginning of that one.
    pieces: SmallVec<[Bytes; 4]>,
    at: usize,
    body: Chunks,
}

impl Outgoing<'_> {
    /// Makes the next pieces ready; false when there is nothing left.
    fn refill(&mut self) -> bool {
        if self.at == self.pieces.len() {
            self.pieces.clear();
            self.at = 0;
            self.pieces.extend(self.body.by_ref().take(SLICES - 1));
        }
        !self.head.is_empty() || !self.pieces.is_empty()
    }

    /// How many of the `written` bytes were the body's.
    fn advance(&mut self, mut written: usize) -> u64 {
        let of_head = written.min(self.head.len());
        self.head = self.head.get(of_head..).unwrap_or_default();
        written -= of_head;
        let of_body = written as u64;
        while let Some(piece) = self.pieces.get_mut(self.at) {
            let of_piece = written.min(piece.len());
            piece.advance(of_piece);
            written -= of_piece;
            if !piece.is_empty() {
                break;
            }
            self.at += 1;
        }
        of_body
    }

    fn poll_write<IO>(&self, cx: &mut Context<'_>, wire: &mut Wire<IO>) -> Poll<io::Result<usize>>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let pieces = self.pieces.get(self.at..).unwrap_or_default().iter().map(|piece| &**piece);
        let first = (!self.head.is_empty()).then_some(self.head);
        let mut used = 0;
        for (slot, bytes) in slices.iter_mut().zip(first.into_iter().chain(pieces)) {
            *slot = IoSlice::new(bytes);
            used += 1;
        }
        Pin::new(wire).poll_write_vectored(cx, slices.get(..used).unwrap_or_default())
    }
}

/// Writes `head` and `body` and flushes; `receipt` keeps count.
pub(super) async fn send<IO, H>(
    wire: &mut Wire<IO>,
    head: &[u8],
    body: Chunks,
    mut receipt: Receipt<'_, H>,
) -> io::Result<()>
where
    IO: AsyncRead + AsyncWrite + Unpin,
    H: Handler,
{
    let mut outgoing = Outgoing { head, pieces: SmallVec::new(), at: 0, body };
    std::future::poll_fn(|cx| {
        while outgoing.refill() {
            let written = ready!(outgoing.poll_write(cx, wire))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            receipt.bytes += outgoing.advance(written);
        }
        Pin::new(&mut *wire).poll_flush(cx)
    })
    .await
}
