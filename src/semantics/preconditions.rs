//! A client's preconditions, evaluated against a stored response (RFC 9110 §13, RFC 9111 §4.3.2).
//!
//! A cache judges only what asks about the client's own copy: `If-None-Match`, and `If-Modified-Since` where the first
//! is absent (§13.2.2, steps 3 and 4). `If-Match` and `If-Unmodified-Since` ask about the origin's state and are for
//! the origin alone; [`only_origin_may_judge`] finds them. `If-Range` belongs to [`super::range`].

use super::date;
use super::etag::{Tag, members};
use super::fields::Lookup;
use super::validate;
use crate::time::Wall;
use http::header::{
    CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, IF_MATCH,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, LAST_MODIFIED, TRAILER, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName, Method, StatusCode};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send the stored response.
    Proceed,
    /// Send 304.
    NotModified,
}

/// `If-None-Match`, else `If-Modified-Since` (ignored unless valid; compared with `Last-Modified`, else `Date`,
/// else `received`). Anything but a stored 2xx proceeds (RFC 9110 §13.2.1), and so does any method but GET and
/// HEAD, since nothing else is answered from store.
pub fn evaluate(
    method: &Method,
    request: &HeaderMap,
    status: StatusCode,
    stored: &impl Lookup,
    received: Wall,
) -> Verdict {
    if !status.is_success() || !matches!(*method, Method::GET | Method::HEAD) {
        return Verdict::Proceed;
    }
    // §13.1.3: with If-None-Match there, If-Modified-Since is not looked at, whatever the first one says.
    let unchanged = if request.contains_key(IF_NONE_MATCH) {
        some_tag_matches(request, stored)
    } else {
        not_modified_since(request, stored, received)
    };
    if unchanged { Verdict::NotModified } else { Verdict::Proceed }
}

/// §13.1.2: weak comparison; `*` alone matches whatever is there. A member that is no entity tag matches only a
/// stored `ETag` of the same bytes (see [`Tag::Odd`]).
fn some_tag_matches(request: &HeaderMap, stored: &impl Lookup) -> bool {
    let mut lines = request.get_all(IF_NONE_MATCH).iter();
    if let (Some(only), None) = (lines.next(), lines.next())
        && only.as_bytes().trim_ascii() == b"*"
    {
        return true;
    }
    let Some(current) = Tag::of(stored) else { return false };
    let lines = request.get_all(IF_NONE_MATCH).iter();
    lines
        .flat_map(|line| members(line.as_bytes()))
        .filter_map(Tag::parse)
        .any(|offered| offered.weak_eq(&current))
}

/// §13.1.3: a date, one, valid; else it is ignored. RFC 9111 §4.3.2: what the stored response lacks of
/// `Last-Modified` its `Date` stands in for, then the time it was received.
fn not_modified_since(request: &HeaderMap, stored: &impl Lookup, received: Wall) -> bool {
    let Some(since) = validate::only_date(request, &IF_MODIFIED_SINCE) else { return false };
    let modified = validate::only_date(stored, &LAST_MODIFIED)
        .or_else(|| stored.first(&DATE).and_then(date::parse))
        .unwrap_or(received);
    modified.secs() <= since.secs()
}

/// Carries `If-Match` or `If-Unmodified-Since`, which only the origin may judge (RFC 9111 §4.3.2): the request
/// goes forward with them.
pub fn only_origin_may_judge(request: &HeaderMap) -> bool {
    request.contains_key(IF_MATCH) || request.contains_key(IF_UNMODIFIED_SINCE)
}

/// What describes a body that a 304 does not carry. The digests of RFC 9530 and RFC 1864 speak of the content of
/// the very message, of which a 304 has none.
const OF_THE_BODY: [HeaderName; 9] = [
    CONTENT_ENCODING,
    CONTENT_LANGUAGE,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    TRAILER,
    TRANSFER_ENCODING,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
];

/// The header fields of a 304 made from a stored response (RFC 9110 §15.4.5). `Content-Location`, `Date`, `ETag`,
/// `Vary`, `Cache-Control` and `Expires` must be there when the 200 has them; other representation metadata should
/// not, but `Last-Modified` where there is no `ETag` to guide the client's update; all else stays.
pub fn not_modified_headers(stored: &HeaderMap) -> HeaderMap {
    let mut headers = stored.clone();
    for name in &OF_THE_BODY {
        headers.remove(name);
    }
    if Tag::of(stored).is_some() {
        headers.remove(LAST_MODIFIED);
    }
    headers
}

#[cfg(test)]
mod tests;
