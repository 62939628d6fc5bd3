//! Everything this proxy refuses or fails at by itself, and the response that says so (RFC 9110 §15, RFC 9209).
//! The one place that turns an error into a response.

/// The word in the log, the metric label and the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    Malformed,
}
