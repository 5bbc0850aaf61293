//! What is to be done: the engine's output.

use std::sync::Arc;
use std::time::Duration;

use qseed_entropy::Seed;

use crate::checks::Check;
use crate::complaint::Repeats;
use crate::guard::{HeldBack, Standing};
use crate::ids::{JobId, ModuleId, PartitionId, PinTag, RequestId, SourceId, WorkerId};
use crate::reservoir::Portion;
use crate::shape::Shape;

/// Something to be done outside. Each is carried out in the order in which it is given.
#[derive(Debug)]
pub enum Action {
    /// Ask the source. Answered by `Fetched` or `FetchFailed`.
    Fetch {
        /// The source.
        source: SourceId,
        /// The number of the request.
        request: RequestId,
        /// What to ask for.
        shape: Shape,
        /// Whether one immediate second try is allowed where a kept connection turns out closed.
        spare_attempt: bool,
    },
    /// Start a worker process. Answered by `WorkerReady`, `WorkerFailed`, `WorkerExited`.
    StartWorker {
        /// The number of this life.
        worker: WorkerId,
        /// Its module.
        module: ModuleId,
    },
    /// End a worker process. Answered by `WorkerExited`.
    EndWorker {
        /// The worker.
        worker: WorkerId,
        /// Whether it is killed, or asked to finish first.
        kill: bool,
    },
    /// Find the partition's token, open a session, log in. Answered by `Opened` or `OpenFailed`.
    Open {
        /// The worker.
        worker: WorkerId,
        /// The partition.
        partition: PartitionId,
    },
    /// Close the partition's session. Not answered.
    Close {
        /// The worker.
        worker: WorkerId,
        /// The partition.
        partition: PartitionId,
    },
    /// Inject a seed. Answered by `Seeded` or `SeedFailed`.
    Seed {
        /// The worker.
        worker: WorkerId,
        /// The partition.
        partition: PartitionId,
        /// The number of the injection.
        job: JobId,
        /// The bytes.
        seed: Seed,
        /// Where they come from.
        made_of: Vec<Portion>,
    },
    /// Write down what is known of a PIN, synced to disk; `None` forgets the tag. Answered by
    /// `PinRecorded` where `answer` is set.
    RecordPin {
        /// The PIN's tag.
        tag: PinTag,
        /// The partition that presents it.
        partition: PartitionId,
        /// What is known.
        standing: Option<Standing>,
        /// Whether a presentation waits for it.
        answer: bool,
    },
    /// Tell the worker whether it may present the PIN that it asked about.
    Verdict {
        /// The worker.
        worker: WorkerId,
        /// The partition.
        partition: PartitionId,
        /// The worker's number for its wish.
        ask: u64,
        /// The reason to hold it back; none: present it.
        held_back: Option<HeldBack>,
    },
    /// Say something.
    Note(Note),
}

/// What happens next about a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is tried again after this time.
    TryAgain(Duration),
    /// It is looked at again after this time, or when the operator has mended it.
    Operator(Duration),
    /// Its module's worker is started anew.
    RestartWorker,
}

/// Something worth saying.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A partition was seeded.
    Seeded {
        /// The partition.
        partition: PartitionId,
        /// Its name.
        name: Arc<str>,
        /// The bytes injected.
        bytes: usize,
        /// Where they come from.
        made_of: Vec<Portion>,
    },
    /// The last minute's injections, where they are too many to be said one by one.
    Summary {
        /// Injections.
        seeds: u64,
        /// Their bytes.
        bytes: u64,
        /// Partitions that got at least one.
        partitions: usize,
        /// Partitions that are in trouble or late.
        troubled: usize,
    },
    /// A partition cannot be opened or seeded.
    PartitionFailed {
        /// The partition.
        partition: PartitionId,
        /// Its name.
        name: Arc<str>,
        /// What failed.
        failure: crate::event::TokenFailure,
        /// How the fault stands.
        repeats: Repeats,
        /// What qseed does about it.
        next: Next,
    },
    /// A partition is seeded again.
    PartitionRecovered {
        /// The partition.
        partition: PartitionId,
        /// Its name.
        name: Arc<str>,
        /// How the fault stood.
        repeats: Repeats,
    },
    /// Partitions failed that are not named one by one, being too many at once.
    MorePartitionsFailed {
        /// Their number.
        count: usize,
    },
    /// Partitions recovered that are not named one by one, being too many at once.
    MorePartitionsRecovered {
        /// Their number.
        count: usize,
    },
    /// A partition has a worker process of its own from now on, since it takes its neighbours along.
    Isolated {
        /// The partition.
        partition: PartitionId,
        /// Its name.
        name: Arc<str>,
    },
    /// A source brought nothing.
    SourceFailed {
        /// The source.
        source: SourceId,
        /// Its name.
        name: Arc<str>,
        /// What failed, for people.
        text: String,
        /// The stable word for it.
        code: &'static str,
        /// How the fault stands.
        repeats: Repeats,
        /// What qseed does about it.
        next: Next,
    },
    /// A delivery failed a check and was dropped whole.
    CheckFailed {
        /// The source.
        source: SourceId,
        /// Its name.
        name: Arc<str>,
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
        source: SourceId,
        /// Its name.
        name: Arc<str>,
        /// The bytes that it delivered in its present month.
        spent: u64,
        /// The bytes that it may deliver in a month.
        limit: u64,
    },
    /// A source's budget is spent; it is not asked before its next month begins.
    BudgetSpent {
        /// The source.
        source: SourceId,
        /// Its name.
        name: Arc<str>,
        /// The bytes that it delivered in its present month.
        spent: u64,
        /// The bytes that it may deliver in a month.
        limit: u64,
    },
    /// A source delivers again.
    SourceRecovered {
        /// The source.
        source: SourceId,
        /// Its name.
        name: Arc<str>,
        /// How the fault stood.
        repeats: Repeats,
    },
    /// A worker has ended that should not have.
    WorkerFailed {
        /// The module.
        module: ModuleId,
        /// Its path.
        name: Arc<str>,
        /// What happened, for people.
        text: String,
        /// How the fault stands.
        repeats: Repeats,
        /// When it is started anew.
        next: Next,
    },
    /// A module's call is past its deadline; its worker is killed.
    ModuleHung {
        /// The module.
        module: ModuleId,
        /// Its path.
        name: Arc<str>,
        /// The partition whose call hangs; none: the library's own start.
        partition: Option<Arc<str>>,
        /// The deadline that passed.
        deadline: Duration,
    },
    /// A worker was killed and is still there: it hangs in the kernel. None is piled up behind it.
    WorkerStuck {
        /// The module.
        module: ModuleId,
        /// Its path.
        name: Arc<str>,
    },
    /// A module works again.
    WorkerRecovered {
        /// The module.
        module: ModuleId,
        /// Its path.
        name: Arc<str>,
        /// How the fault stood.
        repeats: Repeats,
    },
}
