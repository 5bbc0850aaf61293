//! Certificates and keys in files.

use std::fmt::Display;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use qseed_secrets::read_regular;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_pki_types::pem::{Error as PemError, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroize;

use crate::settings::{ClientIdentity, Tls};

/// The longest certificate file that is read, in bytes: a whole system's roots are 300 KB.
const MAX_FILE: usize = 4 * 1024 * 1024;

/// A certificate or a key that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {file}: {why}")]
pub struct UnusableFile {
    /// The file, or the reference of the key.
    pub(super) file: String,
    /// What is wrong with it.
    pub(super) why: String,
}

/// What changes when a file is written or replaced; `None` for a missing file.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Stamp(Option<(u64, u64, u64, [i64; 4])>);

/// The stamps of all files that the settings name.
pub(super) fn stamps(tls: &Tls) -> Vec<Stamp> {
    let client = tls.client.as_ref();
    let paths: [Option<PathBuf>; 3] = [
        tls.ca.clone(),
        client.map(|client| client.certificate.clone()),
        client.and_then(|client| client.key.path()),
    ];
    let stamp = |path: &PathBuf| {
        let file = std::fs::metadata(path).ok()?;
        let times = [
            file.mtime(),
            file.mtime_nsec(),
            file.ctime(),
            file.ctime_nsec(),
        ];
        Some((file.dev(), file.ino(), file.size(), times))
    };
    paths
        .iter()
        .flatten()
        .map(|path| Stamp(stamp(path)))
        .collect()
}

fn unusable(file: &dyn Display, why: impl Into<String>) -> UnusableFile {
    UnusableFile {
        file: file.to_string(),
        why: why.into(),
    }
}

/// Reads the certificates of `tls.ca`. All of them must be usable: one that is skipped in silence
/// would be missed at the worst time.
pub(super) fn read_roots(
    path: &Path,
) -> Result<(Arc<RootCertStore>, Vec<CertificateDer<'static>>), UnusableFile> {
    let mut roots = RootCertStore::empty();
    let certificates = read_certificates(path)?;
    for certificate in &certificates {
        roots
            .add(certificate.clone())
            .map_err(|_| unusable(&path.display(), "one of its certificates is malformed"))?;
    }
    Ok((Arc::new(roots), certificates))
}

/// Reads the client's certificate and key, and checks that they belong together.
pub(super) fn read_identity(
    client: &ClientIdentity,
) -> Result<Arc<SingleCertAndKey>, UnusableFile> {
    let chain = read_certificates(&client.certificate)?;
    let unusable = |why: &str| unusable(&client.key, why);
    let pem = client
        .key
        .read()
        .map_err(|error| unusable(&error.to_string()))?;
    let mut der = PrivateKeyDer::from_pem_slice(pem.expose())
        .map_err(|_| unusable("it holds no unencrypted private key in PEM"))?;
    let key = any_supported_type(&der);
    der.zeroize();
    let key = key.map_err(|_| unusable("its kind of key is not supported"))?;
    let identity = CertifiedKey::new(chain, key);
    identity
        .keys_match()
        .map_err(|_| unusable("it does not belong to the client certificate"))?;
    Ok(Arc::new(SingleCertAndKey::from(identity)))
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, UnusableFile> {
    let unusable = |why: &str| unusable(&path.display(), why);
    let pem = read_regular(path, MAX_FILE).map_err(|why| unusable(&why.to_string()))?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, PemError>>()
        .map_err(|_| unusable("it is not valid PEM"))?;
    if certificates.is_empty() {
        return Err(unusable("it has no CERTIFICATE section"));
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{UnusableFile, read_certificates};

    #[test]
    fn pipes_and_devices_hold_no_certificates_and_hold_nobody_up() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).expect("a pipe");
        for path in [&pipe, Path::new("/dev/zero"), folder.path()] {
            assert!(matches!(read_certificates(path), Err(UnusableFile { .. })));
        }
    }
}
