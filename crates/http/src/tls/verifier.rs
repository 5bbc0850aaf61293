//! Accepts a server certificate that passes the usual validation or is itself in `tls.ca`. If keys
//! are pinned, its key must be a pinned one too.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) usual: Arc<WebPkiServerVerifier>,
    /// The certificates of `tls.ca`.
    pub(super) trusted: Vec<CertificateDer<'static>>,
    /// SHA-256 of the DER of `SubjectPublicKeyInfo` (RFC 7469 section 2.4); empty: any key.
    pub(super) pins: Vec<[u8; 32]>,
}

/// Whether the certificate is in order but for being an authority's, as `openssl req -x509` makes
/// self-signed ones. The validity is checked before this is found out, the name after it.
pub(super) fn is_authority(error: &CertificateError) -> bool {
    let CertificateError::Other(other) = error else {
        return false;
    };
    matches!(
        other.0.downcast_ref::<webpki::Error>(),
        Some(webpki::Error::CaUsedAsEndEntity)
    )
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let usual = self.usual.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        let certificate = ParsedCertificate::try_from(end_entity)?;
        match usual {
            Err(Error::InvalidCertificate(error))
                if is_authority(&error) && self.trusted.contains(end_entity) =>
            {
                verify_server_name(&certificate, server_name)?;
            }
            usual => {
                usual?;
            }
        }
        let key = digest(&SHA256, &certificate.subject_public_key_info());
        if self.pins.is_empty() || self.pins.iter().any(|pin| pin == key.as_ref()) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(
                CertificateError::ApplicationVerificationFailure,
            ))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}
