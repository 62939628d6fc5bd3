//! Objects over `memory.max_object`: streamed, never stored, at the pace of who reads them (rulings 30).

use crate::support::{Asked, House};

const SMALL: &str = "memory: { capacity: 16MiB, max_object: 64KiB }";

async fn house() -> House {
    House::with_rules("  - name: all\n    origin: app\n", SMALL).await
}

async fn chunked(asked: &mut Asked, total: usize) {
    asked.write(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    for _ in 0..total / 10_000 {
        asked.chunk(&[b'x'; 10_000]).await;
    }
}

#[tokio::test]
async fn a_known_length_over_the_limit_streams_through_unstored() {
    let mut house = house().await;
    let body = "x".repeat(100_000);
    let answer = format!("200 OK\nCache-Control: max-age=60\n\n{body}");
    let reply = house.fetched("/big", &answer).await;
    assert_eq!(reply.cache_status(), "larder; fwd=uri-miss; detail=too-large");
    assert_eq!(reply.body.len(), 100_000);
    house.fetched("/big", &answer).await;
    assert_eq!(house.metric("larder_memory_entries").await, 0.0);
    assert_eq!(house.metric("larder_not_stored_total{reason=\"too-large\"}").await, 2.0);
}

#[tokio::test]
async fn what_is_more_than_all_memory_is_not_stored_and_costs_nobody_a_place() {
    let more = "memory: { capacity: 1MiB, max_object: 1MiB }";
    let mut house = House::with_rules("  - name: all\n    origin: app\n", more).await;
    house.fetched("/small", "200 OK\nCache-Control: max-age=60\n\nx").await;
    let field = format!("X-Long: {}", "x".repeat(1000));
    // By its fields already, and only with all that comes on top.
    for (body, said) in [((1 << 20) - 500, "detail=too-large"), ((1 << 20) - 1200, "")] {
        let answer = format!("200 OK\nCache-Control: max-age=60\n{field}\n\n{}", "y".repeat(body));
        let reply = house.fetched("/heavy", &answer).await;
        assert!(reply.cache_status().contains(said), "{body}: {}", reply.cache_status());
        house.fetched("/heavy", &answer).await;
    }
    house.get("/small").await.assert_hit();
    assert_eq!(house.metric("larder_not_stored_total{reason=\"too-large\"}").await, 4.0);
}

#[tokio::test]
async fn an_unknown_length_over_the_limit_is_found_out_on_the_way() {
    let mut house = house().await;
    let client = house.client("GET", "/big", &[]).await;
    let mut asked = house.origin.next().await;
    chunked(&mut asked, 300_000).await;
    asked.chunk(b"").await;
    asked.done().await;
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.body.len(), reply.truncated), (200, 300_000, false));
    house.settled().await;
    assert_eq!(house.metric("larder_memory_entries").await, 0.0);
    // Remembered: the next two don't wait for each other.
    let clients = [house.client("GET", "/big", &[]).await, house.client("GET", "/big", &[]).await];
    let both = [house.origin.next().await, house.origin.next().await];
    for asked in both {
        asked.answer("200 OK\n\nsmall").await;
    }
    for client in clients {
        assert_eq!(client.reply().await.text(), "small");
    }
}

/// Threads, so that the fetch may be far into the body before its client begins: it must not be over by then.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_body_that_comes_at_once_and_is_too_large_is_no_error() {
    let mut house = house().await;
    let mut all =
        b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..10 {
        all.extend_from_slice(b"4e20\r\n");
        all.extend_from_slice(&[b'x'; 20_000]);
        all.extend_from_slice(b"\r\n");
    }
    all.extend_from_slice(b"0\r\n\r\n");
    for i in 0..300 {
        let client = house.client("GET", &format!("/{i}"), &[]).await;
        let mut asked = house.origin.next().await;
        let (reply, ()) = tokio::join!(client.reply(), async {
            asked.write(&all).await;
            asked.done().await;
        });
        assert_eq!((reply.status, reply.body.len(), reply.truncated), (200, 200_000, false), "{i}");
    }
}

#[tokio::test]
async fn all_who_waited_get_the_whole_of_it() {
    let mut house = house().await;
    let mut clients = vec![house.client("GET", "/big", &[]).await];
    let mut asked = house.origin.next().await;
    for _ in 0..5 {
        clients.push(house.client("GET", "/big", &[]).await);
    }
    house.waiting(5).await;
    asked.write(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    asked.chunk(b"begin").await;
    for client in &mut clients {
        client.until("begin").await;
    }
    let write = async {
        for _ in 0..30 {
            asked.chunk(&[b'x'; 10_000]).await;
        }
        asked.chunk(b"").await;
        asked.done().await;
    };
    let read = async {
        let mut lengths = Vec::new();
        let mut tasks: Vec<_> = clients.into_iter().map(|c| tokio::spawn(c.reply())).collect();
        for task in tasks.drain(..) {
            let reply = task.await.unwrap();
            assert!(!reply.truncated);
            lengths.push(reply.body.len());
        }
        lengths
    };
    let ((), lengths) = tokio::join!(write, read);
    assert_eq!(lengths, [300_005; 6]);
    house.quiet().await;
}

#[tokio::test]
async fn a_slow_reader_holds_the_origin_back() {
    let mut house = house().await;
    let client = house.client("GET", "/big", &[]).await;
    let mut asked = house.origin.next().await;
    asked.write(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n\r\n").await;
    // Without a reader only the window and the sockets' buffers fill, however much the origin has.
    const MUCH: usize = 256 << 20;
    let taken = asked.flood(MUCH).await;
    assert!(taken < MUCH / 4, "{taken} bytes were taken although nobody reads");
    assert!(house.running.engine().fill_budget.used() <= 64 << 10);
    // It goes on when the client does.
    let mut client = client;
    let got = client.more(taken / 2).await;
    assert!(got >= taken / 2);
    assert!(asked.flood(1 << 20).await > 0);
}

#[tokio::test]
async fn when_nobody_reads_any_more_the_origin_is_let_go() {
    let mut house = house().await;
    let mut client = house.client("GET", "/big", &[]).await;
    let mut asked = house.origin.next().await;
    chunked(&mut asked, 100_000).await;
    client.more(90_000).await;
    drop(client);
    let gone = async {
        loop {
            asked.chunk(&[b'x'; 10_000]).await;
            tokio::task::yield_now().await;
            if house.running.engine().flights.is_idle() {
                break;
            }
        }
    };
    crate::support::soon("the end of the fetch", gone).await;
    assert_eq!(house.running.engine().fill_budget.used(), 0);
}

#[tokio::test]
async fn rulings_30_ranges_of_what_is_too_large_are_sent_on() {
    let mut house = house().await;
    let range = [("Range", "bytes=0-1")];
    // Found out by the first answer, then asked again as a range.
    let client = house.client("GET", "/big", &range).await;
    let whole = house.origin.next().await;
    assert_eq!(whole.header("range"), None);
    let part = "206 Partial Content\nContent-Range: bytes 0-1/100000\nCache-Control: max-age=60\n\nxx";
    let answer = format!("200 OK\nCache-Control: max-age=60\n\n{}", "x".repeat(100_000));
    let serve = async {
        whole.answer(&answer).await;
        let asked = house.origin.next().await;
        assert_eq!(asked.header("range"), Some("bytes=0-1"));
        asked.answer(part).await;
    };
    let ((), reply) = tokio::join!(serve, client.reply());
    assert_eq!((reply.status, reply.text().as_str()), (206, "xx"));
    assert_eq!(reply.cache_status(), "larder; fwd=request; detail=range-of-large-object");
    // Remembered: the whole is not fetched for it again.
    let (reply, seen) = house.exchange("GET", "/big", &range, part).await;
    assert_eq!((seen.header("range"), reply.status), (Some("bytes=0-1"), 206));
    assert_eq!(house.metric("larder_memory_entries").await, 0.0);
    let only = [("Range", "bytes=0-1"), ("Cache-Control", "only-if-cached")];
    assert_eq!(house.send("GET", "/big", &only).await.status, 504);
}

#[tokio::test]
async fn memory_stays_within_its_capacity() {
    let mut house = House::with_rules("  - name: all\n    origin: app\n", "memory: { capacity: 1MiB }").await;
    let body = "x".repeat(50_000);
    for i in 0..60 {
        house.fetched(&format!("/{i}"), &format!("200 OK\nCache-Control: max-age=60\n\n{body}")).await;
    }
    assert!(house.metric("larder_memory_bytes").await <= 1_048_576.0);
    assert!(house.metric("larder_memory_entries").await <= 20.0);
    assert!(house.metric("larder_evictions_total{cause=\"size\"}").await >= 40.0);
}
