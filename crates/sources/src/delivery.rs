//! What is asked of a source and what comes back.

use std::sync::Arc;

use qseed_entropy::Entropy;

use crate::error::{Failed, FetchError};
pub use crate::limits::Limits;
pub use crate::link::Link;

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

impl Limits {
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
