//! Everything this proxy refuses or fails at by itself, and the response that says so: the one place that
//! turns an error into a response (RFC 9110 §15, RFC 9209).
//!
//! One table, [`refusals!`], gives each refusal its word (log, metric label, body), its status, its
//! Proxy-Status error type (RFC 9209 §2.3) and the sentence a client may read. That sentence never holds
//! anything of the request or of an error's text: nothing to reflect, nothing to leak.
//!
//! `Proxy-Status` is on every response made here; `Cache-Status` on none (ruling 31: it belongs to responses
//! from the store or the origin). All are `no-store`.

use crate::body::OutBody;
use crate::semantics::fields::push_line;
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use std::io::Write as _;

/// RFC 9209 §2: `proxy-status`.
const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
/// What may be tried instead of a method that is refused everywhere (RFC 9110 §10.2.1).
const ALLOWED: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, QUERY");

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $status:ident, $token:literal, $text:literal;)*) => {
        /// Why this proxy answered by itself. The word is in the log, the metric label and the body.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Refusal { $($(#[$doc])* $name,)* }

        impl Refusal {
            /// Every one, for tables and metric families.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Kebab-case, stable: a metric label and a log field.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }
            /// The `error` parameter of `Proxy-Status` (RFC 9209 §2.3).
            pub const fn proxy_status_error(self) -> &'static str {
                match self { $(Self::$name => $token,)* }
            }
            /// One sentence for the client.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

refusals! {
    // ---- The message is not HTTP as RFC 9112 defines it. One word per kind: it tells a client's author where to look.
    /// Malformed in a way that has no word of its own.
    Malformed = "malformed", BAD_REQUEST, "http_request_error", "The request is malformed.";
    /// RFC 9112 §2.2.
    LeadingEmptyLines = "leading-empty-lines", BAD_REQUEST, "http_request_error", "Empty lines precede the request line.";
    /// RFC 9112 §2.2: a recipient may accept it; we don't, because others don't.
    BareLf = "bare-lf", BAD_REQUEST, "http_request_error", "A line ends in LF without CR.";
    /// RFC 9112 §2.2.
    BareCr = "bare-cr", BAD_REQUEST, "http_request_error", "A CR stands without LF.";
    /// RFC 9112 §3.
    BadRequestLine = "bad-request-line", BAD_REQUEST, "http_request_error", "The request line is malformed.";
    /// RFC 9110 §9.1: not a token.
    BadMethod = "bad-method", BAD_REQUEST, "http_request_error", "The method is not a token.";
    /// RFC 9112 §3.2: none of the four forms, or a byte that no URI has.
    BadTarget = "bad-target", BAD_REQUEST, "http_request_error", "The request target is malformed.";
    /// RFC 9112 §3.2: a target has no fragment.
    FragmentInTarget = "fragment-in-target", BAD_REQUEST, "http_request_error", "The request target has a fragment.";
    /// RFC 9112 §3.2.2: `http://` on a TLS connection or the reverse, or a scheme that is none of ours.
    SchemeMismatch = "scheme-mismatch", BAD_REQUEST, "http_request_error", "The scheme of the target is not the connection's.";
    /// RFC 9112 §2.3.
    BadVersion = "bad-version", BAD_REQUEST, "http_request_error", "The protocol version is malformed.";
    /// RFC 9112 §2.2.
    SpaceBeforeFirstHeader = "space-before-first-header", BAD_REQUEST, "http_request_error", "White space precedes the first header field.";
    /// RFC 9112 §5.2.
    ObsFold = "obs-fold", BAD_REQUEST, "http_request_error", "A header field is folded over several lines.";
    /// RFC 9112 §5.1.
    SpaceBeforeColon = "space-before-colon", BAD_REQUEST, "http_request_error", "White space stands before the colon of a header field.";
    /// RFC 9110 §5.1: empty, not a token, or no colon.
    BadHeaderName = "bad-header-name", BAD_REQUEST, "http_request_error", "The name of a header field is malformed.";
    /// RFC 9110 §5.5: a control character.
    BadHeaderValue = "bad-header-value", BAD_REQUEST, "http_request_error", "The value of a header field has a control character.";
    /// `Content_Length` and the like: some origins read `_` as `-`, we would not see the framing they see.
    FramingLookalike = "framing-lookalike", BAD_REQUEST, "http_request_error", "A header field imitates a framing field.";
    /// RFC 9112 §6.1, §6.3: may be smuggling.
    LengthAndEncoding = "length-and-encoding", BAD_REQUEST, "http_request_error", "Content-Length and Transfer-Encoding are both present.";
    /// RFC 9112 §6.3, also when all values are the same.
    RepeatedContentLength = "repeated-content-length", BAD_REQUEST, "http_request_error", "Content-Length is given more than once.";
    /// RFC 9110 §8.6: not plain digits, leading zeros, or too large to count.
    BadContentLength = "bad-content-length", BAD_REQUEST, "http_request_error", "Content-Length is malformed.";
    /// RFC 9112 §6.1.
    EncodingInHttp10 = "encoding-in-http-1-0", BAD_REQUEST, "http_request_error", "Transfer-Encoding in an HTTP/1.0 request.";
    /// RFC 9112 §6.1: we take one line with the one word.
    RepeatedTransferEncoding = "repeated-transfer-encoding", BAD_REQUEST, "http_request_error", "Transfer-Encoding is given more than once.";
    /// RFC 9112 §6.3, §7.1: `chunked` applied twice, not last, or empty.
    ChunkedNotFinal = "chunked-not-final", BAD_REQUEST, "http_request_error", "Chunked is not the only and final transfer coding.";
    /// RFC 9112 §7.1: `chunked` has no parameters.
    EncodingParameters = "encoding-parameters", BAD_REQUEST, "http_request_error", "A transfer coding has parameters.";
    /// RFC 9112 §3.2.
    MissingHost = "missing-host", BAD_REQUEST, "http_request_error", "Host is missing.";
    /// RFC 9112 §3.2.
    RepeatedHost = "repeated-host", BAD_REQUEST, "http_request_error", "Host is given more than once.";
    /// RFC 9112 §3.2, RFC 9110 §7.2: user information, path, comma, bad brackets, bad port, or empty.
    BadHost = "bad-host", BAD_REQUEST, "http_request_error", "Host is malformed.";
    /// RFC 9112 §7.1.
    BadChunkSize = "bad-chunk-size", BAD_REQUEST, "http_request_error", "A chunk size is malformed.";
    /// RFC 9112 §7.1.1: a control character, or more of them than anybody needs.
    BadChunkExtension = "bad-chunk-extension", BAD_REQUEST, "http_request_error", "A chunk extension is malformed or too long.";
    /// RFC 9112 §7.1: the data is not followed by CRLF.
    BadChunkData = "bad-chunk-data", BAD_REQUEST, "http_request_error", "A chunk is not as long as it says.";
    /// RFC 9112 §7.1.2, RFC 9110 §6.5.1: malformed, too long, or a framing or routing field.
    BadTrailer = "bad-trailer", BAD_REQUEST, "http_request_error", "A trailer field is malformed, too long or not allowed.";
    /// RFC 9112 §8.
    IncompleteBody = "incomplete-body", BAD_REQUEST, "http_request_error", "The request body ended early.";

    // ---- Well-formed, but more than we take, or not for us.
    /// RFC 9110 §15.5.6: TRACE (reflects cookies) and CONNECT (we are no tunnel).
    MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED, "http_request_error", "This method is not allowed here.";
    /// PURGE, BAN and their kin from somebody who may not; never forwarded.
    PurgeNotAllowed = "purge-not-allowed", METHOD_NOT_ALLOWED, "http_request_denied", "Purging is not allowed from here.";
    /// RFC 9110 §15.5.9: the head did not arrive in time.
    HeaderTimeout = "header-timeout", REQUEST_TIMEOUT, "http_request_error", "The request did not arrive in time.";
    /// RFC 9110 §15.5.9: nothing more of the body arrived in time.
    BodyTimeout = "body-timeout", REQUEST_TIMEOUT, "http_request_error", "The request body did not arrive in time.";
    /// RFC 9110 §15.5.14.
    BodyTooLarge = "body-too-large", PAYLOAD_TOO_LARGE, "http_request_error", "The request body is too large.";
    /// RFC 9110 §15.5.15, RFC 9112 §3.
    UriTooLong = "uri-too-long", URI_TOO_LONG, "http_request_error", "The request target is too long.";
    /// RFC 9110 §15.5.18.
    Expectation = "expectation", EXPECTATION_FAILED, "http_request_error", "The expectation cannot be met.";
    /// RFC 9110 §15.5.20: `server.hosts` does not list it.
    UnknownHost = "unknown-host", MISDIRECTED_REQUEST, "http_request_error", "This host is not served here.";
    /// RFC 9110 §7.4: the TLS handshake was for another host.
    Misdirected = "misdirected", MISDIRECTED_REQUEST, "http_request_error", "This connection is for another host.";
    /// RFC 6585 §5: bytes.
    HeadTooLarge = "head-too-large", REQUEST_HEADER_FIELDS_TOO_LARGE, "http_request_error", "The request head is too large.";
    /// RFC 6585 §5: lines.
    TooManyHeaders = "too-many-headers", REQUEST_HEADER_FIELDS_TOO_LARGE, "http_request_error", "The request has too many header fields.";
    /// RFC 9112 §3: a method longer than any we implement.
    MethodTooLong = "method-too-long", NOT_IMPLEMENTED, "http_request_error", "The method is not implemented.";
    /// RFC 9112 §6.1: a transfer coding we don't understand.
    UnsupportedEncoding = "unsupported-encoding", NOT_IMPLEMENTED, "http_request_error", "The transfer coding is not implemented.";
    /// RFC 9110 §15.6.6.
    VersionNotSupported = "version-not-supported", HTTP_VERSION_NOT_SUPPORTED, "http_request_error", "The protocol version is not supported.";

    // ---- Ours.
    /// RFC 6585 §4: more than a rule's `rate` allows. With `Retry-After`.
    TooManyRequests = "too-many-requests", TOO_MANY_REQUESTS, "http_request_denied", "Too many requests.";
    /// RFC 8586: a request that went through this node before.
    LoopDetected = "loop-detected", BAD_GATEWAY, "proxy_loop_detected", "The request came back to this proxy.";
    /// RFC 9111 §5.2.1.7: `only-if-cached` and nothing usable.
    OnlyIfCached = "only-if-cached", GATEWAY_TIMEOUT, "proxy_internal_response", "Nothing stored can answer this request.";
    /// No socket or port left for a connection to the origin: the file descriptors, most of the time. Others may have some.
    LocalResources = "local-resources", SERVICE_UNAVAILABLE, "connection_limit_reached", "This server is at its limits.";
    /// A fault of this program.
    Internal = "internal", INTERNAL_SERVER_ERROR, "proxy_internal_error", "Internal error.";

    // ---- The origin's (RFC 9209 §2.3; statuses as recommended there).
    NoHealthyOrigin = "no-healthy-origin", SERVICE_UNAVAILABLE, "destination_unavailable", "No origin is available.";
    /// `origins.*.queue` is full, or the wait was too long.
    QueueFull = "queue-full", SERVICE_UNAVAILABLE, "connection_limit_reached", "The origin is busy.";
    OriginRefused = "origin-refused", BAD_GATEWAY, "connection_refused", "The origin refused the connection.";
    OriginUnroutable = "origin-unroutable", BAD_GATEWAY, "destination_ip_unroutable", "The origin cannot be reached.";
    OriginConnectTimeout = "origin-connect-timeout", GATEWAY_TIMEOUT, "connection_timeout", "The origin did not accept the connection in time.";
    /// No head within `first_byte_timeout`.
    OriginTimeout = "origin-timeout", GATEWAY_TIMEOUT, "http_response_timeout", "The origin did not answer in time.";
    /// Silence within the response for `between_bytes_timeout`.
    OriginReadTimeout = "origin-read-timeout", GATEWAY_TIMEOUT, "connection_read_timeout", "The origin stopped answering.";
    OriginWriteTimeout = "origin-write-timeout", GATEWAY_TIMEOUT, "connection_write_timeout", "The origin stopped reading.";
    /// Closed before a complete head.
    OriginBroke = "origin-broke", BAD_GATEWAY, "connection_terminated", "The origin closed the connection.";
    OriginIncomplete = "origin-incomplete", BAD_GATEWAY, "http_response_incomplete", "The origin's response is incomplete.";
    OriginTls = "origin-tls", BAD_GATEWAY, "tls_protocol_error", "TLS with the origin failed.";
    OriginCertificate = "origin-certificate", BAD_GATEWAY, "tls_certificate_error", "The origin's certificate is not trusted.";
    OriginDns = "origin-dns", BAD_GATEWAY, "dns_error", "The origin's name does not resolve.";
    OriginHeaderTooLarge = "origin-header-too-large", BAD_GATEWAY, "http_response_header_section_size", "The origin's response head is too large.";
    /// Bad framing, bad `Content-Length`, control characters, an answer that is no HTTP.
    OriginMalformed = "origin-malformed", BAD_GATEWAY, "http_protocol_error", "The origin's response is malformed.";
    OriginUpgradeFailed = "origin-upgrade-failed", BAD_GATEWAY, "http_upgrade_failed", "The origin did not upgrade the connection.";
}

/// The response for a refusal. `server_name` is `server.name`, which names the deployment (RFC 9209 §2);
/// `close` adds `Connection: close` (HTTP/1 only: never for HTTP/2).
pub fn response(refusal: Refusal, server_name: &str, request_id: &str, close: bool) -> Response<OutBody> {
    let body = format!(
        "{}\n\n{} {}: {}\nrequest id: {request_id}\n",
        refusal.text(),
        refusal.status().as_u16(),
        refusal.status().canonical_reason().unwrap_or_default(),
        refusal.as_str(),
    );
    let length = HeaderValue::from(body.len());
    let mut response = Response::new(OutBody::full(body));
    *response.status_mut() = refusal.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CONTENT_LENGTH, length);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(value) = proxy_status(refusal, server_name) {
        headers.insert(PROXY_STATUS, value);
    }
    if refusal.status() == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, ALLOWED);
    }
    if close {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// `NAME; error=TOKEN`: the name as a token where it is one, else as a string (RFC 9209 §2). `None` when the
/// name has bytes that neither can carry.
fn proxy_status(refusal: Refusal, name: &str) -> Option<HeaderValue> {
    let key = sfv::KeyRef::from_str("error").ok()?;
    let token = sfv::TokenRef::from_str(refusal.proxy_status_error()).ok()?;
    let member = sfv::ItemSerializer::new();
    let member = match (sfv::TokenRef::from_str(name), sfv::StringRef::from_str(name)) {
        (Ok(token), _) => member.bare_item(token),
        (_, Ok(string)) => member.bare_item(string),
        _ => return None,
    };
    HeaderValue::try_from(member.parameter(key, token).finish()).ok()
}

/// A self-made response in full, as HTTP/1.1 bytes, for what no handler has answered.
/// `date` is an IMF-fixdate (RFC 9110 §6.6.1). Bodies of [`OutBody::Stream`] are not for here and are left out.
pub fn encode_http1(response: &Response<OutBody>, date: &str) -> Bytes {
    let status = response.status();
    let mut out = Vec::with_capacity(512);
    // Writing to a Vec never fails.
    let _ = write!(out, "HTTP/1.1 {} {}\r\n", status.as_str(), status.canonical_reason().unwrap_or_default());
    let _ = write!(out, "date: {date}\r\n");
    for (name, value) in response.headers() {
        push_line(&mut out, name, value);
    }
    out.extend_from_slice(b"\r\n");
    if let OutBody::Chunks(chunks) = response.body() {
        for chunk in chunks.clone() {
            out.extend_from_slice(&chunk);
        }
    }
    Bytes::from(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn words_are_kebab_case_and_unique_and_statuses_are_errors() {
        let mut seen = HashSet::new();
        for &refusal in Refusal::ALL {
            let word = refusal.as_str();
            assert!(seen.insert(word), "{word} twice");
            let kebab = word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            assert!(kebab, "{word}");
            assert!(refusal.status().is_client_error() || refusal.status().is_server_error());
        }
    }

    #[test]
    fn statuses_are_those_that_rfc_9209_section_2_3_recommends() {
        let recommended = [
            ("dns_timeout", 504),
            ("dns_error", 502),
            ("destination_unavailable", 503),
            ("destination_ip_unroutable", 502),
            ("connection_refused", 502),
            ("connection_terminated", 502),
            ("connection_timeout", 504),
            ("connection_read_timeout", 504),
            ("connection_write_timeout", 504),
            ("connection_limit_reached", 503),
            ("tls_protocol_error", 502),
            ("tls_certificate_error", 502),
            ("http_response_incomplete", 502),
            ("http_response_header_section_size", 502),
            ("http_response_body_size", 502),
            ("http_response_timeout", 504),
            ("http_upgrade_failed", 502),
            ("http_protocol_error", 502),
            ("proxy_internal_error", 500),
            ("proxy_configuration_error", 500),
            ("proxy_loop_detected", 502),
        ];
        // These three go with whatever status the request deserves.
        let any = ["http_request_error", "http_request_denied", "proxy_internal_response"];
        for &refusal in Refusal::ALL {
            let token = refusal.proxy_status_error();
            match recommended.iter().find(|(t, _)| *t == token) {
                Some((_, status)) => assert_eq!(refusal.status().as_u16(), *status, "{refusal:?}"),
                None => assert!(any.contains(&token), "{refusal:?}: {token}"),
            }
        }
    }

    #[test]
    fn the_response_names_the_request_id_and_is_never_stored() {
        let r = response(Refusal::OriginTimeout, "edge.example.com", "abc123", true);
        assert_eq!(r.status(), 504);
        assert_eq!(r.headers()["proxy-status"], "edge.example.com;error=http_response_timeout");
        assert_eq!(r.headers()["cache-control"], "no-store");
        assert!(!r.headers().contains_key("cache-status") && !r.headers().contains_key("allow"));
        let bytes = encode_http1(&r, "Sun, 06 Nov 1994 08:49:37 GMT");
        let text = std::str::from_utf8(&bytes).unwrap();
        assert!(text.starts_with("HTTP/1.1 504 Gateway Timeout\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"));
        assert!(text.contains("\r\nconnection: close\r\n") && text.contains("request id: abc123\n"));
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(r.headers()["content-length"], body.len().to_string().as_str());
    }

    #[test]
    fn a_405_says_what_is_allowed() {
        for refusal in [Refusal::MethodNotAllowed, Refusal::PurgeNotAllowed] {
            let r = response(refusal, "larder", "id", false);
            assert_eq!(r.headers()["allow"], "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, QUERY");
            assert!(!r.headers().contains_key("connection"));
        }
    }

    #[test]
    fn a_name_that_is_no_token_is_a_string() {
        let status =
            |name| response(Refusal::Internal, name, "id", false).headers().get("proxy-status").cloned();
        assert_eq!(status("larder").unwrap(), "larder;error=proxy_internal_error");
        assert_eq!(status("my \"edge\"").unwrap(), "\"my \\\"edge\\\"\";error=proxy_internal_error");
        assert_eq!(status("näh"), None);
    }
}
