//! The header lines of the last request that a connection's fast lane has answered. Who asks again mostly sends the same lines after
//! another request line: programs always, browsers for the pictures of a page. What the strict reader found out about
//! lines does not depend on the request line (of HTTP/1.1), so the same bytes need not be read again: comparing them is
//! a twentieth of the work.
//!
//! This is a short cut through [`head`](super::head) for requests it has judged before, and never judges by itself: what is
//! not exactly `GET` or `HEAD`, one space, an origin-form target, ` HTTP/1.1`, CRLF and the remembered bytes goes there.

use super::head::{self, Head, TARGET_MAX};
use super::target;
use crate::front::handler::{FastRequest, Limits, Lines};
use std::ops::Range;

/// Bytes of lines that are remembered.
const MOST: usize = 2048;
const MOST_LINES: usize = 64;
/// A connection whose lines have differed so many times in a row is not worth the trouble.
const PATIENCE: u8 = 8;

/// Where a name and a value stand in the block.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    name: (u16, u16),
    value: (u16, u16),
}

impl Place {
    /// Name and value.
    pub fn of(self, block: &[u8]) -> (&[u8], &[u8]) {
        let piece = |(start, end)| block.get(usize::from(start)..usize::from(end)).unwrap_or_default();
        (piece(self.name), piece(self.value))
    }
}

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Again {
    /// From after the request line to and including the empty line; empty when there is none.
    block: Vec<u8>,
    places: Vec<Place>,
    host: Range<usize>,
    conditional: bool,
    settled: bool,
    strikes: u8,
}

/// A request like the last one.
pub(super) struct Repeated<'a> {
    /// Bytes of the whole head.
    pub len: usize,
    pub request: FastRequest<'a>,
}

impl Again {
    /// The request that `bytes` begin with, if it has the remembered lines.
    pub fn read<'a>(&'a mut self, bytes: &'a [u8], limits: &Limits) -> Option<Repeated<'a>> {
        if self.block.is_empty() {
            return None;
        }
        let (head, rest) = match bytes {
            [b'G', b'E', b'T', b' ', rest @ ..] => (false, rest),
            [b'H', b'E', b'A', b'D', b' ', rest @ ..] => (true, rest),
            _ => return None,
        };
        let end = rest.iter().take(limits.url_bytes.min(TARGET_MAX) + 1).position(|byte| *byte == b' ')?;
        let (target, rest) = rest.split_at_checked(end)?;
        let lines = rest.strip_prefix(b" HTTP/1.1\r\n")?;
        if !lines.starts_with(&self.block) {
            self.strikes = self.strikes.saturating_add(1);
            return None;
        }
        self.strikes = 0;
        let len = bytes.len() - lines.len() + self.block.len();
        if len > limits.request_header_bytes || !target::is_origin_form(target) {
            return None;
        }
        let host = self.block.get(self.host.clone())?;
        let lines = Lines::Known { block: &self.block, places: &self.places };
        let Self { conditional, settled, .. } = *self;
        Some(Repeated { len, request: FastRequest { head, target, host, lines, conditional, settled } })
    }

    /// The fast lane has answered this request, which `bytes` begin with.
    pub fn remember(&mut self, head: &Head<'_, '_>, bytes: &[u8]) {
        if self.strikes >= PATIENCE || head.fields.close || head.headers.len() > MOST_LINES {
            return;
        }
        self.block.clear();
        self.places.clear();
        // Method, target, two spaces, `HTTP/1.1`, CRLF: the reader takes a request line in no other form.
        let start = head.method.len() + head.target.len() + 2 + 8 + 2;
        let Some(block) = bytes.get(start..head.len).filter(|block| block.len() <= MOST) else { return };
        let place = |piece: &[u8]| {
            let at = head::place(block, piece)?;
            Some((u16::try_from(at.start).ok()?, u16::try_from(at.end).ok()?))
        };
        for header in head.headers {
            // An empty value may point anywhere.
            let value = if header.value.is_empty() { Some((0, 0)) } else { place(header.value) };
            let (Some(name), Some(value)) = (place(header.name.as_bytes()), value) else { return };
            self.places.push(Place { name, value });
        }
        let Some((from, to)) = head.fields.host.and_then(place) else { return };
        self.host = usize::from(from)..usize::from(to);
        self.conditional = head.fields.conditional;
        self.settled = head.fields.settled;
        self.block.extend_from_slice(block);
    }
}
