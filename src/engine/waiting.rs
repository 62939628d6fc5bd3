//! Waiting for another client's fetch: when what it brings may answer this request too (RFC 9111 §4, on collapsed
//! requests; rulings 8 and 10), and what to do when it may not.

use crate::engine::answer::{Answered, Ask};
use crate::engine::flight::{Flight, Stage};
use crate::engine::held::{Going, Held};
use crate::engine::outcome::{Kind, Outcome};
use crate::engine::plan::{self, Found, Lookup, Plan, Seen, Wishes};
use crate::engine::serve::status_failure;
use crate::engine::{deliver, draft, site};
use crate::origin::OriginError;
use crate::semantics::cache_status::{Collapsed, Member};
use crate::semantics::fields::content_type;
use crate::semantics::reuse::Failure as Reach;
use crate::semantics::vary;
use crate::store::entry::{Carrier, Described};
use crate::time::Now;
use std::time::Duration;

/// What waiting for another's fetch came to.
pub(super) enum Waited {
    Done(Box<Answered>),
    OtherVariant(Box<[u8]>),
    /// Look again: the answer is there, but not for this request.
    Again,
    Alone,
}

impl Ask {
    /// Waits for another client's fetch, for as long as the rule allows.
    pub(super) async fn wait(&self, held: &Held, going: Going, flight: &Flight) -> Waited {
        let mut waited = self.wait_for(held, going, flight).await;
        if let Waited::Done(answered) = &mut waited {
            answered.1.waited_for = flight.traced();
        }
        waited
    }

    async fn wait_for(&self, held: &Held, going: Going, flight: &Flight) -> Waited {
        let patience = self.policy().coalesce.unwrap_or(Duration::ZERO);
        let Ok(stage) = tokio::time::timeout(patience, flight.head()).await else { return Waited::Alone };
        let now = self.engine.clock.now();
        let mut member = Member { collapsed: Collapsed::Yes, ..site::forwarded(going.forward) };
        match stage {
            Stage::Pending | Stage::LeftToOthers => Waited::Again,
            Stage::Shared(shared) => {
                if let Err(other) = self.fits(&*shared.meta) {
                    return Waited::OtherVariant(other);
                }
                if self.was_purged_before(flight, &*shared.meta) {
                    return Waited::Again;
                }
                if !self.usable(&*shared.meta, now, false) {
                    return Waited::Alone;
                }
                member.ttl = Some(shared.meta.ttl(now.mono));
                let policy = self.policy_for(shared.meta.status, content_type(&shared.meta.headers));
                let edits = self.edits(&policy);
                let client = self.client(&policy, &edits);
                let response = deliver::from_shared(&client, &shared, false, None, &member, now);
                let Some(response) = response else { return Waited::Alone };
                let mut outcome = Outcome::new(Kind::Collapsed, "", &policy.rule).with_member(&member);
                outcome.origin_time = Some(shared.origin_time);
                outcome.selectors = Some(Carrier::Described(shared.meta.selectors.clone()));
                outcome.age = Some(shared.meta.age(now.mono));
                Waited::Done(Box::new((Ok(response), outcome)))
            }
            Stage::Confirmed(entry, origin_time) => {
                if let Err(other) = self.fits(&*entry) {
                    return Waited::OtherVariant(other);
                }
                if self.was_purged_before(flight, &*entry) {
                    return Waited::Again;
                }
                member.ttl = Some(entry.ttl(now.mono));
                member.forward_status = Some(304);
                let (response, mut outcome) = self.stored_answer(&entry, Kind::Collapsed, "", &member, now);
                outcome.origin_time = Some(origin_time);
                Waited::Done(Box::new((response, outcome)))
            }
            Stage::Promoted(entry) => {
                if let Err(other) = self.fits(&*entry) {
                    return Waited::OtherVariant(other);
                }
                if self.was_purged_before(flight, &*entry) {
                    return Waited::Again;
                }
                // It is not arriving from the origin, but as old as it says.
                if !self.usable(&*entry, now, self.wishes().honour_client) {
                    return Waited::Alone;
                }
                Waited::Done(Box::new(self.promoted_answer(&entry, now)))
            }
            Stage::NotShareable(status) => match self.stale_instead(held, status_failure(status)) {
                Some(why) => {
                    member.forward_status = Some(status.as_u16());
                    Waited::Done(Box::new(self.serve_stale(held, why, member, now)))
                }
                None => Waited::Alone,
            },
            Stage::Failed(failure) => {
                // What the leader's own fields may have caused is not the waiters' error: another of them leads, and after
                // some rounds of that each goes alone. Those who may have a stale answer get it at once.
                if is_everyones(failure) || self.stale_instead(held, Some(Reach::Disconnected)).is_some() {
                    Waited::Done(Box::new(self.failed(held, member, failure, now)))
                } else {
                    Waited::Again
                }
            }
        }
    }

    /// Rulings 10: what a purge selects does not answer a request that came after the purge. That a purge of a tag
    /// selects it is known only now, when the head is there. Who came before the purge may have it.
    fn was_purged_before(&self, flight: &Flight, meta: &impl Described) -> bool {
        self.arrived != flight.version && !self.engine.untouched_meta(meta)
    }

    /// `Err`: another variant; the bytes tell which flight to look for.
    fn fits(&self, meta: &impl Described) -> Result<(), Box<[u8]>> {
        if draft::selects(meta, &self.headers) {
            Ok(())
        } else {
            Err(vary::variant(meta.nominated(), &self.headers))
        }
    }

    /// Could what is arriving answer this request if it were stored already (rulings 8)? The client's wish for
    /// a fresh answer is met by one that is just arriving from the origin.
    fn usable(&self, meta: &impl Described, now: Now, honour_client: bool) -> bool {
        let lookup = Lookup::Found(Found {
            freshness: meta.freshness(),
            age: meta.age(now.mono),
            verdict: Seen::Clean,
            unsynced: false,
        });
        let wishes = Wishes { honour_client, early_refresh: None };
        matches!(plan::decide(lookup, &self.directives, wishes, Duration::ZERO, 1.0), Plan::Serve { .. })
    }
}

/// Whether a failure says that the origin can't be reached, whoever asks. What came back in place of an answer, or broke
/// off before one, may be the doing of what this one request carried.
fn is_everyones(failure: OriginError) -> bool {
    !matches!(
        failure,
        OriginError::Reset
            | OriginError::Protocol
            | OriginError::HeadTooLarge
            | OriginError::BodyTruncated
            | OriginError::UpgradeFailed
            | OriginError::RequestBody
            | OriginError::Request
    )
}
