//! Prepared heads: what an answer from the store says, as HTTP/1.1 bytes, made when it is stored. What is left for a hit to
//! write are two numbers.
//!
//! The lines stand in an order that lets one text serve three answers. Cut at two places ([`HeadParts`]):
//!
//! ```text
//! HTTP/1.1 200 OK        ┐ a 206 has a status and a length of its own
//! content-length: 1024   ┘
//! content-type: …        ─ what describes the content: not in a 304 (RFC 9110 §15.4.5)
//! etag: … …              ─ in all three
//! ```
//!
//! Behind it comes the [`tail`]: `Via`, and `Cache-Status` up to its number.

use super::{FastHit, Shape};
use crate::engine::compress::plain_fields;
use crate::engine::deliver::{self, CACHE_STATUS, bodyless};
use crate::engine::policy::{HeaderEdits, HeaderSource, Policy};
use crate::engine::site::Site;
use crate::semantics::cache_status::Member;
use crate::semantics::fields::push_line;
use crate::semantics::{preconditions, range};
use crate::store::entry::Described;
use crate::store::entry::{HeadParts, Meta, PreparedHead, field_bytes};
use crate::store::text::Lines;
use bytes::Bytes;
use http::header::{
    AGE, CONNECTION, CONTENT_LENGTH, CONTENT_RANGE, DATE, TE, TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use std::sync::Arc;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Whether a response can be answered from a prepared head: nothing in it depends on the request, or on the
/// time besides `Age` and `Cache-Status`.
pub fn eligible(meta: &Meta, policy: &Policy, trailers: bool) -> bool {
    let fixed =
        |edits: &HeaderEdits| edits.set.iter().all(|(_, source)| matches!(source, HeaderSource::Fixed(_)));
    !trailers
        && policy.browser_ttl.is_none()
        && fixed(&policy.response_headers)
        && !meta.freshness.must_validate
        && !meta.status.is_informational()
}

/// The head of a stored response, without its tail. The stored fields are nearly always lines of it, next to each other: then
/// the entry has no second copy of them.
pub fn prepare(site: &Site, policy: &Policy, meta: &Meta, length: u64) -> PreparedHead {
    let plain = plain_fields(policy, meta, Some(length));
    let mut whole = plain.clone();
    let framed = !bodyless(meta.status);
    if framed {
        deliver::set_length(&mut whole, length);
    } else if meta.status == StatusCode::NO_CONTENT {
        whole.remove(CONTENT_LENGTH); // RFC 9110 §8.6
    }
    finish(&mut whole, policy);
    let mut bare = preconditions::not_modified_headers(&plain);
    finish(&mut bare, policy);

    let mut out = Vec::with_capacity(field_bytes(&whole) + 512);
    push_status(&mut out, meta.status);
    let after_status = out.len();
    push_lines(&mut out, &whole, |name| *name == CONTENT_LENGTH);
    let after_length = out.len();
    push_lines(&mut out, &whole, |name| *name != CONTENT_LENGTH && !bare.contains_key(name));
    let after_content = out.len();
    push_lines(&mut out, &whole, |name| *name != CONTENT_LENGTH && bare.contains_key(name));
    let fields = begin_of_stored(meta, &whole).map(|with_length| match with_length {
        true => after_status..out.len(),
        false => after_length..out.len(),
    });

    let shared = || bare.keys().all(|name| whole.get_all(name).iter().eq(bare.get_all(name)));
    let as_usual = framed
        && !touches(policy, &CONTENT_LENGTH)
        && !touches(policy, &CONTENT_RANGE)
        && !meta.headers.contains_key(CONTENT_RANGE)
        && shared();
    let parts = as_usual.then(|| {
        Some(HeadParts {
            after_length: u32::try_from(after_length).ok()?,
            after_content: u32::try_from(after_content).ok()?,
        })
    });
    PreparedHead { bytes: out, parts: parts.flatten(), fields, generation: site.generation }
}

/// Whether the lines of the head are the stored fields, with (`Some(true)`) or without the one of `Content-Length`.
fn begin_of_stored(meta: &Meta, whole: &HeaderMap) -> Option<bool> {
    let stored = &meta.headers;
    fn others(headers: &HeaderMap) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        headers.iter().filter(|(name, _)| **name != CONTENT_LENGTH)
    }
    // What is not to be shown in logs is told by its number, which is another in the head.
    let same = stored.values().all(|value| !value.is_sensitive()) && others(stored).eq(others(whole));
    if !same {
        return None;
    }
    match stored.contains_key(CONTENT_LENGTH) {
        false => Some(false),
        true => stored.get_all(CONTENT_LENGTH).iter().eq(whole.get_all(CONTENT_LENGTH)).then_some(true),
    }
}

fn touches(policy: &Policy, name: &HeaderName) -> bool {
    let edits = &policy.response_headers;
    edits.remove.contains(name) || edits.set.iter().any(|(set, _)| set == name)
}

/// What [`deliver::finish`] does to the fields of every answer, but for what is said of the time, and `Via`, which is in the
/// tail.
fn finish(headers: &mut HeaderMap, policy: &Policy) {
    for name in [AGE, CONNECTION, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    for name in &policy.response_headers.remove {
        headers.remove(name);
    }
    for (name, source) in &policy.response_headers.set {
        if let HeaderSource::Fixed(value) = source {
            headers.insert(name.clone(), value.clone());
        }
    }
}

/// How every head of a site ends, up to the number of seconds that the response stays fresh. The same for thousands of entries,
/// so it is kept beside the policy and not in each.
pub fn tail(site: &Site, policy: &Policy) -> Arc<[u8]> {
    let make = |via: bool| -> Arc<[u8]> {
        let mut out = Vec::new();
        if via {
            push_line(&mut out, &VIA, &site.via);
        }
        let member = Member { ttl: Some(0), ..Member::default() }.to_value(&site.server_name);
        out.extend_from_slice(CACHE_STATUS.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(member.as_bytes().strip_suffix(b"0").unwrap_or(member.as_bytes()));
        out.into()
    };
    let [with, without] = site.tails.get_or_init(|| [make(true), make(false)]);
    if touches(policy, &VIA) { without.clone() } else { with.clone() }
}

fn push_status(out: &mut Vec<u8>, status: StatusCode) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or("").as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn push_lines(out: &mut Vec<u8>, headers: &HeaderMap, which: impl Fn(&HeaderName) -> bool) {
    for (name, value) in headers.iter().filter(|(name, _)| which(name)) {
        push_line(out, name, value);
    }
}

/// Writes the head of a hit, to and including the empty line. Not called for a shape without the
/// [`HeadParts`] that it needs.
pub fn complete(hit: &FastHit, shape: &Shape, out: &mut Vec<u8>) {
    let entry = hit.entry();
    let head = entry.head();
    let parts = entry.head_parts().unwrap_or_default();
    let from = |at: u32| usize::try_from(at).ok().and_then(|at| head.get(at..)).unwrap_or_default();
    match shape {
        Shape::Whole => out.extend_from_slice(head),
        Shape::NotModified => {
            push_status(out, StatusCode::NOT_MODIFIED);
            out.extend_from_slice(from(parts.after_content));
        }
        Shape::Part(part) => {
            push_status(out, StatusCode::PARTIAL_CONTENT);
            out.extend_from_slice(b"content-length: ");
            push_number(out, part.end.saturating_sub(part.start));
            out.extend_from_slice(b"\r\ncontent-range: bytes ");
            push_number(out, part.start);
            out.push(b'-');
            push_number(out, part.end.saturating_sub(1));
            out.push(b'/');
            push_number(out, entry.length);
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(from(parts.after_length));
        }
    }
    out.extend_from_slice(&hit.governed().tail);
    push_ttl(out, hit);
    out.extend_from_slice(b"\r\nage: ");
    push_number(out, hit.age.as_secs());
    out.extend_from_slice(b"\r\n\r\n");
}

/// The end of our member of `Cache-Status`.
fn push_ttl(out: &mut Vec<u8>, hit: &FastHit) {
    if hit.ttl < 0 {
        out.push(b'-');
    }
    push_number(out, hit.ttl.unsigned_abs());
    if let Some(why) = hit.stale {
        out.extend_from_slice(b"; detail=");
        out.extend_from_slice(why.as_str().as_bytes());
    }
}

/// The fields of a prepared head, for a version of HTTP that has no lines.
#[derive(Clone, Debug)]
pub struct Fields {
    status: StatusCode,
    /// With room for what a hit adds: what stands in it for `Age`, and mostly for `Cache-Status`, is replaced.
    map: HeaderMap,
    /// Of our member of `Cache-Status`, what is before the number of seconds.
    says: Bytes,
    /// There are members of other caches.
    others: bool,
}

impl Fields {
    /// `None`: there are fields that another version of HTTP does not have, or must have and doesn't get here.
    /// `lines`: those of the head; `tail`: see [`tail`].
    fn read(status: StatusCode, lines: &[u8], tail: &[u8]) -> Option<Self> {
        let mut map = HeaderMap::with_capacity(24);
        // The map's values are pieces of one copy.
        let text = Bytes::from([lines, tail].concat());
        let mut rest = Lines(&text);
        for (name, value) in rest.by_ref() {
            let value = HeaderValue::from_maybe_shared(text.slice_ref(value)).ok()?;
            map.append(HeaderName::from_bytes(name).ok()?, value);
        }
        let (_, says) = field(rest.0)?;
        let connection = [CONNECTION, TRANSFER_ENCODING, UPGRADE, TE, KEEP_ALIVE, PROXY_CONNECTION];
        if connection.iter().any(|name| map.contains_key(name)) || !map.contains_key(DATE) {
            return None;
        }
        let others = map.contains_key(CACHE_STATUS);
        let stands_in = HeaderValue::from_static("0");
        map.insert(AGE, stands_in.clone());
        if !others {
            map.insert(CACHE_STATUS, stands_in);
        }
        let says = text.slice_ref(says);
        Some(Self { status, map, says, others })
    }

    fn complete(mut self, hit: &FastHit) -> Option<Response<()>> {
        let mut says = Vec::with_capacity(self.says.len() + 56);
        says.extend_from_slice(&self.says);
        push_ttl(&mut says, hit);
        let says = HeaderValue::from_maybe_shared(Bytes::from(says)).ok()?;
        if self.others {
            self.map.append(CACHE_STATUS, says);
        } else {
            self.map.insert(CACHE_STATUS, says);
        }
        self.map.insert(AGE, hit.age.as_secs().into());
        let mut response = Response::new(());
        *response.status_mut() = self.status;
        *response.headers_mut() = self.map;
        Some(response)
    }
}

fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    Some((line.get(..colon)?, line.get(colon + 2..)?))
}

/// The head of a hit as [`complete`] would write it, for HTTP/2. `None`: it is one that HTTP/2 does not take as it is. Not called for
/// a shape without the [`HeadParts`] that it needs.
pub fn response_head(hit: &FastHit, shape: &Shape) -> Option<Response<()>> {
    let entry = hit.entry();
    let (head, tail) = (entry.head(), &hit.governed().tail);
    let parts = entry.head_parts().unwrap_or_default();
    let from = |at: u32| usize::try_from(at).ok().and_then(|at| head.get(at..));
    let read_whole = || {
        let line = head.iter().position(|byte| *byte == b'\n')?;
        Fields::read(entry.status(), head.get(line + 1..)?, tail)
    };
    let fields = match shape {
        Shape::Whole => match hit.kept_fields() {
            Some(kept) => kept.get_or_init(read_whole).clone(),
            None => read_whole(),
        },
        Shape::NotModified => Fields::read(StatusCode::NOT_MODIFIED, from(parts.after_content)?, tail),
        Shape::Part(part) => {
            let mut fields = Fields::read(StatusCode::PARTIAL_CONTENT, from(parts.after_length)?, tail)?;
            let length = part.end.saturating_sub(part.start);
            fields.map.insert(CONTENT_LENGTH, length.into());
            fields.map.insert(CONTENT_RANGE, range::content_range(part, entry.length));
            Some(fields)
        }
    };
    fields?.complete(hit)
}

/// In decimal.
fn push_number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let mut left = number;
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (left % 10) as u8;
        left /= 10;
        used += 1;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(digits.len() - used..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_decimal() {
        for number in [0, 1, 9, 10, 99, 100, 86_400, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut out = Vec::new();
            push_number(&mut out, number);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }
}
