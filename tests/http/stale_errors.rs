//! When the origin fails: stale-if-error (RFC 5861 §4) and plain disconnection (RFC 9111 §4.2.4).

use crate::support::{House, Reply};

const SIE: &str = "200 OK\nCache-Control: max-age=60, stale-if-error=100\n\nold";

/// Asks, and has the origin close the connection.
async fn disconnected(house: &mut House, method: &str, path: &str) -> Reply {
    let client = house.client(method, path, &[]).await;
    house.origin.next().await.break_off().await;
    client.reply().await
}

#[tokio::test]
async fn rfc5861_4_an_error_is_answered_with_what_is_stored() {
    for status in [500, 502, 503, 504] {
        let mut house = House::new("").await;
        house.fetched("/e", SIE).await;
        house.advance(100);
        let reply = house.fetched("/e", &format!("{status} Oops\n\nerror page")).await;
        let expected = format!("larder; fwd=stale; fwd-status={status}; ttl=-40; detail=stale-if-error");
        assert_eq!(reply.cache_status(), expected);
        assert_eq!((reply.status, reply.text().as_str()), (200, "old"));
        assert_eq!(reply.header("age"), Some("100"));
    }
}

#[tokio::test]
async fn rfc5861_4_other_statuses_are_no_errors() {
    let mut house = House::new("").await;
    house.fetched("/e", SIE).await;
    house.advance(100);
    assert_eq!(house.fetched("/e", "501 Not Implemented\n\nx").await.status, 501);
    let mut house = House::new("").await;
    house.fetched("/e", SIE).await;
    house.advance(100);
    assert_eq!(house.fetched("/e", "404 Not Found\nCache-Control: no-store\n\nx").await.status, 404);
}

#[tokio::test]
async fn rfc5861_4_a_lost_connection_is_an_error() {
    let mut house = House::new("").await;
    house.fetched("/e", SIE).await;
    house.advance(100);
    let reply = disconnected(&mut house, "GET", "/e").await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "old"));
    assert_eq!(reply.cache_status(), "larder; fwd=stale; ttl=-40; detail=disconnected");
    assert_eq!(reply.header("proxy-status"), Some("larder; error=connection_terminated"));
}

#[tokio::test]
async fn the_window_ends() {
    let mut house = House::new("").await;
    house.fetched("/e", SIE).await;
    house.advance(161);
    assert_eq!(house.fetched("/e", "503 Busy\n\nx").await.status, 503);
    assert_eq!(disconnected(&mut house, "GET", "/e").await.status, 502);
}

#[tokio::test]
async fn rfc9111_4_2_4_what_must_be_revalidated_is_not_served_when_that_fails() {
    for control in ["max-age=60, must-revalidate", "max-age=60, proxy-revalidate", "s-maxage=60", "no-cache"]
    {
        let mut house = House::new("stale_if_error: 1d").await;
        house.fetched("/e", &format!("200 OK\nETag: \"1\"\nCache-Control: {control}\n\nold")).await;
        house.advance(61);
        let reply = disconnected(&mut house, "GET", "/e").await;
        assert!(matches!(reply.status, 502 | 504), "{control}: {reply:?}");
        assert_eq!(house.fetched("/e", "503 Busy\n\nx").await.status, 503, "{control}");
    }
}

#[tokio::test]
async fn rfc9111_4_2_4_a_cache_that_is_cut_off_may_serve_what_nothing_forbids() {
    let mut house = House::new("").await;
    house.fetched("/e", "200 OK\nCache-Control: max-age=60\n\nold").await;
    house.advance(61);
    let reply = disconnected(&mut house, "GET", "/e").await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "old"));
    // But an answer is an answer.
    assert_eq!(house.fetched("/e", "503 Busy\n\nx").await.status, 503);
}

#[tokio::test]
async fn all_who_wait_are_served_stale_together() {
    let mut house = House::new("").await;
    house.fetched("/e", SIE).await;
    house.advance(100);
    for status in ["503 Busy\n\nx", ""] {
        let clients = [house.client("GET", "/e", &[]).await, house.client("GET", "/e", &[]).await];
        let asked = house.origin.next().await;
        house.waiting(1).await;
        if status.is_empty() {
            asked.break_off().await
        } else {
            asked.answer(status).await
        }
        for client in clients {
            assert_eq!(client.reply().await.text(), "old");
        }
        house.quiet().await;
        house.settled().await;
    }
}

#[tokio::test]
async fn a_failing_origin_is_asked_once_at_a_time() {
    let mut house = House::new("").await;
    house.fetched("/e", SIE).await;
    house.advance(100);
    house.fetched("/e", "503 Busy\n\nx").await;
    let mut clients = vec![house.client("GET", "/e", &[]).await];
    let asked = house.origin.next().await;
    for _ in 0..9 {
        clients.push(house.client("GET", "/e", &[]).await);
    }
    house.waiting(9).await;
    asked.answer("503 Busy\n\nx").await;
    for client in clients {
        assert_eq!(client.reply().await.text(), "old");
    }
    house.quiet().await;
}

#[tokio::test]
async fn head_is_served_stale_like_get() {
    let mut house = House::new("").await;
    house.fetched("/e", SIE).await;
    house.advance(100);
    let reply = disconnected(&mut house, "HEAD", "/e").await;
    assert_eq!((reply.status, reply.header("content-length")), (200, Some("3")));
    let (reply, seen) = house.exchange("HEAD", "/e", &[], "503 Busy\nContent-Length: 0").await;
    assert_eq!((seen.method.as_str(), reply.status), ("HEAD", 200));
    reply.assert_status("; fwd=stale; fwd-status=503; ttl=-40; detail=stale-if-error");
}

#[tokio::test]
async fn after_a_hard_purge_or_an_invalidation_an_error_is_an_error() {
    use larder::purge::Mode;
    for mode in [Mode::Hard, Mode::Invalidate] {
        let mut house = House::new("").await;
        house.fetched("/e", SIE).await;
        house.purge_url(mode, "/e");
        assert_eq!(disconnected(&mut house, "GET", "/e").await.status, 502, "{mode:?}");
        assert_eq!(house.fetched("/e", "503 Busy\n\nx").await.status, 503, "{mode:?}");
    }
}

#[tokio::test]
async fn a_fresh_entry_helps_a_client_that_wanted_it_validated() {
    let mut house = House::new("").await;
    house.fetched("/e", SIE).await;
    let client = house.client("GET", "/e", &[("Cache-Control", "no-cache")]).await;
    house.origin.next().await.break_off().await;
    assert_eq!(client.reply().await.text(), "old");
}

#[tokio::test]
async fn when_the_breaker_is_open_nothing_went_forward() {
    let origin = crate::support::Origin::start().await;
    let yaml = format!(
        "server: {{ listen: [{{ address: \"127.0.0.1:0\" }}] }}\nadmin: {{ address: \"127.0.0.1:0\" }}\nlog: {{ access: off }}\n\
         origins: {{ app: {{ servers: [\"http://{}\"], retries: 0, breaker: {{ failures: 2, window: 10s, open_for: 60s }} }} }}\n\
         rules: [{{ name: all, origin: app }}]\n",
        origin.address
    );
    let mut house = House::start(&yaml, origin).await;
    house.fetched("/e", SIE).await;
    house.advance(100);
    for _ in 0..2 {
        assert_eq!(disconnected(&mut house, "GET", "/e").await.text(), "old");
    }
    let reply = house.get("/e").await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "old"));
    assert!(reply.cache_status().starts_with("larder; hit; ttl=-40; detail="), "{reply:?}");
}

#[tokio::test]
async fn rfc5861_4_an_error_that_may_be_stored_does_not_take_the_place_of_what_may_be_served_instead() {
    let rules = "  - name: all\n    origin: app\n  - name: errors\n    match: { status: [5xx] }\n    negative_ttl: 1s\n";
    let mut house = House::with_rules(rules, "").await;
    house.fetched("/x", "200 OK\nCache-Control: max-age=10, stale-if-error=600\n\ngood").await;
    house.advance(20);
    let error = "503 Service Unavailable\nCache-Control: max-age=60\n\nbad";
    let (reply, _) = house.exchange("GET", "/x", &[], error).await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "good"));
    let (reply, _) = house.exchange("GET", "/x", &[], error).await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "good"), "and it was not stored either");
}
