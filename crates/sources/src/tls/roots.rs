//! The system's trusted certificates.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::RootCertStore;

use super::files::TlsFilesError;

/// The system's trusted certificates, loaded when they are first needed and then shared: loading
/// and parsing them costs more than a hundred requests.
#[derive(Clone, Debug, Default)]
pub struct SystemRoots(Arc<Mutex<Loaded>>);

#[derive(Debug, Default)]
struct Loaded {
    roots: Option<Arc<RootCertStore>>,
    renewed: u64,
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

    /// Loads them again before the next request of each source that uses them.
    pub fn renew(&self) {
        self.change(|loaded| {
            loaded.roots = None;
            loaded.renewed += 1;
        });
    }

    pub(super) fn renewed(&self) -> u64 {
        self.change(|loaded| loaded.renewed)
    }

    pub(super) fn are_loaded(&self) -> bool {
        self.change(|loaded| loaded.roots.is_some())
    }

    /// The roots; none at all is an error, and is tried again the next time.
    pub(super) fn load(&self) -> Result<Arc<RootCertStore>, TlsFilesError> {
        if let Some(roots) = self.change(|loaded| loaded.roots.clone()) {
            return Ok(roots);
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
        let roots = Arc::new(roots);
        self.change(|loaded| loaded.roots = Some(Arc::clone(&roots)));
        Ok(roots)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Loaded) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
