//! After a 101: bytes in both directions, until either side ends (RFC 9110 §7.8). Nothing is looked at.

use crate::body::OutBody;
use http::Response;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

/// Joins the client's side of an upgraded connection with the origin's, which the response carries. Does nothing
/// when either is missing: the client's connection then ends after the 101.
pub fn join(client: Option<OnUpgrade>, response: &mut Response<OutBody>) {
    let (Some(client), Some(origin)) = (client, response.extensions_mut().remove::<OnUpgrade>()) else {
        return;
    };
    tokio::spawn(async move {
        match tokio::try_join!(client, origin) {
            Ok((client, origin)) => {
                let (mut client, mut origin) = (TokioIo::new(client), TokioIo::new(origin));
                if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut origin).await {
                    tracing::debug!(%error, "tunnel ended");
                }
            }
            Err(error) => tracing::debug!(%error, "upgrade failed"),
        }
    });
}
