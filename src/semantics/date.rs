//! HTTP dates (RFC 9110 §5.6.7): all three formats in, IMF-fixdate out.

use crate::time::Wall;

/// `None` when it is no valid HTTP-date: for expiration that means "in the past" (RFC 9111 §5.3).
pub fn parse(value: &[u8]) -> Option<Wall> {
    let _ = value;
    None
}

/// IMF-fixdate, rounded down to the second.
pub fn format(at: Wall) -> [u8; 29] {
    let _ = at;
    *b"Thu, 01 Jan 1970 00:00:00 GMT"
}
