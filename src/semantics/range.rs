//! Byte ranges from a stored full response (RFC 9110 §14, §13.1.5, §15.3.7, §15.5.17).

use http::{HeaderMap, HeaderValue, Method, StatusCode};
use std::ops::Range;

/// At most this many parts after coalescing; more: the whole representation (RangeAmp, RFC 9110 §17.15).
pub const MAX_PARTS: usize = 16;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selected {
    /// No range, one that does not apply (`If-Range`, method, unit, syntax), or too many: send all.
    Whole,
    One(Range<u64>),
    /// Two to [`MAX_PARTS`], coalesced, in the order asked for.
    Many(Vec<Range<u64>>),
    /// 416 with `Content-Range: bytes */length`.
    Unsatisfiable,
}

/// What of a stored response of `length` bytes this request selects. Only GET on a stored 200.
pub fn select(
    method: &Method,
    request: &HeaderMap,
    status: StatusCode,
    stored: &HeaderMap,
    length: u64,
) -> Selected {
    let _ = (method, request, status, stored, length);
    Selected::Whole
}

/// `bytes 0-1/10`
pub fn content_range(part: &Range<u64>, length: u64) -> HeaderValue {
    let _ = (part, length);
    HeaderValue::from_static("bytes */*")
}

/// `bytes */10`
pub fn unsatisfied_range(length: u64) -> HeaderValue {
    let _ = length;
    HeaderValue::from_static("bytes */*")
}

/// The framing of a `multipart/byteranges` body: the bytes before each part, and after the last.
#[derive(Clone, Debug)]
pub struct Multipart {
    pub content_type: HeaderValue,
    pub before: Vec<Vec<u8>>,
    pub after: Vec<u8>,
}

/// `boundary`: 1 to 70 characters of RFC 2046 §5.1.1, unlikely to occur in the body.
pub fn multipart(
    parts: &[Range<u64>],
    length: u64,
    content_type: Option<&HeaderValue>,
    boundary: &str,
) -> Multipart {
    let _ = (parts, length, content_type, boundary);
    Multipart { content_type: HeaderValue::from_static(""), before: Vec::new(), after: Vec::new() }
}
