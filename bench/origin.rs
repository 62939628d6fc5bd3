//! The origin behind `bench/compare`: bodies of any size, late, stale soon, or never to be kept, and a count of requests.
//!
//!     origin ADDRESS
//!
//! | path | answer |
//! | --- | --- |
//! | `/o/BYTES/NAME` | fresh for a day |
//! | `/vary/BYTES/NAME` | the same, with `Vary: Accept-Encoding` |
//! | `/pass/BYTES/NAME` | `no-store` |
//! | `/slow/BYTES/MS/NAME` | as `/o`, after that many milliseconds |
//! | `/swr/BYTES/MS/NAME` | after that many milliseconds, fresh for a second, and for a minute `stale-while-revalidate` |
//! | `/count` | the requests so far, without those to this path |
//!
//! One thread: it shares its core with the load generator, and must not be what is measured. It ignores conditions and ranges,
//! which it may: the caches are to answer those.

use bytes::Bytes;
use http::header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, LAST_MODIFIED, VARY};
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::sleep;

/// What bodies are made of, over and over: bytes of a fixed pseudo-random sequence (an LCG's upper bits).
static BLOCK: LazyLock<Bytes> = LazyLock::new(|| {
    let mut state = 1_u32;
    let byte = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(byte).take(64 * 1024).collect::<Vec<u8>>().into()
});

/// Longest body and longest delay.
const MAX_BYTES: u64 = 16 << 30;
const MAX_DELAY: u64 = 60_000;

/// A body of so many bytes that exist once.
struct Repeat {
    left: u64,
}

impl Body for Repeat {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = usize::try_from(self.left).unwrap_or(usize::MAX).min(BLOCK.len());
        self.left -= next as u64;
        Poll::Ready((next > 0).then(|| Ok(Frame::data(BLOCK.slice(..next)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).ok_or("usage: origin ADDRESS")?;
    let listener = TcpListener::bind(address).await?;
    let count = Arc::new(AtomicU64::new(0));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let count = Arc::clone(&count);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, &count));
            // A client that leaves in the middle is none of ours.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(request: Request<Incoming>, count: &AtomicU64) -> Result<Response<Repeat>, Infallible> {
    let path = request.uri().path();
    if path == "/count" {
        return Ok(number(count.load(Ordering::Relaxed)));
    }
    count.fetch_add(1, Ordering::Relaxed);
    let mut parts = path.split('/').skip(1);
    let (kind, bytes) = (parts.next().unwrap_or_default(), parts.next().and_then(|n| n.parse().ok()));
    let (lifetime, late) = match kind {
        "o" | "vary" => ("max-age=86400", false),
        "slow" => ("max-age=86400", true),
        "swr" => ("max-age=1, stale-while-revalidate=60", true),
        "pass" => ("no-store", false),
        _ => return Ok(empty(StatusCode::NOT_FOUND)),
    };
    let Some(bytes) = bytes.filter(|&bytes| bytes <= MAX_BYTES) else {
        return Ok(empty(StatusCode::BAD_REQUEST));
    };
    if late {
        let Some(ms) = parts.next().and_then(|n| n.parse().ok()) else {
            return Ok(empty(StatusCode::BAD_REQUEST));
        };
        sleep(Duration::from_millis(MAX_DELAY.min(ms))).await;
    }
    let mut response = Response::new(Repeat { left: bytes });
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(lifetime));
    // Without it nginx would not answer ranges from its cache.
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(LAST_MODIFIED, HeaderValue::from_static("Sun, 01 Nov 2026 08:00:00 GMT"));
    // The path, so that an answer to another request shows.
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{path}\"")) {
        headers.insert(ETAG, tag);
    }
    if kind == "vary" {
        headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    Ok(response)
}

fn empty(status: StatusCode) -> Response<Repeat> {
    let mut response = Response::new(Repeat { left: 0 });
    *response.status_mut() = status;
    response
}

/// A figure travels in a field of its own: bodies are noise here.
fn number(figure: u64) -> Response<Repeat> {
    let mut response = empty(StatusCode::OK);
    response.headers_mut().insert("count", figure.into());
    response
}
