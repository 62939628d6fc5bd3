//! `POST /purge` and `GET /purges`: the product's own purge call and what came of the recent ones.

use super::purge_request::{self, Wait};
use super::{Admin, Caller, json_response, problem, query, traced};
use crate::engine::purge::{Purged, describe};
use crate::fleet::transport::Reach;
use crate::observe::access::timestamp;
use crate::purge::normal::BadUrl;
use crate::purge::{Matched, Purge, Receipt, Selector};
use crate::trace::{Kind, Trace};
use axum::extract::rejection::BytesRejection;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use bytes::Bytes;
use purge_request::{Problem, PurgeRequest};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Of `GET /purges`.
pub const PURGES_PARAMETERS: [&str; 1] = ["limit"];

/// Receipts listed where the call names no limit, and at most.
const RECEIPTS: usize = 100;
const MOST_RECEIPTS: usize = 1000;

pub async fn purge(
    State(admin): State<Arc<Admin>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let mut step = traced::enter(&admin, &headers);
    let response = purged(&admin, caller, body, step.trace()).await;
    traced::answered(&mut step, &Method::POST, "/purge", response.status());
    response
}

async fn purged(
    admin: &Admin,
    caller: Caller,
    body: Result<Bytes, BytesRejection>,
    trace: &Trace,
) -> Response {
    let request = match body {
        Ok(body) => purge_request::parse(&body),
        Err(rejection) => return problem(rejection.status(), &rejection.body_text()),
    };
    let built = request.and_then(|request| {
        let selectors = selectors(admin, &request)?;
        Ok((request, selectors))
    });
    let (request, selectors) = match built {
        Ok(built) => built,
        Err(wrong) => return refuse(&wrong),
    };
    let purge = Purge { who: caller.name, ..Purge::new(request.mode, selectors) };
    // On a thread that may block: counting what a prefix selects takes a moment.
    let engine = admin.engine.clone();
    let began = engine.clock.elapsed();
    let mut step = trace.step(Kind::Internal);
    match tokio::task::spawn_blocking(move || engine.purge(purge)).await {
        Ok(purged) => {
            let reach = admin.engine.reached(purged.applied.at, request.wait == Wait::Fleet).await;
            let done = match request.wait {
                Wait::Node => reach.is_logged(),
                Wait::Fleet => reach.is_everywhere(),
            };
            if let Some(span) = step.span() {
                let id = purged.applied.at.to_string();
                describe(span, &purged, &id)
                    .text("larder.purge.mode", request.mode.as_str())
                    .number("larder.purge.nodes.applied", reach.applied)
                    .number("larder.purge.nodes.total", reach.total);
            }
            let took = admin.engine.clock.elapsed().saturating_sub(began);
            let status = if done { StatusCode::OK } else { StatusCode::ACCEPTED };
            json_response(status, &receipt(&purged, &reach, took))
        }
        Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "the purge was not counted; it may hold"),
    }
}

/// Everything that the call names, or the first member that names nothing.
fn selectors(admin: &Admin, request: &PurgeRequest) -> Result<Vec<Selector>, Problem> {
    let site = admin.engine.site();
    let mut all: Vec<Selector> = request.tags.iter().map(|tag| Selector::tag(tag)).collect();
    for (at, url) in request.urls.iter().enumerate() {
        let wrong = |why| not("urls", at, "a URL with scheme and host", why);
        all.extend(site.purged_url(url).map_err(wrong)?);
    }
    for (at, prefix) in request.prefixes.iter().enumerate() {
        let wrong = |why| not("prefixes", at, "host/path", why);
        all.push(Selector::prefix(prefix).map_err(wrong)?);
    }
    for (at, host) in request.hosts.iter().enumerate() {
        let wrong = |why| not("hosts", at, "a host, or host:port", why);
        all.push(Selector::host(host).map_err(wrong)?);
    }
    if request.everything {
        all.push(Selector::Everything);
    }
    Ok(all)
}

fn not(list: &str, at: usize, expected: &str, why: BadUrl) -> Problem {
    Problem::new(format!("{list}[{at}]"), format!("{expected} ({why})"))
}

fn refuse(wrong: &Problem) -> Response {
    let body = json!({ "error": wrong.to_string(), "member": wrong.member, "expected": wrong.expected });
    json_response(StatusCode::BAD_REQUEST, &body)
}

/// interface.md §3. `took_ms` is all that the caller waited for.
fn receipt(purged: &Purged, reach: &Reach, took: Duration) -> Value {
    let mut receipt = Map::new();
    let id = reach.id.map_or_else(|| purged.applied.at.to_string(), |id| id.to_string());
    receipt.insert("id".into(), id.into());
    receipt.insert("selectors".into(), purged.applied.selectors.into());
    note_matched(&mut receipt, purged.matched);
    let nodes = json!({ "applied": reach.applied, "total": reach.total, "missing": reach.missing });
    receipt.insert("nodes".into(), nodes);
    receipt.insert("took_ms".into(), milliseconds(took));
    Value::Object(receipt)
}

/// rulings 29: a count that is a lower bound says so.
fn note_matched(receipt: &mut Map<String, Value>, matched: Matched) {
    receipt.insert("matched".into(), matched.count.into());
    if !matched.exact {
        receipt.insert("matched_exact".into(), false.into());
    }
}

/// With three decimals.
fn milliseconds(took: Duration) -> Value {
    let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
    json!(f64::from(micros) / 1000.0)
}

pub async fn purges(State(admin): State<Arc<Admin>>, uri: Uri) -> Response {
    let limit = match query::parse(&uri, &PURGES_PARAMETERS).and_then(|q| q.limit(RECEIPTS, MOST_RECEIPTS)) {
        Ok(limit) => limit,
        Err(wrong) => return problem(StatusCode::BAD_REQUEST, &wrong),
    };
    let purges: Vec<Value> = admin.engine.purges.recent(limit).iter().map(listed).collect();
    json_response(StatusCode::OK, &json!({ "purges": purges }))
}

pub(super) fn listed(of: &Receipt) -> Value {
    let mut listed = Map::new();
    listed.insert("id".into(), of.at.to_string().into());
    listed.insert("summary".into(), of.summary.as_str().into());
    listed.insert("selectors".into(), of.selectors.into());
    listed.insert("mode".into(), of.mode.as_str().into());
    listed.insert("who".into(), of.who.as_str().into());
    listed.insert("when".into(), timestamp(of.when).into());
    match of.matched {
        Some(matched) => note_matched(&mut listed, matched),
        None => drop(listed.insert("matched".into(), Value::Null)),
    }
    Value::Object(listed)
}
