//! What rules do to requests, keys, answers (interface.md §2.2, §2.3; rulings 2, 4, 32, 33).

use crate::support::House;

const FRESH: &str = "200 OK\nCache-Control: max-age=60\n\nx";

#[tokio::test]
async fn tags_steer_purges_and_are_not_shown() {
    let mut house = House::new("tags: [\"page:{header.X-Id}\"]\nkey: { headers: [X-Id] }").await;
    let all = "200 OK\nCache-Tag: a\nSurrogate-Key: b c\nxkey: d\nX-Cache-Tags: e\nCache-Tags: f\nX-Magento-Tags: g\nEdge-Cache-Tag: h\nCache-Groups: \"i\"\nCache-Control: max-age=60\n\nx";
    for tag in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "page:7"] {
        let (miss, _) = house.exchange("GET", "/x", &[("X-Id", "7")], all).await;
        let hit = house.send("GET", "/x", &[("X-Id", "7")]).await;
        hit.assert_hit();
        for reply in [miss, hit] {
            let shown: Vec<&str> = reply
                .headers
                .iter()
                .map(|(n, _)| n.as_str())
                .filter(|n| n.contains("tag") || n.contains("key"))
                .collect();
            assert_eq!(shown, Vec::<&str>::new());
            assert_eq!(reply.header("cache-groups"), Some("\"i\""));
        }
        house.purge_tag(larder::purge::Mode::Hard, tag);
    }
    house.exchange("GET", "/x", &[("X-Id", "7")], all).await;
}

#[tokio::test]
async fn a_304_keeps_the_tags_it_does_not_repeat_and_takes_over_those_it_brings() {
    use larder::purge::Mode::Hard;
    let mut house = House::new("").await;
    house.fetched("/x", "200 OK\nETag: \"1\"\nCache-Tag: a\nCache-Control: max-age=60\n\nx").await;
    house.advance(61);
    house.exchange("GET", "/x", &[], "304 Not Modified\nETag: \"1\"").await;
    house.purge_tag(Hard, "a");
    house.fetched("/x", "200 OK\nETag: \"1\"\nCache-Tag: a\nCache-Control: max-age=60\n\nx").await;
    house.advance(61);
    house.exchange("GET", "/x", &[], "304 Not Modified\nETag: \"1\"\nCache-Tag: b").await;
    house.purge_tag(Hard, "a");
    house.get("/x").await.assert_hit();
    house.purge_tag(Hard, "b");
    house.fetched("/x", FRESH).await;
}

#[tokio::test]
async fn too_many_tags_pass_through_unstored() {
    let mut house = House::new("").await;
    let tags: Vec<String> = (0..1100).map(|i| format!("t{i}")).collect();
    let reply = house
        .fetched("/x", &format!("200 OK\nCache-Tag: {}\nCache-Control: max-age=60\n\nx", tags.join(",")))
        .await;
    assert_eq!(reply.cache_status(), "larder; fwd=uri-miss; detail=tags");
    assert_eq!(house.metric("larder_tags_rejected_total").await, 1.0);
}

#[tokio::test]
async fn headers_are_edited_both_ways() {
    let mut house = House::new(
        "request_headers: { set: { X-Edge: \"1\" }, remove: [X-Secret] }\n\
         response_headers: { set: { X-Frame-Options: DENY }, remove: [Server, X-Powered-By] }",
    )
    .await;
    let answer = "200 OK\nServer: s\nX-Powered-By: p\nCache-Control: max-age=60\n\nx";
    let (miss, seen) = house.exchange("GET", "/x", &[("X-Secret", "s"), ("X-Edge", "mine")], answer).await;
    assert_eq!((seen.header("x-edge"), seen.header("x-secret")), (Some("1"), None));
    for reply in [miss, house.get("/x").await, house.exchange("POST", "/x", &[], answer).await.0] {
        assert_eq!(reply.header("x-frame-options"), Some("DENY"));
        assert_eq!((reply.header("server"), reply.header("x-powered-by")), (None, None));
    }
}

#[tokio::test]
async fn rulings_32_excluded_parameters_are_neither_keyed_nor_sent() {
    let mut house = House::new("key: { query: { exclude: [\"utm_*\", gclid] }, sort: true }").await;
    let (_, seen) = house.exchange("GET", "/x?b=2&utm_source=m&a=1&gclid=9", &[], FRESH).await;
    assert_eq!(seen.target, "/x?a=1&b=2");
    house.get("/x?a=1&utm_x=1&b=2").await.assert_hit();
    let (_, seen) = house.exchange("GET", "/x?utm_source=m", &[], FRESH).await;
    assert_eq!(seen.target, "/x");
    // What hides behind another separator is no parameter of its own.
    let (_, seen) = house.exchange("GET", "/x?a=1;utm_x=2", &[], FRESH).await;
    assert_eq!(seen.target, "/x?a=1;utm_x=2");
    let mut house = House::new("key: { query: { include: [id] } }").await;
    assert_eq!(house.exchange("GET", "/x?id=1&z=2", &[], FRESH).await.1.target, "/x?id=1");
    let mut house = House::new("key: { query: none }").await;
    assert_eq!(house.exchange("GET", "/x?id=1&z=2", &[], FRESH).await.1.target, "/x");
}

#[tokio::test]
async fn keys_may_hold_headers_and_cookies() {
    let mut house = House::new("key: { headers: [X-Tenant], cookies: [plan] }").await;
    let ask = |tenant: &'static str, cookie: &'static str| [("X-Tenant", tenant), ("Cookie", cookie)];
    house.exchange("GET", "/x", &ask("a", "plan=1; id=7"), "200 OK\nCache-Control: max-age=60\n\na1").await;
    house.exchange("GET", "/x", &ask("b", "plan=1"), "200 OK\nCache-Control: max-age=60\n\nb1").await;
    house.exchange("GET", "/x", &ask("a", "plan=2"), "200 OK\nCache-Control: max-age=60\n\na2").await;
    for (tenant, cookie, text) in
        [("a", "id=9; plan=1", "a1"), ("b", "plan=1", "b1"), ("a", "plan=2; x=y", "a2")]
    {
        let hit = house.send("GET", "/x", &ask(tenant, cookie)).await;
        hit.assert_hit();
        assert_eq!(hit.text(), text);
    }
}

#[tokio::test]
async fn rulings_4_rules_that_look_at_headers_or_cookies_part_the_cache() {
    let rules = "  - name: all\n    origin: app\n    ttl: 60s\n  - name: beta\n    match: { cookie: { beta: \"1\" } }\n    request_headers: { set: { X-Beta: \"1\" } }\n";
    let mut house = House::with_rules(rules, "").await;
    house.fetched("/x", "200 OK\n\nplain").await;
    let (beta, seen) = house.exchange("GET", "/x", &[("Cookie", "beta=1")], "200 OK\n\nbeta").await;
    assert_eq!((beta.text().as_str(), seen.header("x-beta")), ("beta", Some("1")));
    assert_eq!(house.get("/x").await.text(), "plain");
    assert_eq!(house.send("GET", "/x", &[("Cookie", "beta=1")]).await.text(), "beta");
}

#[tokio::test]
async fn bypass_neither_looks_up_nor_stores() {
    let rules = "  - name: all\n    origin: app\n  - name: never\n    match: { path: \"/admin/**\" }\n    cache: bypass\n";
    let mut house = House::with_rules(rules, "").await;
    for _ in 0..2 {
        let reply = house.fetched("/admin/x", FRESH).await;
        assert_eq!(reply.cache_status(), "larder; fwd=bypass; detail=rule");
    }
    // The client's conditions and ranges go with it.
    let fields = [("If-None-Match", "\"1\""), ("Range", "bytes=0-1")];
    let (_, seen) = house.exchange("GET", "/admin/x", &fields, "304 Not Modified\nETag: \"1\"").await;
    assert_eq!((seen.header("if-none-match"), seen.header("range")), (Some("\"1\""), Some("bytes=0-1")));
    // Where raw and decoded path disagree, nothing is cached (interface.md §2.1).
    let reply = house.fetched("/x/..%2fadmin/y", FRESH).await;
    assert!(reply.cache_status().starts_with("larder; fwd=bypass"), "{reply:?}");
}

#[tokio::test]
async fn a_rule_may_answer_by_itself_and_rewrite_the_path() {
    let rules = "  - name: all\n    origin: app\n  - name: old\n    match: { path: \"/old/{rest}\" }\n    respond: { status: 301, location: \"/new/{rest}\" }\n\
                 \x20 - name: api\n    match: { path: \"/api/**\" }\n    rewrite: { strip_prefix: /api, prefix: /v2 }\n";
    let mut house = House::with_rules(rules, "").await;
    let reply = house.get("/old/a").await;
    assert_eq!((reply.status, reply.header("location")), (301, Some("/new/a")));
    assert_eq!(reply.header("cache-status"), None, "RFC 9211 §2: not on what we make ourselves");
    let (_, seen) = house.exchange("GET", "/api/x?y=1", &[], FRESH).await;
    assert_eq!(seen.target, "/v2/x?y=1");
    house.get("/api/x?y=1").await.assert_hit();
}

#[tokio::test]
async fn rulings_33_browsers_keep_it_for_browser_ttl_from_now() {
    let mut house = House::new("browser_ttl: 30s").await;
    let miss = house
        .fetched("/x", "200 OK\nExpires: 0\nCache-Control: s-maxage=600, max-age=5, no-transform\n\nx")
        .await;
    assert!(miss.header("cache-control").unwrap().contains("max-age=30"), "{miss:?}");
    house.advance(100);
    let hit = house.get("/x").await;
    hit.assert_hit();
    let control = hit.header("cache-control").unwrap();
    assert!(
        control.contains("max-age=130") && control.contains("no-transform") && !control.contains("max-age=5"),
        "{control}"
    );
    assert_eq!((hit.header("age"), hit.header("expires")), (Some("100"), None));
}

#[tokio::test]
async fn rulings_32_a_post_keyed_by_its_body_is_a_read() {
    let mut house = House::new("key: { body: { max: 64KiB } }\nstale_while_revalidate: 60s").await;
    let json = [("Content-Type", "application/json")];
    let answer = |text: &str| format!("200 OK\nCache-Control: max-age=60\n\n{text}");
    let (a, seen) = house.exchange_with_body("POST", "/q", &json, b"{a}", &answer("A")).await;
    assert_eq!((a.text().as_str(), seen.body.as_slice()), ("A", &b"{a}"[..]));
    house.exchange_with_body("POST", "/q", &json, b"{b}", &answer("B")).await;
    let to = house.address();
    let ask = async |body: &[u8]| {
        crate::support::request(to, "POST", "/q", &[("Content-Type", "application/json")], body).await
    };
    let hit = ask(b"{a}").await;
    hit.assert_hit();
    assert_eq!(hit.text(), "A");
    assert_eq!(ask(b"{b}").await.text(), "B");
    // A refresh asks the same question.
    let other = house
        .exchange_with_body("POST", "/q", &[("Content-Type", "text/plain")], b"{a}", &answer("T"))
        .await
        .0;
    assert_eq!(other.text(), "T");
    house.advance(70);
    assert_eq!(ask(b"{a}").await.text(), "A");
    let refresh = house.origin.next().await;
    assert_eq!((refresh.method.as_str(), refresh.seen.body.as_slice()), ("POST", &b"{a}"[..]));
    assert_eq!(refresh.header("content-type"), Some("application/json"));
    refresh.answer(&answer("A2")).await;
    house.settled().await;
    assert_eq!(ask(b"{a}").await.text(), "A2");
}

#[tokio::test]
async fn set_cookie_is_refused_or_stripped() {
    let answer = "200 OK\nSet-Cookie: id=1\nCache-Control: max-age=60\n\nx";
    let mut house = House::new("").await;
    let reply = house.fetched("/x", answer).await;
    assert_eq!(reply.cache_status(), "larder; fwd=uri-miss; detail=set-cookie");
    assert_eq!(reply.header("set-cookie"), Some("id=1"));
    let mut house = House::new("set_cookie: strip").await;
    let reply = house.fetched("/x", answer).await;
    assert_eq!(
        (reply.header("set-cookie"), reply.cache_status()),
        (None, "larder; fwd=uri-miss; stored; ttl=60")
    );
    let hit = house.get("/x").await;
    hit.assert_hit();
    assert_eq!(hit.header("set-cookie"), None);
}

#[tokio::test]
async fn rfc9213_the_most_specific_control_field_governs() {
    let fields = [
        ("Larder-CDN-Cache-Control: max-age=400", 400),
        ("CDN-Cache-Control: max-age=300", 300),
        ("Surrogate-Control: max-age=200", 200),
        ("Cache-Control: max-age=100", 100),
    ];
    for first in 0..fields.len() {
        let mut house = House::new("").await;
        let lines: Vec<&str> = fields[first..].iter().map(|(line, _)| *line).collect();
        let reply = house.fetched("/x", &format!("200 OK\n{}\n\nx", lines.join("\n"))).await;
        assert_eq!(reply.cache_status(), format!("larder; fwd=uri-miss; stored; ttl={}", fields[first].1));
        let hit = house.get("/x").await;
        for reply in [reply, hit] {
            assert_eq!(reply.header("cache-control"), Some("max-age=100"));
            assert_eq!(reply.header("cdn-cache-control").is_some(), first <= 1);
            assert_eq!(
                (reply.header("surrogate-control"), reply.header("larder-cdn-cache-control")),
                (None, None)
            );
        }
    }
    let mut house = House::new("").await;
    let reply =
        house.fetched("/x", "200 OK\nCDN-Cache-Control: max-age=300\nCache-Control: no-store\n\nx").await;
    reply.assert_status("; stored; ttl=300");
    let reply = house
        .fetched("/y", "200 OK\nCDN-Cache-Control: max-age=300, &&&\nCache-Control: no-store\n\nx")
        .await;
    reply.assert_status("detail=no-store");
}

#[tokio::test]
async fn rules_may_wait_for_the_status_and_the_content_type() {
    let rules = "  - name: all\n    origin: app\n  - name: missing\n    match: { status: [404] }\n    ttl: 10s\n    response_headers: { set: { X-Missing: \"1\" } }\n\
                 \x20 - name: pictures\n    match: { content_type: \"image/*\" }\n    ttl: 1h\n";
    let mut house = House::with_rules(rules, "").await;
    house.fetched("/a", "404 Not Found\n\n").await.assert_status("; stored; ttl=10");
    assert_eq!(house.get("/a").await.header("x-missing"), Some("1"));
    house.fetched("/b", "200 OK\nContent-Type: image/png\n\n").await.assert_status("; stored; ttl=3600");
    house.fetched("/c", "200 OK\nContent-Type: text/html\n\n").await.assert_status("detail=no-lifetime");
}
