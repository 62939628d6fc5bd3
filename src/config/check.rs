//! Errors that concern several fields at once.

use super::Root;
use super::report::{Class, Findings, Place};
use super::tree::Node;
use crate::engine::rules::Rule;
use crate::engine::rules::patch::Setting;
use std::collections::HashMap;
use std::net::SocketAddr;

/// Fields that are settled before the origin answers: a rule that names `status` or `content_type` comes too
/// late for them (rulings 37).
const REQUEST_TIME: [&str; 10] = [
    "origin",
    "key",
    "request_headers",
    "coalesce",
    "rate",
    "rewrite",
    "respond",
    "client_revalidate",
    "read_your_writes",
    "early_refresh",
];

/// Checks what has been read; `tree` knows the places.
pub fn check(root: &Root, tree: &Node, findings: &mut Findings) {
    origins(root, tree, findings);
    listeners(root, tree, findings);
    admin(root, tree, findings);
    memory(root, tree, findings);
    rules(root, tree, findings);
}

/// Where the value at a path of keys stands, or the last key on the way that is there.
pub fn place(tree: &Node, path: &[&str]) -> Place {
    let mut node = tree;
    let mut place = tree.place;
    for key in path {
        place = node.key_place(key).unwrap_or(place);
        match node.get(key) {
            Some(inner) => node = inner,
            None => return place,
        }
    }
    node.place
}

/// The rules with their nodes, in order.
pub fn rules_of<'a>(root: &'a Root, tree: &'a Node) -> impl Iterator<Item = (&'a Rule, &'a Node)> {
    root.rules.iter().zip(tree.get("rules").map(Node::items).unwrap_or_default())
}

fn origins(root: &Root, tree: &Node, findings: &mut Findings) {
    let named = tree.get("origins").map(Node::entries).unwrap_or_default();
    let misspelt = |key: &str| super::nearest::nearest(key, &["origins"]).is_some();
    // `orgins: …` has been reported already.
    if named.is_empty() && !tree.entries().iter().any(|(key, _)| key.text != "origins" && misspelt(&key.text))
    {
        let at = tree.key_place("origins").unwrap_or(Place::FILE);
        let help = "origins:\n  app:\n    servers: [http://127.0.0.1:3000]";
        findings.error(Class::NoOrigin, at, "there is no origin: nothing to cache").help(help);
    }
    for (key, _) in named.iter().filter(|(key, _)| key.text == "default") {
        let finding = findings.error(Class::BadValue, key.place, "an origin can't be called `default`");
        finding.help("`origin: default` in a rule goes back to the first origin; give this one another name");
    }
    for (name, origin) in &root.origins {
        let tls = |key| place(tree, &["origins", name, "tls", key]);
        let (given, missing) = match (&origin.tls.cert, &origin.tls.key) {
            (Some(_), None) => ("cert", "key"),
            (None, Some(_)) => ("key", "cert"),
            _ => continue,
        };
        let message = format!("a client certificate is `cert` and `key`; `{missing}` is missing");
        findings.error(Class::MissingKey, tls(given), message).help(format!("add `{missing}: …`"));
    }
    let known: Vec<&str> = named.iter().map(|(key, _)| key.text.as_str()).collect();
    for (rule, node) in rules_of(root, tree) {
        let Setting::To(origin) = &rule.patch.origin else { continue };
        if known.is_empty() || known.contains(&&**origin) {
            continue;
        }
        let message = format!("there is no origin `{origin}`");
        let help = match super::nearest::nearest(origin, &known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known origins: {}", known.join(", ")),
        };
        findings.error(Class::UnknownOrigin, place(node, &["origin"]), message).help(help);
    }
}

fn listeners(root: &Root, tree: &Node, findings: &mut Findings) {
    let at = |i: usize| {
        let node = tree.find(&["server", "listen"]).map(Node::items).unwrap_or_default().get(i);
        node.map_or(Place::FILE, |n| n.get("address").unwrap_or(n).place)
    };
    // Port 0 takes a free port each time.
    let mut seen: HashMap<SocketAddr, usize> = HashMap::new();
    for (i, listener) in root.server.listen.iter().enumerate().filter(|(_, l)| l.address.port() != 0) {
        let address = listener.address;
        if let Some(first) = seen.insert(address, i) {
            let message = format!("two listeners on {address}");
            findings
                .error(Class::Conflict, at(i), message)
                .also(at(first), "the first")
                .help("one port, one listener");
        }
        if root.admin.address == Some(address) {
            let admin = place(tree, &["admin", "address"]);
            let message = format!("the admin listener has the address of a public one, {address}");
            findings
                .error(Class::Conflict, admin, message)
                .also(at(i), "the public one")
                .help("give it another port");
        }
    }
}

fn admin(root: &Root, tree: &Node, findings: &mut Findings) {
    if root.admin.is_exposed() {
        let at = place(tree, &["admin", "address"]);
        let message = "other machines can reach the admin listener, and nobody is asked for a token";
        findings.error(Class::ExposedAdmin, at, message).help(
            "use `127.0.0.1:9080`, or add\ntokens:\n  - { name: deploy, secret: \"${LARDER_TOKEN}\", allow: [purge] }",
        );
    }
    let nodes = tree.find(&["admin", "tokens"]).map(Node::items).unwrap_or_default();
    let names = nodes.iter().filter_map(|n| n.get("name"));
    duplicates(names, "two tokens are called", findings);
}

fn memory(root: &Root, tree: &Node, findings: &mut Findings) {
    let given = tree.find(&["memory", "max_object"]);
    if let Some(node) = given.filter(|_| root.memory.max_object > root.memory.capacity) {
        let finding =
            findings.error(Class::Conflict, node.place, "one object may be larger than the whole memory");
        finding
            .also(place(tree, &["memory", "capacity"]), "the capacity")
            .help("lower it, or raise `capacity`");
    }
}

fn rules(root: &Root, tree: &Node, findings: &mut Findings) {
    let nodes = tree.get("rules").map(Node::items).unwrap_or_default();
    duplicates(nodes.iter().filter_map(|n| n.get("name")), "two rules are called", findings);
    for (rule, node) in rules_of(root, tree) {
        for condition in ["status", "content_type"] {
            let Some(at) = node.get("match").and_then(|m| m.key_place(condition)) else { continue };
            for field in REQUEST_TIME {
                let Some(field_at) = node.key_place(field) else { continue };
                let message = format!("`{field}` is settled before the response is known");
                findings
                    .error(Class::TooLate, field_at, message)
                    .also(at, format!("but the rule waits for the response's `{condition}`"))
                    .help(format!("move `{field}` to a rule without `status` and `content_type`"));
            }
        }
        if let (Some(at), Setting::Keep) = (node.key_place("force"), &rule.patch.ttl) {
            let finding = findings.error(Class::Conflict, at, "`force` belongs to a `ttl` beside it");
            finding.help("add `ttl: …` to this rule, or remove `force`");
        }
        if let Setting::To(respond) = &rule.patch.respond {
            let redirects = matches!(respond.status.as_u16(), 201 | 300..=399);
            if respond.location.is_some() && !redirects {
                let at = place(node, &["respond", "location"]);
                let message = format!("nobody follows a `location` of a {}", respond.status.as_u16());
                findings.error(Class::Conflict, at, message).help("`status: 301`, `302`, `307` or `308`");
            }
        }
        ttl_bounds(rule, node, findings);
    }
}

fn ttl_bounds(rule: &Rule, node: &Node, findings: &mut Findings) {
    let (Setting::To(min), Setting::To(max)) = (&rule.patch.min_ttl, &rule.patch.max_ttl) else { return };
    if min > max {
        let finding =
            findings.error(Class::Conflict, place(node, &["min_ttl"]), "`min_ttl` is above `max_ttl`");
        finding.also(place(node, &["max_ttl"]), "the maximum").help("swap them");
    }
}

/// Names that must differ.
fn duplicates<'n>(names: impl Iterator<Item = &'n Node>, what: &str, findings: &mut Findings) {
    let mut seen: HashMap<&str, Place> = HashMap::new();
    for node in names {
        let super::tree::Value::Text(name) = &node.value else { continue };
        match seen.get(name.as_str()) {
            Some(first) => {
                findings
                    .error(Class::DuplicateName, node.place, format!("{what} `{name}`"))
                    .also(*first, "the first")
                    .help("give one of them another name");
            }
            None => {
                seen.insert(name, node.place);
            }
        }
    }
}
