//! Plain hits over HTTP/2: what the fast lane of HTTP/1 answers ([`Handler::fast_response`]) is answered here where the stream is
//! accepted, without a task of its own. A body that the client has no room for yet gets one.
//!
//! Whatever is not plain, or not a hit, goes to [`stream::answer`](super::stream::answer) as it came. As over HTTP/1 it must not
//! matter to a client which of the two answers.

use super::head;
use super::respond::Sending;
use super::stream::{Context, StreamEnd};
use crate::body::Chunks;
use crate::front::handler::{FastRequest, Handler, Lines};
use crate::front::http1::{Hint, hint};
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::header::{HeaderName, TE};
use http::{Method, Request, Response, request};
use std::sync::Arc;

/// What came of a stream that was accepted.
pub enum Taken<H: Handler> {
    /// All of its answer has been handed to `h2`.
    Answered,
    /// To be finished.
    Rest(Rest<H>),
    /// For a task.
    Left(Request<RecvStream>, SendResponse<Bytes>),
}

/// Answers a request if it is for the fast lane.
pub fn answer<H: Handler>(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    context: &Arc<Context<H>>,
) -> Taken<H> {
    let (mut parts, body) = request.into_parts();
    let found = if body.is_end_stream() { found(&mut parts, context) } else { None };
    let Some((record, response)) = found else {
        return Taken::Left(Request::from_parts(parts, body), respond);
    };
    let (parts, mut chunks) = response.into_parts();
    let mut receipt = Receipt { context: context.clone(), record: Some(record), bytes: 0, waited: false };
    let end = chunks.is_empty();
    let Ok(mut stream) = respond.send_response(Response::from_parts(parts, ()), end) else {
        return Taken::Answered; // the client has left
    };
    if end {
        return Taken::Answered;
    }
    let length = usize::try_from(chunks.len()).unwrap_or(usize::MAX);
    stream.reserve_capacity(length.min(super::SEND_BUFFER));
    if stream.capacity() < length {
        receipt.waited = true;
        return Taken::Rest(Rest { stream, chunks, receipt });
    }
    while let Some(chunk) = chunks.next() {
        let handed = chunk.len() as u64;
        if stream.send_data(chunk, chunks.is_empty()).is_err() {
            break;
        }
        receipt.bytes += handed;
    }
    Taken::Answered
}

fn found<H: Handler>(
    parts: &mut request::Parts,
    context: &Context<H>,
) -> Option<(H::Record, Response<Chunks>)> {
    let Context { conn, handler, limits } = context;
    let head = parts.method == Method::HEAD;
    if !head && parts.method != Method::GET {
        return None;
    }
    let (mut conditional, mut settled) = (false, false);
    for name in parts.headers.keys() {
        match hint(name.as_str()) {
            Hint::Nothing => {}
            Hint::Condition => conditional = true,
            Hint::Settled => settled = true,
            Hint::Leave if *name == TE && says_trailers(parts, name) => {} // Firefox says so in every request
            Hint::Leave => return None,
        }
    }
    head::check(parts, limits).ok()?;
    if parts.uri.scheme_str() != Some(if conn.tls { "https" } else { "http" }) {
        return None;
    }
    let fast = FastRequest {
        head,
        target: parts.uri.path_and_query()?.as_str().as_bytes(),
        host: parts.uri.authority()?.as_str().as_bytes(),
        lines: Lines::Map(&parts.headers),
        conditional,
        settled,
    };
    handler.fast_response(&fast, conn)
}

fn says_trailers(parts: &request::Parts, name: &HeaderName) -> bool {
    parts.headers.get_all(name).iter().all(|value| value.as_bytes() == b"trailers")
}

/// A body that waits for its client.
pub struct Rest<H: Handler> {
    stream: SendStream<Bytes>,
    chunks: Chunks,
    receipt: Receipt<H>,
}

impl<H: Handler> Rest<H> {
    pub async fn send(self) -> StreamEnd {
        let Self { stream, mut chunks, mut receipt } = self;
        let stall = receipt.context.limits.write_stall_timeout;
        let mut sending = Sending { stream, stall, owed: Some(chunks.len()) };
        while let Some(chunk) = chunks.next() {
            let handed = chunk.len() as u64;
            if let Err(end) = sending.data(chunk, chunks.is_empty()).await {
                return end;
            }
            receipt.bytes += handed;
        }
        StreamEnd::Done
    }
}

/// Tells the handler what has been handed to `h2`, also when the connection ends in between.
struct Receipt<H: Handler> {
    context: Arc<Context<H>>,
    record: Option<H::Record>,
    bytes: u64,
    waited: bool,
}

impl<H: Handler> Drop for Receipt<H> {
    fn drop(&mut self) {
        if let Some(record) = self.record.take() {
            let Context { conn, handler, .. } = &*self.context;
            handler.fast_sent(record, conn, self.bytes, self.waited);
        }
    }
}
