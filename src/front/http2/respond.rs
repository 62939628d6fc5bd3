//! A response on its way out: head, body under the client's flow control, trailers. Chunks go to `h2` as they
//! are, never copied, at most as much as the client has room for.

use super::stream::StreamEnd;
use crate::body::{BoxError, OutBody};
use crate::semantics::date;
use crate::time::Now;
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::Body;
use http_body_util::BodyExt;
use std::future::poll_fn;
use std::time::Duration;
use tokio::time::timeout;

/// What is asked of the flow control at once; more would hold the connection's window against other streams.
const PIECE: usize = 64 * 1024;

/// RFC 9113 §8.2.2: these end at the connection, in HTTP/2 they don't even exist.
const CONNECTION_SPECIFIC: [HeaderName; 6] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::TE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

pub fn strip_connection_specific(headers: &mut HeaderMap) {
    for name in CONNECTION_SPECIFIC {
        headers.remove(name);
    }
}

/// Sends a whole response. `to_head`: the request was HEAD. `stall`: how long the client may leave us without
/// any room to send.
pub async fn send(
    respond: &mut SendResponse<Bytes>,
    response: Response<OutBody>,
    to_head: bool,
    stall: Duration,
    now: Now,
) -> StreamEnd {
    let (mut parts, body) = response.into_parts();
    if parts.status.is_informational() {
        tracing::error!(status = %parts.status, "an interim response was given as the final one");
        respond.send_reset(Reason::INTERNAL_ERROR);
        return StreamEnd::Failed;
    }
    let bodiless = to_head || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let owed = prepare(&mut parts.headers, parts.status, &body, bodiless, now);
    let end = bodiless || (body.is_end_stream() && owed.unwrap_or(0) == 0);
    let stream = match respond.send_response(Response::from_parts(parts, ()), end) {
        Ok(stream) => stream,
        Err(error) => return lost(&error),
    };
    if end {
        return StreamEnd::Done;
    }
    let mut sending = Sending { stream, stall, owed };
    let sent = match body {
        OutBody::Empty => sending.finish(),
        OutBody::Chunks(mut chunks) => loop {
            let Some(chunk) = chunks.next() else { break sending.finish() };
            if let Err(end) = sending.data(chunk, chunks.is_empty()).await {
                break Err(end);
            }
            if chunks.is_empty() {
                break Ok(());
            }
        },
        OutBody::Stream(body) => sending.streamed(body).await,
    };
    sent.err().unwrap_or(StreamEnd::Done)
}

/// Completes the head; what the body must then add up to, if that is known.
fn prepare(
    headers: &mut HeaderMap,
    status: StatusCode,
    body: &OutBody,
    bodiless: bool,
    now: Now,
) -> Option<u64> {
    strip_connection_specific(headers);
    if !headers.contains_key(header::DATE)
        && let Ok(value) = HeaderValue::from_bytes(&date::format(now.wall))
    {
        headers.insert(header::DATE, value);
    }
    if status == StatusCode::NO_CONTENT {
        headers.remove(header::CONTENT_LENGTH); // RFC 9110 §8.6
    }
    if bodiless {
        // HEAD and 304 keep the length that GET and 200 would have; an empty body says nothing about it.
        return None;
    }
    let exact = body.size_hint().exact();
    let announced =
        headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    match (announced, exact, body) {
        // Sealed bytes are what they are.
        (_, Some(length), OutBody::Empty | OutBody::Chunks(_)) | (None, Some(length), _) => {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            Some(length)
        }
        (Some(length), ..) => Some(length),
        (None, None, _) => {
            headers.remove(header::CONTENT_LENGTH);
            None
        }
    }
}

/// A body on its way.
pub(super) struct Sending {
    pub stream: SendStream<Bytes>,
    /// See [`send`].
    pub stall: Duration,
    /// Of the announced length, what has not been sent.
    pub owed: Option<u64>,
}

impl Sending {
    async fn streamed<B>(&mut self, mut body: B) -> Result<(), StreamEnd>
    where
        B: Body<Data = Bytes, Error = BoxError> + Unpin,
    {
        loop {
            let frame = tokio::select! {
                biased;
                reset = poll_fn(|cx| self.stream.poll_reset(cx)) => {
                    return Err(reset.map_or_else(|e| lost(&e), |_| StreamEnd::Reset));
                }
                frame = body.frame() => frame,
            };
            match frame {
                None => return self.finish(),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        let last = body.is_end_stream();
                        self.data(data, last).await?;
                        if last {
                            return Ok(());
                        }
                    }
                    Err(frame) => {
                        if let Ok(trailers) = frame.into_trailers() {
                            return self.trailers(trailers);
                        }
                    }
                },
                Some(Err(error)) => {
                    tracing::debug!(%error, "response broke off");
                    return Err(self.fail());
                }
            }
        }
    }

    /// Sends one chunk in as many pieces as the client's window makes of it.
    pub async fn data(&mut self, mut chunk: Bytes, last: bool) -> Result<(), StreamEnd> {
        if let Some(owed) = &mut self.owed {
            // More, or in the end less, than announced: the client must not take it for the whole (§8.1.1).
            let Some(left) = owed.checked_sub(chunk.len() as u64).filter(|&left| !last || left == 0) else {
                return Err(self.fail());
            };
            *owed = left;
        }
        while !chunk.is_empty() {
            let room = self.room(chunk.len().min(PIECE)).await?;
            let piece = chunk.split_to(room.min(chunk.len()));
            let end = last && chunk.is_empty();
            self.stream.send_data(piece, end).map_err(|e| lost(&e))?;
            if end {
                return Ok(());
            }
        }
        if last { self.finish() } else { Ok(()) }
    }

    /// Waits until the client has room for at least one byte.
    async fn room(&mut self, wanted: usize) -> Result<usize, StreamEnd> {
        self.stream.reserve_capacity(wanted);
        let ready = self.stream.capacity();
        if ready > 0 {
            return Ok(ready);
        }
        let more = async {
            loop {
                match poll_fn(|cx| self.stream.poll_capacity(cx)).await {
                    Some(Ok(0)) => {}
                    Some(Ok(room)) => return Ok(room),
                    Some(Err(error)) => return Err(lost(&error)),
                    None => return Err(StreamEnd::Reset),
                }
            }
        };
        match timeout(self.stall, more).await {
            Ok(room) => room,
            Err(_) => {
                self.stream.send_reset(Reason::CANCEL);
                Err(StreamEnd::Stalled)
            }
        }
    }

    fn finish(&mut self) -> Result<(), StreamEnd> {
        if self.owed.is_some_and(|owed| owed > 0) {
            return Err(self.fail());
        }
        self.stream.send_data(Bytes::new(), true).map_err(|e| lost(&e))
    }

    fn trailers(&mut self, mut trailers: HeaderMap) -> Result<(), StreamEnd> {
        if self.owed.is_some_and(|owed| owed > 0) {
            return Err(self.fail());
        }
        strip_connection_specific(&mut trailers);
        self.stream.send_trailers(trailers).map_err(|e| lost(&e))
    }

    /// The client must not take what it has for the whole.
    fn fail(&mut self) -> StreamEnd {
        self.stream.send_reset(Reason::INTERNAL_ERROR);
        StreamEnd::Failed
    }
}

/// `h2` won't send any more on this stream.
fn lost(error: &h2::Error) -> StreamEnd {
    if error.is_reset() && error.is_remote() { StreamEnd::Reset } else { StreamEnd::Failed }
}
