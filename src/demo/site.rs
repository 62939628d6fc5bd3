//! The router of the sample origin, and what all of its answers have in common: `Date`, a number, and 304.

use super::data::Shop;
use super::page::{self, Stamp};
use super::{api, assets, lab, shop};
use crate::body::{BoxError, OutBody};
use crate::clock::Clock;
use crate::semantics::date;
use crate::time::Wall;
use bytes::{Buf, Bytes};
use http::header::{
    ALLOW, CONTENT_LENGTH, CONTENT_TYPE, DATE, ETAG, HeaderName, HeaderValue, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, LAST_MODIFIED, SERVER, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, Method, Request, Response, StatusCode, request};
use http_body::Body;
use http_body_util::{BodyExt, Limited};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// On every answer: as the how-manieth request of this origin it was made. A cache stores it with the answer, so it
/// tells a stored answer from a fetched one.
pub const DEMO_REQUEST: HeaderName = HeaderName::from_static("demo-request");

/// Largest form that is read, bytes.
const MAX_FORM: usize = 4096;

/// The origin shall close the connection instead of answering.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("told to drop the connection")]
pub struct Dropped;

/// What `/fragile` does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Failure {
    /// Works.
    #[default]
    Off,
    /// Answers 503.
    Unavailable,
    /// Closes the connection.
    Drop,
}

impl Failure {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Unavailable => "unavailable",
            Self::Drop => "drop",
        }
    }
}

#[derive(Debug)]
struct State {
    clock: Clock,
    opened: Wall,
    requests: AtomicU64,
    visitors: AtomicU64,
    failure: Mutex<Failure>,
    shop: Shop,
}

/// The whole sample site; clones share its state. Nothing survives the last clone.
#[derive(Clone, Debug)]
pub struct Site(Arc<State>);

/// A new site, for use in-process: [`Site::respond`] answers requests without a socket.
pub fn site(clock: Clock) -> Site {
    Site::new(clock)
}

/// One request, as the handlers see it.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub site: &'a Site,
    pub head: &'a request::Parts,
    pub stamp: Stamp,
}

impl Call<'_> {
    pub fn query(&self) -> &str {
        self.head.uri.query().unwrap_or("")
    }
}

impl Site {
    pub fn new(clock: Clock) -> Self {
        let opened = clock.now().wall;
        Self(Arc::new(State {
            shop: Shop::open(opened),
            clock,
            opened,
            requests: AtomicU64::new(0),
            visitors: AtomicU64::new(0),
            failure: Mutex::default(),
        }))
    }

    /// Answers one request. The body of an answer to HEAD is for the transport to leave out. `Dropped` asks the
    /// transport to close the connection without an answer. Waits as long as `/slow` is asked to (at most 10 s).
    pub async fn respond<B>(&self, request: Request<B>) -> Result<Response<OutBody>, Dropped>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let (head, body) = request.into_parts();
        let route = Route::of(head.uri.path());
        // What watches the origin must not disturb the count that visitors see.
        let request = match route {
            Some(Route::Healthz | Route::Stats) => self.requests(),
            _ => self.0.requests.fetch_add(1, Ordering::Relaxed) + 1,
        };
        let call = Call { site: self, head: &head, stamp: Stamp { at: self.0.clock.now().wall, request } };
        let mut response = match route {
            None => page::missing().render(&call.stamp),
            Some(route) => match route.allow() {
                Some(allow) if !allow.split(", ").any(|m| m == head.method.as_str()) => {
                    let mut refused =
                        text(StatusCode::METHOD_NOT_ALLOWED, format!("Allowed here: {allow}\n"));
                    refused.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
                    refused
                }
                _ => handle(route, &call, body).await?,
            },
        };
        if is_known(&head.method, &head.headers, &response) {
            not_modified(&mut response);
        }
        // After the answer is there: a slow one is dated when it starts, as RFC 9110 §6.6.1 wants it.
        let date = date::format(self.0.clock.now().wall);
        let headers = response.headers_mut();
        headers.insert(DEMO_REQUEST, call.stamp.request.into());
        headers.insert(SERVER, HeaderValue::from_static("larder-demo"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Ok(date) = HeaderValue::from_bytes(&date) {
            headers.insert(DATE, date);
        }
        Ok(response)
    }

    /// Requests answered so far, but for `/healthz` and `/stats`.
    pub fn requests(&self) -> u64 {
        self.0.requests.load(Ordering::Relaxed)
    }

    pub(super) fn shop(&self) -> &Shop {
        &self.0.shop
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Part of every entity tag: after a restart versions start over, and old tags must not match.
    pub(super) fn epoch(&self) -> u64 {
        self.0.opened.0
    }

    pub(super) fn next_visitor(&self) -> u64 {
        self.0.visitors.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn failure(&self) -> Failure {
        *self.0.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_failure(&self, failure: Failure) {
        *self.0.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }
}

/// Every address there is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Route {
    Home,
    Products,
    Product(u32),
    News,
    Search,
    Account,
    Api,
    Static(&'static assets::Asset),
    Slow,
    SlowBody,
    Stream,
    Fail,
    Fragile,
    Bytes { length: u64, store: bool },
    Echo,
    Upgrade,
    Healthz,
    Stats,
}

impl Route {
    fn of(path: &str) -> Option<Self> {
        let path = path.strip_prefix('/')?;
        let (first, rest) = path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)));
        Some(match (first, rest) {
            ("", None) => Self::Home,
            ("products", None) => Self::Products,
            ("products", Some(id)) => {
                Self::Product(id.parse().ok().filter(|id| super::data::goods(*id).is_some())?)
            }
            ("news", None) => Self::News,
            ("search", None) => Self::Search,
            ("account", None) => Self::Account,
            ("api", Some("products")) => Self::Api,
            ("static", Some(name)) => Self::Static(assets::find(name)?),
            ("slow", None) => Self::Slow,
            ("slow-body", None) => Self::SlowBody,
            ("stream", None) => Self::Stream,
            ("fail", None) => Self::Fail,
            ("fragile", None) => Self::Fragile,
            ("bytes", Some(n)) => Self::Bytes { length: n.parse().ok()?, store: true },
            ("nostore", Some(n)) => Self::Bytes { length: n.parse().ok()?, store: false },
            ("echo", None) => Self::Echo,
            ("upgrade", None) => Self::Upgrade,
            ("healthz", None) => Self::Healthz,
            ("stats", None) => Self::Stats,
            _ => return None,
        })
    }

    /// `Allow`; `None` for whatever method.
    const fn allow(&self) -> Option<&'static str> {
        match self {
            Self::Echo => None,
            Self::Product(_) | Self::News | Self::Fail => Some("GET, HEAD, POST"),
            _ => Some("GET, HEAD"),
        }
    }
}

async fn handle<B>(route: Route, call: &Call<'_>, body: B) -> Result<Response<OutBody>, Dropped>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    if call.head.method == Method::POST && route != Route::Echo {
        return Ok(match read_form(body).await {
            Ok(form) => post(&route, call, &form),
            Err(status) => text(status, format!("A form of at most {MAX_FORM} bytes, please.\n")),
        });
    }
    let page = match route {
        Route::Home => shop::home(call),
        Route::Products => shop::products(call),
        Route::Product(id) => shop::product(call, id),
        Route::News => shop::news(call),
        Route::Search => shop::search(call),
        Route::Account => shop::account(call),
        Route::Slow => lab::slow(call).await,
        Route::Fail => lab::fail(call),
        Route::Fragile => return lab::fragile(call),
        Route::Api => return Ok(api::products(call)),
        Route::Static(asset) => return Ok(asset.response()),
        Route::SlowBody => return Ok(lab::slow_body(call)),
        Route::Stream => return Ok(lab::stream(call)),
        Route::Bytes { length, store } => return Ok(lab::bytes(length, store)),
        Route::Echo => return Ok(lab::echo(call, body).await),
        Route::Upgrade => return Ok(lab::upgrade(call)),
        Route::Healthz => return Ok(lab::healthz()),
        Route::Stats => return Ok(lab::stats(call)),
    };
    Ok(page.render(&call.stamp))
}

/// What changes something.
fn post(route: &Route, call: &Call<'_>, form: &[u8]) -> Response<OutBody> {
    match route {
        Route::Product(id) => shop::change(call, *id, form),
        Route::News => shop::publish(call),
        _ => lab::set_failure(call),
    }
}

async fn read_form<B>(body: B) -> Result<Bytes, StatusCode>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    match Limited::new(body, MAX_FORM).collect().await {
        Ok(collected) => {
            let mut data = collected.aggregate();
            Ok(data.copy_to_bytes(data.remaining()))
        }
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => Err(StatusCode::BAD_REQUEST),
    }
}

/// Whether the client has what the response says (RFC 9110 §13.1.2, §13.1.3). Dates count only when they are
/// our own `Last-Modified` to the byte: what our clients send back, and more may be answered in full.
fn is_known<T>(method: &Method, request: &HeaderMap, response: &Response<T>) -> bool {
    if response.status() != StatusCode::OK || !matches!(*method, Method::GET | Method::HEAD) {
        return false;
    }
    let mut conditions = request.get_all(IF_NONE_MATCH).iter().peekable();
    if conditions.peek().is_none() {
        // RFC 9110 §13.1.3: only where there is no If-None-Match.
        let known = response.headers().get(LAST_MODIFIED);
        return known.is_some() && known == request.get(IF_MODIFIED_SINCE);
    }
    // RFC 9110 §13.1.2: weak comparison. Our own tags hold no comma, so that splitting can't join two tags into one of ours.
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let ours = response.headers().get(ETAG).and_then(|tag| tag.to_str().ok()).map(opaque);
    conditions
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .any(|tag| tag.trim() == "*" || ours.as_deref() == Some(opaque(tag).as_str()))
}

fn not_modified(response: &mut Response<OutBody>) {
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    *response.body_mut() = OutBody::Empty;
    for name in [CONTENT_TYPE, CONTENT_LENGTH] {
        response.headers_mut().remove(name);
    }
}

/// A short answer in plain text, without freshness.
pub(super) fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<OutBody> {
    let mut response = Response::new(OutBody::full(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
