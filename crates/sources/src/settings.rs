//! What a source must be told, after the configuration was read and judged.

use std::path::PathBuf;
use std::time::Duration;

use qseed_model::PostQuantum;
use qseed_secrets::SecretRef;

/// One source, by type.
#[derive(Clone, Debug)]
pub enum Settings {
    /// Qrypt's current API: `POST {base}/api/v1/entropy`.
    Qrypt(Http),
    /// Qrypt's older API: `GET {base}/api/v1/quantum-entropy?size=KIB`.
    QryptKib(Http),
    /// The vendor-neutral QRNG Open API: `POST {base}/entropy`, `GET {base}/capabilities`.
    QrngOpenApi(Http),
    /// A character device or a named pipe.
    Device {
        /// Where it is.
        path: PathBuf,
        /// The longest that one read of the asked bytes may take.
        timeout: Duration,
    },
}

/// An HTTP service.
#[derive(Clone, Debug)]
pub struct Http {
    /// A DNS name or an IP address; brackets around IPv6 are allowed.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// The path in front of the API's own, such as `/v1`; empty for none.
    pub base_path: String,
    /// How the bytes travel.
    pub transport: Transport,
    /// What qseed shows of itself.
    pub auth: Auth,
    /// The longest that a fetch may take, from looking the name up to the last byte.
    pub timeout: Duration,
}

/// How an HTTP service is reached.
#[derive(Clone, Debug)]
pub enum Transport {
    /// `http://`. Whether that is allowed is the configuration's judgement.
    Plain,
    /// `https://`.
    Tls(Tls),
}

/// Authentication by a header. Mutual TLS is [`Tls::client`] and goes with any of these.
#[derive(Clone, Debug)]
pub enum Auth {
    /// No header.
    None,
    /// `Authorization: Bearer …`
    Bearer(SecretRef),
    /// `X-API-KEY: …`
    XApiKey(SecretRef),
}

/// How TLS is spoken with a service. Its files are read before the first connection and again when
/// they changed.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Certificates in PEM to trust instead of the system's roots.
    pub ca: Option<PathBuf>,
    /// What qseed shows where the server asks for a client certificate.
    pub client: Option<ClientIdentity>,
    /// SHA-256 of the `SubjectPublicKeyInfo` of server certificates, one of which must be the
    /// server's, besides the usual validation. Empty: no pinning.
    pub pin_sha256: Vec<[u8; 32]>,
    /// Which key exchange groups are offered.
    pub post_quantum: PostQuantum,
}

/// A client certificate and its key.
#[derive(Clone, Debug)]
pub struct ClientIdentity {
    /// The certificate and its chain, in PEM, the certificate itself first.
    pub certificate: PathBuf,
    /// The private key, in PEM.
    pub key: SecretRef,
}

/// Why no source can be made of the settings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// Neither a DNS name nor an IP address.
    #[error("{0:?} is neither a host name nor an IP address")]
    Host(String),
    /// The base path cannot stand in a request.
    #[error("{0:?} cannot be the path of a url")]
    BasePath(String),
}
