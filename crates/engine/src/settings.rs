//! What the engine is to do: the configuration, reduced to what decisions need.

use std::sync::Arc;
use std::time::Duration;

use qseed_model::Limits;
pub use qseed_model::{Combine, Rate, Reserve};

use crate::ids::{ModuleId, PartitionId, SourceId};

/// Everything that is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The sources, the preferred one first.
    pub sources: Vec<SourceSettings>,
    /// How several sources serve one seed.
    pub combine: Combine,
    /// Whether the kernel's random bytes are mixed into each seed by XOR.
    pub mix_local: bool,
    /// Entropy kept for an outage; none: only what the next seeds need is downloaded.
    pub reserve: Option<Reserve>,
    /// Whether a seed leaves only after the ledger has recorded that it will.
    pub record_first: bool,
    /// The modules that partitions name.
    pub modules: Vec<ModuleSettings>,
    /// The partitions.
    pub partitions: Vec<PartitionSettings>,
}

/// One source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSettings {
    /// The caller's number for it.
    pub id: SourceId,
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// What one request to it can ask for.
    pub limits: Limits,
    /// The most requests in any window of time; none: as many as needed.
    pub rate_limit: Option<Rate>,
    /// Bytes that must pass the counting tests before the first use; 0: none.
    pub startup_bytes: u32,
    /// Where its service is, as a number that changes with it.
    pub service: u64,
    /// Anything else that is configured for it, as a number that changes when it does.
    pub revision: u64,
}

/// One module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleSettings {
    /// The caller's number for it.
    pub id: ModuleId,
    /// Its path in the configuration.
    pub name: Arc<str>,
    /// The longest that one call may take before the module counts as hung.
    pub deadline: Duration,
    /// Calls in flight at once over its partitions, at least 1.
    pub concurrency: u16,
    /// Anything else that is configured for it, as a number that changes when it does.
    pub revision: u64,
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionSettings {
    /// The caller's number for it. A partition whose module, token or login changes is another
    /// one and gets a new number.
    pub id: PartitionId,
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// The module that reaches it.
    pub module: ModuleId,
    /// The bytes of one injection, 1 to 65,536.
    pub size: usize,
    /// The time from one injection to the next, at least 1 s.
    pub period: Duration,
}
