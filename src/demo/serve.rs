//! The sockets of the sample origin: HTTP/1.1 by hyper, one task per connection, and upgrades.

use super::site::{Dropped, Site};
use crate::clock::Clock;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// More than this many connections wait in the kernel's backlog.
const MAX_CONNECTIONS: usize = 4096;
/// From the end of one request to the whole head of the next. Longer than pools usually keep a connection, so that
/// it is they who close.
const IDLE: Duration = Duration::from_secs(120);
/// How long an upgraded connection may live.
const UPGRADED: Duration = Duration::from_secs(3600);
/// After `shutdown`: how long requests may still take.
const GRACE: Duration = Duration::from_secs(2);
/// Pause after a failed `accept` (out of file descriptors, mostly), which would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves a fresh [`Site`] on `listener` until `shutdown` resolves; then stops accepting, gives open requests two
/// seconds, and returns with no task left behind. Fails only if the listener has no address (it is no socket any more).
pub async fn serve(
    listener: TcpListener,
    clock: Clock,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    tracing::debug!(address = %listener.local_addr()?, "sample origin accepts connections");
    let site = Site::new(clock);
    let (close, closing) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, site.clone(), closing.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "sample origin can't accept");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let _ = close.send(true);
    let drained = timeout(GRACE, async { while connections.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        connections.shutdown().await;
    }
    Ok(())
}

async fn connection(stream: TcpStream, site: Site, mut closing: watch::Receiver<bool>) {
    // Chunks of slow bodies must leave at once; without it they'd wait for acknowledgements. No harm if refused.
    let _ = stream.set_nodelay(true);
    let upgrade: Arc<Mutex<Option<OnUpgrade>>> = Arc::default();
    let slot = Arc::clone(&upgrade);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let on_upgrade = hyper::upgrade::on(&mut request);
        let (site, slot) = (site.clone(), Arc::clone(&slot));
        async move {
            let response = site.respond(request).await?;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(on_upgrade);
            }
            Ok::<_, Dropped>(response)
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(IDLE);
    let mut served = pin!(http.serve_connection(TokioIo::new(stream), service).with_upgrades());
    let result = tokio::select! {
        result = served.as_mut() => result,
        () = told_to_close(&mut closing) => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = result {
        // Clients that went away, and connections dropped on purpose.
        tracing::debug!(%error, "sample origin lost a connection");
    }
    let upgrade = upgrade.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(upgrade) = upgrade {
        tokio::select! {
            _ = timeout(UPGRADED, echo(upgrade)) => {}
            () = told_to_close(&mut closing) => {}
        }
    }
}

async fn told_to_close(closing: &mut watch::Receiver<bool>) {
    // An error means that `serve` itself was dropped: the same thing.
    let _ = closing.wait_for(|closing| *closing).await;
}

/// The protocol `echo`: every byte comes back, until the client has no more to send.
async fn echo(upgrade: OnUpgrade) {
    let Ok(upgraded) = upgrade.await else { return };
    let (mut read, mut write) = tokio::io::split(TokioIo::new(upgraded));
    if tokio::io::copy(&mut read, &mut write).await.is_ok() {
        let _ = write.shutdown().await;
    }
}
