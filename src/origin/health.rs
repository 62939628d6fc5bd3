//! Active health checks. Each server has a task of its own that asks `path` at its interval, on a connection of its own:
//! it must not be hindered by full pools, and it is the making of connections that is to be checked as well.

use super::client::Origin;
use super::connect::{Link, Wanted};
use super::error::OriginError;
use super::message::{self, Outgoing};
use super::server::Server;
use super::settings::{Health, HostHeader};
use super::upload::{Exchange, Upload};
use crate::interim::InterimSender;
use http::header::{CONNECTION, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderValue, Request};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Counts results in a row. Pure.
#[derive(Debug, Default)]
struct Streak {
    passed: u32,
    failed: u32,
}

impl Streak {
    /// The new verdict, if this result changes it.
    fn note(&mut self, ok: bool, healthy: bool, rule: &Health) -> Option<bool> {
        if ok {
            self.failed = 0;
            self.passed = self.passed.saturating_add(1);
            (!healthy && self.passed >= rule.healthy_after.max(1)).then_some(true)
        } else {
            self.passed = 0;
            self.failed = self.failed.saturating_add(1);
            (healthy && self.failed >= rule.unhealthy_after.max(1)).then_some(false)
        }
    }
}

/// Runs until the origin is gone. The first check comes after a random part of the interval, so that a fleet that was
/// started at once doesn't check at once.
pub(super) async fn watch(origin: Weak<Origin>, index: usize, rule: Health, path: PathAndQuery) {
    tokio::time::sleep(rule.interval.mul_f64(fastrand::f64())).await;
    let mut streak = Streak::default();
    loop {
        let Some(origin) = origin.upgrade() else { return };
        let Some(server) = origin.server(index).map(Arc::clone) else { return };
        let result = check(&origin, &server, &path, rule.timeout).await;
        drop(origin);
        let healthy = server.is_healthy();
        if let Some(verdict) = streak.note(result.is_ok(), healthy, &rule) {
            server.healthy.store(verdict, Ordering::Release);
            match result {
                Ok(()) => tracing::info!(server = %server.name, "origin server is healthy again"),
                Err(reason) => {
                    tracing::warn!(server = %server.name, reason = %reason, "origin server is unhealthy")
                }
            }
        }
        tokio::time::sleep(rule.interval).await;
    }
}

/// Why a check failed.
enum Failed {
    Status(u16),
    Timeout,
    Error(OriginError),
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status {status}"),
            Self::Timeout => f.write_str("timeout"),
            Self::Error(error) => f.write_str(error.as_str()),
        }
    }
}

async fn check(
    origin: &Origin,
    server: &Server,
    path: &PathAndQuery,
    timeout: Duration,
) -> Result<(), Failed> {
    let asked = tokio::time::timeout(timeout, ask(origin, server, path, timeout)).await;
    match asked.unwrap_or(Err(Failed::Timeout))? {
        200..=399 => Ok(()),
        status => Err(Failed::Status(status)),
    }
}

async fn ask(origin: &Origin, server: &Server, path: &PathAndQuery, limit: Duration) -> Result<u16, Failed> {
    let exchange = Exchange::new(true);
    let mut request = Request::new(Upload::none(Arc::clone(&exchange)));
    request.headers_mut().insert(USER_AGENT, HeaderValue::from_static("larder-health"));
    let outgoing = Outgoing { host: None, path: path.clone(), upgrade: false };
    // Without a client there is no `Host` to preserve: a literal one, or the server's.
    let policy = origin.host_policy();
    let policy = if matches!(policy, HostHeader::Preserve) { &HostHeader::Server } else { policy };
    let status = match origin.new_connection(server, Wanted::Answers).await.map_err(Failed::Error)? {
        Link::Http1(mut conn) => {
            message::address(&mut request, &outgoing, server, policy, false).map_err(Failed::Error)?;
            request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            conn.send(request, &exchange, &InterimSender::none(), limit).await.map(|r| r.status())
        }
        Link::Http2(conn) => {
            message::address(&mut request, &outgoing, server, policy, true).map_err(Failed::Error)?;
            let sent = super::link::send_h2(&mut conn.sender(), request, &exchange, limit).await;
            sent.map(|r| r.status())
        }
        Link::Tunnel(_) => return Err(Failed::Error(OriginError::Request)),
    };
    status.map(|status| status.as_u16()).map_err(|refused| Failed::Error(refused.error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_changes_state_only_after_so_many_results_in_a_row() {
        let rule = Health {
            path: "/".into(),
            interval: Duration::ZERO,
            timeout: Duration::ZERO,
            unhealthy_after: 3,
            healthy_after: 2,
        };
        let mut streak = Streak::default();
        let mut healthy = true;
        let mut seen = Vec::new();
        for ok in [false, false, true, false, false, false, false, true, false, true, true, true] {
            let verdict = streak.note(ok, healthy, &rule);
            healthy = verdict.unwrap_or(healthy);
            seen.push(verdict);
        }
        let none = None;
        assert_eq!(
            seen,
            [none, none, none, none, none, Some(false), none, none, none, none, Some(true), none]
        );
    }
}
