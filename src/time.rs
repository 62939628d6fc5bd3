//! Time as plain values, handed in by whoever needs a decision made. Nothing here reads a clock
//! (see [`crate::clock`]); the semantics are pure functions of these values.

use std::time::Duration;

/// A point on the wall clock: milliseconds since 1970-01-01 00:00:00 UTC. Only for `Date`, `Expires`,
/// `Last-Modified` and logs; durations inside this process are measured with [`Mono`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(pub u64);

impl Wall {
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }
    /// Whole seconds, rounded down (RFC 9111 §4.2: a coarser clock rounds `Expires` down).
    pub const fn secs(self) -> u64 {
        self.0 / 1000
    }
    /// `self - earlier`, zero when `earlier` is later.
    pub const fn since(self, earlier: Wall) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// A point on this process's monotonic clock, in milliseconds from an arbitrary start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub u64);

impl Mono {
    /// `self - earlier`, zero when `earlier` is later.
    pub const fn since(self, earlier: Mono) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
    /// `self + d`, saturating.
    pub fn after(self, d: Duration) -> Mono {
        Mono(self.0.saturating_add(u64::try_from(d.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// Both clocks, read at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    pub wall: Wall,
    pub mono: Mono,
}
