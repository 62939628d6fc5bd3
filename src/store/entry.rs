//! One stored response: immutable data, except for three small atomics that remember what later uses found.

use super::forms::Forms;
use super::index::{Seat, TAG_OVERHEAD};
use crate::purge::{Born, Check, PurgeId, Selectors, Subject};
use crate::semantics::coding::Coding;
use crate::semantics::freshness::Freshness;
use crate::time::{Mono, Wall};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Fixed cost of an entry in the memory budget, bytes: the struct and the dozen allocations it points to, rounded up to
/// the allocator's sizes, and its share of the map (node, timers, frequencies) and of the index. Measured as resident
/// memory per object by `bench/purge.rs`, whose entries have no fields.
pub const ENTRY_OVERHEAD: usize = 1440;

/// What a header map takes for each field there is room for, beside the field's text: its bucket and index.
const FIELD_OVERHEAD: usize = 112;

/// Where a response belongs: `http` or `https`, `host[:port]`, and `path?query` as keyed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub scheme: &'static str,
    pub authority: Box<str>,
    pub url: Box<str>,
}

/// All of a response but its body: known when its head has arrived, and what a 304 renews.
#[derive(Clone, Debug)]
pub struct Meta {
    pub status: StatusCode,
    /// The fields a client gets, in stored form: without hop-by-hop fields, `Age`, tags and this cache's own
    /// control fields, with `Date`.
    pub headers: HeaderMap,
    pub freshness: Freshness,
    /// Fields that steer this cache and that no client sees (`Surrogate-Control` and the like, tags): a 304
    /// that omits them leaves them in force (RFC 9111 §3.2).
    pub control: HeaderMap,
    /// When the response (or the 304 that last confirmed it) arrived.
    pub arrived: Mono,
    /// When the request left that brought or last confirmed it, if this node sent it, else [`crate::purge::sync::NEVER`]. While a node is not known to have heard of every purge, it is what the age of an entry is counted from.
    pub began: Mono,
    pub received: Wall,
    /// Its `Date`, or when it was received: the most recent of several matching entries is used (RFC 9111 §4).
    pub date: Wall,
    /// How long it stays after expiry, for validation and stale-if-error.
    pub keep: Duration,
    /// The request fields that select it (`Vary`), and their normal form in the request that fetched it.
    pub nominated: Arc<[HeaderName]>,
    pub variant: Box<[u8]>,
    /// The purge log's position when its fill began.
    pub born: Born,
    pub selectors: Arc<Selectors>,
    /// What predicates (regex purges) are matched against besides the selectors.
    pub place: Arc<Place>,
    pub raw_tags: Box<str>,
    /// How long the origin took, for early refresh (XFetch).
    pub fetch_time: Duration,
    /// The rule that governed it, for logs and metrics.
    pub rule: Arc<str>,
    /// The origin it came from.
    pub origin: Arc<str>,
}

impl Meta {
    /// The stored fields with the control fields that clients don't see.
    pub fn full_headers(&self) -> HeaderMap {
        let mut headers = self.headers.clone();
        headers.extend(self.control.clone());
        headers
    }

    /// What predicates (regex purges) see.
    pub fn subject(&self) -> Subject<'_> {
        let content_type = self.headers.get(http::header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
        Subject {
            authority: &self.place.authority,
            url: &self.place.url,
            tags: Some(&self.raw_tags),
            content_type: Some(content_type.unwrap_or("")),
        }
    }

    /// `current_age` now (RFC 9111 §4.2.3).
    pub fn age(&self, now: Mono) -> Duration {
        self.freshness.age(now.since(self.arrived))
    }

    /// From when on, on the monotonic clock, nobody may have any use for it: expiry plus the longest of the
    /// stale windows and `keep`.
    pub fn useless_after(&self) -> Mono {
        let windows = self.freshness.stale.while_revalidate.max(self.freshness.stale.if_error).max(self.keep);
        let left = self.freshness.lifetime.saturating_sub(self.freshness.initial_age);
        self.arrived.after(left.saturating_add(windows))
    }
}

/// A stored response, ready to be used for requests it matches.
#[derive(Debug)]
pub struct Entry {
    pub meta: Meta,
    pub body: Arc<[Bytes]>,
    /// Length of the body in bytes.
    pub length: u64,
    pub trailers: Option<HeaderMap>,
    /// HTTP/1.1 status line and fields, ready to send but for the seconds that it stays fresh, with which it ends, `Age` and
    /// the last empty line; and the configuration it was made under.
    pub head: PreparedHead,
    pub check: Check,
    /// Its coded forms.
    pub forms: Forms,
    /// A background refresh is under way.
    refreshing: AtomicBool,
    /// Its place in the index of the memory tier.
    pub(super) seat: Seat,
}

/// See [`Entry::head`]. Empty when this response can't take the fast lane.
#[derive(Clone, Debug, Default)]
pub struct PreparedHead {
    pub bytes: Bytes,
    /// Where it can be cut for a 206 or a 304; `None` where it can't.
    pub parts: Option<HeadParts>,
    /// Configuration generation; any other makes the head unusable.
    pub generation: u64,
}

/// Places in [`PreparedHead::bytes`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeadParts {
    /// After the status line and `Content-Length`.
    pub after_length: u32,
    /// After the fields that describe the content: what follows is in a 304 too.
    pub after_content: u32,
}

impl Entry {
    pub fn new(
        mut meta: Meta,
        body: Arc<[Bytes]>,
        length: u64,
        trailers: Option<HeaderMap>,
        head: PreparedHead,
    ) -> Self {
        for fields in [&mut meta.headers, &mut meta.control] {
            *fields = compact(fields);
        }
        let trailers = trailers.as_ref().map(compact);
        Self {
            meta,
            body,
            length,
            trailers,
            head,
            check: Check::new(),
            forms: Forms::default(),
            refreshing: AtomicBool::new(false),
            seat: Seat::default(),
        }
    }

    /// Bytes this entry is charged with: body, fields, selectors, coded forms and [`ENTRY_OVERHEAD`].
    pub fn weight(&self) -> u64 {
        let fields = map_bytes(&self.meta.headers)
            + map_bytes(&self.meta.control)
            + self.trailers.as_ref().map_or(0, map_bytes);
        let meta = fields
            + self.head.bytes.len()
            + self.meta.variant.len()
            + self.meta.place.authority.len()
            + self.meta.place.url.len()
            + self.meta.raw_tags.len()
            + size_of_val(self.meta.selectors.all())
            + self.meta.selectors.explicit().len() * TAG_OVERHEAD
            + self.body.len() * size_of::<Bytes>()
            + ENTRY_OVERHEAD;
        self.length.saturating_add(meta as u64).saturating_add(self.forms.weight())
    }

    /// Makes it a coded form, to be kept beside the entry that it was made of.
    pub fn into_form(self, coding: Coding) -> Self {
        Self { forms: Forms::of(coding), ..self }
    }

    /// Whether this caller is the one that may refresh it; released by [`Entry::refresh_done`].
    pub fn try_refresh(&self) -> bool {
        !self.refreshing.swap(true, Ordering::AcqRel)
    }

    /// Whether somebody refreshes it.
    pub fn is_being_refreshed(&self) -> bool {
        self.refreshing.load(Ordering::Acquire)
    }

    pub fn refresh_done(&self) {
        self.refreshing.store(false, Ordering::Release);
    }
}

/// Orders births: a greater one is later.
pub fn birth_order(born: &Born) -> (PurgeId, u64) {
    (born.id, born.local)
}

/// Bytes that a header map holds, all in all.
fn map_bytes(headers: &HeaderMap) -> usize {
    field_bytes(headers) + headers.capacity() * FIELD_OVERHEAD
}

/// The same fields, their values in one allocation of their own. As they come from a connection they are pieces of its read
/// buffer, and would keep the whole of it in memory for as long as the entry is stored.
fn compact(fields: &HeaderMap) -> HeaderMap {
    let mut text = Vec::with_capacity(fields.values().map(HeaderValue::len).sum());
    fields.values().for_each(|value| text.extend_from_slice(value.as_bytes()));
    let text = Bytes::from(text);
    let mut out = HeaderMap::with_capacity(fields.keys_len());
    let mut at = 0;
    for (name, value) in fields {
        let piece = text.slice(at..at + value.len());
        at += value.len();
        // What was a value is one.
        let Ok(mut copy) = HeaderValue::from_maybe_shared(piece) else { continue };
        copy.set_sensitive(value.is_sensitive());
        out.append(name.clone(), copy);
    }
    out
}

/// Bytes of a header section as sent: names, values, `: ` and line ends.
pub fn field_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(n, v)| n.as_str().len() + v.len() + 4).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_fields_do_not_keep_the_buffer_they_came_in() {
        let buffer = Bytes::from([b"abc".as_slice(), &[b'x'; 8192]].concat());
        let mut fields = HeaderMap::new();
        fields.append("x-a", HeaderValue::from_maybe_shared(buffer.slice(0..1)).unwrap());
        fields.append("x-a", HeaderValue::from_maybe_shared(buffer.slice(1..3)).unwrap());
        fields.append("x-b", HeaderValue::from_static(""));
        let stored = compact(&fields);
        assert_eq!(stored, fields);
        drop(fields);
        assert!(buffer.is_unique());
        assert_eq!(stored.get_all("x-a").iter().count(), 2);
    }
}
