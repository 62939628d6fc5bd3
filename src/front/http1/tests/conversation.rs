//! Whole conversations: order, keep-alive, bodies, half-finished things.

use super::support::*;
use crate::front::handler::Limits;
use crate::front::refusal::Refusal;
use std::sync::atomic::Ordering;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub const NINE: &str = "GET /hit/10 HTTP/1.1\r\nHost: a\r\nUser-Agent: x\r\n\r\n\
    GET /miss HTTP/1.1\r\nHost: a\r\n\r\n\
    HEAD /hit/10 HTTP/1.1\r\nHost: a\r\n\r\n\
    POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
    GET /hit/3000 HTTP/1.1\r\nHost: a\r\n\r\n\
    POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
    GET /stream HTTP/1.1\r\nHost: a\r\n\r\n\
    HEAD /miss HTTP/1.1\r\nHost: a\r\n\r\n\
    GET /hit/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
pub const METHODS: [&str; 9] = ["GET", "GET", "HEAD", "POST", "GET", "POST", "GET", "HEAD", "GET"];

#[tokio::test]
async fn nine_mixed_requests_in_one_segment_and_byte_by_byte() {
    for pipe in [64 * 1024, 1, 13] {
        let handler = Script::new(true);
        let got = connect_with(&handler, Limits::default(), pipe).talk(NINE).await;
        let got = replies(&got, &METHODS);
        let bodies: Vec<&str> = got.iter().map(|r| &*r.body).collect();
        let long = ["a", "b", "c"].map(|c| c.repeat(1000)).concat();
        assert_eq!(bodies, ["aaaaaaaaaa", "miss", "", "hello", &long, "abc", "one two three", "", "a"]);
        assert!(got.iter().all(|r| r.status == 200));
        assert_eq!(got[2].header("content-length"), Some("10"));
        assert_eq!(got[6].header("transfer-encoding"), Some("chunked"));
        // Only the last says so: no answer of hyper's has ended the connection.
        let closing: Vec<bool> = got.iter().map(|r| r.header("connection") == Some("close")).collect();
        assert_eq!(closing, [false, false, false, false, false, false, false, false, true]);
        assert_eq!(handler.seen.fast.load(Ordering::SeqCst), 4);
        let sent = handler.seen.sent.lock().unwrap().clone();
        assert_eq!(sent[0], (10, 10));
        assert_eq!(sent[1], (10, 0), "HEAD: no body");
        assert_eq!(sent[2], (3000, 3000));
    }
}

#[tokio::test]
async fn a_body_in_segments_and_the_next_request_in_the_last_of_them() {
    let handler = Script::new(true);
    let mut client = connect(&handler);
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhe").await;
    client.send("llo").await;
    client.send("worldGET /hit/2 HTTP/1.1\r\nHost: a\r\n\r\nGET /miss HTTP/1.1\r\nHost: a\r\nConnec").await;
    client.send("tion: close\r\n\r\n").await;
    let got = replies(&client.read_to_end().await, &["POST", "GET", "GET"]);
    assert_eq!(got.iter().map(|r| &*r.body).collect::<Vec<_>>(), ["helloworld", "aa", "miss"]);
}

#[tokio::test]
async fn what_was_read_before_comes_first() {
    let handler = Script::new(true);
    let (mut io, far) = tokio::io::duplex(1024);
    let (_drain, told) = tokio::sync::watch::channel(false);
    let read = bytes::Bytes::from_static(b"GET /hit/1 HTTP/1.1\r\nHo");
    tokio::spawn(super::super::serve(far, read, conn(false), handler, Default::default(), told));
    io.write_all(b"st: a\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut got = Vec::new();
    io.read_to_end(&mut got).await.unwrap();
    assert_eq!(replies(&got, &["GET"])[0].body, "a");
}

#[tokio::test]
async fn expect_100_continue_is_answered_when_the_body_is_wanted_rfc_9110_section_10_1_1() {
    let handler = Script::new(true);
    let mut client = connect(&handler);
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n").await;
    assert_eq!(client.read_until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("helloGET /hit/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    let got = replies(&client.read_to_end().await, &["POST", "GET"]);
    assert_eq!((&*got[0].body, &*got[1].body), ("hello", "a"));
}

#[tokio::test]
async fn a_100_continue_of_one_byte_segments_is_whole() {
    let handler = Script::new(true);
    let mut client = connect_with(&handler, Limits::default(), 1);
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 2\r\n\r\n").await;
    assert_eq!(client.read_until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("ok").await;
    assert_eq!(replies(&client.read_to_end().await, &["POST"])[0].body, "ok");
}

#[tokio::test]
async fn expect_100_continue_with_an_unwanted_body_is_the_last_request() {
    let handler = Script::new(true);
    let mut client = connect(&handler);
    client
        .send("POST /ignore HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        .await;
    let got = replies(&client.read_to_end().await, &["POST"]);
    assert_eq!((got.len(), &*got[0].body), (1, "ignored"));
    // It can't be told from here whether the body will come, so nothing after it may be a request.
    assert!(handler.refused().is_empty());
}

#[tokio::test]
async fn a_body_nobody_reads_is_skipped_or_ends_the_connection() {
    let input = "POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
        GET /hit/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    for pipe in [64 * 1024, 1, 3] {
        let handler = Script::new(true);
        let got =
            replies(&connect_with(&handler, Limits::default(), pipe).talk(input).await, &["POST", "GET"]);
        // In full: hyper is done when it has closed its reading side, whether or not its answer has left.
        assert_eq!(got[0].body, "ignored", "pipe {pipe}");
        assert!(got.len() == 1 || got[1].body == "a", "never read as a request");
        assert_eq!(handler.handled()[0], "POST /ignore");
        assert!(handler.refused().is_empty());
    }
}

#[tokio::test]
async fn http_1_0_closes_unless_asked_rfc_9112_section_9_3() {
    let handler = Script::new(true);
    let got = ask(&handler, "GET /hit/3 HTTP/1.0\r\n\r\nGET /hit/1 HTTP/1.0\r\n\r\n", &["GET"]).await;
    assert_eq!((got.len(), &*got[0].body), (1, "aaa"));
    let input =
        "GET /hit/3 HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /stream HTTP/1.0\r\nHost: a\r\n\r\n";
    let got = ask(&handler, input, &["GET", "GET"]).await;
    assert_eq!(got[0].header("connection"), Some("keep-alive"));
    assert_eq!(got[1].body, "one two three");
    assert_eq!(got[1].header("transfer-encoding"), None, "HTTP/1.0 has no chunks");
    assert_eq!(handler.seen.fast.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn connection_close_from_either_side_is_the_end() {
    let handler = Script::new(true);
    for first in ["/hit/2", "/miss", "/stream"] {
        let input = format!(
            "GET {first} HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, CLOSE\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n"
        );
        let got = ask(&handler, input, &["GET"]).await;
        assert_eq!((got.len(), got[0].header("connection")), (1, Some("close")), "{first}");
    }
    let got =
        ask(&handler, "GET /close HTTP/1.1\r\nHost: a\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n", &["GET"])
            .await;
    assert_eq!((got.len(), &*got[0].body, got[0].header("connection")), (1, "bye", Some("close")));
}

/// Pitfall 1 of the fast lane: 40 MB were answered, 4 arrived, and the next response began in between.
#[tokio::test]
async fn an_early_answer_survives_a_stalled_reader_a_late_body_and_a_pipelined_request() {
    const LEN: usize = 40_000_000;
    let handler = Script::new(true);
    let mut client = connect(&handler);
    client.send(format!("POST /early/{LEN} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")).await;
    // The answer has begun, and nobody reads it: it is stuck. Now the body ends.
    let mut first = [0; 12];
    client.io.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    client.send("worldGET /hit/5 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    handler.seen.body_read.notified().await;
    assert_eq!(*handler.seen.bodies.lock().unwrap(), [Ok(10)]);
    let mut rest = client.read_to_end().await;
    rest.splice(0..0, first);
    let got = replies(&rest, &["POST", "GET"]);
    assert_eq!((got[0].body.len(), &*got[1].body), (LEN, "aaaaa"));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_seen_to_be_incomplete() {
    let handler = Script::new(true);
    let got =
        ask(&handler, "GET /broken HTTP/1.1\r\nHost: a\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n", &["GET"])
            .await;
    assert_eq!((got.len(), &*got[0].body), (1, "half[truncated]"));
}

#[tokio::test]
async fn an_answer_that_fails_before_its_first_byte_is_an_error_of_ours() {
    for (path, refusal, status) in
        [("/broken/at-once", Refusal::OriginIncomplete, 502), ("/nonsense", Refusal::Internal, 500)]
    {
        let handler = Script::new(true);
        let got = ask(
            &handler,
            format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n"),
            &["GET"],
        )
        .await;
        assert_eq!((got.len(), got[0].status), (1, status), "{path}");
        assert_eq!(handler.refused(), [refusal]);
    }
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_request() {
    let handler = Script::new(true);
    let mut client = connect(&handler);
    client.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await;
    handler.seen.entered.notified().await;
    drop(client.io);
    handler.seen.drop_noticed.notified().await;
    client.server.await.unwrap();
    assert!(handler.refused().is_empty());
}

#[tokio::test]
async fn what_comes_while_the_handler_works_is_the_next_request() {
    let handler = Script::new(true);
    let mut client = connect(&handler);
    client.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await;
    handler.seen.entered.notified().await;
    // More than is read ahead, in two parts with the server's turn between them.
    let many = "GET /hit/1 HTTP/1.1\r\nHost: a\r\n\r\n".repeat(400);
    client.send(&many).await;
    tokio::task::yield_now().await;
    client.send("GET /hit/2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    handler.seen.release.notify_one();
    let got = replies(&client.read_to_end().await, &["GET"; 402]);
    assert_eq!((got.len(), &*got[0].body, &*got[400].body, &*got[401].body), (402, "waited", "a", "aa"));
    assert!(!handler.seen.dropped.load(Ordering::SeqCst));
}

#[tokio::test]
async fn what_has_left_is_reported_also_when_the_client_goes_away() {
    let handler = Script::new(true);
    let mut client = connect_with(&handler, Limits::default(), 1000);
    client.send("GET /hit/100000 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut some = [0; 5000];
    client.io.read_exact(&mut some).await.unwrap();
    drop(client.io);
    client.server.await.unwrap();
    let sent = handler.seen.sent.lock().unwrap().clone();
    assert_eq!(sent.len(), 1);
    assert!((4800..=7000).contains(&sent[0].1), "{sent:?}");
}

#[tokio::test]
async fn a_client_that_closes_its_sending_half_after_a_hit_still_gets_it() {
    let handler = Script::new(true);
    let mut client = connect(&handler);
    client.send("GET /hit/2 HTTP/1.1\r\nHost: a\r\n\r\nGET /hit/3 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.io.shutdown().await.unwrap();
    let got = replies(&client.read_to_end().await, &["GET", "GET"]);
    assert_eq!((&*got[0].body, &*got[1].body), ("aa", "aaa"));
}

#[tokio::test]
async fn an_io_without_vectored_writes_carries_the_same() {
    for pipe in [64 * 1024, 1] {
        let handler = Script::new(true);
        let input = ["GET /hints HTTP/1.1\r\nHost: a\r\n\r\n", NINE].concat();
        let methods: Vec<&str> = ["GET"].into_iter().chain(METHODS).collect();
        let vectored = connect_with(&handler, Limits::default(), pipe).talk(&input).await;
        let flat = connect_flat(&handler, pipe).talk(&input).await;
        assert_eq!(replies(&flat, &methods), replies(&vectored, &methods));
    }
}

#[tokio::test]
async fn head_is_refused_without_a_body_rfc_9110_section_9_3_2() {
    let handler = Script::new(true);
    for input in [
        "HEAD / HTTP/1.1\r\nHost: a@b\r\n\r\n",
        "HEAD /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx",
        "HEAD /broken/at-once HTTP/1.0\r\n\r\n",
    ] {
        let got = connect(&handler).talk(input).await;
        assert!(got.ends_with(b"\r\n\r\n"), "{:?}", String::from_utf8_lossy(&got));
    }
}

#[tokio::test]
async fn an_idle_connection_costs_little() {
    let handler = Script::new(true);
    let (_, far) = tokio::io::duplex(1);
    let (_drain, told) = tokio::sync::watch::channel(false);
    let task = super::super::serve(far, bytes::Bytes::new(), conn(false), handler, Default::default(), told);
    assert!(size_of_val(&task) < 1600, "{} bytes", size_of_val(&task));
}
