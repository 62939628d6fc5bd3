//! The snapshots of the last minutes, and what follows from two of them: rates, shares, quantiles. The server's counters only
//! rise; when they fall, another process has begun to count, and what came before is forgotten. As the dashboard does it.

use super::status::Status;
use crate::observe::samples::Buckets;
use std::collections::VecDeque;
use std::sync::Arc;

/// Seconds that are remembered.
const WINDOW: f64 = 310.0;

/// Snapshots, where they come faster than once a second.
const MOST: usize = 400;

/// Seconds of one cell of a chart.
pub const STEP: f64 = 3.0;

/// Steps without a snapshot, after which a chart shows a gap.
const GAP: u64 = 3;

/// Milliseconds, as far as they are known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Took {
    /// Within the first bucket, whose bound this is.
    AtMost(f64),
    About(f64),
    /// Beyond the last bound.
    AtLeast(f64),
}

/// See the head of this file.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The oldest first.
    samples: VecDeque<Arc<Status>>,
}

impl History {
    pub fn push(&mut self, status: Status) {
        if let Some(last) = self.samples.back() {
            if status.at_s < last.at_s || status.requests_total < last.requests_total {
                self.samples.clear();
            } else if status.at_s <= last.at_s {
                self.samples.pop_back();
            }
        }
        let from = status.at_s - WINDOW;
        self.samples.push_back(Arc::new(status));
        while self.samples.len() > MOST || self.samples.front().is_some_and(|oldest| oldest.at_s < from) {
            self.samples.pop_front();
        }
    }

    pub fn last(&self) -> Option<&Status> {
        self.samples.back().map(AsRef::as_ref)
    }

    /// The newest, and the newest that is at least so many seconds older, or the oldest there is. `None` where there are no two.
    fn two(&self, seconds: f64) -> Option<(&Status, &Status)> {
        let last = self.last()?;
        let mut older = self.samples.iter().rev().skip(1);
        let from = older.find(|sample| sample.at_s <= last.at_s - seconds).or(self.samples.front())?;
        (from.at_s < last.at_s).then_some((from.as_ref(), last))
    }

    /// How much a counter grew in the last seconds, per second.
    pub fn rate(&self, seconds: f64, read: impl Fn(&Status) -> u64) -> Option<f64> {
        let (from, to) = self.two(seconds)?;
        Some(difference(read(from), read(to)) / (to.at_s - from.at_s))
    }

    /// One counter's growth as a share of another's. `None` where that did not grow.
    pub fn share(
        &self,
        seconds: f64,
        part: impl Fn(&Status) -> u64,
        all: impl Fn(&Status) -> u64,
    ) -> Option<f64> {
        let (from, to) = self.two(seconds)?;
        share(difference(part(from), part(to)), difference(all(from), all(to)))
    }

    /// The quantile of what came into these buckets in the last seconds.
    pub fn quantile(&self, seconds: f64, of: f64, read: impl Fn(&Status) -> Vec<u64>) -> Option<Took> {
        let (from, to) = self.two(seconds)?;
        quantile(from, to, of, read)
    }

    /// What `between` says of neighbours, one value per [`STEP`], the newest first; `None` where nothing is known.
    pub fn series(
        &self,
        cells: usize,
        between: impl Fn(&Status, &Status) -> Option<f64>,
    ) -> Vec<Option<f64>> {
        let mut steps: Vec<(u64, &Status)> = Vec::new();
        for sample in &self.samples {
            let step = step_of(sample);
            match steps.last_mut() {
                Some(last) if last.0 == step => last.1 = sample,
                _ => steps.push((step, sample)),
            }
        }
        let Some((newest, _)) = steps.last().copied() else { return Vec::new() };
        let mut values = Vec::new();
        let mut at = steps.len() - 1;
        for step in (0..=newest).rev().take(cells) {
            let Some((_, to)) = steps.get(at).filter(|(known, _)| *known == step) else {
                values.push(None);
                continue;
            };
            let Some((before, from)) = at.checked_sub(1).and_then(|older| steps.get(older)) else { break };
            values.push(if step - before > GAP { None } else { between(from, to) });
            at -= 1;
        }
        values
    }

    /// A counter's growth per second, as a series.
    pub fn rates(&self, cells: usize, read: impl Fn(&Status) -> u64) -> Vec<Option<f64>> {
        self.series(cells, |from, to| Some(difference(read(from), read(to)) / (to.at_s - from.at_s)))
    }

    /// One counter's growth as a share of another's, as a series.
    pub fn shares(
        &self,
        cells: usize,
        part: impl Fn(&Status) -> u64,
        all: impl Fn(&Status) -> u64,
    ) -> Vec<Option<f64>> {
        self.series(cells, |from, to| share(difference(part(from), part(to)), difference(all(from), all(to))))
    }

    /// Milliseconds, as a series.
    pub fn quantiles(&self, cells: usize, of: f64, read: impl Fn(&Status) -> Vec<u64>) -> Vec<Option<f64>> {
        self.series(cells, |from, to| {
            quantile(from, to, of, &read).map(|took| match took {
                Took::AtMost(ms) | Took::About(ms) | Took::AtLeast(ms) => ms,
            })
        })
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // seconds of a process's life
fn step_of(status: &Status) -> u64 {
    (status.at_s / STEP).max(0.0) as u64
}

#[allow(clippy::cast_precision_loss)] // for people
fn difference(from: u64, to: u64) -> f64 {
    to.saturating_sub(from) as f64
}

fn share(part: f64, all: f64) -> Option<f64> {
    (all > 0.0).then(|| (part / all).clamp(0.0, 1.0))
}

fn quantile(from: &Status, to: &Status, of: f64, read: impl Fn(&Status) -> Vec<u64>) -> Option<Took> {
    let bounds = to.latency.bounds_ms.iter().map(|bound| bound.unwrap_or(f64::INFINITY));
    let (before, now) = (read(from), read(to));
    let grown =
        now.iter().enumerate().map(|(at, count)| count.saturating_sub(before.get(at).copied().unwrap_or(0)));
    let buckets = Buckets { counts: bounds.zip(grown).collect() };
    let ms = buckets.quantile(of)?;
    let finite = || buckets.counts.iter().map(|(bound, _)| *bound).filter(|bound| bound.is_finite());
    Some(match ms {
        ms if finite().next().is_some_and(|first| ms <= first) => Took::AtMost(ms),
        ms if finite().next_back().is_some_and(|last| ms >= last) => Took::AtLeast(ms),
        ms => Took::About(ms),
    })
}

#[cfg(test)]
mod tests {
    use super::super::view::tests::status;
    use super::*;

    fn of(seconds: impl IntoIterator<Item = u64>) -> History {
        let mut history = History::default();
        for second in seconds {
            history.push(status(second));
        }
        history
    }

    fn total(status: &Status) -> u64 {
        status.requests_total
    }

    #[test]
    fn rates_are_taken_over_the_last_seconds_or_what_there_is_of_them() {
        assert_eq!(History::default().rate(5.0, total), None);
        assert_eq!(of([7]).rate(5.0, total), None, "one snapshot has no rate");
        let counted = |from: u64, to: u64| difference(total(&status(from)), total(&status(to)));
        assert_eq!(of(0..=60).rate(5.0, total), Some(counted(55, 60) / 5.0));
        assert_eq!(of(58..=60).rate(5.0, total), Some(counted(58, 60) / 2.0));
        assert_eq!(of([60, 60]).rate(5.0, total), None, "the same moment twice");
    }

    #[test]
    fn another_process_counts_anew() {
        let mut history = of(0..=60);
        history.push(status(3));
        assert_eq!(history.rate(5.0, total), None);
        assert_eq!(history.last().unwrap().at_s, status(3).at_s);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        assert!(of(0..2000).samples.len() <= 311);
        let mut fast = History::default();
        for at in 0..2000 {
            let mut status = status(1);
            status.at_s += f64::from(at) * 0.001;
            fast.push(status);
        }
        assert_eq!(fast.samples.len(), MOST);
    }

    #[test]
    fn a_series_has_a_value_per_step_and_gaps_where_nothing_was_heard() {
        let history = of((0..=30).chain(60..=66));
        let rates = history.rates(100, |status| {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let seconds = status.at_s as u64;
            seconds * 10
        });
        assert_eq!(rates.first(), Some(&Some(10.0)));
        assert!(rates[3..12].iter().all(Option::is_none), "{rates:?}");
        assert!(rates[13..].iter().all(|rate| *rate == Some(10.0)), "{rates:?}");
        assert_eq!(rates.len(), 22, "the first step has nothing before it");
        assert_eq!(history.rates(4, total).len(), 4);
        assert!(History::default().rates(4, total).is_empty());
    }

    #[test]
    fn quantiles_claim_no_more_than_is_known() {
        let with = |second: u64, buckets: [u64; 4]| {
            let mut status = status(second);
            status.latency.bounds_ms = vec![Some(1.0), Some(2.0), Some(4.0), None];
            status.latency.outcomes.clear();
            status.latency.outcomes.entry("hit".to_owned()).or_default().buckets = buckets.to_vec();
            status
        };
        let mut history = History::default();
        history.push(with(1, [5, 5, 5, 5]));
        history.push(with(2, [15, 15, 5, 15]));
        let quantile = |of| history.quantile(60.0, of, Status::buckets);
        assert_eq!(quantile(0.1), Some(Took::AtMost(1.0)));
        assert_eq!(quantile(0.5), Some(Took::About(1.5)));
        assert_eq!(quantile(0.99), Some(Took::AtLeast(4.0)));
        assert_eq!(history.quantile(60.0, 0.5, |status| status.buckets_of("miss")), None);
    }
}
