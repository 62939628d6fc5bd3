//! What no selector can say: regular expressions and wildcards over URL, host, tags and content type (`BAN` and its
//! kin). A predicate is checked on the slow path against what the entry keeps for it, so there are few (256).
//!
//! The expressions are written for PCRE by other products and come from the network. The engine is linear in time,
//! works on bytes (header values need not be UTF-8, and PCRE without `/u` does the same), and has limits on the
//! pattern, the compiled program and its cache. What it doesn't know (look-around, back-references) is an error that
//! the caller answers with 400, never ignored.

use regex::bytes::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Bytes of one pattern as it was given.
pub const MAX_PATTERN_BYTES: usize = 8 * 1024;
/// Bytes of one compiled program: a ban of 7.5 KiB of alternatives fits, `(a{999}){999}` doesn't.
const MAX_PROGRAM_BYTES: usize = 1024 * 1024;
/// Bytes of the lazily built automaton's cache, per thread that uses it.
const MAX_CACHE_BYTES: usize = 128 * 1024;
/// Nesting of groups.
const MAX_NESTING: u32 = 100;

/// Why a predicate can't be used; the answer is 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("a pattern of more than {MAX_PATTERN_BYTES} bytes")]
    TooLong,
    #[error("the compiled pattern is too big")]
    TooBig,
    #[error("{0}")]
    Syntax(String),
    #[error("a predicate without any condition")]
    Empty,
}

impl PatternError {
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::TooLong => "pattern-too-long",
            Self::TooBig => "pattern-too-big",
            Self::Syntax(_) => "pattern-syntax",
            Self::Empty => "predicate-empty",
        }
    }
}

/// One pattern as it is written, and as a record of the log carries it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// Unanchored, as in VCL.
    Regex(String),
    /// The whole text, `*` stands for anything.
    Wildcard(String),
    /// The text begins with this: a prefix off a boundary.
    Prefix(String),
}

/// All conditions that are given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PredicateSpec {
    /// Against the host, with and without its port, in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Pattern>,
    /// Against path and query, as keyed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Pattern>,
    /// Against each line of the raw tags ([`super::Tags::raw`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Pattern>,
    /// Against `Content-Type`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<Pattern>,
}

/// What predicates are checked against, as the entry keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subject<'a> {
    /// `host` or `host:port`.
    pub authority: &'a str,
    /// `path?query`, as keyed.
    pub url: &'a str,
    /// [`super::Tags::raw`]; `None` = not known yet, because the head isn't there.
    pub tags: Option<&'a str>,
    /// `Some("")` where the response has none; `None` = not known yet.
    pub content_type: Option<&'a str>,
}

/// A compiled predicate; cheap to clone.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "PredicateSpec", into = "PredicateSpec")]
pub struct Predicate(Arc<Compiled>);

#[derive(Debug)]
struct Compiled {
    spec: PredicateSpec,
    host: Option<Regex>,
    url: Option<Regex>,
    tags: Option<Regex>,
    content_type: Option<Regex>,
}

impl Predicate {
    pub fn compile(spec: PredicateSpec) -> Result<Self, PatternError> {
        let compile = |pattern: &Option<Pattern>, any_case| {
            pattern.as_ref().map(|pattern| compile(pattern, any_case)).transpose()
        };
        let host = compile(&spec.host, true)?;
        let url = compile(&spec.url, false)?;
        let tags = compile(&spec.tags, false)?;
        let content_type = compile(&spec.content_type, true)?;
        if host.is_none() && url.is_none() && tags.is_none() && content_type.is_none() {
            return Err(PatternError::Empty);
        }
        Ok(Self(Arc::new(Compiled { host, url, tags, content_type, spec })))
    }

    pub fn spec(&self) -> &PredicateSpec {
        &self.0.spec
    }

    /// Whether this names the subject. A condition on what isn't known yet doesn't hold: the question is asked again
    /// when the head is there.
    pub fn matches(&self, subject: &Subject<'_>) -> bool {
        let of = |pattern: &Option<Regex>, test: &dyn Fn(&Regex) -> bool| pattern.as_ref().is_none_or(test);
        let bare_host = subject.authority.rsplit_once(':').map_or(subject.authority, |(host, _)| host);
        of(&self.0.host, &|re| re.is_match(subject.authority.as_bytes()) || re.is_match(bare_host.as_bytes()))
            && of(&self.0.url, &|re| re.is_match(subject.url.as_bytes()))
            && of(&self.0.content_type, &|re| subject.content_type.is_some_and(|t| re.is_match(t.as_bytes())))
            && of(&self.0.tags, &|re| {
                subject.tags.is_some_and(|tags| tags.split('\n').any(|line| re.is_match(line.as_bytes())))
            })
    }
}

impl PartialEq for Predicate {
    fn eq(&self, other: &Self) -> bool {
        self.0.spec == other.0.spec
    }
}

impl Eq for Predicate {}

impl From<Predicate> for PredicateSpec {
    fn from(predicate: Predicate) -> Self {
        predicate.0.spec.clone()
    }
}

impl TryFrom<PredicateSpec> for Predicate {
    type Error = PatternError;

    fn try_from(spec: PredicateSpec) -> Result<Self, PatternError> {
        Self::compile(spec)
    }
}

fn compile(pattern: &Pattern, any_case: bool) -> Result<Regex, PatternError> {
    let (Pattern::Regex(text) | Pattern::Wildcard(text) | Pattern::Prefix(text)) = pattern;
    if text.len() > MAX_PATTERN_BYTES {
        return Err(PatternError::TooLong);
    }
    let source = match pattern {
        Pattern::Regex(text) => from_pcre(text),
        Pattern::Wildcard(text) => {
            format!("^{}$", text.split('*').map(regex::escape).collect::<Vec<_>>().join("(?s:.*)"))
        }
        Pattern::Prefix(text) => format!("^{}", regex::escape(text)),
    };
    RegexBuilder::new(&source)
        .unicode(false)
        .case_insensitive(any_case)
        .size_limit(MAX_PROGRAM_BYTES)
        .dfa_size_limit(MAX_CACHE_BYTES)
        .nest_limit(MAX_NESTING)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => PatternError::TooBig,
            other => PatternError::Syntax(other.to_string()),
        })
}

/// PCRE's `\<` and `\>` are the characters (`preg_quote` writes them); here they would be word boundaries.
fn from_pcre(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some(literal @ ('<' | '>')) => out.push(literal),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
            None => out.push('\\'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: Subject<'static> = Subject {
        authority: "shop.example.com:8080",
        url: "/products/1?x=2",
        tags: Some("cat_p_1,cat_p_22\nnode:1 <b>"),
        content_type: Some("text/html; charset=utf-8"),
    };

    fn regex(host: &str, url: &str, tags: &str, content_type: &str) -> Predicate {
        let pattern = |text: &str| (!text.is_empty()).then(|| Pattern::Regex(text.to_owned()));
        Predicate::compile(PredicateSpec {
            host: pattern(host),
            url: pattern(url),
            tags: pattern(tags),
            content_type: pattern(content_type),
        })
        .unwrap()
    }

    fn url(pattern: Pattern) -> Predicate {
        Predicate::compile(PredicateSpec { url: Some(pattern), ..PredicateSpec::default() }).unwrap()
    }

    #[test]
    fn conditions_are_joined_by_and_in_the_shapes_other_products_send() {
        let table = [
            (regex("^(shop\\.example\\.com|b)$", ".*", "", ".*"), true),
            (regex("^(shop\\.example\\.com:8080)$", "", "", ""), true),
            (regex("^(SHOP\\.Example\\.com)$", "", "", ""), true),
            (regex("^(example\\.com)$", ".*", "", ""), false),
            (regex("", "^/products/", "", ""), true),
            (regex("", "^/PRODUCTS/", "", ""), false),
            (regex("", "", "(^|,)(cat_p_1|x)(,|$)", ""), true),
            (regex("", "", "(^|,)(cat_p_2)(,|$)", ""), false),
            (regex("", "", "((^|,)cat_p_9(,|$))|((^|,)cat_p_22(,|$))", ""), true),
            (regex("", "", "^node:1", ""), true),
            (regex("", "", "cat_p_22\\snode", ""), false),
            (regex("", "", "\\<b\\>", ""), true),
            (regex("", "", "\\<node", ""), false),
            (regex("", "", "cat\\_p\\-?\\#?", ""), true),
            (regex("", "", "", "text/html"), true),
            (regex("", "^/products/", "", "image/"), false),
            (regex("", "", "caf\\xe9|node", ""), true),
        ];
        for (predicate, wanted) in table {
            assert_eq!(predicate.matches(&PAGE), wanted, "{:?}", predicate.spec());
        }
    }

    #[test]
    fn wildcards_cover_the_whole_text_and_prefixes_its_beginning() {
        let table = [
            (url(Pattern::Wildcard("/prod*".into())), true),
            (url(Pattern::Wildcard("/products/*?x=2".into())), true),
            (url(Pattern::Wildcard("/products/1".into())), false),
            (url(Pattern::Wildcard("/p.*".into())), false),
            (url(Pattern::Wildcard("*".into())), true),
            (url(Pattern::Prefix("/prod".into())), true),
            (url(Pattern::Prefix("/products/1?".into())), true),
            (url(Pattern::Prefix("products".into())), false),
        ];
        for (predicate, wanted) in table {
            assert_eq!(predicate.matches(&PAGE), wanted, "{:?}", predicate.spec());
        }
    }

    #[test]
    fn what_is_not_known_yet_does_not_match_and_what_is_absent_is_empty() {
        let head_missing = Subject { tags: None, content_type: None, ..PAGE };
        assert!(regex("", "^/products", "", "").matches(&head_missing));
        assert!(!regex("", "^/products", ".*", "").matches(&head_missing));
        assert!(!regex("", "^/products", "", ".*").matches(&head_missing));
        let bare = Subject { tags: Some(""), content_type: Some(""), ..PAGE };
        assert!(regex("", "^/products", ".*", ".*").matches(&bare));
    }

    #[test]
    fn what_cannot_be_matched_in_linear_time_or_small_space_is_refused() {
        let compile = |text: &str| {
            Predicate::compile(PredicateSpec {
                url: Some(Pattern::Regex(text.to_owned())),
                ..PredicateSpec::default()
            })
            .map(|_| ())
            .map_err(|e| e.as_str())
        };
        assert_eq!(compile("(?=a)b"), Err("pattern-syntax"));
        assert_eq!(compile("(a)\\1"), Err("pattern-syntax"));
        assert_eq!(compile("(a"), Err("pattern-syntax"));
        assert_eq!(compile(&"(".repeat(2000)), Err("pattern-syntax"));
        assert_eq!(compile("(a{999}){999}"), Err("pattern-too-big"));
        assert_eq!(compile(&"a".repeat(8192)), Ok(()));
        assert_eq!(compile(&"a".repeat(8193)), Err("pattern-too-long"));
        assert_eq!(compile("trailing\\"), Err("pattern-syntax"));
        assert_eq!(Predicate::compile(PredicateSpec::default()).unwrap_err(), PatternError::Empty);
        // The longest header that FOSHttpCache sends.
        let tags = (0..680).map(|i| format!("product-{i:02}")).collect::<Vec<_>>().join("|");
        assert!(tags.len() > 7000);
        assert_eq!(compile(&format!("(^|,)({tags})(,|$)")), Ok(()));
    }

    #[test]
    fn predicates_travel_as_text() {
        let predicate = regex("^a$", "^/x", "", "");
        let text = serde_json::to_string(&predicate).unwrap();
        assert_eq!(text, r#"{"host":{"regex":"^a$"},"url":{"regex":"^/x"}}"#);
        assert_eq!(serde_json::from_str::<Predicate>(&text).unwrap(), predicate);
        assert!(serde_json::from_str::<Predicate>(r#"{"url":{"regex":"("}}"#).is_err());
        assert!(serde_json::from_str::<Predicate>(r#"{"colour":{"regex":"x"}}"#).is_err());
    }
}
