//! Until when a listener's certificate is good: for `larder check`, which tells before browsers do.
//!
//! There is no reader of X.509 here. What TLS clients verify by is asked whether the certificate would do at a given time, as its own
//! authority; a certificate's time is the first thing that it looks at, and all that is listened to.

use super::TlsFiles;
use crate::time::Wall;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, Error, RootCertStore};
use std::sync::Arc;
use std::time::Duration;

/// Who renews by hand needs some days; who lets it be done is never that near.
const SOON: Duration = Duration::from_secs(14 * 86_400);

/// What is wrong with a certificate's time, and the end or the beginning of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concern {
    Expired(Wall),
    /// Within two weeks.
    ExpiresSoon(Wall),
    NotYetValid(Wall),
}

/// `None` also for files that can't be read: [`super::TlsReloader::load`] says what is wrong with those. Blocks on the disk.
pub fn concern(files: &TlsFiles, now: Wall) -> Option<Concern> {
    let pem = std::fs::read(&files.cert).ok()?;
    let leaf = CertificateDer::pem_slice_iter(&pem).next()?.ok()?;
    let mut roots = RootCertStore::empty();
    roots.add(leaf.clone()).ok()?;
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().ok()?;
    let nobody = ServerName::try_from("larder.invalid").ok()?;
    let at = |time: Duration| {
        let time = UnixTime::since_unix_epoch(time);
        match verifier.verify_server_cert(&leaf, &[], &nobody, &[], time) {
            Err(Error::InvalidCertificate(why)) => Some(why),
            _ => None,
        }
    };
    let wall = |time: UnixTime| Wall::from_secs(time.as_secs());
    let today = Duration::from_secs(now.secs());
    match (at(today), at(today.saturating_add(SOON))) {
        (Some(CertificateError::ExpiredContext { not_after, .. }), _) => {
            Some(Concern::Expired(wall(not_after)))
        }
        (Some(CertificateError::NotValidYetContext { not_before, .. }), _) => {
            Some(Concern::NotYetValid(wall(not_before)))
        }
        (_, Some(CertificateError::ExpiredContext { not_after, .. })) => {
            Some(Concern::ExpiresSoon(wall(not_after)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Good from 2026-01-01 to 2026-04-01.
    fn files(dir: &std::path::Path, is_ca: bool) -> TlsFiles {
        let mut params = rcgen::CertificateParams::new(vec!["larder.test".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2026, 4, 1);
        if is_ca {
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        }
        let key = rcgen::KeyPair::generate().unwrap();
        let files = TlsFiles { cert: dir.join("c.pem"), key: dir.join("k.pem") };
        std::fs::write(&files.cert, params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }

    #[test]
    fn a_certificate_is_told_of_before_its_time_two_weeks_before_its_end_and_after() {
        const DAY: u64 = 86_400;
        let (from, to) = (Wall::from_secs(1_767_225_600), Wall::from_secs(1_775_001_600));
        let at = |days_before_the_end: u64| Wall::from_secs(to.secs() - days_before_the_end * DAY);
        let dir = tempfile::tempdir().unwrap();
        for is_ca in [false, true] {
            let files = files(dir.path(), is_ca);
            let told = |now| concern(&files, now);
            assert_eq!(told(Wall::from_secs(from.secs() - 1)), Some(Concern::NotYetValid(from)));
            assert_eq!([told(from), told(at(15))], [None, None]);
            assert_eq!([told(at(13)), told(at(1))], [Some(Concern::ExpiresSoon(to)); 2]);
            assert_eq!(told(Wall::from_secs(to.secs() + 1)), Some(Concern::Expired(to)));
        }
        let missing = TlsFiles { cert: dir.path().join("none"), key: dir.path().join("none") };
        assert_eq!(concern(&missing, from), None);
    }
}
