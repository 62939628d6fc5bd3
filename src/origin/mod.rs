//! How Larder talks to origin servers: balancing, health, breaker, queue, pooled connections, time-outs, retries, TLS,
//! upgrades and interim responses. It knows nothing of caching: any status is an answer, and what an error means for a
//! client is decided elsewhere.
//!
//! ```text
//! send ─► gate ─► choose ─► channel ─► hyper ─► check ─► OriginBody
//!         queue   balance   pool or    client   head      pieces, end or error; then
//!                 breaker   connect                       the connection goes back
//! ```
//!
//! The pool is ours, over hyper's `client::conn`, because what makes reuse and retries safe is not to be had from the
//! ready-made one: `docs/decisions/0003-origin-client.md`.

mod balance;
mod body;
mod breaker;
mod client;
mod connect;
mod error;
mod gate;
mod health;
mod io;
mod link;
mod message;
mod server;
pub mod settings;
mod tls;
mod upload;

#[cfg(test)]
mod tests;

pub use body::OriginBody;
pub use breaker::BreakerState;
pub use client::{Answer, Origin, SendOptions, ServerSnapshot, Snapshot};
pub use error::{BuildError, OriginError, TlsFault};
pub use settings::{ServerUrl, Settings};
