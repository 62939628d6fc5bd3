//! Bounds: connections, the queue, response heads.

use super::*;

fn bounded(server: &Scripted, length: usize, wait: Duration) -> Arc<Origin> {
    let mut settings = settings([server.url()]);
    settings.max_connections = 1;
    settings.queue = Queue { length, wait };
    build(settings)
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_a_waiter_gives_up_in_time() {
    let server = Scripted::always("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhalf").await;
    let origin = bounded(&server, 1, SHORT);
    let busy = get(&origin).await.unwrap();
    let (first, second) = tokio::join!(get(&origin), get(&origin));
    assert_eq!(first.unwrap_err(), OriginError::QueueTimeout);
    assert_eq!(second.unwrap_err(), OriginError::QueueFull);
    assert_eq!(read(busy).await.unwrap(), "half");
    assert_eq!(got(&origin).await, "half");
}

#[tokio::test]
async fn a_waiter_gets_the_place_and_the_connection_of_who_is_done() {
    let server = Scripted::always(OK).await;
    let origin = bounded(&server, 10, PATIENCE);
    let busy = get(&origin).await.unwrap();
    let waiting = got(&origin);
    let finish = async {
        until(|| origin.snapshot().waiting == 1).await;
        assert_eq!(read(busy).await.unwrap(), "ok");
    };
    let (answer, ()) = tokio::join!(waiting, finish);
    assert_eq!(answer, "ok");
    assert_eq!(server.connections(), 1);
    assert_eq!(origin.snapshot().waiting, 0);
}

#[tokio::test]
async fn a_waiter_that_goes_away_leaves_the_queue() {
    let server = Scripted::always(OK).await;
    let origin = bounded(&server, 1, PATIENCE);
    let busy = get(&origin).await.unwrap();
    let other = Arc::clone(&origin);
    let waiter = tokio::spawn(async move { get(&other).await.map(drop) });
    until(|| origin.snapshot().waiting == 1).await;
    waiter.abort();
    until(|| origin.snapshot().waiting == 0).await;
    drop(busy);
    assert_eq!(got(&origin).await, "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_and_busy_connections_to_all_servers_share_max_connections() {
    let open = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (counter, peak) = (Arc::clone(&open), Arc::clone(&most));
    let play = move |_: usize, s: TcpStream| {
        let (open, most) = (Arc::clone(&counter), Arc::clone(&peak));
        async move {
            let mut peer = Peer::new(s);
            while peer.head().await.is_some() {
                most.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                open.fetch_sub(1, Ordering::SeqCst);
                peer.say(OK).await;
            }
        }
    };
    let (a, b) = (Scripted::new(play.clone()).await, Scripted::new(play).await);
    let mut settings = settings([a.url(), b.url()]);
    settings.max_connections = 4;
    let origin = build(settings);
    let clients: Vec<_> = (0..16)
        .map(|_| {
            let origin = Arc::clone(&origin);
            tokio::spawn(async move {
                for _ in 0..50 {
                    assert_eq!(got(&origin).await, "ok");
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    assert!(most.load(Ordering::SeqCst) <= 4, "{most:?}");
    let idle = origin.snapshot().idle;
    assert!((1..=4).contains(&idle), "{idle}");
}

fn head_of(lines: usize, value: usize) -> Vec<u8> {
    let mut head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n".to_vec();
    for n in 1..lines {
        head.extend_from_slice(format!("Cache-Tag: t{n}{}\r\n", "x".repeat(value)).as_bytes());
    }
    head.extend_from_slice(b"\r\nok");
    head
}

#[tokio::test]
async fn two_thousand_header_lines_pass_and_one_more_does_not() {
    let server = Scripted::once(head_of(2000, 0)).await;
    let answer = get(&to(&server)).await.unwrap();
    assert_eq!(answer.response.headers().get_all("cache-tag").iter().count(), 1999);
    assert_eq!(read(answer).await.unwrap(), "ok");
    let server = Scripted::once(head_of(2001, 0)).await;
    assert_eq!(get(&to(&server)).await.unwrap_err(), OriginError::HeadTooLarge);
}

#[tokio::test]
async fn a_mebibyte_of_head_passes_and_one_byte_more_does_not() {
    const MIB: usize = 1024 * 1024;
    let build_head = |total: usize| {
        let mut head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Fill: ".to_vec();
        let fill = total - head.len() - 4;
        head.resize(head.len() + fill, b'x');
        head.extend_from_slice(b"\r\n\r\n");
        assert_eq!(head.len(), total);
        head.extend_from_slice(b"ok");
        head
    };
    let server = Scripted::once(build_head(MIB)).await;
    assert_eq!(got(&to(&server)).await, "ok");
    let server = Scripted::once(build_head(MIB + 1)).await;
    assert_eq!(get(&to(&server)).await.unwrap_err(), OriginError::HeadTooLarge);
}

#[tokio::test]
async fn a_head_without_end_is_cut_off() {
    let server = Scripted::new(|_, s| async move {
        let mut peer = Peer::new(s);
        peer.head().await;
        peer.say("HTTP/1.1 200 OK\r\n").await;
        let line = format!("X: {}\r\n", "y".repeat(8000));
        while peer.wire.write_all(line.as_bytes()).await.is_ok() {}
    })
    .await;
    let mut settings = settings([server.url()]);
    settings.response_header_bytes = 64 * 1024;
    assert_eq!(get(&build(settings)).await.unwrap_err(), OriginError::HeadTooLarge);
}

#[tokio::test]
async fn limits_below_hypers_own_are_kept_too() {
    let server = Scripted::once(head_of(3, 500)).await;
    let mut settings = settings([server.url()]);
    settings.response_header_bytes = 1000;
    assert_eq!(get(&build(settings)).await.unwrap_err(), OriginError::HeadTooLarge);
}
