//! A scripted handler, a client that speaks bytes, and a reader of what comes back.

use super::super::connection;
use super::super::slow::{Bodiless, Shared};
use crate::body::{Chunks, InBody, OutBody, Window};
use crate::front::handler::{Conn, FastRequest, Handler, Limits};
use crate::front::known::Known;
use crate::front::refusal::{self, Refusal};
use crate::interim::{Interim, InterimSender};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, Write as _};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

pub const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// What the handler has seen.
#[derive(Default)]
pub struct Seen {
    pub fast: AtomicUsize,
    pub sent: Mutex<Vec<(usize, u64)>>,
    pub refused: Mutex<Vec<Refusal>>,
    /// `METHOD target`, and the body where it was read.
    pub handled: Mutex<Vec<String>>,
    /// `/wait` has been entered.
    pub entered: Notify,
    /// `/wait` may answer.
    pub release: Notify,
    /// `/wait` has been dropped.
    pub dropped: AtomicBool,
    pub drop_noticed: Notify,
    /// A request body has been read to its end or error; which.
    pub bodies: Mutex<Vec<Result<u64, String>>>,
    pub body_read: Notify,
}

/// Answers by path; see [`Script::answer`].
pub struct Script {
    pub lane: bool,
    pub seen: Arc<Seen>,
}

impl Script {
    pub fn new(lane: bool) -> Arc<Self> {
        Arc::new(Self { lane, seen: Arc::default() })
    }
    pub fn refused(&self) -> Vec<Refusal> {
        self.seen.refused.lock().unwrap().clone()
    }
    pub fn handled(&self) -> Vec<String> {
        self.seen.handled.lock().unwrap().clone()
    }
}

fn filler(len: usize) -> Chunks {
    let mut list = Vec::new();
    let mut left = len;
    while left > 0 {
        let take = left.min(1000);
        list.push(Bytes::from(vec![b'a' + (list.len() % 26) as u8; take]));
        left -= take;
    }
    Chunks::new(list)
}

fn hit(target: &str) -> Option<usize> {
    target.strip_prefix("/hit/").and_then(|len| len.parse().ok())
}

fn plain(body: OutBody) -> Response<OutBody> {
    let mut response = Response::new(body);
    response.headers_mut().insert("date", HeaderValue::from_static(DATE));
    response
}

struct Dropped(Arc<Seen>);
impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.dropped.store(true, Ordering::SeqCst);
        self.0.drop_noticed.notify_one();
    }
}

fn hint(status: u16, link: &'static str) -> Interim {
    let mut headers = HeaderMap::new();
    headers.insert("link", HeaderValue::from_static(link));
    Interim { status: StatusCode::from_u16(status).unwrap(), headers }
}

async fn drain(mut body: InBody, seen: Arc<Seen>) {
    let mut total = 0;
    let result = loop {
        match body.frame().await {
            None => break Ok(total),
            Some(Ok(frame)) => total += frame.data_ref().map_or(0, |data| data.len() as u64),
            Some(Err(error)) => break Err(error.to_string()),
        }
    };
    seen.bodies.lock().unwrap().push(result);
    seen.body_read.notify_one();
}

async fn answer(request: Request<InBody>, interims: InterimSender, seen: Arc<Seen>) -> Response<OutBody> {
    let target = request.uri().path_and_query().map_or_else(|| request.uri().to_string(), |t| t.to_string());
    seen.handled.lock().unwrap().push(format!("{} {target}", request.method()));
    if let Some(len) = hit(&target) {
        let body =
            if request.method() == Method::HEAD { OutBody::Empty } else { OutBody::Chunks(filler(len)) };
        let mut response = plain(body);
        response.headers_mut().insert("content-type", HeaderValue::from_static("text/plain"));
        response.headers_mut().insert("content-length", HeaderValue::from(len));
        return response;
    }
    if let Some(len) = target.strip_prefix("/early/") {
        tokio::spawn(drain(request.into_body(), seen));
        return plain(OutBody::Chunks(filler(len.parse().unwrap())));
    }
    if let Some(script) = target.strip_prefix("/pieces/") {
        return scripted(script, request.method());
    }
    match &*target {
        "/echo" => match request.into_body().collect().await {
            Ok(collected) => {
                let trailer = collected.trailers().and_then(|t| t.get("x-sum")).cloned();
                let mut response = plain(OutBody::full(collected.to_bytes()));
                if let Some(trailer) = trailer {
                    response.headers_mut().insert("x-sum-was", trailer);
                }
                response
            }
            Err(_) => Response::builder().status(502).body(OutBody::Empty).unwrap(),
        },
        "/drain" => {
            drain(request.into_body(), seen).await;
            plain(OutBody::full("drained"))
        }
        "/ignore" => plain(OutBody::full("ignored")),
        "/hints" => {
            for (status, link) in [(103, "</a>"), (102, "</b>"), (103, "</c>")] {
                interims.send(hint(status, link));
                tokio::task::yield_now().await;
            }
            plain(OutBody::full("hinted"))
        }
        "/hints/at-once" => {
            interims.send(hint(103, "</a>"));
            interims.send(hint(100, "</never>"));
            interims.send(hint(103, "</b>"));
            plain(OutBody::full("hinted"))
        }
        "/hints/around-body" => {
            interims.send(hint(103, "</a>"));
            let body = request.into_body().collect().await.unwrap().to_bytes();
            interims.send(hint(103, "</b>"));
            tokio::task::yield_now().await;
            plain(OutBody::full(body))
        }
        "/hints/elsewhere" => {
            tokio::spawn(async move { interims.send(hint(103, "</a>")) });
            seen.entered.notify_one();
            seen.release.notified().await;
            plain(OutBody::full("hinted"))
        }
        "/hints/late" => {
            interims.send(hint(103, "</a>"));
            tokio::spawn(async move {
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                    interims.send(hint(103, "</late>"));
                }
            });
            plain(OutBody::Chunks(filler(50_000)))
        }
        "/hints/many" => {
            for _ in 0..40 {
                interims.send(hint(103, "</a>"));
                tokio::task::yield_now().await;
            }
            plain(OutBody::full("hinted"))
        }
        "/stream" => {
            let pieces = ["one ", "two ", "three"].map(|t| Ok::<_, io::Error>(Bytes::from(t)));
            plain(OutBody::stream(Pieces(pieces.into(), false)))
        }
        "/broken/at-once" => {
            let pieces = [Err(io::Error::other("origin broke"))];
            plain(OutBody::stream(Pieces(pieces.into(), true)))
        }
        "/nonsense" => {
            let mut response = plain(OutBody::stream(Pieces(Default::default(), true)));
            response.headers_mut().insert("content-length", HeaderValue::from_static("many"));
            response
        }
        "/broken" => {
            let pieces = [Ok(Bytes::from("half")), Err(io::Error::other("origin broke"))];
            plain(OutBody::stream(Pieces(pieces.into(), false)))
        }
        "/close" => {
            let mut response = plain(OutBody::full("bye"));
            response.headers_mut().insert("connection", HeaderValue::from_static("close"));
            response
        }
        "/fields" => {
            let fields = request
                .headers()
                .iter()
                .map(|(n, v)| format!("{n}: {}\n", String::from_utf8_lossy(v.as_bytes())));
            let text = format!("{:?} {}\n{}", request.version(), request.uri(), fields.collect::<String>());
            plain(OutBody::full(text))
        }
        "/events" => {
            let (sender, events) = tokio::sync::mpsc::channel(1);
            tokio::spawn(async move {
                sender.send("first\n\n").await.unwrap();
                seen.release.notified().await;
                sender.send("second\n\n").await.unwrap();
            });
            plain(OutBody::stream(Events(events)))
        }
        "/wait" => {
            let guard = Dropped(seen.clone());
            seen.entered.notify_one();
            seen.release.notified().await;
            std::mem::forget(guard);
            plain(OutBody::full("waited"))
        }
        "/upgrade" => upgrade(request),
        _ => {
            tokio::task::yield_now().await;
            plain(OutBody::full("miss"))
        }
    }
}

/// `STATUS/OPS?FACTS`. Ops, between commas: `p` pending once, a number: so many bytes at once, `t` trailers, `e` an error.
/// Facts: `length=N` is announced by `Content-Length`; `exact`: the body knows its length; `end`: and when it is over;
/// `trailer`: `X-Sum` is announced; `close`: `Connection: close`; `chunked`: `Transfer-Encoding: chunked`.
fn scripted(script: &str, method: &Method) -> Response<OutBody> {
    let (path, facts) = script.split_once('?').unwrap_or((script, ""));
    let (status, ops) = path.split_once('/').unwrap();
    let facts: Vec<&str> = facts.split('&').collect();
    let ops: VecDeque<Op> = ops.split(',').filter(|op| !op.is_empty()).map(Op::from).collect();
    let length: u64 = ops.iter().map(|op| if let Op::Data(n) = op { *n as u64 } else { 0 }).sum();
    let is_head = method == Method::HEAD;
    let exact = (facts.contains(&"exact") && !is_head).then_some(length);
    let body = Scripted { ops, exact, knows_end: facts.contains(&"end"), letter: 0 };
    let mut response = plain(OutBody::stream(body));
    *response.status_mut() = status.parse().unwrap();
    let headers = response.headers_mut();
    for fact in facts {
        match fact {
            "trailer" => drop(headers.insert("trailer", HeaderValue::from_static("x-other, X-Sum"))),
            "close" => drop(headers.insert("connection", HeaderValue::from_static("close"))),
            "chunked" => drop(headers.insert("transfer-encoding", HeaderValue::from_static("chunked"))),
            "undated" => drop(headers.remove("date")),
            "link" => {
                headers.append("link", HeaderValue::from_static("</a>"));
                headers.append("x-between", HeaderValue::from_static(""));
                headers.append("link", HeaderValue::from_static("</b>"));
            }
            _ => {
                if let Some(length) = fact.strip_prefix("length=") {
                    headers.append("content-length", length.parse().unwrap());
                }
            }
        }
    }
    response
}

#[derive(Clone, Copy)]
enum Op {
    Pending,
    Data(usize),
    Trailers,
    Error,
}

impl From<&str> for Op {
    fn from(text: &str) -> Self {
        match text {
            "p" => Self::Pending,
            "t" => Self::Trailers,
            "e" => Self::Error,
            number => Self::Data(number.parse().unwrap()),
        }
    }
}

struct Scripted {
    ops: VecDeque<Op>,
    exact: Option<u64>,
    knows_end: bool,
    letter: u8,
}

impl http_body::Body for Scripted {
    type Data = Bytes;
    type Error = io::Error;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, io::Error>>> {
        Poll::Ready(match self.ops.pop_front() {
            None => None,
            Some(Op::Pending) => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Some(Op::Data(n)) => {
                self.letter = (self.letter + u8::from(n > 0)) % 26;
                self.exact = self.exact.map(|left| left - n as u64);
                Some(Ok(http_body::Frame::data(Bytes::from(vec![b'a' + self.letter; n]))))
            }
            Some(Op::Trailers) => {
                let mut trailers = HeaderMap::new();
                trailers.insert("x-sum", HeaderValue::from_static("7"));
                trailers.insert("x-unannounced", HeaderValue::from_static("8"));
                Some(Ok(http_body::Frame::trailers(trailers)))
            }
            Some(Op::Error) => Some(Err(io::Error::other("origin broke"))),
        })
    }
    fn is_end_stream(&self) -> bool {
        self.knows_end && self.ops.is_empty()
    }
    fn size_hint(&self) -> http_body::SizeHint {
        self.exact.map_or_else(Default::default, http_body::SizeHint::with_exact)
    }
}

/// 101, then an echo with `<>` round each read.
fn upgrade(mut request: Request<InBody>) -> Response<OutBody> {
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut io = hyper_util::rt::TokioIo::new(upgraded.await.unwrap());
        let mut buf = [0; 64];
        while let Ok(n @ 1..) = io.read(&mut buf).await {
            io.write_all(&[b"<", &buf[..n], b">"].concat()).await.unwrap();
            io.flush().await.unwrap();
        }
    });
    let mut response = plain(OutBody::Empty);
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert("connection", HeaderValue::from_static("upgrade"));
    response.headers_mut().insert("upgrade", HeaderValue::from_static("echo"));
    response
}

/// One piece a turn.
struct Pieces(VecDeque<Result<Bytes, io::Error>>, bool);
impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, io::Error>>> {
        self.1 = !self.1;
        if self.1 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.0.pop_front().map(|piece| piece.map(http_body::Frame::data)))
    }
}

/// Arrives when it does.
struct Events(tokio::sync::mpsc::Receiver<&'static str>);
impl http_body::Body for Events {
    type Data = Bytes;
    type Error = io::Error;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, io::Error>>> {
        self.0.poll_recv(cx).map(|event| event.map(|text| Ok(http_body::Frame::data(text.into()))))
    }
}

impl Handler for Script {
    /// The length, and the body.
    type Record = (usize, Vec<Bytes>);

    fn handle(
        &self,
        request: Request<InBody>,
        _: Arc<Conn>,
        interims: InterimSender,
    ) -> impl Future<Output = Response<OutBody>> + Send + 'static {
        answer(request, interims, self.seen.clone())
    }

    fn fast(&self, request: &FastRequest<'_>, _: &Conn, out: &mut Vec<u8>) -> Option<Self::Record> {
        let len = hit(std::str::from_utf8(request.target).ok()?).filter(|_| self.lane)?;
        self.seen.fast.fetch_add(1, Ordering::SeqCst);
        write!(
            out,
            "HTTP/1.1 200 OK\r\ndate: {DATE}\r\ncontent-type: text/plain\r\ncontent-length: {len}\r\n\r\n"
        )
        .unwrap();
        Some((len, if request.head { Vec::new() } else { filler(len).collect() }))
    }

    fn fast_body<'r>(&self, (_, body): &'r Self::Record) -> Window<'r> {
        Window::new(body, 0..u64::MAX)
    }

    fn fast_sent(&self, (len, _): Self::Record, _: &Conn, bytes: u64, _: bool) {
        self.seen.sent.lock().unwrap().push((len, bytes));
    }

    fn refused(&self, refusal: Refusal, _: &Conn, _: &Known) -> Bytes {
        self.seen.refused.lock().unwrap().push(refusal);
        refusal::encode_http1(&refusal::response(refusal, "test", "id", true), DATE)
    }

    fn refused_response(&self, refusal: Refusal, _: &Conn, _: &Known) -> Response<OutBody> {
        refusal::response(refusal, "test", "id", false)
    }

    fn now(&self) -> crate::time::Now {
        crate::time::Now::default()
    }
}

/// A connection to a server of its own.
pub struct Client {
    pub io: DuplexStream,
    pub drain: watch::Sender<bool>,
    pub server: JoinHandle<()>,
}

pub fn conn(tls: bool) -> Arc<Conn> {
    let address = "192.0.2.1:1234".parse().unwrap();
    Arc::new(Conn { peer: address, local: address, tls, sni: None })
}

/// `pipe`: bytes that either side may have written and the other not read; 1 means one byte per segment.
pub fn connect_with(handler: &Arc<Script>, limits: Limits, pipe: usize) -> Client {
    let (io, far) = tokio::io::duplex(pipe);
    let (drain, told) = watch::channel(false);
    let server = super::super::serve(far, Bytes::new(), conn(false), handler.clone(), Arc::new(limits), told);
    Client { io, drain, server: tokio::spawn(server) }
}

/// Like [`connect_with`], but what has no body is answered by hyper too.
pub fn connect_by_hyper(handler: &Arc<Script>, pipe: usize) -> Client {
    let (io, far) = tokio::io::duplex(pipe);
    let (drain, told) = watch::channel(false);
    let (conn, handler) = (conn(false), handler.clone());
    let shared = Shared { conn, handler, limits: Arc::default(), bodiless: Bodiless::ByHyper };
    let server = connection::serve_shared(far, shared, told);
    Client { io, drain, server: tokio::spawn(server) }
}

/// Like [`connect_with`], but the server's IO takes one slice per write.
pub fn connect_flat(handler: &Arc<Script>, pipe: usize) -> Client {
    connect_tapped(handler, pipe, false).0
}

/// And the number of the server's writes. `vectored`: whether its IO takes several slices at once.
pub fn connect_tapped(handler: &Arc<Script>, pipe: usize, vectored: bool) -> (Client, Arc<AtomicUsize>) {
    let (io, far) = tokio::io::duplex(pipe);
    let (drain, told) = watch::channel(false);
    let writes = Arc::new(AtomicUsize::new(0));
    let far = Tap { io: far, writes: writes.clone(), vectored };
    let server = super::super::serve(far, Bytes::new(), conn(false), handler.clone(), Arc::default(), told);
    (Client { io, drain, server: tokio::spawn(server) }, writes)
}

struct Tap {
    io: DuplexStream,
    writes: Arc<AtomicUsize>,
    vectored: bool,
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, out)
    }
}

impl AsyncWrite for Tap {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if !self.vectored {
            // As one that knows nothing of slices.
            let first = slices.iter().find(|slice| !slice.is_empty());
            return self.poll_write(cx, first.map_or(&[], |slice| &**slice));
        }
        self.writes.fetch_add(1, Ordering::SeqCst);
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }
    fn is_write_vectored(&self) -> bool {
        self.vectored
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

pub fn connect(handler: &Arc<Script>) -> Client {
    connect_with(handler, Limits::default(), 64 * 1024)
}

impl Client {
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.io.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Reads until what has come ends with `end`.
    pub async fn read_until(&mut self, end: &str) -> String {
        let mut got = Vec::new();
        while !got.ends_with(end.as_bytes()) {
            let byte = self.io.read_u8().await;
            got.push(byte.unwrap_or_else(|_| panic!("closed after {:?}", String::from_utf8_lossy(&got))));
        }
        String::from_utf8(got).unwrap()
    }

    /// Reads until the server closes.
    pub async fn read_to_end(&mut self) -> Vec<u8> {
        let mut got = Vec::new();
        self.io.read_to_end(&mut got).await.unwrap();
        got
    }

    /// Sends everything while reading everything, until the server closes.
    pub async fn talk(self, bytes: impl AsRef<[u8]>) -> Vec<u8> {
        let (mut read, mut write) = tokio::io::split(self.io);
        let mut got = Vec::new();
        let write = async {
            // A server that has seen enough may close before it has read all.
            let _ = write.write_all(bytes.as_ref()).await;
            write
        };
        let (write, result) = tokio::join!(write, read.read_to_end(&mut got));
        result.unwrap();
        drop((read, write));
        self.server.await.unwrap();
        got
    }
}

/// Sends `input` to a fresh server and takes the answers apart; `input` must make the server close.
pub async fn ask(handler: &Arc<Script>, input: impl AsRef<[u8]>, methods: &[&str]) -> Vec<Reply> {
    replies(&connect(handler).talk(input).await, methods)
}

/// The refusal that `input` earns, and the status that the client sees.
pub async fn refusal(input: impl AsRef<[u8]>) -> (Option<Refusal>, u16) {
    let handler = Script::new(true);
    let replies = ask(&handler, input, &["GET"]).await;
    let refused = handler.refused();
    assert!(refused.len() <= 1);
    if !refused.is_empty() {
        assert_eq!(replies[0].header("connection"), Some("close"));
        assert!(replies[0].header("proxy-status").is_some());
    }
    (refused.first().copied(), replies[0].status)
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub version: String,
    /// Sorted.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| &**value)
    }
}

/// Takes a stream of responses apart, to the last byte. `methods`: of the requests, in order.
pub fn replies(mut bytes: &[u8], methods: &[&str]) -> Vec<Reply> {
    let mut all = Vec::new();
    let mut methods = methods.iter();
    while !bytes.is_empty() {
        let (reply, rest) = one_reply(bytes, &mut methods);
        all.push(reply);
        bytes = rest;
    }
    all
}

fn one_reply<'b>(bytes: &'b [u8], methods: &mut std::slice::Iter<'_, &str>) -> (Reply, &'b [u8]) {
    let shown = || String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned();
    let end =
        bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or_else(|| panic!("no head: {}", shown()));
    let text = std::str::from_utf8(&bytes[..end]).unwrap();
    let rest = &bytes[end + 4..];
    let mut lines = text.split("\r\n");
    let status_line = lines.next().unwrap();
    let mut words = status_line.splitn(3, ' ');
    let version = words.next().unwrap().to_owned();
    assert!(version.starts_with("HTTP/1."), "desynchronised: {}", shown());
    let status: u16 = words.next().unwrap().parse().unwrap();
    let mut headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(": ").unwrap_or_else(|| panic!("{line:?}")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    headers.sort();
    let mut reply = Reply { status, version, headers, body: String::new() };
    if (100..200).contains(&status) && status != 101 {
        return (reply, rest);
    }
    let method = *methods.next().unwrap_or_else(|| panic!("an answer too many: {}", shown()));
    let (body, rest) = if method == "HEAD" || status == 204 || status == 304 {
        (Vec::new(), rest)
    } else if reply.header("transfer-encoding") == Some("chunked") {
        dechunk(rest)
    } else if let Some(length) = reply.header("content-length") {
        let length = length.parse::<usize>().unwrap().min(rest.len());
        (rest[..length].to_vec(), &rest[length..])
    } else {
        (rest.to_vec(), &rest[rest.len()..])
    };
    reply.body = String::from_utf8(body).unwrap();
    (reply, rest)
}

fn dechunk(mut bytes: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut body = Vec::new();
    loop {
        let Some(end) = bytes.windows(2).position(|w| w == b"\r\n") else {
            body.extend_from_slice(b"[truncated]");
            return (body, &[]);
        };
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        bytes = &bytes[end + 2..];
        body.extend_from_slice(&bytes[..size]);
        bytes = &bytes[size + 2..];
        if size == 0 {
            return (body, bytes);
        }
    }
}
