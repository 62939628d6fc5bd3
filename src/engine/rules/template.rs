//! Templates: text with `{capture}`, `{host}`, `{path}`, `{header.X}` and `{query.x}` in it.
//!
//! A template sees the captures of its own rule only. Were they pooled, a rule `/shops/{id}/**` could get the
//! `id` of a later `/shops/*/products/{id}`, and its tag would name content that nobody can purge by it.

use super::RequestFacts;
use super::glob::RESERVED_NAMES;
use super::path::decode_once;
use crate::engine::policy::parameter_name;
use http::HeaderName;
use smallvec::SmallVec;
use std::fmt;
use std::sync::Arc;

/// Bytes that one template may render to: the longest tag (interface.md §2.3).
pub const MAX_RENDERED: usize = 1024;

/// Compiled from text; belongs to one rule.
#[derive(Clone, PartialEq)]
pub struct Template {
    source: Arc<str>,
    parts: Box<[Part]>,
    /// Set when the rule gets its place ([`super::RuleSet::new`]).
    rule: u16,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(Box<str>),
    Host,
    Path,
    Header(HeaderName),
    Query(Box<str>),
    Capture(Box<str>),
}

/// Why a template was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("`{{` without its `}}`")]
    Unclosed,
    #[error("`}}` without its `{{`")]
    Unopened,
    #[error("`{{{0}}}` is no variable")]
    Unknown(String),
    #[error("`{0}` is no header name")]
    HeaderName(String),
}

/// The text would be longer than [`MAX_RENDERED`]. A shortened tag would name something else, so there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("longer than {MAX_RENDERED} bytes")]
pub struct TooLong;

impl Template {
    /// `{{` and `}}` stand for braces.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, tail) = rest.split_at(at);
            literal.push_str(before);
            if let Some(after) = tail.strip_prefix("{{") {
                literal.push('{');
                rest = after;
            } else if let Some(after) = tail.strip_prefix("}}") {
                literal.push('}');
                rest = after;
            } else if let Some(inside) = tail.strip_prefix('{') {
                let (name, after) = inside.split_once('}').ok_or(TemplateError::Unclosed)?;
                if !literal.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut literal).into()));
                }
                parts.push(variable(name)?);
                rest = after;
            } else {
                return Err(TemplateError::Unopened);
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal.into()));
        }
        Ok(Self { source: Arc::from(text), parts: parts.into(), rule: 0 })
    }

    /// The text for one request. A variable without a value is empty. Fails, rather than cut, beyond
    /// [`MAX_RENDERED`] bytes: the caller passes such a response on without storing it.
    pub fn render(&self, captures: &Captures, facts: &RequestFacts<'_>) -> Result<String, TooLong> {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => push(&mut out, text)?,
                Part::Host => push(&mut out, facts.host)?,
                Part::Path => push(&mut out, facts.path)?,
                Part::Header(name) => {
                    let value = facts.headers.get(name).map(|v| String::from_utf8_lossy(v.as_bytes()));
                    push(&mut out, &value.unwrap_or_default())?;
                }
                Part::Query(name) => push(&mut out, &parameter(facts.query, name))?,
                Part::Capture(name) => push(&mut out, captures.get(self.rule, name).unwrap_or_default())?,
            }
        }
        Ok(out)
    }

    /// As written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The text, if it is the same for every request.
    pub fn literal(&self) -> Option<&str> {
        match &*self.parts {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The captures it asks for.
    pub fn captures(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|p| if let Part::Capture(name) = p { Some(&**name) } else { None })
    }

    /// The request headers it reads.
    pub fn headers(&self) -> impl Iterator<Item = &HeaderName> {
        self.parts.iter().filter_map(|p| if let Part::Header(name) = p { Some(name) } else { None })
    }

    /// The query parameters it reads.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|p| if let Part::Query(name) = p { Some(&**name) } else { None })
    }

    pub(super) fn belongs_to(&mut self, rule: u16) {
        self.rule = rule;
    }

    /// Will it say the same as `other` for every request? Captures may differ from rule to rule.
    pub(super) fn same_as(&self, other: &Self) -> bool {
        self.source == other.source && (self.rule == other.rule || self.captures().next().is_none())
    }
}

fn variable(name: &str) -> Result<Part, TemplateError> {
    let unknown = || TemplateError::Unknown(name.to_owned());
    Ok(match name.split_once('.') {
        Some(("header", header)) => Part::Header(
            HeaderName::try_from(header).map_err(|_| TemplateError::HeaderName(header.to_owned()))?,
        ),
        Some(("query", parameter)) if !parameter.is_empty() => Part::Query(parameter.into()),
        Some(_) => return Err(unknown()),
        None if name == "host" => Part::Host,
        None if name == "path" => Part::Path,
        None if RESERVED_NAMES.contains(&name) => return Err(unknown()),
        None if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') => {
            Part::Capture(name.into())
        }
        None => return Err(unknown()),
    })
}

fn push(out: &mut String, text: &str) -> Result<(), TooLong> {
    if out.len() + text.len() > MAX_RENDERED {
        return Err(TooLong);
    }
    out.push_str(text);
    Ok(())
}

/// The decoded value of the first parameter of that (decoded) name, else empty.
fn parameter(query: Option<&str>, name: &str) -> String {
    let mut pairs = query.unwrap_or_default().split('&');
    let found = pairs.find(|pair| *decode_once(parameter_name(pair).as_bytes()) == *name.as_bytes());
    let value = found.and_then(|pair| pair.split_once('=')).map_or("", |(_, value)| value);
    String::from_utf8_lossy(&decode_once(value.as_bytes())).into_owned()
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({})", self.source)
    }
}

/// What the matching rules captured from one path. Only rules whose templates ask for captures are here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Captures(SmallVec<[Capture; 2]>);

#[derive(Clone, Debug, PartialEq)]
struct Capture {
    rule: u16,
    name: Arc<str>,
    value: Box<str>,
}

impl Captures {
    pub(super) fn add(&mut self, rule: u16, name: Arc<str>, value: Box<str>) {
        self.0.push(Capture { rule, name, value });
    }

    fn get(&self, rule: u16, name: &str) -> Option<&str> {
        self.0.iter().find(|c| c.rule == rule && *c.name == *name).map(|c| &*c.value)
    }

    /// Name and value, for `explain`.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|c| (&*c.name, &*c.value))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue, Method};

    fn render(template: &str, captures: &Captures) -> Result<String, TooLong> {
        let mut headers = HeaderMap::new();
        headers.insert("x-tenant", HeaderValue::from_static("acme"));
        let facts = RequestFacts {
            method: &Method::GET,
            scheme: "http",
            host: "h.example",
            path: "/a%20b",
            query: Some("x=1&la%6Eg=de%2Fat&lang=fr"),
            headers: &headers,
        };
        Template::parse(template).unwrap().render(captures, &facts)
    }

    #[test]
    fn variables_of_every_kind() {
        let mut captures = Captures::default();
        captures.add(0, Arc::from("id"), "7".into());
        captures.add(1, Arc::from("id"), "of another rule".into());
        let all = "{id}|{host}|{path}|{header.X-Tenant}|{query.lang}|{missing}|{{x}}";
        assert_eq!(render(all, &captures).unwrap(), "7|h.example|/a%20b|acme|de/at||{x}");
    }

    #[test]
    fn beyond_1024_bytes_there_is_no_text() {
        let mut captures = Captures::default();
        captures.add(0, Arc::from("id"), "x".repeat(1020).into());
        assert_eq!(render("tag:{id}", &captures).unwrap().len(), 1024);
        assert_eq!(render("tags:{id}", &captures), Err(TooLong));
    }

    #[test]
    fn refused_templates() {
        for (text, error) in [
            ("{id", TemplateError::Unclosed),
            ("id}", TemplateError::Unopened),
            ("{cookie.x}", TemplateError::Unknown("cookie.x".into())),
            ("{header}", TemplateError::Unknown("header".into())),
            ("{}", TemplateError::Unknown(String::new())),
            ("{header.X Y}", TemplateError::HeaderName("X Y".into())),
        ] {
            assert_eq!(Template::parse(text).unwrap_err(), error, "{text}");
        }
    }
}
