//! Tables of [`super`]: a case is an input and what must come of it, named by paragraph.

use super::*;
use http::HeaderValue;
use proptest::prelude::*;

const TARGET: &str = "http://example.com/a/b?q=1";

fn map(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn after_post(target: &str, response: &[(&str, &str)]) -> Vec<String> {
    targets(&Method::POST, StatusCode::CREATED, target, &map(response))
}

#[test]
fn rfc9110_9_2_1_safe_methods() {
    for method in ["GET", "HEAD", "OPTIONS", "TRACE", "QUERY"] {
        assert!(is_safe(&method.parse().unwrap()), "{method}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "CONNECT", "M-SEARCH", "get", "FOO"] {
        assert!(!is_safe(&method.parse().unwrap()), "{method}");
    }
}

#[test]
fn rfc9111_4_4_the_target_goes_on_2xx_and_3xx_to_an_unsafe_method() {
    let cases = [
        ("POST", 200, true),
        ("PUT", 204, true),
        ("DELETE", 200, true),
        ("M-SEARCH", 200, true),
        ("POST", 303, true),
        ("POST", 304, true),
        ("POST", 400, false),
        ("PUT", 404, false),
        ("DELETE", 500, false),
        ("POST", 101, false),
        ("GET", 200, false),
        ("HEAD", 200, false),
        ("OPTIONS", 204, false),
        ("QUERY", 200, false),
    ];
    for (method, status, expected) in cases {
        let (method, status) = (method.parse().unwrap(), StatusCode::from_u16(status).unwrap());
        let found = targets(&method, status, TARGET, &map(&[("location", "/c")]));
        let expected: &[&str] = if expected { &[TARGET, "http://example.com/c"] } else { &[] };
        assert_eq!(found, expected, "{method} {status}");
    }
}

#[test]
fn rfc9111_4_4_location_and_content_location() {
    let found = after_post(TARGET, &[("location", "/c"), ("content-location", "d?x#y")]);
    assert_eq!(found, [TARGET, "http://example.com/c", "http://example.com/a/d?x"]);
    let twice = after_post(TARGET, &[("location", "/c"), ("content-location", "/x/../c")]);
    assert_eq!(twice, [TARGET, "http://example.com/c"], "each once");
    assert_eq!(after_post(TARGET, &[("content-location", "")]), [TARGET], "the target itself");
}

/// Where a reference leads from `http://example.com/a/b?q=1`; `None`: nowhere that may be invalidated.
#[test]
fn rfc3986_5_2_references() {
    let cases = [
        ("http://example.com/c", Some("http://example.com/c")),
        ("HTTP://Example.COM/c", Some("http://example.com/c")),
        ("http://example.com:80/c", Some("http://example.com/c")),
        ("http://example.com:/c", Some("http://example.com/c")),
        ("http://example.com", Some("http://example.com/")),
        ("http://example.com?x", Some("http://example.com/?x")),
        ("http://example.com/x/../c/./", Some("http://example.com/c/")),
        ("//example.com/c", Some("http://example.com/c")),
        ("//EXAMPLE.com:080/c", Some("http://example.com/c")),
        ("/c", Some("http://example.com/c")),
        ("/c?x=/../y", Some("http://example.com/c?x=/../y")),
        ("/", Some("http://example.com/")),
        ("c", Some("http://example.com/a/c")),
        ("./c", Some("http://example.com/a/c")),
        ("../c", Some("http://example.com/c")),
        ("../../../c", Some("http://example.com/c")),
        ("c/", Some("http://example.com/a/c/")),
        (".", Some("http://example.com/a/")),
        ("..", Some("http://example.com/")),
        ("c/..", Some("http://example.com/a/")),
        ("c/d:e", Some("http://example.com/a/c/d:e")),
        ("./d:e", Some("http://example.com/a/d:e")),
        ("?x=2", Some("http://example.com/a/b?x=2")),
        ("?", Some("http://example.com/a/b?")),
        ("", Some(TARGET)),
        ("#top", Some(TARGET)),
        ("/c#top?x", Some("http://example.com/c")),
        ("/%2e%2e/C%41", Some("http://example.com/%2e%2e/C%41")), // Keys are raw.
        ("/a//../b", Some("http://example.com/a/b")),
        // Another origin.
        ("https://example.com/c", None),
        ("http://example.com:8080/c", None),
        ("http://www.example.com/c", None),
        ("//evil.example/c", None),
        ("http://example.com@evil.example/c", None),
        ("//evil.example\\@example.com/c", None),
        ("ftp://example.com/c", None),
        ("mailto:a@example.com", None),
        ("d:e", None),
        // Malformed.
        ("http:c", None),
        ("http:/c", None),
        ("http:", None),
        ("http:///c", None),
        ("//", None),
        ("//:80/c", None),
        ("1:2", None),
        (":", None),
        ("http://user@example.com/c", None),
        ("http://example.com:x/c", None),
        ("http://example.com:99999/c", None),
        ("http://example.com:80:80/c", None),
        ("http://[::1/c", None),
        ("/c d", None),
        ("/c\td", None),
    ];
    for (reference, expected) in cases {
        assert_eq!(resolve(TARGET, reference).as_deref(), expected, "{reference}");
    }
}

#[test]
fn rfc3986_5_4_examples_of_the_rfc_in_our_form() {
    let base = "http://a/b/c/d;p?q";
    let cases = [
        ("g", "http://a/b/c/g"),
        ("./g", "http://a/b/c/g"),
        ("g/", "http://a/b/c/g/"),
        ("/g", "http://a/g"),
        ("//a/g", "http://a/g"),
        ("?y", "http://a/b/c/d;p?y"),
        ("g?y", "http://a/b/c/g?y"),
        ("#s", "http://a/b/c/d;p?q"),
        ("g#s", "http://a/b/c/g"),
        (";x", "http://a/b/c/;x"),
        ("g;x?y#s", "http://a/b/c/g;x?y"),
        ("", "http://a/b/c/d;p?q"),
        (".", "http://a/b/c/"),
        ("..", "http://a/b/"),
        ("../g", "http://a/b/g"),
        ("../..", "http://a/"),
        ("../../g", "http://a/g"),
        ("../../../g", "http://a/g"),
        ("/./g", "http://a/g"),
        ("/../g", "http://a/g"),
        ("g.", "http://a/b/c/g."),
        (".g", "http://a/b/c/.g"),
        ("g..", "http://a/b/c/g.."),
        ("./../g", "http://a/b/g"),
        ("./g/.", "http://a/b/c/g/"),
        ("g/./h", "http://a/b/c/g/h"),
        ("g/../h", "http://a/b/c/h"),
        ("g;x=1/../y", "http://a/b/c/y"),
        ("g?y/./x", "http://a/b/c/g?y/./x"),
    ];
    for (reference, expected) in cases {
        assert_eq!(resolve(base, reference).as_deref(), Some(expected), "{reference}");
    }
}

#[test]
fn rfc9111_4_4_origins_of_other_forms() {
    let cases = [
        ("https://h/", "https://H:443/c", Some("https://h/c")),
        ("https://h/", "https://h:80/c", None),
        ("http://h:8080/", "http://h:8080/c", Some("http://h:8080/c")),
        ("http://h:8080/", "http://h/c", None),
        ("http://[::1]:80/", "//[::1]/c", Some("http://[::1]:80/c")),
        ("http://[::1]/", "//[::2]/c", None),
        ("http://h", "c", Some("http://h/c")),
        ("http://h", "?x", Some("http://h/?x")),
    ];
    for (target, reference, expected) in cases {
        assert_eq!(resolve(target, reference).as_deref(), expected, "{reference} from {target}");
    }
}

#[test]
fn a_location_beyond_ascii_or_8_kib_is_dropped() {
    let mut response = HeaderMap::new();
    response.insert(LOCATION, HeaderValue::from_bytes("/\u{e9}".as_bytes()).unwrap());
    assert_eq!(targets(&Method::POST, StatusCode::OK, TARGET, &response), [TARGET]);
    assert_eq!(after_post(TARGET, &[("location", &format!("/{}", "x".repeat(8192)))]), [TARGET]);
}

fn groups_of(lines: &[&str]) -> Vec<String> {
    let lines: Vec<(&str, &str)> = lines.iter().map(|line| ("cache-group-invalidation", *line)).collect();
    groups(&Method::POST, StatusCode::OK, &map(&lines))
}

#[test]
fn rfc9875_3_a_list_of_strings() {
    let none: [&str; 0] = [];
    assert_eq!(groups_of(&["\"scripts\", \"product-1\""]), ["scripts", "product-1"]);
    assert_eq!(groups_of(&["\"a\"", "\"b\", \"a\""]), ["a", "b"], "several lines, each once");
    assert_eq!(groups_of(&["\"a\";x=1, \"b\\\"c\""]), ["a", "b\"c"], "parameters are ignored");
    assert_eq!(groups_of(&["\"A\", \"a\", \"a, b\""]), ["A", "a", "a, b"], "compared character by character");
    for wrong in [
        "scripts",
        "\"a\", b",
        "\"a\", 1",
        "(\"a\")",
        "\"a\", (\"b\")",
        "\"a\",",
        "\"a",
        "\"a\" \"b\"",
        "?1",
        "",
    ] {
        assert_eq!(groups_of(&[wrong]), none, "{wrong}");
    }
    assert_eq!(groups_of(&["\"a\"", "b"]), none, "a wrong member on another line");
    assert_eq!(groups_of(&[]), none);
}

#[test]
fn rfc9875_3_at_least_32_groups_of_32_characters() {
    let names: Vec<String> = (0..1024).map(|n| format!("{n:032}")).collect();
    let field = names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    assert_eq!(groups_of(&[&field]), names);
    assert_eq!(groups_of(&[&field, "\"one more\""]).len(), 1024);
    assert_eq!(groups_of(&[&format!("\"{}\", \"a\"", "x".repeat(1025))]), ["a"]);
}

#[test]
fn rfc9875_3_must_be_ignored_on_safe_methods_and_is_on_errors() {
    let response = map(&[("cache-group-invalidation", "\"a\"")]);
    for (method, status, count) in [
        ("POST", 200, 1),
        ("DELETE", 204, 1),
        ("POST", 303, 1),
        ("FOO", 200, 1),
        ("POST", 404, 0),
        ("POST", 500, 0),
        ("GET", 200, 0),
        ("HEAD", 200, 0),
        ("OPTIONS", 200, 0),
        ("TRACE", 200, 0),
        ("QUERY", 200, 0),
    ] {
        let found = groups(&method.parse().unwrap(), StatusCode::from_u16(status).unwrap(), &response);
        assert_eq!(found.len(), count, "{method} {status}");
    }
}

proptest! {
    #[test]
    fn arbitrary_fields_never_panic_and_never_leave_the_origin(
        value in proptest::collection::vec(prop_oneof![0x20u8..0x7f, 0x80u8..=0xff, Just(b'/'), Just(b'.')], 0..60),
    ) {
        let mut response = HeaderMap::new();
        for name in ["location", "content-location", "cache-group-invalidation"] {
            response.insert(name, HeaderValue::from_bytes(&value).unwrap());
        }
        for uri in targets(&Method::POST, StatusCode::OK, TARGET, &response) {
            let rest = uri.strip_prefix("http://example.com/");
            prop_assert!(rest.is_some_and(|rest| !rest.contains('#')), "{}", uri);
        }
        groups(&Method::POST, StatusCode::OK, &response);
    }

    #[test]
    fn an_arbitrary_target_never_panics(target in "\\PC{0,40}", reference in "[ -~]{0,20}") {
        let found = after_post(&target, &[("location", &reference)]);
        prop_assert_eq!(found.first(), Some(&target));
    }

    #[test]
    fn resolving_twice_is_resolving_once(reference in "[a-c./?:]{0,20}") {
        if let Some(uri) = resolve(TARGET, &reference) {
            prop_assert_eq!(resolve(TARGET, &uri), Some(uri.clone()));
        }
    }
}
