//! Background refresh: what is fetched anew while a stale answer, or one that is about to be stale, is served
//! (RFC 5861 §3, XFetch). One per entry, whatever the number of clients that ask meanwhile.

use crate::engine::answer::Ask;
use crate::engine::flight::{FlightKey, Ticket};
use crate::engine::held::Held;
use crate::engine::key;
use crate::engine::policy::Policy;
use crate::interim::InterimSender;
use crate::store::Entry;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::sync::Arc;

impl Ask {
    /// One background refresh per entry (RFC 5861 §3), with a request of our own: it carries nothing of the
    /// client's but what selects the response (standards.md §8.7).
    pub(super) fn refresh_in_background(&self, held: &Held, entry: &Arc<Entry>) {
        if !entry.try_refresh() {
            return;
        }
        // The key that a request would look for which finds this entry and can't use it: it joins the refresh.
        // Without `Authorization`, which the refresh doesn't carry.
        let variant = held.variant_hint(&self.headers);
        let flight_key = FlightKey { key: self.key.clone(), variant, authorized: false };
        let start = || self.is_current(held).then(|| self.start());
        let ticket = self.engine.flights.join_or_lead(&flight_key, |f| self.may_join(f), start);
        let Ticket::Lead(flight) = ticket else {
            entry.refresh_done();
            return;
        };
        let mut fetch = self.fetch(held, flight, Some(flight_key), None);
        fetch.headers =
            selecting_fields(&self.headers, &entry.meta.nominated, self.policy(), self.body.is_some());
        fetch.interim = InterimSender::none();
        fetch.wants_range = false;
        tokio::spawn(fetch.run(Some(entry.clone())));
    }
}

/// Our own fields. Scheme and host are part of the key: an origin that redirects `http` to `https` must be told that
/// the page it is asked for is the `https` one, or the redirect takes the page's place.
const OWN: [HeaderName; 5] = [
    http::header::HOST,
    http::header::VIA,
    HeaderName::from_static("cdn-loop"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
];

/// What says how a body that is part of the key is to be read.
const OF_THE_BODY: [HeaderName; 2] = [http::header::CONTENT_TYPE, http::header::CONTENT_ENCODING];

/// The fields of a background request: ours, what the rules set for the origin, what `Vary` nominates, and what the
/// key is made of. `headers` has the rules' edits already.
fn selecting_fields(
    headers: &HeaderMap,
    nominated: &[HeaderName],
    policy: &Policy,
    has_body: bool,
) -> HeaderMap {
    let set = policy.request_headers.set.iter().map(|(name, _)| name);
    let of_the_body = OF_THE_BODY.iter().filter(|_| has_body);
    let mut out = HeaderMap::new();
    for name in OWN.iter().chain(set).chain(nominated).chain(&policy.key.headers).chain(of_the_body) {
        if out.contains_key(name) {
            continue;
        }
        for value in headers.get_all(name) {
            out.append(name.clone(), value.clone());
        }
    }
    let cookies: Vec<Vec<u8>> = policy
        .key
        .cookies
        .iter()
        .filter_map(|n| key::cookie(headers, n).map(|v| [n.as_bytes(), b"=", v].concat()))
        .collect();
    if !cookies.is_empty()
        && !out.contains_key(http::header::COOKIE)
        && let Ok(value) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        out.insert(http::header::COOKIE, value);
    }
    out
}
