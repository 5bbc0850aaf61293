//! What the engine knows of one partition.

use std::sync::Arc;

use crate::backoff::Backoff;
use crate::event::TokenFault;
use crate::ids::{JobId, Named, PartitionId, WorkerKey, WorkerRole};
use crate::reservoir::MadeOf;
use crate::settings::PartitionSettings;
use crate::time::Moment;
use crate::view::PartitionState;

/// Where a partition stands between two injections.
#[derive(Debug)]
pub(crate) enum Phase {
    /// No session. Its worker is down, or its timer says when to try.
    Closed,
    /// No session; waits for a free place to be opened.
    ToOpen,
    /// Being opened.
    Opening,
    /// Open, not due.
    Idle,
    /// Open and due; waits for entropy and a free place.
    Ready,
    /// Being seeded.
    Seeding {
        job: JobId,
        /// The bytes of the seed; the settings may change meanwhile.
        bytes: usize,
        made_of: MadeOf,
    },
}

/// What a partition waits in line for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waits {
    ToOpen,
    ForSeed,
}

impl Phase {
    pub(crate) fn waits(&self) -> Option<Waits> {
        match self {
            Self::ToOpen => Some(Waits::ToOpen),
            Self::Ready => Some(Waits::ForSeed),
            _ => None,
        }
    }

    /// Whether the worker holds a session or is at work on one.
    pub(crate) fn is_with_worker(&self) -> bool {
        !matches!(self, Self::Closed | Self::ToOpen)
    }
}

/// What stands between a partition and its next seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Its token, as the worker told.
    Token(TokenFault),
    /// A call on it is what its module hung in.
    Hung,
    /// Its worker is down.
    WorkerDown,
}

/// What a partition is counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) state: PartitionState,
    pub(crate) awaited: bool,
    pub(crate) seeded: bool,
}

#[expect(clippy::struct_excessive_bools, reason = "none excludes another")]
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) settings: PartitionSettings,
    pub(crate) worker: WorkerKey,
    pub(crate) phase: Phase,
    /// The point of the cadence that the next seed is for.
    pub(crate) due: Moment,
    pub(crate) backoff: Backoff,
    pub(crate) trouble: Option<(Trouble, Moment)>,
    pub(crate) last_error: Option<Arc<str>>,
    /// When one of its calls last took long or took the worker down.
    pub(crate) last_offence: Option<Moment>,
    /// Its call and others were in flight when the worker crashed: until one ends well, suspects
    /// are called one at a time.
    pub(crate) suspect: bool,
    /// When its last call began.
    pub(crate) last_call: Moment,
    /// Something changed while it was being opened: if that fails, it is tried again at once.
    pub(crate) look_again: bool,
    /// `CKR_GENERAL_ERROR` in a row.
    pub(crate) general_errors: u32,
    pub(crate) last_seed: Option<Moment>,
    pub(crate) healthy_since: Moment,
    pub(crate) seeds: u64,
    /// Its seed is overdue.
    pub(crate) late: bool,
    /// What the engine counts it as.
    pub(crate) counted: Option<Counted>,
    pub(crate) failures: u64,
    /// It was seeded once or given up, and that is all that is wanted.
    pub(crate) finished: bool,
}

impl Partition {
    pub(crate) fn new(settings: PartitionSettings, now: Moment) -> Self {
        Self {
            worker: WorkerKey {
                module: settings.module,
                role: WorkerRole::Common,
            },
            phase: Phase::Closed,
            due: now,
            backoff: Backoff::default(),
            trouble: None,
            last_error: None,
            last_offence: None,
            suspect: false,
            last_call: now,
            look_again: false,
            general_errors: 0,
            last_seed: None,
            healthy_since: now,
            seeds: 0,
            late: false,
            counted: None,
            failures: 0,
            finished: false,
            settings,
        }
    }

    /// Its number and name.
    pub(crate) fn named(&self) -> Named<PartitionId> {
        Named {
            id: self.settings.id,
            name: self.settings.name.clone(),
        }
    }

    /// How long it has gone without a seed, in thousandths of its own period.
    pub(crate) fn urgency(&self, now: Moment) -> u128 {
        let waiting = match self.last_seed {
            Some(last) => now.since(last),
            None => now.since(self.healthy_since) + 2 * self.settings.period,
        };
        waiting.as_millis() * 1000 / self.settings.period.as_millis().max(1)
    }
}
