//! Why there is no TLS connection, in the operator's words.

use std::error::Error;
use std::fmt;
use std::io;

use rustls::{AlertDescription, CertificateError};

use super::verifier::is_authority;

/// What is wrong with a TLS handshake or connection.
#[derive(Debug)]
pub struct TlsFault {
    /// A short word that stays the same, for metrics.
    pub code: &'static str,
    text: String,
}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TlsFault {
    fn new(code: &'static str, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { code, text }
    }

    /// Sorts what an operation on a TLS stream failed with.
    pub(crate) fn from_io(error: &io::Error, requires_post_quantum: bool) -> Self {
        Self::behind(error, requires_post_quantum).unwrap_or_else(|| {
            let text = format!("the connection broke during the handshake: {error}");
            Self::new("tls", text)
        })
    }

    /// The TLS fault behind another error, if there is one.
    pub(crate) fn behind(
        error: &(dyn Error + 'static),
        requires_post_quantum: bool,
    ) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(fault) = error.downcast_ref::<rustls::Error>() {
                return Some(Self::of(fault, requires_post_quantum));
            }
            // rustls hands its errors out inside of io::Error, whose `source` skips the error
            // itself.
            let within = error.downcast_ref::<io::Error>();
            next = match within.and_then(io::Error::get_ref) {
                Some(inner) => Some(inner),
                None => error.source(),
            };
        }
        None
    }

    fn of(error: &rustls::Error, requires_post_quantum: bool) -> Self {
        use AlertDescription as A;
        use rustls::Error as E;
        match error {
            E::InvalidCertificate(fault) => Self::of_certificate(fault),
            E::AlertReceived(
                A::CertificateRequired
                | A::BadCertificate
                | A::UnsupportedCertificate
                | A::CertificateRevoked
                | A::CertificateExpired
                | A::CertificateUnknown
                | A::UnknownCA
                | A::AccessDenied
                // Of an authority of the right name and another key.
                | A::DecryptError,
            ) => Self::new(
                "tls-client-certificate",
                "the server does not accept the client certificate, or wants one; see \
                 tls.client_cert",
            ),
            E::PeerIncompatible(_)
            | E::AlertReceived(
                A::HandshakeFailure | A::InsufficientSecurity | A::ProtocolVersion,
            ) if requires_post_quantum => Self::new(
                "tls-post-quantum",
                "X25519MLKEM768 over TLS 1.3 is required (post_quantum: require) and the server \
                 did not agree to it",
            ),
            E::InvalidMessage(_) => Self::new(
                "tls",
                "the answer is not TLS; does the server speak plain HTTP there?",
            ),
            E::AlertReceived(alert) => {
                let alert = u8::from(*alert);
                let text = format!("the server ended the handshake with TLS alert {alert}");
                Self::new("tls", text)
            }
            E::PeerIncompatible(_) | E::NoApplicationProtocol => Self::new(
                "tls",
                "the server and qseed have no TLS version, cipher suite or key exchange group in \
                 common",
            ),
            E::NoCertificatesPresented => {
                Self::new("tls-certificate", "the server shows no certificate")
            }
            E::PeerMisbehaved(_)
            | E::InappropriateMessage { .. }
            | E::InappropriateHandshakeMessage { .. }
            | E::DecryptError
            | E::PeerSentOversizedRecord => {
                Self::new("tls", "the server does not keep to the TLS protocol")
            }
            _ => Self::new(
                "tls",
                "TLS does not work on this machine (random numbers, or the clock)",
            ),
        }
    }

    fn of_certificate(fault: &CertificateError) -> Self {
        use CertificateError as C;
        let (code, what) = match fault {
            C::Expired | C::ExpiredContext { .. } => (
                "tls-expired",
                "has expired (or this machine's clock is wrong)",
            ),
            C::NotValidYet | C::NotValidYetContext { .. } => (
                "tls-expired",
                "is not valid yet (or this machine's clock is wrong)",
            ),
            C::NotValidForName | C::NotValidForNameContext { .. } => {
                ("tls-name", "is for another name")
            }
            // A bad signature: of an authority that has a trusted one's name, and another key.
            C::UnknownIssuer | C::BadSignature => (
                "tls-authority",
                "comes from an unknown authority; see tls.ca",
            ),
            // Only the pins' verifier says this.
            C::ApplicationVerificationFailure => {
                ("tls-pin", "has a key that is none of tls.pin_sha256")
            }
            C::BadEncoding => ("tls-certificate", "is damaged"),
            C::Revoked => ("tls-certificate", "was revoked"),
            C::InvalidPurpose | C::InvalidPurposeContext { .. } => {
                ("tls-certificate", "is not meant for servers")
            }
            C::Other(_) if is_authority(fault) => (
                "tls-certificate",
                "is an authority's certificate; to trust exactly this one, put it into tls.ca",
            ),
            _ => (
                "tls-certificate",
                "has a signature, a field or an extension that qseed does not support",
            ),
        };
        Self::new(code, format!("the server's certificate {what}"))
    }
}
