//! Corners of the engine that a review of the code found: each test shows what was wrong.

use crate::support::House;
use crate::support::request;

const FRESH: &str = "200 OK\nETag: \"1\"\nCache-Control: max-age=60\n\npage";

#[tokio::test]
async fn an_answer_to_a_post_keyed_by_its_body_is_never_a_get_s() {
    let mut house = House::new("key: { body: { max: 1KiB } }").await;
    let found = "200 OK\nCache-Control: max-age=60\n\nfound";
    house.exchange_with_body("POST", "/x", &[], b"q", found).await;
    let hit = request(house.address(), "POST", "/x", &[], b"q").await;
    hit.assert_hit();
    let reply = house.fetched("/x", FRESH).await;
    assert_eq!(reply.text(), "page");
}

#[tokio::test]
async fn a_304_that_one_clients_fields_keep_out_leaves_the_entry_to_the_others() {
    let wishes = [
        vec![("Cache-Control", "no-store, no-cache")],
        vec![("Cache-Control", "no-cache"), ("Authorization", "Bearer x")],
        vec![("Cache-Control", "no-cache"), ("Cookie", "a=b")],
    ];
    for wish in wishes {
        let mut house = House::new("default_ttl: 5m").await;
        house.fetched("/x", "200 OK\nETag: \"1\"\n\nours").await;
        let (reply, seen) = house.exchange("GET", "/x", &wish, "304 Not Modified\nETag: \"1\"").await;
        assert_eq!(seen.header("if-none-match"), Some("\"1\""), "{wish:?}");
        assert_eq!((reply.status, reply.text().as_str()), (200, "ours"), "{wish:?}");
        let hit = house.get("/x").await;
        hit.assert_hit();
        assert_eq!(hit.text(), "ours", "{wish:?}");
    }
}

#[tokio::test]
async fn a_background_refresh_carries_what_the_matched_rules_look_at() {
    let rules = "  - name: all\n    origin: app\n  - name: beta\n    match: { header: { X-Beta: \"*\" }, cookie: { \"plan_*\": \"*\" } }\n    tags: [beta]\n";
    let mut house = House::with_rules(rules, "").await;
    let fields = [("X-Beta", "1"), ("Cookie", "a=b; plan_x=gold; c=d"), ("X-Other", "2")];
    let answer = "200 OK\nCache-Control: max-age=10, stale-while-revalidate=60\n\nx";
    house.exchange("GET", "/x", &fields, answer).await;
    house.advance(11);
    house.send("GET", "/x", &fields).await.assert_status("detail=stale-while-revalidate");
    let asked = house.origin.next().await;
    assert_eq!(asked.header("x-beta"), Some("1"));
    assert_eq!(asked.header("cookie"), Some("plan_x=gold"));
    assert_eq!(asked.header("x-other"), None);
    asked.answer(answer).await;
    house.settled().await;
}

#[tokio::test]
async fn rfc9110_13_1_2_a_post_is_not_validated_with_if_none_match() {
    let mut house = House::new("key: { body: { max: 1KiB } }").await;
    house.exchange_with_body("POST", "/x", &[], b"q", FRESH).await;
    house.advance(61);
    let (reply, seen) = house.exchange_with_body("POST", "/x", &[], b"q", FRESH).await;
    assert_eq!((reply.status, seen.header("if-none-match")), (200, None));
}

#[tokio::test]
async fn rfc9111_4_4_a_write_reaches_entries_keyed_by_a_body() {
    let mut house = House::new("key: { body: { max: 1KiB } }").await;
    house.exchange_with_body("POST", "/x", &[], b"q", FRESH).await;
    house.exchange("PUT", "/x", &[], "200 OK\n\n").await;
    let (reply, _) = house.exchange_with_body("POST", "/x", &[], b"q", FRESH).await;
    reply.assert_status("fwd=stale");
}

#[tokio::test]
async fn a_304_to_a_forwarded_condition_does_not_renew_the_mark() {
    let mut house = House::new("").await;
    house.fetched("/x", "200 OK\nETag: \"1\"\nCache-Control: no-store\n\nx").await;
    let condition = [("If-None-Match", "\"1\"")];
    house.advance(100);
    let (reply, seen) = house.exchange("GET", "/x", &condition, "304 Not Modified\nETag: \"1\"").await;
    assert_eq!((reply.status, seen.header("if-none-match")), (304, Some("\"1\"")));
    house.advance(30);
    let (reply, seen) = house.exchange("GET", "/x", &condition, FRESH).await;
    assert_eq!((reply.status, seen.header("if-none-match")), (304, None));
    house.get("/x").await.assert_hit();
}

#[tokio::test]
async fn waiters_do_not_inherit_an_error_that_the_leader_may_have_caused() {
    let mut house = House::new("").await;
    let leader = house.client("GET", "/x", &[("X-Poison", "1")]).await;
    let asked = house.origin.next().await;
    let waiter = house.client("GET", "/x", &[]).await;
    house.waiting(1).await;
    asked.break_off().await;
    assert_eq!(leader.reply().await.status, 502);
    house.origin.next().await.answer(FRESH).await;
    assert_eq!(waiter.reply().await.text(), "page");
}

#[tokio::test]
async fn a_soft_purged_answer_tells_no_lifetime_that_is_over() {
    let mut house = House::new("").await;
    house.fetched("/x", "200 OK\nCache-Control: max-age=60, stale-while-revalidate=60\n\nx").await;
    house.purge_url(larder::purge::Mode::Soft, "/x");
    let reply = house.get("/x").await;
    reply.assert_status("ttl=0");
    house.origin.next().await.answer(FRESH).await;
    house.settled().await;
}

#[tokio::test]
async fn rfc9111_4_4_location_is_invalidated_by_its_keyed_query() {
    let mut house = House::new("key: { query: { exclude: [\"utm_*\"] } }").await;
    house.fetched("/x?a=1", FRESH).await;
    house.exchange("POST", "/w", &[], "201 Created\nLocation: /x?utm_source=z&a=1\n\n").await;
    let (reply, _) = house.exchange("GET", "/x?a=1", &[], "304 Not Modified\nETag: \"1\"").await;
    reply.assert_status("fwd=stale");
}

#[tokio::test]
async fn a_head_that_one_clients_fields_keep_out_ends_no_lifetime() {
    for wish in [("Cache-Control", "no-store, no-cache"), ("Authorization", "Bearer x")] {
        let mut house = House::new("default_ttl: 5m").await;
        house.fetched("/x", "200 OK\nETag: \"1\"\nContent-Length: 4\n\nours").await;
        let fields = [wish, ("Pragma", "no-cache"), ("Cache-Control", "no-cache")];
        house.exchange("HEAD", "/x", &fields, "200 OK\nETag: \"1\"\nContent-Length: 4\n\n").await;
        house.get("/x").await.assert_hit();
    }
}

#[tokio::test]
async fn browser_ttl_is_for_what_may_be_kept() {
    let mut house = House::new("browser_ttl: 30s").await;
    let control = |reply: &crate::support::Reply| reply.header("cache-control").map(str::to_owned);
    let error = house.fetched("/e", "500 Oops\n\nx").await;
    assert_eq!(control(&error), None);
    let private = house.fetched("/p", "200 OK\nCache-Control: no-store\n\nx").await;
    assert_eq!(control(&private).as_deref(), Some("no-store"));
    let (posted, _) = house.exchange("POST", "/w", &[], "200 OK\n\nx").await;
    assert_eq!(control(&posted), None);
    let missing = house.fetched("/m", "404 Not Found\nCache-Control: max-age=60\n\nx").await;
    assert_eq!(control(&missing).as_deref(), Some("max-age=60"));
    let aged = house.fetched("/a", "200 OK\nAge: 20\nCache-Control: s-maxage=60\n\nx").await;
    assert_eq!(control(&aged).as_deref(), Some("max-age=50, s-maxage=60"));
}

#[tokio::test]
async fn rfc9111_4_4_a_write_whose_client_has_left_invalidates() {
    let mut house = House::new("").await;
    house.fetched("/x", FRESH).await;
    let client = house.client("PUT", "/x", &[]).await;
    let asked = house.origin.next().await;
    drop(client);
    asked.answer("200 OK\n\n").await;
    let engine = house.running.engine();
    let stored = || {
        let (_, resource) = engine.memory.iter().next().expect("the page is stored");
        resource.variants()[0].clone()
    };
    crate::support::until("the invalidation", || {
        engine.verdict(&stored()) == larder::purge::Verdict::MustValidate
    })
    .await;
}
