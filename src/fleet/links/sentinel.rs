//! Sentinels: who is the master of that name? The first that names one which agrees is believed.
//!
//! No votes are counted here: the sentinels' own quorum decides who is promoted, and a majority of those that we happen to reach would say
//! no more than one of them. What one sentinel can get wrong is to name the old master after a fail-over. The master's own word (`ROLE`)
//! settles that but for one case: it was cut off together with this sentinel. Then it is believed, and its answers prove nothing, for the
//! replica that was promoted has stopped acknowledging (`transport/proof`): nodes there are unsynced after `max_unsynced`.

use super::connection::Linker;
use super::error::{self, CallError, Fault};
use super::topology::{Map, ask};
use crate::fleet::settings::{Address, Auth};
use redis::Value;

/// `trusted`: the master as it is known and works; named again, it isn't asked.
pub(super) async fn find(
    linker: &Linker,
    sentinels: &[Address],
    name: &str,
    trusted: Option<&Address>,
) -> Result<Map, Fault> {
    let mut last = Fault::new(CallError::Connect, "no sentinel is known");
    let first = fastrand::usize(..sentinels.len().max(1));
    let (before, after) = sentinels.split_at(first.min(sentinels.len()));
    for sentinel in after.iter().chain(before) {
        match master(linker, sentinel, name).await {
            Ok(address) if Some(&address) == trusted => return Ok(Map::of_one(address)),
            Ok(address) => match agrees(linker, &address).await {
                Ok(()) => return Ok(Map::of_one(address)),
                Err(fault) => last = fault,
            },
            Err(fault) => last = fault,
        }
    }
    tracing::debug!(sentinels = sentinels.len(), last = %last.detail, "shared store: no sentinel knows a master");
    Err(last)
}

/// Sentinels often have no password though the masters have one, and refuse what they don't expect.
async fn master(linker: &Linker, sentinel: &Address, name: &str) -> Result<Address, Fault> {
    let mut question = redis::pipe();
    question.cmd("SENTINEL").arg("get-master-addr-by-name").arg(name);
    let mut answer = ask(linker, sentinel, &linker.auth, &question).await;
    if linker.auth.password.is_some() && matches!(&answer, Err(fault) if fault.why == CallError::Connect) {
        answer = ask(linker, sentinel, &Auth::default(), &question).await;
    }
    match answer? {
        Value::Array(parts) => address(&parts, sentinel)
            .ok_or_else(|| Fault::new(CallError::Connect, format_args!("{sentinel}: no address"))),
        Value::Nil => {
            Err(Fault::new(CallError::Connect, format_args!("{sentinel}: knows no master {name:?}")))
        }
        Value::ServerError(e) => {
            Err(Fault::new(CallError::Connect, format_args!("{sentinel}: {}", error::text(&e))))
        }
        _ => Err(Fault::new(CallError::Connect, format_args!("{sentinel}: an answer of another shape"))),
    }
}

fn address(parts: &[Value], sentinel: &Address) -> Option<Address> {
    let [Value::BulkString(host), Value::BulkString(port)] = parts else { return None };
    let port = std::str::from_utf8(port).ok()?.parse().ok()?;
    let address = Address { host: std::str::from_utf8(host).ok()?.into(), port };
    Some(address.or_host_of(sentinel))
}

/// A sentinel that was cut off names the old master: is it still one?
async fn agrees(linker: &Linker, master: &Address) -> Result<(), Fault> {
    let asking = async { linker.open(master, &linker.auth, 0).await?.check_master().await };
    match tokio::time::timeout(super::topology::QUESTION, asking).await {
        Ok(answer) => answer,
        Err(_) => Err(Fault::new(CallError::Connect, format_args!("{master}: no answer"))),
    }
}
