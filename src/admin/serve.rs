//! The admin listener's connections: few, and none for ever. A client that is slow to say what it wants must not
//! keep others, a liveness probe least of all, from being heard.

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower_service::Service as _;

/// For a request's head, from the end of the answer before it: so also how long a connection may idle.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);
/// Open connections; more are closed at once.
const CONNECTIONS: usize = 256;
/// After a failed `accept`.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` becomes true, then lets requests that are under way finish.
pub async fn run(socket: TcpListener, router: Router, mut stop: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    let told = stop.clone();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.wait_for(|on| *on) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
                let (router, told) = (router.clone(), told.clone());
                connections.spawn(async move {
                    connection(stream, peer, router, told).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "the admin listener cannot accept, trying again");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(socket);
    while connections.join_next().await.is_some() {}
}

async fn connection(stream: TcpStream, peer: SocketAddr, router: Router, mut told: watch::Receiver<bool>) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().call(request)
    });
    let serving = Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .serve_connection(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    let told = async move { drop(told.wait_for(|on| *on).await) };
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = told => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "an admin connection broke off");
    }
}
