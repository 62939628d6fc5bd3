//! The keeper: has replicas acknowledge a number while the store has replicas (`proof`), and looks whether the store may
//! throw the log away.
//!
//! It does so four times within `max_unsynced`, and at least every [`super::BEAT`], because receipts need a proof that is younger than
//! a second: a node that is synced by acknowledgements stays so when single ones fail, and is unsynced `max_unsynced`
//! after the last that didn't. The appender's connection is used, as `WAIT` blocks it for a moment (the way to the replica and back; at
//! most [`WAIT`] when the replica hangs).

use super::scripts::{self, Run};
use super::{PATIENCE, Transport, answer};
use crate::fleet::links::Role;
use redis::Value;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long the store waits for a replica.
const WAIT: Duration = Duration::from_millis(100);
/// For how long a number is kept.
const NUMBER_LIVES: &[u8] = b"60000";

impl Transport {
    /// Has the keeper look at what may be evicted, which it does once for each connection.
    pub(super) fn look_at_policy(&self) {
        self.policy_unknown.store(true, Ordering::Release);
        self.wake_keeper.notify_one();
    }

    pub(super) async fn keep(&self) {
        let mut number = 0_u64;
        loop {
            if self.policy_unknown.swap(false, Ordering::AcqRel) {
                self.policy().await;
            }
            if self.lock().proof.is_wanted() {
                number += 1;
                self.acknowledge(number).await;
                tokio::time::sleep(self.beat).await;
            } else {
                self.wake_keeper.notified().await;
            }
        }
    }

    async fn acknowledge(&self, number: u64) {
        // No later than our last beat that was answered: who is promoted by then has the number and that beat, and receipts there wait for
        // us for as long as we trust the number. When the reader fails for a while and this doesn't, they would not.
        let Some(beat) = self.lock().roster.last_answered() else { return };
        let sent = self.clock.now().mono.min(beat);
        let text = number.to_string();
        let mut wait = redis::cmd("WAIT");
        wait.arg(1).arg(WAIT.as_millis().to_string());
        let run = Run {
            role: Role::Append,
            keys: &[&self.names.number],
            args: &[text.as_bytes(), NUMBER_LIVES],
            then: &[wait],
            patience: self.patience.saturating_add(WAIT),
        };
        let values = scripts::NUMBER.run(&self.links, run).await;
        if let Ok([Value::Okay, Value::Int(1..)]) = values.as_deref() {
            self.lock().proof.acknowledge(number, sent);
        }
    }

    async fn policy(&self) {
        let mut commands = redis::pipe();
        commands.cmd("INFO").arg("memory");
        let Ok(values) = self.links.call(Role::Append, &self.names.log, &commands, PATIENCE).await else {
            tracing::info!(
                "purge log: the store doesn't tell its maxmemory-policy; it must not be allkeys-*"
            );
            return;
        };
        if let Some(policy) = answer::evicts_all(values.first()) {
            tracing::warn!(
                policy,
                "purge log: the store may evict it, which costs every node what it has stored; use volatile-lru"
            );
        }
    }
}
