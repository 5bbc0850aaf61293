//! What a source can be asked for.

use std::ops::RangeInclusive;

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
}
