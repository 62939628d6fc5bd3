//! `Cache-Control` (RFC 9111 §5.2) of requests and responses, and `Pragma` of requests (§5.4).
//!
//! ```text
//! Cache-Control   = #cache-directive
//! cache-directive = token [ "=" ( token / quoted-string ) ]
//! ```
//!
//! Origins get this wrong in many ways, and a shared cache that guesses wrong shows one person's page to
//! another. The rule of this reader: **what is written badly may restrict, never permit**.
//!
//! * Each line is read on its own; commas inside a quoted string do not separate. A quote that does not close,
//!   or not at the end of its member, is an ordinary character, so that it can't hide a `no-store` behind it.
//! * A directive is recognised by its leading token. If what follows is not an argument (`private; max-age=9`,
//!   `max-age =60`) the directive counts as present with an argument nobody can read: restrictions hold,
//!   `public`, `immutable` and `must-understand` don't, a lifetime is [unreadable] and the response stale
//!   (§4.2.1), a list of fields becomes the whole response.
//! * Arguments may be tokens or quoted strings, whichever form the directive asks for (§5.2), and are ignored
//!   where none is defined. Unknown directives are ignored (§5.2.3).
//! * Of a directive that occurs twice the first counts (§4.2.1); lists of fields add up.
//! * Requests: what can't be read is ignored. All their directives are advice (§5.2.1).
//!
//! [unreadable]: ResponseDirectives::unreadable_lifetime

use http::header::{CACHE_CONTROL, PRAGMA};
use http::{HeaderMap, HeaderName};
use std::borrow::Cow;

/// More fields than this in one `no-cache="…"` or `private="…"`: the directive concerns the whole response.
const MAX_FIELDS: usize = 64;
/// Of the directives known here: `stale-while-revalidate`.
const LONGEST_NAME: usize = 22;

/// A directive that may name fields: `no-cache`, `private` (RFC 9111 §5.2.2.4, §5.2.2.7).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Qualified {
    #[default]
    Absent,
    /// Concerns the whole response.
    Whole,
    /// Concerns only these fields.
    Fields(Vec<HeaderName>),
}

impl Qualified {
    /// The fields that are named, if only fields are.
    pub fn fields(&self) -> &[HeaderName] {
        match self {
            Self::Fields(names) => names,
            Self::Absent | Self::Whole => &[],
        }
    }

    /// One more occurrence. `list` is the argument; `None`, or anything but a list of field names: the whole
    /// response.
    pub(super) fn add(&mut self, list: Option<&[u8]>) {
        let Some(mut names) = list.and_then(field_names) else {
            *self = Self::Whole;
            return;
        };
        match self {
            Self::Whole => {}
            Self::Absent => *self = Self::Fields(names),
            Self::Fields(known) => {
                names.retain(|name| !known.contains(name));
                known.append(&mut names);
                if known.len() > MAX_FIELDS {
                    *self = Self::Whole;
                }
            }
        }
    }
}

/// What a response's `Cache-Control`, or the targeted field that stands for it, says. Seconds saturate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseDirectives {
    pub max_age: Option<u64>,
    pub s_maxage: Option<u64>,
    pub no_cache: Qualified,
    pub private: Qualified,
    pub no_store: bool,
    pub public: bool,
    pub must_revalidate: bool,
    pub proxy_revalidate: bool,
    pub must_understand: bool,
    pub no_transform: bool,
    pub immutable: bool,
    pub stale_while_revalidate: Option<u64>,
    pub stale_if_error: Option<u64>,
    /// `max-age` or `s-maxage` was there and could not be read: treat as stale (§4.2.1).
    pub unreadable_lifetime: bool,
}

impl ResponseDirectives {
    /// From every `Cache-Control` line of a response.
    pub fn parse(headers: &HeaderMap) -> Self {
        let mut said = Self::default();
        for line in headers.get_all(CACHE_CONTROL) {
            for directive in members(line.as_bytes(), b',').filter_map(Directive::read) {
                said.add(&directive);
            }
        }
        said
    }

    /// Takes one directive in. False: it means nothing to a response.
    pub(super) fn add(&mut self, directive: &Directive<'_>) -> bool {
        let mut name = [0; LONGEST_NAME];
        let argument = &directive.argument;
        let well_formed = !matches!(argument, Argument::Malformed);
        match directive.name(&mut name) {
            b"max-age" => set_lifetime(&mut self.max_age, &mut self.unreadable_lifetime, argument),
            b"s-maxage" => set_lifetime(&mut self.s_maxage, &mut self.unreadable_lifetime, argument),
            b"stale-while-revalidate" => set_seconds(&mut self.stale_while_revalidate, argument),
            b"stale-if-error" => set_seconds(&mut self.stale_if_error, argument),
            b"no-cache" => self.no_cache.add(argument.value()),
            b"private" => self.private.add(argument.value()),
            b"no-store" => self.no_store = true,
            b"must-revalidate" => self.must_revalidate = true,
            b"proxy-revalidate" => self.proxy_revalidate = true,
            b"no-transform" => self.no_transform = true,
            b"public" => self.public |= well_formed,
            b"must-understand" => self.must_understand |= well_formed,
            b"immutable" => self.immutable |= well_formed,
            _ => return false,
        }
        true
    }
}

/// `max-stale` (RFC 9111 §5.2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxStale {
    Any,
    Seconds(u64),
}

/// What a request's `Cache-Control` (or, in its absence, `Pragma: no-cache`) asks for (RFC 9111 §5.2.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestDirectives {
    pub no_cache: bool,
    pub no_store: bool,
    pub no_transform: bool,
    pub only_if_cached: bool,
    pub max_age: Option<u64>,
    pub max_stale: Option<MaxStale>,
    pub min_fresh: Option<u64>,
    /// RFC 5861 §4, request form.
    pub stale_if_error: Option<u64>,
}

impl RequestDirectives {
    /// Allocates nothing for requests as clients send them; this is on the path of every hit.
    pub fn parse(headers: &HeaderMap) -> Self {
        let mut asked = Self::default();
        for line in headers.get_all(CACHE_CONTROL) {
            for directive in members(line.as_bytes(), b',').filter_map(Directive::read) {
                asked.add(&directive);
            }
        }
        // §5.4: only in the absence of Cache-Control.
        if !headers.contains_key(CACHE_CONTROL) {
            asked.no_cache = headers
                .get_all(PRAGMA)
                .iter()
                .flat_map(|line| members(line.as_bytes(), b','))
                .filter_map(Directive::read)
                .any(|directive| directive.name.eq_ignore_ascii_case(b"no-cache"));
        }
        asked
    }

    fn add(&mut self, directive: &Directive<'_>) {
        let mut name = [0; LONGEST_NAME];
        let argument = &directive.argument;
        match directive.name(&mut name) {
            b"no-cache" => self.no_cache = true,
            b"no-store" => self.no_store = true,
            b"no-transform" => self.no_transform = true,
            b"only-if-cached" => self.only_if_cached = true,
            b"max-age" => set_seconds(&mut self.max_age, argument),
            b"min-fresh" => set_seconds(&mut self.min_fresh, argument),
            b"stale-if-error" => set_seconds(&mut self.stale_if_error, argument),
            b"max-stale" => {
                let accepted = match argument {
                    Argument::Absent => Some(MaxStale::Any),
                    argument => argument.seconds().map(MaxStale::Seconds),
                };
                self.max_stale = self.max_stale.or(accepted);
            }
            _ => {}
        }
    }
}

fn set_lifetime(slot: &mut Option<u64>, unreadable: &mut bool, argument: &Argument<'_>) {
    match argument.seconds() {
        Some(seconds) => {
            slot.get_or_insert(seconds);
        }
        None => *unreadable = true,
    }
}

fn set_seconds(slot: &mut Option<u64>, argument: &Argument<'_>) {
    if slot.is_none() {
        *slot = argument.seconds();
    }
}

/// One member of the list.
#[derive(Debug)]
pub(super) struct Directive<'a> {
    /// A token, in the case it was sent.
    pub name: &'a [u8],
    pub argument: Argument<'a>,
}

impl<'a> Directive<'a> {
    /// `None` when the member does not begin with a token.
    pub fn read(member: &'a [u8]) -> Option<Self> {
        let end = member.iter().position(|byte| !is_tchar(*byte)).unwrap_or(member.len());
        let (name, rest) = member.split_at(end);
        let argument = match rest.split_first() {
            None => Argument::Absent,
            Some((b'=', value)) => Argument::read(value),
            Some(_) => Argument::Malformed,
        };
        (!name.is_empty()).then_some(Self { name, argument })
    }

    /// The name in lower case (§5.2: names are case-insensitive); empty when it is too long to be known.
    fn name<'b>(&self, buffer: &'b mut [u8; LONGEST_NAME]) -> &'b [u8] {
        let Some(lower) = buffer.get_mut(..self.name.len()) else { return &[] };
        lower.copy_from_slice(self.name);
        lower.make_ascii_lowercase();
        lower
    }
}

/// What follows a directive's name.
#[derive(Debug)]
pub(super) enum Argument<'a> {
    Absent,
    /// A token, or what a quoted string stands for.
    Value(Cow<'a, [u8]>),
    Malformed,
}

impl<'a> Argument<'a> {
    fn read(value: &'a [u8]) -> Self {
        if let Some((b'"', content)) = value.split_first() {
            return match quoted_string(content) {
                Some(length) if length == content.len() => {
                    Self::Value(unescaped(content.get(..length.saturating_sub(1)).unwrap_or_default()))
                }
                _ => Self::Malformed,
            };
        }
        if !value.is_empty() && value.iter().all(|byte| is_tchar(*byte)) {
            Self::Value(Cow::Borrowed(value))
        } else {
            Self::Malformed
        }
    }

    pub fn value(&self) -> Option<&[u8]> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Malformed => None,
        }
    }

    fn seconds(&self) -> Option<u64> {
        self.value().and_then(delta_seconds)
    }
}

/// `delta-seconds`; too large a number is the largest we hold (RFC 9111 §1.2.2).
pub(super) fn delta_seconds(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0u64, |sum, byte| {
        byte.is_ascii_digit().then(|| sum.saturating_mul(10).saturating_add(u64::from(byte - b'0')))
    })
}

/// The members of a list, trimmed, some perhaps empty. A separator inside a quoted string does not separate;
/// such a string opens after `=` only, and only if it also closes, at the end of the member or before its
/// parameters.
pub(super) fn members(line: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let (member, tail) = rest?.split_at(member_length(rest?, separator));
        rest = tail.get(1..);
        Some(member.trim_ascii())
    })
}

fn member_length(text: &[u8], separator: u8) -> usize {
    let mut at = 0;
    let mut after_equals = false;
    while let Some((byte, tail)) = text.get(at..).and_then(<[u8]>::split_first) {
        if *byte == separator {
            break;
        }
        if *byte == b'"'
            && after_equals
            && let Some(length) = quoted_string(tail)
        {
            let behind = tail.get(length..).unwrap_or_default().trim_ascii_start().first();
            if behind.is_none_or(|next| *next == separator || matches!(next, b',' | b';')) {
                at += length;
            }
        }
        after_equals = *byte == b'=' || (after_equals && matches!(byte, b' ' | b'\t'));
        at += 1;
    }
    at
}

/// The length of a quoted string whose opening quote has been taken, closing quote included (RFC 9110 §5.6.4).
fn quoted_string(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn unescaped(content: &[u8]) -> Cow<'_, [u8]> {
    if !content.contains(&b'\\') {
        return Cow::Borrowed(content);
    }
    let mut plain = Vec::with_capacity(content.len());
    let mut bytes = content.iter();
    while let Some(byte) = bytes.next() {
        plain.push(if *byte == b'\\' { *bytes.next().unwrap_or(byte) } else { *byte });
    }
    Cow::Owned(plain)
}

/// `None` unless every member is a field name, and there are some, but not too many.
fn field_names(list: &[u8]) -> Option<Vec<HeaderName>> {
    let mut names = Vec::new();
    for member in list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|m| !m.is_empty()) {
        let name = HeaderName::from_bytes(member).ok()?;
        if !names.contains(&name) {
            names.push(name);
        }
        if names.len() > MAX_FIELDS {
            return None;
        }
    }
    (!names.is_empty()).then_some(names)
}

/// RFC 9110 §5.6.2.
pub(super) const fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

#[cfg(test)]
mod tests;
