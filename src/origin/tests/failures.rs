//! Every way to fail, and that it is told apart from the others.

use super::super::settings::{Breaker, Health};
use super::*;
use tokio::sync::Notify;

async fn fails(answer: impl Into<Vec<u8>>) -> OriginError {
    let server = Scripted::once(answer).await;
    get(&to(&server)).await.expect_err("no answer")
}

async fn breaks_off(answer: &'static str) -> Result<String, OriginError> {
    let server = Scripted::once(answer).await;
    read(get(&to(&server)).await.unwrap()).await
}

#[tokio::test]
async fn a_refused_connection() {
    assert_eq!(get(&build(settings([deserted().await]))).await.unwrap_err(), OriginError::ConnectRefused);
}

#[tokio::test]
async fn a_name_without_an_address() {
    // A label of more than 63 octets: every resolver knows by itself that there is none.
    let url = ServerUrl::parse(&format!("http://{}.invalid", "a".repeat(70))).unwrap();
    assert_eq!(get(&build(settings([url]))).await.unwrap_err(), OriginError::DnsFailed);
}

#[tokio::test]
async fn rfc_9112_8_close_before_a_whole_head() {
    for answer in ["", "HTTP/1.1 200 OK\r\nContent-Le"] {
        assert_eq!(fails(answer).await, OriginError::Reset, "{answer:?}");
    }
}

#[tokio::test]
async fn rfc_9112_6_3_a_response_that_is_none_or_has_two_readings() {
    for answer in [
        "SSH-2.0-OpenSSH_9.6\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: a\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nok!",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n folded\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX Y: a\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    ] {
        assert_eq!(fails(answer).await, OriginError::Protocol, "{answer:?}");
    }
}

#[tokio::test]
async fn rfc_9112_5_1_space_before_the_colon_is_removed() {
    let server = Scripted::once("HTTP/1.1 200 OK\r\nX-A : b\r\nContent-Length : 2\r\n\r\nok and more").await;
    let answer = get(&to(&server)).await.unwrap();
    assert_eq!(answer.response.headers()["x-a"], "b");
    assert_eq!(read(answer).await.unwrap(), "ok");
}

#[tokio::test]
async fn rfc_9110_7_8_a_101_that_nobody_asked_for() {
    let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: evil\r\n\r\n";
    assert_eq!(fails(answer).await, OriginError::UpgradeFailed);
}

#[tokio::test]
async fn rfc_9112_8_a_cut_body_is_an_error_at_its_end_and_a_whole_one_is_not() {
    for cut in [
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokXX0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\nok",
    ] {
        assert_eq!(breaks_off(cut).await, Err(OriginError::BodyTruncated), "{cut:?}");
    }
    for whole in ["HTTP/1.1 200 OK\r\n\r\nok", "HTTP/1.0 200 OK\r\n\r\nok", OK] {
        assert_eq!(breaks_off(whole).await, Ok("ok".into()), "{whole:?}");
    }
}

#[tokio::test]
async fn what_came_before_the_cut_is_handed_on() {
    let server = Scripted::once("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").await;
    let mut body = get(&to(&server)).await.unwrap().response.into_body();
    assert_eq!(soon(body.frame()).await.unwrap().unwrap().into_data().unwrap(), "half");
    assert_eq!(soon(body.frame()).await.unwrap().unwrap_err(), OriginError::BodyTruncated);
    assert!(soon(body.frame()).await.is_none());
}

#[tokio::test]
async fn no_head_within_first_byte_timeout() {
    let server = Scripted::mute().await;
    let origin = build(Settings { first_byte_timeout: SHORT, ..settings([server.url()]) });
    assert_eq!(get(&origin).await.unwrap_err(), OriginError::FirstByteTimeout);
    assert_eq!(post(&origin).await.unwrap_err(), OriginError::FirstByteTimeout);
    let origin = to(&server);
    let options = SendOptions { first_byte_timeout: Some(SHORT), ..SendOptions::default() };
    let failed = send(&origin, request("GET", "/", empty_in()), options).await;
    assert_eq!(failed.unwrap_err(), OriginError::FirstByteTimeout);
}

#[tokio::test]
async fn no_more_of_the_body_within_between_bytes_timeout() {
    let server = Scripted::new(|_, s| async move {
        let mut peer = Peer::new(s);
        peer.head().await;
        peer.say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").await;
        peer.until_closed().await;
    })
    .await;
    let origin = build(Settings { between_bytes_timeout: SHORT, ..settings([server.url()]) });
    assert_eq!(read(get(&origin).await.unwrap()).await.unwrap_err(), OriginError::ReadTimeout);
    assert_eq!(origin.snapshot().servers[0].in_flight, 0);
}

/// A body without end.
struct Endless;

impl Body for Endless {
    type Data = Bytes;
    type Error = BoxError;
    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0; 65536])))))
    }
}

#[tokio::test]
async fn a_server_that_takes_no_more_of_the_request() {
    let server = Scripted::new(|_, s| async move {
        std::future::pending::<()>().await;
        drop(s);
    })
    .await;
    let origin = build(Settings { first_byte_timeout: SHORT, ..settings([server.url()]) });
    let failed = send(&origin, request("POST", "/", Endless.boxed_unsync()), SendOptions::default()).await;
    assert_eq!(failed.unwrap_err(), OriginError::WriteTimeout);
}

#[tokio::test]
async fn an_early_answer_comes_through_while_the_request_is_stuck() {
    let server = Scripted::new(|_, s| async move {
        let mut peer = Peer::new(s);
        peer.head().await;
        peer.say("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno").await;
        std::future::pending::<()>().await;
    })
    .await;
    let origin = to(&server);
    let sent = send(&origin, request("POST", "/", Endless.boxed_unsync()), SendOptions::default()).await;
    let answer = sent.unwrap();
    assert_eq!(answer.response.status(), 413);
    assert_eq!(read(answer).await.unwrap(), "no");
    assert_eq!(origin.snapshot().idle, 0);
}

#[tokio::test]
async fn a_server_may_be_silent_in_its_answer_while_it_waits_for_the_rest_of_the_request() {
    let server = Scripted::new(|_, s| async move {
        let mut peer = Peer::new(s);
        peer.head().await;
        peer.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha").await;
        assert_eq!(peer.head().await.unwrap(), "4\r\nlate\r\n0\r\n\r\n");
        peer.say("lf").await;
    })
    .await;
    // The same time-out many times over is what is waited for; the other half must come within it afterwards.
    let origin = build(Settings { between_bytes_timeout: SHORT * 10, ..settings([server.url()]) });
    let mute = Scripted::mute().await;
    let clock = build(Settings { first_byte_timeout: SHORT * 13, ..settings([mute.url()]) });
    let (feed, body) = fed();
    let answer = send(&origin, request("POST", "/", body), SendOptions::default()).await.unwrap();
    let fed_late = async {
        assert_eq!(get(&clock).await.unwrap_err(), OriginError::FirstByteTimeout);
        feed.send(piece("late")).await.unwrap();
        drop(feed);
    };
    let (whole, ()) = tokio::join!(read(answer), fed_late);
    assert_eq!(whole.unwrap(), "half");
}

#[tokio::test]
async fn a_client_that_takes_its_time_is_not_the_servers_time_out() {
    let server = Scripted::new(|_, s| async move {
        let mut peer = Peer::new(s);
        peer.head().await;
        assert_eq!(peer.head().await.unwrap(), "4\r\nlate\r\n0\r\n\r\n");
        peer.say(OK).await;
    })
    .await;
    let origin = build(Settings { first_byte_timeout: SHORT, ..settings([server.url()]) });
    let mute = Scripted::mute().await;
    let clock = build(Settings { first_byte_timeout: SHORT * 3, ..settings([mute.url()]) });
    let (feed, body) = fed();
    let sent = send(&origin, request("POST", "/", body), SendOptions::default());
    let fed_late = async {
        // Another time-out, three times as long, is the event to wait for.
        assert_eq!(get(&clock).await.unwrap_err(), OriginError::FirstByteTimeout);
        feed.send(piece("late")).await.unwrap();
        drop(feed);
    };
    let (answer, ()) = tokio::join!(sent, fed_late);
    assert_eq!(read(answer.unwrap()).await.unwrap(), "ok");
}

#[tokio::test]
async fn a_failing_request_body_is_the_clients_fault_and_leaves_the_breaker_alone() {
    let server = Scripted::mute().await;
    let rule = Breaker { failures: 1, window: PATIENCE, open_for: PATIENCE };
    let origin = build(Settings { breaker: Some(rule), ..settings([server.url()]) });
    for _ in 0..3 {
        let (feed, body) = fed();
        feed.send(piece("first")).await.unwrap();
        feed.send(Err("the client went away".into())).await.unwrap();
        let failed = send(&origin, request("POST", "/", body), SendOptions::default()).await;
        assert_eq!(failed.unwrap_err(), OriginError::RequestBody);
    }
    assert!(origin.is_up());
}

#[tokio::test]
async fn a_request_body_that_fails_after_the_head_is_told_from_a_cut_answer() {
    let server = Scripted::new(|_, s| async move {
        let mut peer = Peer::new(s);
        peer.head().await;
        peer.say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").await;
        peer.until_closed().await;
    })
    .await;
    let (feed, body) = fed();
    let mut answer = send(&to(&server), request("POST", "/", body), SendOptions::default()).await.unwrap();
    let half = soon(answer.response.body_mut().frame()).await.unwrap().unwrap();
    assert_eq!(half.into_data().unwrap(), "half");
    feed.send(Err("the client went away".into())).await.unwrap();
    assert_eq!(read(answer).await.unwrap_err(), OriginError::RequestBody);
}

#[tokio::test]
async fn rfc_9110_15_2_interims_without_end_are_no_answer() {
    let interims = |n| "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(n) + OK;
    let server = Scripted::once(interims(100)).await;
    assert_eq!(got(&to(&server)).await, "ok");
    assert_eq!(fails(interims(101)).await, OriginError::Protocol);
}

#[tokio::test]
async fn rfc_9112_6_1_two_lines_of_transfer_encoding_are_refused_whatever_they_say() {
    for second in ["gzip", "chunked", "identity"] {
        let answer = format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: {second}\r\n\r\n0\r\n\r\n"
        );
        assert_eq!(fails(answer).await, OriginError::Protocol, "{second}");
    }
}

#[tokio::test]
async fn rfc_9112_6_2_a_request_body_of_another_length_than_declared_is_the_clients_fault() {
    for body in ["four", "fourteen"] {
        let server = Scripted::mute().await;
        let (feed, sent) = fed();
        feed.send(piece(body)).await.unwrap();
        drop(feed);
        let mut request = request("POST", "/", sent);
        request.headers_mut().insert("content-length", 5.into());
        let failed = send(&to(&server), request, SendOptions::default()).await;
        assert_eq!(failed.unwrap_err(), OriginError::RequestBody, "{body}");
    }
}

#[tokio::test]
async fn rfc_9112_9_5_what_a_server_said_before_it_closed_on_our_upload_is_heard() {
    let server = Scripted::new(|_, s| async move {
        let mut peer = Peer::new(s);
        peer.head().await;
        // Closed with most of the request unread: our writes fail from then on.
        peer.say("HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno").await;
    })
    .await;
    let sent = send(&to(&server), request("POST", "/", Endless.boxed_unsync()), SendOptions::default()).await;
    let answer = sent.unwrap();
    assert_eq!(answer.response.status(), 413);
    assert_eq!(read(answer).await.unwrap(), "no");
}

#[tokio::test]
async fn any_status_is_an_answer() {
    for status in [200, 404, 500, 502, 503, 504, 599] {
        let server = Scripted::once(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n")).await;
        let rule = Breaker { failures: 1, window: PATIENCE, open_for: PATIENCE };
        let origin = build(Settings { breaker: Some(rule), ..settings([server.url()]) });
        assert_eq!(get(&origin).await.unwrap().response.status(), status);
        assert!(origin.is_up(), "{status}");
    }
}

#[tokio::test]
async fn an_open_breaker_asks_nobody_then_tries_once() {
    let good = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let now_good = Arc::clone(&good);
    let server = Scripted::new(move |_, s| {
        let good = now_good.load(Ordering::SeqCst);
        async move {
            let mut peer = Peer::new(s);
            peer.head().await;
            if good {
                peer.say(OK).await;
            }
        }
    })
    .await;
    let clock = Clock::manual();
    let rule = Breaker { failures: 3, window: Duration::from_secs(10), open_for: Duration::from_secs(5) };
    let settings = Settings { breaker: Some(rule), ..settings([server.url()]) };
    let origin = Origin::new("test", settings, clock.clone()).unwrap();
    for _ in 0..3 {
        assert_eq!(get(&origin).await.unwrap_err(), OriginError::Reset);
    }
    assert!(!origin.is_up());
    assert_eq!(origin.snapshot().servers[0].breaker, BreakerState::Open);
    assert_eq!(get(&origin).await.unwrap_err(), OriginError::BreakerOpen);
    assert_eq!(server.connections(), 3);

    clock.advance(Duration::from_secs(5));
    assert_eq!(origin.snapshot().servers[0].breaker, BreakerState::HalfOpen);
    assert_eq!(get(&origin).await.unwrap_err(), OriginError::Reset);
    assert_eq!(get(&origin).await.unwrap_err(), OriginError::BreakerOpen);
    assert_eq!(server.connections(), 4);

    clock.advance(Duration::from_secs(5));
    good.store(true, Ordering::SeqCst);
    assert_eq!(got(&origin).await, "ok");
    assert_eq!(origin.snapshot().servers[0].breaker, BreakerState::Closed);
}

#[tokio::test]
async fn answers_that_are_cut_count_for_the_breaker() {
    let server = Scripted::once("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").await;
    let rule = Breaker { failures: 1, window: PATIENCE, open_for: PATIENCE };
    let origin = build(Settings { breaker: Some(rule), ..settings([server.url()]) });
    assert_eq!(read(get(&origin).await.unwrap()).await.unwrap_err(), OriginError::BodyTruncated);
    assert!(!origin.is_up());
}

#[tokio::test]
async fn health_checks_take_a_server_out_and_back_in() {
    let sick = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let is_sick = Arc::clone(&sick);
    let server = Scripted::new(move |_, s| {
        let sick = is_sick.load(Ordering::SeqCst);
        async move {
            let mut peer = Peer::new(s);
            let head = peer.head().await.unwrap();
            let check =
                head.starts_with("GET /healthz HTTP/1.1\r\n") && head.contains("user-agent: larder-health");
            peer.say(if check && sick { "HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n" } else { OK }).await;
        }
    })
    .await;
    let health = Health {
        path: "/healthz".into(),
        interval: Duration::from_millis(1),
        timeout: PATIENCE,
        unhealthy_after: 3,
        healthy_after: 2,
    };
    let origin = build(Settings { health: Some(health), ..settings([server.url()]) });
    assert_eq!(got(&origin).await, "ok", "innocent until proven otherwise");
    origin.start();
    until(|| !origin.is_up()).await;
    assert_eq!(get(&origin).await.unwrap_err(), OriginError::NoHealthyServer);
    sick.store(false, Ordering::SeqCst);
    until(|| origin.is_up()).await;
    assert_eq!(got(&origin).await, "ok");
}

#[tokio::test]
async fn health_checks_end_with_their_origin() {
    let server = Scripted::always(OK).await;
    let health = Health {
        path: "/".into(),
        interval: Duration::from_millis(1),
        timeout: PATIENCE,
        unhealthy_after: 1,
        healthy_after: 1,
    };
    let origin = build(Settings { health: Some(health), ..settings([server.url()]) });
    origin.start();
    until(|| server.connections() > 1).await;
    let weak = Arc::downgrade(&origin);
    drop(origin);
    until(|| weak.upgrade().is_none()).await;
}

#[tokio::test]
async fn a_send_that_is_given_up_closes_its_connection_and_frees_its_place() {
    let (arrived, gone) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell_arrived, tell_gone) = (Arc::clone(&arrived), Arc::clone(&gone));
    let server = Scripted::new(move |_, s| {
        let (arrived, gone) = (Arc::clone(&tell_arrived), Arc::clone(&tell_gone));
        async move {
            let mut peer = Peer::new(s);
            peer.head().await;
            arrived.notify_one();
            peer.until_closed().await;
            gone.notify_one();
        }
    })
    .await;
    let origin = build(Settings { max_connections: 1, ..settings([server.url()]) });
    let sending = Arc::clone(&origin);
    let task = tokio::spawn(async move { get(&sending).await.map(drop) });
    soon(arrived.notified()).await;
    task.abort();
    soon(gone.notified()).await;
    let again = Arc::clone(&origin);
    let task = tokio::spawn(async move { get(&again).await.map(drop) });
    soon(arrived.notified()).await;
    task.abort();
}
