//! Message bodies as the rooms hand them to each other: reference-counted chunks, never copied or
//! gathered. A leaf module: it knows nothing of caching.

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Any failure while a body is read; its text goes to the log, never to a client.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A request body on its way in (streamed, possibly with trailers).
pub type InBody = UnsyncBoxBody<Bytes, BoxError>;

/// A response body on its way out.
pub enum OutBody {
    Empty,
    /// Sealed chunks of a stored response, or a window of them.
    Chunks(Chunks),
    /// Anything that arrives while it is sent.
    Stream(UnsyncBoxBody<Bytes, BoxError>),
}

/// A sealed body. Most have one piece, which costs no list; an empty one has none.
#[derive(Clone, Debug)]
pub enum Pieces {
    One(Bytes),
    Many(Arc<[Bytes]>),
}

impl Pieces {
    /// Whether both hold the same bytes, and not only equal ones.
    pub fn is_same(&self, other: &Self) -> bool {
        let place = |pieces: &Self| pieces.first().map(|piece| (piece.as_ptr(), piece.len()));
        self.len() == other.len() && place(self) == place(other)
    }
}

impl std::ops::Deref for Pieces {
    type Target = [Bytes];
    fn deref(&self) -> &[Bytes] {
        match self {
            Self::One(piece) if piece.is_empty() => &[],
            Self::One(piece) => std::slice::from_ref(piece),
            Self::Many(list) => list,
        }
    }
}

impl From<Bytes> for Pieces {
    fn from(piece: Bytes) -> Self {
        Self::One(piece)
    }
}

impl From<Vec<Bytes>> for Pieces {
    fn from(mut list: Vec<Bytes>) -> Self {
        match list.pop() {
            None => Self::One(Bytes::new()),
            Some(only) if list.is_empty() => Self::One(only),
            Some(last) => {
                list.push(last);
                Self::Many(list.into())
            }
        }
    }
}

/// A window of a sealed chunk list.
#[derive(Clone, Debug)]
pub struct Chunks {
    list: Pieces,
    next: usize,
    skip: usize,
    left: u64,
}

impl Chunks {
    pub fn new(list: impl Into<Pieces>) -> Self {
        let list = list.into();
        let left = list.iter().map(|c| c.len() as u64).sum();
        Self { list, next: 0, skip: 0, left }
    }

    /// The bytes `window` of the list; a window past the end is cut.
    pub fn slice(list: impl Into<Pieces>, window: Range<u64>) -> Self {
        let list = list.into();
        let mut start = window.start;
        let mut next = 0;
        while let Some(c) = list.get(next) {
            if start < c.len() as u64 {
                break;
            }
            start -= c.len() as u64;
            next += 1;
        }
        let after: u64 = list.iter().skip(next).map(|c| c.len() as u64).sum::<u64>().saturating_sub(start);
        let left = window.end.saturating_sub(window.start).min(after);
        Self { list, next, skip: usize::try_from(start).unwrap_or(usize::MAX), left }
    }

    pub fn len(&self) -> u64 {
        self.left
    }

    pub fn is_empty(&self) -> bool {
        self.left == 0
    }
}

impl Iterator for Chunks {
    type Item = Bytes;
    fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.left == 0 {
                return None;
            }
            let chunk = self.list.get(self.next)?;
            let available = chunk.len().saturating_sub(self.skip);
            let take = available.min(usize::try_from(self.left).unwrap_or(usize::MAX));
            let piece = chunk.slice(self.skip..self.skip + take);
            self.next += 1;
            self.skip = 0;
            self.left -= take as u64;
            if !piece.is_empty() {
                return Some(piece);
            }
        }
    }
}

/// A window of a sealed chunk list that somebody else holds: nothing is counted for it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Window<'c> {
    /// From the chunk on in which it begins.
    list: &'c [Bytes],
    /// Bytes before it in that chunk.
    skip: usize,
    left: u64,
}

impl<'c> Window<'c> {
    /// The bytes `window` of the list; a window past the end is cut.
    pub fn new(list: &'c [Bytes], window: Range<u64>) -> Self {
        let mut all = Self { list, skip: 0, left: u64::MAX };
        all.advance(window.start);
        all.left = window.end.saturating_sub(window.start);
        all
    }

    /// Takes bytes off its beginning.
    pub fn advance(&mut self, bytes: u64) {
        self.left = self.left.saturating_sub(bytes);
        let mut bytes = bytes;
        while let Some((first, rest)) = self.list.split_first() {
            let here = first.len().saturating_sub(self.skip);
            match usize::try_from(bytes) {
                Ok(bytes) if bytes < here => {
                    self.skip += bytes;
                    break;
                }
                _ => {
                    bytes -= here as u64;
                    (self.list, self.skip) = (rest, 0);
                }
            }
        }
    }
}

/// Its pieces, none of them empty.
impl<'c> Iterator for Window<'c> {
    type Item = &'c [u8];
    fn next(&mut self) -> Option<&'c [u8]> {
        while self.left > 0 {
            let (first, rest) = self.list.split_first()?;
            let piece = first.get(self.skip..).unwrap_or_default();
            let piece = usize::try_from(self.left).ok().and_then(|left| piece.get(..left)).unwrap_or(piece);
            (self.list, self.skip) = (rest, 0);
            self.left -= piece.len() as u64;
            if !piece.is_empty() {
                return Some(piece);
            }
        }
        None
    }
}

impl OutBody {
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes: Bytes = bytes.into();
        if bytes.is_empty() { Self::Empty } else { Self::Chunks(Chunks::new(bytes)) }
    }

    pub fn stream<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self::Stream(body.map_err(Into::into).boxed_unsync())
    }
}

impl std::fmt::Debug for OutBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Chunks(c) => write!(f, "Chunks({} B)", c.len()),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

/// A request without a body.
pub fn empty_in() -> InBody {
    http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A request with this body.
pub fn full_in(bytes: Bytes) -> InBody {
    http_body_util::Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

impl Body for OutBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Chunks(c) => Poll::Ready(c.next().map(|b| Ok(Frame::data(b)))),
            Self::Stream(s) => Pin::new(s).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Chunks(c) => c.is_empty(),
            Self::Stream(s) => s.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Chunks(c) => SizeHint::with_exact(c.len()),
            Self::Stream(s) => s.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cross_chunks_and_are_cut_at_the_end() {
        let list: Vec<Bytes> = ["abc", "", "defg", "h"].map(|s| Bytes::from_static(s.as_bytes())).to_vec();
        let read = |r| Chunks::slice(list.clone(), r).map(|b| b.to_vec()).collect::<Vec<_>>().concat();
        assert_eq!(read(0..8), b"abcdefgh");
        assert_eq!(read(2..4), b"cd");
        assert_eq!(read(3..3), b"");
        assert_eq!(read(7..99), b"h");
        assert_eq!(Chunks::slice(list.clone(), 20..30).len(), 0);
    }

    #[test]
    fn a_borrowed_window_is_the_same_however_it_is_taken() {
        let list: Vec<Bytes> = ["abc", "", "defg", "h"].map(|s| Bytes::from_static(s.as_bytes())).to_vec();
        let read = |window: Window<'_>| window.map(<[u8]>::to_vec).collect::<Vec<_>>().concat();
        for start in 0..12 {
            for end in start..12 {
                let expected =
                    Chunks::slice(list.clone(), start..end).map(|b| b.to_vec()).collect::<Vec<_>>().concat();
                assert_eq!(read(Window::new(&list, start..end)), expected, "{start}..{end}");
                for taken in 0..=expected.len() {
                    let mut window = Window::new(&list, start..end);
                    window.advance(taken as u64);
                    assert_eq!(read(window), &expected[taken..], "{start}..{end}, {taken} taken");
                }
            }
        }
        assert_eq!(read(Window::new(&list, 0..u64::MAX)), b"abcdefgh");
        assert_eq!(Window::default().next(), None);
    }
}
