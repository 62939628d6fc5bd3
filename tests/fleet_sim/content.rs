//! What is cached and purged: few keys with few selectors, so that they meet.

use larder::purge::{Mode, Purge, Selector, Selectors, Subject, Tags};
use std::sync::OnceLock;

pub const KEYS: usize = super::oracle::KEYS;
/// What a purge of the simulation can name.
pub const WHAT: usize = 8;
const EVERYTHING: usize = 7;

pub fn names(what: usize, key: usize) -> bool {
    match what {
        0 | 1 => key % 2 == what,     // a tag
        2..=4 => key % 3 == what - 2, // another
        5 | 6 => key == what - 4,     // a URL
        _ => true,
    }
}

/// A key as the real code sees it.
pub struct Key {
    pub selectors: Selectors,
    url: String,
    tags: String,
}

impl Key {
    pub fn subject(&self) -> Subject<'_> {
        Subject {
            authority: "e",
            url: &self.url,
            tags: Some(self.tags.as_str()),
            content_type: Some("text/html"),
        }
    }
}

/// Made once, because hashing is slow in test builds.
pub fn key(key: usize) -> &'static Key {
    static ALL: OnceLock<[Key; KEYS]> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        std::array::from_fn(|key| {
            let mut tags = Tags::default();
            for what in (0..5).filter(|what| names(*what, key)) {
                tags.add(&format!("t{what}")).unwrap();
            }
            let url = format!("/{key}");
            Key { selectors: Selectors::new("http", "e", &url, None, &tags).unwrap(), url, tags: tags.raw() }
        })
    });
    &all[key]
}

/// The purge says in `who` which one it is, and so do its record and its copies.
pub fn purge(number: usize, what: usize, mode: Mode) -> Purge {
    let selector = match what {
        0..5 => Selector::tag(&format!("t{what}")),
        5 | 6 => Selector::url(&format!("http://e/{}", what - 4)).unwrap(),
        EVERYTHING => Selector::Everything,
        _ => unreachable!("nothing else is named"),
    };
    Purge { who: number.to_string(), ..Purge::new(mode, vec![selector]) }
}

pub fn number(purge: &Purge) -> Option<usize> {
    purge.who.parse().ok()
}
