//! The dashboard: static files, compiled in. They hold nothing that a stranger may not see; what they show they ask
//! for, with a token where one is needed. No file comes from anywhere else, and none is built: what stands in
//! `dashboard/` is what browsers get.

use super::{Admin, problem};
use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::sync::Arc;

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Name, media type, content.
const FILES: [(&str, &str, &str); 10] = [
    ("style.css", "text/css; charset=utf-8", include_str!("dashboard/style.css")),
    ("icon.svg", "image/svg+xml", include_str!("dashboard/icon.svg")),
    ("theme.js", SCRIPT, include_str!("dashboard/theme.js")),
    ("main.js", SCRIPT, include_str!("dashboard/main.js")),
    ("dom.js", SCRIPT, include_str!("dashboard/dom.js")),
    ("format.js", SCRIPT, include_str!("dashboard/format.js")),
    ("history.js", SCRIPT, include_str!("dashboard/history.js")),
    ("chart.js", SCRIPT, include_str!("dashboard/chart.js")),
    ("panels.js", SCRIPT, include_str!("dashboard/panels.js")),
    ("forms.js", SCRIPT, include_str!("dashboard/forms.js")),
];

/// Nothing but what this listener serves, and nobody may frame it: a page of another site must not make people press its
/// buttons.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
         base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    // After an upgrade the page and its scripts must be of one version.
    (header::CACHE_CONTROL, "no-cache"),
];

pub fn routes() -> Router<Arc<Admin>> {
    Router::new()
        .route("/", get(|| async { sent(HTML, include_str!("dashboard/index.html")) }))
        .route("/dashboard/{file}", get(file))
}

async fn file(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(known, ..)| *known == name) {
        Some((_, media_type, content)) => sent(media_type, content),
        None => problem(StatusCode::NOT_FOUND, "no such file of the dashboard"),
    }
}

fn sent(media_type: &'static str, content: &'static str) -> Response {
    ([(header::CONTENT_TYPE, media_type)], HEADERS, content).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_served_and_nothing_is_asked_of_anybody_else() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/admin/dashboard");
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            assert!(name == "index.html" || FILES.iter().any(|(known, ..)| *known == name), "{name}");
            let text = std::fs::read_to_string(&path).unwrap();
            // The namespace of SVG, an example, and what a script puts together or looks for.
            let own = ["www.w3.org/2000/svg", "shop.example.com", "${", "\")"];
            for (_, rest) in text.match_indices("://").map(|(at, found)| text.split_at(at + found.len())) {
                assert!(
                    own.iter().any(|own| rest.starts_with(own)),
                    "{name}: {}",
                    rest.lines().next().unwrap()
                );
            }
            for word in ["innerHTML", "eval(", " style=\"", "document.write"] {
                assert!(!text.contains(word), "{word} in {name}");
            }
        }
    }
}
