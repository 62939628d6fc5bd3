//! A node whose store can't be reached: nobody knows what was purged elsewhere (design: purge rules 4; rulings 12, 18, 19).

use crate::support::House;

/// A house whose store is a port that nobody listens on.
async fn cut_off(when_unsynced: &str) -> House {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let shared = format!(
        "shared: {{ url: \"redis://127.0.0.1:{port}\", max_unsynced: 10s, when_unsynced: {when_unsynced} }}"
    );
    House::with_rules("  - name: all\n    origin: app\n", &shared).await
}

const PAGE: &str = "200 OK\nETag: \"1\"\nCache-Control: max-age=3600, stale-if-error=3600\n\npage";

#[tokio::test]
async fn rulings_19_an_entry_is_used_for_one_period_after_its_own_fill_then_validated_once() {
    let mut house = cut_off("revalidate").await;
    assert_eq!(house.fetched("/x", PAGE).await.cache_status(), "larder; fwd=uri-miss; stored; ttl=3600");
    house.advance(9);
    assert_eq!(house.get("/x").await.cache_status(), "larder; hit; ttl=3591");
    house.advance(1);
    let (reply, seen) = house.exchange("GET", "/x", &[], "304 Not Modified\nETag: \"1\"").await;
    assert_eq!(seen.header("if-none-match"), Some("\"1\""));
    assert_eq!(reply.text(), "page");
    assert!(reply.cache_status().contains("fwd=stale; fwd-status=304"), "{}", reply.cache_status());
    house.advance(9);
    assert!(house.get("/x").await.cache_status().contains("hit"));
    house.quiet().await;
}

#[tokio::test]
async fn rulings_19_when_the_origin_fails_too_stale_windows_still_help_but_not_after_a_purge_it_knows_of() {
    let mut house = cut_off("revalidate").await;
    house.fetched("/x", PAGE).await;
    house.fetched("/y", PAGE).await;
    house.advance(11);
    let (reply, _) = house.exchange("GET", "/x", &[], "503 Service Unavailable").await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "page"));
    let body = r#"{"urls":["http://site.example/y"]}"#;
    let purge = house.purge_call(body).await;
    assert_eq!(purge.status, 202);
    assert!(purge.text().contains("fleet unreachable"), "{}", purge.text());
    let (reply, _) = house.exchange("GET", "/y", &[], "503 Service Unavailable").await;
    assert_eq!(reply.status, 503);
}

#[tokio::test]
async fn rulings_19_a_fetch_that_began_before_the_period_is_not_joined() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let shared = format!("shared: {{ url: \"redis://127.0.0.1:{port}\", max_unsynced: 10s }}");
    let rules = "  - name: all\n    origin: app\n    coalesce: { wait: 60s }\n";
    let mut house = House::with_rules(rules, &shared).await;
    let first = house.client("GET", "/x", &[]).await;
    let before = house.origin.next().await;
    house.advance(9);
    let second = house.client("GET", "/x", &[]).await;
    house.waiting(1).await;
    house.advance(1);
    // Something may have been purged meanwhile, and the first fetch knows nothing of it.
    let third = house.client("GET", "/x", &[]).await;
    let after = house.origin.next().await;
    after.answer("200 OK\nCache-Control: max-age=3600\n\nnew").await;
    assert_eq!(third.reply().await.text(), "new");
    before.answer("200 OK\nCache-Control: max-age=3600\n\nold").await;
    assert_eq!((first.reply().await.text(), second.reply().await.text()), ("old".into(), "old".into()));
}

#[tokio::test]
async fn serve_goes_on_and_bypass_passes() {
    let mut house = cut_off("serve").await;
    house.fetched("/x", PAGE).await;
    house.advance(1000);
    assert_eq!(house.get("/x").await.cache_status(), "larder; hit; ttl=2600");

    let mut house = cut_off("bypass").await;
    for _ in 0..2 {
        let reply = house.fetched("/x", PAGE).await;
        assert_eq!(reply.cache_status(), "larder; fwd=bypass; detail=unsynced");
    }
}

#[tokio::test]
async fn readiness_stays_and_tells() {
    let house = cut_off("revalidate").await;
    let reply = house.admin("/readyz").await;
    assert_eq!(reply.status, 200);
    assert!(reply.text().contains(r#""shared":"down""#), "{}", reply.text());
    assert_eq!(house.metric("larder_unsynced").await, 1.0);
}
