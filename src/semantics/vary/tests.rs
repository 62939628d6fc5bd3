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

fn names(names: &[&str]) -> Vec<HeaderName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn vary(lines: &[&str]) -> Vary {
    parse(&map(&lines.iter().map(|line| ("vary", *line)).collect::<Vec<_>>()), &names(&["ignored"]))
}

/// The field's normal form in a request with these lines of it.
fn normal(name: &str, lines: &[&str]) -> Option<String> {
    let request = map(&lines.iter().map(|line| (name, *line)).collect::<Vec<_>>());
    normal_value(&name.parse().unwrap(), &request).map(|value| String::from_utf8(value).unwrap())
}

fn same(name: &str, a: &[&str], b: &[&str]) -> bool {
    let nominated = names(&[name]);
    let [a, b] = [a, b].map(|lines| map(&lines.iter().map(|line| (name, *line)).collect::<Vec<_>>()));
    variant(&nominated, &a) == variant(&nominated, &b)
}

#[test]
fn rfc9110_12_5_5_vary_is_a_list_of_names_in_any_case_on_any_lines() {
    let on = |list: &[&str]| Vary::On(names(list));
    let cases: [(&[&str], Vary); 12] = [
        (&[], Vary::None),
        (&[""], Vary::None),
        (&[" , ,"], Vary::None),
        (&["Foo"], on(&["foo"])),
        (&["Foo, Bar, Baz"], on(&["bar", "baz", "foo"])),
        (&["foo,FOO , Foo"], on(&["foo"])),
        (&["Foo", "Bar"], on(&["bar", "foo"])),
        (&["", "Foo"], on(&["foo"])),
        (&["Ignored"], Vary::None),
        (&["Foo, IGNORED"], on(&["foo"])),
        (&["*, ignored"], Vary::Star),
        (&["Accept-Encoding"], on(&["accept-encoding"])),
    ];
    for (lines, expected) in cases {
        assert_eq!(vary(lines), expected, "{lines:?}");
    }
}

#[test]
fn rfc9111_4_1_star_always_fails_to_match() {
    // The suite's vary-syntax-*.
    let cases: [&[&str]; 8] =
        [&["*"], &["*, *"], &["*", "*"], &[", *"], &["", "*"], &["*, Foo"], &["Foo, *"], &["Foo", "Bar,*"]];
    for lines in cases {
        assert_eq!(vary(lines), Vary::Star, "{lines:?}");
    }
    assert_eq!(parse(&map(&[("vary", "*")]), &names(&["*"])), Vary::Star, "can't be ignored");
}

#[test]
fn standards_8_6_what_is_no_field_name_or_too_many_counts_as_star() {
    for line in ["foo bar", "\"foo\"", "foo;q=1", "foo: bar", "Foo, (x)", "\u{e9}"] {
        assert_eq!(vary(&[line]), Vary::Star, "{line}");
    }
    let many = |count: usize| (0..count).map(|n| format!("f{n}")).collect::<Vec<_>>().join(",");
    assert!(matches!(vary(&[&many(64)]), Vary::On(names) if names.len() == MAX_NAMES));
    assert_eq!(vary(&[&many(65)]), Vary::Star);
    assert!(matches!(vary(&[&many(64), &many(64)]), Vary::On(_)), "the same again is not more");
}

#[test]
fn rfc9111_4_1_absent_matches_absent_only() {
    assert!(same("foo", &[], &[]));
    assert!(!same("foo", &[], &[""]));
    assert!(!same("foo", &[], &["1"]));
    assert!(same("foo", &[""], &[" "]));
    assert!(!same("accept-encoding", &[], &[""]));
    assert!(!same("accept-language", &[], &[""]));
}

#[test]
fn rfc9111_4_1_every_nominated_field_must_match() {
    let nominated = names(&["bar", "baz", "foo"]);
    let stored = map(&[("foo", "1"), ("bar", "abc"), ("baz", "789"), ("other", "2")]);
    let same = |lines: &[(&str, &str)]| variant(&nominated, &map(lines)) == variant(&nominated, &stored);
    assert!(same(&[("foo", "1"), ("bar", "abc"), ("baz", "789")]), "fields not named don't count");
    assert!(same(&[("baz", "789"), ("other", "3"), ("foo", "1"), ("bar", "abc")]));
    assert!(!same(&[("foo", "2"), ("bar", "abc"), ("baz", "789")]));
    assert!(!same(&[("foo", "1"), ("bar", "abc4"), ("baz", "789")]));
    assert!(!same(&[("foo", "1"), ("bar", "abc")]));
    assert!(!same(&[("foo", "abc"), ("bar", "1"), ("baz", "789")]), "values don't change places");
    let omitted = map(&[("foo", "1"), ("baz", "789")]);
    assert_eq!(variant(&nominated, &omitted), variant(&nominated, &omitted));
}

#[test]
fn rfc9111_4_1_lines_are_combined_and_white_space_round_commas_does_not_count() {
    // The suite's vary-normalise-combine and -space.
    assert!(same("foo", &["1, 2"], &["1", "2"]));
    assert!(same("foo", &["1,2"], &[" 1, 2 "]));
    assert!(same("foo", &["1 \t,\t 2"], &["1,2"]));
    assert!(same("foo", &["1,"], &["1, "]));
    assert!(same("accept", &["text/html, */*;q=0.1"], &["text/html,*/*;q=0.1"]));
    // And no more than that.
    assert!(!same("foo", &["1, 2"], &["2, 1"]), "order may matter");
    assert!(!same("foo", &["a"], &["A"]), "case may matter");
    assert!(!same("foo", &["1 2"], &["1  2"]), "other white space may matter");
    assert!(!same("foo", &["1,,2"], &["1,2"]), "an empty member may matter");
    assert!(!same("foo", &["1", "2"], &["12"]));
}

#[test]
fn rfc9110_5_6_4_quoted_strings_are_left_alone() {
    assert_eq!(normal("foo", &["\"a,b\" ,  \"c\\\" , d\""]).unwrap(), "\"a,b\", \"c\\\" , d\"");
    assert!(!same("foo", &["\"a,b\""], &["\"a, b\""]));
    assert_eq!(normal("foo", &["\"a,b,c"]).unwrap(), "\"a,b,c", "one left open: as it is");
    assert_eq!(normal("foo", &["a\\,b"]).unwrap(), "a\\, b", "no escapes outside");
}

#[test]
fn fields_that_are_one_value_are_compared_as_they_are() {
    assert!(!same("user-agent", &["A (KHTML, like Gecko)"], &["A (KHTML,like Gecko)"]));
    assert!(!same("cookie", &["a=1,2"], &["a=1, 2"]));
    assert!(same("cookie", &["a=1", "b=2"], &["a=1; b=2"]), "RFC 9113 §8.2.3");
    assert!(!same("authorization", &["Digest a,b"], &["Digest a, b"]));
    assert!(same("user-agent", &["x"], &[" x "]), "white space round the value is never part of it");
}

/// RFC 9110 §12.5.3. Left what clients send, right what it means here.
#[test]
fn rfc9110_12_5_3_normal_forms_of_accept_encoding() {
    let cases: [(&[&str], &str); 47] = [
        (&["gzip"], "gzip"),
        (&["GZip"], "gzip"),
        (&["x-gzip"], "gzip"),
        (&["x-compress, x-gzip, gzip"], "gzip, compress"),
        (&["gzip, deflate, br"], "br, gzip, deflate"),
        (&["gzip,deflate,br"], "br, gzip, deflate"),
        (&["br", "deflate", "gzip"], "br, gzip, deflate"),
        (&["gzip, deflate, br, zstd"], "br, zstd, gzip, deflate"),
        (&["br;q=1.0, gzip;q=0.8"], "br, gzip;q=0.9"),
        (&["gzip;q=0.8,br"], "br, gzip;q=0.9"),
        (&["br;q=0.001, gzip;q=0.002"], "gzip, br;q=0.9"),
        (&["br;q=0.5, gzip;q=0.50 , zstd; Q=0.5"], "br, zstd, gzip"),
        // RFC 9842: dictionaries.
        (&["gzip, br, zstd, dcb, dcz"], "dcb, dcz, br, zstd, gzip"),
        (&["DCB"], "dcb"),
        // Codings nobody knows are not offered to the origin.
        (&["gzip, sdch"], "gzip"),
        (&["gzip, pack200-gzip;q=0.2"], "gzip"),
        (&["sdch"], "identity"),
        // Nothing is not everything.
        (&[""], "identity"),
        (&[","], "identity"),
        (&["gzip;q=0"], "identity"),
        (&["gzip;q=0.0, br;q=0.000"], "identity"),
        (&["identity"], "identity"),
        (&["identity;q=0.5"], "identity"),
        // A refusal that says nothing new.
        (&["gzip, br;q=0"], "gzip"),
        (&["gzip, foo;q=0"], "gzip"),
        // Identity, accepted anyway unless refused.
        (&["gzip, identity"], "gzip"),
        (&["gzip, identity;q=0.5"], "gzip"),
        (&["gzip;q=0.5, identity"], "identity, gzip;q=0.9"),
        (&["gzip;q=0.5, br, identity;q=0.8"], "br, identity;q=0.9, gzip;q=0.8"),
        (&["gzip, identity;q=0"], "gzip, identity;q=0"),
        (&["identity;q=0"], "identity;q=0"),
        (&["gzip, *;q=0"], "gzip, identity;q=0"),
        (&["*;q=0"], "identity;q=0"),
        (&["identity, *;q=0"], "identity"),
        (&["gzip, identity;q=0.5, *;q=0"], "gzip"),
        // Any coding, but for those refused.
        (&["*"], "*"),
        (&["gzip;q=0.5, *"], "*, gzip;q=0.9"),
        (&["gzip, *;q=0.1"], "gzip, *;q=0.9"),
        (&["*, br;q=0"], "*, br;q=0"),
        (&["*, foo;q=0, identity;q=0, Bar;q=0, foo;q=0"], "*, bar;q=0, foo;q=0, identity;q=0"),
        (&["gzip, identity;q=0.1, *;q=0.5"], "gzip, *;q=0.9, identity;q=0.8"),
        // Twice: the lower weight.
        (&["gzip, gzip;q=0"], "identity"),
        (&["gzip;q=0.1, br;q=0.5, x-gzip"], "br, gzip;q=0.9"),
        // What can't be read is not accepted.
        (&["gzip;q=2, br"], "br"),
        (&["gzip;level=9, br;q=0.1234, zstd;q=, deflate;q=1.001, compress"], "compress"),
        (&["gz ip, \"br\", ;q=1, zstd"], "zstd"),
        (&["gzip;q=0.5;x=1"], "identity"),
    ];
    for (lines, expected) in cases {
        assert_eq!(normal("accept-encoding", lines).as_deref(), Some(expected), "{lines:?}");
    }
}

/// RFC 9110 §12.5.4, rulings 33: white space, case and order by weight, nothing else.
#[test]
fn rfc9110_12_5_4_normal_forms_of_accept_language() {
    let cases: [(&[&str], &str); 15] = [
        (&["en, de"], "en, de"),
        (&[" eN ,   De"], "en, de"),
        (&["en", "de"], "en, de"),
        (&["fr;q=0.5, de;q=1.0"], "de, fr;q=0.5"),
        (&["de-CH,de;q=0.90,en;q=0.800,*;q=0.5"], "de-ch, de;q=0.9, en;q=0.8, *;q=0.5"),
        (&["en;q=0.001, de;q=0.05"], "de;q=0.05, en;q=0.001"),
        (&["en;q=0, de"], "de, en;q=0"),
        (&["en, EN, en;q=0.5"], "en, en;q=0.5"),
        (&["en ; q=0.5"], "en;q=0.5"),
        (&[""], ""),
        (&[",,"], ""),
        // What can't be read stays, but for white space.
        (&["en_US,de"], "en_US, de"),
        (&["en;q=x ,de"], "en;q=x, de"),
        (&["en;level=1"], "en;level=1"),
        (&["EN,de", "q"], "en, de, q"),
    ];
    for (lines, expected) in cases {
        assert_eq!(normal("accept-language", lines).as_deref(), Some(expected), "{lines:?}");
    }
    // §12.5.4, note: recipients take the order among equals for a preference.
    assert!(!same("accept-language", &["en, de"], &["de, en"]));
}

#[test]
fn rulings_4_what_is_keyed_is_what_is_sent() {
    let mut request = map(&[
        ("accept-encoding", "gzip"),
        ("accept-encoding", "br, foo"),
        ("accept-language", "DE;q=0.5,en"),
        ("accept", "a,b"),
    ]);
    let nominated = names(&["accept", "accept-encoding", "accept-language"]);
    let before = variant(&nominated, &request);
    normalise_request(&mut request);
    let expected =
        map(&[("accept-encoding", "br, gzip"), ("accept-language", "en, de;q=0.5"), ("accept", "a,b")]);
    assert_eq!(request, expected);
    assert_eq!(variant(&nominated, &request), before);

    let mut none = map(&[("accept", "a,b")]);
    normalise_request(&mut none);
    assert_eq!(none, map(&[("accept", "a,b")]), "absent stays absent");
}

#[test]
fn standards_8_6_a_value_over_4_kib_is_left_as_it_is() {
    for name in ["accept-encoding", "accept-language", "foo"] {
        let long = "EN,".repeat(1400);
        assert_eq!(normal(name, &[&long]).as_deref(), Some(long.as_str()), "{name}");
    }
}

/// Reads a variant back; that it can be done shows that two that are equal had the same fields.
fn read_back(mut key: &[u8]) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    fn take(key: &mut &[u8]) -> Vec<u8> {
        let (length, rest) = key.split_at(4);
        let (bytes, rest) = rest.split_at(u32::from_be_bytes(length.try_into().unwrap()) as usize);
        *key = rest;
        bytes.to_vec()
    }
    let mut fields = Vec::new();
    while !key.is_empty() {
        let name = take(&mut key);
        let present = key[0] == 1;
        key = &key[1..];
        fields.push((name, present.then(|| take(&mut key))));
    }
    fields
}

proptest! {
    #[test]
    fn a_variant_tells_absent_and_every_value_apart(
        values in proptest::collection::btree_map("[a-d]{1,3}", proptest::option::of("[ -~]{0,10}"), 0..6),
    ) {
        let mut request = HeaderMap::new();
        let mut expected = Vec::new();
        for (name, value) in &values {
            if let Some(value) = value {
                request.insert(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
            }
            expected.push((name.clone().into_bytes(), value.as_ref().map(|v| tidy(v.trim().as_bytes()))));
        }
        let nominated: Vec<HeaderName> = values.keys().map(|name| name.parse().unwrap()).collect();
        prop_assert_eq!(read_back(&variant(&nominated, &request)), expected);
    }

    #[test]
    fn tidying_changes_nothing_but_white_space_and_nothing_twice(value in "[ab,\"\\\\ \t]{0,20}") {
        let value = value.trim().as_bytes();
        let once = tidy(value);
        prop_assert_eq!(tidy(&once), once.clone());
        let solid = |v: &[u8]| v.iter().copied().filter(|b| !b" \t".contains(b)).collect::<Vec<_>>();
        prop_assert_eq!(solid(&once), solid(value));
    }

    #[test]
    fn arbitrary_fields_never_panic_and_normal_forms_are_their_own(
        value in proptest::collection::vec(
            prop_oneof![0x20u8..0x7f, 0x80u8..=0xff, Just(b'\t'), Just(b','), Just(b';')], 0..80),
    ) {
        let value = HeaderValue::from_bytes(&value).unwrap();
        let mut request = HeaderMap::new();
        for name in ["accept-encoding", "accept-language", "vary", "foo", "cookie"] {
            request.insert(name, value.clone());
        }
        parse(&request, &[]);
        let nominated = names(&["accept-encoding", "accept-language", "cookie", "foo"]);
        let before = variant(&nominated, &request);
        normalise_request(&mut request);
        prop_assert_eq!(variant(&nominated, &request), before);
    }

    /// By §12.5.3, for every coding: what the normal form accepts, the client accepted.
    #[test]
    fn the_origin_may_choose_nothing_that_the_client_forbade(
        members in proptest::collection::vec(
            ("(gzip|br|zstd|dcb|identity|\\*|foo|x-gzip)", "(;q=(0|1|0\\.[0-9]{1,3}))?"), 0..8),
    ) {
        let sent: Vec<String> = members.iter().map(|(name, q)| format!("{name}{q}")).collect();
        let sent = sent.join(",");
        let kept = normal("accept-encoding", &[&sent]).unwrap();
        prop_assert_eq!(normal("accept-encoding", &[&kept]), Some(kept.clone()));
        for coding in ["gzip", "br", "zstd", "dcb", "compress", "identity", "foo", "bar"] {
            prop_assert!(!accepts(&kept, coding) || accepts(&sent, coding), "{} of {} as {}", coding, sent, kept);
        }
        // And nothing that is in use is lost.
        for coding in ["gzip", "br", "zstd", "dcb", "compress", "identity"] {
            prop_assert!(accepts(&kept, coding) || !accepts(&sent, coding), "{} of {} as {}", coding, sent, kept);
        }
    }
}

#[test]
fn a_variant_reads_back_as_it_was_made_and_garbage_ends_it() {
    let mut request = HeaderMap::new();
    request.insert("accept-language", HeaderValue::from_static("de"));
    let names = ["accept-language", "x-none"].map(HeaderName::from_static);
    let made = variant(&names, &request);
    let expected = vec![("accept-language".into(), Some("de".into())), ("x-none".to_owned(), None::<String>)];
    assert_eq!(describe(&made), expected);
    assert_eq!(describe(&[]), []);
    for end in 0..made.len() {
        assert!(describe(&made[..end]).len() <= 2);
    }
    assert_eq!(describe(&[0xff; 9]), []);
}

/// §12.5.3, rules 2 to 4, written down naively; a coding that is listed twice needs both.
fn accepts(field: &str, coding: &str) -> bool {
    let member = |name: &str| {
        let weights: Vec<bool> = field
            .split(',')
            .map(|member| member.trim().split_once(";q=").unwrap_or((member.trim(), "1")))
            .filter(|(listed, _)| listed.strip_prefix("x-").unwrap_or(listed) == name)
            .map(|(_, q)| q.parse::<f32>().unwrap() > 0.0)
            .collect();
        (!weights.is_empty()).then(|| weights.iter().all(|accepted| *accepted))
    };
    member(coding).or_else(|| member("*")).unwrap_or(coding == "identity")
}

#[test]
fn the_fields_of_a_variant_select_it() {
    let mut request = HeaderMap::new();
    request.append("accept-encoding", HeaderValue::from_static("GZIP, br"));
    request.append("x-a", HeaderValue::from_static("1"));
    request.append("x-a", HeaderValue::from_static(" 2 ,3"));
    request.append("x-empty", HeaderValue::from_static(""));
    request.append("x-other", HeaderValue::from_static("o"));
    let names = ["accept-encoding", "x-a", "x-absent", "x-empty"].map(HeaderName::from_static);
    let normal = variant(&names, &request);
    let fields = nominated_fields(&normal);
    assert_eq!(variant(&names, &fields), normal);
    assert_eq!(fields.len(), 3);
    for cut in 0..normal.len() {
        let _ = nominated_fields(&normal[..cut]);
    }
    assert!(nominated_fields(&[0xff; 9]).is_empty());
}
