//! Request ids: 128 random bits in hex.

/// A new one; unlikely ever to repeat, not secret.
pub fn new_request_id() -> String {
    format!("{:032x}", fastrand::u128(..))
}
