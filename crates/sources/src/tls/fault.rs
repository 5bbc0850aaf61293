//! Why there is no TLS connection, in the operator's words.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError};

use super::verifier::is_authority;

/// What is wrong with a TLS handshake or connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsFault {
    /// The server's certificate has ended.
    #[error("the server's certificate has expired (or this machine's clock is wrong)")]
    Expired,
    /// The server's certificate has not begun.
    #[error("the server's certificate is not valid yet (or this machine's clock is wrong)")]
    NotYetValid,
    /// The server's certificate is for another name.
    #[error("the server's certificate is for another name")]
    WrongName,
    /// No trusted certificate stands behind the server's.
    #[error("the server's certificate comes from an unknown authority; see tls.ca")]
    UnknownAuthority,
    /// The certificate is valid, but none of the configured pins.
    #[error("the server's key is none of tls.pin_sha256")]
    PinnedAway,
    /// Another fault of the server's certificate.
    #[error("the server's certificate cannot be accepted: {0}")]
    Certificate(&'static str),
    /// Post-quantum key exchange is required and the server did not agree to it.
    #[error(
        "X25519MLKEM768 over TLS 1.3 is required (post_quantum: require) and the server did not agree to it"
    )]
    NoPostQuantum,
    /// The server wants a client certificate, or another one.
    #[error("the server does not accept the client certificate, or wants one; see tls.client_cert")]
    ClientCertificate,
    /// What came is not TLS.
    #[error("the answer is not TLS; does the server speak plain HTTP there?")]
    NotTls,
    /// The server ended the handshake, with the alert of this number (RFC 8446 section 6).
    #[error("the server ended the handshake with TLS alert {0}")]
    Alert(u8),
    /// Another fault of the protocol.
    #[error("{0}")]
    Protocol(&'static str),
    /// The connection broke.
    #[error("the connection broke during the handshake: {0}")]
    Broken(io::Error),
}

impl TlsFault {
    /// Sorts what the handshake failed with.
    pub(super) fn new(error: rustls::Error, requires_post_quantum: bool) -> Self {
        use rustls::Error as E;
        match error {
            E::InvalidCertificate(fault) => Self::from_certificate(&fault),
            E::AlertReceived(
                AlertDescription::CertificateRequired
                | AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied
                // Of an authority of the right name and another key.
                | AlertDescription::DecryptError,
            ) => Self::ClientCertificate,
            E::PeerIncompatible(_)
            | E::AlertReceived(
                AlertDescription::HandshakeFailure
                | AlertDescription::InsufficientSecurity
                | AlertDescription::ProtocolVersion,
            ) if requires_post_quantum => Self::NoPostQuantum,
            E::InvalidMessage(_) => Self::NotTls,
            E::AlertReceived(alert) => Self::Alert(alert.into()),
            E::PeerIncompatible(_) | E::NoApplicationProtocol => Self::Protocol(
                "the server and qseed have no TLS version, cipher suite or key exchange group in \
                 common",
            ),
            E::NoCertificatesPresented => Self::Certificate("the server shows none"),
            E::PeerMisbehaved(_)
            | E::InappropriateMessage { .. }
            | E::InappropriateHandshakeMessage { .. }
            | E::DecryptError
            | E::PeerSentOversizedRecord => {
                Self::Protocol("the server does not keep to the TLS protocol")
            }
            _ => Self::Protocol("TLS does not work on this machine (random numbers, or the clock)"),
        }
    }

    /// Sorts what an operation on a TLS stream failed with.
    pub(crate) fn from_io(error: io::Error, requires_post_quantum: bool) -> Self {
        match find(&error) {
            Some(fault) => Self::new(fault, requires_post_quantum),
            None => Self::Broken(error),
        }
    }

    /// The TLS fault behind another error, if there is one.
    pub(crate) fn behind(
        error: &(dyn Error + 'static),
        requires_post_quantum: bool,
    ) -> Option<Self> {
        find(error).map(|fault| Self::new(fault, requires_post_quantum))
    }

    fn from_certificate(fault: &CertificateError) -> Self {
        use CertificateError as C;
        match fault {
            C::Expired | C::ExpiredContext { .. } => Self::Expired,
            C::NotValidYet | C::NotValidYetContext { .. } => Self::NotYetValid,
            C::NotValidForName | C::NotValidForNameContext { .. } => Self::WrongName,
            // A bad signature: of an authority that has a trusted one's name, and another key.
            C::UnknownIssuer | C::BadSignature => Self::UnknownAuthority,
            // Nobody but the pins' verifier says this.
            C::ApplicationVerificationFailure => Self::PinnedAway,
            C::BadEncoding => Self::Certificate("it is damaged"),
            C::Revoked => Self::Certificate("it was revoked"),
            C::UnhandledCriticalExtension => {
                Self::Certificate("it has an extension that qseed does not know")
            }
            C::InvalidPurpose | C::InvalidPurposeContext { .. } => {
                Self::Certificate("it is not meant for servers")
            }
            C::Other(_) if is_authority(fault) => Self::Certificate(
                "it is an authority's certificate; to trust exactly this one, put it into tls.ca",
            ),
            _ => Self::Certificate("its signature or one of its fields is not supported"),
        }
    }

    /// A short word that stays the same, for metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Expired | Self::NotYetValid => "tls-expired",
            Self::WrongName => "tls-name",
            Self::UnknownAuthority => "tls-authority",
            Self::PinnedAway => "tls-pin",
            Self::Certificate(_) => "tls-certificate",
            Self::NoPostQuantum => "tls-post-quantum",
            Self::ClientCertificate => "tls-client-certificate",
            Self::NotTls | Self::Alert(_) | Self::Protocol(_) | Self::Broken(_) => "tls",
        }
    }
}

/// rustls hands its errors out inside of [`io::Error`], whose `source` skips the error itself.
fn find(error: &(dyn Error + 'static)) -> Option<rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(fault) = error.downcast_ref::<rustls::Error>() {
            return Some(fault.clone());
        }
        next = match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}
