//! Who is in the fleet, and how far each has come.
//!
//! A receipt that names nobody says: every node that still serves without asking the origin has applied the purge (P4). A
//! node does that for `max_unsynced` after the last answer that proved its log. Its heart-beat is part of the same
//! step in the store, so whoever has been silent for `max_unsynced` asks the origin, and needn't be waited for. The second that is added
//! (rulings 17) covers what lies between the store's step and our verdict: the way of the answer, and the age of its proof.
//!
//! Silence is measured on **this node's** clock, from when a beat was seen to change, and not by the store's clock: it may jump ahead (a
//! replica with another clock is promoted), and everybody would look dead in the moment in which it matters most. A node that
//! this one meets for the first time counts from then; so a node that has just started waits for those that died before, once.
//! The store's clock only decides when it forgets a node, a minute or more after its last beat; and a node that is no
//! longer listed is waited for until its time is over, unless it said that it leaves.
//!
//! A list that was lost (`FLUSHALL`, a restart, eviction) may have named nodes that this one never heard of, and that are cut off since
//! but still serve. Whoever notices that the list is another one knows nobody for sure until their time is over. A
//! node that first meets the store after the loss can't notice: it would have to mistrust every list that is young, also
//! that of a fleet that starts for the first time. So this much of P4 is open: the store loses everything, a node is cut off in the
//! same moment, and another one joins and is asked for a receipt, all within `max_unsynced`.

use super::Node;
use super::answer::Beat;
use crate::purge::PurgeId;
use crate::time::Mono;
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Debug)]
struct Known {
    name: String,
    applied: PurgeId,
    /// What its last beat said of the time: another value is another beat, whichever is greater.
    ms: u64,
    /// On this node's clock.
    alive_at: Mono,
    left: bool,
    listed: bool,
}

#[derive(Debug)]
pub struct Roster {
    own: u64,
    dead_after: Duration,
    nodes: BTreeMap<u64, Known>,
    /// Which list it is.
    since: Option<String>,
    /// Before this, nodes that we don't know may be alive.
    complete_at: Mono,
    answered: Option<Mono>,
}

impl Roster {
    pub fn new(own: u64, dead_after: Duration) -> Self {
        Self { own, dead_after, nodes: BTreeMap::new(), since: None, complete_at: Mono(0), answered: None }
    }

    /// After how long a silent node doesn't count.
    pub fn dead_after(&self) -> Duration {
        self.dead_after
    }

    /// When the request of the last answer left: this node's last beat that the store is known to have.
    pub fn last_answered(&self) -> Option<Mono> {
        self.answered
    }

    /// The store has lost data: by an answer that came now.
    pub fn lost(&mut self, now: Mono) {
        self.complete_at = now.after(self.dead_after);
    }

    /// Whether every live node is known.
    pub fn is_complete(&self, now: Mono) -> bool {
        now >= self.complete_at
    }

    /// What an answer says whose request left at `sent` and which came at `received`, and the name of the list. The store may have
    /// answered at any time between the two: whoever has beaten is taken to have done so at the end.
    pub fn take(&mut self, beats: Vec<Beat>, since: String, sent: Mono, received: Mono) {
        if self.since.as_ref().is_some_and(|before| *before != since) {
            self.lost(received);
        }
        self.since = Some(since);
        self.answered = Some(sent);
        self.nodes.values_mut().for_each(|known| known.listed = false);
        for beat in beats {
            let alive_at = match self.nodes.get(&beat.node) {
                Some(known) if known.ms == beat.ms => known.alive_at,
                // It has beaten since the last answer was made, perhaps a moment ago; and of one that is new to us nobody knows when.
                _ => received,
            };
            let known = Known {
                name: beat.name,
                applied: beat.applied.unwrap_or(PurgeId::ZERO),
                ms: beat.ms,
                alive_at,
                left: beat.applied.is_none(),
                listed: true,
            };
            self.nodes.insert(beat.node, known);
        }
        let (dead_after, now) = (self.dead_after, received);
        self.nodes.retain(|_, known| known.listed || !known.left && known.silent_for(now) <= dead_after);
    }

    /// Its name; with some of its number where several have the same, as when one configuration names all nodes.
    fn called(&self, node: u64, known: &Known) -> String {
        let namesakes = self.nodes.values().filter(|other| !other.left && other.name == known.name);
        match namesakes.count() {
            0 | 1 => known.name.clone(),
            _ => format!("{}#{:04x}", known.name, node & 0xffff),
        }
    }

    /// Live nodes but this one: their names, and up to where they have applied the log.
    pub fn others(&self, now: Mono) -> impl Iterator<Item = (String, PurgeId)> {
        self.nodes
            .iter()
            .filter(move |(node, known)| **node != self.own && known.is_alive(now, self.dead_after))
            .map(|(node, known)| (self.called(*node, known), known.applied))
    }

    /// For status: those that have not left.
    pub fn list(&self, now: Mono) -> Vec<Node> {
        let present = self.nodes.iter().filter(|(_, known)| !known.left);
        present
            .map(|(node, known)| Node {
                name: self.called(*node, known),
                applied: known.applied,
                silent_for: known.silent_for(now),
                own: *node == self.own,
            })
            .collect()
    }
}

impl Known {
    fn silent_for(&self, now: Mono) -> Duration {
        now.since(self.alive_at)
    }

    fn is_alive(&self, now: Mono, dead_after: Duration) -> bool {
        !self.left && self.silent_for(now) <= dead_after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(node: u64, ms: u64, applied: Option<u64>) -> Beat {
        Beat { node, ms, applied: applied.map(PurgeId), name: format!("n{node}") }
    }

    fn names(roster: &Roster, now: u64) -> Vec<String> {
        roster.others(Mono(now)).map(|(name, applied)| format!("{name}:{}", applied.0)).collect()
    }

    fn roster() -> Roster {
        Roster::new(1, Duration::from_secs(2))
    }

    fn take(roster: &mut Roster, sent: u64, beats: &[Beat]) {
        roster.take(beats.to_vec(), "x".to_owned(), Mono(sent), Mono(sent));
    }

    #[test]
    fn rulings_17_a_node_counts_until_it_was_silent_for_long_or_has_signed_off() {
        let mut roster = roster();
        take(&mut roster, 100, &[beat(1, 5000, Some(9)), beat(2, 3100, Some(7)), beat(3, 2000, Some(7))]);
        assert_eq!(names(&roster, 2100), ["n2:7", "n3:7"], "both are new to us");
        assert!(names(&roster, 2101).is_empty());
        assert_eq!(roster.list(Mono(2101)).len(), 3);
        take(&mut roster, 500, &[beat(2, 5300, Some(8)), beat(3, 5310, None)]);
        assert_eq!(names(&roster, 500), ["n2:8"]);
        assert_eq!(roster.list(Mono(500)).iter().map(|node| node.own).collect::<Vec<_>>(), [true, false]);
        take(&mut roster, 600, &[beat(2, 5300, None)]);
        assert!(names(&roster, 600).is_empty());
    }

    #[test]
    fn p4_whatever_the_clock_of_the_store_says_only_silence_counts() {
        let mut roster = roster();
        take(&mut roster, 100, &[beat(2, 5000, Some(7))]);
        take(&mut roster, 200, &[beat(2, 5000, Some(7))]);
        assert_eq!(names(&roster, 2100), ["n2:7"]);
        assert!(names(&roster, 2101).is_empty());
        // An hour ahead, an hour back: another beat is another beat, and may have come just before the answer was made.
        for (sent, ms) in [(2300, 3_605_200), (4500, 5900)] {
            take(&mut roster, sent, &[beat(2, ms, Some(7))]);
            assert_eq!(names(&roster, sent + 2000), ["n2:7"]);
            assert!(names(&roster, sent + 2001).is_empty());
        }
    }

    #[test]
    fn p4_a_list_that_was_lost_is_not_believed_until_the_time_of_those_it_named_is_over() {
        let mut roster = roster();
        roster.take(Vec::new(), "x".to_owned(), Mono(100), Mono(100));
        assert!(roster.is_complete(Mono(100)));
        roster.take(Vec::new(), "y".to_owned(), Mono(200), Mono(200));
        assert!(!roster.is_complete(Mono(2199)));
        roster.take(Vec::new(), "y".to_owned(), Mono(300), Mono(300));
        assert!(roster.is_complete(Mono(2200)));
    }

    /// An answer may be seconds on its way, when the store has just been lost and found again.
    #[test]
    fn p4_a_beat_is_as_late_as_the_answer_that_tells_of_it() {
        let mut roster = roster();
        roster.take(vec![beat(2, 5000, Some(7))], "x".to_owned(), Mono(100), Mono(3000));
        assert_eq!(names(&roster, 5000), ["n2:7"]);
        assert!(names(&roster, 5001).is_empty());
    }

    #[test]
    fn nodes_of_one_name_are_told_apart() {
        let mut roster = roster();
        let named = |node, name: &str| Beat { name: name.to_owned(), ..beat(node, 5000, Some(7)) };
        take(&mut roster, 100, &[named(1, "edge"), named(0xab_0002, "edge"), named(3, "fra1")]);
        assert_eq!(names(&roster, 100), ["fra1:7", "edge#0002:7"]);
        let listed: Vec<String> = roster.list(Mono(100)).into_iter().map(|node| node.name).collect();
        assert_eq!(listed, ["edge#0001", "fra1", "edge#0002"]);
    }

    #[test]
    fn who_is_listed_no_more_is_waited_for_until_its_time_is_over() {
        let mut roster = roster();
        take(&mut roster, 100, &[beat(2, 5000, Some(7))]);
        take(&mut roster, 200, &[]);
        assert_eq!(names(&roster, 200), ["n2:7"]);
        take(&mut roster, 2300, &[]);
        assert!(roster.list(Mono(2300)).is_empty());
    }
}
