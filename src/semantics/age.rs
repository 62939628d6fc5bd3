//! Age arithmetic (RFC 9111 §4.2.3, §5.1).

use crate::time::Wall;
use http::HeaderMap;
use std::time::Duration;

/// `corrected_initial_age`: how old a response already was when it arrived.
pub fn initial(response: &HeaderMap, request_time: Wall, response_time: Wall) -> Duration {
    let _ = (response, request_time, response_time);
    Duration::ZERO
}
