//! The rules of the house that a test can hold (docs/ARCHITECTURE.md): who may import whom, how large files
//! and functions may grow, where clocks and panics may stand.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that can't go on should say so and fail

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// For every room, the rooms it may import. Leaf modules (`access`, `body`, `clock`, `interim`, `time`, `worker`) are open to all.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("access", &[]),
    ("semantics", &[]),
    ("purge", &["semantics"]),
    ("store", &["semantics", "purge"]),
    ("origin", &[]),
    ("observe", &[]),
    ("trace", &["observe", "origin"]),
    ("demo", &["semantics"]),
    ("fleet", &["semantics", "purge", "store", "observe"]),
    ("engine", &["semantics", "purge", "store", "fleet", "origin", "observe", "trace"]),
    ("front", &["semantics", "engine", "observe", "origin", "trace"]),
    ("admin", &["semantics", "purge", "store", "fleet", "engine", "observe", "origin", "trace"]),
    ("config", &["semantics", "engine"]),
    ("cli", &["admin", "config", "app", "demo", "observe"]),
];

const LEAVES: &[&str] = &["access", "body", "clock", "interim", "sockets", "time", "worker"];

/// Longest file in `src`, lines without its tests; longest function.
const FILE_LINES: usize = 600;
const FUNCTION_LINES: usize = 80;

/// Files that may be longer, each with the reason.
const LONG_FILES: &[(&str, &str)] = &[];

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(dir: &Path, out: &mut Vec<(PathBuf, String)>) {
        let mut entries: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                walk(&path, out);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                out.push((path, text));
            }
        }
    }
    let mut out = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut out);
    out
}

/// Path below `src`, and the room: the first folder, or the file's stem at the top.
fn place(path: &Path) -> (String, String) {
    let below = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let room = below.iter().next().unwrap().to_string_lossy().trim_end_matches(".rs").to_owned();
    (below.to_string_lossy().into_owned(), room)
}

fn is_test_file(below: &str) -> bool {
    below.ends_with("tests.rs") || below.contains("/tests/")
}

/// The part of a file before its unit tests.
fn production(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or(text)
}

#[test]
fn rooms_import_only_what_stands_to_their_right() {
    let allowed: BTreeMap<_, _> = MAY_IMPORT.iter().copied().collect();
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let (below, room) = place(&path);
        if is_test_file(&below) {
            continue;
        }
        let Some(may) = allowed.get(room.as_str()) else { continue };
        for (number, line) in production(&text).lines().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for (_, rest) in line.match_indices("crate::").map(|(at, _)| line.split_at(at + 7)) {
                let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let fine = name == room || LEAVES.contains(&name.as_str()) || may.contains(&name.as_str());
                if !fine && !name.is_empty() {
                    wrong.push(format!("src/{below}:{}: {room} must not import {name}", number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_folder_in_src_is_a_known_room() {
    let known: Vec<&str> = MAY_IMPORT.iter().map(|(room, _)| *room).collect();
    for (path, _) in sources() {
        let (below, room) = place(&path);
        if below.contains('/') {
            assert!(known.contains(&room.as_str()), "src/{below}: {room} is no room of the house");
        }
    }
}

#[test]
fn files_open_with_what_they_are_for() {
    let silent: Vec<_> = sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//!"))
        .map(|(p, _)| place(&p).0)
        .collect();
    assert!(silent.is_empty(), "no //! at the head of: {silent:?}");
}

#[test]
fn files_and_functions_stay_readable() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let (below, _) = place(&path);
        if is_test_file(&below) {
            continue;
        }
        let text = production(&text);
        let lines = text.lines().count();
        if lines > FILE_LINES && !LONG_FILES.iter().any(|(file, _)| *file == below) {
            wrong.push(format!("src/{below}: {lines} lines; split it by meaning"));
        }
        for (name, length) in functions(text) {
            if length > FUNCTION_LINES {
                wrong.push(format!("src/{below}: {name} has {length} lines"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Names and lengths of the functions of a formatted file: from `fn` to the closing brace of the same indent.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let trimmed = line.trim_start();
        let indent = line.len() - trimmed.len();
        let head = trimmed.split('(').next().unwrap_or("");
        if trimmed.starts_with("//") || !head.split_whitespace().any(|word| word == "fn") {
            continue;
        }
        let close = format!("{}}}", " ".repeat(indent));
        if let Some(end) = lines.iter().skip(start).position(|l| *l == close) {
            let name = head.rsplit(' ').next().unwrap_or(head).to_owned();
            found.push((name, end + 1));
        }
    }
    found
}

#[test]
fn nothing_is_left_for_later() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let (below, _) = place(&path);
        for (number, line) in text.lines().enumerate() {
            if ["TODO", "FIXME", "todo!(", "unimplemented!("].iter().any(|word| line.contains(word)) {
                wrong.push(format!("src/{below}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn semantics_plan_and_purge_are_pure() {
    let banned = ["async fn", ".await", "tokio::", "std::fs", "std::net::Tcp", "tracing::", "Clock"];
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let (below, room) = place(&path);
        let pure = room == "semantics" || room == "purge" || below == "engine/plan.rs";
        if !pure || is_test_file(&below) {
            continue;
        }
        for (number, line) in production(&text).lines().enumerate() {
            let code = !line.trim_start().starts_with("//");
            if let Some(word) = banned.iter().find(|word| code && line.contains(**word)) {
                wrong.push(format!("src/{below}:{}: {word} in a pure module", number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
