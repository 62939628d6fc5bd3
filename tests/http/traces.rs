//! Traces as a collector gets them (OTLP), and contexts as clients send them and origins see them (W3C Trace Context).

use crate::support::{House, Origin, soon};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

const SENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// One call of a collector, taken apart.
struct Call {
    path: String,
    headers: HeaderMap,
    service: String,
    spans: Vec<Span>,
}

/// A collector that takes all that it is sent.
struct Collector {
    address: SocketAddr,
    calls: mpsc::Receiver<Call>,
    spans: Vec<Span>,
}

impl Collector {
    async fn start(grpc: bool) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), grpc)
    }

    fn on(listener: TcpListener, grpc: bool) -> Self {
        let address = listener.local_addr().unwrap();
        let (tell, calls) = mpsc::channel(1024);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let tell = tell.clone();
                let take = service_fn(move |request| take(request, grpc, tell.clone()));
                let io = TokioIo::new(stream);
                if grpc {
                    let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    tokio::spawn(server.serve_connection(io, take));
                } else {
                    tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, take));
                }
            }
        });
        Self { address, calls, spans: Vec::new() }
    }

    async fn call(&mut self) -> Call {
        soon("a call of the collector", self.calls.recv()).await.unwrap()
    }

    /// The span of this name, when it has come; others wait for their turn.
    async fn span(&mut self, name: &str) -> Span {
        loop {
            if let Some(at) = self.spans.iter().position(|span| span.name == name) {
                return self.spans.remove(at);
            }
            let call = self.call().await;
            self.spans.extend(call.spans);
        }
    }

    /// All spans of one answered request: as many as there are.
    async fn rest(&mut self, count: usize) -> Vec<Span> {
        while self.spans.len() < count {
            let call = self.call().await;
            self.spans.extend(call.spans);
        }
        std::mem::take(&mut self.spans)
    }
}

async fn take(
    request: Request<Incoming>,
    grpc: bool,
    tell: mpsc::Sender<Call>,
) -> Result<Response<http_body_util::combinators::UnsyncBoxBody<Bytes, std::convert::Infallible>>, hyper::Error>
{
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let message = if grpc {
        assert_eq!(body[0], 0, "not compressed");
        assert_eq!(u32::from_be_bytes(body[1..5].try_into().unwrap()) as usize, body.len() - 5);
        body.slice(5..)
    } else {
        body
    };
    let message = ExportTraceServiceRequest::decode(message).unwrap();
    let of = message.resource_spans.into_iter().next().unwrap();
    let service = text(&of.resource.unwrap().attributes, "service.name").unwrap();
    let spans = of.scope_spans.into_iter().flat_map(|scope| scope.spans).collect();
    let call = Call { path: parts.uri.path().to_owned(), headers: parts.headers, service, spans };
    let _ = tell.send(call).await;
    let message = if grpc { Bytes::from_static(&[0; 5]) } else { Bytes::new() };
    let trailers = async move {
        let status = ("grpc-status".parse().unwrap(), "0".parse().unwrap());
        grpc.then(|| Ok(HeaderMap::from_iter([status])))
    };
    Ok(Response::new(Full::new(message).with_trailers(trailers).boxed_unsync()))
}

fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let attribute = attributes.iter().find(|attribute| attribute.key == key)?;
    match attribute.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        Value::BoolValue(flag) => Some(flag.to_string()),
        other => panic!("{key}: {other:?}"),
    }
}

/// The value of an attribute, or nothing.
fn of(span: &Span, key: &str) -> String {
    text(&span.attributes, key).unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_error(span: &Span) -> bool {
    span.status.as_ref().is_some_and(|status| status.code == 2)
}

/// A house whose traces go to `collector`. `trusted`: what comes from this machine is believed.
async fn house(collector: SocketAddr, tracing: &str, trusted: bool, rule: &str) -> House {
    let origin = Origin::start().await;
    let trusted = if trusted { "127.0.0.1" } else { "" };
    let yaml = format!(
        "server: {{ listen: [{{ address: \"127.0.0.1:0\" }}], trusted_proxies: [{trusted}] }}\n\
         admin: {{ address: \"127.0.0.1:0\" }}\nlog: {{ access: off }}\n\
         origins: {{ app: {{ servers: [\"http://{}\"], retries: 0 }} }}\n\
         tracing: {{ otlp: \"http://{collector}\", {tracing} }}\n\
         rules: [{{ name: all, origin: app{rule} }}]\n",
        origin.address
    );
    House::start(&yaml, origin).await
}

#[tokio::test]
async fn a_trusted_proxys_trace_goes_on_through_us_to_the_origin() {
    let mut collector = Collector::start(true).await;
    let mut house = house(collector.address, "sample: 0%", true, "").await;
    let headers = [("traceparent", SENT), ("tracestate", "a=1,b=2"), ("User-Agent", "t/1")];
    let answer = "200 OK\nCache-Control: max-age=60\n\nbody";
    let (_, seen) = house.exchange("GET", "/x?q=1", &headers, answer).await;
    let (server, fetch) = (collector.span("GET all").await, collector.span("fetch").await);
    let client = collector.span("GET app").await;
    // Parentage, from the proxy before us to the origin behind.
    assert_eq!(hex(&server.parent_span_id), "00f067aa0ba902b7");
    assert_eq!(fetch.parent_span_id, server.span_id);
    assert_eq!(client.parent_span_id, fetch.span_id);
    let expected = format!("00-{TRACE}-{}-01", hex(&client.span_id));
    assert_eq!(seen.header("traceparent"), Some(&*expected));
    assert_eq!(seen.header("tracestate"), Some("a=1,b=2"));
    for span in [&server, &fetch, &client] {
        assert_eq!((hex(&span.trace_id).as_str(), span.trace_state.as_str()), (TRACE, "a=1,b=2"));
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano && !is_error(span), "{span:?}");
    }
    let kinds = [&server, &fetch, &client].map(|span| span.kind);
    assert_eq!(kinds, [SpanKind::Server, SpanKind::Internal, SpanKind::Client].map(i32::from));
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.route", "all"),
        ("url.scheme", "http"),
        ("server.address", "site.example"),
        ("url.path", "/x"),
        ("url.query", "q=1"),
        ("client.address", "127.0.0.1"),
        ("network.protocol.version", "1.1"),
        ("user_agent.original", "t/1"),
        ("http.response.status_code", "200"),
        ("http.response.body.size", "4"),
        ("larder.outcome", "miss"),
        ("larder.ttl_s", "60"),
        ("larder.cache_status", "larder; fwd=uri-miss; stored; ttl=60"),
    ] {
        assert_eq!(of(&server, key), value, "{key}");
    }
    assert_eq!((of(&client, "larder.origin").as_str(), of(&client, "url.path").as_str()), ("app", "/x"));
    assert_eq!(of(&fetch, "larder.fetch.result"), "shared");
}

#[tokio::test]
async fn hits_are_recorded_on_the_fast_lane_where_they_are_sampled() {
    let mut collector = Collector::start(true).await;
    let mut house = house(collector.address, "sample: 0%", true, "").await;
    house.fetched("/x", "200 OK\nCache-Control: max-age=60\n\nbody").await;
    house.get("/x").await.assert_hit(); // remembered from here on
    house.get("/x").await.assert_hit();
    house.send("GET", "/x", &[("traceparent", &SENT.replace("-01", "-00"))]).await.assert_hit();
    house.advance(3);
    house.send("GET", "/x", &[("traceparent", SENT), ("tracestate", "a=1")]).await.assert_hit();
    // The first span of all is of the only request that was to be recorded.
    let span = collector.rest(1).await.remove(0);
    assert_eq!((hex(&span.trace_id).as_str(), span.trace_state.as_str()), (TRACE, "a=1"));
    assert_eq!(hex(&span.parent_span_id), "00f067aa0ba902b7");
    for (key, value) in [
        ("larder.outcome", "hit"),
        ("larder.tier", "memory"),
        ("larder.age_s", "3"),
        ("larder.ttl_s", "57"),
        ("http.response.status_code", "200"),
        ("http.response.body.size", "4"),
        ("larder.cache_status", "larder; hit; ttl=57"),
        ("url.path", "/x"),
    ] {
        assert_eq!(of(&span, key), value, "{key}");
    }
}

#[tokio::test]
async fn anybody_elses_trace_is_a_link_from_one_of_ours() {
    let mut collector = Collector::start(true).await;
    let mut house = house(collector.address, "sample: 100%", false, "").await;
    let headers = [("traceparent", SENT), ("tracestate", "a=1")];
    let (_, seen) = house.exchange("GET", "/x", &headers, "200 OK\n\n").await;
    let server = collector.span("GET all").await;
    assert!(server.parent_span_id.is_empty() && hex(&server.trace_id) != TRACE);
    let links: Vec<_> = server.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect();
    assert_eq!(links, [(TRACE.to_owned(), "00f067aa0ba902b7".to_owned())]);
    let parent = seen.header("traceparent").unwrap();
    assert!(
        parent.starts_with(&format!("00-{}-", hex(&server.trace_id))) && parent.ends_with("-03"),
        "{parent}"
    );
    assert_eq!(seen.header("tracestate"), None);
}

#[tokio::test]
async fn w3c_3_2_a_context_that_cannot_be_read_is_replaced() {
    let collector = Collector::start(true).await;
    let mut house = house(collector.address, "sample: 0%", true, "").await;
    for broken in ["00-nonsense", &SENT.replace("00-4", "ff-4"), &format!("{SENT}-more")] {
        let headers = [("traceparent", broken), ("tracestate", "a=1"), ("Cache-Control", "no-cache")];
        let (_, seen) = house.exchange("GET", "/x", &headers, "200 OK\n\n").await;
        let parent = seen.header("traceparent").unwrap();
        assert!(
            parent.len() == 55 && parent.ends_with("-02") && !parent.contains(TRACE),
            "{broken}: {parent}"
        );
        assert_eq!(seen.header("tracestate"), None);
    }
}

#[tokio::test]
async fn with_tracing_off_contexts_pass_as_they_are() {
    let mut house = House::new("").await;
    for sent in [SENT, "nonsense"] {
        let headers = [("traceparent", sent), ("tracestate", "a=1"), ("Cache-Control", "no-cache")];
        let (_, seen) = house.exchange("GET", "/x", &headers, "200 OK\n\n").await;
        assert_eq!((seen.header("traceparent"), seen.header("tracestate")), (Some(sent), Some("a=1")));
    }
}

#[tokio::test]
async fn who_waited_for_anothers_fetch_is_linked_to_it() {
    let mut collector = Collector::start(true).await;
    let mut house = house(collector.address, "sample: 100%", false, "").await;
    let first = house.client("GET", "/cold", &[]).await;
    let asked = house.origin.next().await;
    let second = house.client("GET", "/cold", &[]).await;
    house.waiting(1).await;
    asked.answer("200 OK\nCache-Control: max-age=60\n\nx").await;
    first.reply().await;
    second.reply().await.assert_status("; collapsed");
    let spans = collector.rest(4).await;
    let find = |outcome: &str| spans.iter().find(|span| of(span, "larder.outcome") == outcome).unwrap();
    let fetch = spans.iter().find(|span| span.name == "fetch").unwrap();
    let (led, waited) = (find("miss"), find("collapsed"));
    assert_eq!((&fetch.parent_span_id, led.links.len()), (&led.span_id, 0));
    let [link] = waited.links.as_slice() else { panic!("{waited:?}") };
    assert_eq!((&link.trace_id, &link.span_id), (&fetch.trace_id, &fetch.span_id));
    assert_ne!(waited.trace_id, fetch.trace_id);
}

#[tokio::test]
async fn what_goes_wrong_is_marked_where_it_did() {
    let mut collector = Collector::start(true).await;
    let mut house = house(collector.address, "sample: 100%", false, "").await;
    house.fetched("/broken", "500 No\n\n").await;
    let (server, client) = (collector.span("GET all").await, collector.span("GET app").await);
    assert!(is_error(&server) && is_error(&client));
    assert_eq!(of(&client, "error.type"), "500");
    // A 404 is a failure to who asks, and none of the server's that answers (OpenTelemetry, HTTP spans).
    house.fetched("/missing", "404 No\n\n").await;
    let (server, client) = (collector.span("GET all").await, collector.span("GET app").await);
    assert!(!is_error(&server) && is_error(&client));
    // No answer at all.
    let client = house.client("GET", "/gone", &[]).await;
    house.origin.next().await.break_off().await;
    assert_eq!(client.reply().await.status, 502);
    let (server, client) = (collector.span("GET all").await, collector.span("GET app").await);
    assert!(is_error(&server) && is_error(&client));
    assert_eq!(of(&server, "larder.outcome"), "error");
    // A word that a client made up is no name.
    house.exchange("FROB", "/x", &[], "200 OK\n\n").await;
    let server = collector.span("HTTP all").await;
    assert_eq!(of(&server, "http.request.method"), "_OTHER");
    assert_eq!(of(&server, "http.request.method_original"), "FROB");
    // What never reached the rules is recorded too.
    assert_eq!(house.send("OPTIONS", "/x", &[("Max-Forwards", "0")]).await.status, 200);
    assert_eq!(of(&collector.span("OPTIONS none").await, "larder.reason"), "max-forwards");
}

#[tokio::test]
async fn purges_are_spans_of_the_caller_s_trace() {
    let mut collector = Collector::start(true).await;
    let house = house(collector.address, "sample: 0%", false, "").await;
    let to = house.running.admin().unwrap();
    let host = to.to_string();
    let headers = [("Host", &*host), ("Content-Type", "application/json"), ("traceparent", SENT)];
    let reply = crate::support::request(to, "POST", "/purge", &headers, b"{\"tags\":[\"a\"]}").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let (call, purge) = (collector.span("POST /purge").await, collector.span("purge").await);
    assert_eq!(hex(&call.trace_id), TRACE);
    assert_eq!(purge.parent_span_id, call.span_id);
    assert_eq!(
        (of(&purge, "larder.purge.selectors").as_str(), of(&purge, "larder.purge.mode").as_str()),
        ("1", "hard")
    );
    assert!(reply.text().contains(&format!("\"id\":\"{}\"", of(&purge, "larder.purge.id"))));
}

#[tokio::test]
async fn a_purge_on_a_public_listener_is_a_request_with_a_purge_in_it() {
    let mut collector = Collector::start(true).await;
    let yaml = format!(
        "server: {{ listen: [{{ address: \"127.0.0.1:0\" }}] }}\nlog: {{ access: off }}\n\
         admin: {{ address: \"127.0.0.1:0\", purge_from: 127.0.0.1 }}\norigins: {{ app: {{ servers: demo }} }}\n\
         tracing: {{ otlp: \"http://{}\", sample: 100% }}\n",
        collector.address
    );
    let house = House::start(&yaml, Origin::start().await).await;
    assert_eq!(house.send("PURGE", "/x", &[]).await.status, 200);
    let (call, purge) = (collector.span("PURGE none").await, collector.span("purge").await);
    assert_eq!((of(&call, "larder.reason").as_str(), of(&call, "url.path").as_str()), ("purge", "/x"));
    assert_eq!(purge.parent_span_id, call.span_id);
}

#[tokio::test]
async fn the_shared_tier_is_a_step_of_the_fetch() {
    let mut collector = Collector::start(true).await;
    let shared = "sample: 100% }\nshared: { url: \"redis://127.0.0.1:1\""; // where nobody is
    let mut house = house(collector.address, shared, false, "").await;
    house.fetched("/x", "200 OK\nCache-Control: max-age=60\n\nx").await;
    let (look, fetch) = (collector.span("GET shared").await, collector.span("fetch").await);
    assert_eq!(look.parent_span_id, fetch.span_id);
    assert!(is_error(&look) && !of(&look, "larder.shared.result").is_empty(), "{look:?}");
    assert!(!is_error(&collector.span("GET all").await), "it goes on without");
}

/// A store's process that ends with this value; `None` where `LARDER_NO_REDIS` says that there is none to be had.
struct Store(std::process::Child, u16);

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn store() -> Option<Store> {
    if std::env::var_os("LARDER_NO_REDIS").is_some() {
        eprintln!("LARDER_NO_REDIS is set: nothing is traced against a real store");
        return None;
    }
    let program = std::env::var_os("LARDER_REDIS").unwrap_or_else(|| "redis-server".into());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let number = port.to_string();
    let arguments =
        ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", "/", "--port", &number];
    let child = std::process::Command::new(program)
        .args(arguments)
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("redis-server (Debian: apt-get install redis-server), or LARDER_NO_REDIS=1");
    let store = Store(child, port);
    let accepts = async { while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {} };
    soon("the store", accepts).await;
    Some(store)
}

#[tokio::test]
async fn a_look_up_in_a_store_that_works_is_a_step_without_error() {
    let Some(store) = store().await else { return };
    let mut collector = Collector::start(true).await;
    let shared = format!("sample: 100% }}\nshared: {{ url: \"redis://127.0.0.1:{}\", timeout: 5s", store.1);
    let mut house = house(collector.address, &shared, false, "").await;
    // The first look-ups may come before the connection stands.
    for n in 0.. {
        house.fetched(&format!("/x{n}"), "200 OK\nCache-Control: max-age=60\n\nx").await;
        let (look, fetch) = (collector.span("GET shared").await, collector.span("fetch").await);
        assert_eq!(look.parent_span_id, fetch.span_id);
        // Nothing there, and this node is the one to fetch it.
        if of(&look, "larder.shared.result") == "leased" {
            assert!(!is_error(&look) && look.start_time_unix_nano <= look.end_time_unix_nano, "{look:?}");
            assert_eq!(of(&fetch, "larder.fetch.result"), "shared");
            return;
        }
        assert!(n < 50, "never a look-up that worked: {look:?}");
    }
}

#[tokio::test]
async fn a_rule_may_keep_the_context_from_the_origin() {
    let mut collector = Collector::start(true).await;
    let rule = ", request_headers: { remove: [traceparent, tracestate] }";
    let mut house = house(collector.address, "sample: 100%", true, rule).await;
    let headers = [("traceparent", SENT), ("tracestate", "a=1")];
    let (_, seen) = house.exchange("GET", "/x", &headers, "200 OK\n\n").await;
    assert_eq!((seen.header("traceparent"), seen.header("tracestate")), (None, None));
    collector.span("GET app").await;
}

#[tokio::test]
async fn over_http_spans_are_posted_with_the_headers_that_were_asked_for() {
    let mut collector = Collector::start(false).await;
    let tracing = "sample: 100%, protocol: http, service: edge-1, headers: { X-Key: secret }";
    let mut house = house(collector.address, tracing, false, "").await;
    house.fetched("/x", "200 OK\n\n").await;
    let call = collector.call().await;
    assert_eq!((call.path.as_str(), call.service.as_str()), ("/v1/traces", "edge-1"));
    assert_eq!(call.headers["content-type"], "application/x-protobuf");
    assert_eq!(call.headers["x-key"], "secret");
    assert!(!call.spans.is_empty());
}

#[tokio::test]
async fn while_the_collector_is_away_requests_are_answered_and_spans_wait_for_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut house = house(listener.local_addr().unwrap(), "sample: 100%", false, "").await;
    house.fetched("/x", "200 OK\nCache-Control: max-age=60\n\nx").await;
    // It is called, and hangs up.
    let (call, _) = soon("a first call", listener.accept()).await.unwrap();
    drop(call);
    for _ in 0..100 {
        house.get("/x").await.assert_hit();
    }
    let mut collector = Collector::on(listener, true);
    let spans = collector.rest(103).await;
    assert_eq!(spans.iter().filter(|span| of(span, "larder.outcome") == "hit").count(), 100);
    assert_eq!(house.metric("larder_trace_dropped_total{reason=\"queue-full\"}").await, 0.0);
}

#[tokio::test]
async fn who_drains_sends_its_last_spans() {
    let mut collector = Collector::start(true).await;
    let mut house = house(collector.address, "sample: 100%", false, "").await;
    house.fetched("/x", "200 OK\n\n").await;
    house.running.drain().await;
    assert_eq!(collector.rest(3).await.len(), 3);
}
