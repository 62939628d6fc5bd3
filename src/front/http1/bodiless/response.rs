//! The head of an answer, and how its message ends (RFC 9112 §6, §9.3; RFC 9110 §8.6).
//!
//! The handler's fields leave in their order, in lower case, but for those that are about the message or the connection: there
//! its word is taken where it has a say, and the line is written here, once.

use super::Client;
use super::body::Ending;
use crate::body::OutBody;
use crate::front::http1::fields::has_token;
use crate::front::refusal::Refusal;
use crate::semantics::date;
use crate::semantics::fields::push_line;
use crate::time::Now;
use http::StatusCode;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    DATE, HOST, HeaderMap, HeaderName, HeaderValue, MAX_FORWARDS, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING,
};
use http::response::Parts;
use http_body::Body;
use hyper::ext::ReasonPhrase;
use std::io::Write as _;

/// What a head has promised.
#[derive(Debug)]
pub(super) struct Framed {
    pub end: Ending,
    /// The connection ends with this answer.
    pub last: bool,
}

/// Appends the head of the answer to `out`. `now`: asked only when the handler has given no `Date`.
///
/// # Errors
/// [`Refusal::Internal`] for an answer that can't be told apart from another one: an interim status, or lengths that
/// contradict each other. `out` is then of no use.
pub(super) fn encode(
    parts: &Parts,
    body: &OutBody,
    client: Client,
    draining: bool,
    now: impl FnOnce() -> Now,
    out: &mut Vec<u8>,
) -> Result<Framed, Refusal> {
    if parts.status.is_informational() {
        tracing::error!(status = %parts.status, "an interim response was given as the final one");
        return Err(Refusal::Internal);
    }
    status_line(parts, client, out);
    let mut given = Given::default();
    for (name, value) in &parts.headers {
        match *name {
            CONTENT_LENGTH => given.length(value)?,
            TRANSFER_ENCODING => {} // this connection's framing is ours
            CONNECTION => given.connection = true,
            TRAILER => given.trailer = true,
            _ => {
                given.date |= *name == DATE;
                push_line(out, name, value);
            }
        }
    }
    // RFC 9110 §9.3.2, §15.3.5, §15.4.5: these end with their head.
    let silent = client.is_head || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let mut end = if silent {
        if let Some(length) = length_without_body(parts.status, body, client, &given) {
            content_length(length, out);
        }
        Ending::Length(0)
    } else {
        framing(body, client, &given, out)?
    };
    if given.trailer && !silent && !client.http10 {
        let names = trailer(&parts.headers, out);
        if let Ending::Chunked { trailers } = &mut end
            && client.trailers
        {
            *trailers = names;
        }
    }
    let goes_on = client.keep_alive && !draining && end != Ending::Close;
    let last = connection(given.connection.then_some(&parts.headers), client, goes_on, out);
    if !given.date {
        out.extend_from_slice(b"date: ");
        out.extend_from_slice(&date::format(now().wall));
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    Ok(Framed { end, last })
}

/// What the handler's fields have said about the message.
#[derive(Default)]
struct Given {
    length: Option<u64>,
    connection: bool,
    trailer: bool,
    date: bool,
}

impl Given {
    /// RFC 9110 §8.6: digits; and two lines, if there are two, must say the same.
    fn length(&mut self, value: &HeaderValue) -> Result<(), Refusal> {
        let digits = value.as_bytes().iter().all(u8::is_ascii_digit);
        let length = value.to_str().ok().filter(|_| digits).and_then(|text| text.parse().ok());
        match (length, self.length.replace(length.unwrap_or_default())) {
            (Some(now), before) if before.is_none_or(|before| before == now) => Ok(()),
            _ => {
                tracing::error!(?value, "an answer's Content-Length can't be sent");
                Err(Refusal::Internal)
            }
        }
    }
}

fn status_line(parts: &Parts, client: Client, out: &mut Vec<u8>) {
    let phrase = parts.extensions.get::<ReasonPhrase>();
    if parts.status == StatusCode::OK && phrase.is_none() && !client.http10 {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    // RFC 9110 §2.5: the version is the client's own, whatever the origin spoke.
    out.extend_from_slice(if client.http10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    out.extend_from_slice(parts.status.as_str().as_bytes());
    out.push(b' ');
    let canonical = || parts.status.canonical_reason().unwrap_or("<none>").as_bytes();
    out.extend_from_slice(phrase.map_or_else(canonical, ReasonPhrase::as_bytes));
    out.extend_from_slice(b"\r\n");
}

/// Writing to a Vec never fails.
fn content_length(length: u64, out: &mut Vec<u8>) {
    let _ = write!(out, "content-length: {length}\r\n");
}

/// The length that is told where no body follows: that of the body which GET would bring (RFC 9110 §8.6).
fn length_without_body(status: StatusCode, body: &OutBody, client: Client, given: &Given) -> Option<u64> {
    match status {
        StatusCode::NO_CONTENT => None, // RFC 9110 §8.6: never
        // An empty body says nothing about the one that is not sent.
        _ if body.is_end_stream() => given.length.filter(|_| client.is_head),
        StatusCode::NOT_MODIFIED => given.length,
        _ => given.length.or_else(|| body.size_hint().exact()),
    }
}

/// RFC 9112 §6.3: by its length where that is known, in chunks where it is not, and to the end of the connection
/// for HTTP/1.0, which has no chunks.
fn framing(body: &OutBody, client: Client, given: &Given, out: &mut Vec<u8>) -> Result<Ending, Refusal> {
    let length = if body.is_end_stream() {
        Some(0)
    } else {
        match (given.length, body.size_hint().exact()) {
            (Some(told), Some(exact)) if told != exact => {
                tracing::error!(told, exact, "an answer's Content-Length is not that of its body");
                return Err(Refusal::Internal);
            }
            (told, exact) => told.or(exact),
        }
    };
    match length {
        Some(length) => {
            content_length(length, out);
            Ok(Ending::Length(length))
        }
        None if client.http10 => Ok(Ending::Close),
        None => {
            out.extend_from_slice(b"transfer-encoding: chunked\r\n");
            Ok(Ending::Chunked { trailers: Vec::new() })
        }
    }
}

/// Writes `Trailer` in one line; the names in it, of those that may be trailers at all (RFC 9110 §6.5.1).
fn trailer(headers: &HeaderMap, out: &mut Vec<u8>) -> Vec<HeaderName> {
    joined(TRAILER, headers, out);
    out.extend_from_slice(b"\r\n");
    let values = headers.get_all(TRAILER).iter().flat_map(|value| value.as_bytes().split(|&b| b == b','));
    let names = values.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok());
    names.filter(|name| !NOT_IN_TRAILERS.contains(name)).collect()
}

/// Fields that mean something only before the body, or frame it (RFC 9110 §6.5.1).
const NOT_IN_TRAILERS: [HeaderName; 12] = [
    AUTHORIZATION,
    CACHE_CONTROL,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    HOST,
    MAX_FORWARDS,
    SET_COOKIE,
    TRAILER,
    TRANSFER_ENCODING,
    TE,
];

/// Writes `Connection`, where there is anything to say (RFC 9112 §9.3, §9.6), and tells whether this is the last answer.
/// `headers`: those of the handler, if it has something to say too.
fn connection(headers: Option<&HeaderMap>, client: Client, goes_on: bool, out: &mut Vec<u8>) -> bool {
    let says = |token: &[u8]| {
        let mut values = headers.into_iter().flat_map(|headers| headers.get_all(CONNECTION));
        values.any(|value| has_token(value.as_bytes(), token))
    };
    let last = !goes_on || says(b"close");
    let ours: &[u8] = match (client.http10, last) {
        (false, true) if !says(b"close") => b"close",
        (true, false) if !says(b"keep-alive") => b"keep-alive",
        _ => b"",
    };
    match (headers, ours) {
        (None, b"") => return last,
        (None, _) => out.extend_from_slice(b"connection: "),
        (Some(headers), _) => {
            joined(CONNECTION, headers, out);
            if !ours.is_empty() {
                out.extend_from_slice(b", ");
            }
        }
    }
    out.extend_from_slice(ours);
    out.extend_from_slice(b"\r\n");
    last
}

/// Writes all values of a list in one line, whose end is left open.
fn joined(name: HeaderName, headers: &HeaderMap, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_str().as_bytes());
    let mut between: &[u8] = b": ";
    for value in headers.get_all(name) {
        out.extend_from_slice(between);
        out.extend_from_slice(value.as_bytes());
        between = b", ";
    }
}
