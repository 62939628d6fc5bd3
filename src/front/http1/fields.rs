//! What the fields of a request head mean for its framing and for the lane it takes (RFC 9112 §6, §9.3;
//! RFC 9110 §7.2, §7.6.1, §7.8, §10.1.1). One pass over the lines; nothing is copied.
//!
//! Framing has one owner: a head that passes here says in exactly one way where its message ends, so hyper,
//! which is more tolerant, has nothing left to choose (ruling 26).

use super::framing::Framing;
use super::target;
use crate::front::normalise::spoofable;
use crate::front::refusal::Refusal;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Fields<'b> {
    /// The only `Host`.
    pub host: Option<&'b [u8]>,
    pub framing: Framing,
    /// `Connection: close`.
    pub close: bool,
    /// `Connection: keep-alive`, which only HTTP/1.0 needs.
    pub keep_alive: bool,
    /// `Connection: upgrade`.
    upgrade_option: bool,
    /// `Upgrade`, whether or not it means anything.
    pub upgrade_field: bool,
    /// `Expect: 100-continue`.
    pub expect: bool,
    /// `If-None-Match`, `If-Modified-Since`, `Range` or `If-Range`.
    pub conditional: bool,
    /// A field that reaches neither rules nor origin as sent (`normalise::spoofable`).
    pub settled: bool,
    /// Something the fast lane leaves to the slow one.
    special: bool,
}

impl Fields<'_> {
    /// `Upgrade`, and `Connection` names it (RFC 9110 §7.8: otherwise it must be ignored).
    pub const fn upgrade(&self) -> bool {
        self.upgrade_field && self.upgrade_option
    }
    /// No body, no condition on the origin's state, no directive, no credentials, nothing about the connection but
    /// `close` and `keep-alive`.
    pub const fn plain(&self) -> bool {
        !self.special && matches!(self.framing, Framing::None)
    }
}

/// The fields that mean something here.
enum Known {
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    Expect,
    Upgrade,
    /// Asks for less than a whole answer.
    Condition,
    /// Not for the fast lane.
    Special,
    /// `_` for `-` in a framing field.
    Lookalike,
}

fn known(name: &str) -> Option<Known> {
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    match name.len() {
        2 if is("te") => Some(Known::Special),
        4 if is("host") => Some(Known::Host),
        5 if is("range") => Some(Known::Condition),
        6 if is("expect") => Some(Known::Expect),
        6 if is("pragma") => Some(Known::Special),
        7 if is("upgrade") => Some(Known::Upgrade),
        8 if is("if-range") => Some(Known::Condition),
        9 if is("x-refresh") => Some(Known::Special),
        10 if is("connection") => Some(Known::Connection),
        13 if is("if-none-match") => Some(Known::Condition),
        13 if is("cache-control") || is("authorization") => Some(Known::Special),
        14 if is("content-length") => Some(Known::ContentLength),
        14 if is("content_length") => Some(Known::Lookalike),
        17 if is("if-modified-since") => Some(Known::Condition),
        17 if is("transfer-encoding") => Some(Known::TransferEncoding),
        17 if is("transfer_encoding") => Some(Known::Lookalike),
        8.. if name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("if-")) => Some(Known::Special),
        _ => None,
    }
}

/// What a field means for the lane of a request, whatever its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    Nothing,
    Condition,
    /// See [`Fields::settled`].
    Settled,
    /// Not for the fast lane, or about the message itself.
    Leave,
}

/// For versions of HTTP that have no lines.
pub fn hint(name: &str) -> Hint {
    match known(name) {
        None if !spoofable::is_settled_here(name) => Hint::Nothing,
        None if name.contains('_') => Hint::Leave,
        None => Hint::Settled,
        Some(Known::Condition) => Hint::Condition,
        Some(_) => Hint::Leave,
    }
}

/// Reads all lines of a head.
pub(super) fn examine<'b>(headers: &[httparse::Header<'b>], http10: bool) -> Result<Fields<'b>, Refusal> {
    let mut fields = Fields::default();
    let mut length = None;
    let mut chunked = false;
    for header in headers {
        let value = header.value;
        match known(header.name) {
            None if spoofable::is_settled_here(header.name) => {
                fields.settled = true;
                // Whether it is, the slow lane finds out; nobody in earnest sends one.
                fields.special |= header.name.contains('_');
            }
            None => {}
            Some(Known::Host) => once(&mut fields.host, value, Refusal::RepeatedHost)?,
            Some(Known::ContentLength) => {
                once(&mut length, content_length(value)?, Refusal::RepeatedContentLength)?;
            }
            Some(Known::TransferEncoding) => {
                if http10 {
                    return Err(Refusal::EncodingInHttp10);
                }
                if std::mem::replace(&mut chunked, true) {
                    return Err(Refusal::RepeatedTransferEncoding);
                }
                transfer_encoding(value)?;
            }
            Some(Known::Connection) => connection(value, &mut fields),
            Some(Known::Expect) => {
                fields.special = true;
                if !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(Refusal::Expectation);
                }
                fields.expect = true;
            }
            Some(Known::Upgrade) => {
                fields.special = true;
                fields.upgrade_field = true;
            }
            Some(Known::Condition) => fields.conditional = true,
            Some(Known::Special) => fields.special = true,
            Some(Known::Lookalike) => return Err(Refusal::FramingLookalike),
        }
    }
    fields.framing = match (length, chunked) {
        (Some(_), true) => return Err(Refusal::LengthAndEncoding),
        (Some(length), false) => Framing::Length(length),
        (None, true) => Framing::Chunked,
        (None, false) => Framing::None,
    };
    host(&fields, http10)?;
    Ok(fields)
}

fn once<T>(slot: &mut Option<T>, value: T, twice: Refusal) -> Result<(), Refusal> {
    if slot.replace(value).is_some() { Err(twice) } else { Ok(()) }
}

/// RFC 9112 §3.2: exactly one valid `Host`; HTTP/1.0 may do without.
fn host(fields: &Fields<'_>, http10: bool) -> Result<(), Refusal> {
    match fields.host {
        Some(host) if target::is_host(host) => Ok(()),
        Some(_) => Err(Refusal::BadHost),
        None if http10 => Ok(()),
        None => Err(Refusal::MissingHost),
    }
}

/// RFC 9110 §8.6: plain digits. A list is refused even when its members agree. Leading zeros are refused,
/// though the grammar has them: somebody downstream may read them as octal, and no client sends them.
fn content_length(value: &[u8]) -> Result<u64, Refusal> {
    if value.contains(&b',') {
        return Err(Refusal::RepeatedContentLength);
    }
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let leading_zero = value.len() > 1 && value.starts_with(b"0");
    // Nineteen digits always fit; what needs more is no length.
    if !digits || leading_zero || value.len() > 19 {
        return Err(Refusal::BadContentLength);
    }
    Ok(value.iter().fold(0, |length, digit| length * 10 + u64::from(digit - b'0')))
}

/// RFC 9112 §6.1, §7: the one word `chunked`, or the reason why not.
fn transfer_encoding(value: &[u8]) -> Result<(), Refusal> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    if value.contains(&b';') {
        return Err(Refusal::EncodingParameters);
    }
    let mut chunked = 0;
    let mut other = 0;
    let mut last_is_chunked = false;
    for coding in value.split(|&b| b == b',').map(<[u8]>::trim_ascii).filter(|coding| !coding.is_empty()) {
        last_is_chunked = coding.eq_ignore_ascii_case(b"chunked");
        if last_is_chunked { chunked += 1 } else { other += 1 }
    }
    // §6.3: a request whose final coding is not chunked has no end; twice chunked is never allowed (§7.1);
    // an unknown coding beside it is merely not implemented (§6.1).
    match (chunked, other) {
        (0, 1..) => Err(Refusal::UnsupportedEncoding),
        (1, 1..) if last_is_chunked => Err(Refusal::UnsupportedEncoding),
        _ => Err(Refusal::ChunkedNotFinal),
    }
}

fn connection(value: &[u8], fields: &mut Fields<'_>) {
    for option in value.split(|&b| b == b',').map(<[u8]>::trim_ascii) {
        if option.eq_ignore_ascii_case(b"close") {
            fields.close = true;
        } else if option.eq_ignore_ascii_case(b"upgrade") {
            fields.upgrade_option = true;
            fields.special = true;
        } else if option.eq_ignore_ascii_case(b"keep-alive") {
            fields.keep_alive = true;
        } else if !option.is_empty() {
            fields.special = true;
        }
    }
}

/// Whether `token`, in lower case, is a member of the list `value` (RFC 9110 §5.6.1).
pub(super) fn has_token(value: &[u8], token: &[u8]) -> bool {
    value.split(|&b| b == b',').any(|member| member.trim_ascii().eq_ignore_ascii_case(token))
}
