//! Why an exchange with an origin failed: who caused it, whether the origin said anything, and the words for it in
//! the log, the metric label and `Proxy-Status` (RFC 9209 §2.3). The response itself is made elsewhere.

use http::StatusCode;

/// What went wrong in a TLS handshake with a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsFault {
    /// Its certificate is not acceptable: unknown issuer, wrong name, expired.
    Certificate,
    /// The server refused us with an alert (a missing client certificate, for one).
    Alert,
    /// Anything else: not TLS at all, no common version, cut off in the middle.
    Protocol,
}

/// Why there is no (complete) answer. `Copy`, because every waiter of a coalesced fetch gets one; the text that
/// belongs to it has been logged where it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OriginError {
    /// Nobody listens there.
    ConnectRefused,
    /// No connection (name, TCP and TLS together) within `connect_timeout`.
    ConnectTimeout,
    /// No route, network down.
    Unreachable,
    /// The server's name has no address.
    DnsFailed,
    Tls(TlsFault),
    /// The request was sent, and no final response head came within `first_byte_timeout`.
    FirstByteTimeout,
    /// The server took no more of the request body for `first_byte_timeout`.
    WriteTimeout,
    /// No more of the response body for `between_bytes_timeout`.
    ReadTimeout,
    /// The connection ended before a whole response head.
    Reset,
    /// Something that is not an HTTP response, or whose framing can't be trusted (RFC 9112 §6.3).
    Protocol,
    /// More header lines or bytes than `response_headers`, `response_header_bytes`.
    HeadTooLarge,
    /// The body ended before its declared end (RFC 9112 §8).
    BodyTruncated,
    /// 101 to a request that asked for no upgrade.
    UpgradeFailed,
    /// Health checks say that every server is down.
    NoHealthyServer,
    /// Every server that is left has its breaker open.
    BreakerOpen,
    /// `max_connections` are busy and `queue.length` requests wait already.
    QueueFull,
    /// Waited `queue.wait` for one of `max_connections`.
    QueueTimeout,
    /// The client's body failed while it was sent on. Not the origin's fault.
    RequestBody,
    /// The request can't be expressed in the origin's protocol (a `Host` that is no authority, over HTTP/2).
    Request,
    /// This machine has no socket or port left. Not the origin's fault.
    LocalResources,
}

impl OriginError {
    /// The word in the access log and the metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConnectRefused => "connect_refused",
            Self::ConnectTimeout => "connect_timeout",
            Self::Unreachable => "unreachable",
            Self::DnsFailed => "dns_failed",
            Self::Tls(TlsFault::Certificate) => "tls_certificate",
            Self::Tls(TlsFault::Alert) => "tls_alert",
            Self::Tls(TlsFault::Protocol) => "tls_protocol",
            Self::FirstByteTimeout => "first_byte_timeout",
            Self::WriteTimeout => "write_timeout",
            Self::ReadTimeout => "read_timeout",
            Self::Reset => "reset",
            Self::Protocol => "protocol",
            Self::HeadTooLarge => "head_too_large",
            Self::BodyTruncated => "body_truncated",
            Self::UpgradeFailed => "upgrade_failed",
            Self::NoHealthyServer => "no_healthy_server",
            Self::BreakerOpen => "breaker_open",
            Self::QueueFull => "queue_full",
            Self::QueueTimeout => "queue_timeout",
            Self::RequestBody => "request_body",
            Self::Request => "request",
            Self::LocalResources => "local_resources",
        }
    }

    /// The `error` token of `Proxy-Status` (RFC 9209 §2.3).
    pub const fn proxy_status(self) -> &'static str {
        match self {
            Self::ConnectRefused => "connection_refused",
            Self::ConnectTimeout => "connection_timeout",
            Self::Unreachable => "destination_ip_unroutable",
            Self::DnsFailed => "dns_error",
            Self::Tls(TlsFault::Certificate) => "tls_certificate_error",
            Self::Tls(TlsFault::Alert) => "tls_alert_received",
            Self::Tls(TlsFault::Protocol) => "tls_protocol_error",
            Self::FirstByteTimeout => "http_response_timeout",
            Self::WriteTimeout => "connection_write_timeout",
            Self::ReadTimeout => "connection_read_timeout",
            Self::Reset => "connection_terminated",
            Self::Protocol => "http_protocol_error",
            Self::HeadTooLarge => "http_response_header_section_size",
            Self::BodyTruncated => "http_response_incomplete",
            Self::UpgradeFailed => "http_upgrade_failed",
            Self::NoHealthyServer | Self::BreakerOpen => "destination_unavailable",
            Self::QueueFull | Self::QueueTimeout | Self::LocalResources => "connection_limit_reached",
            Self::RequestBody => "http_request_error",
            Self::Request => "proxy_internal_error",
        }
    }

    /// The status a client gets when nothing else can be served (RFC 9209 §2.3 recommends it per token). 400 for a
    /// failed request body: only meant for a client that is still there to read it.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::ConnectTimeout | Self::FirstByteTimeout | Self::WriteTimeout | Self::ReadTimeout => {
                StatusCode::GATEWAY_TIMEOUT
            }
            Self::NoHealthyServer
            | Self::BreakerOpen
            | Self::QueueFull
            | Self::QueueTimeout
            | Self::LocalResources => StatusCode::SERVICE_UNAVAILABLE,
            Self::RequestBody => StatusCode::BAD_REQUEST,
            Self::Request => StatusCode::INTERNAL_SERVER_ERROR,
            Self::ConnectRefused
            | Self::Unreachable
            | Self::DnsFailed
            | Self::Tls(_)
            | Self::Reset
            | Self::Protocol
            | Self::HeadTooLarge
            | Self::BodyTruncated
            | Self::UpgradeFailed => StatusCode::BAD_GATEWAY,
        }
    }

    /// A server did something wrong, or nothing at all: counts against its breaker. What this process decided by
    /// itself (queue, breaker, health) and what the client did is not.
    pub const fn is_origin_fault(self) -> bool {
        !matches!(
            self,
            Self::NoHealthyServer
                | Self::BreakerOpen
                | Self::QueueFull
                | Self::QueueTimeout
                | Self::RequestBody
                | Self::Request
                | Self::LocalResources
        )
    }

    /// No answer could be had at all (RFC 9111 §4.2.4 "disconnected"), as opposed to a broken one or to a request
    /// that failed by itself.
    pub const fn disconnected(self) -> bool {
        !matches!(
            self,
            Self::Protocol
                | Self::HeadTooLarge
                | Self::BodyTruncated
                | Self::ReadTimeout
                | Self::UpgradeFailed
                | Self::RequestBody
                | Self::Request
        )
    }
}

impl std::fmt::Display for OriginError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for OriginError {}

/// Why an origin can't be built from its settings.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("an origin needs at least one server")]
    NoServers,
    #[error("{file}: {reason}")]
    File { file: String, reason: String },
    #[error("`{0}` is not a server name")]
    ServerName(String),
    #[error("this machine has no root certificates to check {0} with: name a file in `tls.ca`")]
    NoRoots(String),
    #[error("TLS: {0}")]
    Tls(String),
    #[error("`tls.cert` and `tls.key` belong together")]
    HalfClientCertificate,
    #[error("the health path `{0}` is not a path")]
    HealthPath(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_keeps_the_status_class_that_rfc_9209_recommends() {
        for (error, token, status) in [
            (OriginError::ConnectRefused, "connection_refused", 502),
            (OriginError::ConnectTimeout, "connection_timeout", 504),
            (OriginError::DnsFailed, "dns_error", 502),
            (OriginError::Tls(TlsFault::Certificate), "tls_certificate_error", 502),
            (OriginError::FirstByteTimeout, "http_response_timeout", 504),
            (OriginError::ReadTimeout, "connection_read_timeout", 504),
            (OriginError::WriteTimeout, "connection_write_timeout", 504),
            (OriginError::Reset, "connection_terminated", 502),
            (OriginError::BodyTruncated, "http_response_incomplete", 502),
            (OriginError::HeadTooLarge, "http_response_header_section_size", 502),
            (OriginError::QueueFull, "connection_limit_reached", 503),
            (OriginError::NoHealthyServer, "destination_unavailable", 503),
        ] {
            assert_eq!(error.proxy_status(), token);
            assert_eq!(error.status().as_u16(), status, "{error}");
        }
    }

    #[test]
    fn what_the_client_or_this_process_did_is_not_the_origins_fault() {
        for error in [OriginError::RequestBody, OriginError::QueueFull, OriginError::BreakerOpen] {
            assert!(!error.is_origin_fault(), "{error}");
        }
        assert!(!OriginError::RequestBody.disconnected());
        assert!(OriginError::BreakerOpen.disconnected());
        assert!(!OriginError::BodyTruncated.disconnected());
    }
}
