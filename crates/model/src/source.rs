//! Nouns of entropy sources.

use std::time::Duration;

/// How several sources serve one seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Combine {
    /// The first healthy source serves; the others stand by.
    #[default]
    Failover,
    /// Each seed is the XOR of bytes from every source.
    Xor,
}

/// Checked entropy that is kept to ride out an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserve {
    /// The length of an outage that it covers, 1 s to 7 d.
    pub cover: Duration,
    /// Bytes older than this are wiped, `cover` to 365 d.
    pub max_age: Duration,
}

/// The most requests in any window of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many, at least 1.
    pub requests: u32,
    /// In how long a window, 1 s to 1 d.
    pub per: Duration,
}

/// Whether the key exchange with a source must withstand a quantum computer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PostQuantum {
    /// Only X25519MLKEM768 over TLS 1.3 is offered: a server without it is refused.
    Require,
    /// X25519MLKEM768 first, then classical groups.
    #[default]
    Prefer,
    /// Classical groups alone.
    Off,
}
