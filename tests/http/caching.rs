//! What is stored, for how long, and how it is served (RFC 9111 §3, §4.2, §5.1; rulings 2, 7).

use crate::support::{House, Reply};

const SECS: fn(&Reply) -> i64 = |r| {
    let ttl = r.cache_status().split("ttl=").nth(1).unwrap_or_else(|| panic!("no ttl: {r:?}"));
    ttl.split(';').next().unwrap().parse().unwrap()
};

/// Fetches `answer` under `rule`; the lifetime it was given, `None` when it was not stored.
async fn lifetime(rule: &str, answer: &str) -> Option<i64> {
    lifetime_for(rule, &[], answer).await
}

async fn lifetime_for(rule: &str, headers: &[(&str, &str)], answer: &str) -> Option<i64> {
    let mut house = House::new(rule).await;
    let reply = house.exchange("GET", "/x", headers, answer).await.0;
    if !reply.cache_status().contains("; stored") {
        return None;
    }
    Some(SECS(&reply))
}

#[tokio::test]
async fn rfc9111_4_a_hit_has_an_age_and_the_origins_own_fields() {
    let mut house = House::new("").await;
    let date = house.date(-5);
    let answer =
        format!("200 OK\nDate: {date}\nCache-Control: max-age=60\nX-Own: a\nX-Own: b\nLink: </c>\n\nbody");
    let miss = house.fetched("/x", &answer).await;
    assert_eq!(miss.header("age"), None, "what comes from the origin is not from the store");
    house.advance(10);
    let hit = house.get("/x").await;
    assert_eq!(hit.cache_status(), "larder; hit; ttl=45");
    assert_eq!((hit.header("age"), hit.header("date")), (Some("15"), Some(&*date)));
    assert_eq!(hit.all("x-own"), ["a", "b"]);
    assert_eq!((hit.header("via"), hit.header("cache-control")), (Some("1.1 larder"), Some("max-age=60")));
    assert_eq!((hit.text().as_str(), hit.header("content-length")), ("body", Some("4")));
}

#[tokio::test]
async fn rfc9111_4_2_an_answer_is_stale_the_moment_its_age_reaches_its_lifetime() {
    let mut house = House::new("").await;
    house.fetched("/x", "200 OK\nCache-Control: max-age=60\n\none").await;
    house.advance(59);
    house.get("/x").await.assert_hit();
    house.advance(1);
    assert_eq!(house.fetched("/x", "200 OK\n\ntwo").await.text(), "two");
}

#[tokio::test]
async fn rfc9111_4_2_3_a_received_age_counts() {
    let mut house = House::new("").await;
    let miss = house.fetched("/x", "200 OK\nAge: 50\nCache-Control: max-age=60\n\none").await;
    assert_eq!(miss.header("age"), Some("50"));
    house.advance(9);
    let hit = house.get("/x").await;
    hit.assert_hit();
    assert_eq!(hit.header("age"), Some("59"));
    house.advance(1);
    house.fetched("/x", "200 OK\n\ntwo").await;
}

#[tokio::test]
async fn rfc9110_6_6_1_a_missing_date_is_the_time_of_receipt() {
    let mut house = House::new("").await;
    let now = house.date(0);
    let miss = house.fetched("/x", "200 OK\nCache-Control: max-age=60\n\n").await;
    assert_eq!(miss.header("date"), Some(&*now));
    house.advance(7);
    assert_eq!(house.get("/x").await.header("date"), Some(&*now));
}

#[tokio::test]
async fn rulings_2_rule_lifetimes_act_on_the_usual_statuses_and_on_what_a_rule_names() {
    assert_eq!(lifetime("ttl: 5m", "200 OK\nCache-Control: max-age=60\n\n").await, Some(300));
    assert_eq!(lifetime("ttl: 5m", "302 Found\nLocation: /\n\n").await, None);
    assert_eq!(lifetime("ttl: 5m", "404 Not Found\n\n").await, None);
    assert_eq!(lifetime("ttl: 5m\nmatch: { status: [404] }", "404 Not Found\n\n").await, Some(300));
    assert_eq!(lifetime("ttl: 5m", "200 OK\nCache-Control: no-store\n\n").await, None);
    assert_eq!(lifetime("ttl: 5m\nforce: true", "200 OK\nCache-Control: no-store\n\n").await, Some(300));
    assert_eq!(lifetime("ttl: 5m\nforce: true", "200 OK\nSet-Cookie: a=b\n\n").await, None);
    assert_eq!(lifetime("ttl: 5m\nforce: true", "200 OK\nVary: *\n\n").await, None);
    let bearer = [("Authorization", "Bearer x")];
    assert_eq!(lifetime_for("ttl: 5m\nforce: true", &bearer, "200 OK\n\n").await, None);
}

#[tokio::test]
async fn rulings_2_default_ttl_speaks_where_the_origin_is_silent_and_nobody_is_logged_in() {
    assert_eq!(lifetime("default_ttl: 5m", "200 OK\n\n").await, Some(300));
    assert_eq!(lifetime("default_ttl: 5m", "200 OK\nCache-Control: max-age=60\n\n").await, Some(60));
    assert_eq!(lifetime_for("default_ttl: 5m", &[("Cookie", "a=b")], "200 OK\n\n").await, None);
    let bearer = [("Authorization", "Bearer x")];
    assert_eq!(lifetime_for("default_ttl: 5m", &bearer, "200 OK\n\n").await, None);
    assert_eq!(lifetime_for("", &[("Cookie", "a=b")], "200 OK\nCache-Control: max-age=9\n\n").await, Some(9));
}

#[tokio::test]
async fn lifetimes_are_clamped_but_never_invented() {
    assert_eq!(lifetime("min_ttl: 5m", "200 OK\nCache-Control: max-age=60\n\n").await, Some(300));
    assert_eq!(lifetime("max_ttl: 30s", "200 OK\nCache-Control: max-age=60\n\n").await, Some(30));
    assert_eq!(lifetime("min_ttl: 5m", "200 OK\nCache-Control: max-age=0\n\n").await, None);
    assert_eq!(lifetime("min_ttl: 5m", "200 OK\nCache-Control: no-cache\n\n").await, None);
    assert_eq!(lifetime("min_ttl: 5m", "200 OK\n\n").await, None);
}

#[tokio::test]
async fn negative_answers_are_kept_as_long_as_the_rule_says() {
    assert_eq!(lifetime("negative_ttl: 10s", "404 Not Found\n\n").await, Some(10));
    assert_eq!(lifetime("negative_ttl: 10s", "410 Gone\n\n").await, Some(10));
    assert_eq!(lifetime("negative_ttl: 10s", "403 Forbidden\n\n").await, None);
    assert_eq!(lifetime("negative_ttl: 10s", "404 Not Found\nCache-Control: max-age=5\n\n").await, Some(5));
    assert_eq!(lifetime("negative_ttl: 10s", "404 Not Found\nCache-Control: no-store\n\n").await, None);
}

#[tokio::test]
async fn rulings_7_errors_are_stored_when_they_are_explicitly_fresh_and_named_by_a_rule() {
    let fresh = "503 Busy\nCache-Control: max-age=5\n\n";
    assert_eq!(lifetime("", fresh).await, None);
    assert_eq!(lifetime("match: { status: [503] }\nheuristic: off", fresh).await, Some(5));
    assert_eq!(lifetime("match: { status: [503] }\nheuristic: off", "503 Busy\n\n").await, None);
}

#[tokio::test]
async fn rfc9111_4_2_2_heuristics() {
    let mut house = House::new("").await;
    let modified = house.date(-1000);
    let answer = format!("200 OK\nLast-Modified: {modified}\n\n");
    let reply = house.fetched("/x", &answer).await;
    assert_eq!(reply.cache_status(), "larder; fwd=uri-miss; stored; ttl=100");
    assert_eq!(lifetime("heuristic: off", &answer).await, Some(0), "good after validation only");
    assert_eq!(lifetime("", &format!("404 Not Found\nLast-Modified: {modified}\n\n")).await, Some(0));
    assert_eq!(lifetime_for("", &[("Cookie", "a=b")], &answer).await, None);
}

#[tokio::test]
async fn jitter_shortens_each_lifetime_by_at_most_its_share() {
    let mut house = House::new("jitter: 10%").await;
    let mut seen = std::collections::BTreeSet::new();
    for i in 0..40 {
        let reply = house.fetched(&format!("/{i}"), "200 OK\nCache-Control: max-age=10000\n\n").await;
        let ttl = SECS(&reply);
        assert!((9000..=10000).contains(&ttl), "{ttl}");
        seen.insert(ttl);
    }
    assert!(seen.len() > 10, "{seen:?}");
}

#[tokio::test]
async fn what_has_expired_stays_for_validation_as_long_as_keep_says() {
    let answer = "200 OK\nETag: \"1\"\nCache-Control: max-age=60\n\nold";
    let mut house = House::new("keep: 100s").await;
    house.fetched("/x", answer).await;
    house.advance(159);
    let (_, seen) = house.exchange("GET", "/x", &[], answer).await;
    assert_eq!(seen.header("if-none-match"), Some("\"1\""));
    house.advance(161);
    let (reply, seen) = house.exchange("GET", "/x", &[], answer).await;
    assert_eq!(seen.header("if-none-match"), None);
    assert_eq!(
        reply.cache_status(),
        "larder; fwd=uri-miss; stored; ttl=60",
        "what is past all use is not there"
    );
}

#[tokio::test]
async fn rfc9110_9_3_3_an_answer_to_post_that_names_its_own_uri_serves_get() {
    let mut house = House::new("").await;
    let answer = "200 OK\nContent-Location: /p\nCache-Control: max-age=60\n\nposted";
    let (reply, _) = house.exchange_with_body("POST", "/p", &[], b"in", answer).await;
    assert_eq!((reply.text().as_str(), reply.cache_status()), ("posted", "larder; fwd=method; stored"));
    house.settled().await;
    let hit = house.get("/p").await;
    hit.assert_hit();
    assert_eq!(hit.text(), "posted");
    // Never for POST, and never for another URI.
    let (again, _) = house.exchange_with_body("POST", "/p", &[], b"in", "200 OK\n\nagain").await;
    assert_eq!(again.text(), "again");
    let (reply, _) = house.exchange_with_body("POST", "/q", &[], b"in", answer).await;
    assert_eq!(reply.cache_status(), "larder; fwd=method");
    house.fetched("/q", "200 OK\n\n").await;
}

#[tokio::test]
async fn a_get_with_a_body_is_sent_on_and_neither_looked_up_nor_stored() {
    let mut house = House::new("").await;
    let answer = "200 OK\nCache-Control: max-age=60\n\nfat";
    let (reply, seen) = house.exchange_with_body("GET", "/x", &[], b"body", answer).await;
    assert_eq!(
        (seen.body.as_slice(), reply.cache_status()),
        (&b"body"[..], "larder; fwd=bypass; detail=request-body")
    );
    house.fetched("/x", answer).await;
    let (reply, _) = house.exchange_with_body("GET", "/x", &[], b"body", "200 OK\n\nother").await;
    assert_eq!(reply.text(), "other");
}

#[tokio::test]
async fn keys_are_exact_in_scheme_host_path_and_query() {
    let mut house = House::new("").await;
    let answer = |text: &str| format!("200 OK\nCache-Control: max-age=60\n\n{text}");
    for (i, path) in ["/a", "/A", "/a/", "/a?", "/a?x=1&y=2", "/a?y=2&x=1", "/%61", "//a"].iter().enumerate()
    {
        assert_eq!(house.fetched(path, &answer(&i.to_string())).await.text(), i.to_string(), "{path}");
    }
    for host in ["other.example", "site.example:81"] {
        house.exchange("GET", "/a", &[("Host", host)], &answer(host)).await;
    }
    assert_eq!(house.send("GET", "/a", &[("Host", "SITE.example:80")]).await.text(), "0");
}

#[tokio::test]
async fn an_empty_answer_is_an_answer() {
    for status in ["200 OK\nContent-Length: 0", "204 No Content"] {
        let mut house = House::new("").await;
        house.fetched("/x", &format!("{status}\nCache-Control: max-age=60")).await;
        let hit = house.get("/x").await;
        hit.assert_hit();
        assert_eq!(hit.body.len(), 0);
    }
}
