//! One table per attack of the design page "standards", §8.1, §8.3 and §8.5.

use super::*;
use http::Request;
use std::net::SocketAddr;

const PROXY: &str = "10.0.0.1:1000";
const CLIENT: &str = "192.0.2.7:1000";

fn conn(peer: &str) -> Conn {
    let at = |a: &str| a.parse::<SocketAddr>().unwrap();
    Conn { peer: at(peer), local: at("198.51.100.1:8080"), tls: false, sni: None }
}

fn settings() -> Settings {
    Settings {
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
        server_name: "larder".into(),
        node_id: "n1".into(),
        hosts: Vec::new(),
    }
}

fn parts(method: &str, target: &str, lines: &[(&'static str, &str)]) -> request::Parts {
    let mut request =
        Request::builder().method(method).uri(target).version(Version::HTTP_11).body(()).unwrap();
    if !lines.iter().any(|(n, _)| *n == "host") {
        request.headers_mut().insert("host", HeaderValue::from_static("a.com"));
    }
    for (name, value) in lines {
        request.headers_mut().append(*name, HeaderValue::from_str(value).unwrap());
    }
    request.into_parts().0
}

fn get(lines: &[(&'static str, &str)], peer: &str) -> Normal {
    normalise(parts("GET", "/", lines), &conn(peer), &settings()).unwrap()
}

fn all<'a>(normal: &'a Normal, name: &str) -> Vec<&'a str> {
    normal.headers.get_all(name).iter().map(|v| v.to_str().unwrap()).collect()
}

/// §8.1 unkeyed forwarding headers: what an untrusted peer says never reaches the origin.
#[test]
fn an_untrusted_peers_forwarding_headers_are_replaced_or_removed() {
    for name in [
        "x-forwarded-host",
        "x-forwarded-scheme",
        "x-forwarded-proto",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-server",
        "x-forwarded-ssl",
        "x-forwarded-for",
        "x-forwarded-anything-new",
        "x-host",
        "x-original-url",
        "x-original-host",
        "x-rewrite-url",
        "x-real-ip",
        "client-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "true-client-ip",
        "front-end-https",
        "forwarded",
        "x_forwarded_host",
        "x-forwarded_host",
        "x_rewrite_url",
        "proxy",
    ] {
        let normal = get(&[(name, "evil")], CLIENT);
        assert!(
            normal.headers.values().all(|v| !v.to_str().unwrap().contains("evil")),
            "{name}: {:?}",
            normal.headers
        );
        assert_eq!(
            (normal.host.as_str(), normal.scheme, normal.trusted_peer),
            ("a.com", Scheme::Http, false)
        );
    }
}

/// §8.1 and the interface page: the origin always gets our own values.
#[test]
fn the_origin_gets_our_own_values() {
    let normal =
        get(&[("x-forwarded-for", "6.6.6.6"), ("forwarded", "for=6.6.6.6"), ("via", "1.0 x")], CLIENT);
    assert_eq!(all(&normal, "host"), ["a.com"]);
    assert_eq!(all(&normal, "x-forwarded-for"), ["192.0.2.7"]);
    assert_eq!(all(&normal, "x-forwarded-proto"), ["http"]);
    assert_eq!(all(&normal, "x-forwarded-host"), ["a.com"]);
    assert_eq!(all(&normal, "forwarded"), ["for=192.0.2.7;host=a.com;proto=http"]);
    assert_eq!(all(&normal, "via"), ["1.0 x", "1.1 larder"]);
    assert_eq!(all(&normal, "cdn-loop"), ["larder;id=n1"]);
    assert_eq!(normal.client.to_string(), "192.0.2.7");
}

/// Ruling 1: whoever relays for somebody unknown never qualifies for `purge_from`.
#[test]
fn an_untrusted_relay_is_marked() {
    for name in ["forwarded", "x-forwarded-for", "via"] {
        assert!(get(&[(name, "x")], CLIENT).forwarded_for_untrusted, "{name}");
        assert!(get(&[(name, "x"), ("connection", name)], CLIENT).forwarded_for_untrusted, "{name} hidden");
        assert!(!get(&[(name, "x")], PROXY).forwarded_for_untrusted, "{name} from a trusted one");
    }
    assert!(!get(&[], CLIENT).forwarded_for_untrusted);
}

/// Ruling 5.
#[test]
fn a_trusted_peer_sets_client_scheme_and_host() {
    let lines = [
        ("x-forwarded-for", "6.6.6.6, 192.0.2.9"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "Shop.Example.com:443"),
        ("x-forwarded-port", "443"),
        ("x-request-id", "abc-1"),
    ];
    let normal = get(&lines, PROXY);
    assert_eq!(normal.client.to_string(), "192.0.2.9");
    assert_eq!((normal.scheme, normal.host.as_str()), (Scheme::Https, "shop.example.com"));
    assert_eq!(all(&normal, "host"), ["shop.example.com"]);
    assert_eq!(all(&normal, "x-forwarded-for"), ["6.6.6.6, 192.0.2.9, 10.0.0.1"]);
    assert_eq!(all(&normal, "x-forwarded-host"), ["shop.example.com"]);
    assert_eq!(all(&normal, "x-forwarded-proto"), ["https"]);
    assert_eq!(all(&normal, "x-forwarded-port"), Vec::<&str>::new());
    assert_eq!(all(&normal, "forwarded"), ["for=192.0.2.9;host=shop.example.com;proto=https"]);
    assert_eq!((normal.request_id.as_str(), normal.trusted_peer), ("abc-1", true));

    let normal = get(&[("forwarded", "for=\"[2001:db8::9]\";proto=https;host=b.com")], PROXY);
    assert_eq!((normal.scheme, normal.host.as_str()), (Scheme::Https, "b.com"));
    assert_eq!(all(&normal, "x-forwarded-for"), ["2001:db8::9, 10.0.0.1"]);

    let mapped = get(&[("x-forwarded-for", "192.0.2.9")], "[::ffff:10.0.0.1]:9");
    assert!(mapped.trusted_peer, "an IPv4 proxy on a dual-stack socket");

    let bad = parts("GET", "/", &[("x-forwarded-host", "a@b")]);
    assert_eq!(normalise(bad, &conn(PROXY), &settings()).unwrap_err(), Refusal::BadHost);
}

/// §8.3 HMO, §8.1 X-Original-URL: another method or resource than the keyed one is never asked for, not even
/// through a trusted proxy, which passes a client's fields on unread.
#[test]
fn method_and_target_overrides_are_dropped_whoever_sent_them() {
    for name in [
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
        "x_http_method_override",
        "x-original-url",
        "x-rewrite-url",
    ] {
        for peer in [CLIENT, PROXY] {
            assert!(all(&get(&[(name, "DELETE")], peer), name).is_empty(), "{name} from {peer}");
        }
    }
}

/// §8.4: an underscore must not smuggle framing past us.
#[test]
fn underscored_framing_fields_are_dropped() {
    let normal =
        get(&[("transfer_encoding", "chunked"), ("content_length", "5"), ("x_harmless", "1")], CLIENT);
    assert!(all(&normal, "transfer_encoding").is_empty() && all(&normal, "content_length").is_empty());
    assert_eq!(all(&normal, "x_harmless"), ["1"]);
}

/// §8.1 host and port in key.
#[test]
fn the_host_is_normalised_before_keying_and_forwarding() {
    for (sent, tls, expected) in [
        ("EX.com:443", true, "ex.com"),
        ("EX.com:443", false, "ex.com:443"),
        ("ex.com.", false, "ex.com"),
        ("ex.com:8080", false, "ex.com:8080"),
        ("[::1]:80", false, "[::1]"),
    ] {
        let conn = Conn { tls, ..conn(CLIENT) };
        let normal = normalise(parts("GET", "/", &[("host", sent)]), &conn, &settings()).unwrap();
        assert_eq!(normal.host, expected, "{sent}");
        assert_eq!(all(&normal, "host"), [expected]);
    }
}

/// §8.5 Host (RFC 9112 §3.2).
#[test]
fn a_bad_host_is_refused() {
    for bad in ["a@b", "a/b", "a,b", "", "[::1", "a b", "a:99999", "a..b"] {
        let refused = normalise(parts("GET", "/", &[("host", bad)]), &conn(CLIENT), &settings());
        assert_eq!(refused.unwrap_err(), Refusal::BadHost, "{bad:?}");
    }
    let two = parts("GET", "/", &[("host", "a.com"), ("host", "a.com")]);
    assert_eq!(normalise(two, &conn(CLIENT), &settings()).unwrap_err(), Refusal::RepeatedHost);
    let two = parts("GET", "http://a.com/", &[("host", "a.com"), ("host", "b.com")]);
    assert_eq!(normalise(two, &conn(CLIENT), &settings()).unwrap_err(), Refusal::RepeatedHost);

    let mut none = parts("GET", "/", &[]);
    none.headers.clear();
    assert_eq!(normalise(none.clone(), &conn(CLIENT), &settings()).unwrap_err(), Refusal::MissingHost);
    none.version = Version::HTTP_10;
    let normal = normalise(none, &conn(CLIENT), &settings()).unwrap();
    assert_eq!(normal.host, "198.51.100.1:8080", "an HTTP/1.0 client means where it connected to");
    assert_eq!(all(&normal, "via"), ["1.0 larder"]);
}

/// RFC 9112 §3.2.2: the target's authority replaces `Host`; §8.5: the scheme must be the connection's.
#[test]
fn absolute_form() {
    let normal =
        normalise(parts("GET", "http://Evil.com/x?y", &[("host", "good.com")]), &conn(CLIENT), &settings())
            .unwrap();
    assert_eq!((normal.host.as_str(), normal.path.as_str()), ("evil.com", "/x"));
    assert_eq!(normal.query.as_deref(), Some("y"));
    assert_eq!(all(&normal, "host"), ["evil.com"]);
    for (target, refusal) in [
        ("https://good.com/", Refusal::SchemeMismatch),
        ("ftp://x/", Refusal::SchemeMismatch),
        ("http://user@good.com/", Refusal::BadHost),
    ] {
        let refused = normalise(parts("GET", target, &[]), &conn(CLIENT), &settings());
        assert_eq!(refused.unwrap_err(), refusal, "{target}");
    }
    let behind = parts("GET", "https://good.com/", &[("x-forwarded-proto", "https")]);
    assert_eq!(normalise(behind, &conn(PROXY), &settings()).unwrap().scheme, Scheme::Https);
}

/// §8.5: CONNECT and TRACE are never forwarded.
#[test]
fn connect_and_trace_are_refused() {
    for (method, target) in [("TRACE", "/"), ("CONNECT", "a.com:443")] {
        let refused = normalise(parts(method, target, &[]), &conn(CLIENT), &settings());
        assert_eq!(refused.unwrap_err(), Refusal::MethodNotAllowed);
    }
}

/// §8.1 key normalisation mismatch, §8.5 paths (RFC 9110 §7.7): bytes as sent.
#[test]
fn the_path_is_opaque() {
    for target in
        ["/", "//x", "/a%2fb", "/%41", "/a/../b", "/a;b.css", "/%zz", "/a%23b", "/x$$host=b", "/a\\b"]
    {
        let normal = normalise(parts("GET", target, &[]), &conn(CLIENT), &settings()).unwrap();
        assert_eq!((normal.path.as_str(), normal.query), (target, None));
    }
    let normal = normalise(parts("GET", "/?a=1&utm_x=1%26a=2;c??", &[]), &conn(CLIENT), &settings()).unwrap();
    assert_eq!((normal.path.as_str(), normal.query.as_deref()), ("/", Some("a=1&utm_x=1%26a=2;c??")));
    let normal = normalise(parts("GET", "/x?", &[]), &conn(CLIENT), &settings()).unwrap();
    assert_eq!(normal.query.as_deref(), Some(""));
}

/// §8.2 delimiters, §8.5 paths.
#[test]
fn targets() {
    for (target, method, good) in [
        ("/a?b", Method::GET, true),
        ("/?x=%00", Method::GET, true),
        ("*", Method::OPTIONS, true),
        ("*", Method::GET, false),
        ("", Method::GET, false),
        ("a", Method::GET, false),
        ("?a", Method::GET, false),
        ("/a#b", Method::GET, false),
        ("/a b", Method::GET, false),
        ("/a\tb", Method::GET, false),
        ("/a\r\nX: y", Method::GET, false),
        ("/a\0b", Method::GET, false),
        ("/a\u{7f}b", Method::GET, false),
        ("/ä", Method::GET, false),
        ("/account%00.css", Method::GET, false),
    ] {
        assert_eq!(check_target(target, &method).is_ok(), good, "{target:?}");
    }
    assert_eq!(check_target("/a#b", &Method::GET), Err(Refusal::FragmentInTarget));
}

/// §8.5 hop-by-hop abuse: what `Connection` names is removed from the client's message, never from ours.
#[test]
fn connection_cannot_remove_our_fields() {
    let named = "close, X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto, Forwarded, Via, CDN-Loop, X-Request-Id, Host";
    for peer in [CLIENT, PROXY] {
        let normal = get(&[("connection", named), ("x-forwarded-for", "6.6.6.6")], peer);
        for name in
            ["x-forwarded-for", "x-forwarded-host", "forwarded", "via", "cdn-loop", "x-request-id", "host"]
        {
            assert!(!all(&normal, name).is_empty(), "{name} from {peer}");
        }
        assert!(all(&normal, "connection").is_empty());
        assert_eq!(normal.host, "a.com");
    }
}

#[test]
fn connection_naming_a_selecting_field_is_reported() {
    assert!(get(&[("connection", "Cookie"), ("cookie", "s=1")], CLIENT).connection_named_end_to_end);
    assert!(!get(&[("connection", "keep-alive"), ("cookie", "s=1")], CLIENT).connection_named_end_to_end);
}

/// RFC 9110 §15.5.20, standards §8.5.
#[test]
fn unknown_and_misdirected_hosts() {
    let mut settings = settings();
    settings.hosts = vec![HostGlob::new("a.com:80").unwrap()];
    assert!(normalise(parts("GET", "/", &[]), &conn(CLIENT), &settings).is_ok(), "a scheme's own port");
    settings.hosts = ["a.com", "*.b.com"].map(|glob| HostGlob::new(glob).unwrap()).into();
    let ask = |host: &str, sni: Option<&str>, peer: &str| {
        let conn = Conn { sni: sni.map(Into::into), tls: sni.is_some(), ..conn(peer) };
        normalise(parts("GET", "/", &[("host", host)]), &conn, &settings).map(|n| n.host)
    };
    assert_eq!(ask("A.com", None, CLIENT).unwrap(), "a.com");
    assert_eq!(ask("x.b.com:81", None, CLIENT).unwrap(), "x.b.com:81");
    assert_eq!(ask("evil.com", None, CLIENT), Err(Refusal::UnknownHost));
    assert_eq!(ask("b.com", None, CLIENT), Err(Refusal::UnknownHost));
    assert_eq!(ask("a.com", Some("a.com"), CLIENT).unwrap(), "a.com");
    assert_eq!(ask("a.com:8443", Some("a.com"), CLIENT).unwrap(), "a.com:8443");
    assert_eq!(ask("a.com", Some("x.b.com"), CLIENT), Err(Refusal::Misdirected));
    assert_eq!(ask("a.com", Some("x.b.com"), PROXY).unwrap(), "a.com", "a trusted proxy's own TLS");
    settings.hosts.clear();
    let conn = Conn { sni: Some("z.com".into()), tls: true, ..conn(CLIENT) };
    assert!(normalise(parts("GET", "/", &[]), &conn, &settings).is_ok(), "only where hosts are listed");
}

/// RFC 8586, ruling 39: two larders in a row are no loop, the same node twice is.
#[test]
fn loops() {
    for (line, refused) in [
        ("larder;id=n1", true),
        ("other, LARDER ; ID=\"n1\"", true),
        ("larder;x=y;id=n1, z", true),
        ("larder;id=n2", false),
        ("larder", false),
        ("other;id=n1", false),
        ("garbage;;;=", false),
    ] {
        let result = normalise(parts("GET", "/", &[("cdn-loop", line)]), &conn(CLIENT), &settings());
        assert_eq!(result.err(), refused.then_some(Refusal::LoopDetected), "{line}");
    }
    let normal = get(&[("cdn-loop", "larder;id=n2")], CLIENT);
    assert_eq!(all(&normal, "cdn-loop"), ["larder;id=n2", "larder;id=n1"]);
}

/// Ruling 40.
#[test]
fn request_ids() {
    let long = "x".repeat(129);
    for (sent, peer, kept) in [
        (vec!["ok-1_2.3"], PROXY, true),
        (vec!["ok"], CLIENT, false),
        (vec![""], PROXY, false),
        (vec!["a b"], PROXY, false),
        (vec!["a\"b"], PROXY, false),
        (vec!["a", "b"], PROXY, false),
        (vec![long.as_str()], PROXY, false),
    ] {
        let lines: Vec<_> = sent.iter().map(|id| ("x-request-id", *id)).collect();
        let normal = get(&lines, peer);
        assert_eq!(all(&normal, "x-request-id"), [normal.request_id.as_str()]);
        assert_eq!(normal.request_id == sent[0], kept, "{sent:?}");
    }
    assert_ne!(get(&[], CLIENT).request_id, get(&[], CLIENT).request_id);
}

/// RFC 9110 §7.6.2.
#[test]
fn max_forwards_counts_down_on_options_only() {
    let ask = |method: &str, value: &str| {
        let n =
            normalise(parts(method, "/", &[("max-forwards", value)]), &conn(CLIENT), &settings()).unwrap();
        (n.max_forwards, n.headers.get("max-forwards").map(|v| v.to_str().unwrap().to_owned()))
    };
    assert_eq!(ask("OPTIONS", "0").0, Some(0));
    assert_eq!(ask("OPTIONS", "5"), (Some(5), Some("4".into())));
    assert_eq!(ask("OPTIONS", "+5"), (None, Some("+5".into())));
    assert_eq!(ask("GET", "5"), (None, Some("5".into())));
}

/// RFC 9110 §7.8; standards §8.4: `Upgrade: h2c` is not forwarded.
#[test]
fn only_real_upgrades_are_kept() {
    let ws = [("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")];
    let of = |method: &str, version: Version, lines: &[(&'static str, &str)]| {
        let mut parts = parts(method, "/", lines);
        parts.version = version;
        let normal = normalise(parts, &conn(CLIENT), &settings()).unwrap();
        assert!(all(&normal, "upgrade").is_empty() && all(&normal, "http2-settings").is_empty());
        normal.upgrade.map(|v| v.to_str().unwrap().to_owned())
    };
    assert_eq!(of("GET", Version::HTTP_11, &ws).as_deref(), Some("websocket"));
    assert_eq!(of("POST", Version::HTTP_11, &ws), None);
    assert_eq!(of("GET", Version::HTTP_10, &ws), None);
    assert_eq!(of("GET", Version::HTTP_11, &ws[1..]), None, "not named in Connection");
    assert_eq!(of("GET", Version::HTTP_11, &[ws[0], ws[1], ("content-length", "3")]), None, "with a body");
    let h2c = [("connection", "upgrade, http2-settings"), ("upgrade", "h2c"), ("http2-settings", "AAMAAABk")];
    assert_eq!(of("GET", Version::HTTP_11, &h2c), None);
}

/// RFC 9110 §10.1.4: only `trailers` survives.
#[test]
fn te_is_reduced_to_trailers() {
    assert_eq!(
        all(&get(&[("te", "gzip;q=0.5, trailers"), ("connection", "te")], CLIENT), "te"),
        ["trailers"]
    );
    assert!(all(&get(&[("te", "gzip"), ("connection", "te")], CLIENT), "te").is_empty());
}

/// No input may panic; what passes is printable.
#[test]
fn arbitrary_fields_never_panic() {
    use proptest::prelude::*;
    let names = ["forwarded", "x-forwarded-for", "x-forwarded-host", "host", "cdn-loop", "connection", "te"];
    proptest!(|(which in 0..names.len(), raw in proptest::collection::vec(any::<u8>(), 0..60), trusted: bool)| {
        let mut parts = parts("GET", "/", &[]);
        if let Ok(value) = HeaderValue::from_bytes(&raw) {
            parts.headers.insert(names[which], value);
        }
        if let Ok(n) = normalise(parts, &conn(if trusted { PROXY } else { CLIENT }), &settings()) {
            prop_assert!(host::canonical(&n.host, n.scheme).is_some_and(|h| h == n.host));
        }
    });
}

/// §8.1: no proxy knows all of these, so a trusted one passes a client's on, and none is in the key.
#[test]
fn what_a_trusted_peer_passes_on_of_a_client_is_only_its_address() {
    for name in [
        "x-forwarded-prefix",
        "x-forwarded-scheme",
        "x-forwarded-port",
        "x-forwarded-server",
        "x-forwarded-new",
        "x-host",
        "x-original-host",
        "x-scheme",
        "x_forwarded_for",
        "x_real_ip",
    ] {
        assert!(all(&get(&[(name, "evil")], PROXY), name).is_empty(), "{name}");
    }
    for name in ["x-real-ip", "true-client-ip", "cf-connecting-ip", "x-client-ip"] {
        assert_eq!(all(&get(&[(name, "192.0.2.9")], PROXY), name), ["192.0.2.9"], "{name}");
    }
}

#[test]
fn the_fast_lane_knows_the_fields_that_the_slow_one_settles() {
    for name in
        ["X-Forwarded-For", "forwarded", "X_Real_IP", "x-real-ip", "Client-IP", "X-HTTP-Method-Override"]
    {
        assert!(spoofable::is_settled_here(name), "{name}");
    }
    for name in ["Host", "X-Requested-With", "Accept", "User-Agent", "X-Forwarded", "Cookie"] {
        assert_eq!(spoofable::is_settled_here(name), name == "X-Forwarded", "{name}");
    }
    assert!(!spoofable::is_settled_here(&"x-".repeat(40)));
}

/// RFC 9110 §7.4: asked by both lanes.
#[test]
fn a_connection_is_for_the_host_that_tls_was_set_up_for() {
    let with = |sni: &str| Conn { sni: Some(sni.into()), tls: true, ..conn(CLIENT) };
    assert!(is_for(&with("a.com"), "A.com:443") && is_for(&with("a.com."), "a.com"));
    assert!(!is_for(&with("a.com"), "b.com") && !is_for(&with("a.com"), "a.com.evil"));
    assert!(is_for(&conn(CLIENT), "anything"));
}
