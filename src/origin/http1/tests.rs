//! The pure parts, fed byte by byte, in two halves and at once.

use super::framing::{Framing, Malformed, Step};
use super::request::{Mismatch, Outbound};
use super::response::{self, Head};
use super::{Fault, Limits};
use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Version};
use proptest::prelude::*;

const LIMITS: Limits = Limits { headers: 100, head_bytes: 4096 };

/// A head, fed in these pieces; and what lies behind it.
fn head_of<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limits: Limits) -> Result<Option<Head>, Fault> {
    let (mut buffer, mut searched) = (BytesMut::new(), 0);
    for piece in pieces {
        buffer.extend_from_slice(piece);
        if let Some(head) = response::read(&mut buffer, &mut searched, &limits)? {
            return Ok(Some(head));
        }
    }
    Ok(None)
}

fn head(text: &str) -> Result<Head, Fault> {
    head_of([text.as_bytes()], LIMITS).map(|head| head.expect("a whole head"))
}

fn framed(method: &str, text: &str) -> Result<Framing, Fault> {
    response::framing(&mut head(text)?, &Method::from_bytes(method.as_bytes()).unwrap())
}

fn kept(text: &str) -> bool {
    let mut head = head(text).unwrap();
    let framing = response::framing(&mut head, &Method::GET).unwrap();
    response::keeps_alive(&head, &framing)
}

#[derive(Debug, PartialEq)]
enum End {
    Whole,
    Trailers(HeaderMap),
    Waiting,
    Bad(Malformed),
}

/// A body, fed in these pieces: its content, how it ended, and what lies behind it.
fn body_of<'a>(
    mut framing: Framing,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    limits: Limits,
) -> (Vec<u8>, End, Vec<u8>) {
    let (mut buffer, mut content) = (BytesMut::new(), Vec::new());
    for piece in pieces.into_iter().chain([&b""[..]]) {
        buffer.extend_from_slice(piece);
        loop {
            match framing.next(&mut buffer, &limits) {
                Ok(Step::Piece(piece)) => content.extend_from_slice(&piece),
                Ok(Step::More) => break,
                Ok(Step::End) => return (content, End::Whole, buffer.to_vec()),
                Ok(Step::Trailers(t)) => return (content, End::Trailers(t), buffer.to_vec()),
                Err(malformed) => return (content, End::Bad(malformed), buffer.to_vec()),
            }
        }
    }
    (content, End::Waiting, buffer.to_vec())
}

fn chunked(text: &str) -> (Vec<u8>, End, Vec<u8>) {
    body_of(Framing::chunked(), [text.as_bytes()], LIMITS)
}

fn bytewise(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.chunks(1)
}

#[test]
fn rfc_9112_4_heads_are_read_wherever_they_are_split() {
    for text in [
        "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 3\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "\r\n\r\nHTTP/1.0 404 \r\nA:b\r\n\r\n",
        "HTTP/1.1 200\nA: b\n\n",
    ] {
        let bytes = text.as_bytes();
        let at_once = head(text).unwrap();
        let same = |other: Result<Option<Head>, Fault>| {
            let other = other.unwrap().unwrap();
            assert_eq!((other.status, other.version), (at_once.status, at_once.version));
            assert_eq!(other.headers, at_once.headers);
        };
        same(head_of(bytewise(bytes), LIMITS));
        for at in 0..bytes.len() {
            same(head_of([&bytes[..at], &bytes[at..]], LIMITS));
            assert!(head_of([&bytes[..at]], LIMITS).unwrap().is_none(), "{text:?} cut at {at}");
        }
    }
}

#[test]
fn rfc_9112_4_what_is_no_response_is_refused_before_its_end() {
    for text in ["SSH-2.0", "HTTP/2.0", "\u{15}\u{3}\u{3}", "HTTQ", "http/1.1 200", "<html>"] {
        assert_eq!(head_of([text.as_bytes()], LIMITS).unwrap_err(), Fault::Protocol, "{text:?}");
    }
}

#[test]
fn rfc_9112_2_2_a_flood_of_empty_lines_is_refused() {
    assert!(head_of(bytewise(b"\r\n\r\n\r\n\r\n"), LIMITS).unwrap().is_none());
    for text in ["\r\n".repeat(5), "\n".repeat(9)] {
        assert_eq!(head_of([text.as_bytes()], LIMITS).unwrap_err(), Fault::Protocol);
        assert_eq!(head_of(bytewise(text.as_bytes()), LIMITS).unwrap_err(), Fault::Protocol);
    }
}

#[test]
fn rfc_9112_2_2_bare_cr_5_1_names_5_2_folded_lines_are_refused() {
    for lines in ["A: b\rc", "A: b\r\n c", "A: b\r\n\tc", "A: b\0", "A B: c", ": c", "no colon", "\u{e4}: c"]
    {
        let text = format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n");
        assert_eq!(head(&text).unwrap_err(), Fault::Protocol, "{lines:?}");
    }
    for status in ["20", "2000", "abc", "099", "-20"] {
        assert_eq!(head(&format!("HTTP/1.1 {status} X\r\n\r\n")).unwrap_err(), Fault::Protocol, "{status}");
    }
}

#[test]
fn rfc_9110_5_4_lines_and_bytes_of_a_head_are_bounded() {
    let lines = |n: usize| format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(n));
    for most in [3, 64, 65, 100] {
        let limits = Limits { headers: most, ..LIMITS };
        let read = |n| head_of([lines(n).as_bytes()], limits).map(|h| h.unwrap().headers.len());
        assert_eq!(read(most).unwrap(), most);
        assert_eq!(read(most + 1).unwrap_err(), Fault::HeadTooLarge);
    }
    let text = lines(5);
    for (bytes, fits) in [(text.len(), true), (text.len() - 1, false)] {
        let limits = Limits { head_bytes: bytes, ..LIMITS };
        assert_eq!(head_of([text.as_bytes()], limits).is_ok(), fits);
        assert_eq!(head_of(bytewise(text.as_bytes()), limits).is_ok(), fits);
    }
}

#[test]
fn rfc_9112_6_3_the_length_of_a_body_is_told_in_this_order() {
    let ok = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
    assert!(framed("HEAD", &ok("Content-Length: 5\r\n")).unwrap().is_over());
    assert!(framed("HEAD", &ok("Transfer-Encoding: chunked\r\n")).unwrap().is_over());
    assert!(framed("GET", "HTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\n").unwrap().is_over());
    assert!(framed("GET", "HTTP/1.1 204 X\r\n\r\n").unwrap().is_over());
    assert!(framed("GET", "HTTP/1.1 103 X\r\n\r\n").unwrap().is_over());
    assert!(framed("GET", &ok("Content-Length: 0\r\n")).unwrap().is_over());
    assert!(matches!(framed("GET", &ok("Content-Length: 5\r\n")), Ok(Framing::Length(5))));
    assert!(matches!(framed("GET", &ok("Content-Length: 5, 5\r\n")), Ok(Framing::Length(5))));
    assert!(matches!(framed("GET", &ok("Transfer-Encoding: Chunked\r\n")), Ok(Framing::Chunked(_))));
    assert!(matches!(framed("GET", &ok("")), Ok(Framing::UntilClose)));
}

#[test]
fn rfc_9112_6_3_framing_with_two_readings_is_refused_whatever_the_method_and_status() {
    for fields in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: \r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: \r\n",
        "Transfer-Encoding: \u{b}chunked\r\n",
    ] {
        for method in ["GET", "HEAD"] {
            for status in [200, 304] {
                let text = format!("HTTP/1.1 {status} X\r\n{fields}\r\n");
                assert_eq!(framed(method, &text).unwrap_err(), Fault::Protocol, "{method} {text:?}");
            }
        }
    }
}

#[test]
fn rfc_9112_6_1_http_1_0_has_no_transfer_codings() {
    let text = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(framed("GET", text).unwrap_err(), Fault::Protocol);
}

#[test]
fn rfc_9112_9_3_who_keeps_a_connection() {
    assert!(kept("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"));
    assert!(kept("HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: x, Keep-Alive\r\n\r\n"));
    assert!(!kept("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n"));
    assert!(!kept("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: a\r\nConnection: b , CLOSE\r\n\r\n"));
    assert!(!kept("HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive, close\r\n\r\n"));
    assert!(!kept("HTTP/1.1 200 OK\r\n\r\n"), "its end is the end of the body");
    assert!(!kept("HTTP/1.1 101 X\r\n\r\n"), "another protocol follows");
}

#[test]
fn rfc_9112_7_1_chunked_bodies_are_read_wherever_they_are_split() {
    let text = b"3\r\nabc\r\n00A;x=\"y\" \r\n0123456789\r\n1 \t\r\n!\r\n0\r\nA: b\r\nC: d\r\n\r\nHTTP";
    let at_once = body_of(Framing::chunked(), [&text[..]], LIMITS);
    assert_eq!(at_once.0, b"abc0123456789!");
    assert!(matches!(&at_once.1, End::Trailers(t) if t.len() == 2 && t["c"] == "d"));
    assert_eq!(at_once.2, b"HTTP");
    let (content, end, _) = body_of(Framing::chunked(), bytewise(text), LIMITS);
    assert_eq!((&content, &end), (&at_once.0, &at_once.1));
    for at in 0..text.len() {
        let (content, end, _) = body_of(Framing::chunked(), [&text[..at], &text[at..]], LIMITS);
        assert_eq!((&content, &end), (&at_once.0, &at_once.1), "split at {at}");
        if at < text.len() - 4 {
            let cut = body_of(Framing::chunked(), [&text[..at]], LIMITS);
            assert_eq!(cut.1, End::Waiting, "cut at {at}");
        }
    }
}

#[test]
fn rfc_9112_7_1_what_is_no_chunk_is_refused() {
    use Malformed::{ChunkEnd, ChunkExtension, ChunkSize, Trailers};
    for (text, why) in [
        ("\r\n", ChunkSize),
        ("g\r\n", ChunkSize),
        (" 1\r\na\r\n", ChunkSize),
        ("+1\r\na\r\n", ChunkSize),
        ("-1\r\na\r\n", ChunkSize),
        ("0x1\r\na\r\n", ChunkSize),
        ("1 1\r\na\r\n", ChunkSize),
        ("1\na\r\n", ChunkSize),
        ("1\ra\r\n", ChunkSize),
        ("10000000000000000\r\n", ChunkSize),
        (";\r\n", ChunkSize),
        ("1;a\nb\r\n", ChunkExtension),
        ("1;a\rb\r\n", ChunkSize),
        ("1\r\nab\r\n", ChunkEnd),
        ("1\r\na\n", ChunkEnd),
        ("1\r\na\rb", ChunkEnd),
        ("0\r\nno colon\r\n\r\n", Trailers),
        ("0\r\na: b\r\n c\r\n\r\n", Trailers),
        ("0\r\na: b\nc: d\r\n\r\n", Trailers),
        ("0\r\na: b\n\nc: d\r\n\r\n", Trailers),
        ("0\r\n: b\r\n\r\n", Trailers),
    ] {
        assert_eq!(chunked(text).1, End::Bad(why), "{text:?}");
        assert_eq!(
            body_of(Framing::chunked(), bytewise(text.as_bytes()), LIMITS).1,
            End::Bad(why),
            "{text:?}"
        );
    }
    assert_eq!(chunked("ffffffffffffffff\r\na").0, b"a");
}

#[test]
fn rfc_9112_7_1_1_chunk_extensions_are_bounded_over_the_whole_body() {
    let chunk = format!("1;{}\r\na\r\n", "x".repeat(8000));
    assert_eq!(chunked(&chunk.repeat(2)).1, End::Waiting);
    assert_eq!(chunked(&chunk.repeat(3)).1, End::Bad(Malformed::ChunkExtension));
    assert_eq!(chunked(&format!("1{}", " ".repeat(20_000))).1, End::Bad(Malformed::ChunkExtension));
}

#[test]
fn rfc_9112_7_1_2_trailers_are_bounded() {
    let limits = Limits { headers: 20, head_bytes: 200 };
    let read = |text: &str| body_of(Framing::chunked(), [text.as_bytes()], limits).1;
    assert!(
        matches!(read(&format!("0\r\n{}\r\n", "a: b\r\n".repeat(20))), End::Trailers(t) if t.len() == 20)
    );
    let too_large = End::Bad(Malformed::TrailersTooLarge);
    assert_eq!(read(&format!("0\r\n{}\r\n", "a: b\r\n".repeat(21))), too_large);
    assert_eq!(read(&format!("0\r\na: {}", "b".repeat(200))), too_large);
}

#[test]
fn rfc_9112_6_3_a_length_takes_so_many_bytes_and_no_more() {
    let pieces = [&b"a"[..], b"bcdef", b"never fed"];
    let (content, end, rest) = body_of(Framing::length(3), pieces, LIMITS);
    assert_eq!((content.as_slice(), end, rest.as_slice()), (&b"abc"[..], End::Whole, &b"def"[..]));
    assert_eq!(body_of(Framing::length(3), [&b"ab"[..]], LIMITS).1, End::Waiting);
}

fn parts(method: &str, fields: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri("/a?b");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

/// All that leaves, a few bytes at a time.
fn drained(out: &mut Outbound, step: usize) -> Vec<u8> {
    let mut sent = Vec::new();
    while !out.is_empty() {
        let next = out.slices().iter().flat_map(|s| s.to_vec()).take(step).collect::<Vec<_>>();
        if let Some(slice) = out.slice() {
            assert!(slice.starts_with(&next[..next.len().min(slice.len())]));
        }
        out.advance(next.len());
        sent.extend(next);
    }
    sent
}

#[test]
fn rfc_9112_3_a_head_and_a_small_body_are_one_piece() {
    let mut out = Outbound::default();
    out.head(&parts("POST", &[("host", "a"), ("x-y", "1"), ("x-y", "2"), ("content-length", "2")]), false);
    out.push(Bytes::from_static(b"hi")).unwrap();
    out.end(None).unwrap();
    let expected = "POST /a?b HTTP/1.1\r\nhost: a\r\nx-y: 1\r\nx-y: 2\r\ncontent-length: 2\r\n\r\nhi";
    assert_eq!(out.slice().unwrap(), expected.as_bytes());
}

#[test]
fn rfc_9112_6_2_a_body_is_as_long_as_its_head_says() {
    let mut out = Outbound::default();
    out.head(&parts("POST", &[("content-length", "2")]), false);
    assert_eq!(out.push(Bytes::from_static(b"abc")), Err(Mismatch::TooLong));
    out.head(&parts("POST", &[("content-length", "2")]), false);
    out.push(Bytes::from_static(b"a")).unwrap();
    assert_eq!(out.end(None), Err(Mismatch::TooShort));
}

#[test]
fn rfc_9110_6_5_1_trailers_that_were_not_announced_or_must_not_be_are_left_out() {
    let mut out = Outbound::default();
    out.head(&parts("POST", &[("trailer", "x-sum, Content-Length"), ("trailer", "host")]), false);
    drained(&mut out, 1000);
    let fields = [("x-sum", "7"), ("x-other", "1"), ("content-length", "9"), ("host", "evil")];
    let trailers =
        fields.into_iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect::<HeaderMap>();
    out.end(Some(&trailers)).unwrap();
    assert_eq!(drained(&mut out, 1000), b"0\r\nx-sum: 7\r\n\r\n");
}

/// All that leaves for a body, by length or chunked.
fn written(body: &[Vec<u8>], length: Option<usize>, step: usize) -> Vec<u8> {
    let declared = length.map(|n| n.to_string());
    let fields: Vec<_> = declared.iter().map(|n| ("content-length", n.as_str())).collect();
    let mut out = Outbound::default();
    out.head(&parts("POST", &fields), false);
    let mut sent = Vec::new();
    for piece in body {
        if out.is_full() {
            sent.extend(drained(&mut out, step));
        }
        out.push(Bytes::from(piece.clone())).unwrap();
    }
    out.end(None).unwrap();
    sent.extend(drained(&mut out, step));
    sent
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_again(
        sizes in proptest::collection::vec(0usize..20_000, 0..8),
        step in 1usize..5000,
        cuts in 1usize..5000,
    ) {
        let body: Vec<_> = sizes.iter().enumerate().map(|(n, size)| vec![b'a' + n as u8; *size]).collect();
        let expected = body.concat();
        let end_of_head = |sent: &[u8]| sent.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;

        let sent = written(&body, Some(expected.len()), step);
        prop_assert_eq!(&sent[end_of_head(&sent)..], &expected[..]);

        let sent = written(&body, None, step);
        let coded = &sent[end_of_head(&sent)..];
        prop_assert!(sent.windows(26).any(|w| w == b"transfer-encoding: chunked"));
        let (content, end, rest) = body_of(Framing::chunked(), coded.chunks(cuts), LIMITS);
        prop_assert_eq!(content, expected);
        prop_assert_eq!(end, End::Whole);
        prop_assert!(rest.is_empty());
    }

    /// Whatever the bytes and however they come: no panic, and the same verdict as at once.
    #[test]
    fn any_bytes_get_one_verdict(
        bytes in proptest::collection::vec(proptest::sample::select(b"HTP/1. 20\r\n:ab;fF\t,\0\xff".to_vec()), 0..200),
        prefix in proptest::sample::select(vec!["", "HTTP/1.1 200 OK\r\n", "HTTP/1.0 304 X\r\nA: b\r\n"]),
        cuts in 1usize..20,
    ) {
        let text = [prefix.as_bytes(), &bytes].concat();
        let sum = |head: Result<Option<Head>, Fault>| {
            head.map(|head| head.map(|h| (h.status, h.version == Version::HTTP_11, h.headers)))
        };
        prop_assert_eq!(sum(head_of(text.chunks(cuts), LIMITS)), sum(head_of([&text[..]], LIMITS)));
        let (at_once, end, _) = body_of(Framing::chunked(), [&bytes[..]], LIMITS);
        let (cut, cut_end, _) = body_of(Framing::chunked(), bytes.chunks(cuts), LIMITS);
        prop_assert_eq!(at_once, cut);
        prop_assert_eq!(end, cut_end);
    }
}
