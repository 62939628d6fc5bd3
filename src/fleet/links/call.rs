//! One call: find the master, send, follow redirections, and tell breaker, connection and topology what came of it.

use super::breaker::{Permit, Verdict};
use super::connection::Connection;
use super::error::{self, CallError, Fault, Meaning};
use super::peer::Peer;
use super::{Links, Role, cluster};
use crate::fleet::settings::Address;
use crate::time::Mono;
use redis::{Arg, Cmd, Pipeline, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::error::Elapsed;

/// Redirections and repetitions of one call.
const REDIRECTIONS: u32 = 3;
/// Before a node is asked again that was not ready; longer each time.
const PAUSE: Duration = Duration::from_millis(10);

/// How far a call has come, seen from outside when its time is up.
#[derive(Debug, Default)]
pub(super) struct Progress {
    permit: Option<Permit>,
    peer: Option<Arc<Peer>>,
    connection: Option<Arc<Connection>>,
}

impl Progress {
    fn judge(&mut self, verdict: Verdict, now: Mono, detail: &str) {
        if let Some(permit) = self.permit.take() {
            permit.judge(verdict, now, detail);
        }
    }

    /// The connection brought what can't be trusted, or nothing.
    fn forget_connection(&mut self) {
        if let (Some(peer), Some(connection)) = (&self.peer, self.connection.take()) {
            peer.forget(&connection);
        }
    }
}

/// What a round brought.
enum Step {
    Done,
    Redirect { ask: bool, to: Address },
    Again,
}

/// The commands that have no answer yet, and the answers.
struct Work<'a> {
    commands: &'a Pipeline,
    values: Vec<Value>,
    /// Places of the commands that are still to be sent; `None` = all.
    left: Option<Vec<usize>>,
}

impl Links {
    /// Without a time limit: [`Links::finish`] must see what came of it or that time ran out.
    pub(super) async fn attempt(
        &self,
        at: &mut Progress,
        role: Role,
        route: &[u8],
        commands: &Pipeline,
    ) -> Result<Vec<Value>, Fault> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let slot = cluster::slot(route);
        let mut work = Work { commands, values: Vec::new(), left: None };
        let mut next = None;
        for round in 0..=REDIRECTIONS {
            let (to, ask) = match next.take() {
                Some(next) => next,
                None => (self.master(at, role, slot).await?, false),
            };
            match self.round(at, role, &to, ask, &mut work).await? {
                Step::Done => return Ok(work.values),
                Step::Redirect { .. } if !self.finder.is_cluster() => return Err(self.unexpected_cluster()),
                Step::Redirect { ask, to: other } => {
                    let other = other.or_host_of(&to);
                    if !ask {
                        self.finder.moved(slot, &other);
                    }
                    next = Some((other, ask));
                }
                Step::Again => {
                    self.finder.suspect();
                    tokio::time::sleep(PAUSE.saturating_mul(round + 1)).await;
                }
            }
        }
        Err(Fault::new(CallError::NotNow, "redirected too often"))
    }

    /// What came of it, or that time ran out: then breaker and connection hear of it.
    pub(super) fn finish<T>(
        &self,
        mut at: Progress,
        outcome: Result<Result<T, Fault>, Elapsed>,
    ) -> Result<T, CallError> {
        match outcome {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(fault)) => Err(fault.why),
            Err(_) => {
                at.judge(Verdict::Fails, self.clock.now().mono, "no answer in time");
                match &at.connection {
                    Some(connection) if !connection.ran_out() => {}
                    _ => {
                        at.forget_connection();
                        self.finder.suspect();
                    }
                }
                Err(CallError::Timeout)
            }
        }
    }

    /// Who has the slot. Where nothing is known yet, the role's own breaker guards the asking.
    async fn master(&self, at: &mut Progress, role: Role, slot: u16) -> Result<Address, Fault> {
        if self.finder.known().is_none() {
            at.permit = Some(self.finding(role).enter(self.clock.now().mono)?);
        }
        let map = self.finder.map().await;
        let now = self.clock.now().mono;
        match map {
            Ok(map) => {
                at.judge(Verdict::Works, now, "");
                map.master(slot).cloned().ok_or_else(|| {
                    self.finder.suspect();
                    Fault::new(CallError::NotNow, "nobody has the slot")
                })
            }
            Err(fault) => {
                at.judge(Verdict::Fails, now, &fault.detail);
                Err(fault)
            }
        }
    }

    /// Sends what is left to one master.
    async fn round(
        &self,
        at: &mut Progress,
        role: Role,
        to: &Address,
        ask: bool,
        work: &mut Work<'_>,
    ) -> Result<Step, Fault> {
        let peer = self.peer(role, to);
        let permit = peer.breaker.enter(self.clock.now().mono);
        at.permit = Some(permit.inspect_err(|_| self.finder.doubt())?);
        at.peer = Some(Arc::clone(&peer));
        let answer = match peer.connection(&self.linker).await {
            Ok(connection) => {
                at.connection = Some(Arc::clone(&connection));
                match work.to_send(ask) {
                    Some(some) => connection.send(&some).await,
                    None => connection.send(work.commands).await,
                }
            }
            Err(fault) => Err(fault),
        };
        let step = answer.and_then(|values| work.take(values, ask));
        self.judge(at, role, &step);
        at.connection = None;
        step
    }

    fn judge(&self, at: &mut Progress, role: Role, step: &Result<Step, Fault>) {
        let now = self.clock.now().mono;
        match step {
            Ok(Step::Again) => at.judge(Verdict::Fails, now, "the cluster is not ready"),
            Ok(Step::Done | Step::Redirect { .. }) => at.judge(Verdict::Works, now, ""),
            Err(fault) if !fault.counts => at.permit = None,
            Err(fault) => {
                at.judge(verdict(role, fault.why), now, &fault.detail);
                // Not now: perhaps it isn't the master any more. A server that becomes a replica keeps its clients, and where a name
                // in DNS tells the master, only a new connection leads to the new one.
                if matches!(fault.why, CallError::Broken | CallError::Connect | CallError::NotNow) {
                    at.forget_connection();
                    self.finder.suspect();
                }
            }
        }
    }
}

/// A store that is full still answers those who read.
fn verdict(role: Role, why: CallError) -> Verdict {
    match why {
        CallError::Refused => Verdict::Works,
        CallError::Full if !matches!(role, Role::Append | Role::Write) => Verdict::Works,
        _ => Verdict::Fails,
    }
}

impl Work<'_> {
    /// What to send; `None` = the commands as they are. After `ASK` each command must be announced, a transaction once: within
    /// `MULTI` … `EXEC` the announcement holds.
    fn to_send(&self, ask: bool) -> Option<Pipeline> {
        if !ask && self.left.is_none() {
            return None;
        }
        let mut some = redis::pipe();
        if self.commands.is_transaction() {
            some.cmd("ASKING").cmd("MULTI");
            for command in self.commands.cmd_iter() {
                some.add_command(command.clone());
            }
            some.cmd("EXEC");
            return Some(some);
        }
        for (place, command) in self.commands.cmd_iter().enumerate() {
            if self.left.as_ref().is_none_or(|left| left.contains(&place)) {
                if ask {
                    some.cmd("ASKING");
                }
                some.add_command(command.clone());
            }
        }
        Some(some)
    }

    /// Takes in the replies, and says what is to be done next.
    fn take(&mut self, replies: Vec<Value>, ask: bool) -> Result<Step, Fault> {
        if self.commands.is_transaction() {
            return self.take_transaction(replies);
        }
        match self.left.take() {
            None => {
                self.values = replies;
                self.sort_out(0..self.commands.len())
            }
            Some(sent) => {
                let replies = replies.into_iter().skip(usize::from(ask)).step_by(if ask { 2 } else { 1 });
                for (place, reply) in sent.iter().zip(replies) {
                    if let Some(value) = self.values.get_mut(*place) {
                        *value = reply;
                    }
                }
                self.sort_out(sent)
            }
        }
    }

    /// Which of the commands just sent have no answer yet. They share a slot, so they go the same way.
    fn sort_out(&mut self, sent: impl IntoIterator<Item = usize>) -> Result<Step, Fault> {
        let mut step = Step::Done;
        let mut left = Vec::new();
        for place in sent {
            match self.values.get(place).map_or(Ok(Step::Done), reading)? {
                Step::Done => {}
                other => {
                    left.push(place);
                    step = other;
                }
            }
        }
        if !left.is_empty() {
            // Whoever answered these is not the one that the others go to.
            let commands = self.commands.cmd_iter().enumerate();
            left.extend(commands.filter(|(_, command)| is_about_server(command)).map(|(place, _)| place));
            left.sort_unstable();
            left.dedup();
        }
        self.left = (!left.is_empty()).then_some(left);
        Ok(step)
    }

    /// `MULTI` … `EXEC`: the replies are in that of `EXEC`, and one command that is redirected redirects all.
    fn take_transaction(&mut self, mut replies: Vec<Value>) -> Result<Step, Fault> {
        for reply in &replies {
            match reading(reply)? {
                Step::Done => {}
                other => return Ok(other),
            }
        }
        match replies.pop() {
            Some(Value::Array(values)) if values.len() == self.commands.len() => {
                self.values = values;
                Ok(Step::Done)
            }
            Some(Value::ServerError(e)) => Err(Fault::new(CallError::Refused, error::text(&e))),
            _ => Err(Fault::new(CallError::Refused, "EXEC: another number of replies than commands")),
        }
    }
}

/// It has no key, so no server redirects it: what it says is of the server and connection that it was sent to.
fn is_about_server(command: &Cmd) -> bool {
    matches!(command.args_iter().next(), Some(Arg::Simple(name)) if name == b"WAIT" || name == b"INFO")
}

fn reading(reply: &Value) -> Result<Step, Fault> {
    let Value::ServerError(e) = reply else { return Ok(Step::Done) };
    match error::meaning(e) {
        Meaning::Plain => Ok(Step::Done),
        Meaning::Redirect { ask, to } => Ok(Step::Redirect { ask, to }),
        Meaning::Again => Ok(Step::Again),
        Meaning::Fault(why) => Err(Fault::new(why, error::text(e))),
    }
}
