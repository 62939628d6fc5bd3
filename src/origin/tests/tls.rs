//! TLS: who is believed, and what is said when not. Certificates are made on the spot.

use super::super::settings::TlsSettings;
use super::http2::serve_http2;
use super::*;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::path::PathBuf;
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// An issuer, and files of what it issued.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = TempDir::new().unwrap();
        std::fs::write(dir.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, dir }
    }

    fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    fn issue(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// A client certificate, in files.
    fn client(&self) -> (PathBuf, PathBuf) {
        let (certificate, key) = self.issue("larder.example");
        let (cert_file, key_file) = (self.dir.path().join("cert.pem"), self.dir.path().join("key.pem"));
        std::fs::write(&cert_file, certificate.pem()).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        (cert_file, key_file)
    }

    fn acceptor(&self, name: &str, client_certificate: bool, alpn: &[&str]) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let (certificate, key) = self.issue(name);
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if client_certificate {
            let mut roots = RootCertStore::empty();
            roots.add(self.issuer.der().clone()).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}

async fn serve<F, R>(acceptor: TlsAcceptor, play: F) -> Scripted
where
    F: Fn(TlsStream<TcpStream>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    Scripted::new(move |_, s| {
        let (acceptor, play) = (acceptor.clone(), play.clone());
        async move {
            if let Ok(stream) = acceptor.accept(s).await {
                play(stream).await;
            }
        }
    })
    .await
}

fn https(server: &Scripted, tls: TlsSettings) -> Settings {
    let url = ServerUrl::parse(&format!("https://{}", server.address)).unwrap();
    Settings { tls, ..settings([url]) }
}

fn trusting(authority: &Authority) -> TlsSettings {
    TlsSettings { ca: Some(authority.ca()), ..TlsSettings::default() }
}

fn named(authority: &Authority, name: &str) -> TlsSettings {
    TlsSettings { server_name: Some(name.to_owned()), ..trusting(authority) }
}

async fn plain(stream: TlsStream<TcpStream>) {
    Peer::new(stream).answer_all(OK).await;
}

#[tokio::test]
async fn a_certificate_of_the_given_issuer_for_the_urls_host_is_believed_and_the_connection_reused() {
    let authority = Authority::new();
    let server = serve(authority.acceptor("127.0.0.1", false, &[]), plain).await;
    let origin = build(https(&server, trusting(&authority)));
    for _ in 0..3 {
        assert_eq!(got(&origin).await, "ok");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn an_issuer_that_is_not_ours_and_a_name_that_is_not_its_are_not_believed() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = serve(authority.acceptor("127.0.0.1", false, &[]), plain).await;
    let certificate = OriginError::Tls(TlsFault::Certificate);
    assert_eq!(get(&build(https(&server, trusting(&other)))).await.unwrap_err(), certificate);
    let wrong = https(&server, named(&authority, "other.example"));
    assert_eq!(get(&build(wrong)).await.unwrap_err(), certificate);
}

#[tokio::test]
async fn server_name_is_asked_for_and_checked_instead_of_the_urls_host() {
    let authority = Authority::new();
    let server = serve(authority.acceptor("app.example", false, &[]), |stream| async {
        assert_eq!(stream.get_ref().1.server_name(), Some("app.example"));
        plain(stream).await;
    })
    .await;
    assert_eq!(got(&build(https(&server, named(&authority, "app.example")))).await, "ok");
    let failed = get(&build(https(&server, trusting(&authority)))).await.unwrap_err();
    assert_eq!(failed, OriginError::Tls(TlsFault::Certificate));
}

#[tokio::test]
async fn insecure_believes_anyone() {
    let server = serve(Authority::new().acceptor("whatever.example", false, &[]), plain).await;
    let tls = TlsSettings { insecure: true, ..TlsSettings::default() };
    assert_eq!(got(&build(https(&server, tls))).await, "ok");
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_one_is_asked_for() {
    let authority = Authority::new();
    let server = serve(authority.acceptor("127.0.0.1", true, &[]), plain).await;
    let (cert, key) = authority.client();
    let tls = TlsSettings { cert: Some(cert), key: Some(key), ..trusting(&authority) };
    assert_eq!(got(&build(https(&server, tls))).await, "ok");
    // Without: in TLS 1.3 the alert comes after our side of the handshake is done.
    let failed = get(&build(https(&server, trusting(&authority)))).await.unwrap_err();
    assert!(matches!(failed, OriginError::Tls(TlsFault::Alert) | OriginError::Reset), "{failed}");
}

#[tokio::test]
async fn what_does_not_speak_tls_fails_in_the_handshake() {
    let server = Scripted::new(|_, s| async move {
        let mut peer = Peer::new(s);
        peer.say("HTTP/1.1 400 Bad Request\r\n\r\n").await;
        peer.until_closed().await;
    })
    .await;
    let tls = TlsSettings { insecure: true, ..TlsSettings::default() };
    let failed = get(&build(https(&server, tls))).await.unwrap_err();
    assert_eq!(failed, OriginError::Tls(TlsFault::Protocol));
}

#[tokio::test]
async fn connect_timeout_covers_the_handshake() {
    let server = Scripted::mute().await;
    let tls = TlsSettings { insecure: true, ..TlsSettings::default() };
    let origin = build(Settings { connect_timeout: SHORT, ..https(&server, tls) });
    assert_eq!(get(&origin).await.unwrap_err(), OriginError::ConnectTimeout);
}

/// What came with the answer's end has been decrypted with it: the socket has nothing, and TLS has what the first read had no room for.
#[tokio::test]
async fn rfc_9112_9_2_what_tls_has_in_hand_is_no_answer() {
    /// `http1::buffer::LEAST`.
    const FIRST_READ: usize = 8 * 1024;
    let authority = Authority::new();
    let server = serve(authority.acceptor("127.0.0.1", false, &[]), |mut stream| async move {
        let mut chunk = [0; 4096];
        let _ = stream.read(&mut chunk).await;
        let mut text = OK.to_owned();
        if chunk.starts_with(b"HEAD") {
            text = "HTTP/1.1 200 OK\r\nContent-Length: 42\r\nX: ".to_owned();
            text.push_str(&"x".repeat(FIRST_READ - text.len() - 4));
            text.push_str("\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
        }
        stream.write_all(text.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        plain(stream).await;
    })
    .await;
    let origin = build(https(&server, trusting(&authority)));
    let answer = send(&origin, request("HEAD", "/", empty_in()), SendOptions::default()).await.unwrap();
    assert_eq!(read(answer).await.unwrap(), "");
    assert_eq!(got(&origin).await, "ok");
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn rfc_9112_9_8_a_close_without_notice_leaves_a_body_without_length_incomplete() {
    for notice in [true, false] {
        let authority = Authority::new();
        let server = serve(authority.acceptor("127.0.0.1", false, &[]), move |mut stream| async move {
            let mut chunk = [0; 4096];
            let _ = stream.read(&mut chunk).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nok").await;
            let _ = stream.flush().await;
            if notice {
                let _ = stream.shutdown().await;
            }
        })
        .await;
        let answer = get(&build(https(&server, trusting(&authority)))).await.unwrap();
        let expected = if notice { Ok("ok".to_owned()) } else { Err(OriginError::BodyTruncated) };
        assert_eq!(read(answer).await, expected);
    }
}

#[tokio::test]
async fn rfc_9113_3_2_http2_is_offered_and_either_answer_is_taken() {
    let authority = Authority::new();
    let http2 = serve(authority.acceptor("127.0.0.1", false, &["h2", "http/1.1"]), serve_http2).await;
    let origin = build(Settings { http2: true, ..https(&http2, trusting(&authority)) });
    assert_eq!(got(&origin).await, "GET https://shop.example/x | ");
    assert_eq!(got(&origin).await, "GET https://shop.example/x | ");
    assert_eq!(http2.connections(), 1);

    let http1 = serve(authority.acceptor("127.0.0.1", false, &["http/1.1"]), plain).await;
    let origin = build(Settings { http2: true, ..https(&http1, trusting(&authority)) });
    assert_eq!(got(&origin).await, "ok");
    assert_eq!(got(&origin).await, "ok");
    assert_eq!(http1.connections(), 1);
}

#[tokio::test]
async fn an_upgrade_keeps_to_http_1_where_http2_would_be_chosen() {
    let authority = Authority::new();
    let server = serve(authority.acceptor("127.0.0.1", false, &["h2", "http/1.1"]), |stream| async {
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        let mut peer = Peer::new(stream);
        peer.head().await;
        peer.say("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n").await;
        let said = peer.take(5).await;
        peer.say(said).await;
        peer.until_closed().await;
    })
    .await;
    let origin = build(Settings { http2: true, ..https(&server, trusting(&authority)) });
    let mut asked = request("GET", "/", empty_in());
    asked.headers_mut().insert("connection", "upgrade".parse().unwrap());
    asked.headers_mut().insert("upgrade", "echo".parse().unwrap());
    let mut answer = send(&origin, asked, SendOptions::default()).await.unwrap();
    let upgraded = soon(hyper::upgrade::on(&mut answer.response)).await.unwrap();
    let mut tunnel = hyper_util::rt::TokioIo::new(upgraded);
    tunnel.write_all(b"world").await.unwrap();
    let mut echoed = [0; 5];
    soon(tunnel.read_exact(&mut echoed)).await.unwrap();
    assert_eq!(&echoed, b"world");
}

#[tokio::test]
async fn files_that_are_missing_or_empty_and_half_a_client_certificate_are_build_errors() {
    let dir = TempDir::new().unwrap();
    let empty = dir.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let url = || ServerUrl::parse("https://app.example").unwrap();
    for tls in [
        TlsSettings { ca: Some(dir.path().join("missing.pem")), ..TlsSettings::default() },
        TlsSettings { ca: Some(empty.clone()), ..TlsSettings::default() },
        TlsSettings { insecure: true, cert: Some(empty.clone()), ..TlsSettings::default() },
        TlsSettings { insecure: true, cert: Some(empty.clone()), key: Some(empty), ..TlsSettings::default() },
        TlsSettings { insecure: true, server_name: Some("not a name".into()), ..TlsSettings::default() },
    ] {
        let settings = Settings { tls, ..settings([url()]) };
        assert!(Origin::new("test", settings, Clock::system()).is_err());
    }
    assert!(matches!(Origin::new("test", settings([]), Clock::system()), Err(BuildError::NoServers)));
}
