//! Records as bytes: JSON with a version. The selectors themselves are in it and not their hashes, so that nodes of
//! different releases, which may hash differently, understand each other during a rolling upgrade.

use super::{Body, Stamp};
use crate::purge::Purge;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Raised when a record must not be understood by older nodes, for instance because it would select less to them.
/// To them it is a gap then.
pub const VERSION: u16 = 1;

/// Bytes of one record: a purge call of 10,000 selectors of 1 KiB fits.
pub const MAX_RECORD_BYTES: usize = 16 * 1024 * 1024;

#[derive(Serialize)]
struct Written<'a> {
    v: u16,
    node: u64,
    seqs: &'a [u64],
    body: WrittenBody<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum WrittenBody<'a> {
    Purge(&'a Purge),
    Barrier,
    Mark,
}

#[derive(Deserialize)]
struct Version {
    v: u16,
}

#[derive(Deserialize)]
struct Parsed {
    node: u64,
    seqs: Vec<u64>,
    body: ParsedBody,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum ParsedBody {
    Purge(Box<Purge>),
    Barrier,
    Mark,
}

/// A purge that would exceed the limit is written as one of everything, in its mode. `None` only for an unreadable
/// body, which nobody appends.
pub fn encode(by: &Stamp, body: &Body) -> Option<Vec<u8>> {
    match body {
        Body::Purge(purge) => write(by, WrittenBody::Purge(purge))
            .or_else(|| write(by, WrittenBody::Purge(&Purge::everything(purge.mode)))),
        Body::Barrier => write(by, WrittenBody::Barrier),
        Body::Mark => write(by, WrittenBody::Mark),
        Body::Unreadable => None,
    }
}

fn write(by: &Stamp, body: WrittenBody<'_>) -> Option<Vec<u8>> {
    let written = Written { v: VERSION, node: by.node, seqs: &by.seqs, body };
    serde_json::to_vec(&written).ok().filter(|bytes| bytes.len() <= MAX_RECORD_BYTES)
}

/// Never fails: what can't be read is a body that says so, and a gap to the follower.
pub fn decode(bytes: &[u8]) -> (Stamp, Body) {
    let unreadable = (Stamp::default(), Body::Unreadable);
    if bytes.len() > MAX_RECORD_BYTES {
        return unreadable;
    }
    match serde_json::from_slice::<Version>(bytes) {
        Ok(Version { v: VERSION }) => {}
        _ => return unreadable,
    }
    let Ok(Parsed { node, seqs, body }) = serde_json::from_slice(bytes) else { return unreadable };
    let body = match body {
        ParsedBody::Purge(purge) => Body::Purge(Arc::from(purge)),
        ParsedBody::Barrier => Body::Barrier,
        ParsedBody::Mark => Body::Mark,
    };
    (Stamp { node, seqs }, body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::purge::predicate::Pattern;
    use crate::purge::{Cause, Mode, Predicate, PredicateSpec, Selector};

    #[test]
    fn records_come_back_as_they_were_written() {
        let purge = Purge {
            mode: Mode::Soft,
            selectors: vec![
                Selector::tag("a"),
                Selector::url("https://e/x?y").unwrap(),
                Selector::group("https://e", "g").unwrap(),
                Selector::Everything,
            ],
            predicates: vec![
                Predicate::compile(PredicateSpec {
                    url: Some(Pattern::Regex("^/x".into())),
                    ..PredicateSpec::default()
                })
                .unwrap(),
            ],
            who: "deploy".into(),
            cause: Cause::Write,
        };
        for body in [Body::Purge(Arc::new(purge)), Body::Barrier, Body::Mark] {
            let by = Stamp { node: u64::MAX, seqs: vec![1, 2] };
            let bytes = encode(&by, &body).unwrap();
            assert_eq!(decode(&bytes), (by, body));
        }
        assert_eq!(encode(&Stamp::default(), &Body::Unreadable), None);
    }

    #[test]
    fn what_is_too_long_for_a_record_becomes_a_purge_of_everything() {
        let selectors = vec![Selector::Tag("x".repeat(MAX_RECORD_BYTES))];
        let body = Body::Purge(Arc::new(Purge::new(Mode::Soft, selectors)));
        let (_, read) = decode(&encode(&Stamp::default(), &body).unwrap());
        assert_eq!(read, Body::Purge(Arc::new(Purge::everything(Mode::Soft))));
    }

    #[test]
    fn what_an_older_node_does_not_understand_is_unreadable_to_it() {
        let table: &[&[u8]] = &[
            b"",
            b"{}",
            b"nonsense",
            b"\xff",
            br#"{"v":2,"node":1,"seqs":[],"body":"mark"}"#,
            br#"{"v":1,"node":1,"seqs":[]}"#,
            br#"{"v":1,"node":1,"seqs":[],"body":"fence"}"#,
            br#"{"v":1,"node":1,"seqs":[],"body":{"purge":{"mode":"hard","selectors":[{"colour":"red"}]}}}"#,
            br#"{"v":1,"node":1,"seqs":[],"body":{"purge":{"mode":"gentle","selectors":[]}}}"#,
            br#"{"v":1,"node":1,"seqs":[],"body":{"purge":{"mode":"hard","selectors":[],"predicates":[{"url":{"regex":"("}}]}}}"#,
            br#"{"v":1,"node":1,"seqs":[],"body":{"purge":{"mode":"hard","selectors":[],"predicates":[{"size":{"regex":"x"}}]}}}"#,
        ];
        for bytes in table {
            assert_eq!(decode(bytes).1, Body::Unreadable, "{}", String::from_utf8_lossy(bytes));
        }
        let more =
            br#"{"v":1,"node":1,"note":"x","seqs":[],"body":{"purge":{"mode":"hard","selectors":["everything"],"why":"y"}}}"#;
        assert_eq!(decode(more).1, Body::Purge(Arc::new(Purge::everything(Mode::Hard))));
    }
}
