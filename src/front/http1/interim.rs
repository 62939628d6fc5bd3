//! Interim responses as HTTP/1.1 bytes (RFC 9110 §15.2, RFC 8297). Which pass, and what of them.

use crate::interim::Interim;
use crate::semantics::hop;
use http::header::{CONNECTION, CONTENT_LENGTH, TRAILER, TRANSFER_ENCODING, UPGRADE};
use std::io::Write as _;

/// Interim responses per request; a well-meaning origin sends one or two.
pub(super) const MOST: usize = 16;

/// Appends `interim` to `out`, unless it is one that must not pass: 100 is each hop's own affair, 101 changes
/// the protocol and is a final answer, and what is not 1xx is no interim response. Fields of the connection
/// to the origin, and framing, which no 1xx has, are left out (RFC 9110 §7.6.1, §8.6).
pub(super) fn encode(mut interim: Interim, out: &mut Vec<u8>) {
    if !(102..200).contains(&interim.status.as_u16()) {
        return;
    }
    hop::strip(&mut interim.headers);
    for name in [CONNECTION, UPGRADE, TRAILER, TRANSFER_ENCODING, CONTENT_LENGTH] {
        interim.headers.remove(name);
    }
    let reason = interim.status.canonical_reason().unwrap_or_default();
    // Writing to a Vec never fails.
    let _ = write!(out, "HTTP/1.1 {} {reason}\r\n", interim.status.as_str());
    for (name, value) in &interim.headers {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, StatusCode};

    fn encoded(status: u16, fields: &[(&'static str, &'static str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        let mut out = Vec::new();
        encode(Interim { status: StatusCode::from_u16(status).unwrap(), headers }, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn rfc_8297_early_hints_pass_with_all_their_links() {
        assert_eq!(
            encoded(103, &[("link", "</a.css>; rel=preload"), ("link", "</b.js>; rel=preload")]),
            "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nlink: </b.js>; rel=preload\r\n\r\n"
        );
    }

    #[test]
    fn rfc_9110_section_15_2_a_100_is_each_hops_own_and_101_is_no_hint() {
        for status in [100, 101, 200, 304] {
            assert_eq!(encoded(status, &[]), "");
        }
        assert_eq!(encoded(199, &[]), "HTTP/1.1 199 \r\n\r\n");
    }

    #[test]
    fn rfc_9110_section_7_6_1_fields_of_the_other_connection_stay_behind() {
        let fields = [
            ("connection", "close"),
            ("content-length", "5"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("trailer", "x"),
            ("x-kept", "1"),
        ];
        assert_eq!(encoded(103, &fields), "HTTP/1.1 103 Early Hints\r\nx-kept: 1\r\n\r\n");
    }
}
