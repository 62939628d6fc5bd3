//! A new configuration in a running process (interface.md §1, SIGHUP).

use crate::support::House;

fn config(house: &House, rules: &str) -> larder::config::Config {
    let yaml = format!(
        "server: {{ listen: [{{ address: \"127.0.0.1:0\" }}] }}\nadmin: {{ address: \"127.0.0.1:0\" }}\n\
         log: {{ access: off }}\norigins: {{ app: {{ servers: [\"http://{}\"], retries: 0 }} }}\nrules:\n{rules}",
        house.origin.address
    );
    let loaded = larder::config::parse("test.yaml", &yaml, std::path::Path::new("."), &|_| None);
    loaded.unwrap_or_else(|report| panic!("{report}\n{yaml}")).config
}

#[tokio::test]
async fn entries_stay_and_new_rules_hold() {
    let mut house = House::new("").await;
    house.fetched("/x", "200 OK\nCache-Control: max-age=60\n\nx").await;
    let rules = "  - name: all\n    origin: app\n    ttl: 5m\n    response_headers: { set: { X-New: \"1\" } }\n  - name: last\n    match: { path: /admin }\n    cache: bypass\n";
    let reload = house.running.reload(config(&house, rules)).unwrap();
    assert_eq!(reload.kept, Vec::<&str>::new());
    let told: Vec<_> = reload.changes.iter().map(ToString::to_string).collect();
    let expected = [
        "origins.app.connect_timeout: 20s -> 2s",
        "rules[all].ttl: (not set) -> 5m",
        "rules[all].response_headers: added",
        "rules[last]: added",
    ];
    assert_eq!(told, expected);
    assert_eq!(house.running.reload(config(&house, rules)).unwrap().changes, [], "nothing changed");
    let hit = house.get("/x").await;
    hit.assert_hit();
    assert_eq!(hit.header("x-new"), Some("1"));
    house.fetched("/y", "200 OK\nCache-Control: max-age=60\n\ny").await.assert_status("; stored; ttl=300");
    house.fetched("/admin", "200 OK\n\n").await.assert_status("fwd=bypass");
    assert!(house.metric("larder_requests_total{rule=\"last\",outcome=\"pass\"}").await >= 1.0);
}

#[tokio::test]
async fn entries_of_rules_with_conditions_keep_to_their_conditions() {
    let beta = "  - name: beta\n    match: { cookie: { beta: \"1\" } }\n    ttl: 60s\n";
    let gamma = "  - name: gamma\n    match: { cookie: { gamma: \"1\" } }\n    ttl: 60s\n";
    let all = "  - name: all\n    origin: app\n    ttl: 60s\n";
    let mut house = House::with_rules(&format!("{all}{beta}"), "").await;
    house.exchange("GET", "/x", &[("Cookie", "beta=1")], "200 OK\n\nbeta").await;
    // Another rule now stands where that one stood.
    house.running.reload(config(&house, &format!("{all}{gamma}{beta}"))).unwrap();
    let (reply, _) = house.exchange("GET", "/x", &[("Cookie", "gamma=1")], "200 OK\n\ngamma").await;
    assert_eq!(reply.text(), "gamma");
    assert_eq!(house.send("GET", "/x", &[("Cookie", "beta=1")]).await.text(), "beta");
}

#[tokio::test]
async fn requests_under_way_finish_under_the_old_rules() {
    let mut house = House::new("ttl: 1m").await;
    let client = house.client("GET", "/x", &[]).await;
    let asked = house.origin.next().await;
    house.running.reload(config(&house, "  - name: all\n    origin: app\n    ttl: 2m\n")).unwrap();
    asked.answer("200 OK\n\nx").await;
    client.reply().await.assert_status("; stored; ttl=60");
    house.get("/x").await.assert_hit();
}

/// Whether a GET of `/x` is answered from a prepared head.
fn is_fast(house: &House) -> bool {
    let plain = larder::engine::fast::Plain { tls: false, host: b"site.example", target: b"/x" };
    let engine = house.running.engine();
    engine.fast_hit(&plain, |_: &_, _: &mut dyn FnMut(&[u8])| {}, engine.clock.mono()).is_some()
}

#[tokio::test]
async fn entries_return_to_the_fast_lane_at_their_first_hit() {
    let mut house = House::new("").await;
    house.fetched("/x", "200 OK\nCache-Control: max-age=60\n\nx").await;
    house.get("/x").await.assert_hit();
    assert!(is_fast(&house));
    let rules = "  - name: all\n    origin: app\n    response_headers: { set: { X-New: \"1\" } }\n";
    house.running.reload(config(&house, rules)).unwrap();
    assert!(!is_fast(&house));
    house.get("/x").await.assert_hit();
    assert!(is_fast(&house));
    assert_eq!(house.get("/x").await.header("x-new"), Some("1"));
    house.quiet().await;
}

#[tokio::test]
async fn the_fast_lane_leaves_early_refreshes_to_one_draw() {
    let mut house = House::new("early_refresh: { beta: 1 }").await;
    let client = house.client("GET", "/x", &[]).await;
    let asked = house.origin.next().await;
    house.advance(1); // how long the origin takes
    asked.answer("200 OK\nCache-Control: max-age=600\n\nx").await;
    client.reply().await;
    house.settled().await;
    house.get("/x").await.assert_hit();
    assert!(is_fast(&house));
    house.advance(590);
    assert!(is_fast(&house));
    house.advance(4); // one in a thousand would refresh from 7 seconds before the end
    assert!(!is_fast(&house));
}
