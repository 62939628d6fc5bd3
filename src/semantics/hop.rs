//! Fields that concern one connection only (RFC 9110 §7.6.1, RFC 9111 §3.1), and what becomes of a `Connection`
//! field that names others.
//!
//! An intermediary must remove what `Connection` names, and thereby a client gets a say in which fields the origin
//! sees: `Connection: Cookie` makes the origin answer as to a stranger, under the key of a user's request. So
//! [`strip`] does what §7.6.1 says and tells its caller, who keeps such a request away from the cache. Our own
//! fields (`Via`, `X-Forwarded-For`) are added after it, where no client can name them away.
//!
//! Four fields stay although they are named: `Host`, `Content-Length` and (were it not gone anyway)
//! `Transfer-Encoding`, because the message would lose its address or its frame; and `Cache-Control`, which RFC 9111
//! §5.2 says to pass on always and §7.6.1 itself calls "never appropriate as a connection option".

use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const PROXY_AUTHENTICATION_INFO: HeaderName = HeaderName::from_static("proxy-authentication-info");

/// Removed from every message, named or not. `Trailer` is not among them: it announces fields to the final
/// recipient and goes the whole way (RFC 9110 §6.6.2).
const HOP_BY_HOP: [HeaderName; 7] =
    [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, TE, TRANSFER_ENCODING, UPGRADE, HTTP2_SETTINGS];

/// What one proxy and its client agree on (RFC 9111 §3.1).
const PROXY_ONLY: [HeaderName; 3] = [PROXY_AUTHENTICATE, PROXY_AUTHENTICATION_INFO, PROXY_AUTHORIZATION];

/// Stay in the message although `Connection` names them.
const PROTECTED: [HeaderName; 3] = [HOST, CONTENT_LENGTH, CACHE_CONTROL];

/// Options and names that any honest peer may list.
const HONEST: [&str; 8] = [
    "close",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// Must a cache leave this field out of what it stores, whatever `Connection` says?
pub(super) fn never_stored(name: &HeaderName) -> bool {
    HOP_BY_HOP.contains(name) || PROXY_ONLY.contains(name)
}

/// The fields that the message's `Connection` lines name, known or not. What is no field name is skipped.
pub(super) fn named(headers: &HeaderMap) -> Vec<HeaderName> {
    let lines = headers.get_all(CONNECTION).iter();
    lines
        .flat_map(|line| line.as_bytes().split(|b| *b == b','))
        .filter_map(|option| HeaderName::from_bytes(option.trim_ascii()).ok())
        .collect()
}

/// Removes `Connection`, the fields it names, and `Keep-Alive`, `Proxy-Connection`, `TE`, `Transfer-Encoding`,
/// `Upgrade`, `HTTP2-Settings` (RFC 9110 §7.6.1). `Trailer` stays unless named, and so do `Host`,
/// `Content-Length` and `Cache-Control` even when named (see the head of this file).
///
/// True when `Connection` named anything beyond the connection's own options and fields (close, keep-alive,
/// proxy-connection, te, trailer, transfer-encoding, upgrade, http2-settings), present or not: a *request* like
/// that must neither be answered from, nor stored under, its normal key (standards.md §8.5). For a *response* the
/// value says nothing bad: the origin may name its own fields. Whether it may be stored, for how long and under
/// which `Vary` is judged on the response as received, before this is called.
pub fn strip(headers: &mut HeaderMap) -> bool {
    let named = named(headers);
    for name in &named {
        if !PROTECTED.contains(name) {
            headers.remove(name);
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    named.iter().any(|name| !HONEST.contains(&name.as_str()))
}

/// Also removes what a cache must not store: `Proxy-Authenticate`, `Proxy-Authentication-Info`,
/// `Proxy-Authorization` (RFC 9111 §3.1).
pub fn strip_for_storing(headers: &mut HeaderMap) {
    strip(headers);
    for name in &PROXY_ONLY {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn map(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn rfc9110_7_6_1_hop_by_hop_fields_go_named_or_not() {
        let mut headers = map(&[
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAMAAABk"),
            ("trailer", "Expires"),
            ("content-type", "text/plain"),
        ]);
        assert!(!strip(&mut headers));
        assert_eq!(names(&headers), ["content-type", "trailer"]);
    }

    #[test]
    fn rfc9110_7_6_1_every_named_field_goes_and_connection_itself() {
        // The suite's headers-omit-headers-listed-in-Connection.
        let mut headers =
            map(&[("connection", "a, B"), ("connection", "close,,x y"), ("a", "1"), ("b", "2"), ("c", "3")]);
        assert!(strip(&mut headers));
        assert_eq!(names(&headers), ["c"]);
    }

    #[test]
    fn rfc9110_7_6_1_honest_options_are_no_reason_to_bypass() {
        for value in [
            "close",
            "Keep-Alive",
            "TE, close",
            "Upgrade, HTTP2-Settings",
            "trailer",
            "",
            ",",
            "Proxy-Connection",
        ] {
            assert!(!strip(&mut map(&[("connection", value)])), "{value}");
        }
    }

    #[test]
    fn standards_8_5_naming_a_field_that_selects_or_authorises_is_reported() {
        for name in [
            "Cookie",
            "Authorization",
            "Host",
            "Cache-Control",
            "Content-Length",
            "Content-Type",
            "X-Forwarded-For",
            "X-Forwarded-Proto",
            "Via",
            "Range",
            "If-None-Match",
            "Accept-Encoding",
            "X-Anything",
        ] {
            assert!(strip(&mut map(&[("connection", &format!("close, {name}"))])), "{name}");
        }
    }

    #[test]
    fn standards_8_5_a_named_cookie_or_authorization_is_removed() {
        let mut headers = map(&[
            ("connection", "Cookie, Authorization, X-Forwarded-For, Range"),
            ("cookie", "a=b"),
            ("authorization", "Basic x"),
            ("x-forwarded-for", "1.2.3.4"),
            ("range", "bytes=0-1"),
            ("accept", "*/*"),
        ]);
        assert!(strip(&mut headers));
        assert_eq!(names(&headers), ["accept"]);
    }

    #[test]
    fn standards_8_5_address_frame_and_cache_control_cannot_be_named_away() {
        let mut headers = map(&[
            ("connection", "Host, Content-Length, Transfer-Encoding, Cache-Control"),
            ("host", "example.com"),
            ("content-length", "5"),
            ("cache-control", "no-store"),
        ]);
        assert!(strip(&mut headers));
        assert_eq!(names(&headers), ["cache-control", "content-length", "host"]);
    }

    #[test]
    fn rfc9111_3_1_fields_of_the_proxy_are_not_stored_all_others_are() {
        let lines = [
            ("proxy-authenticate", "Basic"),
            ("proxy-authentication-info", "x"),
            ("proxy-authorization", "Basic x"),
            ("keep-alive", "1"),
            ("set-cookie", "a=b"),
            ("x-unknown", "1"),
            ("clear-site-data", "cache"),
        ];
        let mut headers = map(&lines);
        strip(&mut headers);
        assert!(headers.contains_key("proxy-authenticate"), "forwarded, though");
        strip_for_storing(&mut headers);
        assert_eq!(names(&headers), ["clear-site-data", "set-cookie", "x-unknown"]);
    }

    proptest! {
        #[test]
        fn arbitrary_connection_values_never_panic_and_nothing_hop_by_hop_survives(
            value in proptest::collection::vec(prop_oneof![0x20u8..0x7f, 0x80u8..=0xff, Just(b'\t'), Just(b',')], 0..80),
        ) {
            let mut headers = map(&[("te", "x"), ("host", "h"), ("accept", "y")]);
            headers.append(CONNECTION, HeaderValue::from_bytes(&value).unwrap());
            strip(&mut headers);
            prop_assert!(!headers.keys().any(|name| HOP_BY_HOP.contains(name)));
            prop_assert!(headers.contains_key(HOST));
        }
    }
}
