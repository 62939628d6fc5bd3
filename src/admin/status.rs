//! `/status`: one snapshot of everything, for people, the dashboard and `larder top`.

use super::Admin;
use crate::engine::Engine;
use crate::engine::outcome::Kind;
use crate::fleet::Fleet;
use crate::observe::metrics::Levels;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What metrics and status read off the running parts.
pub fn levels(admin: &Admin) -> Levels {
    let memory = &admin.engine.memory;
    let stats = memory.stats();
    Levels {
        memory_bytes: memory.bytes(),
        memory_entries: stats.entries.load(Ordering::Relaxed),
        evicted_size: stats.evicted_size.load(Ordering::Relaxed),
        evicted_expired: stats.evicted_expired.load(Ordering::Relaxed),
        variants_dropped: stats.variants_dropped.load(Ordering::Relaxed),
        inflight: admin.engine.flights.len() as u64,
        connections: admin.connections.open(),
        turned: admin.connections.turned(),
        fleet: admin.engine.fleet.as_ref().map(|fleet| fleet.levels()).unwrap_or_default(),
    }
}

pub fn snapshot(admin: &Admin) -> Value {
    let levels = levels(admin);
    let site = admin.engine.site();
    let mut rules: Vec<Arc<str>> = site.rules.rules().map(|r| r.name.clone()).collect();
    rules.push(Arc::from("none"));
    let mut requests = Map::new();
    let (mut total, mut from_store) = (0u64, 0u64);
    for kind in Kind::ALL {
        let count = admin.engine.metrics.requests_with(kind.as_str(), &rules);
        total += count;
        if matches!(kind, Kind::Hit | Kind::Stale) {
            from_store += count;
        }
        requests.insert(kind.as_str().into(), count.into());
    }
    let origins: Map<String, Value> = site
        .origins
        .iter()
        .map(|(name, origin)| (name.to_string(), origin_json(&origin.snapshot())))
        .collect();
    let now = admin.engine.clock.now();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "name": site.server_name,
        "uptime_s": now.mono.since(admin.started.mono).as_secs(),
        "draining": admin.draining.load(Ordering::Acquire),
        "requests": requests,
        "requests_total": total,
        "hit_ratio": ratio(from_store, total),
        "connections": levels.connections,
        "inflight": levels.inflight,
        "memory": {
            "bytes": levels.memory_bytes,
            "capacity": admin.engine.memory.capacity(),
            "entries": levels.memory_entries,
            "evicted_size": levels.evicted_size,
            "evicted_expired": levels.evicted_expired,
            "filling_bytes": admin.engine.fill_budget.used(),
        },
        "origins": origins,
        "shared": admin.engine.fleet.as_deref().map(|fleet| shared_json(fleet, &admin.engine)),
    })
}

/// The store that the fleet shares, in one word: what `/readyz` says too.
pub fn shared_word(fleet: &Fleet) -> &'static str {
    let states = fleet.links.states();
    match (states.iter().any(|role| role.breaker_open), states.iter().any(|role| role.connected > 0)) {
        (false, true) => "up",
        (true, true) => "degraded",
        (_, false) => "down",
    }
}

fn shared_json(fleet: &Fleet, engine: &Engine) -> Value {
    let log = fleet.log.state();
    let roles: Map<String, Value> = fleet
        .links
        .states()
        .iter()
        .map(|role| {
            let state = json!({ "connected": role.connected, "breaker_open": role.breaker_open });
            (role.role.as_str().to_owned(), state)
        })
        .collect();
    let nodes: Vec<Value> = log
        .nodes
        .iter()
        .map(|node| {
            json!({
                "name": node.name,
                "own": node.own,
                "applied": node.applied.to_string(),
                "silent_ms": u64::try_from(node.silent_for.as_millis()).unwrap_or(u64::MAX),
            })
        })
        .collect();
    let metrics = &engine.metrics.fleet;
    let (hits, misses) = (metrics.calls("get", "hit"), metrics.calls("get", "miss"));
    json!({
        "state": shared_word(fleet),
        "hits": hits,
        "misses": misses,
        "hit_ratio": ratio(hits, hits + misses),
        "latency_ms": metrics.mean_ms("get"),
        "roles": roles,
        "synced": log.synced,
        "unsynced_s": log.unsynced_for.map(|lag| lag.as_secs_f64()),
        "position": log.position.map(|id| id.to_string()),
        "waiting_purges": log.waiting,
        "nodes": nodes,
    })
}

#[allow(clippy::cast_precision_loss)] // a ratio for people
fn ratio(part: u64, whole: u64) -> Value {
    if whole == 0 { Value::Null } else { json!(part as f64 / whole as f64) }
}

fn origin_json(origin: &crate::origin::Snapshot) -> Value {
    let servers: Vec<Value> = origin
        .servers
        .iter()
        .map(|s| {
            json!({
                "url": *s.url,
                "healthy": s.healthy,
                "breaker": s.breaker.as_str(),
                "in_flight": s.in_flight,
            })
        })
        .collect();
    json!({ "servers": servers })
}
