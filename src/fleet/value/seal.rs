//! Sealing: AES-256-GCM under a key of its own for every value.
//!
//! A fleet seals very many values under one configured key, on many nodes that don't know of each other, so random
//! nonces of 96 bits under that key would meet too soon (NIST SP 800-38D §8.3 allows 2^32). Every value draws a random
//! *generation* of 128 bits instead, from which and the configured key its own key is derived (HKDF-SHA-256, RFC 5869).
//! Under that key only its own pieces are sealed, each once, with its number as nonce: 0 the record, n+1 chunk n.
//!
//! Authenticated with each piece are the name it is stored under and its header: a value moved to another name, or
//! told a later expiry, does not open.
//!
//! What sealing does not do. It does not hide sizes, times, the purge log's position (the header stays readable, so that
//! the store's scripts can compare births), nor which names are asked for when. And who can write to the store can put
//! back what once stood under the same name: that is as old as it says and born when it says, so that freshness and the
//! purge log hold for it as for anything else.

use super::{BadValue, CannotEncode};
use crate::fleet::names::Hex;
use crate::fleet::settings::Keys;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use ring::{hkdf, hmac};
use std::fmt;

/// Bytes that sealing adds to a piece.
pub(super) const TAG: usize = 16;

/// Tells apart two values under one name, seals or not: a record names the generation of its chunks, so that two versions
/// never mix.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Generation([u8; 16]);

impl Generation {
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// From the system's random numbers; they are the salt of the value's key.
    pub(super) fn random() -> Result<Self, CannotEncode> {
        let mut bytes = [0; 16];
        SystemRandom::new().fill(&mut bytes).map_err(|_| CannotEncode::Random)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Hex(self.0), f)
    }
}

impl fmt::Debug for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Which configured key sealed a value; zero when none did.
pub(super) type KeyId = [u8; 4];

/// What a key is derived for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    Value,
    Vary,
}

impl Purpose {
    const fn info(self) -> &'static [u8] {
        match self {
            Self::Value => b"larder value v1",
            Self::Vary => b"larder vary v1",
        }
    }
}

/// A key from the configuration.
struct Master {
    id: KeyId,
    secret: [u8; 32],
}

impl Master {
    fn new(secret: [u8; 32]) -> Self {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), b"larder key id v1");
        let mut id = KeyId::default();
        id.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
        Self { id, secret }
    }

    fn sealer(&self, purpose: Purpose, generation: Generation) -> Option<Sealer> {
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, generation.as_bytes()).extract(&self.secret);
        let info = [purpose.info()];
        let key = extracted.expand(&info, &AES_256_GCM).ok()?;
        Some(Sealer { id: self.id, key: LessSafeKey::new(UnboundKey::from(key)) })
    }
}

/// The configured keys: the first seals, all open (rulings 34).
pub(super) struct Masters(Vec<Master>);

impl Masters {
    pub fn new(keys: &Keys) -> Self {
        Self(keys.0.iter().map(|key| Master::new(*key)).collect())
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// `None`: there are no keys, nothing is sealed.
    pub fn seals(&self, purpose: Purpose, generation: Generation) -> Result<Option<Sealer>, CannotEncode> {
        let Some(master) = self.0.first() else { return Ok(None) };
        master.sealer(purpose, generation).map(Some).ok_or(CannotEncode::Sealing)
    }

    /// What opens a value, `None` for one that is not sealed and need not be. `id` is `None` when it is not sealed.
    ///
    /// With keys set, what is not sealed is refused: else whoever can write to the store would simply leave the
    /// seal off. Two configured keys with one id (2^-32) would cost misses.
    pub fn opens(
        &self,
        id: Option<KeyId>,
        purpose: Purpose,
        generation: Generation,
    ) -> Result<Option<Sealer>, BadValue> {
        let Some(id) = id else {
            return if self.0.is_empty() { Ok(None) } else { Err(BadValue::Unsealed) };
        };
        let master = self.0.iter().find(|master| master.id == id).ok_or(BadValue::Sealed)?;
        master.sealer(purpose, generation).map(Some).ok_or(BadValue::Sealed)
    }
}

/// Seals and opens the pieces of one value.
#[derive(Debug)]
pub(super) struct Sealer {
    pub id: KeyId,
    key: LessSafeKey,
}

impl Sealer {
    /// Encrypts `payload` where it stands and returns the tag. Each `number` is used once: see the head of this file.
    pub fn seal(
        &self,
        number: u32,
        name: &str,
        head: &[u8],
        payload: &mut [u8],
    ) -> Result<impl AsRef<[u8]> + use<>, CannotEncode> {
        let aad = Aad::from(authenticated(head, name));
        self.key.seal_in_place_separate_tag(nonce(number), aad, payload).map_err(|_| CannotEncode::Sealing)
    }

    /// Decrypts `sealed`, which ends with the tag, where it stands.
    pub fn open(&self, number: u32, name: &str, head: &[u8], sealed: &mut [u8]) -> Result<(), BadValue> {
        let aad = Aad::from(authenticated(head, name));
        self.key.open_in_place(nonce(number), aad, sealed).map_err(|_| BadValue::Tampered)?;
        Ok(())
    }
}

/// The head comes first: its magic says how long it is, so no other head and name have the same bytes.
fn authenticated(head: &[u8], name: &str) -> Vec<u8> {
    [head, name.as_bytes()].concat()
}

fn nonce(number: u32) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes.iter_mut().rev().zip(number.to_le_bytes()).for_each(|(to, from)| *to = from);
    Nonce::assume_unique_for_key(bytes)
}
