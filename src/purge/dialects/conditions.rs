//! Bans: conditions on host, URL, tags and content type, joined by *and*. They become exact selectors where each
//! condition is a list that selectors can say, else one predicate.
//!
//! Exact is only what is certain to select at least as much: a literal path between anchors, a literal folder with an
//! open end, a list of host names. URLs are compared in normal form, which only adds spellings.

use super::literal::{is_everything, words};
use super::tag_regex::{self, TagSet};
use super::{Bad, Fault, MAX_ITEMS, Urls, both_schemes};
use crate::purge::predicate::{MAX_PATTERN_BYTES, Pattern};
use crate::purge::{Mode, PatternError, Predicate, PredicateSpec, Purge, Selector, normal};

/// Without a condition, the field may be anything. All absent is everything.
#[derive(Clone, Debug, Default)]
pub struct Ban {
    pub host: Option<Condition>,
    pub url: Option<Condition>,
    pub tags: Option<Condition>,
    pub content_type: Option<Condition>,
}

#[derive(Clone, Debug)]
pub struct Condition {
    /// The field that it came in, for errors.
    header: &'static str,
    pattern: Pattern,
    /// The same as a list, where that is certain.
    names: Option<Names>,
}

#[derive(Clone, Debug, Default)]
struct Names {
    /// Hosts, tags, or paths with their query.
    whole: Vec<String>,
    /// Folders: paths that end in a slash, and all that is below.
    below: Vec<String>,
}

impl Condition {
    /// One host by name, already in normal form.
    pub fn host(header: &'static str, host: &str) -> Self {
        let names = Names { whole: vec![host.to_owned()], ..Names::default() };
        Self { header, pattern: Pattern::Wildcard(host.to_owned()), names: Some(names) }
    }

    /// `None` = any host.
    pub fn host_regex(header: &'static str, text: String) -> Result<Option<Self>, Bad> {
        let text = checked(header, text)?;
        if is_everything(&text) {
            return Ok(None);
        }
        let names = words(&text).and_then(|words| {
            words
                .into_iter()
                .map(|word| normal::schemeless_authority(&word.text).ok().filter(|_| word.start && word.end))
                .collect::<Option<Vec<_>>>()
        });
        let names = names.map(|whole| Names { whole, ..Names::default() });
        Ok(Some(Self { header, pattern: Pattern::Regex(text), names }))
    }

    /// One path with its query, to the letter.
    pub fn url(header: &'static str, target: String) -> Self {
        let names = Names { whole: vec![target.clone()], ..Names::default() };
        // Only used where a selector can't be: beside a condition on tags or type, where `*` can only select more.
        Self { header, pattern: Pattern::Wildcard(target), names: Some(names) }
    }

    /// `None` = any URL.
    pub fn url_regex(header: &'static str, text: String) -> Result<Option<Self>, Bad> {
        let text = checked(header, text)?;
        let open = without_open_end(&text);
        if is_everything(&text) || matches!(open, "" | "^" | "/" | "^/") {
            return Ok(None);
        }
        let names = words(open).and_then(|words| {
            let mut names = Names::default();
            for word in words {
                match (word.start, word.end) {
                    (true, true) if word.text.starts_with('/') => names.whole.push(word.text),
                    (true, false) if is_folder(&word.text) => names.below.push(word.text),
                    _ => return None,
                }
            }
            Some(names)
        });
        Ok(Some(Self { header, pattern: Pattern::Regex(text), names }))
    }

    /// A path in which `*` stands for anything; `None` = any URL. `/a/*` is the folder, which includes `/a` itself.
    pub fn url_wildcard(header: &'static str, text: String) -> Result<Option<Self>, Bad> {
        let text = checked(header, text)?;
        let prefix = text.trim_end_matches('*');
        if matches!(prefix, "" | "/") {
            return Ok(None);
        }
        Ok(Some(match prefix.contains('*') || prefix.len() == text.len() {
            true => Self { header, pattern: Pattern::Wildcard(text), names: None },
            false => {
                let folder = is_folder(prefix);
                let names = folder.then(|| Names { below: vec![prefix.to_owned()], ..Names::default() });
                Self { header, pattern: Pattern::Prefix(prefix.to_owned()), names }
            }
        }))
    }

    /// `None` = everything, tags or not.
    pub fn tag_regex(header: &'static str, text: String) -> Result<Option<Self>, Bad> {
        let text = checked(header, text)?;
        let names = match tag_regex::read(&text) {
            TagSet::Everything => return Ok(None),
            TagSet::Exactly(whole) => Some(Names { whole, ..Names::default() }),
            TagSet::Like => None,
        };
        Ok(Some(Self { header, pattern: Pattern::Regex(text), names }))
    }

    /// `None` = any type, or none.
    pub fn type_regex(header: &'static str, text: String) -> Result<Option<Self>, Bad> {
        let text = checked(header, text)?;
        let any = is_everything(&text);
        Ok((!any).then_some(Self { header, pattern: Pattern::Regex(text), names: None }))
    }
}

impl Ban {
    /// A hard purge of what fulfils all conditions; bans leave nothing to validate.
    pub fn into_purge(self, urls: Urls<'_>) -> Result<Purge, Bad> {
        let mut purge = Purge::new(Mode::Hard, self.selectors(urls).unwrap_or_default());
        if purge.selectors.is_empty() {
            purge.predicates.push(self.predicate()?);
        }
        Ok(purge)
    }

    /// `None` where only a predicate will do.
    fn selectors(&self, urls: Urls<'_>) -> Option<Vec<Selector>> {
        if self.content_type.is_some() {
            return None;
        }
        let names = |condition: &Condition| condition.names.clone();
        match (&self.host, &self.url, &self.tags) {
            (None, None, None) => Some(vec![Selector::Everything]),
            (None, None, Some(tags)) => Some(names(tags)?.whole.into_iter().map(Selector::Tag).collect()),
            (Some(host), None, None) => {
                names(host)?.whole.iter().map(|host| Selector::host(host).ok()).collect()
            }
            (Some(host), Some(url), None) => pairs(&names(host)?.whole, &names(url)?, urls),
            _ => None,
        }
    }

    fn predicate(self) -> Result<Predicate, Bad> {
        let conditions = [&self.host, &self.url, &self.tags, &self.content_type];
        for condition in conditions.into_iter().flatten() {
            // One by one first, so that an error names the field.
            let alone = PredicateSpec { url: Some(condition.pattern.clone()), ..PredicateSpec::default() };
            Predicate::compile(alone).map_err(|error| bad_pattern(condition.header, &error))?;
        }
        let pattern = |condition: Option<Condition>| condition.map(|condition| condition.pattern);
        Predicate::compile(PredicateSpec {
            host: pattern(self.host),
            url: pattern(self.url),
            tags: pattern(self.tags),
            content_type: pattern(self.content_type),
        })
        .map_err(|error| Bad(Fault::Pattern, error.to_string()))
    }
}

/// Every path on every host.
fn pairs(hosts: &[String], paths: &Names, urls: Urls<'_>) -> Option<Vec<Selector>> {
    if hosts.len().saturating_mul(paths.whole.len() + paths.below.len()) > MAX_ITEMS {
        return None;
    }
    let mut selectors = Vec::new();
    for host in hosts {
        for path in &paths.whole {
            selectors.extend(both_schemes(host, path, urls).ok()?);
        }
        for folder in &paths.below {
            selectors.push(Selector::prefix(&format!("{host}{folder}")).ok()?);
        }
    }
    Some(selectors)
}

/// A prefix selector ends at a boundary of the path, so the text must too; a query has none. Dot segments would be
/// resolved, and then name another folder than the expression does.
fn is_folder(text: &str) -> bool {
    let dots =
        |segment: &str| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    text.starts_with('/') && text.ends_with('/') && !text.contains(['?', '#']) && !text.split('/').any(dots)
}

/// Without the `.*` at the end, which says nothing: an expression is open at its end anyway.
fn without_open_end(pattern: &str) -> &str {
    let mut rest = pattern;
    while let Some(before) = rest.strip_suffix(".*$").or_else(|| rest.strip_suffix(".*")) {
        let slashes = before.len() - before.trim_end_matches('\\').len();
        if slashes % 2 == 1 {
            break;
        }
        rest = before;
    }
    rest
}

fn checked(header: &'static str, text: String) -> Result<String, Bad> {
    match text.len() {
        0..=MAX_PATTERN_BYTES => Ok(text),
        _ => Err(bad_pattern(header, &PatternError::TooLong)),
    }
}

fn bad_pattern(header: &str, error: &PatternError) -> Bad {
    Bad(
        Fault::Pattern,
        format!("{header}: {error}; a regular expression that runs in linear time was expected"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::plain;
    use super::*;
    use crate::purge::Subject;
    use proptest::prelude::*;

    fn ban(host: &str, url: &str) -> Purge {
        let host = Condition::host_regex("x-host", host.to_owned()).unwrap();
        let url = Condition::url_regex("x-url", url.to_owned()).unwrap();
        Ban { host, url, ..Ban::default() }.into_purge(&plain).unwrap()
    }

    fn shown(purge: &Purge) -> String {
        let named: Vec<String> = purge.selectors.iter().map(Selector::to_string).collect();
        format!("{}{}", named.join(", "), if purge.predicates.is_empty() { "" } else { "predicate" })
    }

    #[test]
    fn lists_of_hosts_and_literal_paths_become_selectors() {
        let table = [
            (".*", ".*", "everything"),
            ("^(a\\.example|b:8080)$", ".*", "host a.example, host b:8080"),
            ("^a$", "^/x\\?q\\=1$", "url http://a/x?q=1, url https://a/x?q=1"),
            ("^(a|b)$", "^/x/", "prefix a/x, prefix b/x"),
            ("^a$", "^/x/.*$", "prefix a/x"),
            ("^a$", "^/x/|^/y$", "url http://a/y, url https://a/y, prefix a/x"),
            ("^a$", "/", "host a"),
            ("^a$", "^/.*", "host a"),
            // An unescaped dot is any character, and an open end is open.
            ("^(a.example)$", ".*", "predicate"),
            ("a", ".*", "predicate"),
            ("^a$", "^/x", "predicate"),
            ("^a$", "/x/", "predicate"),
            ("^a$", "^/x/\\.*", "predicate"),
            ("^a$", "^/x/\\.\\./", "predicate"),
            ("^a$", "^/x\\?y/", "predicate"),
            (".*", "^/x$", "predicate"),
        ];
        for (host, url, wanted) in table {
            assert_eq!(shown(&ban(host, url)), wanted, "{host} {url}");
        }
    }

    #[test]
    fn wildcards_end_at_a_boundary_or_become_predicates() {
        let wild = |text: &str| {
            let url = Condition::url_wildcard("url", text.to_owned()).unwrap();
            let host = Some(Condition::host("Host", "e.example"));
            Ban { host, url, ..Ban::default() }.into_purge(&plain).unwrap()
        };
        assert_eq!(shown(&wild("/*")), "host e.example");
        assert_eq!(shown(&wild("*")), "host e.example");
        assert_eq!(shown(&wild("/a/*")), "prefix e.example/a");
        for (text, hit, missed) in
            [("/a*", "/ab/c", "/b"), ("/a/*/c", "/a/b/c", "/a/b/d"), ("/a?x=*", "/a?x=1", "/a")]
        {
            let purge = wild(text);
            let on = |authority, url| {
                let subject = Subject { authority, url, ..Subject::default() };
                purge.predicates.iter().any(|predicate| predicate.matches(&subject))
            };
            assert!(on("e.example", hit) && on("E.example:8080", hit), "{text}");
            assert!(!on("e.example", missed) && !on("other.example", hit), "{text}");
        }
    }

    #[test]
    fn an_expression_that_cannot_be_used_is_an_error_that_names_its_field() {
        let bad = |url: &str| {
            Condition::url_regex("x-url", url.to_owned())
                .and_then(|url| Ban { url, ..Ban::default() }.into_purge(&plain))
                .unwrap_err()
        };
        for pattern in ["(?=a)b", "(?<!x)a", "(a)\\1", "(a", "[z-a]", "(a{999}){999}"] {
            let Bad(fault, reason) = bad(pattern);
            assert_eq!(fault, Fault::Pattern, "{pattern}");
            assert!(reason.starts_with("x-url: ") && reason.contains("linear time"), "{reason}");
        }
        assert!(bad("(?=a)b").1.contains("look-around"));
        assert!(bad("(a)\\1").1.contains("backreferences"));
        assert!(bad(&"a".repeat(8193)).1.contains("8192 bytes"));
    }

    proptest! {
        /// Whatever path the expression matches is one of the URLs or below one of the folders.
        #[test]
        fn exact_urls_select_at_least_what_the_expression_does(
            pattern in "(\\^)?(\\(\\^\\|,\\))?[/a\\\\.*?|^$()]{0,8}(\\$|\\.\\*)?",
            path in "/[/a.?]{0,6}",
        ) {
            let Ok(engine) = regex::Regex::new(&pattern) else { return Ok(()) };
            let Ok(Some(url)) = Condition::url_regex("x-url", pattern.clone()) else { return Ok(()) };
            if let Some(names) = url.names.filter(|_| engine.is_match(&path)) {
                let hit = names.whole.contains(&path) || names.below.iter().any(|folder| path.starts_with(folder));
                prop_assert!(hit, "{pattern} on {path}");
            }
        }
    }
}
