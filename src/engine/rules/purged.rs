//! From the URL that a purge names to the queries under which its entries may be stored. An entry is keyed, and selected,
//! by the query that its rules leave over; a purge knows no request, so where rules look at header fields, cookies or
//! the method, every outcome is named. A query too many costs a look-up, one too few would be a page nobody can purge.

use super::index::Reading;
use super::path::{lenient, upper_triplets};
use super::{Host, RequestFacts, RuleSet};
use crate::engine::policy::{KeyPolicy, QueryKey};
use http::{HeaderMap, Method};

/// A URL as a purge names it, in normal form.
#[derive(Clone, Copy, Debug)]
pub struct PurgedUrl<'a> {
    pub scheme: &'a str,
    /// Without the default port.
    pub host: &'a str,
    pub path: &'a str,
    pub query: Option<&'a str>,
}

impl RuleSet {
    /// The queries, each once, that requests for this URL may be keyed by.
    pub fn keyed_queries(&self, url: &PurgedUrl<'_>) -> Vec<Option<String>> {
        // No rule invents a query.
        if url.query.is_none() {
            return vec![None];
        }
        let PurgedUrl { scheme, host, path, query } = *url;
        let facts =
            RequestFacts { method: &Method::GET, scheme, host, path, query, headers: &HeaderMap::new() };
        let resolved = self.resolve(&facts);
        let keyed = |policy: &KeyPolicy| policy.apply_query(query).map(|query| query.into_owned());
        let mut outcomes = vec![keyed(&resolved.policy.key)];
        if resolved.repeatable {
            return outcomes;
        }
        for policy in self.possible_keys(scheme, host, path) {
            let outcome = keyed(&policy);
            if !outcomes.contains(&outcome) {
                outcomes.push(outcome);
            }
        }
        outcomes
    }

    /// Of every rule that may match this host and path, alone or above another: `query` and `sort` are merged by leaf, so
    /// that any of the one can meet any of the other.
    fn possible_keys(&self, scheme: &str, host: &str, path: &str) -> Vec<KeyPolicy> {
        let host = Host::new(host, scheme);
        let raw = upper_triplets(path);
        let mut ids = self.index.find(&host, &raw, Reading::Raw);
        ids.extend(
            lenient(&raw).map(|path| self.index.find(&host, &path, Reading::Lenient)).unwrap_or_default(),
        );
        let patches = || ids.iter().filter_map(|id| Some(&self.get(*id)?.rule.patch.key));
        let mut queries: Vec<&QueryKey> = vec![&self.base.key.query];
        for query in patches().filter_map(|key| key.query.value()) {
            if !queries.contains(&query) {
                queries.push(query);
            }
        }
        let sorted = patches().any(|key| key.sort.value() == Some(&true));
        let sorts = if sorted { &[false, true][..] } else { &[false][..] };
        let of = |query: &QueryKey, sort| KeyPolicy { query: query.clone(), sort, ..KeyPolicy::default() };
        queries.into_iter().flat_map(|query| sorts.iter().map(move |sort| of(query, *sort))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::rules::Rule;
    use crate::engine::rules::conditions::Conditions;
    use crate::engine::rules::glob::{Glob, PathGlob};
    use crate::engine::rules::patch::{KeyPatch, Patch, Setting};
    use std::sync::Arc;

    fn rule(conditions: Conditions, query: Option<QueryKey>, sort: bool) -> Rule {
        let key = KeyPatch {
            query: query.map_or(Setting::Keep, Setting::To),
            sort: if sort { Setting::To(true) } else { Setting::Keep },
            ..KeyPatch::default()
        };
        Rule { conditions, patch: Patch { key, ..Patch::default() }, ..Rule::default() }
    }

    fn globs(glob: &str) -> Vec<Glob> {
        vec![Glob::new(glob).unwrap()]
    }

    fn path(glob: &str) -> Conditions {
        Conditions { paths: Some(vec![PathGlob::new(glob).unwrap()]), ..Conditions::default() }
    }

    /// The keyed queries of `/p?b=2&utm_x=1&a=1` under these rules; `-` for none.
    fn queries(rules: Vec<Rule>) -> Vec<String> {
        let rules = RuleSet::new(Arc::from("app"), rules).unwrap();
        let url = PurgedUrl { scheme: "http", host: "e", path: "/p", query: Some("b=2&utm_x=1&a=1") };
        rules.keyed_queries(&url).into_iter().map(|query| query.unwrap_or_else(|| "-".into())).collect()
    }

    #[test]
    fn a_purged_url_is_keyed_as_its_requests_are() {
        let (any, all) = (Conditions::default, "b=2&utm_x=1&a=1");
        assert_eq!(queries(vec![]), [all]);
        assert_eq!(queries(vec![rule(any(), Some(QueryKey::Exclude(globs("utm_*"))), true)]), ["a=1&b=2"]);
        assert_eq!(queries(vec![rule(any(), Some(QueryKey::None), false)]), ["-"]);
        assert_eq!(queries(vec![rule(path("/q"), Some(QueryKey::None), false)]), [all]);
        assert_eq!(queries(vec![rule(path("/{p}"), Some(QueryKey::Include(globs("a"))), false)]), ["a=1"]);
    }

    #[test]
    fn where_rules_look_at_more_than_the_url_every_outcome_is_named() {
        let header =
            Conditions { headers: vec![(http::header::ACCEPT, globs("x"))], ..Conditions::default() };
        let cookie = Conditions { cookies: vec![(Glob::new("c").unwrap(), globs("d"))], ..path("/p") };
        let elsewhere = Conditions { cookies: vec![(Glob::new("c").unwrap(), globs("d"))], ..path("/q") };
        let rules = vec![
            rule(header, Some(QueryKey::None), false),
            rule(cookie, None, true),
            rule(elsewhere, Some(QueryKey::Include(globs("a"))), false),
        ];
        assert_eq!(queries(rules), ["b=2&utm_x=1&a=1", "a=1&b=2&utm_x=1", "-"]);
    }

    #[test]
    fn what_has_no_query_has_one_key() {
        let rules = RuleSet::new(Arc::from("app"), vec![rule(Conditions::default(), None, true)]).unwrap();
        let url = PurgedUrl { scheme: "http", host: "e", path: "/p", query: None };
        assert_eq!(rules.keyed_queries(&url), [None]);
    }
}
