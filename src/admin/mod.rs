//! The admin listener: liveness, readiness, status, metrics, purging, listings, the configuration.
//! Never the public listener, never on anything's hot path.

mod dashboard;
mod dialects;
mod explain;
mod figures;
mod listing;
mod openapi;
mod purge;
pub mod purge_request;
mod query;
pub mod reload;
pub mod serve;
mod session;
pub mod status;
pub mod stream;
mod traced;

use crate::access::sessions::Sessions;
use crate::access::{self, Denied, Gate, Scope};
use crate::engine::Engine;
use crate::engine::explain::Normaliser;
use crate::engine::purge_call::Called;
use crate::observe::metrics;
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the admin listener reads and steers.
#[derive(Debug)]
pub struct Admin {
    pub engine: Arc<Engine>,
    pub gate: arc_swap::ArcSwap<Gate>,
    pub draining: AtomicBool,
    pub started: crate::time::Now,
    /// Open client connections, counted by the listeners.
    pub connections: Box<dyn Connections>,
    /// The configuration in force, as YAML, secrets blanked.
    pub config: arc_swap::ArcSwap<String>,
    pub reload: reload::Ask,
    /// What the public listeners do with a request before anything is decided, for `explain`.
    pub normaliser: Normaliser,
    pub streams: stream::Places,
    /// Of browsers that have logged in to the dashboard.
    pub sessions: Sessions,
}

/// Counts open client connections. Implemented by the listeners' tracker and by tests.
pub trait Connections: Send + Sync + std::fmt::Debug {
    fn open(&self) -> u64;

    /// How many were closed before they could ask for anything, by reason.
    fn turned(&self) -> Vec<(&'static str, u64)>;
}

/// Largest request body, bytes (interface.md §5).
pub const MAX_BODY: usize = crate::engine::purge_call::MAX_BODY;

pub fn router(admin: Arc<Admin>) -> Router {
    let guarded = |routes: Router<Arc<Admin>>, scope| {
        routes.route_layer(middleware::from_fn_with_state((admin.clone(), scope), guard))
    };
    let reading = Router::new()
        .route("/status", get(status_json))
        .route("/status/stream", get(stream::stream))
        .route("/metrics", get(metrics_text))
        .route("/purges", get(purge::purges))
        .route("/entries", get(listing::entries))
        .route("/tags", get(listing::tags_page))
        .route("/config", get(reload::config))
        .route("/openapi.json", get(openapi::document))
        .route("/explain", post(explain::explain));
    let purging = Router::new().route("/purge", post(purge::purge));
    let administering = Router::new().route("/reload", post(reload::reload));
    let wrong_method = || async { problem(StatusCode::METHOD_NOT_ALLOWED, "not with this method") };
    // Probes come by any name and without a token, and learn nothing that matters.
    let probes = Router::new()
        .merge(dashboard::routes())
        .merge(session::routes())
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .method_not_allowed_fallback(wrong_method);
    Router::new()
        .merge(guarded(reading, Scope::Read))
        .merge(guarded(purging, Scope::Purge))
        .merge(guarded(administering, Scope::Admin))
        .merge(dialects::routes())
        .method_not_allowed_fallback(wrong_method)
        .fallback(|| async { problem(StatusCode::NOT_FOUND, "no such page on the admin listener") })
        .layer(axum::extract::DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(admin.clone(), same_site))
        .layer(middleware::from_fn_with_state(admin.clone(), session::cookie_is_the_token))
        .layer(middleware::from_fn(dialects::fastly_key_is_the_token))
        .merge(probes)
        .with_state(admin)
}

/// Refuses what a browser on a foreign page could send: another `Host` (DNS rebinding) or another `Origin`
/// (rulings 6).
async fn same_site(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    match admin.gate.load().same_site(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(denied) => refuse(request.uri().path(), denied),
    }
}

/// Who calls: the name of the token, or the address.
#[derive(Clone, Debug)]
struct Caller {
    name: String,
}

async fn guard(
    State((admin, scope)): State<(Arc<Admin>, Scope)>,
    mut request: Request,
    next: Next,
) -> Response {
    match admit(&admin, &request, scope) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(denied) => refuse(request.uri().path(), denied),
    }
}

fn admit(admin: &Admin, request: &Request, scope: Scope) -> Result<Caller, Denied> {
    let gate = admin.gate.load();
    let token = gate.admit(request.headers(), scope)?;
    access::no_form(request.method(), request.headers())?;
    let peer = || request.extensions().get().map(|ConnectInfo::<SocketAddr>(peer)| peer.ip().to_string());
    Ok(Caller { name: token.map(str::to_owned).or_else(peer).unwrap_or_default() })
}

/// In the words of the product whose path it is.
fn refuse(path: &str, denied: Denied) -> Response {
    let (status, reason) = (denied.status(), denied.explain());
    let mut response = match Called::refused(path, status, reason) {
        Some(called) => dialects::sent(called),
        None => problem(status, reason),
    };
    if status == StatusCode::UNAUTHORIZED {
        // RFC 9110 §15.5.2.
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// An error in one sentence, as JSON.
pub fn problem(status: StatusCode, error: &str) -> Response {
    json_response(status, &serde_json::json!({ "error": error }))
}

fn json_response(status: StatusCode, body: &serde_json::Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string() + "\n").into_response()
}

async fn readyz(State(admin): State<Arc<Admin>>) -> Response {
    let draining = admin.draining.load(Ordering::Acquire);
    let status = if draining { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let mut body = serde_json::json!({ "ready": !draining, "draining": draining });
    if let (Some(fleet), Some(body)) = (&admin.engine.fleet, body.as_object_mut()) {
        // A cache that still serves must not be taken out: this is for people, not for the balancer.
        let log = fleet.log.state();
        body.insert("shared".to_owned(), status::shared_word(fleet, log.synced).into());
        let lag = log.unsynced_for;
        body.insert("unsynced_s".to_owned(), serde_json::json!(lag.map(|lag| lag.as_secs_f64())));
    }
    json_response(status, &body)
}

async fn metrics_text(State(admin): State<Arc<Admin>>) -> Response {
    let text = admin.engine.metrics.render(&status::levels(&admin));
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], Body::from(text)).into_response()
}

async fn status_json(State(admin): State<Arc<Admin>>, _: HeaderMap) -> Response {
    json_response(StatusCode::OK, &status::snapshot(&admin))
}
