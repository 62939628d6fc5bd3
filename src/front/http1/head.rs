//! The strict head reader (RFC 9112 §2-§6, standards.md §8.4, ruling 26). Every HTTP/1 message passes here
//! before anything else looks at it, and nothing after it judges again.
//!
//! httparse splits the lines; it accepts bare LF, any number of empty lines before the request line, and
//! knows nothing of framing. The rest is ours: line ends here, targets and hosts in [`super::target`], fields in
//! [`super::fields`], and the word for what went wrong in [`super::diagnose`].
//!
//! What is chosen where RFC 9112 leaves a choice: 400 and close for every doubt. One CRLF before a request
//! line is allowed (§2.2 asks for it), a second is not. A minor version above 1 is read as 1.1 (RFC 9110 §2.5).

use super::diagnose::{Fault, diagnose};
use super::fields::{self, Fields};
use super::target::{self, Form};
use crate::front::handler::Limits;
use crate::front::refusal::Refusal;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Longer than any registered method (`UPDATEREDIRECTREF` has 17): 501 (RFC 9112 §3).
const METHOD_MAX: usize = 32;
/// Two spaces, `HTTP/1.1`, CR.
const LINE_REST: usize = 11;
/// hyper refuses longer targets, whatever `limits.url_bytes` says.
pub(super) const TARGET_MAX: usize = 65_000;

/// An accepted head.
#[derive(Debug)]
pub(super) struct Head<'h, 'b> {
    /// Bytes, from the request line to and including the empty line.
    pub len: usize,
    pub method: &'b str,
    pub target: &'b str,
    pub form: Form,
    pub http10: bool,
    pub headers: &'h [httparse::Header<'b>],
    pub fields: Fields<'b>,
}

/// Reads the head that `bytes` begin with. `Ok(None)`: it is not complete, and nothing is wrong so far.
/// `slots`: as many as there may be header lines.
pub(super) fn read<'h, 'b>(
    bytes: &'b [u8],
    slots: &'h mut [MaybeUninit<httparse::Header<'b>>],
    limits: &Limits,
    tls: bool,
) -> Result<Option<Head<'h, 'b>>, Fault> {
    // The parser would skip empty lines without end; the connection has skipped the one that may be there.
    match bytes {
        [b'\r', b'\n', ..] => return Err(Refusal::LeadingEmptyLines.into()),
        [b'\r'] => return Ok(None),
        [b'\r', ..] => return Err(Refusal::BareCr.into()),
        [b'\n', ..] => return Err(Refusal::BareLf.into()),
        _ => {}
    }
    let mut request = httparse::Request::new(&mut []);
    let parsed =
        httparse::ParserConfig::default().parse_request_with_uninit_headers(&mut request, bytes, slots);
    let len = match parsed {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return outgrown(bytes, limits).map_or(Ok(None), |r| Err(r.into())),
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooManyHeaders.into()),
        Err(_) => return Err(diagnose(bytes)),
    };
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version) else {
        return Err(Refusal::Malformed.into());
    };
    let headers: &'h [httparse::Header<'b>] = request.headers;
    if !only_crlf(bytes.get(..len).unwrap_or_default(), headers) {
        return Err(diagnose(bytes));
    }
    if method.len() > METHOD_MAX {
        return Err(Refusal::MethodTooLong.into());
    }
    if target.len() > limits.url_bytes.min(TARGET_MAX) {
        return Err(Refusal::UriTooLong.into());
    }
    if len > limits.request_header_bytes {
        return Err(Refusal::HeadTooLarge.into());
    }
    if method == "CONNECT" || method == "TRACE" {
        return Err(Refusal::MethodNotAllowed.into());
    }
    let http10 = minor == 0;
    let form = target::form(method, target, tls)?;
    let fields = fields::examine(headers, http10)?;
    Ok(Some(Head { len, method, target, form, http10, headers, fields }))
}

/// Whether every line ends in CRLF. The parser takes a bare LF too, and sees to it that no CR stands elsewhere; of what it
/// accepts, each line but the last two is followed by a header line, so it is enough to look before those and at the end.
fn only_crlf(head: &[u8], headers: &[httparse::Header<'_>]) -> bool {
    let ends_before = |name: &str| {
        place(head, name.as_bytes())
            .and_then(|at| head.get(..at.start))
            .is_some_and(|before| before.ends_with(b"\r\n"))
    };
    head.ends_with(b"\r\n\r\n") && headers.iter().all(|header| ends_before(header.name))
}

/// Whether an incomplete head is already longer than allowed.
fn outgrown(bytes: &[u8], limits: &Limits) -> Option<Refusal> {
    let url = limits.url_bytes.min(TARGET_MAX);
    if bytes.len() <= limits.request_header_bytes.min(METHOD_MAX + url + LINE_REST) {
        return None;
    }
    if !bytes.contains(&b'\n') {
        let method = bytes.iter().position(|&b| b == b' ');
        let endless = method.is_none_or(|len| len > METHOD_MAX);
        return Some(if endless { Refusal::MethodTooLong } else { Refusal::UriTooLong });
    }
    (bytes.len() > limits.request_header_bytes).then_some(Refusal::HeadTooLarge)
}

/// Whether a head that was incomplete when `seen` bytes of it were there is worth another look: parsing
/// from the start for every byte that trickles in would be quadratic work for the asking.
pub(super) fn worth_reading(bytes: &[u8], seen: usize, limits: &Limits) -> bool {
    let news = bytes.get(seen.saturating_sub(3)..).unwrap_or_default();
    seen == 0
        || news.windows(2).any(|pair| pair == b"\n\n")
        || news.windows(3).any(|three| three == b"\n\r\n")
        || outgrown(bytes, limits).is_some()
}

/// Where `piece`, which is a part of `block`, stands in it; `None`: it is none, as an empty one may be.
pub(super) fn place(block: &[u8], piece: &[u8]) -> Option<Range<usize>> {
    let from = (piece.as_ptr() as usize).checked_sub(block.as_ptr() as usize)?;
    let to = from.checked_add(piece.len()).filter(|to| *to <= block.len())?;
    Some(from..to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// What the parser accepts has no CR but before an LF, so counting says whether some LF has none.
        #[test]
        fn a_line_that_ends_without_cr_is_never_overlooked(
            pieces in proptest::collection::vec(
                proptest::sample::select(&["X: a", "Y:", "Z : b", "W:  c ", " d", "", "\r\n", "\n", "\r", ": ", "e"][..]),
                0..12,
            ),
        ) {
            let text = format!("GET / HTTP/1.1{}\r\n\r\n", pieces.concat());
            let mut slots = [MaybeUninit::uninit(); 16];
            let mut request = httparse::Request::new(&mut []);
            let parsed = httparse::ParserConfig::default()
                .parse_request_with_uninit_headers(&mut request, text.as_bytes(), &mut slots);
            if let Ok(httparse::Status::Complete(len)) = parsed {
                let head = &text.as_bytes()[..len];
                let count = |wanted: u8| head.iter().filter(|&&byte| byte == wanted).count();
                prop_assert_eq!(only_crlf(head, request.headers), count(b'\r') == count(b'\n'), "{:?}", text);
            }
        }
    }
}
