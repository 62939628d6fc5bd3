//! standards.md §8.4: chunked bodies, and where a request ends.

use super::super::framing::{Body, Framing};
use super::support::*;
use crate::front::handler::Limits;
use crate::front::refusal::Refusal::{self, *};

/// The scanner alone: how much of `bytes` is body, in one piece and byte by byte.
fn scan(bytes: &[u8], limit: u64) -> Result<Option<usize>, Refusal> {
    let mut whole = Body::new(Framing::Chunked, limit);
    let all = whole.scan(bytes).map(|used| whole.is_done().then_some(used));
    let mut single = Body::new(Framing::Chunked, limit);
    let mut used = 0;
    let mut pieces = Ok(());
    for byte in bytes.chunks(1) {
        match single.scan(byte) {
            Ok(n) => used += n,
            Err(refusal) => {
                pieces = Err(refusal);
                break;
            }
        }
    }
    assert_eq!(pieces.map(|()| single.is_done().then_some(used)), all, "in pieces: {bytes:?}");
    all
}

#[test]
fn rfc_9112_section_7_1_the_end_of_a_chunked_body_is_found() {
    for body in [
        "0\r\n\r\n|",
        "5\r\nhello\r\n0\r\n\r\n|GET",
        "00005\r\nhello\r\n000\r\n\r\n|",
        "a\r\n0123456789\r\n0\r\n\r\n|",
        "A;name=value;q=\"x;y\"\r\n0123456789\r\n0;last\r\n\r\n|",
        "0\r\nX-Sum: 1\r\nY:\t\r\n\r\n|rest",
        "5\r\nhel",
        "0\r\n",
        "",
    ] {
        let end = body.find('|');
        assert_eq!(scan(body.replace('|', "").as_bytes(), 100), Ok(end), "{body:?}");
    }
}

#[test]
fn rfc_9112_section_7_1_what_is_not_chunked_is_refused() {
    for (body, refusal) in [
        ("5;\nhello\r\n0\r\n\r\n", BadChunkExtension),
        ("5;a\rb\r\nhello\r\n0\r\n\r\n", BadChunkSize),
        ("5;a\0b\r\nhello\r\n", BadChunkExtension),
        ("FFFFFFFFFFFFFFFFF\r\n", BadChunkSize),
        ("00000000000000005\r\nhello\r\n", BadChunkSize),
        ("FFFFFFFFFFFFFFFF\r\n", BodyTooLarge),
        ("0x5\r\nhello\r\n", BadChunkSize),
        ("+5\r\nhello\r\n", BadChunkSize),
        ("-5\r\nhello\r\n", BadChunkSize),
        ("1_0\r\n", BadChunkSize),
        (" 5\r\nhello\r\n", BadChunkSize),
        ("5 \r\nhello\r\n", BadChunkSize),
        ("5 ;\r\nhello\r\n", BadChunkSize),
        ("5\t\r\nhello\r\n", BadChunkSize),
        ("\r\n", BadChunkSize),
        (";a\r\n", BadChunkSize),
        ("5\nhello\n0\n\n", BadChunkSize),
        ("5\r\nhello0\r\n\r\n", BadChunkData),
        ("5\r\nhello\n0\r\n\r\n", BadChunkData),
        ("5\r\nhellospill\r\n0\r\n\r\n", BadChunkData),
        ("5\r\nhello\r0\r\n\r\n", BadChunkData),
        ("0\r\nContent-Length: 9\r\n\r\n", BadTrailer),
        ("0\r\ntransfer-encoding: chunked\r\n\r\n", BadTrailer),
        ("0\r\nHost: evil\r\n\r\n", BadTrailer),
        ("0\r\nX : 1\r\n\r\n", BadTrailer),
        ("0\r\n: 1\r\n\r\n", BadTrailer),
        ("0\r\nX: 1\n\r\n", BadTrailer),
        ("0\r\nX: a\0\r\n\r\n", BadTrailer),
        ("0\r\n X: 1\r\n\r\n", BadTrailer),
        ("0\r\nnonsense\r\n\r\n", BadTrailer),
        ("0\r\n\rGET", BadTrailer),
        ("0\r\n\n", BadTrailer),
    ] {
        assert_eq!(scan(body.as_bytes(), 100), Err(refusal), "{body:?}");
    }
}

#[test]
fn what_costs_memory_or_time_has_a_limit() {
    let extension = |len: usize| format!("1;{}\r\nx\r\n", "e".repeat(len));
    assert_eq!(scan(extension(4000).as_bytes(), 100), Ok(None));
    assert_eq!(scan(extension(5000).as_bytes(), 100), Err(BadChunkExtension));
    // In all of the body, not per chunk.
    assert_eq!(scan(extension(100).repeat(50).as_bytes(), 100), Err(BadChunkExtension));
    let trailers = |lines: usize| format!("0\r\n{}\r\n", "X: 1\r\n".repeat(lines));
    assert!(matches!(scan(trailers(64).as_bytes(), 100), Ok(Some(_))));
    assert_eq!(scan(trailers(65).as_bytes(), 100), Err(BadTrailer));
    assert_eq!(scan(format!("0\r\nX: {}\r\n\r\n", "v".repeat(9000)).as_bytes(), 100), Err(BadTrailer));
    assert_eq!(scan(b"64\r\n", 100), Ok(None));
    assert_eq!(scan(b"65\r\n", 100), Err(BodyTooLarge), "refused when announced");
    assert_eq!(scan(format!("32\r\n{}\r\n33\r\n", "x".repeat(50)).as_bytes(), 100), Err(BodyTooLarge));
}

const CHUNKED: &str = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
const LAST: &str = "GET /hit/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn a_chunked_body_does_not_end_the_fast_lane() {
    let handler = Script::new(true);
    let input = format!("{CHUNKED}5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 11\r\n\r\n{LAST}");
    for pipe in [64 * 1024, 1, 7] {
        let got = connect_with(&handler, Limits::default(), pipe).talk(&input).await;
        let got = replies(&got, &["POST", "GET"]);
        assert_eq!((&*got[0].body, got[0].header("x-sum-was")), ("hello world", Some("11")));
        assert_eq!(got[1].body, "a");
    }
    assert_eq!(handler.seen.fast.load(std::sync::atomic::Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_malformed_chunk_is_400_and_close_and_nothing_after_it_is_a_request() {
    for (body, refusal) in [
        ("5 ;\r\nhello\r\n0\r\n\r\n", BadChunkSize),
        ("5\r\nhellospill\r\n0\r\n\r\n", BadChunkData),
        ("5;\nhello\r\n0\r\n\r\n", BadChunkExtension),
        ("0\r\nContent-Length: 9\r\n\r\n", BadTrailer),
    ] {
        // At once: before the handler hears of it. In pieces: while it reads.
        for pipe in [64 * 1024, 1] {
            let handler = Script::new(true);
            let input = format!("{CHUNKED}{body}{LAST}");
            let got = connect_with(&handler, Limits::default(), pipe).talk(&input).await;
            let got = replies(&got, &["POST"]);
            assert_eq!((got.len(), got[0].status), (1, 400), "{body:?}");
            assert_eq!(handler.refused(), [refusal], "{body:?}");
            assert_eq!(handler.handled().is_empty(), pipe > 1);
        }
    }
}

#[tokio::test]
async fn a_body_that_ends_early_is_400_and_the_handler_knows_rfc_9112_section_8() {
    for head in ["Content-Length: 10\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n9\r\nhello"] {
        let handler = Script::new(true);
        let mut client = connect(&handler);
        client.send(format!("POST /drain HTTP/1.1\r\nHost: a\r\n{head}")).await;
        tokio::io::AsyncWriteExt::shutdown(&mut client.io).await.unwrap();
        let got = replies(&client.read_to_end().await, &["POST"]);
        assert_eq!(got[0].status, 400);
        assert_eq!(handler.refused(), [IncompleteBody]);
    }
}

#[tokio::test]
async fn get_with_a_body_is_read_to_its_end_rfc_9110_section_9_3_1() {
    let handler = Script::new(true);
    let smuggled = "GET /admin HTTP/1.1\r\nHost: a\r\n\r\n";
    let input = format!(
        "GET /hit/3 HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{smuggled}{LAST}",
        smuggled.len()
    );
    let got = ask(&handler, input, &["GET", "GET"]).await;
    assert_eq!(got.iter().map(|r| &*r.body).collect::<Vec<_>>(), ["aaa", "a"]);
    assert_eq!(
        handler.handled(),
        ["GET /hit/3"],
        "the first is not for the fast lane, the body is no request"
    );
}
