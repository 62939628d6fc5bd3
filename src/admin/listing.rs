//! `GET /entries` and `GET /tags`: what is stored, page by page. A page looks at a bounded number of entries, so
//! that a filter that hits little costs many short pages and no long one.

use super::query::{self, Query};
use super::{Admin, json_response, problem};
use crate::purge::normal::prefix as normal_prefix;
use crate::purge::{Selector, SelectorHash, Verdict};
use crate::store::Entry;
use crate::store::entry::Described;
use crate::store::index::{Scope, Slot, possible_names};
use crate::store::memory::is_useless;
use crate::time::Now;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Of `GET /entries`.
pub const ENTRIES_PARAMETERS: [&str; 4] = ["prefix", "tag", "limit", "next"];
/// Of `GET /tags`.
pub const TAGS_PARAMETERS: [&str; 3] = ["prefix", "limit", "next"];

const DEFAULT_PAGE: usize = 100;
const LONGEST_PAGE: usize = 1000;

/// Entries that one page looks at.
const LOOKS: usize = 20_000;
/// At a time, under the index's lock.
const AT_A_TIME: usize = 512;

/// Which entries are asked for.
struct Filter {
    scope: Scope,
    /// Hashes that an entry must carry beside.
    carried: Vec<SelectorHash>,
}

impl Filter {
    fn new(query: &Query) -> Result<Self, String> {
        let mut filter = Self { scope: Scope::All, carried: Vec::new() };
        if let Some(prefix) = query.get("prefix") {
            let selector = Selector::prefix(prefix).map_err(|why| format!("prefix: {why}"))?;
            let normal = normal_prefix(prefix).map_err(|why| format!("prefix: {why}"))?;
            selector.each_hash(|hash| filter.carried.push(hash));
            let authority = normal.split('/').next().unwrap_or_default();
            let host = authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']'));
            filter.scope = Scope::Carrying(SelectorHash::host(host.map_or(authority, |(host, _)| host)));
        }
        if let Some(tag) = query.get("tag") {
            filter.scope = Scope::Carrying(SelectorHash::tag(tag));
        }
        Ok(filter)
    }

    fn passes(&self, entry: &Entry) -> bool {
        self.carried.iter().all(|hash| entry.selectors().all().contains(hash))
    }
}

pub async fn entries(State(admin): State<Arc<Admin>>, uri: Uri) -> Response {
    let asked = query::parse(&uri, &ENTRIES_PARAMETERS).and_then(|query| {
        let next = query.get("next").map(str::parse::<Slot>).transpose();
        let next = next.map_err(|_| "next: expected what the page before gave".to_owned())?;
        Ok((Filter::new(&query)?, query.limit(DEFAULT_PAGE, LONGEST_PAGE)?, next))
    });
    match asked {
        Ok((filter, limit, next)) => {
            let page = tokio::task::spawn_blocking(move || page(&admin, &filter, limit, next)).await;
            match page {
                Ok(page) => json_response(StatusCode::OK, &page),
                Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "the list could not be made"),
            }
        }
        Err(wrong) => problem(StatusCode::BAD_REQUEST, &wrong),
    }
}

fn page(admin: &Admin, filter: &Filter, limit: usize, mut after: Option<Slot>) -> Value {
    let now = admin.engine.now();
    let mut found = Vec::new();
    let mut looks = 0;
    loop {
        let records = admin.engine.memory.index().page(filter.scope, after, AT_A_TIME);
        if records.is_empty() {
            return json!({ "entries": found, "next": null });
        }
        for (slot, record) in records {
            let entry = &record.entry;
            after = Some(slot);
            looks += 1;
            let verdict = admin.engine.verdict(entry);
            let there = !is_useless(entry, now.mono) && verdict != Verdict::Hard;
            if there && filter.passes(entry) {
                found.push(listed(entry, verdict, now));
            }
            if found.len() >= limit || looks >= LOOKS {
                return json!({ "entries": found, "next": slot.to_string() });
            }
        }
    }
}

/// One stored variant. `purged` says that it waits for the origin's word, `null` that it does not.
fn listed(entry: &Entry, verdict: Verdict, now: Now) -> Value {
    let (age, freshness) = (entry.age(now.mono), entry.freshness());
    let mut listed = Map::new();
    listed.insert("url".into(), format!("{}://{}{}", entry.scheme(), entry.authority(), entry.url()).into());
    listed.insert("status".into(), entry.status.as_u16().into());
    listed.insert("vary".into(), entry.nominated().iter().map(|n| n.as_str()).collect::<Vec<_>>().into());
    listed.insert("age_s".into(), age.as_secs().into());
    listed.insert("ttl_s".into(), freshness.ttl(age).into());
    listed.insert("lifetime_from".into(), freshness.source.as_str().into());
    listed.insert("body_bytes".into(), entry.length.into());
    listed.insert("memory_bytes".into(), entry.weight().into());
    listed.insert("tags".into(), tags(entry).into());
    listed.insert("rule".into(), entry.rule().into());
    listed.insert("origin".into(), entry.origin().into());
    listed.insert("tier".into(), "memory".into());
    let purged = if verdict == Verdict::Clean { Value::Null } else { verdict.as_str().into() };
    listed.insert("purged".into(), purged);
    Value::Object(listed)
}

/// Its tags and groups.
fn tags(entry: &Entry) -> Vec<&str> {
    let selectors = entry.selectors();
    let carried = selectors.explicit();
    let mut tags: Vec<&str> = possible_names(entry.raw_tags())
        .filter(|(_, hash)| carried.contains(hash))
        .map(|(name, _)| name)
        .collect();
    tags.sort_unstable();
    tags.dedup();
    tags
}

pub async fn tags_page(State(admin): State<Arc<Admin>>, uri: Uri) -> Response {
    let asked = query::parse(&uri, &TAGS_PARAMETERS)
        .and_then(|query| Ok((query.limit(DEFAULT_PAGE, LONGEST_PAGE)?, query)));
    let (limit, query) = match asked {
        Ok(asked) => asked,
        Err(wrong) => return problem(StatusCode::BAD_REQUEST, &wrong),
    };
    let prefix = query.get("prefix").unwrap_or("");
    let tags = admin.engine.memory.index().tags(prefix, query.get("next"), limit);
    let next = tags.last().filter(|_| tags.len() == limit).map(|last| last.tag.to_string());
    let tags: Vec<Value> = tags.iter().map(|t| json!({ "tag": *t.tag, "entries": t.entries })).collect();
    json_response(StatusCode::OK, &json!({ "tags": tags, "next": next }))
}
