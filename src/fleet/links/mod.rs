//! Calls to the store: the one way in which this room talks to Redis.
//!
//! Each *role* has connections of its own, so that a body of megabytes doesn't stand before a small value and a blocking
//! read holds up nobody; and a breaker of its own, so that what keeps failing is left alone and costs
//! nothing. A connection belongs to one master; where the masters are is asked of the store (`topology`). Every call has a time
//! limit, and everything that can take time is inside it: finding the master, connecting, TLS, AUTH, redirections of a cluster,
//! the answer. A connection on which calls ran out of time is thrown away: what it still brings is nobody's.

mod breaker;
mod call;
mod cluster;
mod connection;
mod dial;
mod error;
mod meter;
mod peer;
mod sentinel;
mod single;
mod topology;
pub mod url;

pub use dial::{Dial, Dialling, Duplex, Stream, Tcp};
pub use error::CallError;

use super::settings::{self, Address, Settings, Topology};
use crate::clock::Clock;
use breaker::Breaker;
use call::Progress;
use connection::Linker;
use error::Fault;
use peer::Peer;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use topology::{Finder, Map};

/// Bytes of a call's replies, beside two of the largest bodies.
const REPLIES: u64 = 64 * 1024 * 1024;
/// Between two lines about refusals.
const QUIET: Duration = Duration::from_secs(10);

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Blocks until the purge log has something new.
    Tail,
    /// Reads of the log, heart-beats.
    Sync,
    /// Appends to the log, `WAIT`.
    Append,
    /// Look-ups, leases.
    Small,
    /// Bodies in chunks.
    Bulk,
    /// Values on their way into the store.
    Write,
}

impl Role {
    pub const ALL: [Self; 6] = [Self::Tail, Self::Sync, Self::Append, Self::Small, Self::Bulk, Self::Write];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tail => "tail",
            Self::Sync => "sync",
            Self::Append => "append",
            Self::Small => "small",
            Self::Bulk => "bulk",
            Self::Write => "write",
        }
    }

    /// To each master.
    const fn connections(self) -> usize {
        match self {
            Self::Bulk => 2,
            _ => 1,
        }
    }
}

/// How one role is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoleState {
    pub role: Role,
    /// Connections that are up.
    pub connected: usize,
    pub breaker_open: bool,
}

/// See the head of this file. Shared by `Arc`.
#[derive(Debug)]
pub struct Links {
    linker: Arc<Linker>,
    finder: Finder,
    clock: Clock,
    breaker: settings::Breaker,
    /// By role and master, in an order, so that they end in one. Masters of the past are dropped when a new one comes.
    peers: Mutex<BTreeMap<(Role, Address), Arc<Peer>>>,
    /// One for each role, in the order of [`Role::ALL`]: guards the question where the masters are.
    finding: [Arc<Breaker>; Role::ALL.len()],
    /// Digests of scripts, by where their text lies.
    digests: Mutex<HashMap<(usize, usize), Arc<str>>>,
    /// [`crate::time::Mono`] before which no refusal is logged.
    quiet_until: AtomicU64,
}

impl Links {
    /// Connects lazily: the store may be away when a node starts.
    pub fn new(settings: &Settings, clock: Clock) -> Arc<Self> {
        let dial = if settings.tls { Tcp::tls() } else { Tcp::plain() };
        Self::with_dial(settings, clock, Arc::new(dial))
    }

    /// Over streams of another kind: a simulated network, TLS with other roots.
    pub fn with_dial(settings: &Settings, clock: Clock, dial: Arc<dyn Dial>) -> Arc<Self> {
        let linker = Arc::new(Linker {
            dial,
            auth: settings.auth.clone(),
            db: if matches!(settings.topology, Topology::Cluster(_)) { 0 } else { settings.db },
            check_master: matches!(settings.topology, Topology::Sentinel { .. }),
            most_bytes: settings.max_object.saturating_mul(2).saturating_add(REPLIES),
            clock: clock.clone(),
        });
        Arc::new(Self {
            finder: Finder::new(settings.topology.clone(), Arc::clone(&linker)),
            linker,
            clock,
            breaker: settings.breaker,
            peers: Mutex::default(),
            finding: Role::ALL.map(|role| peer::breaker_for(role, settings.breaker, "(finding the master)")),
            digests: Mutex::default(),
            quiet_until: AtomicU64::new(0),
        })
    }

    /// Sends commands in one write to the master that owns `route` (a key), and returns one value for each, in order (RESP2);
    /// an error reply to one of several commands is a [`redis::Value::ServerError`] in its place, unless it concerns the connection or the
    /// whole store ([`CallError::NotNow`], [`CallError::Full`]) or redirects (followed, at most three times, within `patience`:
    /// only the commands that were redirected are sent again, and `WAIT` and `INFO`, which go where those go). A command that stands alone is [`CallError::Refused`] with its error.
    /// A pipeline that is `atomic` returns what `EXEC` returns. Whoever drops the future drops the answer, not the command: a
    /// blocking one keeps its connection busy to the end. `WAIT` speaks of the writes of its own connection, which may be a new one by
    /// the next call: it belongs into the pipeline of the write.
    ///
    /// # Errors
    /// See [`CallError`]. After [`CallError::Timeout`] and [`CallError::Broken`] nobody knows whether the commands were carried out.
    pub async fn call(
        &self,
        role: Role,
        route: &[u8],
        commands: &redis::Pipeline,
        patience: Duration,
    ) -> Result<Vec<redis::Value>, CallError> {
        let mut at = Progress::default();
        let outcome = tokio::time::timeout(patience, self.attempt(&mut at, role, route, commands)).await;
        let values = self.finish(at, outcome)?;
        match values.as_slice() {
            [redis::Value::ServerError(e)] => Err(self.refused(role, e)),
            _ => Ok(values),
        }
    }

    /// Runs a script by its digest; sends its text when the store doesn't know it. Otherwise like [`Links::call`].
    ///
    /// # Errors
    /// See [`CallError`]; an error that the script raises is [`CallError::Refused`].
    pub async fn script(
        &self,
        role: Role,
        script: &Script,
        keys: &[&[u8]],
        args: &[&[u8]],
        patience: Duration,
    ) -> Result<redis::Value, CallError> {
        let mut at = Progress::default();
        let outcome = tokio::time::timeout(patience, self.evaluate(&mut at, role, script, keys, args)).await;
        match self.finish(at, outcome)? {
            redis::Value::ServerError(e) => Err(self.refused(role, &e)),
            value => Ok(value),
        }
    }

    /// How each role is, towards the masters that are known now.
    pub fn states(&self) -> Vec<RoleState> {
        let map = self.finder.known();
        let masters = map.as_deref().map_or(&[][..], Map::masters);
        let peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let state = |(role, finding): (Role, &Arc<Breaker>)| {
            let of_role = || masters.iter().filter_map(|master| peers.get(&(role, master.clone())));
            RoleState {
                role,
                connected: of_role().map(|peer| peer.up().count()).sum(),
                breaker_open: (map.is_none() && finding.is_open())
                    || of_role().any(|peer| peer.breaker.is_open()),
            }
        };
        Role::ALL.into_iter().zip(&self.finding).map(state).collect()
    }

    async fn evaluate(
        &self,
        at: &mut Progress,
        role: Role,
        script: &Script,
        keys: &[&[u8]],
        args: &[&[u8]],
    ) -> Result<redis::Value, Fault> {
        let route = keys.first().copied().unwrap_or_default();
        let command = |name: &str, script: &str| {
            let mut command = redis::cmd(name);
            command.arg(script).arg(keys.len()).arg(keys).arg(args);
            let mut pipeline = redis::Pipeline::with_capacity(1);
            pipeline.add_command(command);
            pipeline
        };
        let by_digest = command("EVALSHA", &self.digest(script));
        let mut values = self.attempt(at, role, route, &by_digest).await?;
        if let Some(redis::Value::ServerError(e)) = values.first()
            && e.kind() == Some(redis::ServerErrorKind::NoScript)
        {
            values = self.attempt(at, role, route, &command("EVAL", script.text)).await?;
        }
        values.pop().ok_or_else(|| Fault::new(CallError::Refused, "no reply"))
    }

    fn digest(&self, script: &Script) -> Arc<str> {
        let mut digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        let digest = digests.entry((script.text.as_ptr() as usize, script.text.len()));
        Arc::clone(digest.or_insert_with(|| redis::Script::new(script.text).get_hash().into()))
    }

    fn finding(&self, role: Role) -> &Arc<Breaker> {
        &self.finding[role as usize]
    }

    fn peer(&self, role: Role, address: &Address) -> Arc<Peer> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (role, address.clone());
        if let Some(peer) = peers.get(&key) {
            return Arc::clone(peer);
        }
        if let Some(map) = self.finder.known() {
            peers.retain(|(_, address), _| map.masters().contains(address));
        }
        let peer = Arc::new(Peer::new(role, address.clone(), self.breaker, &self.linker));
        peers.insert(key, Arc::clone(&peer));
        peer
    }

    /// An error reply that is nobody's but the command's: a mistake of ours, or missing rights of the user. Logged now and then.
    fn refused(&self, role: Role, error: &redis::ServerError) -> CallError {
        self.complain(&format!("{}: {}", role.as_str(), error::text(error)));
        CallError::Refused
    }

    fn unexpected_cluster(&self) -> Fault {
        let text = "this store is a cluster: use redis+cluster:// in shared.url";
        self.complain(text);
        Fault::new(CallError::Refused, text)
    }

    fn complain(&self, text: &str) {
        let now = self.clock.now().mono;
        let until = self.quiet_until.load(Ordering::Acquire);
        let next = now.after(QUIET).0;
        let may = now.0 >= until;
        if may && self.quiet_until.compare_exchange(until, next, Ordering::AcqRel, Ordering::Acquire).is_ok()
        {
            tracing::warn!("shared store: refused: {text}");
        }
    }
}

/// A Lua script that runs in the store as one step. All its keys lie in the slot of the first.
#[derive(Debug)]
pub struct Script {
    pub text: &'static str,
}

#[cfg(test)]
mod tests;
