//! The admin listener: liveness, readiness, status, metrics. Purging, explaining and the dashboard join it here.
//! Never the public listener, never on anything's hot path.

pub mod access;
pub mod status;

use crate::engine::Engine;
use crate::observe::metrics;
use access::{Denied, Gate, Scope};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
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
}

/// Counts open client connections. Implemented by the listeners' tracker and by tests.
pub trait Connections: Send + Sync + std::fmt::Debug {
    fn open(&self) -> u64;
}

/// Largest request body, bytes (interface.md §5).
pub const MAX_BODY: usize = 1024 * 1024;

pub fn router(admin: Arc<Admin>) -> Router {
    let guarded = Router::new()
        .route("/status", get(status_json))
        .route("/metrics", get(metrics_text))
        .route_layer(middleware::from_fn_with_state((admin.clone(), Scope::Read), guard));
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .merge(guarded)
        .fallback(|| async { problem(StatusCode::NOT_FOUND, "no such page on the admin listener") })
        .layer(axum::extract::DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(admin.clone(), same_site))
        .with_state(admin)
}

/// Refuses what a browser on a foreign page could send: another `Host` (DNS rebinding) or another `Origin`
/// (rulings 6).
async fn same_site(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    match admin.gate.load().same_site(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(denied) => refuse(denied),
    }
}

async fn guard(State((admin, scope)): State<(Arc<Admin>, Scope)>, request: Request, next: Next) -> Response {
    match admin.gate.load().allows(request.headers(), scope) {
        Ok(()) => next.run(request).await,
        Err(denied) => refuse(denied),
    }
}

fn refuse(denied: Denied) -> Response {
    let mut response = problem(denied.status(), denied.explain());
    if denied == Denied::NoToken {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// An error in one sentence, as JSON.
pub fn problem(status: StatusCode, error: &str) -> Response {
    let body = serde_json::json!({ "error": error }).to_string();
    (status, [(header::CONTENT_TYPE, "application/json")], body + "\n").into_response()
}

async fn readyz(State(admin): State<Arc<Admin>>) -> Response {
    let draining = admin.draining.load(Ordering::Acquire);
    let status = if draining { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let body = serde_json::json!({ "ready": !draining, "draining": draining }).to_string();
    (status, [(header::CONTENT_TYPE, "application/json")], body + "\n").into_response()
}

async fn metrics_text(State(admin): State<Arc<Admin>>) -> Response {
    for (name, origin) in &admin.engine.site().origins {
        admin.engine.metrics.origin_is(name, origin.is_up());
    }
    let text = admin.engine.metrics.render(&status::levels(&admin));
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], Body::from(text)).into_response()
}

async fn status_json(State(admin): State<Arc<Admin>>, _: HeaderMap) -> Response {
    let body = status::snapshot(&admin).to_string();
    ([(header::CONTENT_TYPE, "application/json")], body + "\n").into_response()
}
