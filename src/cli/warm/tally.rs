//! What became of the URLs, counted, and the table that says it.

use std::collections::BTreeMap;
use std::fmt;

/// URLs that are named of those that failed or could not be stored.
const NAMED: usize = 20;

/// What became of one URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    Stored,
    /// It was stored and fresh already.
    Fresh,
    /// It was stored, and served though its lifetime is over.
    Stale(String),
    NotCacheable(String),
    Failed(String),
}

#[derive(Debug, Default)]
pub struct Tally {
    stored: u64,
    fresh: u64,
    stale: BTreeMap<String, u64>,
    not_cacheable: BTreeMap<String, u64>,
    failed: BTreeMap<String, u64>,
    named: Vec<(String, String)>,
    /// Not tried, because somebody interrupted.
    pub left: usize,
    /// Begun when somebody interrupted, and not waited for any longer.
    pub cut_off: usize,
}

impl Tally {
    pub fn add(&mut self, url: &str, fate: Fate) {
        match fate {
            Fate::Stored => self.stored += 1,
            Fate::Fresh => self.fresh += 1,
            Fate::Stale(why) => *self.stale.entry(why).or_default() += 1,
            Fate::NotCacheable(why) => *self.not_cacheable.entry(why).or_default() += 1,
            Fate::Failed(why) => {
                if self.named.len() < NAMED {
                    self.named.push((url.to_owned(), why.clone()));
                }
                *self.failed.entry(why).or_default() += 1;
            }
        }
    }

    pub fn failed(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Beside the progress bar.
    pub fn in_a_word(&self) -> String {
        match self.failed() {
            0 => String::new(),
            failed => format!("{failed} failed"),
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>9}  stored", self.stored)?;
        write!(f, "{:>9}  already fresh", self.fresh)?;
        for (why, count) in &self.stale {
            write!(f, "\n{count:>9}  served stale: {why}")?;
        }
        for (why, count) in &self.not_cacheable {
            write!(f, "\n{count:>9}  not cacheable: {why}")?;
        }
        for (why, count) in &self.failed {
            write!(f, "\n{count:>9}  failed: {why}")?;
        }
        if self.cut_off > 0 {
            write!(f, "\n{:>9}  cut off by the interrupt", self.cut_off)?;
        }
        if self.left > 0 {
            write!(f, "\n{:>9}  not tried", self.left)?;
        }
        for (url, why) in &self.named {
            write!(f, "\n  {url}: {why}")?;
        }
        let unnamed = self.failed().saturating_sub(self.named.len() as u64);
        if unnamed > 0 {
            write!(f, "\n  and {unnamed} more")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_and_why() {
        let mut tally = Tally::default();
        for fate in [Fate::Stored, Fate::Stored, Fate::Fresh, Fate::NotCacheable("set-cookie".into())] {
            tally.add("http://h/x", fate);
        }
        for n in 0..25 {
            tally.add(&format!("http://h/{n}"), Fate::Failed("status 404".into()));
        }
        tally.left = 3;
        let text = tally.to_string();
        assert!(text.starts_with("        2  stored\n        1  already fresh\n        1  not cacheable: set-cookie\n       25  failed: status 404\n        3  not tried\n  http://h/0: status 404\n"));
        assert!(text.ends_with("\n  and 5 more"));
    }
}
