//! What writes do to what is stored (RFC 9111 §4.4, RFC 9875 §3; rulings 21).

use crate::support::House;

const PAGE: &str =
    "200 OK\nETag: \"1\"\nCache-Control: max-age=60, stale-while-revalidate=60, stale-if-error=60\n\npage";

/// Whether `path` is still served without asking the origin; renews it if not.
async fn is_kept(house: &mut House, path: &str) -> bool {
    let client = house.client("GET", path, &[]).await;
    let reply = client.reply();
    tokio::pin!(reply);
    tokio::select! {
        reply = &mut reply => reply.cache_status().contains("; hit"),
        asked = house.origin.next() => {
            assert_eq!(asked.header("if-none-match"), Some("\"1\""), "invalid, not gone");
            asked.answer(PAGE).await;
            reply.await;
            house.settled().await;
            false
        }
    }
}

#[tokio::test]
async fn rfc9111_4_4_a_successful_write_invalidates_its_target() {
    for method in ["POST", "PUT", "DELETE", "PATCH", "UNKNOWN"] {
        let mut house = House::new("").await;
        house.fetched("/x", PAGE).await;
        house.fetched("/y", PAGE).await;
        for (answer, kept) in [
            ("200 OK\n\n", false),
            ("204 No Content\n\n", false),
            ("303 See Other\nLocation: http://other.example/\n\n", false),
            ("404 Not Found\n\n", true),
            ("409 Conflict\n\n", true),
            ("500 Oops\n\n", true),
        ] {
            let (reply, _) = house.exchange(method, "/x", &[], answer).await;
            assert_eq!(reply.cache_status(), "larder; fwd=method");
            assert_eq!(is_kept(&mut house, "/x").await, kept, "{method} {answer}");
        }
        assert!(is_kept(&mut house, "/y").await);
    }
}

#[tokio::test]
async fn safe_methods_invalidate_nothing() {
    let mut house = House::new("").await;
    house.fetched("/x", PAGE).await;
    house.exchange("OPTIONS", "/x", &[], "200 OK\nLocation: /x\n\n").await;
    house.exchange_with_body("QUERY", "/x", &[], b"q", "200 OK\n\n").await;
    assert!(is_kept(&mut house, "/x").await);
}

#[tokio::test]
async fn rfc9111_4_4_location_and_content_location_go_too_on_the_same_origin() {
    let mut house = House::new("").await;
    for path in ["/a", "/b", "/c"] {
        house.fetched(path, PAGE).await;
    }
    let own = "201 Created\nLocation: /a\nContent-Location: http://site.example/b\n\n";
    house.exchange("POST", "/new", &[], own).await;
    assert!(!is_kept(&mut house, "/a").await);
    assert!(!is_kept(&mut house, "/b").await);
    let foreign =
        "201 Created\nLocation: http://other.example/a\nContent-Location: https://site.example/b\n\n";
    house.exchange("POST", "/new", &[], foreign).await;
    house
        .exchange("POST", "/a", &[("Host", "other.example")], "200 OK\nLocation: http://site.example/c\n\n")
        .await;
    for path in ["/a", "/b", "/c"] {
        assert!(is_kept(&mut house, path).await, "{path}");
    }
}

#[tokio::test]
async fn all_variants_of_the_target_are_invalid() {
    let mut house = House::new("").await;
    let answer = PAGE.replace("ETag", "Vary: X-Kind\nETag");
    for kind in ["a", "b"] {
        house.exchange("GET", "/x", &[("X-Kind", kind)], &answer).await;
    }
    house.exchange("PUT", "/x", &[], "200 OK\n\n").await;
    for kind in ["a", "b"] {
        let (reply, _) =
            house.exchange("GET", "/x", &[("X-Kind", kind)], "304 Not Modified\nETag: \"1\"").await;
        reply.assert_status("; fwd=stale; fwd-status=304; stored");
    }
}

#[tokio::test]
async fn an_invalid_entry_is_never_served_stale() {
    let mut house = House::new("").await;
    house.fetched("/x", PAGE).await;
    house.exchange("PUT", "/x", &[], "200 OK\n\n").await;
    let client = house.client("GET", "/x", &[("Cache-Control", "max-stale")]).await;
    drop(house.origin.next().await);
    assert_eq!(client.reply().await.status, 502);
}

#[tokio::test]
async fn the_write_answers_after_the_invalidation() {
    // A fetch that began before the write was answered must not bring the old page back.
    let mut house = House::new("").await;
    let reader = house.client("GET", "/x", &[]).await;
    let read = house.origin.next().await;
    house.exchange("PUT", "/x", &[], "200 OK\n\n").await;
    read.answer(PAGE).await;
    assert_eq!(reader.reply().await.text(), "page");
    house.settled().await;
    assert!(!is_kept(&mut house, "/x").await);
}

#[tokio::test]
async fn rfc9875_3_groups_are_invalidated_within_their_origin() {
    let mut house = House::new("").await;
    let grouped = PAGE.replace("ETag", "Cache-Groups: \"g\"\nETag");
    house.fetched("/a", &grouped).await;
    house.fetched("/b", PAGE).await;
    house.exchange("GET", "/a", &[("Host", "other.example")], &grouped).await;
    house.exchange("POST", "/w", &[], "200 OK\nCache-Group-Invalidation: \"g\"\n\n").await;
    assert!(!is_kept(&mut house, "/a").await);
    assert!(is_kept(&mut house, "/b").await);
    house.send("GET", "/a", &[("Host", "other.example")]).await.assert_hit();
    // Ignored in answers to safe methods.
    house.fetched("/c", "200 OK\nCache-Group-Invalidation: \"g\"\n\n").await;
    house.send("GET", "/a", &[("Host", "other.example")]).await.assert_hit();
}

#[tokio::test]
async fn a_post_that_is_a_read_by_rule_invalidates_nothing_however_large() {
    let mut house = House::new("key: { body: { max: 8 } }").await;
    house.fetched("/x", PAGE).await;
    let answer = "200 OK\nCache-Control: max-age=60\n\nfound";
    house.exchange_with_body("POST", "/x", &[], b"small", answer).await;
    let (reply, _) = house.exchange_with_body("POST", "/x", &[], b"too large a body", answer).await;
    assert_eq!(reply.cache_status(), "larder; fwd=bypass; detail=request-body-too-large");
    assert!(is_kept(&mut house, "/x").await);
}
