//! The recipes of `docs/recipes/`, executed. Each page holds three kinds of blocks, told apart by what follows the language:
//!
//! * `yaml larder`: the configuration. It must pass `larder check` without a warning; only addresses and time-outs are changed here.
//! * `http origin`: what the application answers. Stanzas: `METHOD /path` (a `*` at the end fits any rest; `with Name: part`
//!   asks for a request field), a status, header fields. The first that fits answers; a condition that holds is a 304.
//! * `http steps`: what a client sends, and after `=>` what it gets, part by part: a status, parameters of `Cache-Status`, `Name: value` (`…` at its end for the
//!   rest), `no Name`, and `sent no Name`, `sent Name: value` of what the application was asked last. Indented lines are the request's fields, or its JSON.
//!   `wait 60s` moves the clock; `origin down` and `origin up` are what they say. `admin` before a path is the admin listener;
//!   `a:` and `b:` are nodes.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that can't go on should say so and fail

#[allow(dead_code, unused_imports, unused_macros)]
#[path = "fleet/support/mod.rs"]
mod stores;
#[allow(dead_code)]
#[path = "http/support/mod.rs"]
mod support;

use larder::app::{self, Running};
use larder::clock::Clock;
use larder::config::{self, Config, net::Upstream, report::Class, server::Listener};
use larder::engine::draft::Refused;
use larder::engine::plan::StaleWhy;
use larder::front::refusal::Refusal;
use larder::purge::PurgeId;
use larder::semantics::storable::NotStored;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{Asked, Origin, Reply, Seen, request, soon, until};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/recipes")
}

/// Which pages there are, and which are run below.
const PAGES: [&str; 7] =
    ["api-with-tags", "drupal", "magento", "multi-node", "nextjs", "static-site", "wordpress"];

#[test]
fn every_page_is_executed() {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<String> =
        files.map(|file| file.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    pages.sort();
    assert_eq!(pages, PAGES);
}

/// Every word that a client, the log or a metric may show is explained in the manual.
#[test]
fn every_reason_is_in_the_manual() {
    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let manual = std::fs::read_to_string(manual).unwrap();
    let words = NotStored::ALL.iter().map(|why| why.as_str());
    let words = words.chain(Refused::OWN.iter().map(|why| why.as_str()));
    let words = words.chain(StaleWhy::ALL.iter().map(|why| why.as_str()));
    let words = words.chain(Refusal::ALL.iter().map(|why| why.as_str()));
    let missing: Vec<&str> = words.filter(|word| !manual.contains(&format!("`{word}`"))).collect();
    assert!(missing.is_empty(), "docs/operations.md says nothing of {missing:?}");
}

/// The README and all pages, with their texts.
fn pages() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![root.join("README.md")];
    for folder in [root.join("docs"), folder(), root.join("docs/decisions"), root.join("deploy/fleet")] {
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        pages.extend(files.filter(|file| file.extension().is_some_and(|e| e == "md")));
    }
    let read = |page: PathBuf| {
        let text = std::fs::read_to_string(&page).unwrap();
        (page, text)
    };
    pages.into_iter().map(read).collect()
}

/// Pieces of a configuration may lack the rest of it, and nothing else.
#[test]
fn every_piece_of_a_configuration_is_accepted() {
    let mut seen = 0;
    for (page, text) in pages() {
        for (line, yaml) in blocks(&text, "yaml") {
            let name = format!("{}:{line}", page.display());
            if let Err(report) = config::parse(&name, &yaml, Path::new("."), &environment) {
                let rest = [Class::NoOrigin, Class::MissingKey];
                assert!(report.findings().iter().all(|found| rest.contains(&found.class)), "{report}");
            }
            seen += 1;
        }
    }
    assert!(seen >= 3, "{seen} pieces");
}

/// To files, not to headings.
#[test]
fn every_relative_link_leads_to_a_file() {
    let mut broken = Vec::new();
    for (page, text) in pages() {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            let elsewhere = link.contains("://") || file.is_empty();
            if !elsewhere && !page.parent().unwrap().join(file).exists() {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[tokio::test]
async fn api_with_tags() {
    execute("api-with-tags").await;
}

#[tokio::test]
async fn drupal() {
    execute("drupal").await;
}

#[tokio::test]
async fn magento() {
    execute("magento").await;
}

#[tokio::test]
async fn multi_node() {
    execute("multi-node").await;
}

#[tokio::test]
async fn nextjs() {
    execute("nextjs").await;
}

#[tokio::test]
async fn static_site() {
    execute("static-site").await;
}

#[tokio::test]
async fn wordpress() {
    execute("wordpress").await;
}

async fn execute(page: &str) {
    let text = std::fs::read_to_string(folder().join(format!("{page}.md"))).unwrap();
    let (yaml, answers, steps) =
        (blocks(&text, "yaml larder"), blocks(&text, "http origin"), blocks(&text, "http steps"));
    assert!(!answers.is_empty() && !steps.is_empty(), "{page}: nothing to execute");
    let [(_, yaml)] = yaml.as_slice() else { panic!("{page}: one configuration a page") };
    let answers: Vec<Answer> = answers.iter().flat_map(|(_, block)| Answer::all(block)).collect();
    let application = Application::start(answers).await;
    let mut scene = Scene::set(page, yaml, application).await;
    for (line, block) in &steps {
        for step in Step::all(block, line + 1) {
            scene.play(&step).await;
        }
    }
}

/// The fenced blocks of this kind, with the numbers of their first lines.
fn blocks(text: &str, kind: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut open: Option<bool> = None;
    for (number, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), open) {
            (Some(info), None) => {
                open = Some(info.trim() == kind);
                if info.trim() == kind {
                    found.push((number + 1, String::new()));
                }
            }
            (Some(_), Some(_)) => open = None,
            (None, Some(true)) => {
                let block = &mut found.last_mut().unwrap().1;
                block.push_str(line);
                block.push('\n');
            }
            (None, _) => {}
        }
    }
    found
}

/// One stanza of `http origin`.
struct Answer {
    method: String,
    path: String,
    with: Option<(String, String)>,
    status: String,
    fields: Vec<(String, String)>,
}

impl Answer {
    fn all(block: &str) -> Vec<Self> {
        block.split("\n\n").filter(|stanza| !stanza.trim().is_empty()).map(Self::read).collect()
    }

    fn read(stanza: &str) -> Self {
        let mut lines = stanza.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        let (asked, with) = match lines.next().unwrap().split_once(" with ") {
            Some((asked, with)) => (asked, Some(field(with))),
            None => (stanza.lines().find(|line| !line.starts_with('#')).unwrap(), None),
        };
        let (method, path) = asked.split_once(' ').unwrap();
        let status = lines.next().expect("a status").to_owned();
        let fields = lines.map(field).collect();
        Self { method: method.to_owned(), path: path.trim().to_owned(), with, status, fields }
    }

    fn fits(&self, seen: &Seen) -> bool {
        let path = match self.path.strip_suffix('*') {
            Some(start) => seen.target.starts_with(start),
            None => seen.target == self.path,
        };
        let with = self.with.as_ref().is_none_or(|(name, part)| {
            seen.header(&name.to_ascii_lowercase()).is_some_and(|value| value.contains(part.as_str()))
        });
        path && with && (self.method == seen.method || (self.method == "GET" && seen.method == "HEAD"))
    }

    /// As [`Asked::answer`] wants it. What is 304 and what not is by the entity tag alone.
    fn text(&self, seen: &Seen, number: usize) -> String {
        let tag = self.fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("etag"));
        let fresh = tag.is_some_and(|(_, tag)| seen.header("if-none-match") == Some(tag));
        let fields: String = self.fields.iter().map(|(name, value)| format!("\n{name}: {value}")).collect();
        match fresh {
            true => format!("304 Not Modified{fields}"),
            false => format!("{}{fields}\n\nanswer {number} for {}", self.status, seen.target),
        }
    }
}

fn field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no field: {line}"));
    (name.trim().to_owned(), value.trim().to_owned())
}

/// The application behind the cache.
#[derive(Clone)]
struct Application {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    down: bool,
    asked: usize,
    last: Option<Seen>,
}

impl Application {
    async fn start(answers: Vec<Answer>) -> Self {
        let mut origin = Origin::start().await;
        let this = Self { address: origin.address, state: Arc::default() };
        let state = this.state.clone();
        tokio::spawn(async move {
            loop {
                let asked: Asked = origin.next().await;
                let text = {
                    let mut state = state.lock().unwrap();
                    state.asked += 1;
                    state.last = Some(asked.seen.clone());
                    let answer = answers.iter().find(|answer| answer.fits(&asked.seen));
                    match (state.down, answer) {
                        (true, _) => "503 Service Unavailable".to_owned(),
                        (false, Some(answer)) => answer.text(&asked.seen, state.asked),
                        (false, None) => format!("599 No Stanza For {} {}", asked.method, asked.target),
                    }
                };
                asked.answer(&text).await;
            }
        });
        this
    }
}

/// One line of `http steps`, with what belongs to it.
struct Step {
    line: usize,
    said: String,
    fields: Vec<(String, String)>,
    body: String,
    parts: Vec<String>,
}

impl Step {
    fn all(block: &str, first: usize) -> Vec<Self> {
        let mut steps: Vec<Self> = Vec::new();
        for (number, line) in block.lines().enumerate() {
            let text = line.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            if let (true, Some(step)) = (line.starts_with(' '), steps.last_mut()) {
                if text.starts_with('{') {
                    text.clone_into(&mut step.body);
                } else {
                    step.fields.push(field(text));
                }
                continue;
            }
            let (said, parts) = text.split_once("=>").unwrap_or((text, ""));
            let parts = parts.split(';').map(str::trim).filter(|part| !part.is_empty());
            steps.push(Self {
                line: first + number,
                said: said.trim().to_owned(),
                fields: Vec::new(),
                body: String::new(),
                parts: parts.map(str::to_owned).collect(),
            });
        }
        steps
    }
}

/// The nodes of a page in front of its application.
struct Scene {
    page: String,
    nodes: Vec<(char, Running)>,
    application: Application,
    clock: Clock,
    host: String,
    /// Killed with it.
    _store: Option<stores::server::Server>,
}

impl Scene {
    async fn set(page: &str, yaml: &str, application: Application) -> Self {
        let (mut clock, mut store, mut names) = (Clock::manual(), None, vec![' ']);
        let mut yaml = yaml.to_owned();
        if yaml.contains("redis://") {
            let server = stores::server::Server::start(&stores::server::Engine::redis()).await;
            yaml = yaml.replace("cache-db:6379", &server.address().to_string());
            (clock, store, names) = (Clock::system(), Some(server), vec!['a', 'b']);
        }
        let mut scene = Self {
            page: page.to_owned(),
            nodes: Vec::new(),
            application,
            clock,
            host: "site.example".into(),
            _store: store,
        };
        for name in names {
            let config = configuration(page, &yaml, scene.application.address);
            let node = app::start(config, scene.clock.clone()).await.expect("starts");
            scene.nodes.push((name, node));
            scene.is_whole().await;
        }
        scene
    }

    /// Waits until all nodes know each other and stand at the same place of the log, behind the barrier that the first one
    /// has put at its beginning: what is stored before that is not trusted by others.
    async fn is_whole(&self) {
        let logs: Vec<_> = self.nodes.iter().filter_map(|(_, node)| node.engine().fleet.clone()).collect();
        until("the whole fleet", || {
            let states: Vec<_> = logs.iter().map(|fleet| fleet.log.state()).collect();
            let place = states.first().and_then(|state| state.position);
            states.iter().all(|state| {
                let begun = state.position.is_some_and(|at| at > PurgeId::ZERO);
                state.synced && begun && state.position == place && state.nodes.len() == states.len()
            })
        })
        .await;
    }

    fn node(&self, name: char) -> &Running {
        let found = self.nodes.iter().find(|(n, _)| *n == name || *n == ' ');
        &found.unwrap_or_else(|| panic!("there is no node `{name}`")).1
    }

    async fn play(&mut self, step: &Step) {
        let at = format!("docs/recipes/{}.md:{}: {}", self.page, step.line, step.said);
        if let Some(host) = step.said.strip_prefix("Host: ") {
            host.clone_into(&mut self.host);
        } else if let Some(time) = step.said.strip_prefix("wait ") {
            let seconds = time.strip_suffix('s').and_then(|s| s.parse().ok()).expect("`wait 60s`");
            self.clock.advance(Duration::from_secs(seconds));
        } else if let Some(state) = step.said.strip_prefix("origin ") {
            self.application.state.lock().unwrap().down = state == "down";
        } else {
            let reply = self.send(step, &at).await;
            for part in &step.parts {
                self.check(&reply, part, &at);
            }
        }
    }

    async fn send(&self, step: &Step, at: &str) -> Reply {
        let (method, target) = step.said.split_once(' ').unwrap_or_else(|| panic!("{at}: no request"));
        let (name, target) = match target.split_once(':') {
            Some((name, rest)) if name.len() == 1 => (name.chars().next().unwrap(), rest),
            _ => ('a', target),
        };
        let node = self.node(name);
        let (to, target) = match target.strip_prefix("admin ") {
            Some(path) => (node.admin().expect("an admin listener"), path),
            None => (node.public()[0], target),
        };
        let here = to.to_string();
        let token = environment("LARDER_TOKEN").unwrap();
        let fields: Vec<(&str, String)> = step
            .fields
            .iter()
            .map(|(name, value)| {
                (name.as_str(), value.replace("$LARDER_TOKEN", &token).replace("{here}", &here))
            })
            .collect();
        let mut fields: Vec<(&str, &str)> =
            fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        if !fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            fields.push(("Host", if Some(to) == node.admin() { &here } else { &self.host }));
        }
        let stored = |node: &Running| {
            node.engine().fleet.as_ref().map(|_| node.engine().metrics.fleet.calls("put", "ok"))
        };
        let before = stored(node);
        let reply = soon(at, request(to, method, target, &fields, step.body.as_bytes())).await;
        until("the end of all fetches", || self.nodes.iter().all(|(_, n)| n.engine().flights.is_idle()))
            .await;
        // What goes to the other nodes goes after the answer.
        if before.is_some() && step.parts.iter().any(|part| part == "stored") {
            until("a value in the store", || stored(node) > before).await;
        }
        reply
    }

    fn check(&self, reply: &Reply, part: &str, at: &str) {
        let last = || self.application.state.lock().unwrap().last.clone().expect("the application was asked");
        let fields = |name: &str| reply.all(name).join(", ");
        let (is, should) = if let Some(name) = part.strip_prefix("sent no ") {
            (last().header(&name.to_ascii_lowercase()).map(str::to_owned), None)
        } else if let Some(sent) = part.strip_prefix("sent ") {
            let (name, value) = field(sent);
            (last().header(&name.to_ascii_lowercase()).map(str::to_owned), Some(value))
        } else if let Some(name) = part.strip_prefix("no ") {
            (reply.header(name).map(str::to_owned), None)
        } else if part.contains(": ") {
            let (name, value) = field(part);
            (Some(fields(&name)), Some(value))
        } else if part.len() == 3 && part.parse::<u16>().is_ok() {
            (Some(reply.status.to_string()), Some(part.to_owned()))
        } else {
            let found = reply.cache_status().split(';').any(|parameter| parameter.trim() == part);
            (Some(found.to_string()), Some("true".to_owned()))
        };
        let begins = should.as_deref().and_then(|should| should.strip_suffix('…'));
        let holds = begins.is_some_and(|begin| is.as_deref().is_some_and(|is| is.starts_with(begin)));
        assert!(holds || is == should, "{at}: `{part}` does not hold: {is:?}, not {should:?}\n{reply:#?}");
    }
}

/// What the configurations' variables stand for.
fn environment(name: &str) -> Option<String> {
    Some(match name {
        "LARDER_KEY" => "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=".to_owned(),
        _ => format!("a-secret-of-its-own-for-{name}-that-is-long-enough"),
    })
}

/// The page's configuration at this test's addresses, after it has passed `check` without a warning.
fn configuration(page: &str, yaml: &str, application: SocketAddr) -> Config {
    let loaded = config::parse(&format!("{page}.md"), yaml, Path::new("."), &environment);
    let loaded = loaded.unwrap_or_else(|report| panic!("{report}"));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let mut config = loaded.config;
    app::check(&config).unwrap();
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    config.server.listen = vec![Listener { proxy_protocol: Some(false), ..Listener::on(free) }];
    config.admin.address = Some(free);
    if !config.admin.purge_from.is_empty() {
        config.admin.purge_from = vec!["127.0.0.1/32".parse().unwrap()];
    }
    if let Some(shared) = &mut config.shared {
        shared.timeout = support::PATIENCE; // this machine may be busy
    }
    for (_, origin) in &mut config.origins {
        origin.health = None;
        for server in &mut origin.servers {
            server.url = Upstream::Url { tls: false, host: "127.0.0.1".into(), port: application.port() };
        }
    }
    config
}
