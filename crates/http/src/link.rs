//! The link to a service.

use std::sync::Arc;

/// A TLS connection, as it was negotiated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// `TLSv1.3` or `TLSv1.2`.
    pub version: &'static str,
    /// The key exchange group: `X25519MLKEM768`, `X25519`, `secp256r1`, …
    pub group: String,
    /// When the server's certificate ends, if that could be read.
    pub certificate_expires: Option<jiff::Timestamp>,
}

/// What went over the network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests that were sent, answered or not; they count towards a rate limit.
    pub sent: u32,
    /// The connection that was used last; `None` for plain HTTP and devices. Each connection has
    /// an `Arc` of its own.
    pub link: Option<Arc<Link>>,
}
