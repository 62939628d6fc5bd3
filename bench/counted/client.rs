//! The client's end of an HTTP/1.1 connection, as the connection sees it: one request after the other, the next when the last
//! has its answer.

use crate::{Case, Span, origin};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Where a number stands in a target.
const DIGITS: usize = 8;

pub struct Client {
    /// Sent by turns.
    requests: [Vec<u8>; 2],
    /// Where in them the number of the request goes.
    number_at: Option<usize>,
    /// What was asked for before the counted requests is not asked for again.
    first_number: u64,
    left: u64,
    /// The last request has its answer. Where only the connection is counted, it has it at once.
    answered: bool,
    waits_for_answer: bool,
    /// It has been asked for the next request, and had none.
    waited: bool,
    reader: Option<Waker>,
    last: Arc<Mutex<Vec<u8>>>,
}

impl Client {
    pub fn new(case: &Case, left: u64, last: Arc<Mutex<Vec<u8>>>) -> Self {
        // A store is not filled by a request with conditions or ranges.
        let partial = case.lines.iter().any(|part| part.starts_with("If-") || part.starts_with("Range"));
        let lines = if case.status.is_empty() && partial { ["", ""] } else { case.lines };
        let path = case.path;
        let number = if case.numbered { format!("/{:0DIGITS$}", 0) } else { String::new() };
        let request = |more: &str| {
            let [a, b] = lines;
            format!("GET {path}{number} HTTP/1.1\r\nHost: shop.example.com\r\n{a}{b}{more}\r\n").into_bytes()
        };
        let requests = if case.mixed {
            ["a", "b"].map(|turn| request(&format!("Referer-Page: {turn}\r\n")))
        } else {
            [request(""), request("")]
        };
        Self {
            requests,
            number_at: case.numbered.then_some("GET ".len() + path.len() + 1),
            first_number: u64::from(!case.status.is_empty()),
            left,
            answered: true,
            waits_for_answer: case.span == Span::Thread,
            waited: false,
            reader: None,
            last,
        }
    }

    fn take(&mut self) -> &[u8] {
        self.left -= 1;
        let mut number = self.left + self.first_number;
        let [even, odd] = &mut self.requests;
        let request = if self.left.is_multiple_of(2) { even } else { odd };
        if let Some(at) = self.number_at {
            for digit in request.iter_mut().skip(at).take(DIGITS).rev() {
                *digit = b'0' + (number % 10) as u8;
                number /= 10;
            }
        }
        request
    }
}

impl AsyncRead for Client {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.answered {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if self.left == 0 {
            return Poll::Ready(Ok(()));
        }
        if !std::mem::replace(&mut self.waited, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.waited = false;
        self.answered = !self.waits_for_answer;
        out.put_slice(self.take());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Client {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.left == 0
            && let Ok(mut last) = self.last.lock()
        {
            slices.iter().for_each(|slice| last.extend_from_slice(slice));
        }
        let end = slices.iter().rev().find_map(|slice| slice.last());
        if !self.answered && end == Some(&origin::END) {
            self.answered = true;
            if let Some(reader) = self.reader.take() {
                reader.wake();
            }
        }
        Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()))
    }
    fn is_write_vectored(&self) -> bool {
        true
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
