//! Where clients connect: listeners, TLS, the strict HTTP/1 head reader and the lanes behind it (one is
//! hyper's), HTTP/2, request normalisation, and the one place that turns an error into a response. Nothing here
//! decides what is cached: that is behind [`handler::Handler`].

mod dry;
pub mod handler;
pub mod http1;
pub mod http2;
pub mod known;
mod line;
pub mod listener;
pub mod normalise;
pub mod prefixed;
pub mod proxy_protocol;
pub mod purging;
pub mod refusal;
pub mod request_id;
pub mod service;
pub mod tls;
mod traced;
pub mod tracker;
pub mod tunnel;

#[cfg(test)]
mod testing;
