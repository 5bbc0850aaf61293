//! What the announcer found worth a line of the log.

use std::sync::Arc;
use std::time::Duration;

use super::Repeats;
use crate::action::Next;
use crate::checks::Check;
use crate::event::TokenFailure;
use crate::ids::{ModuleId, Named, PartitionId, SourceId};
use crate::reservoir::MadeOf;
use crate::view::PartitionState;

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A partition was seeded.
    Seeded {
        /// The partition.
        partition: Named<PartitionId>,
        /// The bytes injected.
        bytes: usize,
        /// Where they come from.
        made_of: MadeOf,
    },
    /// What seeds are made of from now on.
    Composition {
        /// The sources.
        sources: Vec<SourceId>,
        /// The kernel's random bytes are mixed in by XOR as well.
        mix_local: bool,
    },
    /// The last minute's injections, where they are too many for a line each.
    Summary {
        /// Injections.
        seeds: u64,
        /// Their bytes.
        bytes: u64,
        /// Partitions that got at least one.
        partitions: usize,
        /// Partitions that are late or in trouble.
        troubled: usize,
    },
    /// A partition has an open session.
    Opened {
        /// The partition.
        partition: PartitionId,
        /// Whether nothing was injected since it was opened the last time.
        again: bool,
    },
    /// A partition cannot be opened or seeded.
    PartitionFailed {
        /// The partition.
        partition: Named<PartitionId>,
        /// What failed.
        failure: TokenFailure,
        /// How often in a row.
        repeats: Repeats,
        /// What qseed does about it.
        next: Next,
    },
    /// Partitions were not seeded when they should have been.
    Late {
        /// Some of them.
        partitions: Vec<Named<PartitionId>>,
        /// Their number.
        count: usize,
        /// The longest time without a seed; none: they never had one.
        unseeded: Option<Duration>,
        /// The shortest of their periods.
        period: Option<Duration>,
        /// Why, as far as it is known, and of how many.
        causes: Vec<(PartitionState, usize)>,
    },
    /// Partitions that were late, or failed, were seeded.
    SeededAgain {
        /// Some of them.
        partitions: Vec<Named<PartitionId>>,
        /// Their number.
        count: usize,
        /// The longest time without a seed, of those that were late.
        gap: Option<Duration>,
        /// The attempts that failed before.
        repeats: Option<Repeats>,
    },
    /// More partitions failed than have a line each.
    MorePartitionsFailed {
        /// Their number.
        count: usize,
    },
    /// A partition has a worker process of its own from now on.
    Quarantined(Named<PartitionId>),
    /// A partition is back in its module's common worker process.
    Rejoined(Named<PartitionId>),
    /// A source brought nothing.
    SourceFailed {
        /// The source.
        source: Named<SourceId>,
        /// What failed, for people.
        text: String,
        /// The stable word for it.
        code: &'static str,
        /// How often in a row.
        repeats: Repeats,
        /// What qseed does about it.
        next: Next,
    },
    /// A delivery failed a check and was dropped whole.
    CheckFailed {
        /// The source.
        source: Named<SourceId>,
        /// The check.
        check: Check,
        /// The bytes dropped.
        bytes: usize,
        /// Failed deliveries in a row.
        in_a_row: u32,
        /// What qseed does about it.
        next: Next,
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
    /// A source's budget is spent.
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
    /// A source delivers again.
    SourceRecovered {
        /// The source.
        source: Named<SourceId>,
        /// What went before.
        repeats: Repeats,
    },
    /// A worker has ended that should not have.
    WorkerFailed {
        /// The module.
        module: Named<ModuleId>,
        /// What happened, for people.
        text: String,
        /// How often in a row.
        repeats: Repeats,
        /// When qseed starts another one.
        next: Next,
    },
    /// A module's call is past its deadline.
    ModuleHung {
        /// The module.
        module: Named<ModuleId>,
        /// The partition whose call hangs; none: the library's own start.
        partition: Option<Arc<str>>,
        /// The deadline that passed.
        deadline: Duration,
        /// What qseed does about it.
        next: Next,
    },
    /// A worker was killed and is still there: it hangs in the kernel.
    WorkerStuck(Named<ModuleId>),
    /// A module works again.
    WorkerRecovered {
        /// The module.
        module: Named<ModuleId>,
        /// What went before.
        repeats: Repeats,
    },
}
