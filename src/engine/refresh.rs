//! Background refresh: what is fetched anew while a stale answer, or one that is about to be stale, is served
//! (RFC 5861 §3, XFetch). One per entry, whatever the number of clients that ask meanwhile.

use crate::engine::answer::Ask;
use crate::engine::fleet::Sharing;
use crate::engine::flight::{FlightKey, Ticket};
use crate::engine::held::Held;
use crate::engine::key;
use crate::interim::InterimSender;
use crate::semantics::cache_control::RequestDirectives;
use crate::store::Entry;
use crate::store::entry::Described;
use http::header::COOKIE;
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
        fetch.headers = Arc::new(self.selecting_fields(entry.nominated()));
        fetch.interim = InterimSender::none();
        fetch.wants_range = false;
        // The wishes of the client that happened to come by say nothing of what is good for all.
        fetch.sharing =
            self.may_share().map(|sharing| Sharing { directives: RequestDirectives::default(), ..sharing });
        tokio::spawn(Box::pin(fetch.run(Some(entry.clone())))); // see `Ask::lead`
    }
}

/// Our own fields. Scheme and host are part of the key: an origin that redirects `http` to `https` must be told that
/// the page it is asked for is the `https` one, or the redirect takes the page's place.
pub(super) const OWN: [HeaderName; 5] = [
    http::header::HOST,
    http::header::VIA,
    HeaderName::from_static("cdn-loop"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
];

/// What says how a body that is part of the key is to be read.
const OF_THE_BODY: [HeaderName; 2] = [http::header::CONTENT_TYPE, http::header::CONTENT_ENCODING];

impl Ask {
    /// The fields of a background request: ours, what the rules set for the origin, what `Vary` nominates, what the
    /// key is made of, and what the matched rules' conditions look at, which the key names too. The origin may answer by
    /// any of these.
    fn selecting_fields(&self, nominated: &[HeaderName]) -> HeaderMap {
        // With the rules' edits already.
        let (headers, policy) = (&self.headers, self.policy());
        let set = policy.request_headers.set.iter().map(|(name, _)| name);
        let (own, of_the_body) = (OWN, OF_THE_BODY);
        let of_the_body = of_the_body.iter().filter(|_| self.body.is_some());
        let conditions = self.site.rules.conditions(&self.resolved).flat_map(|c| c.headers.iter());
        let mut out = HeaderMap::new();
        let names = own.iter().chain(set).chain(nominated).chain(&policy.key.headers).chain(of_the_body);
        for name in names.chain(conditions.map(|(name, _)| name)) {
            if out.contains_key(name) {
                continue;
            }
            for value in headers.get_all(name) {
                out.append(name.clone(), value.clone());
            }
        }
        let cookies: Vec<&[u8]> =
            key::cookies(headers).filter(|pair| self.selects_cookie(key::cookie_name(pair))).collect();
        if !cookies.is_empty()
            && !out.contains_key(COOKIE)
            && let Ok(value) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
        {
            out.insert(COOKIE, value);
        }
        out
    }

    fn selects_cookie(&self, name: &[u8]) -> bool {
        let mut conditions = self.site.rules.conditions(&self.resolved).flat_map(|c| c.cookies.iter());
        self.policy().key.cookies.iter().any(|keyed| keyed.as_bytes() == name)
            || conditions.any(|(glob, _)| glob.matches(name))
    }
}
