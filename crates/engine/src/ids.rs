//! Names for the things that the engine keeps apart.

use std::sync::Arc;

/// The caller's number for a thing, and its name in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named<Id> {
    /// The number.
    pub id: Id,
    /// The name.
    pub name: Arc<str>,
}

/// A source of entropy. The caller chooses the number and keeps it for as long as the source's
/// name stays in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u32);

/// A partition: a token, reached through a module with a login. The caller chooses the number; a
/// partition that is reached otherwise than before gets a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId(pub u32);

/// A module (a vendor's Cryptoki library). The caller chooses the number, as for [`SourceId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleId(pub u32);

/// One worker process. The engine counts up: a number never returns, so that what a
/// dead worker left in a queue is told from what its successor says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u64);

/// Which of a module's workers. Each is started when a partition needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkerRole {
    /// Serves every partition that causes no trouble.
    Common,
    /// Serves partitions whose seeds take long.
    Slow,
    /// Serves partitions that crash or block the module.
    Quarantine,
}

/// One worker of one module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WorkerKey {
    pub(crate) module: ModuleId,
    pub(crate) role: WorkerRole,
}

/// One request to a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// One injection of one seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// A seed that is about to be injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Intent {
    /// The partition that is to get it.
    pub partition: PartitionId,
    /// The injection.
    pub job: JobId,
}
