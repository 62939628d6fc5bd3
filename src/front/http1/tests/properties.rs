//! What must hold for any bytes.

use super::super::diagnose::Fault;
use super::super::framing::{Body, Framing};
use super::super::head::{self, Head};
use crate::front::handler::Limits;
use http::{HeaderName, HeaderValue, Method, Uri};
use proptest::prelude::*;
use std::mem::MaybeUninit;

fn read<T>(bytes: &[u8], then: impl FnOnce(Result<Option<Head<'_, '_>>, Fault>) -> T) -> T {
    let mut slots = [const { MaybeUninit::uninit() }; 100];
    then(head::read(bytes, &mut slots, &Limits::default(), false))
}

fn written(head: &Head<'_, '_>) -> Vec<u8> {
    let minor = if head.http10 { 0 } else { 1 };
    let mut out = format!("{} {} HTTP/1.{minor}\r\n", head.method, head.target).into_bytes();
    for line in head.headers {
        out.extend_from_slice(line.name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(line.value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// Bytes that are nearly a request: pieces of one, some of them wrong, and stray bytes.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: &[&str] = &[
        "GET / HTTP/1.1\r\n",
        "POST /x?y HTTP/1.1\r\n",
        "HEAD * HTTP/1.0\r\n",
        "OPTIONS http://a/b HTTP/1.2\r\n",
        "Host: a\r\n",
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Connection: close\r\n",
        "Upgrade: x\r\n",
        "Expect: 100-continue\r\n",
        "X-Y: z z\t\r\n",
        "X:\r\n",
        "\r\n",
        "\r\n\r\n",
        "\r",
        "\n",
        " ",
        ":",
    ];
    let piece = prop_oneof![
        9 => proptest::sample::select(PIECES).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..5),
    ];
    let request = Just(b"GET /a HTTP/1.1\r\nHost: a\r\n".to_vec());
    let start = prop_oneof![request, Just(Vec::new())];
    (start, proptest::collection::vec(piece, 0..10))
        .prop_map(|(start, pieces)| [start, pieces.concat()].concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_head_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes, |r| r.map(|head| head.is_some()));
    }

    #[test]
    fn an_accepted_head_written_again_reads_the_same_and_hyper_has_nothing_to_refuse(bytes in nearly()) {
        read(&bytes, |result| {
            let Ok(Some(first)) = result else { return Ok(()) };
            prop_assert!(bytes[..first.len].ends_with(b"\r\n\r\n"));
            let again = written(&first);
            read(&again, |result| {
                let second = result.unwrap().unwrap();
                prop_assert_eq!(second.len, again.len());
                prop_assert_eq!((first.method, first.target, first.http10), (second.method, second.target, second.http10));
                prop_assert_eq!(first.headers, second.headers);
                prop_assert_eq!(first.fields.framing, second.fields.framing);
                Ok(())
            })?;
            // What hyper makes of it after us.
            prop_assert!(Method::from_bytes(first.method.as_bytes()).is_ok());
            prop_assert!(first.target.parse::<Uri>().is_ok());
            for line in first.headers {
                prop_assert!(HeaderName::from_bytes(line.name.as_bytes()).is_ok());
                prop_assert!(HeaderValue::from_bytes(line.value).is_ok());
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_head_is_judged_the_same_however_much_follows_it(bytes in nearly(), more in proptest::collection::vec(any::<u8>(), 0..20)) {
        let alone = read(&bytes, |r| r.map(|head| head.map(|h| h.len)));
        if let Ok(Some(len)) = alone {
            let followed = [bytes.clone(), more].concat();
            prop_assert_eq!(read(&followed, |r| r.map(|head| head.map(|h| h.len))), Ok(Some(len)));
            // And it was not complete before.
            prop_assert_eq!(read(&bytes[..len - 1], |r| r.map(|head| head.is_some())), Ok(false));
        }
    }

    #[test]
    fn a_chunked_body_ends_in_the_same_place_however_it_is_cut(
        bytes in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'0'), Just(b'2'), Just(b';'), Just(b'a'), Just(b':')], 0..40),
        cut in 0..40_usize,
    ) {
        let mut whole = Body::new(Framing::Chunked, 100);
        let all = whole.scan(&bytes);
        let mut parts = Body::new(Framing::Chunked, 100);
        let (a, b) = bytes.split_at(cut.min(bytes.len()));
        let in_parts = parts.scan(a).and_then(|n| if n < a.len() { Ok(n) } else { parts.scan(b).map(|m| n + m) });
        prop_assert_eq!(all, in_parts);
    }
}
