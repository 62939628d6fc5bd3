//! The two heads at the border: a request as the server must see it, a response as we may believe it.
//!
//! Framing is ours (RFC 9112 §6): whatever `Content-Length` or `Transfer-Encoding` a request came with, it goes out with
//! one framing header that is true of the body at hand; and a response whose framing two readers could read in two ways
//! is no response (RFC 9112 §6.3, §11.2), even where it is not needed because there is no body.

use super::error::OriginError;
use super::server::Server;
use super::settings::HostHeader;
use crate::body::InBody;
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body::Body;

/// What is decided once per request, whichever server gets it.
pub(super) struct Outgoing {
    /// The client's `Host`.
    pub host: Option<HeaderValue>,
    pub path: PathAndQuery,
    /// It asks for another protocol, which only HTTP/1.1 can do.
    pub upgrade: bool,
}

/// Puts framing and version right, and drops what the front left in the extensions.
pub(super) fn prepare(parts: &mut Parts, body: &InBody) -> Outgoing {
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
    let declared = parts.headers.remove(CONTENT_LENGTH);
    parts.headers.remove(TRANSFER_ENCODING);
    if body.is_end_stream() {
        // RFC 9110 §8.6: said outright where the method leads the server to expect content.
        if matches!(parts.method, Method::POST | Method::PUT | Method::PATCH) {
            parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
        }
    } else if let Some(length) = body.size_hint().exact() {
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    } else if let Some(length) = declared.filter(|v| digits(v.as_bytes()).is_some()) {
        // The encoder holds the body to it.
        parts.headers.insert(CONTENT_LENGTH, length);
    } else {
        // Said outright: the server must know, and hyper, which has the upgrades, takes a GET of unknown length for one without a body.
        parts.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    Outgoing {
        host: parts.headers.get(HOST).cloned(),
        path: parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")),
        upgrade: parts.headers.contains_key(UPGRADE),
    }
}

/// Addresses a request to a server: origin-form and `Host`, or the pseudo-headers of HTTP/2 (RFC 9113 §8.3.1).
///
/// # Errors
/// `Request` when the host is no authority, which HTTP/2 can't carry.
pub(super) fn address<B>(
    request: &mut Request<B>,
    outgoing: &Outgoing,
    server: &Server,
    policy: &HostHeader,
    http2: bool,
) -> Result<(), OriginError> {
    let host = match policy {
        HostHeader::Preserve => outgoing.host.as_ref().unwrap_or(&server.host),
        HostHeader::Server => &server.host,
        HostHeader::Literal(value) => value,
    };
    if http2 {
        let authority = Authority::try_from(host.as_bytes()).map_err(|_| OriginError::Request)?;
        *request.uri_mut() = Uri::builder()
            .scheme(server.url.scheme().clone())
            .authority(authority)
            .path_and_query(outgoing.path.clone())
            .build()
            .map_err(|_| OriginError::Request)?;
        request.headers_mut().remove(HOST);
        request.headers_mut().remove(TRANSFER_ENCODING);
        *request.version_mut() = Version::HTTP_2;
    } else {
        *request.uri_mut() = Uri::from(outgoing.path.clone());
        request.headers_mut().insert(HOST, host.clone());
        *request.version_mut() = Version::HTTP_11;
    }
    Ok(())
}

/// Refuses what can't be believed and leaves one true `Content-Length` or none.
///
/// # Errors
/// `Protocol`, `HeadTooLarge`, `UpgradeFailed`.
pub(super) fn check<B>(
    response: &mut Response<B>,
    outgoing: &Outgoing,
    max_headers: usize,
) -> Result<(), OriginError> {
    let status = response.status();
    if status == StatusCode::SWITCHING_PROTOCOLS {
        // RFC 9110 §7.8: only to what the client asked for.
        return if outgoing.upgrade { Ok(()) } else { Err(OriginError::UpgradeFailed) };
    }
    let headers = response.headers_mut();
    if headers.len() > max_headers {
        return Err(OriginError::HeadTooLarge);
    }
    framing(headers)?;
    headers.remove(TRANSFER_ENCODING);
    if status == StatusCode::NO_CONTENT {
        // RFC 9110 §8.6 forbids it there; forwarded, it could make a client wait.
        headers.remove(CONTENT_LENGTH);
    }
    Ok(())
}

/// The length that is told, and whether the body is chunked.
///
/// # Errors
/// `Protocol`: both, which is how responses are split (RFC 9112 §6.1); lengths that differ; or a coding other than chunked, before it,
/// behind it or twice: we never said that we take one (`TE`).
pub(super) fn framing(headers: &mut HeaderMap) -> Result<(Option<u64>, bool), OriginError> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let (coding, more) = (codings.next(), codings.next().is_some());
    let chunked = coding.is_some();
    if more || coding.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        return Err(OriginError::Protocol);
    }
    let length = content_length(headers)?;
    if chunked && length.is_some() { Err(OriginError::Protocol) } else { Ok((length, chunked)) }
}

/// All values of `Content-Length` agree (RFC 9110 §8.6): then one is left.
fn content_length(headers: &mut HeaderMap) -> Result<Option<u64>, OriginError> {
    let mut found = None;
    let mut values = 0;
    for line in headers.get_all(CONTENT_LENGTH) {
        for value in line.as_bytes().split(|b| *b == b',') {
            let length = digits(value.trim_ascii()).ok_or(OriginError::Protocol)?;
            if found.is_some_and(|other| other != length) {
                return Err(OriginError::Protocol);
            }
            found = Some(length);
            values += 1;
        }
    }
    if values > 1
        && let Some(length) = found
    {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(found)
}

/// `1*DIGIT` that fits (RFC 9110 §8.6): no sign, no space.
fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |n, b| {
        let digit = b.is_ascii_digit().then(|| u64::from(b - b'0'))?;
        n.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::{BoxError, empty_in};
    use bytes::Bytes;
    use http_body_util::{BodyExt, Full};

    fn outgoing(upgrade: bool) -> Outgoing {
        Outgoing { host: None, path: PathAndQuery::from_static("/"), upgrade }
    }

    fn checked(status: u16, lines: &[(&str, &str)]) -> Result<HeaderMap, OriginError> {
        let mut response = Response::builder().status(status);
        for (name, value) in lines {
            response = response.header(*name, *value);
        }
        let mut response = response.body(()).unwrap();
        check(&mut response, &outgoing(false), 10).map(|()| response.headers().clone())
    }

    #[test]
    fn rfc_9112_6_3_framing_that_can_be_read_in_two_ways_is_refused() {
        for lines in [
            &[("content-length", "5"), ("content-length", "6")][..],
            &[("content-length", "5, 6")],
            &[("content-length", "a")],
            &[("content-length", "+5")],
            &[("content-length", "-1")],
            &[("content-length", "0x5")],
            &[("content-length", "")],
            &[("content-length", "99999999999999999999")],
            &[("content-length", "5"), ("transfer-encoding", "chunked")],
            &[("transfer-encoding", "gzip, chunked")],
            &[("transfer-encoding", "gzip")],
            &[("transfer-encoding", "xchunked")],
        ] {
            for status in [200, 304, 503] {
                assert_eq!(checked(status, lines), Err(OriginError::Protocol), "{status} {lines:?}");
            }
        }
    }

    #[test]
    fn rfc_9110_8_6_equal_lengths_become_one_and_204_has_none() {
        let headers = checked(200, &[("content-length", "42"), ("content-length", "42, 42")]).unwrap();
        assert_eq!(headers.get_all(CONTENT_LENGTH).iter().collect::<Vec<_>>(), ["42"]);
        assert!(!checked(204, &[("content-length", "0")]).unwrap().contains_key(CONTENT_LENGTH));
        assert!(checked(200, &[("transfer-encoding", "Chunked")]).unwrap().is_empty());
    }

    #[test]
    fn rfc_9110_7_8_a_101_that_nobody_asked_for_is_refused() {
        assert_eq!(checked(101, &[]), Err(OriginError::UpgradeFailed));
        let mut response = Response::builder().status(101).body(()).unwrap();
        assert_eq!(check(&mut response, &outgoing(true), 10), Ok(()));
    }

    fn framed(method: &str, declared: &[(&str, &str)], body: InBody) -> HeaderMap {
        let mut request = Request::builder().method(method).uri("/");
        for (name, value) in declared {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        prepare(&mut parts, &body);
        parts.headers
    }

    fn full(text: &'static str) -> InBody {
        Full::new(Bytes::from_static(text.as_bytes())).map_err(|n| match n {}).boxed_unsync()
    }

    struct Never;
    impl Body for Never {
        type Data = Bytes;
        type Error = BoxError;
        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, BoxError>>> {
            std::task::Poll::Pending
        }
    }

    #[test]
    fn rfc_9112_6_one_framing_header_goes_out_and_it_is_true() {
        let unknown = || Never.boxed_unsync();
        assert!(
            framed("GET", &[("content-length", "5"), ("transfer-encoding", "chunked")], empty_in())
                .is_empty()
        );
        assert_eq!(framed("POST", &[("content-length", "5")], empty_in())[CONTENT_LENGTH], "0");
        assert_eq!(framed("POST", &[("content-length", "99")], full("abc"))[CONTENT_LENGTH], "3");
        assert_eq!(framed("POST", &[("content-length", "99")], unknown())[CONTENT_LENGTH], "99");
        for bad in ["+9", "9, 9", "x"] {
            let headers = framed("POST", &[("content-length", bad)], unknown());
            assert_eq!(headers[TRANSFER_ENCODING], "chunked");
            assert!(!headers.contains_key(CONTENT_LENGTH));
        }
        assert_eq!(framed("GET", &[], unknown())[TRANSFER_ENCODING], "chunked");
    }
}
