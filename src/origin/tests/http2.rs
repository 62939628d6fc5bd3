//! HTTP/2 servers: hyper's own server plays them, on one connection at a time.

use super::*;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use tokio::sync::Barrier;

fn http2(server: &Scripted) -> Settings {
    Settings { http2: true, ..settings([server.url()]) }
}

/// Echoes `method scheme authority path | body`, with a trailer.
async fn echo(request: Request<hyper::body::Incoming>) -> Result<http::Response<InBody>, Infallible> {
    assert!(!request.headers().contains_key("host"));
    let line = format!("{} {} | ", request.method(), request.uri());
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let text = Bytes::from([line.as_bytes(), &body].concat());
    let trailers =
        async { Some(Ok([("x-sum".parse().unwrap(), "1".parse().unwrap())].into_iter().collect())) };
    let body = Full::new(text).map_err(|never: Infallible| match never {}).with_trailers(trailers);
    Ok(http::Response::new(body.boxed_unsync()))
}

pub(super) async fn serve_http2(stream: impl Wire + 'static) {
    let io = TokioIo::new(stream);
    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(io, service_fn(echo))
        .await;
}

#[tokio::test]
async fn rfc_9113_3_3_prior_knowledge_one_connection_pseudo_headers_and_trailers() {
    let server = Scripted::new(|_, s| serve_http2(s)).await;
    let origin = build(http2(&server));
    for _ in 0..3 {
        let answer =
            send(&origin, request("POST", "/a?b", text("hello")), SendOptions::default()).await.unwrap();
        let collected = soon(answer.response.into_body().collect()).await.unwrap();
        assert_eq!(collected.trailers().unwrap()["x-sum"], "1");
        assert_eq!(collected.to_bytes(), "POST http://shop.example/a?b | hello");
    }
    assert_eq!(server.connections(), 1);
    assert_eq!(origin.snapshot().servers[0].in_flight, 0);
}

#[tokio::test]
async fn rfc_9113_5_requests_share_the_connection_at_the_same_time() {
    let barrier = Arc::new(Barrier::new(8));
    let server = Scripted::new(move |_, s| {
        let barrier = Arc::clone(&barrier);
        async move {
            let service = service_fn(move |_| {
                let barrier = Arc::clone(&barrier);
                async move {
                    // All of them are here before the first is answered.
                    barrier.wait().await;
                    Ok::<_, Infallible>(http::Response::new(text("ok")))
                }
            });
            let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(s), service)
                .await;
        }
    })
    .await;
    let origin = build(http2(&server));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let origin = Arc::clone(&origin);
            tokio::spawn(async move { got(&origin).await })
        })
        .collect();
    for client in clients {
        assert_eq!(client.await.unwrap(), "ok");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_connection_that_ended_is_replaced() {
    // Serves one stream, then goes away.
    let server = Scripted::new(|_, s| async move {
        let mut connection = h2::server::handshake(s).await.unwrap();
        if let Some(Ok((_, mut respond))) = connection.accept().await {
            respond.send_response(http::Response::new(()), true).unwrap();
            connection.graceful_shutdown();
            while connection.accept().await.is_some() {}
        }
    })
    .await;
    let origin = build(http2(&server));
    for _ in 0..3 {
        assert_eq!(got(&origin).await, "");
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn rfc_9113_8_1_a_stream_reset_in_the_middle_is_a_cut_body() {
    let server = Scripted::new(|_, s| async move {
        let mut connection = h2::server::handshake(s).await.unwrap();
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            let mut body = respond.send_response(http::Response::new(()), false).unwrap();
            body.send_data(Bytes::from_static(b"half"), false).unwrap();
            body.send_reset(h2::Reason::INTERNAL_ERROR);
        }
    })
    .await;
    let answer = get(&build(http2(&server))).await;
    // The reset may overtake the head.
    match answer {
        Ok(answer) => assert_eq!(read(answer).await.unwrap_err(), OriginError::BodyTruncated),
        Err(error) => assert_eq!(error, OriginError::Reset),
    }
}

#[tokio::test]
async fn a_host_that_is_no_authority_cannot_be_sent() {
    let server = Scripted::new(|_, s| serve_http2(s)).await;
    let mut asked = request("GET", "/", empty_in());
    asked.headers_mut().insert("host", "not an authority".parse().unwrap());
    let failed = send(&build(http2(&server)), asked, SendOptions::default()).await;
    assert_eq!(failed.unwrap_err(), OriginError::Request);
}

#[tokio::test]
async fn a_failing_request_body_is_the_clients_fault() {
    let server = Scripted::new(|_, s| serve_http2(s)).await;
    let (feed, body) = fed();
    feed.send(piece("first")).await.unwrap();
    feed.send(Err("the client went away".into())).await.unwrap();
    let failed = send(&build(http2(&server)), request("POST", "/", body), SendOptions::default()).await;
    assert_eq!(failed.unwrap_err(), OriginError::RequestBody);
}

#[tokio::test]
async fn a_server_that_speaks_http_1_only_is_a_broken_one() {
    let server = Scripted::always("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
    let failed = get(&build(http2(&server))).await.unwrap_err();
    assert!(matches!(failed, OriginError::Protocol | OriginError::Reset), "{failed}");
}
