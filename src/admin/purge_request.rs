//! The body of `POST /purge`, read strictly: whoever misspells `tags` must not be told that all went well. So an unknown or
//! repeated member, a wrong type, an empty selector or none at all refuse the whole call, and nothing is purged.
//!
//! By hand and not by derive, because the answer names the member and what was expected there.

use crate::purge::Mode;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use std::fmt;

/// Selectors of one call (interface.md §5).
pub const MAX_SELECTORS: usize = 10_000;

/// When the call is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// When this node has applied the purge.
    #[default]
    Node,
    /// When every live node has.
    Fleet,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PurgeRequest {
    pub tags: Vec<String>,
    pub urls: Vec<String>,
    pub prefixes: Vec<String>,
    pub hosts: Vec<String>,
    pub everything: bool,
    pub mode: Mode,
    pub wait: Wait,
}

/// What is wrong with the call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{member}: expected {expected}; nothing was purged")]
pub struct Problem {
    /// `urls[3]`, or `body`.
    pub member: String,
    pub expected: String,
}

impl Problem {
    pub fn new(member: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { member: member.into(), expected: expected.into() }
    }
}

const MEMBERS: &str = "`tags`, `urls`, `prefixes`, `hosts`, `everything`, `mode` or `wait`";

/// Reads the call.
///
/// # Errors
/// The first thing that is wrong.
pub fn parse(body: &[u8]) -> Result<PurgeRequest, Problem> {
    let Members(members) = serde_json::from_slice(body)
        .map_err(|error| Problem::new("body", format!("a JSON object with {MEMBERS} ({error})")))?;
    let mut request = PurgeRequest::default();
    let mut seen: Vec<&str> = Vec::new();
    for (name, value) in &members {
        if seen.contains(&name.as_str()) {
            return Err(Problem::new(name, "only one member of this name"));
        }
        match name.as_str() {
            "tags" => request.tags = texts(name, value)?,
            "urls" => request.urls = texts(name, value)?,
            "prefixes" => request.prefixes = texts(name, value)?,
            "hosts" => request.hosts = texts(name, value)?,
            "everything" => {
                request.everything = value.as_bool().ok_or_else(|| Problem::new(name, "true or false"))?;
            }
            "mode" => request.mode = mode(value)?,
            "wait" => request.wait = wait(value)?,
            _ => return Err(Problem::new(clip(name), MEMBERS)),
        }
        seen.push(name);
    }
    let named = [&request.tags, &request.urls, &request.prefixes, &request.hosts];
    match named.map(Vec::len).iter().sum::<usize>() + usize::from(request.everything) {
        0 => Err(Problem::new("body", "something to purge: tags, urls, prefixes, hosts or everything")),
        count if count > MAX_SELECTORS => {
            Err(Problem::new("body", format!("at most {MAX_SELECTORS} selectors, not {count}")))
        }
        _ => Ok(request),
    }
}

fn texts(name: &str, value: &Value) -> Result<Vec<String>, Problem> {
    let list = value.as_array().ok_or_else(|| Problem::new(name, "a list of strings"))?;
    let text = |(at, item): (usize, &Value)| match item.as_str() {
        Some("") | None => Err(Problem::new(format!("{name}[{at}]"), "a string that is not empty")),
        Some(text) => Ok(text.to_owned()),
    };
    list.iter().enumerate().map(text).collect()
}

fn mode(value: &Value) -> Result<Mode, Problem> {
    let mode = |text| Mode::ALL.into_iter().find(|mode| mode.as_str() == text);
    value.as_str().and_then(mode).ok_or_else(|| Problem::new("mode", "\"hard\", \"invalidate\" or \"soft\""))
}

fn wait(value: &Value) -> Result<Wait, Problem> {
    match value.as_str() {
        Some("node") => Ok(Wait::Node),
        Some("fleet") => Ok(Wait::Fleet),
        _ => Err(Problem::new("wait", "\"node\" or \"fleet\"")),
    }
}

fn clip(name: &str) -> String {
    name.chars().take(100).collect()
}

/// The members of an object as they stand, repeated ones too, which a map would hide.
pub(super) struct Members(pub Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Collect)
    }
}

struct Collect;

impl<'de> Visitor<'de> for Collect {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            // More than all known names: some are repeated or unknown.
            if members.len() > 32 {
                return Err(de::Error::custom("too many members"));
            }
            members.push(member);
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(body: &str) -> (String, String) {
        let problem = parse(body.as_bytes()).expect_err(body);
        (problem.member, problem.expected)
    }

    #[test]
    fn a_call_is_read_with_its_defaults() {
        let all = r#"{"tags":["a"],"urls":["u"],"prefixes":["p"],"hosts":["h"],"everything":true,"mode":"soft","wait":"fleet"}"#;
        let list = |text: &str| vec![text.to_owned()];
        let expected = PurgeRequest {
            tags: list("a"),
            urls: list("u"),
            prefixes: list("p"),
            hosts: list("h"),
            everything: true,
            mode: Mode::Soft,
            wait: Wait::Fleet,
        };
        assert_eq!(parse(all.as_bytes()), Ok(expected));
        let short = PurgeRequest { tags: list("a"), ..PurgeRequest::default() };
        assert_eq!(parse(br#" {"tags":["a"], "everything":false} "#), Ok(short));
    }

    #[test]
    fn whatever_is_not_understood_refuses_the_whole_call_and_is_named() {
        for (body, member) in [
            ("", "body"),
            ("{", "body"),
            ("[]", "body"),
            ("null", "body"),
            ("{}", "body"),
            (r#"{"tags":["a"]} x"#, "body"),
            (r#"{"tags":["a"]}{}"#, "body"),
            (r#"{"tags":[]}"#, "body"),
            (r#"{"everything":false}"#, "body"),
            (r#"{"tag":["a"]}"#, "tag"),
            (r#"{"tags":["a"],"Mode":"soft"}"#, "Mode"),
            (r#"{"tags":["a"],"tags":["b"]}"#, "tags"),
            (r#"{"tags":["a"],"mode":"hard","mode":"hard"}"#, "mode"),
            (r#"{"tags":"a"}"#, "tags"),
            (r#"{"tags":null}"#, "tags"),
            (r#"{"tags":["a",1]}"#, "tags[1]"),
            (r#"{"tags":["a",""]}"#, "tags[1]"),
            (r#"{"urls":[["a"]]}"#, "urls[0]"),
            (r#"{"hosts":{"a":1}}"#, "hosts"),
            (r#"{"prefixes":[null]}"#, "prefixes[0]"),
            (r#"{"everything":"true"}"#, "everything"),
            (r#"{"everything":1}"#, "everything"),
            (r#"{"tags":["a"],"mode":"HARD"}"#, "mode"),
            (r#"{"tags":["a"],"mode":null}"#, "mode"),
            (r#"{"tags":["a"],"wait":"all"}"#, "wait"),
            (r#"{"tags":["a"],"wait":true}"#, "wait"),
        ] {
            assert_eq!(wrong(body).0, member, "{body}");
        }
        assert_eq!(wrong(r#"{"tags":"a"}"#).1, "a list of strings");
        assert!(wrong(r#"{"tag":["a"]}"#).1.contains("`tags`"));
        let not_utf8 = parse(b"{\"tags\":[\"\xff\"]}").unwrap_err();
        assert_eq!(not_utf8.member, "body");
    }

    #[test]
    fn ten_thousand_selectors_are_taken_and_one_more_is_not() {
        let body = |tags: usize, everything: bool| {
            let tags = vec!["\"t\""; tags].join(",");
            format!("{{\"tags\":[{tags}],\"everything\":{everything}}}")
        };
        assert_eq!(parse(body(10_000, false).as_bytes()).unwrap().tags.len(), 10_000);
        assert_eq!(wrong(&body(10_000, true)), ("body".into(), "at most 10000 selectors, not 10001".into()));
    }

    #[test]
    fn nested_too_deep_is_an_error_and_no_panic() {
        assert_eq!(wrong(&format!("{{\"tags\":{}", "[".repeat(100_000))).0, "body");
        assert_eq!(wrong(&format!("{{{}}}", vec!["\"a\":1"; 50].join(","))).0, "body");
    }
}
