//! TLS towards entropy services: rustls with a provider of its own, nothing process-wide.

mod certificate;
mod fault;
mod files;
mod roots;
mod verifier;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use qseed_model::PostQuantum;
use rustls::client::{Resumption, Tls12Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{ClientConfig, ClientConnection, ProtocolVersion};

pub use fault::TlsFault;
pub use files::TlsFilesError;
pub use roots::SystemRoots;
use verifier::Verifier;

use crate::beside::beside;
use crate::delivery::Link;
use crate::settings::Tls;
use crate::stamp::Stamp;

/// Sessions that are kept for resumption: a source talks to one server.
const SESSIONS: usize = 4;

/// The TLS side of one source: settings, and the client configuration made from its files.
pub(crate) struct TlsClient {
    settings: Tls,
    roots: SystemRoots,
    built: Option<Built>,
}

struct Built {
    config: Arc<ClientConfig>,
    stamps: Vec<Stamp>,
    /// How often the system's roots had been renewed.
    renewed: u64,
    /// When the certificate that was seen last ends.
    certificate_expires: Option<jiff::Timestamp>,
}

impl TlsClient {
    pub(crate) fn new(settings: Tls, roots: SystemRoots) -> Self {
        Self {
            settings,
            roots,
            built: None,
        }
    }

    pub(crate) fn requires_post_quantum(&self) -> bool {
        self.settings.post_quantum == PostQuantum::Require
    }

    /// Whose certificates are trusted, for people.
    pub(crate) fn trust(&self) -> String {
        match &self.settings.ca {
            Some(path) => path.display().to_string(),
            None => SystemRoots::origin(),
        }
    }

    /// Whether a file changed since the configuration was made of it. A connection that was made
    /// before is then no longer what the operator wants.
    pub(crate) fn outdated(&self) -> bool {
        self.built
            .as_ref()
            .is_some_and(|built| built.stamps != self.stamps() || built.renewed != self.renewed())
    }

    /// How often the system's roots were renewed, where they are used.
    fn renewed(&self) -> u64 {
        match self.settings.ca {
            Some(_) => 0,
            None => self.roots.renewed(),
        }
    }

    /// Loads the system's roots on a helper thread if they are needed: loading is slow and must not
    /// block this one.
    pub(crate) async fn read_system_roots(&self) {
        if self.settings.ca.is_none() && !self.roots.are_loaded() {
            let roots = self.roots.clone();
            // Without a thread they are loaded when the configuration is made, and errors show then.
            if let Ok(read) = beside("roots", move || drop(roots.load())) {
                let _ = read.await;
            }
        }
    }

    /// The configuration for a new connection, made anew where a file changed.
    pub(crate) fn config(&mut self) -> Result<Arc<ClientConfig>, TlsFilesError> {
        if let Some(built) = &self.built {
            // A resumed session skips the validation, so it must not outlive the certificate.
            let ended = built
                .certificate_expires
                .is_some_and(|end| end <= jiff::Timestamp::now());
            if !ended && !self.outdated() {
                return Ok(Arc::clone(&built.config));
            }
        }
        self.built = None;
        // Before reading: a file that changes meanwhile is then read again next time.
        let (stamps, renewed) = (self.stamps(), self.renewed());
        let config = Arc::new(self.build()?);
        self.built = Some(Built {
            config: Arc::clone(&config),
            stamps,
            renewed,
            certificate_expires: None,
        });
        Ok(config)
    }

    /// Describes an established connection.
    pub(crate) fn link(&mut self, session: &ClientConnection, connection: u64) -> Link {
        let certificate_expires = session
            .peer_certificates()
            .and_then(|chain| chain.first())
            .and_then(|leaf| certificate::expires(leaf));
        if let Some(built) = &mut self.built {
            built.certificate_expires = certificate_expires;
        }
        Link {
            version: match session.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
                Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
                _ => "unknown",
            },
            group: session.negotiated_key_exchange_group().map_or_else(
                || "unknown".to_owned(),
                |group| format!("{:?}", group.name()),
            ),
            certificate_expires,
            connection,
        }
    }

    fn stamps(&self) -> Vec<Stamp> {
        let client = self.settings.client.as_ref();
        let paths: [Option<PathBuf>; 3] = [
            self.settings.ca.clone(),
            client.map(|client| client.certificate.clone()),
            client.and_then(|client| client.key.path()),
        ];
        paths
            .iter()
            .flatten()
            .map(|path| Stamp::of(Path::new(path)))
            .collect()
    }

    fn build(&self) -> Result<ClientConfig, TlsFilesError> {
        let provider = Arc::new(provider(self.settings.post_quantum));
        let (roots, trusted) = match &self.settings.ca {
            Some(path) => files::read_roots(path)?,
            None => (self.roots.load()?, Vec::new()),
        };
        let versions: &[_] = match self.settings.post_quantum {
            PostQuantum::Require => &[&rustls::version::TLS13],
            PostQuantum::Prefer | PostQuantum::Off => rustls::ALL_VERSIONS,
        };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .expect("the provider has cipher suites and groups for each version");
        let usual = WebPkiServerVerifier::builder_with_provider(roots, provider)
            .build()
            .map_err(|_| TlsFilesError::NoRoots {
                place: self.trust(),
            })?;
        let verifier = Verifier::new(usual, trusted, self.settings.pin_sha256.clone());
        let builder = builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match &self.settings.client {
            None => builder.with_no_client_auth(),
            Some(client) => builder.with_client_cert_resolver(files::read_identity(client)?),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A resumed TLS 1.2 session makes no new key exchange: no forward secrecy.
        config.resumption =
            Resumption::in_memory_sessions(SESSIONS).tls12_resumption(Tls12Resumption::Disabled);
        Ok(config)
    }
}

fn provider(post_quantum: PostQuantum) -> CryptoProvider {
    use aws_lc_rs::kx_group::{SECP256R1, SECP384R1, X25519, X25519MLKEM768};
    let kx_groups = match post_quantum {
        PostQuantum::Require => vec![X25519MLKEM768],
        PostQuantum::Prefer => vec![X25519MLKEM768, X25519, SECP256R1, SECP384R1],
        PostQuantum::Off => vec![X25519, SECP256R1, SECP384R1],
    };
    CryptoProvider {
        kx_groups,
        ..aws_lc_rs::default_provider()
    }
}
