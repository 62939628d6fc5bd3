//! PLACEHOLDER (not committed): hyper as it is.
use super::handler::{Conn, Handler, Limits};
use super::prefixed::Prefixed;
use crate::interim::InterimSender;
use bytes::Bytes;
use http_body_util::BodyExt;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

pub async fn serve<IO, H>(
    io: IO,
    already_read: Bytes,
    conn: Arc<Conn>,
    handler: Arc<H>,
    _limits: Arc<Limits>,
    mut drain: watch::Receiver<bool>,
) where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    H: Handler,
{
    let io = hyper_util::rt::TokioIo::new(Prefixed::new(already_read, io));
    let service = hyper::service::service_fn(move |r: http::Request<hyper::body::Incoming>| {
        let (handler, conn) = (handler.clone(), conn.clone());
        async move {
            let request = r.map(|b| b.map_err(Into::into).boxed_unsync());
            Ok::<_, std::convert::Infallible>(handler.handle(request, conn, InterimSender::none()).await)
        }
    });
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(io, service);
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => {}
        () = super::listener::told_to_drain(&mut drain) => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}
