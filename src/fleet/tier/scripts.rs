//! What the store does in one step: the scripts, and what their answers mean.
//!
//! All keys of a script belong to one cache key, and so to one slot of a cluster. A write inside a script that
//! also reads is `pcall`ed: a store that is full, or a replica by now, still answers what it was asked, and
//! says why it did not write.

use crate::fleet::links::{CallError, Script};
use redis::Value;

/// Look-up and lease (rulings 25).
///
/// A value that begins with what the caller knows already, and has no use for, counts as absent: who
/// waits for a better one does not have it sent with every poll. The names of the variant rest on a guess; the record
/// that says what selects variants is always in the answer, so that the caller can tell whether it was right. Where
/// there is such a record, the lease is the variant's.
pub static LOOK: Script = Script {
    text: r"
-- KEYS: vary record, plain value, variant's value, mark, plain lease, variant's lease
-- ARGV: known beginning of the plain value, of the variant's, token, ms
local got = redis.call('MGET', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
local function news(value, known)
  if not value or value == '' then return false end
  if known ~= '' and string.sub(value, 1, #known) == known then return false end
  return value
end
local vary, plain, variant = got[1], news(got[2], ARGV[1]), news(got[3], ARGV[2])
if plain or variant then return {'value', vary, plain, variant} end
if got[4] then return {'mark', vary} end
local lease = vary and KEYS[6] or KEYS[5]
local set = redis.pcall('SET', lease, ARGV[3], 'NX', 'PX', ARGV[4])
if not set then return {'busy', vary} end
if set.err then return {'refused', vary, set.err} end
return {'lease', vary, lease}
",
};

/// Keeps a lease that is still ours. Says 1, or 0 when it is somebody else's by now, or nobody's.
pub static EXTEND: Script = Script {
    text: r"
-- KEYS: lease; ARGV: token, ms
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
",
};

/// Gives a lease back; before that, if so told, says to the others that waiting brings nothing.
pub static RELEASE: Script = Script {
    text: r"
-- KEYS: lease, mark; ARGV: token, ms that the mark stays or nothing, mark
local marked = 1
if ARGV[2] ~= '' then marked = redis.pcall('SET', KEYS[2], ARGV[3], 'PX', ARGV[2]) end
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return marked
",
};

/// A value, and all that becomes true with it: the fields that select it, no mark, no lease.
///
/// An older fill never replaces a newer one (rulings 22). Births are compared byte by byte: a Lua number
/// does not hold 64 bits, and comparing strings depends on the locale.
pub static WRITE: Script = Script {
    text: r"
-- KEYS: value, vary record, mark, lease
-- ARGV: value, ms, vary record or nothing, token or nothing, bytes that every value begins with, offset of its birth, birth
local function later(value)
  if string.sub(value, 1, #ARGV[5]) ~= ARGV[5] then return false end
  for i = 1, #ARGV[7] do
    local theirs, ours = string.byte(value, ARGV[6] + i), string.byte(ARGV[7], i)
    if theirs ~= ours then return theirs ~= nil and theirs > ours end
  end
  return false
end
local function write()
  local head = redis.pcall('GETRANGE', KEYS[1], 0, 127)
  if type(head) == 'string' and later(head) then return {'superseded'} end
  if ARGV[3] ~= '' then
    local ms = math.max(redis.call('PTTL', KEYS[2]), tonumber(ARGV[2]))
    local set = redis.pcall('SET', KEYS[2], ARGV[3], 'PX', string.format('%d', ms))
    if set.err then return set end
  end
  local set = redis.pcall('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  if set.err then return set end
  redis.call('DEL', KEYS[3])
  if type(head) ~= 'string' then head = '' end
  return {'ok', head}
end
local written = write()
if ARGV[4] ~= '' and redis.call('GET', KEYS[4]) == ARGV[4] then redis.call('DEL', KEYS[4]) end
return written
",
};

/// What [`LOOK`] says.
#[derive(Debug, PartialEq, Eq)]
pub struct Looked {
    /// The record that says what selects variants, as it is in the store.
    pub vary: Option<Vec<u8>>,
    pub there: There,
}

/// What is there for a key.
#[derive(Debug, PartialEq, Eq)]
pub enum There {
    Values {
        plain: Option<Vec<u8>>,
        variant: Option<Vec<u8>>,
    },
    Marked,
    /// The lease of this name is ours.
    Leased(String),
    /// Somebody else has it.
    Busy,
    /// Nobody has it, and the store would not write it down.
    Unheld(CallError),
}

impl Looked {
    pub fn read(answer: Value) -> Result<Self, CallError> {
        let mut parts = parts(answer)?;
        let word = parts.next().and_then(bytes).ok_or(CallError::Refused)?;
        let vary = parts.next().and_then(bytes);
        let there = match (word.as_slice(), parts.next(), parts.next()) {
            (b"value", Some(plain), Some(variant)) => {
                Some(There::Values { plain: bytes(plain), variant: bytes(variant) })
            }
            (b"mark", None, None) => Some(There::Marked),
            (b"busy", None, None) => Some(There::Busy),
            (b"lease", Some(name), None) => {
                bytes(name).and_then(|name| String::from_utf8(name).ok()).map(There::Leased)
            }
            (b"refused", Some(error), None) => bytes(error).map(|e| There::Unheld(why(&e))),
            _ => None,
        };
        Ok(Self { vary, there: there.ok_or(CallError::Refused)? })
    }
}

/// What [`WRITE`] says.
#[derive(Debug, PartialEq, Eq)]
pub enum Wrote {
    /// With the beginning of what it replaced, empty when there was nothing.
    Ok {
        old: Vec<u8>,
    },
    Superseded,
}

impl Wrote {
    pub fn read(answer: Value) -> Result<Self, CallError> {
        let mut parts = parts(answer)?;
        let word = parts.next().and_then(bytes);
        match (word.as_deref(), parts.next()) {
            (Some(b"ok"), Some(old)) => Ok(Self::Ok { old: bytes(old).unwrap_or_default() }),
            (Some(b"superseded"), None) => Ok(Self::Superseded),
            _ => Err(CallError::Refused),
        }
    }
}

fn parts(answer: Value) -> Result<std::vec::IntoIter<Value>, CallError> {
    match answer {
        Value::Array(parts) => Ok(parts.into_iter()),
        _ => Err(CallError::Refused),
    }
}

pub fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        _ => None,
    }
}

/// The same words as in [`CallError`]'s description, for an error that a script met and went on.
fn why(error: &[u8]) -> CallError {
    let text = error.strip_prefix(b"-").unwrap_or(error);
    let word = text.split(|b| *b == b' ').next().unwrap_or_default();
    match word {
        b"OOM" => CallError::Full,
        b"READONLY" | b"LOADING" | b"MASTERDOWN" | b"NOREPLICAS" | b"CLUSTERDOWN" => CallError::NotNow,
        _ => CallError::Refused,
    }
}
