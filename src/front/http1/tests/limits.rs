//! Limits, time-outs, draining.

use super::support::*;
use crate::front::handler::Limits;
use crate::front::refusal::Refusal::*;
use std::time::Duration;
use tokio::io::AsyncReadExt;

fn small() -> Limits {
    Limits {
        request_header_bytes: 300,
        request_headers: 5,
        url_bytes: 100,
        request_body: 10,
        ..Limits::default()
    }
}

async fn with_limits(input: &str, limits: Limits) -> (Vec<crate::front::refusal::Refusal>, Vec<Reply>) {
    let handler = Script::new(true);
    let got = connect_with(&handler, limits, 64 * 1024).talk(input).await;
    (handler.refused(), replies(&got, &["GET", "GET"]))
}

#[tokio::test]
async fn heads_have_limits_and_up_to_them_they_pass() {
    let url =
        |len: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "u".repeat(len - 1));
    let long = |len: usize| {
        format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: {}\r\n\r\n", "v".repeat(len))
    };
    let many = |n: usize| {
        format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{}\r\n", "X: 1\r\n".repeat(n - 2))
    };
    let fixed = long(0).len();
    for (input, refused) in [
        (url(100), None),
        (url(101), Some(UriTooLong)),
        (url(5000), Some(UriTooLong)),
        ("GET /".to_owned() + &"u".repeat(5000), Some(UriTooLong)),
        (long(300 - fixed), None),
        (long(301 - fixed), Some(HeadTooLarge)),
        (long(5000).replace("\r\n\r\n", ""), Some(HeadTooLarge)),
        (many(5), None),
        (many(6), Some(TooManyHeaders)),
        (format!("{} / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "M".repeat(32)), None),
        (
            format!("{} / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "M".repeat(33)),
            Some(MethodTooLong),
        ),
        ("M".repeat(5000), Some(MethodTooLong)),
    ] {
        let (got, answers) = with_limits(&input, small()).await;
        assert_eq!(got.first().copied(), refused, "{input}");
        assert_eq!(answers[0].status, refused.map_or(200, |r| r.status().as_u16()));
    }
}

#[tokio::test]
async fn a_hundred_header_lines_may_be_raised() {
    let head = |n: usize| {
        format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{}\r\n", "X: 1\r\n".repeat(n - 2))
    };
    let limits = || Limits { request_headers: 150, ..Limits::default() };
    assert_eq!(with_limits(&head(150), limits()).await.1[0].status, 200);
    assert_eq!(with_limits(&head(151), limits()).await.0, [TooManyHeaders]);
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_before_anything_of_it_is_forwarded() {
    let sized = |n: usize| {
        format!(
            "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {n}\r\n\r\n{}",
            "b".repeat(n)
        )
    };
    assert_eq!(with_limits(&sized(10), small()).await.1[0].body, "b".repeat(10));
    let handler = Script::new(true);
    let got = connect_with(&handler, small(), 64 * 1024).talk(sized(11)).await;
    assert_eq!(replies(&got, &["POST"])[0].status, 413);
    assert!(handler.handled().is_empty());
    // Chunked: when the count passes it, the answer not having begun.
    let chunked = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut client = connect_with(&handler, small(), 64 * 1024);
    client.send([chunked, "8\r\nbbbbbbbb\r\n"].concat()).await;
    tokio::task::yield_now().await;
    client.send("3\r\nbbb\r\n0\r\n\r\n").await;
    assert_eq!(replies(&client.read_to_end().await, &["POST"])[0].status, 413);
    assert_eq!(handler.refused(), [BodyTooLarge, BodyTooLarge]);
}

#[tokio::test(start_paused = true)]
async fn a_head_has_its_time_from_its_first_byte_and_then_it_is_408() {
    let handler = Script::new(true);
    let mut client = connect(&handler);
    let start = super::super::timer::tests_now();
    client.send("GET /hit/1").await;
    // A byte now and then does not prolong it.
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(3)).await;
        client.send("x").await;
    }
    let got = replies(&client.read_to_end().await, &["GET"]);
    assert_eq!((got[0].status, handler.refused()), (408, vec![HeaderTimeout]));
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_head_after_a_pause_has_its_own_time() {
    let handler = Script::new(true);
    let mut client = connect(&handler);
    client.send("GET /hit/1 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.read_until("\r\n\r\na").await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let start = super::super::timer::tests_now();
    client.send("GET /hi").await;
    assert_eq!(replies(&client.read_to_end().await, &["GET"])[0].status, 408);
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_without_a_word() {
    let handler = Script::new(true);
    let mut client = connect(&handler);
    client.send("GET /hit/1 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.read_until("\r\n\r\na").await;
    let start = super::super::timer::tests_now();
    assert_eq!(client.read_to_end().await, b"");
    assert_eq!(start.elapsed().as_secs(), 75);
    // One that has never said anything does not get that long.
    let start = super::super::timer::tests_now();
    assert_eq!(connect(&handler).read_to_end().await, b"");
    assert_eq!(start.elapsed().as_secs(), 10);
    assert!(handler.refused().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_idle_time_begins_anew_with_every_request() {
    let handler = Script::new(true);
    let mut client = connect(&handler);
    for path in ["/hit/1", "/miss", "/hit/1", "/hit/1", "/miss"] {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        client.read_until(if path == "/miss" { "miss" } else { "\r\n\r\na" }).await;
        tokio::time::sleep(Duration::from_secs(70)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stops_coming_is_408() {
    for body in ["Content-Length: 10\r\n\r\nhe", "Transfer-Encoding: chunked\r\n\r\n9\r\nhe"] {
        let handler = Script::new(true);
        let mut client = connect(&handler);
        let start = super::super::timer::tests_now();
        client.send(format!("POST /drain HTTP/1.1\r\nHost: a\r\n{body}")).await;
        tokio::time::sleep(Duration::from_secs(20)).await;
        client.send("ll").await;
        let got = replies(&client.read_to_end().await, &["POST"]);
        assert_eq!((got[0].status, handler.refused()), (408, vec![BodyTimeout]));
        assert_eq!(start.elapsed().as_secs(), 50, "between two reads");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_take_its_time() {
    let handler = Script::new(true);
    let mut client = connect(&handler);
    client.send("GET /wait HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    tokio::time::sleep(Duration::from_secs(1000)).await;
    handler.seen.release.notify_one();
    assert_eq!(replies(&client.read_to_end().await, &["GET"])[0].body, "waited");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_stalls_is_given_up_in_both_lanes() {
    for lane in [true, false] {
        let handler = Script::new(lane);
        let mut client = connect_with(&handler, Limits::default(), 1000);
        client.send("GET /hit/100000 HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let mut some = [0; 2000];
        client.io.read_exact(&mut some).await.unwrap();
        // Progress, if slow, is enough.
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_secs(25)).await;
            client.io.read_exact(&mut some).await.unwrap();
        }
        let start = super::super::timer::tests_now();
        client.server.await.unwrap();
        assert_eq!(start.elapsed().as_secs(), 30, "lane {lane}");
    }
}

#[tokio::test(start_paused = true)]
async fn draining_closes_idle_connections_after_a_last_call() {
    let handler = Script::new(true);
    for before in ["", "GET /hit/1 HTTP/1.1\r\nHost: a\r\n\r\n", "GET /miss HTTP/1.1\r\nHost: a\r\n\r\n"] {
        let mut client = connect(&handler);
        client.send(before).await;
        if !before.is_empty() {
            client.read_until("\r\n\r\n").await;
        }
        client.drain.send(true).unwrap();
        client.read_to_end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_crosses_the_word_to_drain_is_answered_and_its_answer_says_close() {
    for before in ["", "GET /hit/1 HTTP/1.1\r\nHost: a\r\n\r\n", "GET /miss HTTP/1.1\r\nHost: a\r\n\r\n"] {
        let handler = Script::new(true);
        let mut client = connect(&handler);
        client.send(before).await;
        if !before.is_empty() {
            client.read_until("\r\n\r\n").await;
        }
        client.drain.send(true).unwrap();
        tokio::task::yield_now().await;
        client.send("GET /hit/2 HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let rest = String::from_utf8(client.read_to_end().await).unwrap();
        assert!(rest.to_ascii_lowercase().contains("connection: close"), "{before}: {rest}");
    }
}

#[tokio::test]
async fn draining_lets_a_request_finish_and_its_answer_says_close() {
    let handler = Script::new(true);
    let mut client = connect(&handler);
    client.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await;
    handler.seen.entered.notified().await;
    client.drain.send(true).unwrap();
    tokio::task::yield_now().await;
    handler.seen.release.notify_one();
    let got = replies(&client.read_to_end().await, &["GET"]);
    assert_eq!((&*got[0].body, got[0].header("connection")), ("waited", Some("close")));
}

#[tokio::test]
async fn draining_while_a_request_arrives_answers_it_with_close() {
    for path in ["/hit/2", "/miss"] {
        let handler = Script::new(true);
        let mut client = connect(&handler);
        client.send(format!("GET {path} HTTP/1.1\r\nHo")).await;
        tokio::task::yield_now().await;
        client.drain.send(true).unwrap();
        tokio::task::yield_now().await;
        client.send("st: a\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let got = replies(&client.read_to_end().await, &["GET"]);
        assert_eq!((got.len(), got[0].header("connection")), (1, Some("close")), "{path}");
    }
}

/// Telling hyper to close while it is idle with bytes unwritten would lose them.
#[tokio::test]
async fn draining_loses_nothing_of_an_answer_that_is_stuck() {
    const LEN: usize = 1_000_000;
    let handler = Script::new(true);
    let mut client = connect_with(&handler, Limits::default(), 1000);
    client.send(format!("POST /early/{LEN} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")).await;
    let mut first = [0; 12];
    client.io.read_exact(&mut first).await.unwrap();
    client.send("world").await;
    handler.seen.body_read.notified().await;
    client.drain.send(true).unwrap();
    let mut rest = client.read_to_end().await;
    rest.splice(0..0, first);
    assert_eq!(replies(&rest, &["POST"])[0].body.len(), LEN);
}
