//! `/openapi.json`: the admin API described for machines. A document kept by hand (docs/decisions/0006), and tests that hold it
//! to what the router answers and to what the calls take.

use axum::http::header;
use axum::response::{IntoResponse, Response};

const DOCUMENT: &str = include_str!("openapi.json");

pub async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::{listing, purge, purge_request};
    use crate::purge::dialects;
    use serde_json::{Map, Value, json};
    use std::collections::BTreeSet;
    use std::path::Path;

    fn parsed() -> Value {
        serde_json::from_str(DOCUMENT).unwrap()
    }

    /// `(path, method)` of every `.route("PATH", METHOD(` in this room's sources.
    fn routes() -> BTreeSet<(String, String)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/admin");
        let mut routes = BTreeSet::new();
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "rs") || path.ends_with("openapi.rs") {
                continue;
            }
            let source: String = std::fs::read_to_string(path).unwrap().split_whitespace().collect();
            for call in source.split(".route(\"").skip(1) {
                let (path, handlers) = call.split_once("\",").unwrap();
                let handlers = handlers.split(".route").next().unwrap();
                for method in ["get", "post", "put", "delete"] {
                    if handlers.starts_with(&format!("{method}("))
                        || handlers.contains(&format!(").{method}("))
                    {
                        // A key may hold slashes, which a template can't say.
                        let path = path.replace("{*", "{");
                        routes.insert((path, method.to_owned()));
                    }
                }
            }
        }
        routes
    }

    #[test]
    fn every_page_of_the_admin_listener_is_described_and_no_other() {
        let document = parsed();
        let mut described = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            described
                .extend(methods.as_object().unwrap().keys().map(|method| (path.clone(), method.clone())));
        }
        assert!(described.len() > 8);
        assert_eq!(described, routes());
    }

    #[test]
    fn what_is_described_of_a_purge_is_what_is_taken() {
        let document = parsed();
        let schema = &document["components"]["schemas"]["PurgeRequest"];
        assert_eq!(schema["additionalProperties"], false);
        let mut call = Map::new();
        for (name, member) in schema["properties"].as_object().unwrap() {
            let value = match member["type"].as_str() {
                Some("array") => json!(["x"]),
                Some("boolean") => json!(true),
                _ => member["enum"][0].clone(),
            };
            call.insert(name.clone(), value);
            for word in member["enum"].as_array().into_iter().flatten() {
                let body = json!({ "everything": true, name: word }).to_string();
                assert!(purge_request::parse(body.as_bytes()).is_ok(), "{body}");
            }
        }
        let request = purge_request::parse(Value::Object(call).to_string().as_bytes()).unwrap();
        let lists = [&request.tags, &request.urls, &request.prefixes, &request.hosts];
        assert!(lists.iter().all(|list| list.len() == 1) && request.everything, "a member is not described");
    }

    /// A call with every member that is described, and with every word, is read; the parsers refuse what they don't know.
    #[test]
    fn what_is_described_of_other_products_calls_is_what_is_taken() {
        let document = parsed();
        let schema = |name: &str| document["components"]["schemas"][name].clone();
        let taken = |path: &str, body: &Value| {
            let (body, headers) = (body.to_string(), http::HeaderMap::new());
            let call = dialects::Call {
                method: &http::Method::POST,
                authority: "",
                path,
                query: None,
                headers: &headers,
                body: body.as_bytes(),
            };
            let read = dialects::admin(&call, &dialects::plain);
            assert!(matches!(read, Ok(dialects::Parsed::Purge(..))), "{path} {body}: {read:?}");
        };
        let every_member = |schema: &Value| -> Value {
            let member = |(name, member): (&String, &Value)| match member["type"].as_str() {
                Some("array") if name == "files" => {
                    (name.clone(), json!(["http://e/", { "url": "http://e/" }]))
                }
                Some("array") => (name.clone(), json!(["e"])),
                _ => (name.clone(), json!(true)),
            };
            schema["properties"].as_object().unwrap().iter().map(member).collect::<Map<_, _>>().into()
        };
        taken("/client/v4/zones/z/purge_cache", &every_member(&schema("CloudflarePurge")));
        taken("/service/s/purge", &every_member(&schema("FastlyPurge")));
        let draft = schema("Invalidation");
        for kind in draft["properties"]["type"]["enum"].as_array().unwrap() {
            let call = json!({ "type": kind, "selectors": ["http://e"], "groups": ["g"], "purge": true });
            assert!(call.as_object().unwrap().keys().eq(draft["properties"].as_object().unwrap().keys()));
            taken("/.well-known/http-invalidation", &call);
        }
    }

    #[test]
    fn parameters_are_described() {
        let document = parsed();
        let described = |path: &str| -> Vec<String> {
            let parameters = document["paths"][path]["get"]["parameters"].as_array().unwrap();
            parameters.iter().map(|p| p["name"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(described("/purges"), purge::PURGES_PARAMETERS);
        assert_eq!(described("/entries"), listing::ENTRIES_PARAMETERS);
        assert_eq!(described("/tags"), listing::TAGS_PARAMETERS);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = parsed();
        let count = DOCUMENT.matches("\"$ref\": \"#").count();
        assert!(count > 10);
        for reference in DOCUMENT.split("\"$ref\": \"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
    }

    /// The members of everything that is told are those that are described, all the way down.
    #[test]
    fn what_is_described_of_an_explanation_is_what_is_told() {
        use crate::engine::explain::trace::*;
        let value = || ValueShown { name: String::new(), value: None };
        let told = json!(Explained {
            rules: vec![RuleShown {
                name: String::new(),
                decided_by: "request",
                matches: None,
                sets: vec![FieldShown { field: String::new(), value: String::new(), overridden_by: None }],
            }],
            key: Some(KeyShown {
                scheme: String::new(),
                host: String::new(),
                path: String::new(),
                query: None,
                query_removed: Vec::new(),
                origin: String::new(),
                rules: Vec::new(),
                headers: vec![value()],
                cookies: Vec::new(),
                body: false,
            }),
            variants: vec![VariantShown {
                vary: vec![value()],
                selected: false,
                status: 200,
                age_s: 0,
                ttl_s: 0,
                body_bytes: 0,
                purged: None,
            }],
            entry: Some(EntryShown::default()),
            purges: vec![PurgeShown::default()],
            remembered: Remembered { mark: None, not_stored: Some(NotStoredShown::default()) },
            origin: Some(OriginShown { name: String::new(), servers: 0, usable: 0 }),
            steps: vec![Step { step: "", says: String::new(), details: Vec::new(), source: None }],
            ..Explained::default()
        });
        let document = parsed();
        same_members(&document, &document["components"]["schemas"]["Explained"], &told, "explained");
        let actions = &document["components"]["schemas"]["Explained"]["properties"]["decision"]["properties"]
            ["action"]["enum"];
        assert_eq!(*actions, json!(Action::ALL.map(Action::as_str)));
    }

    fn same_members(document: &Value, schema: &Value, told: &Value, at: &str) {
        let schema = schema.get("oneOf").map_or(schema, |either| &either[0]);
        let schema = match schema["$ref"].as_str() {
            Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
            None => schema,
        };
        match told {
            Value::Object(members) => {
                let described: BTreeSet<_> = schema["properties"].as_object().unwrap().keys().collect();
                assert_eq!(described, members.keys().collect(), "{at}");
                assert_eq!(schema["required"].as_array().unwrap().len(), members.len(), "{at}");
                for (name, member) in members {
                    same_members(document, &schema["properties"][name], member, &format!("{at}.{name}"));
                }
            }
            Value::Array(items) => {
                items.iter().for_each(|item| same_members(document, &schema["items"], item, at));
            }
            _ => {}
        }
    }
}
