//! One request from normal form to response: key, policy, plan, flight, fetch, refresh, deliver.

pub mod policy;
pub mod rules;
