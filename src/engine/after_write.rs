//! `after_write: refresh`: what a successful unsafe request has invalidated is fetched again at once, in the background, so
//! that the next reader finds it.
//!
//! It is a background refresh like any other ([`super::refresh`]), and carries nothing of the writer's but what the rules say
//! that the key is made of: no credentials, and no cookies. What of a client's fields `Vary` nominates is taken from the
//! entry that was stored last, which remembers how it was asked for. Of a URL of which nothing is stored nothing is
//! fetched; nor of one of which all that is stored was for credentials or cookies.

use crate::engine::answer::Ask;
use crate::engine::draft::Base;
use crate::engine::refresh::OWN;
use crate::engine::request::Incoming;
use crate::engine::rules::{RequestFacts, Resolved};
use crate::engine::site::{Engine, Site};
use crate::interim::InterimSender;
use crate::semantics::vary;
use crate::store::entry::Described;
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName, Method};
use std::sync::Arc;

/// What belongs to one client.
const PERSONAL: [HeaderName; 2] = [AUTHORIZATION, COOKIE];

/// Fetches the target of `write` again, if it is stored. Call after it was invalidated: a fetch from before that does not
/// count.
pub(super) fn refresh(engine: &Arc<Engine>, site: &Arc<Site>, write: &Incoming) {
    let mut headers = write.headers.clone();
    PERSONAL.iter().for_each(|name| drop(headers.remove(name)));
    let facts = RequestFacts { method: &Method::GET, headers: &headers, ..write.facts() };
    let resolved = site.rules.resolve(&facts);
    let policy = resolved.policy.clone();
    if policy.bypass || policy.respond.is_some() || resolved.disagree || write.connection_named_end_to_end {
        return;
    }
    let query = policy.key.apply_query(write.query.as_deref()).map(|q| q.into_owned());
    let Ok(base) = Base::new(write.scheme, &write.host, &write.path, query.as_deref()) else { return };
    let read = Incoming {
        method: Method::GET,
        scheme: write.scheme,
        host: write.host.clone(),
        path: write.path.clone(),
        query: write.query.clone(),
        headers: keyed(site, &resolved, &headers),
        body: crate::body::empty_in(),
        client: write.client,
        request_id: write.request_id.clone(),
        connection_named_end_to_end: false,
        upgrade: None,
        interim: InterimSender::none(),
        forced: false,
        raw: None,
        trace: write.trace.clone(),
    };
    let mut ask = Ask::new(engine.clone(), site.clone(), resolved, read, query, base, None);
    let Some(resource) = engine.memory.get(&ask.key) else { return };
    let impersonal = |nominated: &[HeaderName]| !nominated.iter().any(|name| PERSONAL.contains(name));
    let Some(last) = resource.variants().iter().find(|e| impersonal(e.nominated())) else { return };
    Arc::make_mut(&mut ask.headers).extend(vary::nominated_fields(last.variant()));
    let held = ask.look_up(engine.now());
    if let Some((entry, _)) = &held.entry {
        ask.refresh_in_background(&held, entry);
    }
}

/// Of the writer's fields those that the key is made of, and ours.
fn keyed(site: &Site, resolved: &Resolved, headers: &HeaderMap) -> HeaderMap {
    let conditions = site.rules.conditions(resolved).flat_map(|c| c.headers.iter().map(|(name, _)| name));
    let mut out = HeaderMap::new();
    for name in OWN.iter().chain(&resolved.policy.key.headers).chain(conditions) {
        if out.contains_key(name) {
            continue;
        }
        for value in headers.get_all(name) {
            out.append(name.clone(), value.clone());
        }
    }
    out
}
