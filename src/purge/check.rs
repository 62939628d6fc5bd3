//! The question asked at every use of an entry, and its short cut: an entry that was found clean at this version of
//! the log is clean.

use super::log::PurgeLog;
use super::predicate::Subject;
use super::selectors::Selectors;
use super::{Born, Mode};
use crate::time::Mono;
use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the log says about an entry, from the mildest to the strictest; of several purges the strictest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// No purge after its birth selects it.
    Clean,
    /// Expired by a soft purge. The caller asks [`Check::stale_since`] since when.
    Soft,
    /// Must be validated with the origin before it is used; stale-if-error is not allowed.
    MustValidate,
    /// Must not be used, not even for a conditional request.
    Hard,
}

impl Verdict {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Soft => "purged-soft",
            Self::MustValidate => "purged-invalidate",
            Self::Hard => "purged-hard",
        }
    }
}

impl From<Mode> for Verdict {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Soft => Self::Soft,
            Mode::Invalidate => Self::MustValidate,
            Mode::Hard => Self::Hard,
        }
    }
}

/// What an entry remembers of its checks. It belongs to one birth and one set of selectors: an entry that is new,
/// promoted from the shared tier or revived by a 304 starts with a new one.
#[derive(Debug)]
pub struct Check {
    /// The version of the log at which the entry was last found clean; `0` = never.
    checked: AtomicU64,
    /// When a soft purge was first noticed; `u64::MAX` = not yet.
    soft_since: AtomicU64,
}

impl Default for Check {
    fn default() -> Self {
        Self { checked: AtomicU64::new(0), soft_since: AtomicU64::new(u64::MAX) }
    }
}

impl Check {
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the entry may be used. One load and one comparison while nothing was purged.
    ///
    /// The version is loaded first, so that a purge applied during the check is seen by the next one; it is
    /// remembered with a clean verdict only, so that a purged entry never takes the short cut. `Relaxed` is enough for
    /// `checked`: whatever version is read from it, the entry was clean at that version.
    pub fn verify<'s>(
        &self,
        log: &PurgeLog,
        born: Born,
        selectors: impl FnOnce() -> Cow<'s, Selectors>,
        subject: impl FnOnce() -> Subject<'s>,
    ) -> Verdict {
        let version = log.version();
        let checked = self.checked.load(Ordering::Relaxed);
        if checked == version {
            return Verdict::Clean;
        }
        let verdict = log.check_since(checked, born, &selectors(), &subject());
        if verdict == Verdict::Clean {
            self.checked.store(version, Ordering::Relaxed);
        }
        verdict
    }

    /// Since when the entry is stale by a soft purge, on this node's clock: when that was first noticed. Noticing it
    /// again doesn't move the window.
    pub fn stale_since(&self, now: Mono) -> Mono {
        match self.soft_since.compare_exchange(u64::MAX, now.0, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => now,
            Err(first) => Mono(first),
        }
    }

    /// The same without noticing it: for who only looks.
    pub fn noticed_stale_since(&self) -> Option<Mono> {
        Some(self.soft_since.load(Ordering::Relaxed)).filter(|since| *since != u64::MAX).map(Mono)
    }
}

#[cfg(test)]
mod tests {
    use super::super::log::tests::{log, page, purge};
    use super::super::{Mode, Selector};
    use super::*;

    #[test]
    fn only_a_clean_verdict_is_remembered() {
        let log = log();
        let (born, selectors, check) = (log.cursor(), page(&["a"]), Check::new());
        let verify = || check.verify(&log, born, || Cow::Borrowed(&selectors), Subject::default);
        assert_eq!(verify(), Verdict::Clean);
        assert_eq!(verify(), Verdict::Clean);
        purge(&log, Mode::Soft, Selector::tag("a"));
        assert_eq!(verify(), Verdict::Soft);
        assert_eq!(verify(), Verdict::Soft);
        purge(&log, Mode::Invalidate, Selector::tag("a"));
        assert_eq!(verify(), Verdict::MustValidate);
        assert_eq!(verify(), Verdict::MustValidate);
        purge(&log, Mode::Hard, Selector::tag("other"));
        assert_eq!(verify(), Verdict::MustValidate);
        purge(&log, Mode::Hard, Selector::tag("a"));
        assert_eq!(verify(), Verdict::Hard);
        assert_eq!(verify(), Verdict::Hard);
        let born = log.cursor();
        let anew = Check::new().verify(&log, born, || Cow::Borrowed(&selectors), Subject::default);
        assert_eq!(anew, Verdict::Clean);
    }

    #[test]
    fn repeating_a_soft_purge_does_not_move_the_stale_window() {
        let check = Check::new();
        assert_eq!(check.stale_since(Mono(5)), Mono(5));
        assert_eq!(check.stale_since(Mono(9)), Mono(5));
    }
}
