//! What happened, for the log, the counters and the ledger.
//!
//! The engine emits a fact for each thing that happened and throttles nothing. Each consumer decides
//! what it makes of a fact ([`crate::announcer::Announcer`] does for the log). Facts hold no secret
//! and no entropy.

use std::time::Duration;

use crate::action::Next;
use crate::checks::Check;
use crate::event::{FetchFailure, TokenFailure};
use crate::ids::{ModuleId, Named, PartitionId, RequestId, SourceId, WorkerId, WorkerRole};
use crate::reservoir::Injection;
use crate::view::PartitionState;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// To a source.
    Source(Named<SourceId>, SourceFact),
    /// To a partition.
    Partition(Named<PartitionId>, PartitionFact),
    /// To a worker process.
    Worker(Process, WorkerFact),
    /// No source delivers, and what the reserve holds is not enough for a seed.
    ReserveEmpty,
}

/// Something that happened to a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceFact {
    /// It delivered, and all of the delivery passed the checks.
    Delivered {
        /// The request.
        request: RequestId,
        /// The bytes delivered.
        bytes: usize,
        /// The checks that it passed.
        checks: Vec<Check>,
        /// From the request to the answer.
        duration: Duration,
    },
    /// A delivery failed a check and was dropped whole.
    DeliveryRejected {
        /// The request.
        request: RequestId,
        /// The check.
        check: Check,
        /// The bytes dropped.
        bytes: usize,
        /// Failed deliveries in a row.
        in_a_row: u32,
        /// What qseed does about it.
        next: Next,
    },
    /// A request brought nothing.
    FetchFailed {
        /// The request.
        request: RequestId,
        /// Why.
        failure: FetchFailure,
        /// What qseed does about it.
        next: Next,
    },
    /// Delivered bytes became too old and were wiped.
    Expired {
        /// The bytes wiped.
        bytes: usize,
    },
    /// Most of its budget is spent.
    BudgetLow {
        /// The bytes that it delivered in its present month.
        spent: u64,
        /// The bytes that it may deliver in a month.
        limit: u64,
    },
    /// What is left of its budget is not enough for a seed.
    BudgetSpent {
        /// The bytes that it delivered in its present month.
        spent: u64,
        /// The bytes that it may deliver in a month.
        limit: u64,
    },
    /// The configuration has no such source any more, or another one of this name.
    Removed,
}

/// Something that happened to a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartitionFact {
    /// It has an open session.
    Opened {
        /// From the call to the answer.
        duration: Duration,
    },
    /// It could not be opened, or its token did not accept a seed.
    Failed {
        /// The seed that is spent; none: it could not be opened.
        spent: Option<Injection>,
        /// Why.
        failure: TokenFailure,
        /// What qseed does about it.
        next: Next,
        /// From the call to the answer.
        duration: Duration,
    },
    /// A seed was injected.
    Seeded {
        /// The seed.
        injection: Injection,
        /// From the call to the answer.
        duration: Duration,
        /// The time since the seed before; none: it is the first.
        gap: Option<Duration>,
        /// Whether it was late.
        was_late: bool,
    },
    /// A seed that was made for it will not have an answer of its token.
    SeedLost {
        /// The seed.
        injection: Injection,
        /// Whether its worker had the seed, so that it may have been injected. If not, it was wiped.
        given: bool,
    },
    /// Its state changed.
    StateChanged {
        /// Its state now.
        state: PartitionState,
        /// Its state before; none: it is new.
        before: Option<PartitionState>,
    },
    /// It was not seeded when it should have been. Emitted once, until it is seeded.
    Late {
        /// The time since its last seed; none: it had none.
        unseeded: Option<Duration>,
        /// Its period.
        period: Duration,
        /// Why, as far as it is known.
        cause: PartitionState,
    },
    /// The operator changed something about it, so qseed opens it again at once.
    Mended,
    /// Another worker process of its module serves it from now on.
    Moved {
        /// The worker that served it.
        from: WorkerRole,
        /// The worker that serves it now.
        to: WorkerRole,
    },
    /// The configuration has no such partition any more.
    Removed,
}

/// A worker process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its module.
    pub module: Named<ModuleId>,
    /// Which partitions it serves.
    pub role: WorkerRole,
    /// The number of this process.
    pub worker: WorkerId,
}

/// Something that happened to a worker process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerFact {
    /// It is started.
    Started,
    /// It ended by itself, or qseed has to kill it.
    Failed {
        /// Why.
        failure: WorkerFailure,
        /// What qseed does about it.
        next: Next,
    },
    /// It ended.
    Ended,
    /// SIGKILL did not end it: it hangs in the kernel.
    Stuck,
    /// It has run long enough to count as healthy again.
    Recovered,
}

/// Why a worker process failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerFailure {
    /// It could not load its module; the text is for people.
    NotLoaded(String),
    /// It ended; the text is for people.
    Died(String),
    /// A call is past its deadline.
    Hung {
        /// The partition whose call hangs; none: the module's initialisation.
        partition: Option<Named<PartitionId>>,
        /// The deadline that passed.
        deadline: Duration,
    },
    /// It does not keep to the protocol; the text is for people.
    Misbehaved(String),
}

impl WorkerFailure {
    /// A stable name for the kind of failure.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotLoaded(_) => "not-loaded",
            Self::Died(_) => "died",
            Self::Hung { .. } => "hung",
            Self::Misbehaved(_) => "misbehaved",
        }
    }
}
