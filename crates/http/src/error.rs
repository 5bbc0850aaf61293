//! Why a request brought no answer.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::tls::{TlsFault, UnusableFile};

/// What a request was doing when time ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Reading the access token and the certificates.
    Files,
    /// Looking the host's name up.
    Resolve,
    /// Opening the TCP connection.
    Connect,
    /// The TLS handshake.
    Handshake,
    /// Waiting for the head of the answer.
    Answer,
    /// Reading the answer's body.
    Body,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Files => "reading the access token and the certificates",
            Self::Resolve => "looking up its address",
            Self::Connect => "connecting",
            Self::Handshake => "making the TLS handshake",
            Self::Answer => "waiting for the answer",
            Self::Body => "reading the answer's body",
        })
    }
}

/// Why a request brought no answer. No text here holds a secret or anything of a body.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The host's name has no address, or none that may be used.
    #[error("no usable address for {host}: {source}")]
    Address {
        /// The name.
        host: String,
        /// What the system said.
        source: io::Error,
    },
    /// No TCP connection to any of the host's addresses.
    #[error("cannot connect to {endpoint}: {source}")]
    Connect {
        /// Host and port.
        endpoint: String,
        /// What the system said of the last address that was tried.
        source: io::Error,
    },
    /// No TLS connection.
    #[error("no secure link to {endpoint}: {fault}")]
    Tls {
        /// Host and port.
        endpoint: String,
        /// What is wrong.
        fault: TlsFault,
    },
    /// A certificate or the client's key cannot be used.
    #[error(transparent)]
    TlsFile(#[from] UnusableFile),
    /// The access token cannot be read, or cannot be one.
    #[error("no access token: {0}")]
    AccessToken(String),
    /// No thread can be started to read files.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// Time ran out.
    #[error("no complete answer from {endpoint} within {limit:?}: time ran out while {phase}")]
    Timeout {
        /// Host and port.
        endpoint: String,
        /// What it was waiting for.
        phase: Phase,
        /// The time that it had.
        limit: Duration,
    },
    /// The connection ended before the whole answer had arrived.
    #[error("the service closed the connection before its answer was complete")]
    Closed,
    /// What came is not HTTP/1.
    #[error("the service does not answer in valid HTTP")]
    NotHttp,
    /// The answer is longer than the request could need.
    #[error("the service answered with {0}")]
    TooLarge(String),
    /// A status other than 200.
    #[error("the service answered with status {status}")]
    Status {
        /// The HTTP status.
        status: u16,
        /// The pause that the server asks for; uncapped.
        retry_after: Option<Duration>,
        /// The access token that was refused is not the one that its file holds now.
        token_changed: bool,
    },
    /// The head announces something other than JSON.
    #[error("the service answered with {0} instead of JSON: a proxy, a portal or a wrong url?")]
    NotJson(&'static str),
    /// The answer comes from a cache.
    #[error("the answer comes from a cache and is {0} s old, so others may have the same bytes")]
    Cached(u64),
}

impl HttpError {
    /// A short word that stays the same, for metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Address { .. } => "dns",
            Self::Connect { .. } => "connect",
            Self::Tls { fault, .. } => fault.code,
            Self::TlsFile(_) => "tls-files",
            Self::AccessToken(_) => "secret",
            Self::Thread(_) => "thread",
            Self::Timeout { .. } => "timeout",
            Self::Closed => "closed",
            Self::NotHttp => "http",
            Self::TooLarge(_) => "too-large",
            Self::Status { status, .. } => status_code(*status),
            Self::NotJson(_) => "content-type",
            Self::Cached(_) => "cached",
        }
    }
}

/// Metrics need words that are known beforehand: the statuses that the services' APIs name.
fn status_code(status: u16) -> &'static str {
    match status {
        400 => "status-400",
        401 => "status-401",
        403 => "status-403",
        404 => "status-404",
        408 => "status-408",
        422 => "status-422",
        429 => "status-429",
        500 => "status-500",
        502 => "status-502",
        503 => "status-503",
        504 => "status-504",
        _ => match status / 100 {
            2 => "status-2xx",
            3 => "redirect",
            4 => "status-4xx",
            5 => "status-5xx",
            _ => "status-other",
        },
    }
}
