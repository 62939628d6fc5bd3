//! Writing responses to the store: pieces of the body first, then in one step the record, what selects it, the end of a
//! mark and of the lease.
//!
//! `PX` only reclaims memory, so it is generous: as long as anybody may have any use for the response. Pieces
//! stay a little longer than their record. What can't be reached any more is told to go soon: the pieces of
//! a body that was replaced (but not while somebody may be reading them), or whose record was never written.

use super::Tier;
use super::body::WINDOW;
use super::budget::{self, Budget};
use super::lease::millis;
use super::queue::Item;
use super::scripts::{WRITE, Wrote};
use super::words::{Op, Outcome, call};
use crate::fleet::links::{CallError, Role};
use crate::fleet::names::KeyNames;
use crate::fleet::value::{BORN, ChunkWriter, Encoded, Generation, Header};
use crate::store::entry::Described;
use bytes::Bytes;
use std::time::Duration;

/// Responses that are written at a time.
pub(super) const WRITERS: usize = 3;

/// A response that is of use for less is kept for this long: what it takes to be read by those who wait for it.
const SHORTEST: Duration = Duration::from_secs(1);

/// How much longer than the record the pieces stay: longer than it takes to write them.
const SLACK: Duration = Duration::from_secs(10);

/// What every record of this version begins with: magic and version.
const MAGIC: usize = 6;

/// Bodies of more pieces than this are left to `PX` when they are replaced.
const MAX_DISCARDED: u32 = 4096;

/// Writes what is queued, one by one.
pub(super) async fn writer(tier: &Tier) {
    while let Some(item) = tier.queue.pop().await {
        write(tier, item).await;
    }
}

pub(super) async fn write(tier: &Tier, item: Item) {
    let budget = Budget::new(&tier.clock, budget::for_body(tier.timeout, item.entry.length));
    let outcome = written(tier, item, &budget).await.unwrap_or_else(|why| why);
    call(&tier.metrics, Op::Put, outcome, budget.spent());
}

/// Whatever comes of it, the lease is released: by the script, or as it is dropped.
async fn written(tier: &Tier, item: Item, budget: &Budget<'_>) -> Result<Outcome, Outcome> {
    let names = tier.names.of(&item.key);
    let nominated = item.entry.nominated();
    let encoded = tier
        .codec
        .encode(&item.key, &tier.names, &item.entry, tier.store_clock())
        .map_err(Outcome::Cannot)?;
    if encoded.px.is_zero() {
        return Err(Outcome::Useless);
    }
    let mut vary = Bytes::new();
    if !nominated.is_empty() {
        vary = tier.codec.encode_vary(&item.key, &tier.names, nominated).map_err(Outcome::Cannot)?;
        tier.guesses.remember(&item.key, nominated);
    }
    let Encoded { name, record, chunks, generation, px } = encoded;
    let (count, px) = (chunks.pieces(), px.max(SHORTEST));
    let written = match pieces(tier, chunks, px, budget).await {
        Ok(()) => publish(tier, &names, &item, [name.as_bytes(), &record, &vary], px, budget).await,
        Err(why) => Err(why),
    };
    match written {
        Ok(Wrote::Ok { old }) => {
            if let Some(lease) = item.lease {
                lease.settle();
            }
            if let Ok(old) = Header::read(&old)
                && old.generation != generation
            {
                let grace = budget::for_body(tier.timeout, old.total).saturating_mul(2);
                discard(tier, &names, old.generation, old.chunks, grace).await;
            }
            Ok(Outcome::Ok)
        }
        Ok(Wrote::Superseded) => {
            discard(tier, &names, generation, count, Duration::ZERO).await;
            Ok(Outcome::Superseded)
        }
        Err(why) => {
            // After a time-out nobody knows whether the record was written, so its pieces stay.
            if !matches!(why, Outcome::Failed(CallError::Timeout | CallError::Broken)) {
                discard(tier, &names, generation, count, Duration::ZERO).await;
            }
            Err(why)
        }
    }
}

async fn pieces(
    tier: &Tier,
    mut chunks: ChunkWriter,
    px: Duration,
    budget: &Budget<'_>,
) -> Result<(), Outcome> {
    let px = millis(px.saturating_add(SLACK));
    let mut left = chunks.pieces();
    while left > 0 {
        // Copying, sealing and summing a megabyte is too long for a thread that others wait for.
        let made = tokio::task::spawn_blocking(move || {
            let window: Result<Vec<_>, _> = chunks.by_ref().take(WINDOW as usize).collect();
            window.map(|window| (window, chunks))
        });
        let (window, rest) =
            made.await.map_err(|_| Outcome::Failed(CallError::Refused))?.map_err(Outcome::Cannot)?;
        let mut sets = redis::Pipeline::with_capacity(window.len());
        for (name, piece) in &window {
            sets.cmd("SET").arg(name).arg(&piece[..]).arg("PX").arg(&px);
        }
        let Some((route, _)) = window.first() else { break };
        let patience = budget.left().map_err(Outcome::Failed)?;
        let replies = tier.links.call(Role::Write, route.as_bytes(), &sets, patience).await;
        if replies.map_err(Outcome::Failed)?.iter().any(|reply| *reply != redis::Value::Okay) {
            return Err(Outcome::Failed(CallError::Refused));
        }
        chunks = rest;
        left = left.saturating_sub(WINDOW);
    }
    Ok(())
}

/// Makes it what the others find. `value` is name, record, and what selects it.
async fn publish(
    tier: &Tier,
    names: &KeyNames,
    item: &Item,
    [name, record, vary]: [&[u8]; 3],
    px: Duration,
    budget: &Budget<'_>,
) -> Result<Wrote, Outcome> {
    let vary_name = names.vary();
    let mark_name = names.mark();
    // A script names its keys in any case; without a token the last of them is not touched.
    let lease = item.lease.as_ref().and_then(|lease| lease.place());
    let (lease_name, token) =
        lease.map_or((mark_name.as_bytes(), &[][..]), |(name, token)| (name.as_bytes(), token.as_bytes()));
    let keys = [name, vary_name.as_bytes(), mark_name.as_bytes(), lease_name];
    let px = millis(px);
    let born_at = BORN.start.to_string();
    let born = item.entry.born.id.0.to_be_bytes();
    let magic = record.get(..MAGIC).unwrap_or_default();
    let args = [record, px.as_bytes(), vary, token, magic, born_at.as_bytes(), &born];
    let patience = budget.left().map_err(Outcome::Failed)?;
    let answer = tier.links.script(Role::Write, &WRITE, &keys, &args, patience).await;
    answer.and_then(Wrote::read).map_err(Outcome::Failed)
}

/// Pieces that no record names go after `grace`. If this fails they go later, by their own `PX`.
async fn discard(tier: &Tier, names: &KeyNames, generation: Generation, count: u32, grace: Duration) {
    if count == 0 || count > MAX_DISCARDED {
        return;
    }
    let grace = millis(grace);
    let mut expire = redis::Pipeline::with_capacity(count as usize);
    for index in 0..count {
        expire.cmd("PEXPIRE").arg(names.chunk(generation, index)).arg(&grace).arg("LT");
    }
    let route = names.mark();
    let patience = tier.timeout.saturating_mul(10);
    drop(tier.links.call(Role::Write, route.as_bytes(), &expire, patience).await);
}
