//! Request heads that no well-behaved client sends, in raw frames: who refuses which, `h2` or we.

use super::*;

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// The handler got it.
    Handled,
    /// We answered instead.
    Refused(Refusal),
    /// `h2` reset the stream or ended the connection, or answered 431 itself.
    ByH2(&'static str),
}

/// Sends one raw request on a connection of its own.
async fn outcome(raw: &[u8], limits: Limits) -> Outcome {
    let handled = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&handled);
    let handler = Script::new(move |request: Request<InBody>, _, _| {
        let count = Arc::clone(&count);
        async move {
            // A body whose length lies is no request either.
            if request.into_body().collect().await.is_ok() {
                count.fetch_add(1, Ordering::SeqCst);
            }
            ok("")
        }
    });
    let (mut io, _server, _drain) = serve_in_memory(Arc::clone(&handler), limits, 1 << 20);
    let mut out = PREFACE.to_vec();
    out.extend(frame(4, 0, 0, &[]));
    out.extend(raw);
    io.write_all(&out).await.unwrap();
    let seen = loop {
        let mut head = [0; 9];
        io.read_exact(&mut head).await.expect("the server says something before it closes");
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        io.read_exact(&mut payload).await.unwrap();
        match head[3] {
            1 => break "answer",
            3 => break "reset",
            7 => break "goaway",
            _ => {}
        }
    };
    match (handler.refused().as_slice(), handled.load(Ordering::SeqCst)) {
        ([refusal], 0) => Outcome::Refused(*refusal),
        ([], 1) => Outcome::Handled,
        ([], 0) => Outcome::ByH2(seen),
        other => panic!("{other:?}"),
    }
}

async fn outcome_of(fields: &[Field<'_>]) -> Outcome {
    outcome(&headers(1, true, fields), Limits::default()).await
}

#[tokio::test]
async fn well_formed_heads_reach_the_handler() {
    for more in [&[][..], &[("te", "trailers")], &[("host", "A.com:80")], &[("x", "a b")], &[("x", "")]] {
        assert_eq!(outcome_of(&get(more)).await, Outcome::Handled, "{more:?}");
    }
    let no_authority: &[Field] =
        &[(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b"host", b"a.com")];
    assert_eq!(outcome_of(no_authority).await, Outcome::Handled);
}

/// RFC 9113 §8.2.1, §8.2.2, §8.3.1, §8.1.1: malformed requests are never forwarded. This part `h2` does; the
/// test is here to notice if it stops.
#[tokio::test]
async fn what_h2_refuses() {
    for (more, seen) in [
        (("X-Upper", "1"), "goaway"),
        (("a b", "1"), "goaway"),
        (("a: b", "1"), "goaway"),
        (("", "1"), "goaway"),
        (("x", "a\rb"), "goaway"),
        (("x", "a\nb"), "goaway"),
        (("x", "a\0b"), "goaway"),
        (("x", "a\x07b"), "goaway"),
        (("x", "a\x7fb"), "goaway"),
        ((":foo", "1"), "goaway"),
        ((":path", "/second"), "reset"),
        ((":authority", "b.com"), "reset"),
        ((":status", "200"), "reset"),
        ((":protocol", "websocket"), "reset"),
        (("connection", "close"), "reset"),
        (("keep-alive", "1"), "reset"),
        (("proxy-connection", "close"), "reset"),
        (("transfer-encoding", "chunked"), "reset"),
        (("upgrade", "websocket"), "reset"),
        (("te", "gzip"), "reset"),
        (("te", "trailers, gzip"), "reset"),
        (("content-length", "1"), "reset"),
        (("content-length", "+0"), "reset"),
        (("content-length", "0x0"), "reset"),
    ] {
        assert_eq!(outcome_of(&get(&[more])).await, Outcome::ByH2(seen), "{more:?}");
    }
    assert_eq!(
        outcome_of(&get(&[("x", "1"), (":path", "/")])).await,
        Outcome::ByH2("reset"),
        "pseudo after regular"
    );
    let pseudo = |method: &'static [u8], path: &'static [u8]| -> Vec<Field<'static>> {
        vec![(b":method", method), (b":scheme", b"http"), (b":path", path), (b":authority", b"a.com")]
    };
    for (method, path, seen) in [
        (&b"GET / HTTP/1.1\r\nX"[..], &b"/"[..], "goaway"),
        (b"G T", b"/", "goaway"),
        (b"", b"/", "goaway"),
        (b"GET", b"", "reset"),
        (b"GET", b"/a b", "reset"),
        (b"GET", b"/a\r\nX: y", "reset"),
        (b"GET", b"/a\0", "reset"),
        (b"GET", b"a", "reset"),
        (b"GET", b"http://b.com/", "reset"),
        (b"GET", b"/\xff", "goaway"),
    ] {
        assert_eq!(outcome_of(&pseudo(method, path)).await, Outcome::ByH2(seen), "{method:?} {path:?}");
    }
    for missing in 0..3 {
        let mut fields = get(&[]);
        fields.remove(missing);
        assert_eq!(outcome_of(&fields).await, Outcome::ByH2("reset"), "{missing}");
    }
}

/// The part that is ours.
#[tokio::test]
async fn what_we_refuse() {
    use Refusal::*;
    for (more, refusal) in [
        (&[("host", "b.com")][..], BadHost),
        (&[("host", "a.com:81")], BadHost),
        (&[("host", "")], BadHost),
        (&[("host", "a.com"), ("host", "a.com")], RepeatedHost),
        (&[("x", " a")], BadHeaderValue),
        (&[("x", "a ")], BadHeaderValue),
        (&[("x", "\ta")], BadHeaderValue),
        (&[("x", " ")], BadHeaderValue),
        (&[("content-length", "")], BadContentLength),
        (&[("content-length", "00")], BadContentLength),
        (&[("content-length", "0"), ("content-length", "0")], RepeatedContentLength),
        (&[("transfer_encoding", "chunked")], FramingLookalike),
        (&[("content_length", "5")], FramingLookalike),
        (&[("expect", "200-ok")], Expectation),
    ] {
        assert_eq!(outcome_of(&get(more)).await, Outcome::Refused(refusal), "{more:?}");
    }
    let with = |method: &'static str, scheme: &'static str, path: &'static str, authority: &'static str| {
        let fields: Vec<Field> = vec![
            (b":method", method.as_bytes()),
            (b":scheme", scheme.as_bytes()),
            (b":path", path.as_bytes()),
            (b":authority", authority.as_bytes()),
        ];
        fields
    };
    for (method, scheme, path, authority, refusal) in [
        ("GET", "http", "/", "user@a.com", BadHost),
        ("GET", "ftp", "/", "a.com", SchemeMismatch),
        ("GET", "http", "/ä", "a.com", BadTarget),
        ("GET", "http", "/a%00", "a.com", BadTarget),
        ("GET", "http", "*", "a.com", BadTarget),
        ("GET", "http", "?x", "a.com", BadTarget),
        ("TRACE", "http", "/", "a.com", MethodNotAllowed),
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZ", "http", "/", "a.com", MethodTooLong),
    ] {
        let outcome = outcome_of(&with(method, scheme, path, authority)).await;
        assert_eq!(outcome, Outcome::Refused(refusal), "{method} {scheme} {path} {authority}");
    }
    assert_eq!(outcome_of(&with("OPTIONS", "http", "*", "a.com")).await, Outcome::Handled);
    let connect: &[Field] = &[(b":method", b"CONNECT"), (b":authority", b"a.com:443")];
    assert_eq!(outcome_of(connect).await, Outcome::Refused(MethodNotAllowed));
    let no_host: &[Field] = &[(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/")];
    assert_eq!(outcome_of(no_host).await, Outcome::Refused(MissingHost));
}

/// RFC 9113 §8.3.1 calls this malformed, but `h2` makes `/` of it before we see it (see `head`).
#[tokio::test]
async fn a_missing_path_without_an_authority_is_the_root() {
    let no_path: &[Field] = &[(b":method", b"GET"), (b":scheme", b"http"), (b"host", b"a.com")];
    assert_eq!(outcome_of(no_path).await, Outcome::Handled);
}

/// A fragment never gets anywhere: `h2` cuts it off.
#[tokio::test]
async fn a_fragment_is_cut_off() {
    let handler = Script::new(|request: Request<InBody>, _, _| async move { ok(request.uri().to_string()) });
    let (mut io, _server, _drain) = serve_in_memory(handler, Limits::default(), 1 << 20);
    let mut out = PREFACE.to_vec();
    out.extend(frame(4, 0, 0, &[]));
    out.extend(headers(
        1,
        true,
        &[(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/a#b"), (b":authority", b"a")],
    ));
    io.write_all(&out).await.unwrap();
    let mut got = Vec::new();
    while !got.ends_with(b"http://a/a") {
        assert_ne!(io.read_buf(&mut got).await.unwrap(), 0, "{:?}", String::from_utf8_lossy(&got));
    }
}

/// RFC 9113 §8.1.1: content-length is the sum of DATA.
#[tokio::test]
async fn a_body_whose_length_lies_is_no_request() {
    for (announced, sent) in [("5", "abc"), ("2", "abc")] {
        let mut raw = headers(1, false, &get(&[("content-length", announced)]));
        raw.extend(frame(0, 1, 1, sent.as_bytes()));
        assert_eq!(outcome(&raw, Limits::default()).await, Outcome::ByH2("reset"), "{announced} for {sent}");
    }
    let mut raw = headers(1, false, &get(&[("content-length", "3")]));
    raw.extend(frame(0, 1, 1, b"abc"));
    assert_eq!(outcome(&raw, Limits::default()).await, Outcome::Handled);
}

/// 414 and 431: the same limits as in HTTP/1.
#[tokio::test]
async fn limits_on_the_head() {
    let limits =
        || Limits { url_bytes: 100, request_header_bytes: 1000, request_headers: 5, ..Limits::default() };
    let path = |length: usize| format!("/{}", "a".repeat(length - 1));
    let ask = |path: String, more: Vec<(String, String)>| async move {
        let mut fields = get(&[]);
        fields[2].1 = path.as_bytes();
        fields.extend(more.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())));
        outcome(&headers(1, true, &fields), limits()).await
    };
    assert_eq!(ask(path(100), vec![]).await, Outcome::Handled);
    assert_eq!(ask(path(101), vec![]).await, Outcome::Refused(Refusal::UriTooLong));
    let big = |size: usize| vec![("x".to_owned(), "v".repeat(size))];
    assert_eq!(ask(path(1), big(900)).await, Outcome::Handled);
    assert_eq!(ask(path(1), big(1000)).await, Outcome::Refused(Refusal::HeadTooLarge));
    assert_eq!(ask(path(1), big(3000)).await, Outcome::ByH2("answer"), "h2's own 431");
    assert_eq!(ask(path(1), big(60_000)).await, Outcome::ByH2("goaway"), "CVE-2024-27316, HPACK bombs");
    let many = |n: usize| (0..n).map(|i| (format!("x{i}"), String::new())).collect::<Vec<_>>();
    assert_eq!(ask(path(1), many(5)).await, Outcome::Handled);
    assert_eq!(ask(path(1), many(6)).await, Outcome::Refused(Refusal::TooManyHeaders));
    let crumbs = vec![("cookie".to_owned(), "a=1".to_owned()); 9];
    assert_eq!(ask(path(1), crumbs).await, Outcome::Handled, "crumbs are one field");
}
