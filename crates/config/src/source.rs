//! Entropy sources as configured.

use std::path::PathBuf;
use std::time::Duration;

use qseed_model::{PostQuantum, Rate, Url};
use qseed_secrets::SecretRef;

use crate::exposure::NamedSecret;

/// An entropy source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its name, unique among the sources: 1 to 64 visible characters.
    pub name: String,
    /// Its interface and how it is reached.
    pub kind: SourceKind,
    /// The most requests that it may get; `None`: as many as the seeds need.
    pub rate_limit: Option<Rate>,
    /// The most bytes that may be downloaded in a month; `None`: no bound.
    pub budget: Option<Budget>,
    /// Bytes that pass the counting checks before the first use, 0 to 1 MiB.
    pub startup_bytes: u32,
}

/// A source's interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// Qrypt's `POST /api/v1/entropy`.
    Qrypt {
        /// The server.
        http: Http,
    },
    /// Qrypt's older `GET /api/v1/quantum-entropy`.
    QryptKib {
        /// The server.
        http: Http,
    },
    /// The vendor-neutral QRNG Open API.
    QrngOpenApi {
        /// The server; the url's path is the API's base path.
        http: Http,
    },
    /// A character device or named pipe.
    Device {
        /// Its path.
        path: PathBuf,
        /// The longest that one read may take, 1 s to 5 min.
        timeout: Duration,
    },
}

impl Source {
    /// The secrets that its requests need.
    pub fn secrets(&self) -> impl Iterator<Item = NamedSecret<'_>> {
        let http = self.kind.http();
        let token = http.and_then(|http| http.access_token.as_ref());
        let key = http.and_then(|http| http.tls.client_key.as_ref());
        let named = [("access token", token), ("client key", key)];
        named.into_iter().filter_map(|(what, reference)| {
            Some(NamedSecret {
                what: format!("the {what} of source {}", self.name),
                reference: reference?,
            })
        })
    }
}

impl SourceKind {
    /// The type's name in the configuration.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Qrypt { .. } => "qrypt",
            Self::QryptKib { .. } => "qrypt-kib",
            Self::QrngOpenApi { .. } => "qrng-open-api",
            Self::Device { .. } => "device",
        }
    }

    /// The server, where the source has one.
    #[must_use]
    pub fn http(&self) -> Option<&Http> {
        match self {
            Self::Qrypt { http } | Self::QryptKib { http } | Self::QrngOpenApi { http } => {
                Some(http)
            }
            Self::Device { .. } => None,
        }
    }
}

/// How requests are authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// `Authorization: Bearer`, with the access token.
    Bearer,
    /// `X-API-KEY`, with the access token.
    XApiKey,
    /// The TLS client certificate alone.
    Mtls,
    /// Not at all.
    None,
}

/// A server that is asked over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// Where it is.
    pub url: Url,
    /// How requests are authenticated.
    pub auth: Auth,
    /// The access token; `None` for a server that asks for none.
    pub access_token: Option<SecretRef>,
    /// What the TLS connection must be like.
    pub tls: Tls,
    /// The longest that one request may take, 1 s to 5 min.
    pub timeout: Duration,
    /// Whether `http://` is wanted for a server that is not on loopback.
    pub insecure_http: bool,
}

/// What a TLS connection must be like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// PEM file of the certification authorities that are trusted instead of the system's.
    pub ca: Option<PathBuf>,
    /// PEM file of the client certificate. There exactly if `client_key` is.
    pub client_cert: Option<PathBuf>,
    /// The client certificate's private key in PEM.
    pub client_key: Option<SecretRef>,
    /// SHA-256 digests over the `SubjectPublicKeyInfo` of the servers that are accepted; empty: any.
    pub pin_sha256: Vec<[u8; 32]>,
    /// Whether the key exchange must be the post-quantum hybrid X25519MLKEM768.
    pub post_quantum: PostQuantum,
}

/// The most bytes in a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Bytes, 1 to 1 PiB.
    pub bytes: u64,
    /// The day of the month on which the count starts again, 1 to 28, since each month has these.
    pub resets_on: u8,
}
