//! One stored response: immutable but for what later uses found (a purge's verdict, a refresh under way), its coded forms, and its place in the
//! index.
//!
//! A store is full of these, so they are small: texts are one run of bytes ([`super::text`]), of which the prepared head of the
//! fast lane is the beginning and the fields are lines, and spans of time a quarter as wide as elsewhere, and what many have in common is in one place. Whoever needs a header map, or a
//! [`Meta`], gets one made.

use super::forms::Forms;
use super::index::{Seat, TAG_OVERHEAD};
use super::key::{Key, Usual};
pub use super::meta::{Carrier, Described, Meta, Place, birth_order};
use super::text::{self, Lines, Part};
use super::wide;
use crate::body::Pieces;
use crate::purge::{Born, Check, SelectorHash, Selectors, Subject};
use crate::semantics::coding::Coding;
use crate::semantics::fields::Lookup;
use crate::semantics::fields::content_type;
use crate::semantics::freshness::{Freshness, Source, StaleUse};
use crate::time::{Mono, Wall};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::borrow::Cow;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a stored entry costs beside itself, bytes: its place in the map, with the counters of the sketch, and its places in the index. Measured; a test holds the sum of it all to what the allocator gives
/// (`bench/memory.rs`).
pub const RESOURCE_OVERHEAD: usize = 130;

/// A stored response, ready to be used for requests it matches.
#[derive(Debug)]
pub struct Entry {
    text: Box<[u8]>,
    pub body: Pieces,
    /// Length of the body in bytes.
    pub length: u64,
    common: Arc<Common>,
    lifetime: Span,
    initial_age: Span,
    fetch_time: Span,
    /// See [`Meta`].
    pub arrived: Mono,
    pub began: Mono,
    pub received: Wall,
    pub date: Wall,
    pub born: Born,
    pub check: Check,
    /// Its coded forms.
    pub forms: Forms,
    /// Its place in the index of the memory tier, and a mark of the map.
    pub(super) seat: Seat,
    /// Where the fields stand in `text`: at the end of the prepared head, or behind it ([`says::APART`]).
    fields: [u32; 2],
    /// Where the head can be cut; zeros where it can't.
    parts: [u16; 2],
    pub status: StatusCode,
    /// Bits of [`says`].
    says: u8,
    /// A background refresh is under way.
    refreshing: AtomicBool,
}

mod says {
    pub const MUST_VALIDATE: u8 = 1;
    pub const IMMUTABLE: u8 = 2;
    pub const NO_TRANSFORM: u8 = 4;
    pub const WHEN_DISCONNECTED: u8 = 8;
    pub const MAX_STALE: u8 = 16;
    pub const CODABLE: u8 = 32;
    pub const TRAILERS: u8 = 64;
    /// The fields stand behind the head.
    pub const APART: u8 = 128;
}

/// HTTP/1.1 status line and fields as the rules have them, without what depends on the time or is the same in all answers:
/// see `engine::fast::head`.
#[derive(Clone, Debug, Default)]
pub struct PreparedHead {
    /// Empty when this response can't take the fast lane.
    pub bytes: Vec<u8>,
    /// Where it can be cut for a 206 or a 304; `None` where it can't.
    pub parts: Option<HeadParts>,
    /// Where exactly the stored fields stand in it, if they do.
    pub fields: Option<Range<usize>>,
    /// Configuration generation; any other makes the head unusable.
    pub generation: u64,
}

/// Places in a prepared head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeadParts {
    /// After the status line and `Content-Length`.
    pub after_length: u32,
    /// After the fields that describe the content: what follows is in a 304 too.
    pub after_content: u32,
}

impl Entry {
    pub fn new(
        meta: Meta,
        body: impl Into<Pieces>,
        length: u64,
        trailers: Option<HeaderMap>,
        head: PreparedHead,
    ) -> Self {
        let PreparedHead { bytes: mut out, parts, fields, generation } = head;
        let head = out.len();
        // One with so large fields is answered on the ordinary way where it has to be cut.
        let parts = parts.and_then(|parts| {
            Some([u16::try_from(parts.after_length).ok()?, u16::try_from(parts.after_content).ok()?])
        });
        let within = fields.filter(|fields| fields.end == head);
        let apart = within.is_none();
        let fields = within.unwrap_or_else(|| {
            text::push_lines(&mut out, &meta.headers);
            head..out.len()
        });
        let trailers = trailers.filter(|trailers| !trailers.is_empty());
        text::push_places(&mut out, fields.clone());
        push_parts(&mut out, &meta, trailers.as_ref());
        let freshness = meta.freshness;
        let bit = |holds: bool, bit: u8| if holds { bit } else { 0 };
        // A header section of more than 4 GiB is refused long before.
        let narrow = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self {
            says: bit(freshness.must_validate, says::MUST_VALIDATE)
                | bit(freshness.immutable, says::IMMUTABLE)
                | bit(freshness.no_transform, says::NO_TRANSFORM)
                | bit(freshness.stale.when_disconnected, says::WHEN_DISCONNECTED)
                | bit(freshness.stale.max_stale, says::MAX_STALE)
                | bit(meta.is_codable(), says::CODABLE)
                | bit(trailers.is_some(), says::TRAILERS)
                | bit(apart, says::APART),
            // A copy: shrinking would leave it in the larger block.
            text: out.as_slice().into(),
            body: body.into(),
            length,
            lifetime: freshness.lifetime.into(),
            initial_age: Span::at_least(freshness.initial_age),
            common: shared(Common {
                while_revalidate: freshness.stale.while_revalidate,
                if_error: freshness.stale.if_error,
                keep: meta.keep,
                source: freshness.source,
                generation,
                nominated: meta.nominated,
                scheme: meta.place.scheme,
                authority: meta.place.authority.clone(),
                rule: meta.rule,
                origin: meta.origin,
            }),
            fetch_time: meta.fetch_time.into(),
            arrived: meta.arrived,
            began: meta.began,
            received: meta.received,
            date: meta.date,
            born: meta.born,
            check: Check::new(),
            forms: Forms::default(),
            seat: Seat::default(),
            parts: parts.unwrap_or_default(),
            fields: [narrow(fields.start), narrow(fields.end)],
            status: meta.status,
            refreshing: AtomicBool::new(false),
        }
    }

    /// HTTP/1.1 status line and fields, ready to send but for what `engine::fast::head` appends. Empty when this response can't take
    /// the fast lane.
    pub fn head(&self) -> &[u8] {
        let end = self.fields[usize::from(self.says & says::APART == 0)];
        self.cut(0, end)
    }

    /// Where the head can be cut for a 206 or a 304; `None` where it can't.
    pub fn head_parts(&self) -> Option<HeadParts> {
        let [after_length, after_content] = self.parts;
        let parts = HeadParts { after_length: after_length.into(), after_content: after_content.into() };
        (after_length != 0).then_some(parts)
    }

    /// The configuration that the head was made under.
    pub fn generation(&self) -> u64 {
        self.common.generation
    }

    pub fn fetch_time(&self) -> Duration {
        self.fetch_time.into()
    }

    pub fn scheme(&self) -> &'static str {
        self.common.scheme
    }

    /// `host[:port]`.
    pub fn authority(&self) -> &str {
        &self.common.authority
    }

    /// `path?query` as keyed.
    pub fn url(&self) -> &str {
        self.words(Part::Url)
    }

    pub fn raw_tags(&self) -> &str {
        self.words(Part::RawTags)
    }

    /// The rule that governed it.
    pub fn rule(&self) -> &str {
        &self.common.rule
    }

    /// The origin it came from.
    pub fn origin(&self) -> &str {
        &self.common.origin
    }

    /// The stored fields with the control fields that clients don't see.
    pub fn full_headers(&self) -> HeaderMap {
        let mut headers = self.headers();
        let control = self.part(Part::Control);
        text::read_into(&mut headers, control, self.lines().count(), self.part(Part::Sensitive));
        headers
    }

    pub fn trailers(&self) -> Option<HeaderMap> {
        if self.says & says::TRAILERS == 0 {
            return None;
        }
        let before = self.lines().count() + Lines(self.part(Part::Control)).count();
        let mut trailers = HeaderMap::new();
        text::read_into(&mut trailers, self.part(Part::Trailers), before, self.part(Part::Sensitive));
        Some(trailers)
    }

    /// All that it says, to be changed or sent to another tier.
    pub fn describe(&self) -> Meta {
        let mut control = HeaderMap::new();
        let before = self.lines().count();
        text::read_into(&mut control, self.part(Part::Control), before, self.part(Part::Sensitive));
        Meta {
            status: self.status,
            headers: self.headers(),
            freshness: self.freshness(),
            control,
            arrived: self.arrived,
            began: self.began,
            received: self.received,
            date: self.date,
            keep: self.keep(),
            nominated: self.common.nominated.clone(),
            variant: self.variant().into(),
            born: self.born,
            selectors: Arc::new(self.selectors()),
            place: Arc::new(Place {
                scheme: self.scheme(),
                authority: self.authority().into(),
                url: self.url().into(),
            }),
            raw_tags: self.raw_tags().into(),
            fetch_time: self.fetch_time(),
            rule: self.common.rule.clone(),
            origin: self.common.origin.clone(),
        }
    }

    pub fn selectors(&self) -> Selectors {
        match self.part(Part::Selectors).split_first() {
            Some((0, explicit)) => Selectors::of_place(self.scheme(), self.authority(), self.url(), explicit),
            Some((implicit, hashes)) => Selectors::from_bytes(hashes, usize::from(*implicit)),
            None => Selectors::from_bytes(&[], 0),
        }
    }

    fn usual(&self) -> Usual<'_> {
        let (scheme, authority) = (self.scheme(), self.authority());
        Usual { scheme, authority, url: self.url(), origin: self.origin() }
    }

    /// Whether this is the key that its place and its origin make, byte for byte. Nearly every entry is under that one, which is
    /// then kept nowhere else.
    pub(super) fn is_under(&self, key: &Key) -> bool {
        self.usual().is(key)
    }

    /// That key; its hash is given.
    pub(super) fn usual_key(&self, hash: u64) -> Key {
        Key::with_hash(hash, &self.usual().bytes())
    }

    /// The one of its URL.
    pub(super) fn url_selector(&self) -> Option<SelectorHash> {
        match self.part(Part::Selectors).split_first()? {
            (0, _) => Some(SelectorHash::url(&[self.scheme(), "://", self.authority(), self.url()].concat())),
            (_, hashes) => hashes.first_chunk::<8>().map(|hash| SelectorHash(u64::from_le_bytes(*hash))),
        }
    }

    /// How many of its selectors are of tags and groups.
    fn explicit(&self) -> usize {
        let (implicit, hashes) = self.part(Part::Selectors).split_first().unwrap_or((&0, &[]));
        (hashes.len() / 8).saturating_sub(usize::from(*implicit))
    }

    /// Bytes of memory this entry is charged with: all that it holds, as an allocator rounds it, its places in map and index, and
    /// its coded forms.
    pub fn weight(&self) -> u64 {
        let body: usize = self.body.iter().map(|piece| rounded(piece.len())).sum();
        let list = if self.body.len() > 1 { rounded(16 + self.body.len() * size_of::<Bytes>()) } else { 0 };
        let own = rounded(16 + size_of::<Self>()) + rounded(self.text.len()) + self.common.share();
        let all = own + body + list + self.explicit() * TAG_OVERHEAD + RESOURCE_OVERHEAD;
        (all as u64).saturating_add(self.forms.weight())
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

    fn cut(&self, from: u32, to: u32) -> &[u8] {
        self.text.get(wide(from)..wide(to)).unwrap_or_default()
    }

    fn lines(&self) -> Lines<'_> {
        Lines(self.cut(self.fields[0], self.fields[1]))
    }

    /// What follows the fields.
    fn after(&self) -> &[u8] {
        self.text.get(wide(self.fields[1])..).unwrap_or_default()
    }

    fn part(&self, part: Part) -> &[u8] {
        text::part(self.after(), part)
    }

    /// What was text when it was stored.
    fn words(&self, part: Part) -> &str {
        std::str::from_utf8(self.part(part)).unwrap_or_default()
    }
}

impl Described for Entry {
    fn status(&self) -> StatusCode {
        self.status
    }
    fn freshness(&self) -> Freshness {
        let says = |bit: u8| self.says & bit != 0;
        Freshness {
            lifetime: self.lifetime.into(),
            source: self.common.source,
            initial_age: self.initial_age.into(),
            stale: StaleUse {
                while_revalidate: self.common.while_revalidate,
                if_error: self.common.if_error,
                when_disconnected: says(says::WHEN_DISCONNECTED),
                max_stale: says(says::MAX_STALE),
            },
            must_validate: says(says::MUST_VALIDATE),
            immutable: says(says::IMMUTABLE),
            no_transform: says(says::NO_TRANSFORM),
        }
    }
    fn arrived(&self) -> Mono {
        self.arrived
    }
    fn received(&self) -> Wall {
        self.received
    }
    fn born(&self) -> Born {
        self.born
    }
    fn nominated(&self) -> &[HeaderName] {
        &self.common.nominated
    }
    fn variant(&self) -> &[u8] {
        self.part(Part::Variant)
    }
    fn selectors(&self) -> Cow<'_, Selectors> {
        Cow::Owned(Entry::selectors(self))
    }
    fn subject(&self) -> Subject<'_> {
        Subject {
            authority: self.authority(),
            url: self.url(),
            tags: Some(self.raw_tags()),
            content_type: Some(content_type(self).unwrap_or("")),
        }
    }
    fn headers(&self) -> HeaderMap {
        let lines = self.lines();
        let mut headers = HeaderMap::with_capacity((lines.count() + 4).min(4096));
        text::read_into(&mut headers, lines.0, 0, self.part(Part::Sensitive));
        headers
    }
    fn is_codable(&self) -> bool {
        self.says & says::CODABLE != 0
    }
    fn keep(&self) -> Duration {
        self.common.keep
    }
}

/// Of the fields that clients get.
impl Lookup for Entry {
    fn values<'a>(&'a self, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        text::find(self.lines().0, self.after(), name).values_of_first()
    }
}

fn push_parts(out: &mut Vec<u8>, meta: &Meta, trailers: Option<&HeaderMap>) {
    let lines = |fields: &HeaderMap| {
        let mut lines = Vec::new();
        text::push_lines(&mut lines, fields);
        lines
    };
    let selectors = selectors(meta);
    let all = meta.headers.values().chain(meta.control.values());
    let sensitive: Vec<u8> = all
        .chain(trailers.into_iter().flat_map(HeaderMap::values))
        .enumerate()
        .filter(|(_, value)| value.is_sensitive())
        .flat_map(|(number, _)| u16::try_from(number).unwrap_or(u16::MAX).to_le_bytes())
        .collect();
    let parts: [&[u8]; 7] = [
        meta.place.url.as_bytes(),
        &selectors,
        &meta.variant,
        &lines(&meta.control),
        meta.raw_tags.as_bytes(),
        &trailers.map(lines).unwrap_or_default(),
        &sensitive,
    ];
    out.reserve_exact(text::PLACES + parts.iter().map(|part| part.len() + 5).sum::<usize>());
    parts.iter().for_each(|part| text::push_part(out, part));
}

/// [`Part::Selectors`]. Those of the place are made when they are asked for ([`Selectors::of_place`]): they would be the longest text that
/// most entries have beside their fields.
fn selectors(meta: &Meta) -> Vec<u8> {
    let mut explicit = Vec::new();
    meta.selectors.explicit().iter().for_each(|hash| explicit.extend_from_slice(&hash.0.to_le_bytes()));
    let Place { scheme, authority, url } = &*meta.place;
    if Selectors::of_place(scheme, authority, url, &explicit) == *meta.selectors {
        return [&[0], &explicit[..]].concat();
    }
    // At most 68: `purge::selectors`.
    let mut all = vec![u8::try_from(meta.selectors.implicit_len()).unwrap_or(u8::MAX)];
    meta.selectors.to_bytes(&mut all);
    all
}

/// A span of time in a quarter of the room: to the microsecond up to 17 minutes, to the millisecond up to 12 days, to the second up to
/// 68 years. Ages, clocks and directives have no more digits; what has is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span(u32);

impl Span {
    const SECONDS: u32 = 1 << 31;
    const MILLIS: u32 = 1 << 30;

    /// Not less, for what counts against an entry.
    fn at_least(span: Duration) -> Self {
        let cut = Self::from(span);
        let finest = match cut.0 {
            n if n & Self::SECONDS != 0 => Duration::from_secs(1),
            n if n & Self::MILLIS != 0 => Duration::from_millis(1),
            _ => Duration::from_micros(1),
        };
        if Duration::from(cut) < span { span.saturating_add(finest).into() } else { cut }
    }
}

impl From<Duration> for Span {
    fn from(span: Duration) -> Self {
        let below = |number: u128, mark: u32| u32::try_from(number).ok().filter(|n| *n < mark);
        if let Some(micros) = below(span.as_micros(), Self::MILLIS) {
            Self(micros)
        } else if let Some(millis) = below(span.as_millis(), Self::MILLIS) {
            Self(millis | Self::MILLIS)
        } else {
            // One less: 2^31 seconds are the longest that HTTP has.
            let secs = span.as_secs() - 1;
            Self(
                u32::try_from(secs).map_or(Self::SECONDS - 1, |secs| secs.min(Self::SECONDS - 1))
                    | Self::SECONDS,
            )
        }
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        let number = span.0 & (Span::MILLIS - 1);
        if span.0 & Span::SECONDS != 0 {
            Self::from_secs(u64::from(span.0 & (Span::SECONDS - 1)) + 1)
        } else if span.0 & Span::MILLIS != 0 {
            Self::from_millis(number.into())
        } else {
            Self::from_micros(number.into())
        }
    }
}

/// What is the same in thousands of entries: where they come from, and what their rule and their directives say.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Common {
    while_revalidate: Duration,
    if_error: Duration,
    keep: Duration,
    source: Source,
    /// Configuration that the head was made under.
    generation: u64,
    nominated: Arc<[HeaderName]>,
    scheme: &'static str,
    authority: Box<str>,
    rule: Arc<str>,
    origin: Arc<str>,
}

impl Common {
    /// Bytes that an entry is charged with for it: it is one of many, or has it for itself.
    fn share(self: &Arc<Self>) -> usize {
        // The entry's own and that of the table.
        if Arc::strong_count(self) > 2 {
            return 0;
        }
        rounded(16 + size_of::<Self>()) + rounded(self.authority.len())
    }
}

/// The same from where others have it too.
fn shared(common: Common) -> Arc<Common> {
    /// Those that are remembered; another takes the place of the one before it.
    const KNOWN: usize = 4096;
    static SEEN: [Mutex<Option<Arc<Common>>>; KNOWN] = [const { Mutex::new(None) }; KNOWN];
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    common.hash(&mut hasher);
    let slot = usize::try_from(hasher.finish() % KNOWN as u64).ok().and_then(|at| SEEN.get(at));
    // Where another thread is at it, the entry has its own.
    let Some(mut slot) = slot.and_then(|slot| slot.try_lock().ok()) else { return Arc::new(common) };
    match &*slot {
        Some(known) if **known == common => known.clone(),
        _ => {
            let common = Arc::new(common);
            *slot = Some(common.clone());
            common
        }
    }
}

/// Bytes that an allocation of this size takes: allocators have four sizes between a power of two and the next, and sixteen bytes
/// at the least (mimalloc, and those that are like it).
pub fn rounded(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        1..=128 => bytes.next_multiple_of(16),
        _ => bytes
            .next_multiple_of(((bytes - 1).ilog2() as usize).checked_sub(2).map_or(1, |shift| 1 << shift)),
    }
}

/// Bytes of a header section as sent: names, values, `: ` and line ends.
pub fn field_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(n, v): (&HeaderName, &HeaderValue)| n.as_str().len() + v.len() + 4).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With the two counts in front of it, what the allocator has a size for: the next has 32 bytes more.
    #[test]
    fn an_entry_is_no_larger_than_it_was() {
        assert!(size_of::<Entry>() <= 176, "{}", size_of::<Entry>());
    }

    #[test]
    fn spans_are_as_long_as_they_can_be_told() {
        let back = |span: Duration| Duration::from(Span::from(span));
        for micros in [0, 1, 200_123, (1 << 30) - 1] {
            assert_eq!(back(Duration::from_micros(micros)), Duration::from_micros(micros));
        }
        for millis in [1 << 21, (1 << 30) - 1] {
            assert_eq!(back(Duration::from_millis(millis)), Duration::from_millis(millis));
        }
        for secs in [1 << 21, 31_536_000, 1 << 31] {
            assert_eq!(back(Duration::from_secs(secs)), Duration::from_secs(secs));
        }
        assert_eq!(back(Duration::MAX), Duration::from_secs(1 << 31));
        let odd = Duration::new(1 << 21, 5);
        assert_eq!(back(odd), Duration::from_secs(1 << 21));
        assert_eq!(Duration::from(Span::at_least(odd)), Duration::from_secs((1 << 21) + 1));
        assert_eq!(Duration::from(Span::at_least(Duration::from_nanos(1))), Duration::from_micros(1));
    }
}
