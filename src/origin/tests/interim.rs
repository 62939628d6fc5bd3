//! Interim responses, upgrades, trailers, and what a server sees of a request.

use super::*;
use crate::interim::{Interim, InterimSender};
use http::StatusCode;
use hyper_util::rt::TokioIo;
use tokio::sync::Notify;

const THREE: [&str; 3] = [
    "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n",
    "HTTP/1.1 102 Processing\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\nLink: </b>; rel=preload\r\n\r\n",
];

fn listening() -> (SendOptions, mpsc::Receiver<Box<Interim>>) {
    let (interim, rx) = InterimSender::channel();
    (SendOptions { interim, ..SendOptions::default() }, rx)
}

fn link(interim: &Interim) -> Option<&str> {
    interim.headers.get("link").and_then(|v| v.to_str().ok())
}

#[tokio::test]
async fn rfc_9110_15_2_interims_in_one_segment_with_the_answer_are_all_there_before_it() {
    let server = Scripted::once(THREE.concat() + OK).await;
    let (options, mut rx) = listening();
    let answer = send(&to(&server), request("GET", "/", empty_in()), options).await.unwrap();
    let seen: Vec<_> = std::iter::from_fn(|| rx.try_recv().ok()).collect();
    assert_eq!(seen.iter().map(|i| i.status.as_u16()).collect::<Vec<_>>(), [103, 102, 103]);
    assert_eq!(link(&seen[0]), Some("</a>; rel=preload"));
    assert_eq!(link(&seen[2]), Some("</b>; rel=preload"));
    assert!(!answer.response.headers().contains_key("link"));
    assert_eq!(read(answer).await.unwrap(), "ok");
}

#[tokio::test]
async fn rfc_9110_15_2_interims_arrive_one_by_one_while_the_answer_is_awaited() {
    let next = Arc::new(Notify::new());
    let wait = Arc::clone(&next);
    let server = Scripted::new(move |_, s| {
        let wait = Arc::clone(&wait);
        async move {
            let mut peer = Peer::new(s);
            peer.head().await;
            for interim in THREE {
                peer.say(interim).await;
                wait.notified().await;
            }
            peer.say(OK).await;
        }
    })
    .await;
    let origin = to(&server);
    let (options, mut rx) = listening();
    let sent = send(&origin, request("GET", "/", empty_in()), options);
    let heard = async {
        for status in [103, 102, 103] {
            assert_eq!(rx.recv().await.unwrap().status.as_u16(), status);
            next.notify_one();
        }
    };
    let (answer, ()) = tokio::join!(sent, heard);
    assert_eq!(read(answer.unwrap()).await.unwrap(), "ok");
}

#[tokio::test]
async fn rfc_9110_15_2_1_a_100_is_this_hops_own_affair() {
    let server = Scripted::once(format!("HTTP/1.1 100 Continue\r\n\r\n{OK}")).await;
    let (options, mut rx) = listening();
    let answer = send(&to(&server), request("POST", "/", text("x")), options).await.unwrap();
    assert_eq!(answer.response.status(), 200);
    assert!(rx.try_recv().is_err());
}

#[tokio::test]
async fn nobody_has_to_listen_for_interims() {
    let server = Scripted::once(THREE.concat() + OK).await;
    assert_eq!(got(&to(&server)).await, "ok");
}

#[tokio::test]
async fn rfc_9110_7_8_an_upgraded_connection_is_a_tunnel_that_keeps_its_place() {
    let server = Scripted::new(|_, s| async move {
        let mut peer = Peer::new(s);
        let head = peer.head().await.unwrap();
        if !head.contains("upgrade: echo") {
            return peer.say(OK).await;
        }
        // The first bytes of the new protocol come in one segment with the 101.
        peer.say("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nhello ")
            .await;
        let said = peer.take(5).await;
        peer.say(said).await;
        peer.until_closed().await;
    })
    .await;
    let mut settings = settings([server.url()]);
    settings.max_connections = 1;
    settings.queue = Queue { length: 0, wait: Duration::ZERO };
    let origin = build(settings);
    got(&origin).await;

    let mut asked = request("GET", "/", empty_in());
    asked.headers_mut().insert("connection", "upgrade".parse().unwrap());
    asked.headers_mut().insert("upgrade", "echo".parse().unwrap());
    let mut answer = send(&origin, asked, SendOptions::default()).await.unwrap();
    assert_eq!(answer.response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut tunnel = TokioIo::new(soon(hyper::upgrade::on(&mut answer.response)).await.unwrap());
    drop(answer);
    tunnel.write_all(b"world").await.unwrap();
    let mut echoed = [0; 11];
    soon(tunnel.read_exact(&mut echoed)).await.unwrap();
    assert_eq!(&echoed, b"hello world");

    assert_eq!(origin.snapshot().servers[0].in_flight, 1);
    assert_eq!(get(&origin).await.unwrap_err(), OriginError::QueueFull);
    drop(tunnel);
    assert_eq!(got(&origin).await, "ok");
}

#[tokio::test]
async fn rfc_9110_7_8_an_upgrade_may_be_declined() {
    let server = Scripted::always(OK).await;
    let origin = to(&server);
    let mut asked = request("GET", "/", empty_in());
    asked.headers_mut().insert("connection", "upgrade".parse().unwrap());
    asked.headers_mut().insert("upgrade", "echo".parse().unwrap());
    let answer = send(&origin, asked, SendOptions::default()).await.unwrap();
    assert_eq!(read(answer).await.unwrap(), "ok");
}

#[tokio::test]
async fn rfc_9110_6_5_trailers_pass_in_both_directions() {
    let server = Scripted::new(|_, s| async move {
        let mut peer = Peer::new(s);
        let head = peer.head().await.unwrap();
        assert!(head.contains("transfer-encoding: chunked"), "{head}");
        let body = peer.head().await.unwrap();
        assert_eq!(body.to_ascii_lowercase(), "2\r\nhi\r\n0\r\nx-sum: 7\r\n\r\n");
        peer.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n")
            .await;
        peer.until_closed().await;
    })
    .await;
    let (feed, body) = fed();
    feed.send(piece("hi")).await.unwrap();
    let trailers = [("x-sum".parse().unwrap(), "7".parse().unwrap())].into_iter().collect();
    feed.send(Ok(Frame::trailers(trailers))).await.unwrap();
    drop(feed);
    let mut request = request("POST", "/", body);
    request.headers_mut().insert("trailer", "x-sum".parse().unwrap());
    let answer = send(&to(&server), request, SendOptions::default()).await.unwrap();
    let collected = soon(answer.response.into_body().collect()).await.unwrap();
    assert_eq!(collected.trailers().unwrap()["x-sum"], "1");
    assert_eq!(collected.to_bytes(), "ok");
}

async fn head_seen(adjust: impl FnOnce(&mut Settings), request: Request<InBody>) -> String {
    let (tx, mut rx) = mpsc::channel(1);
    let server = Scripted::new(move |_, s| {
        let tx = tx.clone();
        async move {
            let mut peer = Peer::new(s);
            let head = peer.head().await.unwrap();
            peer.say(OK).await;
            tx.send(head).await.unwrap();
        }
    })
    .await;
    let mut settings = settings([server.url()]);
    adjust(&mut settings);
    send(&build(settings), request, SendOptions::default()).await.unwrap();
    soon(rx.recv()).await.unwrap().replace(&server.address.to_string(), "SERVER")
}

#[tokio::test]
async fn host_header_is_the_clients_the_servers_or_a_literal() {
    use settings::HostHeader;
    for (policy, expected) in [
        (HostHeader::Preserve, "shop.example"),
        (HostHeader::Server, "SERVER"),
        (HostHeader::Literal("inner.example".parse().unwrap()), "inner.example"),
    ] {
        let head = head_seen(|s| s.host_header = policy, request("GET", "/a?b=%20", empty_in())).await;
        assert_eq!(head, format!("GET /a?b=%20 HTTP/1.1\r\nhost: {expected}\r\n\r\n"));
    }
}

#[tokio::test]
async fn a_request_of_any_version_goes_out_as_http_1_1_in_origin_form() {
    let mut asked = request("GET", "http://shop.example/a", empty_in());
    *asked.version_mut() = http::Version::HTTP_2;
    assert_eq!(head_seen(|_| (), asked).await, "GET /a HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    let mut asked = request("GET", "/", empty_in());
    *asked.version_mut() = http::Version::HTTP_10;
    assert!(head_seen(|_| (), asked).await.starts_with("GET / HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_get_with_a_body_of_unknown_length_is_sent_chunked() {
    let (feed, body) = fed();
    feed.send(piece("hi")).await.unwrap();
    drop(feed);
    let head = head_seen(|_| (), request("GET", "/", body)).await;
    assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");
}
