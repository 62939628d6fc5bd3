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

/// Of the year, as HTTP, Apache and RFC 5322 write them.
pub const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Year, month (1 to 12) and day of the month of a day, counted from 1970-01-01 (Howard Hinnant's `civil_from_days`). The year is
/// taken to begin in March, so that the leap day is its last.
pub const fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + (month <= 2) as u64, month, day)
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
