//! Connections with hyper's client on them: HTTP/2, and the one that an upgrade gets. And what all connections have.

use super::error::{OriginError, TlsFault};
use super::io::Place;
use super::server::Busy;
use super::tls::fault;
use super::upload::{Exchange, Phase, Upload};
use crate::time::Mono;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use std::error::Error;
use std::time::Duration;
use tokio::task::AbortHandle;

/// A connection to a *name* takes no new request when it is this old, so that a change in DNS is followed: each new
/// connection looks the name up, and `getaddrinfo` doesn't tell how long its answer holds.
const NAME_HOLDS: Duration = Duration::from_secs(30);

/// Why there was no head.
pub(super) struct Refused {
    pub error: OriginError,
    /// The request, if nothing of it has been written.
    pub unsent: Option<Request<Upload>>,
    /// Not a byte came back.
    pub silent: bool,
}

/// When a connection is too old to be used again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Age {
    pub made: Mono,
    pub by_name: bool,
}

impl Age {
    pub fn is_over(self, now: Mono) -> bool {
        self.by_name && now.since(self.made) >= NAME_HOLDS
    }
}

/// A connection for an upgrade, with hyper's client on it. Dropped, it is closed at once, whatever is under way on it.
pub(super) struct Tunnel {
    sender: http1::SendRequest<Upload>,
    place: Place,
    /// hyper's connection task.
    task: Option<AbortHandle>,
}

impl Tunnel {
    pub const fn new(sender: http1::SendRequest<Upload>, place: Place, task: AbortHandle) -> Self {
        Self { sender, place, task: Some(task) }
    }

    /// Sends the one request and waits for the head of the final response.
    pub async fn send(
        &mut self,
        request: Request<Upload>,
        exchange: &Exchange,
        limit: Duration,
    ) -> Result<Response<Incoming>, Refused> {
        head(self.sender.try_send_request(request), exchange, limit).await
    }

    /// The connection now belongs to whoever asked for the upgrade, and with it its place.
    pub fn give_away(mut self, busy: Busy) {
        self.place.hold(busy);
        self.task = None;
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

/// The HTTP/2 connection of a server: any number of requests at once.
pub(super) struct H2 {
    sender: http2::SendRequest<Upload>,
    age: Age,
}

impl H2 {
    pub const fn new(sender: http2::SendRequest<Upload>, age: Age) -> Self {
        Self { sender, age }
    }

    pub fn is_usable(&self, now: Mono) -> bool {
        !self.sender.is_closed() && !self.age.is_over(now)
    }

    pub fn sender(&self) -> http2::SendRequest<Upload> {
        self.sender.clone()
    }
}

/// Sends on an HTTP/2 connection.
pub(super) async fn send_h2(
    sender: &mut http2::SendRequest<Upload>,
    request: Request<Upload>,
    exchange: &Exchange,
    limit: Duration,
) -> Result<Response<Incoming>, Refused> {
    head(sender.try_send_request(request), exchange, limit).await
}

/// Waits for what hyper makes of a request. Whether a byte came is not known here, and taken for no.
async fn head<F>(sent: F, exchange: &Exchange, limit: Duration) -> Result<Response<Incoming>, Refused>
where
    F: Future<Output = Result<Response<Incoming>, TrySendError<Request<Upload>>>>,
{
    match exchange.head(sent, limit).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(failed)) => Err(refused(failed, exchange)),
        Err(error) => Err(Refused { error, unsent: None, silent: true }),
    }
}

fn refused(mut failed: TrySendError<Request<Upload>>, exchange: &Exchange) -> Refused {
    let unsent = failed.take_message();
    let error = classify(failed.error(), exchange);
    tracing::debug!(error = error.as_str(), detail = %chain(failed.error()), "no answer from the origin server");
    Refused { error, unsent, silent: true }
}

fn classify(error: &hyper::Error, exchange: &Exchange) -> OriginError {
    if exchange.phase() == Phase::Failed || error.is_user() || error.is_body_write_aborted() {
        return OriginError::RequestBody;
    }
    if error.is_parse_too_large() {
        return OriginError::HeadTooLarge;
    }
    if error.is_parse() {
        return OriginError::Protocol;
    }
    let mut source = error.source();
    while let Some(e) = source {
        // In TLS 1.3 a server refuses our certificate when our handshake is long over.
        if e.downcast_ref().map(fault) == Some(TlsFault::Alert) {
            return OriginError::Tls(TlsFault::Alert);
        }
        if let Some(h2) = e.downcast_ref::<h2::Error>() {
            // Found by our side: the server broke the rules. Everything else it did on purpose, or it went away.
            let ours = h2.is_library() && !h2.is_io() && h2.reason().is_some();
            return if ours { OriginError::Protocol } else { OriginError::Reset };
        }
        source = e.source();
    }
    OriginError::Reset
}

/// An error with all of its causes, for the log.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(e) = source {
        text.push_str(": ");
        text.push_str(&e.to_string());
        source = e.source();
    }
    text
}
