//! Over real sockets on loopback: what is decided before HTTP begins.

use super::*;
use crate::body::{InBody, OutBody};
use crate::front::testing::Script;
use crate::front::tls::tests as certificates;
use crate::interim::InterimSender;
use http::{Request, Response};
use std::net::Ipv4Addr;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

struct Running {
    address: SocketAddr,
    tracker: ConnTracker,
    drain: watch::Sender<bool>,
    task: JoinHandle<()>,
}

struct Options {
    tls: Option<Arc<TlsReloader>>,
    proxy_protocol: bool,
    limits: Limits,
    trusted: Vec<IpNet>,
    grace: Duration,
}

impl Default for Options {
    fn default() -> Self {
        let grace = Duration::from_secs(60);
        Self { tls: None, proxy_protocol: false, limits: Limits::default(), trusted: vec![], grace }
    }
}

fn start<H: Handler>(handler: Arc<H>, options: Options) -> Running {
    let socket = adopt(bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let (drain, told) = watch::channel(false);
    let tracker = ConnTracker::default();
    let listener = Listener { socket, tls: options.tls, proxy_protocol: options.proxy_protocol };
    let settings = ConnSettings { limits: Arc::new(options.limits), trusted: options.trusted.into() };
    let settings = Arc::new(ArcSwap::from_pointee(settings));
    let task = tokio::spawn(run(listener, handler, settings, told, options.grace, tracker.clone()));
    Running { address, tracker, drain, task }
}

/// Says what the connection looks like from inside.
async fn tell(request: Request<InBody>, conn: Arc<Conn>, _: InterimSender) -> Response<OutBody> {
    let Conn { peer, local, tls, sni } = &*conn;
    let text =
        format!("{:?} peer={} local={} tls={tls} sni={sni:?}", request.version(), peer.ip(), local.ip());
    Response::new(OutBody::full(text))
}

/// One HTTP/1 request on `io`; everything that came back.
async fn over_http1<IO: AsyncRead + AsyncWrite + Unpin>(io: &mut IO) -> String {
    io.write_all(b"GET / HTTP/1.1\r\nHost: a.com\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut all = String::new();
    let _ = io.read_to_string(&mut all).await;
    all
}

async fn over_http2<IO: AsyncRead + AsyncWrite + Send + Unpin + 'static>(io: IO) -> String {
    let (mut send, connection) = h2::client::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("http://a.com/").body(()).unwrap();
    let mut body = send.send_request(request, true).unwrap().0.await.unwrap().into_body();
    let mut all = Vec::new();
    while let Some(data) = body.data().await {
        all.extend(data.unwrap());
    }
    String::from_utf8(all).unwrap()
}

async fn closed(mut io: TcpStream) {
    // Either an orderly end or a reset, but no byte.
    assert_eq!(io.read(&mut [0; 1]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn both_versions_on_one_port_in_the_clear() {
    let running = start(Script::new(tell), Options::default());
    let mut io = TcpStream::connect(running.address).await.unwrap();
    let answer = over_http1(&mut io).await;
    assert!(answer.contains("HTTP/1.1 peer=127.0.0.1 local=127.0.0.1 tls=false sni=None"), "{answer}");
    let io = TcpStream::connect(running.address).await.unwrap();
    assert!(over_http2(io).await.starts_with("HTTP/2.0 "));
}

/// The first bytes decide, however they are cut.
#[tokio::test]
async fn sniffing() {
    for (bytes, expected) in [
        (&b"GET / HTTP/1.1\r\n"[..], Spoken::Http1),
        (b"P", Spoken::Http1),
        (b"PURGE / HTTP/1.1\r\n", Spoken::Http1),
        (b"PRI * HTTP/1.1\r\n", Spoken::Http1),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX", Spoken::Http1),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Spoken::Http2),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", Spoken::Http2),
    ] {
        for piece in [1, 7, bytes.len()] {
            let (mut client, mut server) = tokio::io::duplex(1024);
            let (sniffed, ()) = tokio::join!(sniff(&mut server), async {
                for part in bytes.chunks(piece) {
                    client.write_all(part).await.unwrap();
                    tokio::task::yield_now().await;
                }
                client.shutdown().await.unwrap();
            });
            let (spoken, read) = sniffed.unwrap();
            let mut rest = read.to_vec();
            server.read_to_end(&mut rest).await.unwrap();
            assert_eq!((spoken, rest.as_slice()), (expected, bytes), "nothing is lost");
        }
    }
    let (client, mut server) = tokio::io::duplex(16);
    drop(client);
    assert!(sniff(&mut server).await.is_err());
}

/// Slowloris before the first request: a beginning of the preface is waited for, not for ever.
#[tokio::test]
async fn silent_clients_are_dropped() {
    let limits = Limits { header_read_timeout: Duration::from_millis(20), ..Limits::default() };
    let running = start(Script::new(tell), Options { limits, ..Options::default() });
    let silent = TcpStream::connect(running.address).await.unwrap();
    let mut slow = TcpStream::connect(running.address).await.unwrap();
    slow.write_all(b"PRI * HT").await.unwrap();
    closed(silent).await;
    closed(slow).await;
    running.tracker.none_left().await;
    assert_eq!(running.tracker.turned(Turned::Silent), 2);
}

#[tokio::test]
async fn tls_with_alpn_and_server_name() {
    let pair = certificates::pair("larder.test");
    let tls = Some(TlsReloader::load(pair.files.clone()).unwrap());
    let running = start(Script::new(tell), Options { tls, ..Options::default() });
    let connect = async |alpn: &[&str]| {
        let connector = tokio_rustls::TlsConnector::from(certificates::client(&pair.der, alpn));
        let io = TcpStream::connect(running.address).await.unwrap();
        connector.connect("LARDER.test".try_into().unwrap(), io).await.unwrap()
    };
    let inside = "tls=true sni=Some(\"larder.test\")";
    let answer = over_http2(connect(&["h2"]).await).await;
    assert!(answer.starts_with("HTTP/2.0") && answer.ends_with(inside), "{answer}");
    for alpn in [&["http/1.1"][..], &[]] {
        let answer = over_http1(&mut connect(alpn).await).await;
        assert!(answer.contains("HTTP/1.1 peer") && answer.contains(inside), "{answer}");
    }
    let mut plain = TcpStream::connect(running.address).await.unwrap();
    assert!(!over_http1(&mut plain).await.contains("HTTP/1.1 200"));
    running.tracker.none_left().await;
    assert_eq!(running.tracker.turned(Turned::Tls), 1);
}

#[tokio::test]
async fn the_proxy_header_names_the_client() {
    let trusted = vec!["127.0.0.0/8".parse().unwrap()];
    let running = start(Script::new(tell), Options { proxy_protocol: true, trusted, ..Options::default() });
    let mut io = TcpStream::connect(running.address).await.unwrap();
    io.write_all(b"PROXY TCP4 192.0.2.7 198.51.100.1 5 80\r\n").await.unwrap();
    let answer = over_http1(&mut io).await;
    assert!(answer.contains("peer=192.0.2.7 local=198.51.100.1"), "{answer}");

    // A second header is not another chance, and none is no client.
    for first in ["PROXY TCP4 192.0.2.7 198.51.100.1 5 80\r\nPROXY UNKNOWN\r\n", "GET / HTTP/1.1\r\n"] {
        let mut io = TcpStream::connect(running.address).await.unwrap();
        io.write_all(first.as_bytes()).await.unwrap();
        assert!(!over_http1(&mut io).await.contains(" 200 "), "{first}");
    }
    running.tracker.none_left().await;
    assert_eq!(running.tracker.turned(Turned::ProxyHeader), 1);
}

#[tokio::test]
async fn only_trusted_peers_may_send_a_proxy_header() {
    for trusted in [vec!["10.0.0.0/8".parse().unwrap()], vec![]] {
        let options = Options { proxy_protocol: true, trusted, ..Options::default() };
        let running = start(Script::new(tell), options);
        let io = TcpStream::connect(running.address).await.unwrap();
        closed(io).await;
        running.tracker.none_left().await;
        assert_eq!(running.tracker.turned(Turned::ProxyHeader), 1);
    }
}

/// Without `proxy_protocol` the header is just a bad request.
#[tokio::test]
async fn a_proxy_header_is_not_believed_where_it_is_switched_off() {
    let running = start(Script::new(tell), Options::default());
    let mut io = TcpStream::connect(running.address).await.unwrap();
    io.write_all(b"PROXY TCP4 192.0.2.7 198.51.100.1 5 80\r\n").await.unwrap();
    assert!(!over_http1(&mut io).await.contains("192.0.2.7"));
}

#[tokio::test]
async fn connections_are_bounded() {
    let limits = Limits { connections: 2, ..Limits::default() };
    let running = start(Script::new(tell), Options { limits, ..Options::default() });
    let mut first = TcpStream::connect(running.address).await.unwrap();
    let _second = TcpStream::connect(running.address).await.unwrap();
    closed(TcpStream::connect(running.address).await.unwrap()).await;
    assert_eq!(running.tracker.turned(Turned::TooMany), 1);
    assert!(over_http1(&mut first).await.contains(" 200 "));
    drop(first);
    // The place is free as soon as the server has noticed.
    loop {
        let mut next = TcpStream::connect(running.address).await.unwrap();
        if over_http1(&mut next).await.contains(" 200 ") {
            break;
        }
    }
}

#[tokio::test]
async fn connections_are_bounded_per_address() {
    let limits = Limits { connections_per_address: 1, ..Limits::default() };
    let trusted = vec!["127.0.0.0/8".parse().unwrap()];
    let options = Options { proxy_protocol: true, limits, trusted, ..Options::default() };
    let running = start(Script::new(tell), options);
    let connect = async |client: &str| {
        let mut io = TcpStream::connect(running.address).await.unwrap();
        io.write_all(format!("PROXY TCP4 {client} 198.51.100.1 5 80\r\n").as_bytes()).await.unwrap();
        io
    };
    // Held open by a request that has begun.
    let mut first = connect("192.0.2.7").await;
    first.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let mut other = connect("192.0.2.8").await;
    assert!(over_http1(&mut other).await.contains(" 200 "), "another address has its own place");
    closed(connect("192.0.2.7").await).await;
    assert_eq!(running.tracker.turned(Turned::TooManyFromAddress), 1);
}

/// SIGTERM: nobody new, everybody old is finished, then it is over.
#[tokio::test]
async fn draining_stops_accepting_and_finishes_what_is_open() {
    let (go, wait) = watch::channel(false);
    let (start_tx, mut started) = mpsc::channel(8);
    let handler = Script::new(move |_, _, _| {
        let (mut wait, started) = (wait.clone(), start_tx.clone());
        async move {
            started.send(()).await.unwrap();
            wait.wait_for(|go| *go).await.unwrap();
            Response::new(OutBody::full("done"))
        }
    });
    let running = start(handler, Options::default());
    let mut http1 = TcpStream::connect(running.address).await.unwrap();
    let http1 = tokio::spawn(async move { over_http1(&mut http1).await });
    let http2 = tokio::spawn(over_http2(TcpStream::connect(running.address).await.unwrap()));
    started.recv().await.unwrap();
    started.recv().await.unwrap();
    running.drain.send(true).unwrap();
    while TcpStream::connect(running.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!running.task.is_finished() && running.tracker.live() == 2);
    go.send(true).unwrap();
    assert!(http1.await.unwrap().ends_with("done"));
    assert_eq!(http2.await.unwrap(), "done");
    running.task.await.unwrap();
    running.tracker.none_left().await;
}

#[tokio::test]
async fn what_is_left_after_the_grace_period_is_ended() {
    let (start_tx, mut started) = mpsc::channel(8);
    let handler = Script::new(move |_, _, _| {
        let started = start_tx.clone();
        async move {
            started.send(()).await.unwrap();
            std::future::pending().await
        }
    });
    let running = start(handler, Options { grace: Duration::ZERO, ..Options::default() });
    let mut io = TcpStream::connect(running.address).await.unwrap();
    let asking = tokio::spawn(async move { over_http1(&mut io).await });
    started.recv().await.unwrap();
    running.drain.send(true).unwrap();
    running.task.await.unwrap();
    assert_eq!(asking.await.unwrap(), "");
    assert_eq!(running.tracker.live(), 0);
}

/// A reload of the limits holds for new connections.
#[tokio::test]
async fn settings_are_read_anew_for_each_connection() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let listener = Listener { socket: adopt(socket).unwrap(), tls: None, proxy_protocol: false };
    let with = |connections| {
        let limits = Arc::new(Limits { connections, ..Limits::default() });
        Arc::new(ConnSettings { limits, trusted: Arc::from([]) })
    };
    let settings = Arc::new(ArcSwap::new(with(0)));
    let (_drain, told) = watch::channel(false);
    let tracker = ConnTracker::default();
    tokio::spawn(run(listener, Script::new(tell), Arc::clone(&settings), told, Duration::ZERO, tracker));
    closed(TcpStream::connect(address).await.unwrap()).await;
    settings.store(with(1));
    let mut io = TcpStream::connect(address).await.unwrap();
    assert!(over_http1(&mut io).await.contains(" 200 "));
}

/// A connection that was opened in advance must not hold up the end of the process.
#[tokio::test(start_paused = true)]
async fn draining_does_not_wait_for_those_who_never_asked() {
    let limits = Limits { header_read_timeout: Duration::from_secs(3600), ..Limits::default() };
    let (drain, told) = watch::channel(false);
    let mut patience = Patience { limit: limits.header_read_timeout, drain: told };
    let before = tokio::time::sleep(LAST_CALL * 2);
    let silence = std::future::pending::<()>();
    drain.send(true).unwrap();
    tokio::select! {
        waited = patience.wait(silence) => assert_eq!(waited, None),
        () = before => panic!("still waiting"),
    }
}
