//! The download of one answer: its chunks go to everybody who reads along, and into the store when the whole is there.

use crate::engine::draft::Refused;
use crate::engine::growing::{Demand, Growing, compact};
use crate::engine::markers::Mark;
use crate::engine::policy::Policy;
use crate::engine::{Engine, Site};
use crate::fleet::tier::Lease;
use crate::origin::OriginBody;
use crate::purge::Verdict;
use crate::semantics::coding::Codings;
use crate::store::entry::Meta;
use crate::store::{Entry, Key};
use crate::time::Now;
use bytes::Bytes;
use http::HeaderMap;
use http::header::TRAILER;
use http_body_util::BodyExt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Sleep;

/// How long the slowest of several readers may hold back the others, where no more than a window of the body is kept.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the chunks of one download go.
pub(super) struct Sink {
    pub engine: Arc<Engine>,
    pub site: Arc<Site>,
    pub key: Key,
    pub policy: Arc<Policy>,
    pub meta: Arc<Meta>,
    pub replaces: Option<Arc<Entry>>,
    /// Coded forms that are to be made of it.
    pub forms: Codings,
    pub lease: Option<Lease>,
    pub body: Arc<Growing>,
    pub started: Now,
    /// Bytes of the body so far.
    pub received: u64,
    pub keeping: bool,
    pub stored: bool,
    /// Runs while readers hold the download back.
    pub throttled: Option<Pin<Box<Sleep>>>,
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.engine.metrics.origin_bytes(self.received);
        // Dropped in the middle (shutdown, panic): readers must not wait for ever. No effect after the end.
        self.body.fail("fetch-aborted");
    }
}

impl Sink {
    pub async fn fill(mut self, mut from: OriginBody) {
        let trailers = loop {
            if self.room().await == Demand::Abandoned {
                return; // too large to keep, and nobody is left to read it
            }
            match from.frame().await {
                None => break None,
                Some(Err(error)) => return self.broken(&error.to_string()),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(chunk) => self.take(chunk),
                    Err(frame) => break frame.into_trailers().ok(),
                },
            }
        };
        // RFC 9112 §8: fewer bytes than were announced are no answer.
        if self.body.expected().is_some_and(|expected| expected != self.received) {
            return self.broken("fewer bytes than announced");
        }
        self.store(None, trailers.clone());
        self.body.finish(trailers);
    }

    /// Waits until there is room. A reader whose lag has kept the window full for [`PATIENCE`] while others have read
    /// everything is given up, so that it is not the pace of all.
    async fn room(&mut self) -> Demand {
        if !self.body.is_crowded() {
            self.throttled = None;
        }
        loop {
            if !self.body.is_full() {
                return self.body.room().await;
            }
            let throttled = self.throttled.get_or_insert_with(|| Box::pin(tokio::time::sleep(PATIENCE)));
            tokio::select! {
                biased;
                () = throttled => {
                    self.throttled = None;
                    self.body.give_up_slowest();
                }
                demand = self.body.room() => return demand,
            }
        }
    }

    fn broken(&self, error: &str) {
        self.engine.note_key_not_stored(&self.key, Refused::Incomplete, self.meta.status);
        let place = &self.meta.place;
        tracing::debug!(error, host = %place.authority, url = %place.url, "origin body ended early");
        self.body.fail("origin-incomplete");
    }

    fn take(&mut self, chunk: Bytes) {
        self.received += chunk.len() as u64;
        if self.lease.is_some() && !self.engine.can_share(self.received) {
            self.lease = None; // dropped, it is released
        }
        self.charge(chunk.len() as u64);
        // With a known length the entry is in the store before the last byte is on its way: who has the whole
        // answer and asks again gets a hit.
        if self.body.expected() == Some(self.received) {
            self.store(Some(chunk.clone()), None);
        }
        self.body.push(chunk);
    }

    /// Keeps the account; gives up keeping when the object or all downloads together grow too large.
    fn charge(&mut self, chunk: u64) {
        if !self.keeping {
            return;
        }
        let why = if self.received > self.site.max_object {
            self.engine.markers.set(&self.key, Mark::TooLarge, self.engine.clock.now().mono);
            Refused::TooLarge
        } else if self.body.charge(chunk) {
            return;
        } else {
            Refused::FillBudget
        };
        self.engine.note_key_not_stored(&self.key, why, self.meta.status);
        self.keeping = false;
        self.lease = None; // nothing will come of it that other nodes could wait for
        self.body.keep_no_more();
    }

    /// Stores what has come and `last`, once, unless it is too large to keep.
    pub fn store(&mut self, last: Option<Bytes>, trailers: Option<HeaderMap>) {
        if !self.keeping || std::mem::replace(&mut self.stored, true) {
            return;
        }
        let mut chunks = self.body.chunks();
        chunks.extend(last);
        let mut meta = Meta::clone(&self.meta);
        meta.fetch_time += self.engine.clock.now().mono.since(self.started.mono);
        if trailers.is_none() {
            meta.headers.remove(TRAILER);
        }
        let entry =
            self.engine.seal(&self.site, &self.policy, meta, compact(chunks), self.received, trailers);
        let entry = Arc::new(entry);
        // What may not be used any more stands in nobody's way, whenever it was born: after a fork of the fleet's log that
        // may be "later" than anything of today.
        if let Some(old) = &self.replaces
            && self.engine.verdict(old) != Verdict::Clean
        {
            self.engine.memory.remove(&self.key, old);
        }
        self.engine.put(&self.key, entry.clone(), &self.policy);
        self.engine.share(&self.key, &entry, self.lease.take());
        for coding in &self.forms {
            self.engine.make_form(&self.site, &self.policy, &self.key, &entry, *coding);
        }
        // Another variant by its `Vary`, yet this answer is what the same request gets now.
        if let Some(old) = &self.replaces {
            self.engine.memory.remove(&self.key, old);
        }
    }
}
