//! An answer's body on its way out: its frames, in the framing that the head has promised (RFC 9112 §6.3, §7.1).

use super::outgoing::Outgoing;
use crate::body::OutBody;
use crate::front::http1::wire::Wire;
use bytes::Bytes;
use http::HeaderMap;
use http::header::HeaderName;
use http_body::{Body, Frame};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};

/// How a client finds the end of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// So many bytes are still owed.
    Length(u64),
    /// `trailers`: those that were announced, to a client that takes them.
    Chunked { trailers: Vec<HeaderName> },
    /// Of the connection.
    Close,
}

/// Why an answer was not finished.
#[derive(Debug)]
pub(super) enum Broke {
    /// The body failed, or is not as long as was promised.
    Body,
    /// The client is not there any more, or takes nothing.
    Client,
}

impl From<io::Error> for Broke {
    fn from(_: io::Error) -> Self {
        Self::Client
    }
}

/// An answer being sent.
pub(super) struct Sending<'t> {
    /// Let go as soon as its end has been handed out: with it ends the request, for the log.
    body: Option<OutBody>,
    end: Ending,
    out: Outgoing<'t>,
    begun: bool,
}

impl<'t> Sending<'t> {
    /// `out`: has the head.
    pub fn new(body: OutBody, end: Ending, out: Outgoing<'t>) -> Self {
        let body = (end != Ending::Length(0)).then_some(body);
        Self { body, end, out, begun: false }
    }

    /// Something may have left.
    pub const fn has_begun(&self) -> bool {
        self.begun
    }

    /// Ready when all has been written and flushed.
    pub fn poll<IO>(&mut self, cx: &mut Context<'_>, wire: &mut Wire<IO>) -> Poll<Result<(), Broke>>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            let mut starved = false;
            while self.out.has_room()
                && let Some(body) = &mut self.body
            {
                let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) else {
                    starved = true;
                    break;
                };
                let over = body.is_end_stream();
                match frame {
                    None => self.finish(None)?,
                    Some(Err(error)) => {
                        tracing::debug!(%error, "response broke off");
                        return Poll::Ready(Err(Broke::Body));
                    }
                    Some(Ok(frame)) => self.frame(frame, over)?,
                }
            }
            self.begun = true;
            ready!(self.out.poll_write(cx, wire))?;
            if starved || self.body.is_none() {
                ready!(Pin::new(&mut *wire).poll_flush(cx))?;
                return if starved { Poll::Pending } else { Poll::Ready(Ok(())) };
            }
        }
    }

    /// `over`: it was the last.
    fn frame(&mut self, frame: Frame<Bytes>, over: bool) -> Result<(), Broke> {
        match frame.into_data() {
            Ok(data) => {
                self.data(data)?;
                // Who has all that was announced need not ask for the end.
                if over || self.end == Ending::Length(0) { self.finish(None) } else { Ok(()) }
            }
            Err(frame) => match frame.into_trailers() {
                Ok(trailers) => self.finish(Some(&trailers)),
                Err(_) => Ok(()),
            },
        }
    }

    fn data(&mut self, data: Bytes) -> Result<(), Broke> {
        if data.is_empty() {
            return Ok(()); // an empty chunk would be the last (RFC 9112 §7.1)
        }
        match &mut self.end {
            Ending::Length(owed) => {
                *owed = owed.checked_sub(data.len() as u64).ok_or(Broke::Body)?;
                self.out.data(data);
            }
            Ending::Chunked { .. } => {
                self.out.chunk_size(data.len());
                self.out.data(data);
                self.out.text(b"\r\n");
            }
            Ending::Close => self.out.data(data),
        }
        Ok(())
    }

    fn finish(&mut self, given: Option<&HeaderMap>) -> Result<(), Broke> {
        match &self.end {
            Ending::Length(0) | Ending::Close => {}
            Ending::Length(_) => return Err(Broke::Body),
            Ending::Chunked { trailers } => {
                self.out.text(b"0\r\n");
                let lines = given.into_iter().flatten().filter(|(name, _)| trailers.contains(name));
                lines.for_each(|(name, value)| self.out.field(name, value));
                self.out.text(b"\r\n");
            }
        }
        self.body = None;
        Ok(())
    }
}
