//! `read_your_writes` (interface.md §2.2, §5): who has written reads past the cache for a while.

use crate::support::{House, Reply};

const RULE: &str = "read_your_writes: 5s";
const PAGE: &str = "200 OK\nCache-Control: max-age=600\nETag: \"1\"\n\npage";

/// The cookie of an answer, as a client sends it back.
fn cookie(reply: &Reply) -> String {
    let line = reply.header("set-cookie").unwrap_or_else(|| panic!("no cookie: {reply:?}"));
    assert!(line.ends_with("; Path=/; HttpOnly; SameSite=Lax; Max-Age=5"), "{line}");
    line.split(';').next().unwrap().to_owned()
}

async fn written(house: &mut House) -> String {
    let (reply, _) = house.exchange("POST", "/w", &[], "200 OK\n\nwritten").await;
    cookie(&reply)
}

#[tokio::test]
async fn who_has_written_reads_past_the_cache_until_the_time_is_over() {
    let mut house = House::new(RULE).await;
    house.fetched("/x", PAGE).await;
    let cookie = written(&mut house).await;
    let mine = [("Cookie", cookie.as_str())];
    for method in ["GET", "HEAD"] {
        let (reply, seen) = house.exchange(method, "/x", &mine, PAGE).await;
        assert_eq!(reply.cache_status(), "larder; fwd=request; detail=read-your-writes");
        assert_eq!(seen.header("cookie"), None, "the origin does not see it");
        assert_eq!(reply.header("set-cookie"), None, "only the answer to the write brings it");
    }
    house.get("/x").await.assert_hit();
    house.advance(4);
    house.exchange("GET", "/x", &mine, PAGE).await;
    house.advance(2);
    house.send("GET", "/x", &mine).await.assert_hit();
}

#[tokio::test]
async fn such_reads_are_not_collapsed() {
    let mut house = House::new(RULE).await;
    let cookie = written(&mut house).await;
    let mine = [("Cookie", cookie.as_str())];
    let (one, two) = (house.client("GET", "/x", &mine).await, house.client("GET", "/x", &mine).await);
    let asked = [house.origin.next().await, house.origin.next().await];
    for asked in asked {
        asked.answer(PAGE).await;
    }
    assert_eq!((one.reply().await.status, two.reply().await.status), (200, 200));
}

#[tokio::test]
async fn only_writes_that_succeeded_bring_it() {
    let mut house = House::new(RULE).await;
    for (method, answer, brings) in [
        ("POST", "201 Created\n\n", true),
        ("PUT", "204 No Content\n\n", true),
        ("DELETE", "303 See Other\nLocation: /\n\n", true),
        ("POST", "404 Not Found\n\n", false),
        ("POST", "500 Oops\n\n", false),
        ("OPTIONS", "200 OK\n\n", false),
        ("GET", "200 OK\nCache-Control: no-store\n\n", false),
    ] {
        let (reply, _) = house.exchange(method, "/w", &[], answer).await;
        assert_eq!(reply.header("set-cookie").is_some(), brings, "{method} {answer}");
    }
    let (_, seen) = house.exchange_with_body("QUERY", "/w", &[], b"q", "200 OK\n\n").await;
    assert_eq!(seen.method, "QUERY");
}

#[tokio::test]
async fn beside_the_origins_own_cookies() {
    let mut house = House::new(RULE).await;
    let (reply, _) = house.exchange("POST", "/w", &[], "200 OK\nSet-Cookie: sid=1\n\n").await;
    let lines = reply.all("set-cookie");
    assert!(lines.len() == 2 && lines[0] == "sid=1" && lines[1].starts_with("larder_ryw="), "{lines:?}");
}

#[tokio::test]
async fn the_cookie_is_part_of_no_key_and_withholds_nothing() {
    let mut house = House::new("read_your_writes: 5s\nkey: { cookies: [a, larder_ryw] }").await;
    let cookie = written(&mut house).await;
    house.advance(10); // over: from here on it means nothing
    let both = format!("a=1; {cookie}");
    let heuristic = format!("200 OK\nLast-Modified: {}\nVary: Cookie\n\npage", house.date(-100_000));
    let (stored, seen) = house.exchange("GET", "/x", &[("Cookie", &cookie)], &heuristic).await;
    assert!(
        stored.cache_status().contains("; stored"),
        "heuristics are for requests without cookies: {stored:?}"
    );
    assert_eq!(seen.header("cookie"), None);
    house.get("/x").await.assert_hit();
    house.send("GET", "/x", &[("Cookie", "larder_ryw=rubbish")]).await.assert_hit();
    let (_, seen) =
        house.exchange("GET", "/y", &[("Cookie", &both)], &PAGE.replace("\n\n", "\nVary: Cookie\n\n")).await;
    assert_eq!(seen.header("cookie"), Some("a=1"));
    house.send("GET", "/y", &[("Cookie", "a=1")]).await.assert_hit();
}

#[tokio::test]
async fn what_is_not_genuine_means_nothing() {
    let mut house = House::new(RULE).await;
    house.fetched("/x", PAGE).await;
    let cookie = written(&mut house).await;
    let (expiry, mac) = cookie.strip_prefix("larder_ryw=").unwrap().split_once('.').unwrap();
    let later: u64 = expiry.parse::<u64>().unwrap() + 3600;
    for forged in
        [format!("larder_ryw={later}.{mac}"), format!("larder_ryw={expiry}"), "larder_ryw=.".to_owned()]
    {
        house.send("GET", "/x", &[("Cookie", &forged)]).await.assert_hit();
    }
    let elsewhere = [("Host", "other.example"), ("Cookie", cookie.as_str())];
    let (reply, _) = house.exchange("GET", "/x", &elsewhere, PAGE).await;
    assert!(reply.cache_status().contains("fwd=uri-miss"), "another host's: {reply:?}");
}

#[tokio::test]
async fn the_fast_lane_leaves_it_to_the_ordinary_way() {
    let mut house = House::new(RULE).await;
    house.fetched("/x", PAGE).await;
    for _ in 0..3 {
        house.get("/x").await.assert_hit(); // from the second on by the fast lane
    }
    let cookie = written(&mut house).await;
    let (reply, _) = house.exchange("GET", "/x", &[("Cookie", &cookie)], PAGE).await;
    assert_eq!(reply.cache_status(), "larder; fwd=request; detail=read-your-writes");
}

#[tokio::test]
async fn it_makes_no_answer_storable_or_unstorable() {
    let mut house = House::new(RULE).await;
    // RFC 9110 §9.3.3: an answer to POST that is kept for GET.
    let kept = "200 OK\nCache-Control: max-age=60\nContent-Location: /w\n\nwritten";
    let (reply, _) = house.exchange("POST", "/w", &[], kept).await;
    assert_eq!(reply.cache_status(), "larder; fwd=method; stored");
    cookie(&reply);
    house.settled().await;
    let hit = house.get("/w").await;
    hit.assert_hit();
    assert_eq!(hit.header("set-cookie"), None);
    // What a client reads past the cache is not put there.
    let cookie = cookie(&reply);
    house.exchange("GET", "/z", &[("Cookie", &cookie)], PAGE).await;
    house.fetched("/z", PAGE).await;
}

#[tokio::test]
async fn where_no_rule_asks_for_it_nothing_changes() {
    let mut house = House::new("").await;
    let (reply, seen) = house.exchange("POST", "/w", &[("Cookie", "larder_ryw=1.x")], "200 OK\n\n").await;
    assert_eq!(reply.header("set-cookie"), None);
    assert_eq!(seen.header("cookie"), Some("larder_ryw=1.x"), "somebody else's, for all we know");
}

#[tokio::test]
async fn a_shared_secret_makes_cookies_hold_after_a_restart_and_the_rule_decides_who_reads_past() {
    let start = async || {
        let origin = crate::support::Origin::start().await;
        let yaml = format!(
            "server: {{ listen: [{{ address: \"127.0.0.1:0\" }}], secret: s3cret }}\nadmin: {{ address: off }}\n\
             log: {{ access: off }}\norigins: {{ app: {{ servers: [\"http://{}\"] }} }}\n\
             rules: [{{ read_your_writes: 5s }}, {{ match: {{ path: /static }}, read_your_writes: off }}]",
            origin.address
        );
        House::start(&yaml, origin).await
    };
    let cookie = written(&mut start().await).await;
    let mut house = start().await;
    let mine = [("Cookie", cookie.as_str())];
    house.fetched("/x", PAGE).await;
    house.exchange("GET", "/x", &mine, PAGE).await.0.assert_status("read-your-writes");
    let (_, seen) = house.exchange("GET", "/static", &mine, PAGE).await;
    assert_eq!(seen.header("cookie"), None, "taken out wherever it comes");
    house.send("GET", "/static", &mine).await.assert_hit();
}
