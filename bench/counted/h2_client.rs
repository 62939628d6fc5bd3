//! The client's end of an HTTP/2 connection: some requests at a time, the next when all of them have their answers.

use crate::{Case, Done};
use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderName, HeaderValue, Request};
use tokio::io::DuplexStream;

/// Streams at a time, as `h2load -m8`.
const STREAMS: u64 = 8;

/// Asks `count` times; returns the status of the last answer.
pub async fn ask(io: DuplexStream, case: Case, count: u64) -> Done<Vec<u8>> {
    let (mut sender, connection) = h2::client::Builder::new()
        .initial_window_size(1 << 20)
        .initial_connection_window_size(1 << 24)
        .handshake::<_, Bytes>(io)
        .await?;
    tokio::spawn(crate::Uncounted(Box::pin(connection)));
    let mut last = Vec::new();
    let mut left = count;
    while left > 0 {
        let now = left.min(STREAMS);
        let mut answers = Vec::new();
        for _ in 0..now {
            answers.push(send(&mut sender, &case).await?);
        }
        for answer in answers {
            let (head, mut body) = answer.await?.into_parts();
            while let Some(piece) = body.data().await {
                body.flow_control().release_capacity(piece?.len())?;
            }
            last = head.status.as_str().as_bytes().to_vec();
        }
        left -= now;
    }
    Ok(last)
}

async fn send(sender: &mut SendRequest<Bytes>, case: &Case) -> Done<ResponseFuture> {
    let mut request = Request::get(format!("http://shop.example.com{}", case.path)).body(())?;
    for line in case.lines.iter().flat_map(|part| part.lines()) {
        let (name, value) = line.split_once(": ").ok_or("no header line")?;
        let name = HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes())?;
        request.headers_mut().append(name, HeaderValue::from_static(value));
    }
    std::future::poll_fn(|cx| sender.poll_ready(cx)).await?;
    Ok(sender.send_request(request, true)?.0)
}
