//! Purge calls on the admin listener, as requests of a trace. Their callers have been let in, so that the context they send is
//! believed.

use super::Admin;
use crate::trace::{Parent, Step};
use axum::http::{HeaderMap, Method, StatusCode};

/// A call that has just come in.
pub(super) fn enter(admin: &Admin, headers: &HeaderMap) -> Step {
    let Some(tracer) = &admin.engine.tracer else { return Step::default() };
    tracer.enter(&Parent::take(&mut headers.clone(), true))
}

/// What it was answered.
pub(super) fn answered(step: &mut Step, method: &Method, what: &str, status: StatusCode) {
    let Some(span) = step.span() else { return };
    span.named_by_method(Some(method), what).number("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.failed(status.as_str());
    }
}
