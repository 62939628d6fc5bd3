//! Golden reports (`tests/config/*.yaml`, one per class of mistake, beside them what is said about them), and
//! configurations that must pass.

use super::report::{Class, Severity};
use super::*;
use std::collections::HashSet;
use std::path::PathBuf;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config")
}

fn env(name: &str) -> Option<String> {
    let value = match name {
        "SECRET" => "hunter2",
        "KEY" => "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "EMPTY" => "",
        _ => return None,
    };
    Some(value.to_owned())
}

/// Relative to the package, where `cargo test` runs, so that reports are the same on every machine.
fn read(text: &str) -> Result<Loaded, Report> {
    parse("config.yaml", text, Path::new("tests/config"), &env)
}

fn refused(text: &str) -> Report {
    match read(text) {
        Ok(_) => panic!("accepted: {text}"),
        Err(report) => report,
    }
}

fn accepted(text: &str) -> Loaded {
    read(text).unwrap_or_else(|report| panic!("{report}"))
}

fn report_of(text: &str) -> Report {
    read(text).map_or_else(|report| report, |loaded| loaded.warnings)
}

fn yaml_files(folder: &Path) -> Vec<(String, String)> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "yaml"));
    files.sort();
    let read = |p: &PathBuf| {
        (p.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(p).unwrap())
    };
    files.iter().map(read).collect()
}

#[test]
fn every_mistake_is_reported_with_place_and_remedy() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder().join("snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for (name, text) in yaml_files(&folder()) {
            insta::assert_snapshot!(name, report_of(&text).render(false));
        }
    });
}

#[test]
fn every_class_of_finding_has_a_golden_file_and_errors_have_a_remedy() {
    let mut seen: HashSet<Class> = HashSet::new();
    for (name, text) in yaml_files(&folder()) {
        for finding in report_of(&text).findings() {
            seen.insert(finding.class);
            if finding.severity == Severity::Error {
                assert!(finding.help.is_some(), "{name}: no remedy for: {}", finding.message);
            }
        }
    }
    use Class::*;
    for class in [
        Syntax,
        UnsetVariable,
        UnknownKey,
        DuplicateKey,
        MissingKey,
        WrongType,
        BadValue,
        OutOfRange,
        MissingFile,
        NoOrigin,
        UnknownOrigin,
        DuplicateName,
        ExposedAdmin,
        TooLate,
        Conflict,
        NeverMatches,
        NoEffect,
        UndefinedCapture,
        NotKeyed,
        CacheDeception,
        NoSecret,
        Unused,
    ] {
        assert!(seen.contains(&class), "no golden file for {}", class.as_str());
    }
}

#[test]
fn rulings_41_the_example_of_the_interface_passes() {
    let text = std::fs::read_to_string(folder().join("ok/interface.yaml")).unwrap();
    let loaded = accepted(&text);
    let classes: Vec<_> = loaded.warnings.findings().iter().map(|f| f.class.as_str()).collect();
    assert_eq!(classes, ["cache-deception"], "{}", loaded.warnings);
    assert_eq!(loaded.config.rules.rules().count(), 4);
}

#[test]
fn the_configuration_of_the_repository_passes_without_a_word() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.yaml");
    let loaded = load(&path, &env).unwrap_or_else(|report| panic!("{report}"));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    assert_eq!(loaded.config.origins[0].1.servers[0].url, net::Upstream::Demo);
}

#[test]
fn the_configuration_of_the_repository_shows_the_defaults() {
    let shown = |text: &str| {
        let normalised = accepted(text).normalised;
        normalised.split("\nrules:").next().unwrap().to_owned()
    };
    assert_eq!(shown(BUILTIN), shown("origins: { app: { servers: [demo] } }"));
}

#[test]
fn every_field_is_read_and_shown_and_what_is_shown_reads_the_same() {
    let text = std::fs::read_to_string(folder().join("ok/everything.yaml")).unwrap();
    let loaded = accepted(&text);
    let shown = loaded.normalised.clone();
    insta::with_settings!({
        snapshot_path => folder().join("snapshots"), prepend_module_to_snapshot => false, omit_expression => true
    }, {
        insta::assert_snapshot!("normalised", shown);
    });
    // Blanked secrets are secrets, too, but `***` is no key and no user.
    let again = shown.replace("encryption_keys: [\"***\"]", "encryption_keys: [\"${KEY}\"]");
    let again = again.replace("tests/config/", "");
    assert_eq!(accepted(&again).normalised, shown);
}

#[test]
fn every_field_of_the_schema_is_in_the_file_with_every_field() {
    fn keys(schema: &serde_json::Value, out: &mut HashSet<String>) {
        if let Some(serde_json::Value::Object(properties)) = schema.get("properties") {
            out.extend(properties.keys().cloned());
            properties.values().for_each(|inner| keys(inner, out));
        }
        for inner in ["items", "additionalProperties"] {
            schema.get(inner).into_iter().for_each(|s| keys(s, out));
        }
        schema.get("anyOf").and_then(|a| a.as_array()).into_iter().flatten().for_each(|s| keys(s, out));
    }
    let mut known = HashSet::new();
    keys(&schema(), &mut known);
    // Shown as the list it stands for, or the other form of one that is shown.
    let shown = std::fs::read_to_string(folder().join("ok/everything.yaml")).unwrap();
    let is_shown = |key: &&String| !shown.contains(&format!("{key}:"));
    let missing: Vec<_> = known
        .iter()
        .filter(is_shown)
        .filter(|k| !["exclude", "encryption_key"].contains(&k.as_str()))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn no_secret_leaves_the_configuration() {
    let text = std::fs::read_to_string(folder().join("ok/everything.yaml")).unwrap();
    let loaded = accepted(&text);
    let shown = format!("{}{:?}", loaded.normalised, loaded.config);
    let sets = loaded.config.rules.rules().flat_map(|r| &r.sets).map(|s| &*s.value).collect::<String>();
    for secret in ["fallback", "hunter2", "AAAAAAAA"] {
        assert!(!shown.contains(secret), "{secret} in the normalised configuration or in `Debug`");
        assert!(!sets.contains(secret), "{secret} in what explain shows");
    }
    let report = refused("shared: { url: 'http://:hunter2@h', encryption_key: hunter2 }");
    assert!(!report.to_string().contains("hunter2"), "{report}");
}

#[test]
fn without_a_file_there_is_the_sample_or_one_origin() {
    assert_eq!(builtin(None).unwrap().config.origins.len(), 1);
    let loaded = builtin(Some("https://app.internal:8443")).unwrap();
    assert_eq!(loaded.config.origins[0].1.servers[0].url.to_string(), "https://app.internal:8443");
    assert!(loaded.warnings.is_empty());
    let report = builtin(Some("app\n\"]: ${X}")).unwrap_err();
    assert_eq!(report.errors(), 1, "{report}");
}

#[test]
fn a_listener_that_says_nothing_follows_the_server() {
    let listen = "[127.0.0.1:1, { address: 127.0.0.1:2, proxy_protocol: off }]";
    let loaded = accepted(&format!(
        "server: {{ proxy_protocol: on, trusted_proxies: 10.0.0.1, listen: {listen} }}\norigins: {{ a: {{ servers: demo }} }}"
    ));
    let says: Vec<_> = loaded.config.server.listen.iter().map(|l| l.proxy_protocol).collect();
    assert_eq!(says, [Some(true), Some(false)]);
}

#[test]
fn an_admin_address_that_is_loopback_in_disguise_needs_no_token() {
    for (address, exposed) in [
        ("127.0.0.1:1", false),
        ("127.9.9.9:1", false),
        ("\"[::1]:1\"", false),
        ("\"[::ffff:127.0.0.1]:1\"", false),
        ("\"[::]:1\"", true),
        ("10.0.0.1:1", true),
        ("off", false),
    ] {
        let text = format!("admin: {{ address: {address} }}\norigins: {{ a: {{ servers: demo }} }}");
        assert_eq!(read(&text).is_err(), exposed, "{address}");
    }
}

#[test]
fn a_smaller_memory_lowers_the_default_of_the_largest_object() {
    let loaded = accepted("memory: { capacity: 16MiB }\norigins: { a: { servers: demo } }");
    assert_eq!(loaded.config.memory.max_object, 16 << 20);
}

#[test]
fn a_hostile_file_is_bounded() {
    let mut bomb = String::from("a: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..9 {
        let aliases = vec![format!("*a{}", i - 1); 10].join(", ");
        bomb.push_str(&format!("b{i}: &a{i} [{aliases}]\n"));
    }
    for (text, class) in [
        (bomb, Class::TooLarge),
        (format!("a: {}x{}", "[".repeat(40), "]".repeat(40)), Class::Syntax),
        ("#".repeat((1 << 20) + 1), Class::TooLarge),
        (format!("rules: [{}]", "{},".repeat(1001)), Class::TooLarge),
        ("a: &a [*a]".to_owned(), Class::Syntax),
        (
            format!(
                "origins: {{ a: {{ servers: demo }} }}\nrules: [{{ match: {{ path: [{}] }} }}]",
                "/x,".repeat(1001)
            ),
            Class::TooLarge,
        ),
    ] {
        let report = refused(&text);
        assert!(report.findings().iter().any(|f| f.class == class), "{report}");
    }
}

#[test]
fn more_findings_than_anyone_reads_are_only_counted() {
    let keys: String = (0..500).map(|i| format!("k{i}: 1\n")).collect();
    let report = refused(&keys);
    assert_eq!(report.findings().len(), 200);
    assert!(
        report.render(false).ends_with("… and 301 more\n"),
        "{}",
        report.render(false).lines().last().unwrap()
    );
}

#[test]
fn a_file_that_is_missing_or_no_text_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let missing = load(&dir.path().join("none.yaml"), &env).unwrap_err();
    assert_eq!(missing.findings()[0].class, Class::Unreadable);
    let path = dir.path().join("latin1.yaml");
    std::fs::write(&path, b"server:\n  name: b\xfccher\n").unwrap();
    let report = load(&path, &env).unwrap_err();
    let place = report.findings()[0].place;
    assert_eq!((place.line, place.column), (2, 10), "{report}");
}

#[test]
fn colours_only_when_asked_and_no_control_characters_from_the_file() {
    let report = refused("\"a\\e[31m\": 1\nb\u{9b}: 1");
    assert!(!report.render(false).contains(|c: char| c.is_control() && c != '\n'));
    assert!(report.render(true).contains("\x1b[1;31merror\x1b[0m"));
}

#[test]
fn anchors_and_aliases_share_what_rules_have_in_common() {
    let loaded = accepted(
        "origins: { a: { servers: demo } }\nrules:\n  - &news { match: { path: /news }, ttl: 1m, tags: [x] }\n  - { name: b, match: { path: /b }, tags: [y] }\n",
    );
    assert_eq!(
        loaded.config.rules.rules().map(|r| r.name.to_string()).collect::<Vec<_>>(),
        ["rules[0]", "b"]
    );
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "([a-z]{1,6}: ?|[\\[\\]{}&*!|>'\"%@`,:?-] ?|\\n {0,4}|\\$\\{|[a-z0-9/*]{1,4}|\\t|é)*") {
        let _ = report_of(&text).render(true);
    }
}

proptest::proptest! {
    // Each case reads the whole file.
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn no_value_of_any_field_makes_it_panic(value in ".{0,24}", field in 0usize..200) {
        let text = std::fs::read_to_string(folder().join("ok/everything.yaml")).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let at = field % lines.len();
        let quoted = serde_json::Value::from(value);
        let line = lines[at].split_once(": ").map(|(key, _)| format!("{key}: {quoted}"));
        let mut lines: Vec<String> = lines.into_iter().map(str::to_owned).collect();
        if let Some(line) = line { lines[at] = line; }
        let _ = report_of(&lines.join("\n")).render(false);
    }
}
