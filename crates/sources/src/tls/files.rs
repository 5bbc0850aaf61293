//! Certificates and keys in files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use qseed_secrets::{NotRead, SecretError, read_regular};
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_pki_types::pem::{Error as PemError, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroize;

use crate::settings::ClientIdentity;

/// The longest certificate file that is read, in bytes: a whole system's roots are 300 KB.
const MAX_FILE: usize = 4 * 1024 * 1024;

/// Why certificates or the client's key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsFilesError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds no certificate that can be used.
    #[error("{path} holds no usable certificate: {why}")]
    NoCertificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There are no roots to trust.
    #[error(
        "{place} hold no certificates: nothing could be trusted; install ca-certificates or set tls.ca"
    )]
    NoRoots {
        /// Where they were looked for.
        place: String,
    },
    /// The client's key cannot be read.
    #[error("no client key: {0}")]
    Key(#[from] SecretError),
    /// The client's key cannot be used.
    #[error("no client key: {reference} {why}")]
    UnusableKey {
        /// The key's reference.
        reference: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// Reads the certificates of `tls.ca`. All of them must be usable: one that is skipped in silence
/// would be missed at the worst time.
pub(super) fn read_roots(
    path: &Path,
) -> Result<(Arc<RootCertStore>, Vec<CertificateDer<'static>>), TlsFilesError> {
    let mut roots = RootCertStore::empty();
    let certificates = read_certificates(path)?;
    for certificate in &certificates {
        roots
            .add(certificate.clone())
            .map_err(|_| TlsFilesError::NoCertificate {
                path: path.to_owned(),
                why: "one of them is malformed",
            })?;
    }
    Ok((Arc::new(roots), certificates))
}

/// Reads the client's certificate and key, and checks that they belong together.
pub(super) fn read_identity(
    client: &ClientIdentity,
) -> Result<Arc<SingleCertAndKey>, TlsFilesError> {
    let chain = read_certificates(&client.certificate)?;
    let unusable = |why| TlsFilesError::UnusableKey {
        reference: client.key.to_string(),
        why,
    };
    let pem = client.key.read()?;
    let mut der = PrivateKeyDer::from_pem_slice(pem.expose())
        .map_err(|_| unusable("holds no unencrypted private key in PEM"))?;
    let key = any_supported_type(&der);
    der.zeroize();
    let key = key.map_err(|_| unusable("is of a kind that cannot be used"))?;
    let identity = CertifiedKey::new(chain, key);
    identity
        .keys_match()
        .map_err(|_| unusable("does not belong to the client certificate"))?;
    Ok(Arc::new(SingleCertAndKey::from(identity)))
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFilesError> {
    let unreadable = |source| TlsFilesError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let none = |why| TlsFilesError::NoCertificate {
        path: path.to_owned(),
        why,
    };
    let pem = read_regular(path, MAX_FILE).map_err(|why| match why {
        NotRead::Io(source) => unreadable(source),
        NotRead::NoFile(what) => none(what),
        NotRead::TooLong => none("it is longer than 4 MiB"),
    })?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, PemError>>()
        .map_err(|_| none("it is not valid PEM"))?;
    if certificates.is_empty() {
        return Err(none("there is no CERTIFICATE section in it"));
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{TlsFilesError, read_certificates};

    #[test]
    fn pipes_and_devices_hold_no_certificates_and_hold_nobody_up() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).expect("a pipe");
        for path in [&pipe, Path::new("/dev/zero"), folder.path()] {
            assert!(matches!(
                read_certificates(path),
                Err(TlsFilesError::NoCertificate { .. })
            ));
        }
    }
}
