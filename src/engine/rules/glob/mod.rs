//! Globs, compiled: of paths (`*` inside a segment, `**` across, `{name}` captures one segment), of hosts, and
//! of plain values (`*` is any run of bytes).
//!
//! Nearly every pattern that people write is one of a few shapes (a literal, a prefix, a suffix, a folder and
//! what is under it) and is compared directly. The rest becomes a `regex`, whose matching time is linear in
//! the input whatever the pattern is: a hostile URL can't make a clumsy pattern explode.

mod host;
mod path;

pub(super) use host::HostKey;
pub use host::{Host, HostGlob};
pub use path::PathGlob;
pub(super) use path::PathKey;

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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_hostile_value_costs_linear_time_on_a_clumsy_pattern() {
        // A matcher that backtracks would need more steps than there are atoms; this returns at once.
        let text = "a".repeat(100_000);
        assert!(!Glob::new(&format!("{}b", "a*".repeat(31))).unwrap().matches(text.as_bytes()));
    }
}
