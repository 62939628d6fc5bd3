//! How a byte stream to a server of the store is opened: TCP, with TLS when the URL says so. Tests bring their own.

use crate::fleet::settings::Address;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A byte stream in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

pub type Stream = Box<dyn Duplex>;

/// What [`Dial::dial`] returns.
pub type Dialling<'a> = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send + 'a>>;

/// Opens streams. May take as long as it likes: whoever calls it sets a limit.
pub trait Dial: fmt::Debug + Send + Sync {
    fn dial<'a>(&'a self, address: &'a Address) -> Dialling<'a>;
}

/// Quiet connections are probed, so that a firewall in between doesn't forget them in silence.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// One address, while there are others to try.
const ONE_OF_SEVERAL: Duration = Duration::from_millis(300);

/// TCP, with TLS where it is wanted.
#[derive(Clone)]
pub struct Tcp {
    /// Why there is none when there should be: must never become plain text.
    tls: Option<Result<TlsConnector, String>>,
}

impl fmt::Debug for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tcp").field("tls", &self.tls.is_some()).finish()
    }
}

impl Tcp {
    pub const fn plain() -> Self {
        Self { tls: None }
    }

    /// TLS that believes the roots of this machine (`SSL_CERT_FILE` and `SSL_CERT_DIR` name others).
    /// A machine without any is not an error here: connections fail, and say so.
    pub fn tls() -> Self {
        let native = rustls_native_certs::load_native_certs();
        for error in &native.errors {
            tracing::warn!(%error, "some of this machine's root certificates can't be read");
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(native.certs);
        if roots.is_empty() {
            tracing::error!(
                "shared store: no root certificates on this machine, no server can prove who it is"
            );
        }
        Self::with_roots(roots)
    }

    /// TLS that believes these.
    pub fn with_roots(roots: RootCertStore) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map(|builder| builder.with_root_certificates(roots).with_no_client_auth());
        Self {
            tls: Some(config.map(|config| TlsConnector::from(Arc::new(config))).map_err(|e| e.to_string())),
        }
    }

    async fn open(&self, address: &Address) -> io::Result<Stream> {
        let tcp = connect(address).await?;
        tcp.set_nodelay(true)?;
        socket2::SockRef::from(&tcp).set_tcp_keepalive(
            &socket2::TcpKeepalive::new().with_time(KEEP_ALIVE).with_interval(KEEP_ALIVE),
        )?;
        let Some(tls) = &self.tls else { return Ok(Box::new(tcp)) };
        let tls = tls.as_ref().map_err(|e| io::Error::other(e.clone()))?;
        let name = ServerName::try_from(address.host.to_string()).map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidInput, "not a name that a certificate can have")
        })?;
        Ok(Box::new(tls.connect(name, tcp).await?))
    }
}

/// Tries all addresses that the name has. One that swallows everything must not use up the time of the next.
async fn connect(address: &Address) -> io::Result<TcpStream> {
    let mut places: Vec<_> = tokio::net::lookup_host((&*address.host, address.port)).await?.collect();
    let Some(last) = places.pop() else {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    };
    for place in places {
        if let Ok(Ok(tcp)) = tokio::time::timeout(ONE_OF_SEVERAL, TcpStream::connect(place)).await {
            return Ok(tcp);
        }
    }
    TcpStream::connect(last).await
}

impl Dial for Tcp {
    fn dial<'a>(&'a self, address: &'a Address) -> Dialling<'a> {
        Box::pin(self.open(address))
    }
}
