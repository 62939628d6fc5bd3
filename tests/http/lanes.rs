//! Both lanes give the same answers (performance.md, "what follows" 2): the same request with a field that means nothing but
//! that the fast lane leaves it alone. And what a thread has at hand is never older than the store.

use crate::support::{House, Origin, Reply, soon, until};
use bytes::Bytes;
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

/// A request over HTTP/2, in cleartext.
async fn h2(house: &House, method: &str, path: &str, fields: &[(&str, &str)]) -> Reply {
    let io = tokio::net::TcpStream::connect(house.address()).await.unwrap();
    let (mut client, connection) = h2::client::handshake(io).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut request = http::Request::builder().method(method).uri(format!("http://site.example{path}"));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let (answer, _) = client.send_request(request.body(()).unwrap(), true).unwrap();
    let (head, mut rest) = soon("an answer", answer).await.unwrap().into_parts();
    let mut body = Vec::new();
    while let Some(piece) = soon("its body", rest.data()).await {
        let piece = piece.unwrap();
        rest.flow_control().release_capacity(piece.len()).unwrap();
        body.extend_from_slice(&piece);
    }
    drop((client, rest));
    soon("the end", connection).await.unwrap().unwrap();
    let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
    Reply {
        status: head.status.as_u16(),
        headers: head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body: Bytes::from(body),
        trailers: Vec::new(),
        truncated: false,
        interim: Vec::new(),
    }
}

/// The fast lane has `Age` behind all that it has prepared; on the ordinary way our `Via` follows, if no rule changes the
/// order.
fn is_fast_h2(reply: &Reply) -> bool {
    let counted = |name: &str| !matches!(name, "cache-status" | "content-length" | "content-range");
    reply.headers.iter().rfind(|(name, _)| counted(name)).is_some_and(|(name, _)| name == "age")
}

#[tokio::test]
async fn http_2_has_the_same_answers_on_both_lanes() {
    for rule in [
        "",
        "response_headers: { set: { X-New: \"1\", Content-Language: de, Vary: X }, remove: [X-Other] }",
        "response_headers: { remove: [ETag, Content-Type, Link] }",
        "compress: { algorithms: [gzip], min: 1B }",
    ] {
        let mut house = House::new(rule).await;
        house.fetched("/x", STORED).await;
        house.advance(7);
        for _ in 0..2 {
            h2(&house, "GET", "/x", &[]).await.assert_hit();
        }
        for (method, fields, _) in REQUESTS {
            let fields: Vec<_> = fields.iter().map(|(n, v)| (n.to_ascii_lowercase(), *v)).collect();
            let fields: Vec<_> = fields.iter().map(|(n, v)| (&**n, *v)).chain([("te", "trailers")]).collect();
            let fast = h2(&house, method, "/x", &fields).await;
            // Means nothing, but that the fast lane leaves it alone.
            let slow = h2(&house, method, "/x", &[&fields[..], &[("cache-control", "x")]].concat()).await;
            assert_eq!(essence(&fast), essence(&slow), "{rule}: {method} {fields:?}");
            if rule.is_empty() {
                assert!(!is_fast_h2(&slow), "{slow:?}");
                assert_eq!(is_fast_h2(&fast), fast.status != 416, "{method} {fields:?}");
            }
        }
    }
}

#[tokio::test]
async fn http_2_and_http_1_share_what_is_remembered_of_a_url() {
    let mut house = House::new("").await;
    let body = "x".repeat(200_000);
    house.fetched("/x", &format!("200 OK\nCache-Control: max-age=60\n\n{body}")).await;
    house.get("/x").await.assert_hit();
    assert!(is_fast(&house.get("/x").await));
    for fields in [&[][..], &[("x-forwarded-for", "192.0.2.1")], &[("cookie", "a=b"), ("cookie", "c=d")]] {
        // More than the client has room for at first.
        let reply = h2(&house, "GET", "/x", fields).await;
        assert!(is_fast_h2(&reply) && reply.text() == body);
    }
    for fields in [&[("authorization", "x")][..], &[("pragma", "x")], &[("expect", "100-continue")]] {
        let reply = h2(&house, "GET", "/x", fields).await;
        assert!(!is_fast_h2(&reply) && reply.text() == body, "{fields:?}");
    }
    assert_eq!(h2(&house, "GET", "/x", &[("host", "other.example")]).await.status, 400);
}

const CACHED: &str = "200 OK\nCache-Control: max-age=60\n\n";

#[tokio::test]
async fn what_a_client_claims_of_proxies_changes_nothing_and_costs_nothing() {
    let mut house = House::new("").await;
    house.fetched("/x", STORED).await;
    house.get("/x").await.assert_hit();
    for fields in [
        &[("X-Forwarded-For", "192.0.2.1")][..],
        &[("X-Forwarded-Proto", "https")],
        &[("X-Forwarded-Host", "evil.example")],
        &[("X-Forwarded-Port", "443"), ("X-Real-IP", "192.0.2.1"), ("True-Client-IP", "192.0.2.1")],
        &[("Forwarded", "for=192.0.2.1;proto=https;host=evil.example")],
        &[("X-Original-URL", "/evil"), ("X-HTTP-Method-Override", "DELETE")],
        &[("X-Forwarded-For", "192.0.2.1"), ("If-None-Match", "\"1\"")],
    ] {
        assert!(ask_both(&house, "GET", "/x", fields).await, "{fields:?}");
        assert!(is_fast(&house.send("GET", "/x", fields).await), "again: {fields:?}");
    }
    // Nobody in earnest sends one.
    assert!(!ask_both(&house, "GET", "/x", &[("X_Forwarded_For", "192.0.2.1")]).await);
}

#[tokio::test]
async fn an_answer_that_varies_on_such_a_field_is_left_to_the_ordinary_way() {
    for (name, fast) in [
        // We say something in these ourselves.
        ("X-Forwarded-For", false),
        ("X-Forwarded-Proto", false),
        ("Forwarded", false),
        // To the origin and to `Vary` they are not there.
        ("X-Real-IP", true),
        ("X-Forwarded-Port", true),
        ("X-Original-URL", true),
    ] {
        let mut house = House::new("").await;
        house.fetched("/x", &format!("200 OK\nVary: {name}\nCache-Control: max-age=60\n\nx")).await;
        house.get("/x").await.assert_hit();
        for value in ["1", "2"] {
            for _ in 0..2 {
                house.send("GET", "/x", &[(name, value)]).await.assert_hit();
                assert_eq!(ask_both(&house, "GET", "/x", &[(name, value)]).await, fast, "{name}");
            }
        }
        assert_eq!(ask_both(&house, "GET", "/x", &[]).await, fast, "{name}");
    }
}

async fn behind_a_proxy() -> House {
    let origin = Origin::start().await;
    let yaml = format!(
        "server: {{ listen: [{{ address: \"127.0.0.1:0\" }}], trusted_proxies: [127.0.0.0/8] }}\n\
         admin: {{ address: off }}\nlog: {{ access: off }}\n\
         origins: {{ app: {{ servers: [\"http://{}\"] }} }}\nrules: [{{ name: all, origin: app }}]\n",
        origin.address
    );
    House::start(&yaml, origin).await
}

/// What a trusted proxy says of the scheme and the host is part of the key: it must not get lost on the fast lane, and nothing
/// else may be taken for it.
#[tokio::test]
async fn a_trusted_proxy_is_believed_on_the_fast_lane() {
    let mut house = behind_a_proxy().await;
    let https: &[(&str, &str)] = &[("X-Forwarded-Proto", "https"), ("X-Forwarded-For", "192.0.2.1")];
    let other: &[(&str, &str)] = &[("X-Forwarded-Host", "Other.example"), ("X-Forwarded-Proto", "https")];
    for (fields, text) in [(&[][..], "http"), (https, "https"), (other, "other")] {
        house.exchange("GET", "/x", fields, &format!("{CACHED}{text}")).await;
        house.send("GET", "/x", fields).await.assert_hit();
    }
    let two = "192.0.2.1, 127.0.0.9";
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[], "http"),
        (&[("X-Forwarded-For", "192.0.2.7")], "http"),
        (&[("X-Forwarded-Proto", "http")], "http"),
        (&[("X-Forwarded-Proto", "gopher")], "http"),
        (https, "https"),
        (&[("X-Forwarded-Proto", "wss"), ("X-Forwarded-Port", "443"), ("X-Real-IP", "192.0.2.8")], "https"),
        (&[("X-Forwarded-For", two), ("X-Forwarded-Proto", "https, http")], "https"),
        (&[("X-Forwarded-For", two), ("X-Forwarded-Proto", "http, https")], "http"),
        (&[("X-Forwarded-For", two), ("X-Forwarded-Proto", "http"), ("X-Forwarded-Proto", "https")], "http"),
        (&[("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Proto", "http, https")], "https"),
        (&[("Forwarded", "for=192.0.2.1;proto=https")], "https"),
        (&[("Forwarded", "for=192.0.2.1;proto=http, for=127.0.0.9;proto=https")], "http"),
        (&[("Forwarded", "for=192.0.2.1;proto=https;host=Other.example")], "other"),
        (&[("Forwarded", "for=192.0.2.1;proto=https;;host=\"x")], "http"),
        (&[("Forwarded", "proto=https"), ("X-Forwarded-For", "192.0.2.1")], "http"),
        (other, "other"),
        (&[("X-Forwarded-Host", "evil.example, Other.example"), ("X-Forwarded-Proto", "https")], "other"),
    ];
    for (fields, text) in cases {
        for _ in 0..2 {
            assert!(ask_both(&house, "GET", "/x", fields).await, "{fields:?}");
            assert_eq!(house.send("GET", "/x", fields).await.text(), *text, "{fields:?}");
        }
    }
    let lower: Vec<_> = https.iter().map(|(name, value)| (name.to_ascii_lowercase(), *value)).collect();
    let lower: Vec<_> = lower.iter().map(|(name, value)| (&**name, *value)).collect();
    let reply = h2(&house, "GET", "/x", &lower).await;
    assert_eq!((reply.text(), is_fast_h2(&reply)), ("https".to_owned(), true));
    house.quiet().await;
}

/// Of a trusted proxy the fields that hold an address go to the origin as they came, so an answer may vary on them.
#[tokio::test]
async fn what_a_trusted_proxy_says_of_the_address_selects_a_variant() {
    let mut house = behind_a_proxy().await;
    for address in ["192.0.2.1", "192.0.2.2"] {
        let fields = &[("X-Real-IP", address)][..];
        house
            .exchange(
                "GET",
                "/x",
                fields,
                &format!("200 OK\nVary: X-Real-IP\nCache-Control: max-age=60\n\n{address}"),
            )
            .await;
        for _ in 0..3 {
            let reply = house.send("GET", "/x", fields).await;
            reply.assert_hit();
            assert_eq!(reply.text(), address);
        }
        assert!(ask_both(&house, "GET", "/x", fields).await);
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
    let (fast, slow) =
        (h2(&house, "GET", "/x", &[]).await, h2(&house, "GET", "/x", &[("cache-control", "x")]).await);
    assert_eq!(essence(&fast), essence(&slow));
    assert!(is_fast_h2(&fast) && !is_fast_h2(&slow));
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
    let entry = Arc::downgrade(&resource.variants()[0]);
    engine.memory.remove(&key, &resource.variants()[0]);
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
