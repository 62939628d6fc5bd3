//! Positions of the purge log, and what an entry remembers of them.

use crate::time::Wall;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The lower bits of an id count (alone) or scatter (in a fleet) the purges of one millisecond.
const SEQ_BITS: u32 = 22;
const SEQ_MAX: u64 = (1 << SEQ_BITS) - 1;
const MS_MAX: u64 = u64::MAX >> SEQ_BITS;

/// A position of the log: `ms << 22 | seq`, later is greater. `0` stands before every purge.
///
/// In a fleet it is the Redis stream id, given by the store and never by a node's clock; alone, it is made in the
/// same way by the node and forced to rise. Written as `ms-seq`, in JSON as a string.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct PurgeId(pub u64);

impl PurgeId {
    /// Before every purge. No shared entry can have been born here: a fleet's log begins with a barrier.
    pub const ZERO: PurgeId = PurgeId(0);

    /// From the two halves of a stream id; `None` if one doesn't fit (ms until the year 2109, seq 22 bits).
    pub const fn from_parts(ms: u64, seq: u64) -> Option<Self> {
        if ms > MS_MAX || seq > SEQ_MAX { None } else { Some(Self(ms << SEQ_BITS | seq)) }
    }

    pub const fn ms(self) -> u64 {
        self.0 >> SEQ_BITS
    }

    pub const fn seq(self) -> u64 {
        self.0 & SEQ_MAX
    }

    /// The next id of a node alone: by its clock, but always greater than `self`, whatever the clock does.
    pub fn next(self, now: Wall) -> Self {
        Self(now.0.min(MS_MAX) << SEQ_BITS).max(self.following())
    }

    /// The smallest greater id.
    pub const fn following(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The id that the store gives to the next record of a fleet's log; the append script does exactly this.
    ///
    /// `last` is the newest id of the log as the store has it, `above` an id that must be exceeded as well (a
    /// barrier's; else [`PurgeId::ZERO`]), `ms` the store's clock, `nonce` a random number of the appending node.
    /// When the clock steps back, the milliseconds are counted on. The random lower bits make sure that two
    /// branches of a forked log don't hold different records under one id: with plain counting, a store that fell
    /// back by five records and whose clock stands behind would give out the lost ids again, one by one.
    pub fn appended(last: PurgeId, above: PurgeId, ms: u64, nonce: u32) -> Self {
        let ms = ms.max(last.max(above).ms().saturating_add(1)).min(MS_MAX);
        Self(ms << SEQ_BITS | (u64::from(nonce) & SEQ_MAX))
    }
}

impl fmt::Display for PurgeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms(), self.seq())
    }
}

/// The text is not `ms-seq` with both in range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a purge id of the form ms-seq")]
pub struct BadId;

impl FromStr for PurgeId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let (ms, seq) = text.split_once('-').ok_or(BadId)?;
        let number = |digits: &str| match digits.bytes().all(|b| b.is_ascii_digit()) {
            true => digits.parse::<u64>().map_err(|_| BadId),
            false => Err(BadId),
        };
        Self::from_parts(number(ms)?, number(seq)?).ok_or(BadId)
    }
}

impl From<PurgeId> for String {
    fn from(id: PurgeId) -> String {
        id.to_string()
    }
}

impl TryFrom<String> for PurgeId {
    type Error = BadId;

    fn try_from(text: String) -> Result<Self, BadId> {
        text.parse()
    }
}

/// When a fill began, in terms of the log. Read with [`crate::purge::PurgeLog::cursor`] **before** the request (or
/// the conditional request) leaves for the origin; everybody who waits for that fill inherits it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Born {
    /// Up to where this node had applied the log. Stored in both tiers.
    pub id: PurgeId,
    /// The last purge of this node, logged or not. Only memory entries that this node filled have one: an entry
    /// taken from the shared tier says `0`, because the counter means nothing elsewhere.
    pub local: u64,
}

impl Born {
    /// For an entry that comes from the shared tier.
    pub const fn shared(id: PurgeId) -> Self {
        Self { id, local: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_although_the_clock_steps_back() {
        let first = PurgeId::ZERO.next(Wall(1000));
        assert_eq!((first.ms(), first.seq()), (1000, 0));
        let second = first.next(Wall(400));
        assert!(second > first);
        assert!(second.next(Wall(1001)) > second);
    }

    #[test]
    fn text_form_is_the_stream_id() {
        let id = PurgeId::from_parts(1_767_225_600_123, 7).unwrap();
        assert_eq!(id.to_string(), "1767225600123-7");
        assert_eq!("1767225600123-7".parse(), Ok(id));
        for bad in ["", "-", "1", "1-", "-1", "1-2-3", "+1-2", "1-4194304", "4398046511104-0", "a-b", "1 -2"]
        {
            assert_eq!(bad.parse::<PurgeId>(), Err(BadId), "{bad}");
        }
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"1767225600123-7\"");
    }

    #[test]
    fn appended_ids_exceed_the_last_and_the_barrier_whatever_the_clock_says() {
        let last = PurgeId::from_parts(1000, 99).unwrap();
        let above = PurgeId::from_parts(5000, 1).unwrap();
        for ms in [0, 999, 1000, 1001, 9000, u64::MAX] {
            assert!(PurgeId::appended(last, PurgeId::ZERO, ms, u32::MAX) > last);
            assert!(PurgeId::appended(last, above, ms, 0) > above);
        }
    }
}
