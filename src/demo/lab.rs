//! The laboratory: endpoints that are slow, break on command, stream, are large, or say what they received.

use super::page::{Lesson, Page, Section};
use super::shop::see_other;
use super::site::{Call, Dropped, Failure, text};
use super::stream::{Paced, Repeat, bytes_at};
use super::{form, page};
use crate::body::{BoxError, OutBody};
use bytes::{Buf, Bytes};
use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, RETRY_AFTER,
    UPGRADE,
};
use http::{Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use std::fmt::Write;
use std::pin::pin;
use std::time::Duration;
use xxhash_rust::xxh3::Xxh3;

/// Longest delay before an answer, ms.
const MAX_DELAY: u64 = 10_000;
/// Longest that `/slow-body` takes, ms, and most chunks.
const MAX_BODY_TIME: u64 = 60_000;
const MAX_CHUNKS: u64 = 1_000;
/// How long `/stream` goes on.
const STREAM_TIME: u64 = 3_600_000;
/// Largest `/bytes/{n}`.
const MAX_BYTES: u64 = 4 << 30;
/// Most of a request body that `/echo` reads.
const MAX_ECHO: u64 = 1 << 30;

/// One line of the directory on the home page.
#[derive(Debug)]
pub struct Entry {
    pub method: &'static str,
    /// As shown: may have placeholders.
    pub path: &'static str,
    /// Where to try it, if a plain link can.
    pub link: Option<&'static str>,
    pub about: &'static str,
}

const fn entry(
    method: &'static str,
    path: &'static str,
    link: Option<&'static str>,
    about: &'static str,
) -> Entry {
    Entry { method, path, link, about }
}

/// Everything there is to try. A test follows every link.
pub const DIRECTORY: &[Entry] = &[
    entry("GET", "/", Some("/"), "max-age and stale-while-revalidate: refreshed behind your back"),
    entry(
        "GET",
        "/products",
        Some("/products"),
        "CDN-Cache-Control: five minutes in the cache, none in the browser",
    ),
    entry("GET", "/products/{id}", Some("/products/3"), "purging by Cache-Tag; ETag and 304"),
    entry("POST", "/products/{id}", None, "price=4.20: a change invalidates what is stored (RFC 9111 §4.4)"),
    entry("GET", "/news", Some("/news"), "Last-Modified alone: a lifetime by heuristic"),
    entry("GET", "/search?q=", Some("/search?q=tea"), "the query is part of the key"),
    entry("GET", "/account", Some("/account"), "private, with a cookie: never stored"),
    entry(
        "GET",
        "/api/products",
        Some("/api/products"),
        "Vary: Accept-Language (en, de, fr), and Cache-Groups (RFC 9875)",
    ),
    entry("GET", "/static/…", Some("/static/pantry.svg"), "a year, immutable, with a strong ETag"),
    entry(
        "GET",
        "/slow?ms=2000",
        Some("/slow?ms=2000"),
        "answers late: ask many times at once, it is fetched once",
    ),
    entry(
        "GET",
        "/slow-body?ms=5000&chunks=10",
        Some("/slow-body?ms=5000&chunks=10"),
        "a body that trickles: a second client joins halfway",
    ),
    entry("GET", "/stream", Some("/stream"), "server-sent events, no-store: passed through as they come"),
    entry("GET", "/fragile", Some("/fragile"), "stale-if-error: survives a broken origin for ten minutes"),
    entry("POST", "/fail?on, /fail?on&mode=drop, /fail?off", Some("/fail"), "breaks and mends /fragile"),
    entry(
        "GET",
        "/bytes/{n}",
        Some("/bytes/1024"),
        "n bytes, the same each time, fresh for a minute; 4 GiB at most",
    ),
    entry("GET", "/nostore/{n}", Some("/nostore/1024"), "the same bytes, no-store"),
    entry("any", "/echo", Some("/echo"), "the request as the origin received it"),
    entry("GET", "/upgrade", None, "with Upgrade: echo, switches to a protocol that sends every byte back"),
    entry("GET", "/missing", Some("/missing"), "404 without any freshness"),
    entry("GET", "/stats", Some("/stats"), "how many requests reached this origin"),
    entry("GET", "/healthz", Some("/healthz"), "200 while it runs"),
];

/// The rows of the home page's table.
pub fn directory() -> String {
    DIRECTORY.iter().fold(String::new(), |mut html, entry| {
        let path = page::escape(entry.path);
        let path = match entry.link {
            Some(link) => format!("<a href=\"{}\"><code>{path}</code></a>", page::escape(link)),
            None => format!("<code>{path}</code>"),
        };
        let _ = write!(
            html,
            "<tr><td class=\"method\">{}</td><td>{path}</td><td>{}</td></tr>",
            entry.method,
            page::escape(entry.about)
        );
        html
    })
}

pub async fn slow(call: &Call<'_>) -> Page {
    let ms = form::number(call.query(), "ms", 2_000, 0..=MAX_DELAY);
    tokio::time::sleep(Duration::from_millis(ms)).await;
    let body = format!(
        "<h1>Good things take time</h1><p class=\"lead\">The origin thought about this for {ms} ms. \
         The stamp says when it was asked.</p>"
    );
    Page::new("Slow", Section::Lab, body)
        .teaching([Lesson::cache_control(
            "max-age=60",
            "Fresh for a minute, so that only the first visitor waits. Those who come while it is being made wait for the \
             same answer: one request to the origin, however many ask.",
        )])
        .remarking("Change <code>ms</code> in the address for a cold one, and open it in three tabs at once.")
}

pub fn slow_body(call: &Call<'_>) -> Response<OutBody> {
    let chunks = form::number(call.query(), "chunks", 10, 1..=MAX_CHUNKS);
    let ms = form::number(call.query(), "ms", 5_000, 0..=MAX_BODY_TIME);
    let request = call.stamp.request;
    let line = move |n: u64| Bytes::from(format!("chunk {} of {chunks}, origin request {request}\n", n + 1));
    let pause = Duration::from_millis(ms / chunks);
    let keep = form::number(call.query(), "store", 1, 0..=1) == 1;
    let lifetime = if keep { "max-age=60" } else { "no-store" };
    plain(OutBody::stream(Paced::new(chunks, pause, line)), "text/plain; charset=utf-8", lifetime)
}

pub fn stream(call: &Call<'_>) -> Response<OutBody> {
    let every = form::number(call.query(), "ms", 1_000, 100..=60_000);
    let (clock, request) = (call.site.clock().clone(), call.stamp.request);
    let event = move |n: u64| {
        let at = clock.now().wall.0;
        Bytes::from(format!(
            "id: {n}\nevent: tick\ndata: {{\"tick\":{n},\"origin_request\":{request},\"time_ms\":{at}}}\n\n"
        ))
    };
    let body = Paced::new(STREAM_TIME / every, Duration::from_millis(every), event);
    plain(OutBody::stream(body), "text/event-stream", "no-store")
}

pub fn bytes(length: u64, store: bool) -> Response<OutBody> {
    if length > MAX_BYTES {
        return text(StatusCode::BAD_REQUEST, format!("At most {MAX_BYTES} bytes.\n"));
    }
    let block = bytes_at(0);
    let body = match usize::try_from(length) {
        Ok(length) if length <= block.len() => OutBody::full(block.slice(..length)),
        _ => OutBody::stream(Repeat::new(length)),
    };
    let mut response = plain(body, "application/octet-stream", if store { "max-age=60" } else { "no-store" });
    if let Ok(tag) = HeaderValue::from_str(&format!("\"bytes-{length}\"")) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// The request as it arrived, and the length and digest of its body.
pub async fn echo<B>(call: &Call<'_>, body: B) -> Response<OutBody>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let head = call.head;
    let mut dump = format!("{} {} {:?}\n", head.method, head.uri, head.version);
    for (name, value) in &head.headers {
        let _ = writeln!(dump, "{name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    let status = match digest(body).await {
        Ok((0, _)) => StatusCode::OK,
        Ok((length, _)) if length > MAX_ECHO => StatusCode::PAYLOAD_TOO_LARGE,
        Ok((length, xxh3)) => {
            let _ = write!(dump, "\nbody: {length} bytes, xxh3 {xxh3:016x}\n");
            StatusCode::OK
        }
        Err(error) => {
            tracing::debug!(%error, "the body of a request to /echo broke off");
            StatusCode::BAD_REQUEST
        }
    };
    let mut response = text(status, dump);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Reads a body without keeping it. Stops once it is longer than [`MAX_ECHO`].
async fn digest<B>(body: B) -> Result<(u64, u64), BoxError>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let mut body = pin!(body);
    let (mut length, mut hash) = (0_u64, Xxh3::new());
    while let Some(frame) = body.frame().await {
        let Ok(mut data) = frame.map_err(Into::into)?.into_data() else { continue };
        while data.has_remaining() {
            let piece = data.chunk();
            hash.update(piece);
            let taken = piece.len();
            length = length.saturating_add(taken as u64);
            data.advance(taken);
        }
        if length > MAX_ECHO {
            break;
        }
    }
    Ok((length, hash.digest()))
}

pub fn fragile(call: &Call<'_>) -> Result<Response<OutBody>, Dropped> {
    match call.site.failure() {
        Failure::Drop => Err(Dropped),
        Failure::Unavailable => {
            let mut response =
                text(StatusCode::SERVICE_UNAVAILABLE, "Broken on purpose. POST /fail?off mends it.\n");
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
            Ok(response)
        }
        Failure::Off => {
            let body = "<h1>Handle with care</h1><p class=\"lead\">This page breaks when told to: see \
                        <a href=\"/fail\">the switch</a>.</p>";
            let page = Page::new("Fragile", Section::Lab, body.to_owned())
                .teaching([Lesson::cache_control(
                    "max-age=5, stale-if-error=600",
                    "Fresh for five seconds. When the origin answers 5xx or not at all after that, the cache may go on with \
                     what it has for ten minutes (RFC 5861).",
                )])
                .remarking("Switch the failure on, wait five seconds, ask again: the old page, and Cache-Status says why.");
            Ok(page.render(&call.stamp))
        }
    }
}

/// The switch, with its state.
pub fn fail(call: &Call<'_>) -> Page {
    let state = match call.site.failure() {
        Failure::Off => "works",
        Failure::Unavailable => "answers 503",
        Failure::Drop => "drops the connection without an answer",
    };
    let body = format!(include_str!("assets/fail.html"), state = state);
    Page::new("The switch", Section::Lab, body).teaching([Lesson::cache_control(
        "no-store",
        "Nothing may keep this page: it shows the state of this moment.",
    )])
}

/// `POST /fail?on`, `?on&mode=drop`, `?off`.
pub fn set_failure(call: &Call<'_>) -> Response<OutBody> {
    let field = |name| form::first(call.query(), name);
    let failure = match (field("off"), field("mode").as_deref(), field("on")) {
        (Some(_), ..) => Failure::Off,
        (None, Some("drop"), _) => Failure::Drop,
        (None, None, Some(_)) => Failure::Unavailable,
        _ => return text(StatusCode::BAD_REQUEST, "POST /fail?on, /fail?on&mode=drop or /fail?off\n"),
    };
    tracing::debug!(failure = failure.as_str(), "/fragile was switched");
    call.site.set_failure(failure);
    see_other("/fail")
}

/// `GET /upgrade` with `Upgrade: echo`: the transport takes over after the 101.
pub fn upgrade(call: &Call<'_>) -> Response<OutBody> {
    let asked = |name: HeaderName, token: &str| {
        let values = call.head.headers.get_all(name).iter().filter_map(|v| v.to_str().ok());
        values.flat_map(|list| list.split(',')).any(|t| t.trim().eq_ignore_ascii_case(token))
    };
    let agreed = asked(UPGRADE, "echo") && asked(CONNECTION, "upgrade");
    let mut response = if agreed {
        let mut response = Response::new(OutBody::Empty);
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response
    } else {
        text(StatusCode::UPGRADE_REQUIRED, "This address speaks the protocol \"echo\" only.\n")
    };
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static("echo"));
    response
}

pub fn healthz() -> Response<OutBody> {
    plain(OutBody::full("ok\n"), "text/plain; charset=utf-8", "no-store")
}

pub fn stats(call: &Call<'_>) -> Response<OutBody> {
    let stats = format!("{{\"requests\":{}}}\n", call.site.requests());
    plain(OutBody::full(stats), "application/json", "no-store")
}

/// Not a page: a body, its type and how it may be cached.
fn plain(body: OutBody, content_type: &'static str, cache_control: &'static str) -> Response<OutBody> {
    // Of what is empty hyper can't see that a length was meant.
    let empty = matches!(body, OutBody::Empty);
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache_control));
    if empty {
        headers.insert(CONTENT_LENGTH, 0.into());
    }
    response
}
