//! Who may purge, and who may force a refresh, in other products' ways (interface.md §3.1, §5; rulings 1, 6). Whoever may
//! not is refused, and the origin never sees a `PURGE`.

use crate::dialects::{FROM_HERE, exchange, house, open_house, wire, yaml};
use crate::support::{Client, House, Reply, soon};
use serde_json::Value;
use std::net::SocketAddr;
use tokio::net::TcpStream;

const PAGE: &str = "200 OK\nETag: \"1\"\nxkey: t\nCache-Control: max-age=60\n\nold";
const NEW: &str = "200 OK\nETag: \"2\"\nxkey: t\nCache-Control: max-age=60\n\nnew";

const TOKENS: &str = ", tokens: [{ name: deploy, secret: deploy-and-long-enough-to-be-one, allow: [purge] }, \
                      { name: reader, secret: reader-and-long-enough-to-be-one, allow: [read] }]";

fn bearer(name: &str) -> String {
    format!("Bearer {name}-and-long-enough-to-be-one")
}

fn assert_refused(reply: &Reply) {
    assert_eq!(reply.status, 405, "{reply:?}");
    assert_eq!(reply.header("allow"), Some("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, QUERY"));
    assert!(reply.text().contains("purge-not-allowed"), "{reply:?}");
    assert_eq!(reply.header("cache-status"), None, "nothing to do with a cache");
}

/// Who the newest purge is listed under.
async fn who(house: &House) -> String {
    let list: Value = serde_json::from_slice(&house.admin("/purges").await.body).unwrap();
    list["purges"][0]["who"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn strangers_are_405_whatever_the_method_and_the_origin_never_hears_of_it() {
    let mut house = House::new("").await;
    house.fetched("/x", PAGE).await;
    let methods = ["PURGE", "PURGEKEYS", "PURGETAGS", "BAN", "URIBAN", "FULLBAN"];
    for method in methods {
        for more in ["", "\nxkey: t", "\nFastly-Key: t", "\nAuthorization: Bearer t", "\n\nbody"] {
            let raw = format!("{method} /x HTTP/1.1\nHost: site.example{more}");
            assert_refused(&wire(house.address(), &raw).await);
        }
    }
    house.get("/x").await.assert_hit();
    house.quiet().await;
    let count = (methods.len() * 5) as f64;
    assert_eq!(house.metric("larder_refused_total{reason=\"purge-not-allowed\"}").await, count);
    assert_eq!(house.metric("larder_requests_total{rule=\"none\",outcome=\"error\"}").await, count);
    assert_eq!(house.metric("larder_purges_total{kind=\"url\",mode=\"hard\"}").await, 0.0);
}

#[tokio::test]
async fn a_purge_is_counted_and_listed_like_any_other() {
    let mut house = open_house().await;
    house.fetched("/x", PAGE).await;
    assert_eq!(wire(house.address(), "PURGE / HTTP/1.1\nHost: {here}\nxkey: t").await.status, 200);
    assert_eq!(house.metric("larder_purges_total{kind=\"tag\",mode=\"hard\"}").await, 1.0);
    assert_eq!(house.metric("larder_requests_total{rule=\"none\",outcome=\"pass\"}").await, 1.0);
    assert_eq!(who(&house).await, "127.0.0.1");
    house.fetched("/x", NEW).await;
    house.quiet().await;
}

/// Rulings 1: whoever relays for somebody unknown has an address that says nothing.
#[tokio::test]
async fn rulings_1_a_forwarded_call_never_qualifies_by_its_peer() {
    let mut house = open_house().await;
    house.fetched("/x", PAGE).await;
    for field in
        ["X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1", "Via: 1.1 somebody", "X-Forwarded-For:"]
    {
        let raw = format!("PURGE /x HTTP/1.1\nHost: site.example\n{field}");
        assert_refused(&wire(house.address(), &raw).await);
        let raw = format!("PURGE /x HTTP/1.1\nHost: site.example\n{field}\nConnection: {}", &field[..3]);
        assert_refused(&wire(house.address(), &raw).await);
    }
    house.get("/x").await.assert_hit();
    house.quiet().await;
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_clients_address_counts() {
    let trusted = ", trusted_proxies: [127.0.0.1/32]";
    let mut house = house(trusted, ", purge_from: [192.0.2.0/24]", "").await;
    house.fetched("/x", PAGE).await;
    let purge = async |fields: &str| {
        wire(house.address(), &format!("PURGE /x HTTP/1.1\nHost: site.example{fields}")).await
    };
    assert_refused(&purge("").await);
    assert_refused(&purge("\nX-Forwarded-For: 198.51.100.1").await);
    assert_refused(&purge("\nX-Forwarded-For: 192.0.2.7, 198.51.100.1").await);
    house.get("/x").await.assert_hit();
    assert_eq!(purge("\nX-Forwarded-For: 6.6.6.6, 192.0.2.7").await.status, 200);
    assert_eq!(who(&house).await, "192.0.2.7");
    house.fetched("/x", NEW).await;
}

#[tokio::test]
async fn a_token_that_allows_purges_opens_and_no_other_does() {
    let mut house = house("", TOKENS, "").await;
    house.fetched("/x", PAGE).await;
    let purge = async |authorization: &str| {
        let raw =
            format!("PURGE /x HTTP/1.1\nHost: site.example\nVia: 1.1 x\nAuthorization: {authorization}");
        wire(house.address(), &raw).await
    };
    for wrong in [&bearer("reader"), "Bearer x", "Basic eDp4", "Bearer"] {
        assert_refused(&purge(wrong).await);
    }
    house.get("/x").await.assert_hit();
    assert_eq!(purge(&bearer("deploy")).await.status, 200);
    house.fetched("/x", NEW).await;
    house.quiet().await;
}

#[tokio::test]
async fn a_reload_changes_who_may() {
    let mut house = House::new("").await;
    house.fetched("/x", PAGE).await;
    let raw = "PURGE /x HTTP/1.1\nHost: site.example";
    assert_refused(&wire(house.address(), raw).await);
    let reload = |admin| {
        let yaml = yaml(&house.origin, "", admin, "");
        let loaded = larder::config::parse("test.yaml", &yaml, std::path::Path::new("."), &|_| None);
        house.running.reload(loaded.unwrap_or_else(|report| panic!("{report}")).config).unwrap();
    };
    reload(FROM_HERE);
    assert_eq!(wire(house.address(), raw).await.status, 200);
    reload("");
    assert_refused(&wire(house.address(), raw).await);
}

/// Tags are purged at the cache's own address, which is nobody's site.
#[tokio::test]
async fn where_hosts_are_listed_a_purge_may_come_by_another_name() {
    let mut house = house(", hosts: [site.example]", FROM_HERE, "").await;
    house.fetched("/x", PAGE).await;
    assert_eq!(wire(house.address(), "GET /x HTTP/1.1\nHost: {here}").await.status, 421);
    assert_eq!(wire(house.address(), "PURGE / HTTP/1.1\nHost: {here}\nxkey: t").await.status, 200);
    house.fetched("/x", NEW).await;
}

#[tokio::test]
async fn a_body_is_read_up_to_a_mebibyte_and_the_connection_goes_on() {
    let mut house = open_house().await;
    house.fetched("/x", PAGE).await;
    let mut stream = TcpStream::connect(house.address()).await.unwrap();
    for _ in 0..2 {
        let reply =
            exchange(&mut stream, "PURGE / HTTP/1.1\nHost: {here}\nxkey: u\n\nnobody reads this").await;
        assert_eq!(reply.status, 200);
    }
    let long = "PURGE / HTTP/1.1\nHost: {here}\nxkey: t\nContent-Length: 1048577";
    assert_eq!(wire(house.address(), long).await.status, 413);
    let chunked = "PURGE / HTTP/1.1\nHost: site.example\nxkey: t\nTransfer-Encoding: chunked\r\n\r\n";
    let raw = format!("{chunked}100001\r\n{}", "x".repeat(0x10_0001));
    assert_eq!(soon("413", raw_exchange(house.address(), raw)).await.status, 413);
    house.get("/x").await.assert_hit();
    house.quiet().await;
}

/// Writes while it reads: the answer may come before the end of the request.
async fn raw_exchange(to: SocketAddr, raw: String) -> Reply {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (mut read, mut write) = TcpStream::connect(to).await.unwrap().into_split();
    let raw = raw.replace("\r\n", "\n").replace('\n', "\r\n");
    let writing = async move {
        let _ = write.write_all(raw.as_bytes()).await;
        write
    };
    let reading = async move {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\n") || !bytes.windows(4).any(|w| w == b"\r\n\r\n") {
            if read.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                break;
            }
        }
        crate::support::parse(&bytes, false)
    };
    tokio::join!(writing, reading).1
}

#[tokio::test]
async fn http2_purges_and_refuses_alike() {
    let mut house = house("", TOKENS, "").await;
    house.fetched("/x", PAGE).await;
    let io = TcpStream::connect(house.address()).await.unwrap();
    let (mut client, connection) = h2::client::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let mut purge = async |authorization: &str| {
        std::future::poll_fn(|cx| client.poll_ready(cx)).await.unwrap();
        let request = http::Request::builder()
            .method("PURGE")
            .uri("http://site.example/x")
            .header("authorization", authorization)
            .body(())
            .unwrap();
        let (response, _) = client.send_request(request, true).unwrap();
        let mut response = soon("a response", response).await.unwrap();
        let body = response.body_mut().data().await.unwrap().unwrap();
        (response.status().as_u16(), response.headers().contains_key("allow"), body)
    };
    assert_eq!(purge("Bearer x").await.0, 405);
    house.get("/x").await.assert_hit();
    assert_eq!(purge(&bearer("deploy")).await, (200, false, "Purged\n".into()));
    house.fetched("/x", NEW).await;
    house.quiet().await;
}

// ---- The admin listener.

#[tokio::test]
async fn on_the_admin_listener_a_refusal_is_in_the_callers_words() {
    let house = house("", TOKENS, "").await;
    let admin = house.running.admin().unwrap();
    let json = "Content-Type: application/json";
    let cloudflare = "/client/v4/zones/z/purge_cache";
    let draft = "/.well-known/http-invalidation";
    let reader = format!("Authorization: {}", bearer("reader"));
    let key = "Fastly-Key: reader-and-long-enough-to-be-one";
    for (path, field, status, part) in [
        (cloudflare, json, 401, r#"{"success":false,"errors":[{"code":10000,"#),
        (cloudflare, "Authorization: Bearer x", 401, r#""message":"the token is not known""#),
        (cloudflare, &reader, 403, r#"{"success":false,"errors":[{"code":10000,"#),
        (
            "/service/s/purge_all",
            "Fastly-Key: x",
            401,
            r#"{"msg":"Unauthorized","detail":"the token is not known"}"#,
        ),
        ("/service/s/purge/k", key, 403, r#"{"msg":"Forbidden","detail":"the token does not allow this"}"#),
        ("/service/s/purge", json, 401, r#"{"msg":"Unauthorized","#),
        (draft, json, 401, r#"{"error":"#),
        (draft, "Fastly-Key: deploy-and-long-enough-to-be-one", 401, r#"{"error":"#),
    ] {
        let raw = format!("POST {path} HTTP/1.1\nHost: {{here}}\n{field}\n\n{{}}");
        let reply = wire(admin, &raw).await;
        assert_eq!(reply.status, status, "{path} {field}: {reply:?}");
        assert_eq!(reply.header("www-authenticate"), (status == 401).then_some("Bearer"), "{path} {field}");
        assert!(reply.text().contains(part), "{path} {field}: {reply:?}");
    }
    let get = wire(admin, &format!("GET {cloudflare} HTTP/1.1\nHost: {{here}}")).await;
    assert_eq!(get.status, 401, "the gate comes first");
}

#[tokio::test]
async fn fastly_key_is_the_token_and_its_name_is_listed() {
    let house = house("", &TOKENS.replace("[read]", "[read, admin]"), "").await;
    let admin = house.running.admin().unwrap();
    let raw = "POST /service/s/purge_all HTTP/1.1\nHost: cache.internal:9080\n\
               Fastly-Key: deploy-and-long-enough-to-be-one\nContent-Length: 0";
    assert_eq!(wire(admin, raw).await.status, 200);
    let raw = format!("GET /purges HTTP/1.1\nHost: {{here}}\nAuthorization: {}", bearer("reader"));
    let list: Value = serde_json::from_slice(&wire(admin, &raw).await.body).unwrap();
    assert_eq!(
        (&list["purges"][0]["who"], &list["purges"][0]["summary"]),
        (&"deploy".into(), &"everything".into())
    );
}

#[tokio::test]
async fn rulings_6_without_tokens_a_foreign_page_purges_nothing() {
    let mut house = House::new("").await;
    house.fetched("/x", PAGE).await;
    let admin = house.running.admin().unwrap();
    for (path, field, status) in [
        ("/service/s/purge_all", "Content-Type: text/plain", 415),
        ("/client/v4/zones/z/purge_cache", "Content-Type: multipart/form-data", 415),
        ("/.well-known/http-invalidation", "Origin: http://evil.example", 403),
        ("/service/s/purge_all", "Fastly-Key: t\nOrigin: http://evil.example", 403),
    ] {
        let raw = format!(
            "POST {path} HTTP/1.1\nHost: {{here}}\n{field}\n\n{{\"purge_everything\":true,\"type\":\"origin\"}}"
        );
        assert_eq!(wire(admin, &raw).await.status, status, "{path} {field}");
    }
    let rebound =
        "POST /service/s/purge_all HTTP/1.1\nHost: evil.example\nContent-Type: application/json\n\n{}";
    let reply = wire(admin, rebound).await;
    assert_eq!((reply.status, reply.text().contains("\"msg\"")), (421, true), "{reply:?}");
    house.get("/x").await.assert_hit();
}

#[tokio::test]
async fn other_methods_are_405_and_long_bodies_413_in_the_callers_words() {
    let house = House::new("").await;
    let admin = house.running.admin().unwrap();
    for (path, part) in [
        ("/client/v4/zones/z/purge_cache", "\"success\":false"),
        ("/service/s/purge/k", "\"msg\""),
        ("/service/s/purge", "\"msg\""),
        ("/service/s/purge_all", "\"msg\""),
        ("/.well-known/http-invalidation", "\"error\""),
    ] {
        for method in ["GET", "DELETE", "PURGE"] {
            let reply = wire(admin, &format!("{method} {path} HTTP/1.1\nHost: {{here}}")).await;
            assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")), "{method} {path}");
            assert!(reply.text().contains(part), "{method} {path}: {reply:?}");
        }
        let long = format!(
            "POST {path} HTTP/1.1\nHost: {{here}}\nContent-Type: application/json\n\n{}",
            "x".repeat(1_048_577)
        );
        let reply = wire(admin, &long).await;
        assert_eq!((reply.status, reply.text().contains(part)), (413, true), "{path}: {reply:?}");
    }
    assert_eq!(
        wire(admin, "PURGE /x HTTP/1.1\nHost: {here}").await.status,
        404,
        "that is for the public side"
    );
}

// ---- Forced refresh.

const IGNORED: &str = ", client_revalidate: ignore";

/// Warm, by the fast lane too.
async fn warm(admin: &str) -> House {
    let mut house = house("", admin, IGNORED).await;
    house.fetched("/x", PAGE).await;
    house.get("/x").await.assert_hit();
    house.get("/x").await.assert_hit();
    house
}

#[tokio::test]
async fn a_forced_refresh_fetches_in_full_and_replaces_what_is_stored() {
    for field in [("Cache-Control", "no-cache"), ("X-Refresh", "1"), ("Cache-Control", "max-age=0, no-cache")]
    {
        let mut house = warm(FROM_HERE).await;
        let (reply, seen) = house.exchange("GET", "/x", &[field], NEW).await;
        assert_eq!(seen.header("if-none-match"), None, "{field:?}: a 304 would leave the old one");
        assert_eq!(reply.text(), "new");
        reply.assert_status("fwd=request; stored");
        let hit = house.get("/x").await;
        hit.assert_hit();
        assert_eq!(hit.text(), "new");
        house.quiet().await;
    }
}

#[tokio::test]
async fn a_forced_refresh_by_head_fetches_the_whole() {
    let mut house = warm(FROM_HERE).await;
    let (reply, seen) = house.exchange("HEAD", "/x", &[("Cache-Control", "no-cache")], NEW).await;
    assert_eq!((seen.method.as_str(), reply.header("etag")), ("GET", Some("\"2\"")));
    house.settled().await;
    let hit = house.get("/x").await;
    hit.assert_hit();
    assert_eq!(hit.text(), "new");
}

/// An earlier fetch may bring what was true before the caller's change.
#[tokio::test]
async fn a_forced_refresh_does_not_wait_for_an_earlier_fetch() {
    let mut house = house("", FROM_HERE, IGNORED).await;
    let early = house.client("GET", "/x", &[]).await;
    let first = house.origin.next().await;
    let forced = house.client("GET", "/x", &[("Cache-Control", "no-cache")]).await;
    let second = house.origin.next().await;
    first.answer(PAGE).await;
    assert_eq!(early.reply().await.text(), "old");
    until_stored(&house).await;
    second.answer(NEW).await;
    assert_eq!(forced.reply().await.text(), "new");
    house.settled().await;
    assert_eq!(house.get("/x").await.text(), "new");
}

async fn until_stored(house: &House) {
    crate::support::until("the end of the first fetch", || house.running.engine().memory.bytes() > 0).await;
}

#[tokio::test]
async fn when_the_origin_fails_a_forced_refresh_takes_nothing_away() {
    let mut house = warm(FROM_HERE).await;
    let forced = Client::send(house.address(), "GET", "/x", &[("X-Refresh", "1")]).await;
    house.origin.next().await.break_off().await;
    forced.reply().await.assert_status("detail=disconnected");
    house.get("/x").await.assert_hit();
}

#[tokio::test]
async fn from_anybody_else_it_is_an_ordinary_request() {
    let no_cache = ("Cache-Control", "no-cache");
    let mut closed = warm("").await;
    let mut open = warm(FROM_HERE).await;
    let mut tokens = warm(TOKENS).await;
    for field in [no_cache, ("X-Refresh", "1")] {
        closed.send("GET", "/x", &[field]).await.assert_hit();
        open.send("GET", "/x", &[field, ("Via", "1.1 x")]).await.assert_hit();
        open.send("GET", "/x", &[field, ("X-Forwarded-For", "127.0.0.1")]).await.assert_hit();
        tokens.send("GET", "/x", &[field, ("Authorization", &bearer("deploy"))]).await.assert_hit();
    }
    for house in [&mut closed, &mut open, &mut tokens] {
        house.quiet().await;
    }
}
