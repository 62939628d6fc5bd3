//! Tables of [`super`]: a case is a request and a response, and what must come of them, named by paragraph.

use super::*;
use Coding::{Brotli, Gzip, Zstd};
use proptest::prelude::*;

fn map(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn accepts(lines: &[&str]) -> Vec<Coding> {
    acceptable(lines.iter().map(|line| line.as_bytes()), &Coding::ALL).to_vec()
}

#[test]
fn rfc9110_12_5_3_what_accept_encoding_accepts() {
    let cases: [(&[&str], &[Coding]); 24] = [
        (&[], &[]),
        (&[""], &[]),
        (&["gzip"], &[Gzip]),
        (&["GZIP"], &[Gzip]),
        (&["x-gzip"], &[Gzip]),
        (&["deflate"], &[]),
        (&["gzip, br, zstd"], &[Zstd, Brotli, Gzip]),
        (&["gzip", "br"], &[Brotli, Gzip]),
        (&["gzip;q=1.0, br;q=0.5"], &[Gzip, Brotli]),
        (&["gzip; q=0.9 ,br;Q=0.91"], &[Brotli, Gzip]),
        (&["gzip;q=0"], &[]),
        (&["gzip;q=0.000, br"], &[Brotli]),
        (&["*"], &[Zstd, Brotli, Gzip]),
        (&["*;q=0.1, gzip"], &[Gzip, Zstd, Brotli]),
        (&["*, zstd;q=0"], &[Brotli, Gzip]),
        (&["*;q=0"], &[]),
        (&["gzip, *;q=0"], &[Gzip]),
        (&["identity;q=0"], &[]),
        (&["gzip, identity;q=0"], &[Gzip]),
        (&["identity, gzip;q=0.5"], &[]),
        (&["identity;q=0.5, gzip, br;q=0.4"], &[Gzip]),
        (&["identity, gzip"], &[Gzip]),
        (&["gzip, gzip;q=0"], &[]),
        (&["gzip;q=2, br;level=1, zstd q=1"], &[]),
    ];
    for (lines, expected) in cases {
        assert_eq!(accepts(lines), expected, "{lines:?}");
    }
}

#[test]
fn equals_are_taken_in_the_configured_order_and_nothing_is_that_is_not_configured() {
    let all = || [&b"gzip, br, zstd"[..]].into_iter();
    assert_eq!(acceptable(all(), &[Gzip, Brotli]).to_vec(), [Gzip, Brotli]);
    assert_eq!(acceptable(all(), &[Brotli, Gzip]).to_vec(), [Brotli, Gzip]);
    assert_eq!(acceptable(all(), &[]).to_vec(), []);
}

#[test]
fn what_may_be_coded() {
    let is = |status: u16, lines: &[(&str, &str)]| {
        is_codable(StatusCode::from_u16(status).unwrap(), &map(lines), false)
    };
    for shrinks in [
        "text/html",
        "TEXT/CSS; charset=utf-8",
        "application/json",
        "application/ld+json",
        "image/svg+xml",
        "application/wasm",
        "font/ttf",
        "application/javascript ; x=y",
    ] {
        assert!(is(200, &[("content-type", shrinks)]), "{shrinks}");
    }
    for not in [
        "image/png",
        "font/woff2",
        "text/event-stream",
        "application/octet-stream",
        "textual/x",
        "",
        "+json+",
    ] {
        assert!(!is(200, &[("content-type", not)]), "{not}");
    }
    let html = ("content-type", "text/html");
    assert!(!is(404, &[html]) && !is(206, &[html]) && !is(203, &[html]));
    assert!(!is(200, &[]));
    assert!(!is(200, &[html, html]), "nobody knows which");
    assert!(!is(200, &[html, ("content-encoding", "gzip")]));
    assert!(!is(200, &[html, ("content-range", "bytes 0-1/2")]));
    assert!(!is_codable(StatusCode::OK, &map(&[html]), true), "RFC 9111 §5.2.2.6");
}

#[test]
fn rfc9110_8_8_3_3_a_strong_tag_is_another_one_in_every_coding() {
    let tag =
        |etag: &str, coding| encoded(&map(&[("etag", etag)]), coding, Some(1)).get(ETAG).unwrap().clone();
    assert_eq!(tag("\"abc\"", Gzip), "\"abc--gzip\"");
    assert_eq!(tag("\"abc\"", Brotli), "\"abc--br\"");
    assert_eq!(tag("\"abc\"", Zstd), "\"abc--zstd\"");
    assert_eq!(tag("\"\"", Gzip), "\"--gzip\"");
    assert_eq!(tag("W/\"abc\"", Gzip), "W/\"abc\"", "weak tags may be shared");
    assert_eq!(tag("abc", Gzip), "abc", "no entity tag: equal only to itself, never strong");
}

#[test]
fn the_header_section_of_a_coded_form() {
    let plain = map(&[
        ("content-type", "text/html"),
        ("content-length", "1000"),
        ("etag", "\"a\""),
        ("content-md5", "x"),
        ("content-digest", "x"),
        ("repr-digest", "x"),
        ("digest", "x"),
        ("accept-ranges", "bytes"),
        ("vary", "Accept-Language"),
        ("x-a", "1"),
    ]);
    let expected = map(&[
        ("content-type", "text/html"),
        ("content-length", "100"),
        ("content-encoding", "br"),
        ("etag", "\"a--br\""),
        ("accept-ranges", "bytes"),
        ("vary", "Accept-Language, Accept-Encoding"),
        ("x-a", "1"),
    ]);
    assert_eq!(encoded(&plain, Brotli, Some(100)), expected);
    let untagged = encoded(&map(&[("accept-ranges", "bytes")]), Brotli, None);
    assert_eq!(
        untagged.get(ACCEPT_RANGES).unwrap(),
        "none",
        "no validator tells its bytes from the plain ones"
    );
}

#[test]
fn rfc9110_12_5_5_vary_says_so_once() {
    let cases: [(&[&str], &[&str]); 6] = [
        (&[], &["Accept-Encoding"]),
        (&["Origin"], &["Origin, Accept-Encoding"]),
        (&["Origin", "Cookie"], &["Origin, Cookie, Accept-Encoding"]),
        (&["accept-encoding"], &["accept-encoding"]),
        (&["Origin", "x,ACCEPT-ENCODING"], &["Origin", "x,ACCEPT-ENCODING"]),
        (&["*"], &["*"]),
    ];
    for (lines, expected) in cases {
        let mut headers = map(&lines.iter().map(|line| ("vary", *line)).collect::<Vec<_>>());
        vary(&mut headers);
        assert_eq!(headers.get_all(VARY).iter().collect::<Vec<_>>(), expected);
    }
}

/// What is picked, for a response with the tag `"a"`.
fn picks(lines: &[(&str, &str)]) -> Pick {
    let plain = map(&[("etag", "\"a\""), ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")]);
    pick(&Method::GET, &map(lines), &plain, &Coding::ALL)
}

const GZIP: (&str, &str) = ("accept-encoding", "gzip");

#[test]
fn which_form_answers_a_request() {
    assert_eq!(picks(&[]), Pick::Plain);
    assert_eq!(picks(&[GZIP]), Pick::Coded(Gzip));
    assert_eq!(picks(&[GZIP, ("if-none-match", "\"b\"")]), Pick::Coded(Gzip));
    assert_eq!(picks(&[GZIP, ("if-none-match", "*")]), Pick::Coded(Gzip));
    // To be answered by a 304, which is made of the plain form.
    assert_eq!(picks(&[GZIP, ("if-none-match", "\"b\", \"a\"")]), Pick::Plain);
    assert_eq!(picks(&[GZIP, ("if-none-match", "W/\"a--gzip\"")]), Pick::Plain);
    assert_eq!(picks(&[GZIP, ("if-none-match", "\"a--br\"")]), Pick::Coded(Gzip), "not one that it accepts");
}

#[test]
fn rfc9110_14_2_a_range_is_of_the_plain_form_unless_if_range_says_otherwise() {
    let range = ("range", "bytes=0-1");
    assert_eq!(picks(&[GZIP, range]), Pick::Plain);
    assert_eq!(picks(&[GZIP, range, ("if-range", "\"a\"")]), Pick::Plain);
    assert_eq!(picks(&[GZIP, range, ("if-range", "\"a--gzip\"")]), Pick::IfThere(Gzip));
    assert_eq!(picks(&[range, ("if-range", "\"a--br\"")]), Pick::IfThere(Brotli));
    assert_eq!(
        picks(&[GZIP, range, ("if-range", "W/\"a--gzip\"")]),
        Pick::Coded(Gzip),
        "weak never holds: whole"
    );
    assert_eq!(picks(&[GZIP, range, ("if-range", "\"b--gzip\"")]), Pick::Coded(Gzip));
    let date = ("if-range", "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(picks(&[GZIP, range, date]), Pick::Coded(Gzip));
    let unclear = |lines: &[(&str, &str)]| is_range_unclear(&map(lines), &Coding::ALL);
    assert!(unclear(&[GZIP, range, date]));
    assert!(!unclear(&[range, date]), "it never gets another form than the plain one");
    assert!(
        !unclear(&[GZIP, range, ("if-range", "\"a\"")])
            && !unclear(&[GZIP, range])
            && !unclear(&[GZIP, date])
    );
}

#[test]
fn rfc9110_13_1_2_the_form_that_the_client_holds() {
    let plain = map(&[("etag", "\"a\"")]);
    let holds = |accept: &str, tags: &str| {
        held(
            &Method::GET,
            &map(&[("accept-encoding", accept), ("if-none-match", tags)]),
            &plain,
            &Coding::ALL,
        )
    };
    assert_eq!(holds("gzip", "\"a--gzip\""), Some(Gzip));
    assert_eq!(holds("gzip", "W/\"a--gzip\""), Some(Gzip), "weak comparison");
    assert_eq!(holds("gzip, br", "\"a--gzip\", \"a--br\""), Some(Brotli), "the one that it would get");
    assert_eq!(holds("gzip", "\"a--br\", \"x\""), None, "another client's, behind the same cache");
    assert_eq!(holds("gzip", "\"b--gzip\""), None);
    assert_eq!(holds("gzip", "*"), None);
    let request = map(&[GZIP, ("if-none-match", "\"a--gzip\"")]);
    assert_eq!(held(&Method::POST, &request, &plain, &Coding::ALL), None);
    assert_eq!(held(&Method::GET, &request, &map(&[("etag", "W/\"a\"")]), &Coding::ALL), None);
}

#[test]
fn the_origin_is_asked_about_the_plain_form() {
    let restored = |lines: &[(&str, &str)]| {
        let mut request = map(lines);
        restore(&mut request);
        request
    };
    for name in ["if-match", "if-none-match"] {
        for (sent, seen) in [
            ("\"a--gzip\"", "\"a\""),
            ("W/\"a--br\"", "W/\"a\""),
            ("\"a--zstd\",\"b\" , W/\"c--gzip\"", "\"a\", \"b\", W/\"c\""),
            ("\"a-gzip\"", "\"a-gzip\""),
            ("\"a\" ,\"b\"", "\"a\" ,\"b\""),
            ("\"a,--gzip\"", "\"a,\""),
            ("a--gzip", "a--gzip"),
            ("*", "*"),
        ] {
            assert_eq!(restored(&[(name, sent)]), map(&[(name, seen)]), "{name}: {sent}");
        }
    }
    let range = ("range", "bytes=5-");
    assert_eq!(restored(&[range, ("if-range", "\"a--gzip\"")]), HeaderMap::new(), "of bytes it never had");
    let own = [range, ("if-range", "\"a\"")];
    assert_eq!(restored(&own), map(&own));
}

#[test]
fn rfc9111_4_3_4_the_origins_304_confirms_the_form_that_the_client_holds() {
    let told = |tags: &str, etag: &str| {
        let mut answer = map(&[("etag", etag)]);
        confirm_held(&map(&[("if-none-match", tags)]), &mut answer);
        answer.get(ETAG).unwrap().to_str().unwrap().to_owned()
    };
    assert_eq!(told("\"a--gzip\"", "\"a\""), "\"a--gzip\"");
    assert_eq!(told("\"a--gzip\", \"a\"", "\"a\""), "\"a\"");
    assert_eq!(told("\"b--gzip\"", "\"a\""), "\"a\"");
    assert_eq!(told("\"a--gzip\"", "W/\"a\""), "W/\"a\"");
}

proptest! {
    #[test]
    fn arbitrary_fields_never_panic(value in proptest::collection::vec(0x20u8..=0xff, 0..60)) {
        let Ok(value) = HeaderValue::from_bytes(&value) else { return Ok(()) };
        let mut request = HeaderMap::new();
        for name in [ACCEPT_ENCODING, IF_NONE_MATCH, IF_MATCH, IF_RANGE, RANGE, ETAG, CONTENT_TYPE, VARY] {
            request.insert(name, value.clone());
        }
        let _ = pick(&Method::GET, &request, &request.clone(), &Coding::ALL);
        let _ = is_codable(StatusCode::OK, &request, false);
        let _ = is_range_unclear(&request, &Coding::ALL);
        let _ = encoded(&request, Gzip, None);
        restore(&mut request);
    }

    #[test]
    fn what_is_restored_is_what_was_coded(inside in "[!#-~]{1,12}", weak in any::<bool>()) {
        let plain = format!("{}\"{inside}\"", if weak { "W/" } else { "" });
        for coding in Coding::ALL {
            let coded = format!("{}\"{inside}{}\"", if weak { "W/" } else { "" }, std::str::from_utf8(coding.suffix()).unwrap());
            let mut request = map(&[("if-match", &coded)]);
            restore(&mut request);
            prop_assert_eq!(request.get(IF_MATCH).unwrap().to_str().unwrap(), &plain);
        }
    }
}
