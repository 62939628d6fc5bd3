//! The appender: sends what is to be appended, one step at a time, until the store has taken it. A step has many records where many
//! wait: after a fork this node's recent purges go out again, a thousand of them, and a round trip for each would take seconds.

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

/// Records that are on their way. Dropped without a report, nobody knows what became of them.
struct Sent<'a> {
    transport: &'a Transport,
    appends: Vec<Append>,
}

impl Sent<'_> {
    fn were_taken(mut self) {
        let mut shared = self.transport.lock();
        self.appends.drain(..).for_each(|append| shared.follower.appended(&append));
    }
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        if !self.appends.is_empty() {
            let mut shared = self.transport.lock();
            self.appends.drain(..).for_each(|append| shared.follower.append_failed(&append));
        }
    }
}

impl Transport {
    pub(super) async fn append(&self) {
        let mut failures = 0_u32;
        loop {
            let appends = self.lock().follower.next_appends();
            if appends.is_empty() {
                self.wake_appender.notified().await;
                continue;
            }
            let sent = Sent { transport: self, appends };
            match self.send(&sent.appends).await {
                Ok(_) => {
                    sent.were_taken();
                    if std::mem::take(&mut failures) > 0 {
                        tracing::info!("purge log: the store takes records again");
                    }
                    // To see them come back.
                    self.wake_reader.notify_one();
                }
                Err(error) => {
                    drop(sent);
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

    /// Returns the id of the last.
    async fn send(&self, appends: &[Append]) -> Result<PurgeId, CallError> {
        let above = appends.iter().map(|append| append.above).max().unwrap_or_default().to_string();
        let records = appends.iter().map(|append| codec::encode(&append.by, &append.body));
        let records: Vec<Vec<u8>> = records.collect::<Option<_>>().ok_or(CallError::Refused)?;
        let nonces: Vec<String> = {
            let mut shared = self.lock();
            records.iter().map(|_| shared.rng.u32(..).to_string()).collect()
        };
        let mut args = vec![above.as_bytes(), KEEP_RECORDS, KEEP_BYTES];
        args.extend(nonces.iter().zip(&records).flat_map(|(nonce, record)| [nonce.as_bytes(), record]));
        let bytes = records.iter().map(Vec::len).fold(0, usize::saturating_add);
        let on_the_way = Duration::from_micros(u64::try_from(bytes).unwrap_or(u64::MAX));
        let run = Run {
            role: Role::Append,
            keys: &[&self.names.log],
            args: &args,
            then: &[],
            // A microsecond for each byte: what ran out of time was taken for all that, and is sent again, each time for ever.
            patience: self.patience.saturating_add(PATIENCE_MORE).saturating_add(on_the_way),
        };
        let values = scripts::APPEND.run(&self.links, run).await?;
        values.first().and_then(super::answer::stream_id).ok_or(CallError::Refused)
    }
}
