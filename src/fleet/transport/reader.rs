//! The reader, the only one that tells the follower what is in the log; and the watcher, which wakes it.

use super::answer::{Answer, Standing};
use super::scripts::{self, Run};
use super::{Link, PATIENCE, Shared, Transport};
use crate::fleet::links::{CallError, Role};
use crate::purge::Purge;
use crate::purge::fleet::{Effect, Notice, Read};
use crate::time::Mono;
use redis::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Records of one answer, and bytes of them beyond which there is no other.
const RECORDS: &[u8] = b"512";
const BYTES: u64 = 4 << 20;
/// How often an exchange that ran out of time doubles the patience of the next, which asks for a quarter: by a narrow way, or with a
/// record of 16 MiB, the same question would run out of time for ever.
const SLOWEST: u32 = 3;
/// While somebody waits for a receipt: between two looks, from the first to the last.
const FIRST_LOOK: Duration = Duration::from_millis(2);
const LAST_LOOK: Duration = Duration::from_millis(20);
/// A silent node is forgotten in the store after this, and after three times what it takes to be dead.
const FORGET_AFTER: Duration = Duration::from_secs(60);

/// Who is told of every purge that others have made.
pub type Hear = dyn Fn(&Arc<Purge>) + Send + Sync;

/// What comes after an exchange.
enum Next {
    /// There may be more to read, and there is a new position to publish.
    Again,
    Rest,
    /// Not now: rest, whoever calls.
    Failed(CallError),
}

impl Transport {
    pub(super) async fn read(&self, hear: &Hear) {
        let mut look = FIRST_LOOK;
        let mut slow = 0_u32;
        loop {
            let next = self.exchange(hear, slow).await;
            self.tell_whether_synced();
            let hurry = self.hurry.load(Ordering::Acquire) > 0;
            match next {
                Next::Again => {
                    look = FIRST_LOOK; // news of others is near
                    tokio::task::yield_now().await;
                }
                Next::Rest => {
                    slow = 0;
                    let pause = if hurry { look.min(self.beat) } else { self.beat };
                    tokio::select! {
                        biased;
                        () = self.wake_reader.notified() => look = FIRST_LOOK,
                        () = tokio::time::sleep(pause) => look = (look * 2).min(LAST_LOOK),
                    }
                }
                Next::Failed(why) => {
                    slow = (slow + u32::from(why == CallError::Timeout)).min(SLOWEST);
                    let half = 0.5 + self.lock().rng.f64() / 2.0;
                    tokio::time::sleep(self.beat.mul_f64(half)).await;
                }
            }
        }
    }

    /// One heart-beat and read, and everything that follows from it.
    async fn exchange(&self, hear: &Hear, slow: u32) -> Next {
        let sent = self.clock.now().mono;
        let outcome = self.ask(slow).await;
        let received = self.clock.now().mono;
        let (answer, standing) = match outcome {
            Ok(answer) => answer,
            Err(error) => {
                self.lost(error);
                return Next::Failed(error);
            }
        };
        let (effects, wanted) = {
            let mut shared = self.lock();
            shared.clock.take(sent, received, answer.ms);
            shared.roster.take(answer.beats, answer.since, sent, received);
            let replicated = shared.proof.is_wanted();
            shared.proven = shared.proof.of(&standing, answer.number, sent);
            let wanted = shared.proof.is_wanted();
            let read = Read { records: answer.records, tail: answer.tail, proven_at: shared.proven };
            let effects = shared.follower.on_read(read);
            // Under the same lock: a purge that is submitted meanwhile comes before or after all of it.
            self.perform(&mut shared, &effects);
            // Set back without a replica that was promoted: from a copy on disk, whose list of nodes may be old.
            if !replicated && effects.iter().any(|effect| matches!(effect, Effect::Notice(Notice::Fork))) {
                shared.roster.lost(received);
            }
            (effects, wanted)
        };
        self.connected(&standing);
        if wanted {
            self.wake_keeper.notify_one();
        }
        self.tell_notices(&effects);
        let mut applied = false;
        for effect in &effects {
            if let Effect::Apply(batch) = effect {
                applied = true;
                batch.purges.iter().filter(|logged| logged.own.is_empty()).for_each(|l| hear(&l.purge));
            }
        }
        self.heard.send_modify(|count| *count = count.wrapping_add(1));
        self.wake_appender.notify_one();
        if applied { Next::Again } else { Next::Rest }
    }

    async fn ask(&self, slow: u32) -> Result<(Answer, Standing), CallError> {
        let (position, forget) = {
            let shared = self.lock();
            let forget = shared.roster.dead_after().saturating_mul(3).max(FORGET_AFTER);
            (shared.follower.position().map_or_else(String::new, |id| id.to_string()), forget)
        };
        let forget = forget.as_millis().to_string();
        let bytes = (BYTES >> (2 * slow)).to_string();
        let mut standing = redis::cmd("INFO");
        standing.arg("replication");
        let run = Run {
            role: Role::Sync,
            keys: &[&self.names.log, &self.names.nodes, &self.names.number],
            args: &[
                position.as_bytes(),
                self.me.as_bytes(),
                self.name.as_bytes(),
                RECORDS,
                bytes.as_bytes(),
                forget.as_bytes(),
            ],
            then: &[standing],
            patience: self.patience.saturating_mul(1 << slow),
        };
        let mut values = scripts::SYNC.run(&self.links, run).await?.into_iter();
        let answer = Answer::parse(values.next().unwrap_or(Value::Nil))?;
        Ok((answer, Standing::parse(values.next().as_ref())))
    }

    fn perform(&self, shared: &mut Shared, effects: &[Effect]) {
        for effect in effects {
            effect.perform(&self.purges);
            match effect {
                Effect::Apply(batch) => {
                    for logged in &batch.purges {
                        let landed = &mut shared.landed;
                        logged.own.iter().for_each(|seq| landed.insert(*seq, logged.id, logged.purge.cause));
                    }
                }
                Effect::SyncedUntil(_) => shared.synced_at = shared.synced_at.max(shared.proven),
                // Ids of a branch that is lost mean nothing on this one, and after a gap it may be lost; what counts is appended again.
                Effect::Notice(Notice::Fork | Notice::Empty | Notice::Gap | Notice::Trimmed) => {
                    shared.landed.clear();
                }
                Effect::Notice(_) => {}
            }
        }
    }

    /// Every notice is counted; each kind is told once per answer.
    fn tell_notices(&self, effects: &[Effect]) {
        let mut notices: BTreeMap<&'static str, (Notice, usize)> = BTreeMap::new();
        for effect in effects {
            if let Effect::Notice(notice) = effect {
                self.metrics.fleet.event(notice.as_str());
                notices.entry(notice.as_str()).or_insert((*notice, 0)).1 += 1;
            }
        }
        for (event, (notice, times)) in notices {
            match notice {
                Notice::Barrier | Notice::Empty => tracing::info!(event, times, "purge log"),
                Notice::Gap | Notice::Trimmed | Notice::Fork | Notice::Unreadable => {
                    tracing::warn!(event, times, "purge log: what was stored before counts as purged");
                }
            }
        }
    }

    fn connected(&self, standing: &Standing) {
        let before = std::mem::replace(&mut self.lock().link, Link::Up);
        if before == Link::Up {
            return;
        }
        self.recovered.notify_one();
        self.look_at_policy();
        tracing::info!(node = %self.me, name = %self.name, "purge log: connected");
        match standing {
            Standing::Master { .. } => {}
            Standing::Replica => {
                tracing::warn!("purge log: this store is a replica, its answers prove nothing")
            }
            Standing::Unknown => tracing::warn!(
                "purge log: the store doesn't answer INFO replication; without a replica's acknowledgement this node stays unsynced"
            ),
        }
    }

    fn lost(&self, error: CallError) {
        let mut shared = self.lock();
        shared.proven = None;
        let before = std::mem::replace(&mut shared.link, Link::Lost(error));
        drop(shared);
        if !matches!(before, Link::Lost(_)) {
            tracing::warn!(%error, "purge log: lost the store");
        }
    }

    fn tell_whether_synced(&self) {
        let now = self.clock.now().mono;
        let synced = self.purges.is_synced(now);
        let mut shared = self.lock();
        let before = std::mem::replace(&mut shared.synced, synced);
        let since = shared.synced_at.map(|at| now.since(at).as_secs_f64());
        drop(shared);
        match (before, synced) {
            (true, false) => tracing::warn!(
                unheard_s = since,
                "purge log: unsynced, what is stored is used as when_unsynced says"
            ),
            (false, true) => tracing::info!("purge log: synced"),
            _ => {}
        }
    }

    /// Blocks until the log goes on, and wakes the reader.
    pub(super) async fn watch(&self) {
        let mut heard = self.heard.subscribe();
        loop {
            heard.borrow_and_update();
            let Some(position) = self.lock().follower.position() else {
                if heard.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let mut commands = redis::pipe();
            commands.cmd("XREAD").arg("COUNT").arg(1).arg("BLOCK").arg(self.beat.as_millis().to_string());
            commands.arg("STREAMS").arg(&self.names.log).arg(position.to_string());
            let patience = self.beat + PATIENCE;
            match self.links.call(Role::Tail, &self.names.log, &commands, patience).await.as_deref() {
                Ok([Value::Nil]) => {}
                Ok(_) => {
                    self.wake_reader.notify_one();
                    // Until it has moved us, we would be told of it again at once. Answers that were under way before it may come
                    // first, and it may have moved us already: asking on late would miss the next one for a beat.
                    let moved = async {
                        while self.lock().follower.position() == Some(position)
                            && heard.changed().await.is_ok()
                        {}
                    };
                    let _ = tokio::time::timeout(self.beat, moved).await;
                }
                Err(_) => tokio::time::sleep(self.beat).await,
            }
        }
    }
}

/// When the store was last proven, for receipts.
pub(super) fn is_fresh(proven: Option<Mono>, now: Mono) -> bool {
    proven.is_some_and(|at| now.since(at) <= PATIENCE)
}
