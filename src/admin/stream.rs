//! `GET /status/stream`: a snapshot every second, as server-sent events. For few: a page for everybody who looks, not a
//! feed for machines, which `/metrics` is.

use super::{Admin, problem, status};
use crate::access::Scope;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_core::Stream;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{MissedTickBehavior, interval};

/// Streams at a time; more are answered 503.
pub const STREAMS: usize = 16;

/// Between two snapshots.
const PERIOD: Duration = Duration::from_secs(1);

/// Without an event for this long a comment is sent, so that nobody on the way takes the connection for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// A client that takes nothing for this long has gone, and its place is free.
const PATIENCE: Duration = Duration::from_secs(10);

/// Places for streams.
#[derive(Debug)]
pub struct Places(Arc<Semaphore>);

impl Default for Places {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(STREAMS)))
    }
}

pub async fn stream(State(admin): State<Arc<Admin>>, headers: HeaderMap) -> Response {
    if admin.draining.load(Ordering::Acquire) {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "not now: this process is about to end");
    }
    let Ok(place) = Arc::clone(&admin.streams.0).try_acquire_owned() else {
        return problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "as many streams as there may be are open; ask for /status",
        );
    };
    let (events, receiver) = mpsc::channel(1);
    tokio::spawn(tell(admin, headers, events, place));
    Sse::new(Events(receiver)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

/// Until the client goes, its token is taken away, or the process is about to end; that is told too.
async fn tell(
    admin: Arc<Admin>,
    headers: HeaderMap,
    events: mpsc::Sender<Event>,
    _place: OwnedSemaphorePermit,
) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = events.closed() => return,
        }
        if admin.gate.load().allows(&headers, Scope::Read).is_err() {
            return;
        }
        let last = admin.draining.load(Ordering::Acquire);
        let event = Event::default().event("status").data(status::snapshot(&admin).to_string());
        if events.send_timeout(event, PATIENCE).await.is_err() || last {
            return;
        }
    }
}

struct Events(mpsc::Receiver<Event>);

impl Stream for Events {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|event| event.map(Ok))
    }
}
