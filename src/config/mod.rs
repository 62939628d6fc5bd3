//! Configuration: YAML to checked types, every mistake in one run, with its place and what would be right.
//!
//! A text becomes a tree of placed nodes ([`tree`]); tables of fields read the tree into types ([`section`]
//! and the files named like the sections); what concerns several fields at once is checked on the whole
//! ([`check`] for errors, [`lint`] for warnings). The result is plain data and the compiled rules.

pub mod changes;
mod check;
mod compound;
pub mod expand;
mod lint;
mod matching;
mod nearest;
pub mod net;
pub mod origins;
mod print;
mod reference;
pub mod report;
mod rules;
pub mod scalar;
mod schema;
mod section;
pub mod server;
pub mod storage;
pub mod telemetry;
mod tree;

use crate::engine::rules::{Rule, RuleSet};
use compound::{Dict, Opt, Sect};
use expand::Env;
use report::{Class, Findings, Place, Report};
use rules::RuleList;
use scalar::Name;
use section::{Cx, Section, section};
use std::path::Path;
use std::sync::Arc;

pub use reference::reference;
pub use schema::schema;

section! {
    /// The whole configuration.
    pub struct Root {
        /// The public side.
        server: server::Server as Sect;
        /// The admin listener.
        admin: server::Admin as Sect;
        /// Where responses come from, by name. The first one answers what no rule sends elsewhere.
        origins: Vec<(Arc<str>, origins::Origin)> as Dict<Name, Sect>;
        /// The memory tier.
        memory: storage::Memory as Sect;
        /// The tier that a fleet shares; left out = this node alone.
        shared: Option<storage::Shared> as Opt<Sect>;
        /// Logs.
        log: telemetry::Log as Sect;
        /// Traces; left out = none.
        tracing: Option<telemetry::Tracing> as Opt<Sect>;
        /// Every matching rule applies, top to bottom; the last one that sets a field wins.
        rules: Vec<Rule> as RuleList;
    }
}

/// A checked configuration.
#[derive(Debug)]
pub struct Config {
    pub server: server::Server,
    pub admin: server::Admin,
    /// At least one; the first answers what no rule sends elsewhere.
    pub origins: Vec<(Arc<str>, origins::Origin)>,
    pub memory: storage::Memory,
    pub shared: Option<storage::Shared>,
    pub log: telemetry::Log,
    pub tracing: Option<telemetry::Tracing>,
    pub rules: RuleSet,
    /// All of it as YAML, with all defaults, secrets blanked: for `GET /config`.
    pub shown: String,
    /// The same, to be compared with another.
    pub tree: changes::Tree,
}

/// What a configuration came to.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    /// Nothing in it keeps the proxy from running.
    pub warnings: Report,
    /// The configuration as YAML, with all defaults, secrets blanked.
    pub normalised: String,
}

/// The configuration of the repository: the built-in sample origin, on the loopback.
const BUILTIN: &str = include_str!("../../config.yaml");

/// Reads and checks a file. Relative file names in it start at its folder.
pub fn load(path: &Path, env: Env<'_>) -> Result<Loaded, Report> {
    let name = path.display().to_string();
    let text = read_text(path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    parse(&name, &text, folder, env)
}

/// Checks a text. `name` stands in the report for where it came from.
pub fn parse(name: &str, text: &str, base_dir: &Path, env: Env<'_>) -> Result<Loaded, Report> {
    let mut findings = Findings::default();
    let tree = tree::parse(text, env, &mut findings);
    let root = tree.as_ref().and_then(|tree| {
        let mut cx = Cx::new(base_dir, &mut findings);
        let root: Option<Root> = section::read(tree, &mut cx);
        if let Some(root) = &root {
            check::check(root, tree, &mut findings);
            // What is wrong in other ways makes poor ground for advice.
            if !findings.has_errors() {
                lint::lint(root, tree, &mut findings);
            }
        }
        root
    });
    let (Some(tree), Some(root)) = (tree, root.filter(|_| !findings.has_errors())) else {
        return Err(findings.into_report(name, text));
    };
    let shown = root.show();
    let normalised = print::yaml(&shown);
    match compile(root, normalised.clone(), changes::Tree::new(shown, &tree)) {
        Ok(config) => Ok(Loaded { config, warnings: findings.into_report(name, text), normalised }),
        Err(message) => {
            findings.error(Class::TooLarge, Place::FILE, message);
            Err(findings.into_report(name, text))
        }
    }
}

/// The configuration without a file: `origin_url` behind the cache, or the sample origin.
pub fn builtin(origin_url: Option<&str>) -> Result<Loaded, Report> {
    let no_env = |_: &str| None;
    match origin_url {
        None => parse("the built-in configuration", BUILTIN, Path::new(""), &no_env),
        Some(url) => {
            // A JSON string is a YAML string, whatever is in it.
            let url = serde_json::Value::from(url.replace("${", "$${"));
            let text = format!("origins: {{ app: {{ servers: [{url}] }} }}\n");
            parse("--origin", &text, Path::new(""), &no_env)
        }
    }
}

fn compile(mut root: Root, shown: String, tree: changes::Tree) -> Result<Config, String> {
    let default = root.origins.first().map(|(name, _)| name.clone()).ok_or("no origin")?;
    let rules = RuleSet::new(default, std::mem::take(&mut root.rules)).map_err(|e| e.to_string())?;
    for listener in &mut root.server.listen {
        listener.proxy_protocol.get_or_insert(root.server.proxy_protocol);
    }
    root.memory.max_object = root.memory.max_object.min(root.memory.capacity);
    let Root { server, admin, origins, memory, shared, log, tracing, .. } = root;
    Ok(Config { server, admin, origins, memory, shared, log, tracing, rules, shown, tree })
}

/// The file's text, or a report of why there is none.
fn read_text(path: &Path) -> Result<String, Report> {
    use std::io::Read as _;
    let name = path.display().to_string();
    let refuse = |class: Class, place: Place, message: String, help: &str| {
        let mut findings = Findings::default();
        findings.error(class, place, message).help(help);
        findings.into_report(&name, "")
    };
    let unreadable = |error: std::io::Error| {
        let help = "`larder serve -c FILE` names another; `larder --origin URL` needs none";
        refuse(Class::Unreadable, Place::FILE, format!("the file can't be read: {error}"), help)
    };
    let mut bytes = Vec::new();
    let limit = tree::MAX_BYTES as u64 + 1;
    std::fs::File::open(path).map_err(unreadable)?.take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|error| {
        let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let good = String::from_utf8_lossy(good);
        let line = good.matches('\n').count() + 1;
        let column = good.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let place = Place { line, column, width: 1 };
        refuse(Class::Unreadable, place, "the file is not UTF-8".to_owned(), "save it as UTF-8")
    })
}

#[cfg(test)]
mod tests;
