//! A fleet of real nodes on a real store, and everything that can go wrong between them.
//!
//! `tests/run` runs this with Redis and Valkey; `LARDER_VALKEY=PATH cargo nextest run --test fleet` does the same by hand.
//! Figures are printed: `--no-capture` shows them.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that can't go on should say so and fail

mod chaos;
mod cluster;
mod deploy;
mod failover;
mod faults;
mod leases;
mod purges;
mod rig;
mod support;
mod values;
