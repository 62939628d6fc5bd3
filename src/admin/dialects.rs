//! Other products' purge calls on this listener (interface.md §3.1). What they mean is in `purge::dialects`; here is who may
//! send them, and that those who may not are told so in a form that their client understands.

use super::{Admin, admit, refuse, traced};
use crate::access::Scope;
use crate::engine::purge_call::{Called, Door, MAX_BODY, PurgeCall, fastly_key};
use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use std::sync::Arc;

/// Methods other than POST get there too: the dialect says what it would have taken.
pub fn routes() -> Router<Arc<Admin>> {
    Router::new()
        .route("/client/v4/zones/{zone}/purge_cache", post(call).fallback(call))
        .route("/service/{service}/purge/{*key}", post(call).fallback(call))
        .route("/service/{service}/purge", post(call).fallback(call))
        .route("/service/{service}/purge_all", post(call).fallback(call))
        .route("/.well-known/http-invalidation", post(call).fallback(call))
}

/// interface.md §5: `Fastly-Key` counts as the bearer token on `/service/*`. A page of another site can send it as little
/// as `Authorization`: both need the browser's leave first.
pub async fn fastly_key_is_the_token(mut request: Request, next: Next) -> Response {
    let key = fastly_key(request.headers()).filter(|_| request.uri().path().starts_with("/service/"));
    let bearer = key.and_then(|key| HeaderValue::from_bytes(&[b"Bearer ", key].concat()).ok());
    if let Some(bearer) = bearer {
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
    }
    next.run(request).await
}

async fn call(State(admin): State<Arc<Admin>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    // Before the body is read.
    let caller = match admit(&admin, &request, Scope::Purge) {
        Ok(caller) => caller,
        Err(denied) => return refuse(&path, denied),
    };
    let (method, headers) = (request.method().clone(), request.headers().clone());
    let query = request.uri().query().map(str::to_owned);
    let body = match Bytes::from_request(request, &()).await {
        Ok(body) => body,
        Err(rejection) => {
            let (status, reason) = (rejection.status(), rejection.body_text());
            return Called::refused(&path, status, &reason).map_or_else(|| rejection.into_response(), sent);
        }
    };
    debug_assert!(body.len() <= MAX_BODY, "the router limits bodies");
    let authority = String::new(); // what it would be is this listener's own
    let mut step = traced::enter(&admin, &headers);
    let (who, trace) = (caller.name, step.trace().clone());
    let named = method.clone();
    let call = PurgeCall { door: Door::Admin, method, authority, path, query, headers, body, who, trace };
    let called = admin.engine.purge_call(call).await;
    traced::answered(&mut step, &named, "purge", called.status);
    sent(called)
}

pub fn sent(called: Called) -> Response {
    // A plain string would be given a content type where the dialect has none.
    (called.status, called.headers, Body::from(called.body)).into_response()
}
