//! The one place that reads clocks. `app` builds one [`Clock`]; `clippy.toml` bans the others, so that
//! tests can move time by hand and every decision can be replayed.

use crate::time::{Mono, Now, Wall};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where time comes from: the machine, or a test that moves it.
#[derive(Clone, Debug)]
pub enum Clock {
    System { start: Boot },
    Manual(Arc<ManualTime>),
}

/// A reading of `CLOCK_BOOTTIME`. Like [`std::time::Instant`], but it runs on while the machine sleeps: a node that was
/// suspended must know how long it has not heard of purges (rulings 12), and what it stores has aged meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Boot(std::time::Duration);

impl Boot {
    fn now() -> Self {
        let read = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let part = |value: i64| u64::try_from(value).unwrap_or(0);
        let whole = std::time::Duration::from_secs(part(read.tv_sec));
        Self(whole + std::time::Duration::from_nanos(part(read.tv_nsec)))
    }

    fn elapsed(self) -> std::time::Duration {
        Self::now().0.saturating_sub(self.0)
    }
}

/// Milliseconds added to a fixed start; both clocks move together.
#[derive(Debug, Default)]
pub struct ManualTime {
    offset_ms: AtomicU64,
}

/// 2026-01-01 00:00:00 UTC, where manual clocks start.
const MANUAL_EPOCH_MS: u64 = 1_767_225_600_000;

impl Clock {
    pub fn system() -> Self {
        Self::System { start: Boot::now() }
    }

    /// A clock that stands still until [`Clock::advance`].
    pub fn manual() -> Self {
        Self::Manual(Arc::default())
    }

    #[allow(clippy::disallowed_methods)] // the one permitted reader
    pub fn now(&self) -> Now {
        match self {
            Self::System { .. } => {
                let wall = std::time::SystemTime::now()
                    .duration_since(std::time::UNIX_EPOCH)
                    .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX));
                Now { wall: Wall(wall), mono: self.mono() }
            }
            Self::Manual(time) => {
                let offset = time.offset_ms.load(Ordering::Acquire);
                Now { wall: Wall(MANUAL_EPOCH_MS + offset), mono: Mono(offset) }
            }
        }
    }

    /// The monotonic half of [`Clock::now`], for who needs no other: one clock read instead of two.
    pub fn mono(&self) -> Mono {
        match self {
            Self::System { start } => Mono(u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)),
            Self::Manual(_) => self.now().mono,
        }
    }

    /// Since the clock was made: for how long something took, where milliseconds are too coarse.
    pub fn elapsed(&self) -> std::time::Duration {
        match self {
            Self::System { start } => start.elapsed(),
            Self::Manual(_) => std::time::Duration::from_millis(self.now().mono.0),
        }
    }

    /// Moves a manual clock forward; does nothing to the system's.
    pub fn advance(&self, by: std::time::Duration) {
        if let Self::Manual(time) = self {
            let ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
            time.offset_ms.fetch_add(ms, Ordering::AcqRel);
        }
    }
}
