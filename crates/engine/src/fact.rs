//! What happened, for the log, the counters and the ledger.
//!
//! A fact is emitted for each thing that happened, never throttled. What a consumer makes of it is
//! the consumer's decision ([`crate::announcer::Announcer`] is the log's). Facts hold no secret and
//! no entropy.

use std::time::Duration;

use crate::action::Next;
use crate::checks::Check;
use crate::event::{FetchFailure, TokenFailure};
use crate::ids::{ModuleId, Named, PartitionId, RequestId, SourceId, WorkerId, WorkerRole};
use crate::reservoir::MadeOf;
use crate::view::PartitionState;

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

/// Why a worker ended that should not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerFailure {
    /// For people.
    pub text: String,
    /// Whether it had loaded its module.
    pub loaded: bool,
    /// What qseed does about it.
    pub next: Next,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A source delivered, and all of it passed the checks.
    Delivered {
        /// The source.
        source: Named<SourceId>,
        /// The request.
        request: RequestId,
        /// The bytes delivered.
        bytes: usize,
        /// From the request to the answer.
        duration: Duration,
    },
    /// A delivery failed a check and was dropped whole.
    DeliveryRejected {
        /// The source.
        source: Named<SourceId>,
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
        /// The source.
        source: Named<SourceId>,
        /// The request.
        request: RequestId,
        /// Why.
        failure: FetchFailure,
        /// What qseed does about it.
        next: Next,
    },
    /// Delivered bytes became too old and were wiped.
    Expired {
        /// The source.
        source: Named<SourceId>,
        /// The bytes wiped.
        bytes: usize,
    },
    /// Most of a source's budget is spent.
    BudgetLow {
        /// The source.
        source: Named<SourceId>,
        /// The bytes that it delivered in its present month.
        spent: u64,
        /// The bytes that it may deliver in a month.
        limit: u64,
    },
    /// What is left of a source's budget is not enough for a seed.
    BudgetSpent {
        /// The source.
        source: Named<SourceId>,
        /// The bytes that it delivered in its present month.
        spent: u64,
        /// The bytes that it may deliver in a month.
        limit: u64,
    },
    /// No source delivers, and what the reserve holds is not enough for a seed.
    ReserveEmpty,
    /// The configuration has no such source any more, or another one of this name.
    SourceRemoved(SourceId),
    /// A partition has an open session.
    Opened {
        /// The partition.
        partition: Named<PartitionId>,
        /// From the call to the answer.
        duration: Duration,
    },
    /// A partition could not be opened.
    OpenFailed {
        /// The partition.
        partition: Named<PartitionId>,
        /// Why.
        failure: TokenFailure,
        /// What qseed does about it.
        next: Next,
        /// From the call to the answer.
        duration: Duration,
    },
    /// A seed was injected.
    Seeded {
        /// The partition.
        partition: Named<PartitionId>,
        /// The bytes injected.
        bytes: usize,
        /// Where they come from.
        made_of: MadeOf,
        /// From the call to the answer.
        duration: Duration,
        /// The time since the seed before; none: it is the first.
        gap: Option<Duration>,
    },
    /// A token did not accept a seed, which is spent.
    Refused {
        /// The partition.
        partition: Named<PartitionId>,
        /// The bytes spent.
        bytes: usize,
        /// Where they came from.
        made_of: MadeOf,
        /// Why.
        failure: TokenFailure,
        /// What qseed does about it.
        next: Next,
        /// From the call to the answer.
        duration: Duration,
    },
    /// The state of a partition changed.
    StateChanged {
        /// The partition.
        partition: Named<PartitionId>,
        /// Its state now.
        state: PartitionState,
        /// Its state before; none: it is new.
        before: Option<PartitionState>,
    },
    /// A partition was not seeded when it should have been. Once, until it is seeded.
    Late {
        /// The partition.
        partition: Named<PartitionId>,
        /// The time since its last seed; none: it had none.
        unseeded: Option<Duration>,
        /// Its period.
        period: Duration,
        /// Why, as far as it is known.
        cause: PartitionState,
    },
    /// A partition is opened again at once, since the operator changed something about it.
    Mended(Named<PartitionId>),
    /// Another worker process of its module serves a partition from now on.
    Moved {
        /// The partition.
        partition: Named<PartitionId>,
        /// The worker that served it.
        from: WorkerRole,
        /// The worker that serves it now.
        to: WorkerRole,
    },
    /// The configuration has no such partition any more.
    PartitionRemoved(PartitionId),
    /// A worker process is started.
    WorkerStarted(Process),
    /// A worker process ended.
    WorkerEnded {
        /// The process.
        process: Process,
        /// Why, where it was not asked to.
        failure: Option<WorkerFailure>,
    },
    /// A module's call is past its deadline; its worker is killed.
    ModuleHung {
        /// The process.
        process: Process,
        /// The partition whose call hangs; none: the library's own start.
        partition: Option<Named<PartitionId>>,
        /// The deadline that passed.
        deadline: Duration,
        /// What qseed does about it.
        next: Next,
    },
    /// A worker does not keep to the protocol, so it is killed.
    WorkerMisbehaves {
        /// The process.
        process: Process,
        /// What it did, for people.
        text: String,
        /// What qseed does about it.
        next: Next,
    },
    /// A worker was killed and is still there: it hangs in the kernel.
    WorkerStuck(Process),
    /// A worker has run long enough to count as healthy again.
    WorkerRecovered(Process),
}
