//! When a rule applies (interface.md §2.1): all conditions that are given must hold, a list means any of.
//!
//! `None` is "not given"; an empty list was given and never holds.

use super::RequestFacts;
use super::glob::{Glob, HostGlob, PathGlob};
use super::path::decode_once;
use http::{HeaderName, Method, StatusCode, header};
use std::borrow::Cow;

/// The `match` of a rule.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conditions {
    pub paths: Option<Vec<PathGlob>>,
    pub hosts: Option<Vec<HostGlob>>,
    pub methods: Option<Vec<Method>>,
    /// For each name some field line must match one of the globs; an absent field matches nothing.
    pub headers: Vec<(HeaderName, Vec<Glob>)>,
    /// The name is a glob too (`wordpress_logged_in_*`).
    pub cookies: Vec<(Glob, Vec<Glob>)>,
    /// Names and values are compared decoded; the name is a glob too.
    pub query: Vec<(Glob, Vec<Glob>)>,
    pub statuses: Option<Vec<StatusPattern>>,
    /// Lower-case; compared with the media type alone, or with the whole value where the glob holds a `;`.
    pub content_types: Option<Vec<Glob>>,
}

/// `404` or `5xx`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusPattern {
    Exact(u16),
    /// The first digit.
    Class(u16),
}

impl StatusPattern {
    pub fn matches(self, status: StatusCode) -> bool {
        match self {
            Self::Exact(code) => status.as_u16() == code,
            Self::Class(digit) => status.as_u16() / 100 == digit,
        }
    }
}

impl Conditions {
    /// Does it apply to everything?
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Is part of it decided only when the origin has answered?
    pub fn awaits_response(&self) -> bool {
        self.statuses.is_some() || self.content_types.is_some()
    }

    /// Does it look at anything of the request beside path and host?
    pub fn beyond_path_and_host(&self) -> bool {
        self.methods.is_some()
            || !self.headers.is_empty()
            || !self.cookies.is_empty()
            || !self.query.is_empty()
    }

    /// Conditions on method, headers, cookies and query; path and host are the index's.
    pub(super) fn hold_beyond(&self, facts: &RequestFacts<'_>) -> bool {
        self.methods.as_ref().is_none_or(|list| list.contains(facts.method))
            && self.headers.iter().all(|(name, globs)| header_matches(facts, name, globs))
            && self.cookies.iter().all(|(name, globs)| cookie_matches(facts, name, globs))
            && self.query.iter().all(|(name, globs)| query_matches(facts, name, globs))
    }

    /// Conditions on the response.
    pub fn hold_after(&self, status: StatusCode, content_type: Option<&str>) -> bool {
        self.statuses.as_ref().is_none_or(|list| list.iter().any(|p| p.matches(status)))
            && self.content_types.as_ref().is_none_or(|globs| type_matches(content_type, globs))
    }

    /// Identifies its header and cookie conditions in keys, the same on every node and after a reload; `None`
    /// without such conditions (rulings 4).
    pub fn key_bit(&self) -> Option<u64> {
        if self.headers.is_empty() && self.cookies.is_empty() {
            return None;
        }
        let mut lines: Vec<String> = Vec::new();
        for (name, globs) in &self.headers {
            lines.push(format!("h{name:?}={globs:?}"));
        }
        for (name, globs) in &self.cookies {
            lines.push(format!("c{name:?}={globs:?}"));
        }
        lines.sort_unstable();
        Some(xxhash_rust::xxh3::xxh3_64(format!("{lines:?}").as_bytes()))
    }
}

fn any(globs: &[Glob], value: &[u8]) -> bool {
    globs.iter().any(|g| g.matches(value))
}

fn header_matches(facts: &RequestFacts<'_>, name: &HeaderName, globs: &[Glob]) -> bool {
    facts.headers.get_all(name).iter().any(|line| any(globs, line.as_bytes()))
}

fn cookie_matches(facts: &RequestFacts<'_>, name: &Glob, globs: &[Glob]) -> bool {
    let lines = facts.headers.get_all(header::COOKIE).iter();
    let mut pairs = lines.flat_map(|line| line.as_bytes().split(|b| *b == b';')).map(|pair| {
        let pair = pair.trim_ascii();
        let end = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
        let (key, value) = pair.split_at(end);
        (key, value.strip_prefix(b"=").unwrap_or(value))
    });
    pairs.any(|(key, value)| !key.is_empty() && name.matches(key) && any(globs, value))
}

fn query_matches(facts: &RequestFacts<'_>, name: &Glob, globs: &[Glob]) -> bool {
    facts.query.is_some_and(|query| {
        query.split('&').filter(|pair| !pair.is_empty()).any(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            name.matches(&decode_once(key.as_bytes())) && any(globs, &decode_once(value.as_bytes()))
        })
    })
}

fn type_matches(content_type: Option<&str>, globs: &[Glob]) -> bool {
    let Some(value) = content_type else { return false };
    let value = match value.bytes().any(|b| b.is_ascii_uppercase()) {
        true => Cow::Owned(value.to_ascii_lowercase()),
        false => Cow::Borrowed(value),
    };
    let media = value.split(';').next().unwrap_or_default().trim();
    globs.iter().any(|g| g.matches(if g.source().contains(';') { value.trim() } else { media }.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue};

    fn glob(text: &str) -> Glob {
        Glob::new(text).unwrap()
    }

    fn holds(conditions: &Conditions, headers: &[(&'static str, &'static str)], query: Option<&str>) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        let facts =
            RequestFacts { method: &Method::GET, scheme: "http", host: "h", path: "/", query, headers: &map };
        conditions.hold_beyond(&facts)
    }

    #[test]
    fn cookies_are_found_in_any_line_by_glob_of_name_and_value() {
        let logged_in = Conditions {
            cookies: vec![(glob("wordpress_logged_in_*"), vec![glob("*")])],
            ..Default::default()
        };
        assert!(holds(&logged_in, &[("cookie", "a=b; wordpress_logged_in_7=x")], None));
        assert!(holds(&logged_in, &[("cookie", "a=b"), ("cookie", "wordpress_logged_in_7=")], None));
        assert!(!holds(&logged_in, &[("cookie", "a=wordpress_logged_in_7")], None));
        assert!(!holds(&logged_in, &[], None));
    }

    #[test]
    fn parameters_are_compared_decoded() {
        let preview =
            Conditions { query: vec![(glob("preview"), vec![glob("yes please")])], ..Default::default() };
        assert!(holds(&preview, &[], Some("a=1&pre%76iew=yes%20please")));
        assert!(!holds(&preview, &[], Some("preview")));
        assert!(!holds(&preview, &[], None));
    }

    #[test]
    fn every_named_header_must_match_on_some_line() {
        let both = Conditions {
            headers: vec![
                (HeaderName::from_static("x-a"), vec![glob("1"), glob("2")]),
                (HeaderName::from_static("x-b"), vec![glob("*")]),
            ],
            ..Default::default()
        };
        assert!(holds(&both, &[("x-a", "9"), ("x-a", "2"), ("x-b", "")], None));
        assert!(!holds(&both, &[("x-a", "1")], None));
    }

    #[test]
    fn status_and_content_type() {
        let errors = Conditions {
            statuses: Some(vec![StatusPattern::Exact(404), StatusPattern::Class(5)]),
            ..Default::default()
        };
        assert!(errors.hold_after(StatusCode::NOT_FOUND, None));
        assert!(errors.hold_after(StatusCode::BAD_GATEWAY, None));
        assert!(!errors.hold_after(StatusCode::OK, None));
        let text = Conditions { content_types: Some(vec![glob("text/*")]), ..Default::default() };
        assert!(text.hold_after(StatusCode::OK, Some("Text/HTML; charset=utf-8")));
        assert!(!text.hold_after(StatusCode::OK, Some("image/png")));
        assert!(!text.hold_after(StatusCode::OK, None));
    }

    #[test]
    fn the_key_bit_depends_on_conditions_not_on_their_order() {
        let one = (HeaderName::from_static("x-a"), vec![glob("1")]);
        let two = (HeaderName::from_static("x-b"), vec![glob("2")]);
        let bit = |headers: Vec<_>| Conditions { headers, ..Default::default() }.key_bit();
        assert_eq!(bit(vec![one.clone(), two.clone()]), bit(vec![two.clone(), one.clone()]));
        assert_ne!(bit(vec![one]), bit(vec![two]));
        assert_eq!(bit(vec![]), None);
    }
}
