//! `Vary` (RFC 9111 §4.1; standards.md §8.6; rulings 4, 33).

use crate::support::House;

fn answer(vary: &str, text: &str) -> String {
    format!("200 OK\nVary: {vary}\nCache-Control: max-age=60\n\n{text}")
}

#[tokio::test]
async fn each_variant_is_its_own() {
    let mut house = House::new("").await;
    for kind in ["a", "b"] {
        house.exchange("GET", "/v", &[("X-Kind", kind)], &answer("X-Kind", kind)).await;
    }
    let (none, _) = house.exchange("GET", "/v", &[], &answer("X-Kind", "none")).await;
    assert_eq!(none.cache_status(), "larder; fwd=vary-miss; stored; ttl=60");
    for kind in ["a", "b"] {
        let hit = house.send("GET", "/v", &[("X-Kind", kind)]).await;
        hit.assert_hit();
        assert_eq!(hit.text(), kind);
    }
    assert_eq!(house.get("/v").await.text(), "none", "absent matches only absent");
    assert_eq!(house.send("GET", "/v", &[("X-Kind", " a ")]).await.text(), "a", "white space does not count");
}

#[tokio::test]
async fn what_is_keyed_is_what_is_sent() {
    let mut house = House::new("").await;
    let fields = [
        ("Accept-Encoding", "GZIP;q=0.9, br;q=1.0, x-odd"),
        ("Accept-Language", "DE-at,de;q=0.8 , en;q=0.5"),
    ];
    let (_, seen) =
        house.exchange("GET", "/v", &fields, &answer("Accept-Encoding, Accept-Language", "x")).await;
    let (encoding, language) =
        (seen.header("accept-encoding").unwrap(), seen.header("accept-language").unwrap());
    assert_ne!((encoding, language), (fields[0].1, fields[1].1), "both have a normal form");
    house
        .send("GET", "/v", &[("Accept-Encoding", encoding), ("Accept-Language", language)])
        .await
        .assert_hit();
    house.send("GET", "/v", &fields).await.assert_hit();
}

#[tokio::test]
async fn rfc9111_4_1_a_star_matches_nothing() {
    let mut house = House::new("").await;
    for _ in 0..2 {
        let reply = house.fetched("/v", &answer("*", "x")).await;
        assert_eq!(reply.cache_status(), "larder; fwd=uri-miss; detail=vary-star");
    }
}

#[tokio::test]
async fn ignored_fields_do_not_make_variants() {
    let mut house = House::new("vary: { ignore: [User-Agent] }").await;
    house.exchange("GET", "/v", &[("User-Agent", "a")], &answer("User-Agent", "x")).await;
    let hit = house.send("GET", "/v", &[("User-Agent", "b")]).await;
    hit.assert_hit();
    assert_eq!(hit.header("vary"), Some("User-Agent"), "clients still learn of it");
}

#[tokio::test]
async fn the_number_of_variants_is_limited_and_the_oldest_go() {
    let mut house = House::new("vary: { max_variants: 3 }").await;
    for kind in ["a", "b", "c", "d"] {
        house.exchange("GET", "/v", &[("X-Kind", kind)], &answer("X-Kind", kind)).await;
    }
    for kind in ["b", "c", "d"] {
        house.send("GET", "/v", &[("X-Kind", kind)]).await.assert_hit();
    }
    house.exchange("GET", "/v", &[("X-Kind", "a")], &answer("X-Kind", "a")).await;
    assert!(house.metric("larder_variants_dropped_total").await >= 2.0);
    assert!(house.metric("larder_memory_entries").await <= 3.0);
}

#[tokio::test]
async fn an_answer_that_varies_no_more_takes_the_place_of_the_variant_it_replaces() {
    let mut house = House::new("").await;
    let kind = [("X-Kind", "a")];
    house.exchange("GET", "/v", &kind, &answer("X-Kind", "old")).await;
    house.advance(61);
    house.exchange("GET", "/v", &kind, "200 OK\nCache-Control: max-age=60\n\nnew").await;
    let hit = house.send("GET", "/v", &kind).await;
    hit.assert_hit();
    assert_eq!(hit.text(), "new");
}

#[tokio::test]
async fn rfc9111_4_1_an_answer_that_begins_to_vary_is_preferred() {
    let mut house = House::new("").await;
    house.exchange("GET", "/v", &[], "200 OK\nCache-Control: max-age=60\n\nplain").await;
    house.advance(61);
    house.exchange("GET", "/v", &[("X-Kind", "a")], &answer("X-Kind", "a")).await;
    house.send("GET", "/v", &[("X-Kind", "a")]).await.assert_hit();
    let (reply, _) = house.exchange("GET", "/v", &[("X-Kind", "b")], &answer("X-Kind", "b")).await;
    assert_eq!(reply.text(), "b");
}

#[tokio::test]
async fn each_variant_is_validated_with_its_own_tag() {
    let mut house = House::new("").await;
    for kind in ["a", "b"] {
        let answer = format!("200 OK\nVary: X-Kind\nETag: \"{kind}\"\nCache-Control: max-age=60\n\n{kind}");
        house.exchange("GET", "/v", &[("X-Kind", kind)], &answer).await;
    }
    house.advance(61);
    for kind in ["a", "b"] {
        let not_modified = format!("304 Not Modified\nETag: \"{kind}\"");
        let (reply, seen) = house.exchange("GET", "/v", &[("X-Kind", kind)], &not_modified).await;
        assert_eq!(
            (seen.header("if-none-match"), reply.text().as_str()),
            (Some(&*format!("\"{kind}\"")), kind)
        );
    }
}

#[tokio::test]
async fn the_fast_lane_selects_by_what_the_rules_make_of_a_request() {
    // The rule decides the variant from another field: what the client itself says of it must not.
    use larder::engine::fast::Plain;
    let mut house = House::new("request_headers: { set: { X-Kind: \"{header.X-From}\" } }").await;
    house.exchange("GET", "/v", &[("X-From", "a")], &answer("X-Kind", "a")).await;
    house.send("GET", "/v", &[("X-From", "a")]).await.assert_hit();
    let plain = Plain { tls: false, host: b"site.example", target: b"/v" };
    let engine = house.running.engine();
    let fields = |name: &http::HeaderName, each: &mut dyn FnMut(&[u8])| {
        if name == "x-kind" {
            each(b"a");
        }
    };
    let fast = engine.fast_hit(&plain, || None, fields, house.clock.mono());
    assert!(fast.is_none(), "X-Kind came from the client");
}

/// More URLs are asked for than memos are kept, and one URL is spelled in more than one way: neither needs the ordinary way again.
#[tokio::test]
async fn the_fast_lane_finds_what_is_stored_though_nothing_is_remembered_of_the_place() {
    use larder::engine::fast::Plain;
    let mut house = House::new("").await;
    house.fetched("/x", "200 OK\nCache-Control: max-age=60\n\nx").await;
    let engine = house.running.engine();
    let fast = |host: &'static [u8], target: &'static [u8], normal: Option<&'static str>| {
        let plain = Plain { tls: false, host, target };
        let fields = |_: &http::HeaderName, _: &mut dyn FnMut(&[u8])| {};
        engine.fast_hit(&plain, || normal.map(str::to_owned), fields, house.clock.mono()).is_some()
    };
    assert!(!fast(b"SITE.example", b"/y", Some("site.example")), "nothing is stored");
    assert!(!fast(b"SITE.example", b"/x?", Some("site.example")), "another URL");
    assert!(!fast(b"SITE.example", b"/x", Some("b.example")), "another host");
    assert!(!fast(b"Site.example", b"/x", None), "a host that is not served");
    assert!(fast(b"siTe.example", b"/x", Some("site.example")));
    assert!(fast(b"siTe.example", b"/x", None), "remembered now");
    assert!(
        !fast(b"Site.example", b"/x", Some("site.example")),
        "looked for in vain a moment ago: the ordinary way finds it"
    );
    house.send("GET", "/x", &[("Host", "Site.example")]).await.assert_hit();
    assert!(fast(b"Site.example", b"/x", None), "and has it remembered");
}
