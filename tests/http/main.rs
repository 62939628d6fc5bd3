//! The whole product in one process, seen from outside: what a client gets, what the origin is asked, and when. One
//! test binary, so that it is linked once.

#![allow(clippy::unwrap_used, clippy::expect_used)] // tests may panic, their helpers too

mod support;

mod admin;
mod after_write;
mod caching;
mod coalescing;
mod compress;
mod dashboard;
mod dialects;
mod dialects_callers;
mod explain;
mod interim;
mod invalidation;
mod lanes;
mod large;
mod messages;
mod metrics;
mod purge_api;
mod purge_races;
mod ranges;
mod rate;
mod read_your_writes;
mod reload;
mod review_engine;
mod review_front;
mod rules;
mod stale;
mod stale_errors;
mod status;
mod status_stream;
mod top;
mod traces;
mod unsynced;
mod validation;
mod variants;
mod warm;
