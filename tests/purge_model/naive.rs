//! Designs that are in use elsewhere, and don't hold.

use crate::oracle::{KEYS, NODES};
use crate::store::Link;
use crate::world::{Design, Entry, Surroundings, names};
use larder::purge::{Mode, Verdict};

/// A purge deletes the entries here and in the shared tier, and tells the other nodes to do the same.
#[derive(Default)]
pub struct DeleteKeys;

impl DeleteKeys {
    fn delete(at: &mut Surroundings<()>, from: usize, number: usize) {
        let named = at.oracle.purges[number].names;
        for node in 0..NODES {
            // Messages to whoever isn't listening are gone.
            if node == from || (at.links[node] == Link::Up && at.links[from] == Link::Up) {
                at.oracle.applied(node, number, at.now);
                (0..KEYS).filter(|key| named[*key]).for_each(|key| at.memory[node][key] = None);
            }
        }
        if at.links[from] == Link::Up {
            (0..KEYS).filter(|key| named[*key]).for_each(|key| at.shared[key] = None);
        }
    }
}

impl Design for DeleteKeys {
    type Birth = ();

    fn start(&mut self, _: usize) {}
    fn birth(&self, _: usize, _: u64) {}
    fn check(&self, _: usize, _: &Entry<()>) -> Verdict {
        Verdict::Clean
    }
    fn check_flight(&self, _: usize, _: usize, (): (), _: bool) -> Verdict {
        Verdict::Clean
    }
    fn check_shared(&self, _: usize, _: usize, (): ()) -> Verdict {
        Verdict::Clean
    }
    fn promoted((): ()) {}
    fn is_synced(&self, _: usize, _: u64) -> bool {
        true
    }
    fn purge(&mut self, at: &mut Surroundings<()>, node: usize, number: usize, _: usize, _: Mode) {
        Self::delete(at, node, number);
    }
    fn write(&mut self, at: &mut Surroundings<()>, node: usize, number: usize, _: usize, _: Option<()>) {
        Self::delete(at, node, number);
    }
    fn read(&mut self, _: &mut Surroundings<()>, _: usize) {}
    fn append(&mut self, _: &mut Surroundings<()>, _: usize) {}
    fn later((): (), (): ()) {}
}

/// A reliable log, read in full by every node; but births and purges are times of the node's own clock.
#[derive(Default)]
pub struct LocalClocks {
    /// What each node's clock is ahead.
    ahead: Vec<u64>,
    /// Time, number, and what is named.
    log: Vec<(u64, usize, Mode, [bool; KEYS])>,
    read: Vec<usize>,
}

impl LocalClocks {
    fn verdict(&self, node: usize, key: usize, born: u64) -> Verdict {
        let seen = self.log.iter().take(self.read[node]);
        let after = seen.filter(|(time, _, _, named)| named[key] && *time >= born);
        after.map(|(_, _, mode, _)| Verdict::from(*mode)).max().unwrap_or(Verdict::Clean)
    }

    fn log(&mut self, at: &mut Surroundings<u64>, node: usize, number: usize, mode: Mode) {
        self.log.push((at.now + self.ahead[node], number, mode, at.oracle.purges[number].names));
        self.read(at, node);
    }
}

impl Design for LocalClocks {
    type Birth = u64;

    fn start(&mut self, node: usize) {
        if self.ahead.len() <= node {
            self.ahead.push(node as u64 * 15);
            self.read.push(0);
        }
    }
    fn birth(&self, node: usize, now: u64) -> u64 {
        now + self.ahead[node]
    }
    fn check(&self, node: usize, entry: &Entry<u64>) -> Verdict {
        self.verdict(node, entry.key, entry.born)
    }
    fn check_flight(&self, node: usize, key: usize, born: u64, _: bool) -> Verdict {
        self.verdict(node, key, born)
    }
    fn check_shared(&self, node: usize, key: usize, born: u64) -> Verdict {
        self.verdict(node, key, born)
    }
    fn promoted(born: u64) -> u64 {
        born
    }
    fn is_synced(&self, _: usize, _: u64) -> bool {
        true
    }
    fn purge(&mut self, at: &mut Surroundings<u64>, node: usize, number: usize, what: usize, mode: Mode) {
        debug_assert!((0..KEYS).all(|key| names(what, key) == at.oracle.purges[number].names[key]));
        self.log(at, node, number, mode);
    }
    fn write(&mut self, at: &mut Surroundings<u64>, node: usize, number: usize, _: usize, _: Option<u64>) {
        self.log(at, node, number, Mode::Invalidate);
    }
    fn read(&mut self, at: &mut Surroundings<u64>, node: usize) {
        for (_, number, ..) in &self.log[self.read[node]..] {
            at.oracle.applied(node, *number, at.now);
        }
        self.read[node] = self.log.len();
    }
    fn append(&mut self, _: &mut Surroundings<u64>, _: usize) {}
    fn later(a: u64, b: u64) -> u64 {
        a.max(b)
    }
}
