//! Why a fetch failed.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use qseed_secrets::SecretError;

use crate::answer::AnswerError;
use crate::delivery::{Limits, Link};
use crate::tls::{TlsFault, TlsFilesError};

/// A fetch that delivered nothing.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Failed {
    /// What happened.
    #[source]
    pub error: FetchError,
    /// How long the server asks to be left alone; uncapped.
    pub retry_after: Option<Duration>,
    /// Requests that were sent all the same; they count towards a rate limit.
    pub attempts: u32,
    /// The TLS connection, where it came to one.
    pub link: Option<Arc<Link>>,
    /// The secret that was refused is not the one that its file holds now.
    pub secret_changed: bool,
}

impl Failed {
    /// A failure before anything was sent.
    pub(crate) fn early(error: FetchError) -> Self {
        Self {
            error,
            retry_after: None,
            attempts: 0,
            link: None,
            secret_changed: false,
        }
    }
}

/// What kind of answer a failure calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureClass {
    /// May pass by itself: try again with back-off.
    Transient,
    /// The service understood and refused (400, 401, 403, 404, 422): try again rarely, and when a
    /// secret or the configuration changes.
    Refused,
    /// An answer came, with status 200, that is not the asked entropy: a failed delivery.
    Invalid,
    /// A file of ours (access token, certificates, key) cannot be used: try again when it changes,
    /// and with back-off.
    Local,
    /// The source has learnt narrower [`Limits`]: ask within them, at once.
    Limits,
}

/// What a request was doing when its time was up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Looking the host's name up.
    #[default]
    Resolve,
    /// Opening the TCP connection.
    Connect,
    /// The TLS handshake.
    Handshake,
    /// Waiting for the head of the answer.
    Answer,
    /// Reading the answer's body.
    Body,
    /// Reading from a device.
    Device,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "looking up its address",
            Self::Connect => "connecting",
            Self::Handshake => "the TLS handshake",
            Self::Answer => "waiting for the answer",
            Self::Body => "reading the answer's body",
            Self::Device => "reading",
        })
    }
}

/// What a service was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asked {
    /// Entropy.
    #[default]
    Entropy,
    /// What one request may ask for.
    Capabilities,
    /// The results of its own tests.
    HealthTests,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Entropy => "the asked entropy",
            Self::Capabilities => "a list of capabilities",
            Self::HealthTests => "a list of health tests",
        })
    }
}

/// What happened to a fetch. No text here holds a secret or anything of a body.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The host's name has no address, or nobody could be asked for it.
    #[error("cannot look up the address of {host}: {source}")]
    Resolve {
        /// The name.
        host: String,
        /// What the system said.
        source: io::Error,
    },
    /// Plain HTTP to a name that leads away from this machine.
    #[error(
        "localhost is {address} here, which is not this machine, and plain HTTP to it would show the entropy and the access token to others; write 127.0.0.1 in `url`, or mend the name"
    )]
    NotThisMachine {
        /// The address that the name has.
        address: std::net::IpAddr,
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
    /// Certificates or the client's key cannot be used.
    #[error(transparent)]
    TlsFiles(#[from] TlsFilesError),
    /// The access token cannot be read.
    #[error("no access token: {0}")]
    Secret(#[from] SecretError),
    /// What was read as the access token cannot be one.
    #[error(
        "no access token: {reference} holds a space, a control or a non-ASCII character, which no token has"
    )]
    TokenCharacters {
        /// The secret's reference.
        reference: String,
    },
    /// The time was up.
    #[error("no complete answer from {endpoint} within {limit:?}: time ran out at {phase}")]
    Timeout {
        /// Host and port, or the device.
        endpoint: String,
        /// What it was waiting for.
        phase: Phase,
        /// The time that it had.
        limit: Duration,
    },
    /// The connection ended before anything of an answer came.
    #[error("{endpoint} closed the connection without an answer")]
    Closed {
        /// Host and port.
        endpoint: String,
    },
    /// The connection ended in the middle of the answer.
    #[error("the answer of {endpoint} broke off")]
    Truncated {
        /// Host and port.
        endpoint: String,
    },
    /// What came is not HTTP/1.
    #[error("{endpoint} does not answer in valid HTTP")]
    NotHttp {
        /// Host and port.
        endpoint: String,
    },
    /// The answer's header is longer than any honest one.
    #[error("the answer of {endpoint} has a header of more than {limit} bytes or {lines} lines")]
    HeaderTooLarge {
        /// Host and port.
        endpoint: String,
        /// The limit in bytes.
        limit: usize,
        /// The limit in lines.
        lines: usize,
    },
    /// The body is longer than the request could need.
    #[error(
        "the answer of {endpoint} is longer than the {limit} bytes that the request could need"
    )]
    TooLarge {
        /// Host and port.
        endpoint: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// A redirect, which is never followed: it would carry the token elsewhere.
    #[error(
        "{endpoint} redirects elsewhere (status {status}), which is never followed; check the url"
    )]
    Redirect {
        /// Host and port.
        endpoint: String,
        /// The HTTP status.
        status: u16,
    },
    /// A status other than 200.
    #[error("{endpoint} answered with status {status}{}", meaning(*status, *asked))]
    Status {
        /// Host and port.
        endpoint: String,
        /// What it was asked for.
        asked: Asked,
        /// The HTTP status.
        status: u16,
    },
    /// The body is declared to be something else than JSON.
    #[error("{endpoint} answered with {found} instead of JSON: a proxy, a portal or a wrong url?")]
    ContentType {
        /// Host and port.
        endpoint: String,
        /// What it is, in a word of ours.
        found: &'static str,
    },
    /// The body is compressed, which nobody asked for.
    #[error("{endpoint} answered with a Content-Encoding that was not asked for")]
    ContentEncoding {
        /// Host and port.
        endpoint: String,
    },
    /// The answer comes from a cache: others may have got the same bytes.
    #[error(
        "the answer of {endpoint} is a cache's, {age} s old: others may have got the same bytes"
    )]
    Cached {
        /// Host and port.
        endpoint: String,
        /// The Age header, in seconds.
        age: u64,
    },
    /// The body is not what was asked for.
    #[error("the answer of {endpoint} is not {asked}: {fault}")]
    Answer {
        /// Host and port.
        endpoint: String,
        /// What it was asked for.
        asked: Asked,
        /// What is wrong.
        fault: AnswerError,
    },
    /// The request is outside of what the source allows.
    #[error(
        "a request for {block_count} blocks of {block_size} bytes is outside of what {endpoint} allows: {} to {} blocks of {} to {} bytes",
        limits.block_count.start(), limits.block_count.end(),
        limits.block_size.start(), limits.block_size.end()
    )]
    OutsideLimits {
        /// Host and port, or the device.
        endpoint: String,
        /// Bytes a block.
        block_size: u32,
        /// Blocks.
        block_count: u32,
        /// What is allowed.
        limits: Limits,
    },
    /// The source's limits come first: one request was all that was allowed, or the service refused
    /// one that was within the limits as they were known.
    #[error("{endpoint} has to be asked for its limits first")]
    LimitsFirst {
        /// Host and port.
        endpoint: String,
    },
    /// The device cannot be opened or read.
    #[error("cannot read from {path}: {source}")]
    Device {
        /// The device.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The path is no device.
    #[error("{path} is neither a character device nor a named pipe")]
    NoDevice {
        /// The path.
        path: PathBuf,
    },
}

impl FetchError {
    /// The failure of a question for something else than entropy.
    pub(crate) fn when_asked_for(mut self, what: Asked) -> Self {
        if let Self::Status { asked, .. } | Self::Answer { asked, .. } = &mut self {
            *asked = what;
        }
        self
    }

    /// What the failure calls for.
    #[must_use]
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Status {
                status: 400 | 401 | 403 | 404 | 422,
                ..
            } => FailureClass::Refused,
            Self::Answer { .. } | Self::Cached { .. } => FailureClass::Invalid,
            Self::Secret(_) | Self::TokenCharacters { .. } | Self::TlsFiles(_) => {
                FailureClass::Local
            }
            Self::OutsideLimits { .. } | Self::LimitsFirst { .. } => FailureClass::Limits,
            _ => FailureClass::Transient,
        }
    }

    /// A short word that stays the same, for metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Resolve { .. } | Self::NotThisMachine { .. } => "dns",
            Self::Connect { .. } => "connect",
            Self::Tls { fault, .. } => fault.code(),
            Self::TlsFiles(_) => "tls-files",
            Self::Secret(_) | Self::TokenCharacters { .. } => "secret",
            Self::Timeout { .. } => "timeout",
            Self::Closed { .. } => "closed",
            Self::Truncated { .. } => "truncated",
            Self::NotHttp { .. } => "http",
            Self::HeaderTooLarge { .. } | Self::TooLarge { .. } => "too-large",
            Self::Redirect { .. } => "redirect",
            Self::Status { status, .. } => status_code(*status),
            Self::ContentType { .. } => "content-type",
            Self::ContentEncoding { .. } => "content-encoding",
            Self::Cached { .. } => "cached",
            Self::Answer { fault, .. } => fault.code(),
            Self::OutsideLimits { .. } | Self::LimitsFirst { .. } => "limits",
            Self::Device { .. } | Self::NoDevice { .. } => "device",
        }
    }
}

/// Metrics need words that are known beforehand: the statuses that the services' APIs name.
fn status_code(status: u16) -> &'static str {
    const KNOWN: [(u16, &str); 11] = [
        (400, "status-400"),
        (401, "status-401"),
        (403, "status-403"),
        (404, "status-404"),
        (408, "status-408"),
        (422, "status-422"),
        (429, "status-429"),
        (500, "status-500"),
        (502, "status-502"),
        (503, "status-503"),
        (504, "status-504"),
    ];
    if let Some((_, code)) = KNOWN.iter().find(|(known, _)| *known == status) {
        return code;
    }
    match status {
        200..=299 => "status-2xx",
        400..=499 => "status-4xx",
        500..=599 => "status-5xx",
        _ => "status-other",
    }
}

fn meaning(status: u16, asked: Asked) -> &'static str {
    match status {
        204 if asked == Asked::Entropy => ": there is no entropy in it",
        400 | 422 => ": it takes the request for malformed",
        401 => {
            ": what qseed shows it (an access token, a client certificate) is missing, wrong or \
             expired"
        }
        403 => ": not allowed, or the account's allotment is used up",
        404 => ": there is no such service; check the url",
        429 => ": too many requests",
        503 if asked == Asked::Entropy => ": its supply is low",
        503 => ": it is not ready",
        _ => "",
    }
}
