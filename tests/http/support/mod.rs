//! What the integration tests share: the whole product in this process on free ports, a scripted origin that
//! answers when and how a test says, a plain client, and a clock that the test moves. Nothing here sleeps: tests
//! wait for what happens.
#![allow(clippy::unwrap_used, clippy::expect_used)] // tests may panic, their helpers too

use bytes::Bytes;
use larder::app::{self, Running};
use larder::clock::Clock;
use larder::purge::{Mode, Purge, Selector};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// Nothing in a test takes this long; a test that waits for something that never comes fails by it.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Fails the test when `what` does not happen.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// Waits for something that has no event of its own, by letting everything else run.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    soon(what, async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Larder in this process, in front of a scripted origin.
pub struct House {
    pub running: Running,
    pub origin: Origin,
    pub clock: Clock,
}

impl House {
    /// With one rule, whose fields are `rule` (YAML lines).
    pub async fn new(rule: &str) -> Self {
        let rule: String = rule.lines().map(|l| format!("    {l}\n")).collect();
        Self::with_rules(&format!("  - name: all\n    origin: app\n{rule}"), "").await
    }

    /// With these rules, and `more` at the top level of the configuration.
    pub async fn with_rules(rules: &str, more: &str) -> Self {
        let origin = Origin::start().await;
        let yaml = format!(
            "server: {{ listen: [{{ address: \"127.0.0.1:0\" }}] }}\nadmin: {{ address: \"127.0.0.1:0\" }}\n\
             log: {{ access: off }}\n\
             origins: {{ app: {{ servers: [\"http://{}\"], retries: 0, connect_timeout: 20s }} }}\n{more}\nrules:\n{rules}",
            origin.address
        );
        Self::start(&yaml, origin).await
    }

    pub async fn start(yaml: &str, origin: Origin) -> Self {
        let clock = Clock::manual();
        let loaded = larder::config::parse("test.yaml", yaml, std::path::Path::new("."), &|_| None)
            .unwrap_or_else(|report| panic!("{report}\n{yaml}"));
        let running = app::start(loaded.config, clock.clone()).await.expect("starts");
        Self { running, origin, clock }
    }

    pub fn address(&self) -> SocketAddr {
        self.running.public()[0]
    }

    pub fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// The clock's time as an HTTP date, `offset` seconds from now.
    pub fn date(&self, offset: i64) -> String {
        let now = i64::try_from(self.clock.now().wall.secs()).unwrap() + offset;
        let wall = larder::time::Wall::from_secs(u64::try_from(now).unwrap());
        String::from_utf8(larder::semantics::date::format(wall).to_vec()).unwrap()
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[]).await
    }

    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
        soon("a reply", request(self.address(), method, path, headers, b"")).await
    }

    /// A GET that the origin is asked for, and answers with `answer` (see [`Asked::answer`]).
    pub async fn fetched(&mut self, path: &str, answer: &str) -> Reply {
        self.exchange("GET", path, &[], answer).await.0
    }

    /// A request that the origin is asked for and answers with `answer`: the reply, and what the origin saw.
    pub async fn exchange(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        answer: &str,
    ) -> (Reply, Seen) {
        self.exchange_with_body(method, path, headers, b"", answer).await
    }

    pub async fn exchange_with_body(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        answer: &str,
    ) -> (Reply, Seen) {
        let to = self.address();
        let reply = request(to, method, path, headers, body);
        let asked = async {
            let asked = self.origin.next().await;
            let seen = asked.seen.clone();
            asked.answer(answer).await;
            seen
        };
        soon("an exchange", async { tokio::join!(reply, asked) }).await
    }

    /// Sends a request and reads its answer in pieces.
    pub async fn client(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Client {
        Client::send(self.address(), method, path, headers).await
    }

    /// Clients that wait for another's fetch.
    pub fn waiters(&self) -> usize {
        self.running.engine().flights.waiters()
    }

    /// Waits until that many clients wait for another's fetch.
    pub async fn waiting(&self, count: usize) {
        until("waiting clients", || self.waiters() == count).await;
    }

    /// Waits until no fetch is in progress.
    pub async fn settled(&self) {
        until("the end of all fetches", || self.running.engine().flights.is_idle()).await;
    }

    /// Nothing has been sent to the origin that it was not asked about in this test: what was sent earlier would
    /// arrive before this.
    #[track_caller]
    pub fn quiet(&mut self) -> impl Future<Output = ()> + '_ {
        let caller = std::panic::Location::caller();
        async move {
            let fence = self.client("GET", "/fence", &[]).await;
            let asked = self.origin.next().await;
            assert_eq!(
                asked.target, "/fence",
                "the origin was asked for more, seen from {caller}: {:?}",
                asked.seen
            );
            asked.answer("200 OK\nCache-Control: no-store").await;
            fence.reply().await;
        }
    }

    pub fn purge(&self, mode: Mode, selector: Selector) {
        let purge = Arc::new(Purge::new(mode, vec![selector]));
        self.running.engine().purges.apply_local(&purge, self.clock.now().wall);
    }

    pub fn purge_tag(&self, mode: Mode, tag: &str) {
        self.purge(mode, Selector::tag(tag));
    }

    pub fn purge_url(&self, mode: Mode, path: &str) {
        self.purge(mode, Selector::url(&format!("http://site.example{path}")).unwrap());
    }

    /// A page of the admin listener.
    pub async fn admin(&self, path: &str) -> Reply {
        let to = self.running.admin().expect("an admin listener");
        let host = to.to_string();
        soon("the admin listener", request(to, "GET", path, &[("Host", &host)], b"")).await
    }

    /// `POST /purge` with this body.
    pub async fn purge_call(&self, body: &str) -> Reply {
        let to = self.running.admin().expect("an admin listener");
        let host = to.to_string();
        let headers = [("Host", host.as_str()), ("Content-Type", "application/json")];
        soon("a receipt", request(to, "POST", "/purge", &headers, body.as_bytes())).await
    }

    /// The value of one metric, written as `larder_requests_total{rule="all",outcome="hit"}`.
    pub async fn metric(&self, series: &str) -> f64 {
        let text = self.admin("/metrics").await.text();
        let line = text.lines().find_map(|l| l.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in\n{text}")).parse().unwrap()
    }
}

/// Runs the command line: exit status, standard output, standard error.
pub async fn larder(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_larder"));
    command.args(arguments).env_remove("LARDER_TOKEN").env_remove("LARDER_ADMIN");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = soon("the end of a command", output).await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// What somebody else's process writes, piece by piece, until it closes it.
pub fn pieces(mut from: impl std::io::Read + Send + 'static) -> mpsc::Receiver<String> {
    let (piece, pieces) = mpsc::channel(64);
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(size @ 1..) = from.read(&mut buffer) {
            if piece.blocking_send(String::from_utf8_lossy(&buffer[..size]).into_owned()).is_err() {
                return;
            }
        }
    });
    pieces
}

/// Appends pieces to `text` until that holds `part`; `None`: until there are no more.
pub async fn reads(pieces: &mut mpsc::Receiver<String>, text: &mut String, part: Option<&str>) {
    soon(part.unwrap_or("the end of what is written"), async {
        while part.is_none_or(|part| !text.contains(part)) {
            match pieces.recv().await {
                Some(piece) => text.push_str(&piece),
                None => return assert!(part.is_none(), "no {part:?} in {text}"),
            }
        }
    })
    .await;
}

/// A client that reads the answer as it comes.
pub struct Client {
    stream: TcpStream,
    bytes: Vec<u8>,
    head_only: bool,
}

impl Client {
    pub async fn send(to: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Self {
        let mut stream = TcpStream::connect(to).await.unwrap();
        stream.write_all(&encode(method, path, headers, b"")).await.unwrap();
        Self { stream, bytes: Vec::new(), head_only: method == "HEAD" }
    }

    /// Reads until what has come, head included, contains `text`.
    pub async fn until(&mut self, text: &str) {
        let found = |bytes: &[u8]| bytes.windows(text.len()).any(|w| w == text.as_bytes());
        soon(text, async {
            while !found(&self.bytes) {
                let n = self.stream.read_buf(&mut self.bytes).await.unwrap();
                assert!(n > 0, "no `{text}` in {:?}", String::from_utf8_lossy(&self.bytes));
            }
        })
        .await;
    }

    /// Reads at least `count` bytes more, fewer only at the end; returns how many have come in all.
    pub async fn more(&mut self, count: usize) -> usize {
        let goal = self.bytes.len() + count;
        soon("more of an answer", async {
            while self.bytes.len() < goal && self.stream.read_buf(&mut self.bytes).await.unwrap() > 0 {}
        })
        .await;
        self.bytes.len()
    }

    /// What has come so far, as it came.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The whole answer.
    pub async fn reply(mut self) -> Reply {
        let _ = soon("the rest of an answer", self.stream.read_to_end(&mut self.bytes)).await;
        parse(&self.bytes, self.head_only)
    }
}

/// A response as a client saw it.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    pub trailers: Vec<(String, String)>,
    /// The connection ended before the body's end.
    pub truncated: bool,
    /// Heads of 1xx responses before it.
    pub interim: Vec<String>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    /// This cache's own member of `Cache-Status`.
    pub fn cache_status(&self) -> &str {
        self.all("cache-status").last().copied().unwrap_or("")
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Served by the cache without asking the origin.
    #[track_caller]
    pub fn assert_hit(&self) {
        assert!(self.cache_status().contains("; hit"), "not a hit: {self:?}");
    }

    #[track_caller]
    pub fn assert_status(&self, part: &str) {
        assert!(self.cache_status().contains(part), "Cache-Status lacks `{part}`: {self:?}");
    }
}

/// One request on a connection of its own.
pub async fn request(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Reply {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(&encode(method, path, headers, body)).await.unwrap();
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    parse(&bytes, method == "HEAD")
}

fn encode(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\n");
    if !headers.iter().any(|(n, _)| n.eq_ignore_ascii_case("host")) {
        head += "Host: site.example\r\n";
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    if !headers.iter().any(|(n, _)| n.eq_ignore_ascii_case("connection")) {
        head += "Connection: close\r\n";
    }
    head += "\r\n";
    [head.as_bytes(), body].concat()
}

/// Takes a response apart, 1xx before it included.
pub fn parse(mut bytes: &[u8], head_only: bool) -> Reply {
    let mut interim = Vec::new();
    loop {
        let mut slots = [httparse::EMPTY_HEADER; 2100];
        let mut response = httparse::Response::new(&mut slots);
        let length = match response.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            other => panic!("no response head ({other:?}): {:?}", String::from_utf8_lossy(bytes)),
        };
        let status = response.code.unwrap();
        let headers: Vec<(String, String)> = response
            .headers
            .iter()
            .map(|h| (h.name.to_owned(), String::from_utf8_lossy(h.value).into_owned()))
            .collect();
        let (head, rest) = bytes.split_at(length);
        if (100..200).contains(&status) && status != 101 {
            interim.push(String::from_utf8_lossy(head).into_owned());
            bytes = rest;
            continue;
        }
        let mut reply =
            Reply { status, headers, body: Bytes::new(), trailers: Vec::new(), truncated: false, interim };
        if head_only || status == 304 || status == 204 {
            return reply;
        }
        if reply.header("transfer-encoding").is_some() {
            let (body, trailers) = dechunk(rest);
            reply.body = body.into();
            reply.truncated = trailers.is_none();
            reply.trailers = trailers.unwrap_or_default();
        } else if let Some(expected) = reply.header("content-length").and_then(|l| l.parse::<usize>().ok()) {
            reply.truncated = rest.len() < expected;
            reply.body = Bytes::copy_from_slice(&rest[..expected.min(rest.len())]);
        } else {
            reply.body = Bytes::copy_from_slice(rest);
        }
        return reply;
    }
}

/// The content, and the trailers if the end has come.
fn dechunk(mut bytes: &[u8]) -> (Vec<u8>, Option<Vec<(String, String)>>) {
    let mut out = Vec::new();
    loop {
        let Some(line) = bytes.windows(2).position(|w| w == b"\r\n") else { return (out, None) };
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..line]).unwrap(), 16).unwrap();
        bytes = &bytes[line + 2..];
        if size == 0 {
            let text = String::from_utf8_lossy(bytes).into_owned();
            let whole = text.ends_with("\r\n");
            let field = |l: &str| l.split_once(':').map(|(n, v)| (n.to_owned(), v.trim().to_owned()));
            return (out, whole.then(|| text.lines().filter_map(field).collect()));
        }
        if bytes.len() < size + 2 {
            out.extend_from_slice(&bytes[..size.min(bytes.len())]);
            return (out, None);
        }
        out.extend_from_slice(&bytes[..size]);
        bytes = &bytes[size + 2..];
    }
}

/// An origin server that hands every request to the test.
pub struct Origin {
    pub address: SocketAddr,
    asked: mpsc::Receiver<Asked>,
}

/// One request at the origin, to be answered by the test. Dropped without an answer: the connection is closed.
#[derive(Debug)]
pub struct Asked {
    pub seen: Seen,
    stream: TcpStream,
    back: mpsc::Sender<TcpStream>,
}

/// A request as the origin saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

impl std::ops::Deref for Asked {
    type Target = Seen;
    fn deref(&self) -> &Seen {
        &self.seen
    }
}

impl Origin {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, asked) = mpsc::channel(1024);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let tell = tell.clone();
                tokio::spawn(async move {
                    let (back, mut returned) = mpsc::channel(1);
                    let mut next = Some(stream);
                    while let Some(stream) = next {
                        let Some(asked) = read_request(stream, back.clone()).await else { return };
                        if tell.send(asked).await.is_err() {
                            return;
                        }
                        next = returned.recv().await;
                    }
                });
            }
        });
        Self { address, asked }
    }

    /// The next request, whenever it comes.
    pub async fn next(&mut self) -> Asked {
        soon("a request at the origin", self.asked.recv()).await.unwrap()
    }

    /// Whether a request is there already.
    pub fn is_asked(&mut self) -> Option<Asked> {
        self.asked.try_recv().ok()
    }
}

async fn read_request(mut stream: TcpStream, back: mpsc::Sender<TcpStream>) -> Option<Asked> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let mut lines = head.split("\r\n");
            let mut first = lines.next()?.split(' ');
            let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
            let headers: Vec<(String, String)> = lines
                .filter_map(|l| l.split_once(':'))
                .map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned()))
                .collect();
            let length = headers.iter().find(|(n, _)| n == "content-length");
            let length: usize = length.map_or(0, |(_, v)| v.parse().unwrap());
            let mut body = bytes.split_off(end + 4);
            while body.len() < length {
                let n = stream.read(&mut chunk).await.ok().filter(|n| *n > 0)?;
                body.extend_from_slice(&chunk[..n]);
            }
            return Some(Asked { seen: Seen { method, target, headers, body }, stream, back });
        }
        let n = stream.read(&mut chunk).await.ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&chunk[..n]);
    }
}

impl Asked {
    /// Answers with a status, header lines and a body, written as in a test: lines end with `\n`; an empty line
    /// ends the head; what follows is the body, with its `Content-Length` added unless the head frames it.
    pub async fn answer(mut self, text: &str) {
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let head = head.trim().replace('\n', "\r\n");
        let lower = head.to_ascii_lowercase();
        let bodyless = lower.starts_with("304") || lower.starts_with("204");
        let framed = lower.contains("content-length:") || lower.contains("transfer-encoding:");
        let length =
            if framed || bodyless { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        self.write(format!("HTTP/1.1 {head}\r\n{length}\r\n{body}").as_bytes()).await;
        self.done().await;
    }

    /// Writes raw bytes; for answers in pieces.
    pub async fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }

    /// Writes one chunk of a chunked body; an empty one ends it.
    pub async fn chunk(&mut self, bytes: &[u8]) {
        let framed = [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
        self.write(&framed).await;
    }

    /// Writes until the other side takes no more: how much it took. Something that reads is given the chance to.
    pub async fn flood(&mut self, most: usize) -> usize {
        let block = vec![b'x'; 64 * 1024];
        let mut written = 0;
        // Turns of the whole process without a byte taken, after which nobody is reading.
        let mut idle = 0;
        while idle < 2000 && written < most {
            match self.stream.try_write(&block[..block.len().min(most - written)]) {
                Ok(n) => {
                    written += n;
                    idle = 0;
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => idle += 1,
                Err(_) => return written,
            }
            tokio::task::yield_now().await;
        }
        written
    }

    /// The bytes that come on this connection (after an upgrade).
    pub async fn read(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        soon("bytes from the proxy", self.stream.read_exact(&mut bytes)).await.unwrap();
        bytes
    }

    /// The answer is over; the connection may carry another request.
    pub async fn done(self) {
        let _ = self.back.send(self.stream).await;
    }

    /// Closes the connection in the middle of the head. Closed before that, a connection that has carried a
    /// request before would only be taken for one that had been idle too long, and the request be sent again.
    pub async fn break_off(mut self) {
        self.write(b"HTTP/1.1 200 O").await;
    }
}
