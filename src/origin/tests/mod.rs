//! Against scripted servers: plain TCP listeners that say exactly what a test tells them to, byte for byte. They and the
//! test wait for each other's events, never for time; where a time-out is tested, the other side never answers.

mod failures;
mod http2;
mod interim;
mod limits;
mod reuse;
mod several;
mod tls;

use super::settings::{Queue, Server};
use super::*;
use crate::body::{BoxError, InBody, empty_in};
use crate::clock::Clock;
use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// Long enough for a machine under load; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(20);
/// A time-out that is meant to strike.
const SHORT: Duration = Duration::from_millis(60);

trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// The server's side of one connection.
struct Peer {
    wire: Box<dyn Wire>,
    read: Vec<u8>,
}

impl Peer {
    fn new(wire: impl Wire + 'static) -> Self {
        Self { wire: Box::new(wire), read: Vec::new() }
    }

    /// The next request head; `None` when the client closed instead.
    async fn head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.read.windows(4).position(|w| w == b"\r\n\r\n") {
                let rest = self.read.split_off(end + 4);
                let head = std::mem::replace(&mut self.read, rest);
                return Some(String::from_utf8(head).unwrap());
            }
            let mut chunk = [0; 4096];
            match self.wire.read(&mut chunk).await {
                Ok(0) | Err(_) => return None,
                Ok(n) => self.read.extend_from_slice(&chunk[..n]),
            }
        }
    }

    /// Exactly so many bytes more.
    async fn take(&mut self, n: usize) -> String {
        while self.read.len() < n {
            let mut chunk = [0; 4096];
            let got = self.wire.read(&mut chunk).await.unwrap();
            assert_ne!(got, 0, "closed by the client");
            self.read.extend_from_slice(&chunk[..got]);
        }
        let rest = self.read.split_off(n);
        String::from_utf8(std::mem::replace(&mut self.read, rest)).unwrap()
    }

    /// One write; a client that is gone is no matter.
    async fn say(&mut self, text: impl AsRef<[u8]>) {
        let _ = self.wire.write_all(text.as_ref()).await;
        let _ = self.wire.flush().await;
    }

    /// Answers every request the same.
    async fn answer_all(mut self, text: &str) {
        while self.head().await.is_some() {
            self.say(text).await;
        }
    }

    /// Waits until the client closes.
    async fn until_closed(&mut self) {
        let mut chunk = [0; 4096];
        while !matches!(self.wire.read(&mut chunk).await, Ok(0) | Err(_)) {}
    }
}

/// A server whose connections, numbered from 0, are played by `script`.
struct Scripted {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
}

impl Scripted {
    async fn new<F, R>(script: F) -> Self
    where
        F: Fn(usize, TcpStream) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                let number = count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(script(number, stream));
            }
        });
        Self { address, accepted }
    }

    /// Every request on every connection gets the same bytes.
    async fn always(text: &'static str) -> Self {
        Self::new(move |_, s| Peer::new(s).answer_all(text)).await
    }

    /// Every connection: one request is read, these bytes are sent, and the connection is closed.
    async fn once(text: impl Into<Vec<u8>>) -> Self {
        let text: Arc<[u8]> = text.into().into();
        Self::new(move |_, s| {
            let text = Arc::clone(&text);
            async move {
                let mut peer = Peer::new(s);
                peer.head().await;
                peer.say(text).await;
            }
        })
        .await
    }

    /// Takes requests and never answers.
    async fn mute() -> Self {
        Self::new(|_, s| async move { Peer::new(s).until_closed().await }).await
    }

    fn connections(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    fn url(&self) -> ServerUrl {
        ServerUrl::parse(&format!("http://{}", self.address)).unwrap()
    }
}

/// An address where nobody listens.
async fn deserted() -> ServerUrl {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    ServerUrl::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap()
}

/// No retries, no breaker: what a test wants of them it says.
fn settings(urls: impl IntoIterator<Item = ServerUrl>) -> Settings {
    Settings {
        servers: urls.into_iter().map(Server::new).collect(),
        connect_timeout: PATIENCE,
        retries: 0,
        breaker: None,
        ..Settings::default()
    }
}

fn build(settings: Settings) -> Arc<Origin> {
    Origin::new("test", settings, Clock::system()).unwrap()
}

fn to(server: &Scripted) -> Arc<Origin> {
    build(settings([server.url()]))
}

fn request(method: &str, path: &str, body: InBody) -> Request<InBody> {
    Request::builder().method(method).uri(path).header("host", "shop.example").body(body).unwrap()
}

fn text(body: &'static str) -> InBody {
    Full::new(Bytes::from_static(body.as_bytes())).map_err(|never| match never {}).boxed_unsync()
}

async fn send(
    origin: &Arc<Origin>,
    request: Request<InBody>,
    options: SendOptions,
) -> Result<Answer, OriginError> {
    tokio::time::timeout(PATIENCE, origin.send(request, options)).await.expect("an answer or an error")
}

async fn get(origin: &Arc<Origin>) -> Result<Answer, OriginError> {
    send(origin, request("GET", "/x", empty_in()), SendOptions { retry_safe: true, ..SendOptions::default() })
        .await
}

async fn post(origin: &Arc<Origin>) -> Result<Answer, OriginError> {
    send(origin, request("POST", "/x", text("hello")), SendOptions::default()).await
}

/// The whole body as text, or how it ended.
async fn read(answer: Answer) -> Result<String, OriginError> {
    let collected = tokio::time::timeout(PATIENCE, answer.response.into_body().collect()).await;
    collected.expect("an end").map(|c| String::from_utf8(c.to_bytes().to_vec()).unwrap())
}

async fn got(origin: &Arc<Origin>) -> String {
    read(get(origin).await.unwrap()).await.unwrap()
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

/// Until `done`, letting the others run.
async fn until(mut done: impl FnMut() -> bool) {
    soon(async {
        while !done() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A request body that a test feeds by hand; it ends when the sender is dropped.
struct Fed(mpsc::Receiver<Result<Frame<Bytes>, BoxError>>);

type Feeder = mpsc::Sender<Result<Frame<Bytes>, BoxError>>;

fn fed() -> (Feeder, InBody) {
    let (tx, rx) = mpsc::channel(16);
    (tx, Fed(rx).boxed_unsync())
}

impl Body for Fed {
    type Data = Bytes;
    type Error = BoxError;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.poll_recv(cx)
    }
}

fn piece(text: &'static str) -> Result<Frame<Bytes>, BoxError> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
