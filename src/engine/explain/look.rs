//! From what the engine has in its hands to what is told of it.

use super::trace::{
    EntryShown, FieldShown, KeyShown, PurgeShown, RequestShown, RuleShown, ValueShown, VariantShown,
};
use super::{Ask, Held, Question, Seen, Site};
use crate::engine::policy::parameter_name;
use crate::engine::request::Incoming;
use crate::engine::rules::{Resolved, Rule};
use crate::engine::site::Engine;
use crate::observe::access::timestamp;
use crate::purge::{Born, By, Mode, Selector, Touch, Verdict, naming};
use crate::semantics::fields::Lookup;
use crate::semantics::freshness::{Forbids, Source};
use crate::semantics::{storable, targeted, vary};
use crate::store::Entry;
use crate::store::entry::Described;
use crate::store::index::possible_names;
use crate::time::{Now, Wall};
use http::header::{ETAG, HOST, LAST_MODIFIED};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::sync::Arc;

/// Purges that are told of.
const PURGES: usize = 20;
/// Variants that are told of; they may be thousands.
const VARIANTS: usize = 100;

pub fn as_asked(question: &Question) -> RequestShown {
    let host = question.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or(&question.authority);
    let scheme = if question.tls { "https" } else { "http" };
    RequestShown {
        method: question.method.as_str().to_owned(),
        url: format!("{scheme}://{host}{}", question.target),
        removed_fields: Vec::new(),
    }
}

/// Names of fields that the client sent and that count no more.
pub fn removed(sent: &HeaderMap, left: &HeaderMap) -> Vec<String> {
    let gone = |name: &&HeaderName| !left.contains_key(*name) || left.get(*name) != sent.get(*name);
    sent.keys().filter(|name| **name != HOST).filter(gone).map(|name| name.as_str().to_owned()).collect()
}

/// The rules that match, with what each sets. `response`: status and content type of what is stored, on which some of
/// them decide.
pub fn rules(
    site: &Site,
    resolved: &Resolved,
    response: Option<(StatusCode, Option<&str>)>,
) -> Vec<RuleShown> {
    let mut found = Vec::new();
    for rule in site.rules.rules() {
        let is_it = |other: &Rule| std::ptr::eq(rule, other);
        let waits = site.rules.waiting(resolved).any(is_it);
        if !waits && !site.rules.matched(resolved).any(is_it) {
            continue;
        }
        let after = response.map(|(status, kind)| rule.conditions.hold_after(status, kind));
        let set = |a: &crate::engine::rules::Assignment| FieldShown {
            field: a.field.clone(),
            value: a.value.clone(),
            overridden_by: None,
        };
        found.push(RuleShown {
            name: rule.name.to_string(),
            decided_by: if waits { "response" } else { "request" },
            matches: if waits { after } else { Some(true) },
            sets: rule.sets.iter().map(set).collect(),
        });
    }
    note_overrides(&mut found);
    found
}

/// rulings 35: the last match wins field by field; tags are a union, header edits merge by name, and `force` belongs to the
/// `ttl` of its own rule.
fn note_overrides(rules: &mut [RuleShown]) {
    let mut later: Vec<(String, String, String)> = Vec::new(); // field, value, rule
    for rule in rules.iter_mut().rev().filter(|rule| rule.matches == Some(true)) {
        for set in &mut rule.sets {
            let merges = matches!(set.field.as_str(), "tags" | "request_headers" | "response_headers");
            let same = |field: &str, value: &str| match set.field.as_str() {
                "force" => field == "ttl",
                own => field == own && (!merges || value == "default"),
            };
            let by = later.iter().find(|(field, value, _)| same(field, value));
            set.overridden_by = by.map(|(_, _, rule)| rule.clone());
        }
        later.extend(rule.sets.iter().map(|s| (s.field.clone(), s.value.clone(), rule.name.clone())));
    }
}

pub fn key(
    incoming: &Incoming,
    resolved: &Resolved,
    site: &Site,
    query: Option<&str>,
    body: bool,
) -> KeyShown {
    let policy = &resolved.policy.key;
    let kept: Vec<&str> = query.unwrap_or("").split('&').collect();
    let sent = incoming.query.as_deref().unwrap_or("").split('&').filter(|pair| !pair.is_empty());
    let mut query_removed: Vec<String> =
        sent.filter(|pair| !kept.contains(pair)).map(|pair| parameter_name(pair).to_owned()).collect();
    query_removed.dedup();
    let conditional = |rule: &&Rule| rule.conditions.key_bit().is_some();
    let all = site.rules.matched(resolved).chain(site.rules.waiting(resolved));
    KeyShown {
        scheme: incoming.scheme.to_owned(),
        host: incoming.host.clone(),
        path: incoming.path.clone(),
        query: query.map(str::to_owned),
        query_removed,
        origin: resolved.policy.origin.to_string(),
        rules: all.filter(conditional).map(|rule| rule.name.to_string()).collect(),
        headers: policy.headers.iter().map(|name| value(name, &incoming.headers)).collect(),
        cookies: policy.cookies.clone(),
        body,
    }
}

fn value(name: &HeaderName, headers: &HeaderMap) -> ValueShown {
    let values: Vec<_> = headers.get_all(name).iter().map(lossy).collect();
    ValueShown { name: name.to_string(), value: (!values.is_empty()).then(|| values.join(", ")) }
}

fn lossy(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// The purge log's word, without noticing a soft purge that nobody has noticed yet.
pub fn seen_quietly(engine: &Engine, entry: &Entry, now: Now) -> Seen {
    Seen::from_verdict(engine.verdict(entry), || {
        entry.age(entry.check.noticed_stale_since().unwrap_or(now.mono))
    })
}

fn purged(engine: &Engine, entry: &Entry) -> Option<&'static str> {
    Some(engine.verdict(entry)).filter(|verdict| *verdict != Verdict::Clean).map(Verdict::as_str)
}

pub fn variants(held: &Held, engine: &Engine, now: Now) -> Vec<VariantShown> {
    let selected = |entry: &Arc<Entry>| held.entry.as_ref().is_some_and(|(e, _)| Arc::ptr_eq(e, entry));
    let variants = held.resource.iter().flat_map(|resource| resource.variants()).take(VARIANTS);
    let shown = |entry: &Arc<Entry>| VariantShown {
        vary: vary::describe(entry.variant())
            .into_iter()
            .map(|(name, value)| ValueShown { name, value })
            .collect(),
        selected: selected(entry),
        status: entry.status.as_u16(),
        age_s: entry.age(now.mono).as_secs(),
        ttl_s: seen_quietly(engine, entry, now).ttl(&**entry, now),
        body_bytes: entry.length,
        purged: purged(engine, entry),
    };
    variants.map(shown).collect()
}

pub fn entry(
    entry: &Entry,
    seen: Seen,
    rules: &[RuleShown],
    store: &storable::Options,
    engine: &Engine,
    now: Now,
) -> EntryShown {
    let freshness = entry.freshness();
    let lifted =
        |why: &Forbids| *why == Forbids::SMaxage && store.stale_despite_s_maxage && !store.strict_s_maxage;
    let forbids = Forbids::of(&targeted::governing(&entry.full_headers()).1).filter(|why| !lifted(why));
    let text = |name| entry.first(&name).map(|value| String::from_utf8_lossy(value).into_owned());
    EntryShown {
        status: entry.status.as_u16(),
        tier: "memory",
        received: timestamp(entry.received),
        age_s: entry.age(now.mono).as_secs(),
        lifetime_s: freshness.lifetime.as_secs(),
        ttl_s: seen.ttl(entry, now),
        lifetime_from: freshness.source.as_str(),
        lifetime_by: lifetime_by(entry, rules),
        must_validate: freshness.must_validate,
        stale_while_revalidate_s: freshness.stale.while_revalidate.as_secs(),
        stale_if_error_s: freshness.stale.if_error.as_secs(),
        stale_forbidden_by: forbids.map(Forbids::as_str),
        keep_s: entry.keep().as_secs(),
        etag: text(ETAG),
        last_modified: text(LAST_MODIFIED),
        tags: tags(entry),
        body_bytes: entry.length,
        memory_bytes: entry.weight(),
        rule: entry.rule().to_owned(),
        origin: entry.origin().to_owned(),
        purged: purged(engine, entry),
    }
}

/// The field that governs caching, or the rule whose lifetime it is.
fn lifetime_by(entry: &Entry, rules: &[RuleShown]) -> String {
    let field = match entry.freshness().source {
        Source::Rule => "ttl",
        Source::Negative => "negative_ttl",
        Source::Default => "default_ttl",
        Source::SMaxage | Source::MaxAge => {
            return targeted::governing(&entry.full_headers()).0.as_str().to_owned();
        }
        Source::Expires => return "expires".to_owned(),
        Source::Heuristic => return "last-modified".to_owned(),
        Source::None => return String::new(),
    };
    let sets =
        |rule: &&RuleShown| rule.matches == Some(true) && rule.sets.iter().any(|set| set.field == field);
    // A reload may have taken the rule away since.
    rules.iter().rev().find(sets).map_or_else(|| entry.rule().to_owned(), |rule| rule.name.clone())
}

/// Its tags and groups.
pub fn tags(entry: &Entry) -> Vec<String> {
    let selectors = entry.selectors();
    let carried = selectors.explicit();
    let mut tags: Vec<String> = possible_names(entry.raw_tags())
        .filter(|(_, hash)| carried.contains(hash))
        .map(|(name, _)| name.to_owned())
        .collect();
    tags.sort_unstable();
    tags.dedup();
    tags
}

/// The purges that select what is stored, or else this URL.
pub fn purges(held: &Held, ask: &Ask, now: Now) -> Vec<PurgeShown> {
    let purges = &ask.engine.purges;
    let touches = match &held.entry {
        Some((entry, _)) => {
            let url = format!("{}://{}{}", entry.scheme(), entry.authority(), entry.url());
            let names = naming(&url, tags(entry)).unwrap_or_default();
            purges.touches(entry.born, &names, Some(&entry.subject()))
        }
        None => {
            let names = naming(&ask.target, [""; 0]).unwrap_or_default();
            let mut touches = purges.touches(Born::default(), &names, None);
            // Of what the log forgot, or of another life of this node, there is nothing to tell.
            touches.retain(|t| t.by != By::Floor || t.id.is_some_and(|id| purges.receipt(id).is_some()));
            touches
        }
    };
    touches.iter().take(PURGES).map(|touch| purge(touch, ask, now)).collect()
}

fn purge(touch: &Touch, ask: &Ask, now: Now) -> PurgeShown {
    let receipt = touch.id.and_then(|id| ask.engine.purges.receipt(id));
    let when = receipt.as_ref().map(|r| r.when).or(touch.id.map(|id| Wall(id.ms())));
    let what = match &touch.by {
        By::Selector(selector) => selector.to_string(),
        By::Pattern(spec) => pattern(spec),
        By::Floor if receipt.is_some() => Selector::Everything.to_string(),
        By::Floor => "everything older than the purge log remembers".to_owned(),
        By::Pending => "a purge of this node that the fleet has not heard of yet".to_owned(),
    };
    PurgeShown {
        what,
        mode: Mode::as_str(touch.mode),
        cause: touch.cause.as_str(),
        id: touch.id.map(|id| id.to_string()),
        when: when.map(timestamp),
        ago_s: when.map(|when| now.wall.since(when).as_secs()),
        who: receipt.map(|receipt| receipt.who),
    }
}

/// `pattern {"url":{"regex":"…"}}`
fn pattern(spec: &crate::purge::PredicateSpec) -> String {
    format!("pattern {}", serde_json::to_string(spec).unwrap_or_default())
}
