//! TLS towards servers: rustls with the ring provider, the machine's roots or a file of our own, and a client
//! certificate where a server wants one.

use super::error::{BuildError, TlsFault};
use super::settings::{ServerUrl, TlsSettings};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsConnector;

/// One configuration for HTTP/1.1 alone, one that offers HTTP/2 as well.
#[derive(Clone)]
pub(super) struct Tls {
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

impl Tls {
    /// # Errors
    /// A file that is missing or holds nothing usable, a name that is none, a machine without roots.
    pub fn new(settings: &TlsSettings, server: &ServerUrl) -> Result<Self, BuildError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| BuildError::Tls(e.to_string()))?;
        let verifier: Arc<dyn ServerCertVerifier> = if settings.insecure {
            tracing::warn!(server = %server, "tls.insecure: any certificate is accepted, anyone in between can read and change what this origin sends");
            Arc::new(AcceptAll(Arc::clone(&provider)))
        } else {
            let roots = Arc::new(roots(settings.ca.as_deref(), server)?);
            WebPkiServerVerifier::builder_with_provider(roots, provider)
                .build()
                .map_err(|e| BuildError::Tls(e.to_string()))?
        };
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = match (&settings.cert, &settings.key) {
            (None, None) => builder.with_no_client_auth(),
            (Some(cert), Some(key)) => builder
                .with_client_auth_cert(certificates(cert)?, private_key(key)?)
                .map_err(|e| BuildError::Tls(e.to_string()))?,
            _ => return Err(BuildError::HalfClientCertificate),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut http2 = config.clone();
        http2.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let server_name = settings.server_name.as_deref().map(name).transpose()?;
        Ok(Self { http1: Arc::new(config), http2: Arc::new(http2), server_name })
    }

    pub fn connector(&self, offer_http2: bool) -> TlsConnector {
        TlsConnector::from(Arc::clone(if offer_http2 { &self.http2 } else { &self.http1 }))
    }

    /// The name a server must prove to have.
    pub fn server_name(&self, url: &ServerUrl) -> Result<ServerName<'static>, BuildError> {
        self.server_name.clone().map_or_else(|| name(url.host()), Ok)
    }
}

fn name(text: &str) -> Result<ServerName<'static>, BuildError> {
    ServerName::try_from(text.to_owned()).map_err(|_| BuildError::ServerName(text.to_owned()))
}

fn roots(ca: Option<&Path>, server: &ServerUrl) -> Result<RootCertStore, BuildError> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = ca {
        for certificate in certificates(file)? {
            roots.add(certificate).map_err(|e| file_error(file, &e))?;
        }
        return Ok(roots);
    }
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::warn!(%error, "some of this machine's root certificates can't be read");
    }
    roots.add_parsable_certificates(native.certs);
    if roots.is_empty() { Err(BuildError::NoRoots(server.to_string())) } else { Ok(roots) }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, BuildError> {
    let list: Vec<_> =
        CertificateDer::pem_file_iter(file).and_then(Iterator::collect).map_err(|e| file_error(file, &e))?;
    if list.is_empty() { Err(file_error(file, &"no certificate in it")) } else { Ok(list) }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, BuildError> {
    PrivateKeyDer::from_pem_file(file).map_err(|e| file_error(file, &e))
}

fn file_error(file: &Path, reason: &dyn std::fmt::Display) -> BuildError {
    BuildError::File { file: file.display().to_string(), reason: reason.to_string() }
}

/// What a failed handshake means. rustls hands its errors over inside of `io::Error`.
pub(super) fn fault(error: &io::Error) -> TlsFault {
    match error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            TlsFault::Certificate
        }
        Some(rustls::Error::AlertReceived(_)) => TlsFault::Alert,
        _ => TlsFault::Protocol,
    }
}

/// `tls.insecure`: any certificate will do. Signatures are still checked, so that the peer at least holds its key.
#[derive(Debug)]
struct AcceptAll(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAll {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
