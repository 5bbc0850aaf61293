//! What goes wrong at the start.

use std::io;
use std::net::SocketAddr;

/// Why a service did not start, or a certificate was not made.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken or not this machine's.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The service's address or its administration interface's.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The CA or a certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The TLS library refuses the combination of options.
    #[error("cannot offer TLS so: {0}")]
    Tls(#[from] rustls::Error),
    /// The folder for `ca.pem` and the others.
    #[error("cannot write the certificates: {0}")]
    State(#[source] io::Error),
    /// No thread or no event loop.
    #[error("cannot start a thread for the service: {0}")]
    Thread(#[source] io::Error),
    /// A certificate is wanted of a service without TLS.
    #[error("the service speaks plain HTTP")]
    NoTls,
}
