//! Larder: an HTTP reverse-proxy edge cache. See `docs/ARCHITECTURE.md` for the house and its rules.

pub mod body;
pub mod clock;
pub mod config;
pub mod engine;
pub mod front;
pub mod interim;
pub mod semantics;
pub mod time;
