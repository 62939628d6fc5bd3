//! standards.md §8.4, §8.5: each row that concerns a request head, on the wire.

use super::support::*;
use crate::front::refusal::Refusal::{self, *};

async fn refuses(cases: &[(&str, Refusal)]) {
    for (input, expected) in cases {
        let handler = Script::new(true);
        // A second request rides along: whatever the first is, it must not be answered.
        let input = format!("{input}GET /smuggled HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let got = ask(&handler, &input, &["GET"]).await;
        assert_eq!(handler.refused(), [*expected], "{input:?}");
        assert_eq!(got.len(), 1, "{input:?}");
        assert_eq!(got[0].status, expected.status().as_u16(), "{input:?}");
        assert_eq!(got[0].header("connection"), Some("close"));
        assert!(handler.handled().is_empty(), "{input:?} reached the handler: {:?}", handler.handled());
    }
}

#[tokio::test]
async fn rfc_9112_section_2_2_lines_end_in_crlf_and_nothing_else() {
    refuses(&[
        ("GET / HTTP/1.1\nHost: a\n\n", BareLf),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", BareLf),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", BareLf),
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", BareLf),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", BareCr),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\r\n\r\n", BareCr),
        ("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", BareCr),
        ("GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", BareCr),
        ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", BareLf),
        ("\r\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", BareCr),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", LeadingEmptyLines),
    ])
    .await;
}

#[tokio::test]
async fn rfc_9112_section_2_2_one_empty_line_may_precede_a_request() {
    let handler = Script::new(true);
    let input = "\r\nGET /hit/1 HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let got = ask(&handler, input, &["GET", "GET"]).await;
    assert_eq!(got.iter().map(|r| &*r.body).collect::<Vec<_>>(), ["a", "miss"]);
}

#[tokio::test]
async fn rfc_9112_section_3_request_lines() {
    refuses(&[
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", BadRequestLine),
        ("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", BadRequestLine),
        ("GET / HTTP/1.1 x\r\nHost: a\r\n\r\n", BadRequestLine),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", BadRequestLine),
        (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", BadRequestLine),
        ("GET / x HTTP/1.1\r\nHost: a\r\n\r\n", BadRequestLine),
        ("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", BadMethod),
        ("GET /\r\n\r\n", BadRequestLine),
        ("GET\r\n\r\n", BadRequestLine),
        ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", BadMethod),
        ("GET / HTTP/1\r\nHost: a\r\n\r\n", BadVersion),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", BadVersion),
        ("GET / HTTP/1.10\r\nHost: a\r\n\r\n", BadVersion),
        ("GET / HTTP/11\r\nHost: a\r\n\r\n", BadVersion),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", VersionNotSupported),
        ("GET / HTTP/0.9\r\nHost: a\r\n\r\n", VersionNotSupported),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", VersionNotSupported),
    ])
    .await;
}

#[tokio::test]
async fn rfc_9110_section_2_5_a_newer_minor_version_is_1_1_to_everybody() {
    let handler = Script::new(true);
    let input =
        "GET /fields HTTP/1.2\r\nHost: a\r\n\r\nGET /hit/1 HTTP/1.9\r\nHost: a\r\nConnection: close\r\n\r\n";
    let got = ask(&handler, input, &["GET", "GET"]).await;
    assert!(got[0].body.starts_with("HTTP/1.1 /fields"), "{}", got[0].body);
    assert_eq!(got[1].body, "a");
}

#[tokio::test]
async fn rfc_9112_section_3_2_targets() {
    refuses(&[
        ("GET /a\u{1}b HTTP/1.1\r\nHost: a\r\n\r\n", BadTarget),
        ("GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n", BadTarget),
        ("GET /\u{e4} HTTP/1.1\r\nHost: a\r\n\r\n", BadTarget),
        ("GET /\u{7f} HTTP/1.1\r\nHost: a\r\n\r\n", BadTarget),
        ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", FragmentInTarget),
        ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", BadTarget),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", BadTarget),
        ("GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n", SchemeMismatch),
        ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", SchemeMismatch),
        ("GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n", BadHost),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", MethodNotAllowed),
        ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", MethodNotAllowed),
    ])
    .await;
    let handler = Script::new(true);
    let input = "GET http://evil/fields HTTP/1.1\r\nHost: good\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let got = ask(&handler, input, &["GET", "OPTIONS"]).await;
    assert_eq!((got[0].status, got[1].status), (200, 200));
    assert_eq!(handler.handled(), ["GET /fields", "OPTIONS *"]);
}

#[tokio::test]
async fn rfc_9112_section_5_header_lines() {
    refuses(&[
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", ObsFold),
        ("GET / HTTP/1.1\r\nHost: a\r\n\tX: b\r\n\r\n", ObsFold),
        ("GET / HTTP/1.1\r\n X: y\r\nHost: a\r\n\r\n", SpaceBeforeFirstHeader),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", SpaceBeforeColon),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n", SpaceBeforeColon),
        ("GET / HTTP/1.1\r\nHost: a\r\nX Y: 1\r\n\r\n", BadHeaderName),
        ("GET / HTTP/1.1\r\nHost: a\r\n: v\r\n\r\n", BadHeaderName),
        ("GET / HTTP/1.1\r\nHost: a\r\nfoo\r\n\r\n", BadHeaderName),
        ("GET / HTTP/1.1\r\nHost: a\r\nf\u{e4}: v\r\n\r\n", BadHeaderName),
        ("GET / HTTP/1.1\r\nHost: a\r\nX\0: v\r\n\r\n", BadHeaderName),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\x07b\r\n\r\n", BadHeaderValue),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", BadHeaderValue),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\x7fb\r\n\r\n", BadHeaderValue),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \x0b\r\n\r\n", BadHeaderValue),
    ])
    .await;
    let handler = Script::new(true);
    let got = ask(
        &handler,
        "GET /fields HTTP/1.1\r\nHost:\ta \r\nX: a\tb\r\nConnection: close\r\nY:\r\n\r\n",
        &["GET"],
    )
    .await;
    assert!(got[0].body.contains("\nhost: a\nx: a\tb\nconnection: close\ny: \n"), "{}", got[0].body);
}

#[tokio::test]
async fn rfc_9112_section_6_3_content_length_is_plain_digits_once() {
    let case = |value: &str| format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {value}\r\n\r\nhello");
    for (value, expected) in [
        ("5\r\nContent-Length: 5", RepeatedContentLength),
        ("5\r\nContent-Length: 6", RepeatedContentLength),
        ("5\r\ncontent-length: 5", RepeatedContentLength),
        ("5, 6", RepeatedContentLength),
        ("42, 42", RepeatedContentLength),
        ("+5", BadContentLength),
        ("-1", BadContentLength),
        ("0x5", BadContentLength),
        ("05", BadContentLength),
        ("1_0", BadContentLength),
        ("5 5", BadContentLength),
        ("5.0", BadContentLength),
        ("", BadContentLength),
        ("99999999999999999999", BadContentLength),
        ("9999999999999999999", BodyTooLarge),
    ] {
        refuses(&[(&case(value), expected)]).await;
    }
    let handler = Script::new(true);
    let input = "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5 \r\n\r\nhello";
    assert_eq!(ask(&handler, input, &["POST"]).await[0].body, "hello");
}

#[tokio::test]
async fn rfc_9112_section_6_1_transfer_encoding_is_chunked_or_nothing() {
    let case =
        |value: &str| format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {value}\r\n\r\n0\r\n\r\n");
    for (value, expected) in [
        ("gzip", UnsupportedEncoding),
        ("xchunked", UnsupportedEncoding),
        ("identity", UnsupportedEncoding),
        ("gzip, chunked", UnsupportedEncoding),
        ("chunked, identity", ChunkedNotFinal),
        ("chunked, chunked", ChunkedNotFinal),
        ("chunked,", ChunkedNotFinal),
        ("", ChunkedNotFinal),
        ("chunked;p=1", EncodingParameters),
        ("\"chunked\"", UnsupportedEncoding),
        ("\x0bchunked", BadHeaderValue),
        ("chunked\x0c", BadHeaderValue),
        ("chunked\r\nTransfer-Encoding: chunked", RepeatedTransferEncoding),
        ("chunked\r\nTransfer-Encoding: identity", RepeatedTransferEncoding),
        ("chunked\r\nContent-Length: 5", LengthAndEncoding),
        ("chunked\r\nTransfer_Encoding: chunked", FramingLookalike),
    ] {
        refuses(&[(&case(value), expected)]).await;
    }
    refuses(&[
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
            LengthAndEncoding,
        ),
        ("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", EncodingInHttp10),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent_Length: 5\r\n\r\nhello", FramingLookalike),
    ])
    .await;
}

#[tokio::test]
async fn rfc_9112_section_3_2_exactly_one_valid_host() {
    let case = |lines: &str| format!("GET / HTTP/1.1\r\n{lines}\r\n");
    for (lines, expected) in [
        ("", MissingHost),
        ("Host: a\r\nHost: b\r\n", RepeatedHost),
        ("Host: a\r\nhost: a\r\n", RepeatedHost),
        ("Host: a@b\r\n", BadHost),
        ("Host: a/b\r\n", BadHost),
        ("Host: a,b\r\n", BadHost),
        ("Host: a b\r\n", BadHost),
        ("Host:\r\n", BadHost),
        ("Host: [::1\r\n", BadHost),
        ("Host: a:port\r\n", BadHost),
        ("Host: a:65536\r\n", BadHost),
    ] {
        refuses(&[(&case(lines), expected)]).await;
    }
    // HTTP/1.0 did not have it.
    assert_eq!(refusal("GET / HTTP/1.0\r\n\r\n").await, (None, 200));
    assert_eq!(refusal("GET / HTTP/1.0\r\nHost: a@b\r\n\r\n").await, (Some(BadHost), 400));
}

#[tokio::test]
async fn rfc_9110_section_10_1_1_no_expectation_but_100_continue() {
    refuses(&[
        ("GET / HTTP/1.1\r\nHost: a\r\nExpect: y 100-continue\r\n\r\n", Expectation),
        ("GET / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n", Expectation),
        ("GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nExpect: x\r\n\r\n", Expectation),
    ])
    .await;
}

#[tokio::test]
async fn a_fault_in_pieces_is_the_same_fault() {
    for (input, expected) in [
        ("GET / HTTP/1.1\nHost: a\n\n", BareLf),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", ObsFold),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
            RepeatedContentLength,
        ),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", LeadingEmptyLines),
    ] {
        let handler = Script::new(true);
        let got = connect_with(&handler, Default::default(), 1).talk(input).await;
        assert_eq!(handler.refused(), [expected], "{input:?}");
        assert_eq!(replies(&got, &["GET"])[0].status, 400);
    }
}
