//! `POST /reload` and `GET /config`. The configuration is read by whoever started the process, who alone knows from
//! where; the admin listener only asks for it and passes on what came of it.

use super::{Admin, json_response, problem};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Reads a file, compiles rules, builds origins: well below a second.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reloads asked for and not begun.
pub const QUEUE: usize = 4;

/// What is wrong with a configuration: without the line it stands in, which may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub severity: &'static str,
    pub class: &'static str,
    pub message: String,
    /// From 1; 0 = the file as a whole.
    pub line: usize,
    pub column: usize,
    pub help: Option<String>,
}

/// What came of a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// In force.
    Done {
        /// What is different from the configuration before, each as the answer has it.
        changes: Vec<Value>,
        /// What changes only at the next start.
        kept: Vec<&'static str>,
    },
    /// The configuration is wrong; the old one stays.
    Refused(Vec<Finding>),
    /// It could not be put in force (an origin that can't be built, say); the old one stays.
    Failed(String),
}

/// A reload that was asked for. Dropped unanswered, it says so to the caller.
#[derive(Debug)]
pub struct Asked(oneshot::Sender<Reloaded>);

impl Asked {
    pub fn answer(self, reloaded: Reloaded) {
        let _ = self.0.send(reloaded); // who asked may have gone
    }
}

/// The admin listener's end.
pub type Ask = mpsc::Sender<Asked>;

pub async fn reload(State(admin): State<Arc<Admin>>) -> Response {
    let (answer, answered) = oneshot::channel();
    if admin.reload.try_send(Asked(answer)).is_err() {
        return problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "not now: reloads are under way, or it is shutting down",
        );
    }
    match tokio::time::timeout(PATIENCE, answered).await {
        Ok(Ok(Reloaded::Done { changes, kept })) => {
            let body = json!({
                "reloaded": true,
                "generation": admin.engine.site().generation,
                "changes": changes,
                "changes_at_next_start": kept,
            });
            json_response(StatusCode::OK, &body)
        }
        Ok(Ok(Reloaded::Refused(findings))) => {
            let findings: Vec<Value> = findings.iter().map(finding).collect();
            let error = "the configuration is wrong; the old one stays in force";
            json_response(StatusCode::UNPROCESSABLE_ENTITY, &json!({ "error": error, "findings": findings }))
        }
        Ok(Ok(Reloaded::Failed(error))) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error),
        Ok(Err(_)) | Err(_) => {
            problem(StatusCode::SERVICE_UNAVAILABLE, "nobody answered; the old one may stay in force")
        }
    }
}

fn finding(finding: &Finding) -> Value {
    json!({
        "severity": finding.severity,
        "class": finding.class,
        "message": finding.message,
        "line": finding.line,
        "column": finding.column,
        "help": finding.help,
    })
}

/// The configuration in force, with all defaults, as YAML; secrets are blanked.
pub async fn config(State(admin): State<Arc<Admin>>) -> Response {
    let text = String::clone(&admin.config.load());
    ([(header::CONTENT_TYPE, "application/yaml")], text).into_response()
}
