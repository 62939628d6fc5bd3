//! Which pages and tags are asked for most. One request in 64 is looked at, after its answer; the others pay for
//! a number that is counted down. Queries are left out: they may hold secrets, and would part what belongs together.

use crate::observe::top::Sketch;
use crate::purge::{SelectorHash, Selectors};
use crate::time::Mono;
use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError};

/// One request in so many is looked at, on average.
pub const ONE_IN: u32 = 64;

/// Pages, and tags, that are counted.
const COUNTED: usize = 1000;

/// Characters of a page's address; what is longer is cut.
const LONGEST: usize = 300;

/// See the head of this file.
#[derive(Debug)]
pub struct Popular {
    pages: Mutex<Sketch<Arc<str>>>,
    tags: Mutex<Sketch<SelectorHash>>,
}

impl Default for Popular {
    fn default() -> Self {
        Self { pages: Mutex::new(Sketch::new(COUNTED)), tags: Mutex::new(Sketch::new(COUNTED)) }
    }
}

/// Whether this request is one that is looked at. The distance to the next varies, so that no rhythm of requests can hide
/// from it.
pub fn is_due() -> bool {
    thread_local! {
        static LEFT: Cell<u32> = const { Cell::new(0) };
    }
    LEFT.with(|left| {
        let due = left.get() == 0;
        left.set(if due { fastrand::u32(0..2 * ONE_IN - 1) } else { left.get() - 1 });
        due
    })
}

impl Popular {
    /// A request that was answered. `url` is path and query. Where another thread is at it, this one goes uncounted
    /// rather than wait.
    pub fn note(&self, authority: &str, url: &str, carried: Option<&Selectors>, now: Mono) {
        let path = url.split('?').next().unwrap_or_default();
        let page: String = authority.chars().chain(path.chars()).take(LONGEST).collect();
        if let Ok(mut pages) = self.pages.try_lock() {
            pages.note(page.into(), now);
        }
        let Some(carried) = carried.map(Selectors::explicit).filter(|tags| !tags.is_empty()) else { return };
        if let Ok(mut tags) = self.tags.try_lock() {
            carried.iter().for_each(|tag| tags.note(*tag, now));
        }
    }

    /// `host/path`, each with its share of the requests.
    pub fn pages(&self, most: usize, now: Mono) -> Vec<(Arc<str>, f64)> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner).top(most, now)
    }

    /// Tags, each with its share of all tags of the requests' answers.
    pub fn tags(&self, most: usize, now: Mono) -> Vec<(SelectorHash, f64)> {
        self.tags.lock().unwrap_or_else(PoisonError::into_inner).top(most, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_counted_without_their_query_and_no_longer_than_a_line() {
        let popular = Popular::default();
        popular.note("h", "/x?token=secret", None, Mono(0));
        popular.note("h", "/x", None, Mono(0));
        popular.note("h", &format!("/{}", "é".repeat(1000)), None, Mono(0));
        let pages = popular.pages(9, Mono(0));
        assert_eq!(&*pages[0].0, "h/x");
        assert_eq!(pages[1].0.chars().count(), LONGEST);
        assert!(popular.tags(9, Mono(0)).is_empty());
    }

    #[test]
    fn one_request_in_64_is_looked_at() {
        let due = std::thread::spawn(|| (0..640_000).filter(|_| is_due()).count()).join().unwrap();
        assert!((9_500..10_500).contains(&due), "{due}");
    }
}
