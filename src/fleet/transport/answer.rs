//! What the store answers, as values. Everything in it may be rubbish: another program may have written to our keys.

use crate::fleet::links::CallError;
use crate::purge::PurgeId;
use crate::purge::fleet::{Body, Record, codec};
use redis::Value;

/// Nodes of a fleet; an answer with more is not believed.
const MOST_NODES: usize = 10_000;
/// Greatest lower half of an id that we give.
const SEQ_MAX: u64 = (1 << 22) - 1;

/// A node's last sign of life as it stands in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    pub node: u64,
    /// On the store's clock.
    pub ms: u64,
    /// Up to where it has applied this log; `None` = it has signed off.
    pub applied: Option<PurgeId>,
    pub name: String,
}

/// One answer of `sync.lua`.
#[derive(Debug)]
pub struct Answer {
    /// The store's clock.
    pub ms: u64,
    /// `None` if there are more records than these.
    pub tail: Option<PurgeId>,
    pub records: Vec<Record>,
    pub beats: Vec<Beat>,
    /// Names the list of nodes: one that was lost and made again has another name.
    pub since: String,
    /// This node's last numbered write, as this server has it; 0 = none.
    pub number: u64,
}

impl Answer {
    /// # Errors
    /// [`CallError::Refused`]: another shape.
    pub fn parse(value: Value) -> Result<Self, CallError> {
        let Value::Array(parts) = value else { return Err(CallError::Refused) };
        let Ok([ms, tail, records, nodes, since, number]) = <[Value; 6]>::try_from(parts) else {
            return Err(CallError::Refused);
        };
        let tail = match tail {
            Value::Nil => None,
            tail => Some(stream_id(&tail).ok_or(CallError::Refused)?),
        };
        let (Value::Array(records), Value::Array(nodes)) = (records, nodes) else {
            return Err(CallError::Refused);
        };
        if nodes.len() > 2 * MOST_NODES {
            return Err(CallError::Refused);
        }
        Ok(Self {
            ms: number_of(&ms).ok_or(CallError::Refused)?,
            tail,
            records: records.into_iter().map(record).collect::<Option<_>>().ok_or(CallError::Refused)?,
            beats: nodes.chunks_exact(2).filter_map(beat).collect(),
            since: text(&since).ok_or(CallError::Refused)?.to_owned(),
            number: number_of(&number).unwrap_or(0),
        })
    }
}

/// `None` if it isn't even the id of a stream's record.
fn record(value: Value) -> Option<Record> {
    let Value::Array(parts) = value else { return None };
    let [id, prev, payload] = <[Value; 3]>::try_from(parts).ok()?;
    let id = stream_id(&id)?;
    match (stream_id(&prev), payload) {
        (Some(prev), Value::BulkString(payload)) => {
            let (by, body) = codec::decode(&payload);
            Some(Record { id, prev, by, body })
        }
        // Not appended by a node. What was before it, nobody knows: to the follower that is a gap.
        _ => {
            let prev = PurgeId(id.0.saturating_sub(1));
            Some(Record { id, prev, by: Default::default(), body: Body::Unreadable })
        }
    }
}

/// The id of a stream's record. One that no node gives is moved to the nearest that one could have given, downwards: it is read again with
/// each answer then, which does no harm, until the next record stands after it. One beyond the year 2109 is none: floors never fall, so
/// believing it would make everything a miss until the last node is restarted. Nodes are unsynced until somebody deletes the log.
pub fn stream_id(value: &Value) -> Option<PurgeId> {
    let (ms, seq) = text(value)?.split_once('-')?;
    let (ms, seq) = (ms.parse().ok()?, seq.parse::<u64>().ok()?);
    PurgeId::from_parts(ms, seq.min(SEQ_MAX))
}

fn beat(pair: &[Value]) -> Option<Beat> {
    let [node, said] = pair else { return None };
    let mut said = text(said)?.splitn(3, ' ');
    Some(Beat {
        node: u64::from_str_radix(text(node)?, 16).ok()?,
        ms: said.next()?.parse().ok()?,
        applied: match said.next()? {
            "bye" => None,
            // What we can't read has applied nothing that we know of.
            applied => Some(applied.parse().unwrap_or(PurgeId::ZERO)),
        },
        name: said.next()?.to_owned(),
    })
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

fn number_of(value: &Value) -> Option<u64> {
    text(value)?.parse().ok()
}

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// `history` names the branch of data that it leads; a replica that is promoted takes another. Replicas are
    /// those that follow; one that is still being filled can't replace it.
    Master {
        history: String,
        replicas: usize,
    },
    Replica,
    /// It doesn't tell us.
    Unknown,
}

impl Standing {
    /// From `INFO replication`. `ROLE` would say the same but for `history`.
    pub fn parse(value: Option<&Value>) -> Self {
        let Some(info) = value.and_then(info_text) else { return Self::Unknown };
        let field = |name: &str| field(info, name);
        match field("role") {
            Some("master") => {}
            Some(_) => return Self::Replica,
            None => return Self::Unknown,
        }
        let is_replica = |line: &&str| {
            line.strip_prefix("slave").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        let lines: Vec<&str> = info.lines().filter(is_replica).collect();
        let replicas = match lines.is_empty() {
            true => field("connected_slaves").and_then(|count| count.parse().ok()).unwrap_or(0),
            false => lines.iter().filter(|line| line.contains("state=online")).count(),
        };
        Self::Master { history: field("master_replid").unwrap_or_default().to_owned(), replicas }
    }
}

/// Whether a store may throw keys away that have no time to live, by `INFO memory`: then the name of its policy.
pub fn evicts_all(value: Option<&Value>) -> Option<String> {
    let info = value.and_then(info_text)?;
    let limited = field(info, "maxmemory").is_some_and(|bytes| bytes != "0");
    field(info, "maxmemory_policy")
        .filter(|policy| limited && policy.starts_with("allkeys-"))
        .map(str::to_owned)
}

fn info_text(value: &Value) -> Option<&str> {
    match value {
        Value::VerbatimString { text, .. } => Some(text),
        other => text(other),
    }
}

fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.trim_end().split_once(':').filter(|(n, _)| *n == name).map(|(_, v)| v))
}
