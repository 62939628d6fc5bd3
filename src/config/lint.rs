//! Warnings: nothing here keeps the proxy from running, all of it is probably not what was meant.

use super::Root;
use super::check::{place, rules_of};
use super::report::{Class, Findings, Place};
use super::telemetry::OtlpProtocol;
use super::tree::Node;
use crate::engine::policy::QueryKey;
use crate::engine::rules::Rule;
use crate::engine::rules::patch::Setting;
use crate::engine::rules::template::Template;
use crate::semantics::storable::SetCookie;
use http::{HeaderName, Method};

/// Fields that add to what earlier rules set instead of replacing it.
const ADDING: [&str; 3] = ["tags", "request_headers", "response_headers"];

pub fn lint(root: &Root, tree: &Node, findings: &mut Findings) {
    server(root, tree, findings);
    secret(root, tree, findings);
    tracing(root, tree, findings);
    for (rule, node) in rules_of(root, tree) {
        never_matches(root, rule, node, findings);
        cache_deception(rule, node, findings);
        shared_cookie(rule, node, findings);
        not_keyed(root, rule, node, findings);
        undefined_captures(rule, node, findings);
    }
    no_effect(root, tree, findings);
    unused_origins(root, tree, findings);
}

/// What RFC 9111 §7.3 leaves to us, and what hardly anybody wants.
fn shared_cookie(rule: &Rule, node: &Node, findings: &mut Findings) {
    if rule.patch.set_cookie == Setting::To(SetCookie::Store) {
        let at = node.key_place("set_cookie").unwrap_or(Place::FILE);
        let message = "`set_cookie: store` gives every client the cookie that the first one got";
        findings.warning(Class::SharedCookie, at, message).help("`strip` stores the response without it");
    }
}

fn server(root: &Root, tree: &Node, findings: &mut Findings) {
    let limits = &root.server.limits;
    let at = |path: &[&str]| place(tree, path);
    if limits.url_bytes > limits.request_header_bytes {
        let message = "`url_bytes` is above `request_header_bytes`, which ends such requests first";
        let finding = findings.warning(Class::NoEffect, at(&["server", "limits", "url_bytes"]), message);
        finding.help("raise `request_header_bytes` as well");
    }
    let asks = root.server.listen.iter().any(|l| l.proxy_protocol.unwrap_or(root.server.proxy_protocol));
    if asks && root.server.trusted_proxies.is_empty() {
        let message =
            "PROXY headers are expected, but nobody is trusted to send them: all connections are closed";
        let finding = findings.warning(Class::NoEffect, at(&["server"]), message);
        finding.help("name the balancer's addresses in `server.trusted_proxies`");
    }
}

/// What `server.secret` is for: it signs the cookie of `read_your_writes`, and in a fleet keys the names of shared values.
fn secret(root: &Root, tree: &Node, findings: &mut Findings) {
    let mut rules = rules_of(root, tree);
    let signing = rules.find(|(rule, _)| matches!(rule.patch.read_your_writes, Setting::To(Some(_))));
    match (signing, &root.server.secret) {
        (Some((_, node)), None) => {
            let at = node.key_place("read_your_writes").unwrap_or(Place::FILE);
            let message = "without `server.secret` each process signs by a key of its own";
            findings.warning(Class::NoSecret, at, message).help(
                "after a restart, or on another node, who has just written reads from the cache: set `server.secret`",
            );
        }
        (None, Some(_)) if root.shared.is_none() => {
            let message = "nothing uses `server.secret`: it signs the cookie of `read_your_writes`";
            findings.warning(Class::Unused, place(tree, &["server", "secret"]), message);
        }
        _ => {}
    }
}

/// Each form of OTLP has a port of its own, and collectors answer the other on it with errors that say nothing of that.
fn tracing(root: &Root, tree: &Node, findings: &mut Findings) {
    let Some(tracing) = &root.tracing else { return };
    let port = tracing.otlp.parse::<http::Uri>().ok().and_then(|uri| uri.port_u16());
    let (usual, other) = match (port, tracing.protocol) {
        (Some(4318), OtlpProtocol::Grpc) => ("OTLP over HTTP", "http"),
        (Some(4317), OtlpProtocol::Http) => ("OTLP over gRPC", "grpc"),
        _ => return,
    };
    let message = format!(
        "`tracing.otlp` names the port of {usual}, and `protocol` is `{}`",
        tracing.protocol.as_str()
    );
    let finding = findings.warning(Class::NoEffect, place(tree, &["tracing", "otlp"]), message);
    finding.help(format!("`protocol: {other}`, or the other port"));
}

/// A rule whose conditions no request can meet.
fn never_matches(root: &Root, rule: &Rule, node: &Node, findings: &mut Findings) {
    let Some(conditions) = node.get("match") else { return };
    let c = &rule.conditions;
    let mut say = |key: &str, why: String, help: &str| {
        let at = conditions.key_place(key).unwrap_or(conditions.place);
        let message = format!("rule `{}` can never match: {why}", rule.name);
        findings.warning(Class::NeverMatches, at, message).help(help);
    };
    let empty = [
        ("path", c.paths.as_ref().is_some_and(Vec::is_empty)),
        ("host", c.hosts.as_ref().is_some_and(Vec::is_empty)),
        ("method", c.methods.as_ref().is_some_and(Vec::is_empty)),
        ("status", c.statuses.as_ref().is_some_and(Vec::is_empty)),
        ("content_type", c.content_types.as_ref().is_some_and(Vec::is_empty)),
    ];
    for (key, _) in empty.iter().filter(|(_, empty)| *empty) {
        say(key, format!("`{key}` is an empty list"), "leave the condition out to match anything");
    }
    if let Some(paths) = c.paths.as_ref().filter(|p| !p.is_empty() && p.iter().all(|p| p.never_matches())) {
        let pattern = paths.first().map_or("", |p| p.source());
        let why = format!("no normalised path looks like `{pattern}`");
        say("path", why, "paths are matched without `//`, `.` and `..`");
    }
    let refused = |m: &Method| matches!(*m, Method::TRACE | Method::CONNECT);
    if c.methods.as_ref().is_some_and(|list| !list.is_empty() && list.iter().all(refused)) {
        say("method", "TRACE and CONNECT are answered 405".into(), "name other methods");
    }
    let served = |host: &str| {
        let host = crate::engine::rules::glob::Host { name: host, port: None };
        root.server.hosts.iter().any(|h| h.matches(&host) || h.exact() == Some(host.name))
    };
    let exact: Option<Vec<&str>> = c.hosts.as_ref().and_then(|list| list.iter().map(|h| h.exact()).collect());
    let exact = exact.filter(|hosts| !hosts.is_empty() && !root.server.hosts.is_empty());
    if exact.is_some_and(|hosts| !hosts.iter().any(|host| served(host))) {
        say("host", "`server.hosts` does not name its host".into(), "add the host to `server.hosts`");
    }
}

/// Rulings 3.
fn cache_deception(rule: &Rule, node: &Node, findings: &mut Findings) {
    if !matches!(rule.patch.ttl, Setting::To(Some(_))) || rule.conditions.content_types.is_some() {
        return;
    }
    for pattern in rule.conditions.paths.iter().flatten().filter(|p| p.is_extension()) {
        let at = list_item(node.get("match").and_then(|m| m.get("path")), pattern.source())
            .unwrap_or_else(|| place(node, &["match", "path"]));
        let message = format!("`{}` with a `ttl` stores any page whose URL ends like that", pattern.source());
        findings.warning(Class::CacheDeception, at, message).help(
            "`/account/x.css` may show an account: add `content_type: [text/css, …]`, or name a folder",
        );
    }
}

/// A rule that applies wherever `rule` does: itself, or one without conditions.
fn applies_with<'r>(root: &'r Root, rule: &'r Rule) -> impl Iterator<Item = &'r Rule> {
    root.rules.iter().filter(|other| other.name == rule.name || other.conditions.is_empty())
}

fn not_keyed(root: &Root, rule: &Rule, node: &Node, findings: &mut Findings) {
    let keyed_header = |name: &HeaderName| {
        let mut lists = applies_with(root, rule).filter_map(|r| r.patch.key.headers.value());
        lists.any(|list| list.contains(name))
    };
    let keyed_parameter = |name: &str| {
        let query = applies_with(root, rule).filter_map(|r| r.patch.key.query.value()).last();
        query.unwrap_or(&QueryKey::All).keeps(name.as_bytes())
    };
    let templates = rule.patch.tags.value().into_iter().flatten();
    for template in templates {
        let at = template_place(node, template);
        let mut say = |what: String, help: String| {
            let message = format!("`{}` uses {what}, which is not part of the key", template.source());
            let help = format!("what one client sent would name what all clients get: {help}");
            findings.warning(Class::NotKeyed, at, message).help(help);
        };
        for name in template.headers().filter(|name| !keyed_header(name)) {
            say(format!("the header `{name}`"), format!("add `key: {{ headers: [{name}] }}`"));
        }
        for name in template.parameters().filter(|name| !keyed_parameter(name)) {
            say(format!("the parameter `{name}`"), "keep it in `key.query`".to_owned());
        }
    }
    for name in rule.patch.vary.ignore.value().into_iter().flatten().filter(|name| !keyed_header(name)) {
        let list = node.find(&["vary", "ignore"]);
        let at = list_item(list, name.as_str()).unwrap_or_else(|| place(node, &["vary", "ignore"]));
        let message = format!("`Vary` on `{name}` is ignored, and `{name}` is not part of the key");
        let help = format!(
            "every client gets what the first one was sent; if that matters, add `key: {{ headers: [{name}] }}`"
        );
        findings.warning(Class::NotKeyed, at, message).help(help);
    }
}

fn undefined_captures(rule: &Rule, node: &Node, findings: &mut Findings) {
    let paths = rule.conditions.paths.as_deref().unwrap_or_default();
    for template in rule.patch.templates() {
        for name in template.captures() {
            let defined = paths.iter().filter(|p| p.names().iter().any(|n| **n == *name)).count();
            if defined == paths.len() && defined > 0 {
                continue;
            }
            let some = if defined == 0 { "no" } else { "not every" };
            let message = format!("`{{{name}}}` is used, but {some} `path` of this rule captures it");
            let help = format!("a capture without a value is empty; write `{{{name}}}` in `match.path`");
            findings.warning(Class::UndefinedCapture, template_place(node, template), message).help(help);
        }
    }
}

/// A rule that is always overridden: everything it sets, a later rule that applies wherever it does sets too.
fn no_effect(root: &Root, tree: &Node, findings: &mut Findings) {
    let all: Vec<_> = rules_of(root, tree).collect();
    for (i, (rule, node)) in all.iter().enumerate() {
        let fields: Vec<&str> = rule.sets.iter().map(|s| s.field.as_str()).collect();
        if fields.is_empty() {
            // One that has not been read, or says nothing but its name.
            if node.entries().iter().all(|(k, _)| matches!(k.text.as_str(), "name" | "match")) {
                let message = format!("rule `{}` sets nothing", rule.name);
                findings.warning(Class::NoEffect, place(node, &["name"]), message);
            }
            continue;
        }
        if fields.iter().any(|f| ADDING.contains(f)) {
            continue;
        }
        let covers = |other: &Rule| {
            (other.conditions.is_empty() || other.conditions == rule.conditions)
                && fields.iter().all(|f| other.sets.iter().any(|s| s.field == *f))
        };
        if let Some((later, later_node)) = all.iter().skip(i + 1).find(|(other, _)| covers(other)) {
            let message = format!("rule `{}` has no effect: `{}` overrides all of it", rule.name, later.name);
            findings
                .warning(Class::NoEffect, place(node, &["name"]), message)
                .also(place(later_node, &["name"]), "the last matching rule wins")
                .help("put the general rule first, the special one below it");
        }
    }
}

fn unused_origins(root: &Root, tree: &Node, findings: &mut Findings) {
    for (name, _) in root.origins.iter().skip(1) {
        if !root.rules.iter().any(|r| r.patch.origin.value() == Some(name)) {
            let at = tree.get("origins").and_then(|o| o.key_place(name)).unwrap_or(Place::FILE);
            let message = format!("no rule sends anything to the origin `{name}`");
            findings.warning(Class::Unused, at, message).help(format!("add `origin: {name}` to a rule"));
        }
    }
}

/// Where a text stands in a list (or alone).
fn list_item(node: Option<&Node>, text: &str) -> Option<Place> {
    let is = |n: &&Node| matches!(&n.value, super::tree::Value::Text(t) if t.eq_ignore_ascii_case(text));
    node?.items().iter().find(is).map(|n| n.place)
}

/// Where a template of a rule stands.
fn template_place(node: &Node, template: &Template) -> Place {
    let source = template.source();
    let sets = ["request_headers", "response_headers"].into_iter().filter_map(|f| node.find(&[f, "set"]));
    let values = sets.flat_map(Node::entries).map(|(_, value)| value);
    let others = values.chain(node.find(&["respond", "location"]));
    let found = list_item(node.get("tags"), source);
    found.or_else(|| others.filter_map(|n| list_item(Some(n), source)).next()).unwrap_or(node.place)
}
