//! Writing requests (RFC 9112 §3, §5, §7.1). Pure: a head and the pieces of a body become the bytes that are to leave,
//! small ones gathered into one write, large ones untouched.

use bytes::{Buf, Bytes};
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HOST,
    PROXY_AUTHORIZATION, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use smallvec::SmallVec;
use std::io::{IoSlice, Write};

/// A piece up to this size is copied beside what goes out with it.
const SMALL: usize = 8 * 1024;

/// So much is gathered before it must leave.
const GATHERED: usize = 32 * 1024;

/// What stays allocated between two requests.
const KEPT: usize = 4 * 1024;

/// How the server is told where the body ends; [`message::prepare`] has chosen it.
///
/// [`message::prepare`]: crate::origin::message::prepare
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// No body.
    None,
    /// So many bytes are still owed.
    Length(u64),
    /// With the trailers that were announced.
    Chunked(SmallVec<[HeaderName; 2]>),
}

impl Coding {
    pub fn of(parts: &Parts, bodyless: bool) -> Self {
        if bodyless {
            return Self::None;
        }
        let length = parts.headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
        length.map_or_else(|| Self::Chunked(announced(&parts.headers)), Self::Length)
    }
}

/// The trailers that a request may have: those of which the server was told (RFC 9110 §6.6.2), and of them none on
/// which framing, routing, authentication or the meaning of the content depend (§6.5.1).
fn announced(headers: &HeaderMap) -> SmallVec<[HeaderName; 2]> {
    const NEVER: [HeaderName; 12] = [
        AUTHORIZATION,
        CONNECTION,
        CONTENT_ENCODING,
        CONTENT_LENGTH,
        CONTENT_RANGE,
        CONTENT_TYPE,
        HOST,
        PROXY_AUTHORIZATION,
        SET_COOKIE,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
    ];
    let lines = headers.get_all(TRAILER).iter();
    let names = lines.flat_map(|v| v.as_bytes().split(|b| *b == b','));
    let names = names.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok());
    names.filter(|name| !NEVER.contains(name)).collect()
}

/// Why the rest of a body must not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mismatch {
    /// More bytes than `Content-Length`.
    TooLong,
    /// Fewer.
    TooShort,
}

impl Mismatch {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLong => "request body longer than its Content-Length",
            Self::TooShort => "request body shorter than its Content-Length",
        }
    }
}

/// Bytes that are to leave, in this order: what was gathered, one large piece, and what belongs behind it.
#[derive(Debug)]
pub(super) struct Outbound {
    gathered: Vec<u8>,
    /// Bytes of `gathered` that have left.
    gone: usize,
    piece: Bytes,
    behind: &'static [u8],
    coding: Coding,
}

impl Default for Outbound {
    fn default() -> Self {
        Self { gathered: Vec::new(), gone: 0, piece: Bytes::new(), behind: b"", coding: Coding::None }
    }
}

impl Outbound {
    /// Begins a request.
    pub fn head(&mut self, parts: &Parts, bodyless: bool) {
        self.coding = Coding::of(parts, bodyless);
        let out = &mut self.gathered;
        out.clear();
        (self.gone, self.piece, self.behind) = (0, Bytes::new(), b"");
        out.extend_from_slice(parts.method.as_str().as_bytes());
        out.push(b' ');
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        out.extend_from_slice(path.as_bytes());
        out.extend_from_slice(b" HTTP/1.1\r\n");
        fields(out, &parts.headers, |_| true);
        if matches!(self.coding, Coding::Chunked(_)) && !parts.headers.contains_key(TRANSFER_ENCODING) {
            // An attempt over HTTP/2 took it off.
            out.extend_from_slice(b"transfer-encoding: chunked\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }

    /// No more may be added before some has left.
    pub fn is_full(&self) -> bool {
        !self.piece.is_empty() || !self.behind.is_empty() || self.gathered.len() - self.gone >= GATHERED
    }

    pub fn is_empty(&self) -> bool {
        self.gone == self.gathered.len() && self.piece.is_empty() && self.behind.is_empty()
    }

    /// Adds a piece of the body; not when it is full.
    ///
    /// # Errors
    /// `TooLong`.
    pub fn push(&mut self, piece: Bytes) -> Result<(), Mismatch> {
        if piece.is_empty() {
            // An empty chunk would be the last one.
            return Ok(());
        }
        match &mut self.coding {
            Coding::None => return Err(Mismatch::TooLong),
            Coding::Length(left) => {
                *left = left.checked_sub(piece.len() as u64).ok_or(Mismatch::TooLong)?;
                self.add(piece, b"");
            }
            Coding::Chunked(_) => {
                // Writing to a `Vec` can't fail.
                let _ = write!(self.gathered, "{:x}\r\n", piece.len());
                self.add(piece, b"\r\n");
            }
        }
        Ok(())
    }

    fn add(&mut self, piece: Bytes, behind: &'static [u8]) {
        if piece.len() <= SMALL {
            self.gathered.extend_from_slice(&piece);
            self.gathered.extend_from_slice(behind);
        } else {
            (self.piece, self.behind) = (piece, behind);
        }
    }

    /// Ends the body.
    ///
    /// # Errors
    /// `TooShort`.
    pub fn end(&mut self, trailers: Option<&HeaderMap>) -> Result<(), Mismatch> {
        match &self.coding {
            Coding::None | Coding::Length(0) => Ok(()),
            Coding::Length(_) => Err(Mismatch::TooShort),
            Coding::Chunked(_) if !self.piece.is_empty() => {
                // Only without trailers, which come when the piece has left.
                self.behind = b"\r\n0\r\n\r\n";
                Ok(())
            }
            Coding::Chunked(announced) => {
                let out = &mut self.gathered;
                out.extend_from_slice(b"0\r\n");
                if let Some(trailers) = trailers {
                    fields(out, trailers, |name| announced.contains(name));
                }
                out.extend_from_slice(b"\r\n");
                Ok(())
            }
        }
    }

    /// What is next, all of it.
    pub fn slices(&self) -> [IoSlice<'_>; 3] {
        let gathered = self.gathered.get(self.gone..).unwrap_or_default();
        [IoSlice::new(gathered), IoSlice::new(&self.piece), IoSlice::new(self.behind)]
    }

    /// What is next, if it is in one place.
    pub fn slice(&self) -> Option<&[u8]> {
        self.piece
            .is_empty()
            .then(|| self.gathered.get(self.gone..))
            .flatten()
            .filter(|_| self.behind.is_empty())
    }

    /// So many bytes have left.
    pub fn advance(&mut self, bytes: usize) {
        let first = bytes.min(self.gathered.len() - self.gone);
        self.gone += first;
        let second = (bytes - first).min(self.piece.len());
        self.piece.advance(second);
        let third = (bytes - first - second).min(self.behind.len());
        self.behind = self.behind.get(third..).unwrap_or_default();
        if self.gone == self.gathered.len() {
            self.gathered.clear();
            self.gone = 0;
        }
    }

    /// Between two requests.
    pub fn rest(&mut self) {
        if self.gathered.capacity() > KEPT {
            self.gathered = Vec::new();
        }
    }
}

/// Field lines; names are in lower case.
fn fields(out: &mut Vec<u8>, headers: &HeaderMap, wanted: impl Fn(&HeaderName) -> bool) {
    for (name, value) in headers.iter().filter(|(name, _)| wanted(name)) {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}
