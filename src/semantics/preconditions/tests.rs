//! Tables of [`super`]: a case is an input and what must come of it, named by paragraph.

use super::Verdict::{NotModified, Proceed};
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

const LM: &str = "Wed, 01 Jan 2020 00:00:00 GMT";
const LATER: &str = "Wed, 01 Jan 2020 01:00:00 GMT";
const EARLIER: &str = "Tue, 31 Dec 2019 23:59:59 GMT";
/// 2020-01-01 00:30:00.
const RECEIVED: Wall = Wall::from_secs(1_577_838_600);

fn judge(request: &[(&str, &str)], stored: &[(&str, &str)]) -> Verdict {
    evaluate(&Method::GET, &map(request), StatusCode::OK, &map(stored), RECEIVED)
}

#[test]
fn rfc9110_13_1_2_if_none_match_compares_weakly() {
    let cases = [
        // The suite's conditional-etag-*.
        ("\"abcdef\"", "\"abcdef\"", NotModified),
        ("W/\"abcdef\"", "W/\"abcdef\"", NotModified),
        ("\"abcdef\"", "W/\"abcdef\"", NotModified),
        ("W/\"abcdef\"", "\"abcdef\"", NotModified),
        ("\"abcdef\", \"1234\", \"5678\"", "\"abcdef\"", NotModified),
        ("\"1234\", \"abcdef\", \"5678\"", "\"abcdef\"", NotModified),
        ("\"1234\",\"5678\" ,, \"abcdef\"", "\"abcdef\"", NotModified),
        ("\"a,b\"", "\"a,b\"", NotModified),
        ("\"1234\"", "\"abcdef\"", Proceed),
        ("\"ABCDEF\"", "\"abcdef\"", Proceed),
        ("\"a\", \"b\"", "\"a, \"b\"", Proceed),
        ("", "\"abcdef\"", Proceed),
        // Odd ones: the same bytes or nothing.
        ("abcdef", "abcdef", NotModified),
        ("w/\"abcdef\"", "w/\"abcdef\"", NotModified),
        ("W\\\"abcdef\"", "W\\\"abcdef\"", NotModified),
        ("W\"abcdef\"", "W\"abcdef\"", NotModified),
        ("abcdef", "\"abcdef\"", Proceed),
        ("\"abcdef\"", "abcdef", Proceed),
        ("\"abcdef", "\"abcdef\"", Proceed),
    ];
    for (offered, stored, expected) in cases {
        assert_eq!(
            judge(&[("if-none-match", offered)], &[("etag", stored)]),
            expected,
            "{offered} on {stored}"
        );
    }
}

#[test]
fn rfc9110_13_1_2_several_lines_are_one_list() {
    let request = [("if-none-match", "\"a\""), ("if-none-match", "\"b\", \"c\"")];
    assert_eq!(judge(&request, &[("etag", "\"c\"")]), NotModified);
    assert_eq!(judge(&request, &[("etag", "\"d\"")]), Proceed);
}

#[test]
fn rfc9110_13_1_2_star_matches_whatever_is_stored() {
    assert_eq!(judge(&[("if-none-match", "*")], &[]), NotModified);
    assert_eq!(judge(&[("if-none-match", " * ")], &[("etag", "\"a\"")]), NotModified);
    assert_eq!(judge(&[("if-none-match", "\"a\", *")], &[("etag", "\"b\"")]), Proceed, "no member of a list");
    assert_eq!(judge(&[("if-none-match", "*"), ("if-none-match", "*")], &[("etag", "\"b\"")]), Proceed);
    assert_eq!(judge(&[("if-none-match", "*, *")], &[("etag", "*")]), Proceed);
}

#[test]
fn rfc9110_8_8_3_obs_text_in_a_tag_is_compared_by_bytes() {
    let (mut request, mut stored) = (HeaderMap::new(), HeaderMap::new());
    request.insert(IF_NONE_MATCH, HeaderValue::from_bytes(b"\"abcdef\xfc\"").unwrap());
    stored.insert("etag", HeaderValue::from_bytes(b"\"abcdef\xfc\"").unwrap());
    assert_eq!(evaluate(&Method::GET, &request, StatusCode::OK, &stored, RECEIVED), NotModified);
    stored.insert("etag", HeaderValue::from_bytes(b"\"abcdef\xc3\xbc\"").unwrap());
    assert_eq!(evaluate(&Method::GET, &request, StatusCode::OK, &stored, RECEIVED), Proceed);
}

#[test]
fn rfc9110_13_2_2_if_none_match_beats_if_modified_since() {
    let stored = [("etag", "\"a\""), ("last-modified", LM)];
    // The suite's conditional-etag-precedence, and its mirror image.
    assert_eq!(judge(&[("if-none-match", "\"a\""), ("if-modified-since", EARLIER)], &stored), NotModified);
    assert_eq!(judge(&[("if-none-match", "\"b\""), ("if-modified-since", LATER)], &stored), Proceed);
    assert_eq!(judge(&[("if-none-match", "***\""), ("if-modified-since", LATER)], &stored), Proceed);
    assert_eq!(judge(&[("if-none-match", "\"a\""), ("if-modified-since", LATER)], &stored[1..]), Proceed);
}

#[test]
fn rfc9110_13_1_3_if_modified_since_compares_with_last_modified() {
    let cases = [
        (LM, NotModified),
        (LATER, NotModified),
        ("Wednesday, 01-Jan-20 00:00:00 GMT", NotModified),
        (EARLIER, Proceed),
    ];
    for (since, expected) in cases {
        assert_eq!(judge(&[("if-modified-since", since)], &[("last-modified", LM)]), expected, "{since}");
    }
}

#[test]
fn rfc9111_4_3_2_date_then_the_time_of_receipt_stand_in_for_last_modified() {
    assert_eq!(judge(&[("if-modified-since", LM)], &[("date", LM)]), NotModified);
    assert_eq!(judge(&[("if-modified-since", EARLIER)], &[("date", LM)]), Proceed);
    assert_eq!(judge(&[("if-modified-since", LATER)], &[]), NotModified, "received before");
    assert_eq!(judge(&[("if-modified-since", LM)], &[]), Proceed, "received after");
    assert_eq!(
        judge(&[("if-modified-since", LM)], &[("last-modified", "yesterday"), ("date", LATER)]),
        Proceed
    );
}

#[test]
fn rfc9110_13_1_3_an_invalid_or_repeated_if_modified_since_is_ignored() {
    let stored = [("last-modified", EARLIER)];
    for since in ["", "0", "yesterday", "Wed, 01 Jan 2020 00:00:00 GMT, Wed, 01 Jan 2020 00:00:00 GMT"] {
        assert_eq!(judge(&[("if-modified-since", since)], &stored), Proceed, "{since}");
    }
    assert_eq!(judge(&[("if-modified-since", LM), ("if-modified-since", LM)], &stored), Proceed);
}

#[test]
fn rfc9110_13_1_3_other_methods_are_not_judged() {
    let (request, stored) = (map(&[("if-none-match", "*")]), map(&[]));
    for (method, expected) in
        [(Method::GET, NotModified), (Method::HEAD, NotModified), (Method::POST, Proceed)]
    {
        assert_eq!(evaluate(&method, &request, StatusCode::OK, &stored, RECEIVED), expected, "{method}");
    }
}

#[test]
fn rfc9110_13_2_1_only_what_would_succeed_is_judged() {
    let (request, stored) = (map(&[("if-none-match", "\"a\"")]), map(&[("etag", "\"a\"")]));
    let cases = [(200, NotModified), (203, NotModified), (301, Proceed), (404, Proceed), (410, Proceed)];
    for (status, expected) in cases {
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(evaluate(&Method::GET, &request, status, &stored, RECEIVED), expected, "{status}");
    }
}

#[test]
fn rfc9111_4_3_2_if_match_and_if_unmodified_since_are_for_the_origin() {
    assert!(only_origin_may_judge(&map(&[("if-match", "\"a\"")])));
    assert!(only_origin_may_judge(&map(&[("if-unmodified-since", LM)])));
    assert!(!only_origin_may_judge(&map(&[
        ("if-none-match", "\"a\""),
        ("if-modified-since", LM),
        ("if-range", "\"a\"")
    ])));
}

#[test]
fn rfc9110_15_4_5_what_a_304_carries() {
    let stored = map(&[
        ("content-location", "/a"),
        ("date", LM),
        ("etag", "\"a\""),
        ("vary", "accept"),
        ("cache-control", "max-age=1"),
        ("expires", LM),
        ("set-cookie", "a=b"),
        ("x-unknown", "1"),
        ("age", "3"),
        // Of a body:
        ("content-type", "text/html"),
        ("content-length", "3"),
        ("content-encoding", "br"),
        ("content-language", "en"),
        ("content-range", "bytes 0-2/3"),
        ("content-md5", "x"),
        ("content-digest", "sha-256=:x:"),
        ("transfer-encoding", "chunked"),
        ("trailer", "expires"),
        ("last-modified", EARLIER),
    ]);
    let sent = not_modified_headers(&stored);
    let mut names: Vec<&str> = sent.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    let expected = [
        "age",
        "cache-control",
        "content-location",
        "date",
        "etag",
        "expires",
        "set-cookie",
        "vary",
        "x-unknown",
    ];
    assert_eq!(names, expected);
}

#[test]
fn rfc9110_15_4_5_last_modified_guides_the_update_where_there_is_no_etag() {
    assert!(not_modified_headers(&map(&[("last-modified", LM)])).contains_key("last-modified"));
}

proptest! {
    #[test]
    fn arbitrary_fields_never_panic(
        name in prop_oneof![Just("if-none-match"), Just("if-modified-since")],
        value in proptest::collection::vec(prop_oneof![0x20u8..0x7f, 0x80u8..=0xff, Just(b'\t')], 0..80),
        tag in proptest::collection::vec(prop_oneof![0x20u8..0x7f, 0x80u8..=0xff], 0..20),
    ) {
        let (mut request, mut stored) = (HeaderMap::new(), HeaderMap::new());
        request.insert(name, HeaderValue::from_bytes(&value).unwrap());
        stored.insert("etag", HeaderValue::from_bytes(&tag).unwrap());
        evaluate(&Method::GET, &request, StatusCode::OK, &stored, RECEIVED);
    }
}
