//! What is ready to leave, gathered for one write. Text (the head, the framing of chunks, trailers) and small
//! data are copied into one buffer; larger data goes between its parts as it is.
//!
//! It is filled, then written to the last byte, then filled again: so it never holds more than [`ROOM`] and one frame,
//! and the body is not asked for more while the client does not take what there is.

use crate::front::http1::fast::COPIED;
use crate::front::http1::wire::Wire;
use crate::semantics::fields::push_line;
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use smallvec::SmallVec;
use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};

/// Bytes beyond which no frame is added.
pub(super) const ROOM: usize = 64 * 1024;
/// Frames that go uncopied in one write, and slices that these make.
const PIECES: usize = 16;
const SLICES: usize = 2 * PIECES + 1;

pub(super) struct Outgoing<'t> {
    text: &'t mut Vec<u8>,
    /// Each leaves before the text from that place on.
    pieces: SmallVec<[(usize, Bytes); 2]>,
    /// Bytes in both.
    length: usize,
    /// Of them, what has left.
    written: usize,
    /// Writing has begun; see the head of this file.
    sealed: bool,
}

impl<'t> Outgoing<'t> {
    /// `text`: the head.
    pub fn new(text: &'t mut Vec<u8>) -> Self {
        let length = text.len();
        Self { text, pieces: SmallVec::new(), length, written: 0, sealed: false }
    }

    pub fn has_room(&self) -> bool {
        !self.sealed && self.length < ROOM && self.pieces.len() < PIECES
    }

    pub fn text(&mut self, bytes: &[u8]) {
        self.text.extend_from_slice(bytes);
        self.length += bytes.len();
    }

    /// The size line of a chunk (RFC 9112 §7.1).
    pub fn chunk_size(&mut self, size: usize) {
        let before = self.text.len();
        let _ = write!(self.text, "{size:X}\r\n"); // writing to a Vec never fails
        self.length += self.text.len() - before;
    }

    pub fn field(&mut self, name: &HeaderName, value: &HeaderValue) {
        let before = self.text.len();
        push_line(self.text, name, value);
        self.length += self.text.len() - before;
    }

    pub fn data(&mut self, data: Bytes) {
        if data.len() <= COPIED {
            return self.text(&data);
        }
        self.length += data.len();
        self.pieces.push((self.text.len(), data));
    }

    /// Writes all there is, and makes room for more.
    pub fn poll_write<IO>(&mut self, cx: &mut Context<'_>, wire: &mut Wire<IO>) -> Poll<io::Result<()>>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        while self.written < self.length {
            self.sealed = true;
            let mut slices = [IoSlice::new(&[]); SLICES];
            let used = self.fill(&mut slices);
            let written = match slices.get(..used).unwrap_or_default() {
                [only] => ready!(Pin::new(&mut *wire).poll_write(cx, only))?,
                slices => ready!(Pin::new(&mut *wire).poll_write_vectored(cx, slices))?,
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
        }
        self.text.clear();
        self.pieces.clear();
        (self.length, self.written, self.sealed) = (0, 0, false);
        Poll::Ready(Ok(()))
    }

    /// What has not left, in order; how many slices that makes.
    fn fill<'s>(&'s self, slices: &mut [IoSlice<'s>]) -> usize {
        let mut skip = self.written;
        let mut used = 0;
        let mut add = |bytes: &'s [u8]| {
            let rest = bytes.get(skip..).unwrap_or_default();
            skip -= bytes.len() - rest.len();
            if !rest.is_empty()
                && let Some(slot) = slices.get_mut(used)
            {
                *slot = IoSlice::new(rest);
                used += 1;
            }
        };
        let mut from = 0;
        for (at, data) in &self.pieces {
            add(self.text.get(from..*at).unwrap_or_default());
            add(data);
            from = *at;
        }
        add(self.text.get(from..).unwrap_or_default());
        used
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_has_left_the_rest_is_in_order(
            frames in proptest::collection::vec((0..2_usize, 1..6_usize), 0..12),
            written in 0..200_usize,
        ) {
            let mut text = b"head".to_vec();
            let mut outgoing = Outgoing::new(&mut text);
            let mut whole = b"head".to_vec();
            for (i, (large, length)) in frames.into_iter().enumerate() {
                let data = vec![b'a' + i as u8; length + large * COPIED];
                outgoing.data(data.clone().into());
                whole.extend_from_slice(&data);
            }
            prop_assert_eq!(outgoing.length, whole.len());
            outgoing.written = written.min(whole.len());
            let mut slices = [IoSlice::new(&[]); SLICES];
            let used = outgoing.fill(&mut slices);
            let rest: Vec<u8> = slices[..used].iter().flat_map(|slice| slice.iter().copied()).collect();
            prop_assert_eq!(&rest, &whole[outgoing.written..]);
            prop_assert!(slices[..used].iter().all(|slice| !slice.is_empty()));
        }
    }
}
