//! The lanes give the same answers. The same bytes go to a handler that answers fast, to one that never does, and to one
//! behind hyper alone; the answers must not differ in anything but the order of fields.

use super::support::*;
use crate::front::handler::Limits;
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What the three have been asked and answered.
struct Three {
    fast: (Arc<Script>, Vec<u8>),
    own: (Arc<Script>, Vec<u8>),
    hyper: (Arc<Script>, Vec<u8>),
}

async fn ask_three(input: &str, pipe: usize) -> Three {
    let (fast, own, hyper) = (Script::new(true), Script::new(false), Script::new(false));
    let by_fast = connect_with(&fast, Limits::default(), pipe).talk(input).await;
    let by_own = connect_with(&own, Limits::default(), pipe).talk(input).await;
    let by_hyper = connect_by_hyper(&hyper, pipe).talk(input).await;
    assert_eq!(own.seen.fast.load(Ordering::SeqCst), 0);
    Three { fast: (fast, by_fast), own: (own, by_own), hyper: (hyper, by_hyper) }
}

/// Asserts that all three have done the same; the answers of the first two, and how many were hits.
async fn both(input: &str, pipe: usize) -> (Vec<u8>, Vec<u8>, usize) {
    let Three { fast: (fast, a), own: (own, b), hyper: (hyper, c) } = ask_three(input, pipe).await;
    assert_eq!(fast.refused(), own.refused(), "{input:?}");
    assert_eq!(hyper.refused(), own.refused(), "{input:?}");
    assert_eq!(hyper.handled(), own.handled(), "{input:?}");
    assert_eq!(in_order(&b), in_order(&c), "{input:?}");
    (a, b, fast.seen.fast.load(Ordering::SeqCst))
}

/// All lines and bytes of a stream of answers, whatever the order of the lines.
fn in_order(answers: &[u8]) -> Vec<String> {
    // hyper says `keep-alive` to HTTP/1.0 also where the connection ends: with the answer, or because the handler says so.
    let text = String::from_utf8_lossy(answers).replace("close, keep-alive", "close");
    let mut lines: Vec<String> = text.split("\r\n").map(str::to_owned).collect();
    lines.sort();
    lines.retain(|line| line != "connection: keep-alive");
    lines
}

#[tokio::test]
async fn nine_mixed_requests() {
    use super::conversation::{METHODS, NINE};
    for pipe in [64 * 1024, 1] {
        let (a, b, hits) = both(NINE, pipe).await;
        assert_eq!(replies(&a, &METHODS), replies(&b, &METHODS));
        assert_eq!(hits, 4);
    }
}

/// Lines that were read before are not read again: whatever comes before them, or differs in them, is judged as ever.
#[tokio::test]
async fn the_lines_of_the_last_request_after_another_request_line() {
    const LINES: &str = "Host: a\r\nUser-Agent: x\r\nX:\r\nAccept: */*\r\n\r\n";
    let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(9000));
    for (line, fast) in [
        ("GET /hit/7 HTTP/1.1\r\n", true),
        ("HEAD /hit/7 HTTP/1.1\r\n", true),
        ("GET /hit/2500?a=%20 HTTP/1.1\r\n", false),
        ("GET /miss HTTP/1.1\r\n", false),
        ("POST /hit/7 HTTP/1.1\r\n", false),
        ("get /hit/7 HTTP/1.1\r\n", false),
        ("GET /hit/7 HTTP/1.0\r\n", false),
        ("GET /hit/7 HTTP/1.2\r\n", true),
        ("GET  /hit/7 HTTP/1.1\r\n", false),
        ("GET /hit/7  HTTP/1.1\r\n", false),
        ("GET /hit/7 HTTP/1.1\n", false),
        ("GET /hit/7 HTTP/1.1\r\nX: y\r\n", true),
        ("GET /hit/7 HTTP/1.1\r\nRange: bytes=0-1\r\n", true),
        ("GET /hit/7#x HTTP/1.1\r\n", false),
        ("GET /hit/7\u{e4} HTTP/1.1\r\n", false),
        ("GET hit/7 HTTP/1.1\r\n", false),
        ("GET http://a/hit/7 HTTP/1.1\r\n", false),
        ("GET * HTTP/1.1\r\n", false),
        (&long, false),
    ] {
        let input = format!(
            "GET /hit/1 HTTP/1.1\r\n{LINES}{line}{LINES}GET /hit/2 HTTP/1.1\r\nConnection: close\r\n{LINES}"
        );
        let methods = ["GET", if line.starts_with("HEAD") { "HEAD" } else { "GET" }, "GET"];
        for pipe in [64 * 1024, 1] {
            let (a, b, hits) = both(&input, pipe).await;
            assert_eq!(replies(&a, &methods), replies(&b, &methods), "{line:?}");
            let refused = replies(&a, &methods).len() == 2;
            assert_eq!(hits, 1 + usize::from(fast) + usize::from(!refused), "{line:?}");
        }
    }
}

/// A request, the method and whether the fast lane is meant to take it.
fn request(paths: &'static [&'static str]) -> impl Strategy<Value = (String, &'static str)> {
    let method = prop_oneof![4 => Just("GET"), 1 => Just("HEAD"), 1 => Just("POST"), 1 => Just("PURGE")];
    let path = proptest::sample::select(paths);
    let version = prop_oneof![6 => Just("HTTP/1.1"), 1 => Just("HTTP/1.0"), 1 => Just("HTTP/1.3")];
    let line = prop_oneof![
        Just("User-Agent: x"),
        Just("Accept: */*"),
        Just("Cookie: a=b"),
        Just("Range: bytes=0-1"),
        Just("If-None-Match: \"x\""),
        Just("Cache-Control: no-cache"),
        Just("Pragma: no-cache"),
        Just("Authorization: x"),
        Just("TE: trailers"),
        Just("Connection: keep-alive"),
        Just("Connection: close"),
        Just("Connection: x-thing"),
        Just("Expect: 100-continue"),
        Just("Upgrade: x"),
        Just("Accept-Encoding: gzip"),
        Just("Host: b"),
        Just("X:")
    ];
    let body = prop_oneof![
        6 => Just(String::new()),
        1 => Just("Content-Length: 0\r\n\r\n".to_owned()),
        1 => Just("Content-Length: 3\r\n\r\nabc".to_owned()),
        1 => Just("Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n".to_owned()),
    ];
    (method, path, version, proptest::collection::vec(line, 0..4), body).prop_map(
        |(method, path, version, lines, body)| {
            let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            let body = if body.is_empty() { "\r\n".to_owned() } else { body };
            (format!("{method} {path} {version}\r\nHost: a\r\n{lines}{body}"), method)
        },
    )
}

/// What a handler sees of a request is the same, whoever has read it.
#[tokio::test]
async fn the_request_is_the_same_to_its_last_field() {
    for input in [
        "GET /fields HTTP/1.1\r\nHost: a\r\n",
        "GET /fields?q=%20%7B|^ HTTP/1.1\r\nhOST: a:80\r\nX-Long-Unknown-Name: 1\r\nx:\r\nX: \t y z\t \r\n",
        "GET http://Other.example/fields HTTP/1.1\r\nHost: a\r\nX: caf\u{e9}\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n",
        "OPTIONS http://a HTTP/1.1\r\nHost: a\r\n",
        "DELETE /fields HTTP/1.0\r\nContent-Length: 0\r\nConnection: keep-alive\r\n",
        "M-SEARCH /fields HTTP/1.5\r\nHost: a\r\nUpgrade: x\r\nUPGRADE: y\r\nTE: gzip, Trailers\r\n",
        "GET /fields HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nCookie: a=1\r\nCookie: b=2\r\n",
    ] {
        let input = format!("{input}\r\nGET /hit/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        for pipe in [64 * 1024, 1] {
            both(&input, pipe).await;
        }
    }
}

const PATHS: &[&str] =
    &["/hit/0", "/hit/7", "/hit/2500", "/miss", "/stream", "/echo", "/hints", "http://a/hit/7", "/hit/7?"];
/// These may end the connection or not, depending on what of a body has arrived when.
const CARELESS: &[&str] = &["/ignore", "/early/3000", "/close", "/hit/7", "/hints/at-once", "/drain"];

/// Whether it has a body for a handler that reads none.
fn is_careless(request: &str) -> bool {
    let has_body = !request.ends_with("\r\n\r\n") || request.contains("\r\nTransfer-Encoding");
    has_body && !request.contains(" /echo ")
}

/// See [`in_order`].
fn without_keep_alive(reply: &Reply) -> Reply {
    let mut reply = reply.clone();
    reply.headers.retain(|(name, value)| name != "connection" || value != "keep-alive");
    reply
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_requests_in_any_segments(
        requests in proptest::collection::vec(request(PATHS), 1..6),
        pipe in prop_oneof![Just(64 * 1024_usize), 1..200_usize],
    ) {
        let mut input: String = requests.iter().map(|(text, _)| &**text).collect();
        input.push_str("GET /hit/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let methods: Vec<&str> = requests.iter().map(|(_, method)| *method).chain(["GET"]).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // A body that nobody reads may end the connection or not, depending on what of it has arrived when.
        if requests.iter().any(|(text, _)| is_careless(text)) {
            let Three { fast: (_, a), own: (_, b), hyper: (_, c) } = runtime.block_on(ask_three(&input, pipe));
            let [a, b, c] = [a, b, c].map(|bytes| replies(&bytes, &methods));
            let both = a.iter().zip(&b).chain(b.iter().zip(&c));
            prop_assert!(both.clone().count() >= 2);
            for (one, other) in both {
                prop_assert_eq!(without_keep_alive(one), without_keep_alive(other), "{:?}", input);
            }
        } else {
            let (a, b, _) = runtime.block_on(both(&input, pipe));
            prop_assert_eq!(replies(&a, &methods), replies(&b, &methods));
        }
    }

    #[test]
    fn whatever_a_handler_does_with_bodies_answers_are_whole_and_in_order(
        requests in proptest::collection::vec(request(CARELESS), 1..6),
        pipe in prop_oneof![Just(64 * 1024_usize), 1..200_usize],
    ) {
        let mut input: String = requests.iter().map(|(text, _)| &**text).collect();
        input.push_str("GET /hit/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let methods: Vec<&str> = requests.iter().map(|(_, method)| *method).chain(["GET"]).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let got = runtime.block_on(async {
            connect_with(&Script::new(true), Limits::default(), pipe).talk(&input).await
        });
        // Taking them apart fails where one is torn.
        let got: Vec<Reply> = replies(&got, &methods).into_iter().filter(|r| r.status >= 200).collect();
        prop_assert!(!got.is_empty());
        for ((request, method), reply) in requests.iter().zip(&got) {
            let length = reply.header("content-length").map(|length| length.parse::<usize>().unwrap());
            if let Some(length) = length.filter(|_| *method != "HEAD") {
                prop_assert_eq!(reply.body.len(), length, "{}", request);
            }
        }
    }

    /// Chunk sizes, frames that are not ready, framing, status, version: what a client reads is byte by byte the same.
    #[test]
    fn any_body_in_any_pieces_reads_as_from_hyper(
        (method, status, version) in (
            prop_oneof![4 => Just("GET"), 1 => Just("HEAD")],
            prop_oneof![6 => Just(200), 1 => Just(404), 1 => Just(204), 1 => Just(304), 1 => Just(599)],
            prop_oneof![4 => Just("HTTP/1.1"), 1 => Just("HTTP/1.0")],
        ),
        sizes in proptest::collection::vec(
            prop_oneof![3 => 1..20_usize, 1 => 2040..2060_usize, 1 => Just(0), 1 => 60_000..70_000_usize, 3 => Just(usize::MAX)],
            0..8,
        ),
        facts in proptest::sample::subsequence(vec!["exact", "end", "trailer", "close", "chunked", "link", "length"], 0..7),
        line in prop_oneof![Just(""), Just("Connection: keep-alive\r\n"), Just("TE: trailers\r\n"), Just("Connection: close\r\n")],
        trailers in any::<bool>(),
        pipe in prop_oneof![Just(64 * 1024_usize), 100..3000_usize],
    ) {
        let total: usize = sizes.iter().filter(|&&size| size != usize::MAX).sum();
        // Here, whoever says `chunked` of what has a length is not listened to; and no 204 has a length.
        let framed = facts.contains(&"chunked") || status == 204;
        let facts: Vec<String> = facts.iter().filter_map(|&fact| match fact {
            "exact" | "end" | "length" if framed => None,
            "length" => Some(format!("length={total}")),
            fact => Some(fact.to_owned()),
        }).collect();
        let op = |&size: &usize| if size == usize::MAX { "p".to_owned() } else { size.to_string() };
        let mut ops: Vec<String> = sizes.iter().map(op).collect();
        if trailers {
            ops.push("t".to_owned());
        }
        let input = format!(
            "{method} /pieces/{status}/{}?{} {version}\r\nHost: a\r\n{line}\r\nGET /hit/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            ops.join(","),
            facts.join("&"),
        );
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(both(&input, pipe));
    }
}
