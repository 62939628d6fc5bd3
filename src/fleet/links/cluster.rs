//! A cluster: which slot a key has, and which node has the slot.

use super::connection::Linker;
use super::error::{self, CallError, Fault};
use super::topology::{Map, SLOTS, ask};
use crate::fleet::settings::Address;
use redis::Value;

/// The slot of a key: CRC16 (XMODEM) of what stands in its first `{}`, when that is not empty; of the whole otherwise.
pub(super) fn slot(key: &[u8]) -> u16 {
    crc16::State::<crc16::XMODEM>::calculate(tag(key)) % SLOTS
}

fn tag(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|b| *b == b'{') else { return key };
    let inside = key.get(open + 1..).unwrap_or_default();
    match inside.iter().position(|b| *b == b'}') {
        Some(end) if end > 0 => inside.get(..end).unwrap_or(key),
        _ => key,
    }
}

/// Asks nodes for the map until one tells: one that is known, the seeds, then the others that are known. There is time for two or three
/// that don't answer: were all that are known gone, as after a cluster has moved, the seeds would never be asked after them.
pub(super) async fn find(linker: &Linker, known: &[Address], seeds: &[Address]) -> Result<Map, Fault> {
    let mut nodes = known.to_vec();
    fastrand::shuffle(&mut nodes);
    let first_seed = fastrand::usize(..seeds.len().max(1));
    let (before, after) = seeds.split_at(first_seed.min(seeds.len()));
    let others = nodes.split_off(nodes.len().min(1));
    nodes.extend(after.iter().chain(before).filter(|seed| !known.contains(seed)).cloned());
    nodes.extend(others);
    let mut question = redis::pipe();
    question.cmd("CLUSTER").arg("SLOTS");
    let mut last = Fault::new(CallError::Connect, "no node of the cluster is known");
    for node in &nodes {
        let answer = ask(linker, node, &linker.auth, &question).await;
        match answer.and_then(|value| parse(&value, node)) {
            Ok(map) => return Ok(map),
            Err(fault) => last = fault,
        }
    }
    tracing::debug!(nodes = nodes.len(), last = %last.detail, "shared store: no node tells where the slots are");
    Err(last)
}

/// The answer to `CLUSTER SLOTS`: `[first, last, [host, port, …], replicas…]` for each range.
pub(super) fn parse(answer: &Value, asked: &Address) -> Result<Map, Fault> {
    let rows = match answer {
        Value::Array(rows) => rows,
        Value::ServerError(e) => {
            return Err(Fault::new(CallError::Connect, format_args!("{asked}: {}", error::text(e))));
        }
        _ => {
            return Err(Fault::new(
                CallError::Connect,
                format_args!("{asked}: CLUSTER SLOTS: another shape"),
            ));
        }
    };
    let map = Map::of_ranges(rows.iter().filter_map(|row| range(row, asked)));
    if map.masters().is_empty() {
        return Err(Fault::new(CallError::NotNow, format_args!("{asked}: no slot has a master")));
    }
    Ok(map)
}

fn range(row: &Value, asked: &Address) -> Option<(u16, u16, Address)> {
    let Value::Array(parts) = row else { return None };
    let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = parts.as_slice() else {
        return None;
    };
    let [host, Value::Int(port), ..] = master.as_slice() else { return None };
    let (first, last) = (u16::try_from(*first).ok()?, u16::try_from(*last).ok()?);
    let host = match host {
        Value::BulkString(host) => std::str::from_utf8(host).ok()?,
        Value::SimpleString(host) => host,
        Value::Nil => "",
        _ => return None,
    };
    // `?`: the node has no name where names are preferred. Nobody could connect to it.
    let known = first <= last && last < SLOTS && host != "?";
    let address = Address { host: host.into(), port: u16::try_from(*port).ok().filter(|p| *p != 0)? };
    known.then(|| (first, last, address.or_host_of(asked)))
}

impl Address {
    /// An empty host stands for the one that was asked.
    pub(super) fn or_host_of(self, asked: &Address) -> Self {
        if self.host.is_empty() { Self { host: asked.host.clone(), ..self } } else { self }
    }
}
