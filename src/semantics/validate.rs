//! Validation (RFC 9111 §4.3): conditional requests, which stored responses a 304 selects, and how stored
//! header fields are updated (§3.2) by a 304 or a HEAD.
//!
//! The order of the candidates carries meaning. **The first is the response that would be used**: `Vary` lets this
//! request have it, and where several are like that it is the most recent (§4). The others are further variants,
//! which the origin may name by their entity tag (§4.1, last paragraph; §4.3.1: "a cache is allowed to validate a
//! response that it cannot choose"). When `Vary` selects none of what is stored, there is nothing to validate: fetch.
//!
//! Three things make that safe.
//! * A further variant is named only if it has an entity tag and the content coding of the first. Half the web's
//!   applications compress behind the tag's back: their gzip and plain bodies share one tag, and a 304 would hand
//!   gzip to a client that can't read it.
//! * A date names only the first: variants of one resource often share their `Last-Modified`.
//! * What a 304 confirms is read as §4.3.4 says, with this reading of its third case (listed among the departures):
//!   a 304 without any validator, in answer to a request that named exactly one stored response, means that one. The
//!   letter asks that the stored response lack a validator too; but RFC 9110 §15.4.5 does not ask an origin to repeat
//!   `Last-Modified` in a 304, so the letter would make the answer of a conforming origin useless.
//!
//! `Last-Modified` is a strong validator only where the stored response's own `Date` is far enough from it (RFC 9110
//! §8.8.2.2); a 304's date that no candidate holds strongly is a weak one, because nothing lets us deduce otherwise.

use super::date;
use super::etag::Tag;
use super::fields::Lookup;
use super::hop;
use crate::time::Wall;
use http::header::{
    AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, IF_MATCH, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::time::Duration;

/// At most this many stored responses are named in one conditional request.
pub const MAX_CANDIDATES: usize = 64;

/// `If-None-Match` grows no longer than this, in bytes: origins refuse long lines, and a refusal helps nobody.
const MAX_LIST: usize = 4096;

/// How far `Date` must be from `Last-Modified` for the latter to be strong: RFC 9110 §8.8.2.2 asks for a second, and
/// for reason to believe in one clock or for a difference that makes two clocks harmless. We know of no one clock
/// (files come from other hosts than the server), so it is the minute that RFC 7232 §2.2.2 gave.
const STRONG_AFTER: Duration = Duration::from_secs(60);

/// What validation needs to know of a stored response.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    pub headers: &'a HeaderMap,
    /// Its `Date`, or when it was received: the most recent wins (§4.3.4).
    pub date: Wall,
}

/// Has something to validate with: `ETag` or a valid `Last-Modified`.
pub fn has_validator(headers: &impl Lookup) -> bool {
    Tag::of(headers).is_some() || only_date(headers, &LAST_MODIFIED).is_some()
}

/// The date in a field that may occur once, if it is valid.
pub(super) fn only_date(headers: &impl Lookup, name: &HeaderName) -> Option<Wall> {
    let mut lines = headers.values(name);
    match (lines.next(), lines.next()) {
        (Some(only), None) => date::parse(only),
        _ => None,
    }
}

/// `Last-Modified`, where the response's own `Date` makes it a strong validator (RFC 9110 §8.8.2.2).
pub(super) fn strong_last_modified(headers: &impl Lookup) -> Option<Wall> {
    let modified = only_date(headers, &LAST_MODIFIED)?;
    let date = headers.first(&DATE).and_then(date::parse)?;
    (date.since(modified) >= STRONG_AFTER).then_some(modified)
}

/// The candidates that a request names, with their places: the first, and what may stand in for it.
fn nameable<'c, 'a>(candidates: &'c [Stored<'a>]) -> impl Iterator<Item = (usize, &'c Stored<'a>)> {
    let coding = candidates.first().map(|first| lines(first.headers, &CONTENT_ENCODING));
    candidates
        .iter()
        .enumerate()
        .filter(move |(place, other)| {
            *place == 0
                || (Tag::of(other.headers).is_some()
                    && coding.as_ref() == Some(&lines(other.headers, &CONTENT_ENCODING)))
        })
        .take(MAX_CANDIDATES)
}

fn lines<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a HeaderValue> {
    headers.get_all(name).iter().collect()
}

/// Turns `request` into a conditional one (§4.3.1): its own `If-*` and `Range` go; `If-None-Match` gets the entity
/// tags of `candidates`, byte for byte as stored, each once; `If-Modified-Since` the first one's `Last-Modified` (the
/// response that would be used; the others are variants whose tags may match), if it is a valid date.
///
/// At most [`MAX_CANDIDATES`] tags in 4 KiB; the first one's comes first. Without candidates, or if the first has no
/// validator and the others none that may stand in, an unconditional request results.
pub fn make_conditional(request: &mut HeaderMap, candidates: &[Stored<'_>]) {
    for name in [IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_MATCH, IF_UNMODIFIED_SINCE, IF_RANGE, RANGE] {
        request.remove(name);
    }
    let mut tags: Vec<&[u8]> = Vec::new();
    let mut length = 0;
    for (_, candidate) in nameable(candidates) {
        // `Tag::of` has seen that the value may go into a list, and that there is only one.
        let Some(value) = Tag::of(candidate.headers).and(candidate.headers.get(ETAG)) else { continue };
        let tag = value.as_bytes().trim_ascii();
        if tags.contains(&tag) || length + tag.len() + 2 > MAX_LIST {
            continue;
        }
        length += tag.len() + 2;
        tags.push(tag);
    }
    if !tags.is_empty()
        && let Ok(list) = HeaderValue::from_bytes(&tags.join(&b", "[..]))
    {
        request.insert(IF_NONE_MATCH, list);
    }
    if let Some(first) = candidates.first()
        && only_date(first.headers, &LAST_MODIFIED).is_some()
        && let Some(date) = first.headers.get(LAST_MODIFIED)
    {
        request.insert(IF_MODIFIED_SINCE, date.clone());
    }
}

/// The indexes of the candidates that a 304 confirms (§4.3.4), best first: the first candidate, then by date, latest
/// first. Empty: it confirms nothing stored, and the request must be sent again without conditions (or the client's
/// own). `candidates` are those of [`make_conditional`], in the same order.
pub fn confirmed_by(not_modified: &HeaderMap, candidates: &[Stored<'_>]) -> Vec<usize> {
    let tag = Tag::of(not_modified);
    let modified = only_date(not_modified, &LAST_MODIFIED);
    let named: Vec<(usize, &Stored<'_>)> = nameable(candidates).collect();

    // Case 1: strong validators. Everything stored with the same one; MUST NOT touch anything else.
    let mut same: Vec<usize> = named
        .iter()
        .filter(|(place, stored)| {
            let own = Tag::of(stored.headers);
            let by_tag = matches!((&tag, &own), (Some(new), Some(own)) if new.strong_eq(own));
            by_tag
                || (*place == 0
                    && !contradict(tag.as_ref(), own.as_ref())
                    && modified.is_some()
                    && modified == strong_last_modified(stored.headers))
        })
        .map(|(place, _)| *place)
        .collect();
    if !same.is_empty() {
        same.sort_by_key(|place| {
            (*place != 0, std::cmp::Reverse(candidates.get(*place).map(|stored| stored.date)), *place)
        });
        return same;
    }
    if tag.is_some_and(|tag| tag.is_strong()) {
        return Vec::new();
    }

    // Case 2: weak ones. The most recent with the same, and before it the one that would be used.
    let best = named
        .iter()
        .filter(|(place, stored)| {
            let own = Tag::of(stored.headers);
            let by_tag = matches!((&tag, &own), (Some(new), Some(own)) if new.weak_eq(own));
            let by_date = *place == 0
                && modified.is_some()
                && modified == only_date(stored.headers, &LAST_MODIFIED)
                && !contradict(tag.as_ref(), own.as_ref());
            by_tag || by_date
        })
        .min_by_key(|(place, stored)| (*place != 0, std::cmp::Reverse(stored.date), *place));
    if let Some((place, _)) = best {
        return vec![*place];
    }

    // Case 3: none at all, and one stored response that can be meant (see the head of this file).
    let bare = !not_modified.contains_key(ETAG) && !not_modified.contains_key(LAST_MODIFIED);
    match named.as_slice() {
        [(place, _)] if bare => vec![*place],
        _ => Vec::new(),
    }
}

/// Both have a tag, and they differ even weakly: then no date makes them the same (RFC 9110 §13.2.2 puts tags first).
fn contradict(new: Option<&Tag<'_>>, own: Option<&Tag<'_>>) -> bool {
    matches!((new, own), (Some(new), Some(own)) if !new.weak_eq(own))
}

/// The content as such, which an update does not bring: its length (§3.2), its coding and its place in a whole
/// (§3.2, "the stored response depends upon", "automatically processed"), and the digests of a message's content
/// (RFC 9530 §2, RFC 1864), which in a 304 or an answer to HEAD would be those of no content at all.
const OF_THE_CONTENT: [HeaderName; 5] = [
    CONTENT_LENGTH,
    CONTENT_ENCODING,
    CONTENT_RANGE,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
];

/// The stored fields brought up to date with those of a 304 or HEAD response (§3.2): fields of the new response
/// replace all of the same name, and everything else stays, except:
/// * what is never stored (§3.1): hop-by-hop fields, those that the new response's `Connection` names, those of a
///   proxy. What a qualified `private` or `no-cache` names is for the caller to omit, as when first storing;
/// * `Content-Length`, and what else belongs to the stored body: `Content-Encoding`, `Content-Range`,
///   `Content-Digest`, `Content-MD5`. There is no `Content-*` rule: `Content-Type` and the others do change;
/// * `ETag`, where the stored response has one: it names the stored bytes. In a 304 that confirms them it can differ
///   only in its weakness, as from a proxy that compresses (and weakens the tag of) full responses only; taking
///   its strong tag over would give two codings one strong tag;
/// * `Age` of the stored response, which goes when the new one has none: the age is that of the response that
///   validated (§4.2.3), and on reuse it is written anew (§4).
pub fn updated(stored: &HeaderMap, new: &HeaderMap) -> HeaderMap {
    let named = hop::named(new);
    let excepted = |name: &HeaderName| {
        hop::never_stored(name)
            || named.contains(name)
            || OF_THE_CONTENT.contains(name)
            || (*name == ETAG && stored.contains_key(ETAG))
    };
    let mut result = HeaderMap::with_capacity(stored.keys_len() + new.keys_len());
    for (name, value) in stored {
        let replaced = *name == AGE || (new.contains_key(name) && !excepted(name));
        if !replaced {
            result.append(name.clone(), value.clone());
        }
    }
    for (name, value) in new {
        if !excepted(name) {
            result.append(name.clone(), value.clone());
        }
    }
    result
}

/// Does a 200 answer to a forwarded HEAD speak of the same representation (§4.3.5)? `length` is the stored
/// body's length in bytes. Every validator that the answer has must be, as a value, that of the stored response, and
/// its `Content-Length`, if any, that length. If not, the stored response counts as stale.
pub fn head_confirms(stored: &HeaderMap, length: u64, head: &HeaderMap) -> bool {
    let same_tag = !head.contains_key(ETAG)
        || matches!((Tag::of(head), Tag::of(stored)), (Some(new), Some(own)) if new == own);
    let same_date = !head.contains_key(LAST_MODIFIED)
        || lines(head, &LAST_MODIFIED) == lines(stored, &LAST_MODIFIED)
        || matches!(
            (only_date(head, &LAST_MODIFIED), only_date(stored, &LAST_MODIFIED)),
            (Some(new), Some(own)) if new == own
        );
    let same_length =
        head.get_all(CONTENT_LENGTH).iter().all(|value| digits(value.as_bytes()) == Some(length));
    same_tag && same_date && same_length
}

fn digits(value: &[u8]) -> Option<u64> {
    let all_digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    if all_digits { std::str::from_utf8(value).ok()?.parse().ok() } else { None }
}

#[cfg(test)]
mod tests;
