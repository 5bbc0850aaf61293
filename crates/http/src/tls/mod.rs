//! TLS to entropy services: rustls, configured for each source, without process-wide state.

mod fault;
mod files;
mod roots;
mod verifier;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use qseed_model::PostQuantum;
use rustls::client::{Resumption, Tls12Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, RootCertStore};
use rustls_pki_types::{CertificateDer, UnixTime};

pub use fault::TlsFault;
pub use files::UnusableFile;
pub use roots::SystemRoots;

use crate::link::Link;
use crate::settings::Tls;
use files::Stamp;
use verifier::Verifier;

/// Sessions that are kept for resumption: a source talks to one server.
const SESSIONS: usize = 4;

/// A client configuration, and the state of the files that it was made of.
#[derive(Clone)]
pub(crate) struct Loaded {
    config: Arc<ClientConfig>,
    stamps: Vec<Stamp>,
    roots: Option<Arc<RootCertStore>>,
}

impl Loaded {
    /// The configuration for new connections: the one of before, unless a file changed since.
    /// Reads files, which may take long.
    pub(crate) fn load(
        tls: &Tls,
        system: &SystemRoots,
        before: Option<Self>,
    ) -> Result<Self, UnusableFile> {
        // Before reading: a file that changes meanwhile is then read again next time.
        let stamps = files::stamps(tls);
        let roots = match tls.ca {
            Some(_) => None,
            None => Some(system.load()?),
        };
        let same_roots = |before: &Self| match (&before.roots, &roots) {
            (Some(before), Some(now)) => Arc::ptr_eq(before, now),
            _ => true,
        };
        if let Some(before) = before.filter(|it| it.stamps == stamps && same_roots(it)) {
            return Ok(before);
        }
        Ok(Self {
            config: Arc::new(build(tls, system)?),
            stamps,
            roots,
        })
    }

    /// The configuration for a new connection after `last`. A resumed session skips the validation,
    /// so it must not outlive the certificate.
    pub(crate) fn config(&self, last: Option<&Link>) -> Arc<ClientConfig> {
        let end = last.and_then(|link| link.certificate_expires);
        if end.is_none_or(|end| end > Timestamp::now()) {
            return Arc::clone(&self.config);
        }
        let mut config = (*self.config).clone();
        config.resumption = Resumption::disabled();
        Arc::new(config)
    }

    /// Whether nothing changed since `before` was loaded.
    pub(crate) fn is(&self, before: &Self) -> bool {
        Arc::ptr_eq(&self.config, &before.config)
    }
}

/// Whose certificates are trusted, for people.
pub(crate) fn trust(tls: &Tls) -> String {
    match &tls.ca {
        Some(path) => path.display().to_string(),
        None => SystemRoots::origin(),
    }
}

/// Describes an established connection.
pub(crate) fn link(session: &ClientConnection) -> Link {
    let certificate = session.peer_certificates().and_then(|chain| chain.first());
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
        certificate_expires: certificate.and_then(expires),
    }
}

/// When a certificate ends. The verifier names that date only in its error for an expired
/// certificate, so let it judge this one at the end of time.
fn expires(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
    let end_of_time = UnixTime::since_unix_epoch(Duration::from_secs(u64::MAX));
    let usage = webpki::KeyUsage::server_auth();
    match certificate.verify_for_usage(&[], &[], &[], end_of_time, usage, None, None) {
        Err(webpki::Error::CertExpired { not_after, .. }) => {
            Timestamp::from_second(not_after.as_secs().try_into().ok()?).ok()
        }
        _ => None,
    }
}

fn build(tls: &Tls, system: &SystemRoots) -> Result<ClientConfig, UnusableFile> {
    let provider = Arc::new(provider(tls.post_quantum));
    let (roots, trusted) = match &tls.ca {
        Some(path) => files::read_roots(path)?,
        None => (system.load()?, Vec::new()),
    };
    let versions: &[_] = match tls.post_quantum {
        PostQuantum::Require => &[&rustls::version::TLS13],
        PostQuantum::Prefer | PostQuantum::Off => rustls::ALL_VERSIONS,
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .expect("the provider has cipher suites and groups for each version");
    let usual = WebPkiServerVerifier::builder_with_provider(roots, provider)
        .build()
        .expect("there are roots, and no revocation lists");
    let verifier = Verifier {
        usual,
        trusted,
        pins: tls.pin_sha256.clone(),
    };
    let builder = builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match &tls.client {
        None => builder.with_no_client_auth(),
        Some(client) => builder.with_client_cert_resolver(files::read_identity(client)?),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A resumed TLS 1.2 session makes no new key exchange: no forward secrecy.
    config.resumption =
        Resumption::in_memory_sessions(SESSIONS).tls12_resumption(Tls12Resumption::Disabled);
    Ok(config)
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
