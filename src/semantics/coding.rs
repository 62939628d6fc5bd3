//! Content codings that this cache applies itself (RFC 9110 §8.4): which responses may have a coded form, which form a
//! request is answered with, and what the header section of a coded form says.
//!
//! A response as the origin sent it, without `Content-Encoding`, is the *plain* form. It is what is stored, validated and
//! purged; coded forms are made of it. Towards clients all forms are representations of one resource, chosen by
//! `Accept-Encoding` (§12.5.3), so every one of them carries `Vary: Accept-Encoding`; towards the origin there is only the
//! plain one.
//!
//! # Entity tags
//! A strong tag names bytes, so a coded form must have another one than the plain form (§8.8.3.3). It gets the plain form's
//! with a suffix inside the quotes: `"abc"` becomes `"abc--gzip"`. It stays strong, so that ranges and `If-Range` work on coded
//! forms too; which is honest as long as the same plain bytes always make the same coded bytes (a test pins them). A weak
//! tag says that two representations are as good as each other, and all forms may share it.
//!
//! The suffix has two hyphens because Apache's has one: a tag of ours is not taken for an origin's, nor the other way round.
//! Conditions go both ways:
//! * a client's `If-None-Match` may name any form that it could be answered with now ([`held`]): the answer is a 304 with the tag
//!   of the form that it holds, whether that form is here or not;
//! * what goes to the origin names the plain form ([`restore`]), in `If-Match` too, or an editor's `PUT` would fail with 412;
//! * a range is cut from the plain form, unless `If-Range` has the strong tag of a coded one ([`pick`]). A date can't tell forms
//!   apart, so beside it a range is answered in full ([`is_range_unclear`]).
//!
//! `no-transform` in the response forbids all of this (RFC 9110 §7.7, RFC 9111 §5.2.2.6); in a request it is heard, too
//! (§5.2.1.6).

use super::date;
use super::etag::{EntityTag, Tag, members};
use super::fields::Lookup;
use super::vary::weighted_member;
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use smallvec::SmallVec;

/// A content coding that can be made here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// RFC 8878; windows of at most 8 MB (RFC 9659).
    Zstd,
    /// RFC 7932.
    Brotli,
    /// RFC 1952.
    Gzip,
}

/// A few of them.
pub type Codings = SmallVec<[Coding; 3]>;

impl Coding {
    pub const ALL: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    /// As in `Accept-Encoding` and `Content-Encoding`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// What a strong entity tag ends in, before the quote. To be changed whenever an encoder makes other bytes than before.
    const fn suffix(self) -> &'static [u8] {
        match self {
            Self::Zstd => b"--zstd",
            Self::Brotli => b"--br",
            Self::Gzip => b"--gzip",
        }
    }

    fn named(name: &[u8]) -> Option<Self> {
        match name {
            name if name.eq_ignore_ascii_case(b"zstd") => Some(Self::Zstd),
            name if name.eq_ignore_ascii_case(b"br") => Some(Self::Brotli),
            // RFC 9110 §8.4.1.3.
            name if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") => {
                Some(Self::Gzip)
            }
            _ => None,
        }
    }
}

/// The codings of `offered` that the lines of an `Accept-Encoding` accept, the most wanted first and equals in the order of
/// `offered`; without those that are wanted less than no coding at all. RFC 9110 §12.5.3: a coding that is not listed is not
/// accepted unless `*` is, and 0 refuses. Of a coding listed twice the lower weight counts; a member that can't be read
/// accepts nothing. A request without the field accepts anything, which is not the same as wanting it: it gets the plain form.
pub fn acceptable<'a>(lines: impl Iterator<Item = &'a [u8]>, offered: &[Coding]) -> Codings {
    let (mut star, mut identity) = (None, None);
    let mut listed: SmallVec<[(Coding, u16); 4]> = SmallVec::new();
    let lower =
        |slot: &mut Option<u16>, weight: u16| *slot = Some(slot.map_or(weight, |before| before.min(weight)));
    for (name, weight) in lines.flat_map(|line| line.split(|b| *b == b',')).filter_map(weighted_member) {
        match Coding::named(name) {
            Some(coding) => match listed.iter_mut().find(|(known, _)| *known == coding) {
                Some((_, before)) => *before = weight.min(*before),
                None => listed.push((coding, weight)),
            },
            None if name == b"*" => lower(&mut star, weight),
            None if name.eq_ignore_ascii_case(b"identity") => lower(&mut identity, weight),
            None => {}
        }
    }
    let weight = |coding: &Coding| {
        let own = listed.iter().find(|(known, _)| known == coding).map(|(_, weight)| *weight);
        own.or(star).unwrap_or(0)
    };
    let least = identity.unwrap_or(0).max(1);
    let mut wanted: Codings = offered.iter().copied().filter(|coding| weight(coding) >= least).collect();
    wanted.sort_by_key(|coding| std::cmp::Reverse(weight(coding)));
    wanted
}

fn accepted(request: &HeaderMap, offered: &[Coding]) -> Codings {
    acceptable(request.get_all(ACCEPT_ENCODING).iter().map(HeaderValue::as_bytes), offered)
}

/// Media types that shrink, beside `text/*` and those with one of [`SUFFIXES`]. Images, sound, video, archives, WOFF and
/// PDF are compressed as they are.
const TYPES: [&str; 24] = [
    "application/ecmascript",
    "application/graphql",
    "application/javascript",
    "application/json",
    "application/json-seq",
    "application/ndjson",
    "application/rtf",
    "application/toml",
    "application/vnd.ms-fontobject",
    "application/wasm",
    "application/x-font-otf",
    "application/x-font-ttf",
    "application/x-javascript",
    "application/x-ndjson",
    "application/x-sh",
    "application/x-yaml",
    "application/xml",
    "application/yaml",
    "font/collection",
    "font/otf",
    "font/ttf",
    "image/bmp",
    "image/vnd.microsoft.icon",
    "image/x-icon",
];
const SUFFIXES: [&str; 4] = ["+json", "+xml", "+yaml", "+json-seq"];

fn shrinks(media_type: &str) -> bool {
    let bare = media_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    // An event stream is read as it is written.
    (bare.starts_with("text/") && bare != "text/event-stream")
        || TYPES.contains(&bare.as_str())
        || SUFFIXES.iter().any(|suffix| bare.ends_with(suffix))
}

/// Whether a response may have coded forms: a whole 200 without a coding, of a type that shrinks, which nobody forbids to be
/// transformed.
pub fn is_codable(status: StatusCode, headers: &HeaderMap, no_transform: bool) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else { return false };
    status == StatusCode::OK
        && !no_transform
        && !headers.contains_key(CONTENT_ENCODING)
        && !headers.contains_key(CONTENT_RANGE)
        && only.to_str().is_ok_and(shrinks)
}

/// Digests of the content or of the representation (RFC 9530, RFC 3230, RFC 1864), which a coding changes.
const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// The header section of the coded form of a response with these fields. `length`: bytes of the coded body; `None`: no matter,
/// for a 304.
pub fn encoded(plain: &HeaderMap, coding: Coding, length: Option<u64>) -> HeaderMap {
    let mut headers = plain.clone();
    DIGESTS.iter().for_each(|name| {
        headers.remove(name);
    });
    match length {
        Some(length) => headers.insert(CONTENT_LENGTH, length.into()),
        None => headers.remove(CONTENT_LENGTH),
    };
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.as_str()));
    match strong(plain).and_then(|tag| HeaderValue::from_bytes(&suffixed(&tag, coding)).ok()) {
        Some(tag) => {
            headers.insert(ETAG, tag);
        }
        // Nothing that tells one form's bytes from another's: a resumed download might join the two.
        None => {
            headers.insert(ACCEPT_RANGES, HeaderValue::from_static("none"));
        }
    }
    vary(&mut headers);
    headers
}

/// Says that `Accept-Encoding` selects the form (RFC 9110 §12.5.5).
pub fn vary(headers: &mut HeaderMap) {
    let lines: Vec<&[u8]> = headers.get_all(VARY).iter().map(HeaderValue::as_bytes).collect();
    let says =
        |member: &[u8]| member == b"*" || member.eq_ignore_ascii_case(ACCEPT_ENCODING.as_str().as_bytes());
    if lines.iter().flat_map(|line| line.split(|b| *b == b',')).any(|member| says(member.trim_ascii())) {
        return;
    }
    let all = lines.into_iter().filter(|line| !line.is_empty()).chain([&b"Accept-Encoding"[..]]);
    if let Ok(value) = HeaderValue::from_bytes(&all.collect::<Vec<_>>().join(&b", "[..])) {
        headers.insert(VARY, value);
    }
}

fn strong(headers: &impl Lookup) -> Option<EntityTag<'_>> {
    match Tag::of(headers) {
        Some(Tag::Entity(tag)) if !tag.weak => Some(tag),
        _ => None,
    }
}

/// `"abc--gzip"` of `"abc"`.
fn suffixed(plain: &EntityTag<'_>, coding: Coding) -> Vec<u8> {
    let inside = plain.opaque.strip_suffix(b"\"").unwrap_or(plain.opaque);
    [inside, coding.suffix(), b"\""].concat()
}

/// `"abc"` of `"abc--gzip"`, weak or not.
fn unsuffixed(tag: &EntityTag<'_>) -> Option<Vec<u8>> {
    let inside = tag.opaque.strip_suffix(b"\"")?;
    let plain = Coding::ALL.iter().find_map(|coding| inside.strip_suffix(coding.suffix()))?;
    let weak: &[u8] = if tag.weak { b"W/" } else { b"" };
    (!plain.is_empty()).then(|| [weak, plain, b"\""].concat())
}

/// The form that answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    Plain,
    Coded(Coding),
    /// A range of this form, if it is here; else the plain form, whole.
    IfThere(Coding),
}

/// Which form of a response with the fields `plain` answers this request, of those `offered`.
pub fn pick(method: &Method, request: &HeaderMap, plain: &impl Lookup, offered: &[Coding]) -> Pick {
    if *method == Method::GET && request.contains_key(RANGE) {
        match request.get(IF_RANGE).map(|value| value.as_bytes().trim_ascii()) {
            None => return Pick::Plain,
            Some(value) => {
                if let Some(coding) = form_of(value, plain, offered) {
                    return coding.map_or(Pick::Plain, Pick::IfThere);
                }
            }
        }
    }
    let accepted = accepted(request, offered);
    let Some(first) = accepted.first() else { return Pick::Plain };
    // A 304 is made of the plain form, whichever form the client holds.
    if names_plain(request, plain) || named(request, plain, &accepted).is_some() {
        return Pick::Plain;
    }
    Pick::Coded(*first)
}

/// Of which form this is the strong tag: `Some(None)` of the plain one.
fn form_of(tag: &[u8], plain: &impl Lookup, offered: &[Coding]) -> Option<Option<Coding>> {
    let (tag, current) = (EntityTag::parse(tag)?, strong(plain)?);
    if tag.strong_eq(&current) {
        return Some(None);
    }
    let is = |coding: &&Coding| !tag.weak && tag.opaque == suffixed(&current, **coding);
    offered.iter().find(is).map(|coding| Some(*coding))
}

/// `If-None-Match` names the plain form.
fn names_plain(request: &HeaderMap, plain: &impl Lookup) -> bool {
    let Some(current) = Tag::of(plain) else { return false };
    tags(request).any(|tag| tag.weak_eq(&current))
}

/// The form that `If-None-Match` names, the first of `codings` if it names several.
fn named(request: &HeaderMap, plain: &impl Lookup, codings: &[Coding]) -> Option<Coding> {
    if !request.contains_key(IF_NONE_MATCH) {
        return None;
    }
    let current = strong(plain)?;
    codings.iter().copied().find(|coding| {
        let coded = suffixed(&current, *coding);
        tags(request).any(|tag| matches!(tag, Tag::Entity(tag) if tag.opaque == coded))
    })
}

fn tags(request: &HeaderMap) -> impl Iterator<Item = Tag<'_>> {
    let lines = request.get_all(IF_NONE_MATCH).iter();
    lines.flat_map(|line| members(line.as_bytes())).filter_map(Tag::parse)
}

/// The coded form that the client holds, and may go on using: `If-None-Match` names it, and it could be the answer to this very
/// request (a cache between us and several clients names all that it holds, RFC 9111 §4.3.1).
pub fn held(method: &Method, request: &HeaderMap, plain: &impl Lookup, offered: &[Coding]) -> Option<Coding> {
    let read = matches!(*method, Method::GET | Method::HEAD) && request.contains_key(IF_NONE_MATCH);
    if read { named(request, plain, &accepted(request, offered)) } else { None }
}

/// A range by date, of a response that this client may hold in another form than it gets now: a date is the same for all forms, so
/// what it asks for need not continue what it has. `Range` is to be ignored, as it may always be (RFC 9110 §14.2).
pub fn is_range_unclear(request: &HeaderMap, offered: &[Coding]) -> bool {
    request.contains_key(RANGE)
        && request.get(IF_RANGE).is_some_and(|value| date::parse(value.as_bytes().trim_ascii()).is_some())
        && !accepted(request, offered).is_empty()
}

/// Rewrites a client's conditions for the origin, which knows the plain form alone. A range of a coded form is nothing it could
/// answer: the whole is asked for instead.
pub fn restore(request: &mut HeaderMap) {
    for name in [IF_MATCH, IF_NONE_MATCH] {
        let lines: Vec<HeaderValue> = request.get_all(&name).iter().cloned().collect();
        if !lines.iter().any(|line| members(line.as_bytes()).any(|member| coded(member).is_some())) {
            continue;
        }
        request.remove(&name);
        for line in lines {
            let plain: Vec<Vec<u8>> =
                members(line.as_bytes()).map(|m| coded(m).unwrap_or_else(|| m.to_vec())).collect();
            if let Ok(line) = HeaderValue::from_bytes(&plain.join(&b", "[..])) {
                request.append(name.clone(), line);
            }
        }
    }
    if request.get(IF_RANGE).is_some_and(|value| coded(value.as_bytes().trim_ascii()).is_some()) {
        request.remove(IF_RANGE);
        request.remove(RANGE);
    }
}

/// The plain form's tag, if this is one of a coded form.
fn coded(member: &[u8]) -> Option<Vec<u8>> {
    unsuffixed(&EntityTag::parse(member)?)
}

/// The origin's 304 to conditions that were [restored](restore) gets the tag of the form that the client holds, without which
/// it could not tell what is confirmed (RFC 9111 §4.3.4).
pub fn confirm_held(request: &HeaderMap, not_modified: &mut HeaderMap) {
    if names_plain(request, not_modified) {
        return;
    }
    let coding = named(request, not_modified, &Coding::ALL);
    let tag = coding.zip(strong(not_modified)).map(|(coding, tag)| suffixed(&tag, coding));
    if let Some(tag) = tag.and_then(|tag| HeaderValue::from_bytes(&tag).ok()) {
        not_modified.insert(ETAG, tag);
    }
}

#[cfg(test)]
mod tests;
