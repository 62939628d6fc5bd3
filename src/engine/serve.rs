//! Answers from what is stored: plain hits, stale ones where that is allowed, what another node has fetched, and what there
//! is to say when the origin gives no answer.

use crate::body::OutBody;
use crate::engine::answer::{Answered, Ask, Failure};
use crate::engine::deliver;
use crate::engine::fast::Plain;
use crate::engine::held::{Held, found};
use crate::engine::outcome::{Kind, Outcome};
use crate::engine::plan::{self, Seen, StaleWhy};
use crate::origin::OriginError;
use crate::semantics::cache_status::Member;
use crate::semantics::fields::content_type;
use crate::semantics::reuse::Failure as Reach;
use crate::store::Entry;
use crate::store::entry::{Carrier, Described};
use crate::time::Now;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use std::sync::Arc;

/// The tier of a fleet, in logs and as the detail of `Cache-Status`.
const SHARED: &str = "shared";

impl Ask {
    /// From the store, as it is.
    pub(super) fn serve(&self, held: &Held, stale: Option<StaleWhy>, refresh: bool, now: Now) -> Answered {
        let Some((entry, seen)) = &held.entry else {
            return (Err(Failure::Internal), self.outcome(Kind::Error, "internal"));
        };
        if refresh {
            self.refresh_in_background(held, entry);
        }
        // The fast lane reads neither bodies nor conditions on the method, and serves GET and HEAD alone: an answer
        // to a read that is keyed by its body is not what a GET for the same target gets.
        let plain_read = self.body.is_none() && matches!(self.asked.method, Method::GET | Method::HEAD);
        if let (None, Some(raw), true) = (stale, &self.raw, plain_read) {
            let plain = Plain { tls: raw.tls, host: &raw.host, target: &raw.target };
            self.engine.remember(&plain, &self.key, &self.resolved, &self.site);
            self.prepare_anew(entry);
        }
        self.served(entry, *seen, stale, now)
    }

    /// The answer itself, without what else serving it sets going.
    pub(super) fn served(
        &self,
        entry: &Arc<Entry>,
        seen: Seen,
        stale: Option<StaleWhy>,
        now: Now,
    ) -> Answered {
        let member = Member {
            ttl: Some(seen.ttl(&**entry, now)),
            detail: stale.map(StaleWhy::as_str),
            ..Member::default()
        };
        let kind = if stale.is_some() { Kind::Stale } else { Kind::Hit };
        self.stored_answer(entry, kind, stale.map_or("", StaleWhy::as_str), &member, now)
    }

    pub(super) fn stored_answer(
        &self,
        entry: &Arc<Entry>,
        kind: Kind,
        reason: &'static str,
        member: &Member,
        now: Now,
    ) -> Answered {
        let policy = self.policy_for(entry.status, content_type(&**entry));
        let edits = self.edits(&policy);
        let form = self.form(entry, &policy);
        let response = deliver::from_entry(&self.client(&policy, &edits), &form, member, now);
        let mut outcome = Outcome::new(kind, reason, &policy.rule).with_member(member);
        outcome.tier = Some("memory");
        outcome.age = Some(entry.age(now.mono));
        outcome.selectors = Some(Carrier::Stored(entry.clone()));
        (Ok(response), outcome)
    }

    /// From the shared tier, as a plain hit.
    pub(super) fn promoted_answer(&self, entry: &Arc<Entry>, now: Now) -> Answered {
        let ttl = Some(entry.ttl(now.mono));
        let member = Member { ttl, detail: Some(SHARED), ..Member::default() };
        let (response, mut outcome) = self.stored_answer(entry, Kind::Hit, "", &member, now);
        outcome.tier = Some(SHARED);
        (response, outcome)
    }

    pub(super) fn stale_instead(&self, held: &Held, failure: Option<Reach>) -> Option<StaleWhy> {
        let (entry, _) = held.entry.as_ref()?;
        let now = self.engine.clock.now();
        // Asked again: a purge may have come while the origin failed.
        plan::on_failure(found(entry, self.seen(entry, now), now), &self.directives, failure?)
    }

    pub(super) fn serve_stale(&self, held: &Held, why: StaleWhy, member: Member, now: Now) -> Answered {
        let Some((entry, _)) = &held.entry else {
            return (Err(Failure::Internal), self.outcome(Kind::Error, "internal"));
        };
        let member = Member {
            ttl: Some(self.seen(entry, now).ttl(&**entry, now)),
            detail: Some(why.as_str()),
            ..member
        };
        self.stored_answer(entry, Kind::Stale, why.as_str(), &member, now)
    }

    /// No answer from the origin: stale if that is allowed, else an error. `member` is what there is to say of the
    /// request's way so far.
    pub(super) fn failed(&self, held: &Held, member: Member, failure: OriginError, now: Now) -> Answered {
        let Some(why) = self.stale_instead(held, Some(Reach::Disconnected)) else {
            return (Err(Failure::Origin(failure)), self.outcome(Kind::Error, failure.as_str()));
        };
        // RFC 9211 §2.1: what never left for the origin was answered from here.
        let member = if was_sent(failure) { member } else { Member::default() };
        let (mut response, outcome) = self.serve_stale(held, why, member, now);
        if let Ok(response) = &mut response {
            proxy_status(response, &self.site.server_name, failure.proxy_status());
        }
        (response, outcome)
    }
}

/// Whether a failed request was on its way to an origin at all.
fn was_sent(failure: OriginError) -> bool {
    !matches!(
        failure,
        OriginError::NoHealthyServer
            | OriginError::BreakerOpen
            | OriginError::QueueFull
            | OriginError::QueueTimeout
            | OriginError::LocalResources
            | OriginError::Request
    )
}

/// RFC 9209: a stale answer says what kept the fresh one from being had.
fn proxy_status(response: &mut Response<OutBody>, server_name: &str, error: &str) {
    if let Ok(value) = HeaderValue::try_from(format!("{server_name}; error={error}")) {
        response.headers_mut().append(HeaderName::from_static("proxy-status"), value);
    }
}

/// RFC 5861 §4: these statuses are errors for stale-if-error.
pub(super) fn status_failure(status: StatusCode) -> Option<Reach> {
    matches!(status.as_u16(), 500 | 502 | 503 | 504).then_some(Reach::ErrorStatus)
}
