//! Where a response's body ends (RFC 9112 §6.3, §7.1). Pure: bytes in a buffer become pieces of the body, slices of that
//! buffer.
//!
//! Of the chunked coding this reader takes what the grammar says and one thing more: spaces and tabs behind a chunk's
//! size, which old servers pad it with. Lines end with CR LF and nothing else: whoever takes a lone LF for an end reads
//! another message than the one before or behind it does (RFC 9112 §11.1, §11.2).

use super::Limits;
use super::response;
use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;

/// What all chunk extensions of one body may take. Nobody uses them, and they are not counted as body (RFC 9112 §7.1.1
/// asks for a limit).
const EXTENSIONS: usize = 16 * 1024;

/// Sixteen hexadecimal digits fill 64 bits.
const SIZE_DIGITS: u8 = 16;

/// Why a body can't be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::origin) enum Malformed {
    ChunkSize,
    ChunkExtension,
    /// No CR LF behind a chunk.
    ChunkEnd,
    Trailers,
    TrailersTooLarge,
}

impl Malformed {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ChunkSize => "malformed chunk size",
            Self::ChunkExtension => "malformed or overlong chunk extension",
            Self::ChunkEnd => "chunk without end of line",
            Self::Trailers => "malformed trailers",
            Self::TrailersTooLarge => "trailers too large",
        }
    }
}

/// How the end of a body is told.
#[derive(Debug)]
pub(super) enum Framing {
    /// There is no more: no body, or it has been read to its end.
    Over,
    /// So many bytes more; never 0.
    Length(u64),
    Chunked(Chunked),
    /// By the end of the connection, which then carries nothing else.
    UntilClose,
}

/// What the buffer holds next.
#[derive(Debug)]
pub(super) enum Step {
    /// Never empty.
    Piece(Bytes),
    Trailers(HeaderMap),
    /// Nothing whole: more must be read.
    More,
    End,
}

impl Framing {
    pub const fn length(length: u64) -> Self {
        if length == 0 { Self::Over } else { Self::Length(length) }
    }

    pub fn chunked() -> Self {
        Self::Chunked(Chunked::default())
    }

    pub const fn is_over(&self) -> bool {
        matches!(self, Self::Over)
    }

    /// What is left, where it is known.
    pub const fn left(&self) -> Option<u64> {
        match self {
            Self::Over => Some(0),
            Self::Length(left) => Some(*left),
            Self::Chunked(_) | Self::UntilClose => None,
        }
    }

    /// Takes the next piece out of `buffer`.
    ///
    /// # Errors
    /// Only of the chunked coding.
    pub fn next(&mut self, buffer: &mut BytesMut, limits: &Limits) -> Result<Step, Malformed> {
        match self {
            Self::Over => Ok(Step::End),
            Self::Length(left) => {
                let Some(piece) = take(buffer, *left) else { return Ok(Step::More) };
                *self = Self::length(left.saturating_sub(piece.len() as u64));
                Ok(Step::Piece(piece))
            }
            Self::UntilClose => Ok(take(buffer, u64::MAX).map_or(Step::More, Step::Piece)),
            Self::Chunked(chunked) => {
                let step = chunked.next(buffer, limits)?;
                if matches!(step, Step::Trailers(_) | Step::End) {
                    *self = Self::Over;
                }
                Ok(step)
            }
        }
    }
}

/// At most so many bytes, without a copy.
fn take(buffer: &mut BytesMut, most: u64) -> Option<Bytes> {
    let length = usize::try_from(most).map_or(buffer.len(), |most| most.min(buffer.len()));
    (length > 0).then(|| buffer.split_to(length).freeze())
}

#[derive(Clone, Copy, Debug)]
enum Place {
    /// In the digits of a chunk's size: so far, and how many of them.
    Size(u64, u8),
    /// Behind the digits, in padding.
    Padding(u64),
    /// Behind a semicolon.
    Extension(u64),
    /// The LF of the size's line.
    SizeLf(u64),
    Data(u64),
    DataCr,
    DataLf,
    Trailers,
}

/// The chunked coding (RFC 9112 §7.1), at some place in it.
#[derive(Debug)]
pub(super) struct Chunked {
    place: Place,
    /// Bytes of padding and extensions so far.
    extensions: usize,
    /// Bytes of the trailer section in which no end was found.
    searched: usize,
}

impl Default for Chunked {
    fn default() -> Self {
        Self { place: Place::Size(0, 0), extensions: 0, searched: 0 }
    }
}

impl Chunked {
    fn next(&mut self, buffer: &mut BytesMut, limits: &Limits) -> Result<Step, Malformed> {
        loop {
            match self.place {
                Place::Data(left) => {
                    let Some(piece) = take(buffer, left) else { return Ok(Step::More) };
                    let left = left.saturating_sub(piece.len() as u64);
                    self.place = if left == 0 { Place::DataCr } else { Place::Data(left) };
                    return Ok(Step::Piece(piece));
                }
                Place::Trailers => return self.trailers(buffer, limits),
                place => {
                    let Some(&byte) = buffer.first() else { return Ok(Step::More) };
                    buffer.advance(1);
                    self.place = self.after(place, byte)?;
                }
            }
        }
    }

    /// One byte on, between two chunks.
    fn after(&mut self, place: Place, byte: u8) -> Result<Place, Malformed> {
        match (place, byte) {
            (Place::Size(size, digits), _) if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
                if digits == SIZE_DIGITS {
                    return Err(Malformed::ChunkSize);
                }
                Ok(Place::Size(size << 4 | digit, digits + 1))
            }
            (Place::Size(_, 0), _) => Err(Malformed::ChunkSize),
            (Place::Size(size, _) | Place::Padding(size) | Place::Extension(size), b'\r') => {
                Ok(Place::SizeLf(size))
            }
            (Place::Size(size, _) | Place::Padding(size), b' ' | b'\t') => {
                self.count()?;
                Ok(Place::Padding(size))
            }
            (Place::Size(size, _) | Place::Padding(size), b';') => {
                self.count()?;
                Ok(Place::Extension(size))
            }
            (Place::Size(..) | Place::Padding(_), _) => Err(Malformed::ChunkSize),
            (Place::Extension(_), b'\n') => Err(Malformed::ChunkExtension),
            (Place::Extension(size), _) => {
                self.count()?;
                Ok(Place::Extension(size))
            }
            (Place::SizeLf(0), b'\n') => Ok(Place::Trailers),
            (Place::SizeLf(size), b'\n') => Ok(Place::Data(size)),
            (Place::SizeLf(_), _) => Err(Malformed::ChunkSize),
            (Place::DataCr, b'\r') => Ok(Place::DataLf),
            (Place::DataLf, b'\n') => Ok(Place::Size(0, 0)),
            (Place::DataCr | Place::DataLf | Place::Data(_) | Place::Trailers, _) => Err(Malformed::ChunkEnd),
        }
    }

    fn count(&mut self) -> Result<(), Malformed> {
        self.extensions += 1;
        if self.extensions > EXTENSIONS { Err(Malformed::ChunkExtension) } else { Ok(()) }
    }

    /// The trailer section (RFC 9112 §7.1.2) and the empty line that ends the body.
    fn trailers(&mut self, buffer: &mut BytesMut, limits: &Limits) -> Result<Step, Malformed> {
        match buffer.get(..2) {
            Some(b"\r\n") => {
                buffer.advance(2);
                return Ok(Step::End);
            }
            Some(_) => {}
            None if matches!(buffer.first(), None | Some(b'\r')) => return Ok(Step::More),
            None => {}
        }
        // Three bytes of the end may have been there.
        let from = self.searched.saturating_sub(3);
        let found = memchr::memmem::find(buffer.get(from..).unwrap_or_default(), b"\r\n\r\n");
        let length = found.map_or(buffer.len(), |at| from + at + 4);
        if length > limits.head_bytes {
            return Err(Malformed::TrailersTooLarge);
        }
        if found.is_none() {
            self.searched = length;
            return Ok(Step::More);
        }
        response::fields(buffer.split_to(length).freeze(), limits).map(Step::Trailers)
    }
}
