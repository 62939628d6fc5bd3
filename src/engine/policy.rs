//! What the matching rules say together about one request: a [`Policy`], plain data.
//!
//! A policy is merged once per *set* of matching rules (see [`super::rules::RuleSet`]) and shared by every
//! request that matches the same set; nothing in it depends on a single request. What does (captures, header
//! values in tags) stays a [`Template`] until it is rendered.

use super::rules::glob::Glob;
use super::rules::template::{Captures, Template};
use super::rules::{RequestFacts, path::decode_once};
use crate::semantics::storable;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// How long an expired entry stays for 304 and stale-if-error unless a rule says otherwise (rulings 39).
pub const DEFAULT_KEEP: Duration = Duration::from_secs(600);
/// How long a request waits for a fetch of the same key that is already on its way.
pub const DEFAULT_COALESCE: Duration = Duration::from_secs(10);
/// Variants kept per key.
pub const DEFAULT_MAX_VARIANTS: usize = 64;

/// Everything that the rules decide (interface.md §2.2), merged.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Name of the last matching rule, `none` when no rule matched: for logs and metrics.
    pub rule: Arc<str>,
    /// Which origin to send to.
    pub origin: Arc<str>,
    /// Never looked up, never stored.
    pub bypass: bool,
    /// What decides on storing.
    pub store: storable::Options,
    /// Whether a client's `no-cache`, `max-age=0`, `Pragma: no-cache` reaches the origin.
    pub client_revalidate_honour: bool,
    /// Each lifetime is shortened by a random share of at most this; 0.1 = 10 %, 0 = off.
    pub jitter: f64,
    /// The beta of XFetch (probabilistic refresh before expiry); `None` = off.
    pub early_refresh: Option<f64>,
    /// Sent to the client as `max-age = browser_ttl + Age` (rulings 33).
    pub browser_ttl: Option<Duration>,
    /// How long an expired entry stays for 304 and stale-if-error.
    pub keep: Duration,
    pub key: KeyPolicy,
    /// Variants kept per key; at least 1.
    pub max_variants: usize,
    /// Added to the response's own tags.
    pub tags: Vec<Template>,
    pub request_headers: HeaderEdits,
    pub response_headers: HeaderEdits,
    /// How long a request waits for a fetch of the same key; `None` = every request fetches for itself.
    pub coalesce: Option<Duration>,
    pub rewrite: Option<Rewrite>,
    /// Answered here, without an origin.
    pub respond: Option<Respond>,
    pub after_write: AfterWrite,
    /// A client that wrote reads past the cache for this long.
    pub read_your_writes: Option<Duration>,
    pub compress: Option<Compress>,
    pub rate: Option<Rate>,
    /// The rule that set `rate`: what it allows is counted for that rule, whichever others match.
    pub rated_by: Arc<str>,
}

impl Policy {
    /// The policy of a request that no rule matches.
    pub fn base(origin: Arc<str>) -> Self {
        Self {
            rule: Arc::from("none"),
            origin,
            bypass: false,
            store: storable::Options::default(),
            client_revalidate_honour: true,
            jitter: 0.0,
            early_refresh: None,
            browser_ttl: None,
            keep: DEFAULT_KEEP,
            key: KeyPolicy::default(),
            max_variants: DEFAULT_MAX_VARIANTS,
            tags: Vec::new(),
            request_headers: HeaderEdits::default(),
            response_headers: HeaderEdits::default(),
            coalesce: Some(DEFAULT_COALESCE),
            rewrite: None,
            respond: None,
            after_write: AfterWrite::default(),
            read_your_writes: None,
            compress: None,
            rate: None,
            rated_by: Arc::from("none"),
        }
    }

    /// The query as it is keyed **and** sent ([`KeyPolicy::apply_query`]).
    pub fn apply_query<'q>(&self, query: Option<&'q str>) -> Option<Cow<'q, str>> {
        self.key.apply_query(query)
    }
}

/// What a key is made of beside scheme, host, path and the origin's name (rulings 4).
#[derive(Clone, Debug, Default)]
pub struct KeyPolicy {
    pub query: QueryKey,
    /// Sort parameters stably by name.
    pub sort: bool,
    /// Request fields that are part of the key.
    pub headers: Vec<HeaderName>,
    /// Cookies that are part of the key.
    pub cookies: Vec<String>,
    /// QUERY, and POST where set: the digest of a body up to this many bytes is in the key.
    pub body_max: Option<u64>,
}

/// Which query parameters count. The globs see the percent-decoded name.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum QueryKey {
    #[default]
    All,
    None,
    Include(Vec<Glob>),
    Exclude(Vec<Glob>),
}

impl QueryKey {
    /// The globs of `include` or `exclude`.
    pub fn globs(&self) -> &[Glob] {
        match self {
            Self::All | Self::None => &[],
            Self::Include(globs) | Self::Exclude(globs) => globs,
        }
    }

    /// Is the parameter of this (decoded) name part of the key?
    pub fn keeps(&self, name: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Include(globs) => globs.iter().any(|g| g.matches(name)),
            Self::Exclude(globs) => !globs.iter().any(|g| g.matches(name)),
        }
    }
}

impl KeyPolicy {
    /// Removes what is excluded and sorts where asked; what stays keeps its bytes. `None` = no query at all:
    /// a query that loses its last parameter loses its `?`. Borrowed when there is nothing to do.
    pub fn apply_query<'q>(&self, query: Option<&'q str>) -> Option<Cow<'q, str>> {
        let query = query?;
        if matches!(self.query, QueryKey::None) {
            return None;
        }
        if query.is_empty() || (!self.sort && matches!(self.query, QueryKey::All)) {
            return Some(Cow::Borrowed(query));
        }
        let mut kept: Vec<(Cow<'q, [u8]>, &'q str)> = Vec::new();
        let mut removed = false;
        for pair in query.split('&') {
            let name = decode_once(parameter_name(pair).as_bytes());
            if self.query.keeps(&name) {
                kept.push((name, pair));
            } else {
                removed = true;
            }
        }
        let unsorted = self.sort && !kept.is_sorted_by(|a, b| a.0 <= b.0);
        if kept.is_empty() {
            return None;
        }
        if !removed && !unsorted {
            return Some(Cow::Borrowed(query));
        }
        if unsorted {
            kept.sort_by(|a, b| a.0.cmp(&b.0));
        }
        let mut out = String::with_capacity(query.len());
        for (i, (_, pair)) in kept.iter().enumerate() {
            if i > 0 {
                out.push('&');
            }
            out.push_str(pair);
        }
        Some(Cow::Owned(out))
    }
}

/// The name of one `name=value` piece, still encoded.
pub(crate) fn parameter_name(pair: &str) -> &str {
    pair.split_once('=').map_or(pair, |(name, _)| name)
}

/// Header edits, merged by name: a later `set` undoes an earlier `remove` of the same name and the other way
/// round (rulings 35).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeaderEdits {
    pub set: Vec<(HeaderName, HeaderSource)>,
    pub remove: Vec<HeaderName>,
}

/// Where the value of a header comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum HeaderSource {
    Fixed(HeaderValue),
    Template(Template),
}

impl HeaderEdits {
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty()
    }

    /// Merges the edits of a later rule into these.
    pub fn merge(&mut self, later: &HeaderEdits) {
        for name in &later.remove {
            self.set.retain(|(n, _)| n != name);
            if !self.remove.contains(name) {
                self.remove.push(name.clone());
            }
        }
        for (name, source) in &later.set {
            self.remove.retain(|n| n != name);
            self.set.retain(|(n, _)| n != name);
            self.set.push((name.clone(), source.clone()));
        }
    }

    /// The values to set. A template that is too long, or that would render bytes a field value can't hold
    /// (a decoded CR LF above all), yields no value: the field is left out rather than split.
    pub fn values(&self, captures: &Captures, facts: &RequestFacts<'_>) -> Vec<(HeaderName, HeaderValue)> {
        let value = |source: &HeaderSource| match source {
            HeaderSource::Fixed(value) => Some(value.clone()),
            HeaderSource::Template(template) => {
                HeaderValue::from_str(&template.render(captures, facts).ok()?).ok()
            }
        };
        self.set.iter().filter_map(|(name, source)| Some((name.clone(), value(source)?))).collect()
    }

    /// Removes, then sets. For a request whose own headers the templates read, take [`Self::values`] first.
    pub fn apply(&self, target: &mut HeaderMap, captures: &Captures, facts: &RequestFacts<'_>) {
        self.write(target, self.values(captures, facts));
    }

    /// Removes, then sets `values` (from [`Self::values`]).
    pub fn write(&self, target: &mut HeaderMap, values: Vec<(HeaderName, HeaderValue)>) {
        for name in self.remove.iter().chain(self.set.iter().map(|(name, _)| name)) {
            target.remove(name);
        }
        for (name, value) in values {
            target.insert(name, value);
        }
    }
}

/// `rewrite: {strip_prefix, prefix}`: another path for the origin. The key keeps the client's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewrite {
    /// Taken off at a segment boundary: `/api` of `/api/x`, not of `/apis`.
    pub strip_prefix: Option<String>,
    /// Put in front.
    pub prefix: Option<String>,
}

impl Rewrite {
    /// Rewrites a raw path; the result starts with `/`.
    pub fn apply<'p>(&self, path: &'p str) -> Cow<'p, str> {
        let strip = self.strip_prefix.as_deref().unwrap_or("").trim_end_matches('/');
        let rest = match path.strip_prefix(strip) {
            Some("") => "/",
            Some(rest) if rest.starts_with('/') => rest,
            _ => path,
        };
        match self.prefix.as_deref().unwrap_or("").trim_end_matches('/') {
            "" => Cow::Borrowed(rest),
            prefix => Cow::Owned(format!("{prefix}{rest}")),
        }
    }
}

/// `respond: {status, location, body}`: an answer made here.
#[derive(Clone, Debug, PartialEq)]
pub struct Respond {
    pub status: StatusCode,
    pub location: Option<Template>,
    /// Plain text.
    pub body: Option<String>,
}

/// What a successful unsafe request does to its URL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AfterWrite {
    /// RFC 9111 §4.4.
    #[default]
    Invalidate,
    /// Fetch it again at once.
    Refresh,
}

pub use crate::semantics::coding::Coding as Algorithm;

/// `compress: {algorithms, min}`: variants are compressed once and stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compress {
    /// In order of preference.
    pub algorithms: Vec<Algorithm>,
    /// Bodies below this many bytes are left alone.
    pub min: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RateBy {
    /// The client's address.
    #[default]
    Ip,
}

/// `rate: {requests, per, by}`: more is answered 429.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    pub requests: u32,
    pub per: Duration,
    pub by: RateBy,
}
