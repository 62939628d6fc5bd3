//! Which way a request goes: what is settled before the store is asked, and what a plan comes to. One place for requests
//! that come and for those that are only explained.

use crate::engine::answer::Ask;
use crate::engine::draft::Base;
use crate::engine::held::Going;
use crate::engine::markers::Mark;
use crate::engine::plan::{self, PassWhy, Plan, StaleWhy};
use crate::engine::request::{Incoming, is_keyed_by_body};
use crate::engine::rules::Resolved;
use crate::engine::site::Engine;
use crate::semantics::preconditions;
use http::Method;
use http_body::Body;

/// See [`Engine::enter`].
pub(super) struct Entrance {
    /// Why the store is not asked; `None` = it is.
    pub why: Option<PassWhy>,
    /// As keyed and sent.
    pub query: Option<String>,
    pub base: Option<Base>,
}

/// Which way a planned request goes.
#[derive(Clone, Copy)]
pub(super) enum Way {
    Serve {
        stale: Option<StaleWhy>,
        refresh: bool,
    },
    Refuse,
    /// Sent on as a range: the whole is known to be too large to be kept.
    RangeOfLarge,
    /// A HEAD that is sent on by itself.
    Head(Going),
    Fetch(Going),
}

impl Engine {
    /// What is settled before the store is asked, whether a request comes or is only explained. `keyed`: its body is
    /// part of its key. `wrote_lately`: its client has just written ([`Engine::wrote_lately`]).
    pub(super) fn enter(
        &self,
        incoming: &Incoming,
        resolved: &Resolved,
        keyed: bool,
        wrote_lately: bool,
    ) -> Entrance {
        let policy = &resolved.policy;
        let read_by_rule = is_keyed_by_body(&incoming.method, policy);
        let admitted = plan::admit(&plan::Facts {
            method: &incoming.method,
            has_body: !incoming.body.is_end_stream(),
            keyed_body: keyed,
            keyed_body_too_large: read_by_rule && !keyed,
            bypass: policy.bypass,
            ambiguous_path: resolved.disagree,
            connection_named_end_to_end: incoming.connection_named_end_to_end,
            upgrade: incoming.upgrade.is_some(),
            only_origin_may_judge: preconditions::only_origin_may_judge(&incoming.headers),
            unsynced: self.bypasses(),
            wrote_lately: wrote_lately && policy.read_your_writes.is_some(),
        });
        let query = policy.key.apply_query(incoming.query.as_deref()).map(|q| q.into_owned());
        // What passes by the store has no use for it, but for a POST, whose answer may be kept for GET.
        let needed = admitted.is_ok() || incoming.method == Method::POST;
        let base = || Base::new(incoming.scheme, &incoming.host, &incoming.path, query.as_deref()).ok();
        let base = needed.then(base).flatten();
        let why = match (admitted, &base) {
            (Ok(()), Some(_)) => None,
            (Err(why), _) => Some(why),
            (Ok(()), None) => Some(PassWhy::Unselectable),
        };
        Entrance { why, query, base }
    }
}

impl Ask {
    /// `mark` is what is remembered of the key.
    pub(super) fn way(&self, plan: Plan, mark: Option<Mark>) -> Way {
        let going = match plan {
            Plan::Serve { stale, refresh } => return Way::Serve { stale, refresh },
            Plan::Refuse => return Way::Refuse,
            Plan::Fetch(forward) => Going { forward, why: None },
            Plan::Validate(why) => Going { forward: why.forward(), why: Some(why) },
        };
        if mark == Some(Mark::TooLarge) && self.wants_range() {
            Way::RangeOfLarge
        } else if self.asked.method == Method::HEAD && !self.forced {
            Way::Head(going)
        } else {
            Way::Fetch(going)
        }
    }
}
