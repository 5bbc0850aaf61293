//! What happened: the engine's input.

use std::time::Duration;

use qseed_entropy::Entropy;
use qseed_model::pins::{DeviceTag, HeldBack, PinAnswer, PinTag, PinTags};
use qseed_model::{FetchFault, Limits};

use crate::ids::{Intent, JobId, PartitionId, RequestId, SourceId, WorkerId};
use crate::settings::Settings;

/// Something that happened outside.
#[expect(missing_docs, reason = "the names of the fields say it")]
#[derive(Debug)]
pub enum Event {
    /// Time passed.
    Tick,
    /// A source answered a request; what it delivered has been decoded but not checked.
    Fetched {
        source: SourceId,
        request: RequestId,
        entropy: Entropy,
        /// Requests that were sent for it.
        sent: u32,
    },
    /// A request brought nothing.
    FetchFailed {
        source: SourceId,
        request: RequestId,
        failure: FetchFailure,
    },
    /// The source said what one request may ask for.
    LimitsLearnt { source: SourceId, limits: Limits },
    /// How much of its budget the source has delivered.
    Budget {
        source: SourceId,
        /// The bytes that it delivered in its present month.
        spent: u64,
        /// The bytes that it may deliver in a month; none: as many as needed.
        limit: Option<u64>,
    },
    /// The file that holds the source's secret changed.
    SourceSecretChanged(SourceId),
    /// The file that holds the partition's PIN changed.
    PinChanged(PartitionId),
    /// The worker has loaded its module and takes calls.
    WorkerReady(WorkerId),
    /// The worker cannot load its module; it ends.
    WorkerFailed { worker: WorkerId, text: String },
    /// The worker floods, or does not speak the protocol: it is to be killed.
    WorkerMisbehaves { worker: WorkerId, text: String },
    /// The worker's process has ended, or could not be started.
    WorkerExited { worker: WorkerId, text: String },
    /// A worker reports on a call that it makes for a partition.
    Call {
        worker: WorkerId,
        partition: PartitionId,
        event: CallEvent,
    },
    /// The guard's file has judged `Action::PresentPin`.
    PinJudged {
        /// The PIN.
        tag: PinTag,
        /// Why it is held back; none: the presentation is on the disk.
        held_back: Option<HeldBack>,
    },
    /// Another process or the operator changed what the guard's file says, so that a PIN that was
    /// held back may be free now.
    GuardChanged {
        /// The device that it is about; none: it may be about any.
        device: Option<DeviceTag>,
    },
    /// The ledger has recorded what `Action::RecordIntent` asked for and synced it.
    IntentsRecorded {
        intents: Vec<Intent>,
        /// Whether it could. If not, their seeds are dropped, and no more are made until
        /// `LedgerWritable(true)`.
        recorded: bool,
    },
    /// Whether the ledger can be written. Until this event says otherwise, it can.
    LedgerWritable(bool),
    /// The daemon stops: no more seeds are made and nothing is opened. Seeds that have not left are
    /// dropped.
    Stopping,
    /// The daemon has stopped: what workers have not answered, they will not.
    Stopped,
    /// A new configuration takes effect. Requests to sources that are gone or have another
    /// revision have been abandoned before: what had not left by now never will, and an answer
    /// that still comes is dropped.
    Configured(Settings),
}

/// What a worker reports on one of its calls.
#[derive(Debug)]
pub enum CallEvent {
    /// It goes on with its next PKCS#11 function.
    Progress,
    /// It waits for another call of its worker.
    Waits,
    /// The worker wants to present a PIN.
    PinAsked {
        /// The worker's number for this wish.
        ask: u64,
        /// The PIN's digests.
        tags: PinTags,
    },
    /// The token answered to a PIN that was presented.
    PinAnswered {
        /// What it answered.
        answer: PinAnswer,
        /// Its answer for people, if it was no success.
        text: Option<String>,
    },
    /// The partition has an open session, logged in if that is configured, or could not be opened.
    Opened(Result<(), TokenFailure>),
    /// A seed was injected or not accepted. Whether one that was not was mixed in is unknown: it is
    /// spent.
    Seeded {
        /// The number of the injection.
        job: JobId,
        /// How it went.
        result: Result<(), TokenFailure>,
    },
}

/// Why a request brought nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchFailure {
    /// What it asks of the schedule.
    pub kind: FetchFault,
    /// A stable word for it, for counting and to tell a new fault from the same one.
    pub code: &'static str,
    /// For people. Holds no secret and nothing that the service sent.
    pub text: String,
    /// How long the service asked to be left alone.
    pub retry_after: Option<Duration>,
    /// Requests that were sent.
    pub sent: u32,
    /// The secret that was refused is not the one that its file holds now.
    pub secret_changed: bool,
}

/// Why a partition could not be opened or seeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFailure {
    /// What it asks of the schedule.
    pub fault: TokenFault,
    /// For people: the function, its return value, what is there instead. Holds no secret.
    pub text: String,
    /// The call that failed, where it came to a return value.
    pub returned: Option<Returned>,
}

/// What a Cryptoki function returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Returned {
    /// The function's name in the standard.
    pub function: &'static str,
    /// Its return value (`CK_RV`).
    pub value: u64,
}

/// What a token's failure asks of the schedule. The classes are those of PKCS#11 return values as
/// a seeder must treat them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TokenFault {
    /// No token matches: try again with back-off.
    Missing,
    /// Several tokens match, or the configuration cannot be carried out on what is there.
    Mismatch,
    /// Another token is in the slot than the one that was there first.
    AnotherToken,
    /// The token refused the PIN: never again with this one.
    PinRefused,
    /// The token's flags say that a PIN's next try is its last, or that it is locked.
    PinFlagged,
    /// The guard held the PIN back.
    PinHeld,
    /// The guard's records were lost: nothing is presented until the operator resets it.
    GuardLost,
    /// The PIN cannot be read.
    PinUnavailable,
    /// The PIN cannot be read before the configuration changes or qseed starts again.
    PinNotSet,
    /// The token is logged in otherwise.
    AnotherLogin,
    /// The token takes no seed.
    SeedingRefused,
    /// The library is out of order as a whole: its worker must be started anew.
    Module,
    /// `CKR_GENERAL_ERROR`: the device's trouble at first, the library's if it repeats.
    General,
    /// The seed's length is not accepted.
    Length,
    /// Anything else: close, back off, find the token again.
    Device,
}

impl TokenFault {
    /// What a PIN that is held back asks of the schedule: the operator, or another try soon where
    /// nothing is known to be wrong with the PIN.
    #[must_use]
    pub fn of_held(reason: HeldBack) -> Self {
        match reason {
            HeldBack::Refused | HeldBack::OutcomeUnknown => Self::PinHeld,
            HeldBack::GuardLost => Self::GuardLost,
            HeldBack::InFlight | HeldBack::NotRecorded | HeldBack::DeviceInDoubt => {
                Self::PinUnavailable
            }
        }
    }

    /// A stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "token-missing",
            Self::AnotherToken => "another-token",
            Self::Mismatch => "mismatch",
            Self::PinRefused => "pin-refused",
            Self::PinFlagged => "pin-flagged",
            Self::PinHeld => "pin-held",
            Self::GuardLost => "guard-lost",
            Self::PinUnavailable => "pin-unavailable",
            Self::PinNotSet => "pin-not-set",
            Self::AnotherLogin => "another-login",
            Self::SeedingRefused => "seeding-refused",
            Self::Module => "module",
            Self::General => "general",
            Self::Length => "length",
            Self::Device => "device",
        }
    }
}
