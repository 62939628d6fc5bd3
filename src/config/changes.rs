//! What a new configuration changes: the two normalised forms beside each other, as a person would list the differences.
//!
//! Both forms have every default in them, and secrets blanked. So that a new password is seen as well, a digest of what was
//! written at such places is kept, keyed by a random number of this process: it can be compared, and nothing can be
//! guessed from it. Things that have names (origins, rules, tokens) are compared by name; the order of rules matters, so
//! that one that has moved is a difference of its own.

use super::print::flow;
use super::scalar::BLANK;
use super::tree::{Node, Value};
use serde_json::{Map, Value as Json, json};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;

/// Longest value in a difference, characters; the rest is dots.
const LONGEST: usize = 120;

/// A configuration in the form that is compared.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    shown: Map<String, Json>,
    /// By path: what a blanked value was made of.
    secrets: BTreeMap<String, u64>,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// `memory.max_object`, `rules[assets].ttl`
    pub path: String,
    pub what: What,
    /// It holds only from the next start on.
    pub at_next_start: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// `None`: it is not set there.
    Value {
        from: Option<String>,
        to: Option<String>,
    },
    /// Another secret stands there.
    Secret,
    /// Another value stands there, or none, that is not to be shown: what headers, cookies and parameters are compared with is often a password.
    Hidden,
    Added,
    Removed,
    /// Numbers from 1, each in its own configuration.
    Moved {
        from: usize,
        to: usize,
    },
}

impl What {
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Value { .. } => "value",
            Self::Secret => "secret",
            Self::Hidden => "changed",
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Moved { .. } => "moved",
        }
    }
}

impl Change {
    /// As `POST /reload` answers.
    pub fn to_json(&self) -> Json {
        let mut out = json!({ "path": self.path, "change": self.what.as_str() });
        let (from, to) = match &self.what {
            What::Value { from, to } => (json!(from), json!(to)),
            What::Moved { from, to } => (json!(from), json!(to)),
            What::Secret | What::Hidden | What::Added | What::Removed => (Json::Null, Json::Null),
        };
        if let Json::Object(map) = &mut out {
            map.extend([("from", from), ("to", to)].map(|(key, value)| (key.to_owned(), value)));
            map.insert("at_next_start".to_owned(), self.at_next_start.into());
        }
        out
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "(not set)".into());
        write!(f, "{}: ", self.path)?;
        match &self.what {
            What::Value { from, to } => write!(f, "{} -> {}", value(from), value(to))?,
            What::Secret => write!(f, "another secret")?,
            What::Moved { from, to } => write!(f, "moved from {from} to {to}")?,
            What::Hidden | What::Added | What::Removed => f.write_str(self.what.as_str())?,
        }
        if self.at_next_start { f.write_str(" (from the next start on)") } else { Ok(()) }
    }
}

/// What holds from the start to the end of a process. `app` reads these once.
const FIXED: [&str; 16] = [
    "server.listen",
    "server.proxy_protocol",
    "server.threads",
    "server.shutdown_grace",
    "admin.address",
    "memory.capacity",
    "memory.policy",
    "shared",
    "log.access",
    "log.level",
    "tracing",
    "tracing.otlp",
    "tracing.protocol",
    "tracing.service",
    "tracing.headers",
    // In a fleet it is what shared values are called by.
    "server.secret",
];

impl Tree {
    /// `source`: what was written, as it was read.
    pub(super) fn new(shown: Map<String, Json>, source: &Node) -> Self {
        let mut secrets = BTreeMap::new();
        let root = Json::Object(shown);
        digests(&root, source, String::new(), &mut secrets);
        let Json::Object(shown) = root else { return Self::default() };
        Self { shown, secrets }
    }

    /// What is different here, in the order of this configuration.
    pub fn changes_since(&self, old: &Self) -> Vec<Change> {
        let mut found = Vec::new();
        maps("", &old.shown, &self.shown, &mut found);
        for (path, digest) in &self.secrets {
            let told = |(at, _): &(String, What)| covers(at, path);
            if old.secrets.get(path).is_some_and(|was| was != digest) && !found.iter().any(told) {
                found.push((path.clone(), What::Secret));
            }
        }
        let fleet = self.shown.contains_key("shared") && old.shown.contains_key("shared");
        let change = |(path, what): (String, What)| {
            let at_next_start = fixed(&path, fleet).is_some();
            Change { path, what, at_next_start }
        };
        found.into_iter().map(change).collect()
    }

    /// The fields that hold until the next start and are different here.
    pub fn kept_since(&self, started: &Self) -> Vec<&'static str> {
        let fleet = started.shown.contains_key("shared");
        let changes = self.changes_since(started);
        FIXED
            .into_iter()
            .filter(|field| changes.iter().any(|change| fixed(&change.path, fleet) == Some(field)))
            .collect()
    }
}

fn fixed(path: &str, fleet: bool) -> Option<&'static str> {
    // How much is traced can be changed at any time, by whom and to where it can't.
    let holds = |field: &&&str| match **field {
        "tracing" => path == "tracing",
        "server.secret" => path == "server.secret" && fleet,
        field => covers(field, path),
    };
    FIXED.iter().find(holds).copied()
}

/// Whether `path` is `field`, or within it.
fn covers(field: &str, path: &str) -> bool {
    path.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The path of an item of a list; a rule without a name is called by its number already.
fn item(path: &str, name: &str) -> String {
    if name.starts_with(&format!("{path}[")) { name.to_owned() } else { format!("{path}[{name}]") }
}

type Found = Vec<(String, What)>;

fn maps(path: &str, old: &Map<String, Json>, new: &Map<String, Json>, found: &mut Found) {
    for (key, value) in new {
        let path = join(path, key);
        match old.get(key) {
            Some(was) => values(path, was, value, found),
            None if value.is_object() || is_hidden(&path) => found.push((path, What::Added)),
            None => found.push((path, What::Value { from: None, to: Some(text(value)) })),
        }
    }
    for (key, was) in old.iter().filter(|(key, _)| !new.contains_key(*key)) {
        let path = join(path, key);
        let what = if was.is_object() || is_hidden(&path) {
            What::Removed
        } else {
            What::Value { from: Some(text(was)), to: None }
        };
        found.push((path, what));
    }
}

/// Whether what stands there is never shown.
fn is_hidden(path: &str) -> bool {
    [".match.header.", ".match.cookie.", ".match.query."].iter().any(|within| path.contains(within))
}

fn values(path: String, old: &Json, new: &Json, found: &mut Found) {
    match (old, new) {
        _ if old == new => {}
        _ if is_hidden(&path) => found.push((path, What::Hidden)),
        (Json::Object(old), Json::Object(new)) => maps(&path, old, new, found),
        (Json::Array(old), Json::Array(new)) if is_named(old) && is_named(new) => {
            named(&path, old, new, found);
        }
        _ => found.push((path, What::Value { from: Some(text(old)), to: Some(text(new)) })),
    }
}

fn name_of(item: &Json) -> Option<&str> {
    item.get("name")?.as_str()
}

fn is_named(list: &[Json]) -> bool {
    list.iter().all(|item| name_of(item).is_some())
}

/// Lists of things that have names; the configuration's check has made sure that no two have the same.
fn named(path: &str, old: &[Json], new: &[Json], found: &mut Found) {
    let places: HashMap<&str, usize> =
        old.iter().enumerate().filter_map(|(at, item)| Some((name_of(item)?, at))).collect();
    let common: Vec<usize> = new.iter().filter_map(|i| places.get(name_of(i)?).copied()).collect();
    let stay = longest_rising(&common);
    for (to, is) in new.iter().enumerate() {
        let Some(name) = name_of(is) else { continue };
        let Some((from, was)) = places.get(name).and_then(|at| Some((*at, old.get(*at)?))) else {
            found.push((item(path, name), What::Added));
            continue;
        };
        if stay.binary_search(&from).is_err() {
            found.push((item(path, name), What::Moved { from: from + 1, to: to + 1 }));
        }
        values(item(path, name), was, is, found);
    }
    let gone = |name: &&str| !new.iter().any(|item| name_of(item) == Some(name));
    let removed = old.iter().filter_map(name_of).filter(gone);
    found.extend(removed.map(|name| (item(path, name), What::Removed)));
}

/// The longest part of `places` that rises, sorted: all others have moved past some of it. Each place occurs once.
fn longest_rising(places: &[usize]) -> Vec<usize> {
    // `ends[n]`: the index of the lowest place at which a rising run of n + 1 can end; `before`: what comes before it.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(places.len());
    let at = |index: &usize| places.get(*index).copied().unwrap_or(usize::MAX);
    for (index, place) in places.iter().enumerate() {
        let length = ends.partition_point(|end| at(end) < *place);
        before.push(length.checked_sub(1).and_then(|last| ends.get(last).copied()));
        match ends.get_mut(length) {
            Some(end) => *end = index,
            None => ends.push(index),
        }
    }
    let mut out = Vec::with_capacity(ends.len());
    let mut next = ends.last().copied();
    while let Some(index) = next {
        out.push(at(&index));
        next = before.get(index).copied().flatten();
    }
    out.reverse();
    out
}

fn text(value: &Json) -> String {
    let text = flow(value);
    match text.char_indices().nth(LONGEST) {
        None => text,
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

/// Notes down what stands behind every blanked value.
fn digests(shown: &Json, source: &Node, path: String, out: &mut BTreeMap<String, u64>) {
    match shown {
        Json::Object(map) => {
            for (key, value) in map {
                // A short form has no such key: then all of it counts.
                let written = source.entries().iter().find(|(k, _)| k.text.eq_ignore_ascii_case(key));
                digests(value, written.map_or(source, |(_, node)| node), join(&path, key), out);
            }
        }
        Json::Array(items) => {
            for (at, value) in items.iter().enumerate() {
                let path = match name_of(value) {
                    Some(name) => item(&path, name),
                    None => format!("{path}[{at}]"),
                };
                digests(value, source.items().get(at).unwrap_or(source), path, out);
            }
        }
        Json::String(text) if text.contains(BLANK) => {
            static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
            let mut hasher = KEY.build_hasher();
            write(source, &mut hasher);
            out.insert(path, hasher.finish());
        }
        _ => {}
    }
}

fn write(node: &Node, to: &mut impl Hasher) {
    let mut put = |text: &str| {
        to.write_usize(text.len());
        to.write(text.as_bytes());
    };
    match &node.value {
        Value::Null | Value::Broken => put(""),
        Value::Text(text) => put(text),
        Value::List(items) => items.iter().for_each(|item| write(item, to)),
        Value::Map(entries) => entries.iter().for_each(|(key, value)| {
            to.write(key.text.as_bytes());
            write(value, to);
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn tree(text: &str) -> Tree {
        let origins = if text.contains("origins:") { "" } else { "origins: { app: { servers: demo } }\n" };
        let text = format!("{origins}{text}");
        let loaded = super::super::parse("x", &text, Path::new(""), &|_| None);
        loaded.unwrap_or_else(|report| panic!("{report}")).config.tree
    }

    fn told(old: &str, new: &str) -> String {
        let changes = tree(new).changes_since(&tree(old));
        changes.iter().map(|change| format!("{change}\n")).collect()
    }

    #[test]
    fn what_is_the_same_is_no_change_however_it_is_written() {
        assert_eq!(told("memory: { max_object: 32MiB }", "memory: { max_object: 32768KiB }\nlog:\n"), "");
        assert_eq!(told("server: { secret: a-long-secret }", "server:\n  secret: \"a-long-secret\"\n"), "");
    }

    #[test]
    fn fields_rules_and_what_waits_for_the_next_start_are_told_apart() {
        let old = "
memory: { max_object: 1MiB, capacity: 64MiB }
log: { access: off }
server: { trusted_proxies: [10.0.0.0/8] }
rules:
  - { name: everything, origin: app }
  - { name: assets, match: { path: /static/** }, ttl: 30d, tags: [a, b] }
  - { name: pages, match: { path: /p/** }, default_ttl: 1m }
  - { name: gone, match: { path: /gone }, cache: bypass }
";
        let new = "
memory: { max_object: 2MiB, capacity: 128MiB }
log: { access: json }
server: { trusted_proxies: [10.0.0.0/8, 192.0.2.1] }
tracing: { otlp: http://127.0.0.1:4317 }
origins: { app: { servers: demo }, api: { servers: http://api:3000 } }
rules:
  - { name: pages, match: { path: /p/** }, ttl: 1m }
  - { name: everything, origin: app }
  - { name: assets, match: { path: [/static/**, /img/**] }, ttl: 7d, tags: [a] }
  - { name: news, match: { path: /news }, ttl: 5s }
";
        insta::assert_snapshot!(told(old, new), @r#"
        server.trusted_proxies: [10.0.0.0/8] -> [10.0.0.0/8, 192.0.2.1/32]
        origins.api: added
        memory.capacity: 64MiB -> 128MiB (from the next start on)
        memory.max_object: 1MiB -> 2MiB
        log.access: off -> json (from the next start on)
        tracing: added (from the next start on)
        rules[pages]: moved from 3 to 1
        rules[pages].ttl: (not set) -> 1m
        rules[pages].default_ttl: 1m -> (not set)
        rules[assets].match.path: ["/static/**"] -> ["/static/**", "/img/**"]
        rules[assets].ttl: 30d -> 7d
        rules[assets].tags: [a, b] -> [a]
        rules[news]: added
        rules[gone]: removed
        "#);
    }

    #[test]
    fn another_secret_is_told_and_not_shown() {
        let old = "
server: { secret: the-first-secret-of-all }
admin: { tokens: [{ name: ops, secret: first, allow: admin }] }
shared: { url: \"redis://u:first@127.0.0.1:6379\" }
tracing: { otlp: http://127.0.0.1:4317, headers: { X-Key: first } }
rules: [{ name: all, request_headers: { set: { Authorization: first } } }]
";
        let told = told(old, &old.replace("first", "other"));
        assert!(!told.contains("first-") && !told.contains("other-"), "{told}");
        insta::assert_snapshot!(told, @r#"
        admin.tokens[ops].secret: another secret
        rules[all].request_headers.set.authorization: another secret
        server.secret: another secret (from the next start on)
        shared.url: another secret (from the next start on)
        tracing.headers.x-key: another secret (from the next start on)
        "#);
    }

    #[test]
    fn what_headers_cookies_and_parameters_are_compared_with_is_not_shown() {
        let rule = |conditions: &str| format!("rules: [{{ name: r.1, match: {{ {conditions} }}, ttl: 1m }}]");
        let old = rule(
            "header: { X-Preview: hush-1, X-Gone: hush-2 }, cookie: { session: hush-3 }, query: { code: [hush-4] }",
        );
        let new = rule(
            "header: { X-Preview: hush-5, X-New: hush-6 }, cookie: { session: [hush-3, hush-7] }, query: { code: hush-8 }",
        );
        let told = told(&old, &new);
        assert!(!told.contains("hush"), "{told}");
        insta::assert_snapshot!(told, @r#"
        rules[r.1].match.header.x-preview: changed
        rules[r.1].match.header.x-new: added
        rules[r.1].match.header.x-gone: removed
        rules[r.1].match.cookie.session: changed
        rules[r.1].match.query.code: changed
        "#);
        let answered: Vec<Json> = tree(&new).changes_since(&tree(&old)).iter().map(Change::to_json).collect();
        assert!(!json!(answered).to_string().contains("hush"), "{answered:?}");
        assert_eq!(answered[0]["change"], "changed");
    }

    #[test]
    fn only_what_has_to_move_is_said_to_have_moved() {
        let rules = |names: &str| {
            let rule = |name: char| format!("  - {{ name: {name}, match: {{ path: /{name} }}, ttl: 1m }}\n");
            format!("rules:\n{}", names.chars().map(rule).collect::<String>())
        };
        assert_eq!(told(&rules("abcde"), &rules("bcdea")), "rules[a]: moved from 1 to 5\n");
        assert_eq!(told(&rules("abcde"), &rules("eabcd")), "rules[e]: moved from 5 to 1\n");
        assert_eq!(told(&rules("abc"), &rules("xabyc")), "rules[x]: added\nrules[y]: added\n");
        assert_eq!(told(&rules("abc"), &rules("c")), "rules[a]: removed\nrules[b]: removed\n");
    }

    #[test]
    fn long_values_are_cut() {
        let rule = |n| {
            format!(
                "rules: [{{ name: r, match: {{ path: /x }}, respond: {{ status: 200, body: \"{}\" }} }}]",
                "é".repeat(n)
            )
        };
        assert!(told(&rule(1000), &rule(999)).chars().count() < 3 * LONGEST);
    }

    #[test]
    fn what_is_kept_is_seen_against_the_start_of_the_process() {
        let (started, now) = (
            tree("memory: { capacity: 64MiB }"),
            tree("memory: { capacity: 128MiB }\nlog: { level: debug }"),
        );
        assert_eq!(now.kept_since(&started), ["memory.capacity", "log.level"]);
        assert_eq!(started.kept_since(&started), Vec::<&str>::new());
        let more = "tracing: { otlp: http://127.0.0.1:4317, sample: 5% }";
        let less = "tracing: { otlp: http://127.0.0.1:4317, sample: 1% }";
        assert_eq!(tree(more).kept_since(&tree(less)), Vec::<&str>::new());
        assert_eq!(tree(more).kept_since(&tree("")), ["tracing"]);
    }
}
