//! Byte ranges from a stored full response (RFC 9110 §14, §13.1.5, §15.3.7, §15.5.17).
//!
//! A range request is an optimisation that a server may always decline by sending everything, so whatever is
//! unclear here ends in [`Selected::Whole`]: another unit, a field that does not parse, several `Range` lines, an
//! `If-Range` that does not hold. 416 is for a well-formed request none of whose ranges exist.
//!
//! Ranges that overlap or touch are sent as one (§15.3.7.2), so the parts of an answer never add up to more than the
//! representation, and more than [`MAX_PARTS`] of them are not sent at all: `bytes=0-,0-,0-,...` costs what one
//! full answer costs (§17.15, and the attack known as RangeAmp).

use super::etag::{EntityTag, Tag};
use super::fields::Lookup;
use super::{date, validate};
use http::header::{IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use std::ops::Range;

/// At most this many parts after coalescing; more: the whole representation (RangeAmp, RFC 9110 §17.15).
pub const MAX_PARTS: usize = 16;

/// A `Range` field longer than this, in bytes, is ignored.
pub const MAX_FIELD: usize = 4096;

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

/// What of a stored response of `length` bytes this request selects. Only GET on a stored 200. The other
/// preconditions come first (RFC 9110 §13.2.2): ask this only after [`super::preconditions::evaluate`] said proceed.
pub fn select(
    method: &Method,
    request: &HeaderMap,
    status: StatusCode,
    stored: &impl Lookup,
    length: u64,
) -> Selected {
    // §14.2: MUST be ignored for other methods. Redirects and errors have no ranges worth sending.
    if *method != Method::GET || status != StatusCode::OK {
        return Selected::Whole;
    }
    let mut lines = request.get_all(RANGE).iter();
    let (Some(field), None) = (lines.next(), lines.next()) else { return Selected::Whole };
    if field.len() > MAX_FIELD || !if_range_holds(request, stored) {
        return Selected::Whole;
    }
    match parse(field.as_bytes()) {
        Some(asked) => resolve(&asked, length),
        None => Selected::Whole,
    }
}

/// §13.1.5: absent, or one strong entity tag that is the stored one's by strong comparison, or one date that is
/// exactly the stored `Last-Modified`, where that is a strong validator. MUST ignore `Range` otherwise.
fn if_range_holds(request: &HeaderMap, stored: &impl Lookup) -> bool {
    let mut lines = request.get_all(IF_RANGE).iter();
    let value = match (lines.next(), lines.next()) {
        (None, _) => return true,
        (Some(only), None) => only.as_bytes().trim_ascii(),
        _ => return false,
    };
    if let Some(offered) = EntityTag::parse(value) {
        return Tag::of(stored).is_some_and(|current| current.strong_eq(&Tag::Entity(offered)));
    }
    date::parse(value).is_some_and(|offered| validate::strong_last_modified(stored) == Some(offered))
}

/// One range-spec (§14.1.2), positions as sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spec {
    From(u64),
    Between(u64, u64),
    Last(u64),
}

/// §14.1.1: `bytes=` and at least one range-spec. `None` if any of it is not that: a set with one invalid member is
/// invalid (§14.2 lets us ignore it).
fn parse(field: &[u8]) -> Option<Vec<Spec>> {
    let equals = field.iter().position(|b| *b == b'=')?;
    let (unit, set) = (field.get(..equals)?, field.get(equals + 1..)?);
    // §14.1: range unit names are case-insensitive.
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let members = set.split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty());
    let specs: Vec<Spec> = members.map(spec).collect::<Option<_>>()?;
    (!specs.is_empty()).then_some(specs)
}

fn spec(member: &[u8]) -> Option<Spec> {
    let dash = member.iter().position(|b| *b == b'-')?;
    let (first, last) = (member.get(..dash)?, member.get(dash + 1..)?);
    match (first, last) {
        (b"", b"") => None,
        (b"", suffix) => Some(Spec::Last(number(suffix)?)),
        (first, b"") => Some(Spec::From(number(first)?)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            // §14.1.1: invalid if last-pos is less than first-pos.
            (first <= last).then_some(Spec::Between(first, last))
        }
    }
}

/// 1*DIGIT; what does not fit is as good as the greatest number that does (§14.1.2: "anticipate potentially large
/// decimal numerals and prevent parsing errors due to integer conversion overflows").
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |n, b| {
        b.is_ascii_digit().then(|| n.saturating_mul(10).saturating_add(u64::from(b - b'0')))
    })
}

/// §14.1.2: which of them exist, and what to send.
fn resolve(asked: &[Spec], length: u64) -> Selected {
    let mut parts: Vec<(Range<u64>, usize)> = Vec::with_capacity(asked.len());
    let mut suffix_of_nothing = false;
    for (order, spec) in asked.iter().enumerate() {
        let part = match *spec {
            Spec::From(first) => first..length,
            Spec::Between(first, last) => first..length.min(last.saturating_add(1)),
            Spec::Last(count) => {
                // A suffix is satisfiable if it is not `-0`, even of nothing; but no Content-Range can say so.
                suffix_of_nothing |= count > 0 && length == 0;
                length.saturating_sub(count)..length
            }
        };
        if !part.is_empty() {
            parts.push((part, order));
        }
    }
    if suffix_of_nothing {
        return Selected::Whole;
    }
    if parts.is_empty() {
        return Selected::Unsatisfiable;
    }
    let mut parts = coalesce(parts);
    match parts.len() {
        1 => parts.pop().map_or(Selected::Whole, Selected::One),
        2..=MAX_PARTS => Selected::Many(parts),
        _ => Selected::Whole,
    }
}

/// §15.3.7.2: what overlaps or touches becomes one part, in the place of the one of them asked for first.
fn coalesce(mut parts: Vec<(Range<u64>, usize)>) -> Vec<Range<u64>> {
    parts.sort_by_key(|(part, order)| (part.start, *order));
    let mut merged: Vec<(Range<u64>, usize)> = Vec::with_capacity(parts.len().min(MAX_PARTS + 1));
    for (part, order) in parts {
        match merged.last_mut() {
            Some((before, first)) if part.start <= before.end => {
                before.end = before.end.max(part.end);
                *first = order.min(*first);
            }
            _ => merged.push((part, order)),
        }
    }
    merged.sort_by_key(|(_, order)| *order);
    merged.into_iter().map(|(part, _)| part).collect()
}

/// `bytes 0-1/10` (§14.4). `part` is not empty.
pub fn content_range(part: &Range<u64>, length: u64) -> HeaderValue {
    ascii(format!("bytes {}-{}/{length}", part.start, part.end.saturating_sub(1)))
}

/// `bytes */10` (§14.4, §15.5.17).
pub fn unsatisfied_range(length: u64) -> HeaderValue {
    ascii(format!("bytes */{length}"))
}

/// Of text made here of letters, digits and punctuation, which every field value may hold.
fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// The framing of a `multipart/byteranges` body (§14.6): the bytes before each part, and after the last. Its
/// `Content-Length` is the sum of them and of the parts.
#[derive(Clone, Debug)]
pub struct Multipart {
    pub content_type: HeaderValue,
    pub before: Vec<Vec<u8>>,
    pub after: Vec<u8>,
}

/// `boundary`: 1 to 70 characters of RFC 2046 §5.1.1, unlikely to occur in the body. Characters that a boundary can't
/// have are left out, so that it can't break the framing.
///
/// `content_type` is the stored one, repeated in each part; the answer's header section has no `Content-Range` then
/// (§15.3.7.2).
pub fn multipart(
    parts: &[Range<u64>],
    length: u64,
    content_type: Option<&HeaderValue>,
    boundary: &str,
) -> Multipart {
    let fits = |c: &char| c.is_ascii_alphanumeric() || "'()+_,-./:=?".contains(*c);
    let boundary: String = boundary.chars().filter(fits).take(70).collect();
    let mut before = Vec::with_capacity(parts.len());
    for (place, part) in parts.iter().enumerate() {
        let mut head = Vec::with_capacity(128);
        // The line break before a delimiter belongs to the delimiter (RFC 2046 §5.1.1).
        head.extend_from_slice(if place == 0 { b"--" } else { b"\r\n--" });
        head.extend_from_slice(boundary.as_bytes());
        if let Some(content_type) = content_type {
            head.extend_from_slice(b"\r\nContent-Type: ");
            head.extend_from_slice(content_type.as_bytes());
        }
        head.extend_from_slice(b"\r\nContent-Range: ");
        head.extend_from_slice(content_range(part, length).as_bytes());
        head.extend_from_slice(b"\r\n\r\n");
        before.push(head);
    }
    let quote =
        if boundary.chars().all(|c| c.is_ascii_alphanumeric() || "'+_-.".contains(c)) { "" } else { "\"" };
    Multipart {
        content_type: ascii(format!("multipart/byteranges; boundary={quote}{boundary}{quote}")),
        before,
        after: format!("\r\n--{boundary}--\r\n").into_bytes(),
    }
}

#[cfg(test)]
mod tests;
