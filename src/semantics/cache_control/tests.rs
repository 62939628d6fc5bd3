//! How `Cache-Control` and `Pragma` are read. The cases marked "suite" are those of the public conformance
//! suite's `cc-parse`.

use super::*;
use http::HeaderValue;

fn lines(name: &'static str, values: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn response(values: &[&str]) -> ResponseDirectives {
    ResponseDirectives::parse(&lines("cache-control", values))
}

fn request(values: &[&str]) -> RequestDirectives {
    RequestDirectives::parse(&lines("cache-control", values))
}

fn fields(names: &[&'static str]) -> Qualified {
    Qualified::Fields(names.iter().copied().map(HeaderName::from_static).collect())
}

/// A lifetime that was read, or `Err` for one that was there and unreadable.
fn max_age(values: &[&str]) -> Result<Option<u64>, ()> {
    let said = response(values);
    if said.unreadable_lifetime { Err(()) } else { Ok(said.max_age) }
}

#[test]
fn rfc9111_5_2_every_response_directive_is_read() {
    let all = response(&[
        "max-age=1, s-maxage=2, no-cache, private, no-store, public, must-revalidate, proxy-revalidate",
        "must-understand, no-transform, immutable, stale-while-revalidate=3, stale-if-error=4",
    ]);
    let expected = ResponseDirectives {
        max_age: Some(1),
        s_maxage: Some(2),
        no_cache: Qualified::Whole,
        private: Qualified::Whole,
        no_store: true,
        public: true,
        must_revalidate: true,
        proxy_revalidate: true,
        must_understand: true,
        no_transform: true,
        immutable: true,
        stale_while_revalidate: Some(3),
        stale_if_error: Some(4),
        unreadable_lifetime: false,
    };
    assert_eq!(all, expected);
    assert_eq!(response(&[]), ResponseDirectives::default());
    assert_eq!(response(&["", " ", ",", " , ,, "]), ResponseDirectives::default());
}

#[test]
fn rfc9111_5_2_names_are_case_insensitive() {
    assert_eq!(max_age(&["MaX-aGe=3600"]), Ok(Some(3600)));
    assert!(response(&["No-StOrE"]).no_store);
    assert_eq!(response(&["No-CaChE"]).no_cache, Qualified::Whole);
    assert_eq!(response(&["PRIVATE=\"Set-Cookie\""]).private, fields(&["set-cookie"]));
    assert!(request(&["ONLY-IF-CACHED"]).only_if_cached);
}

#[test]
fn rfc9111_5_2_arguments_are_tokens_or_quoted_strings_whichever_is_asked_for() {
    assert_eq!(max_age(&["max-age=\"3600\""]), Ok(Some(3600)), "suite");
    assert_eq!(max_age(&["max-age=\"36\\00\""]), Ok(Some(3600)));
    assert_eq!(response(&["s-maxage=\"60\""]).s_maxage, Some(60));
    assert_eq!(response(&["no-cache=Set-Cookie"]).no_cache, fields(&["set-cookie"]));
    assert_eq!(response(&["private=Set-Cookie"]).private, fields(&["set-cookie"]));
    assert_eq!(request(&["max-age=\"60\""]).max_age, Some(60));
}

#[test]
fn rfc9111_5_2_3_unknown_directives_are_ignored() {
    for value in [
        "foobar, max-age=3600",
        "max-age=3600, foobar=1",
        "max-age=3600, foobar=\"1, 2\"",
        "x-max-age=1, max-age=3600, max-age-x=1",
        "max-agee=1, max-age=3600",
        "a-name-that-is-longer-than-any-that-is-known=1, max-age=3600",
        "community=\"UCI\", max-age=3600",
        "=1, max-age=3600",
        "\"max-age=1\", max-age=3600",
        "max-age=3600,",
        ",,max-age=3600 , ",
        "\tmax-age=3600\t",
    ] {
        assert_eq!(max_age(&[value]), Ok(Some(3600)), "{value}");
    }
}

#[test]
fn rfc9111_5_2_a_directive_inside_a_quoted_string_is_none() {
    for value in [
        "extension=\"max-age=3600\", max-age=1",
        "max-age=1, extension=\"max-age=3600\"",
        "extension=\"max-age=3600\", max-age=\"1\"",
        "max-age=\"1\", extension=\"max-age=3600\"",
        "extension=\"a, max-age=3600\", max-age=1",
        "extension=\"a\\\", max-age=3600, b\", max-age=1",
        "extension=\"\\\\\", max-age=1",
        "extension= \"a, max-age=3600, b\", max-age=1",
    ] {
        assert_eq!(max_age(&[value]), Ok(Some(1)), "{value}");
    }
    let said = response(&["extension=\"a, no-store, private\", max-age=1"]);
    assert!(!said.no_store);
    assert_eq!(said.private, Qualified::Absent);
}

#[test]
fn rfc9111_5_2_a_quote_that_never_closes_hides_nothing() {
    for value in ["ext=\"a, no-store", "ext=\"a\\\", no-store", "a\"b, no-store, c\"d", "\"a, no-store, b\""]
    {
        assert!(response(&[value]).no_store, "{value}");
    }
    // This one does not close where its member ends: `private` is no part of it.
    assert_eq!(response(&["ext=\"a, private=\"x\""]).private, fields(&["x"]));
    assert!(response(&["ext=\"a, no-store, b=\"c\"d"]).no_store);
    // Lines are read on their own: the second does not close what the first opened.
    assert!(response(&["ext=\"a", "no-store, b=\""]).no_store);
}

#[test]
fn rfc9111_1_2_2_delta_seconds_saturate() {
    for (value, expected) in [
        ("max-age=0", 0),
        ("max-age=003600", 3600),
        ("max-age=2147483647", 2_147_483_647),
        ("max-age=2147483648", 2_147_483_648),
        ("max-age=2147483649", 2_147_483_649),
        ("max-age=99999999999", 99_999_999_999),
        ("max-age=18446744073709551615", u64::MAX),
        ("max-age=18446744073709551616", u64::MAX),
        ("max-age=99999999999999999999999999999999999999999", u64::MAX),
    ] {
        assert_eq!(max_age(&[value]), Ok(Some(expected)), "{value}");
    }
}

#[test]
fn rfc9111_4_2_1_invalid_freshness_information_is_unreadable() {
    for value in [
        "max-age",
        "max-age=",
        "max-age=\"\"",
        "max-age=abc",
        "max-age=a3600",
        "max-age=3600a",
        "max-age=3600.0",
        "max-age=3600.5",
        "max-age=-3600",
        "max-age=+3600",
        "max-age='3600'",
        "max-age=0x10",
        "max-age=1e3",
        "max-age=\"3600",
        "max-age=3600\"",
        "max-age=\" 3600\"",
        "max-age=\"3600\"x",
        "max-age =3600",
        "max-age= 3600",
        "max-age 3600",
        "max-age:3600",
        "max-age=3600 public",
        "max-age=3600; public",
        "max-age=3600;public",
        "max-age=\u{663}",
        "s-maxage=abc",
        "s-maxage=abc, max-age=60",
        "max-age=abc, s-maxage=60",
    ] {
        assert_eq!(max_age(&[value]), Err(()), "{value}");
    }
}

#[test]
fn rfc9111_4_2_1_of_two_lifetimes_the_first_counts() {
    for (values, expected) in [
        (&["max-age=3600, max-age=1800"][..], Ok(Some(3600))),
        (&["max-age=3600", "max-age=1800"], Ok(Some(3600))),
        (&["max-age=1, max-age=1800"], Ok(Some(1))),
        (&["max-age=1", "max-age=1800"], Ok(Some(1))),
        (&["max-age=1800, max-age=1"], Ok(Some(1800))),
        (&["max-age=60, max-age=60"], Ok(Some(60))),
        // One that can't be read makes the whole doubtful, wherever it stands.
        (&["max-age=abc, max-age=60"], Err(())),
        (&["max-age=60, max-age=abc"], Err(())),
    ] {
        assert_eq!(max_age(values), expected, "{values:?}");
    }
    assert_eq!(response(&["s-maxage=1, s-maxage=2"]).s_maxage, Some(1));
    assert_eq!(response(&["stale-if-error=1, stale-if-error=2"]).stale_if_error, Some(1));
    assert_eq!(response(&["stale-if-error=x, stale-if-error=2"]).stale_if_error, Some(2));
}

#[test]
fn rfc9111_5_2_2_lines_are_one_list() {
    let said = response(&["max-age=60", "s-maxage=10, no-cache=\"a\"", "", "NO-CACHE=\"B, c\""]);
    assert_eq!((said.max_age, said.s_maxage), (Some(60), Some(10)));
    assert_eq!(said.no_cache, fields(&["a", "b", "c"]));
}

#[test]
fn rfc9111_5_2_2_4_and_7_lists_of_fields() {
    let many: String = (0..=MAX_FIELDS).map(|n| format!("f{n}, ")).collect();
    let many = format!("private=\"{many}\"");
    for (value, expected) in [
        ("private", Qualified::Whole),
        ("private=\"a\"", fields(&["a"])),
        ("private=\"A, b ,,a\"", fields(&["a", "b"])),
        ("private=\"a\", private=\"b, a\"", fields(&["a", "b"])),
        ("private=\"a\", private", Qualified::Whole),
        ("private, private=\"a\"", Qualified::Whole),
        // What is no list of field names must not narrow the directive.
        ("private=", Qualified::Whole),
        ("private=\"\"", Qualified::Whole),
        ("private=\" , \"", Qualified::Whole),
        ("private=\"a b\"", Qualified::Whole),
        ("private=\"a, b:\"", Qualified::Whole),
        ("private=\"a\"; b", Qualified::Whole),
        ("private =\"a\"", Qualified::Whole),
        ("private=\"a", Qualified::Whole),
        (many.as_str(), Qualified::Whole),
        ("x-private", Qualified::Absent),
    ] {
        assert_eq!(response(&[value]).private, expected, "{value}");
        let no_cache = value.replace("private", "no-cache");
        assert_eq!(response(&[&no_cache]).no_cache, expected, "{no_cache}");
    }
}

#[test]
fn rfc9111_5_2_2_what_is_written_badly_restricts_and_never_permits() {
    for value in
        ["no-store=1", "no-store=\"a\"", "no-store;", "no-store max-age=60", "no-store =x", "no-store="]
    {
        assert!(response(&[value]).no_store, "{value}");
    }
    assert_eq!(response(&["private; max-age=60"]).private, Qualified::Whole);
    assert_eq!(response(&["private max-age=60"]).private, Qualified::Whole);
    assert!(response(&["must-revalidate; max-age=60"]).must_revalidate);
    assert!(response(&["proxy-revalidate max-age=60"]).proxy_revalidate);
    assert!(response(&["no-transform;"]).no_transform);

    let said = response(&["public; max-age=60", "must-understand no-store", "immutable ="]);
    assert!(!said.public && !said.must_understand && !said.immutable, "{said:?}");
    assert_eq!(response(&["stale-while-revalidate= 60"]).stale_while_revalidate, None);
}

#[test]
fn rfc8246_2_arguments_of_immutable_are_ignored_and_repetition_means_nothing() {
    assert!(response(&["immutable=1, immutable, immutable=\"a, b\""]).immutable);
    assert!(!request(&["immutable"]).no_cache);
}

#[test]
fn rfc5861_3_and_4_windows_that_cannot_be_read_are_none() {
    for value in ["", "=", "=-1", "=1.5", "=abc", " =60"] {
        let said = response(&[&format!("max-age=1, stale-while-revalidate{value}, stale-if-error{value}")]);
        assert_eq!((said.stale_while_revalidate, said.stale_if_error), (None, None), "{value}");
        assert!(!said.unreadable_lifetime, "{value}");
    }
    assert_eq!(response(&["stale-while-revalidate=\"60\""]).stale_while_revalidate, Some(60));
    // RFC 5861 §3: of responses only.
    assert_eq!(request(&["stale-while-revalidate=60"]), RequestDirectives::default());
}

#[test]
fn rfc9111_5_2_1_every_request_directive_is_read() {
    let all = request(&[
        "max-age=1, max-stale=2, min-fresh=3, no-cache",
        "no-store, no-transform, only-if-cached, stale-if-error=4",
    ]);
    let expected = RequestDirectives {
        no_cache: true,
        no_store: true,
        no_transform: true,
        only_if_cached: true,
        max_age: Some(1),
        max_stale: Some(MaxStale::Seconds(2)),
        min_fresh: Some(3),
        stale_if_error: Some(4),
    };
    assert_eq!(all, expected);
    assert_eq!(request(&[]), RequestDirectives::default());
}

#[test]
fn rfc9111_5_2_1_2_max_stale_without_a_value_accepts_any_staleness() {
    for (value, expected) in [
        ("max-stale", Some(MaxStale::Any)),
        ("max-stale=60", Some(MaxStale::Seconds(60))),
        ("max-stale=\"60\"", Some(MaxStale::Seconds(60))),
        ("max-stale=0", Some(MaxStale::Seconds(0))),
        // A value that can't be read must not become "any".
        ("max-stale=", None),
        ("max-stale=abc", None),
        ("max-stale=-1", None),
        ("max-stale =60", None),
        ("max-stale=10, max-stale", Some(MaxStale::Seconds(10))),
    ] {
        assert_eq!(request(&[value]).max_stale, expected, "{value}");
    }
}

#[test]
fn rfc9111_5_2_1_request_directives_that_cannot_be_read_are_ignored() {
    for value in ["max-age=abc", "max-age", "max-age=-1", "min-fresh=", "min-fresh=1.5", "stale-if-error=x"] {
        assert_eq!(request(&[value]), RequestDirectives::default(), "{value}");
    }
    assert!(request(&["no-cache=\"foo\""]).no_cache);
    assert_eq!(request(&["max-age=99999999999999999999999"]).max_age, Some(u64::MAX));
}

#[test]
fn rfc9111_5_4_pragma_counts_only_in_the_absence_of_cache_control() {
    for (pragma, cache_control, expected) in [
        (&["no-cache"][..], None, true),
        (&["No-Cache"], None, true),
        (&["foo, no-cache"], None, true),
        (&["foo", "no-cache"], None, true),
        (&["no-cache=1"], None, true),
        (&["unrecognised-extension"], None, false),
        (&["foo=\"a, no-cache\""], None, false),
        (&["xno-cache"], None, false),
        (&["no-cache"], Some("max-age=60"), false),
        (&["no-cache"], Some("foo"), false),
        (&["no-cache"], Some(""), false),
        (&["no-cache"], Some("no-cache"), true),
    ] {
        let mut headers = lines("pragma", pragma);
        headers.extend(cache_control.map(|value| (CACHE_CONTROL, HeaderValue::from_static(value))));
        assert_eq!(RequestDirectives::parse(&headers).no_cache, expected, "{pragma:?} {cache_control:?}");
    }
    // In a response it means nothing.
    assert_eq!(ResponseDirectives::parse(&lines("pragma", &["no-cache"])), ResponseDirectives::default());
}

#[test]
fn a_long_line_of_half_quotes_is_read_in_linear_time() {
    // 64 KiB, the size of a large header section; quadratic reading would take minutes in a debug build.
    for pattern in ["=\"\\", "\\\"=", "= \"\\\"", "a=\"\\\",", "=\"=\"="] {
        let line = pattern.repeat(65_536 / pattern.len());
        assert!(members(line.as_bytes(), b',').count() < 65_536);
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(line: Vec<u8>) {
        let (mut said, mut asked) = (ResponseDirectives::default(), RequestDirectives::default());
        for directive in members(&line, b',').filter_map(Directive::read) {
            said.add(&directive);
            asked.add(&directive);
        }
    }

    #[test]
    fn no_store_in_a_list_of_directives_is_always_seen(
        before in r#"[a-z]{0,3}(=([0-9a-z]{0,3}|"[a-z, =\\]{0,6}))?"#,
        after in r#"[a-z]{0,3}(=([0-9a-z]{0,3}|"[a-z][a-z, =]{0,6}"))?"#,
    ) {
        // `before` may open a quote; the next one, in `after`, does not close it where a member ends.
        let line = format!("{before}, no-store, {after}");
        proptest::prop_assert!(response(&[&line]).no_store, "{}", line);
    }
}
