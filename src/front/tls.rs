//! TLS for public listeners: rustls with ring, TLS 1.2 and 1.3, ALPN for HTTP/2 and HTTP/1.1, tickets.
//!
//! Certificates are renewed under our feet: the files are looked at every few seconds, and new handshakes use
//! what they say now. A pair that does not work keeps the old one in use and is reported once, not on every
//! look. Connections that are open are not touched.

pub mod expiry;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ProducesTickets;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How often [`TlsReloader::watch`] looks at the files.
pub const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A certificate chain has two or three; the rest is a wrong file.
const CHAIN_MAX: usize = 32;

/// Where the certificate chain (leaf first) and its key are, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// Why a pair of files can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("{path}: {source}")]
    Pem { path: PathBuf, source: rustls::pki_types::pem::Error },
    #[error("{path}: no certificate in it")]
    NoCertificate { path: PathBuf },
    #[error("{path}: more than {CHAIN_MAX} certificates")]
    TooManyCertificates { path: PathBuf },
    #[error("certificate {cert} and key {key}: {source}")]
    Unusable { cert: PathBuf, key: PathBuf, source: rustls::Error },
}

/// What a look at the files found.
#[derive(Debug)]
pub enum Looked {
    Unchanged,
    Reloaded,
    /// The old pair stays in use.
    Broken(TlsError),
}

/// What tells a rewritten file from an untouched one. A renewed certificate often has the same length, and
/// may come within one tick of the file system's clock, hence the inode and the change time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    length: u64,
    identity: (u64, u64),
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let meta: Metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            length: meta.len(),
            identity: (meta.dev(), meta.ino()),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        })
    }
}

type Stamps = (Option<Stamp>, Option<Stamp>);

/// The TLS set-up of one listener, renewed from its files.
pub struct TlsReloader {
    files: TlsFiles,
    current: ArcSwap<ServerConfig>,
    /// Shared by all generations, so that a renewal does not void the tickets given out before.
    ticketer: Arc<dyn ProducesTickets>,
    /// Of the files last read, working or not.
    seen: Mutex<Stamps>,
}

impl std::fmt::Debug for TlsReloader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsReloader").field("files", &self.files).finish_non_exhaustive()
    }
}

impl TlsReloader {
    /// Reads the files for the first time. Blocks on the disk.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn load(files: TlsFiles) -> Result<Arc<Self>, TlsError> {
        // Before reading: a change in between is then seen as one.
        let stamps = (Stamp::of(&files.cert), Stamp::of(&files.key));
        let ticketer = ring::Ticketer::new().map_err(|source| unusable(&files, source))?;
        let config = read(&files, &ticketer)?;
        Ok(Arc::new(Self { files, current: ArcSwap::new(config), ticketer, seen: Mutex::new(stamps) }))
    }

    /// For the next handshake.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }

    /// Looks whether the files changed and takes the new ones when they work. Blocks on the disk.
    pub fn look(&self) -> Looked {
        let stamps = (Stamp::of(&self.files.cert), Stamp::of(&self.files.key));
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if *seen == stamps {
                return Looked::Unchanged;
            }
            *seen = stamps;
        }
        match read(&self.files, &self.ticketer) {
            Ok(config) => {
                self.current.store(config);
                Looked::Reloaded
            }
            Err(error) => Looked::Broken(error),
        }
    }

    /// Looks every `period` until told to drain; [`LOOK_EVERY`] does.
    pub async fn watch(self: Arc<Self>, period: Duration, mut drain: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                biased;
                () = super::listener::told_to_drain(&mut drain) => return,
                () = tokio::time::sleep(period) => {}
            }
            let this = Arc::clone(&self);
            let cert = self.files.cert.display();
            match tokio::task::spawn_blocking(move || this.look()).await {
                Ok(Looked::Reloaded) => tracing::info!(%cert, "TLS certificate reloaded"),
                Ok(Looked::Broken(error)) => {
                    tracing::error!(%error, "new TLS files don't work, the old ones stay in use")
                }
                Ok(Looked::Unchanged) => {}
                Err(error) => tracing::error!(%error, "looking at the TLS files failed"),
            }
        }
    }
}

fn unusable(files: &TlsFiles, source: rustls::Error) -> TlsError {
    TlsError::Unusable { cert: files.cert.clone(), key: files.key.clone(), source }
}

fn read(files: &TlsFiles, ticketer: &Arc<dyn ProducesTickets>) -> Result<Arc<ServerConfig>, TlsError> {
    let contents =
        |path: &PathBuf| std::fs::read(path).map_err(|source| TlsError::File { path: path.clone(), source });
    let pem = |path: &PathBuf| {
        let path = path.clone();
        move |source| TlsError::Pem { path, source }
    };
    let cert = contents(&files.cert)?;
    let chain = CertificateDer::pem_slice_iter(&cert)
        .take(CHAIN_MAX + 1)
        .collect::<Result<Vec<_>, _>>()
        .map_err(pem(&files.cert))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate { path: files.cert.clone() });
    }
    if chain.len() > CHAIN_MAX {
        return Err(TlsError::TooManyCertificates { path: files.cert.clone() });
    }
    let key = PrivateKeyDer::from_pem_slice(&contents(&files.key)?).map_err(pem(&files.key))?;

    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|source| unusable(files, source))?
        .with_no_client_auth()
        // Also checks that the key is the certificate's, so a half-written renewal is refused.
        .with_single_cert(chain, key)
        .map_err(|source| unusable(files, source))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = Arc::clone(ticketer);
    Ok(Arc::new(config))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use rustls::ClientConfig;
    use rustls::RootCertStore;

    /// A self-signed pair in a directory of its own.
    pub struct Pair {
        pub dir: tempfile::TempDir,
        pub files: TlsFiles,
        pub der: CertificateDer<'static>,
    }

    fn generate(host: &str) -> (String, String, CertificateDer<'static>) {
        let made = rcgen::generate_simple_self_signed([host.to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem(), made.cert.der().clone())
    }

    pub fn pair(host: &str) -> Pair {
        let dir = tempfile::tempdir().unwrap();
        let files = TlsFiles { cert: dir.path().join("c.pem"), key: dir.path().join("k.pem") };
        let (cert, key, der) = generate(host);
        std::fs::write(&files.cert, cert).unwrap();
        std::fs::write(&files.key, key).unwrap();
        Pair { dir, files, der }
    }

    /// A client that trusts exactly this certificate.
    pub fn client(der: &CertificateDer<'static>, alpn: &[&str]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(der.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// Does a whole handshake in memory; what the client says of the certificate.
    async fn handshake(server: Arc<ServerConfig>, client: Arc<ClientConfig>) -> Result<Vec<u8>, String> {
        let (a, b) = tokio::io::duplex(64 * 1024);
        let acceptor = tokio_rustls::TlsAcceptor::from(server);
        let connector = tokio_rustls::TlsConnector::from(client);
        let name = "larder.test".try_into().unwrap();
        let (_served, connected) = tokio::join!(acceptor.accept(a), connector.connect(name, b));
        let connected = connected.map_err(|e| e.to_string())?;
        Ok(connected.get_ref().1.alpn_protocol().unwrap_or_default().to_vec())
    }

    #[tokio::test]
    async fn alpn_prefers_http_2() {
        let pair = pair("larder.test");
        let reloader = TlsReloader::load(pair.files.clone()).unwrap();
        for (offered, chosen) in
            [(&["http/1.1", "h2"][..], &b"h2"[..]), (&["http/1.1"], b"http/1.1"), (&[], b"")]
        {
            assert_eq!(handshake(reloader.config(), client(&pair.der, offered)).await.unwrap(), chosen);
        }
        assert!(handshake(reloader.config(), client(&pair.der, &["acme"])).await.is_err());
    }

    #[tokio::test]
    async fn a_renewed_pair_is_taken_and_a_broken_one_is_not() {
        let pair = pair("larder.test");
        let reloader = TlsReloader::load(pair.files.clone()).unwrap();
        assert!(matches!(reloader.look(), Looked::Unchanged));

        // Half a renewal: the certificate is new, the key is still the old one.
        let (cert, key, der) = generate("larder.test");
        std::fs::write(&pair.files.cert, cert).unwrap();
        assert!(matches!(reloader.look(), Looked::Broken(TlsError::Unusable { .. })));
        assert!(matches!(reloader.look(), Looked::Unchanged), "reported once");
        handshake(reloader.config(), client(&pair.der, &[])).await.expect("the old pair is still in use");

        std::fs::write(&pair.files.key, key).unwrap();
        assert!(matches!(reloader.look(), Looked::Reloaded));
        handshake(reloader.config(), client(&der, &[])).await.expect("the new pair is in use");
        assert!(handshake(reloader.config(), client(&pair.der, &[])).await.is_err());

        std::fs::remove_file(&pair.files.key).unwrap();
        assert!(matches!(reloader.look(), Looked::Broken(TlsError::File { .. })));
        handshake(reloader.config(), client(&der, &[])).await.expect("and stays");
    }

    #[test]
    fn errors_name_the_file() {
        let pair = pair("larder.test");
        for (wrong, content) in [(&pair.files.cert, "nonsense"), (&pair.files.key, "nonsense")] {
            let before = std::fs::read(wrong).unwrap();
            std::fs::write(wrong, content).unwrap();
            let error = TlsReloader::load(pair.files.clone()).unwrap_err().to_string();
            assert!(error.contains(wrong.to_str().unwrap()), "{error}");
            std::fs::write(wrong, before).unwrap();
        }
        let missing = TlsFiles { cert: pair.dir.path().join("none"), key: pair.files.key.clone() };
        assert!(matches!(TlsReloader::load(missing), Err(TlsError::File { .. })));
        let many = std::fs::read_to_string(&pair.files.cert).unwrap().repeat(CHAIN_MAX + 1);
        std::fs::write(&pair.files.cert, many).unwrap();
        assert!(matches!(TlsReloader::load(pair.files.clone()), Err(TlsError::TooManyCertificates { .. })));
    }
}
