//! Interim responses (RFC 9110 §15.2, RFC 8297): the origin's 103 reaches the client that waits for the final answer,
//! before it; it becomes no part of what is stored.

use crate::support::House;

const HINTS: &[u8] = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";

#[tokio::test]
async fn rfc9110_15_2_a_103_reaches_the_client_before_the_final_answer() {
    let mut house = House::new("").await;
    let client = house.client("GET", "/page", &[]).await;
    let mut asked = house.origin.next().await;
    asked.write(HINTS).await;
    asked.write(b"HTTP/1.1 102 Processing\r\n\r\n").await;
    asked.answer("200 OK\nCache-Control: max-age=60\n\nhello").await;
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "hello"));
    assert_eq!(reply.interim.len(), 2, "{:?}", reply.interim);
    let first = reply.interim[0].to_ascii_lowercase();
    assert!(first.starts_with("http/1.1 103") && first.contains("link: </a.css>; rel=preload"), "{first}");
    assert!(reply.interim[1].starts_with("HTTP/1.1 102"));

    let hit = house.get("/page").await;
    hit.assert_hit();
    assert!(hit.interim.is_empty() && hit.header("link").is_none(), "RFC 8297 §2: hints are not stored");
}

#[tokio::test]
async fn rfc9110_15_2_a_103_passes_through_for_what_is_not_stored_too() {
    let mut house = House::new("cache: bypass").await;
    let client = house.client("GET", "/page", &[]).await;
    let mut asked = house.origin.next().await;
    asked.write(HINTS).await;
    asked.answer("200 OK\n\nhello").await;
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.interim.len()), (200, 1));
}
