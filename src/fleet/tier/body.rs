//! Large bodies: fetched in pieces over connections of their own, some at a time, each checked as it comes.

use super::Tier;
use super::budget::{self, Budget};
use super::scripts::bytes;
use super::words::{Op, Outcome, call};
use crate::fleet::links::Role;
use crate::fleet::names::KeyNames;
use crate::fleet::value::{Chunked, Stored};
use bytes::Bytes;
use std::time::Duration;
use tokio::sync::SemaphorePermit;

/// Pieces that are under way at a time, of one body.
pub(super) const WINDOW: u32 = 4;

/// KiB of bodies that may be on their way into this node at a time; who comes later waits.
pub(super) const ROOM: u32 = 256 << 10;

/// All pieces, or why there is no body.
pub(super) async fn fetch(tier: &Tier, names: &KeyNames, chunked: Chunked) -> Result<Stored, Outcome> {
    let time = budget::for_body(tier.timeout, chunked.head().length);
    let budget = Budget::new(&tier.clock, time);
    let fetched = pieces(tier, names, chunked, &budget, time).await;
    let outcome = fetched.as_ref().map_or_else(|why| *why, |_| Outcome::Ok);
    call(&tier.metrics, Op::Chunks, outcome, budget.spent());
    fetched
}

async fn pieces(
    tier: &Tier,
    names: &KeyNames,
    mut chunked: Chunked,
    budget: &Budget<'_>,
    time: Duration,
) -> Result<Stored, Outcome> {
    let _room = room(tier, chunked.head().length, time).await?;
    while chunked.expects() < chunked.pieces() {
        let first = chunked.expects();
        let window = first..chunked.pieces().min(first.saturating_add(WINDOW));
        let mut gets = redis::Pipeline::with_capacity(WINDOW as usize);
        for index in window {
            gets.cmd("GET").arg(names.chunk(chunked.generation(), index));
        }
        let route = names.mark();
        let left = budget.left().map_err(Outcome::Failed)?;
        let values = tier.links.call(Role::Bulk, route.as_bytes(), &gets, left).await;
        for value in values.map_err(Outcome::Failed)? {
            chunked.push(names, bytes(value).map(Bytes::from)).map_err(Outcome::Bad)?;
        }
    }
    chunked.finish().map_err(Outcome::Bad)
}

/// Room in memory for a body of this length, or for as much as there ever is.
async fn room(tier: &Tier, length: u64, time: Duration) -> Result<SemaphorePermit<'_>, Outcome> {
    let kib = u32::try_from(length.div_ceil(1024)).unwrap_or(u32::MAX).min(ROOM);
    match tokio::time::timeout(time, tier.room.acquire_many(kib)).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(Outcome::Busy),
    }
}
