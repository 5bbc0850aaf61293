//! What the service can do wrong on demand.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One way to misbehave.
///
/// As text (command line, administration interface, JSON) a fault is `NAME` or `NAME=ARGUMENT`,
/// listed in [`FAULT_NOTATIONS`](crate::FAULT_NOTATIONS).
///
/// Faults of the *answer* replace an answer that would have been good: a request that is refused
/// anyway (401, 429, 422, …) stays refused. Faults of *manner* come besides these, several at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Fault {
    // ---- the listener
    /// The listener and all connections are closed: connecting is refused. The server sees nothing
    /// of it, so it cannot be counted: it stands until it is cleared, however it was ordered.
    Refuse,

    // ---- connections; ordering one lets the open connections go after their current answer
    /// A connection is accepted and reset at once (TCP RST).
    Reset,
    /// The service waits this long before it says anything on a new connection.
    SlowHandshake(Duration),
    /// The TLS handshake is answered with the alert `handshake_failure`; plain connections close.
    HandshakeFailure,

    // ---- manner: besides a good answer or any other fault
    /// The answer begins this much later.
    Latency(Duration),
    /// The answer, its head included, trickles: so many bytes, then a pause, and so on.
    SlowDrip {
        /// Bytes sent at once, at least 1.
        bytes: usize,
        /// The pause after them.
        every: Duration,
    },
    /// The body comes in chunks, without a length (legal).
    Chunked,
    /// The answer is HTTP/1.0 and ends where the connection does (legal).
    Http10,
    /// The body is compressed, though nobody asked for it.
    Gzip,
    /// The answer says `Connection: close` and the service does (legal).
    CloseAfterAnswer,
    /// The service closes the connection, unannounced, this long after an answer (legal).
    IdleClose(Duration),

    // ---- no answer
    /// No byte of an answer ever comes.
    Hang,
    /// The connection is closed instead of an answer.
    CloseUnanswered,
    /// A connection that was kept open is closed when the next request arrives on it. Befalls no
    /// connection's first request.
    StaleClose,
    /// Header lines without end.
    EndlessHeaders,

    // ---- HTTP
    /// Half of the body, then silence on an open connection.
    Stall,
    /// Half of the body, then the connection is closed.
    Truncate,
    /// The good answer behind this many blanks of padding inside its JSON; streamed, not allocated.
    HugeBody(u64),
    /// The good answer under this `Content-Type`.
    ContentType(String),
    /// A status other than 200.
    Status(StatusFault),
    /// 200 with an HTML page, as hotel networks answer.
    CaptivePortal,
    /// 200 with `Content-Type: application/json` and a sentence instead of JSON.
    ThrottleSentence,

    // ---- JSON
    /// The last brace is missing.
    InvalidJson,
    /// The good answer with a second JSON value behind it.
    TrailingBytes,
    /// `entropies` instead of `entropy`, `randoms` instead of `random`.
    WrongField,
    /// The entropy's field appears twice, with different blocks.
    RepeatedField,
    /// Unknown fields of all JSON types around the entropy (legal).
    ExtraFields,
    /// The first block is not strict base64.
    Base64(Base64Fault),

    // ---- counts
    /// One block less than asked for.
    TooFewBlocks,
    /// One block more than asked for.
    TooManyBlocks,
    /// The last block has one byte less.
    ShortBlock,
    /// The last block has one byte more.
    LongBlock,
    /// An empty array.
    NoBlocks,

    // ---- entropy
    /// Every byte is zero.
    AllZero,
    /// The last block repeats the first; a single block's second 16 bytes repeat its first 16, and
    /// one of under 32 bytes stays good, for nothing in it can repeat.
    RepeatedBlock,
    /// The blocks of the answer before, whatever was asked for now; the first answer stays good.
    Replay,
    /// Printable ASCII, otherwise well mixed.
    Text,
    /// This share of the bytes, in per cent, is 0xA5.
    Biased(u8),
}

/// A status other than 200.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusFault {
    /// 200 to 599.
    pub code: u16,
    /// When to come back.
    pub retry_after: Option<RetryAfter>,
    /// Where to go instead, for 3xx. Any text.
    pub location: Option<String>,
}

/// The two forms of `Retry-After` (RFC 9110 section 10.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// A number of seconds.
    Seconds(u64),
    /// An HTTP date that lies this many seconds ahead of the answer; negative lies behind.
    Date(i64),
}

/// How a block's base64 deviates from RFC 4648 section 4.
///
/// Padding and trailing bits exist only where a block's length is no multiple of three: a block of
/// such a length loses its last byte first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base64Fault {
    /// A character of no alphabet.
    BadCharacter,
    /// The padding is missing.
    NoPadding,
    /// The unused bits before the padding are not zero.
    TrailingBits,
    /// The alphabet of section 5, with `-` for `+`.
    UrlSafe,
    /// A line break inside.
    WhiteSpace,
}

/// A fault and how long it stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultOrder {
    /// The fault.
    pub fault: Fault,
    /// The number of times that it strikes; `None` stands until cleared.
    pub times: Option<u32>,
}

/// Where a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    Listener,
    Connection,
    Manner,
    Answer,
}

impl Fault {
    /// A status without headers of its own.
    #[must_use]
    pub fn status(code: u16) -> Self {
        Self::Status(StatusFault {
            code,
            retry_after: None,
            location: None,
        })
    }

    /// A status with `Retry-After`.
    #[must_use]
    pub fn status_retry_after(code: u16, retry_after: RetryAfter) -> Self {
        Self::Status(StatusFault {
            code,
            retry_after: Some(retry_after),
            location: None,
        })
    }

    /// A redirection (3xx) to `location`.
    #[must_use]
    pub fn redirect(code: u16, location: impl Into<String>) -> Self {
        Self::Status(StatusFault {
            code,
            retry_after: None,
            location: Some(location.into()),
        })
    }

    /// The contract's body of 1 GiB.
    #[must_use]
    pub fn huge_body() -> Self {
        Self::HugeBody(1 << 30)
    }

    /// Whether a client must accept the answer all the same: slow or unusual, but valid, with
    /// entropy that is good.
    #[must_use]
    pub fn is_legal(&self) -> bool {
        matches!(
            self,
            Self::SlowHandshake(_)
                | Self::Latency(_)
                | Self::SlowDrip { .. }
                | Self::Chunked
                | Self::Http10
                | Self::CloseAfterAnswer
                | Self::IdleClose(_)
                | Self::ExtraFields
        )
    }

    pub(crate) fn layer(&self) -> Layer {
        match self {
            Self::Refuse => Layer::Listener,
            Self::Reset | Self::SlowHandshake(_) | Self::HandshakeFailure => Layer::Connection,
            Self::Latency(_)
            | Self::SlowDrip { .. }
            | Self::Chunked
            | Self::Http10
            | Self::Gzip
            | Self::CloseAfterAnswer
            | Self::IdleClose(_) => Layer::Manner,
            _ => Layer::Answer,
        }
    }
}
