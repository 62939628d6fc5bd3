//! The appender: one record at a time, until the store has taken it.

use super::Transport;
use super::scripts::{self, Run};
use crate::fleet::links::{CallError, Role};
use crate::purge::PurgeId;
use crate::purge::fleet::{Append, codec};
use std::time::Duration;

/// Added to what one exchange may take: a connection that is silent for a second is thrown away, and the first who waits should see it.
const PATIENCE_MORE: Duration = Duration::from_millis(100);
/// After a failure; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(1);
/// Records that are kept, about: as many as a node remembers selectors (rulings 20).
const KEEP_RECORDS: &[u8] = b"1000000";
/// Bytes of the store beyond which the older half of the records goes.
const KEEP_BYTES: &[u8] = b"268435456";

/// A record that is on its way. Dropped without a report, nobody knows what became of it.
struct Sent<'a> {
    transport: &'a Transport,
    append: Option<Append>,
}

impl Sent<'_> {
    fn report(mut self, taken: bool) {
        if let (Some(append), true) = (&self.append, taken) {
            self.transport.lock().follower.appended(append);
            self.append = None;
        }
    }
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        if let Some(append) = self.append.take() {
            self.transport.lock().follower.append_failed(&append);
        }
    }
}

impl Transport {
    pub(super) async fn append(&self) {
        let mut failures = 0_u32;
        loop {
            let next = self.lock().follower.next_append();
            let Some(append) = next else {
                self.wake_appender.notified().await;
                continue;
            };
            let sent = Sent { transport: self, append: Some(append) };
            let outcome = match &sent.append {
                Some(append) => self.send(append).await,
                None => Err(CallError::Refused),
            };
            sent.report(outcome.is_ok());
            match outcome {
                Ok(_) => {
                    if std::mem::take(&mut failures) > 0 {
                        tracing::info!("purge log: the store takes records again");
                    }
                    // To see it come back.
                    self.wake_reader.notify_one();
                }
                Err(error) => {
                    if failures == 0 {
                        tracing::warn!(%error, "purge log: a record was not taken, purges of this node wait");
                    }
                    self.pause(failures).await;
                    failures = failures.saturating_add(1);
                }
            }
        }
    }

    async fn pause(&self, failures: u32) {
        let longest = FIRST_PAUSE.saturating_mul(1 << failures.min(8)).min(LAST_PAUSE);
        // Half of it is chance, so that a fleet doesn't come back as one.
        let pause = longest.mul_f64(0.5 + self.lock().rng.f64() / 2.0);
        tokio::select! {
            biased;
            () = self.recovered.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }

    async fn send(&self, append: &Append) -> Result<PurgeId, CallError> {
        let Some(record) = codec::encode(&append.by, &append.body) else { return Err(CallError::Refused) };
        let on_the_way = Duration::from_micros(u64::try_from(record.len()).unwrap_or(u64::MAX));
        let above = append.above.to_string();
        let nonce = self.lock().rng.u32(..).to_string();
        let run = Run {
            role: Role::Append,
            keys: &[&self.names.log],
            args: &[above.as_bytes(), nonce.as_bytes(), &record, KEEP_RECORDS, KEEP_BYTES],
            then: &[],
            // A microsecond for each byte: what ran out of time was taken for all that, and is sent again, each time for ever.
            patience: self.patience.saturating_add(PATIENCE_MORE).saturating_add(on_the_way),
        };
        let values = scripts::APPEND.run(&self.links, run).await?;
        values.first().and_then(super::answer::stream_id).ok_or(CallError::Refused)
    }
}
