//! The right to fetch a key for the whole fleet.
//!
//! A lease is a key of its own that lives one second and is renewed while its holder fetches (rulings 25): a holder
//! that was killed costs the others a second, not the whole of `shared.lease`. It is an optimisation, never a mutex: who
//! can't get one, or lost it, fetches all the same; what two nodes fetch at once is stored in the order of
//! its births.
//!
//! Each lease has a task, its *keeper*, that renews it and ends it in the way its holder says; a holder that
//! just goes away says "release". There are at most [`KEEPERS`] of them in a tier; a lease beyond that is neither renewed
//! nor released, and is over after a second.

use super::scripts::{EXTEND, RELEASE};
use super::words::{Op, Outcome, count};
use crate::fleet::links::{Links, Role};
use crate::fleet::value::MARK;
use crate::observe::Metrics;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::{Sleep, sleep};

/// How long a lease holds that nobody renews.
pub const LIFE: Duration = Duration::from_secs(1);

/// How often it is renewed: twice it may fail, and the third time is still in time.
const RENEWAL: Duration = Duration::from_millis(300);

/// How long nobody waits for an answer of which the last one could not be shared. Long enough for a busy key to
/// save its waiters most of their waits, short enough that one odd answer does not count for long.
/// The first response that can be stored ends it, as it ends what a node itself remembers (`engine/markers`), which lasts forty
/// times as long: there it makes one node's requests go alone, here all nodes fetch the key each for itself.
const MARK_LIFE: Duration = Duration::from_secs(3);

/// Leases of one tier that are kept at a time.
pub const KEEPERS: usize = 4096;

/// Tells a lease of ours from one of somebody else's: random, 128 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token([u8; 16]);

impl Token {
    pub fn random() -> Self {
        Self(fastrand::u128(..).to_be_bytes())
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The right to fetch, renewed in the background until it is dropped (released) or used up.
#[derive(Debug)]
pub struct Lease {
    held: Option<Held>,
}

/// A lease that the store knows of.
#[derive(Debug)]
struct Held {
    name: String,
    token: Token,
    /// To its keeper, if it has one.
    end: Option<oneshot::Sender<End>>,
}

/// How a lease ends.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    Release,
    /// Released, and nobody shall wait for the next answer, says a mark of this name.
    Mark(String),
    /// Somebody else has seen to it.
    Settled,
}

impl Lease {
    /// The store could not write it down: granted all the same, and kept by nobody.
    pub(super) const fn unheld() -> Self {
        Self { held: None }
    }

    /// One that the store has just given. Needs a runtime.
    pub(super) fn held(name: String, token: Token, keeper: Option<Keeper>) -> Self {
        let end = keeper.map(|keeper| {
            let (end, ended) = oneshot::channel();
            tokio::spawn(keeper.keep(name.clone(), token, ended));
            end
        });
        Self { held: Some(Held { name, token, end }) }
    }

    /// Its key and token, for a script that releases it along with what else it does.
    pub(super) fn place(&self) -> Option<(&str, &Token)> {
        self.held.as_ref().map(|held| (held.name.as_str(), &held.token))
    }

    /// It has been released by a script.
    pub(super) fn settle(self) {
        self.end(End::Settled);
    }

    /// Releases it, and sets the mark of this name. False when it has no keeper who could.
    pub(super) fn mark(self, name: String) -> bool {
        self.end(End::Mark(name))
    }

    fn end(self, how: End) -> bool {
        let end = self.held.and_then(|held| held.end);
        end.is_some_and(|end| end.send(how).is_ok())
    }
}

/// Who renews a lease.
#[derive(Debug)]
pub(super) struct Keeper {
    pub links: Arc<Links>,
    pub metrics: Arc<Metrics>,
    /// Of one call.
    pub timeout: Duration,
    /// How long it is renewed, in all.
    pub total: Duration,
    /// One of [`KEEPERS`].
    pub _permit: OwnedSemaphorePermit,
}

impl Keeper {
    /// Until its holder says how it ends.
    async fn keep(self, name: String, token: Token, mut ended: oneshot::Receiver<End>) {
        let mut over = Box::pin(sleep(self.total));
        if let Some(end) = self.renew(&name, token, &mut ended, &mut over).await {
            return self.finish(&name, token, end).await;
        }
        // Used up or lost: the others need not wait any longer for what still may come.
        self.finish(&name, token, End::Release).await;
        if let Ok(mark @ End::Mark(_)) = ended.await {
            self.finish(&name, token, mark).await;
        }
    }

    /// `None`: it is over before its holder had enough of it.
    async fn renew(
        &self,
        name: &str,
        token: Token,
        ended: &mut oneshot::Receiver<End>,
        over: &mut Pin<Box<Sleep>>,
    ) -> Option<End> {
        let life = millis(LIFE.min(self.total));
        loop {
            tokio::select! {
                biased;
                // A holder that is gone without a word has released it.
                end = &mut *ended => return Some(end.unwrap_or(End::Release)),
                () = over.as_mut() => return None,
                () = sleep(RENEWAL) => {}
            }
            let args: [&[u8]; 2] = [token.as_bytes(), life.as_bytes()];
            let keys = [name.as_bytes()];
            let call = self.links.script(Role::Small, &EXTEND, &keys, &args, self.timeout).await;
            if call == Ok(redis::Value::Int(0)) {
                count(&self.metrics, Op::Lease, Outcome::Lost);
                return None;
            }
        }
    }

    async fn finish(&self, name: &str, token: Token, end: End) {
        let (mark, ms) = match &end {
            End::Settled => return,
            // A script names its keys in any case.
            End::Release => (name, String::new()),
            End::Mark(mark) => (mark.as_str(), millis(MARK_LIFE)),
        };
        let keys = [name.as_bytes(), mark.as_bytes()];
        let args: [&[u8]; 3] = [token.as_bytes(), ms.as_bytes(), MARK];
        let call = self.links.script(Role::Small, &RELEASE, &keys, &args, self.timeout).await;
        if matches!(end, End::Mark(_)) {
            let outcome = call.map_or_else(Outcome::Failed, |_| Outcome::Ok);
            count(&self.metrics, Op::Mark, outcome);
        }
    }
}

/// As an argument of a command: whole milliseconds, at least one.
pub(super) fn millis(time: Duration) -> String {
    time.as_millis().max(1).to_string()
}

#[cfg(test)]
impl Lease {
    /// As if its node were killed: nobody renews it, nobody releases it.
    pub(super) fn abandon(self) {
        self.end(End::Settled);
    }
}
