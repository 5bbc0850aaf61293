//! The settings of an HTTP service. The configuration has validated them.

use std::path::PathBuf;
use std::time::Duration;

use qseed_model::{PostQuantum, Scheme, Url};
use qseed_secrets::SecretRef;

/// An HTTP service.
#[derive(Clone, Debug)]
pub struct Http {
    /// Where it is. Its path goes in front of the API's own, such as `/v1`.
    pub url: Url,
    /// How TLS is spoken, if the url's scheme is https. Whether http is allowed is the
    /// configuration's judgement.
    pub tls: Tls,
    /// What qseed shows of itself.
    pub auth: Auth,
    /// The longest that a request may take, from looking the name up to the last byte.
    pub timeout: Duration,
}

impl Http {
    /// How TLS is spoken; `None` over plain HTTP.
    pub(crate) fn tls(&self) -> Option<&Tls> {
        (self.url.scheme == Scheme::Https).then_some(&self.tls)
    }
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
