//! One stream from request to the last byte of the response.

use super::request_body::RequestBody;
use super::{head, respond};
use crate::body::{InBody, OutBody, empty_in};
use crate::front::handler::{Conn, Handler, Limits, Verdict};
use crate::front::known::Known;
use crate::interim::{Interim, InterimSender};
use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{Method, Request, Response, StatusCode, header, request};
use http_body_util::BodyExt;
use std::future::poll_fn;
use std::sync::Arc;
use tokio::sync::mpsc;

/// What all streams of a connection share.
pub struct Context<H> {
    pub conn: Arc<Conn>,
    pub handler: Arc<H>,
    pub limits: Arc<Limits>,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEnd {
    /// The whole response has been handed over.
    Done,
    /// The client reset it, or made `h2` reset it.
    Reset,
    /// The client left no room to send for too long.
    Stalled,
    /// The response broke off, or the connection did.
    Failed,
}

/// Answers one request.
pub async fn answer<H: Handler>(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    context: Arc<Context<H>>,
) -> StreamEnd {
    let Context { conn, handler, limits } = &*context;
    let (mut parts, recv) = request.into_parts();
    let to_head = parts.method == Method::HEAD;
    let response = match head::check(&mut parts, limits) {
        Err(refusal) => handler.refused_response(refusal, conn, &Known::of(&parts)),
        Ok(()) => {
            let bodiless = recv.is_end_stream();
            let known = if bodiless { Known::default() } else { Known::of(&parts) };
            let (interim, queue) = InterimSender::channel();
            let (request, verdict) = with_body(parts, recv, limits, &interim);
            let handling = handler.handle(request, Arc::clone(conn), interim);
            let response = match handle(handling, queue, &mut respond).await {
                Ok(response) => response,
                Err(end) => return end,
            };
            match verdict.settle() {
                Some(refusal) => handler.refused_response(refusal, conn, &known),
                None => response,
            }
        }
    };
    respond::send(&mut respond, response, to_head, limits.write_stall_timeout, handler.now()).await
}

fn with_body(
    mut parts: request::Parts,
    recv: RecvStream,
    limits: &Limits,
    interim: &InterimSender,
) -> (Request<InBody>, Verdict) {
    if recv.is_end_stream() {
        return (Request::from_parts(parts, empty_in()), Verdict::default());
    }
    let announced =
        parts.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    let expects =
        parts.headers.get(header::EXPECT).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    let body = RequestBody::new(recv, announced, limits, expects.then(|| interim.clone()));
    let verdict = body.verdict();
    parts.extensions.insert(verdict.clone());
    (Request::from_parts(parts, body.boxed_unsync()), verdict)
}

/// Runs the handler. Meanwhile passes on interim responses, and drops the handler when the client resets the
/// stream: there is nobody to answer. Interim responses end here, because after the final head they would be
/// another message's.
async fn handle(
    handling: impl Future<Output = Response<OutBody>>,
    mut queue: mpsc::Receiver<Box<Interim>>,
    respond: &mut SendResponse<Bytes>,
) -> Result<Response<OutBody>, StreamEnd> {
    let mut handling = std::pin::pin!(handling);
    let mut open = true;
    let response = loop {
        tokio::select! {
            biased;
            _ = poll_fn(|cx| respond.poll_reset(cx)) => return Err(StreamEnd::Reset),
            response = &mut handling => break response,
            interim = queue.recv(), if open => match interim {
                Some(interim) => send_interim(*interim, respond),
                None => open = false,
            },
        }
    };
    while let Ok(interim) = queue.try_recv() {
        send_interim(*interim, respond);
    }
    Ok(response)
}

/// A hint: if it can't be sent, the final response says everything anyway.
fn send_interim(interim: Interim, respond: &mut SendResponse<Bytes>) {
    let Interim { status, headers } = interim;
    if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    respond::strip_connection_specific(response.headers_mut());
    response.headers_mut().remove(header::CONTENT_LENGTH);
    let _ = respond.send_informational(response);
}
