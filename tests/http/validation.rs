//! Validation with the origin, and clients' own conditions (RFC 9111 §4.3, §5.2.1; RFC 9110 §13).

use crate::support::House;

const STORED: &str = "200 OK\nETag: \"1\"\nLast-Modified: Mon, 01 Dec 2025 00:00:00 GMT\nX-Old: 1\nX-Both: old\nCache-Control: max-age=60\n\nbody";

#[tokio::test]
async fn rfc9111_4_3_4_a_304_renews_what_is_stored() {
    let mut house = House::new("").await;
    house.fetched("/x", STORED).await;
    house.advance(100);
    let date = house.date(0);
    let answer =
        format!("304 Not Modified\nETag: \"1\"\nDate: {date}\nX-Both: new\nCache-Control: max-age=90");
    let (reply, seen) = house.exchange("GET", "/x", &[], &answer).await;
    assert_eq!(seen.header("if-none-match"), Some("\"1\""));
    assert_eq!(seen.header("if-modified-since"), Some("Mon, 01 Dec 2025 00:00:00 GMT"));
    assert_eq!((reply.status, reply.text().as_str()), (200, "body"));
    assert_eq!(reply.cache_status(), "larder; fwd=stale; fwd-status=304; stored; ttl=90");
    house.advance(30);
    let hit = house.get("/x").await;
    assert_eq!(hit.cache_status(), "larder; hit; ttl=60");
    assert_eq!((hit.header("age"), hit.header("date")), (Some("30"), Some(&*date)));
    assert_eq!((hit.header("x-old"), hit.header("x-both")), (Some("1"), Some("new")));
    assert_eq!(hit.header("content-length"), Some("4"));
}

#[tokio::test]
async fn rfc9111_4_3_4_a_304_without_date_was_made_now() {
    let mut house = House::new("").await;
    house.fetched("/x", STORED).await;
    house.advance(100);
    house.exchange("GET", "/x", &[], "304 Not Modified").await;
    let hit = house.get("/x").await;
    hit.assert_hit();
    assert_eq!((hit.header("age"), hit.header("date")), (Some("0"), Some(&*house.date(0))));
}

#[tokio::test]
async fn rfc9111_4_3_4_a_304_that_confirms_nothing_is_asked_again_plainly() {
    let mut house = House::new("").await;
    house.fetched("/x", STORED).await;
    house.advance(100);
    let client = house.client("GET", "/x", &[]).await;
    house.origin.next().await.answer("304 Not Modified\nETag: \"2\"").await;
    let again = house.origin.next().await;
    assert_eq!((again.header("if-none-match"), again.header("if-modified-since")), (None, None));
    again.answer("200 OK\nETag: \"2\"\nCache-Control: max-age=60\n\nnew").await;
    assert_eq!(client.reply().await.text(), "new");
    assert_eq!(house.get("/x").await.text(), "new");
}

#[tokio::test]
async fn rfc9111_4_3_3_a_full_answer_replaces_what_is_stored() {
    let mut house = House::new("").await;
    house.fetched("/x", STORED).await;
    house.advance(100);
    let reply = house.fetched("/x", "200 OK\nETag: \"2\"\nCache-Control: max-age=60\n\nnew").await;
    assert_eq!(reply.cache_status(), "larder; fwd=stale; stored; ttl=60");
    let hit = house.get("/x").await;
    assert_eq!((hit.text().as_str(), hit.header("x-old")), ("new", None));
}

#[tokio::test]
async fn an_answer_that_may_not_be_kept_ends_what_it_replaces() {
    for answer in ["200 OK\nCache-Control: no-store\n\nnew", "404 Not Found\nCache-Control: no-store\n\ngone"]
    {
        let mut house = House::new("").await;
        house.fetched("/x", STORED).await;
        house.advance(100);
        house.fetched("/x", answer).await;
        let (_, seen) = house.exchange("GET", "/x", &[], answer).await;
        assert_eq!(seen.header("if-none-match"), None, "{answer}");
    }
}

#[tokio::test]
async fn a_304_that_forbids_keeping_serves_this_once() {
    let mut house = House::new("").await;
    house.fetched("/x", STORED).await;
    house.advance(100);
    let (reply, _) =
        house.exchange("GET", "/x", &[], "304 Not Modified\nETag: \"1\"\nCache-Control: no-store").await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "body"));
    assert!(!reply.cache_status().contains("stored"), "{reply:?}");
    house.fetched("/x", "200 OK\n\n").await;
}

#[tokio::test]
async fn rfc9111_5_2_2_4_no_cache_is_validated_on_every_use() {
    let mut house = House::new("").await;
    house.fetched("/x", "200 OK\nETag: \"1\"\nCache-Control: no-cache\n\nbody").await;
    for _ in 0..2 {
        let (reply, seen) = house.exchange("GET", "/x", &[], "304 Not Modified\nETag: \"1\"").await;
        assert_eq!((seen.header("if-none-match"), reply.text().as_str()), (Some("\"1\""), "body"));
        assert_eq!(reply.status, 200);
    }
}

#[tokio::test]
async fn validations_are_shared_like_fetches() {
    let mut house = House::new("").await;
    house.fetched("/x", STORED).await;
    house.advance(100);
    let leader = house.client("GET", "/x", &[]).await;
    let asked = house.origin.next().await;
    let waiter = house.client("GET", "/x", &[("If-None-Match", "\"1\"")]).await;
    house.waiting(1).await;
    asked.answer("304 Not Modified\nETag: \"1\"").await;
    assert_eq!(leader.reply().await.text(), "body");
    let reply = waiter.reply().await;
    assert_eq!(reply.status, 304);
    assert_eq!(reply.cache_status(), "larder; fwd=stale; fwd-status=304; collapsed; ttl=60");
    house.quiet().await;
}

#[tokio::test]
async fn rfc9111_4_3_2_clients_conditions_are_answered_from_the_store() {
    let mut house = House::new("").await;
    house.fetched("/x", &STORED.replace("X-Old: 1", "Vary: X-V\nContent-Type: text/plain\nExpires: 0")).await;
    for condition in [
        ("If-None-Match", "\"1\""),
        ("If-None-Match", "W/\"1\""),
        ("If-None-Match", "\"0\", \"1\""),
        ("If-None-Match", "*"),
        ("If-Modified-Since", "Mon, 01 Dec 2025 00:00:00 GMT"),
    ] {
        let reply = house.send("GET", "/x", &[condition]).await;
        assert_eq!((reply.status, reply.body.len()), (304, 0), "{condition:?}");
        assert_eq!(reply.cache_status(), "larder; hit; ttl=60");
        for name in ["etag", "date", "cache-control", "vary", "expires", "age"] {
            assert!(reply.header(name).is_some(), "RFC 9110 §15.4.5: {name}");
        }
        assert_eq!((reply.header("content-length"), reply.header("content-type")), (None, None));
    }
    for condition in [
        ("If-None-Match", "\"2\""),
        ("If-Modified-Since", "Sun, 30 Nov 2025 00:00:00 GMT"),
        ("If-Modified-Since", "yesterday"),
    ] {
        assert_eq!(house.send("GET", "/x", &[condition]).await.status, 200, "{condition:?}");
    }
    let both = [("If-None-Match", "\"2\""), ("If-Modified-Since", "Mon, 01 Dec 2025 00:00:00 GMT")];
    assert_eq!(house.send("GET", "/x", &both).await.status, 200, "RFC 9110 §13.2.2: the tag decides");
    assert_eq!(house.send("HEAD", "/x", &[("If-None-Match", "\"1\"")]).await.status, 304);
    house.quiet().await;
}

#[tokio::test]
async fn a_clients_condition_on_a_miss_is_answered_when_the_whole_has_been_fetched() {
    let mut house = House::new("").await;
    let (reply, seen) = house.exchange("GET", "/x", &[("If-None-Match", "\"1\"")], STORED).await;
    assert_eq!(seen.header("if-none-match"), None, "it would fetch nothing that could be kept");
    assert_eq!(reply.status, 304);
    house.settled().await;
    assert_eq!(house.get("/x").await.text(), "body");
}

#[tokio::test]
async fn rfc9111_5_2_1_4_a_clients_no_cache_asks_the_origin() {
    for control in [("Cache-Control", "no-cache"), ("Cache-Control", "max-age=0"), ("Pragma", "no-cache")] {
        let mut house = House::new("").await;
        house.fetched("/x", STORED).await;
        let (reply, seen) = house.exchange("GET", "/x", &[control], "304 Not Modified\nETag: \"1\"").await;
        assert_eq!(seen.header("if-none-match"), Some("\"1\""), "{control:?}");
        assert_eq!(reply.cache_status(), "larder; fwd=request; fwd-status=304; stored; ttl=60");
        let mut house = House::new("client_revalidate: ignore").await;
        house.fetched("/x", STORED).await;
        house.send("GET", "/x", &[control]).await.assert_hit();
    }
}

#[tokio::test]
async fn rfc9111_5_2_1_what_a_client_may_ask_for() {
    let mut house = House::new("").await;
    house.fetched("/x", STORED).await;
    house.advance(30);
    let asks = |value: &'static str| [("Cache-Control", value)];
    house.send("GET", "/x", &asks("max-age=30")).await.assert_hit();
    house.send("GET", "/x", &asks("min-fresh=30")).await.assert_hit();
    house.send("GET", "/x", &asks("only-if-cached")).await.assert_hit();
    house
        .exchange(
            "GET",
            "/x",
            &asks("max-age=29"),
            "304 Not Modified\nETag: \"1\"\nCache-Control: max-age=60",
        )
        .await;
    house.advance(30);
    house
        .exchange(
            "GET",
            "/x",
            &asks("min-fresh=31"),
            "304 Not Modified\nETag: \"1\"\nCache-Control: max-age=60",
        )
        .await;
    house.advance(70);
    let stale = house.send("GET", "/x", &asks("max-stale=10")).await;
    assert_eq!(stale.cache_status(), "larder; hit; ttl=-10; detail=max-stale");
    house.send("GET", "/x", &asks("max-stale")).await.assert_hit();
    house.exchange("GET", "/x", &asks("max-stale=9"), "304 Not Modified\nETag: \"1\"").await;
}

#[tokio::test]
async fn rfc9111_5_2_1_7_only_if_cached_never_asks_the_origin() {
    let mut house = House::new("").await;
    let only = [("Cache-Control", "only-if-cached")];
    assert_eq!(house.send("GET", "/x", &only).await.status, 504);
    assert_eq!(house.send("HEAD", "/x", &only).await.status, 504);
    house.fetched("/x", STORED).await;
    house.advance(61);
    assert_eq!(house.send("GET", "/x", &only).await.status, 504);
    house.quiet().await;
}

#[tokio::test]
async fn rfc9111_4_3_2_if_match_is_for_the_origin() {
    for condition in [("If-Match", "\"1\""), ("If-Unmodified-Since", "Mon, 01 Dec 2025 00:00:00 GMT")] {
        let mut house = House::new("").await;
        house.fetched("/x", STORED).await;
        let (reply, seen) = house.exchange("GET", "/x", &[condition], "412 Precondition Failed\n\n").await;
        assert_eq!(seen.header(&condition.0.to_ascii_lowercase()), Some(condition.1));
        assert_eq!((reply.status, reply.cache_status()), (412, "larder; fwd=request; detail=precondition"));
        house.get("/x").await.assert_hit();
    }
}

#[tokio::test]
async fn rfc9111_4_3_5_a_head_that_agrees_renews_and_one_that_does_not_ends_the_lifetime() {
    let mut house = House::new("").await;
    house.fetched("/x", STORED).await;
    house.advance(61);
    let agrees = "200 OK\nETag: \"1\"\nContent-Length: 4\nX-Both: head\nCache-Control: max-age=60";
    house.exchange("HEAD", "/x", &[], agrees).await;
    let hit = house.get("/x").await;
    assert_eq!((hit.cache_status(), hit.header("age")), ("larder; hit; ttl=60", Some("0")));
    assert_eq!((hit.header("x-both"), hit.text().as_str()), (Some("head"), "body"));
    // A HEAD that goes forward and disagrees.
    let head = [("Cache-Control", "no-cache")];
    let disagrees = "200 OK\nETag: \"2\"\nContent-Length: 9\nCache-Control: max-age=60";
    house.exchange("HEAD", "/x", &head, disagrees).await;
    let (_, seen) =
        house.exchange("GET", "/x", &[], "200 OK\nETag: \"2\"\nCache-Control: max-age=60\n\nnine char").await;
    assert_eq!(seen.header("if-none-match"), Some("\"1\""));
}

#[tokio::test]
async fn a_head_carries_the_rules_edits_and_the_clients_conditions() {
    let mut house = House::new("request_headers: { set: { X-Edge-Key: hush } }").await;
    let condition = [("If-None-Match", "\"9\"")];
    let (reply, seen) = house.exchange("HEAD", "/x", &condition, "304 Not Modified\nETag: \"9\"").await;
    assert_eq!((seen.header("x-edge-key"), seen.header("if-none-match")), (Some("hush"), Some("\"9\"")));
    assert_eq!(reply.status, 304);
}

#[tokio::test]
async fn rfc9111_4_3_5_a_head_revives_nothing_that_was_purged() {
    use larder::purge::Mode;
    for mode in Mode::ALL {
        let mut house = House::new("").await;
        house.fetched("/x", STORED).await;
        house.purge_url(mode, "/x");
        let head = [("Cache-Control", "no-cache")];
        // It has nothing that would speak of the stored bytes.
        house.exchange("HEAD", "/x", &head, "200 OK\nCache-Control: max-age=60").await;
        let reply = house.fetched("/x", "200 OK\nCache-Control: max-age=60\n\nnew").await;
        assert_eq!(reply.text(), "new", "{mode:?}");
    }
}
