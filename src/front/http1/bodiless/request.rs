//! The `http::Request` of a head that has been read: nothing is parsed a second time. The head is copied once, and
//! the target and all values are slices of that copy.

use super::Client;
use crate::body::{InBody, empty_in};
use crate::front::http1::fields::has_token;
use crate::front::http1::head::{self, Head};
use crate::front::refusal::Refusal;
use bytes::Bytes;
use http::header::{HeaderName, HeaderValue, TE};
use http::{HeaderMap, Method, Request, Uri, Version};

/// Different names of fields, so that there is room for ours. Only limits far above the default let more come.
const MOST_NAMES: usize = 6_000;

/// The request, what it says about its answer, and its head. `bytes`: those that `head` was read from.
///
/// An `Upgrade` is left out: where it means anything, the request does not come this way (RFC 9110 §7.8).
pub(super) fn build(head: &Head<'_, '_>, bytes: &[u8]) -> Result<(Request<InBody>, Client, Bytes), Refusal> {
    let text = Text::copy(bytes.get(..head.len).unwrap_or_default());
    let mut headers = HeaderMap::with_capacity(head.headers.len());
    let mut trailers = false;
    for line in head.headers {
        if head.fields.upgrade_field && line.name.eq_ignore_ascii_case("upgrade") {
            continue;
        }
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| Refusal::BadHeaderName)?;
        trailers |= name == TE && has_token(line.value, b"trailers");
        let value = HeaderValue::from_maybe_shared(text.piece(line.value));
        let value = value.map_err(|_| Refusal::BadHeaderValue)?;
        // Of names that were chosen to collide a map takes 6,553, and panics when it is not asked.
        headers.try_append(name, value).map_err(|_| Refusal::TooManyHeaders)?;
    }
    if headers.keys_len() > MOST_NAMES {
        return Err(Refusal::TooManyHeaders);
    }
    let mut request = Request::new(empty_in());
    *request.method_mut() = Method::from_bytes(head.method.as_bytes()).map_err(|_| Refusal::BadMethod)?;
    *request.uri_mut() =
        Uri::from_maybe_shared(text.piece(head.target.as_bytes())).map_err(|_| Refusal::BadTarget)?;
    *request.version_mut() = if head.http10 { Version::HTTP_10 } else { Version::HTTP_11 };
    *request.headers_mut() = headers;
    let client = Client {
        http10: head.http10,
        is_head: head.method == "HEAD",
        // RFC 9112 §9.3: HTTP/1.1 goes on unless somebody says `close`, HTTP/1.0 ends unless asked to go on.
        keep_alive: !head.fields.close && (!head.http10 || head.fields.keep_alive),
        trailers,
    };
    Ok((request, client, text.copy))
}

/// A head and the copy of it that a request keeps.
struct Text<'b> {
    original: &'b [u8],
    copy: Bytes,
}

impl<'b> Text<'b> {
    fn copy(original: &'b [u8]) -> Self {
        Self { original, copy: Bytes::copy_from_slice(original) }
    }

    /// The same part of the copy, without copying it again.
    fn piece(&self, part: &[u8]) -> Bytes {
        match head::place(self.original, part) {
            Some(range) => self.copy.slice(range),
            // An empty value may point anywhere.
            None => Bytes::copy_from_slice(part),
        }
    }
}
