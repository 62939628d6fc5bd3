//! A fleet of real nodes on a real store, and everything that can go wrong between them.
//!
//! `tests/run` runs this with Redis and Valkey; `LARDER_VALKEY=PATH cargo nextest run --test fleet` does the same by hand.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that can't go on should say so and fail

mod rig;
mod support;
