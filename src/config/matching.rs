//! `match`: when a rule applies.

use super::compound::{Dict, List, Opt, Sparse};
use super::net::{Header, HostPattern};
use super::scalar::{Refusal, Scalar, Single, text_schema};
use super::section::section;
use crate::engine::rules::conditions::{Conditions, StatusPattern};
use crate::engine::rules::glob::{Glob, GlobError, HostGlob, PathGlob};
use http::{HeaderName, Method};
use serde_json::{Value as Json, json};

section! {
    /// When a rule applies: all conditions that are given must hold, a list means any of.
    for Conditions {
        /// Path globs: `*` inside a segment, `**` across segments, `{name}` captures a segment. `/x/**` matches `/x` too, `**/*.css` at the root too. Matched as sent and decoded: where the two readings match different
        /// rules, the request is not cached (`ambiguous-path`).
        /// Example: `path: ["/products/{id}", "/static/**"]`
        paths ["path"]: Option<Vec<PathGlob>> as Opt<List<PathPattern>>;
        /// Host globs; one without a port means any port.
        /// Example: `host: [shop.example.com, "*.shop.example.com"]`
        hosts ["host"]: Option<Vec<HostGlob>> as Opt<List<HostPattern>>;
        /// Request methods.
        /// Example: `method: [GET, HEAD]`
        methods ["method"]: Option<Vec<Method>> as Opt<List<MethodName>>;
        /// Globs for the values of request headers, by name; `*` = the header is there. Which such rules match is part of the cache key.
        /// Example: `header: { X-Tenant: [acme, "b*"] }`
        headers ["header"]: Vec<(HeaderName, Vec<Glob>)> as Sparse<Dict<Header, List<ValueGlob, 1>>>;
        /// Globs for the values of cookies, by name; the name may be a glob too. Which such rules match is part of the cache key.
        /// Example: `cookie: { "wordpress_logged_in_*": "*" }`
        cookies ["cookie"]: Vec<(Glob, Vec<Glob>)> as Sparse<Dict<ValueGlob, List<ValueGlob, 1>>>;
        /// Globs for the values of query parameters, by name; the name may be a glob too.
        /// Example: `query: { preview: "*" }`
        query: Vec<(Glob, Vec<Glob>)> as Sparse<Dict<ValueGlob, List<ValueGlob, 1>>>;
        /// Statuses of the response. Such a rule is applied when the answer is there, so it can't set what is settled before (`origin`, `key`, `rate`, …).
        /// Example: `status: [404, 410, 5xx]`
        statuses ["status"]: Option<Vec<StatusPattern>> as Opt<List<Status>>;
        /// Globs for the response's media type, without its parameters; also applied when the answer is there. Give it beside a `ttl` wherever a path is matched by its ending: else `/account/x.css` may be somebody's account.
        /// Example: `content_type: [text/css, "image/*"]`
        content_types ["content_type"]: Option<Vec<Glob>> as Opt<List<TypeGlob>>;
    }
}

/// What a refused pattern looks like to the user.
pub(super) fn glob_refusal(text: &str, error: &GlobError) -> Refusal {
    let refusal = Refusal::new(format!("`{text}` is no pattern: {error}"));
    match error {
        GlobError::NoSlash => refusal.help(format!("`/{text}`, or in any folder `**/{text}`")),
        _ => refusal.help(error.remedy()),
    }
}

#[derive(Debug)]
pub struct PathPattern;
impl Single for PathPattern {}

impl Scalar<PathGlob> for PathPattern {
    fn what() -> String {
        "a path pattern (`/static/**`)".into()
    }
    fn parse(text: &str) -> Result<PathGlob, Refusal> {
        PathGlob::new(text).map_err(|e| glob_refusal(text, &e))
    }
    fn show(value: &PathGlob) -> Json {
        json!(value.source())
    }
    fn schema() -> Json {
        text_schema("(/|\\*\\*).*")
    }
}

/// A glob for a value.
#[derive(Debug)]
pub struct ValueGlob;
impl Single for ValueGlob {}

impl Scalar<Glob> for ValueGlob {
    fn what() -> String {
        "a pattern (`x*`)".into()
    }
    fn parse(text: &str) -> Result<Glob, Refusal> {
        Glob::new(text).map_err(|e| glob_refusal(text, &e))
    }
    fn show(value: &Glob) -> Json {
        json!(value.source())
    }
    fn schema() -> Json {
        json!({ "type": ["string", "number", "boolean"] })
    }
}

/// A glob for a media type; case does not count.
#[derive(Debug)]
pub struct TypeGlob;
impl Single for TypeGlob {}

impl Scalar<Glob> for TypeGlob {
    fn what() -> String {
        "a media type (`text/*`)".into()
    }
    fn parse(text: &str) -> Result<Glob, Refusal> {
        if !text.contains(['/', '*']) {
            let refusal = Refusal::new(format!("`{text}` is no media type"));
            return Err(refusal.help("`text/html`, `image/*`, `*json`"));
        }
        ValueGlob::parse(&text.to_ascii_lowercase())
    }
    fn show(value: &Glob) -> Json {
        json!(value.source())
    }
    fn schema() -> Json {
        json!({ "type": "string" })
    }
}

#[derive(Debug)]
pub struct MethodName;
impl Single for MethodName {}

impl Scalar<Method> for MethodName {
    fn what() -> String {
        "a method (`GET`)".into()
    }
    fn parse(text: &str) -> Result<Method, Refusal> {
        let upper = text.to_ascii_uppercase();
        let refusal =
            || Refusal::new(format!("`{text}` is no method")).help("`GET`, `HEAD`, `POST`, `QUERY`, …");
        Method::from_bytes(upper.as_bytes()).map_err(|_| refusal())
    }
    fn show(value: &Method) -> Json {
        json!(value.as_str())
    }
    fn schema() -> Json {
        text_schema("[A-Za-z-]+")
    }
}

#[derive(Debug)]
pub struct Status;
impl Single for Status {}

impl Scalar<StatusPattern> for Status {
    fn what() -> String {
        "a status (`404`, `5xx`)".into()
    }
    fn parse(text: &str) -> Result<StatusPattern, Refusal> {
        let refusal = Refusal::new(format!("`{text}` is no status of a response"));
        let pattern = match text.strip_suffix("xx").or_else(|| text.strip_suffix("XX")) {
            Some(digit) => digit.parse().ok().filter(|d| (2..=5).contains(d)).map(StatusPattern::Class),
            None => text.parse().ok().filter(|s| (200..=599).contains(s)).map(StatusPattern::Exact),
        };
        pattern.ok_or_else(|| refusal.help("200 to 599, or a class: `2xx`, `3xx`, `4xx`, `5xx`"))
    }
    fn show(value: &StatusPattern) -> Json {
        match value {
            StatusPattern::Exact(code) => json!(code),
            StatusPattern::Class(digit) => json!(format!("{digit}xx")),
        }
    }
    fn schema() -> Json {
        let number = json!({ "type": "integer", "minimum": 200, "maximum": 599 });
        json!({ "anyOf": [number, text_schema("[2-5]([0-9]{2}|xx)")] })
    }
}
