//! What operators see: metrics, the access log. Plain values only; what they mean is the other rooms' affair.

pub mod access;
pub mod fleet;
pub mod metrics;
pub mod percore;
pub mod process;
pub mod samples;
pub mod top;
pub mod traces;

pub use access::{AccessLog, Format, Record};
pub use metrics::Metrics;
