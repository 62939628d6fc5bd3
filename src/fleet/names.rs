//! The names of keys in the store.
//!
//! `{namespace:v1:DIGEST}` for everything that belongs to one cache key, so that a cluster keeps it together;
//! `{namespace:purge}` for the log and what goes with it, without a version: purges must cross a rolling upgrade (rulings 20).
