//! What is asked of a source and what comes back.

use std::ops::RangeInclusive;
use std::sync::Arc;

use qseed_entropy::Entropy;

use crate::error::{Failed, FetchError};

/// One request for entropy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Bytes a block; within [`Limits::block_size`].
    pub block_size: u32,
    /// Number of blocks; within [`Limits::block_count`].
    pub block_count: u32,
    /// Whether a second request may be sent at once, on a new connection, where the server turns
    /// out to have closed the kept one.
    pub spare_attempt: bool,
}

impl Ask {
    /// The bytes that are asked for in all.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        u64::from(self.block_size) * u64::from(self.block_count)
    }
}

/// What one fetch may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes a block.
    pub block_size: RangeInclusive<u32>,
    /// Blocks a request.
    pub block_count: RangeInclusive<u32>,
    /// A delivery is the asked bytes rounded up to a multiple of this many bytes: 1, or 1,024 for
    /// the older Qrypt API.
    pub granularity: u32,
}

impl Limits {
    /// The limits of Qrypt's API, which most services of the QRNG Open API share.
    pub const COMMON: Self = Self {
        block_size: 1..=1024,
        block_count: 1..=512,
        granularity: 1,
    };

    /// Refuses what is outside of them before anything is sent.
    pub(crate) fn check(&self, ask: &Ask, endpoint: &str) -> Result<(), Failed> {
        let Ask {
            block_size,
            block_count,
            ..
        } = *ask;
        if self.block_size.contains(&block_size) && self.block_count.contains(&block_count) {
            return Ok(());
        }
        Err(Failed::early(FetchError::OutsideLimits {
            endpoint: endpoint.to_owned(),
            block_size,
            block_count,
            limits: self.clone(),
        }))
    }
}

/// Entropy that a source delivered: the right number of bytes, otherwise unchecked.
#[derive(Debug)]
pub struct Delivery {
    /// The asked bytes in the order of the answer, rounded up to [`Limits::granularity`].
    pub entropy: Entropy,
    /// The connection that they came over; `None` for plain HTTP and devices.
    pub link: Option<Arc<Link>>,
    /// Requests that were sent for it.
    pub attempts: u32,
    /// Bytes of entropy that were downloaded for it.
    pub downloaded: u64,
}

/// What [`Source::connect`](crate::Source::connect) did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The connection; `None` for plain HTTP and devices.
    pub link: Option<Arc<Link>>,
    /// Requests that were sent; they count towards a rate limit.
    pub attempts: u32,
}

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
