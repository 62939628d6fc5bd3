//! Variants (RFC 9111 §4.1, RFC 9110 §12.5.5): which request fields select a response, and their normal form.
//!
//! Two requests get the same stored response only if every field that its `Vary` names is the same in both, where
//! "the same" is what §4.1 allows and no more:
//! * lines of one name are combined, with `", "` (cookies with `"; "`, RFC 9113 §8.2.3);
//! * white space round the commas of a list does not count. Fields that are known not to be lists (`User-Agent`,
//!   `Cookie`, dates, URIs, ...) are compared as they are. A field that nobody knows is read as a list, since combining
//!   its lines may put a space after the comma or not (RFC 9110 §5.3), and inside quotes nothing is touched;
//! * members of a list are never reordered, nor is case changed, but for `Accept-Encoding` and `Accept-Language`,
//!   whose specification says what means the same (see [`accept`]). The request that goes to the origin carries those
//!   two in their normal form as well, so what is keyed is what is sent;
//! * absent is equal to absent only, and not to empty.
//!
//! Work is bounded: a value over 4 KiB is compared as it is, and a `Vary` that names more than [`MAX_NAMES`] fields,
//! or something that is no field name, counts as `*`: what we can't read we don't reuse.

mod accept;

pub(super) use accept::weighted_member;

use http::header::{self, ACCEPT_ENCODING, ACCEPT_LANGUAGE, COOKIE, VARY};
use http::{HeaderMap, HeaderName, HeaderValue};

/// A `Vary` with more different names than this counts as `*`.
pub const MAX_NAMES: usize = 64;

/// Values longer than this, in bytes, are not normalised.
const MAX_VALUE: usize = 4096;

/// What a response's `Vary` lines say together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Vary {
    /// No `Vary`, or all of its members are ignored by a rule.
    #[default]
    None,
    /// Some member is `*`, or is no field name: never reusable without the origin.
    Star,
    /// Sorted, lower-case, without duplicates.
    On(Vec<HeaderName>),
}

/// `ignore` are the fields a rule takes out (`vary.ignore`); `*` can't be ignored.
pub fn parse(response: &HeaderMap, ignore: &[HeaderName]) -> Vary {
    let mut names: Vec<HeaderName> = Vec::new();
    for line in response.get_all(VARY) {
        for member in line.as_bytes().split(|b| *b == b',').map(<[u8]>::trim_ascii) {
            if member.is_empty() {
                continue;
            }
            // `*` is a token, and `HeaderName` takes it for a name.
            let name = match HeaderName::from_bytes(member) {
                Ok(name) if name != "*" => name,
                _ => return Vary::Star,
            };
            if ignore.contains(&name) || names.contains(&name) {
                continue;
            }
            if names.len() == MAX_NAMES {
                return Vary::Star;
            }
            names.push(name);
        }
    }
    names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    if names.is_empty() { Vary::None } else { Vary::On(names) }
}

/// The nominated fields of a request in normal form: for each name, absent or its normalised value, length-
/// prefixed so that no value can imitate another pair. Equal bytes = same variant.
///
/// For each name its length (4 bytes, big end first) and itself, then 0 for absent, or 1, the length of the value and
/// the value.
pub fn variant(nominated: &[HeaderName], request: &HeaderMap) -> Box<[u8]> {
    let mut out = Vec::with_capacity(nominated.len().saturating_mul(48));
    for name in nominated {
        push(&mut out, name.as_str().as_bytes());
        match normal_value(name, request) {
            None => out.push(0),
            Some(value) => {
                out.push(1);
                push(&mut out, &value);
            }
        }
    }
    out.into_boxed_slice()
}

/// What [`variant`] made, read back for people: each field and its value, `None` = absent. Ends where it can't be read.
pub fn describe(mut variant: &[u8]) -> Vec<(String, Option<String>)> {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let mut fields = Vec::new();
    while let Some(name) = pull(&mut variant) {
        let Some((present, rest)) = variant.split_first() else { break };
        variant = rest;
        let value = if *present == 0 { None } else { pull(&mut variant) };
        fields.push((text(name), value.map(text)));
    }
    fields
}

/// The request fields that `variant` was made of, in normal form: a request with these selects it.
pub fn nominated_fields(mut variant: &[u8]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    while let Some(name) = pull(&mut variant) {
        let Some((present, rest)) = variant.split_first() else { break };
        variant = rest;
        if *present == 0 {
            continue;
        }
        let Some(value) = pull(&mut variant) else { break };
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            fields.append(name, value);
        }
    }
    fields
}

/// Takes off what [`push`] has put there.
fn pull<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = from.split_first_chunk::<4>()?;
    let (bytes, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    *from = rest;
    Some(bytes)
}

fn push(out: &mut Vec<u8>, bytes: &[u8]) {
    // A header section has a limit far below 4 GiB; if it had none, the value would be cut, not the key confused.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend(bytes.iter().take(length as usize));
}

/// Rewrites `Accept-Encoding` and `Accept-Language` to their normal forms, so that what is keyed is what is
/// sent (rulings 4, 33; RFC 9842: `dcb`, `dcz` are kept). An absent field stays absent.
pub fn normalise_request(request: &mut HeaderMap) {
    for name in [ACCEPT_ENCODING, ACCEPT_LANGUAGE] {
        if let Some(value) = normal_value(&name, request)
            && let Ok(value) = HeaderValue::from_bytes(&value)
        {
            request.insert(name, value);
        }
    }
}

/// `None`: absent.
fn normal_value(name: &HeaderName, request: &HeaderMap) -> Option<Vec<u8>> {
    let lines: Vec<&[u8]> = request.get_all(name).iter().map(|line| line.as_bytes().trim_ascii()).collect();
    if lines.is_empty() {
        return None;
    }
    let glue: &[u8] = if *name == COOKIE { b"; " } else { b", " };
    let value = lines.join(glue);
    Some(if value.len() > MAX_VALUE {
        value
    } else if *name == ACCEPT_ENCODING {
        accept::encoding(&value)
    } else if *name == ACCEPT_LANGUAGE {
        accept::language(&value).unwrap_or_else(|| tidy(&value))
    } else if SINGLE.contains(name) {
        value
    } else {
        tidy(&value)
    })
}

/// Fields whose specification makes them one value, in which a comma is a comma. The authorisation fields are here
/// because their parameters are a list only after a scheme.
const SINGLE: [HeaderName; 19] = [
    header::AUTHORIZATION,
    header::CONTENT_LENGTH,
    header::CONTENT_LOCATION,
    header::CONTENT_TYPE,
    COOKIE,
    header::DATE,
    header::FROM,
    header::HOST,
    header::IF_MODIFIED_SINCE,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    header::MAX_FORWARDS,
    header::ORIGIN,
    header::PROXY_AUTHORIZATION,
    header::RANGE,
    header::REFERER,
    header::SEC_WEBSOCKET_KEY,
    header::UPGRADE_INSECURE_REQUESTS,
    header::USER_AGENT,
];

/// White space round commas, outside quoted strings, becomes one space after (RFC 9110 §5.6.1). Empty members
/// stay, for the list may not be one. A value whose quotes don't close is left as it is.
fn tidy(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() + 8);
    let (mut quoted, mut escaped, mut after_comma) = (false, false, false);
    for byte in value.iter().copied() {
        if quoted {
            (quoted, escaped) = (escaped || byte != b'"', !escaped && byte == b'\\');
            out.push(byte);
            continue;
        }
        match byte {
            b',' => {
                while matches!(out.last(), Some(b' ' | b'\t')) && !after_comma {
                    out.pop();
                }
                out.extend_from_slice(b", ");
                after_comma = true;
            }
            b' ' | b'\t' if after_comma => {}
            _ => {
                quoted = byte == b'"';
                after_comma = false;
                out.push(byte);
            }
        }
    }
    if after_comma {
        out.pop();
    }
    if quoted { value.to_vec() } else { out }
}

#[cfg(test)]
mod tests;
