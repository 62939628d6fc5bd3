//! From a stored or arriving response to what one client gets: preconditions, ranges, `Age`, `Cache-Status`,
//! the edits that rules make. Carries out; the decisions are the plan's and the semantics'.

use crate::body::{Chunks, OutBody};
use crate::engine::compress::{self, plain_fields};
use crate::engine::flight::Shared;
use crate::engine::policy::Policy;
use crate::semantics::cache_status::Member;
use crate::semantics::fields::Lookup;
use crate::semantics::{coding, preconditions, range};
use crate::store::Entry;
use crate::store::entry::Described;
use crate::time::Now;
use bytes::Bytes;
use http::header::{AGE, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, VIA};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use std::convert::Infallible;
use std::ops::Range;
use std::time::Duration;

pub const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// The client's side of an answer.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    pub method: &'a Method,
    /// Its own fields, conditions and ranges included.
    pub headers: &'a HeaderMap,
    pub policy: &'a Policy,
    pub edits: &'a [(HeaderName, HeaderValue)],
    pub server_name: &'a str,
    /// `1.1 NAME`
    pub via: &'a HeaderValue,
    /// Some rule compresses: what this client holds may be a coded form.
    pub may_hold_forms: bool,
}

/// Answers from a stored entry.
pub fn from_entry(client: &Client<'_>, entry: &Entry, member: &Member, now: Now) -> Response<OutBody> {
    let age = entry.age(now.mono);
    let mut headers = plain_fields(client.policy, entry, Some(entry.length));
    if let Some(headers) = not_modified(client, entry, entry, &headers, Some(entry.length)) {
        return finish_stored(
            client,
            entry.status,
            StatusCode::NOT_MODIFIED,
            headers,
            OutBody::Empty,
            Some(age),
            member,
        );
    }
    let selected = select_range(client, entry, entry, entry.length, entry.forms.coding().is_some());
    let (status, body) = match selected {
        range::Selected::Whole => (entry.status, whole(entry, &mut headers)),
        range::Selected::One(part) => {
            set_length(&mut headers, part.end - part.start);
            headers.insert(CONTENT_RANGE, range::content_range(&part, entry.length));
            (StatusCode::PARTIAL_CONTENT, OutBody::Chunks(Chunks::slice(entry.body.clone(), part)))
        }
        range::Selected::Many(parts) => (StatusCode::PARTIAL_CONTENT, multipart(entry, &parts, &mut headers)),
        range::Selected::Unsatisfiable => {
            headers = unsatisfiable(&headers, entry.length);
            (StatusCode::RANGE_NOT_SATISFIABLE, OutBody::Empty)
        }
    };
    let body = if *client.method == Method::HEAD { OutBody::Empty } else { body };
    finish_stored(client, entry.status, status, headers, body, Some(age), member)
}

/// The fields of a 304, if the client's own copy is as good as this response (RFC 9110 §13.2.2): the plain form, or that coded form
/// which it holds. `stored`: the fields by which it is judged; `headers`: those of a 200.
fn not_modified(
    client: &Client<'_>,
    meta: &impl Described,
    stored: &impl Lookup,
    headers: &HeaderMap,
    length: Option<u64>,
) -> Option<HeaderMap> {
    let offered = compress::offers(client.policy, meta, length).unwrap_or_default();
    if let Some(coding) = coding::held(client.method, client.headers, stored, offered) {
        return Some(preconditions::not_modified_headers(&coding::encoded(headers, coding, None)));
    }
    let verdict =
        preconditions::evaluate(client.method, client.headers, meta.status(), stored, meta.received());
    (verdict == preconditions::Verdict::NotModified).then(|| preconditions::not_modified_headers(headers))
}

/// `stored`: the fields by which it is judged. `coded`: this is a coded form.
fn select_range(
    client: &Client<'_>,
    meta: &impl Described,
    stored: &impl Lookup,
    length: u64,
    coded: bool,
) -> range::Selected {
    let has_forms = coded || compress::offers(client.policy, meta, Some(length)).is_some();
    let algorithms = client.policy.compress.as_ref().map(|compress| &compress.algorithms[..]);
    if has_forms && algorithms.is_some_and(|all| coding::is_range_unclear(client.headers, all)) {
        return range::Selected::Whole;
    }
    range::select(client.method, client.headers, meta.status(), stored, length)
}

/// The stored body, with its trailers where it has any.
fn whole(entry: &Entry, headers: &mut HeaderMap) -> OutBody {
    let chunks = Chunks::new(entry.body.clone());
    match entry.trailers() {
        None => {
            if !bodyless(entry.status) {
                set_length(headers, entry.length);
            }
            OutBody::Chunks(chunks)
        }
        Some(trailers) => {
            // Trailers need chunked framing, which a Content-Length would rule out (RFC 9112 §6.2).
            headers.remove(CONTENT_LENGTH);
            let end = std::iter::once(Frame::trailers(trailers));
            OutBody::stream(StreamBody::new(Frames(chunks.map(Frame::data).chain(end))))
        }
    }
}

fn multipart(entry: &Entry, parts: &[Range<u64>], headers: &mut HeaderMap) -> OutBody {
    let boundary = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
    let framing = range::multipart(parts, entry.length, headers.get(CONTENT_TYPE), &boundary);
    let mut pieces: Vec<Bytes> = Vec::new();
    for (before, part) in framing.before.into_iter().zip(parts) {
        pieces.push(before.into());
        pieces.extend(Chunks::slice(entry.body.clone(), part.clone()));
    }
    pieces.push(framing.after.into());
    set_length(headers, pieces.iter().map(|p| p.len() as u64).sum());
    headers.insert(CONTENT_TYPE, framing.content_type);
    OutBody::Chunks(Chunks::new(pieces))
}

/// RFC 9110 §15.5.17: a 416 tells the length, and describes no representation.
fn unsatisfiable(stored: &HeaderMap, length: u64) -> HeaderMap {
    let mut headers = preconditions::not_modified_headers(stored);
    headers.insert(CONTENT_RANGE, range::unsatisfied_range(length));
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    headers
}

/// Answers from a body that is still arriving. `leader`: this client's request fetched it, and gets the
/// response as the origin sent it, its private fields and received `Age` included; others get what is stored.
pub fn from_shared(
    client: &Client<'_>,
    shared: &Shared,
    leader: bool,
    received_age: Option<HeaderValue>,
    member: &Member,
    now: Now,
) -> Option<Response<OutBody>> {
    let meta = &*shared.meta;
    let length = shared.body.expected();
    let mut headers = plain_fields(client.policy, meta, length);
    let mut age = Some(meta.age(now.mono));
    if leader {
        headers.extend(shared.leader_only.clone());
        age = None;
        if let Some(received) = received_age {
            headers.insert(AGE, received);
        }
    }
    if let Some(headers) = not_modified(client, meta, &meta.headers, &headers, length) {
        return Some(finish_stored(
            client,
            meta.status,
            StatusCode::NOT_MODIFIED,
            headers,
            OutBody::Empty,
            age,
            member,
        ));
    }
    let selected = length
        .map_or(range::Selected::Whole, |length| select_range(client, meta, &meta.headers, length, false));
    let (status, body) = match (selected, length) {
        (range::Selected::One(part), Some(length)) => {
            set_length(&mut headers, part.end - part.start);
            headers.insert(CONTENT_RANGE, range::content_range(&part, length));
            (StatusCode::PARTIAL_CONTENT, OutBody::stream(shared.body.read(part)?))
        }
        (range::Selected::Unsatisfiable, Some(length)) => {
            headers = unsatisfiable(&headers, length);
            (StatusCode::RANGE_NOT_SATISFIABLE, OutBody::Empty)
        }
        // Several ranges of a body that is not all here yet: the whole, as RFC 9110 §14.2 allows.
        _ if bodyless(meta.status) || *client.method == Method::HEAD => (meta.status, OutBody::Empty),
        _ => (meta.status, OutBody::stream(shared.body.read(0..u64::MAX)?)),
    };
    Some(finish_stored(client, meta.status, status, headers, body, age, member))
}

/// Of an answer that was found storable: `stored` is its status, which may be told as a 206 or 304. Here the rules'
/// `browser_ttl` applies, to the statuses that a rule's `ttl` applies to.
fn finish_stored(
    client: &Client<'_>,
    stored: StatusCode,
    status: StatusCode,
    mut headers: HeaderMap,
    body: OutBody,
    age: Option<Duration>,
    member: &Member,
) -> Response<OutBody> {
    let policy = client.policy;
    if let Some(ttl) = policy.browser_ttl
        && status != StatusCode::RANGE_NOT_SATISFIABLE
        && (matches!(stored.as_u16(), 200 | 203 | 204 | 300 | 301 | 308) || policy.store.names_status)
    {
        let received = || headers.get(AGE)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs);
        let age = age.or_else(received).unwrap_or_default();
        browser_ttl(&mut headers, ttl, age);
    }
    finish(client, status, headers, body, age, member)
}

/// The last touches, common to every answer that came from the store or an origin.
pub fn finish(
    client: &Client<'_>,
    status: StatusCode,
    mut headers: HeaderMap,
    body: OutBody,
    age: Option<Duration>,
    member: &Member,
) -> Response<OutBody> {
    if let Some(age) = age {
        headers.insert(AGE, age.as_secs().into());
    }
    headers.append(VIA, client.via.clone());
    edit(&mut headers, client);
    headers.append(CACHE_STATUS, member.to_value(client.server_name));
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The rules' `response_headers`.
fn edit(headers: &mut HeaderMap, client: &Client<'_>) {
    for name in &client.policy.response_headers.remove {
        headers.remove(name);
    }
    for (name, value) in client.edits {
        headers.insert(name.clone(), value.clone());
    }
}

/// `max-age = browser_ttl + Age`, so that the browser's copy lives for `browser_ttl` from now (rulings 33).
/// Other directives stay.
fn browser_ttl(headers: &mut HeaderMap, ttl: Duration, age: Duration) {
    let seconds = ttl.as_secs().saturating_add(age.as_secs());
    let mut directives = vec![format!("max-age={seconds}")];
    for line in headers.get_all(CACHE_CONTROL) {
        let Ok(line) = line.to_str() else { continue };
        // A comma inside a quoted argument would be cut here; what remains is ignored as an unknown directive.
        directives.extend(
            line.split(',')
                .map(str::trim)
                .filter(|d| !d.is_empty() && !d.to_ascii_lowercase().starts_with("max-age"))
                .map(str::to_owned),
        );
    }
    headers.remove(http::header::EXPIRES);
    if let Ok(value) = HeaderValue::try_from(directives.join(", ")) {
        headers.insert(CACHE_CONTROL, value);
    }
}

pub fn set_length(headers: &mut HeaderMap, length: u64) {
    headers.insert(CONTENT_LENGTH, length.into());
}

/// 1xx, 204, 304: no body by definition (RFC 9110 §6.4.1).
pub fn bodyless(status: StatusCode) -> bool {
    status.is_informational() || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}

/// An iterator of frames as a stream that is always ready.
struct Frames<I>(I);

impl<I: Iterator<Item = Frame<Bytes>> + Unpin> futures_core::Stream for Frames<I> {
    type Item = Result<Frame<Bytes>, Infallible>;
    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(self.0.next().map(Ok))
    }
}
