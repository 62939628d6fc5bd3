//! `/openapi.json`: the admin API described for machines. A document kept by hand (docs/decisions/0006), and tests that hold it
//! to what the router answers and to what the calls take.

use axum::http::header;
use axum::response::{IntoResponse, Response};

const DOCUMENT: &str = include_str!("openapi.json");

pub async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}
