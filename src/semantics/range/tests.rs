//! Tables of [`super`]: a case is an input and what must come of it, named by paragraph.

use super::*;
use http::HeaderName;
use proptest::prelude::*;

fn map(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn of(range: &str, length: u64) -> Selected {
    select(&Method::GET, &map(&[("range", range)]), StatusCode::OK, &map(&[]), length)
}

fn one(part: Range<u64>) -> Selected {
    Selected::One(part)
}

#[test]
fn rfc9110_14_1_2_byte_ranges_of_ten_bytes() {
    let cases = [
        ("bytes=0-1", one(0..2)),
        ("bytes=0-0", one(0..1)),
        ("bytes=1-", one(1..10)),
        ("bytes=9-9", one(9..10)),
        ("bytes=-1", one(9..10)),
        ("bytes=-10", one(0..10)),
        // A suffix longer than the representation is all of it; a last-pos beyond the end is the end.
        ("bytes=-11", one(0..10)),
        ("bytes=5-99", one(5..10)),
        ("bytes=0-", one(0..10)),
        ("BYTES=0-1", one(0..2)),
        ("bytes=00-01", one(0..2)),
        ("bytes= 0-1 ,, ", one(0..2)),
        // One that exists is enough.
        ("bytes=0-1,20-30", one(0..2)),
        ("bytes=-0,0-1", one(0..2)),
        // None does.
        ("bytes=10-", Selected::Unsatisfiable),
        ("bytes=10-20", Selected::Unsatisfiable),
        ("bytes=-0", Selected::Unsatisfiable),
        ("bytes=-0,10-11,99-", Selected::Unsatisfiable),
        // Numbers that fit into nothing.
        ("bytes=18446744073709551615-", Selected::Unsatisfiable),
        ("bytes=99999999999999999999999-", Selected::Unsatisfiable),
        ("bytes=0-99999999999999999999999", one(0..10)),
        ("bytes=0-18446744073709551615", one(0..10)),
        ("bytes=-99999999999999999999999", one(0..10)),
    ];
    for (range, expected) in cases {
        assert_eq!(of(range, 10), expected, "{range}");
    }
}

#[test]
fn rfc9110_14_2_what_does_not_parse_is_ignored() {
    for range in [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=a-b",
        "bytes=1",
        "bytes=5-2",
        "bytes=0-1,5-2",
        "bytes=0-1,x",
        "bytes=+0-1",
        "bytes=0x0-1",
        "bytes=0 - 1",
        "bytes =0-1",
        "bytes=0-1-2",
        "bytes=--1",
        "bytes:0-1",
        "items=0-1",
        "none",
        "bytes=0-1;x",
        "bytes=0-1, bytes=2-3",
    ] {
        assert_eq!(of(range, 10), Selected::Whole, "{range}");
    }
}

#[test]
fn rfc9110_14_1_2_an_empty_representation() {
    assert_eq!(of("bytes=0-", 0), Selected::Unsatisfiable);
    assert_eq!(of("bytes=0-0", 0), Selected::Unsatisfiable);
    assert_eq!(of("bytes=-0", 0), Selected::Unsatisfiable);
    // Satisfiable by the letter, yet no Content-Range can say it.
    assert_eq!(of("bytes=-5", 0), Selected::Whole);
}

#[test]
fn the_largest_representation_does_not_overflow() {
    assert_eq!(of("bytes=0-18446744073709551614", u64::MAX), one(0..u64::MAX));
    assert_eq!(of("bytes=18446744073709551614-", u64::MAX), one(u64::MAX - 1..u64::MAX));
    assert_eq!(of("bytes=18446744073709551615-18446744073709551615", u64::MAX), Selected::Unsatisfiable);
}

#[test]
fn rfc9110_14_2_only_get_and_only_what_was_200() {
    let request = map(&[("range", "bytes=0-1")]);
    let stored = map(&[]);
    for method in [Method::HEAD, Method::POST, Method::PUT] {
        assert_eq!(select(&method, &request, StatusCode::OK, &stored, 10), Selected::Whole, "{method}");
    }
    for status in [203, 206, 301, 404] {
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(select(&Method::GET, &request, status, &stored, 10), Selected::Whole, "{status}");
    }
    let twice = map(&[("range", "bytes=0-1"), ("range", "bytes=0-1")]);
    assert_eq!(select(&Method::GET, &twice, StatusCode::OK, &stored, 10), Selected::Whole, "two lines");
    assert_eq!(select(&Method::GET, &map(&[]), StatusCode::OK, &stored, 10), Selected::Whole, "no range");
}

#[test]
fn rfc9110_15_3_7_2_ranges_that_overlap_or_touch_are_one() {
    let many = |parts: &[Range<u64>]| Selected::Many(parts.to_vec());
    let cases = [
        ("bytes=0-1,4-5", many(&[0..2, 4..6])),
        ("bytes=0-1,2-3", one(0..4)),
        ("bytes=0-5,3-9", one(0..10)),
        ("bytes=0-9,3-4", one(0..10)),
        ("bytes=0-,0-,0-", one(0..10)),
        ("bytes=-1,0-0", many(&[9..10, 0..1])),
        ("bytes=8-9,0-1,1-2", many(&[8..10, 0..3])),
        // What is merged stands where the first of it was asked for.
        ("bytes=6-7,0-1,7-8,3-3", many(&[6..9, 0..2, 3..4])),
    ];
    for (range, expected) in cases {
        assert_eq!(of(range, 10), expected, "{range}");
    }
}

#[test]
fn standards_8_8_many_ranges_are_answered_whole() {
    let apart = |count: u64| {
        let specs: Vec<String> = (0..count).map(|n| format!("{}-{}", n * 10, n * 10)).collect();
        format!("bytes={}", specs.join(","))
    };
    assert!(matches!(of(&apart(16), 1000), Selected::Many(parts) if parts.len() == MAX_PARTS));
    assert_eq!(of(&apart(17), 1000), Selected::Whole);
    // 1300 times everything: one part, or, over 4 KiB, ignored.
    assert_eq!(of(&format!("bytes={}", vec!["0-"; 1300].join(",")), 1000), one(0..1000));
    assert_eq!(of(&format!("bytes={}", vec!["0-"; 1400].join(",")), 1000), Selected::Whole);
}

#[test]
fn rfc9110_13_1_5_if_range() {
    const LM: &str = "Wed, 01 Jan 2020 00:00:00 GMT";
    const HOUR: &str = "Wed, 01 Jan 2020 01:00:00 GMT";
    const SOON: &str = "Wed, 01 Jan 2020 00:00:30 GMT";
    /// `If-Range`, the stored fields, does it hold.
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], bool);
    let cases: [Case<'_>; 15] = [
        ("\"a\"", &[("etag", "\"a\"")], true),
        ("\"a\"", &[("etag", "\"b\"")], false),
        ("\"a\"", &[], false),
        // Strong comparison.
        ("W/\"a\"", &[("etag", "W/\"a\"")], false),
        ("\"a\"", &[("etag", "W/\"a\"")], false),
        ("W/\"a\"", &[("etag", "\"a\"")], false),
        ("a", &[("etag", "a")], false),
        ("\"a\", \"b\"", &[("etag", "\"a\"")], false),
        ("*", &[("etag", "\"a\"")], false),
        // An exact date, and a strong one.
        (LM, &[("last-modified", LM), ("date", HOUR)], true),
        (LM, &[("last-modified", LM), ("date", SOON)], false),
        (LM, &[("last-modified", LM)], false),
        (HOUR, &[("last-modified", LM), ("date", HOUR)], false),
        (LM, &[("date", HOUR)], false),
        ("yesterday", &[("last-modified", "yesterday"), ("date", HOUR)], false),
    ];
    for (if_range, stored, holds) in cases {
        let request = map(&[("range", "bytes=0-1"), ("if-range", if_range)]);
        let selected = select(&Method::GET, &request, StatusCode::OK, &map(stored), 10);
        let expected = if holds { one(0..2) } else { Selected::Whole };
        assert_eq!(selected, expected, "{if_range} on {stored:?}");
    }
    let twice = map(&[("range", "bytes=0-1"), ("if-range", "\"a\""), ("if-range", "\"a\"")]);
    let stored = map(&[("etag", "\"a\"")]);
    assert_eq!(select(&Method::GET, &twice, StatusCode::OK, &stored, 10), Selected::Whole);
}

#[test]
fn rfc9110_13_1_5_a_failed_if_range_never_gives_416() {
    let request = map(&[("range", "bytes=99-"), ("if-range", "\"old\"")]);
    assert_eq!(
        select(&Method::GET, &request, StatusCode::OK, &map(&[("etag", "\"a\"")]), 10),
        Selected::Whole
    );
}

#[test]
fn rfc9110_14_4_content_range() {
    assert_eq!(content_range(&(0..2), 10), "bytes 0-1/10");
    assert_eq!(
        content_range(&(u64::MAX - 1..u64::MAX), u64::MAX),
        "bytes 18446744073709551614-18446744073709551614/18446744073709551615"
    );
    assert_eq!(unsatisfied_range(10), "bytes */10");
}

#[test]
fn rfc9110_14_6_multipart_byteranges_byte_for_byte() {
    let body = b"0123456789";
    let parts = [8..10, 0..3];
    let framing =
        multipart(&parts, 10, Some(&HeaderValue::from_static("text/plain;charset=utf-8")), "THIS_ONE");
    assert_eq!(framing.content_type, "multipart/byteranges; boundary=THIS_ONE");
    let mut sent = Vec::new();
    for (before, part) in framing.before.iter().zip(&parts) {
        sent.extend_from_slice(before);
        sent.extend_from_slice(&body[part.start as usize..part.end as usize]);
    }
    sent.extend_from_slice(&framing.after);
    let expected = "--THIS_ONE\r\n\
        Content-Type: text/plain;charset=utf-8\r\n\
        Content-Range: bytes 8-9/10\r\n\
        \r\n\
        89\r\n\
        --THIS_ONE\r\n\
        Content-Type: text/plain;charset=utf-8\r\n\
        Content-Range: bytes 0-2/10\r\n\
        \r\n\
        012\r\n\
        --THIS_ONE--\r\n";
    assert_eq!(String::from_utf8(sent).unwrap(), expected);
}

#[test]
fn rfc9110_14_6_a_part_without_a_stored_content_type_has_none() {
    let framing = multipart(&[0..1, 5..6], 10, None, "x");
    assert_eq!(framing.before[1], b"\r\n--x\r\nContent-Range: bytes 5-5/10\r\n\r\n");
}

#[test]
fn rfc2046_5_1_1_boundaries_are_quoted_or_cut_where_they_must_be() {
    assert_eq!(multipart(&[], 0, None, "a:b").content_type, "multipart/byteranges; boundary=\"a:b\"");
    let evil = multipart(&[0..1, 5..6], 10, None, "a\r\nX: \"y\"");
    assert_eq!(evil.content_type, "multipart/byteranges; boundary=\"aX:y\"");
    assert_eq!(evil.after, b"\r\n--aX:y--\r\n");
    assert_eq!(multipart(&[], 0, None, &"x".repeat(100)).after.len(), 70 + 8);
}

proptest! {
    #[test]
    fn arbitrary_fields_never_panic(
        value in proptest::collection::vec(prop_oneof![0x20u8..0x7f, 0x80u8..=0xff, Just(b'\t')], 0..100),
        length in any::<u64>(),
    ) {
        for name in ["range", "if-range"] {
            let mut request = map(&[("range", "bytes=0-1")]);
            request.insert(name, HeaderValue::from_bytes(&value).unwrap());
            select(&Method::GET, &request, StatusCode::OK, &map(&[("etag", "\"a\"")]), length);
        }
    }

    #[test]
    fn parts_lie_inside_are_disjoint_and_cover_what_was_asked(
        specs in proptest::collection::vec("([0-9]{1,3}-[0-9]{0,3})|(-[0-9]{1,3})", 1..40),
        length in 0u64..600,
    ) {
        let field = format!("bytes={}", specs.join(","));
        // Byte by byte, what was asked for; None if some spec is invalid.
        let mut asked = Some(vec![false; length as usize]);
        for spec in &specs {
            let (first, last) = spec.split_once('-').unwrap();
            let (from, to) = match (first.parse::<u64>(), last.parse::<u64>()) {
                (Ok(first), Ok(last)) if first > last => { asked = None; break; }
                (Ok(first), Ok(last)) => (first, last + 1),
                (Ok(first), _) => (first, length),
                (_, Ok(last)) => (length.saturating_sub(last), length),
                _ => unreachable!(),
            };
            if let Some(asked) = &mut asked {
                for at in from..to.min(length) {
                    asked[at as usize] = true;
                }
            }
        }
        let parts = match of(&field, length) {
            Selected::One(part) => vec![part],
            Selected::Many(parts) => {
                prop_assert!((2..=MAX_PARTS).contains(&parts.len()));
                parts
            }
            Selected::Unsatisfiable => {
                prop_assert!(asked.is_some_and(|asked| !asked.contains(&true)));
                return Ok(());
            }
            Selected::Whole => {
                let runs = asked.map(|asked| asked.split(|b| !*b).filter(|run| !run.is_empty()).count());
                prop_assert!(length == 0 || runs.is_none_or(|runs| runs > MAX_PARTS));
                return Ok(());
            }
        };
        let mut sent = vec![false; length as usize];
        for part in &parts {
            prop_assert!(part.start < part.end && part.end <= length);
            for at in part.clone() {
                prop_assert!(!std::mem::replace(&mut sent[at as usize], true), "byte {} twice", at);
            }
        }
        prop_assert_eq!(Some(sent), asked);
    }
}
