//! Byte ranges (RFC 9110 §14, §15.3.7; standards.md §8.8; rulings 30).

use crate::support::{House, Reply};

const STORED: &str = "200 OK\nETag: \"1\"\nContent-Type: text/plain\nCache-Control: max-age=60\n\n0123456789";

async fn stored() -> House {
    let mut house = House::new("").await;
    house.fetched("/r", STORED).await;
    house
}

async fn range(house: &House, value: &str) -> Reply {
    house.send("GET", "/r", &[("Range", value)]).await
}

#[tokio::test]
async fn rfc9110_14_single_ranges() {
    let house = stored().await;
    for (asked, sent, body) in [
        ("bytes=0-0", "bytes 0-0/10", "0"),
        ("bytes=2-4", "bytes 2-4/10", "234"),
        ("bytes=7-", "bytes 7-9/10", "789"),
        ("bytes=-2", "bytes 8-9/10", "89"),
        ("bytes=8-99", "bytes 8-9/10", "89"),
        ("bytes=-99", "bytes 0-9/10", "0123456789"),
        ("bytes=0-1,1-3", "bytes 0-3/10", "0123"),
    ] {
        let reply = range(&house, asked).await;
        assert_eq!((reply.status, reply.header("content-range")), (206, Some(sent)), "{asked}");
        assert_eq!((reply.text().as_str(), reply.truncated), (body, false), "{asked}");
        assert_eq!(reply.cache_status(), "larder; hit; ttl=60");
        for name in ["etag", "date", "cache-control", "age"] {
            assert!(reply.header(name).is_some(), "RFC 9110 §15.3.7: {name}");
        }
    }
}

#[tokio::test]
async fn rfc9110_15_3_7_2_several_ranges_byte_for_byte() {
    let house = stored().await;
    let reply = range(&house, "bytes=0-1, 4-5, -1").await;
    assert_eq!((reply.status, reply.header("content-range")), (206, None));
    let boundary =
        reply.header("content-type").unwrap().strip_prefix("multipart/byteranges; boundary=").unwrap();
    let part = |range: &str, text: &str| {
        format!(
            "\r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes {range}/10\r\n\r\n{text}"
        )
    };
    let expected =
        part("0-1", "01") + &part("4-5", "45") + &part("9-9", "9") + &format!("\r\n--{boundary}--\r\n");
    let text = reply.text();
    assert_eq!(
        text.trim_start_matches("\r\n").to_ascii_lowercase(),
        expected.trim_start_matches("\r\n").to_ascii_lowercase()
    );
    assert_eq!(reply.header("content-length"), Some(&*text.len().to_string()));
}

#[tokio::test]
async fn what_is_no_range_to_us_is_answered_with_everything() {
    let house = stored().await;
    for asked in ["bytes=5-2", "bytes=a-b", "items=0-1", "bytes=", "bytes=1-2-3"] {
        let reply = range(&house, asked).await;
        assert_eq!((reply.status, reply.text().as_str()), (200, "0123456789"), "{asked}");
    }
    let many = (0..40).map(|_| "0-,").collect::<String>();
    let reply = range(&house, &format!("bytes={many}0-")).await;
    assert!(reply.body.len() <= 10, "no amplification: {}", reply.body.len());
    let reply = house.send("HEAD", "/r", &[("Range", "bytes=0-1")]).await;
    assert_eq!((reply.status, reply.header("content-length")), (200, Some("10")), "RFC 9110 §14.2: GET only");
}

#[tokio::test]
async fn rfc9110_15_5_17_what_lies_outside() {
    let house = stored().await;
    for asked in ["bytes=10-", "bytes=-0", "bytes=18446744073709551614-"] {
        let reply = range(&house, asked).await;
        assert_eq!((reply.status, reply.header("content-range")), (416, Some("bytes */10")), "{asked}");
        assert_eq!(reply.body.len(), 0);
    }
}

#[tokio::test]
async fn rfc9110_13_1_5_if_range() {
    let house = stored().await;
    for (condition, status) in
        [("\"1\"", 206), ("\"2\"", 200), ("W/\"1\"", 200), ("Mon, 01 Dec 2025 00:00:00 GMT", 200)]
    {
        let headers = [("Range", "bytes=0-1"), ("If-Range", condition)];
        assert_eq!(house.send("GET", "/r", &headers).await.status, status, "{condition}");
    }
    let headers = [("Range", "bytes=0-1"), ("If-None-Match", "\"1\"")];
    assert_eq!(house.send("GET", "/r", &headers).await.status, 304, "RFC 9110 §13.2.2: conditions first");
}

#[tokio::test]
async fn rulings_30_a_range_of_what_is_not_stored_fetches_the_whole_once() {
    let mut house = House::new("").await;
    let ranges = [("Range", "bytes=2-4"), ("If-Range", "\"1\"")];
    let mut client = house.client("GET", "/r", &ranges).await;
    let mut asked = house.origin.next().await;
    assert_eq!((asked.header("range"), asked.header("if-range")), (None, None));
    let other = house.client("GET", "/r", &[("Range", "bytes=8-")]).await;
    house.waiting(1).await;
    let head =
        "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\n012345";
    asked.write(head.as_bytes()).await;
    client.until("\r\n\r\n234").await;
    let first = client.reply().await;
    assert_eq!((first.status, first.header("content-range")), (206, Some("bytes 2-4/10")));
    assert_eq!(first.text(), "234", "served before the rest has come");
    asked.write(b"6789").await;
    asked.done().await;
    assert_eq!(other.reply().await.text(), "89");
    let hit = house.get("/r").await;
    hit.assert_hit();
    assert_eq!(hit.text(), "0123456789");
    house.quiet().await;
}

#[tokio::test]
async fn a_range_of_a_body_of_unknown_length_is_answered_with_all_of_it() {
    let mut house = House::new("").await;
    let client = house.client("GET", "/r", &[("Range", "bytes=2-4")]).await;
    let mut asked = house.origin.next().await;
    asked.write(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    asked.chunk(b"0123456789").await;
    asked.chunk(b"").await;
    asked.done().await;
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "0123456789"));
    assert_eq!(range(&house, "bytes=2-4").await.text(), "234");
}

#[tokio::test]
async fn rfc9111_3_3_a_206_from_the_origin_is_not_stored() {
    let mut house = House::new("").await;
    let answer = "206 Partial Content\nContent-Range: bytes 0-1/10\nCache-Control: max-age=60\n\n01";
    house.fetched("/r", answer).await;
    assert_eq!(house.fetched("/r", STORED).await.text(), "0123456789");
}

#[tokio::test]
async fn ranges_of_other_statuses_are_not_cut() {
    let mut house = House::new("").await;
    house.fetched("/r", "404 Not Found\nCache-Control: max-age=60\n\nnothing here").await;
    let reply = range(&house, "bytes=0-1").await;
    assert_eq!((reply.status, reply.text().as_str()), (404, "nothing here"));
}
