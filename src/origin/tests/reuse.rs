//! When a connection carries another request, and when it must not.

use super::*;
use tokio::sync::Notify;

#[tokio::test]
async fn keep_alive_connections_are_used_again() {
    let server = Scripted::always(OK).await;
    let origin = to(&server);
    for _ in 0..5 {
        assert_eq!(got(&origin).await, "ok");
    }
    assert_eq!(server.connections(), 1);
    assert_eq!(origin.snapshot().idle, 1);
}

#[tokio::test]
async fn chunked_answers_with_trailers_and_answers_without_body_keep_the_connection() {
    for answer in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ] {
        let server = Scripted::always(answer).await;
        let origin = to(&server);
        for _ in 0..3 {
            got(&origin).await;
        }
        assert_eq!(server.connections(), 1, "{answer}");
    }
}

#[tokio::test]
async fn rfc_9112_9_6_close_is_believed() {
    let server =
        Scripted::always("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok").await;
    let origin = to(&server);
    for _ in 0..3 {
        assert_eq!(got(&origin).await, "ok");
    }
    assert_eq!(server.connections(), 3);
}

/// And tells when it has. All requests but the first bring `hello`.
async fn closes_behind_each_answer() -> (Scripted, Arc<Notify>) {
    let closed = Arc::new(Notify::new());
    let tell = Arc::clone(&closed);
    let server = Scripted::new(move |n, s| {
        let tell = Arc::clone(&tell);
        async move {
            let mut peer = Peer::new(s);
            peer.head().await;
            if n > 0 {
                assert_eq!(peer.take(5).await, "hello");
            }
            peer.say(OK).await;
            drop(peer);
            tell.notify_one();
        }
    })
    .await;
    (server, closed)
}

#[tokio::test]
async fn rfc_9112_9_3_1_a_connection_closed_while_idle_fails_no_request_not_even_an_unsafe_one() {
    let (server, closed) = closes_behind_each_answer().await;
    let origin = to(&server);
    assert_eq!(got(&origin).await, "ok");
    for n in 2..5 {
        soon(closed.notified()).await;
        assert_eq!(read(post(&origin).await.unwrap()).await.unwrap(), "ok");
        assert_eq!(server.connections(), n);
    }
}

/// First request answered, second one read and the connection closed without a byte: the server's keep-alive time was up
/// just then.
async fn closes_as_the_second_request_arrives() -> Scripted {
    Scripted::new(|n, s| async move {
        let mut peer = Peer::new(s);
        peer.head().await;
        peer.say(OK).await;
        if n == 0 {
            peer.head().await;
        } else {
            peer.answer_all(OK).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_repeatable_request_outlives_the_reuse_race_without_costing_a_retry() {
    let server = closes_as_the_second_request_arrives().await;
    let origin = to(&server);
    assert_eq!(got(&origin).await, "ok");
    assert_eq!(got(&origin).await, "ok");
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn rfc_9110_9_2_2_an_unsafe_request_that_was_written_is_never_sent_twice() {
    let server = closes_as_the_second_request_arrives().await;
    let origin = build(Settings { retries: 3, ..settings([server.url()]) });
    assert_eq!(got(&origin).await, "ok");
    assert_eq!(post(&origin).await.unwrap_err(), OriginError::Reset);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn rfc_9112_9_2_bytes_that_nobody_asked_for_are_no_answer() {
    const EVIL: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    for first in [
        OK,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\n\r\n",
    ] {
        // In one segment with the answer.
        let server = Scripted::new(move |n, s| async move {
            let mut peer = Peer::new(s);
            peer.head().await;
            peer.say(if n == 0 { format!("{first}{EVIL}") } else { OK.into() }).await;
            peer.until_closed().await;
        })
        .await;
        let origin = to(&server);
        assert_ne!(got(&origin).await, "evil");
        assert_eq!(got(&origin).await, "ok", "{first}");
        assert_eq!(server.connections(), 2);
    }
}

#[tokio::test]
async fn rfc_9112_9_2_bytes_that_come_while_idle_are_no_answer() {
    let (go, said) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (wait, tell) = (Arc::clone(&go), Arc::clone(&said));
    let server = Scripted::new(move |n, s| {
        let (wait, tell) = (Arc::clone(&wait), Arc::clone(&tell));
        async move {
            let mut peer = Peer::new(s);
            peer.head().await;
            peer.say(OK).await;
            if n == 0 {
                wait.notified().await;
                peer.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil").await;
                tell.notify_one();
            }
            peer.until_closed().await;
        }
    })
    .await;
    let origin = to(&server);
    assert_eq!(got(&origin).await, "ok");
    go.notify_one();
    soon(said.notified()).await;
    assert_eq!(got(&origin).await, "ok");
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn rfc_9112_6_3_a_body_behind_an_answer_to_head_is_not_the_next_answer() {
    let server = Scripted::new(|n, s| async move {
        let mut peer = Peer::new(s);
        peer.head().await;
        peer.say(if n == 0 {
            "HTTP/1.1 200 OK\r\nContent-Length: 42\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
        } else {
            OK
        })
        .await;
        peer.until_closed().await;
    })
    .await;
    let origin = to(&server);
    let answer = send(&origin, request("HEAD", "/", empty_in()), SendOptions::default()).await.unwrap();
    assert_eq!(answer.response.headers()["content-length"], "42");
    assert_eq!(read(answer).await.unwrap(), "");
    assert_eq!(got(&origin).await, "ok");
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn rfc_9112_9_3_an_answer_before_the_request_was_out_ends_the_connection() {
    let server = Scripted::new(|_, s| async move {
        let mut peer = Peer::new(s);
        peer.head().await;
        peer.say(OK).await;
        peer.until_closed().await;
    })
    .await;
    let origin = to(&server);
    let (feed, body) = fed();
    feed.send(piece("first")).await.unwrap();
    let answer = send(&origin, request("POST", "/", body), SendOptions::default()).await.unwrap();
    assert_eq!(read(answer).await.unwrap(), "ok");
    drop(feed);
    assert_eq!(got(&origin).await, "ok");
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn rfc_9112_9_3_a_request_that_is_out_of_our_hands_but_not_of_the_socket_is_not_out() {
    let server = Scripted::new(|_, s| async move {
        let mut peer = Peer::new(s);
        peer.head().await;
        peer.say(OK).await;
        std::future::pending::<()>().await;
    })
    .await;
    let origin = to(&server);
    // One piece, far more than the socket's buffers hold: hyper has taken all of it at once.
    let body = Full::new(Bytes::from(vec![0; 32 << 20])).map_err(|never| match never {}).boxed_unsync();
    let answer = send(&origin, request("POST", "/", body), SendOptions::default()).await.unwrap();
    assert_eq!(read(answer).await.unwrap(), "ok");
    assert_eq!(origin.snapshot().idle, 0);
}

#[tokio::test]
async fn a_body_dropped_in_the_middle_closes_its_connection() {
    let gone = Arc::new(Notify::new());
    let tell = Arc::clone(&gone);
    let server = Scripted::new(move |_, s| {
        let tell = Arc::clone(&tell);
        async move {
            let mut peer = Peer::new(s);
            peer.head().await;
            peer.say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").await;
            peer.until_closed().await;
            tell.notify_one();
        }
    })
    .await;
    let origin = to(&server);
    drop(get(&origin).await.unwrap());
    soon(gone.notified()).await;
    assert_eq!(origin.snapshot().servers[0].in_flight, 0);
    assert_eq!(origin.snapshot().idle, 0);
}

#[tokio::test]
async fn connections_unused_for_idle_timeout_are_not_used_again() {
    let server = Scripted::always(OK).await;
    let clock = Clock::manual();
    let origin = Origin::new("test", settings([server.url()]), clock.clone()).unwrap();
    got(&origin).await;
    clock.advance(Duration::from_secs(54));
    got(&origin).await;
    assert_eq!(server.connections(), 1);
    clock.advance(Duration::from_secs(55));
    got(&origin).await;
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn connections_to_a_name_are_not_used_for_longer_than_its_address_holds() {
    let server = Scripted::always(OK).await;
    let clock = Clock::manual();
    let url = ServerUrl::parse(&format!("http://localhost:{}", server.address.port())).unwrap();
    let origin = Origin::new("test", settings([url]), clock.clone()).unwrap();
    for (after, connections) in [(0, 1), (29, 1), (1, 2)] {
        clock.advance(Duration::from_secs(after));
        got(&origin).await;
        assert_eq!(server.connections(), connections);
    }
}

#[tokio::test]
async fn a_connection_that_the_server_closed_while_idle_is_swept_out() {
    let (server, closed) = closes_behind_each_answer().await;
    let origin = to(&server);
    origin.start();
    got(&origin).await;
    soon(closed.notified()).await;
    tokio::time::pause();
    // The kernel tells when it has heard of it; the sweeper asks every five seconds.
    for _ in 0..10_000 {
        if origin.snapshot().idle == 0 {
            return;
        }
        tokio::time::advance(Duration::from_secs(5)).await;
    }
    panic!("still counted as idle");
}

#[tokio::test]
async fn large_bodies_pass_in_both_directions_and_keep_the_connection() {
    const SIZE: usize = 3 << 20;
    let server = Scripted::new(|_, s| async move {
        let mut peer = Peer::new(s);
        while peer.head().await.is_some() {
            let body = peer.take(SIZE).await;
            let mut coded = String::from("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            for chunk in body.as_bytes().chunks(70_001) {
                coded += &format!("{:X}\r\n{}\r\n", chunk.len(), std::str::from_utf8(chunk).unwrap());
            }
            peer.say(coded + "0\r\n\r\n").await;
        }
    })
    .await;
    let origin = to(&server);
    let sent: String = ('a'..='z').cycle().take(SIZE).collect();
    for _ in 0..2 {
        let body = Full::new(Bytes::from(sent.clone())).map_err(|never| match never {}).boxed_unsync();
        let answer = send(&origin, request("POST", "/", body), SendOptions::default()).await.unwrap();
        assert!(read(answer).await.unwrap() == sent);
    }
    assert_eq!(server.connections(), 1);
    assert_eq!(origin.snapshot().idle, 1);
}
