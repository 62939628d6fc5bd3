//! `/status`: one snapshot of everything, for people, the dashboard and `larder top`.

use super::{Admin, figures, purge};
use crate::engine::Engine;
use crate::engine::outcome::Kind;
use crate::fleet::Fleet;
use crate::observe::metrics::Levels;
use crate::observe::process::Process;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Recent purges in a snapshot.
const PURGES: usize = 10;

/// What metrics and status read off the running parts.
pub fn levels(admin: &Admin) -> Levels {
    let memory = &admin.engine.memory;
    let stats = memory.stats();
    let origins = &admin.engine.site().origins;
    Levels {
        memory_bytes: memory.bytes(),
        memory_entries: stats.entries.load(Ordering::Relaxed),
        memory_capacity: memory.capacity(),
        started_s: started_s(admin),
        evicted_size: stats.evicted_size.load(Ordering::Relaxed),
        evicted_expired: stats.evicted_expired.load(Ordering::Relaxed),
        variants_dropped: stats.variants_dropped.load(Ordering::Relaxed),
        inflight: admin.engine.flights.len() as u64,
        connections: admin.connections.open(),
        origins_up: origins.iter().map(|(name, origin)| (name.clone(), origin.is_up())).collect(),
        turned: admin.connections.turned(),
        fleet: admin.engine.fleet.as_ref().map(|fleet| fleet.levels()).unwrap_or_default(),
    }
}

#[allow(clippy::cast_precision_loss)] // milliseconds since 1970 are exact in an f64
fn started_s(admin: &Admin) -> f64 {
    admin.started.wall.0 as f64 / 1000.0
}

/// Counters in it only rise while a process lives: two snapshots and their `at_s` give rates.
pub fn snapshot(admin: &Admin) -> Value {
    let engine = &admin.engine;
    let (levels, samples, now) = (levels(admin), engine.metrics.samples(), engine.clock.now());
    let site = engine.site();
    let requests = figures::requests(&samples);
    let sum =
        |of: &dyn Fn(Kind) -> bool| requests.iter().filter(|(k, _)| of(*k)).map(|(_, n)| n).sum::<u64>();
    let (total, from_store) = (sum(&|_| true), sum(&|kind| matches!(kind, Kind::Hit | Kind::Stale)));
    let bytes = samples.counts("bytes", "direction");
    let bytes = |direction: &str| bytes.get(direction).copied().unwrap_or_default();
    let origin = |name: &Arc<str>, origin: &Arc<crate::origin::Origin>| {
        (name.to_string(), figures::origin(name, origin.is_up(), &origin.snapshot(), &samples))
    };
    let origins: Map<String, Value> = site.origins.iter().map(|(name, o)| origin(name, o)).collect();
    let since = now.mono.since(admin.started.mono);
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "name": site.server_name,
        "uptime_s": since.as_secs(),
        "at_s": since.as_secs_f64(),
        "draining": admin.draining.load(Ordering::Acquire),
        "requests": requests.iter().map(|(k, n)| (k.as_str().to_owned(), Value::from(*n))).collect::<Map<_, _>>(),
        "requests_total": total,
        "hit_ratio": ratio(from_store, total),
        "bytes": { "client": bytes("client"), "origin": bytes("origin") },
        // Of the bytes that clients got, those that no origin sent.
        "byte_hit_ratio": ratio(bytes("client").saturating_sub(bytes("origin")), bytes("client")),
        "latency": figures::latency(&samples),
        "not_stored": figures::not_stored(&samples),
        "stale_served": figures::by_count(samples.counts("stale_served", "why"), "why"),
        "refused": figures::by_count(samples.counts("refused", "reason"), "reason"),
        "connections": levels.connections,
        "inflight": levels.inflight,
        "memory": memory(engine, &levels),
        "origins": origins,
        "hottest": figures::hottest(engine, now),
        "purges": engine.purges.recent(PURGES).iter().map(purge::listed).collect::<Vec<_>>(),
        "shared": engine.fleet.as_deref().map(|fleet| shared_json(fleet, engine)),
    })
}

fn memory(engine: &Engine, levels: &Levels) -> Value {
    let process = Process::read();
    json!({
        "bytes": levels.memory_bytes,
        "capacity": levels.memory_capacity,
        "resident": process.resident_bytes,
        "limit": process.memory_limit_bytes,
        "entries": levels.memory_entries,
        "evicted_size": levels.evicted_size,
        "evicted_expired": levels.evicted_expired,
        "variants_dropped": levels.variants_dropped,
        "filling_bytes": engine.fill_budget.used(),
    })
}

/// The store that the fleet shares, in one word: what `/readyz` says too. One that takes connections and answers nothing
/// is not `up`: this node does not hear of purges then.
pub fn shared_word(fleet: &Fleet, synced: bool) -> &'static str {
    let states = fleet.links.states();
    let fails = states.iter().any(|role| role.breaker_open) || !synced;
    match (fails, states.iter().any(|role| role.connected > 0)) {
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
        "state": shared_word(fleet, log.synced),
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
