//! `docs/metrics.md` is what `/metrics` exports, and what the dashboard and the rules of `deploy/` ask for is there.

use crate::support::{House, Origin};
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};

/// A family: its type, and of each of its labels the values that were seen.
#[derive(Debug, Default, PartialEq)]
struct Family {
    kind: String,
    labels: BTreeMap<String, BTreeSet<String>>,
}

type Families = BTreeMap<String, Family>;

/// The families of interface.md §4: whatever else there is, these stay.
const PROMISED: [&str; 23] = [
    "larder_requests_total",
    "larder_request_seconds",
    "larder_bytes_total",
    "larder_origin_requests_total",
    "larder_origin_seconds",
    "larder_origin_up",
    "larder_not_stored_total",
    "larder_memory_bytes",
    "larder_memory_entries",
    "larder_evictions_total",
    "larder_variants_dropped_total",
    "larder_tags_rejected_total",
    "larder_stale_served_total",
    "larder_served_age_seconds",
    "larder_entry_ttl_seconds",
    "larder_shared_requests_total",
    "larder_shared_seconds",
    "larder_shared_breaker_open",
    "larder_purge_log_lag_seconds",
    "larder_purges_total",
    "larder_purge_apply_seconds",
    "larder_unsynced",
    "larder_inflight",
];

/// Labels whose values are names of the configuration.
const NAMES: [&str; 2] = ["rule", "origin"];

/// What a node of a fleet exports whose store can't be reached: all families, with all children that are known beforehand.
async fn exported() -> Families {
    families("shared: { url: \"redis://127.0.0.1:1\" }\n").await
}

async fn families(more: &str) -> Families {
    let origin = Origin::start().await;
    let yaml = format!(
        "server: {{ listen: [{{ address: \"127.0.0.1:0\" }}] }}\nadmin: {{ address: \"127.0.0.1:0\" }}\n\
         log: {{ access: off }}\norigins: {{ app: {{ servers: [\"http://{}\"] }} }}\n\
         {more}rules: [{{ name: all, origin: app }}]\n",
        origin.address
    );
    let house = House::start(&yaml, origin).await;
    let text = house.admin("/metrics").await.text();
    let label = Regex::new(r#"([a-z_]+)="((?:[^"\\]|\\.)*)""#).unwrap();
    let mut families = Families::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(typed) = line.strip_prefix("# TYPE ") {
            let (name, kind) = typed.split_once(' ').unwrap();
            // OpenMetrics names counters without the ending that their samples have.
            current = if kind == "counter" { format!("{name}_total") } else { name.to_owned() };
            families.insert(current.clone(), Family { kind: kind.to_owned(), labels: BTreeMap::new() });
        } else if !line.starts_with('#') {
            let family = families.get_mut(&current).unwrap();
            for found in label.captures_iter(line).filter(|found| &found[1] != "le") {
                family.labels.entry(found[1].to_owned()).or_default().insert(found[2].to_owned());
            }
        }
    }
    families
}

fn page(path: &str) -> String {
    std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The words in backticks.
fn words(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The rows of the page's tables, cell by cell.
fn rows(page: &str) -> Vec<Vec<&str>> {
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

fn documented() -> Families {
    let page = page("docs/metrics.md");
    let mut families = Families::new();
    for row in rows(&page) {
        if let [name, kind, labels, unit, what, when] = row.as_slice() {
            assert!(!unit.is_empty() && !what.is_empty() && !when.is_empty(), "{name}");
            let labels = words(labels).into_iter().map(|label| (label, BTreeSet::new())).collect();
            families.insert(name.trim_matches('`').to_owned(), Family { kind: (*kind).to_owned(), labels });
        }
    }
    for row in rows(&page) {
        if let [label, of, values] = row.as_slice() {
            for family in words(of) {
                let labels = &mut families.get_mut(&family).unwrap_or_else(|| panic!("{family}")).labels;
                let known = labels.get_mut(label.trim_matches('`'));
                known.unwrap_or_else(|| panic!("{family} has no {label}")).extend(words(values));
            }
        }
    }
    families
}

#[tokio::test]
async fn the_documentation_is_what_is_exported_with_all_labels_and_their_values() {
    let (mut exported, documented) = (exported().await, documented());
    for family in exported.values_mut() {
        for (_, values) in family.labels.iter_mut().filter(|(label, _)| NAMES.contains(&label.as_str())) {
            values.clear();
        }
    }
    let names = |families: &Families| families.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&documented), names(&exported), "docs/metrics.md (left) and /metrics (right)");
    for (name, family) in &exported {
        assert_eq!(&documented[name], family, "{name}: docs/metrics.md (left) and /metrics (right)");
    }
    for name in PROMISED.iter().chain(&["larder_connections"]) {
        assert!(exported.contains_key(*name), "{name} is promised");
    }
}

#[tokio::test]
async fn a_node_alone_has_all_families_and_children_of_a_fleet_too() {
    let (alone, fleet) = (families("").await, exported().await);
    for (name, family) in fleet {
        assert_eq!(alone.get(&name), Some(&family), "{name}: without `shared` (left), with it (right)");
    }
}

#[tokio::test]
async fn the_process_tells_what_it_takes_of_the_system() {
    let house = House::new("").await;
    let text = house.admin("/metrics").await.text();
    let value = |name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name}")).parse().unwrap()
    };
    let (resident, limit) = (value("process_resident_memory_bytes"), value("larder_memory_limit_bytes"));
    assert!(resident > 1e6 && resident < limit, "{resident} of {limit}");
    assert!(value("process_open_fds") > 3.0 && value("process_cpu_seconds_total") >= 0.0);
    assert!(value("process_start_time_seconds") > 0.0 && value("larder_memory_capacity_bytes") > 0.0);
    let status: serde_json::Value = serde_json::from_str(&house.admin("/status").await.text()).unwrap();
    assert!(status["memory"]["resident"].as_u64().unwrap() > 1_000_000, "{}", status["memory"]);
}

/// Each `larder_…` and `process_…` of an expression with its matchers, if it has any.
fn asked_for(text: &str) -> Vec<(String, String)> {
    let text = text.replace("\\\"", "\"");
    // Not behind a colon: that is the name of a recorded series.
    let metric = Regex::new(r"(?:^|[^:a-zA-Z0-9_])((?:larder|process)_[a-z0-9_]+)(?:\{([^}]*)\})?").unwrap();
    let found = metric.captures_iter(&text);
    found
        .map(|found| {
            (
                found[1].to_owned(),
                found.get(2).map_or_else(String::new, |matchers| matchers.as_str().to_owned()),
            )
        })
        .collect()
}

fn family_of(name: &str, families: &Families) -> Option<String> {
    let endings = ["_bucket", "_sum", "_count"];
    let base = endings.iter().find_map(|ending| name.strip_suffix(ending));
    let histogram = |base: &&str| families.get(*base).is_some_and(|family| family.kind == "histogram");
    base.filter(histogram)
        .or_else(|| families.get(name).filter(|family| family.kind != "histogram").map(|_| name))
        .map(str::to_owned)
}

#[tokio::test]
async fn dashboard_and_rules_ask_for_what_is_there_and_leave_nothing_out() {
    let families = exported().await;
    let matcher = Regex::new(r#"([a-z_]+)\s*(=~|!~|!=|=)\s*"([^"]*)""#).unwrap();
    let mut used = BTreeSet::new();
    for file in ["deploy/grafana/dashboards/larder.json", "deploy/prometheus/rules.yaml"] {
        let text = page(file);
        let asked = asked_for(&text);
        assert!(asked.len() > 10, "{file}: nothing found");
        for (name, matchers) in asked {
            let family =
                family_of(&name, &families).unwrap_or_else(|| panic!("{file}: no {name} in /metrics"));
            for found in matcher.captures_iter(&matchers) {
                let label = &found[1];
                if ["job", "instance", "le"].contains(&label) {
                    continue;
                }
                let values = families[&family].labels.get(label);
                let values = values.unwrap_or_else(|| panic!("{file}: {name} has no label {label}"));
                if found[3].contains('$') || NAMES.contains(&label) {
                    continue;
                }
                let pattern = Regex::new(&format!("^(?:{})$", &found[3])).unwrap();
                for word in found[3].split('|').filter(|word| !word.contains(['.', '*', '+', '['])) {
                    assert!(values.contains(word), "{file}: {name}{{{label}}} is never {word}: {values:?}");
                }
                assert!(values.iter().any(|value| pattern.is_match(value)), "{file}: {name} {}", &found[0]);
            }
            used.insert(family);
        }
    }
    let unused: Vec<_> = families.keys().filter(|name| !used.contains(*name)).collect();
    assert!(unused.is_empty(), "on no panel and in no rule: {unused:?}");
}

#[test]
fn a_dashboard_that_asks_for_what_does_not_exist_is_found_out() {
    let mut families = Families::new();
    families.insert("larder_a_total".into(), Family { kind: "counter".into(), labels: BTreeMap::new() });
    families.insert("larder_b_seconds".into(), Family { kind: "histogram".into(), labels: BTreeMap::new() });
    let known = |name: &str| family_of(name, &families).is_some();
    assert!(known("larder_a_total") && known("larder_b_seconds_bucket") && known("larder_b_seconds_count"));
    // A counter has no buckets, a histogram no value of its own, and `a` without its ending is no series.
    assert!(
        !known("larder_a")
            && !known("larder_a_total_bucket")
            && !known("larder_b_seconds")
            && !known("larder_c")
    );
    let found =
        asked_for(r#""expr": "sum(rate(larder_a_total{job=~\"$job\", x=\"y\"}[5m])) + job:larder_ratio:5m""#);
    assert_eq!(found, [("larder_a_total".to_owned(), "job=~\"$job\", x=\"y\"".to_owned())]);
}
