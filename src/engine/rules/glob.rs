//! Globs, compiled: of paths (`*` inside a segment, `**` across, `{name}` captures one segment), of hosts, and
//! of plain values (`*` is any run of bytes).
//!
//! Nearly every pattern that people write is one of a few shapes (a literal, a prefix, a suffix, a folder and
//! what is under it) and is compared directly. The rest becomes a `regex`, whose matching time is linear in
//! the input whatever the pattern is: a hostile URL can't make a clumsy pattern explode.

use super::path::{decode_once, decode_stable, upper_triplets};
use regex::bytes::{Regex, RegexBuilder};
use std::fmt::{self, Write as _};
use std::sync::Arc;

/// Bytes of a pattern.
pub const MAX_PATTERN: usize = 512;
/// Wildcards and captures of one pattern.
pub const MAX_WILDCARDS: usize = 32;
/// Bytes that one compiled pattern may take.
const MAX_COMPILED: usize = 1 << 20;
/// Names that templates give another meaning.
pub const RESERVED_NAMES: [&str; 4] = ["host", "path", "header", "query"];

/// Why a pattern was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    #[error("the pattern is empty")]
    Empty,
    #[error("the pattern is longer than {MAX_PATTERN} bytes")]
    TooLong,
    #[error("the pattern has more than {MAX_WILDCARDS} wildcards")]
    TooManyWildcards,
    #[error("a path pattern starts with `/` or `**`")]
    NoSlash,
    #[error("a path has no `{0}`")]
    NotPath(char),
    #[error("`{{` without its `}}`")]
    UnclosedCapture,
    #[error("`{0}` is no name for a capture")]
    CaptureName(String),
    #[error("the capture `{0}` is there twice")]
    DuplicateCapture(String),
    #[error("the capture name `{0}` has a meaning of its own in templates")]
    ReservedCapture(String),
    #[error("`{0}` can't be in a host")]
    HostCharacter(char),
    #[error("`{0}` is no port")]
    Port(String),
    #[error("the pattern is too complicated")]
    TooComplex,
}

impl GlobError {
    /// What would be right.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Empty => "to match anything, write `*` (a path: `/**`)",
            Self::NoSlash => "write `/x/**` for a folder, `**/x` for a name in any folder",
            Self::NotPath('?') => "conditions on the query belong to `match.query: {name: glob}`",
            Self::NotPath(_) => "a fragment never reaches a server",
            Self::UnclosedCapture => "a capture is `{name}`; a literal brace is `%7B`",
            Self::CaptureName(_) => {
                "a name is letters, digits and `_`; alternatives are a list: `path: [/a, /b]`"
            }
            Self::ReservedCapture(_) => "`{host}`, `{path}`, `{header.X}`, `{query.x}` are always there",
            Self::HostCharacter('{' | '}') => "captures are for paths only",
            Self::HostCharacter('/') => "a host has no scheme and no path",
            Self::HostCharacter(_) => {
                "a host is `shop.example.com`, `*.example.com`, `[::1]`, each with or without `:port`"
            }
            Self::Port(_) => "a port is a number from 1 to 65535",
            Self::DuplicateCapture(_) => "give each capture a name of its own",
            Self::TooLong | Self::TooManyWildcards | Self::TooComplex => {
                "write several simpler patterns as a list"
            }
        }
    }
}

/// How a compiled pattern is compared.
#[derive(Clone)]
enum Shape {
    Any,
    Exact(Box<[u8]>),
    Prefix(Box<[u8]>),
    Suffix(Box<[u8]>),
    /// This folder itself, and everything below it.
    Under(Box<[u8]>),
    Regex(Regex),
}

impl Shape {
    fn matches(&self, text: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => **exact == *text,
            Self::Prefix(prefix) => text.starts_with(prefix),
            Self::Suffix(suffix) => text.ends_with(suffix),
            Self::Under(folder) => {
                text.strip_prefix(&**folder).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
            }
            Self::Regex(regex) => regex.is_match(text),
        }
    }

    fn regex(body: &str) -> Result<Self, GlobError> {
        RegexBuilder::new(&format!("^{body}$"))
            .unicode(false)
            .dot_matches_new_line(true)
            .size_limit(MAX_COMPILED)
            .build()
            .map(Self::Regex)
            .map_err(|_| GlobError::TooComplex)
    }
}

/// Appends `bytes` to a regex as a literal.
fn escape(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(*byte));
        } else {
            // Writing to a String can't fail.
            let _ = write!(out, "\\x{byte:02X}");
        }
    }
}

fn check_size(pattern: &str) -> Result<(), GlobError> {
    match pattern.len() {
        0 => Err(GlobError::Empty),
        len if len > MAX_PATTERN => Err(GlobError::TooLong),
        _ if pattern.matches(['*', '{']).count() > MAX_WILDCARDS => Err(GlobError::TooManyWildcards),
        _ => Ok(()),
    }
}

/// A pattern for a value: of a header, a cookie, a parameter or its name, a content type. `*` stands for any
/// run of bytes, also none; everything else for itself. Case counts.
#[derive(Clone)]
pub struct Glob {
    source: Arc<str>,
    shape: Shape,
}

impl Glob {
    pub fn new(pattern: &str) -> Result<Self, GlobError> {
        check_size(pattern)?;
        Ok(Self { source: Arc::from(pattern), shape: value_shape(pattern)? })
    }

    pub fn matches(&self, value: &[u8]) -> bool {
        self.shape.matches(value)
    }

    /// The pattern as written.
    pub fn source(&self) -> &str {
        &self.source
    }
}

fn value_shape(pattern: &str) -> Result<Shape, GlobError> {
    let pieces: Vec<&str> = pattern.split('*').collect();
    Ok(match pieces.as_slice() {
        [exact] => Shape::Exact(exact.as_bytes().into()),
        [first, middle @ .., last] if middle.iter().all(|m| m.is_empty()) => match (*first, *last) {
            ("", "") => Shape::Any,
            (prefix, "") => Shape::Prefix(prefix.as_bytes().into()),
            ("", suffix) => Shape::Suffix(suffix.as_bytes().into()),
            (prefix, suffix) => value_regex(&[prefix, suffix])?,
        },
        pieces => value_regex(pieces)?,
    })
}

fn value_regex(pieces: &[&str]) -> Result<Shape, GlobError> {
    let mut body = String::new();
    for (i, piece) in pieces.iter().enumerate() {
        if i > 0 {
            body.push_str(".*");
        }
        escape(&mut body, piece.as_bytes());
    }
    Shape::regex(&body)
}

impl PartialEq for Glob {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Glob({})", self.source)
    }
}

/// A pattern for hosts, case-insensitive. `*` stands for any run of characters, dots included (as in nginx):
/// `*.example.com` is every sub-domain at any depth. Without a port it matches any port.
#[derive(Clone)]
pub struct HostGlob {
    source: Arc<str>,
    shape: Shape,
    port: Option<u16>,
}

/// Where a host pattern stands in the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HostKey<'a> {
    Any,
    Exact(&'a [u8]),
    /// `.example.com` of `*.example.com`.
    Domain(&'a [u8]),
    Other,
}

impl HostGlob {
    pub fn new(pattern: &str) -> Result<Self, GlobError> {
        check_size(pattern)?;
        let (name, port) = split_port(pattern);
        let port = match port {
            Some(port) => {
                Some(port.parse().ok().filter(|p| *p > 0).ok_or_else(|| GlobError::Port(port.to_owned()))?)
            }
            None => None,
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._*[]:~%".contains(c);
        if let Some(bad) = name.chars().find(|c| !allowed(*c)) {
            return Err(GlobError::HostCharacter(bad));
        }
        if name.is_empty() {
            return Err(GlobError::Empty);
        }
        Ok(Self { source: Arc::from(pattern), shape: value_shape(&name.to_ascii_lowercase())?, port })
    }

    pub fn matches(&self, host: &Host<'_>) -> bool {
        (self.port.is_none() || self.port == host.port) && self.shape.matches(host.name.as_bytes())
    }

    /// The pattern as written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The host, when the pattern stands for one only (on any port or one).
    pub fn exact(&self) -> Option<&str> {
        match &self.shape {
            Shape::Exact(name) => std::str::from_utf8(name).ok(),
            _ => None,
        }
    }

    pub(super) fn key(&self) -> HostKey<'_> {
        match &self.shape {
            Shape::Any => HostKey::Any,
            Shape::Exact(name) => HostKey::Exact(name),
            Shape::Suffix(suffix) if suffix.starts_with(b".") => HostKey::Domain(suffix),
            _ => HostKey::Other,
        }
    }
}

impl PartialEq for HostGlob {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl fmt::Debug for HostGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostGlob({})", self.source)
    }
}

/// A request's host, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host<'a> {
    /// Lower-case; IPv6 in brackets.
    pub name: &'a str,
    /// As given, else that of the scheme.
    pub port: Option<u16>,
}

impl<'a> Host<'a> {
    /// `host` is lower-case, with or without a port.
    pub fn new(host: &'a str, scheme: &str) -> Self {
        let (name, port) = split_port(host);
        let default = match scheme {
            "https" => Some(443),
            "http" => Some(80),
            _ => None,
        };
        Self { name, port: port.and_then(|p| p.parse().ok()).or(default) }
    }
}

/// `h:80`, `[::1]:80`, `h`. Several colons without brackets are a bare IPv6 address.
fn split_port(host: &str) -> (&str, Option<&str>) {
    if let Some(end) = host.rfind(']') {
        let (name, rest) = host.split_at(end + 1);
        return (name, rest.strip_prefix(':'));
    }
    match host.split_once(':') {
        Some((name, port)) if !port.contains(':') => (name, Some(port)),
        _ => (host, None),
    }
}

/// A pattern for paths. `/x/**` matches `/x` as well, `**/*.css` matches at the root (rulings 36).
///
/// Compiled twice: for the path as sent, where characters that a URL can't carry are percent-encoded, and for
/// the decoded path. For most patterns the two are the same.
#[derive(Clone)]
pub struct PathGlob {
    source: Arc<str>,
    raw: Shape,
    /// `None` = as `raw`.
    decoded: Option<Shape>,
    names: Box<[Arc<str>]>,
    key: PathKey,
}

/// Where a path pattern stands in the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PathKey {
    /// Its longest literal run of whole segments, `/a/b`.
    Folder(Box<[u8]>),
    /// What follows the last dot of its last segment, for patterns that start with a wildcard.
    Extension(Box<[u8]>),
    /// Neither; always looked at.
    Open,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Literal(String),
    /// `*`
    Star,
    /// `**`
    Deep,
    Capture(Arc<str>),
}

impl PathGlob {
    pub fn new(pattern: &str) -> Result<Self, GlobError> {
        check_size(pattern)?;
        let rooted = match pattern {
            p if p.starts_with('/') => p.to_owned(),
            p if p.starts_with("**") => format!("/{p}"),
            _ => return Err(GlobError::NoSlash),
        };
        let segments =
            split_segments(&rooted)?.into_iter().map(|s| tokens(&s)).collect::<Result<Vec<_>, _>>()?;
        let names = capture_names(&segments)?;
        let encoded = literals(&segments, encode_literal);
        let plain = literals(&segments, |text| decode_stable(text.as_bytes()));
        let raw = path_shape(&segments, &encoded)?;
        let decoded = if plain == encoded { None } else { Some(path_shape(&segments, &plain)?) };
        // The index is asked with either reading of a path, so it only knows patterns where both are one.
        let key = if decoded.is_none() { path_key(&segments) } else { PathKey::Open };
        Ok(Self { source: Arc::from(pattern), raw, decoded, names, key })
    }

    /// `path` as sent, its triplets in upper case.
    pub fn matches_raw(&self, path: &[u8]) -> bool {
        self.raw.matches(path)
    }

    /// `path` in the lenient reading ([`super::path::lenient`]).
    pub fn matches_decoded(&self, path: &[u8]) -> bool {
        self.decoded.as_ref().unwrap_or(&self.raw).matches(path)
    }

    /// The names of its captures.
    pub fn names(&self) -> &[Arc<str>] {
        &self.names
    }

    /// What the captures hold on this raw path, decoded once. `None` when the pattern does not match.
    pub fn captures(&self, path: &[u8]) -> Option<Vec<(Arc<str>, Box<str>)>> {
        let Shape::Regex(regex) = &self.raw else {
            return self.raw.matches(path).then(Vec::new);
        };
        let found = regex.captures(path)?;
        let value = |(i, name): (usize, &Arc<str>)| {
            let bytes = decode_once(found.get(i + 1)?.as_bytes());
            Some((name.clone(), String::from_utf8_lossy(&bytes).into()))
        };
        Some(self.names.iter().enumerate().filter_map(value).collect())
    }

    /// The pattern as written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// True when no normalised path can match: it holds `//`, a dot segment or `\`.
    pub fn never_matches(&self) -> bool {
        let segments: Vec<&str> = self.source.split('/').collect();
        let last = segments.len().saturating_sub(1);
        segments.iter().enumerate().any(|(i, s)| {
            matches!(*s, "." | "..") || s.contains('\\') || (s.is_empty() && i != 0 && i != last)
        })
    }

    /// True for `**/*.css`, `/*.css` and their kin: any file of that extension, in a folder that anyone can
    /// name (rulings 3).
    pub fn is_extension(&self) -> bool {
        let Some((folder, file)) = self.source.rsplit_once('/') else { return false };
        let wild = folder.split('/').all(|s| s.is_empty() || s.contains(['*', '{']));
        wild && file.contains(['*', '{'])
            && file.rsplit_once('.').is_some_and(|(_, ext)| !ext.contains(['*', '{']))
    }

    pub(super) fn key(&self) -> &PathKey {
        &self.key
    }
}

impl PartialEq for PathGlob {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl fmt::Debug for PathGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PathGlob({})", self.source)
    }
}

fn split_segments(rooted: &str) -> Result<Vec<String>, GlobError> {
    match rooted.chars().find(|c| matches!(c, '?' | '#')) {
        Some(bad) => Err(GlobError::NotPath(bad)),
        None => Ok(rooted.split('/').map(str::to_owned).collect()),
    }
}

fn tokens(segment: &str) -> Result<Vec<Token>, GlobError> {
    let mut out = Vec::new();
    let mut literal = String::new();
    let mut rest = segment;
    while let Some(c) = rest.chars().next() {
        let (token, after) = match c {
            '*' => match rest.strip_prefix("**") {
                Some(after) => (Token::Deep, after.trim_start_matches('*')),
                None => (Token::Star, rest.get(1..).unwrap_or_default()),
            },
            '{' => {
                let (name, after) =
                    rest.get(1..).and_then(|r| r.split_once('}')).ok_or(GlobError::UnclosedCapture)?;
                (Token::Capture(Arc::from(name)), after)
            }
            '}' => return Err(GlobError::UnclosedCapture),
            c => {
                literal.push(c);
                rest = rest.get(c.len_utf8()..).unwrap_or_default();
                continue;
            }
        };
        if !literal.is_empty() {
            out.push(Token::Literal(std::mem::take(&mut literal)));
        }
        out.push(token);
        rest = after;
    }
    if !literal.is_empty() {
        out.push(Token::Literal(literal));
    }
    Ok(out)
}

fn capture_names(segments: &[Vec<Token>]) -> Result<Box<[Arc<str>]>, GlobError> {
    let mut names: Vec<Arc<str>> = Vec::new();
    for token in segments.iter().flatten() {
        let Token::Capture(name) = token else { continue };
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(GlobError::CaptureName(name.to_string()));
        }
        if RESERVED_NAMES.contains(&&**name) {
            return Err(GlobError::ReservedCapture(name.to_string()));
        }
        if names.contains(name) {
            return Err(GlobError::DuplicateCapture(name.to_string()));
        }
        names.push(name.clone());
    }
    Ok(names.into())
}

/// The literals of all segments in order, in one of the two spellings.
fn literals(segments: &[Vec<Token>], spell: impl Fn(&str) -> Vec<u8>) -> Vec<Vec<u8>> {
    let text = |token: &Token| match token {
        Token::Literal(text) => Some(spell(text)),
        _ => None,
    };
    segments.iter().flatten().filter_map(text).collect()
}

/// A literal as a URL carries it: what is not allowed in a path is percent-encoded, triplets in upper case.
fn encode_literal(text: &str) -> Vec<u8> {
    use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
    const NOT_IN_PATHS: &AsciiSet =
        &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`').add(b'^').add(b'|').add(b'\\');
    upper_triplets(&utf8_percent_encode(text, NOT_IN_PATHS).to_string()).into_owned()
}

fn path_shape(segments: &[Vec<Token>], spelled: &[Vec<u8>]) -> Result<Shape, GlobError> {
    let mut spelled = spelled.iter();
    let mut next = || spelled.next().map(Vec::as_slice).unwrap_or_default();
    let segments = segments.get(1..).unwrap_or_default();
    let literal = |s: &[Token]| matches!(s, [] | [Token::Literal(_)]);
    let mut join = |segments: &[Vec<Token>]| {
        let mut out = Vec::new();
        for segment in segments {
            out.push(b'/');
            if !segment.is_empty() {
                out.extend_from_slice(next());
            }
        }
        out.into_boxed_slice()
    };
    match segments {
        all if all.iter().all(|s| literal(s)) => return Ok(Shape::Exact(join(all))),
        [folder @ .., last] if *last == [Token::Deep] && folder.iter().all(|s| literal(s)) => {
            let folder = join(folder);
            return Ok(if folder.is_empty() { Shape::Any } else { Shape::Under(folder) });
        }
        [deep, last] if *deep == [Token::Deep] => match last.as_slice() {
            [Token::Star, Token::Literal(_)] => return Ok(Shape::Suffix(next().into())),
            [Token::Literal(_)] => return Ok(Shape::Suffix([b"/", next()].concat().into())),
            _ => {}
        },
        _ => {}
    }
    let mut body = String::new();
    for segment in segments {
        if *segment == [Token::Deep] {
            body.push_str("(?:/.*)?");
            continue;
        }
        body.push('/');
        for token in segment {
            match token {
                Token::Literal(_) => escape(&mut body, next()),
                Token::Star => body.push_str("[^/]*"),
                Token::Deep => body.push_str(".*"),
                Token::Capture(_) => body.push_str("([^/]+)"),
            }
        }
    }
    Shape::regex(&body)
}

fn path_key(segments: &[Vec<Token>]) -> PathKey {
    let segments = segments.get(1..).unwrap_or_default();
    let mut folder = Vec::new();
    for segment in segments {
        match segment.as_slice() {
            [] => folder.push(b'/'),
            [Token::Literal(text)] => {
                folder.push(b'/');
                folder.extend_from_slice(text.as_bytes());
            }
            _ => break,
        }
    }
    if !folder.is_empty() {
        return PathKey::Folder(folder.into());
    }
    match segments.last().and_then(|s| s.last()) {
        Some(Token::Literal(text)) => match text.rsplit_once('.') {
            Some((_, extension)) if !extension.is_empty() => PathKey::Extension(extension.as_bytes().into()),
            _ => PathKey::Open,
        },
        _ => PathKey::Open,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(pattern: &str, text: &str) -> bool {
        PathGlob::new(pattern).unwrap().matches_raw(text.as_bytes())
    }

    #[test]
    fn path_patterns() {
        for (pattern, yes, no) in [
            ("/", &["/"][..], &["/a", ""][..]),
            ("/a", &["/a"], &["/a/", "/ab", "/A"]),
            ("/a/", &["/a/"], &["/a", "/a/b"]),
            ("/x/**", &["/x", "/x/", "/x/y", "/x/y/z"], &["/xy", "/", "/y/x"]),
            ("**", &["/", "/a", "/a/b"], &[]),
            ("/**", &["/", "/a/b"], &[]),
            ("**/*.css", &["/a.css", "/x/a.css", "/.css"], &["/a.css/b", "/a.css2", "/a"]),
            ("**/robots.txt", &["/robots.txt", "/x/robots.txt"], &["/xrobots.txt"]),
            ("/*.css", &["/a.css"], &["/x/a.css"]),
            ("/x/*/z", &["/x/y/z", "/x//z"], &["/x/z", "/x/a/b/z"]),
            ("/x/**/z", &["/x/z", "/x/a/z", "/x/a/b/z"], &["/xz", "/x/az"]),
            ("/products/{id}", &["/products/1"], &["/products/", "/products/1/2", "/products"]),
            ("/p-{id}.html", &["/p-3.html"], &["/p-.html", "/p-3/4.html"]),
            ("/img**", &["/img", "/img/a/b", "/imgs"], &["/im"]),
            ("/a b/ü", &["/a%20b/%C3%BC"], &["/a b/ü"]),
        ] {
            for text in yes {
                assert!(path(pattern, text), "{pattern} should match {text}");
            }
            for text in no {
                assert!(!path(pattern, text), "{pattern} should not match {text}");
            }
        }
    }

    #[test]
    fn the_decoded_form_knows_its_own_spelling() {
        let glob = PathGlob::new("/caf%c3%a9/*").unwrap();
        assert!(glob.matches_raw(b"/caf%C3%A9/x"));
        assert!(glob.matches_decoded("/café/x".as_bytes()));
    }

    #[test]
    fn captures_are_one_segment_decoded_once() {
        let glob = PathGlob::new("/shop/{area}/{id}").unwrap();
        let found = glob.captures(b"/shop/caf%C3%A9/a%252Fb").unwrap();
        let found: Vec<_> = found.iter().map(|(n, v)| (&**n, &**v)).collect();
        assert_eq!(found, [("area", "café"), ("id", "a%2Fb")]);
        assert!(glob.captures(b"/shop/x").is_none());
    }

    #[test]
    fn refused_patterns() {
        for (pattern, error) in [
            ("", GlobError::Empty),
            ("static/**", GlobError::NoSlash),
            ("/a?b", GlobError::NotPath('?')),
            ("/a#b", GlobError::NotPath('#')),
            ("/{id", GlobError::UnclosedCapture),
            ("/id}", GlobError::UnclosedCapture),
            ("/{a,b}", GlobError::CaptureName("a,b".into())),
            ("/{}", GlobError::CaptureName(String::new())),
            ("/{host}", GlobError::ReservedCapture("host".into())),
            ("/{a}/{a}", GlobError::DuplicateCapture("a".into())),
        ] {
            assert_eq!(PathGlob::new(pattern).unwrap_err(), error, "{pattern}");
        }
        assert_eq!(PathGlob::new(&format!("/{}", "*a".repeat(33))).unwrap_err(), GlobError::TooManyWildcards);
        assert_eq!(PathGlob::new(&format!("/{}", "a".repeat(512))).unwrap_err(), GlobError::TooLong);
        assert_eq!(HostGlob::new("http://x").unwrap_err(), GlobError::Port("//x".into()));
        assert_eq!(HostGlob::new("x/y").unwrap_err(), GlobError::HostCharacter('/'));
        assert_eq!(HostGlob::new("x:0").unwrap_err(), GlobError::Port("0".into()));
    }

    #[test]
    fn host_patterns() {
        let is =
            |pattern: &str, host: &str| HostGlob::new(pattern).unwrap().matches(&Host::new(host, "https"));
        assert!(is("Shop.Example.com", "shop.example.com"));
        assert!(is("shop.example.com", "shop.example.com:8443"));
        assert!(is("shop.example.com:443", "shop.example.com"));
        assert!(!is("shop.example.com:8443", "shop.example.com"));
        assert!(is("*.example.com", "a.b.example.com"));
        assert!(!is("*.example.com", "example.com"));
        assert!(is("*", "anything:1"));
        assert!(is("[::1]:8080", "[::1]:8080"));
        assert!(is("api-*.example.com", "api-7.example.com"));
    }

    #[test]
    fn value_patterns() {
        let is = |pattern: &str, value: &str| Glob::new(pattern).unwrap().matches(value.as_bytes());
        assert!(is("*", ""));
        assert!(is("text/*", "text/css"));
        assert!(is("*bot", "googlebot"));
        assert!(is("a*c", "abc") && is("a*c", "ac") && !is("a*c", "a"));
        assert!(is("a*b*c", "axxbyyc") && !is("a*b*c", "axxcyyb"));
        assert!(!is("aba*aba", "aba"), "the two ends may not share bytes");
        assert!(is("wordpress_*", "wordpress_logged_in_1") && !is("x", "X"));
    }

    #[test]
    fn a_hostile_path_costs_linear_time_on_a_clumsy_pattern() {
        // A matcher that backtracks would need more steps than there are atoms; this returns at once.
        let text = format!("/{}", "a".repeat(100_000));
        assert!(!path(&format!("/{}b", "*a".repeat(31)), &text));
        assert!(!path("/{a}a{b}a{c}a{d}a{e}a{f}ab", &text));
        assert!(PathGlob::new("/{a}a{b}a{c}a{d}a{e}b").unwrap().captures(text.as_bytes()).is_none());
        assert!(!Glob::new(&format!("{}b", "a*".repeat(31))).unwrap().matches(text.as_bytes()));
    }

    #[test]
    fn lints() {
        let glob = |p: &str| PathGlob::new(p).unwrap();
        assert!(glob("**/*.css").is_extension() && glob("/*.js").is_extension());
        assert!(!glob("/static/**/*.css").is_extension() && !glob("/a.css").is_extension());
        assert!(glob("/a/../b").never_matches() && glob("/a//b").never_matches());
        assert!(!glob("/a/b/").never_matches());
    }
}
