//! What all values have in common: a head of fixed length whose last eight bytes are a checksum, and a payload, sealed or
//! not.
//!
//! The checksum (xxh3, 64 bits) covers the name the value is stored under, the head before it and the payload as stored. It
//! finds accidents: half-written, cut, mixed-up or moved values. Against intent only the seal helps.

use super::seal::{Generation, KeyId, Sealer, TAG};
use super::{BadValue, CannotEncode};
use bytes::{Bytes, BytesMut};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Bytes of the checksum.
pub(super) const SUM: usize = 8;

/// Flag: the payload is sealed. All other flags are unknown, and what has them is refused.
const SEALED: u16 = 1;

fn checksum(name: &str, head: &[u8], payload: &[u8]) -> [u8; SUM] {
    let seed = xxh3_64_with_seed(head, xxh3_64(name.as_bytes()));
    xxh3_64_with_seed(payload, seed).to_be_bytes()
}

/// Makes a value of `out`, which holds room for head and checksum, then the payload.
pub(super) fn close(
    head: &[u8],
    name: &str,
    sealer: Option<&Sealer>,
    number: u32,
    mut out: Vec<u8>,
) -> Result<Bytes, CannotEncode> {
    let start = head.len() + SUM;
    if let Some(sealer) = sealer {
        let payload = out.get_mut(start..).ok_or(CannotEncode::Sealing)?;
        let tag = sealer.seal(number, name, head, payload)?;
        out.extend_from_slice(tag.as_ref());
    }
    let sum = checksum(name, head, out.get(start..).unwrap_or_default());
    out.iter_mut().zip(head.iter().chain(&sum)).for_each(|(to, from)| *to = *from);
    Ok(Bytes::from(out))
}

/// Whether these are the bytes that were written under this name. `start` is where the payload begins.
pub(super) fn verify(name: &str, start: usize, bytes: &[u8]) -> Result<(), BadValue> {
    let (head, payload) = bytes.split_at_checked(start).ok_or(BadValue::Truncated)?;
    let (head, sum) = head.split_last_chunk::<SUM>().ok_or(BadValue::Truncated)?;
    if checksum(name, head, payload) == *sum { Ok(()) } else { Err(BadValue::Checksum) }
}

/// The payload, opened if it is sealed. Of what is not sealed no byte is copied.
pub(super) fn open(
    name: &str,
    start: usize,
    sealer: Option<&Sealer>,
    number: u32,
    mut bytes: Bytes,
) -> Result<Bytes, BadValue> {
    let Some(sealer) = sealer else {
        let payload = bytes.split_off(start.min(bytes.len()));
        return Ok(payload);
    };
    // Nobody else has what has just come from the store, so this copies nothing either.
    let mut bytes = bytes.try_into_mut().unwrap_or_else(|shared| BytesMut::from(shared.as_ref()));
    let (head, sealed) = bytes.split_at_mut_checked(start).ok_or(BadValue::Truncated)?;
    let (head, _) = head.split_last_chunk::<SUM>().ok_or(BadValue::Truncated)?;
    sealer.open(number, name, head, sealed)?;
    let end = bytes.len().checked_sub(TAG).ok_or(BadValue::Truncated)?;
    let bytes = bytes.freeze();
    if end < start { Err(BadValue::Truncated) } else { Ok(bytes.slice(start..end)) }
}

/// Length of the payload of a piece of `plain` bytes.
pub(super) fn stored_len(plain: u64, sealed: bool) -> u64 {
    plain.saturating_add(if sealed { TAG as u64 } else { 0 })
}

/// The first fields of every head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    pub magic: [u8; 4],
    pub version: u16,
    pub sealed: bool,
}

impl Prefix {
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.magic);
        out.extend_from_slice(&self.version.to_be_bytes());
        out.extend_from_slice(&if self.sealed { SEALED } else { 0 }.to_be_bytes());
    }

    pub fn read(from: &mut Reader<'_>, magic: [u8; 4], version: u16) -> Result<Self, BadValue> {
        if from.array()? != magic || from.u16()? != version {
            return Err(BadValue::Version);
        }
        match from.u16()? {
            0 => Ok(Self { magic, version, sealed: false }),
            SEALED => Ok(Self { magic, version, sealed: true }),
            _ => Err(BadValue::Malformed),
        }
    }
}

/// Reads numbers, big end first; what is not there is [`BadValue::Truncated`].
#[derive(Debug)]
pub(super) struct Reader<'a>(pub &'a [u8]);

impl Reader<'_> {
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], BadValue> {
        let (first, rest) = self.0.split_first_chunk::<N>().ok_or(BadValue::Truncated)?;
        self.0 = rest;
        Ok(*first)
    }
    pub fn u16(&mut self) -> Result<u16, BadValue> {
        self.array().map(u16::from_be_bytes)
    }
    pub fn u32(&mut self) -> Result<u32, BadValue> {
        self.array().map(u32::from_be_bytes)
    }
    pub fn u64(&mut self) -> Result<u64, BadValue> {
        self.array().map(u64::from_be_bytes)
    }
    pub fn generation(&mut self) -> Result<Generation, BadValue> {
        self.array().map(Generation::from_bytes)
    }
    /// `None` when the value is not sealed.
    pub fn key_id(&mut self, sealed: bool) -> Result<Option<KeyId>, BadValue> {
        self.array().map(|id| sealed.then_some(id))
    }
}
