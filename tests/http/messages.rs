//! Messages on their way: trailers, chunked bodies, upgrades, fields of one hop (RFC 9110 §6.5, §7.6, §7.8).

use crate::support::House;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn trailers_are_passed_on_stored_and_served() {
    let mut house = House::new("").await;
    let client = house.client("GET", "/t", &[("TE", "trailers")]).await;
    let mut asked = house.origin.next().await;
    asked.write(b"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    asked.chunk(b"one").await;
    asked.chunk(b"two").await;
    asked.write(b"0\r\nX-Sum: 6\r\n\r\n").await;
    asked.done().await;
    let miss = client.reply().await;
    let hit = house.send("GET", "/t", &[("TE", "trailers")]).await;
    hit.assert_hit();
    for reply in [&miss, &hit] {
        assert_eq!((reply.text().as_str(), reply.truncated), ("onetwo", false));
        assert_eq!(reply.trailers, [("x-sum".to_owned(), "6".to_owned())], "{reply:?}");
    }
    // Who did not ask for trailers gets the body all the same, and HEAD nothing.
    assert_eq!(house.get("/t").await.text(), "onetwo");
    assert_eq!(house.send("HEAD", "/t", &[]).await.body.len(), 0);
}

#[tokio::test]
async fn a_chunked_body_is_stored_with_its_length() {
    let mut house = House::new("").await;
    let client = house.client("GET", "/c", &[]).await;
    let mut asked = house.origin.next().await;
    asked.write(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    for i in 0..100u8 {
        asked.chunk(&[b'a' + i % 26; 100]).await;
    }
    asked.chunk(b"").await;
    asked.done().await;
    let miss = client.reply().await;
    let hit = house.get("/c").await;
    hit.assert_hit();
    assert_eq!((miss.body.len(), hit.header("content-length")), (10_000, Some("10000")));
    assert_eq!(miss.body, hit.body);
}

#[tokio::test]
async fn a_body_that_ends_with_its_connection_is_whole() {
    let mut house = House::new("").await;
    let client = house.client("GET", "/c", &[]).await;
    let mut asked = house.origin.next().await;
    asked.write(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nConnection: close\r\n\r\nall").await;
    drop(asked);
    assert_eq!(client.reply().await.text(), "all");
    let hit = house.get("/c").await;
    assert_eq!((hit.text().as_str(), hit.header("content-length")), ("all", Some("3")));
}

#[tokio::test]
async fn an_upgraded_connection_carries_bytes_both_ways() {
    let mut house = House::new("").await;
    let mut client = tokio::net::TcpStream::connect(house.address()).await.unwrap();
    let request = "GET /ws HTTP/1.1\r\nHost: site.example\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    let mut asked = house.origin.next().await;
    assert_eq!((asked.header("upgrade"), asked.header("connection")), (Some("echo"), Some("upgrade")));
    asked.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n").await;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        assert!(client.read_buf(&mut head).await.unwrap() > 0);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101") && head.contains("upgrade: echo"), "{head}");
    for word in ["ping", "pong"] {
        client.write_all(word.as_bytes()).await.unwrap();
        let heard = asked.read(4).await;
        asked.write(&heard).await;
        let mut echo = [0; 4];
        client.read_exact(&mut echo).await.unwrap();
        assert_eq!(echo, *word.as_bytes());
    }
    drop(asked);
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "the end of one side is the end of both");
}

#[tokio::test]
async fn rfc9110_7_6_1_fields_of_one_hop_stay_on_it() {
    let mut house = House::new("").await;
    let fields = [
        ("Keep-Alive", "timeout=9"),
        ("TE", "gzip, trailers"),
        ("Proxy-Connection", "x"),
        ("Connection", "close, X-Hop"),
        ("X-Hop", "1"),
    ];
    let answer = "200 OK\nConnection: X-Mine\nX-Mine: 1\nKeep-Alive: timeout=5\nProxy-Authenticate: Basic\nCache-Control: max-age=60\n\nx";
    let (miss, seen) = house.exchange("GET", "/x", &fields, answer).await;
    for name in ["keep-alive", "proxy-connection", "x-hop"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    for name in ["x-mine", "keep-alive"] {
        assert_eq!(miss.header(name), None, "{name}");
    }
    assert_eq!(seen.header("host"), Some("site.example"));
    assert!(seen.header("via").is_some_and(|v| v.ends_with("larder")), "{seen:?}");
    assert!(seen.header("cdn-loop").is_some() && seen.header("x-request-id").is_some(), "{seen:?}");
}

#[tokio::test]
async fn request_bodies_are_streamed_to_the_origin() {
    let mut house = House::new("").await;
    let body = vec![b'z'; 1 << 20];
    let (reply, seen) = house.exchange_with_body("POST", "/up", &[], &body, "201 Created\n\nok").await;
    assert_eq!((reply.status, seen.body.len()), (201, 1 << 20));
}

#[tokio::test]
async fn upstream_words_about_caching_are_kept_and_ours_comes_last() {
    let mut house = House::new("").await;
    let answer = "200 OK\nCache-Status: inner; hit\nVia: 1.1 inner\nCache-Control: max-age=60\n\nx";
    house.fetched("/x", answer).await;
    let hit = house.get("/x").await;
    assert_eq!(hit.all("cache-status"), ["inner; hit", "larder; hit; ttl=60"]);
    assert_eq!(hit.all("via"), ["1.1 inner", "1.1 larder"]);
}
