//! What client libraries read in an answer: some only look for 2xx, some decode JSON, some log the text.

use super::Dialect;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Map, Value, json};

/// Status, header fields, body.
pub type Answer = (StatusCode, HeaderMap, String);

/// The answer that goes with a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AnswerShape {
    Cloudflare,
    /// `{"status":"ok","id":…}`.
    FastlyOne,
    /// Each of these keys with its id.
    FastlyKeys(Vec<String>),
    /// Without an id.
    FastlyAll,
    /// The invalidation draft defines no body.
    Draft,
    Purged,
    Banned,
    BanAdded,
    /// With the count, as the examples of Varnish's xkey module have it.
    Invalidated,
    /// With two counts, as FOSHttpCache's configuration of it has them; `soft` decides which one counts.
    PurgedAndExpired {
        soft: bool,
    },
    /// Souin's.
    NoContent,
}

/// What became of the purge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done<'a> {
    pub id: &'a str,
    /// Stored variants that it selected on this node.
    pub matched: u64,
    /// Whether everything that was waited for has happened. If not, the status is 202, which every one of these clients
    /// takes for success, and which promises no more than is true.
    pub complete: bool,
}

/// The answer to a purge that was applied.
pub fn answer(shape: &AnswerShape, done: &Done<'_>) -> Answer {
    let id = done.id;
    let body = match shape {
        AnswerShape::Cloudflare => {
            Body::Json(json!({ "success": true, "errors": [], "messages": [], "result": { "id": id } }))
        }
        AnswerShape::FastlyOne => Body::Json(json!({ "status": "ok", "id": id })),
        AnswerShape::FastlyKeys(keys) => {
            Body::Json(Value::Object(keys.iter().map(|key| (key.clone(), json!(id))).collect::<Map<_, _>>()))
        }
        AnswerShape::FastlyAll => Body::Json(json!({ "status": "ok" })),
        AnswerShape::Draft | AnswerShape::NoContent => Body::Empty,
        AnswerShape::Purged => Body::Text("Purged".to_owned()),
        AnswerShape::Banned => Body::Text("Banned".to_owned()),
        AnswerShape::BanAdded => Body::Text("Ban added.".to_owned()),
        AnswerShape::Invalidated => Body::Text(format!("Invalidated {} objects", done.matched)),
        AnswerShape::PurgedAndExpired { soft } => {
            let (gone, expired) = if *soft { (0, done.matched) } else { (done.matched, 0) };
            Body::Text(format!("Purged {gone} objects, expired {expired} objects"))
        }
    };
    let status = match shape {
        _ if !done.complete => StatusCode::ACCEPTED,
        AnswerShape::NoContent => StatusCode::NO_CONTENT,
        _ => StatusCode::OK,
    };
    body.answer(status)
}

/// The answer to a call that was refused, for whatever reason: also for callers who may not purge.
pub fn refusal(dialect: Dialect, status: StatusCode, reason: &str) -> Answer {
    let body = match dialect {
        Dialect::Cloudflare => {
            // The two of Cloudflare's codes that clients know: authentication, and a body that names nothing usable.
            let code = match status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => 10_000,
                _ => 1_012,
            };
            let errors = json!([{ "code": code, "message": reason }]);
            Body::Json(json!({ "success": false, "errors": errors, "messages": [], "result": null }))
        }
        Dialect::Fastly => {
            Body::Json(json!({ "msg": status.canonical_reason().unwrap_or("Error"), "detail": reason }))
        }
        Dialect::Draft => Body::Json(json!({ "error": reason })),
        Dialect::Varnish => Body::Text(reason.to_owned()),
    };
    let (status, mut headers, body) = body.answer(status);
    // RFC 9110 §15.5.6. On the public listener only the caller knows what else is allowed.
    if status == StatusCode::METHOD_NOT_ALLOWED && dialect != Dialect::Varnish {
        headers.insert(ALLOW, HeaderValue::from_static("POST"));
    }
    (status, headers, body)
}

enum Body {
    Json(Value),
    Text(String),
    Empty,
}

impl Body {
    fn answer(self, status: StatusCode) -> Answer {
        let (kind, body) = match self {
            Self::Json(value) => (Some("application/json"), value.to_string()),
            Self::Text(text) => (Some("text/plain; charset=utf-8"), text),
            Self::Empty => (None, String::new()),
        };
        let mut headers = HeaderMap::new();
        if let Some(kind) = kind {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        let end = if body.is_empty() { "" } else { "\n" };
        (status, headers, body + end)
    }
}
