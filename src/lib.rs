//! Larder: an HTTP reverse-proxy edge cache. See `docs/ARCHITECTURE.md` for the house and its rules.

pub mod access;
pub mod admin;
pub mod app;
pub mod body;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod engine;
pub mod fleet;
pub mod front;
pub mod interim;
pub mod observe;
pub mod origin;
pub mod purge;
pub mod semantics;
pub mod settings;
pub mod sockets;
pub mod store;
pub mod time;
pub mod trace;
pub mod vocabulary;
pub mod worker;
