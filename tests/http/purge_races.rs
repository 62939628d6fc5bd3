//! Purges that come while the origin is answering (purge.md, P1 and P6; rulings 10, 14): a request that arrives
//! after a purge is never answered from a fill that the purge selects. Those that came before it may be.

use crate::support::House;
use larder::purge::{Mode, Selector};

const TAGGED: &str =
    "200 OK\nETag: \"1\"\nCache-Tag: t\nCache-Control: max-age=60, stale-while-revalidate=60\n\nold";
const NEW: &str = "200 OK\nETag: \"2\"\nCache-Tag: t\nCache-Control: max-age=60\n\nnew";

/// Everything that selects `/x`, by what is known before the answer's head and by what is not.
fn selectors() -> Vec<Selector> {
    vec![
        Selector::url("http://site.example/x").unwrap(),
        Selector::host("site.example").unwrap(),
        Selector::prefix("site.example/").unwrap(),
        Selector::Everything,
        Selector::tag("t"),
    ]
}

#[tokio::test]
async fn a_purge_wins_over_a_cold_fill() {
    for mode in Mode::ALL {
        for selector in selectors() {
            let mut house = House::new("").await;
            let early = house.client("GET", "/x", &[]).await;
            let asked = house.origin.next().await;
            house.purge(mode, selector.clone());
            asked.answer(TAGGED).await;
            early.reply().await;
            house.settled().await;
            let late = house.client("GET", "/x", &[]).await;
            let again = house.origin.next().await;
            assert_eq!(again.header("if-none-match").is_some(), mode != Mode::Hard, "{mode:?} {selector:?}");
            again.answer(NEW).await;
            let late = late.reply().await;
            // A soft purge lets it be served while it is refreshed.
            assert_eq!(late.text(), if mode == Mode::Soft { "old" } else { "new" }, "{mode:?} {selector:?}");
            house.settled().await;
            assert_eq!(house.get("/x").await.text(), "new", "{mode:?} {selector:?}");
        }
    }
}

#[tokio::test]
async fn who_arrives_after_a_purge_does_not_join_a_fill_from_before_it() {
    for mode in Mode::ALL {
        for selector in selectors() {
            let mut house = House::new("").await;
            let early = house.client("GET", "/x", &[]).await;
            let first = house.origin.next().await;
            let waiter = house.client("GET", "/x", &[]).await;
            house.waiting(1).await;
            house.purge(mode, selector.clone());
            let late = house.client("GET", "/x", &[]).await;
            let known_before_the_head = selector != Selector::tag("t");
            let second = if known_before_the_head {
                let second = house.origin.next().await;
                first.answer(TAGGED).await;
                second
            } else {
                house.waiting(2).await;
                first.answer(TAGGED).await;
                house.origin.next().await
            };
            second.answer(NEW).await;
            assert_eq!(early.reply().await.text(), "old");
            waiter.reply().await;
            assert_eq!(late.reply().await.text(), "new", "{mode:?} {selector:?}");
            house.settled().await;
            let after = house.get("/x").await;
            after.assert_hit();
            assert_eq!(after.text(), "new", "{mode:?} {selector:?}");
        }
    }
}

#[tokio::test]
async fn who_came_before_the_purge_is_not_held_up_by_it() {
    let mut house = House::new("").await;
    let early = house.client("GET", "/x", &[]).await;
    let first = house.origin.next().await;
    let waiter = house.client("GET", "/x", &[]).await;
    house.waiting(1).await;
    house.purge_tag(Mode::Hard, "t");
    first.answer(TAGGED).await;
    assert_eq!(early.reply().await.text(), "old");
    assert_eq!(waiter.reply().await.text(), "old");
    house.quiet().await;
}

#[tokio::test]
async fn who_arrives_after_a_purge_does_not_read_a_body_from_before_it() {
    for selector in selectors() {
        let mut house = House::new("").await;
        let mut early = house.client("GET", "/x", &[]).await;
        let mut first = house.origin.next().await;
        let head =
            "HTTP/1.1 200 OK\r\nCache-Tag: t\r\nCache-Control: max-age=60\r\nContent-Length: 4\r\n\r\nol";
        first.write(head.as_bytes()).await;
        early.until("\r\n\r\nol").await;
        house.purge(Mode::Hard, selector);
        let late = house.client("GET", "/x", &[]).await;
        house.origin.next().await.answer(NEW).await;
        assert_eq!(late.reply().await.text(), "new");
        first.write(b"d!").await;
        first.done().await;
        assert_eq!(early.reply().await.text(), "old!");
        house.settled().await;
        assert_eq!(house.get("/x").await.text(), "new", "the older fill does not replace the newer one");
    }
}

#[tokio::test]
async fn a_purge_wins_over_a_background_refresh() {
    for selector in selectors() {
        let mut house = House::new("").await;
        house.fetched("/x", TAGGED).await;
        house.advance(70);
        assert_eq!(house.get("/x").await.text(), "old");
        let refresh = house.origin.next().await;
        house.purge(Mode::Hard, selector);
        refresh.answer(&TAGGED.replace("old", "older")).await;
        house.settled().await;
        assert_eq!(house.fetched("/x", NEW).await.text(), "new");
    }
}

#[tokio::test]
async fn a_purge_wins_over_a_304() {
    for selector in selectors() {
        for mode in [Mode::Hard, Mode::Invalidate] {
            let mut house = House::new("").await;
            house.fetched("/x", TAGGED).await;
            house.advance(200);
            let early = house.client("GET", "/x", &[]).await;
            let asked = house.origin.next().await;
            assert!(asked.header("if-none-match").is_some());
            house.purge(mode, selector.clone());
            asked.answer("304 Not Modified\nETag: \"1\"").await;
            if mode == Mode::Hard {
                // What is purged for good is not revived: asked again, plainly.
                let again = house.origin.next().await;
                assert_eq!(again.header("if-none-match"), None);
                again.answer(&TAGGED.replace("old", "mid")).await;
            }
            early.reply().await;
            house.settled().await;
            // Both the 304 and the plain fetch began before the purge.
            assert_eq!(house.fetched("/x", NEW).await.text(), "new", "{mode:?} {selector:?}");
        }
    }
}

#[tokio::test]
async fn who_arrives_after_a_purge_is_not_answered_by_a_304_from_before_it() {
    for selector in selectors() {
        let mut house = House::new("").await;
        house.fetched("/x", TAGGED).await;
        house.advance(200);
        let early = house.client("GET", "/x", &[]).await;
        let first = house.origin.next().await;
        house.purge(Mode::Invalidate, selector.clone());
        let late = house.client("GET", "/x", &[]).await;
        // The stored entry's tags are known: nobody has to wait for the head to see that the purge selects it.
        let second = if selector == Selector::tag("t") && house.waiters() == 1 {
            None
        } else {
            house.origin.is_asked()
        };
        first.answer("304 Not Modified\nETag: \"1\"").await;
        let second = match second {
            Some(second) => second,
            None => house.origin.next().await,
        };
        second.answer(NEW).await;
        assert_eq!(early.reply().await.text(), "old");
        assert_eq!(late.reply().await.text(), "new", "{selector:?}");
    }
}

#[tokio::test]
async fn a_purge_wins_over_an_answer_to_post() {
    for selector in selectors() {
        let mut house = House::new("").await;
        let answer = "200 OK\nContent-Location: /x\nCache-Tag: t\nCache-Control: max-age=60\n\nposted";
        let client = house.client("POST", "/x", &[]).await;
        let asked = house.origin.next().await;
        house.purge(Mode::Hard, selector.clone());
        asked.answer(answer).await;
        client.reply().await;
        house.settled().await;
        assert_eq!(house.fetched("/x", NEW).await.text(), "new", "{selector:?}");
    }
}

#[tokio::test]
async fn a_purge_of_something_else_disturbs_nobody() {
    let mut house = House::new("").await;
    let early = house.client("GET", "/x", &[]).await;
    let first = house.origin.next().await;
    house.purge_tag(Mode::Hard, "other");
    house.purge_url(Mode::Hard, "/y");
    let late = house.client("GET", "/x", &[]).await;
    house.waiting(1).await;
    first.answer(TAGGED).await;
    assert_eq!((early.reply().await.text(), late.reply().await.text()), ("old".into(), "old".into()));
    house.get("/x").await.assert_hit();
    house.quiet().await;
}

#[tokio::test]
async fn rulings_23_soft_the_stale_window_begins_with_the_purge() {
    let mut house = House::new("").await;
    house.fetched("/x", TAGGED).await;
    house.advance(10);
    house.purge_tag(Mode::Soft, "t");
    let reply = house.get("/x").await;
    reply.assert_status("; hit");
    reply.assert_status("detail=stale-while-revalidate");
    drop(house.origin.next().await);
    house.settled().await;
    house.advance(60);
    house.purge_tag(Mode::Soft, "t");
    house.get("/x").await.assert_status("detail=stale-while-revalidate");
    drop(house.origin.next().await);
    house.settled().await;
    house.advance(1);
    assert_eq!(house.fetched("/x", NEW).await.text(), "new");
}
