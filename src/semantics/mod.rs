//! What the RFCs say, as pure functions over header fields, times and options. No I/O, no clock, no
//! logging, no other room. Each file opens with what it implements; the paragraph stands at the branch.

pub mod age;
pub mod cache_control;
pub mod cache_status;
pub mod coding;
pub mod date;
pub mod etag;
pub mod fields;
pub mod freshness;
pub mod hop;
pub mod invalidate;
pub mod preconditions;
pub mod range;
pub mod reuse;
pub mod storable;
pub mod targeted;
pub mod validate;
pub mod vary;
