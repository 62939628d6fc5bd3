//! An origin with a memory: every page has a version, every body is a function of path, version and length, so that any answer
//! tells which version it is and whether every byte of it is right.

use super::{PATIENCE, eventually};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// What a page answers.
#[derive(Clone, Debug)]
pub struct Page {
    pub version: u64,
    /// Bytes of the body, at least those of its first line.
    pub size: usize,
    /// Before the answer. The version is that of the request's arrival.
    pub delay: Duration,
    pub cache_control: String,
    /// Besides `page:PATH` and `all`.
    pub tags: String,
    hits: u64,
    conditional: u64,
    held: Option<watch::Sender<bool>>,
}

impl Default for Page {
    fn default() -> Self {
        Self {
            version: 1,
            size: 0,
            delay: Duration::ZERO,
            cache_control: "max-age=3600".into(),
            tags: String::new(),
            hits: 0,
            conditional: 0,
            held: None,
        }
    }
}

#[derive(Debug, Default)]
struct State {
    pages: Mutex<HashMap<String, Page>>,
    total: AtomicU64,
}

impl State {
    fn with<T>(&self, path: &str, act: impl FnOnce(&mut Page) -> T) -> T {
        act(self.pages.lock().unwrap().entry(path.to_owned()).or_default())
    }
}

/// Dropped: it stops.
#[derive(Debug)]
pub struct Origin {
    pub address: SocketAddr,
    state: Arc<State>,
    task: tokio::task::JoinHandle<()>,
}

impl Origin {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let task = tokio::spawn(serve(listener, state.clone()));
        Self { address, state, task }
    }

    /// Changes what a page answers.
    pub fn page(&self, path: &str, change: impl FnOnce(&mut Page)) {
        self.state.with(path, change);
    }

    /// A new version of a page; returns its number.
    pub fn bump(&self, path: &str) -> u64 {
        self.state.with(path, |page| {
            page.version += 1;
            page.version
        })
    }

    pub fn version(&self, path: &str) -> u64 {
        self.state.with(path, |page| page.version)
    }

    /// Requests for a page so far.
    pub fn hits(&self, path: &str) -> u64 {
        self.state.with(path, |page| page.hits)
    }

    /// Those that carried a validator.
    pub fn conditional(&self, path: &str) -> u64 {
        self.state.with(path, |page| page.conditional)
    }

    /// Requests in all.
    pub fn total(&self) -> u64 {
        self.state.total.load(Ordering::Relaxed)
    }

    /// Requests for this page are not answered until [`Origin::release`].
    pub fn hold(&self, path: &str) {
        self.state.with(path, |page| page.held = Some(watch::Sender::new(true)));
    }

    /// Answers what was held, and what comes.
    pub fn release(&self, path: &str) {
        if let Some(held) = self.state.with(path, |page| page.held.take()) {
            held.send_replace(false);
        }
    }

    /// Only requests that come from now on are answered at once; those that are held stay so.
    pub fn answer_newcomers(&self, path: &str) -> Option<watch::Sender<bool>> {
        self.state.with(path, |page| page.held.take())
    }

    /// Waits until a page has been asked for that often.
    pub async fn asked(&self, path: &str, times: u64) {
        eventually(&format!("{times} requests for {path}"), PATIENCE, async || self.hits(path) >= times)
            .await;
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                let _ = stream.set_nodelay(true);
                let state = state.clone();
                connections.spawn(async move {
                    let service = service_fn(move |request| {
                        let state = state.clone();
                        async move { Ok::<_, std::convert::Infallible>(answer(&state, request).await) }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn answer(state: &State, request: Request<Incoming>) -> Response<Full<Bytes>> {
    state.total.fetch_add(1, Ordering::Relaxed);
    let path = request.uri().path_and_query().map_or("/", |p| p.as_str()).to_owned();
    if !request.method().is_safe() {
        let _ = request.into_body().collect().await;
        state.with(&path, |page| page.version += 1);
        return Response::builder().status(StatusCode::NO_CONTENT).body(Full::default()).unwrap();
    }
    let validator = request.headers().get("if-none-match").and_then(|v| v.to_str().ok()).map(str::to_owned);
    let page = state.with(&path, |page| {
        page.hits += 1;
        page.conditional += u64::from(validator.is_some());
        page.clone()
    });
    if let Some(held) = page.held {
        let _ = held.subscribe().wait_for(|held| !held).await;
    }
    if !page.delay.is_zero() {
        tokio::time::sleep(page.delay).await;
    }
    let etag = format!("\"v{}\"", page.version);
    let unchanged = validator.as_deref() == Some(&etag);
    let body = if unchanged { Bytes::new() } else { content(&path, page.version, page.size) };
    Response::builder()
        .status(if unchanged { StatusCode::NOT_MODIFIED } else { StatusCode::OK })
        .header("cache-control", &page.cache_control)
        .header("cache-tag", format!("all page:{path} {}", page.tags))
        .header("etag", etag)
        .header("content-type", "text/plain")
        .body(Full::new(body))
        .unwrap()
}

/// The body of a version: a line that names it, again and again up to `size` bytes, but once at least.
pub fn content(path: &str, version: u64, size: usize) -> Bytes {
    let line = format!("version={version} of {path} as the origin sent it\n");
    let size = size.max(line.len());
    let mut body = line.repeat(size.div_ceil(line.len()));
    body.truncate(size);
    body.into()
}

/// Which version a body names.
pub fn version_in(body: &[u8]) -> Option<u64> {
    let head = body.get(..body.len().min(64))?;
    std::str::from_utf8(head).ok()?.strip_prefix("version=")?.split(' ').next()?.parse().ok()
}
