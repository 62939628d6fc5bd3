//! The normalised configuration as YAML text: what `check --print` and `GET /config` show.

use serde_json::{Map, Value as Json};
use std::fmt::Write as _;

/// A map as a YAML document.
pub fn yaml(map: &Map<String, Json>) -> String {
    let mut out = String::new();
    entries(map, 0, false, &mut out);
    out
}

/// The lines of a map. `inline`: the first one goes on where the text stands (behind a `- `).
fn entries(map: &Map<String, Json>, indent: usize, inline: bool, out: &mut String) {
    for (i, (key, value)) in map.iter().enumerate() {
        if i > 0 || !inline {
            let _ = write!(out, "{:indent$}", "");
        }
        let _ = write!(out, "{}:", scalar(key));
        match value {
            Json::Object(inner) if !inner.is_empty() => {
                out.push('\n');
                entries(inner, indent + 2, false, out);
            }
            Json::Array(items) if items.iter().any(Json::is_object) => {
                out.push('\n');
                for item in items {
                    let _ = write!(out, "{:1$}- ", "", indent + 2);
                    match item {
                        Json::Object(inner) => entries(inner, indent + 4, true, out),
                        item => {
                            let _ = writeln!(out, "{}", flow(item));
                        }
                    }
                }
            }
            value => {
                let _ = writeln!(out, " {}", flow(value));
            }
        }
    }
}

/// On one line.
pub(super) fn flow(value: &Json) -> String {
    match value {
        Json::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Json::String(text) => scalar(text),
        // An empty map, a number, a boolean: JSON is YAML.
        other => other.to_string(),
    }
}

/// Plain where that means the same text, else in double quotes. A `${` is kept from being expanded again.
fn scalar(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_./-%+=@~^".contains(c);
    let plain = text.chars().all(safe)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/')
        && text.parse::<f64>().is_err()
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "null" | "true" | "false" | "yes" | "no" | "y" | "n"
        );
    match plain {
        true => text.to_owned(),
        false => Json::from(text.replace("${", "$${")).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn looks_like_yaml_and_reads_as_what_was_meant() {
        let Json::Object(map) = json!({
            "a": { "nr": 1, "on": true, "list": ["x", "**/*.css", "10s"], "empty": {}, "none": [] },
            "rules": [{ "name": "a b", "match": { "path": ["/x"] } }, { "name": "123" }],
            "money": "${X}",
        }) else {
            panic!("a map")
        };
        insta::assert_snapshot!(yaml(&map), @r#"
        a:
          nr: 1
          on: true
          list: [x, "**/*.css", 10s]
          empty: {}
          none: []
        rules:
          - name: "a b"
            match:
              path: [/x]
          - name: "123"
        money: "$${X}"
        "#);
    }
}
