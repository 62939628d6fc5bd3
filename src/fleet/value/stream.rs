//! Bodies in pieces: each made when it is to be written, each checked as it comes back.

use super::header::{CHUNK_SIZE, Header};
use super::piece::{Kind, PIECE, Piece};
use super::seal::Sealer;
use super::{BadValue, CannotEncode, Generation, Stored};
use crate::body::Chunks;
use crate::fleet::names::KeyNames;
use bytes::Bytes;

/// Makes the pieces of a body one by one, so that no second copy of the whole is ever in memory.
#[derive(Debug)]
pub struct ChunkWriter {
    names: KeyNames,
    header: Header,
    sealer: Option<Sealer>,
    next: u32,
    body: Chunks,
    /// What is left of the last buffer taken from `body`.
    rest: Bytes,
}

impl ChunkWriter {
    pub(super) fn new(names: KeyNames, header: Header, sealer: Option<Sealer>, body: Chunks) -> Self {
        Self { names, header, sealer, next: 0, body, rest: Bytes::new() }
    }

    /// How many there are in all; 0 when the body is in the record.
    pub fn pieces(&self) -> u32 {
        self.header.chunks
    }

    fn piece(&mut self, index: u32, length: u64) -> Result<(String, Bytes), CannotEncode> {
        let length = usize::try_from(length).map_err(|_| CannotEncode::Body)?;
        let mut out = Vec::with_capacity(PIECE + length + super::seal::TAG);
        out.resize(PIECE, 0);
        let mut wanted = length;
        while wanted > 0 {
            if self.rest.is_empty() {
                self.rest = self.body.next().ok_or(CannotEncode::Body)?;
            }
            let part = self.rest.split_to(wanted.min(self.rest.len()));
            wanted -= part.len();
            out.extend_from_slice(&part);
        }
        let piece = Piece {
            kind: Kind::Chunk,
            generation: self.header.generation,
            key_id: self.header.key_id,
            index,
            length: u32::try_from(length).map_err(|_| CannotEncode::Body)?,
        };
        let name = self.names.chunk(piece.generation, index);
        let bytes = piece.close(&name, self.sealer.as_ref(), out)?;
        Ok((name, bytes))
    }
}

/// Name and value of each piece, in order. After an error nothing more comes.
impl Iterator for ChunkWriter {
    type Item = Result<(String, Bytes), CannotEncode>;

    fn next(&mut self) -> Option<Self::Item> {
        let index = self.next;
        let length = self.header.chunk_len(index)?;
        self.next += 1;
        let piece = self.piece(index, length);
        if piece.is_err() {
            self.next = self.header.chunks;
        }
        Some(piece)
    }
}

/// A response whose body is still to be fetched, piece by piece and in order.
#[derive(Debug)]
pub struct Chunked {
    stored: Stored,
    header: Header,
    sealer: Option<Sealer>,
    pub(super) body: Vec<Bytes>,
}

impl Chunked {
    pub(super) fn new(stored: Stored, header: Header, sealer: Option<Sealer>) -> Self {
        Self { stored, header, sealer, body: Vec::new() }
    }

    /// The response without its body: `length` says how long that is. For deciding whether to fetch it.
    pub fn head(&self) -> &Stored {
        &self.stored
    }

    pub fn generation(&self) -> Generation {
        self.header.generation
    }

    /// How many pieces the body has.
    pub fn pieces(&self) -> u32 {
        self.header.chunks
    }

    /// Number of the piece that [`Chunked::push`] expects next; [`Chunked::pieces`] when it has them all.
    pub fn expects(&self) -> u32 {
        // As many as were pushed, and those are at most `pieces`.
        u32::try_from(self.body.len()).unwrap_or(u32::MAX)
    }

    /// Takes the next piece, as it was found under [`KeyNames::chunk`]. Of what is not sealed nothing is copied.
    pub fn push(&mut self, names: &KeyNames, bytes: Option<Bytes>) -> Result<(), BadValue> {
        let index = self.expects();
        let length = self.header.chunk_len(index).ok_or(BadValue::Generation)?;
        let bytes = bytes.ok_or(BadValue::MissingChunk)?;
        let piece = Piece::read(Kind::Chunk, &bytes)?;
        if piece.generation != self.header.generation || piece.index != index {
            return Err(BadValue::Generation);
        }
        let name = names.chunk(piece.generation, index);
        Piece::verify(&name, &bytes)?;
        match (self.header.key_id, piece.key_id) {
            (record, piece) if record == piece => {}
            (Some(_), None) => return Err(BadValue::Unsealed),
            _ => return Err(BadValue::Sealed),
        }
        if u64::from(piece.length) != length {
            return Err(BadValue::Malformed);
        }
        self.body.push(piece.open(&name, self.sealer.as_ref(), bytes)?);
        Ok(())
    }

    /// The response, when all pieces were taken.
    pub fn finish(self) -> Result<Stored, BadValue> {
        if self.expects() != self.header.chunks {
            return Err(BadValue::MissingChunk);
        }
        Ok(Stored { body: self.body.into(), ..self.stored })
    }
}

const _: () = assert!(CHUNK_SIZE <= 1 << 20, "what is written must be readable");
