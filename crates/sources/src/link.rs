//! The link to a service.

/// A TLS connection, as it was negotiated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// `TLSv1.3` or `TLSv1.2`.
    pub version: &'static str,
    /// The key exchange group: `X25519MLKEM768`, `X25519`, `secp256r1`, …
    pub group: String,
    /// When the server's certificate ends, where that could be read.
    pub certificate_expires: Option<jiff::Timestamp>,
    /// Counts the source's connections, so that a caller can log each one once.
    pub connection: u64,
}
