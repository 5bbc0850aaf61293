//! The system's trusted certificates.

use std::sync::{Arc, OnceLock};

use rustls::RootCertStore;

use super::files::TlsFilesError;

/// The system's trusted certificates, read when they are first needed and then shared: reading and
/// parsing them costs more than a hundred requests. To read them anew, make a new one.
#[derive(Clone, Debug, Default)]
pub struct SystemRoots {
    loaded: Arc<OnceLock<Arc<RootCertStore>>>,
}

impl SystemRoots {
    /// Where they are looked for, for people: this shows when the environment names them.
    #[must_use]
    pub fn origin() -> String {
        let named: Vec<String> = ["SSL_CERT_FILE", "SSL_CERT_DIR"]
            .into_iter()
            .filter_map(|name| {
                let value = std::env::var_os(name)?;
                Some(format!("${name} ({})", value.display()))
            })
            .collect();
        if named.is_empty() {
            "the system's roots".to_owned()
        } else {
            named.join(" and ")
        }
    }

    /// Whether they have been read.
    pub(super) fn are_loaded(&self) -> bool {
        self.loaded.get().is_some()
    }

    /// The roots; none at all is an error, and is looked at again the next time.
    pub(super) fn load(&self) -> Result<Arc<RootCertStore>, TlsFilesError> {
        if let Some(roots) = self.loaded.get() {
            return Ok(Arc::clone(roots));
        }
        let mut roots = RootCertStore::empty();
        // One unreadable file among a system's many is no reason to trust none of them.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(TlsFilesError::NoRoots {
                place: Self::origin(),
            });
        }
        roots.roots.shrink_to_fit();
        Ok(Arc::clone(self.loaded.get_or_init(|| Arc::new(roots))))
    }
}
