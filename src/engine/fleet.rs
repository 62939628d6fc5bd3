//! What a request has to do with the rest of the fleet: the shared tier is asked before the origin, one node fetches for all, and
//! what a node that is cut off may still use. All of it is optional: without a fleet, and whenever the store fails, a request
//! goes on as on a node alone.

use crate::engine::Engine;
use crate::engine::draft::Refused;
use crate::engine::fetch::{Fetch, LeaderAnswer};
use crate::engine::flight::Stage;
use crate::engine::markers::Mark;
use crate::engine::plan::{self, Found, Lookup, Plan, Seen, Wishes};
use crate::fleet::settings::WhenUnsynced;
use crate::fleet::tier::{Lease, Obtained, Wanted, Why};
use crate::fleet::transport::Reach;
use crate::fleet::value::Stored;
use crate::purge::sync::usable_unsynced;
use crate::purge::{Applied, At, Purge, Verdict};
use crate::semantics::cache_control::RequestDirectives;
use crate::semantics::fields::content_type;
use crate::semantics::storable::NotStored;
use crate::store::entry::Described;
use crate::store::memory::Written;
use crate::store::{Entry, Key};
use crate::time::{Mono, Now};
use crate::trace::Kind;
use http::StatusCode;
use std::sync::Arc;
use std::time::Duration;

/// How long a purge call waits until its record stands in the fleet's log, before it is answered with 202.
pub const LOGGED_WITHIN: Duration = Duration::from_secs(1);

/// How long `wait: fleet` waits for the other nodes (interface.md §3).
pub const REACHED_WITHIN: Duration = Duration::from_secs(5);

impl Engine {
    /// Whether entries may be used without asking whether a purge was missed. `now` must have been read after the process woke
    /// up (rulings 12).
    pub fn is_synced(&self, now: Mono) -> bool {
        match &self.fleet {
            None => true,
            Some(fleet) => fleet.settings.when_unsynced == WhenUnsynced::Serve || self.purges.is_synced(now),
        }
    }

    /// `when_unsynced: bypass`, and this node is.
    pub(super) fn bypasses(&self) -> bool {
        let bypass = |fleet: &crate::fleet::Fleet| fleet.settings.when_unsynced == WhenUnsynced::Bypass;
        self.fleet.as_deref().is_some_and(bypass) && !self.is_synced(self.clock.mono())
    }

    /// Whether the origin must be asked first, because a purge may have been missed (rulings 19).
    /// `began`: when the request left that brought an entry, or that is under way.
    pub(super) fn may_be_purged_unheard(&self, began: Mono, now: Now) -> bool {
        let period = self.fleet.as_ref().map_or(Duration::ZERO, |fleet| fleet.settings.max_unsynced);
        !self.is_synced(now.mono) && !usable_unsynced(began, now.mono, period)
    }

    /// Applies a purge on this node at once; in a fleet it is on its way to the others with that.
    pub(super) fn submit(&self, purge: &Arc<Purge>) -> Applied {
        let now = self.clock.now().wall;
        match &self.fleet {
            None => self.purges.apply_local(purge, now),
            Some(fleet) => fleet.log.submit(Purge::clone(purge), now),
        }
    }

    /// Waits for what a purge call promises: that the purge stands in the log (`everywhere` = false), or that every live node has
    /// applied it. A node alone is its own fleet.
    pub async fn reached(&self, at: At, everywhere: bool) -> Reach {
        let Some(fleet) = &self.fleet else {
            let id = match at {
                At::Logged(id) => Some(id),
                At::Pending(_) => None,
            };
            return Reach { applied: 1, total: 1, missing: Vec::new(), id };
        };
        match everywhere {
            true => fleet.log.reach(at, REACHED_WITHIN).await,
            false => fleet.log.logged(at, LOGGED_WITHIN).await,
        }
    }

    /// Offers what was stored here to the other nodes. Never waits.
    pub(super) fn share(&self, key: &Key, entry: &Arc<Entry>, lease: Option<Lease>) {
        if let Some(fleet) = &self.fleet {
            fleet.tier.put(key, entry.clone(), lease);
        }
    }

    /// Whether the shared tier takes a body of this length at all.
    pub(super) fn can_share(&self, length: u64) -> bool {
        self.fleet.as_ref().is_some_and(|fleet| fleet.tier.takes(length))
    }

    /// Another node's purge holds here now: what it selects can be freed.
    pub fn heard(&self, purge: &Purge) {
        self.sweeper.add(purge);
    }
}

/// How a fetch makes use of the fleet.
#[derive(Clone, Debug)]
pub struct Sharing {
    /// How long to wait for another node that fetches the same.
    pub patience: Duration,
    pub directives: RequestDirectives,
    pub honour_client: bool,
}

/// What the fleet had to say before the origin is asked.
pub(super) enum FromFleet {
    /// Answered from the shared tier, or, in the background, left to another node.
    Done,
    /// Ask the origin, with the lease if there is one.
    Fetch(Option<Lease>),
}

impl Fetch {
    /// Asks the shared tier, and for the lease where it has nothing.
    pub(super) async fn ask_fleet(&mut self) -> FromFleet {
        let (Some(sharing), Some(fleet)) = (self.sharing.clone(), self.engine.fleet.clone()) else {
            return FromFleet::Fetch(None);
        };
        let wanted = Wanted { key: &self.key, request: &self.headers, patience: sharing.patience };
        let mut step = self.trace.step(Kind::Client);
        // Boxed: a node that is alone need not carry its room in every fetch.
        let obtained = Box::pin(fleet.tier.obtain(wanted, |stored| self.accepts(stored, &sharing))).await;
        if let Some(span) = step.span() {
            let result = match &obtained {
                Obtained::Value(_) => "hit",
                Obtained::Leased(_) => "leased",
                Obtained::NotShareable => "not-shareable",
                Obtained::Without(why) => why.as_str(),
            };
            span.name("GET shared").text("db.system.name", "redis").text("larder.shared.result", result);
            if let Obtained::Without(Why::Failed(error)) = &obtained {
                span.failed(error.as_str());
            }
        }
        drop(step);
        match obtained {
            Obtained::Value(stored) => {
                self.promote(*stored);
                FromFleet::Done
            }
            Obtained::Leased(lease) => FromFleet::Fetch(Some(lease)),
            Obtained::NotShareable => {
                // For those who come while this fetch lasts: its own answer renews the mark or clears it, so that the memory of this
                // node, which is longer, says nothing that another node has found (`fleet/tier/lease`).
                self.engine.markers.set(&self.key, Mark::NotShareable, self.engine.clock.now().mono);
                self.flight.advance(Stage::NotShareable(StatusCode::OK));
                FromFleet::Fetch(None)
            }
            // One node refreshes for all; ours stays as it is until then, and whoever asks next looks again.
            Obtained::Without(Why::Busy) if self.leader.is_none() => {
                self.flight.advance(Stage::LeftToOthers);
                FromFleet::Done
            }
            Obtained::Without(_) => FromFleet::Fetch(None),
        }
    }

    /// Could this answer the request that leads, as a plain hit, and is it newer than what this node has?
    fn accepts(&self, stored: &Stored, sharing: &Sharing) -> bool {
        let (meta, now) = (&stored.meta, self.engine.clock.now());
        if !self.engine.is_synced(now.mono)
            || self.engine.purges.check_shared(meta.born.id, &meta.selectors, &meta.subject())
                != Verdict::Clean
        {
            return false;
        }
        let found = Found {
            freshness: meta.freshness,
            age: meta.age(now.mono),
            verdict: Seen::Clean,
            unsynced: false,
        };
        let wishes = Wishes { honour_client: sharing.honour_client, early_refresh: None };
        let plan = plan::decide(Lookup::Found(found), &sharing.directives, wishes, Duration::ZERO, 1.0);
        // By age, not by what is left of the lifetime: what is purged may have had long to go, and what was found to be stale
        // before its time is in the store as it was. What a purge selects is older than what none does.
        let newer = self.replaces.as_ref().is_none_or(|held| {
            self.engine.verdict(held) != Verdict::Clean
                || meta.age(now.mono).saturating_add(CLOCKS) < held.age(now.mono)
        });
        newer && plan == Plan::Serve { stale: None, refresh: false }
    }

    /// From the shared tier into memory, and to everybody who waits.
    fn promote(&mut self, stored: Stored) {
        let Stored { meta, body, length, trailers } = stored;
        let policy =
            self.site.rules.resolve_response(&self.resolved, meta.status, content_type(&meta.headers));
        let entry = Arc::new(self.engine.seal(&self.site, &policy, meta, body, length, trailers));
        let memory = &self.engine.memory;
        let in_place = self.replaces.take().map(|old| memory.replace(&self.key, &old, entry.clone()));
        if in_place != Some(Written::Stored) {
            memory.put(&self.key, entry.clone(), policy.max_variants);
        }
        self.engine.markers.clear(&self.key);
        self.flight.advance(Stage::Promoted(entry.clone()));
        self.tell_leader(LeaderAnswer::Promoted(entry));
    }

    /// The lease, once it is known that there is nothing to share. What this one request carried says nothing to others.
    pub(super) fn give_up_lease(&mut self, why: Refused) {
        let passing = matches!(why, Refused::FillBudget | Refused::Incomplete | Refused::Superseded)
            || matches!(why, Refused::Semantics(NotStored::ErrorStatus))
            || why.is_own_affair(&self.headers);
        let (Some(lease), Some(fleet)) = (self.lease.take(), &self.engine.fleet) else { return };
        if !passing {
            fleet.tier.not_shareable(&self.key, lease);
        }
    }
}

/// Clocks of nodes differ: a copy counts as newer than ours only beyond this.
const CLOCKS: Duration = Duration::from_secs(1);
