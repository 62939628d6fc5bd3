//! Names what is wrong with a head that the parser has refused. Slow and careful: runs once per bad message.
//!
//! httparse says little ("invalid token"), and tolerates some of what we refuse; an operator who looks for the
//! client that sends obs-fold wants the word for it.

use super::framing::{is_text, is_token};
use crate::front::refusal::Refusal;

/// Why the parser stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Refused(Refusal),
    /// `HTTP/1.2` to `HTTP/1.9`, which are to be treated as 1.1 (RFC 9110 §2.5): where the minor digit stands.
    NewerMinor(usize),
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// The first fault of `bytes`, which begin with a request line and may end anywhere.
pub(super) fn diagnose(bytes: &[u8]) -> Fault {
    find(bytes).err().unwrap_or(Fault::Refused(Refusal::Malformed))
}

fn find(bytes: &[u8]) -> Result<(), Fault> {
    let (line, mut rest) = next_line(bytes)?;
    request_line(line, rest.is_some())?;
    let mut first = true;
    while let Some(bytes) = rest {
        let line;
        (line, rest) = next_line(bytes)?;
        if line.is_empty() {
            break;
        }
        header_line(line, first, rest.is_some())?;
        first = false;
    }
    Ok(())
}

/// One line without its CRLF, and what follows it: nothing when the line is not complete.
fn next_line(bytes: &[u8]) -> Result<(&[u8], Option<&[u8]>), Refusal> {
    let Some(end) = bytes.iter().position(|&b| b == b'\r' || b == b'\n') else { return Ok((bytes, None)) };
    let (line, rest) = bytes.split_at(end);
    match rest {
        [b'\r', b'\n', rest @ ..] => Ok((line, Some(rest))),
        [b'\r'] => Ok((line, None)),
        [b'\n', ..] => Err(Refusal::BareLf),
        _ => Err(Refusal::BareCr),
    }
}

fn request_line(line: &[u8], complete: bool) -> Result<(), Fault> {
    let mut words = line.splitn(3, |&b| b == b' ');
    let method = words.next().unwrap_or_default();
    if method.is_empty() && !line.is_empty() {
        return Err(Refusal::BadRequestLine.into());
    }
    if !method.iter().copied().all(is_token) {
        return Err(Refusal::BadMethod.into());
    }
    let target = words.next();
    let version = words.next();
    match target {
        // Two spaces in a row; or an end of line after the first.
        Some([]) if version.is_some() || complete => return Err(Refusal::BadRequestLine.into()),
        Some(target) if !target.iter().all(|&b| b > b' ' && b < 0x7F) => {
            return Err(Refusal::BadTarget.into());
        }
        None if complete => return Err(Refusal::BadRequestLine.into()),
        _ => {}
    }
    match version {
        // Only a version that is there in full can be judged, and HTTP/0.9 has none.
        None if complete => Err(Refusal::BadRequestLine.into()),
        Some(version) if complete || version.len() >= 8 => judge_version(version, line.len()),
        _ => Ok(()),
    }
}

fn judge_version(version: &[u8], line_len: usize) -> Result<(), Fault> {
    if version.contains(&b' ') {
        return Err(Refusal::BadRequestLine.into());
    }
    match version {
        b"HTTP/1.0" | b"HTTP/1.1" => Ok(()),
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9'] => Err(Fault::NewerMinor(line_len - 1)),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(Refusal::VersionNotSupported.into())
        }
        _ => Err(Refusal::BadVersion.into()),
    }
}

fn header_line(line: &[u8], first: bool, complete: bool) -> Result<(), Refusal> {
    if line.starts_with(b" ") || line.starts_with(b"\t") {
        return Err(if first { Refusal::SpaceBeforeFirstHeader } else { Refusal::ObsFold });
    }
    let colon = line.iter().position(|&b| b == b':');
    let name = line.get(..colon.unwrap_or(line.len())).unwrap_or_default();
    if colon.is_some() && (name.ends_with(b" ") || name.ends_with(b"\t")) {
        return Err(Refusal::SpaceBeforeColon);
    }
    let named = !name.is_empty() && name.iter().copied().all(is_token);
    if !named || (colon.is_none() && complete) {
        return Err(Refusal::BadHeaderName);
    }
    let value = colon.and_then(|colon| line.get(colon + 1..)).unwrap_or_default();
    if value.iter().copied().all(is_text) { Ok(()) } else { Err(Refusal::BadHeaderValue) }
}
