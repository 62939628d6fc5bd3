//! The loop of one connection. It owns the socket and the read buffer, reads heads, answers plain hits itself, lends the
//! socket to the own lane for a request without a body, and to hyper for one that has a body.
//!
//! Time-outs: `header_read_timeout` from the first byte of a head to its end (408), and also for the
//! first byte of a new connection; `idle_timeout` between requests (closed without a word: the client did
//! nothing wrong).

use super::again::{Again, Repeated};
use super::bodiless::{self, Asked};
use super::diagnose::Fault;
use super::drain::Drain;
use super::fast;
use super::framing::Framing;
use super::head::{self, Head};
use super::slow::{self, After, Bodiless, Plan, Shared};
use super::target::Form;
use super::timer::Wait;
use super::wire::Wire;
use crate::front::handler::{Conn, FastRequest, Handler, Limits, Lines};
use crate::front::known::Known;
use crate::front::listener::LAST_CALL;
use crate::front::refusal::Refusal;
use bytes::{Buf, Bytes};
use std::io;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;

/// Header lines parsed on the stack; a higher limit needs a heap.
const SLOTS: usize = 100;
/// What a connection keeps allocated for heads of answers.
const KEEP: usize = 4096;

/// Serves HTTP/1 on `io` until it ends. `already_read`: bytes that somebody had to look at first. Never fails:
/// whatever goes wrong ends the connection. Must run within a tokio runtime with time.
///
/// When `drain` becomes true, a connection that is idle is closed after a last call (a request may be on its way, and
/// one that is met by a close is a failure for its client), and an answer that has not begun says `Connection: close`.
pub async fn serve<IO, H>(
    io: IO,
    already_read: Bytes,
    conn: Arc<Conn>,
    handler: Arc<H>,
    limits: Arc<Limits>,
    drain: watch::Receiver<bool>,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    let wire = Wire::new(io, &already_read, limits.write_stall_timeout);
    drop(already_read);
    let shared = Shared { conn, handler, limits, bodiless: Bodiless::Here };
    Connection::new(wire, shared, drain).run().await;
}

/// For tests, which say who answers requests without a body.
#[cfg(test)]
pub(super) async fn serve_shared<IO, H>(io: IO, shared: Shared<H>, drain: watch::Receiver<bool>)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    let wire = Wire::new(io, &[], shared.limits.write_stall_timeout);
    Connection::new(wire, shared, drain).run().await;
}

struct Connection<IO, H> {
    wire: Wire<IO>,
    shared: Shared<H>,
    drain: Drain,
    /// This process is going away, and what may be on its way from the client has [`LAST_CALL`] to arrive.
    last_call: bool,
    /// The head of a fast answer. Kept for its allocation.
    answer: Vec<u8>,
    again: Again,
    /// Bytes of an incomplete head that have been looked at.
    seen: usize,
    /// An empty line before the request line has been skipped.
    skipped_line: bool,
    /// The current request is HEAD, as far as can be told: then a refusal has no body either.
    is_head: bool,
    /// A request has been answered on this connection.
    served: bool,
}

/// What the buffered bytes ask for.
enum Step<R> {
    /// More bytes.
    Read,
    /// A fast answer, whose head is in `answer`.
    Answer {
        record: R,
        close: bool,
    },
    /// A request without a body, which the handler has.
    Bodiless(Asked),
    Slow(Plan),
    Upgrade,
    Refuse(Refusal),
}

/// What came of waiting for bytes.
enum Came {
    Bytes,
    /// Closed, broken, idle for too long, or draining.
    Nothing,
    TooLate,
}

impl<IO, H> Connection<IO, H>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    fn new(wire: Wire<IO>, shared: Shared<H>, drain: watch::Receiver<bool>) -> Self {
        Self {
            wire,
            shared,
            drain: Drain::new(drain),
            last_call: false,
            answer: Vec::new(),
            again: Again::default(),
            seen: 0,
            skipped_line: false,
            is_head: false,
            served: false,
        }
    }

    async fn run(mut self) {
        loop {
            let after = match self.step() {
                Step::Read => match std::future::poll_fn(|cx| self.poll_more(cx)).await {
                    Came::Bytes => continue,
                    Came::Nothing => After::Close,
                    Came::TooLate => After::Refuse(Refusal::HeaderTimeout),
                },
                Step::Answer { record, close } => self.answer(record, close).await,
                // Boxed, like all that is not the hit path: an idle connection's task stays small.
                Step::Bodiless(asked) => match Box::pin(self.exchange(asked)).await {
                    (After::Refuse(refusal), head) => {
                        return Box::pin(self.refuse(refusal, Known::from_http1(&head))).await;
                    }
                    (after, _) => after,
                },
                Step::Slow(mut plan) => {
                    // For the log, should the rest of the message be refused: the head is used up by then.
                    let read = self.wire.buf.get(..plan.head_len).unwrap_or_default().to_vec();
                    for line in plan.without.drain(..).rev() {
                        plan.head_len -= line.len();
                        self.wire.cut(line);
                    }
                    let exchange = slow::exchange(&mut self.wire, &plan, &self.shared, &mut self.drain);
                    let after = Box::pin(exchange).await;
                    match after {
                        After::Refuse(refusal) => {
                            return Box::pin(self.refuse(refusal, Known::from_http1(&read))).await;
                        }
                        after => after,
                    }
                }
                Step::Upgrade => return Box::pin(slow::upgrade(self.wire, &self.shared)).await,
                Step::Refuse(refusal) => After::Refuse(refusal),
            };
            match after {
                // Also when draining: an answer that began before does not say that it is the last.
                After::Next => self.next_message(),
                After::Close => return Box::pin(self.wire.linger()).await,
                After::Refuse(refusal) => {
                    let known = Known::from_http1(&self.wire.buf);
                    return Box::pin(self.refuse(refusal, known)).await;
                }
                After::Abort => return,
            }
        }
    }

    const fn next_message(&mut self) {
        self.seen = 0;
        self.skipped_line = false;
        self.served = true;
    }

    /// Looks at what has been read. Not async, so that the parsed lines live on the stack only.
    fn step(&mut self) -> Step<H::Record> {
        // RFC 9112 §2.2: one empty line before a request line is let pass.
        if !self.skipped_line && self.wire.buf.starts_with(b"\r\n") {
            self.wire.buf.advance(2);
            self.skipped_line = true;
            self.seen = 0;
        }
        self.is_head = self.wire.buf.starts_with(b"HEAD ");
        if self.wire.buf.is_empty() || !head::worth_reading(&self.wire.buf, self.seen, &self.shared.limits) {
            self.seen = self.wire.buf.len();
            return Step::Read;
        }
        let may_be_fast = match self.read_again() {
            Some(Some(step)) => return step,
            again => again.is_none(),
        };
        match self.read_head(may_be_fast) {
            Err(Fault::NewerMinor(at)) => {
                // HTTP/1.2 and the like: 1.1 to us and to all after us (RFC 9110 §2.5).
                match self.wire.buf.get_mut(at) {
                    Some(minor) => *minor = b'1',
                    None => return Step::Refuse(Refusal::Malformed),
                }
                self.read_head(true).unwrap_or(Step::Refuse(Refusal::Malformed))
            }
            Err(Fault::Refused(refusal)) => Step::Refuse(refusal),
            Ok(step) => step,
        }
    }

    /// A request with the same lines as the last one; `Some(None)`: it is, and not for the fast lane.
    fn read_again(&mut self) -> Option<Option<Step<H::Record>>> {
        let Repeated { len, request } = self.again.read(&self.wire.buf, &self.shared.limits)?;
        self.answer.clear();
        let Some(record) = self.shared.handler.fast(&request, &self.shared.conn, &mut self.answer) else {
            return Some(None);
        };
        self.wire.timer.clear(Wait::Read);
        let close = self.drain.is_on();
        if close {
            say_close(&mut self.answer);
        }
        self.wire.buf.advance(len);
        Some(Some(Step::Answer { record, close }))
    }

    /// `may_be_fast`: the fast lane has not yet been asked about it.
    fn read_head(&mut self, may_be_fast: bool) -> Result<Step<H::Record>, Fault> {
        let lines = self.shared.limits.request_headers;
        let mut stack = [const { MaybeUninit::uninit() }; SLOTS];
        let mut heap = Vec::new();
        let slots = if let Some(slots) = stack.get_mut(..lines) {
            slots
        } else {
            heap.resize(lines, MaybeUninit::uninit());
            &mut heap
        };
        let head = head::read(&self.wire.buf, slots, &self.shared.limits, self.shared.conn.tls)?;
        let Some(head) = head else {
            self.seen = self.wire.buf.len();
            return Ok(Step::Read);
        };
        self.wire.timer.clear(Wait::Read);
        let draining = self.drain.is_on();
        self.answer.clear();
        if may_be_fast && let Some(step) = fast_answer(&head, &self.shared, draining, &mut self.answer) {
            let len = head.len;
            self.again.remember(&head, &self.wire.buf);
            self.wire.buf.advance(len);
            return Ok(step);
        }
        let step = slow_step(&head, &self.wire.buf, &self.shared);
        if let Step::Bodiless(asked) = &step {
            self.wire.buf.advance(asked.head.len());
        }
        Ok(step)
    }

    /// Waits for bytes, as long as it may.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Came> {
        let between = self.wire.buf.is_empty();
        if between {
            self.wire.relax();
        }
        match self.wire.poll_fill(cx) {
            Poll::Ready(Ok(1..)) => {
                if between {
                    self.wire.timer.clear(Wait::Read); // the head has its own time, from its first byte
                }
                Poll::Ready(Came::Bytes)
            }
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(Came::Nothing),
            Poll::Pending => {
                if between && self.drain.poll(cx).is_ready() && !std::mem::replace(&mut self.last_call, true)
                {
                    self.wire.timer.clear(Wait::Read);
                }
                let limits = &self.shared.limits;
                let idle = between && self.served;
                let patience = if idle { limits.idle_timeout } else { limits.header_read_timeout };
                let patience = if between && self.last_call { LAST_CALL.min(patience) } else { patience };
                let over = if between { Came::Nothing } else { Came::TooLate };
                self.wire.timer.poll(cx, Wait::Read, patience).map(|()| over)
            }
        }
    }

    async fn answer(&mut self, record: H::Record, close: bool) -> After {
        let Shared { conn, handler, .. } = &self.shared;
        let receipt = fast::Receipt::new(&**handler, conn, record);
        let sent = fast::send(&mut self.wire, &mut self.answer, receipt).await;
        self.forget_answer();
        match sent {
            Ok(()) if close => After::Close,
            Ok(()) => After::Next,
            Err(_) => After::Abort,
        }
    }

    /// How it ended, and the request's head.
    async fn exchange(&mut self, asked: Asked) -> (After, Bytes) {
        let head = asked.head.clone();
        let Self { wire, shared, drain, answer, .. } = self;
        let after = bodiless::exchange(wire, asked, shared, drain, answer).await;
        self.forget_answer();
        (after, head)
    }

    /// Gives memory back that the next answer will hardly need.
    fn forget_answer(&mut self) {
        if self.answer.capacity() > KEEP {
            self.answer = Vec::new();
        }
    }

    /// Says why, and closes so that it can be read.
    async fn refuse(mut self, refusal: Refusal, known: Known) {
        let mut answer = self.shared.handler.refused(refusal, &self.shared.conn, &known);
        if self.is_head
            && let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n")
        {
            answer.truncate(end + 4); // RFC 9110 §9.3.2
        }
        let said: io::Result<()> = async {
            self.wire.write_all(&answer).await?;
            self.wire.flush().await
        }
        .await;
        if said.is_ok() {
            self.wire.linger().await;
        }
    }
}

/// Asks the handler, if this request is one for the fast lane.
fn fast_answer<H: Handler>(
    head: &Head<'_, '_>,
    shared: &Shared<H>,
    draining: bool,
    out: &mut Vec<u8>,
) -> Option<Step<H::Record>> {
    let is_head = head.method == "HEAD";
    let plain = !head.http10 && head.form == Form::Origin && head.fields.plain();
    if !plain || !(is_head || head.method == "GET") {
        return None;
    }
    let request = FastRequest {
        head: is_head,
        target: head.target.as_bytes(),
        host: head.fields.host?,
        lines: Lines::Read(head.headers),
        conditional: head.fields.conditional,
        settled: head.fields.settled,
    };
    let record = shared.handler.fast(&request, &shared.conn, out)?;
    let close = head.fields.close || draining;
    if close {
        say_close(out);
    }
    Some(Step::Answer { record, close })
}

/// Adds to a complete head that this is the last answer.
fn say_close(head: &mut Vec<u8>) {
    if head.ends_with(b"\r\n\r\n") {
        head.truncate(head.len() - 2);
        head.extend_from_slice(b"connection: close\r\n\r\n");
    }
}

/// The way of a request that the fast lane does not take. `bytes`: those that the head was read from.
fn slow_step<H: Handler>(head: &Head<'_, '_>, bytes: &[u8], shared: &Shared<H>) -> Step<H::Record> {
    let framing = head.fields.framing;
    if let Framing::Length(length) = framing
        && length > shared.limits.request_body
    {
        return Step::Refuse(Refusal::BodyTooLarge);
    }
    // HTTP/1.0 can't upgrade (RFC 9110 §7.8), and beside a body we don't.
    let bodiless = matches!(framing, Framing::None | Framing::Length(0));
    if head.fields.upgrade() && !head.http10 && bodiless {
        return Step::Upgrade;
    }
    if bodiless && shared.bodiless == Bodiless::Here {
        return bodiless::ask(head, bytes, shared).map_or_else(Step::Refuse, Step::Bodiless);
    }
    Step::Slow(Plan {
        head_len: head.len,
        without: if head.fields.upgrade_field { upgrade_lines(head, bytes) } else { Vec::new() },
        framing,
        http10: head.http10,
        expect: head.fields.expect && !head.http10 && !bodiless,
    })
}

/// Where the lines of an `Upgrade` stand that is to be ignored. They are kept from hyper, which would prepare
/// for the upgrade and then, at the end of this exchange, give the connection to nobody instead of
/// writing the rest of its answer.
fn upgrade_lines(head: &Head<'_, '_>, bytes: &[u8]) -> Vec<Range<usize>> {
    let lines = head.headers.iter().filter(|line| line.name.eq_ignore_ascii_case("upgrade"));
    lines
        .filter_map(|line| {
            let start = head::place(bytes, line.name.as_bytes())?.start;
            let end = bytes.get(start..head.len)?.iter().position(|&byte| byte == b'\n')?;
            Some(start..start + end + 1)
        })
        .collect()
}
