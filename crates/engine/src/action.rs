//! What is to be done: the engine's output.

use std::time::Duration;

use qseed_entropy::Seed;
use qseed_model::Shape;
use qseed_model::pins::{HeldBack, PinAnswer, PinTag, PinTags};

use crate::ids::{JobId, ModuleId, PartitionId, RequestId, SourceId, WorkerId};
use crate::reservoir::{Injection, MadeOf};

/// Something to be done outside. Each is carried out in the order in which it is given.
#[expect(missing_docs, reason = "the names of the fields say it")]
#[derive(Debug)]
pub enum Action {
    /// Ask the source. Answered by `Fetched` or `FetchFailed`.
    Fetch {
        source: SourceId,
        request: RequestId,
        shape: Shape,
        /// Whether one immediate second try is allowed if a kept connection turns out closed.
        spare_attempt: bool,
    },
    /// Start a worker process. Answered by `WorkerReady`, `WorkerFailed`, `WorkerExited`.
    StartWorker {
        /// The number of this process.
        worker: WorkerId,
        module: ModuleId,
    },
    /// End a worker process. Answered by `WorkerExited`.
    EndWorker {
        worker: WorkerId,
        /// Whether it is killed, or asked to finish first.
        kill: bool,
    },
    /// Find the partition's token, open a session, log in. Answered by `Opened` or `OpenFailed`.
    Open {
        worker: WorkerId,
        partition: PartitionId,
    },
    /// Close the partition's session. Not answered.
    Close {
        worker: WorkerId,
        partition: PartitionId,
    },
    /// Inject a seed. Answered by `Seeded` or `SeedFailed`.
    Seed {
        worker: WorkerId,
        partition: PartitionId,
        job: JobId,
        seed: Seed,
        /// Where they come from.
        made_of: MadeOf,
    },
    /// Have the ledger record, and sync, that a seed is about to be injected. Until then it stays
    /// here. Answered by `IntentsRecorded`.
    RecordIntent {
        partition: PartitionId,
        injection: Injection,
    },
    /// Have the guard's file judge whether a PIN may be presented and, if so, record it and sync.
    /// Answered by `PinJudged`.
    PresentPin {
        /// The partition that presents it.
        partition: PartitionId,
        /// The PIN's digests.
        tags: PinTags,
    },
    /// Have the guard's file record what a token answered. Not answered.
    RecordPin {
        /// The PIN.
        tag: PinTag,
        /// The partition that presented it.
        partition: PartitionId,
        /// The answer.
        answer: PinAnswer,
        /// The answer for people, if it is known and was no success.
        text: Option<String>,
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
}

/// What happens next about a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It is tried again after this time.
    TryAgain(Duration),
    /// qseed checks it again after this time, or when the operator has mended it.
    Operator(Duration),
    /// Its module's worker is started anew.
    RestartWorker,
    /// Nothing: it is tried once.
    GiveUp,
}
