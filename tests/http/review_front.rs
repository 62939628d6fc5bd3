//! The public side and the admin listener where somebody means harm, or leaves early.

use crate::support::{Client, House, request, soon};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const FRESH: &str = "200 OK\nCache-Control: max-age=60\n\n0123456789";

#[tokio::test]
async fn an_authorization_that_nobody_checks_lifts_no_guard() {
    let house = House::new("").await;
    let to = house.running.admin().unwrap();
    let rebound = [("Host", "evil.example"), ("Authorization", "Bearer x")];
    assert_eq!(request(to, "GET", "/status", &rebound, b"").await.status, 421);
}

#[tokio::test]
async fn probes_come_by_any_name_and_without_a_token() {
    let more = "";
    let house = House::with_rules("  - name: all\n    origin: app\n", more).await;
    let to = house.running.admin().unwrap();
    for path in ["/livez", "/readyz"] {
        let reply = request(to, "GET", path, &[("Host", "larder.default.svc:9080")], b"").await;
        assert_eq!(reply.status, 200, "{path}");
        let reply = request(to, "POST", path, &[("Host", "larder.default.svc:9080")], b"").await;
        assert_eq!(reply.status, 405, "{path}");
    }
}

#[tokio::test]
async fn a_field_that_is_removed_selects_no_variant_in_either_lane() {
    let mut house = House::new("").await;
    let answer = "200 OK\nCache-Control: max-age=60\nVary: X-Forwarded-For, X-Real-IP\n\nfirst";
    house.fetched("/x", answer).await;
    house.get("/x").await.assert_hit();
    for field in ["X-Forwarded-For", "X-Real-IP", "Forwarded", "X_Forwarded_For"] {
        let reply = house.send("GET", "/x", &[(field, "6.6.6.6")]).await;
        reply.assert_hit();
        assert_eq!(reply.text(), "first", "{field}");
    }
    house.quiet().await;
}

#[tokio::test]
async fn a_hit_counts_the_bytes_of_its_body_and_no_others() {
    let mut house = House::new("").await;
    house.fetched("/x", FRESH).await;
    let client = "larder_bytes_total{direction=\"client\"}";
    let before = house.metric(client).await;
    house.get("/x").await.assert_hit();
    house.send("HEAD", "/x", &[]).await.assert_hit();
    let one = "larder_requests_total{rule=\"all\",outcome=\"hit\"}";
    soon("both to be counted", async { while house.metric(one).await < 2.0 {} }).await;
    assert_eq!(house.metric(client).await - before, 10.0);
}

#[tokio::test]
async fn a_client_that_leaves_before_its_answer_is_counted() {
    let mut house = House::new("coalesce: off").await;
    let client = Client::send(house.address(), "GET", "/slow", &[]).await;
    let asked = house.origin.next().await;
    drop(client);
    let gone = "larder_requests_total{rule=\"none\",outcome=\"error\"}";
    soon("the request to be counted", async { while house.metric(gone).await < 1.0 {} }).await;
    drop(asked);
}

#[tokio::test]
async fn one_word_for_a_failure_in_metric_and_response() {
    let mut house = House::new("").await;
    let client = house.client("GET", "/x", &[]).await;
    house.origin.next().await.break_off().await;
    let reply = client.reply().await;
    assert_eq!(reply.status, 502);
    assert!(reply.text().contains("origin-broke"), "{}", reply.text());
    assert_eq!(house.metric("larder_refused_total{reason=\"origin-broke\"}").await, 1.0);
}

/// Too large, found while it is read: the fetch is under way by then.
#[tokio::test]
async fn a_body_over_the_limit_is_counted_once() {
    let origin = crate::support::Origin::start().await;
    let yaml = format!(
        "server: {{ listen: [{{ address: \"127.0.0.1:0\" }}], limits: {{ request_body: 8B }} }}\n\
         admin: {{ address: \"127.0.0.1:0\" }}\nlog: {{ access: off }}\n\
         origins: {{ app: {{ servers: [\"http://{}\"] }} }}\n",
        origin.address
    );
    let mut house = House::start(&yaml, origin).await;
    let mut client = TcpStream::connect(house.address()).await.unwrap();
    let head = "POST /x HTTP/1.1\r\nHost: site.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let asked = house.origin.next().await;
    client.write_all(b"5\r\n56789\r\n0\r\n\r\n").await.unwrap();
    let mut reply = [0; 12];
    soon("an answer", client.read_exact(&mut reply)).await.unwrap();
    assert_eq!(&reply, b"HTTP/1.1 413");
    drop(asked);
    assert_eq!(house.metric("larder_refused_total{reason=\"body-too-large\"}").await, 1.0);
    assert_eq!(house.metric("larder_refused_total{reason=\"incomplete-body\"}").await, 0.0);
    assert_eq!(house.metric("larder_requests_total{rule=\"none\",outcome=\"error\"}").await, 1.0);
}

fn config(admin: &str, servers: &str, more: &str) -> larder::config::Config {
    let yaml = format!(
        "server: {{ listen: [{{ address: \"127.0.0.1:0\" }}] }}\nadmin: {admin}\n\
         log: {{ access: off }}\norigins: {{ app: {{ servers: [{servers}], retries: 0, connect_timeout: 20s }} }}\n{more}"
    );
    let loaded = larder::config::parse("test.yaml", &yaml, std::path::Path::new("."), &|_| None);
    loaded.unwrap_or_else(|report| panic!("{report}\n{yaml}")).config
}

#[tokio::test]
async fn a_reload_never_leaves_an_exposed_admin_listener_without_tokens() {
    let token = "{ address: \"0.0.0.0:0\", tokens: [{ name: a, secret: sesame-sesame, allow: [admin] }] }";
    let started = config(token, "demo", "");
    let running = larder::app::start(started, larder::clock::Clock::manual()).await.unwrap();
    let to = (std::net::Ipv4Addr::LOCALHOST, running.admin().unwrap().port()).into();
    let loopback = config("{ address: \"127.0.0.1:0\" }", "demo", "");
    assert!(running.reload(loopback).unwrap_err().is_configuration());
    assert_eq!(request(to, "GET", "/status", &[("Host", "127.0.0.1")], b"").await.status, 401);
}

#[tokio::test]
async fn a_reload_names_all_that_stays() {
    let house = House::new("").await;
    let server = format!("\"http://{}\"", house.origin.address);
    let more = "memory: { capacity: 100MiB, policy: lru }";
    let kept = house.running.reload(config("{ address: off }", &server, more)).unwrap();
    assert_eq!(kept.kept, ["admin.address", "memory.capacity", "memory.policy"]);
}

#[tokio::test]
async fn an_origin_that_is_wanted_as_it_is_stays_and_the_demo_can_come_later() {
    let house = House::new("").await;
    let server = format!("\"http://{}\"", house.origin.address);
    let origin = || house.running.engine().site().origins["app"].clone();
    let admin = "{ address: \"127.0.0.1:0\" }";
    let first = origin();
    house.running.reload(config(admin, &server, "")).unwrap();
    assert!(std::sync::Arc::ptr_eq(&first, &origin()));
    house.running.reload(config(admin, "demo", "")).unwrap();
    assert!(!std::sync::Arc::ptr_eq(&first, &origin()));
    assert_eq!(house.get("/").await.status, 200);
}

#[tokio::test]
async fn junk_instead_of_a_certificate_is_found_by_check() {
    let folder = tempfile::tempdir().unwrap();
    let junk = folder.path().join("junk.pem");
    std::fs::write(&junk, "junk").unwrap();
    let more = format!("    tls: {{ ca: \"{}\" }}\n", junk.display());
    let yaml = format!("origins:\n  app:\n    servers: [\"https://127.0.0.1:1\"]\n{more}");
    let loaded = larder::config::parse("test.yaml", &yaml, folder.path(), &|_| None).unwrap();
    assert!(larder::app::check(&loaded.config).unwrap_err().is_configuration());
}

#[tokio::test]
async fn a_client_that_is_slow_to_ask_does_not_keep_the_admin_listener_from_ending() {
    let house = House::new("").await;
    let mut slow = TcpStream::connect(house.running.admin().unwrap()).await.unwrap();
    slow.write_all(b"GET /status HT").await.unwrap();
    assert_eq!(house.admin("/livez").await.status, 200);
    soon("the end", house.running.drain()).await;
}
