//! What each endpoint promises a cache, and that what changes changes.

use super::lab::DIRECTORY;
use super::site::{DEMO_REQUEST, Dropped, Site};
use super::{bytes_at, serve};
use crate::body::OutBody;
use crate::clock::Clock;
use crate::semantics::date;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

fn site() -> Site {
    super::site(Clock::manual())
}

async fn send(
    site: &Site,
    method: &str,
    target: &str,
    fields: &[(&str, &str)],
    body: &str,
) -> Response<OutBody> {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap();
    site.respond(request).await.unwrap()
}

async fn get(site: &Site, target: &str) -> (StatusCode, HeaderMap, String) {
    let (head, body) = send(site, "GET", target, &[], "").await.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head.status, head.headers, String::from_utf8_lossy(&body).into_owned())
}

fn field<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |v| v.to_str().unwrap())
}

#[tokio::test]
async fn each_endpoint_sends_the_caching_headers_it_is_there_to_show() {
    let site = site();
    for (target, expected) in [
        ("/", &[("cache-control", "max-age=30, stale-while-revalidate=60")][..]),
        (
            "/products",
            &[
                ("cdn-cache-control", "max-age=300"),
                ("cache-control", "max-age=0, must-revalidate"),
                ("cache-tag", "products"),
                ("cache-groups", "\"catalogue\""),
            ],
        ),
        (
            "/products/12",
            &[
                ("cdn-cache-control", "max-age=300"),
                ("cache-control", "max-age=0, must-revalidate"),
                ("cache-tag", "product:12, products"),
            ],
        ),
        ("/news", &[("cache-control", ""), ("etag", "")]),
        ("/search?q=tea", &[("cache-control", "max-age=60")]),
        ("/account", &[("cache-control", "private, max-age=60")]),
        (
            "/api/products",
            &[
                ("content-type", "application/json"),
                ("cache-control", "max-age=60"),
                ("vary", "Accept-Language"),
                ("content-language", "en"),
                ("cache-groups", "\"catalogue\""),
            ],
        ),
        (
            "/static/site.css",
            &[("cache-control", "max-age=31536000, immutable"), ("content-type", "text/css; charset=utf-8")],
        ),
        ("/static/pantry.svg?v=1", &[("content-type", "image/svg+xml")]),
        ("/static/window.png", &[("content-type", "image/png")]),
        ("/slow?ms=0", &[("cache-control", "max-age=60")]),
        ("/slow-body?ms=0&chunks=2", &[("cache-control", "max-age=60")]),
        ("/fragile", &[("cache-control", "max-age=5, stale-if-error=600")]),
        ("/fail", &[("cache-control", "no-store")]),
        ("/bytes/10", &[("cache-control", "max-age=60"), ("etag", "\"bytes-10\"")]),
        ("/nostore/10", &[("cache-control", "no-store")]),
        ("/echo", &[("cache-control", "no-store")]),
        ("/healthz", &[("cache-control", "no-store")]),
        ("/stats", &[("cache-control", "no-store")]),
    ] {
        let (status, headers, _) = get(&site, target).await;
        assert_eq!(status, StatusCode::OK, "{target}");
        for (name, value) in expected {
            assert_eq!(field(&headers, name), *value, "{target}: {name}");
        }
    }
    let response = send(&site, "GET", "/stream", &[], "").await;
    assert_eq!(field(response.headers(), "content-type"), "text/event-stream");
    assert_eq!(field(response.headers(), "cache-control"), "no-store");
}

#[tokio::test]
async fn every_link_of_the_directory_leads_somewhere() {
    let site = site();
    for entry in DIRECTORY {
        let Some(link) = entry.link else { continue };
        // No waiting in a test.
        let response = send(&site, "GET", &link.replace("ms=2000", "ms=0"), &[], "").await;
        let expected = if link == "/missing" { StatusCode::NOT_FOUND } else { StatusCode::OK };
        assert_eq!(response.status(), expected, "{link}");
    }
    let (.., home) = get(&site, "/").await;
    for entry in DIRECTORY {
        assert!(home.contains(&super::page::escape(entry.path)), "{} is not on the home page", entry.path);
    }
}

#[tokio::test]
async fn pages_link_only_to_what_exists_and_to_no_other_site() {
    let site = site();
    for page in
        ["/", "/products", "/products/1", "/news", "/search?q=a", "/account", "/fail", "/fragile", "/missing"]
    {
        let (.., html) = get(&site, page).await;
        let attributes = [" href=\"", " src=\"", " action=\""];
        let links = attributes.iter().flat_map(|a| html.split(a).skip(1)).filter_map(|s| s.split('"').next());
        for link in links.filter(|l| !l.starts_with('#')) {
            assert!(link.starts_with('/'), "{page} links to {link}");
            let link = link.replace("&amp;", "&").replace("ms=2000", "ms=0");
            let status = send(&site, "GET", &link, &[], "").await.status();
            assert!(status.is_success() || link == "/missing", "{page} links to {link}: {status}");
        }
    }
}

#[tokio::test]
async fn every_answer_is_dated_by_the_clock_and_numbered() {
    let clock = Clock::manual();
    let site = super::site(clock.clone());
    clock.advance(Duration::from_secs(12 * 3600 + 61));
    let (_, headers, html) = get(&site, "/").await;
    assert_eq!(headers["date"].as_bytes(), date::format(clock.now().wall));
    assert_eq!(field(&headers, "demo-request"), "1");
    assert!(html.contains("<time>12:01:01</time>") && html.contains("request no <strong>1</strong>"));

    let (_, headers, html) = get(&site, "/products/4").await;
    assert_eq!(headers[DEMO_REQUEST], "2");
    assert!(html.contains("request no <strong>2</strong>"));
}

#[tokio::test]
async fn watching_the_origin_does_not_count() {
    let site = site();
    get(&site, "/bytes/1").await;
    get(&site, "/healthz").await;
    assert_eq!(get(&site, "/stats").await.2, "{\"requests\":1}\n");
    assert_eq!(get(&site, "/stats").await.2, "{\"requests\":1}\n");
    assert_eq!(site.requests(), 1);
}

#[tokio::test]
async fn the_panel_explains_exactly_the_headers_that_were_sent() {
    let site = site();
    for target in ["/", "/products", "/products/7", "/search", "/account", "/fail", "/fragile"] {
        let (_, headers, html) = get(&site, target).await;
        let mut shown = 0;
        for name in [
            "cache-control",
            "cdn-cache-control",
            "cache-tag",
            "cache-groups",
            "etag",
            "last-modified",
            "set-cookie",
        ] {
            let Some(value) = headers.get(name) else { continue };
            let value = super::page::escape(value.to_str().unwrap());
            assert!(html.contains(&format!(": {value}</code>")), "{target}: {name}: {value}");
            shown += 1;
        }
        assert_eq!(html.matches("<dt>").count(), shown, "{target}");
    }
}

/// RFC 9110 §13.1.2
#[tokio::test]
async fn a_known_entity_tag_is_answered_with_304_and_its_metadata() {
    let site = site();
    for target in ["/products", "/products/5", "/api/products", "/static/window.png", "/bytes/3"] {
        let tag = field(&get(&site, target).await.1, "etag").to_owned();
        let weak = format!("W/{}", tag.trim_start_matches("W/"));
        let list = format!("\"other\", {tag}");
        for (condition, known) in [
            (tag.as_str(), true),
            (&weak, true),
            (&list, true),
            ("*", true),
            ("\"other\"", false),
            ("", false),
        ] {
            let response = send(&site, "GET", target, &[("if-none-match", condition)], "").await;
            assert_eq!(response.status() == StatusCode::NOT_MODIFIED, known, "{target}, {condition}");
            assert_eq!(field(response.headers(), "etag"), tag);
            if known {
                // RFC 9110 §15.4.5: what a cache updates its entry with, and nothing about a body.
                assert!(response.headers().contains_key("cache-control"));
                assert!(!response.headers().contains_key("content-type"));
                assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
            }
        }
    }
}

/// RFC 9110 §13.1.3
#[tokio::test]
async fn a_known_modification_date_is_answered_with_304_unless_a_tag_decides() {
    let site = site();
    let modified = field(&get(&site, "/news").await.1, "last-modified").to_owned();
    let condition = ("if-modified-since", modified.as_str());
    let status = |r: Response<OutBody>| r.status();
    assert_eq!(status(send(&site, "GET", "/news", &[condition], "").await), StatusCode::NOT_MODIFIED);
    assert_eq!(
        status(send(&site, "GET", "/news", &[condition, ("if-none-match", "\"x\"")], "").await),
        StatusCode::OK
    );
    assert_eq!(status(send(&site, "GET", "/", &[condition], "").await), StatusCode::OK);
}

#[tokio::test]
async fn each_rendering_of_the_home_page_has_a_tag_of_its_own() {
    let site = site();
    let tag = field(&get(&site, "/").await.1, "etag").to_owned();
    let again = send(&site, "GET", "/", &[("if-none-match", &tag)], "").await;
    assert_eq!(again.status(), StatusCode::OK);
    assert_ne!(field(again.headers(), "etag"), tag);
}

#[tokio::test]
async fn a_changed_price_changes_page_list_and_catalogue() {
    let site = site();
    let targets = ["/products/3", "/products", "/api/products"];
    let mut before = Vec::new();
    for target in targets {
        before.push(field(&get(&site, target).await.1, "etag").to_owned());
    }
    let other = field(&get(&site, "/products/4").await.1, "etag").to_owned();

    let form = [("content-type", "application/x-www-form-urlencoded")];
    let response = send(&site, "POST", "/products/3", &form, "price=7%2C25").await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    assert_eq!(field(response.headers(), "location"), "/products/3");
    assert_eq!(field(response.headers(), "cache-group-invalidation"), "\"catalogue\"");

    for (target, before) in targets.iter().zip(before) {
        let (_, headers, body) = get(&site, target).await;
        assert_ne!(field(&headers, "etag"), before, "{target}");
        assert!(body.contains("7.25"), "{target}");
    }
    assert_eq!(field(&get(&site, "/products/4").await.1, "etag"), other);
}

#[tokio::test]
async fn products_change_by_json_and_sell_until_the_shelf_is_empty() {
    let site = site();
    let json = [("content-type", "application/json; charset=utf-8")];
    for body in ["{\"price\": 4.5, \"stock\": 1}", "{\"buy\": true}", "{\"buy\": true}"] {
        assert_eq!(send(&site, "POST", "/products/1", &json, body).await.status(), StatusCode::SEE_OTHER);
    }
    let (.., html) = get(&site, "/products/1").await;
    assert!(html.contains("€ 4.50") && html.contains("0 in stock") && html.contains("version 4"));
}

#[tokio::test]
async fn a_change_that_makes_no_sense_changes_nothing() {
    let site = site();
    let before = get(&site, "/products/1").await.1["etag"].clone();
    for form in
        ["", "price=", "price=-1", "price=1000", "price=1.234", "price=1e3", "stock=10000", "price=1&stock=x"]
    {
        let status = send(&site, "POST", "/products/1", &[], form).await.status();
        assert_eq!(status, StatusCode::BAD_REQUEST, "{form}");
    }
    let json = [("content-type", "application/json")];
    for body in ["", "[]", "{", "{\"price\": null}", "{\"buy\": false}"] {
        let status = send(&site, "POST", "/products/1", &json, body).await.status();
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
    }
    let long = "x".repeat(5000);
    let status = send(&site, "POST", "/products/1", &[], &long).await.status();
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(get(&site, "/products/1").await.1["etag"], before);
}

#[tokio::test]
async fn news_comes_out_one_by_one_until_there_is_none() {
    let site = site();
    let articles = |html: String| html.matches("<article>").count();
    assert_eq!(articles(get(&site, "/news").await.2), 3);
    for published in 4..=8 {
        assert_eq!(send(&site, "POST", "/news", &[], "").await.status(), StatusCode::SEE_OTHER);
        assert_eq!(articles(get(&site, "/news").await.2), published);
    }
    assert_eq!(send(&site, "POST", "/news", &[], "").await.status(), StatusCode::CONFLICT);
}

#[tokio::test]
async fn the_catalogue_speaks_the_language_asked_for() {
    let site = site();
    for (wish, language, name) in
        [("de-AT, en;q=0.5", "de", "Rauchtee"), ("fr", "fr", "Thé fumé"), ("ja", "en", "Smoked tea")]
    {
        let (head, body) =
            send(&site, "GET", "/api/products", &[("accept-language", wish)], "").await.into_parts();
        assert_eq!(field(&head.headers, "content-language"), language);
        assert_eq!(field(&head.headers, "vary"), "Accept-Language");
        let json: serde_json::Value =
            serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
        assert_eq!(json["products"][3]["name"], name);
        assert_eq!(json["products"].as_array().unwrap().len(), 12);
    }
}

#[tokio::test]
async fn a_search_is_shown_as_text_never_as_markup() {
    let (.., html) = get(&site(), "/search?q=%3Cscript%3Ealert(1)%3C/script%3E%22").await;
    assert!(!html.contains("<script>alert"));
    assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;"));
    let (.., html) = get(&site(), "/search?q=TEE").await;
    assert!(html.contains("Smoked tea") && html.contains("Peppermint tea") && !html.contains("Plum jam"));
}

#[tokio::test]
async fn an_account_is_told_apart_by_its_cookie() {
    let site = site();
    let (_, headers, html) = get(&site, "/account").await;
    assert!(field(&headers, "set-cookie").starts_with("demo-visitor=1; Path=/account; HttpOnly"));
    assert!(html.contains("visitor no 1"));
    assert!(get(&site, "/account").await.2.contains("visitor no 2"));
    let again = send(&site, "GET", "/account", &[("cookie", "a=b; demo-visitor=1")], "").await;
    let html = again.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&html).contains("Welcome back, visitor no 1"));
}

#[tokio::test]
async fn the_fragile_page_breaks_and_mends_on_command() {
    let site = site();
    let fragile = async || {
        let request = Request::get("/fragile").body(Full::<Bytes>::default()).unwrap();
        site.respond(request).await.map(|r| r.status().as_u16())
    };
    assert!(matches!(fragile().await, Ok(200)));
    assert_eq!(send(&site, "POST", "/fail?on", &[], "").await.status(), StatusCode::SEE_OTHER);
    assert!(matches!(fragile().await, Ok(503)));
    send(&site, "POST", "/fail?on&mode=drop", &[], "").await;
    assert!(matches!(fragile().await, Err(Dropped)));
    assert!(get(&site, "/fail").await.2.contains("drops the connection"));
    send(&site, "POST", "/fail?off", &[], "").await;
    assert!(matches!(fragile().await, Ok(200)));
    for odd in ["/fail", "/fail?on&mode=fire"] {
        assert_eq!(send(&site, "POST", odd, &[], "").await.status(), StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn what_is_not_there_is_404_without_freshness_and_other_methods_are_405() {
    let site = site();
    for target in [
        "/missing",
        "/products/0",
        "/products/13",
        "/products/x",
        "/static/../site.rs",
        "/bytes/-1",
        "/bytes/x",
        "/api",
    ] {
        let (status, headers, _) = get(&site, target).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{target}");
        assert!(!headers.contains_key("cache-control") && !headers.contains_key("etag"));
    }
    let refused = send(&site, "DELETE", "/products/1", &[], "").await;
    assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(field(refused.headers(), "allow"), "GET, HEAD, POST");
    assert_eq!(send(&site, "POST", "/", &[], "").await.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn bytes_are_deterministic_and_bounded() {
    let site = site();
    for length in [0_usize, 1, 65_536, 65_537, 200_000] {
        let response = send(&site, "GET", &format!("/bytes/{length}"), &[], "").await;
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body.len(), length);
        let mut at = 0;
        while at < length {
            let expected = bytes_at(at as u64);
            let n = expected.len().min(length - at);
            assert_eq!(body[at..at + n], expected[..n], "{length} from {at}");
            at += n;
        }
    }
    let four_gib = send(&site, "GET", "/bytes/4294967296", &[], "").await;
    assert_eq!(http_body::Body::size_hint(four_gib.body()).exact(), Some(4 << 30));
    assert_eq!(send(&site, "GET", "/bytes/4294967297", &[], "").await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn echo_tells_method_target_fields_and_body_as_received() {
    let response = send(&site(), "PATCH", "/echo?a=%20", &[("x-one", "1"), ("x-one", "2")], "hello").await;
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&body);
    assert!(text.starts_with("PATCH /echo?a=%20 HTTP/1.1\nx-one: 1\nx-one: 2\n"), "{text}");
    let digest = xxhash_rust::xxh3::xxh3_64(b"hello");
    assert!(text.ends_with(&format!("body: 5 bytes, xxh3 {digest:016x}\n")), "{text}");
}

#[tokio::test]
async fn a_slow_body_comes_in_the_pieces_asked_for() {
    let response = send(&site(), "GET", "/slow-body?ms=0&chunks=3", &[], "").await;
    let mut body = response.into_body();
    let mut pieces = Vec::new();
    while let Some(frame) = body.frame().await {
        pieces.push(String::from_utf8(frame.unwrap().into_data().unwrap().to_vec()).unwrap());
    }
    assert_eq!(pieces.len(), 3);
    assert_eq!(pieces[2], "chunk 3 of 3, origin request 1\n");
}

#[tokio::test]
async fn the_stream_sends_its_first_event_at_once() {
    let response = send(&site(), "GET", "/stream", &[], "").await;
    let frame = response.into_body().frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(frame.starts_with(b"id: 0\nevent: tick\ndata: {\"tick\":0,\"origin_request\":1,"));
    assert!(frame.ends_with(b"\n\n"));
}

/// A served site, to be asked over a socket.
struct Served {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    done: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Served {
    async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let done = tokio::spawn(serve(listener, Clock::manual(), async {
            let _ = stopped.await;
        }));
        Self { address, stop, done }
    }

    /// Sends `request`, and returns all that comes until the end of the connection, latin-1.
    async fn talk(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        answer.into_iter().map(char::from).collect()
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.done.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn over_a_socket_lengths_are_known_and_head_has_no_body() {
    let served = Served::start().await;
    let get = served.talk("GET /bytes/100000 HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n").await;
    let (head, body) = get.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("content-length: 100000"), "{head}");
    assert_eq!(body.chars().count(), 100_000);

    for target in ["/bytes/100000", "/bytes/0", "/", "/static/window.png"] {
        let head =
            served.talk(&format!("HEAD {target} HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n")).await;
        assert!(head.ends_with("\r\n\r\n") && head.contains("content-length: "), "{head}");
        assert_eq!(head.matches("date: ").count(), 1, "{head}");
    }
    let stream =
        served.talk("GET /slow-body?ms=0&chunks=2 HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n").await;
    assert!(stream.contains("transfer-encoding: chunked") && stream.contains("chunk 2 of 2"), "{stream}");
    served.stop().await;
}

/// RFC 9110 §15.4.5: no body; a length of 0 would be a lie about the representation.
#[tokio::test]
async fn over_a_socket_a_304_has_no_length() {
    let served = Served::start().await;
    let known =
        "GET /bytes/5 HTTP/1.1\r\nHost: demo\r\nIf-None-Match: \"bytes-5\"\r\nConnection: close\r\n\r\n";
    let answer = served.talk(known).await;
    assert!(answer.starts_with("HTTP/1.1 304 ") && answer.ends_with("\r\n\r\n"), "{answer}");
    assert!(!answer.contains("content-length"), "{answer}");
    served.stop().await;
}

#[tokio::test]
async fn over_a_socket_a_dropped_connection_ends_without_a_byte() {
    let served = Served::start().await;
    served
        .talk("POST /fail?on&mode=drop HTTP/1.1\r\nHost: demo\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!(served.talk("GET /fragile HTTP/1.1\r\nHost: demo\r\n\r\n").await, "");
    served.stop().await;
}

/// RFC 9110 §7.8
#[tokio::test]
async fn after_an_upgrade_every_byte_comes_back() {
    let served = Served::start().await;
    let refused = served.talk("GET /upgrade HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n").await;
    assert!(refused.starts_with("HTTP/1.1 426 ") && refused.contains("upgrade: echo"), "{refused}");

    let mut stream = TcpStream::connect(served.address).await.unwrap();
    // The first bytes of the new protocol follow in the same segment.
    let request = "GET /upgrade HTTP/1.1\r\nHost: demo\r\nConnection: keep-alive, Upgrade\r\nUpgrade: echo\r\n\r\nfirst";
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.write_all(b" second").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 101 ") && answer.ends_with("\r\n\r\nfirst second"), "{answer}");
    served.stop().await;
}

#[tokio::test]
async fn at_shutdown_idle_connections_are_closed_and_the_port_is_free() {
    let served = Served::start().await;
    let address = served.address;
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: demo\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    served.stop().await;
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
