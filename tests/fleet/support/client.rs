//! A plain HTTP client that keeps its connections, and says how long everything took.

use super::{PATIENCE, now, origin};
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::{Client as Pooled, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use std::net::SocketAddr;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Client {
    pooled: Pooled<HttpConnector, Full<Bytes>>,
}

impl Default for Client {
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(PATIENCE));
        Self { pooled: Pooled::builder(TokioExecutor::new()).build(connector) }
    }
}

impl Client {
    /// # Errors
    /// No connection, a broken one, or no answer in [`PATIENCE`]: in words.
    pub async fn send(
        &self,
        to: SocketAddr,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer, String> {
        let mut request = Request::builder().method(method).uri(format!("http://{to}{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        let began = now();
        let exchange = async {
            let response = self.pooled.request(request).await.map_err(|e| in_words(&e))?;
            let (head, body) = response.into_parts();
            let body = body.collect().await.map_err(|e| in_words(&e))?.to_bytes();
            Ok(Answer {
                status: head.status.as_u16(),
                headers: head.headers,
                body,
                path: path.to_owned(),
                began,
                took: now() - began,
            })
        };
        let answer = tokio::time::timeout(PATIENCE, exchange).await;
        answer.unwrap_or_else(|_| Err(format!("no answer to {method} {path} in {PATIENCE:?}")))
    }
}

/// An error and all its causes.
fn in_words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words += &format!(": {cause}");
        source = cause.source();
    }
    words
}

/// A response, whole.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub path: String,
    /// On the clock of [`now`].
    pub began: Duration,
    pub took: Duration,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("")
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("no JSON ({e}): {}", self.text()))
    }

    /// The version that the origin gave this content, after comparing every byte with what the origin sends for it. `None` for
    /// anything else.
    pub fn try_version(&self) -> Option<u64> {
        let version = origin::version_in(&self.body).filter(|_| self.status == 200)?;
        (self.body == origin::content(&self.path, version, self.body.len())).then_some(version)
    }

    #[track_caller]
    pub fn version(&self) -> u64 {
        let version = self.try_version();
        version.unwrap_or_else(|| {
            panic!("not the origin's content: {} {} {:?}", self.path, self.status, self.text())
        })
    }

    /// Answered from a store, this node's or the fleet's, without asking the origin.
    pub fn is_hit(&self) -> bool {
        self.header("cache-status").contains("; hit")
    }

    #[track_caller]
    pub fn assert_hit(&self) {
        assert!(self.is_hit(), "not a hit: {} {:?}", self.path, self.headers);
    }
}
