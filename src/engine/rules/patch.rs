//! What one rule sets, and how it is laid over the policy of the rules above it (rulings 35): the last match
//! wins field by field; tags are a union; header edits merge by name; `key` and `vary` by leaf; `default`
//! puts a field back to what it is without any rule.

use super::template::Template;
use crate::engine::policy::{
    AfterWrite, Compress, HeaderEdits, HeaderSource, KeyPolicy, Policy, QueryKey, Rate, Respond, Rewrite,
};
use crate::semantics::storable::{Heuristic, RuleTtl, SetCookie};
use http::HeaderName;
use std::sync::Arc;
use std::time::Duration;

/// One field of a rule.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Setting<T> {
    /// The rule says nothing about it.
    #[default]
    Keep,
    /// Back to what holds without any rule.
    Default,
    To(T),
}

impl<T: Clone> Setting<T> {
    /// What the rule sets, if it sets a value.
    pub fn value(&self) -> Option<&T> {
        if let Self::To(value) = self { Some(value) } else { None }
    }

    pub fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }

    fn lay<U: Clone>(&self, over: &mut U, base: &U, convert: impl FnOnce(T) -> U) {
        match self {
            Self::Keep => {}
            Self::Default => *over = base.clone(),
            Self::To(value) => *over = convert(value.clone()),
        }
    }
}

/// `cache: on | bypass`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Caching {
    #[default]
    On,
    Bypass,
}

/// `client_revalidate: honour | ignore`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientRevalidate {
    #[default]
    Honour,
    Ignore,
}

/// `early_refresh: {beta: 1.0}`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EarlyRefresh {
    pub beta: f64,
}

/// `coalesce: {wait: 10s}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coalesce {
    pub wait: Duration,
}

/// `key.body: {max: 64KiB}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyKey {
    /// Bytes.
    pub max: u64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeyPatch {
    pub query: Setting<QueryKey>,
    pub sort: Setting<bool>,
    pub headers: Setting<Vec<HeaderName>>,
    pub cookies: Setting<Vec<String>>,
    pub body: Setting<Option<BodyKey>>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct VaryPatch {
    pub ignore: Setting<Vec<HeaderName>>,
    pub max_variants: Setting<usize>,
}

/// All that a rule may set (interface.md §2.2). For `Option`s inside a [`Setting`], `None` is `off`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Patch {
    pub origin: Setting<Arc<str>>,
    pub cache: Setting<Caching>,
    pub ttl: Setting<Option<Duration>>,
    /// Belongs to the `ttl` beside it (rulings 2).
    pub force: Setting<bool>,
    pub default_ttl: Setting<Duration>,
    pub min_ttl: Setting<Duration>,
    pub max_ttl: Setting<Duration>,
    pub negative_ttl: Setting<Option<Duration>>,
    pub heuristic: Setting<Option<Heuristic>>,
    pub stale_while_revalidate: Setting<Option<Duration>>,
    pub stale_if_error: Setting<Option<Duration>>,
    pub strict_s_maxage: Setting<bool>,
    pub stale_despite_s_maxage: Setting<bool>,
    pub client_revalidate: Setting<ClientRevalidate>,
    /// A share, 0.1 = 10 %.
    pub jitter: Setting<Option<f64>>,
    pub early_refresh: Setting<Option<EarlyRefresh>>,
    pub browser_ttl: Setting<Option<Duration>>,
    pub keep: Setting<Duration>,
    pub key: KeyPatch,
    pub vary: VaryPatch,
    pub tags: Setting<Vec<Template>>,
    pub request_headers: Setting<HeaderEdits>,
    pub response_headers: Setting<HeaderEdits>,
    pub set_cookie: Setting<SetCookie>,
    pub coalesce: Setting<Option<Coalesce>>,
    pub after_write: Setting<AfterWrite>,
    pub read_your_writes: Setting<Option<Duration>>,
    pub compress: Setting<Option<Compress>>,
    pub rate: Setting<Option<Rate>>,
    pub rewrite: Setting<Rewrite>,
    pub respond: Setting<Respond>,
}

impl Patch {
    /// Lays this rule over `policy`. `base` is what holds without rules; `names_status`: the rule's `match`
    /// names statuses, so its lifetimes act on every status that it matches (rulings 2).
    pub(super) fn lay(&self, policy: &mut Policy, base: &Policy, names_status: bool) {
        self.origin.lay(&mut policy.origin, &base.origin, |v| v);
        self.cache.lay(&mut policy.bypass, &base.bypass, |v| v == Caching::Bypass);
        self.lay_storing(policy, base, names_status);
        self.lay_freshness(policy, base);
        self.key.lay(&mut policy.key, &base.key);
        self.vary.ignore.lay(&mut policy.store.vary_ignore, &base.store.vary_ignore, |v| v);
        self.vary.max_variants.lay(&mut policy.max_variants, &base.max_variants, |v| v);
        self.lay_tags(&mut policy.tags);
        lay_edits(&self.request_headers, &mut policy.request_headers);
        lay_edits(&self.response_headers, &mut policy.response_headers);
        self.coalesce.lay(&mut policy.coalesce, &base.coalesce, |v| v.map(|c| c.wait));
        self.after_write.lay(&mut policy.after_write, &base.after_write, |v| v);
        self.read_your_writes.lay(&mut policy.read_your_writes, &base.read_your_writes, |v| v);
        self.compress.lay(&mut policy.compress, &base.compress, |v| v);
        self.rate.lay(&mut policy.rate, &base.rate, |v| v);
        self.rewrite.lay(&mut policy.rewrite, &base.rewrite, Some);
        self.respond.lay(&mut policy.respond, &base.respond, Some);
    }

    fn lay_storing(&self, policy: &mut Policy, base: &Policy, names_status: bool) {
        let ttl = |value: Duration| Some(RuleTtl { value, any_status: names_status });
        let (store, base) = (&mut policy.store, &base.store);
        if !self.ttl.is_keep() {
            self.ttl.lay(&mut store.ttl, &base.ttl, |v| v.and_then(ttl));
            // `force` belongs to the ttl of its own rule: another ttl comes without it.
            store.force = store.ttl.is_some() && self.force.value().is_some_and(|v| *v);
        }
        self.default_ttl.lay(&mut store.default_ttl, &base.default_ttl, ttl);
        self.min_ttl.lay(&mut store.min_ttl, &base.min_ttl, ttl);
        self.max_ttl.lay(&mut store.max_ttl, &base.max_ttl, Some);
        self.negative_ttl.lay(&mut store.negative_ttl, &base.negative_ttl, |v| v);
        self.heuristic.lay(&mut store.heuristic, &base.heuristic, |v| v);
        self.stale_while_revalidate.lay(
            &mut store.stale_while_revalidate,
            &base.stale_while_revalidate,
            |v| v,
        );
        self.stale_if_error.lay(&mut store.stale_if_error, &base.stale_if_error, |v| v);
        self.strict_s_maxage.lay(&mut store.strict_s_maxage, &base.strict_s_maxage, |v| v);
        let (despite, unsaid) = (&mut store.stale_despite_s_maxage, &base.stale_despite_s_maxage);
        self.stale_despite_s_maxage.lay(despite, unsaid, |v| v);
        self.set_cookie.lay(&mut store.set_cookie, &base.set_cookie, |v| v);
    }

    fn lay_freshness(&self, policy: &mut Policy, base: &Policy) {
        self.client_revalidate.lay(
            &mut policy.client_revalidate_honour,
            &base.client_revalidate_honour,
            |v| v == ClientRevalidate::Honour,
        );
        self.jitter.lay(&mut policy.jitter, &base.jitter, |v| v.unwrap_or(0.0));
        self.early_refresh.lay(&mut policy.early_refresh, &base.early_refresh, |v| v.map(|e| e.beta));
        self.browser_ttl.lay(&mut policy.browser_ttl, &base.browser_ttl, |v| v);
        self.keep.lay(&mut policy.keep, &base.keep, |v| v);
    }

    fn lay_tags(&self, tags: &mut Vec<Template>) {
        match &self.tags {
            Setting::Keep => {}
            Setting::Default => tags.clear(),
            Setting::To(more) => {
                for tag in more {
                    if !tags.iter().any(|t| t.same_as(tag)) {
                        tags.push(tag.clone());
                    }
                }
            }
        }
    }

    /// Every template of the rule.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        let edits = [&self.request_headers, &self.response_headers].into_iter().filter_map(Setting::value);
        let headers = edits.flat_map(|e| &e.set).filter_map(|(_, source)| match source {
            HeaderSource::Template(template) => Some(template),
            HeaderSource::Fixed(_) => None,
        });
        let location = self.respond.value().and_then(|r| r.location.as_ref());
        self.tags.value().into_iter().flatten().chain(headers).chain(location)
    }

    pub(super) fn templates_belong_to(&mut self, rule: u16) {
        if let Setting::To(tags) = &mut self.tags {
            tags.iter_mut().for_each(|t| t.belongs_to(rule));
        }
        for edits in [&mut self.request_headers, &mut self.response_headers] {
            let Setting::To(edits) = edits else { continue };
            for (_, source) in &mut edits.set {
                if let HeaderSource::Template(template) = source {
                    template.belongs_to(rule);
                }
            }
        }
        if let Setting::To(Respond { location: Some(location), .. }) = &mut self.respond {
            location.belongs_to(rule);
        }
    }
}

impl KeyPatch {
    fn lay(&self, key: &mut KeyPolicy, base: &KeyPolicy) {
        self.query.lay(&mut key.query, &base.query, |v| v);
        self.sort.lay(&mut key.sort, &base.sort, |v| v);
        self.headers.lay(&mut key.headers, &base.headers, |v| v);
        self.cookies.lay(&mut key.cookies, &base.cookies, |v| v);
        self.body.lay(&mut key.body_max, &base.body_max, |v| v.map(|b| b.max));
    }
}

fn lay_edits(setting: &Setting<HeaderEdits>, edits: &mut HeaderEdits) {
    match setting {
        Setting::Keep => {}
        Setting::Default => *edits = HeaderEdits::default(),
        Setting::To(later) => edits.merge(later),
    }
}
