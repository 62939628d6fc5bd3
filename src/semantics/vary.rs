//! Variants (RFC 9111 §4.1, RFC 9110 §12.5.5): which request fields select a response, and their normal form.

use http::{HeaderMap, HeaderName};

/// What a response's `Vary` lines say together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Vary {
    /// No `Vary`, or all of its members are ignored by a rule.
    #[default]
    None,
    /// Some member is `*`: never reusable without the origin.
    Star,
    /// Sorted, lower-case, without duplicates.
    On(Vec<HeaderName>),
}

/// `ignore` are the fields a rule takes out (`vary.ignore`); `*` can't be ignored.
pub fn parse(response: &HeaderMap, ignore: &[HeaderName]) -> Vary {
    let _ = (response, ignore);
    Vary::None
}

/// The nominated fields of a request in normal form: for each name, absent or its normalised value, length-
/// prefixed so that no value can imitate another pair. Equal bytes = same variant.
pub fn variant(nominated: &[HeaderName], request: &HeaderMap) -> Box<[u8]> {
    let _ = (nominated, request);
    Box::default()
}

/// Rewrites `Accept-Encoding` and `Accept-Language` to their normal forms, so that what is keyed is what is
/// sent (rulings 4, 33; RFC 9842: `dcb`, `dcz` are kept). An absent field stays absent.
pub fn normalise_request(request: &mut HeaderMap) {
    let _ = request;
}
