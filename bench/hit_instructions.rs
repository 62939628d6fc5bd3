//! Serves hits through the real connection code, for `bench/instructions` to count what they cost:
//! `hit_instructions CASE COUNT`.
//!
//! The whole of Larder runs in this process, on one thread, with an origin beside it. What stands in for the client's socket
//! is a script: it hands out one request, takes the answer, lets the connection wait once, as a socket does
//! between two requests, and so on. There is no kernel and no timing in that, so a run of the same binary gives the same
//! count again, whatever else the machine does.
//!
//! Everything that the connection's task does for its requests happens inside [`counted_part`], and valgrind is told to count
//! there only. Starting up and filling the store are the same for any COUNT: the difference of two runs is
//! that of the hits.

use larder::clock::Clock;
use larder::front::handler::{Conn, Limits};
use larder::front::http1;
use std::error::Error;
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Done<T> = Result<T, Box<dyn Error>>;

/// What Chrome sends, as in `hits.lua`.
const BROWSER: &str = "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9,de;q=0.7\r\n\
    Referer: https://shop.example.com/products?page=3&sort=price\r\n\
    Sec-Fetch-Dest: document\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    Sec-CH-UA: \"Chromium\";v=\"131\", \"Not_A Brand\";v=\"24\"\r\n\
    Upgrade-Insecure-Requests: 1\r\n";

/// A kind of hit.
struct Case {
    name: &'static str,
    path: &'static str,
    /// Header lines beside `Host`.
    lines: &'static str,
    /// No two requests in a row have the same lines.
    mixed: bool,
    /// What the answer begins with.
    status: &'static str,
    log: &'static str,
}

const PLAIN: Case =
    Case { name: "plain", path: "/1k", lines: "", mixed: false, status: "HTTP/1.1 200 OK\r\n", log: "off" };
const CASES: [Case; 10] = [
    PLAIN,
    Case { name: "browser", lines: BROWSER, ..PLAIN },
    Case { name: "browser-mixed", lines: BROWSER, mixed: true, ..PLAIN },
    Case { name: "vary", path: "/vary", lines: BROWSER, ..PLAIN },
    Case { name: "vary-mixed", path: "/vary", lines: BROWSER, mixed: true, ..PLAIN },
    Case {
        name: "not-modified",
        lines: "If-None-Match: \"v1\"\r\n",
        status: "HTTP/1.1 304 Not Modified\r\n",
        ..PLAIN
    },
    Case {
        name: "range",
        lines: "Range: bytes=100-199\r\n",
        status: "HTTP/1.1 206 Partial Content\r\n",
        ..PLAIN
    },
    Case { name: "large", path: "/128k", ..PLAIN },
    Case { name: "logged", log: "json", ..PLAIN },
    Case { name: "browser-logged", lines: BROWSER, log: "json", ..PLAIN },
];

fn main() -> Done<()> {
    let mut args = std::env::args().skip(1);
    let (Some(name), Some(count)) = (args.next(), args.next()) else {
        CASES.iter().for_each(|case| println!("{}", case.name));
        return Ok(());
    };
    let case = CASES.iter().find(|case| case.name == name).ok_or("no such case")?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(case, count.parse()?))
}

async fn run(case: &Case, count: u64) -> Done<()> {
    let origin = TcpListener::bind("127.0.0.1:0").await?;
    let yaml = format!(
        "server: {{ listen: [{{ address: \"127.0.0.1:0\" }}] }}\nadmin: {{ address: off }}\n\
         origins: {{ app: {{ servers: [\"http://{}\"] }} }}\n\
         rules: [{{ name: all, origin: app }}, {{ name: images, match: {{ path: /img/** }}, ttl: 1h }}]\n\
         log: {{ access: {} }}\n",
        origin.local_addr()?,
        case.log
    );
    tokio::spawn(serve_origin(origin));
    let loaded = larder::config::parse("bench", &yaml, std::path::Path::new(""), &|_| None)?;
    let running = larder::app::start(loaded.config, Clock::system()).await?;
    let hits = || {
        let samples = running.engine().metrics.samples();
        samples.counts("requests", "outcome").get("hit").copied().unwrap_or_default()
    };
    // Fills the store; the first hit, of the ordinary way, prepares the fast one.
    while hits() == 0 {
        talk(&running, requests(&PLAIN, case.path), 1).await?;
        tokio::task::yield_now().await;
    }
    let last = talk(&running, requests(case, case.path), count).await?;
    if !last.starts_with(case.status.as_bytes()) {
        return Err(format!("answered {:?}", String::from_utf8_lossy(&last)).into());
    }
    let counted = hits() - 1;
    if counted != count {
        return Err(format!("{counted} of {count} were hits").into());
    }
    running.drain().await;
    Ok(())
}

/// Two requests, to be sent by turns.
fn requests(case: &Case, path: &str) -> [Vec<u8>; 2] {
    // A variant of `/vary` is filled by the request that will ask for it.
    let lines = if path == "/vary" { BROWSER } else { case.lines };
    let request = |more: &str| format!("GET {path} HTTP/1.1\r\nHost: shop.example.com\r\n{lines}{more}\r\n");
    if case.mixed {
        ["a", "b"].map(|turn| request(&format!("Referer-Page: {turn}\r\n")).into_bytes())
    } else {
        [request("").into_bytes(), request("").into_bytes()]
    }
}

/// Sends requests on one connection; returns the beginning of the last answer.
async fn talk(running: &larder::app::Running, requests: [Vec<u8>; 2], count: u64) -> Done<Vec<u8>> {
    let last = Arc::new(Mutex::new(Vec::new()));
    let client = Client { requests, left: count, waited: false, last: last.clone() };
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    let conn = Conn { peer: address, local: address, tls: false, sni: None };
    let handler = Arc::new(running.service().clone());
    // Nobody drains; the sender must stay, as in the process.
    let (_stays, drain) = tokio::sync::watch::channel(false);
    let served = http1::serve(
        client,
        bytes::Bytes::new(),
        Arc::new(conn),
        handler,
        Arc::new(Limits::default()),
        drain,
    );
    Counted(Box::pin(served)).await;
    let last = last.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(last.clone())
}

/// Polls through [`counted_part`].
struct Counted<F>(Pin<Box<F>>);

impl<F: Future> Future for Counted<F> {
    type Output = F::Output;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        counted_part(self.0.as_mut(), cx)
    }
}

/// `bench/instructions` knows this name.
#[inline(never)]
fn counted_part<F: Future>(connection: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<F::Output> {
    connection.poll(cx)
}

/// The client's end, as the connection sees it.
struct Client {
    requests: [Vec<u8>; 2],
    left: u64,
    /// It has been asked for the next request, and had none.
    waited: bool,
    last: Arc<Mutex<Vec<u8>>>,
}

impl AsyncRead for Client {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            return Poll::Ready(Ok(()));
        }
        if !std::mem::replace(&mut self.waited, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.waited = false;
        self.left -= 1;
        let [even, odd] = &self.requests;
        out.put_slice(if self.left.is_multiple_of(2) { even } else { odd });
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Client {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.left == 0
            && let Ok(mut last) = self.last.lock()
        {
            slices.iter().for_each(|slice| last.extend_from_slice(slice));
        }
        Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()))
    }
    fn is_write_vectored(&self) -> bool {
        true
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

async fn serve_origin(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer(stream));
    }
}

/// Answers one request after the other.
async fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut read = Vec::new();
    while stream.read_buf(&mut read).await? > 0 {
        if !read.ends_with(b"\r\n\r\n") {
            continue;
        }
        let (length, vary) = match read.split(|byte| *byte == b' ').nth(1) {
            Some(b"/128k") => (128 * 1024, ""),
            Some(b"/vary") => (1024, "Vary: Accept-Encoding\r\n"),
            _ => (1024, ""),
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\
             Cache-Control: public, max-age=86400\r\nETag: \"v1\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
             {vary}Content-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&vec![b'x'; length]).await?;
        read.clear();
    }
    Ok(())
}
