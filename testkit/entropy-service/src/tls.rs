//! The TLS side: what the service offers, and what a handshake agreed on.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::WebPkiClientVerifier;
use rustls::{HandshakeKind, RootCertStore, ServerConfig, ServerConnection};

use crate::authority::{Authority, Certificate, Folder};
use crate::error::StartError;
use crate::lock::lock;
use crate::log::TlsFacts;
use crate::options::{Groups, TlsOptions};

/// The CA and the configuration for new connections, which can be exchanged while serving.
pub(crate) struct Tls {
    pub(crate) authority: Authority,
    pub(crate) folder: Folder,
    options: TlsOptions,
    config: Mutex<Arc<ServerConfig>>,
}

impl Tls {
    pub(crate) fn new(options: TlsOptions, state: Option<&Path>) -> Result<Self, StartError> {
        let authority = Authority::new()?;
        let folder = Folder::write(state, &authority).map_err(StartError::State)?;
        let config = new_config(&authority, &folder, &options)?;
        Ok(Self {
            authority,
            folder,
            options,
            config: Mutex::new(config),
        })
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&lock(&self.config))
    }

    /// Shows another certificate on new connections; sessions from before cannot be resumed.
    pub(crate) fn set_certificate(&self, certificate: Certificate) -> Result<(), StartError> {
        let options = TlsOptions {
            certificate,
            ..self.options.clone()
        };
        *lock(&self.config) = new_config(&self.authority, &self.folder, &options)?;
        Ok(())
    }
}

fn new_config(
    authority: &Authority,
    folder: &Folder,
    options: &TlsOptions,
) -> Result<Arc<ServerConfig>, StartError> {
    let certificate = authority.issue(options.certificate)?;
    folder
        .write_server(&certificate.pem())
        .map_err(StartError::State)?;
    let provider = Arc::new(provider(options.groups));
    let versions = if options.only_tls12 {
        &[&rustls::version::TLS12][..]
    } else {
        rustls::ALL_VERSIONS
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)?;
    let builder = if options.client_certificate {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der())?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .expect("a root of our own is there, and no revocation list");
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let chain = vec![certificate.der().clone()];
    let mut config = builder.with_single_cert(chain, authority.server_key())?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn provider(groups: Groups) -> CryptoProvider {
    use aws_lc_rs::kx_group::{SECP256R1, SECP384R1, X25519, X25519MLKEM768};
    let kx_groups = match groups {
        Groups::Hybrid => vec![X25519MLKEM768, X25519, SECP256R1, SECP384R1],
        Groups::Classical => vec![X25519, SECP256R1, SECP384R1],
        Groups::HybridOnly => vec![X25519MLKEM768],
    };
    CryptoProvider {
        kx_groups,
        ..aws_lc_rs::default_provider()
    }
}

/// What a finished handshake agreed on.
pub(crate) fn facts(connection: &ServerConnection) -> TlsFacts {
    let version = connection.protocol_version();
    let group = connection.negotiated_key_exchange_group();
    TlsFacts {
        version: version.map_or_else(String::new, |version| format!("{version:?}")),
        group: group.map(|group| format!("{:?}", group.name())),
        resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        client_certificate: connection.peer_certificates().is_some(),
    }
}

/// The bytes of a fatal alert `handshake_failure` (RFC 8446 section 6), as a record.
const HANDSHAKE_FAILURE: [u8; 7] = [21, 3, 3, 0, 2, 2, 40];

/// Answers a client's first flight with the alert, and closes.
pub(crate) async fn refuse_handshake(mut stream: tokio::net::TcpStream) -> io::Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut unread = [0; 4096];
    if stream.read(&mut unread).await? == 0 {
        return Ok(());
    }
    stream.write_all(&HANDSHAKE_FAILURE).await?;
    stream.shutdown().await?;
    // Bytes left unread would turn the close into a reset, which overtakes the alert.
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}
