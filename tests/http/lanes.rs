//! Both lanes give the same answers (performance.md, "what follows" 2): the same request with a field that means nothing but
//! that the fast lane leaves it alone. And what a thread has at hand is never older than the store.

use crate::support::{House, Reply, until};
use larder::purge::{Mode, Selector};
use std::sync::Arc;

const STORED: &str = "200 OK\nETag: \"1\"\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\nContent-Type: text/plain\n\
    Content-Language: en\nLink: <a>\nLink: <b>\nX-Other: 1\nCache-Status: origin; hit\nCache-Control: max-age=60\n\n0123456789";

/// The fast lane alone puts `Age` last.
fn is_fast(reply: &Reply) -> bool {
    reply.headers.iter().rfind(|(name, _)| name != "connection").is_some_and(|(name, _)| name == "age")
}

/// What two answers must have in common: everything but the order of different fields.
fn essence(reply: &Reply) -> (u16, Vec<(String, String)>, String) {
    let mut headers = reply.headers.clone();
    headers.sort_by(|a, b| a.0.cmp(&b.0));
    (reply.status, headers, reply.text())
}

/// Asks both lanes; whether the fast one took it.
async fn ask_both(house: &House, method: &str, path: &str, fields: &[(&str, &str)]) -> bool {
    let fast = house.send(method, path, fields).await;
    let slow = house.send(method, path, &[fields, &[("TE", "trailers")]].concat()).await;
    assert!(!is_fast(&slow), "{slow:?}");
    assert_eq!(essence(&fast), essence(&slow), "{method} {fields:?}");
    is_fast(&fast)
}

/// A request (method, fields), and whether it is for the fast lane.
type Case = (&'static str, &'static [(&'static str, &'static str)], bool);

const REQUESTS: &[Case] = &[
    ("GET", &[], true),
    ("HEAD", &[], true),
    ("GET", &[("Cookie", "a=b"), ("Accept", "*/*")], true),
    ("GET", &[("If-None-Match", "\"1\"")], true),
    ("HEAD", &[("If-None-Match", "W/\"1\"")], true),
    ("GET", &[("If-None-Match", "\"2\"")], true),
    ("GET", &[("If-None-Match", "\"2\""), ("If-None-Match", "\"1\"")], true),
    ("GET", &[("If-None-Match", "*")], true),
    ("GET", &[("If-None-Match", "\"2\""), ("If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT")], true),
    ("GET", &[("If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT")], true),
    ("GET", &[("If-Modified-Since", "Sun, 06 Nov 1994 08:49:36 GMT")], true),
    ("GET", &[("If-Modified-Since", "nonsense")], true),
    ("GET", &[("Range", "bytes=2-4")], true),
    ("HEAD", &[("Range", "bytes=2-4")], true),
    ("GET", &[("Range", "bytes=-1")], true),
    ("GET", &[("Range", "bytes=0-")], true),
    ("GET", &[("Range", "bytes=9-9999999999999999999999")], true),
    ("GET", &[("Range", "bytes=2-4"), ("Range", "bytes=0-0")], true),
    ("GET", &[("Range", "items=2-4")], true),
    ("GET", &[("Range", "bytes=2-4"), ("If-Range", "\"1\"")], true),
    ("GET", &[("Range", "bytes=2-4"), ("If-Range", "\"2\"")], true),
    ("GET", &[("Range", "bytes=2-4"), ("If-None-Match", "\"1\"")], true),
    ("GET", &[("If-Range", "\"1\"")], true),
    ("GET", &[("Range", "bytes=10-")], false),
];

#[tokio::test]
async fn both_lanes_give_the_same_answers() {
    for rule in [
        "",
        "response_headers: { set: { X-New: \"1\", Content-Language: de, Vary: X }, remove: [X-Other] }",
        "response_headers: { remove: [ETag, Content-Type, Link] }",
        "response_headers: { set: { ETag: '\"2\"', Link: <c> } }",
    ] {
        let mut house = House::new(rule).await;
        house.fetched("/x", STORED).await;
        house.advance(7);
        for _ in 0..2 {
            house.get("/x").await.assert_hit();
        }
        for (method, fields, fast) in REQUESTS {
            assert_eq!(ask_both(&house, method, "/x", fields).await, *fast, "{rule}: {method} {fields:?}");
        }
    }
}

#[tokio::test]
async fn a_head_that_a_rule_cuts_into_is_whole_or_left_alone() {
    for rule in ["response_headers: { set: { Content-Range: odd } }", "browser_ttl: 5s"] {
        let mut house = House::new(rule).await;
        house.fetched("/x", STORED).await;
        house.get("/x").await.assert_hit();
        for (method, fields, _) in REQUESTS {
            ask_both(&house, method, "/x", fields).await;
        }
        assert!(!ask_both(&house, "GET", "/x", &[("Range", "bytes=2-4")]).await);
        assert!(!ask_both(&house, "GET", "/x", &[("If-None-Match", "\"1\"")]).await);
    }
}

#[tokio::test]
async fn other_statuses_have_no_ranges() {
    let mut house = House::new("").await;
    house.fetched("/x", "404 Not Found\nETag: \"1\"\nCache-Control: max-age=60\n\n0123456789").await;
    house.get("/x").await.assert_hit();
    for (method, fields, _) in REQUESTS {
        assert!(ask_both(&house, method, "/x", fields).await, "{method} {fields:?}");
        let reply = house.send(method, "/x", fields).await;
        assert_eq!(reply.status, 404);
    }
}

#[tokio::test]
async fn what_is_stale_is_for_the_fast_lane_while_it_is_being_refreshed() {
    let mut house = House::new("").await;
    house.fetched("/x", &STORED.replace("max-age=60", "max-age=60, stale-while-revalidate=30")).await;
    for _ in 0..2 {
        house.get("/x").await.assert_hit();
    }
    house.advance(70);
    // The first request has a refresh to start: that is not the fast lane's.
    assert!(!is_fast(&house.get("/x").await));
    let refresh = house.origin.next().await;
    for (method, fields, fast) in REQUESTS {
        assert_eq!(ask_both(&house, method, "/x", fields).await, *fast, "{method} {fields:?}");
    }
    let stale = house.get("/x").await;
    assert_eq!(stale.cache_status(), "larder; hit; ttl=-10; detail=stale-while-revalidate");
    let served = house.metric("larder_stale_served_total{why=\"stale-while-revalidate\"}").await;
    assert_eq!(served, (2 * REQUESTS.len() + 2) as f64);
    // Past its window it waits for the refresh, by the ordinary way.
    house.advance(30);
    let waits = house.client("GET", "/x", &[]).await;
    house.waiting(1).await;
    refresh.answer("200 OK\nCache-Control: max-age=60\n\nnew").await;
    assert_eq!(waits.reply().await.text(), "new");
}

#[tokio::test]
async fn what_a_thread_has_at_hand_is_never_older_than_the_store() {
    let mut house = House::new("").await;
    for round in 0..3 {
        for text in ["first", "second"] {
            house.fetched("/x", &format!("200 OK\nCache-Control: max-age=60\n\n{text}")).await;
            for _ in 0..40 {
                let reply = house.get("/x").await;
                assert_eq!(reply.text(), text, "{round}");
            }
            assert!(is_fast(&house.get("/x").await));
            if round == 0 {
                house.advance(100);
            } else {
                house.purge(Mode::Hard, Selector::url("http://site.example/x").unwrap());
            }
        }
    }
    house.quiet().await;
}

#[tokio::test]
async fn a_thread_lets_go_of_what_has_left_the_store() {
    let mut house = House::new("").await;
    house.fetched("/x", STORED).await;
    for _ in 0..3 {
        house.get("/x").await.assert_hit();
    }
    let engine = house.running.engine();
    let (key, resource) = engine.memory.iter().next().unwrap();
    let entry = Arc::downgrade(&resource.variants[0]);
    engine.memory.remove(&key, &resource.variants[0]);
    drop((key, resource));
    // The map of the store frees its values when it is next looked after.
    until("the entry to be freed", || {
        engine.memory.bytes();
        entry.strong_count() == 0
    })
    .await;
}

#[tokio::test]
async fn each_spelling_of_a_request_gets_its_variant() {
    let mut house = House::new("").await;
    let answer =
        |text: &str| format!("200 OK\nVary: Accept-Encoding, X-Kind\nCache-Control: max-age=60\n\n{text}");
    for coding in ["gzip", "br"] {
        house.exchange("GET", "/v", &[("Accept-Encoding", coding)], &answer(coding)).await;
    }
    // More spellings than are remembered, all of two meanings.
    let spellings: Vec<(String, &str)> =
        (0..20).flat_map(|n| ["gzip", "br"].map(|coding| (format!("{coding}, x-{n}"), coding))).collect();
    for _ in 0..4 {
        for (spelling, text) in &spellings {
            let reply = house.send("GET", "/v", &[("Accept-Encoding", spelling)]).await;
            assert_eq!(reply.text(), *text, "{spelling}");
            reply.assert_hit();
        }
    }
    let (empty, _) =
        house.exchange("GET", "/v", &[("Accept-Encoding", "gzip"), ("X-Kind", "")], &answer("empty")).await;
    assert_eq!(empty.text(), "empty", "empty is not absent");
    for (fields, text) in [
        (&[("Accept-Encoding", "gzip")][..], "gzip"),
        (&[("Accept-Encoding", "x-0"), ("Accept-Encoding", "gzip")][..], "gzip"),
        (&[("Accept-Encoding", "br")][..], "br"),
        (&[("X-Kind", ""), ("Accept-Encoding", "gzip")][..], "empty"),
    ] {
        for _ in 0..3 {
            assert!(ask_both(&house, "GET", "/v", fields).await);
            assert_eq!(house.send("GET", "/v", fields).await.text(), text);
        }
    }
}
