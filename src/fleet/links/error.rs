//! What went wrong, for the caller ([`CallError`]) and for the log (a sentence), and what an error reply means.

use crate::fleet::settings::Address;
use redis::{ErrorKind, RedisError, ServerError};
use std::borrow::Cow;
use std::fmt::Display;

/// Characters of a reason that are kept: part of it is what the other side wrote.
const DETAIL: usize = 200;

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
    /// `-READONLY`, `-LOADING`, `-MASTERDOWN`, `-NOREPLICAS`, `-CLUSTERDOWN`, redirected too often, more calls under
    /// way than a connection takes: not now.
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

/// A [`CallError`] and what a person should read about it. Never holds a value of the store, nor a password.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub why: CallError,
    pub detail: Cow<'static, str>,
    /// It says something about the store; false for limits of our own, which no breaker should count.
    pub counts: bool,
}

impl Fault {
    pub fn new(why: CallError, detail: impl Display) -> Self {
        let detail: String = detail.to_string().chars().filter(|c| !c.is_control()).take(DETAIL).collect();
        Self { why, detail: detail.into(), counts: true }
    }

    /// One of our own limits was reached.
    pub const fn own(why: CallError, detail: &'static str) -> Self {
        Self { why, detail: Cow::Borrowed(detail), counts: false }
    }

    /// What the client crate says while a connection is being set up.
    pub fn of_setup(error: &RedisError) -> Self {
        let why = match error.kind() {
            ErrorKind::Parse => CallError::Broken,
            ErrorKind::Server(_) if error.code() == Some("LOADING") => CallError::NotNow,
            _ => CallError::Connect,
        };
        Self::new(why, error)
    }
}

/// What an error reply means for the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The command's own business.
    Plain,
    /// Another master owns the slot, from now on (`MOVED`) or for this command alone (`ASK`). The host is empty when the
    /// node doesn't know its own name: it is the host that was asked.
    Redirect {
        ask: bool,
        to: Address,
    },
    /// `TRYAGAIN`, `CLUSTERDOWN`: the same place, a little later.
    Again,
    Fault(CallError),
}

pub(super) fn meaning(error: &ServerError) -> Meaning {
    match error.code() {
        "MOVED" | "ASK" => match error.details().and_then(redirect) {
            Some(to) => Meaning::Redirect { ask: error.code() == "ASK", to },
            None => Meaning::Plain,
        },
        "TRYAGAIN" | "CLUSTERDOWN" => Meaning::Again,
        "OOM" => Meaning::Fault(CallError::Full),
        "READONLY" | "LOADING" | "MASTERDOWN" | "NOREPLICAS" | "MISCONF" | "BUSY" | "UNBLOCKED" => {
            Meaning::Fault(CallError::NotNow)
        }
        // The server wants a password that we don't have, or has forgotten that we gave it.
        "NOAUTH" | "WRONGPASS" => Meaning::Fault(CallError::Connect),
        // It says this unasked and hangs up; whichever call comes first gets it for an answer.
        "DENIED" => Meaning::Fault(CallError::Connect),
        "ERR" if error.details().is_some_and(|text| text.starts_with("max number of clients")) => {
            Meaning::Fault(CallError::Connect)
        }
        _ => Meaning::Plain,
    }
}

/// `3999 127.0.0.1:6381`, `3999 :6381`, `3999 2001:db8::1:6381`.
fn redirect(details: &str) -> Option<Address> {
    let (_slot, place) = details.split_once(' ')?;
    let (host, port) = place.trim().rsplit_once(':')?;
    Some(Address { host: host.into(), port: port.parse().ok()? })
}

/// For the log: the reply's code and text.
pub(super) fn text(error: &ServerError) -> String {
    let details = error.details().unwrap_or_default();
    format!("-{} {details}", error.code()).chars().filter(|c| !c.is_control()).take(DETAIL).collect()
}
