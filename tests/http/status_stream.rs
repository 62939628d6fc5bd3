//! `/status` and `/status/stream` (interface.md §3): what the dashboard and `larder top` live on.

use crate::support::{Client, House, Origin, request, soon};
use larder::purge::Mode;
use serde_json::{Value, json};

const PAGE: &str = "200 OK\nCache-Tag: t, u\nCache-Control: max-age=60\n\n0123456789";

async fn status(house: &House) -> Value {
    serde_json::from_slice(&house.admin("/status").await.body).unwrap()
}

#[tokio::test]
async fn a_snapshot_holds_what_was_counted() {
    let mut house = House::new("").await;
    let before = status(&house).await;
    assert_eq!((&before["hit_ratio"], &before["byte_hit_ratio"]), (&Value::Null, &Value::Null));
    assert_eq!((&before["shared"], &before["not_stored"]), (&Value::Null, &json!([])));
    house.fetched("/x?token=secret", PAGE).await;
    for _ in 0..3 {
        house.get("/x?token=secret").await.assert_hit();
    }
    house.fetched("/cookie", "200 OK\nSet-Cookie: a=1\nCache-Control: max-age=60\n\n0123456789").await;
    house.send("GET", "/y", &[("Cache-Control", "only-if-cached")]).await;
    house.purge_tag(Mode::Soft, "t");
    house.advance(3);
    let now = status(&house).await;
    assert_eq!(
        (&now["requests"]["hit"], &now["requests"]["miss"], &now["requests_total"]),
        (&json!(3), &json!(2), &json!(6))
    );
    assert_eq!((&now["hit_ratio"], &now["at_s"]), (&json!(0.5), &json!(3.0)));
    // The error's own text counts among the bytes that clients got.
    let sent = now["bytes"]["client"].as_u64().unwrap();
    assert_eq!(now["bytes"]["origin"], 20);
    assert_eq!(now["byte_hit_ratio"].as_f64().unwrap(), (sent - 20) as f64 / sent as f64);
    let hits = &now["latency"]["outcomes"]["hit"];
    let bounds = now["latency"]["bounds_ms"].as_array().unwrap();
    assert_eq!((&hits["count"], &bounds[0], bounds.last()), (&json!(3), &json!(0.5), Some(&Value::Null)));
    assert_eq!(hits["buckets"].as_array().unwrap().len(), bounds.len());
    assert!(hits["p50_ms"].is_number() && hits["p99_ms"].is_number());
    assert_eq!(now["latency"]["outcomes"]["stale"]["p50_ms"], Value::Null);
    let why = &now["not_stored"][0];
    assert_eq!((&why["reason"], &why["count"]), (&json!("set-cookie"), &json!(1)));
    assert!(why["says"].as_str().unwrap().contains("cookie") && why["advice"].is_string());
    assert_eq!(now["refused"], json!([{ "reason": "only-if-cached", "count": 1 }]));
    let origin = &now["origins"]["app"];
    assert_eq!((&origin["up"], &origin["answers"]), (&json!(true), &json!({ "2xx": 2 })));
    assert_eq!((&origin["latency"]["count"], &origin["servers"][0]["healthy"]), (&json!(2), &json!(true)));
    assert_eq!((&now["purges"][0]["summary"], &now["purges"][0]["mode"]), (&json!("tag t"), &json!("soft")));
    assert_eq!(now["memory"]["entries"], 1);
    assert!(!now.to_string().contains("secret"), "a query never shows");
}

#[tokio::test]
async fn the_hottest_pages_and_tags_are_found() {
    let mut house = House::new("").await;
    house.fetched("/hot", PAGE).await;
    for _ in 0..1500 {
        house.get("/hot").await;
    }
    let now = status(&house).await;
    assert_eq!(now["hottest"]["pages"][0], json!({ "url": "site.example/hot", "share": 1.0 }));
    let mut tags: Vec<_> =
        now["hottest"]["tags"].as_array().unwrap().iter().map(|t| t["tag"].as_str().unwrap()).collect();
    tags.sort_unstable();
    assert_eq!(tags, ["t", "u"]);
    house.advance(3600);
    assert_eq!(status(&house).await["hottest"]["pages"], json!([]), "an hour later it is not hot any more");
}

async fn open(house: &House, headers: &[(&str, &str)]) -> Client {
    let to = house.running.admin().unwrap();
    let host = to.to_string();
    let headers: Vec<_> = headers.iter().copied().chain([("Host", &*host)]).collect();
    Client::send(to, "GET", "/status/stream", &headers).await
}

/// The snapshots of a stream that has ended.
fn snapshots(text: &str) -> Vec<Value> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap()).collect()
}

#[tokio::test]
async fn a_stream_sends_one_snapshot_after_another() {
    let mut house = House::new("").await;
    let mut stream = open(&house, &[]).await;
    stream.until("content-type: text/event-stream").await;
    stream.until("event: status\ndata: {\"version\":").await;
    house.fetched("/x", PAGE).await;
    stream.until("\"requests_total\":1,").await;
}

#[tokio::test]
async fn there_are_sixteen_places_and_who_leaves_frees_one() {
    let house = House::new("").await;
    let mut streams = Vec::new();
    for _ in 0..16 {
        let mut stream = open(&house, &[]).await;
        stream.until("event: status").await;
        streams.push(stream);
    }
    let refused = open(&house, &[]).await.reply().await;
    assert_eq!(refused.status, 503);
    assert!(refused.text().contains("/status"), "{refused:?}");
    drop(streams.pop());
    soon("a free place", async {
        loop {
            let mut stream = open(&house, &[]).await;
            stream.until("\r\n\r\n").await;
            if stream.text().starts_with("HTTP/1.1 200") {
                break;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_drain_ends_streams_and_says_so_first() {
    let mut house = House::new("").await;
    let client = house.client("GET", "/x", &[]).await;
    let asked = house.origin.next().await; // keeps the drain waiting
    let mut stream = open(&house, &[]).await;
    stream.until("\"draining\":false").await;
    let (admin, drain) = (house.running.admin().unwrap(), tokio::spawn(house.running.drain()));
    let reply = stream.reply().await;
    assert!(!reply.truncated, "ended as a message should");
    assert_eq!(snapshots(&reply.text()).last().unwrap()["draining"], true);
    let host = admin.to_string();
    let late = request(admin, "GET", "/status/stream", &[("Host", &host)], b"").await;
    assert_eq!(late.status, 503);
    asked.answer(PAGE).await;
    client.reply().await;
    soon("the end", drain).await.unwrap();
}

#[tokio::test]
async fn a_stream_needs_a_token_and_ends_when_that_is_taken_away() {
    let origin = Origin::start().await;
    let yaml = |secret: &str, origin: &Origin| {
        format!(
            "server: {{ listen: [{{ address: \"127.0.0.1:0\" }}] }}\n\
             admin: {{ address: \"127.0.0.1:0\", tokens: [{{ name: r, secret: {secret}, allow: [read] }}] }}\n\
             log: {{ access: off }}\norigins: {{ app: {{ servers: [\"http://{}\"] }} }}\nrules: [{{ name: all, origin: app }}]\n",
            origin.address
        )
    };
    let house = House::start(&yaml("a-long-enough-secret-for-this", &origin), origin).await;
    assert_eq!(open(&house, &[]).await.reply().await.status, 401);
    let mut stream = open(&house, &[("Authorization", "Bearer a-long-enough-secret-for-this")]).await;
    stream.until("event: status").await;
    let other = yaml("another-long-enough-secret-for-this", &house.origin);
    let loaded = larder::config::parse("t.yaml", &other, std::path::Path::new("."), &|_| None).unwrap();
    house.running.reload(loaded.config).unwrap();
    assert!(!stream.reply().await.truncated);
}

/// Not only rates: whatever a reload does to the rules, nothing that was counted is forgotten.
#[tokio::test]
async fn counters_never_fall() {
    let mut house = House::new("").await;
    house.fetched("/x", PAGE).await;
    let yaml = format!(
        "server: {{ listen: [{{ address: \"127.0.0.1:0\" }}] }}\nadmin: {{ address: \"127.0.0.1:0\" }}\nlog: {{ access: off }}\n\
         origins: {{ app: {{ servers: [\"http://{}\"] }} }}\nrules: [{{ name: renamed, origin: app }}]\n",
        house.origin.address
    );
    let loaded = larder::config::parse("t.yaml", &yaml, std::path::Path::new("."), &|_| None).unwrap();
    house.running.reload(loaded.config).unwrap();
    assert_eq!(status(&house).await["requests"]["miss"], 1);
}
