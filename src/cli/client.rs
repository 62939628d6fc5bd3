//! Calls to the admin listener of a running Larder: where it is, what opens it, one answer in JSON, or a stream.

use super::{fail, say};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::TcpStream;

/// Longer than the longest wait of any call (`wait: fleet`, 5 s).
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes of an answer.
const LONGEST_ANSWER: usize = 16 * 1024 * 1024;

/// Where the admin listener is, and what opens it.
#[derive(Clone, Debug, clap::Args)]
pub struct AdminArgs {
    /// The admin listener of the running instance
    #[arg(long, value_name = "URL", env = "LARDER_ADMIN", default_value = "http://127.0.0.1:9080")]
    admin: String,
    /// Bearer token; better given in the environment, where other users of the machine can't see it
    #[arg(long, value_name = "TOKEN", env = "LARDER_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("--admin {0}: expected http://HOST:PORT")]
    Address(String),
    #[error("the token holds characters that a header field can't have")]
    Token,
    #[error("no connection to {0}: {1}")]
    Connect(String, std::io::Error),
    #[error("{0} did not answer within {PATIENCE:?}")]
    Timeout(String),
    #[error("{0} sent no proper answer: {1}")]
    Answer(String, Box<dyn std::error::Error + Send + Sync>),
    #[error("the answer ({0}) is no JSON: is that the admin listener?")]
    NotJson(StatusCode),
}

/// An answer in JSON.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub json: Value,
}

impl Answer {
    /// Prints it, as JSON or as `text` tells it to people, and gives the exit status. What was no success says why itself;
    /// `otherwise` is for one that does not.
    pub fn tell(&self, as_json: bool, text: impl FnOnce(&Value) -> String, otherwise: &str) -> ExitCode {
        let success = self.status.is_success();
        if as_json {
            say(&self.json);
        } else if success {
            say(text(&self.json).trim_end());
        }
        if success { ExitCode::SUCCESS } else { fail(1, self.complaint().unwrap_or(otherwise)) }
    }

    /// What an answer that is no success says of itself.
    pub fn complaint(&self) -> Option<&str> {
        self.json.get("error").and_then(Value::as_str)
    }
}

impl AdminArgs {
    /// Posts a question.
    ///
    /// # Errors
    /// Wrong arguments, no connection, no answer in time, an answer that breaks off or is no JSON.
    pub async fn post(&self, path: &str, question: &Value) -> Result<Answer, CallError> {
        let mut request = self.request(path, "application/json")?;
        *request.method_mut() = Method::POST;
        *request.body_mut() = Full::new(Bytes::from(question.to_string()));
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.answer(request).await
    }

    /// # Errors
    /// As of [`Self::post`].
    pub async fn get(&self, path: &str) -> Result<Answer, CallError> {
        self.answer(self.request(path, "application/json")?).await
    }

    /// The head of an answer that goes on for as long as it is read.
    ///
    /// # Errors
    /// As of [`Self::post`], up to the head.
    pub async fn open(&self, path: &str, accept: &'static str) -> Result<Response<Incoming>, CallError> {
        let request = self.request(path, accept)?;
        self.in_time(self.send(request)).await
    }

    async fn answer(&self, request: Request<Full<Bytes>>) -> Result<Answer, CallError> {
        let (status, body) = self
            .in_time(async {
                let (head, body) = self.send(request).await?.into_parts();
                let body = Limited::new(body, LONGEST_ANSWER).collect().await;
                let body = body.map_err(|error| CallError::Answer(self.admin.clone(), error))?;
                Ok((head.status, body.to_bytes()))
            })
            .await?;
        match serde_json::from_slice(&body) {
            Ok(json) => Ok(Answer { status, json }),
            Err(_) => Err(CallError::NotJson(status)),
        }
    }

    async fn in_time<T>(&self, call: impl Future<Output = Result<T, CallError>>) -> Result<T, CallError> {
        match tokio::time::timeout(PATIENCE, call).await {
            Ok(answer) => answer,
            Err(_) => Err(CallError::Timeout(self.admin.clone())),
        }
    }

    /// `host:port` of the URL. The scheme may be left out; TLS is what a proxy in front of the listener would speak.
    ///
    /// # Errors
    /// Something else than that.
    pub fn authority(&self) -> Result<String, CallError> {
        let wrong = || CallError::Address(self.admin.clone());
        let rest = self.admin.strip_prefix("http://").unwrap_or(&self.admin).trim_end_matches('/');
        let uri: Uri = format!("http://{rest}/").parse().map_err(|_| wrong())?;
        let authority = uri
            .authority()
            .filter(|a| uri.path() == "/" && !a.host().is_empty() && !a.as_str().contains('@'));
        let authority = authority.ok_or_else(wrong)?;
        match authority.port_u16() {
            Some(_) => Ok(authority.to_string()),
            None if authority.as_str() == authority.host() => Ok(format!("{authority}:80")),
            None => Err(wrong()), // a port that is no number
        }
    }

    /// On a connection of its own, which lives for as long as its answer is read.
    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, CallError> {
        let authority = self.authority()?;
        let stream = TcpStream::connect(&authority).await;
        let stream = stream.map_err(|error| CallError::Connect(authority.clone(), error))?;
        let broken = |error: hyper::Error| CallError::Answer(authority.clone(), error.into());
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(broken)?;
        tokio::spawn(connection);
        sender.send_request(request).await.map_err(broken)
    }

    fn request(&self, path: &str, accept: &'static str) -> Result<Request<Full<Bytes>>, CallError> {
        let wrong = || CallError::Address(self.admin.clone());
        let mut request = Request::new(Full::default());
        *request.uri_mut() = path.parse().map_err(|_| wrong())?;
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::try_from(self.authority()?).map_err(|_| wrong())?);
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        if let Some(token) = &self.token {
            let value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| CallError::Token)?;
            headers.insert(AUTHORIZATION, value);
        }
        Ok(request)
    }

    /// For tests of what calls.
    #[cfg(test)]
    pub fn of(address: std::net::SocketAddr) -> Self {
        Self { admin: address.to_string(), token: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_admin_address_may_leave_out_what_is_clear() {
        let authority = |admin: &str| AdminArgs { admin: admin.into(), token: None }.authority().ok();
        for same in ["http://127.0.0.1:9080", "http://127.0.0.1:9080/", "127.0.0.1:9080"] {
            assert_eq!(authority(same).as_deref(), Some("127.0.0.1:9080"), "{same}");
        }
        assert_eq!(authority("http://cache.internal").as_deref(), Some("cache.internal:80"));
        assert_eq!(authority("[::1]:9080").as_deref(), Some("[::1]:9080"));
        for wrong in ["https://h:1", "http://", "", "http://h:1/x", "http://u@h:1", "h:port", "h 1"] {
            assert_eq!(authority(wrong), None, "{wrong}");
        }
    }
}
