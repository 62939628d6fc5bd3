//! The metadata of a record: what [`Meta`] says, in a form of its own that changes only with the format's version.
//!
//! The house's types don't derive this form: a field that is added to one of them would silently change what the fleet
//! reads. Strings and fields are borrowed from the bytes they came in; lists have limits that hold before anything is
//! allocated.

use super::header::MAX_META;
use super::{BadValue, CannotEncode, StoreClock};
use crate::purge::{Born, PurgeId, SelectorHash, Selectors};
use crate::semantics::freshness::{Freshness, Source, StaleUse};
use crate::semantics::vary::MAX_NAMES;
use crate::store::Key;
use crate::store::entry::{Meta, Place};
use crate::time::Wall;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// Most fields of one header section.
pub const MAX_FIELDS: usize = 4000;

/// Bytes as they are; serde's own form of a slice goes through it byte by byte.
#[derive(Deserialize)]
struct Raw<'a>(#[serde(borrow)] &'a [u8]);

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(self.0)
    }
}

/// A list that is refused, unread, when it says that it is longer than `N`.
#[derive(Serialize)]
struct AtMost<T, const N: usize>(Vec<T>);

impl<'de, T: Deserialize<'de>, const N: usize> Deserialize<'de> for AtMost<T, N> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct List<T, const N: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for List<T, N> {
            type Value = Vec<T>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "a list of at most {N}")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Vec<T>, A::Error> {
                let length =
                    from.size_hint().filter(|n| *n <= N).ok_or_else(|| A::Error::custom("too long"))?;
                let mut list = Vec::with_capacity(length);
                while let Some(item) = from.next_element()? {
                    list.push(item);
                }
                Ok(list)
            }
        }
        from.deserialize_seq(List::<T, N>(PhantomData)).map(Self)
    }
}

#[derive(Serialize, Deserialize)]
struct Field<'a> {
    #[serde(borrow)]
    name: Raw<'a>,
    #[serde(borrow)]
    value: Raw<'a>,
    /// Not to be shown in logs.
    sensitive: bool,
}

impl<'a> Field<'a> {
    fn of((name, value): (&'a HeaderName, &'a HeaderValue)) -> Self {
        Self {
            name: Raw(name.as_str().as_bytes()),
            value: Raw(value.as_bytes()),
            sensitive: value.is_sensitive(),
        }
    }
}

type Fields<'a> = AtMost<Field<'a>, MAX_FIELDS>;
type FieldNames<'a> = AtMost<Raw<'a>, MAX_NAMES>;

#[derive(Serialize, Deserialize)]
struct WireFreshness {
    lifetime: Duration,
    source: u8,
    initial_age: Duration,
    while_revalidate: Duration,
    if_error: Duration,
    when_disconnected: bool,
    max_stale: bool,
    must_validate: bool,
    immutable: bool,
    no_transform: bool,
}

/// All metadata of a response. The order of the fields is the format.
#[derive(Serialize, Deserialize)]
struct WireMeta<'a> {
    /// The whole cache key: a digest finds, the bytes decide.
    #[serde(borrow)]
    key: Raw<'a>,
    status: u16,
    /// In the store's clock, Unix milliseconds.
    arrived: u64,
    received: u64,
    date: u64,
    keep: Duration,
    fetch_time: Duration,
    freshness: WireFreshness,
    #[serde(borrow)]
    headers: Fields<'a>,
    #[serde(borrow)]
    control: Fields<'a>,
    #[serde(borrow)]
    trailers: Option<Fields<'a>>,
    #[serde(borrow)]
    nominated: FieldNames<'a>,
    #[serde(borrow)]
    variant: Raw<'a>,
    /// Eight bytes each, big end first.
    #[serde(borrow)]
    selectors: Raw<'a>,
    implicit: u32,
    scheme: u8,
    authority: &'a str,
    url: &'a str,
    raw_tags: &'a str,
    rule: &'a str,
    origin: &'a str,
}

/// Appends the metadata to `out`.
pub(super) fn encode(
    key: &Key,
    meta: &Meta,
    trailers: Option<&HeaderMap>,
    clock: StoreClock,
    out: Vec<u8>,
) -> Result<Vec<u8>, CannotEncode> {
    let before = out.len();
    let selectors: Vec<u8> = meta.selectors.all().iter().flat_map(|hash| hash.0.to_be_bytes()).collect();
    let wire = WireMeta {
        key: Raw(key.as_bytes()),
        status: meta.status.as_u16(),
        arrived: clock.at(meta.arrived),
        received: meta.received.0,
        date: meta.date.0,
        keep: meta.keep,
        fetch_time: meta.fetch_time,
        freshness: WireFreshness::of(&meta.freshness),
        headers: fields(&meta.headers)?,
        control: fields(&meta.control)?,
        trailers: trailers.map(fields).transpose()?,
        nominated: names(&meta.nominated)?,
        variant: Raw(&meta.variant),
        selectors: Raw(&selectors),
        implicit: u32::try_from(meta.selectors.implicit_len()).map_err(|_| CannotEncode::Metadata)?,
        scheme: scheme_code(meta.place.scheme)?,
        authority: &meta.place.authority,
        url: &meta.place.url,
        raw_tags: &meta.raw_tags,
        rule: &meta.rule,
        origin: &meta.origin,
    };
    let out = postcard::to_extend(&wire, out).map_err(|_| CannotEncode::Metadata)?;
    if out.len().saturating_sub(before) > MAX_META { Err(CannotEncode::Metadata) } else { Ok(out) }
}

/// Reads what [`encode`] wrote for this key; field values stay pieces of `bytes`.
pub(super) fn decode(
    key: &Key,
    born: PurgeId,
    bytes: &Bytes,
    now: StoreClock,
) -> Result<(Meta, Option<HeaderMap>), BadValue> {
    let wire: WireMeta<'_> = read(bytes)?;
    if wire.key.0 != key.as_bytes() {
        return Err(BadValue::Key);
    }
    let status = StatusCode::from_u16(wire.status).map_err(|_| BadValue::Malformed)?;
    if status.is_informational() {
        return Err(BadValue::Malformed);
    }
    let (arrived, earlier) = now.back(wire.arrived);
    let mut freshness = wire.freshness.freshness()?;
    freshness.initial_age = freshness.initial_age.saturating_add(earlier);
    let meta = Meta {
        status,
        headers: wire.headers.map(bytes)?,
        freshness,
        control: wire.control.map(bytes)?,
        arrived,
        began: crate::purge::sync::NEVER,
        received: Wall(wire.received),
        date: Wall(wire.date),
        keep: wire.keep,
        nominated: wire.nominated.names()?,
        variant: wire.variant.0.into(),
        born: Born::shared(born),
        selectors: Arc::new(selectors(wire.selectors.0, wire.implicit)?),
        place: Arc::new(Place {
            scheme: scheme_of(wire.scheme)?,
            authority: wire.authority.into(),
            url: wire.url.into(),
        }),
        raw_tags: wire.raw_tags.into(),
        fetch_time: wire.fetch_time,
        rule: wire.rule.into(),
        origin: wire.origin.into(),
    };
    let trailers = wire.trailers.map(|fields| fields.map(bytes)).transpose()?;
    Ok((meta, trailers))
}

/// What selects the variants of a key.
#[derive(Serialize, Deserialize)]
struct WireVary<'a> {
    #[serde(borrow)]
    key: Raw<'a>,
    #[serde(borrow)]
    nominated: FieldNames<'a>,
}

pub(super) fn encode_vary(
    key: &Key,
    nominated: &[HeaderName],
    out: Vec<u8>,
) -> Result<Vec<u8>, CannotEncode> {
    let wire = WireVary { key: Raw(key.as_bytes()), nominated: names(nominated)? };
    postcard::to_extend(&wire, out).map_err(|_| CannotEncode::Metadata)
}

pub(super) fn decode_vary(key: &Key, bytes: &[u8]) -> Result<Arc<[HeaderName]>, BadValue> {
    let wire: WireVary<'_> = read(bytes)?;
    if wire.key.0 == key.as_bytes() { wire.nominated.names() } else { Err(BadValue::Key) }
}

/// All of `bytes`, and no byte less.
fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, BadValue> {
    match postcard::take_from_bytes(bytes) {
        Ok((wire, [])) => Ok(wire),
        _ => Err(BadValue::Malformed),
    }
}

fn fields(headers: &HeaderMap) -> Result<Fields<'_>, CannotEncode> {
    if headers.len() > MAX_FIELDS {
        return Err(CannotEncode::Metadata);
    }
    Ok(AtMost(headers.iter().map(Field::of).collect()))
}

fn names(names: &[HeaderName]) -> Result<FieldNames<'_>, CannotEncode> {
    if names.len() > MAX_NAMES {
        return Err(CannotEncode::Metadata);
    }
    Ok(AtMost(names.iter().map(|name| Raw(name.as_str().as_bytes())).collect()))
}

impl Fields<'_> {
    /// Repeated fields keep their order. `from` is what the fields were read from.
    fn map(self, from: &Bytes) -> Result<HeaderMap, BadValue> {
        let mut headers = HeaderMap::with_capacity(self.0.len());
        for field in self.0 {
            let name = HeaderName::from_bytes(field.name.0).map_err(|_| BadValue::Malformed)?;
            let value = from.slice_ref(field.value.0);
            let mut value = HeaderValue::from_maybe_shared(value).map_err(|_| BadValue::Malformed)?;
            value.set_sensitive(field.sensitive);
            headers.try_append(name, value).map_err(|_| BadValue::Malformed)?;
        }
        Ok(headers)
    }
}

impl FieldNames<'_> {
    fn names(self) -> Result<Arc<[HeaderName]>, BadValue> {
        let name = |raw: Raw<'_>| HeaderName::from_bytes(raw.0).map_err(|_| BadValue::Malformed);
        self.0.into_iter().map(name).collect()
    }
}

fn selectors(bytes: &[u8], implicit: u32) -> Result<Selectors, BadValue> {
    let (hashes, rest) = bytes.as_chunks::<8>();
    let hashes = hashes.iter().map(|hash| SelectorHash(u64::from_be_bytes(*hash))).collect();
    let selectors = Selectors::from_stored(hashes, implicit as usize).ok_or(BadValue::Malformed)?;
    if rest.is_empty() { Ok(selectors) } else { Err(BadValue::Malformed) }
}

/// An entry that says no scheme is one of a test.
fn scheme_code(scheme: &str) -> Result<u8, CannotEncode> {
    match scheme {
        "" => Ok(0),
        "http" => Ok(1),
        "https" => Ok(2),
        _ => Err(CannotEncode::Metadata),
    }
}

fn scheme_of(code: u8) -> Result<&'static str, BadValue> {
    match code {
        0 => Ok(""),
        1 => Ok("http"),
        2 => Ok("https"),
        _ => Err(BadValue::Malformed),
    }
}

impl WireFreshness {
    fn of(freshness: &Freshness) -> Self {
        let source = match freshness.source {
            Source::None => 0,
            Source::Rule => 1,
            Source::SMaxage => 2,
            Source::MaxAge => 3,
            Source::Expires => 4,
            Source::Negative => 5,
            Source::Default => 6,
            Source::Heuristic => 7,
        };
        Self {
            lifetime: freshness.lifetime,
            source,
            initial_age: freshness.initial_age,
            while_revalidate: freshness.stale.while_revalidate,
            if_error: freshness.stale.if_error,
            when_disconnected: freshness.stale.when_disconnected,
            max_stale: freshness.stale.max_stale,
            must_validate: freshness.must_validate,
            immutable: freshness.immutable,
            no_transform: freshness.no_transform,
        }
    }

    fn freshness(&self) -> Result<Freshness, BadValue> {
        let source = match self.source {
            0 => Source::None,
            1 => Source::Rule,
            2 => Source::SMaxage,
            3 => Source::MaxAge,
            4 => Source::Expires,
            5 => Source::Negative,
            6 => Source::Default,
            7 => Source::Heuristic,
            _ => return Err(BadValue::Malformed),
        };
        Ok(Freshness {
            lifetime: self.lifetime,
            source,
            initial_age: self.initial_age,
            stale: StaleUse {
                while_revalidate: self.while_revalidate,
                if_error: self.if_error,
                when_disconnected: self.when_disconnected,
                max_stale: self.max_stale,
            },
            must_validate: self.must_validate,
            immutable: self.immutable,
            no_transform: self.no_transform,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_says_it_is_too_long_is_not_begun() {
        let length = |bytes: &[u8]| read::<AtMost<Raw<'_>, 4>>(bytes).map(|list| list.0.len());
        assert_eq!(length(&[4, 0, 0, 0, 0]), Ok(4));
        let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
        for bad in [&[5, 0, 0, 0, 0, 0][..], &huge, &[4, 0], &[]] {
            assert_eq!(length(bad), Err(BadValue::Malformed));
        }
        assert_eq!(length(&[1, 0, 0]), Err(BadValue::Malformed), "a byte too many");
    }

    #[test]
    fn every_source_comes_back_and_no_other_does() {
        let wire = |source| WireFreshness {
            lifetime: Duration::ZERO,
            source,
            initial_age: Duration::ZERO,
            while_revalidate: Duration::ZERO,
            if_error: Duration::ZERO,
            when_disconnected: false,
            max_stale: false,
            must_validate: false,
            immutable: false,
            no_transform: false,
        };
        for code in 0..=u8::MAX {
            match wire(code).freshness() {
                Ok(freshness) => assert_eq!(WireFreshness::of(&freshness).source, code),
                Err(why) => assert!(code > 7 && why == BadValue::Malformed),
            }
        }
    }

    #[test]
    fn http_and_https_are_all_there_is() {
        for scheme in ["", "http", "https"] {
            assert_eq!(scheme_of(scheme_code(scheme).unwrap()), Ok(scheme));
        }
        assert_eq!(scheme_code("ftp"), Err(CannotEncode::Metadata));
        assert_eq!(scheme_of(3), Err(BadValue::Malformed));
    }
}
