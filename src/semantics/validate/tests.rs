//! Tables of [`super`]: a case is an input and what must come of it, named by paragraph.

use super::*;
use proptest::prelude::*;

fn map(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
    }
    headers
}

/// The stored responses of a test, the n-th received at second n, unless it says otherwise.
fn with<R>(stored: &[&[(&str, &str)]], then: impl FnOnce(&[Stored<'_>]) -> R) -> R {
    let maps: Vec<HeaderMap> = stored.iter().map(|lines| map(lines)).collect();
    let candidates: Vec<Stored<'_>> = maps
        .iter()
        .enumerate()
        .map(|(n, headers)| Stored { headers, date: Wall::from_secs(n as u64) })
        .collect();
    then(&candidates)
}

const LM: &str = "Wed, 01 Jan 2020 00:00:00 GMT";
const OTHER_LM: &str = "Thu, 02 Jan 2020 00:00:00 GMT";
/// 59 s and 60 s after `LM`.
const ALMOST: &str = "Wed, 01 Jan 2020 00:00:59 GMT";
const MINUTE: &str = "Wed, 01 Jan 2020 00:01:00 GMT";

fn conditional(request: &[(&str, &str)], stored: &[&[(&str, &str)]]) -> HeaderMap {
    let mut request = map(request);
    with(stored, |candidates| make_conditional(&mut request, candidates));
    request
}

fn value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    assert!(headers.get_all(name).iter().count() <= 1, "{name} once");
    headers.get(name).map(|value| value.to_str().unwrap())
}

#[test]
fn rfc9111_4_3_1_what_can_be_validated() {
    let cases: [(&[(&str, &str)], bool); 9] = [
        (&[("etag", "\"a\"")], true),
        (&[("etag", "W/\"a\"")], true),
        (&[("etag", "odd")], true),
        (&[("last-modified", LM)], true),
        (&[], false),
        (&[("etag", "*")], false),
        (&[("etag", "\"a\""), ("etag", "\"b\"")], false),
        (&[("last-modified", "yesterday")], false),
        (&[("last-modified", LM), ("last-modified", LM)], false),
    ];
    for (stored, expected) in cases {
        assert_eq!(has_validator(&map(stored)), expected, "{stored:?}");
    }
}

#[test]
fn rfc9111_4_3_1_entity_tags_must_and_last_modified_should_be_sent_as_stored() {
    let lower = "wed, 01 jan 2020 00:00:00 GMT";
    /// The stored fields, `If-None-Match`, `If-Modified-Since`.
    type Case<'a> = (&'a [(&'a str, &'a str)], Option<&'a str>, Option<&'a str>);
    let cases: [Case<'_>; 6] = [
        (&[("etag", "\"abcdef\"")], Some("\"abcdef\""), None),
        (&[("etag", "W/\"abcdef\"")], Some("W/\"abcdef\""), None),
        (&[("etag", "abcdef")], Some("abcdef"), None),
        (&[("etag", "\"a\""), ("last-modified", LM)], Some("\"a\""), Some(LM)),
        (&[("last-modified", lower)], None, Some(lower)),
        (&[("last-modified", "-1")], None, None),
    ];
    for (stored, tag, date) in cases {
        let request = conditional(&[], &[stored]);
        assert_eq!(value(&request, "if-none-match"), tag, "{stored:?}");
        assert_eq!(value(&request, "if-modified-since"), date, "{stored:?}");
    }
}

#[test]
fn rfc9111_4_3_1_the_requests_own_conditions_and_range_go() {
    let own = [
        ("if-none-match", "\"x\""),
        ("if-none-match", "\"y\""),
        ("if-modified-since", LM),
        ("if-match", "\"x\""),
        ("if-unmodified-since", LM),
        ("if-range", "\"x\""),
        ("range", "bytes=0-1"),
        ("abc", "123"),
    ];
    let request = conditional(&own, &[&[("etag", "\"a\"")]]);
    assert_eq!(request.len(), 2);
    assert_eq!(value(&request, "if-none-match"), Some("\"a\""));
    // The suite's conditional-etag-vary-headers: fields that Vary names stay.
    assert_eq!(value(&request, "abc"), Some("123"));
    assert_eq!(conditional(&own, &[]).len(), 1, "nothing stored: unconditional");
    assert_eq!(conditional(&own, &[&[("etag", "*")]]).len(), 1, "`*` would match anything");
}

#[test]
fn rfc9111_4_1_variants_are_named_by_tag_each_once_and_only_the_first_by_date() {
    let request = conditional(
        &[],
        &[
            &[("etag", "\"a\""), ("last-modified", LM)],
            &[("etag", "W/\"b\""), ("last-modified", OTHER_LM)],
            &[("etag", "\"a\"")],
            &[("last-modified", OTHER_LM)],
            &[("etag", "\"c,d\"")],
        ],
    );
    assert_eq!(value(&request, "if-none-match"), Some("\"a\", W/\"b\", \"c,d\""));
    assert_eq!(value(&request, "if-modified-since"), Some(LM));
}

#[test]
fn variants_of_another_coding_are_neither_named_nor_confirmed() {
    let stored: [&[(&str, &str)]; 3] = [
        &[("etag", "\"old\"")],
        &[("etag", "\"new\""), ("content-encoding", "gzip")],
        &[("etag", "\"newer\""), ("content-encoding", "br")],
    ];
    assert_eq!(value(&conditional(&[], &stored), "if-none-match"), Some("\"old\""));
    with(&stored, |candidates| {
        assert!(confirmed_by(&map(&[("etag", "\"new\"")]), candidates).is_empty());
    });
}

#[test]
fn a_conditional_request_names_a_bounded_number_of_tags() {
    let maps: Vec<HeaderMap> = (0..200).map(|n| map(&[("etag", &format!("\"{n}\""))])).collect();
    let candidates: Vec<Stored<'_>> = maps.iter().map(|headers| Stored { headers, date: Wall(0) }).collect();
    let mut request = HeaderMap::new();
    make_conditional(&mut request, &candidates);
    assert_eq!(value(&request, "if-none-match").unwrap().split(", ").count(), MAX_CANDIDATES);

    let long = format!("\"{}\"", "x".repeat(3000));
    let maps = [map(&[("etag", "\"a\"")]), map(&[("etag", &long)]), map(&[("etag", &format!("W/{long}"))])];
    let candidates: Vec<Stored<'_>> = maps.iter().map(|headers| Stored { headers, date: Wall(0) }).collect();
    make_conditional(&mut request, &candidates);
    assert_eq!(value(&request, "if-none-match").unwrap(), format!("\"a\", {long}"));
}

/// A 304, the stored ones, and which of them it confirms.
type Confirms<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a [(&'a str, &'a str)]], &'a [usize]);

#[test]
fn rfc9111_4_3_4_which_stored_responses_a_304_confirms() {
    const A: &[(&str, &str)] = &[("etag", "\"a\"")];
    const B: &[(&str, &str)] = &[("etag", "\"b\"")];
    const WA: &[(&str, &str)] = &[("etag", "W/\"a\"")];
    const WB: &[(&str, &str)] = &[("etag", "W/\"b\"")];
    const DATED: &[(&str, &str)] = &[("last-modified", LM), ("date", LM)];
    const STRONGLY: &[(&str, &str)] = &[("last-modified", LM), ("date", MINUTE)];
    let cases: &[Confirms<'_>] = &[
        // 1. Strong validators.
        ("the same strong tag", A, &[A], &[0]),
        ("all with the same strong tag, the first and then the latest", A, &[A, A, B, A], &[0, 3, 1]),
        ("only a variant's", B, &[A, B], &[1]),
        ("none: MUST NOT update any", B, &[A], &[]),
        ("none: MUST NOT, though a weak one is equal (the suite's ETag case is like it)", A, &[WA], &[]),
        (
            "none: MUST NOT, though the weak date is equal",
            &[("etag", "\"b\""), ("last-modified", LM)],
            &[DATED],
            &[],
        ),
        ("a strong date", &[("last-modified", LM)], &[STRONGLY], &[0]),
        (
            "a strong date stands for a strong tag that was weakened on the way",
            &[("etag", "\"a\""), ("last-modified", LM)],
            &[&[("etag", "W/\"a\""), ("last-modified", LM), ("date", MINUTE)]],
            &[0],
        ),
        (
            "but not for a tag that differs",
            &[("etag", "\"b\""), ("last-modified", LM)],
            &[&[("etag", "\"a\""), ("last-modified", LM), ("date", MINUTE)]],
            &[],
        ),
        ("a date names the first only", &[("last-modified", LM)], &[STRONGLY, STRONGLY], &[0]),
        // 2. Weak ones.
        ("the same weak tag", WA, &[WA], &[0]),
        ("a weak tag confirms a strong one weakly", WA, &[A], &[0]),
        ("the one that would be used", WA, &[WA, WA], &[0]),
        ("the most recent of the others", WA, &[WB, WA, WA], &[2]),
        ("none", WB, &[WA], &[]),
        ("an odd tag, byte for byte", &[("etag", "odd")], &[&[("etag", "odd")]], &[0]),
        ("an odd tag is not the quoted one", &[("etag", "a")], &[A], &[]),
        ("a weak date", &[("last-modified", LM)], &[DATED], &[0]),
        ("another date", &[("last-modified", OTHER_LM)], &[DATED], &[]),
        ("a date of a variant without a tag", &[("last-modified", LM)], &[A, STRONGLY], &[]),
        (
            "a date of a variant with one, which was not asked about",
            &[("last-modified", LM)],
            &[A, &[("etag", "\"b\""), ("last-modified", LM)]],
            &[],
        ),
        (
            "a strong date of such a one",
            &[("last-modified", LM)],
            &[A, &[("etag", "\"b\""), ("last-modified", LM), ("date", MINUTE)]],
            &[],
        ),
        (
            "the same weak tag with another date",
            &[("etag", "W/\"a\""), ("last-modified", OTHER_LM)],
            &[&[("etag", "W/\"a\""), ("last-modified", LM), ("date", MINUTE)]],
            &[0],
        ),
        (
            "another weak tag with the same date",
            &[("etag", "W/\"b\""), ("last-modified", LM)],
            &[&[("etag", "W/\"a\""), ("last-modified", LM), ("date", MINUTE)]],
            &[],
        ),
        // 3. None.
        ("no validator on either side", &[], &[&[]], &[0]),
        ("no validator, one response named (our reading)", &[], &[A], &[0]),
        ("no validator, one response named by its date", &[], &[DATED], &[0]),
        ("no validator, several named", &[], &[A, B], &[]),
        ("no validator, the second can't be named", &[], &[A, DATED], &[0]),
        ("one that can't be read is no absence", &[("etag", "*")], &[A], &[]),
        ("nothing stored", A, &[], &[]),
    ];
    for (what, not_modified, stored, expected) in cases {
        let found = with(stored, |candidates| confirmed_by(&map(not_modified), candidates));
        assert_eq!(found, *expected, "{what}");
    }
}

#[test]
fn rfc9110_8_8_2_2_last_modified_is_strong_a_minute_before_date() {
    let strong = |lines: &[(&str, &str)]| strong_last_modified(&map(lines)).is_some();
    assert!(strong(&[("last-modified", LM), ("date", MINUTE)]));
    assert!(!strong(&[("last-modified", LM), ("date", ALMOST)]));
    assert!(!strong(&[("last-modified", LM)]));
    assert!(!strong(&[("last-modified", OTHER_LM), ("date", LM)]));
    assert!(!strong(&[("date", LM)]));
}

/// The fields of the suite's header list, with what §3.2 makes of each in a 304.
#[test]
fn rfc9111_3_2_every_field_updates_but_those_excepted() {
    let replaced = [
        "test-header",
        "x-test-header",
        "content-foo",
        "x-content-foo",
        "cache-control",
        "content-location",
        "content-security-policy",
        "content-type",
        "content-language",
        "content-disposition",
        "clear-site-data",
        "expires",
        "public-key-pins",
        "set-cookie",
        "set-cookie2",
        "x-frame-options",
        "x-xss-protection",
        "date",
        "last-modified",
        "vary",
        "age",
        "warning",
        "trailer",
        "repr-digest",
    ];
    let kept =
        ["content-length", "content-encoding", "content-range", "content-md5", "content-digest", "etag"];
    let dropped = [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
        "named-by-connection",
    ];
    let (mut stored, mut new) = (HeaderMap::new(), HeaderMap::new());
    for name in replaced.iter().chain(&kept) {
        stored.append(*name, HeaderValue::from_static("1"));
    }
    for name in replaced.iter().chain(&kept).chain(&dropped) {
        let value = if *name == "connection" { "close, named-by-connection" } else { "2" };
        new.append(*name, HeaderValue::from_static(value));
    }
    let updated = updated(&stored, &new);
    for name in replaced {
        assert_eq!(value(&updated, name), Some("2"), "{name}");
    }
    for name in kept {
        assert_eq!(value(&updated, name), Some("1"), "{name}");
    }
    for name in dropped {
        assert_eq!(value(&updated, name), None, "{name}");
    }
}

#[test]
fn rfc9111_3_2_all_lines_are_replaced_and_what_the_304_omits_stays() {
    let stored = map(&[("a", "1"), ("a", "2"), ("b", "3"), ("set-cookie", "x=1"), ("set-cookie", "y=1")]);
    let new = map(&[("a", "4"), ("set-cookie", "x=2"), ("c", "5"), ("c", "6"), ("etag", "\"e\"")]);
    let expected = map(&[
        ("a", "4"),
        ("b", "3"),
        ("set-cookie", "x=2"),
        ("c", "5"),
        ("c", "6"),
        ("etag", "\"e\""), // A tag where there was none is added.
    ]);
    assert_eq!(updated(&stored, &new), expected);
}

#[test]
fn rfc9111_3_2_content_fields_are_not_added_either() {
    let new = map(&[("content-length", "5"), ("content-encoding", "gzip"), ("content-range", "bytes 0-1/2")]);
    assert_eq!(updated(&map(&[("a", "1")]), &new), map(&[("a", "1")]));
}

#[test]
fn rfc9111_4_2_3_the_age_of_the_response_that_validated_counts() {
    assert_eq!(updated(&map(&[("age", "100")]), &map(&[])), map(&[]));
    assert_eq!(updated(&map(&[("age", "100")]), &map(&[("age", "7")])), map(&[("age", "7")]));
}

#[test]
fn rfc9111_4_3_5_head_confirms_by_validators_and_length() {
    let stored = map(&[("etag", "\"a\""), ("last-modified", LM), ("content-length", "9")]);
    let cases: [(&[(&str, &str)], bool); 14] = [
        (&[], true),
        (&[("etag", "\"a\"")], true),
        (&[("etag", "\"a\""), ("last-modified", LM), ("content-length", "10")], true),
        (&[("content-length", "10"), ("content-length", "10")], true),
        (&[("last-modified", "Wednesday, 01-Jan-20 00:00:00 GMT")], true),
        (&[("etag", "\"b\"")], false),
        (&[("etag", "W/\"a\"")], false),
        (&[("etag", "\"a\""), ("etag", "\"b\"")], false),
        (&[("etag", "\"a\""), ("last-modified", OTHER_LM)], false),
        (&[("last-modified", "yesterday")], false),
        (&[("etag", "\"a\""), ("content-length", "9")], false),
        (&[("content-length", "10"), ("content-length", "9")], false),
        (&[("content-length", "+10")], false),
        (&[("content-length", "")], false),
    ];
    for (head, expected) in cases {
        // The body's length counts, not a field that says something else.
        assert_eq!(head_confirms(&stored, 10, &map(head)), expected, "{head:?}");
    }
    assert!(!head_confirms(&map(&[]), 10, &map(&[("etag", "\"a\"")])), "a validator that is not stored");
    assert!(
        head_confirms(&map(&[("last-modified", "x")]), 0, &map(&[("last-modified", "x")])),
        "equal as values"
    );
}

fn any_headers() -> impl Strategy<Value = HeaderMap> {
    let name = prop_oneof![
        Just("etag"),
        Just("age"),
        Just("connection"),
        Just("a"),
        Just("b"),
        Just("te"),
        Just("content-length"),
        Just("last-modified"),
        Just("set-cookie"),
        Just("content-encoding"),
    ];
    let value = prop_oneof![
        Just("\"a\"".to_owned()),
        Just("W/\"a\"".to_owned()),
        Just("*".to_owned()),
        Just(LM.to_owned()),
        Just("a, b".to_owned()),
        "[ -~]{0,12}",
    ];
    proptest::collection::vec((name, value), 0..8)
        .prop_map(|lines| map(&lines.iter().map(|(n, v)| (*n, v.as_str())).collect::<Vec<_>>()))
}

proptest! {
    #[test]
    fn updating_twice_is_updating_once(stored in any_headers(), new in any_headers()) {
        let once = updated(&stored, &new);
        prop_assert_eq!(updated(&once, &new), once);
    }

    #[test]
    fn what_is_confirmed_was_named(
        stored in proptest::collection::vec(any_headers(), 0..6),
        new in any_headers(),
        mut request in any_headers(),
        dates in proptest::collection::vec(0u64..4, 6),
    ) {
        let candidates: Vec<Stored<'_>> =
            stored.iter().zip(&dates).map(|(headers, date)| Stored { headers, date: Wall(*date) }).collect();
        make_conditional(&mut request, &candidates);
        let confirmed = confirmed_by(&new, &candidates);
        let named: Vec<usize> = nameable(&candidates).map(|(place, _)| place).collect();
        prop_assert!(confirmed.iter().all(|place| named.contains(place)));
        let mut unique = confirmed.clone();
        unique.sort_unstable();
        unique.dedup();
        prop_assert_eq!(unique.len(), confirmed.len());
        head_confirms(candidates.first().map_or(&HeaderMap::new(), |c| c.headers), 3, &new);
    }

    #[test]
    fn a_stored_tag_comes_back_byte_for_byte(tag in "(W/)?\"[!#-~]{0,20}\"") {
        let request = conditional(&[], &[&[("etag", &tag)]]);
        prop_assert_eq!(value(&request, "if-none-match"), Some(tag.as_str()));
    }
}
