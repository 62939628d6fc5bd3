//! Who is in the fleet, and how far each has come.
//!
//! A receipt that names nobody says: every node that still serves without asking the origin has applied the purge (P4). A
//! node does that for `max_unsynced` after the last answer that proved its log. Its heart-beat is part of the same
//! step in the store, so whoever has been silent for `max_unsynced` asks the origin, and needn't be waited for. The second that is added
//! (rulings 17) covers what lies between the store's step and our verdict: the way of the answer, and the age of its proof.
//!
//! Silence is measured on **this node's** clock, from when a beat was seen to change. By the store's clock alone, a store that jumps
//! ahead (a replica with another clock is promoted) would make everybody look dead in the moment in which it matters
//! most. Its clock counts only for nodes that this one meets for the first time. For the same reason a node that is no
//! longer listed is waited for until its time is over, unless it said that it leaves.

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
    /// On this node's clock; before its start is possible.
    alive_at: i64,
    left: bool,
    listed: bool,
}

#[derive(Debug)]
pub struct Roster {
    own: u64,
    dead_after: Duration,
    nodes: BTreeMap<u64, Known>,
    /// When the request of the last answer left.
    sent: Option<Mono>,
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

impl Roster {
    pub fn new(own: u64, dead_after: Duration) -> Self {
        Self { own, dead_after, nodes: BTreeMap::new(), sent: None }
    }

    /// After how long a silent node doesn't count.
    pub fn dead_after(&self) -> Duration {
        self.dead_after
    }

    /// When the request of the last answer left: this node's last beat that the store is known to have.
    pub fn last_answered(&self) -> Option<Mono> {
        self.sent
    }

    /// What an answer says whose request left at `sent`, with the store's time.
    pub fn take(&mut self, beats: Vec<Beat>, store_ms: u64, sent: Mono) {
        self.nodes.values_mut().for_each(|known| known.listed = false);
        for beat in beats {
            let by_store = signed(sent.0).saturating_sub(signed(store_ms.saturating_sub(beat.ms)));
            let before = self.nodes.get(&beat.node);
            // It has beaten since the last answer was made.
            let since_then = before
                .filter(|known| known.ms != beat.ms)
                .and(self.sent)
                .map_or(i64::MIN, |sent| signed(sent.0));
            let alive_at = before.map_or(i64::MIN, |known| known.alive_at).max(by_store).max(since_then);
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
        self.sent = Some(sent);
        let (dead_after, now) = (self.dead_after, sent);
        self.nodes.retain(|_, known| known.listed || !known.left && known.silent_for(now) <= dead_after);
    }

    /// Live nodes but this one: their names, and up to where they have applied the log.
    pub fn others(&self, now: Mono) -> impl Iterator<Item = (&str, PurgeId)> {
        self.nodes
            .iter()
            .filter(move |(node, known)| **node != self.own && known.is_alive(now, self.dead_after))
            .map(|(_, known)| (known.name.as_str(), known.applied))
    }

    /// For status: those that have not left.
    pub fn list(&self, now: Mono) -> Vec<Node> {
        let present = self.nodes.iter().filter(|(_, known)| !known.left);
        present
            .map(|(node, known)| Node {
                name: known.name.clone(),
                applied: known.applied,
                silent_for: known.silent_for(now),
                own: *node == self.own,
            })
            .collect()
    }
}

impl Known {
    fn silent_for(&self, now: Mono) -> Duration {
        let ms = signed(now.0).saturating_sub(self.alive_at).max(0);
        Duration::from_millis(ms.unsigned_abs())
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

    #[test]
    fn rulings_17_a_node_counts_until_it_was_silent_for_long_or_has_signed_off() {
        let mut roster = roster();
        // Two was silent for 1.9 s already when we met it, three for longer than counts.
        let beats = vec![beat(1, 5000, Some(9)), beat(2, 3100, Some(7)), beat(3, 2000, Some(7))];
        roster.take(beats, 5000, Mono(100));
        assert_eq!(names(&roster, 100), ["n2:7"]);
        assert_eq!(names(&roster, 200), ["n2:7"]);
        assert!(names(&roster, 201).is_empty());
        assert_eq!(roster.list(Mono(201)).len(), 3);
        roster.take(vec![beat(2, 5300, Some(8)), beat(3, 5310, None)], 5400, Mono(500));
        assert_eq!(names(&roster, 500), ["n2:8"]);
        assert_eq!(roster.list(Mono(500)).iter().map(|node| node.own).collect::<Vec<_>>(), [true, false]);
        roster.take(vec![beat(2, 5300, None)], 5500, Mono(600));
        assert!(names(&roster, 600).is_empty());
    }

    #[test]
    fn a_store_whose_clock_jumps_buries_nobody() {
        let mut roster = roster();
        roster.take(vec![beat(2, 5000, Some(7))], 5010, Mono(100));
        // An hour ahead, with the beats of before; then the other one beats there.
        roster.take(vec![beat(2, 5000, Some(7))], 3_605_110, Mono(200));
        assert_eq!(names(&roster, 200), ["n2:7"]);
        roster.take(vec![beat(2, 3_605_200, Some(7))], 3_605_300, Mono(400));
        assert_eq!(names(&roster, 2300), ["n2:7"]);
        // An hour back: a beat that says less is a beat.
        roster.take(vec![beat(2, 5900, Some(7))], 5900, Mono(2300));
        assert_eq!(names(&roster, 4300), ["n2:7"]);
        assert!(names(&roster, 4301).is_empty());
    }

    #[test]
    fn who_is_listed_no_more_is_waited_for_until_its_time_is_over() {
        let mut roster = roster();
        roster.take(vec![beat(2, 5000, Some(7))], 5000, Mono(100));
        roster.take(Vec::new(), 5100, Mono(200));
        assert_eq!(names(&roster, 200), ["n2:7"]);
        roster.take(Vec::new(), 7200, Mono(2300));
        assert!(roster.list(Mono(2300)).is_empty());
    }
}
