//! Interim (1xx) responses on their way from the origin to the client. A leaf module: the origin side
//! sends, the connection that serves the client writes.

use http::{HeaderMap, StatusCode};
use tokio::sync::mpsc;

/// One interim response: 102, 103 or a later 1xx; never 101, and 100 is each hop's own affair.
#[derive(Clone, Debug)]
pub struct Interim {
    pub status: StatusCode,
    pub headers: HeaderMap,
}

/// How many unsent interim responses are kept; more are dropped (they are hints).
pub const QUEUE: usize = 16;

/// Where a fetch puts the interim responses it sees. Dropped ones are hints lost, nothing else.
#[derive(Clone, Debug, Default)]
pub struct InterimSender(Option<mpsc::Sender<Box<Interim>>>);

impl InterimSender {
    /// Swallows everything: background work, or a protocol that can't carry 1xx (HTTP/1.0).
    pub const fn none() -> Self {
        Self(None)
    }
    /// Nearly all requests have one and use it for nothing: tokio makes room for 32 items at once, so these are pointers.
    pub fn channel() -> (Self, mpsc::Receiver<Box<Interim>>) {
        let (tx, rx) = mpsc::channel(QUEUE);
        (Self(Some(tx)), rx)
    }
    pub fn send(&self, interim: Interim) {
        if let Some(tx) = &self.0 {
            let _ = tx.try_send(Box::new(interim));
        }
    }
    pub const fn is_some(&self) -> bool {
        self.0.is_some()
    }
}
