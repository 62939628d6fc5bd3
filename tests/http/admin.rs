//! The admin listener, and metrics that count what happened (interface.md §3, §4).

use crate::support::House;

const FRESH: &str = "200 OK\nCache-Control: max-age=60, stale-while-revalidate=60\n\n0123456789";

#[tokio::test]
async fn alive_and_ready() {
    let house = House::new("").await;
    assert_eq!(house.admin("/livez").await.status, 200);
    let ready = house.admin("/readyz").await;
    assert_eq!((ready.status, ready.header("content-type")), (200, Some("application/json")));
    assert!(ready.text().contains("\"ready\":true"), "{ready:?}");
    assert_eq!(house.admin("/nothing").await.status, 404);
}

#[tokio::test]
async fn a_foreign_page_reads_nothing() {
    let house = House::new("").await;
    let to = house.running.admin().unwrap();
    let reply = crate::support::request(to, "GET", "/status", &[("Host", "evil.example")], b"").await;
    assert_eq!(reply.status, 421);
    let host = to.to_string();
    let headers = [("Host", &*host), ("Origin", "http://evil.example")];
    assert_eq!(crate::support::request(to, "GET", "/status", &headers, b"").await.status, 403);
}

#[tokio::test]
async fn the_status_is_one_snapshot() {
    let mut house = House::new("").await;
    house.fetched("/x", FRESH).await;
    house.get("/x").await;
    house.advance(5);
    let reply = house.admin("/status").await;
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let status: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(status["requests"]["hit"], 1);
    assert_eq!(status["requests"]["miss"], 1);
    assert_eq!(status["requests_total"], 2);
    assert_eq!(status["hit_ratio"], 0.5);
    assert_eq!(status["memory"]["entries"], 1);
    assert_eq!(status["uptime_s"], 5);
    assert_eq!(status["origins"]["app"]["servers"][0]["healthy"], true);
    assert_eq!(status["draining"], false);
}

/// What `interface.md` §4 lists and this build can know of. The rest belongs to parts that are not running: the
/// shared tier.
const FAMILIES: &[(&str, &str)] = &[
    ("larder_requests", "counter"),
    ("larder_request_seconds", "histogram"),
    ("larder_bytes", "counter"),
    ("larder_origin_requests", "counter"),
    ("larder_origin_seconds", "histogram"),
    ("larder_origin_up", "gauge"),
    ("larder_not_stored", "counter"),
    ("larder_memory_bytes", "gauge"),
    ("larder_memory_entries", "gauge"),
    ("larder_evictions", "counter"),
    ("larder_variants_dropped", "counter"),
    ("larder_tags_rejected", "counter"),
    ("larder_stale_served", "counter"),
    ("larder_served_age_seconds", "histogram"),
    ("larder_entry_ttl_seconds", "histogram"),
    ("larder_purges", "counter"),
    ("larder_purge_apply_seconds", "histogram"),
    ("larder_inflight", "gauge"),
    ("larder_connections", "gauge"),
    ("larder_connections_turned", "counter"),
];

#[tokio::test]
async fn every_family_is_there_from_the_start_with_samples_and_the_text_parses() {
    let house = House::new("").await;
    let reply = house.admin("/metrics").await;
    assert_eq!(
        reply.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    let text = reply.text();
    for (family, kind) in FAMILIES {
        assert!(text.contains(&format!("# TYPE {family} {kind}\n")), "{family}");
        let sampled = text.lines().any(|l| !l.starts_with('#') && l.starts_with(family));
        assert!(sampled, "no sample of {family}");
    }
    assert!(text.ends_with("# EOF\n"));
    let (mut current, mut seen) = (String::new(), std::collections::BTreeSet::new());
    for line in text.lines().filter(|l| *l != "# EOF") {
        if let Some(meta) = line.strip_prefix("# ") {
            let mut words = meta.split(' ');
            assert!(matches!(words.next(), Some("TYPE" | "HELP" | "UNIT")), "{line}");
            current = words.next().unwrap().to_owned();
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let name = series.split('{').next().unwrap();
        let suffix = name.strip_prefix(&*current).unwrap_or_else(|| panic!("{line} is outside its family"));
        assert!(matches!(suffix, "" | "_total" | "_bucket" | "_sum" | "_count"), "{line}");
        assert!(value.parse::<f64>().is_ok(), "{line}");
        assert!(seen.insert(series.to_owned()), "twice: {series}");
        if let Some((_, labels)) = series.split_once('{') {
            let labels = labels.strip_suffix('}').unwrap();
            assert!(labels.split(',').all(|l| l.contains("=\"") && l.ends_with('"')), "{line}");
        }
    }
}

#[tokio::test]
async fn metrics_count_what_happened() {
    let mut house = House::new("").await;
    house.fetched("/x", FRESH).await;
    house.settled().await;
    house.advance(10);
    house.get("/x").await;
    house.get("/x").await;
    house.exchange("POST", "/y", &[], "200 OK\n\nabc").await;
    house.fetched("/z", "404 Not Found\nCache-Control: no-store\n\n").await;
    house.advance(60);
    house.get("/x").await;
    house.origin.next().await.answer("503 Busy\n\n").await;
    house.settled().await;
    let leader = house.client("GET", "/w", &[]).await;
    let asked = house.origin.next().await;
    let waiter = house.client("GET", "/w", &[]).await;
    house.waiting(1).await;
    assert_eq!(house.metric("larder_inflight").await, 1.0);
    asked.answer(FRESH).await;
    leader.reply().await;
    waiter.reply().await;
    let gone = house.client("GET", "/gone", &[]).await;
    house.origin.next().await.break_off().await;
    gone.reply().await;
    for (series, value) in [
        ("larder_requests_total{rule=\"all\",outcome=\"miss\"}", 3.0),
        ("larder_requests_total{rule=\"all\",outcome=\"hit\"}", 2.0),
        ("larder_requests_total{rule=\"all\",outcome=\"pass\"}", 1.0),
        ("larder_requests_total{rule=\"all\",outcome=\"stale\"}", 1.0),
        ("larder_requests_total{rule=\"all\",outcome=\"collapsed\"}", 1.0),
        ("larder_requests_total{rule=\"all\",outcome=\"error\"}", 1.0),
        ("larder_request_seconds_count{outcome=\"hit\"}", 2.0),
        ("larder_stale_served_total{why=\"stale-while-revalidate\"}", 1.0),
        ("larder_not_stored_total{reason=\"no-store\"}", 1.0),
        ("larder_not_stored_total{reason=\"error-status\"}", 1.0),
        ("larder_origin_requests_total{origin=\"app\",status=\"2xx\"}", 3.0),
        ("larder_origin_requests_total{origin=\"app\",status=\"4xx\"}", 1.0),
        ("larder_origin_requests_total{origin=\"app\",status=\"5xx\"}", 1.0),
        ("larder_origin_requests_total{origin=\"app\",status=\"error\"}", 1.0),
        ("larder_origin_up{origin=\"app\"}", 1.0),
        ("larder_memory_entries", 2.0),
        ("larder_served_age_seconds_count", 3.0),
        ("larder_served_age_seconds_sum", 90.0),
        ("larder_entry_ttl_seconds_count", 2.0),
        ("larder_entry_ttl_seconds_sum", 120.0),
        ("larder_bytes_total{direction=\"origin\"}", 23.0),
    ] {
        assert_eq!(house.metric(series).await, value, "{series}");
    }
    assert!(house.metric("larder_bytes_total{direction=\"client\"}").await >= 53.0);
    assert!(house.metric("larder_memory_bytes").await > 20.0);
}

#[tokio::test]
async fn once_there_are_tokens_reading_needs_one() {
    let origin = crate::support::Origin::start().await;
    let yaml = format!(
        "server: {{ listen: [{{ address: \"127.0.0.1:0\" }}] }}\n\
         admin: {{ address: \"127.0.0.1:0\", tokens: [{{ name: r, secret: a-long-enough-secret-for-this, allow: [read] }}] }}\n\
         log: {{ access: off }}\norigins: {{ app: {{ servers: [\"http://{}\"] }} }}\nrules: [{{ name: all, origin: app }}]\n",
        origin.address
    );
    let house = House::start(&yaml, origin).await;
    assert_eq!(house.admin("/livez").await.status, 200);
    assert_eq!(house.admin("/readyz").await.status, 200);
    let reply = house.admin("/metrics").await;
    assert_eq!((reply.status, reply.header("www-authenticate")), (401, Some("Bearer")));
    let to = house.running.admin().unwrap();
    let host = to.to_string();
    let headers = [("Host", &*host), ("Authorization", "Bearer a-long-enough-secret-for-this")];
    assert_eq!(crate::support::request(to, "GET", "/metrics", &headers, b"").await.status, 200);
}

#[tokio::test]
async fn a_draining_process_is_not_ready_and_finishes_what_it_has_begun() {
    let mut house = House::new("").await;
    let client = house.client("GET", "/x", &[]).await;
    let asked = house.origin.next().await;
    let admin = house.running.admin().unwrap();
    let drain = tokio::spawn(house.running.drain());
    let host = admin.to_string();
    crate::support::soon("not ready", async {
        while crate::support::request(admin, "GET", "/readyz", &[("Host", &host)], b"").await.status != 503 {}
    })
    .await;
    asked.answer(FRESH).await;
    assert_eq!(client.reply().await.text(), "0123456789");
    crate::support::soon("the end", drain).await.unwrap();
}
