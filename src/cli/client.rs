//! One call to the admin listener of a running Larder.

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
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
}

impl AdminArgs {
    /// Posts JSON; the status and the body of the answer.
    ///
    /// # Errors
    /// Wrong arguments, no connection, no answer in time, an answer that breaks off.
    pub async fn post(&self, path: &str, json: String) -> Result<(StatusCode, Bytes), CallError> {
        let authority = self.authority()?;
        match tokio::time::timeout(PATIENCE, self.call(&authority, path, json)).await {
            Ok(answer) => answer,
            Err(_) => Err(CallError::Timeout(authority)),
        }
    }

    /// `host:port` of the URL. The scheme may be left out; TLS is what a proxy in front of the listener would speak.
    fn authority(&self) -> Result<String, CallError> {
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

    async fn call(
        &self,
        authority: &str,
        path: &str,
        json: String,
    ) -> Result<(StatusCode, Bytes), CallError> {
        let stream = TcpStream::connect(authority).await;
        let stream = stream.map_err(|error| CallError::Connect(authority.to_owned(), error))?;
        let broken =
            |error: Box<dyn std::error::Error + Send + Sync>| CallError::Answer(authority.to_owned(), error);
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| broken(error.into()))?;
        let connection = tokio::spawn(connection);
        let answer = sender.send_request(self.request(authority, path, json)?).await;
        let (head, body) = answer.map_err(|error| broken(error.into()))?.into_parts();
        let body = Limited::new(body, LONGEST_ANSWER).collect().await.map_err(broken)?;
        connection.abort();
        Ok((head.status, body.to_bytes()))
    }

    fn request(&self, authority: &str, path: &str, json: String) -> Result<Request<Full<Bytes>>, CallError> {
        let mut request = Request::new(Full::new(Bytes::from(json)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = path.parse().map_err(|_| CallError::Address(self.admin.clone()))?;
        let headers = request.headers_mut();
        let host = HeaderValue::try_from(authority).map_err(|_| CallError::Address(self.admin.clone()))?;
        headers.insert(HOST, host);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(token) = &self.token {
            let value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| CallError::Token)?;
            headers.insert(AUTHORIZATION, value);
        }
        Ok(request)
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
