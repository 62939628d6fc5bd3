//! Serves requests through the real connection code, for `bench/instructions` to count what they cost: `counted CASE COUNT`.
//!
//! The whole of Larder runs in this process, on one thread, with an origin beside it. What stands in for the client's socket
//! is a script ([`client`]): it hands out one request, takes the answer, lets the connection wait once, as a socket does
//! between two requests, and so on. There is no client's kernel and no timing in that, so a run of the same binary gives the
//! same count again (to a few in a thousand where an origin is asked), whatever else the machine does.
//!
//! What is counted depends on the case ([`Span`]). Of hits it is what happens within [`counted_part`], which is the connection's
//! task; of what asks the origin it is all that the thread does, tasks of fetches and of the origin's connections
//! and the runtime itself included, but for what happens within [`uncounted_part`]: the origin's and the HTTP/2 client's doing.
//! (valgrind changes its mind whenever it enters or leaves either of them.) Starting up and filling the store are the
//! same for any COUNT: the difference of two runs is that of the requests.

mod client;
mod h2_client;
mod origin;

use larder::app::Running;
use larder::clock::Clock;
use larder::front::handler::{Conn, Limits};
use larder::front::{http1, http2};
use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::net::TcpListener;

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

/// What a load balancer adds.
const BALANCER: &str = "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 443\r\nX-Real-IP: 203.0.113.7\r\n";

/// What of a run is counted.
#[derive(Clone, Copy, PartialEq)]
enum Span {
    /// The connection's task.
    Connection,
    /// The thread, without the origin.
    Thread,
}

/// A kind of request.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    path: &'static str,
    /// Header lines beside `Host`, in up to two parts.
    lines: [&'static str; 2],
    /// No two requests in a row have the same lines.
    mixed: bool,
    /// Each asks for something else.
    numbered: bool,
    http2: bool,
    /// The client's address is one of `trusted_proxies`.
    trusted: bool,
    span: Span,
    /// What the answer begins with.
    status: &'static str,
    outcome: &'static str,
    log: &'static str,
}

const PLAIN: Case = Case {
    name: "plain",
    path: "/1k",
    lines: ["", ""],
    mixed: false,
    numbered: false,
    http2: false,
    trusted: false,
    span: Span::Connection,
    status: "HTTP/1.1 200 OK\r\n",
    outcome: "hit",
    log: "off",
};
const HTTP2: Case =
    Case { name: "http2", lines: [BROWSER, ""], http2: true, span: Span::Thread, status: "200", ..PLAIN };
const ASKED: Case = Case { lines: [BROWSER, ""], span: Span::Thread, ..PLAIN };
const CASES: [Case; 20] = [
    PLAIN,
    Case { name: "browser", lines: [BROWSER, ""], ..PLAIN },
    Case { name: "browser-mixed", lines: [BROWSER, ""], mixed: true, ..PLAIN },
    Case { name: "vary", path: "/vary", lines: [BROWSER, ""], ..PLAIN },
    Case { name: "vary-mixed", path: "/vary", lines: [BROWSER, ""], mixed: true, ..PLAIN },
    Case {
        name: "not-modified",
        lines: ["If-None-Match: \"v1\"\r\n", ""],
        status: "HTTP/1.1 304 Not Modified\r\n",
        ..PLAIN
    },
    Case {
        name: "range",
        lines: ["Range: bytes=100-199\r\n", ""],
        status: "HTTP/1.1 206 Partial Content\r\n",
        ..PLAIN
    },
    Case { name: "large", path: "/128k", ..PLAIN },
    Case { name: "logged", log: "json", ..PLAIN },
    Case { name: "browser-logged", lines: [BROWSER, ""], log: "json", ..PLAIN },
    // Behind a balancer the lines are another client's each time.
    Case { name: "balancer", lines: [BROWSER, BALANCER], mixed: true, trusted: true, ..PLAIN },
    Case { name: "balancer-unknown", lines: [BROWSER, BALANCER], mixed: true, ..PLAIN },
    // What the fast lane leaves to the ordinary way.
    Case { name: "ordinary", lines: [BROWSER, "TE: trailers\r\n"], span: Span::Thread, ..PLAIN },
    HTTP2,
    Case { name: "http2-balancer", lines: [BROWSER, BALANCER], trusted: true, ..HTTP2 },
    Case { name: "http2-large", path: "/128k", ..HTTP2 },
    // The origin says `no-store`; a rule says so; the store has never heard of it.
    Case { name: "uncacheable", path: "/none", outcome: "miss", ..ASKED },
    Case { name: "bypass", path: "/bypass/x", outcome: "pass", ..ASKED },
    Case { name: "miss", path: "/new", outcome: "miss", numbered: true, ..ASKED },
    Case { name: "miss-plain", path: "/new", outcome: "miss", numbered: true, lines: ["", ""], ..ASKED },
];

fn main() -> Done<()> {
    let mut args = std::env::args().skip(1);
    let (Some(name), Some(count)) = (args.next(), args.next()) else {
        CASES.iter().for_each(|case| println!("{}", case.name));
        return Ok(());
    };
    let case = CASES.iter().find(|case| case.name == name).ok_or("no such case")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut run = Box::pin(run(*case, count.parse()?));
    match case.span {
        Span::Connection => runtime.block_on(run),
        Span::Thread => counted_part(|| runtime.block_on(run.as_mut())),
    }
}

async fn run(case: Case, count: u64) -> Done<()> {
    let origin = TcpListener::bind("127.0.0.1:0").await?;
    let trusted = if case.trusted { "\"127.0.0.0/8\"" } else { "" };
    let yaml = format!(
        "server: {{ listen: [{{ address: \"127.0.0.1:0\" }}], trusted_proxies: [{trusted}] }}\nadmin: {{ address: off }}\n\
         origins: {{ app: {{ servers: [\"http://{}\"] }} }}\n\
         rules: [{{ name: all, origin: app }}, {{ name: images, match: {{ path: /img/** }}, ttl: 1h }},\n\
         {{ name: past, match: {{ path: /bypass/** }}, cache: bypass }}]\n\
         log: {{ access: {} }}\n",
        origin.local_addr()?,
        case.log
    );
    tokio::spawn(Uncounted(Box::pin(origin::serve(origin))));
    let loaded = larder::config::parse("bench", &yaml, std::path::Path::new(""), &|_| None)?;
    let running = larder::app::start(loaded.config, Clock::system()).await?;
    let outcomes = |outcome: &str| {
        running.engine().metrics.samples().buckets("request_seconds", ("outcome", outcome)).count()
    };
    // Fills the store; the first hit, of the ordinary way, prepares the fast one.
    let first = Case { mixed: false, status: "", ..case };
    for _ in 0..3 {
        talk(&running, first, 1).await?;
        tokio::task::yield_now().await;
    }
    let before = outcomes(case.outcome);
    let last = talk(&running, case, count).await?;
    if !last.starts_with(case.status.as_bytes()) {
        return Err(format!("answered {:?}", String::from_utf8_lossy(&last)).into());
    }
    let counted = outcomes(case.outcome) - before;
    if counted != count {
        return Err(format!("{counted} of {count} were what they should be").into());
    }
    running.drain().await;
    Ok(())
}

/// Sends requests on one connection; returns the beginning of the last answer.
async fn talk(running: &Running, case: Case, count: u64) -> Done<Vec<u8>> {
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    let conn = Arc::new(Conn { peer: address, local: address, tls: false, sni: None });
    let handler = Arc::new(running.service().clone());
    let limits = Arc::new(Limits::default());
    // Nobody drains; the sender must stay, as in the process.
    let (_stays, drain) = tokio::sync::watch::channel(false);
    if case.http2 {
        let (io, client) = tokio::io::duplex(256 * 1024);
        let served = tokio::spawn(http2::serve(io, conn, handler, limits, drain));
        let last = Uncounted(Box::pin(h2_client::ask(client, case, count))).await?;
        served.await?;
        return Ok(last);
    }
    let last = Arc::new(Mutex::new(Vec::new()));
    let client = client::Client::new(&case, count, last.clone());
    let served = Box::pin(http1::serve(client, bytes::Bytes::new(), conn, handler, limits, drain));
    match case.span {
        Span::Connection => Counted(served).await,
        Span::Thread => served.await,
    }
    let last = last.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(last.clone())
}

/// Polls through [`counted_part`].
struct Counted<F>(Pin<Box<F>>);

impl<F: Future> Future for Counted<F> {
    type Output = F::Output;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        counted_part(|| self.0.as_mut().poll(cx))
    }
}

/// Polls through [`uncounted_part`].
struct Uncounted<F>(Pin<Box<F>>);

impl<F: Future> Future for Uncounted<F> {
    type Output = F::Output;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        uncounted_part(|| self.0.as_mut().poll(cx))
    }
}

/// `bench/instructions` knows this name.
#[inline(never)]
fn counted_part<T>(part: impl FnOnce() -> T) -> T {
    part()
}

/// And this, of which the other is a part.
#[inline(never)]
fn uncounted_part<T>(part: impl FnOnce() -> T) -> T {
    std::hint::black_box(part())
}
