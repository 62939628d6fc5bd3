//! The figures of a snapshot: what was counted, read back and put in order for people.

use crate::engine::Engine;
use crate::engine::draft::Refused;
use crate::engine::explain::notes;
use crate::engine::outcome::Kind;
use crate::observe::samples::{Buckets, Samples};
use crate::origin::Snapshot;
use crate::semantics::storable::NotStored;
use crate::time::Now;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Pages and tags in a snapshot.
const HOTTEST: usize = 20;

/// Requests so far by outcome; they never fall, whatever a reload does to the rules.
pub fn requests(samples: &Samples) -> Vec<(Kind, u64)> {
    let count = |kind: Kind| samples.buckets("request_seconds", ("outcome", kind.as_str())).count();
    Kind::ALL.into_iter().map(|kind| (kind, count(kind))).collect()
}

/// From the request's head to the answer's last byte, by outcome; bounds in milliseconds, `null` = what lies beyond.
pub fn latency(samples: &Samples) -> Value {
    let by_outcome = Kind::ALL.map(|kind| {
        let buckets = samples.buckets("request_seconds", ("outcome", kind.as_str()));
        (kind.as_str().to_owned(), tally(&buckets))
    });
    let first = samples.buckets("request_seconds", ("outcome", Kind::Hit.as_str()));
    let bounds: Vec<Value> = first.counts.iter().map(|(bound, _)| milliseconds(*bound)).collect();
    json!({ "bounds_ms": bounds, "outcomes": by_outcome.into_iter().collect::<Map<_, _>>() })
}

fn tally(buckets: &Buckets) -> Value {
    let quantile = |share| buckets.quantile(share).map_or(Value::Null, milliseconds);
    json!({
        "count": buckets.count(),
        "p50_ms": quantile(0.5),
        "p90_ms": quantile(0.9),
        "p99_ms": quantile(0.99),
        "buckets": buckets.counts.iter().map(|(_, count)| *count).collect::<Vec<_>>(),
    })
}

/// To the microsecond.
fn milliseconds(seconds: f64) -> Value {
    if seconds.is_finite() { json!((seconds * 1e6).round() / 1e3) } else { Value::Null }
}

/// Counts by word, the largest first.
pub fn by_count(counts: BTreeMap<String, u64>, word: &str) -> Vec<Map<String, Value>> {
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let row = |(text, count): (String, u64)| {
        Map::from_iter([(word.to_owned(), Value::from(text)), ("count".to_owned(), count.into())])
    };
    counts.into_iter().map(row).collect()
}

/// Why answers were not stored, with what each word means.
pub fn not_stored(samples: &Samples) -> Vec<Map<String, Value>> {
    let mut rows = by_count(samples.counts("not_stored", "reason"), "reason");
    for row in &mut rows {
        let all = NotStored::ALL.into_iter().map(Refused::Semantics).chain(Refused::OWN);
        let word = row.get("reason").and_then(Value::as_str).unwrap_or_default();
        if let Some(note) = all.into_iter().find(|why| why.as_str() == word).map(notes::refused) {
            row.insert("says".to_owned(), note.says.into());
            row.insert("advice".to_owned(), note.advice.into());
        }
    }
    rows
}

/// The pages and tags that are asked for most, as far as one request in 64 can tell.
pub fn hottest(engine: &Engine, now: Now) -> Value {
    let share = |share: f64| (share * 1e4).round() / 1e4;
    let pages = engine.popular.pages(HOTTEST, now.mono);
    let pages: Vec<Value> =
        pages.iter().map(|(page, of)| json!({ "url": **page, "share": share(*of) })).collect();
    // Some have no text: hashes of groups, and of tags in any case. So some more are asked for.
    let tags = engine.popular.tags(4 * HOTTEST, now.mono);
    let named = tags.iter().filter_map(|(tag, of)| Some((engine.memory.index().name_of(*tag)?, *of)));
    let tags: Vec<Value> =
        named.take(HOTTEST).map(|(tag, of)| json!({ "tag": *tag, "share": share(of) })).collect();
    json!({ "sampled_one_in": crate::engine::popular::ONE_IN, "pages": pages, "tags": tags })
}

/// One origin: its servers, what it answered, how long that took.
pub fn origin(name: &str, up: bool, state: &Snapshot, samples: &Samples) -> Value {
    let servers: Vec<Value> = state
        .servers
        .iter()
        .map(|server| {
            json!({
                "url": *server.url,
                "backup": server.backup,
                "healthy": server.healthy,
                "breaker": server.breaker.as_str(),
                "in_flight": server.in_flight,
                "latency_ms": milliseconds(server.latency.as_secs_f64()),
            })
        })
        .collect();
    let label = ("origin", name);
    json!({
        "up": up,
        "servers": servers,
        "waiting": state.waiting,
        "idle_connections": state.idle,
        "answers": samples.counts_where("origin_requests", "status", label),
        "latency": tally(&samples.buckets("origin_seconds", label)),
    })
}
