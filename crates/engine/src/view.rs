//! What the engine knows, for the daemon and for later reports.

use std::sync::Arc;

use crate::ids::{ModuleId, PartitionId, SourceId, WorkerId, WorkerRole};

/// How a partition stands. The names are those of the status document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PartitionState {
    /// Not seeded yet, and nothing is wrong.
    Starting,
    /// Seeded once a period.
    Seeded,
    /// Nothing is wrong with it, but its seed is overdue.
    Late,
    /// It could be seeded, but no source delivers.
    WaitingForEntropy,
    /// No token matches.
    TokenMissing,
    /// The token refused the PIN.
    PinRefused,
    /// The PIN is held back, to protect the token.
    PinGuarded,
    /// The token takes no seeds.
    SeedingRefused,
    /// A call on it hangs.
    ModuleHung,
    /// Its module's worker is not running.
    ModuleDown,
    /// Anything else; the last error says what.
    Error,
}

impl PartitionState {
    /// Every state, in the order of their declaration.
    pub const ALL: [Self; 11] = [
        Self::Starting,
        Self::Seeded,
        Self::Late,
        Self::WaitingForEntropy,
        Self::TokenMissing,
        Self::PinRefused,
        Self::PinGuarded,
        Self::SeedingRefused,
        Self::ModuleHung,
        Self::ModuleDown,
        Self::Error,
    ];

    /// Its name in the status document.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Seeded => "seeded",
            Self::Late => "late",
            Self::WaitingForEntropy => "waiting-for-entropy",
            Self::TokenMissing => "token-missing",
            Self::PinRefused => "pin-refused",
            Self::PinGuarded => "pin-guarded",
            Self::SeedingRefused => "seeding-refused",
            Self::ModuleHung => "module-hung",
            Self::ModuleDown => "module-down",
            Self::Error => "error",
        }
    }
}

/// A partition as it stands.
#[expect(missing_docs, reason = "the names of the fields say it")]
#[derive(Clone, Debug)]
pub struct PartitionView {
    pub id: PartitionId,
    pub name: Arc<str>,
    pub state: PartitionState,
    /// Whether its token accepted a seed.
    pub seeded: bool,
    /// What failed last, for people.
    pub last_error: Option<Arc<str>>,
}

/// A source as it stands.
#[expect(missing_docs, reason = "the names of the fields say it")]
#[derive(Clone, Debug)]
pub struct SourceView {
    pub id: SourceId,
    pub name: Arc<str>,
    /// Checked bytes that no seed has taken yet.
    pub reserved: u64,
    /// What failed last, for people.
    pub last_error: Option<Arc<str>>,
}

/// A worker as it stands.
#[expect(missing_docs, reason = "the names of the fields say it")]
#[derive(Clone, Debug)]
pub struct WorkerView {
    pub module: ModuleId,
    pub role: WorkerRole,
    /// Its present or last process.
    pub worker: WorkerId,
}
