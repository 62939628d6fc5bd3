//! Which rules can match a host and a path, without asking all of them: by host, then by path.
//!
//! Three tables by host (a name, a domain as in `*.example.com`, everything else) lead to tables by path: the
//! literal folder that a pattern starts with, or its extension where it starts with a wildcard. A request
//! looks up one folder per `/` of its path (no deeper than the deepest pattern) and one extension. What is
//! left to compare one by one are rules without `path`, and patterns like `/{a}/{b}` that offer no handle.

use super::Rule;
use super::glob::{Host, HostGlob, HostKey, PathGlob, PathKey};
use smallvec::SmallVec;
use std::collections::HashMap;

/// Numbers of rules, ascending, each once.
pub(super) type Ids = SmallVec<[u16; 8]>;

/// Which reading of a path is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Raw,
    Lenient,
}

#[derive(Debug, Default)]
pub(super) struct Index {
    any: ByPath,
    names: HashMap<Box<[u8]>, ByPath>,
    domains: HashMap<Box<[u8]>, ByPath>,
}

#[derive(Debug, Default)]
struct ByPath {
    folders: HashMap<Box<[u8]>, Vec<Entry>>,
    extensions: HashMap<Box<[u8]>, Vec<Entry>>,
    rest: Vec<Entry>,
    /// Slashes of the deepest folder in `folders`.
    depth: usize,
}

/// One way in which a rule can match: one of its hosts with one of its paths.
#[derive(Debug)]
struct Entry {
    rule: u16,
    /// Still to be compared; `None` = settled by the table, or any.
    host: Option<HostGlob>,
    /// `None` = any.
    path: Option<PathGlob>,
}

impl Index {
    pub(super) fn new(rules: &[Rule]) -> Self {
        let mut index = Self::default();
        for (rule, id) in rules.iter().zip(0u16..) {
            match &rule.conditions.hosts {
                None => index.any.add(rule, id, None),
                Some(hosts) => hosts.iter().for_each(|host| index.add(rule, id, host)),
            }
        }
        index
    }

    fn add(&mut self, rule: &Rule, id: u16, host: &HostGlob) {
        match host.key() {
            HostKey::Exact(name) => self.names.entry(name.into()).or_default().add(rule, id, Some(host)),
            HostKey::Domain(domain) => {
                self.domains.entry(domain.into()).or_default().add(rule, id, Some(host))
            }
            HostKey::Any | HostKey::Other => self.any.add(rule, id, Some(host)),
        }
    }

    /// The rules whose host and path conditions hold.
    pub(super) fn find(&self, host: &Host<'_>, path: &[u8], reading: Reading) -> Ids {
        let mut found = Ids::new();
        self.any.find(host, path, reading, &mut found);
        let name = host.name.as_bytes();
        if let Some(by_path) = self.names.get(name) {
            by_path.find(host, path, reading, &mut found);
        }
        if !self.domains.is_empty() {
            for at in (0..name.len()).filter(|at| name.get(*at) == Some(&b'.')) {
                if let Some(by_path) = name.get(at..).and_then(|domain| self.domains.get(domain)) {
                    by_path.find(host, path, reading, &mut found);
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

impl ByPath {
    fn add(&mut self, rule: &Rule, id: u16, host: Option<&HostGlob>) {
        let entry = |path: Option<&PathGlob>| Entry { rule: id, host: host.cloned(), path: path.cloned() };
        let Some(paths) = &rule.conditions.paths else {
            self.rest.push(entry(None));
            return;
        };
        for path in paths {
            match path.key() {
                PathKey::Folder(folder) => {
                    self.depth = self.depth.max(folder.iter().filter(|b| **b == b'/').count());
                    self.folders.entry(folder.clone()).or_default().push(entry(Some(path)));
                }
                PathKey::Extension(ext) => {
                    self.extensions.entry(ext.clone()).or_default().push(entry(Some(path)));
                }
                PathKey::Open => self.rest.push(entry(Some(path))),
            }
        }
    }

    fn find(&self, host: &Host<'_>, path: &[u8], reading: Reading, found: &mut Ids) {
        let mut look = |entries: &[Entry]| {
            found.extend(entries.iter().filter(|e| e.matches(host, path, reading)).map(|e| e.rule));
        };
        look(&self.rest);
        if !self.folders.is_empty() {
            for folder in folders(path, self.depth) {
                if let Some(entries) = self.folders.get(folder) {
                    look(entries);
                }
            }
        }
        if !self.extensions.is_empty()
            && let Some(entries) = extension(path).and_then(|ext| self.extensions.get(ext))
        {
            look(entries);
        }
    }
}

impl Entry {
    fn matches(&self, host: &Host<'_>, path: &[u8], reading: Reading) -> bool {
        self.host.as_ref().is_none_or(|h| h.matches(host))
            && self.path.as_ref().is_none_or(|p| match reading {
                Reading::Raw => p.matches_raw(path),
                Reading::Lenient => p.matches_decoded(path),
            })
    }
}

/// `/a`, `/a/b`, … of `/a/b/…`, at most `depth` slashes deep, the whole path last.
fn folders(path: &[u8], depth: usize) -> impl Iterator<Item = &[u8]> {
    let ends = (1..path.len()).filter(|at| path.get(*at) == Some(&b'/')).chain(std::iter::once(path.len()));
    // The n-th end closes a folder of n slashes.
    ends.take(depth).filter_map(|end| path.get(..end))
}

/// What follows the last dot of the last segment.
fn extension(path: &[u8]) -> Option<&[u8]> {
    let file = path.rsplit(|b| *b == b'/').next()?;
    let dot = file.iter().rposition(|b| *b == b'.')?;
    file.get(dot + 1..).filter(|ext| !ext.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::conditions::Conditions;
    use super::*;

    #[test]
    fn with_a_thousand_rules_a_request_looks_at_a_handful() {
        let rule = |i: usize| {
            let path = match i % 3 {
                0 => format!("/area{i}/**"),
                1 => format!("**/*.x{i}"),
                _ => format!("/area{i}/{{id}}/*"),
            };
            let host = [format!("h{i}.example"), format!("*.d{i}.example")];
            let hosts = i.is_multiple_of(2).then(|| host.iter().map(|h| HostGlob::new(h).unwrap()).collect());
            let paths = Some(vec![PathGlob::new(&path).unwrap()]);
            Rule { conditions: Conditions { paths, hosts, ..Default::default() }, ..Default::default() }
        };
        let rules: Vec<Rule> = (0..1000).map(rule).collect();
        let index = Index::new(&rules);
        assert!(index.any.rest.is_empty() && index.any.depth == 1);
        let longest = |by_path: &ByPath| {
            let folders = by_path.folders.values().chain(by_path.extensions.values());
            folders.map(Vec::len).max().unwrap_or(0) + by_path.rest.len()
        };
        let tables = [&index.any].into_iter().chain(index.names.values()).chain(index.domains.values());
        assert_eq!(tables.map(longest).max(), Some(1));
        let host = Host::new("a.b.d6.example", "http");
        assert_eq!(index.find(&host, b"/area6/x", Reading::Raw).as_slice(), [6]);
        assert_eq!(index.find(&host, b"/area9/x.x7", Reading::Raw).as_slice(), [7, 9]);
    }
}
