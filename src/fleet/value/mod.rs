//! Stored responses as bytes in the store.
//!
//! A response is a *record*: a fixed head ([`header`]), metadata ([`wire`]), and the body if that is small. Larger bodies
//! are pieces that are values of their own, under names with the record's random [`Generation`], so that two versions never
//! mix; whoever writes stores the pieces first and the record last. All of them are sealed when keys are configured
//! ([`seal`]), and carry a checksum in any case ([`frame`]).
//!
//! What is read is believed only if all of it holds: version, lengths, checksum, seal, and the whole cache key. Anything else
//! is a [`BadValue`], which the caller counts, and a miss (purge.md "Shared tier values"). No bytes can make decoding panic,
//! or allocate beyond the limits that stand in [`header`] and [`wire`]: every length is compared with what came first.
//!
//! What is compared here is the cache key, not the variant: the caller asks for the variant's name, and should compare
//! `Meta::variant` with its request as for any stored response.
//!
//! # Time
//! Nodes share the store's clock and no other (rulings 23). [`StoreClock`] is what a node knows of it: its own monotonic
//! clock and the store's at one moment. An entry's arrival travels in the store's clock and comes back on the clock of the
//! node that reads. What the estimate of the store's clock gets wrong is wrong in the age: who writes should take the
//! earliest time that the store's clock can show, who reads the latest, so that entries are at worst older than they are.
//! An arrival in the future is now.

mod frame;
mod header;
mod piece;
mod seal;
mod stream;
#[cfg(test)]
mod tests;
mod wire;

pub use header::{BORN, CHUNK_SIZE, Header, MAX_CHUNKS, MAX_INLINE, MAX_META};
pub use seal::Generation;
pub use stream::{ChunkWriter, Chunked};
pub use wire::MAX_FIELDS;

use super::names::Names;
use super::settings::Keys;
use crate::body::{Chunks, Pieces};
use crate::purge::sync::NEVER;
use crate::store::entry::{Described, Meta};
use crate::store::{Entry, Key};
use crate::time::Mono;
use bytes::Bytes;
use header::HEADER;
use http::{HeaderMap, HeaderName};
use piece::{Kind, PIECE, Piece};
use seal::{Masters, Purpose};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The format of values. It stands in their names and in each of them; any change of the format, or of the hashes of
/// selectors, is a new one.
pub const VERSION: u16 = 1;

/// What stands for a while where the last answer could not be shared.
pub const MARK: &[u8] = b"larder v1: not shareable";

/// Longest time that a value stays in the store.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Room that is made for metadata to begin with.
const USUAL_META: usize = 2048;

/// A response as it comes from the store: what an entry is made of, but for what belongs to one node.
#[derive(Clone, Debug)]
pub struct Stored {
    /// `born.local` is 0, `arrived` on this node's clock, `began` never: it was not filled here.
    pub meta: Meta,
    pub body: Pieces,
    pub length: u64,
    pub trailers: Option<HeaderMap>,
}

/// Why a value is not believed; label of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BadValue {
    /// Not a value of this kind, or of another version.
    Version,
    /// Shorter than it says.
    Truncated,
    /// Numbers that can't be, or metadata that can't be read.
    Malformed,
    /// Not the bytes that were written under this name.
    Checksum,
    /// Sealed, and none of the configured keys has sealed it.
    Sealed,
    /// Not sealed, though keys are configured.
    Unsealed,
    /// Sealed with one of the keys, but changed since, or moved.
    Tampered,
    /// It belongs to another cache key.
    Key,
    /// A piece of the body is not there.
    MissingChunk,
    /// A piece of another body, or another piece of this one.
    Generation,
}

impl BadValue {
    pub const ALL: [Self; 10] = [
        Self::Version,
        Self::Truncated,
        Self::Malformed,
        Self::Checksum,
        Self::Sealed,
        Self::Unsealed,
        Self::Tampered,
        Self::Key,
        Self::MissingChunk,
        Self::Generation,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::Checksum => "checksum",
            Self::Sealed => "sealed",
            Self::Unsealed => "unsealed",
            Self::Tampered => "tampered",
            Self::Key => "key",
            Self::MissingChunk => "missing-chunk",
            Self::Generation => "generation",
        }
    }
}

/// Why a response can't be written to the store; label of a metric. It stays on its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CannotEncode {
    /// More fields or metadata than is ever read back.
    Metadata,
    /// More pieces than is ever read back, or a body that is not as long as its entry says.
    Body,
    /// The system has no random numbers.
    Random,
    /// The cipher refused.
    Sealing,
}

impl CannotEncode {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::Body => "body",
            Self::Random => "random",
            Self::Sealing => "sealing",
        }
    }
}

/// This node's monotonic clock and the store's (Unix milliseconds), at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreClock {
    pub mono: Mono,
    pub store_ms: u64,
}

impl StoreClock {
    /// What the store's clock showed (will show) when this node's shows `at`. Saturates.
    fn at(self, at: Mono) -> u64 {
        if at <= self.mono {
            self.store_ms.saturating_sub(self.mono.0 - at.0)
        } else {
            self.store_ms.saturating_add(at.0 - self.mono.0)
        }
    }

    /// What this node's clock showed when the store's showed `store_ms`, at most now. What lies before the start of this
    /// node's clock is returned beside it.
    fn back(self, store_ms: u64) -> (Mono, Duration) {
        let ago = self.store_ms.saturating_sub(store_ms);
        let here = ago.min(self.mono.0);
        (Mono(self.mono.0 - here), Duration::from_millis(ago - here))
    }
}

/// A response ready to be written: first the chunks, then the record.
#[derive(Debug)]
pub struct Encoded {
    /// Where the record goes.
    pub name: String,
    pub record: Bytes,
    /// The pieces of a large body with their names, in order, each made when it is asked for.
    pub chunks: ChunkWriter,
    pub generation: Generation,
    /// How long it may be of use (`PX`), for record and chunks; zero: not worth writing.
    pub px: Duration,
}

/// A record that was read.
#[derive(Debug)]
pub enum Record {
    Whole(Box<Stored>),
    /// Its body is still to be fetched.
    Chunked(Box<Chunked>),
}

/// Makes values of responses, and responses of values.
pub struct Codec {
    masters: Masters,
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Codec").field("keys", &self.masters.len()).finish()
    }
}

impl Codec {
    /// The first key seals, all open; without keys nothing is sealed.
    pub fn new(keys: &Keys) -> Self {
        Self { masters: Masters::new(keys) }
    }

    /// A record, and the pieces of the body if that is longer than [`MAX_INLINE`]. The record's name follows from
    /// the entry's variant.
    pub fn encode(
        &self,
        key: &Key,
        names: &Names,
        entry: &Entry,
        clock: StoreClock,
    ) -> Result<Encoded, CannotEncode> {
        self.encode_as(Generation::random()?, key, names, entry, clock)
    }

    fn encode_as(
        &self,
        generation: Generation,
        key: &Key,
        names: &Names,
        entry: &Entry,
        clock: StoreClock,
    ) -> Result<Encoded, CannotEncode> {
        let meta = &entry.describe();
        let of_key = names.of(key);
        let variant = (!meta.nominated.is_empty()).then(|| names.variant(&meta.variant));
        let name = of_key.record(variant.as_ref());
        let body = Chunks::new(entry.body.clone());
        if body.len() != entry.length {
            return Err(CannotEncode::Body);
        }
        let inline = entry.length <= MAX_INLINE as u64;
        let room = if inline { entry.length as usize } else { 0 };
        let mut out = Vec::with_capacity(HEADER + room + USUAL_META);
        out.resize(HEADER, 0);
        let mut out = wire::encode(key, meta, entry.trailers().as_ref(), clock, out)?;
        let meta_len = out.len() - HEADER;
        if inline {
            body.clone().for_each(|piece| out.extend_from_slice(&piece));
        }

        let sealer = self.masters.seals(Purpose::Value, generation)?;
        let chunks = if inline { 0 } else { entry.length.div_ceil(CHUNK_SIZE as u64) };
        let left = meta.freshness.lifetime.saturating_sub(meta.freshness.initial_age);
        let header = Header {
            sealed: sealer.is_some(),
            born: meta.born.id,
            stored_at: clock.store_ms,
            began: if meta.began == NEVER { 0 } else { clock.at(meta.began) },
            fresh_until: clock.at(meta.arrived.after(left)),
            useless_after: clock.at(meta.useless_after()),
            generation,
            key_id: sealer.as_ref().map(|s| s.id),
            meta: u32::try_from(meta_len).map_err(|_| CannotEncode::Metadata)?,
            inline: u32::try_from(room).map_err(|_| CannotEncode::Body)?,
            chunk_size: if inline { 0 } else { CHUNK_SIZE as u32 },
            chunks: u32::try_from(chunks).ok().filter(|n| *n <= MAX_CHUNKS).ok_or(CannotEncode::Body)?,
            total: entry.length,
        };
        let record = frame::close(&header.write(), &name, sealer.as_ref(), 0, out)?;
        let px = meta.useless_after().since(clock.mono).min(LONGEST);
        Ok(Encoded { name, record, chunks: ChunkWriter::new(of_key, header, sealer, body), generation, px })
    }

    /// Reads the record that stands under `name`. `bytes` should be the only reference to what came from the store: then
    /// nothing is copied but metadata and small bodies.
    pub fn decode_record(
        &self,
        key: &Key,
        name: &str,
        bytes: Bytes,
        now: StoreClock,
    ) -> Result<Record, BadValue> {
        let header = Header::read(&bytes)?;
        header.fits(bytes.len())?;
        frame::verify(name, HEADER, &bytes)?;
        let sealer = self.masters.opens(header.key_id, Purpose::Value, header.generation)?;
        let mut payload = frame::open(name, HEADER, sealer.as_ref(), 0, bytes)?;
        let meta_len = header.meta as usize;
        if meta_len > payload.len() {
            return Err(BadValue::Truncated);
        }
        let body = payload.split_off(meta_len);
        let (meta, trailers) = wire::decode(key, header.born, &payload, now)?;
        if header.chunks > 0 {
            let head = Stored { meta, body: Bytes::new().into(), length: header.total, trailers };
            return Ok(Record::Chunked(Box::new(Chunked::new(head, header, sealer))));
        }
        let length = body.len() as u64;
        let body = if body.is_empty() { body } else { own(body, meta_len) }.into();
        Ok(Record::Whole(Box::new(Stored { meta, body, length, trailers })))
    }

    /// Which request fields select the variants of `key`; goes to [`super::names::KeyNames::vary`].
    pub fn encode_vary(
        &self,
        key: &Key,
        names: &Names,
        nominated: &[HeaderName],
    ) -> Result<Bytes, CannotEncode> {
        let generation = Generation::random()?;
        let sealer = self.masters.seals(Purpose::Vary, generation)?;
        let out = wire::encode_vary(key, nominated, vec![0; PIECE])?;
        let length = u32::try_from(out.len() - PIECE).map_err(|_| CannotEncode::Metadata)?;
        let key_id = sealer.as_ref().map(|s| s.id);
        let piece = Piece { kind: Kind::Vary, generation, key_id, index: 0, length };
        piece.close(&names.of(key).vary(), sealer.as_ref(), out)
    }

    pub fn decode_vary(&self, key: &Key, name: &str, bytes: Bytes) -> Result<Arc<[HeaderName]>, BadValue> {
        let piece = Piece::read(Kind::Vary, &bytes)?;
        if piece.index != 0 {
            return Err(BadValue::Malformed);
        }
        Piece::verify(name, &bytes)?;
        let sealer = self.masters.opens(piece.key_id, Purpose::Vary, piece.generation)?;
        wire::decode_vary(key, &piece.open(name, sealer.as_ref(), bytes)?)
    }
}

/// A body on its own, unless what it would keep in memory as a piece of its record, and its entry is not charged for, is
/// next to nothing.
fn own(body: Bytes, meta_len: usize) -> Bytes {
    let beside = meta_len + HEADER;
    if body.len() / 16 < beside { Bytes::copy_from_slice(&body) } else { body }
}
