//! Requests without a body: what their answers look like on the wire, and how they end.

use super::support::*;
use crate::front::handler::Limits;
use crate::front::refusal::Refusal;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const LAST: &str = "GET /hit/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// The bytes that answer a request for `target`, on a connection that goes on; the next answer is cut off.
async fn raw(line: &str, fields: &str) -> String {
    let handler = Script::new(true);
    let input = format!("{line} HTTP/1.1\r\nHost: a\r\n{fields}\r\n{LAST}");
    let got = String::from_utf8(connect(&handler).talk(input).await).unwrap();
    let next = got.rfind("HTTP/1.1 200 OK\r\n").unwrap();
    assert!(next > 0, "the connection goes on: {got}");
    got[..next].to_owned()
}

fn dated(status: &str, fields: &str) -> String {
    format!("HTTP/1.1 {status}\r\ndate: {DATE}\r\n{fields}\r\n")
}

#[tokio::test]
async fn rfc_9112_section_6_3_a_known_length_is_told_and_an_unknown_one_is_chunked() {
    let known = dated("200 OK", "content-length: 5\r\n") + "bbbcc";
    for target in ["3,2?exact", "3,p,2?length=5", "p,3,0,2?exact&length=5&end", "3,2?length=5&length=5"] {
        assert_eq!(raw(&format!("GET /pieces/200/{target}"), "").await, known, "{target}");
    }
    let chunked =
        dated("200 OK", "transfer-encoding: chunked\r\n") + "3\r\nbbb\r\nA\r\ncccccccccc\r\n0\r\n\r\n";
    for target in ["3,0,10", "3,0,p,10?end", "p,3,0,10,p,0?chunked"] {
        assert_eq!(raw(&format!("GET /pieces/200/{target}"), "").await, chunked, "{target}");
    }
    let empty = dated("404 Not Found", "content-length: 0\r\n");
    assert_eq!(raw("GET /pieces/404/?end", "").await, empty);
    assert_eq!(raw("GET /pieces/404/?exact", "").await, empty);
}

#[tokio::test]
async fn rfc_9110_section_9_3_2_head_gets_the_fields_and_no_body() {
    for (target, fields) in [
        ("3,2?length=5", "content-length: 5\r\n"),
        ("?end&length=5", "content-length: 5\r\n"),
        ("3,2", ""),
        ("3,2?chunked&trailer", ""),
    ] {
        assert_eq!(raw(&format!("HEAD /pieces/200/{target}"), "").await, dated("200 OK", fields), "{target}");
    }
}

#[tokio::test]
async fn rfc_9110_sections_15_3_5_and_15_4_5_no_content_and_not_modified_end_with_their_head() {
    // RFC 9110 §8.6: no length with a 204; with a 304 it is that of the 200.
    for (target, expected) in [
        ("204/3?length=3", dated("204 No Content", "")),
        ("204/?end", dated("204 No Content", "")),
        ("304/3?length=3", dated("304 Not Modified", "content-length: 3\r\n")),
        ("304/?end", dated("304 Not Modified", "")),
        ("304/3?exact", dated("304 Not Modified", "")),
    ] {
        assert_eq!(raw(&format!("GET /pieces/{target}"), "").await, expected, "{target}");
    }
}

#[tokio::test]
async fn rfc_9110_section_6_6_1_a_missing_date_is_added() {
    let got = raw("GET /pieces/200/?end&undated", "").await;
    assert_eq!(got, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n");
}

#[tokio::test]
async fn rfc_9110_section_6_5_1_trailers_go_to_those_who_take_them_and_were_told_of_them() {
    let answer = |fields: &str, end: &str| {
        dated("200 OK", &format!("transfer-encoding: chunked\r\n{fields}")) + "1\r\nb\r\n0\r\n" + end + "\r\n"
    };
    let told = "trailer: x-other, X-Sum\r\n";
    for (target, fields, expected) in [
        ("1,t?trailer", "TE: gzip, Trailers\r\n", answer(told, "x-sum: 7\r\n")),
        ("1,p,t?trailer", "TE: trailers\r\n", answer(told, "x-sum: 7\r\n")),
        ("1,t?trailer", "", answer(told, "")),
        ("1,t", "TE: trailers\r\n", answer("", "")),
    ] {
        assert_eq!(raw(&format!("GET /pieces/200/{target}"), fields).await, expected, "{target} {fields}");
    }
}

#[tokio::test]
async fn rfc_9112_section_6_1_http_1_0_gets_no_chunks_and_the_end_is_that_of_the_connection() {
    let handler = Script::new(true);
    let input = format!("GET /pieces/200/3,p,2?trailer HTTP/1.0\r\nConnection: keep-alive\r\n\r\n{LAST}");
    let got = String::from_utf8(connect(&handler).talk(input).await).unwrap();
    assert_eq!(got, format!("HTTP/1.0 200 OK\r\ndate: {DATE}\r\n\r\nbbbcc"));
}

#[tokio::test]
async fn rfc_9112_section_9_3_http_1_0_goes_on_if_asked_to_and_told_so() {
    let handler = Script::new(true);
    let input = format!("GET /pieces/200/3?exact HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n{LAST}");
    let got = String::from_utf8(connect(&handler).talk(input).await).unwrap();
    let first = format!(
        "HTTP/1.0 200 OK\r\ndate: {DATE}\r\ncontent-length: 3\r\nconnection: keep-alive\r\n\r\nbbbHTTP/1.1 200"
    );
    assert!(got.starts_with(&first), "{got}");
}

#[tokio::test]
async fn rfc_9112_section_9_6_the_handler_may_end_the_connection() {
    let handler = Script::new(true);
    let input = format!("GET /pieces/200/3,2?close HTTP/1.1\r\nHost: a\r\n\r\n{LAST}");
    let got = replies(&connect(&handler).talk(input).await, &["GET"]);
    assert_eq!((got.len(), got[0].header("connection"), &*got[0].body), (1, Some("close"), "bbbcc"));
}

#[tokio::test]
async fn rfc_9112_section_8_a_body_that_is_not_as_long_as_announced_is_not_taken_for_whole() {
    // Nothing has left: an error of ours. Something has: no end.
    for (target, refused) in [
        ("3?length=5", true),
        ("3?length=5&end", true),
        ("3,3?length=5", true),
        ("e", true),
        ("3,e", true),
        ("3,p,e", false),
        ("3,p?length=5", false),
        ("3,p,3?length=5", false),
    ] {
        let handler = Script::new(true);
        let input = format!("GET /pieces/200/{target} HTTP/1.1\r\nHost: a\r\n\r\n{LAST}");
        let got = replies(&connect(&handler).talk(input).await, &["GET"]);
        assert_eq!(got.len(), 1, "{target}: the connection ends");
        if refused {
            assert_eq!(
                (got[0].status, handler.refused()),
                (502, vec![Refusal::OriginIncomplete]),
                "{target}"
            );
        } else {
            let length = got[0].header("content-length").map(|length| length.parse().unwrap());
            assert!(got[0].body.ends_with("[truncated]") || length > Some(got[0].body.len()), "{target}");
            assert!(handler.refused().is_empty());
        }
    }
}

#[tokio::test]
async fn rfc_9110_section_8_6_an_answer_whose_lengths_contradict_each_other_is_not_sent() {
    for target in [
        "200/3?length=4&exact",
        "200/3?length=3&length=4",
        "200/3?length=+3",
        "200/3?length=3,3",
        "200/3?length=",
        "200/3?length=99999999999999999999",
        "103/?end",
        "101/?end",
    ] {
        let handler = Script::new(true);
        let input = format!("GET /pieces/{target} HTTP/1.1\r\nHost: a\r\n\r\n{LAST}");
        let got = replies(&connect(&handler).talk(input).await, &["GET"]);
        assert_eq!((got.len(), got[0].status), (1, 500), "{target}");
        assert_eq!(handler.refused(), [Refusal::Internal], "{target}");
    }
}

#[tokio::test]
async fn fields_leave_in_their_order_and_once_each_value() {
    let got = raw("GET /pieces/200/?end&link", "").await;
    let fields = "link: </a>\r\nlink: </b>\r\nx-between: \r\ncontent-length: 0\r\n";
    assert_eq!(got, dated("200 OK", fields));
}

#[tokio::test]
async fn rfc_9112_section_9_6_a_client_that_closes_its_sending_half_after_the_answer_began_gets_all_of_it() {
    let handler = Script::new(true);
    let mut client = connect_with(&handler, Limits::default(), 1000);
    client.send("GET /pieces/200/50000,p,50000,p,50000?exact HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut first = [0; 12];
    client.io.read_exact(&mut first).await.unwrap();
    client.io.shutdown().await.unwrap();
    let mut rest = client.read_to_end().await;
    rest.splice(0..0, first);
    assert_eq!(replies(&rest, &["GET"])[0].body.len(), 150_000);
}

#[tokio::test]
async fn a_client_that_goes_away_behind_pipelined_requests_ends_the_one_that_is_worked_on() {
    let handler = Script::new(true);
    let mut client = connect(&handler);
    client.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await;
    handler.seen.entered.notified().await;
    client.send(LAST).await;
    drop(client.io);
    handler.seen.drop_noticed.notified().await;
    client.server.await.unwrap();
    assert_eq!(handler.handled(), ["GET /wait"]);
    assert_eq!(handler.seen.fast.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_stalls_is_given_up_in_the_middle_of_any_body() {
    for target in ["100000?exact", "100000", "10,p,100000", "1000,1000,1000"] {
        let handler = Script::new(true);
        let mut client = connect_with(&handler, Limits::default(), 1000);
        client.send(format!("GET /pieces/200/{target} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let mut some = [0; 500];
        client.io.read_exact(&mut some).await.unwrap();
        let start = super::super::timer::tests_now();
        client.server.await.unwrap();
        assert_eq!(start.elapsed(), Duration::from_secs(30), "{target}");
    }
}

/// What has come so far of a body is not kept back until there is more.
#[tokio::test]
async fn an_event_leaves_when_it_is_there() {
    let handler = Script::new(true);
    let mut client = connect(&handler);
    client.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.read_until("\r\n\r\n7\r\nfirst\n\n\r\n").await;
    handler.seen.release.notify_one();
    client.read_until("8\r\nsecond\n\n\r\n0\r\n\r\n").await;
}

/// What is there at once leaves at once: head, pieces and end in one write.
#[tokio::test]
async fn an_answer_that_waits_for_nothing_is_one_write() {
    for target in ["1000?exact", "1000,30000,20?exact", "1000,30000,20", "?end", "5000,t?trailer"] {
        let handler = Script::new(true);
        let (client, writes) = connect_tapped(&handler, 64 * 1024, true);
        let request = format!("GET /pieces/200/{target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let got = client.talk(request).await;
        assert_eq!((replies(&got, &["GET"]).len(), writes.load(Ordering::SeqCst)), (1, 1), "{target}");
    }
}
