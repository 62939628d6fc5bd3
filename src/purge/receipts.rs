//! The recent purges, for `GET /purges` and the dashboard: data only. Purges that somebody asked for; invalidations by
//! unsafe methods would push them out.

use super::log::At;
use super::{Mode, Purge, PurgeId};
use crate::time::Wall;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Characters of [`Receipt::summary`] and [`Receipt::who`].
const MAX_TEXT: usize = 200;

/// One purge as this node applied it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Where it stands; a purge that waits for the store has no id yet.
    pub at: At,
    /// Under which number it was pending on this node, if it was.
    pub seq: Option<u64>,
    pub mode: Mode,
    /// How many selectors and predicates it had.
    pub selectors: usize,
    /// The first selector, and how many more.
    pub summary: String,
    pub who: String,
    pub when: Wall,
    /// Stored variants that it selected in this node's memory; `None` until counted.
    pub matched: Option<Matched>,
}

/// `exact` is false where counting stopped at its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matched {
    pub count: u64,
    pub exact: bool,
}

impl Receipt {
    pub(super) fn new(at: At, purge: &Purge, when: Wall) -> Self {
        let first = match (purge.selectors.first(), purge.predicates.first()) {
            (Some(selector), _) => selector.to_string(),
            (None, Some(_)) => "pattern".to_owned(),
            (None, None) => "nothing".to_owned(),
        };
        let mut summary = clip(&first);
        if purge.size() > 1 {
            summary.push_str(&format!(" and {} more", purge.size() - 1));
        }
        Self {
            at,
            seq: match at {
                At::Pending(seq) => Some(seq),
                At::Logged(_) => None,
            },
            mode: purge.mode,
            selectors: purge.size(),
            summary,
            who: clip(&purge.who),
            when,
            matched: None,
        }
    }
}

fn clip(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

/// The newest receipts.
#[derive(Debug)]
pub(super) struct Receipts {
    ring: Mutex<VecDeque<Receipt>>,
    cap: usize,
}

impl Receipts {
    pub fn new(cap: usize) -> Self {
        Self { ring: Mutex::default(), cap }
    }

    pub fn push(&self, receipt: Receipt) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        if ring.len() >= self.cap {
            ring.pop_front();
        }
        ring.push_back(receipt);
    }

    /// A purge that waited has its place in the log now. False if its receipt is gone.
    pub fn logged(&self, seq: u64, id: PurgeId) -> bool {
        self.update(At::Pending(seq), |receipt| receipt.at = At::Logged(id))
    }

    pub fn matched(&self, at: At, matched: Matched) -> bool {
        self.update(at, |receipt| receipt.matched = Some(matched))
    }

    /// Newest first.
    pub fn recent(&self, limit: usize) -> Vec<Receipt> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.iter().rev().take(limit).cloned().collect()
    }

    fn update(&self, at: At, change: impl FnOnce(&mut Receipt)) -> bool {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |receipt: &&mut Receipt| match at {
            At::Pending(seq) => receipt.seq == Some(seq),
            At::Logged(_) => receipt.at == at,
        };
        ring.iter_mut().rev().find(is_it).map(change).is_some()
    }
}
