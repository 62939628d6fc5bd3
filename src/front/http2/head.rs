//! The checks on a request head that `h2` leaves to us (RFC 9113 §8.2, §8.3, §8.1.1), so that an HTTP/2
//! request meets the same rules as an HTTP/1 one. What passes can be written down as HTTP/1.1 without changing
//! its meaning.
//!
//! Two things can't be seen here, because `h2` has settled them before: it cuts a fragment off `:path`, and
//! where there is neither `:path` nor `:authority` (but a `Host`) it makes the path `/`. What was cut or missing
//! is neither keyed nor forwarded, so nobody can disagree about it.

use crate::front::handler::Limits;
use crate::front::normalise::{Scheme, check_target, host};
use crate::front::refusal::Refusal;
use http::{HeaderMap, HeaderValue, Method, header, request};

/// The longest method, in bytes, as in HTTP/1: longer is 501 (RFC 9112 §3).
const METHOD_MAX: usize = 32;

/// Checks `parts` and joins its cookies.
///
/// # Errors
/// The same words as for HTTP/1 (see `http1`), of which a few can't occur here.
pub fn check(parts: &mut request::Parts, limits: &Limits) -> Result<(), Refusal> {
    if parts.method == Method::CONNECT || parts.method == Method::TRACE {
        return Err(Refusal::MethodNotAllowed);
    }
    if parts.method.as_str().len() > METHOD_MAX {
        return Err(Refusal::MethodTooLong);
    }
    let target = parts.uri.path_and_query().map_or("", |p| p.as_str());
    if target.len() > limits.url_bytes {
        return Err(Refusal::UriTooLong);
    }
    check_size(&parts.headers, target.len() + parts.method.as_str().len(), limits)?;
    check_target(target, &parts.method)?;
    check_authority(parts)?;
    if parts.headers.values().any(padded) {
        return Err(Refusal::BadHeaderValue);
    }
    if ["content_length", "transfer_encoding"].iter().any(|name| parts.headers.contains_key(*name)) {
        return Err(Refusal::FramingLookalike);
    }
    let expectations = parts.headers.get_all(header::EXPECT);
    if expectations.iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Err(Refusal::Expectation);
    }
    check_length(&parts.headers, limits)?;
    join_cookies(&mut parts.headers)
}

/// As if it were written down in HTTP/1.1: the same request is refused in both versions, or in none.
fn check_size(headers: &HeaderMap, line: usize, limits: &Limits) -> Result<(), Refusal> {
    const LINE: usize = "GET  HTTP/1.1\r\n".len();
    const FIELD: usize = ": \r\n".len();
    let bytes = headers.iter().fold(line + LINE, |sum, (n, v)| sum + n.as_str().len() + v.len() + FIELD);
    let crumbs = headers.get_all(header::COOKIE).iter().count();
    // Cookie crumbs (§8.2.3) are one field that was split for compression.
    let count = headers.len() - crumbs.saturating_sub(1);
    if bytes > limits.request_header_bytes {
        return Err(Refusal::HeadTooLarge);
    }
    if count > limits.request_headers { Err(Refusal::TooManyHeaders) } else { Ok(()) }
}

/// §8.3.1: `:authority` without user information, agreeing with `Host` if both are there; one of them is.
/// Whether the host is well-formed and ours is decided when it is normalised.
fn check_authority(parts: &request::Parts) -> Result<(), Refusal> {
    let scheme = match parts.uri.scheme_str() {
        // `h2` drops the scheme where there is no authority; then nothing depends on it here.
        None => Scheme::Http,
        Some("http") => Scheme::Http,
        Some("https") => Scheme::Https,
        Some(_) => return Err(Refusal::SchemeMismatch),
    };
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let host = match hosts.next() {
        Some(host) => Some(host.to_str().map_err(|_| Refusal::BadHost)?),
        None => None,
    };
    if hosts.next().is_some() {
        return Err(Refusal::RepeatedHost);
    }
    let agree = match (parts.uri.authority(), host) {
        (None, None) => return Err(Refusal::MissingHost),
        (Some(authority), Some(host)) => host::same(authority.as_str(), host, scheme),
        (Some(authority), None) => !authority.as_str().contains('@'),
        (None, Some(_)) => true,
    };
    if agree { Ok(()) } else { Err(Refusal::BadHost) }
}

/// §8.2.1: no white space at either end of a value.
fn padded(value: &HeaderValue) -> bool {
    let blank = |b: Option<&u8>| matches!(b, Some(b' ' | b'\t'));
    blank(value.as_bytes().first()) || blank(value.as_bytes().last())
}

/// One plain number. That it equals the sum of DATA is checked by `h2` (§8.1.1).
fn check_length(headers: &HeaderMap, limits: &Limits) -> Result<(), Refusal> {
    let mut lines = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(line) = lines.next() else { return Ok(()) };
    if lines.next().is_some() {
        return Err(Refusal::RepeatedContentLength);
    }
    let text = line.to_str().map_err(|_| Refusal::BadContentLength)?;
    let octal = text.len() > 1 && text.starts_with('0');
    if text.is_empty() || octal || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Refusal::BadContentLength);
    }
    // One that does not fit the type is over every limit.
    let length = text.parse::<u64>().unwrap_or(u64::MAX);
    if length > limits.request_body { Err(Refusal::BodyTooLarge) } else { Ok(()) }
}

/// §8.2.3: before they meet an HTTP/1.1 origin, or a rule that reads cookies.
fn join_cookies(headers: &mut HeaderMap) -> Result<(), Refusal> {
    let crumbs: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() > 1 {
        let joined = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])).map_err(|_| Refusal::Malformed)?;
        headers.insert(header::COOKIE, joined);
    }
    Ok(())
}
