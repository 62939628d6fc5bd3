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
