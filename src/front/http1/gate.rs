//! The gate: the IO that hyper gets for exactly one request (docs of the fast lane, "mechanism of `ret`").
//!
//! hyper is handed a fresh connection whose input is one request, head and body, and then ends. It decodes the
//! body, runs the service, encodes the response, and, finding its input at an end while idle, closes its side
//! of the affair without touching the socket, which goes back to the loop.
//!
//! What makes this safe, each point paid for by a failed experiment:
//! * **Shutdown is asked for, and does nothing.** hyper calls itself done while bytes of its answer are unwritten:
//!   when an answer was complete before its request's body was, or when nobody read that body. Run without
//!   shutdown it drops them, and the next response begins in the middle of this one. Run with shutdown it
//!   writes them first; the shutdown itself ends here, because the socket lives on.
//! * **End of input only when nothing is unwritten**, for the same reason and against the same loss:
//!   `write_pending` withholds it until the last write has gone through.
//! * **`asked`** is hyper's own keep-alive verdict: it looks for a next request only when it means to serve one.
//!   Nothing is derived from headers a second time.
//! * **The end of the body is ours.** [`Body`] reads along; bytes beyond it stay with the [`Wire`].
//!
//! Interim responses go the same way: hyper calls `poll_flush` at the end of every turn, with its own buffer
//! empty, so what the service has pushed by then is written there; what it pushes together with its answer is
//! written before the first byte of that answer, after which the queue is closed. That is only safe because the
//! gate holds one request: with pipelining a 103 could land in the middle of somebody else's response.
//!
//! **The client that goes away.** While the service works on a complete request, the socket is watched
//! ([`Wire::poll_gone`]), and the service is dropped when its client has gone.

use super::framing::Body;
use super::interim::Hints;
use super::wire::Wire;
use crate::front::handler::Verdict;
use crate::front::refusal::Refusal;
use bytes::Buf;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What hyper writes when the service first asks for a body that the client waits to send.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Why a request is over before it has an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// To be answered by ourselves.
    Refused(Refusal),
    /// Nobody is there to answer to.
    Gone,
}

/// What the gate tells those who poll hyper, which has the gate meanwhile. Only ever used by one task;
/// atomic because that task may change threads.
#[derive(Debug, Default)]
pub(super) struct Signals {
    begun: AtomicBool,
    cut: OnceLock<Cut>,
    /// For the handler, where there is a body.
    verdict: Option<Verdict>,
}

impl Signals {
    pub fn new(verdict: Option<Verdict>) -> Self {
        Self { verdict, ..Self::default() }
    }
    /// The final response has begun to leave: nothing else can be said to this client any more.
    pub fn begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }
    /// Set only before the response has begun.
    pub fn cut(&self) -> Option<Cut> {
        self.cut.get().copied()
    }
}

pub(super) struct Gate<'w, IO> {
    wire: &'w mut Wire<IO>,
    signals: &'w Signals,
    /// Bytes of the head that hyper has not read yet; they are the first of the wire's buffer.
    head_left: usize,
    body: Body,
    /// Between two reads of the body.
    patience: Duration,
    /// hyper has looked for a request after this one.
    asked: bool,
    /// The last write of hyper has not gone through.
    write_pending: bool,
    /// Waits for the end of input, which waits for the write.
    reader: Option<Waker>,
    hints: Hints,
    /// What of [`CONTINUE`] hyper may still write before its answer; empty when it won't.
    continue_left: &'static [u8],
}

impl<'w, IO: AsyncRead + AsyncWrite + Unpin> Gate<'w, IO> {
    /// `head_len`: the request's head is that many bytes at the front of the wire's buffer.
    pub fn new(
        wire: &'w mut Wire<IO>,
        signals: &'w Signals,
        (head_len, body, expect): (usize, Body, bool),
        patience: Duration,
        hints: Hints,
    ) -> Self {
        Self {
            wire,
            signals,
            head_left: head_len,
            body,
            patience,
            asked: false,
            write_pending: false,
            reader: None,
            hints,
            continue_left: if expect { CONTINUE } else { &[] },
        }
    }

    /// Whether hyper would have taken another request on this connection, and the whole of this one is used up.
    pub const fn wants_more(&self) -> bool {
        self.asked
    }

    fn request_is_read(&self) -> bool {
        self.head_left == 0 && self.body.is_done()
    }

    /// Hands bytes out that the wire has already read.
    fn replay(&mut self, out: &mut ReadBuf<'_>, most: usize) -> usize {
        let take = most.min(self.wire.buf.len()).min(out.remaining());
        out.put_slice(self.wire.buf.get(..take).unwrap_or_default());
        self.wire.buf.advance(take);
        take
    }

    fn poll_body(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.wire.buf.is_empty() {
            let here = self.wire.buf.len().min(out.remaining());
            let used = match self.body.scan(self.wire.buf.get(..here).unwrap_or_default()) {
                Ok(used) => used,
                Err(refusal) => return Poll::Ready(Err(self.cut(Cut::Refused(refusal)))),
            };
            self.replay(out, used);
            return Poll::Ready(Ok(()));
        }
        let start = out.filled().len();
        match ready!(self.wire.poll_read_within(cx, out, self.patience)) {
            None => return Poll::Ready(Err(self.cut(Cut::Refused(Refusal::BodyTimeout)))),
            Some(Err(_)) => return Poll::Ready(Err(self.cut(Cut::Gone))),
            Some(Ok(())) => {}
        }
        let read = out.filled().get(start..).unwrap_or_default();
        if read.is_empty() {
            return Poll::Ready(Err(self.cut(Cut::Refused(Refusal::IncompleteBody))));
        }
        match self.body.scan(read) {
            Ok(used) => {
                self.wire.buf.extend_from_slice(read.get(used..).unwrap_or_default());
                out.set_filled(start + used);
                Poll::Ready(Ok(()))
            }
            Err(refusal) => {
                out.set_filled(start);
                Poll::Ready(Err(self.cut(Cut::Refused(refusal))))
            }
        }
    }

    /// The request can't go on. Before its answer has begun, those who poll hyper will end it; after that, hyper
    /// gets the error for the body, finishes the answer and closes.
    fn cut(&self, cut: Cut) -> io::Error {
        if !self.signals.begun()
            && self.signals.cut.set(cut).is_ok()
            && let (Cut::Refused(refusal), Some(verdict)) = (cut, &self.signals.verdict)
        {
            verdict.refuse(refusal);
        }
        match cut {
            Cut::Refused(refusal) => io::Error::new(io::ErrorKind::InvalidData, refusal.as_str()),
            Cut::Gone => io::ErrorKind::ConnectionReset.into(),
        }
    }

    /// A write of hyper's. Whatever holds it up, it counts as pending until it has gone through.
    fn poll_out(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let result = self.poll_out_in_order(cx, slices);
        self.write_pending = result.is_pending();
        if !self.write_pending
            && let Some(reader) = self.reader.take()
        {
            reader.wake();
        }
        result
    }

    fn poll_out_in_order(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.signals.cut().is_some() {
            return Poll::Pending; // nothing of hyper's may leave, and it will not be polled again
        }
        if !self.signals.begun() {
            let first =
                slices.iter().map(|slice| &**slice).find(|slice| !slice.is_empty()).unwrap_or_default();
            if !self.continue_left.is_empty() && first.starts_with(self.continue_left) {
                return self.poll_continue(cx);
            }
            // The last moment for hints: after the first byte of the answer they would be inside it.
            ready!(self.hints.poll_write(cx, self.wire))?;
            self.hints.close();
            self.signals.begun.store(true, Ordering::Relaxed);
        }
        Pin::new(&mut *self.wire).poll_write_vectored(cx, slices)
    }

    /// `100 Continue` is no answer, and it must not be torn apart by an interim response.
    fn poll_continue(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.continue_left.len() == CONTINUE.len() {
            ready!(self.hints.poll_unsent(cx, self.wire))?;
        }
        let n = ready!(Pin::new(&mut *self.wire).poll_write(cx, self.continue_left))?;
        self.continue_left = self.continue_left.get(n..).unwrap_or_default();
        Poll::Ready(Ok(n))
    }

    /// Looks whether the client is still there; see the head of this file.
    fn watch(&mut self, cx: &mut Context<'_>) {
        if self.request_is_read() && self.wire.poll_gone(cx).is_ready() {
            self.cut(Cut::Gone);
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gate<'_, IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        if gate.head_left > 0 {
            gate.head_left -= gate.replay(out, gate.head_left);
            return Poll::Ready(Ok(()));
        }
        if !gate.body.is_done() {
            return gate.poll_body(cx, out);
        }
        gate.asked = true;
        if gate.write_pending {
            gate.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Gate<'_, IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_out(cx, &[IoSlice::new(bytes)])
    }
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_out(cx, slices)
    }
    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        if gate.signals.cut().is_some() {
            return Poll::Pending;
        }
        if !gate.signals.begun() {
            ready!(gate.hints.poll_write(cx, gate.wire))?;
            gate.watch(cx);
        }
        Pin::new(&mut *gate.wire).poll_flush(cx)
    }
    /// The request's end, not the socket's.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
