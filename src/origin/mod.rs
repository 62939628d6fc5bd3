//! How Larder talks to origin servers: balancing, health, breaker, queue, pooled connections, time-outs, retries, TLS,
//! upgrades and interim responses. It knows nothing of caching: any status is an answer, and what an error means for a
//! client is decided elsewhere.
//!
//! ```text
//! send ─► gate ─► choose ─► channel ─► http1 ─► check ─► OriginBody
//!         queue   balance   pool or    (hyper:  head      pieces, end or error; then
//!                 breaker   connect    HTTP/2)            the connection goes back
//! ```
//!
//! HTTP/1.1 and its pool are ours (`http1`, `pool`), because what makes reuse and retries safe is not to be had from the
//! ready-made one, and a connection that needs no task of its own costs less: `docs/decisions/0003-origin-client.md`,
//! `0015-own-http1-client.md`. HTTP/2 and upgrades are hyper's (`link`).

mod balance;
mod body;
mod breaker;
mod client;
mod connect;
mod error;
mod gate;
mod health;
mod http1;
mod io;
mod link;
mod message;
mod pool;
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
