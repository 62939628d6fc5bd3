//! One request from normal form to response: key, policy, plan, fetch, delivery. The decisions are in
//! [`plan`] and in `semantics`; the rest carries them out.

mod after_write;
pub mod answer;
pub mod compress;
pub mod deliver;
pub mod draft;
pub mod explain;
pub mod fast;
pub mod fetch;
pub mod fleet;
pub mod flight;
pub mod growing;
mod held;
pub mod key;
pub mod markers;
pub mod outcome;
pub mod pass;
pub mod plan;
pub mod policy;
pub mod popular;
pub mod purge;
pub mod purge_call;
pub mod rate;
mod refresh;
pub mod request;
pub mod rules;
pub mod ryw;
mod serve;
mod sink;
pub mod site;
pub mod sweep;
mod waiting;
mod way;
mod write;

pub use answer::Failure;
pub use site::{Engine, Site};
