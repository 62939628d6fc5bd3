//! The compiled rules: which of them match a request, and the [`Policy`] that they make together.
//!
//! Built so that a request costs the same with a hundred rules as with one: an index by host and path finds
//! the rules that can match ([`index`]), and the merged policy of each set of rules is made once and kept.
//!
//! A path is read twice, as sent and leniently ([`path`]). Where different rules match the two readings, the
//! request is not cached, and what protects under either reading (a `bypass`, a `respond`) holds
//! (interface.md §2.1, rulings 36).

pub mod conditions;
pub mod glob;
mod index;
pub mod patch;
pub mod path;
pub mod purged;
pub mod template;

use super::policy::Policy;
use arc_swap::ArcSwap;
use conditions::Conditions;
use glob::Host;
use http::{HeaderMap, Method, StatusCode};
use index::{Ids, Index, Reading};
use patch::{Patch, Setting};
use smallvec::SmallVec;
use std::collections::HashMap;
use std::sync::Arc;
use template::Captures;

/// Rules of one configuration.
pub const MAX_RULES: usize = 1000;
/// Merged policies kept. A set that comes when they are full is merged again each time.
const MAX_MERGED: usize = 1024;

/// What rules look at in a request. `host` is lower-case, without the default port, and may hold another one;
/// `path` is raw.
#[derive(Clone, Copy, Debug)]
pub struct RequestFacts<'a> {
    pub method: &'a Method,
    pub scheme: &'a str,
    pub host: &'a str,
    pub path: &'a str,
    pub query: Option<&'a str>,
    pub headers: &'a HeaderMap,
}

/// A rule as the configuration states it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rule {
    pub name: Arc<str>,
    pub conditions: Conditions,
    pub patch: Patch,
    /// What it sets, field by field, in words: for `explain`. Secrets are blanked.
    pub sets: Vec<Assignment>,
}

/// `key.query` = `{"exclude":["utm_*"]}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    pub field: String,
    pub value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {MAX_RULES} rules")]
pub struct TooManyRules;

/// All rules, ready to match.
#[derive(Debug)]
pub struct RuleSet {
    rules: Box<[Compiled]>,
    base: Policy,
    index: Index,
    merged: ArcSwap<HashMap<Ids, Arc<Policy>>>,
    path_and_host: bool,
    read_your_writes: bool,
    compress: bool,
}

/// A rule with what every request asks of it, worked out once.
#[derive(Debug)]
struct Compiled {
    rule: Rule,
    key_bit: Option<u64>,
    /// Some template of it uses a capture.
    captures: bool,
    /// [`Conditions::beyond_path_and_host`]
    beyond: bool,
    /// [`Conditions::awaits_response`]
    later: bool,
}

impl Compiled {
    fn new(mut rule: Rule, id: u16) -> Self {
        rule.patch.templates_belong_to(id);
        let captures = rule.patch.templates().any(|t| t.captures().next().is_some());
        Self {
            key_bit: rule.conditions.key_bit(),
            captures,
            beyond: rule.conditions.beyond_path_and_host(),
            later: rule.conditions.awaits_response(),
            rule,
        }
    }
}

/// What the rules say about one request, before the origin has answered.
#[derive(Clone, Debug)]
pub struct Resolved {
    pub policy: Arc<Policy>,
    pub captures: Captures,
    /// Identifies the matched rules that have header or cookie conditions: part of the cache key (rulings 4).
    /// Sorted; the same on every node and after a reload, since it is made from the conditions themselves.
    pub key_bits: SmallVec<[u64; 2]>,
    /// Raw and decoded path match different rules (rulings 36): `policy.bypass` is set, and stays set.
    pub disagree: bool,
    /// No rule that could match this host and path looks at anything else of the request.
    pub repeatable: bool,
    /// The rules that made `policy`, in order.
    matched: Ids,
    /// Matched so far, and waiting for the response.
    later: Ids,
    /// The decoded path's `respond`, where the raw path has none.
    respond: Option<super::policy::Respond>,
}

impl Resolved {
    /// Are there rules that the response decides on?
    pub fn awaits_response(&self) -> bool {
        !self.later.is_empty()
    }
}

impl RuleSet {
    /// `origin` is where requests go that no rule sends elsewhere.
    pub fn new(origin: Arc<str>, rules: Vec<Rule>) -> Result<Self, TooManyRules> {
        if rules.len() > MAX_RULES {
            return Err(TooManyRules);
        }
        let index = Index::new(&rules);
        let rules: Box<[_]> = rules.into_iter().zip(0u16..).map(|(r, id)| Compiled::new(r, id)).collect();
        Ok(Self {
            index,
            path_and_host: !rules.iter().any(|r| r.beyond),
            read_your_writes: rules.iter().any(|r| sets(&r.rule.patch.read_your_writes)),
            compress: rules.iter().any(|r| sets(&r.rule.patch.compress)),
            base: Policy::base(origin),
            merged: ArcSwap::from_pointee(HashMap::new()),
            rules,
        })
    }

    /// The rules, top to bottom.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().map(|c| &c.rule)
    }

    /// No rule looks at anything of a request but path and host.
    pub fn only_path_and_host(&self) -> bool {
        self.path_and_host
    }

    /// Some rule sets `compress`.
    pub fn compress(&self) -> bool {
        self.compress
    }

    /// Some rule sets `read_your_writes`.
    pub fn read_your_writes(&self) -> bool {
        self.read_your_writes
    }

    /// What can be said when the request is known.
    pub fn resolve(&self, facts: &RequestFacts<'_>) -> Resolved {
        let host = Host::new(facts.host, facts.scheme);
        let raw = path::upper_triplets(facts.path);
        let possible = self.index.find(&host, &raw, Reading::Raw);
        let mut repeatable = self.is_repeatable(&possible);
        let here = self.holding(&possible, facts);
        let other = path::lenient(&raw).map(|path| {
            let possible = self.index.find(&host, &path, Reading::Lenient);
            repeatable &= self.is_repeatable(&possible);
            self.holding(&possible, facts)
        });
        let disagree = other.as_ref().is_some_and(|other| *other != here);
        let key_bits = self.key_bits(&here);
        let captures = self.capture(&here, &raw);
        let (matched, later) = self.split(&here);
        let mut resolved = Resolved {
            policy: self.merge(&matched),
            captures,
            key_bits,
            disagree,
            repeatable,
            matched,
            later,
            respond: None,
        };
        if let Some(other) = other.filter(|_| disagree) {
            resolved.respond = self.merge(&self.split(&other).0).respond.clone();
            resolved.policy = guarded(&resolved.policy, resolved.respond.as_ref());
        }
        resolved
    }

    /// Adds the rules that name statuses or content types. The same policy when there are none.
    pub fn resolve_response(
        &self,
        resolved: &Resolved,
        status: StatusCode,
        content_type: Option<&str>,
    ) -> Arc<Policy> {
        let holds =
            |id: &u16| self.get(*id).is_some_and(|c| c.rule.conditions.hold_after(status, content_type));
        let mut ids: Ids = resolved.later.iter().copied().filter(holds).collect();
        if ids.is_empty() {
            return resolved.policy.clone();
        }
        ids.extend_from_slice(&resolved.matched);
        ids.sort_unstable();
        let policy = self.merge(&ids);
        if resolved.disagree { guarded(&policy, resolved.respond.as_ref()) } else { policy }
    }

    /// The rules that made the policy so far, in order, for `explain`.
    pub fn matched<'a>(&'a self, resolved: &'a Resolved) -> impl Iterator<Item = &'a Rule> {
        resolved.matched.iter().filter_map(|id| Some(&self.get(*id)?.rule))
    }

    /// The rules that wait for the response, in order, for `explain`.
    pub fn waiting<'a>(&'a self, resolved: &'a Resolved) -> impl Iterator<Item = &'a Rule> {
        resolved.later.iter().filter_map(|id| Some(&self.get(*id)?.rule))
    }

    /// The conditions on header fields and cookies under which the request's rules matched: the key names them.
    pub fn conditions<'a>(&'a self, resolved: &'a Resolved) -> impl Iterator<Item = &'a Conditions> {
        let ids = resolved.matched.iter().chain(&resolved.later).filter_map(|id| self.get(*id));
        ids.filter(|c| c.key_bit.is_some()).map(|c| &c.rule.conditions)
    }

    fn get(&self, id: u16) -> Option<&Compiled> {
        self.rules.get(usize::from(id))
    }

    fn is_repeatable(&self, possible: &Ids) -> bool {
        self.path_and_host || !possible.iter().filter_map(|id| self.get(*id)).any(|c| c.beyond)
    }

    fn holding(&self, possible: &Ids, facts: &RequestFacts<'_>) -> Ids {
        let holds =
            |id: &u16| self.get(*id).is_some_and(|c| !c.beyond || c.rule.conditions.hold_beyond(facts));
        possible.iter().copied().filter(holds).collect()
    }

    /// Those decided now, and those that wait for the response.
    fn split(&self, ids: &Ids) -> (Ids, Ids) {
        ids.iter().copied().partition(|id| !self.get(*id).is_some_and(|c| c.later))
    }

    fn key_bits(&self, ids: &Ids) -> SmallVec<[u64; 2]> {
        let mut bits: SmallVec<[u64; 2]> = ids.iter().filter_map(|id| self.get(*id)?.key_bit).collect();
        bits.sort_unstable();
        bits.dedup();
        bits
    }

    fn capture(&self, ids: &Ids, raw: &[u8]) -> Captures {
        let mut captures = Captures::default();
        for id in ids {
            let Some(compiled) = self.get(*id).filter(|c| c.captures) else { continue };
            let found = compiled.rule.conditions.paths.iter().flatten().find_map(|p| p.captures(raw));
            for (name, value) in found.unwrap_or_default() {
                captures.add(*id, name, value);
            }
        }
        captures
    }

    /// The policy of a set of rules; made once per set.
    fn merge(&self, ids: &Ids) -> Arc<Policy> {
        let known = self.merged.load();
        if let Some(policy) = known.get(ids) {
            return policy.clone();
        }
        let policy = Arc::new(self.lay(ids));
        if known.len() < MAX_MERGED {
            self.merged.rcu(|map| {
                let mut map = HashMap::clone(map);
                map.insert(ids.clone(), policy.clone());
                map
            });
        }
        policy
    }

    fn lay(&self, ids: &Ids) -> Policy {
        let mut policy = self.base.clone();
        for Compiled { rule, .. } in ids.iter().filter_map(|id| self.get(*id)) {
            let names_status = rule.conditions.statuses.is_some();
            rule.patch.lay(&mut policy, &self.base, names_status);
            policy.store.names_status |= names_status;
            policy.rule = rule.name.clone();
            if rule.patch.rate.value().is_some() {
                policy.rated_by = rule.name.clone();
            }
        }
        policy
    }
}

/// Whether a rule switches something on.
fn sets<T: Clone>(setting: &Setting<Option<T>>) -> bool {
    setting.value().is_some_and(Option::is_some)
}

/// The policy of a request whose path reads two ways.
fn guarded(policy: &Policy, respond: Option<&super::policy::Respond>) -> Arc<Policy> {
    let mut policy = policy.clone();
    policy.bypass = true;
    if policy.respond.is_none() {
        policy.respond = respond.cloned();
    }
    Arc::new(policy)
}

#[cfg(test)]
mod tests;
