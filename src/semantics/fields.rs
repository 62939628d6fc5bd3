//! Where the rules look fields up: in a header map, or in what the store keeps of one. Both say the same, and no rule asks which it
//! has before it. And how a field is written as a line.

use http::{HeaderMap, HeaderName, HeaderValue};

/// A header section that is only read.
pub trait Lookup {
    /// The values of the lines of this name, in order.
    fn values<'a>(&'a self, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> + use<'a, Self>;

    /// The first of them.
    fn first(&self, name: &HeaderName) -> Option<&[u8]> {
        self.values(name).next()
    }

    fn has(&self, name: &HeaderName) -> bool {
        self.first(name).is_some()
    }
}

impl Lookup for HeaderMap {
    fn values<'a>(&'a self, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.get_all(name).iter().map(HeaderValue::as_bytes)
    }
}

/// As [`http::HeaderValue::to_str`].
pub fn text(value: &[u8]) -> Option<&str> {
    let visible = |byte: &u8| (0x20..0x7f).contains(byte) || *byte == b'\t';
    std::str::from_utf8(value).ok().filter(|text| text.as_bytes().iter().all(visible))
}

/// `Content-Type`, if it is text at all.
pub fn content_type(fields: &impl Lookup) -> Option<&str> {
    text(fields.first(&http::header::CONTENT_TYPE)?)
}

/// Appends a field line (RFC 9112 §5).
pub fn push_line(out: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
        out.extend_from_slice(part);
    }
}
