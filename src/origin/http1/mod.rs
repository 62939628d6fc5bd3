//! HTTP/1.1 to a server (RFC 9112), one request at a time, on a connection that whoever sends the request owns: no task,
//! no channel, nothing shared. It moves when its owner is polled: first while the head is awaited, then while the body
//! is read.
//!
//! ```text
//! request ──► request::Outbound ──► Stream ──► ReadBuffer ──► response::read ──► framing::Framing ──► pieces
//!             bytes to leave        TCP, TLS   bytes come     the head           where the body ends
//! ```
//!
//! Request and response move at the same time: a server may answer before it has read all of the request, or only
//! afterwards (RFC 9112 §9.5). The first three parts and the last two are pure; `connection` moves the bytes.
//!
//! Upgrades are hyper's (`link`): a tunnel is its business. Nothing here ever switches protocols.

mod buffer;
mod connection;
mod framing;
mod request;
mod response;

#[cfg(test)]
mod tests;

pub(super) use connection::H1;

use super::error::{OriginError, TlsFault};

/// What a response may bring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Field lines of a head, and of a trailer section.
    pub headers: usize,
    /// Bytes of a head, and of a trailer section.
    pub head_bytes: usize,
}

/// So many interim responses may come before the final one. They are hints; a server that sends more is broken, or
/// means to keep a request busy for ever: each of them starts its time anew.
const INTERIMS: usize = 100;

/// Why there is no head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    HeadTooLarge,
    Protocol,
    /// The connection ended.
    Reset,
    /// In TLS 1.3 a server refuses our certificate when our handshake is long over.
    Alert,
    FirstByteTimeout,
    WriteTimeout,
    RequestBody,
}

impl From<Fault> for OriginError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::HeadTooLarge => Self::HeadTooLarge,
            Fault::Protocol => Self::Protocol,
            Fault::Reset => Self::Reset,
            Fault::Alert => Self::Tls(TlsFault::Alert),
            Fault::FirstByteTimeout => Self::FirstByteTimeout,
            Fault::WriteTimeout => Self::WriteTimeout,
            Fault::RequestBody => Self::RequestBody,
        }
    }
}
