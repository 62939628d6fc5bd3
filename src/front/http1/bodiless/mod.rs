//! The own lane: requests without a body, answered without hyper (docs/decisions/0014).
//!
//! The head has been read and judged before anybody decides who answers, and where there is no body that is all
//! of the request: nothing is left to decode, no `100 Continue` to send, no upgrade to prepare for. So the request is built
//! from what the head reader has found ([`request`]), and the handler is asked at once. Its answer is written by
//! [`response`] (the head, and how the message ends: RFC 9112 §6.3) and [`body`] (the frames), which gather in [`outgoing`]
//! what is ready and write that in one piece. When nothing has to wait, an exchange is one poll of the handler and
//! one write.
//!
//! What a client can see is what hyper's lane does, which `tests/differential.rs` holds against each other:
//! * Interim responses leave while the handler works and before the answer's first byte, never after it ([`Hints`]).
//! * **The client that goes away** while the handler works ends the request (see [`Wire::poll_gone`]): the handler's future is
//!   dropped. Once the answer has begun, a client that merely closes its sending half gets the rest of it.
//! * An answer that fails before its first byte has left is an error of ours, in words; one that fails later is broken
//!   off, so that the client can see that it is not the whole (RFC 9112 §8).
//! * Memory: a head, and [`outgoing::ROOM`] and one frame of the body.

mod body;
mod outgoing;
mod request;
mod response;

use super::drain::Drain;
use super::head::Head;
use super::interim::{self, Hints};
use super::slow::{After, Shared};
use super::timer::Wait;
use super::wire::Wire;
use crate::body::OutBody;
use crate::front::handler::Handler;
use crate::front::refusal::Refusal;
use body::{Broke, Sending};
use bytes::Bytes;
use http::Response;
use outgoing::Outgoing;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};

/// What a request says about its answer's form.
#[derive(Clone, Copy, Debug)]
struct Client {
    http10: bool,
    /// HEAD: no body, whatever the answer says of one (RFC 9110 §9.3.2).
    is_head: bool,
    /// It would have this connection go on (RFC 9112 §9.3).
    keep_alive: bool,
    /// `TE: trailers` (RFC 9110 §6.5.1).
    trailers: bool,
}

/// A request that the handler has been given.
pub(super) struct Asked {
    /// Boxed at once: it has ten kilobytes.
    answer: Pin<Box<dyn Future<Output = Response<OutBody>> + Send>>,
    hints: Hints,
    client: Client,
    /// The request's head, for the log should the answer fail.
    pub head: Bytes,
}

/// Hands the request of `head` to the handler; `bytes` are those that it was read from.
///
/// # Errors
/// Only for a head that the reader should not have let pass.
pub(super) fn ask<H: Handler>(
    head: &Head<'_, '_>,
    bytes: &[u8],
    shared: &Shared<H>,
) -> Result<Asked, Refusal> {
    let (sender, hints) = interim::channel(head.http10);
    let (request, client, head) = request::build(head, bytes)?;
    let answer = Box::pin(shared.handler.handle(request, Arc::clone(&shared.conn), sender));
    Ok(Asked { answer, hints, client, head })
}

/// Waits for the answer and writes it. The request's head is no longer in the wire's buffer. `text`: an empty buffer,
/// lent for its allocation.
pub(super) async fn exchange<IO, H>(
    wire: &mut Wire<IO>,
    mut asked: Asked,
    shared: &Shared<H>,
    drain: &mut Drain,
    text: &mut Vec<u8>,
) -> After
where
    IO: AsyncRead + AsyncWrite + Unpin + Send,
    H: Handler,
{
    let Some(answer) = answer(wire, &mut asked).await else {
        return After::Abort;
    };
    let (parts, body) = answer.into_parts();
    let client = asked.client;
    // No hint may come any more, and what the handler worked with is not needed for the rest.
    drop(asked);
    text.clear();
    let draining = drain.is_on();
    let framed = match response::encode(&parts, &body, client, draining, || shared.handler.now(), text) {
        Ok(framed) => framed,
        Err(refusal) => return After::Refuse(refusal),
    };
    drop(parts);
    let mut sending = Sending::new(body, framed.end, Outgoing::new(text));
    let sent = std::future::poll_fn(|cx| sending.poll(cx, wire)).await;
    let begun = sending.has_begun();
    wire.timer.clear(Wait::Write);
    match sent {
        Ok(()) if framed.last => After::Close,
        Ok(()) => After::Next,
        Err(Broke::Body) if !begun => After::Refuse(Refusal::OriginIncomplete),
        Err(_) => After::Abort,
    }
}

/// The answer, once all hints are written that came before it. `None`: nobody is there any more to answer to.
async fn answer<IO>(wire: &mut Wire<IO>, asked: &mut Asked) -> Option<Response<OutBody>>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let Asked { answer, hints, .. } = asked;
    let response = std::future::poll_fn(|cx| match answer.as_mut().poll(cx) {
        Poll::Ready(response) => Poll::Ready(Some(response)),
        Poll::Pending => poll_meanwhile(cx, wire, hints).map(|()| None),
    });
    let response = response.await?;
    let hinted = std::future::poll_fn(|cx| hints.poll_write(cx, wire));
    hinted.await.ok().map(|()| response)
}

/// While the handler works: writes the hints that it gives, and looks whether the client is still there. Ready when it is not.
fn poll_meanwhile<IO>(cx: &mut Context<'_>, wire: &mut Wire<IO>, hints: &mut Hints) -> Poll<()>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    if ready!(hints.poll_write(cx, wire)).is_err() {
        return Poll::Ready(());
    }
    if wire.poll_gone(cx).is_ready() {
        return Poll::Ready(());
    }
    match hints.poll_flush(cx, wire) {
        Poll::Ready(Err(_)) => Poll::Ready(()),
        _ => Poll::Pending,
    }
}
