//! Whether a server that answers is still the one that everybody writes to, and since when that is certain (rulings 18).
//!
//! A master without replicas can't have been replaced: its own answer proves itself, from the moment the request left. A
//! master with replicas may have been cut off, and one of them promoted; it doesn't know, and goes on answering. But the
//! replica that was promoted has stopped acknowledging. So each node writes a number to the store now and then, and has `WAIT`
//! follow it to a replica. An acknowledged number that was sent at T proves of every server that *has* the number: what stood in
//! the log before T, and was not lost, stands in the log of this server. For on the master that took the number, all of it stood before the
//! number; and whoever was promoted later, and has the number, has what stood before it. That the server has the
//! number is part of each answer, since answers and acknowledgements come by different connections, which may lead to
//! different servers.
//!
//! With several replicas one of them suffices, as ruled. An old master that keeps one replica on its side of a cut
//! proves itself wrongly, until it is reached by whoever replaced it: P2 holds while the store has one writable master.
//!
//! A master that *had* replicas and has none is the same case again: perhaps its last one was promoted a moment ago. Its word alone
//! doesn't count for [`ALONE_AFTER`], in which sentinels or a cluster turn such a master into a replica. A server that
//! was just promoted has another history, and counts at once.

use super::answer::Standing;
use crate::time::Mono;
use std::collections::VecDeque;
use std::time::Duration;

/// How long a master that has lost its replicas proves nothing.
pub const ALONE_AFTER: Duration = Duration::from_secs(30);

/// Histories that are remembered.
const HISTORIES: usize = 16;

#[derive(Debug, Default)]
pub struct Proof {
    /// The last number that a replica has acknowledged, and when it was sent.
    acknowledged: Option<(u64, Mono)>,
    /// Histories that had replicas less than [`ALONE_AFTER`] ago, and when they last had. Several: whoever goes to and fro between an old
    /// master and its successor must not forget the one for the other.
    replicated: VecDeque<(String, Mono)>,
    wanted: bool,
}

impl Proof {
    /// A replica has this number, sent then.
    pub fn acknowledge(&mut self, number: u64, sent: Mono) {
        if self.acknowledged.is_none_or(|(last, _)| last < number) {
            self.acknowledged = Some((number, sent));
        }
    }

    /// Whether acknowledgements are needed, by the last answer.
    pub fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// Since when this answer proves the end of the log: its request was sent then, its server says this of itself and has this number.
    pub fn of(&mut self, standing: &Standing, number: u64, sent: Mono) -> Option<Mono> {
        self.replicated.retain(|(_, at)| sent.since(*at) < ALONE_AFTER);
        self.wanted = match standing {
            Standing::Replica => return None,
            Standing::Unknown => true,
            Standing::Master { history, replicas: 0 } => self.replicated.iter().any(|(of, _)| of == history),
            Standing::Master { history, .. } => {
                self.replicated.retain(|(of, _)| of != history);
                self.replicated.push_back((history.clone(), sent));
                if self.replicated.len() > HISTORIES {
                    self.replicated.pop_front();
                }
                true
            }
        };
        match (self.wanted, self.acknowledged) {
            (false, _) => Some(sent),
            (true, Some((last, at))) if last <= number => Some(at.min(sent)),
            (true, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn master(history: &str, replicas: usize) -> Standing {
        Standing::Master { history: history.to_owned(), replicas }
    }

    #[test]
    fn a_master_without_replicas_proves_itself_and_a_replica_never() {
        let mut proof = Proof::default();
        assert_eq!(proof.of(&master("a", 0), 0, Mono(7)), Some(Mono(7)));
        assert!(!proof.is_wanted());
        assert_eq!(proof.of(&Standing::Replica, 9, Mono(8)), None);
    }

    #[test]
    fn rulings_18_a_master_with_replicas_needs_an_acknowledgement_that_it_has_itself() {
        let mut proof = Proof::default();
        assert_eq!(proof.of(&master("a", 1), 0, Mono(10)), None);
        assert!(proof.is_wanted());
        proof.acknowledge(1, Mono(12));
        // Acknowledged to another server than the one that answers.
        assert_eq!(proof.of(&master("b", 2), 0, Mono(20)), None);
        assert_eq!(proof.of(&master("a", 1), 1, Mono(20)), Some(Mono(12)));
        // The answer was sent before.
        assert_eq!(proof.of(&master("a", 1), 1, Mono(11)), Some(Mono(11)));
        // What is not acknowledged any more stays where it was.
        assert_eq!(proof.of(&master("a", 1), 2, Mono(9000)), Some(Mono(12)));
        assert_eq!(proof.of(&Standing::Unknown, 2, Mono(9000)), Some(Mono(12)));
    }

    #[test]
    fn a_master_that_lost_its_replicas_may_have_been_replaced_by_one() {
        let mut proof = Proof::default();
        proof.of(&master("a", 1), 0, Mono(0));
        proof.acknowledge(1, Mono(5));
        assert_eq!(proof.of(&master("a", 0), 1, Mono(1000)), Some(Mono(5)));
        // The one that was promoted has a history of its own.
        assert_eq!(proof.of(&master("b", 0), 1, Mono(2000)), Some(Mono(2000)));
        assert_eq!(proof.of(&master("a", 0), 1, Mono(29_999)), Some(Mono(5)));
        // And when that one gets replicas, the old one is still what it was.
        proof.of(&master("b", 1), 1, Mono(29_999));
        assert_eq!(proof.of(&master("a", 0), 1, Mono(29_999)), Some(Mono(5)));
        assert_eq!(proof.of(&master("a", 0), 1, Mono(30_000)), Some(Mono(30_000)));
    }
}
