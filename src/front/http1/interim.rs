//! Interim responses as HTTP/1.1 bytes (RFC 9110 §15.2, RFC 8297). Which pass, and what of them.

use super::wire::Wire;
use crate::interim::{Interim, InterimSender};
use crate::semantics::fields::push_line;
use crate::semantics::hop;
use http::header::{CONNECTION, CONTENT_LENGTH, TRAILER, TRANSFER_ENCODING, UPGRADE};
use std::io::{self, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

/// Interim responses per request; a well-meaning origin sends one or two.
const MOST: usize = 16;

/// The interim responses to one request, as they come and go. Nothing else may be written while one is on its way.
#[derive(Default)]
pub(super) struct Hints {
    /// `None` once there may be no more, or when the client can't have any.
    queue: Option<mpsc::Receiver<Box<Interim>>>,
    /// How many have been taken from it.
    taken: usize,
    /// Encoded, from `unsent_from` on not written yet.
    unsent: Vec<u8>,
    unsent_from: usize,
    /// Something was written, and not flushed since.
    unflushed: bool,
}

/// Where a handler puts the interim responses to one request, and where they come out.
pub(super) fn channel(http10: bool) -> (InterimSender, Hints) {
    if http10 {
        return (InterimSender::none(), Hints::default()); // RFC 9110 §15.2: HTTP/1.0 has no 1xx
    }
    let (sender, receiver) = InterimSender::channel();
    (sender, Hints { queue: Some(receiver), ..Hints::default() })
}

impl Hints {
    /// The answer begins: whatever still comes is too late.
    pub fn close(&mut self) {
        self.queue = None;
    }

    /// Writes what has been pushed so far; the task will be woken by what comes later.
    pub fn poll_write<IO>(&mut self, cx: &mut Context<'_>, wire: &mut Wire<IO>) -> Poll<io::Result<()>>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            ready!(self.poll_unsent(cx, wire))?;
            let Some(queue) = &mut self.queue else { return Poll::Ready(Ok(())) };
            // Polled, not tried: a fetch in another task pushes without waking this one otherwise.
            let Poll::Ready(Some(next)) = queue.poll_recv(cx) else { return Poll::Ready(Ok(())) };
            if self.taken == MOST {
                self.close();
                continue;
            }
            self.taken += 1;
            self.unsent.clear();
            self.unsent_from = 0;
            encode(*next, &mut self.unsent);
        }
    }

    /// Finishes the one whose writing has begun.
    pub fn poll_unsent<IO>(&mut self, cx: &mut Context<'_>, wire: &mut Wire<IO>) -> Poll<io::Result<()>>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        while let Some(rest @ [_, ..]) = self.unsent.get(self.unsent_from..) {
            match ready!(Pin::new(&mut *wire).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.unsent_from += n,
            }
            self.unflushed = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Flushes what has been written, if anything has.
    pub fn poll_flush<IO>(&mut self, cx: &mut Context<'_>, wire: &mut Wire<IO>) -> Poll<io::Result<()>>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        if self.unflushed {
            ready!(Pin::new(wire).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

/// Appends `interim` to `out`, unless it is one that must not pass: 100 is each hop's own affair, 101 changes
/// the protocol and is a final answer, and what is not 1xx is no interim response. Fields of the connection
/// to the origin, and framing, which no 1xx has, are left out (RFC 9110 §7.6.1, §8.6).
fn encode(mut interim: Interim, out: &mut Vec<u8>) {
    if !(102..200).contains(&interim.status.as_u16()) {
        return;
    }
    hop::strip(&mut interim.headers);
    for name in [CONNECTION, UPGRADE, TRAILER, TRANSFER_ENCODING, CONTENT_LENGTH] {
        interim.headers.remove(name);
    }
    let reason = interim.status.canonical_reason().unwrap_or_default();
    // Writing to a Vec never fails.
    let _ = write!(out, "HTTP/1.1 {} {reason}\r\n", interim.status.as_str());
    for (name, value) in &interim.headers {
        push_line(out, name, value);
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, StatusCode};

    fn encoded(status: u16, fields: &[(&'static str, &'static str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        let mut out = Vec::new();
        encode(Interim { status: StatusCode::from_u16(status).unwrap(), headers }, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn rfc_8297_early_hints_pass_with_all_their_links() {
        assert_eq!(
            encoded(103, &[("link", "</a.css>; rel=preload"), ("link", "</b.js>; rel=preload")]),
            "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nlink: </b.js>; rel=preload\r\n\r\n"
        );
    }

    #[test]
    fn rfc_9110_section_15_2_a_100_is_each_hops_own_and_101_is_no_hint() {
        for status in [100, 101, 200, 304] {
            assert_eq!(encoded(status, &[]), "");
        }
        assert_eq!(encoded(199, &[]), "HTTP/1.1 199 \r\n\r\n");
    }

    #[test]
    fn rfc_9110_section_7_6_1_fields_of_the_other_connection_stay_behind() {
        let fields = [
            ("connection", "close"),
            ("content-length", "5"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("trailer", "x"),
            ("x-kept", "1"),
        ];
        assert_eq!(encoded(103, &fields), "HTTP/1.1 103 Early Hints\r\nx-kept: 1\r\n\r\n");
    }
}
