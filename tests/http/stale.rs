//! Serving stale while a refresh is on its way (RFC 5861 §3), early refresh, and how long things live.

use crate::support::{House, Reply};

const SWR: &str = "200 OK\nETag: \"1\"\nCache-Control: max-age=60, stale-while-revalidate=30\n\nold";

#[track_caller]
fn is_stale(reply: &Reply, ttl: i64) {
    assert_eq!(reply.cache_status(), format!("larder; hit; ttl={ttl}; detail=stale-while-revalidate"));
    assert_eq!(reply.text(), "old");
}

#[tokio::test]
async fn rfc5861_3_one_refresh_per_entry_however_many_are_served_meanwhile() {
    let mut house = House::new("").await;
    house.fetched("/s", SWR).await;
    house.advance(70);
    is_stale(&house.get("/s").await, -10);
    let refresh = house.origin.next().await;
    for _ in 0..20 {
        is_stale(&house.get("/s").await, -10);
    }
    house.quiet().await;
    refresh.answer("200 OK\nCache-Control: max-age=60, stale-while-revalidate=30\n\nnew").await;
    house.settled().await;
    let fresh = house.get("/s").await;
    assert_eq!(fresh.cache_status(), "larder; hit; ttl=60");
    assert_eq!(fresh.text(), "new");
}

#[tokio::test]
async fn a_refresh_carries_nothing_of_the_client_that_caused_it() {
    let mut house = House::new("key: { headers: [X-Tenant] }").await;
    let answer = "200 OK\nVary: Accept-Language\nETag: \"1\"\nCache-Control: max-age=60, stale-while-revalidate=30\n\nold";
    let select = [("Accept-Language", "de"), ("X-Tenant", "t")];
    house.exchange("GET", "/s", &select, answer).await;
    house.advance(70);
    let client = [
        ("Accept-Language", "de"),
        ("X-Tenant", "t"),
        ("Cookie", "id=1"),
        ("Authorization", "Bearer x"),
        ("Range", "bytes=0-0"),
        ("If-Range", "\"1\""),
        ("If-None-Match", "\"other\""),
        ("Referer", "http://site.example/secret"),
        ("User-Agent", "one of many"),
        ("X-Anything", "1"),
    ];
    assert_eq!(house.send("GET", "/s", &client).await.status, 206);
    let refresh = house.origin.next().await;
    let mut names: Vec<&str> = refresh.seen.headers.iter().map(|(n, _)| n.as_str()).collect();
    names.sort_unstable();
    // What the answer depends on, our own validator, and our own words; nothing else.
    let allowed = [
        "accept-language",
        "cdn-loop",
        "host",
        "if-none-match",
        "via",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-tenant",
    ];
    assert_eq!(names, allowed);
    assert_eq!(refresh.header("if-none-match"), Some("\"1\""));
    assert_eq!(refresh.header("accept-language"), Some("de"));
    refresh.answer("304 Not Modified\nETag: \"1\"").await;
}

#[tokio::test]
async fn a_refresh_carries_what_the_rules_add_and_the_scheme_it_is_for() {
    let mut house = House::new("request_headers: { set: { X-Edge-Key: hush } }").await;
    house.fetched("/s", SWR).await;
    house.advance(70);
    is_stale(&house.get("/s").await, -10);
    let refresh = house.origin.next().await;
    assert_eq!(refresh.header("x-edge-key"), Some("hush"), "an origin that asks for it would refuse");
    // An origin that redirects http to https would otherwise put a loop in the place of the page.
    assert_eq!(refresh.header("x-forwarded-proto"), Some("http"));
    assert_eq!(refresh.header("x-forwarded-host"), Some("site.example"));
    refresh.answer("304 Not Modified\nETag: \"1\"").await;
    house.settled().await;
    house.get("/s").await.assert_hit();
}

#[tokio::test]
async fn a_head_on_a_stale_entry_refreshes_it_with_a_get() {
    let mut house = House::new("").await;
    house.fetched("/s", "200 OK\nCache-Control: max-age=60, stale-while-revalidate=30\n\nold").await;
    house.advance(70);
    assert_eq!(house.send("HEAD", "/s", &[]).await.status, 200);
    let refresh = house.origin.next().await;
    assert_eq!(refresh.method, "GET");
    refresh.answer("200 OK\nCache-Control: max-age=60\n\nnew").await;
    house.settled().await;
    let reply = house.get("/s").await;
    reply.assert_hit();
    assert_eq!(reply.text(), "new");
}

#[tokio::test]
async fn rfc5861_3_the_window_ends_with_its_last_second() {
    let mut house = House::new("").await;
    house.fetched("/s", SWR).await;
    house.advance(90);
    is_stale(&house.get("/s").await, -30);
    let refresh = house.origin.next().await;
    refresh.answer("500 Oops\n\n").await;
    house.settled().await;
    house.advance(1);
    let (reply, seen) = house.exchange("GET", "/s", &[], "304 Not Modified\nETag: \"1\"").await;
    assert_eq!(seen.header("if-none-match"), Some("\"1\""));
    assert_eq!(reply.cache_status(), "larder; fwd=stale; fwd-status=304; stored; ttl=60");
}

#[tokio::test]
async fn who_comes_after_the_window_waits_for_the_refresh_that_is_on_its_way() {
    let mut house = House::new("").await;
    house.fetched("/s", SWR).await;
    house.advance(70);
    house.get("/s").await;
    let refresh = house.origin.next().await;
    house.advance(30);
    let late = house.client("GET", "/s", &[]).await;
    house.waiting(1).await;
    refresh.answer("200 OK\nCache-Control: max-age=60\n\nnew").await;
    let reply = late.reply().await;
    // The answer took half a minute, which is its age (RFC 9111 §4.2.3).
    assert_eq!(reply.cache_status(), "larder; fwd=stale; collapsed; ttl=30");
    assert_eq!(reply.text(), "new");
    house.quiet().await;
}

#[tokio::test]
async fn a_refresh_that_fails_is_tried_again_and_ends_nothing() {
    let mut house = House::new("").await;
    house.fetched("/s", SWR).await;
    house.advance(70);
    for failure in ["503 Service Unavailable\n\n", "", "500 Oops\n\n"] {
        is_stale(&house.get("/s").await, -10);
        let refresh = house.origin.next().await;
        if failure.is_empty() {
            refresh.break_off().await
        } else {
            refresh.answer(failure).await
        }
        house.settled().await;
    }
    is_stale(&house.get("/s").await, -10);
}

#[tokio::test]
async fn a_rules_window_serves_where_the_origin_gave_none() {
    let mut house = House::new("stale_while_revalidate: 30s").await;
    house.fetched("/s", "200 OK\nCache-Control: max-age=60\n\nold").await;
    house.advance(80);
    is_stale(&house.get("/s").await, -20);
    house.origin.next().await.answer("200 OK\nCache-Control: max-age=60\n\nnew").await;
}

#[tokio::test]
async fn rfc9111_4_2_4_what_forbids_stale_use_forbids_it() {
    for control in [
        "max-age=60, must-revalidate, stale-while-revalidate=30",
        "max-age=60, proxy-revalidate, stale-while-revalidate=30",
        "s-maxage=60",
    ] {
        let mut house = House::new("stale_while_revalidate: 30s").await;
        house.fetched("/s", &format!("200 OK\nCache-Control: {control}\n\nold")).await;
        house.advance(61);
        assert_eq!(house.fetched("/s", "200 OK\n\nnew").await.text(), "new", "{control}");
    }
}

#[tokio::test]
async fn s_maxage_beside_an_explicit_window_allows_it_unless_the_rule_is_strict() {
    let answer = "200 OK\nCache-Control: s-maxage=60, stale-while-revalidate=30\n\nold";
    let mut house = House::new("").await;
    house.fetched("/s", answer).await;
    house.advance(61);
    is_stale(&house.get("/s").await, -1);
    let mut house = House::new("strict_s_maxage: true").await;
    house.fetched("/s", answer).await;
    house.advance(61);
    assert_eq!(house.fetched("/s", "200 OK\n\nnew").await.text(), "new");
}

#[tokio::test]
async fn a_rules_window_holds_beside_s_maxage_where_the_rule_says_so() {
    let mut house = House::new("stale_while_revalidate: 30s\nstale_despite_s_maxage: true").await;
    house.fetched("/s", "200 OK\nCache-Control: s-maxage=60\n\nold").await;
    house.advance(61);
    is_stale(&house.get("/s").await, -1);
    house.origin.next().await.answer("200 OK\nCache-Control: s-maxage=60\n\nnew").await;
}

#[tokio::test]
async fn xfetch_refreshes_before_expiry_what_took_long_to_fetch() {
    let mut house = House::new("early_refresh: { beta: 100 }").await;
    let client = house.client("GET", "/dear", &[]).await;
    let asked = house.origin.next().await;
    house.advance(1000); // the head start is some 100,000 seconds, of which 10 are needed
    asked.answer("200 OK\nCache-Control: max-age=1010\n\nold").await;
    client.reply().await;
    let early = house.get("/dear").await;
    assert!(early.cache_status().starts_with("larder; hit; ttl="), "{early:?}");
    house.origin.next().await.answer("200 OK\nCache-Control: max-age=5000\n\nnew").await;
    house.settled().await;
    assert_eq!(house.get("/dear").await.text(), "new");
}

#[tokio::test]
async fn without_early_refresh_nothing_is_refreshed_before_expiry() {
    let mut house = House::new("").await;
    let client = house.client("GET", "/dear", &[]).await;
    let asked = house.origin.next().await;
    house.advance(1000);
    asked.answer("200 OK\nCache-Control: max-age=5000\n\nold").await;
    client.reply().await;
    house.get("/dear").await.assert_hit();
    house.quiet().await;
}
