//! The fixed head of a record. Never sealed, so that it can be judged where the keys are not: by the store's scripts,
//! and before anything is decrypted.
//!
//! All numbers big end first, times in the store's clock as Unix milliseconds:
//!
//! | at | bytes | what |
//! | --- | --- | --- |
//! | 0 | 4 | `LRDR` |
//! | 4 | 2 | format version |
//! | 6 | 2 | flags: 1 sealed |
//! | 8 | 8 | born: the purge log's position when the fill began |
//! | 16 | 8 | stored at |
//! | 24 | 8 | the fill began (0 = not known) |
//! | 32 | 8 | fresh until |
//! | 40 | 8 | useless after |
//! | 48 | 16 | generation |
//! | 64 | 4 | id of the key that seals |
//! | 68 | 4 | length of the metadata |
//! | 72 | 4 | length of the body that follows it |
//! | 76 | 4 | chunk size |
//! | 80 | 4 | number of chunks |
//! | 84 | 8 | length of the whole body |
//! | 92 | 8 | checksum |

use super::frame::{Prefix, Reader, SUM, stored_len};
use super::seal::{Generation, KeyId};
use super::{BadValue, VERSION};
use crate::purge::PurgeId;
use std::ops::Range;

const MAGIC: [u8; 4] = *b"LRDR";

/// Where the payload of a record begins.
pub(super) const HEADER: usize = 100;

/// Where a record says when it was born: a script that must not replace a newer one compares these bytes as two
/// numbers of 32 bits (Lua has no others that are exact).
pub const BORN: Range<usize> = 8..16;

/// Most bytes of metadata. Origin responses have at most 1 MiB of fields by default, and selectors come on top.
pub const MAX_META: usize = 2 << 20;
/// Bodies up to this length stand in the record itself.
pub const MAX_INLINE: usize = 64 << 10;
/// Longer ones are cut into pieces of this length.
pub const CHUNK_SIZE: usize = 256 << 10;
/// Longest piece that is read: another release may cut in other lengths.
const MAX_CHUNK_SIZE: u64 = 1 << 20;
/// Most pieces: with the chunk size, 16 GiB.
pub const MAX_CHUNKS: u32 = 65_536;

/// What a record says in clear. Believe it after the record was decoded, not before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub sealed: bool,
    pub born: PurgeId,
    /// When it was written.
    pub stored_at: u64,
    /// When the request left that brought or last confirmed it; 0 = not known.
    pub began: u64,
    /// When its lifetime ends (or ended).
    pub fresh_until: u64,
    /// From when on nobody may have any use for it.
    pub useless_after: u64,
    pub generation: Generation,
    pub(super) key_id: Option<KeyId>,
    pub(super) meta: u32,
    pub(super) inline: u32,
    pub(super) chunk_size: u32,
    /// Pieces of the body that are values of their own; 0 = the body is in the record.
    pub chunks: u32,
    /// Length of the whole body, bytes.
    pub total: u64,
}

impl Header {
    /// Reads the head of a record, without a look at the rest.
    pub fn read(bytes: &[u8]) -> Result<Self, BadValue> {
        let mut from = Reader(bytes);
        let Prefix { sealed, .. } = Prefix::read(&mut from, MAGIC, VERSION)?;
        let header = Self {
            sealed,
            born: PurgeId(from.u64()?),
            stored_at: from.u64()?,
            began: from.u64()?,
            fresh_until: from.u64()?,
            useless_after: from.u64()?,
            generation: from.generation()?,
            key_id: from.key_id(sealed)?,
            meta: from.u32()?,
            inline: from.u32()?,
            chunk_size: from.u32()?,
            chunks: from.u32()?,
            total: from.u64()?,
        };
        let _checksum: [u8; SUM] = from.array()?;
        if header.is_possible() { Ok(header) } else { Err(BadValue::Malformed) }
    }

    /// All but the checksum.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER);
        Prefix { magic: MAGIC, version: VERSION, sealed: self.sealed }.write(&mut out);
        for number in [self.born.0, self.stored_at, self.began, self.fresh_until, self.useless_after] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend_from_slice(self.generation.as_bytes());
        out.extend_from_slice(&self.key_id.unwrap_or_default());
        for number in [self.meta, self.inline, self.chunk_size, self.chunks] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend_from_slice(&self.total.to_be_bytes());
        out
    }

    /// Whether lengths agree with each other and with the limits: nothing is allocated by what they say before.
    fn is_possible(&self) -> bool {
        let (inline, size, chunks) =
            (u64::from(self.inline), u64::from(self.chunk_size), u64::from(self.chunks));
        let body = match chunks {
            0 => inline == self.total && size == 0,
            _ => inline == 0 && (1..=MAX_CHUNK_SIZE).contains(&size) && self.total.div_ceil(size) == chunks,
        };
        body && self.meta as usize <= MAX_META && inline <= MAX_INLINE as u64 && self.chunks <= MAX_CHUNKS
    }

    /// Whether a record of `length` bytes is as long as its head says.
    pub(super) fn fits(&self, length: usize) -> Result<(), BadValue> {
        let plain = u64::from(self.meta) + u64::from(self.inline);
        let wanted = stored_len(plain, self.sealed).saturating_add(HEADER as u64);
        match (length as u64).cmp(&wanted) {
            std::cmp::Ordering::Less => Err(BadValue::Truncated),
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Greater => Err(BadValue::Malformed),
        }
    }

    /// How long piece `index` of the body is; `None` when there is no such piece.
    pub(super) fn chunk_len(&self, index: u32) -> Option<u64> {
        let size = u64::from(self.chunk_size);
        let left = self.total.checked_sub(u64::from(index).checked_mul(size)?)?;
        (index < self.chunks).then(|| left.min(size))
    }
}
