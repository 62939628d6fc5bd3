//! How forgetting stays safe: one position per mode, before which everything counts as purged in that mode.

use super::check::Verdict;
use super::{Mode, PurgeId};
use std::sync::atomic::{AtomicU64, Ordering};

/// One value for each mode.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PerMode<T> {
    pub soft: T,
    pub invalidate: T,
    pub hard: T,
}

impl<T> PerMode<T> {
    pub fn get(&self, mode: Mode) -> &T {
        match mode {
            Mode::Soft => &self.soft,
            Mode::Invalidate => &self.invalidate,
            Mode::Hard => &self.hard,
        }
    }

    pub fn get_mut(&mut self, mode: Mode) -> &mut T {
        match mode {
            Mode::Soft => &mut self.soft,
            Mode::Invalidate => &mut self.invalidate,
            Mode::Hard => &mut self.hard,
        }
    }
}

/// The floors of a log. They only rise.
#[derive(Debug, Default)]
pub(super) struct Floors(PerMode<AtomicU64>);

impl Floors {
    pub fn raise(&self, mode: Mode, to: PurgeId) {
        self.0.get(mode).fetch_max(to.0, Ordering::Release);
    }

    pub fn raise_all(&self, to: PurgeId) {
        Mode::ALL.into_iter().for_each(|mode| self.raise(mode, to));
    }

    pub fn get(&self, mode: Mode) -> PurgeId {
        PurgeId(self.0.get(mode).load(Ordering::Acquire))
    }

    pub fn verdict(&self, born: PurgeId) -> Verdict {
        Mode::ALL.into_iter().rev().find(|mode| born < self.get(*mode)).map_or(Verdict::Clean, Verdict::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_born_at_the_floor_is_above_it() {
        let floors = Floors::default();
        floors.raise(Mode::Soft, PurgeId(9));
        floors.raise(Mode::Invalidate, PurgeId(6));
        floors.raise(Mode::Hard, PurgeId(3));
        floors.raise(Mode::Hard, PurgeId(2));
        let verdicts: Vec<_> = [2, 3, 5, 6, 8, 9].map(|born| floors.verdict(PurgeId(born))).into();
        use Verdict::{Clean, Hard, MustValidate, Soft};
        assert_eq!(verdicts, [Hard, MustValidate, MustValidate, Soft, Soft, Clean]);
    }
}
