//! Patterns for paths.

use super::super::path::{decode_once, decode_stable, upper_triplets};
use super::{GlobError, RESERVED_NAMES, Shape, check_size, escape};
use std::fmt;
use std::sync::Arc;

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
pub(in crate::engine::rules) enum PathKey {
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

    pub(in crate::engine::rules) fn key(&self) -> &PathKey {
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
    }

    #[test]
    fn a_hostile_path_costs_linear_time_on_a_clumsy_pattern() {
        // A matcher that backtracks would need more steps than there are atoms; this returns at once.
        let text = format!("/{}", "a".repeat(100_000));
        assert!(!path(&format!("/{}b", "*a".repeat(31)), &text));
        assert!(!path("/{a}a{b}a{c}a{d}a{e}a{f}ab", &text));
        assert!(PathGlob::new("/{a}a{b}a{c}a{d}a{e}b").unwrap().captures(text.as_bytes()).is_none());
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
