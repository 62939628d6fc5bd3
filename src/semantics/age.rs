//! Age arithmetic (RFC 9111 §4.2.3, §5.1).
//!
//! ```text
//! apparent_age          = max(0, response_time - date_value)
//! response_delay        = response_time - request_time
//! corrected_age_value   = age_value + response_delay
//! corrected_initial_age = max(apparent_age, corrected_age_value)
//! current_age           = corrected_initial_age + resident_time
//! ```
//!
//! The last line is [`Freshness::age`](super::freshness::Freshness::age): resident time is measured on the
//! monotonic clock, the wall clock is compared with `Date` once, here. After a validation the times, `Age` and
//! `Date` are those of the answer that validated.
//!
//! RFC 9111 allows a cache that trusts every hop to leave `apparent_age` out. We don't: an origin whose clock
//! is right is not hurt by it, and one hop that fails to send `Age` would make old content look new.

use super::{cache_control, date};
use crate::time::Wall;
use http::HeaderMap;
use http::header::{AGE, DATE};
use std::time::Duration;

/// `corrected_initial_age`: how old a response already was when it arrived.
pub fn initial(response: &HeaderMap, request_time: Wall, response_time: Wall) -> Duration {
    // `Date` has whole seconds, and so had the origin's clock when it was written. Compared with our
    // milliseconds every response would be half a second old on average; whole seconds are what §4.2.3 says.
    let apparent_age = match date_value(response, response_time) {
        Some(date) => Duration::from_secs(response_time.secs().saturating_sub(date.secs())),
        None => Duration::ZERO,
    };
    // §4.2.3: relative to when the request was initiated, not to when its response arrived.
    let response_delay = response_time.since(request_time);
    let corrected_age_value = age_value(response).saturating_add(response_delay);
    apparent_age.max(corrected_age_value)
}

/// `Date`, if it is there and valid. RFC 9110 §6.6.1 lets a recipient put the time of receipt in its place.
pub(super) fn date_value(response: &HeaderMap, response_time: Wall) -> Option<Wall> {
    response.get(DATE).and_then(|value| date::parse_at(value.as_bytes(), response_time))
}

/// §5.1: of a list the first member counts; what is no non-negative integer is ignored.
fn age_value(response: &HeaderMap) -> Duration {
    let first = response
        .get_all(AGE)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .find(|member| !member.is_empty());
    first.and_then(cache_control::delta_seconds).map_or(Duration::ZERO, Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    /// 2026-01-01 00:00:00.
    const NOW: Wall = Wall::from_secs(1_767_225_600);

    type Fields = &'static [(&'static str, &'static str)];

    fn ms(headers: &[(&'static str, &'static str)], delay_ms: u64) -> u128 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        initial(&map, Wall(NOW.0 - delay_ms), NOW).as_millis()
    }

    #[test]
    fn rfc9111_4_2_3_corrected_initial_age() {
        const ON_TIME: (&str, &str) = ("date", "Thu, 01 Jan 2026 00:00:00 GMT");
        const SLOW: (&str, &str) = ("date", "Wed, 31 Dec 2025 23:59:50 GMT");
        const FAST: (&str, &str) = ("date", "Thu, 01 Jan 2026 00:00:10 GMT");
        const BROKEN: (&str, &str) = ("date", "foo");
        let cases: [(&str, Fields, u64, u128); 12] = [
            ("nothing known", &[], 0, 0),
            ("Date of now", &[ON_TIME], 0, 0),
            ("apparent age", &[SLOW], 0, 10_000),
            ("never negative", &[FAST], 0, 0),
            ("Date invalid: time of receipt (RFC 9110 §6.6.1)", &[BROKEN], 0, 0),
            ("Age alone", &[("age", "25")], 0, 25_000),
            ("the larger of the two: Age", &[SLOW, ("age", "25")], 0, 25_000),
            ("the larger of the two: Date", &[SLOW, ("age", "3")], 0, 10_000),
            ("the delay adds to Age", &[("age", "25")], 1_500, 26_500),
            ("the delay alone", &[ON_TIME], 1_500, 1_500),
            ("the delay does not add to the apparent age", &[SLOW], 1_500, 10_000),
            ("Age with a fast Date", &[FAST, ("age", "15")], 0, 15_000),
        ];
        for (name, headers, delay, expected) in cases {
            assert_eq!(ms(headers, delay), expected, "{name}");
        }
    }

    #[test]
    fn rfc9111_4_2_3_sub_second_parts_of_the_receipt_do_not_age_a_response() {
        let headers =
            HeaderMap::from_iter([(DATE, HeaderValue::from_static("Thu, 01 Jan 2026 00:00:00 GMT"))]);
        let at = Wall(NOW.0 + 999);
        assert_eq!(initial(&headers, at, at), Duration::ZERO);
        let at = Wall(NOW.0 + 1000);
        assert_eq!(initial(&headers, at, at), Duration::from_secs(1));
    }

    #[test]
    fn rfc9111_4_2_3_a_clock_that_was_set_back_gives_no_delay() {
        assert_eq!(initial(&HeaderMap::new(), Wall(NOW.0 + 5_000), NOW), Duration::ZERO);
    }

    #[test]
    fn rfc9111_5_1_of_a_list_the_first_member_counts() {
        for (lines, expected) in [
            (&["0, 7200"][..], 0),
            (&["7200, 0"], 7200),
            (&["7200,0"], 7200),
            (&["0", "7200"], 0),
            (&["7200", "0"], 7200),
            (&["3600, 3600"], 3600),
            (&["", "60"], 60),
            (&[", 60"], 60),
            (&["60, old"], 60),
        ] {
            let headers: Vec<_> = lines.iter().map(|line| ("age", *line)).collect();
            assert_eq!(ms(&headers, 0), expected * 1000, "{lines:?}");
        }
    }

    #[test]
    fn rfc9111_5_1_an_invalid_age_is_ignored() {
        for value in [
            "abc",
            "-7200",
            "+7200",
            "7200.0",
            "7200;foo=bar",
            "7200;foo=111",
            "\"7200\"",
            "1 2",
            "0x10",
            "old, 7200",
            "",
            ",",
        ] {
            assert_eq!(ms(&[("age", value)], 0), 0, "{value}");
        }
    }

    #[test]
    fn rfc9111_1_2_2_a_huge_age_saturates() {
        for value in
            ["99999999999999999999", "18446744073709551615", "340282366920938463463374607431768211456"]
        {
            assert!(ms(&[("age", value)], 10_000) >= Duration::from_secs(u64::MAX).as_millis(), "{value}");
        }
        assert_eq!(ms(&[("age", "2147483648")], 0), 2_147_483_648_000);
        assert_eq!(ms(&[("age", "0000000000000000000000060")], 0), 60_000);
    }
}
