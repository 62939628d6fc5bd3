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
    use crate::engine::rules::purged::PurgedUrl;

    /// The keyed queries of `/p?b=2&utm_x=1&a=1` under these rules.
    fn queries(rules: &str) -> Vec<String> {
        let yaml = format!("origins: {{ app: {{ servers: [\"http://127.0.0.1:1\"] }} }}\nrules:\n{rules}");
        let loaded = crate::config::parse("t", &yaml, std::path::Path::new(""), &|_| None).unwrap();
        let url = PurgedUrl { scheme: "http", host: "e", path: "/p", query: Some("b=2&utm_x=1&a=1") };
        let queries = loaded.config.rules.keyed_queries(&url);
        queries.into_iter().map(|query| query.unwrap_or_else(|| "-".into())).collect()
    }

    #[test]
    fn a_purged_url_is_keyed_as_its_requests_are() {
        let all = "b=2&utm_x=1&a=1";
        assert_eq!(queries("  - { name: a, ttl: 1m }"), [all]);
        let exclude = "  - { name: a, key: { query: { exclude: [\"utm_*\"] }, sort: true } }";
        assert_eq!(queries(exclude), ["a=1&b=2"]);
        assert_eq!(queries("  - { name: a, key: { query: none } }"), ["-"]);
        let elsewhere = "  - { name: a, match: { path: \"/q\" }, key: { query: none } }";
        assert_eq!(queries(elsewhere), [all]);
    }

    #[test]
    fn where_rules_look_at_more_than_the_url_every_outcome_is_named() {
        let rules = "  - { name: a, match: { header: { X-A: b } }, key: { query: none } }\n  \
                     - { name: b, match: { cookie: { c: d } }, key: { sort: true } }";
        assert_eq!(queries(rules), ["b=2&utm_x=1&a=1", "a=1&b=2&utm_x=1", "-"]);
    }
}
