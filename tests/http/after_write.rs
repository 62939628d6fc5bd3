//! `after_write: refresh` (interface.md §2.2): what a write has invalidated is fetched again at once.

use crate::support::House;

const RULE: &str = "after_write: refresh";
const OLD: &str = "200 OK\nCache-Control: max-age=600\nETag: \"1\"\n\nold";
const NEW: &str = "200 OK\nCache-Control: max-age=600\nETag: \"2\"\n\nnew";

#[tokio::test]
async fn the_next_reader_finds_the_new_page_without_having_asked_for_it() {
    let mut house = House::new(RULE).await;
    house.fetched("/x", OLD).await;
    let mine =
        [("Cookie", "sid=1"), ("Authorization", "Basic x"), ("X-Mine", "1"), ("Content-Type", "text/plain")];
    let (_, seen) = house.exchange_with_body("POST", "/x", &mine, b"b", "200 OK\n\n").await;
    assert_eq!(seen.header("cookie"), Some("sid=1"));
    let asked = house.origin.next().await;
    assert_eq!((asked.method.as_str(), asked.target.as_str()), ("GET", "/x"));
    assert_eq!(asked.header("if-none-match"), Some("\"1\""), "it may not have changed at all");
    for personal in ["cookie", "authorization", "x-mine", "content-type", "content-length"] {
        assert_eq!(asked.header(personal), None, "{personal}");
    }
    assert_eq!(asked.header("host"), Some("site.example"));
    asked.answer(NEW).await;
    house.settled().await;
    let hit = house.get("/x").await;
    hit.assert_hit();
    assert_eq!(hit.text(), "new");
}

#[tokio::test]
async fn who_reads_before_it_is_there_waits_for_it() {
    let mut house = House::new(RULE).await;
    house.fetched("/x", OLD).await;
    house.exchange("PUT", "/x", &[], "204 No Content\n\n").await;
    let asked = house.origin.next().await;
    let reader = house.client("GET", "/x", &[]).await;
    house.waiting(1).await;
    asked.answer(NEW).await;
    assert_eq!(reader.reply().await.text(), "new");
    house.quiet().await;
}

#[tokio::test]
async fn nothing_is_fetched_that_was_not_stored_nor_after_a_write_that_failed() {
    let mut house = House::new(RULE).await;
    house.exchange("POST", "/x", &[], "200 OK\n\n").await;
    house.quiet().await;
    house.fetched("/x", OLD).await;
    house.exchange("POST", "/x", &[], "409 Conflict\n\n").await;
    house.exchange("OPTIONS", "/x", &[], "200 OK\n\n").await;
    house.quiet().await;
    house.get("/x").await.assert_hit();
}

#[tokio::test]
async fn only_where_a_rule_asks_for_it() {
    let mut house = House::new("after_write: invalidate").await;
    house.fetched("/x", OLD).await;
    house.exchange("POST", "/x", &[], "200 OK\n\n").await;
    house.quiet().await;
}

#[tokio::test]
async fn it_is_asked_for_as_it_was_when_it_was_stored() {
    let mut house = House::new("after_write: refresh\nkey: { headers: [X-Tenant] }").await;
    let vary = |page: &str| page.replace("ETag", "Vary: Accept-Language, X-Kind\nETag");
    let reader = [("X-Tenant", "t"), ("Accept-Language", "de"), ("X-Kind", "k")];
    house.exchange("GET", "/x", &reader, &vary(OLD)).await;
    let writer = [("X-Tenant", "t"), ("Accept-Language", "fr"), ("X-Kind", "w")];
    house.exchange("POST", "/x", &writer, "200 OK\n\n").await;
    let asked = house.origin.next().await;
    for (name, value) in reader {
        assert_eq!(asked.header(&name.to_ascii_lowercase()), Some(value));
    }
    asked.answer(&vary(NEW)).await;
    house.settled().await;
    assert_eq!(house.send("GET", "/x", &reader).await.text(), "new");
    // Another tenant's page is another resource, of which nothing is stored.
    house.exchange("POST", "/x", &[("X-Tenant", "other")], "200 OK\n\n").await;
    house.quiet().await;
}

#[tokio::test]
async fn what_is_stored_for_one_clients_cookies_is_not_fetched_with_them() {
    let mut house = House::new(RULE).await;
    let personal = OLD.replace("ETag", "Vary: Cookie\nETag");
    house.exchange("GET", "/x", &[("Cookie", "sid=1")], &personal).await;
    house.exchange("POST", "/x", &[("Cookie", "sid=1")], "200 OK\n\n").await;
    house.quiet().await;
}

#[tokio::test]
async fn many_writes_make_one_fetch_at_a_time() {
    let mut house = House::new(RULE).await;
    house.fetched("/x", OLD).await;
    house.exchange("POST", "/x", &[], "200 OK\n\n").await;
    let first = house.origin.next().await;
    house.exchange("POST", "/x", &[], "200 OK\n\n").await;
    assert!(house.origin.is_asked().is_none());
    first.answer(OLD).await;
    house.settled().await;
    // What was fetched before the second write does not count (RFC 9111 §4.4).
    let (reply, _) = house.exchange("GET", "/x", &[], NEW).await;
    assert_eq!(reply.text(), "new");
}
