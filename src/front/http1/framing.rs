//! Where a request body ends (RFC 9112 §6.3, §7.1).
//!
//! hyper decodes bodies; this reads along to find the end, so that hyper is never given a byte of the next
//! message, and to refuse what hyper's decoder tolerates (white space after a chunk size, any byte in an
//! extension, framing fields among the trailers) before hyper sees it. Everything accepted here is
//! accepted by hyper: its limits on extensions and trailers are wider than these.

use crate::front::refusal::Refusal;

/// How a head frames its body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Framing {
    #[default]
    None,
    Length(u64),
    Chunked,
}

/// The rest of a body.
#[derive(Clone, Debug)]
pub(super) enum Body {
    Length(u64),
    Chunked(Scanner),
}

impl Body {
    /// `limit`: bytes of content that a chunked body may have. A length has been compared with it before.
    pub fn new(framing: Framing, limit: u64) -> Self {
        match framing {
            Framing::None => Self::Length(0),
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(Scanner::new(limit)),
        }
    }

    pub const fn is_done(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(scanner) => matches!(scanner.state, State::Done),
        }
    }

    /// Reads on: how many of `bytes` belong to the body. Fewer than all: it ended there.
    pub fn scan(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        match self {
            Self::Length(left) => {
                let used = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= used as u64;
                Ok(used)
            }
            Self::Chunked(scanner) => scanner.scan(bytes),
        }
    }
}

/// A size has at most this many digits: 64 bits. Leading zeros count.
const SIZE_DIGITS: u8 = 16;
/// Bytes of chunk extensions in one body (RFC 9112 §7.1.1 asks for a limit). Nobody is known to use them.
const EXTENSION_BYTES: u32 = 4096;
/// Lines and bytes of a trailer section.
const TRAILER_LINES: u32 = 64;
const TRAILER_BYTES: u32 = 8192;

/// Fields that must not come after the body, because they frame, route or steer the message (RFC 9110 §6.5.1).
const NOT_IN_TRAILERS: [&[u8]; 8] = [
    b"content-length",
    b"transfer-encoding",
    b"host",
    b"connection",
    b"upgrade",
    b"te",
    b"trailer",
    b"expect",
];
/// The longest of them.
const NAME_KEPT: usize = 17;

#[derive(Clone, Copy, Debug)]
enum State {
    /// Digits of a chunk size; none yet when `digits` is 0.
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the start of a trailer line, or of the line that ends it all.
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Done,
}

/// A strict reader of `chunked-body` (RFC 9112 §7.1): CRLF exactly, sizes of hexadecimal digits only.
#[derive(Clone, Debug)]
pub(super) struct Scanner {
    state: State,
    /// Of the current chunk: its size while read, then what is left of its data.
    size: u64,
    digits: u8,
    /// Content so far, by the sizes announced.
    content: u64,
    limit: u64,
    extension_bytes: u32,
    trailer_bytes: u32,
    trailer_lines: u32,
    /// The beginning of the current trailer name, to compare with [`NOT_IN_TRAILERS`].
    name: [u8; NAME_KEPT],
    name_len: usize,
}

impl Scanner {
    const fn new(limit: u64) -> Self {
        Self {
            state: State::Size,
            size: 0,
            digits: 0,
            content: 0,
            limit,
            extension_bytes: 0,
            trailer_bytes: 0,
            trailer_lines: 0,
            name: [0; NAME_KEPT],
            name_len: 0,
        }
    }

    fn scan(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match self.state {
                State::Done => break,
                State::Data => {
                    let here = (bytes.len() - at) as u64;
                    let take = self.size.min(here);
                    self.size -= take;
                    if self.size == 0 {
                        self.state = State::DataCr;
                    }
                    // `take` is at most what is here, so it fits.
                    at += take as usize;
                }
                _ => {
                    self.state = self.step(byte)?;
                    at += 1;
                }
            }
        }
        Ok(at)
    }

    fn step(&mut self, byte: u8) -> Result<State, Refusal> {
        match self.state {
            State::Size => self.size_byte(byte),
            State::Extension => self.extension_byte(byte),
            State::SizeLf => {
                expect(byte, b'\n', Refusal::BadChunkSize)?;
                self.size_known()
            }
            State::DataCr => expect(byte, b'\r', Refusal::BadChunkData).map(|()| State::DataLf),
            State::DataLf => {
                expect(byte, b'\n', Refusal::BadChunkData)?;
                self.digits = 0;
                Ok(State::Size)
            }
            State::TrailerStart if byte == b'\r' => Ok(State::EndLf),
            State::TrailerStart => {
                self.trailer_lines += 1;
                self.name_len = 0;
                if self.trailer_lines > TRAILER_LINES {
                    return Err(Refusal::BadTrailer);
                }
                self.trailer_name(byte)
            }
            State::TrailerName => self.trailer_name(byte),
            State::TrailerValue => self.trailer_value(byte),
            State::TrailerLf => expect(byte, b'\n', Refusal::BadTrailer).map(|()| State::TrailerStart),
            State::EndLf => expect(byte, b'\n', Refusal::BadTrailer).map(|()| State::Done),
            // Handled by `scan`, which takes many bytes at once there.
            State::Data | State::Done => Ok(self.state),
        }
    }

    fn size_byte(&mut self, byte: u8) -> Result<State, Refusal> {
        match (byte, char::from(byte).to_digit(16)) {
            (_, Some(digit)) if self.digits < SIZE_DIGITS => {
                self.size = if self.digits == 0 { 0 } else { self.size << 4 } | u64::from(digit);
                self.digits += 1;
                Ok(State::Size)
            }
            (b'\r', _) if self.digits > 0 => Ok(State::SizeLf),
            (b';', _) if self.digits > 0 => Ok(State::Extension),
            _ => Err(Refusal::BadChunkSize),
        }
    }

    /// Extensions are ignored (RFC 9112 §7.1.1), but not blindly: a line end that others may see in
    /// them would move the end of the chunk ("TERM.EXT" and "EXT.TERM").
    fn extension_byte(&mut self, byte: u8) -> Result<State, Refusal> {
        self.extension_bytes += 1;
        match byte {
            b'\r' => Ok(State::SizeLf),
            _ if is_text(byte) && self.extension_bytes <= EXTENSION_BYTES => Ok(State::Extension),
            _ => Err(Refusal::BadChunkExtension),
        }
    }

    fn size_known(&mut self) -> Result<State, Refusal> {
        if self.size == 0 {
            return Ok(State::TrailerStart);
        }
        // Refused at the announcement: no need to receive what won't be used.
        self.content = self.content.saturating_add(self.size);
        if self.content > self.limit { Err(Refusal::BodyTooLarge) } else { Ok(State::Data) }
    }

    fn trailer_name(&mut self, byte: u8) -> Result<State, Refusal> {
        self.count_trailer()?;
        if byte == b':' {
            let name = self.name.get(..self.name_len).unwrap_or_default();
            let forbidden = NOT_IN_TRAILERS.iter().any(|f| f.eq_ignore_ascii_case(name));
            let bad = self.name_len == 0 || forbidden;
            return if bad { Err(Refusal::BadTrailer) } else { Ok(State::TrailerValue) };
        }
        if !is_token(byte) {
            return Err(Refusal::BadTrailer);
        }
        if let Some(place) = self.name.get_mut(self.name_len) {
            *place = byte;
        }
        self.name_len += 1;
        Ok(State::TrailerName)
    }

    fn trailer_value(&mut self, byte: u8) -> Result<State, Refusal> {
        self.count_trailer()?;
        match byte {
            b'\r' => Ok(State::TrailerLf),
            _ if is_text(byte) => Ok(State::TrailerValue),
            _ => Err(Refusal::BadTrailer),
        }
    }

    fn count_trailer(&mut self) -> Result<(), Refusal> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > TRAILER_BYTES { Err(Refusal::BadTrailer) } else { Ok(()) }
    }
}

fn expect(byte: u8, expected: u8, otherwise: Refusal) -> Result<(), Refusal> {
    if byte == expected { Ok(()) } else { Err(otherwise) }
}

/// `tchar` (RFC 9110 §5.6.2).
pub(super) const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// What a field value may hold (RFC 9110 §5.5): no control character but HTAB.
pub(super) const fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= 0x20 && byte != 0x7F)
}
