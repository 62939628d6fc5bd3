//! HTTP/2 from the client's side: the `h2` client where it can say what is to be said, raw frames where a
//! well-behaved client can't. Connections are in memory; timers run on tokio's paused clock, where a sleep
//! ends only when nothing else can happen.

mod heads;

use super::*;
use crate::body::{BoxError, InBody, OutBody};
use crate::front::refusal::Refusal;
use crate::front::testing::Script;
use crate::interim::{Interim, InterimSender};
use h2::client::SendRequest;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

fn conn() -> Arc<Conn> {
    let at: SocketAddr = "192.0.2.1:1".parse().unwrap();
    Arc::new(Conn { peer: at, local: at, tls: false, sni: None })
}

/// Serves one connection in memory; the client's end, the server's task, and the drain switch.
fn serve_in_memory<H: Handler>(
    handler: Arc<H>,
    limits: Limits,
    buffer: usize,
) -> (DuplexStream, JoinHandle<()>, watch::Sender<bool>) {
    let (near, far) = tokio::io::duplex(buffer);
    let (drain, told) = watch::channel(false);
    let server = tokio::spawn(serve(far, conn(), handler, Arc::new(limits), told));
    (near, server, drain)
}

struct Client {
    send: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
    server: JoinHandle<()>,
    drain: watch::Sender<bool>,
}

async fn client<H: Handler>(handler: Arc<H>, limits: Limits) -> Client {
    let (io, server, drain) = serve_in_memory(handler, limits, 1 << 20);
    let (send, connection) = h2::client::handshake(io).await.unwrap();
    Client { send, connection: tokio::spawn(connection), server, drain }
}

impl Client {
    async fn get(&mut self, path: &str) -> Response<RecvStream> {
        self.ask(request("GET", path), None).await.unwrap()
    }

    async fn ask(
        &mut self,
        request: Request<()>,
        body: Option<&[u8]>,
    ) -> Result<Response<RecvStream>, h2::Error> {
        std::future::poll_fn(|cx| self.send.poll_ready(cx)).await?;
        let (response, mut stream) = self.send.send_request(request, body.is_none())?;
        if let Some(body) = body {
            stream.send_data(Bytes::copy_from_slice(body), true)?;
        }
        response.await
    }
}

fn request(method: &str, path: &str) -> Request<()> {
    Request::builder().method(method).uri(format!("http://a.com{path}")).body(()).unwrap()
}

async fn read(mut body: RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut all = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        all.extend(data);
    }
    Ok(all)
}

fn ok(body: impl Into<Bytes>) -> Response<OutBody> {
    Response::new(OutBody::full(body))
}

/// Reads the whole body, as an origin would, and tells what came.
async fn echo(request: Request<InBody>, _: Arc<Conn>, _: InterimSender) -> Response<OutBody> {
    let headers = request.headers().clone();
    match request.into_body().collect().await {
        Ok(body) => {
            let mut response = Response::new(OutBody::Empty);
            for (name, value) in body.trailers().into_iter().flatten() {
                response.headers_mut().append(name, value.clone());
            }
            if let Some(cookie) = headers.get(header::COOKIE) {
                response.headers_mut().insert("x-cookie", cookie.clone());
            }
            *response.body_mut() = OutBody::full(body.to_bytes());
            response
        }
        Err(error) => {
            let mut response = ok(error.to_string());
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            response
        }
    }
}

type Step = Result<Frame<Bytes>, BoxError>;

/// A body fed by the test.
struct Fed(mpsc::Receiver<Step>);
impl Body for Fed {
    type Data = Bytes;
    type Error = BoxError;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Step>> {
        self.0.poll_recv(cx)
    }
}

fn fed() -> (mpsc::Sender<Step>, OutBody) {
    let (tx, rx) = mpsc::channel(4);
    (tx, OutBody::stream(Fed(rx)))
}

/// A body made of ready frames.
struct Frames<I>(I);
impl<I: Iterator<Item = Step> + Unpin> Body for Frames<I> {
    type Data = Bytes;
    type Error = BoxError;
    fn poll_frame(mut self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<Option<Step>> {
        std::task::Poll::Ready(self.0.next())
    }
}

fn data(bytes: &'static [u8]) -> Step {
    Ok(Frame::data(Bytes::from_static(bytes)))
}

// ---- responses ----

#[tokio::test]
async fn a_response_has_length_and_date_and_no_connection_fields() {
    let handler = Script::new(|_, _, _| async {
        let mut response = ok("hello");
        for name in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"] {
            response.headers_mut().insert(name, HeaderValue::from_static("x"));
        }
        response
    });
    let mut client = client(handler, Limits::default()).await;
    let response = client.get("/").await;
    let names: Vec<_> = response.headers().keys().map(|n| n.as_str().to_owned()).collect();
    assert_eq!(response.headers()["content-length"], "5");
    assert!(names.contains(&"date".to_owned()));
    assert_eq!(names.len(), 2, "{names:?}");
    assert_eq!(read(response.into_body()).await.unwrap(), b"hello");
}

/// RFC 9110 §9.3.2, §15.3.5, §15.4.5, §8.6.
#[tokio::test]
async fn head_204_and_304_have_no_body() {
    let handler = Script::new(|request: Request<InBody>, _, _| async move {
        let status = request.uri().path().trim_start_matches('/').parse::<u16>().unwrap();
        let mut response = ok("hello");
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        response.headers_mut().insert("content-length", HeaderValue::from_static("5"));
        response
    });
    let mut client = client(handler, Limits::default()).await;
    for (method, path, length) in [
        ("HEAD", "/200", Some("5")),
        ("GET", "/204", None),
        ("GET", "/304", Some("5")),
        ("HEAD", "/404", Some("5")),
    ] {
        let response = client.ask(request(method, path), None).await.unwrap();
        assert_eq!(response.headers().get("content-length").map(|v| v.to_str().unwrap()), length, "{path}");
        assert!(response.body().is_end_stream(), "{method} {path}");
    }
}

#[tokio::test]
async fn an_empty_body_of_a_head_response_says_nothing_about_its_length() {
    let mut client =
        client(Script::new(|_, _, _| async { Response::new(OutBody::Empty) }), Limits::default()).await;
    let response = client.ask(request("HEAD", "/"), None).await.unwrap();
    assert!(response.headers().get("content-length").is_none());
    let response = client.get("/").await;
    assert_eq!(response.headers()["content-length"], "0");
}

#[tokio::test]
async fn chunks_larger_than_every_window_arrive_whole() {
    let chunks: Vec<Bytes> = (0..5u8).map(|i| Bytes::from(vec![i; 300_000])).collect();
    let expected = chunks.concat();
    let handler = Script::new(move |_, _, _| {
        let chunks = chunks.clone();
        async move { Response::new(OutBody::Chunks(crate::body::Chunks::new(chunks))) }
    });
    let mut client = client(handler, Limits::default()).await;
    let response = client.get("/").await;
    assert_eq!(response.headers()["content-length"], "1500000");
    assert!(read(response.into_body()).await.unwrap() == expected);
}

#[tokio::test]
async fn streams_and_trailers_pass() {
    let handler = Script::new(|_, _, _| async {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("7"));
        trailers.insert("connection", HeaderValue::from_static("x"));
        let frames = vec![data(b"ab"), data(b"cd"), Ok(Frame::trailers(trailers))];
        Response::new(OutBody::stream(Frames(frames.into_iter())))
    });
    let mut client = client(handler, Limits::default()).await;
    let response = client.get("/").await;
    assert!(response.headers().get("content-length").is_none());
    let mut body = response.into_body();
    let mut all = Vec::new();
    while let Some(data) = body.data().await {
        all.extend(data.unwrap());
    }
    assert_eq!(all, b"abcd");
    let trailers = body.trailers().await.unwrap().unwrap();
    assert_eq!((trailers.len(), &trailers["x-sum"]), (1, &HeaderValue::from_static("7")));
}

/// RFC 9113 §8.1.1: a cut response is never taken for a whole one.
#[tokio::test]
async fn a_response_that_breaks_off_is_reset() {
    for (announced, error) in [(Some("10"), false), (Some("2"), false), (None, true)] {
        let handler = Script::new(move |_, _, _| async move {
            let (tx, body) = fed();
            tokio::spawn(async move {
                let _ = tx.send(data(b"abcde")).await;
                if error {
                    let _ = tx.send(Err("origin went away".into())).await;
                }
            });
            let mut response = Response::new(body);
            if let Some(length) = announced {
                response.headers_mut().insert("content-length", HeaderValue::from_static(length));
            }
            response
        });
        let mut client = client(handler, Limits::default()).await;
        let response = client.get("/").await;
        let failed = read(response.into_body()).await.unwrap_err();
        assert_eq!(failed.reason(), Some(Reason::INTERNAL_ERROR), "{announced:?}");
    }
}

/// RFC 8297, RFC 9110 §15.2: interim responses come before the final one, and never after it.
#[tokio::test]
async fn interim_responses_precede_the_final_one() {
    let hint = |status: u16| {
        let mut headers = HeaderMap::new();
        headers.insert("link", HeaderValue::from_static("</a.css>; rel=preload"));
        headers.insert("connection", HeaderValue::from_static("close"));
        Interim { status: StatusCode::from_u16(status).unwrap(), headers }
    };
    let handler = Script::new(move |_, _, interim: InterimSender| async move {
        interim.send(hint(102));
        tokio::task::yield_now().await;
        interim.send(hint(101));
        interim.send(hint(103));
        let (tx, body) = fed();
        tokio::spawn(async move {
            let _ = tx.send(data(b"late")).await;
            interim.send(hint(103));
        });
        Response::new(body)
    });
    let mut client = client(handler, Limits::default()).await;
    let (mut response, _) = client.send.send_request(request("GET", "/"), true).unwrap();
    for expected in [102, 103] {
        let interim = std::future::poll_fn(|cx| response.poll_informational(cx)).await.unwrap().unwrap();
        assert_eq!(interim.status(), expected);
        assert_eq!(interim.headers()["link"], "</a.css>; rel=preload");
        assert!(interim.headers().get("connection").is_none());
    }
    let response = response.await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(read(response.into_body()).await.unwrap(), b"late");
}

// ---- flow control and stalls ----

/// A client that takes nothing makes us stop asking the origin for more, and is given up in the end.
#[tokio::test(start_paused = true)]
async fn a_closed_window_stops_the_source_and_then_the_stream() {
    const CHUNK: usize = 16 * 1024;
    let made = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&made);
    let handler = Script::new(move |_, _, _| {
        let counter = Arc::clone(&counter);
        async move {
            let endless = std::iter::repeat_with(move || {
                counter.fetch_add(1, Ordering::Relaxed);
                data(&[0; CHUNK])
            });
            Response::new(OutBody::stream(Frames(endless)))
        }
    });
    let mut client = client(handler, Limits::default()).await;
    let mut body = client.get("/").await.into_body();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let window = 65_535;
    let bound = (window + SEND_BUFFER) / CHUNK + 2;
    assert!(
        made.load(Ordering::Relaxed) <= bound,
        "{} chunks for a closed window",
        made.load(Ordering::Relaxed)
    );
    let given_up = async {
        loop {
            if let Err(error) = body.data().await.expect("no orderly end") {
                break error;
            }
        }
    };
    let error = timeout(Limits::default().write_stall_timeout, given_up).await.expect("in time");
    assert_eq!(error.reason(), Some(Reason::CANCEL));
    assert_eq!(client.get("/").await.status(), 200, "the connection goes on");
}

/// Slow read (standards §8.9): windows wide open, socket never emptied.
#[tokio::test(start_paused = true)]
async fn a_socket_that_is_never_read_ends_the_connection() {
    let handler = Script::new(|_, _, _| async { ok(vec![0; 1 << 20]) });
    let (mut io, server, _drain) = serve_in_memory(handler, Limits::default(), 8 * 1024);
    let mut raw = vec![];
    raw.extend(PREFACE);
    raw.extend(frame(4, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff])); // INITIAL_WINDOW_SIZE 2^31-1
    raw.extend(frame(8, 0, 0, &[0x7f, 0, 0, 0])); // and the connection's
    raw.extend(headers(1, true, &get(&[])));
    io.write_all(&raw).await.unwrap();
    // Not by the stream's own time-out and the idle one after it, which come later.
    let soon = Limits::default().write_stall_timeout + Duration::from_secs(1);
    timeout(soon, server).await.expect("in time").unwrap();
}

// ---- request bodies ----

#[tokio::test]
async fn request_bodies_trailers_and_cookie_crumbs_arrive() {
    let mut client = client(Script::new(echo), Limits::default()).await;
    let mut post = request("POST", "/");
    for crumb in ["a=1", "b=2", "c=3"] {
        post.headers_mut().append(header::COOKIE, HeaderValue::from_static(crumb));
    }
    let (response, mut stream) = client.send.send_request(post, false).unwrap();
    stream.send_data("abc".into(), false).unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("7"));
    stream.send_trailers(trailers).unwrap();
    let response = response.await.unwrap();
    assert_eq!(response.headers()["x-cookie"], "a=1; b=2; c=3", "RFC 9113 §8.2.3");
    assert_eq!(response.headers()["x-sum"], "7");
    assert_eq!(read(response.into_body()).await.unwrap(), b"abc");
}

#[tokio::test]
async fn a_body_larger_than_the_window_arrives_when_it_is_taken() {
    let mut client = client(Script::new(echo), Limits::default()).await;
    let whole = vec![7u8; 3 << 20];
    let response = client.ask(request("POST", "/"), Some(&whole)).await.unwrap();
    assert!(read(response.into_body()).await.unwrap() == whole);
}

/// What a client sends unasked is bounded by the window, not by its patience.
#[tokio::test(start_paused = true)]
async fn a_body_that_is_not_taken_is_not_sent() {
    let handler = Script::new(|request: Request<InBody>, _, _| async move {
        let _body = request.into_body();
        std::future::pending().await
    });
    let mut client = client(handler, Limits::default()).await;
    let (_response, mut stream) = client.send.send_request(request("POST", "/"), false).unwrap();
    stream.reserve_capacity(16 << 20);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let granted = stream.capacity();
    assert!(granted <= STREAM_WINDOW as usize, "{granted}");
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_announced_or_not() {
    let limits = Limits { request_body: 10, ..Limits::default() };
    let handler = Script::new(echo);
    let mut client = client(Arc::clone(&handler), limits).await;
    let response = client.ask(request("POST", "/"), Some(b"0123456789")).await.unwrap();
    assert_eq!(response.status(), 200);
    let response = client.ask(request("POST", "/"), Some(b"0123456789a")).await.unwrap();
    assert_eq!(response.status(), 418);
    let mut announced = request("POST", "/");
    announced.headers_mut().insert("content-length", HeaderValue::from_static("11"));
    let response = client.ask(announced, Some(b"0123456789a")).await.unwrap();
    assert_eq!(response.status(), 418);
    assert_eq!(handler.refused(), [Refusal::BodyTooLarge, Refusal::BodyTooLarge]);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stops_coming_is_408() {
    let handler = Script::new(echo);
    let mut client = client(Arc::clone(&handler), Limits::default()).await;
    let (response, mut stream) = client.send.send_request(request("POST", "/"), false).unwrap();
    stream.send_data("abc".into(), false).unwrap();
    assert_eq!(response.await.unwrap().status(), 418);
    assert_eq!(handler.refused(), [Refusal::BodyTimeout]);
}

/// RFC 9110 §10.1.1: 100 when, and only when, the body is wanted and not there yet.
#[tokio::test]
async fn continue_is_sent_when_the_body_is_wanted() {
    let mut client = client(Script::new(echo), Limits::default()).await;
    let mut post = request("POST", "/");
    post.headers_mut().insert("expect", HeaderValue::from_static("100-continue"));
    let (mut response, mut stream) = client.send.send_request(post, false).unwrap();
    let interim = std::future::poll_fn(|cx| response.poll_informational(cx)).await.unwrap().unwrap();
    assert_eq!(interim.status(), 100);
    stream.send_data("abc".into(), true).unwrap();
    let response = response.await.unwrap();
    assert_eq!(read(response.into_body()).await.unwrap(), b"abc");
}

#[tokio::test]
async fn continue_is_not_sent_when_the_answer_needs_no_body() {
    let mut client = client(Script::new(|_, _, _| async { ok("no") }), Limits::default()).await;
    let mut post = request("POST", "/");
    post.headers_mut().insert("expect", HeaderValue::from_static("100-continue"));
    let (mut response, _stream) = client.send.send_request(post, false).unwrap();
    assert!(std::future::poll_fn(|cx| response.poll_informational(cx)).await.is_none());
    assert_eq!(response.await.unwrap().status(), 200);
}

// ---- resets, time-outs, drain ----

/// Tells when it is dropped.
struct Dropped(mpsc::Sender<()>);
impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.try_send(());
    }
}

/// A handler that never answers: `started` says that it runs, `dropped` that it was given up.
fn never() -> (Arc<impl Handler>, Signals) {
    let (start, started) = mpsc::channel(1000);
    let (drop, dropped) = mpsc::channel(1000);
    let handler = Script::new(move |_, _, _| {
        let _ = start.try_send(());
        let guard = Dropped(drop.clone());
        Box::pin(async move {
            let _guard = guard;
            std::future::pending().await
        }) as Never
    });
    (handler, Signals { started, dropped })
}
type Never = Pin<Box<dyn Future<Output = Response<OutBody>> + Send>>;
struct Signals {
    started: mpsc::Receiver<()>,
    dropped: mpsc::Receiver<()>,
}

impl Client {
    /// A request that the handler has begun with, and the client then resets.
    async fn give_up(&mut self, signals: &mut Signals) {
        let (_response, mut stream) = self.send.send_request(request("GET", "/"), true).unwrap();
        signals.started.recv().await.unwrap();
        stream.send_reset(Reason::CANCEL);
        signals.dropped.recv().await.unwrap();
    }
}

#[tokio::test]
async fn a_reset_drops_the_handler() {
    let (handler, mut signals) = never();
    client(handler, Limits::default()).await.give_up(&mut signals).await;
}

#[tokio::test]
async fn a_reset_while_waiting_for_the_body_drops_the_body() {
    let (drop, mut dropped) = mpsc::channel(1);
    let handler = Script::new(move |_, _, _| {
        let guard = Dropped(drop.clone());
        async move {
            let (tx, rx) = mpsc::channel(1);
            let guarded = Fed(rx).map_frame(move |f| {
                let _keep = (&guard, &tx);
                f
            });
            Response::new(OutBody::stream(guarded))
        }
    });
    let mut client = client(handler, Limits::default()).await;
    let (response, mut stream) = client.send.send_request(request("GET", "/"), true).unwrap();
    let _body = response.await.unwrap();
    stream.send_reset(Reason::CANCEL);
    dropped.recv().await.unwrap();
}

#[tokio::test]
async fn a_lost_connection_drops_every_handler() {
    let (handler, mut signals) = never();
    let mut client = client(handler, Limits::default()).await;
    for _ in 0..3 {
        let _ = client.send.send_request(request("GET", "/"), true).unwrap();
        signals.started.recv().await.unwrap();
    }
    client.connection.abort();
    for _ in 0..3 {
        signals.dropped.recv().await.unwrap();
    }
    client.server.await.unwrap();
}

/// CVE-2023-44487.
#[tokio::test]
async fn too_many_resets_end_the_connection() {
    let (handler, mut signals) = never();
    let mut client = client(handler, Limits { h2_resets: 3, ..Limits::default() }).await;
    for _ in 0..4 {
        client.give_up(&mut signals).await;
    }
    client.server.await.unwrap();
    let ended = client.connection.await.unwrap();
    assert_eq!(ended.unwrap_err().reason(), Some(Reason::ENHANCE_YOUR_CALM));
}

#[tokio::test(start_paused = true)]
async fn resets_are_counted_per_ten_seconds() {
    let (handler, mut signals) = never();
    let mut client = client(handler, Limits { h2_resets: 3, ..Limits::default() }).await;
    for _ in 0..3 {
        for _ in 0..3 {
            client.give_up(&mut signals).await;
        }
        tokio::time::sleep(RESET_WINDOW + Duration::from_millis(10)).await;
    }
    assert!(!client.server.is_finished());
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_politely() {
    let mut client = client(Script::new(|_, _, _| async { ok("x") }), Limits::default()).await;
    client.get("/").await;
    let before = tokio::time::sleep(Limits::default().idle_timeout - Duration::from_secs(1));
    before.await;
    assert!(!client.server.is_finished());
    client.connection.await.unwrap().expect("GOAWAY without an error");
    client.server.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_sends_its_preface_is_dropped() {
    let (mut io, server, _drain) = serve_in_memory(Script::new(echo), Limits::default(), 1 << 16);
    io.write_all(&PREFACE[..20]).await.unwrap();
    server.await.unwrap();
}

/// A dead client does not answer the PING that the orderly end needs.
#[tokio::test(start_paused = true)]
async fn a_silent_connection_ends_even_without_the_clients_help() {
    let (mut io, server, _drain) = serve_in_memory(Script::new(echo), Limits::default(), 1 << 16);
    io.write_all(PREFACE).await.unwrap();
    io.write_all(&frame(4, 0, 0, &[])).await.unwrap();
    server.await.unwrap();
}

#[tokio::test]
async fn draining_lets_open_streams_finish() {
    let (go, wait) = watch::channel(false);
    let (start, mut started) = mpsc::channel(1);
    let handler = Script::new(move |_, _, _| {
        let (mut wait, start) = (wait.clone(), start.clone());
        async move {
            start.send(()).await.unwrap();
            wait.wait_for(|go| *go).await.unwrap();
            ok("done")
        }
    });
    let mut client = client(handler, Limits::default()).await;
    let (response, _) = client.send.send_request(request("GET", "/"), true).unwrap();
    started.recv().await.unwrap();
    client.drain.send(true).unwrap();
    // GOAWAY has arrived when no further request is accepted.
    while std::future::poll_fn(|cx| client.send.poll_ready(cx)).await.is_ok() {
        tokio::task::yield_now().await;
    }
    go.send(true).unwrap();
    let response = response.await.unwrap();
    assert_eq!(read(response.into_body()).await.unwrap(), b"done");
    drop(client.send);
    client.server.await.unwrap();
    client.connection.await.unwrap().unwrap();
}

/// A stream counts until its task is gone: resetting does not buy more of them.
#[tokio::test]
async fn the_number_of_handlers_is_bounded() {
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (count, peak) = (Arc::clone(&running), Arc::clone(&most));
    let handler = Script::new(move |_, _, _| {
        let (count, peak) = (Arc::clone(&count), Arc::clone(&peak));
        async move {
            let now = count.fetch_add(1, Ordering::SeqCst) + 1;
            peak.fetch_max(now, Ordering::SeqCst);
            tokio::task::yield_now().await;
            count.fetch_sub(1, Ordering::SeqCst);
            ok("x")
        }
    });
    let mut client = client(handler, Limits { h2_streams: 2, ..Limits::default() }).await;
    client.get("/").await; // the server's SETTINGS have arrived
    let mut waiting = Vec::new();
    for _ in 0..20 {
        std::future::poll_fn(|cx| client.send.poll_ready(cx)).await.unwrap();
        waiting.push(client.send.send_request(request("GET", "/"), true).unwrap().0);
    }
    for response in waiting {
        assert_eq!(response.await.unwrap().status(), 200);
    }
    assert!(most.load(Ordering::SeqCst) <= 2);
}

// ---- raw frames ----

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}

/// HPACK literals without indexing and without Huffman coding (RFC 7541 §6.2.2).
fn headers(stream: u32, end: bool, fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    fn string(out: &mut Vec<u8>, s: &[u8]) {
        let length = s.len();
        if length < 127 {
            out.push(u8::try_from(length).unwrap());
        } else {
            out.push(127);
            let mut rest = length - 127;
            while rest >= 128 {
                out.push(u8::try_from(rest % 128).unwrap() | 128);
                rest /= 128;
            }
            out.push(u8::try_from(rest).unwrap());
        }
        out.extend(s);
    }
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        string(&mut block, name);
        string(&mut block, value);
    }
    let mut out = Vec::new();
    let mut pieces = block.chunks(16_384).peekable();
    let mut first = true;
    while let Some(piece) = pieces.next() {
        let done = if pieces.peek().is_none() { 4 } else { 0 };
        let (kind, ended) = if first { (1, u8::from(end)) } else { (9, 0) };
        out.extend(frame(kind, done | ended, stream, piece));
        first = false;
    }
    out
}

type Field<'a> = (&'a [u8], &'a [u8]);

/// A GET with these fields after its pseudo-header fields.
fn get<'a>(more: &[(&'a str, &'a str)]) -> Vec<Field<'a>> {
    let mut fields: Vec<Field<'a>> =
        vec![(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"a.com")];
    fields.extend(more.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())));
    fields
}
