//! Small values with a head of their own: the pieces of a large body, and the record that says what selects variants.
//!
//! | at | bytes | what |
//! | --- | --- | --- |
//! | 0 | 4 | `LRDC` a piece of a body, `LRDV` what selects variants |
//! | 4 | 2 | format version |
//! | 6 | 2 | flags: 1 sealed |
//! | 8 | 16 | generation |
//! | 24 | 4 | id of the key that seals |
//! | 28 | 4 | number of the piece |
//! | 32 | 4 | length |
//! | 36 | 8 | checksum |

use super::frame::{self, Prefix, Reader, SUM, stored_len};
use super::seal::{Generation, KeyId, Sealer};
use super::{BadValue, CannotEncode, VERSION};
use bytes::Bytes;

/// Where the payload begins.
pub(super) const PIECE: usize = 44;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Chunk,
    Vary,
}

impl Kind {
    const fn magic(self) -> [u8; 4] {
        match self {
            Self::Chunk => *b"LRDC",
            Self::Vary => *b"LRDV",
        }
    }

    /// Nonces: 0 is the record's.
    fn nonce(self, index: u32) -> u32 {
        match self {
            Self::Chunk => index.saturating_add(1),
            Self::Vary => 0,
        }
    }
}

/// The head of such a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub kind: Kind,
    pub generation: Generation,
    /// `None`: not sealed.
    pub key_id: Option<KeyId>,
    pub index: u32,
    pub length: u32,
}

impl Piece {
    /// Head and length in order; the checksum is not looked at.
    pub fn read(kind: Kind, bytes: &[u8]) -> Result<Self, BadValue> {
        let mut from = Reader(bytes);
        let Prefix { sealed, .. } = Prefix::read(&mut from, kind.magic(), VERSION)?;
        let generation = from.generation()?;
        let key_id = from.key_id(sealed)?;
        let piece = Self { kind, generation, key_id, index: from.u32()?, length: from.u32()? };
        let _checksum: [u8; SUM] = from.array()?;
        match (from.0.len() as u64).cmp(&stored_len(piece.length.into(), sealed)) {
            std::cmp::Ordering::Less => Err(BadValue::Truncated),
            std::cmp::Ordering::Equal => Ok(piece),
            std::cmp::Ordering::Greater => Err(BadValue::Malformed),
        }
    }

    /// `out` holds [`PIECE`] bytes of room, then the payload.
    pub fn close(&self, name: &str, sealer: Option<&Sealer>, out: Vec<u8>) -> Result<Bytes, CannotEncode> {
        let mut head = Vec::with_capacity(PIECE);
        let sealed = self.key_id.is_some();
        Prefix { magic: self.kind.magic(), version: VERSION, sealed }.write(&mut head);
        head.extend_from_slice(self.generation.as_bytes());
        head.extend_from_slice(&self.key_id.unwrap_or_default());
        head.extend_from_slice(&self.index.to_be_bytes());
        head.extend_from_slice(&self.length.to_be_bytes());
        frame::close(&head, name, sealer, self.kind.nonce(self.index), out)
    }

    /// The payload, after the checksum (see [`Piece::verify`]).
    pub fn open(&self, name: &str, sealer: Option<&Sealer>, bytes: Bytes) -> Result<Bytes, BadValue> {
        frame::open(name, PIECE, sealer, self.kind.nonce(self.index), bytes)
    }

    pub fn verify(name: &str, bytes: &[u8]) -> Result<(), BadValue> {
        frame::verify(name, PIECE, bytes)
    }
}
