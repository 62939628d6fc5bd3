//! HTTP/1 connections: the strict head reader, and three lanes behind it.
//!
//! One task per connection. [`connection`] owns the socket and loops: [`head`] reads a request head and is the
//! only judge of it (ruling 26). A plain hit is answered at once, by the handler's bytes ([`fast`]). A request
//! without a body is built from what was read, and its answer encoded here ([`bodiless`]). One with a body
//! goes to hyper ([`slow`]), which gets that one request and nothing after it through the [`gate`], and
//! gives the socket back: so it does not end the other lanes, and hyper never decides where a message ends.
//!
//! ```text
//! socket ─ wire ─ head ─┬─ plain hit ──── Handler::fast ─── fast ──────┐
//!                       ├─ no body ────── Handler::handle ─ bodiless ──┤
//!                       ├─ a body ── gate ── hyper ── Handler::handle ─┴─ next request
//!                       ├─ upgrade ───────── hyper ── Handler::handle     (to the end)
//!                       └─ refused ───── Handler::refused                 (to the end)
//! ```
//!
//! The lanes give the same answers: a differential test sends the same bytes to a server whose handler
//! answers fast, to one whose handler never does, and to one where hyper answers all that the handler does not.

pub mod again;
mod bodiless;
mod connection;
mod diagnose;
mod drain;
mod fast;
mod fields;
mod framing;
mod gate;
mod head;
mod interim;
mod lent;
mod slow;
mod target;
mod timer;
mod wire;

pub use connection::serve;
pub use fields::{Hint, hint};

use super::handler::Limits;
use std::mem::MaybeUninit;

/// Whether the strict reader takes what `bytes` begin with for a complete request head, in the clear: what
/// [`serve`] asks first, for who wants to try or to measure it. Reads at most 100 lines.
pub fn accepts(bytes: &[u8], limits: &Limits) -> bool {
    let mut slots = [const { MaybeUninit::uninit() }; 100];
    matches!(head::read(bytes, &mut slots, limits, false), Ok(Some(_)))
}

#[cfg(test)]
mod tests;
