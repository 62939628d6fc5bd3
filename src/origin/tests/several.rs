//! More than one server: retries, backups, balancing.

use super::super::settings::Balance;
use super::*;

fn with_retry(urls: impl IntoIterator<Item = ServerUrl>) -> Settings {
    Settings { retries: 1, balance: Balance::RoundRobin, ..settings(urls) }
}

#[tokio::test]
async fn a_failed_request_goes_to_another_server() {
    let good = Scripted::always(OK).await;
    for bad in [deserted().await, Scripted::once("").await.url()] {
        let origin = build(with_retry([bad, good.url()]));
        for _ in 0..4 {
            let answer = get(&origin).await.unwrap();
            assert_eq!(*answer.server, *good.url().to_string());
            assert_eq!(read(answer).await.unwrap(), "ok");
        }
    }
}

#[tokio::test]
async fn without_retries_the_error_is_the_answer() {
    let good = Scripted::always(OK).await;
    let origin = build(Settings { retries: 0, ..with_retry([deserted().await, good.url()]) });
    let results = [get(&origin).await.is_ok(), get(&origin).await.is_ok()];
    assert_eq!(results.iter().filter(|ok| **ok).count(), 1);
}

#[tokio::test]
async fn a_lone_server_gets_a_repeatable_request_once_more() {
    let server = Scripted::new(|n, s| async move {
        let mut peer = Peer::new(s);
        peer.head().await;
        if n > 0 {
            peer.say(OK).await;
        }
    })
    .await;
    assert_eq!(got(&build(with_retry([server.url()]))).await, "ok");
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn retries_are_counted() {
    let server = Scripted::once("").await;
    let origin = build(Settings { retries: 4, ..settings([server.url()]) });
    assert_eq!(get(&origin).await.unwrap_err(), OriginError::Reset);
    assert_eq!(server.connections(), 5);
}

#[tokio::test]
async fn a_slow_server_is_not_asked_twice_but_another_is() {
    let (slow, good) = (Scripted::mute().await, Scripted::always(OK).await);
    let origin = build(Settings { first_byte_timeout: SHORT, ..with_retry([slow.url()]) });
    assert_eq!(get(&origin).await.unwrap_err(), OriginError::FirstByteTimeout);
    assert_eq!(slow.connections(), 1);
    let origin = build(Settings { first_byte_timeout: SHORT, ..with_retry([slow.url(), good.url()]) });
    assert_eq!(got(&origin).await, "ok");
    assert_eq!(slow.connections(), 2);
}

#[tokio::test]
async fn nothing_is_repeated_once_a_byte_of_an_answer_has_come() {
    for begun in
        ["HTTP/1.1 20", "HTTP/1.1 103 Early Hints\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"]
    {
        let server = Scripted::once(begun).await;
        assert!(get(&build(with_retry([server.url()]))).await.is_err());
        assert_eq!(server.connections(), 1, "{begun:?}");
    }
}

#[tokio::test]
async fn rfc_9110_9_2_2_an_unsafe_request_moves_on_only_while_it_was_not_sent() {
    let good = Scripted::new(|_, s| async move {
        let mut peer = Peer::new(s);
        while peer.head().await.is_some() {
            assert_eq!(peer.take(5).await, "hello");
            peer.say(OK).await;
        }
    })
    .await;
    // Nobody there: the body is still ours.
    let origin = build(with_retry([deserted().await, good.url()]));
    for _ in 0..2 {
        assert_eq!(read(post(&origin).await.unwrap()).await.unwrap(), "ok");
    }
    // Taken and dropped: it may have been acted on.
    let bad = Scripted::once("").await;
    let origin = build(with_retry([bad.url(), good.url()]));
    let results = [post(&origin).await.is_ok(), post(&origin).await.is_ok()];
    assert_eq!(results.iter().filter(|ok| **ok).count(), 1);
    // And it never goes to the same server again.
    let lone = build(with_retry([deserted().await]));
    assert_eq!(post(&lone).await.unwrap_err(), OriginError::ConnectRefused);
}

#[tokio::test]
async fn backups_are_asked_only_when_no_other_is_usable() {
    let (main, backup) = (Scripted::always(OK).await, Scripted::always(OK).await);
    let mut settings = with_retry([backup.url(), main.url()]);
    settings.servers[0].backup = true;
    let origin = build(settings);
    for _ in 0..4 {
        got(&origin).await;
    }
    assert_eq!((main.connections(), backup.connections()), (1, 0));

    let mut settings = with_retry([backup.url(), deserted().await]);
    settings.servers[0].backup = true;
    assert_eq!(got(&build(settings)).await, "ok");
    assert_eq!(backup.connections(), 1);
}

#[tokio::test]
async fn round_robin_takes_turns() {
    let (a, b) = (Scripted::always(OK).await, Scripted::always(OK).await);
    let origin = build(with_retry([a.url(), b.url()]));
    let mut names = Vec::new();
    for _ in 0..4 {
        names.push(get(&origin).await.unwrap().server);
    }
    assert_eq!(names[0], names[2]);
    assert_eq!(names[1], names[3]);
    assert_ne!(names[0], names[1]);
}

#[tokio::test]
async fn least_requests_avoids_the_busy_one() {
    let slow = Scripted::always("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").await;
    let quick = Scripted::always(OK).await;
    let origin = build(Settings { balance: Balance::LeastRequests, ..settings([slow.url(), quick.url()]) });
    let mut in_progress = Vec::new();
    for _ in 0..6 {
        let answer = get(&origin).await.unwrap();
        if *answer.server == *quick.url().to_string() {
            assert_eq!(read(answer).await.unwrap(), "ok");
        } else {
            in_progress.push(answer);
        }
    }
    assert_eq!(in_progress.len(), 1);
}

#[tokio::test]
async fn hash_key_keeps_to_one_server() {
    let (a, b) = (Scripted::always(OK).await, Scripted::always(OK).await);
    let origin = build(Settings { balance: Balance::HashKey, ..settings([a.url(), b.url()]) });
    let mut homes = std::collections::HashSet::new();
    for key in 0..16 {
        let mut names = std::collections::HashSet::new();
        for _ in 0..3 {
            let options = SendOptions { key_hash: key, ..SendOptions::default() };
            names.insert(send(&origin, request("GET", "/", empty_in()), options).await.unwrap().server);
        }
        assert_eq!(names.len(), 1);
        homes.extend(names);
    }
    assert_eq!(homes.len(), 2);
}
