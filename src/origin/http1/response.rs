//! Reading response heads (RFC 9112 §4, §5, §6.3). Pure: bytes in a buffer become a head, or a reason why they are none.
//!
//! `httparse` reads the grammar; it refuses folded lines (§5.2), a CR without LF (§2.2), NUL, and names that are no
//! tokens; space between a name and its colon it drops, as a proxy must (§5.1). A line that ends with LF alone it takes,
//! as §2.2 allows: nobody behind us sees these bytes. What the fields say of the body is judged here, strictly: a head
//! that two readers could frame in two ways is refused even where there is no body (§6.3, §11.2).

use super::framing::{Framing, Malformed};
use super::{Fault, Limits};
use crate::origin::message;
use bytes::{Buf, Bytes, BytesMut};
use http::header::CONNECTION;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use httparse::{EMPTY_HEADER, Header, ParserConfig};
use std::mem::MaybeUninit;

/// Different names of fields; no limit on lines. Beyond 6,553 colliding ones a map refuses the next, and panics where it is not asked.
const MOST_NAMES: usize = 6_000;

/// So many lines are read without a table on the heap.
const FEW: usize = 64;

/// Bytes of empty lines before a head. A server that sends nothing else must not keep a request alive.
const EMPTY: usize = 8;

/// What every response begins with.
const NAME: &[u8] = b"HTTP/1.";

/// A response head, read.
#[derive(Debug)]
pub(super) struct Head {
    pub status: StatusCode,
    pub version: Version,
    pub headers: HeaderMap,
}

/// Takes the next head out of `buffer` if it is whole. `searched` is where the last call on this head stopped looking
/// for its end: a head that comes byte by byte is still searched once.
///
/// # Errors
/// `HeadTooLarge`, `Protocol`.
pub(super) fn read(
    buffer: &mut BytesMut,
    searched: &mut usize,
    limits: &Limits,
) -> Result<Option<Head>, Fault> {
    // Empty lines before a message (RFC 9112 §2.2 speaks of requests; some servers put one behind a body).
    let empty = buffer.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    if empty > EMPTY {
        return Err(Fault::Protocol);
    }
    if empty == buffer.len() {
        return Ok(None);
    }
    buffer.advance(empty);
    // What speaks another protocol may never send the end of a head.
    if buffer.iter().zip(NAME).any(|(a, b)| a != b) {
        return Err(Fault::Protocol);
    }
    let Some(end) = end_of_head(buffer, searched) else {
        return if buffer.len() >= limits.head_bytes { Err(Fault::HeadTooLarge) } else { Ok(None) };
    };
    *searched = 0;
    if end > limits.head_bytes {
        return Err(Fault::HeadTooLarge);
    }
    let bytes = buffer.split_to(end).freeze();
    if limits.headers <= FEW {
        let mut table = [const { MaybeUninit::uninit() }; FEW];
        return parse(&bytes, table.get_mut(..limits.headers).unwrap_or_default()).map(Some);
    }
    match parse(&bytes, &mut [const { MaybeUninit::uninit() }; FEW]) {
        Err(Fault::HeadTooLarge) => parse(&bytes, &mut vec![MaybeUninit::uninit(); limits.headers]).map(Some),
        head => head.map(Some),
    }
}

/// The first empty line's end.
fn end_of_head(buffer: &[u8], searched: &mut usize) -> Option<usize> {
    let rest = buffer.get(*searched..)?;
    for at in memchr::memchr_iter(b'\n', rest) {
        match rest.get(at + 1..).unwrap_or_default() {
            [b'\n', ..] => return Some(*searched + at + 2),
            [b'\r', b'\n', ..] => return Some(*searched + at + 3),
            [] | [b'\r'] => {
                *searched += at;
                return None;
            }
            _ => {}
        }
    }
    *searched = buffer.len();
    None
}

fn parse<'b>(bytes: &'b Bytes, table: &mut [MaybeUninit<Header<'b>>]) -> Result<Head, Fault> {
    let mut config = ParserConfig::default();
    config.allow_spaces_after_header_name_in_responses(true);
    let mut response = httparse::Response::new(&mut []);
    match config.parse_response_with_uninit_headers(&mut response, bytes, table) {
        Ok(httparse::Status::Complete(length)) if length == bytes.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Fault::HeadTooLarge),
        Ok(_) | Err(_) => return Err(Fault::Protocol),
    }
    let version = match response.version {
        Some(1) => Version::HTTP_11,
        Some(0) => Version::HTTP_10,
        _ => return Err(Fault::Protocol),
    };
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(Fault::Protocol)?;
    let headers = map(bytes, response.headers).ok_or(Fault::Protocol)?;
    Ok(Head { status, version, headers })
}

/// Values are slices of what was read.
fn map(bytes: &Bytes, lines: &[Header<'_>]) -> Option<HeaderMap> {
    // A map holds no more than 24,576 names, and fewer of names that were chosen to collide; what can't be reserved can't be filled either.
    let mut headers = HeaderMap::try_with_capacity(lines.len()).ok()?;
    for line in lines {
        let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(line.value)).ok()?;
        headers.try_append(name, value).ok()?;
    }
    // There must be room for what is added later.
    (headers.keys_len() <= MOST_NAMES).then_some(headers)
}

/// The fields of a trailer section, which is `bytes` from its first to its last.
pub(super) fn fields(bytes: Bytes, limits: &Limits) -> Result<HeaderMap, Malformed> {
    // Inside a chunked body a lone LF ends nothing: see the head of `framing`.
    let lone = |at: usize| at.checked_sub(1).and_then(|before| bytes.get(before)) != Some(&b'\r');
    if memchr::memchr_iter(b'\n', &bytes).any(lone) {
        return Err(Malformed::Trailers);
    }
    let mut few = [EMPTY_HEADER; 16];
    let mut many;
    let table = match httparse::parse_headers(&bytes, &mut few) {
        Err(httparse::Error::TooManyHeaders) => {
            many = vec![EMPTY_HEADER; limits.headers];
            many.as_mut_slice()
        }
        _ => few.as_mut_slice(),
    };
    match httparse::parse_headers(&bytes, table) {
        Ok(httparse::Status::Complete((length, lines))) if length == bytes.len() => {
            map(&bytes, lines).ok_or(Malformed::Trailers)
        }
        Err(httparse::Error::TooManyHeaders) => Err(Malformed::TrailersTooLarge),
        Ok(_) | Err(_) => Err(Malformed::Trailers),
    }
}

/// How the body behind `head` ends (RFC 9112 §6.3).
///
/// # Errors
/// `Protocol`: its fields can be read in two ways, or not at all.
pub(super) fn framing(head: &mut Head, method: &Method) -> Result<Framing, Fault> {
    let (length, chunked) = message::framing(&mut head.headers).map_err(|_| Fault::Protocol)?;
    // §6.1: HTTP/1.0 has no transfer codings.
    if chunked && head.version == Version::HTTP_10 {
        return Err(Fault::Protocol);
    }
    // §6.3 1: whatever the fields say of what another request would have got.
    let none = method == Method::HEAD
        || head.status.is_informational()
        || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    Ok(match length {
        _ if none => Framing::Over,
        _ if chunked => Framing::chunked(),
        Some(length) => Framing::length(length),
        None => Framing::UntilClose,
    })
}

/// Whether the server will take another request behind this answer (RFC 9112 §9.3).
pub(super) fn keeps_alive(head: &Head, framing: &Framing) -> bool {
    let says = |wanted: &[u8]| {
        let lines = head.headers.get_all(CONNECTION).iter();
        lines
            .flat_map(|v| v.as_bytes().split(|b| *b == b','))
            .any(|t| t.trim_ascii().eq_ignore_ascii_case(wanted))
    };
    let persistent = if head.version == Version::HTTP_11 { true } else { says(b"keep-alive") };
    // After a 101 the bytes are another protocol's.
    let other = head.status == StatusCode::SWITCHING_PROTOCOLS || matches!(framing, Framing::UntilClose);
    persistent && !other && !says(b"close")
}
