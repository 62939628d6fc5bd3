//! JSON Schema of the configuration, from the same tables that read it. For editors.

use super::Root;
use super::section::{Section, schema_of};
use serde_json::{Value as Json, json};

/// The schema (draft 2020-12).
pub fn schema() -> Json {
    let mut schema = schema_of(Root::ABOUT, &Root::fields());
    if let Json::Object(map) = &mut schema {
        map.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        map.insert("title".to_owned(), json!("Larder configuration"));
    }
    schema
}

/// The sections that know a key, as paths: `rules[]`, `server.limits`.
pub fn homes(key: &str) -> Vec<String> {
    let mut homes = Vec::new();
    walk(&schema(), String::new(), key, &mut homes);
    homes.truncate(3);
    homes
}

fn walk(schema: &Json, path: String, key: &str, homes: &mut Vec<String>) {
    if let Some(Json::Object(properties)) = schema.get("properties") {
        if properties.contains_key(key) {
            homes.push(if path.is_empty() { "the top".to_owned() } else { format!("`{path}`") });
        }
        for (name, inner) in properties {
            let dot = if path.is_empty() { "" } else { "." };
            walk(inner, format!("{path}{dot}{name}"), key, homes);
        }
    }
    if let Some(items) = schema.get("items") {
        walk(items, format!("{path}[]"), key, homes);
    }
    if let Some(named @ Json::Object(_)) = schema.get("additionalProperties") {
        walk(named, format!("{path}.<name>"), key, homes);
    }
    if let Some(Json::Array(kinds)) = schema.get("anyOf") {
        let before = homes.len();
        for kind in kinds {
            walk(kind, path.clone(), key, homes);
        }
        // A list and its single item are two ways to the same home.
        let mut added = homes.split_off(before);
        added.truncate(1);
        homes.append(&mut added);
    }
}
