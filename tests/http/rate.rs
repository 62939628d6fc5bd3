//! `rate` (interface.md §2.2): what one client may ask for under one rule; RFC 6585 §4.

use crate::support::{House, request};

const RULE: &str = "ttl: 1h\nrate: { requests: 3, per: 3s }";

#[tokio::test]
async fn hits_count_too_and_one_too_many_is_refused_with_the_time_to_come_back() {
    let mut house = House::new(RULE).await;
    house.fetched("/x", "200 OK\n\nx").await;
    for _ in 0..2 {
        house.get("/x").await.assert_hit();
    }
    let refused = house.get("/x").await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.header("proxy-status"), Some("larder;error=http_request_denied"));
    assert_eq!(refused.header("cache-control"), Some("no-store"));
    assert_eq!(refused.header("cache-status"), None, "made here");
    assert!(refused.text().contains("too-many-requests"), "{}", refused.text());
    assert_eq!(house.metric("larder_refused_total{reason=\"too-many-requests\"}").await, 1.0);
    house.advance(1);
    house.get("/x").await.assert_hit();
    assert_eq!(house.get("/x").await.status, 429);
}

/// Two requests on one connection: the second would take the fast lane.
#[tokio::test]
async fn the_fast_lane_does_not_answer_uncounted() {
    let mut house = House::new(RULE).await;
    house.fetched("/x", "200 OK\n\nx").await;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(house.address()).await.unwrap();
    let plain = "GET /x HTTP/1.1\r\nHost: site.example\r\n\r\n";
    let last = "GET /x HTTP/1.1\r\nHost: site.example\r\nConnection: close\r\n\r\n";
    stream.write_all(format!("{plain}{plain}{plain}{last}").as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert_eq!(
        (text.matches("HTTP/1.1 200").count(), text.matches("HTTP/1.1 429").count()),
        (2, 2),
        "{text}"
    );
}

#[tokio::test]
async fn a_refused_request_does_not_reach_the_origin() {
    let mut house = House::new("rate: { requests: 1, per: 1m }").await;
    let store = "200 OK\nCache-Control: no-store\n\nx";
    house.exchange("POST", "/x", &[], store).await;
    let refused = house.send("POST", "/x", &[]).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("60")));
    house.advance(60);
    house.quiet().await;
}

#[tokio::test]
async fn what_a_rule_allows_is_one_allowance_wherever_other_rules_match_too() {
    let rules = "  - { name: all, origin: app, ttl: 1h, rate: { requests: 2, per: 1m } }\n  \
                 - { name: some, match: { path: /b }, tags: b }\n  \
                 - { name: other, match: { path: /c }, rate: { requests: 1, per: 1m } }\n  \
                 - { name: free, match: { path: /d }, rate: off }\n";
    let mut house = House::with_rules(rules, "").await;
    house.fetched("/a", "200 OK\n\nx").await;
    house.fetched("/b", "200 OK\n\nx").await;
    assert_eq!(house.get("/a").await.status, 429);
    assert_eq!(house.get("/b").await.status, 429);
    house.fetched("/c", "200 OK\n\nx").await;
    assert_eq!(house.get("/c").await.status, 429);
    house.fetched("/d", "200 OK\n\nx").await;
    house.get("/d").await.assert_hit();
}

#[tokio::test]
async fn the_client_is_the_one_whom_a_trusted_proxy_names() {
    let origin = crate::support::Origin::start().await;
    let yaml = format!(
        "server: {{ listen: [{{ address: \"127.0.0.1:0\" }}], trusted_proxies: [127.0.0.1] }}\n\
         admin: {{ address: off }}\nlog: {{ access: off }}\n\
         origins: {{ app: {{ servers: [\"http://{}\"] }} }}\n\
         rules: [{{ ttl: 1h, rate: {{ requests: 1, per: 1m }}, respond: {{ status: 204 }} }}]",
        origin.address
    );
    let house = House::start(&yaml, origin).await;
    let from = async |client: &str| {
        request(house.address(), "GET", "/x", &[("X-Forwarded-For", client)], b"").await.status
    };
    assert_eq!(from("198.51.100.1").await, 204);
    assert_eq!(from("198.51.100.1").await, 429);
    assert_eq!(from("198.51.100.2").await, 204);
    assert_eq!(from("2001:db8::1").await, 204);
    assert_eq!(from("2001:db8::2").await, 429);
}
