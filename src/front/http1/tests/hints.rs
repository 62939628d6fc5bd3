//! Interim responses (RFC 9110 §15.2, RFC 8297) on their way through the gate.

use super::support::*;
use crate::front::handler::Limits;

fn statuses(replies: &[Reply]) -> Vec<u16> {
    replies.iter().map(|r| r.status).collect()
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

const LAST: &str = "GET /hit/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn hints_precede_their_own_answer_between_pipelined_hits() {
    let input = [&get("/hit/3"), &get("/hints"), &get("/hit/3000"), &get("/hints/at-once"), LAST].concat();
    for pipe in [64 * 1024, 1, 5] {
        let handler = Script::new(true);
        let got = connect_with(&handler, Limits::default(), pipe).talk(&input).await;
        let got = replies(&got, &["GET"; 5]);
        assert_eq!(statuses(&got), [200, 103, 102, 103, 200, 200, 103, 103, 200, 200]);
        let links: Vec<_> = got.iter().filter_map(|r| r.header("link")).collect();
        assert_eq!(links, ["</a>", "</b>", "</c>", "</a>", "</b>"]);
        assert_eq!((&*got[4].body, &*got[8].body), ("hinted", "hinted"));
    }
}

#[tokio::test]
async fn a_hint_from_another_task_does_not_wait_for_the_answer() {
    let handler = Script::new(true);
    let mut client = connect(&handler);
    client.send(get("/hints/elsewhere")).await;
    handler.seen.entered.notified().await;
    // The handler is not released: this arrives while it waits.
    assert!(client.read_until("\r\n\r\n").await.starts_with("HTTP/1.1 103 Early Hints\r\nlink: </a>"));
    handler.seen.release.notify_one();
    client.send(LAST).await;
    assert_eq!(statuses(&replies(&client.read_to_end().await, &["GET"; 2])), [200, 200]);
}

#[tokio::test]
async fn no_hint_gets_into_the_answer_however_late_it_comes() {
    for pipe in [64 * 1024, 100] {
        let handler = Script::new(true);
        let got =
            connect_with(&handler, Limits::default(), pipe).talk([&get("/hints/late"), LAST].concat()).await;
        let got = replies(&got, &["GET"; 2]);
        assert_eq!(statuses(&got), [103, 200, 200]);
        assert_eq!(got[1].body.len(), 50_000);
    }
}

#[tokio::test]
async fn rfc_9110_section_15_2_no_1xx_to_http_1_0() {
    let handler = Script::new(true);
    let got = ask(&handler, "GET /hints HTTP/1.0\r\nHost: a\r\n\r\n", &["GET"]).await;
    assert_eq!(statuses(&got), [200]);
}

#[tokio::test]
async fn an_origin_cannot_hint_without_end() {
    let handler = Script::new(true);
    let got = ask(&handler, [&get("/hints/many"), LAST].concat(), &["GET"; 2]).await;
    assert_eq!(got.iter().filter(|r| r.status == 103).count(), 16);
    assert_eq!(statuses(&got[16..]), [200, 200]);
}

#[tokio::test]
async fn hints_and_100_continue_do_not_tear_each_other_apart() {
    for pipe in [64 * 1024, 1, 30] {
        let handler = Script::new(true);
        let mut client = connect_with(&handler, Limits::default(), pipe);
        client
            .send("POST /hints/around-body HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
            .await;
        let first = client.read_until("HTTP/1.1 100 Continue\r\n\r\n").await;
        assert_eq!(statuses(&replies(first.as_bytes(), &[])), [103, 100]);
        let got = client.talk(["x", &get("/hints"), LAST].concat()).await;
        let got = replies(&got, &["POST", "GET", "GET"]);
        assert_eq!(statuses(&got), [103, 200, 103, 102, 103, 200, 200]);
        assert_eq!(got[1].body, "x");
    }
}
