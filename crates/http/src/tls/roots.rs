//! The system's trusted certificates.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::RootCertStore;

use super::files::UnusableFile;

/// The system's trusted certificates, loaded when they are first needed and then shared: loading
/// and parsing them costs more than a hundred requests.
#[derive(Clone, Debug, Default)]
pub struct SystemRoots(Arc<Mutex<Option<Arc<RootCertStore>>>>);

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

    /// Loads them again before the next request of each source that uses them.
    pub fn renew(&self) {
        self.replace(None);
    }

    pub(crate) fn are_loaded(&self) -> bool {
        self.loaded().is_some()
    }

    /// The roots; none at all is an error, and is tried again the next time. May take long.
    pub(super) fn load(&self) -> Result<Arc<RootCertStore>, UnusableFile> {
        if let Some(roots) = self.loaded() {
            return Ok(roots);
        }
        let mut roots = RootCertStore::empty();
        // One unreadable file among a system's many is no reason to trust none of them.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(UnusableFile {
                file: Self::origin(),
                why: "there are no certificates, so nothing could be trusted; install \
                      ca-certificates or set tls.ca"
                    .to_owned(),
            });
        }
        roots.roots.shrink_to_fit();
        let roots = Arc::new(roots);
        self.replace(Some(Arc::clone(&roots)));
        Ok(roots)
    }

    fn loaded(&self) -> Option<Arc<RootCertStore>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn replace(&self, roots: Option<Arc<RootCertStore>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = roots;
    }
}
