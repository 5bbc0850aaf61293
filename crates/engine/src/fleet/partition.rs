//! What the engine knows of one partition.

use std::sync::Arc;

use qseed_entropy::Seed;

use crate::backoff::Backoff;
use crate::event::TokenFault;
use crate::ids::{Named, PartitionId, WorkerKey, WorkerRole};
use crate::reservoir::Injection;
use crate::settings::PartitionSettings;
use crate::time::Moment;
use crate::view::{PartitionState, PartitionView};

/// Where a partition stands between two injections.
#[derive(Debug)]
pub(super) enum Phase {
    /// No session. Its worker is down, or its timer says when to try.
    Closed,
    /// No session; waits to be opened.
    ToOpen,
    /// Being opened.
    Opening,
    /// Open, not due.
    Idle,
    /// Open and due; waits for entropy and a free call slot.
    Ready,
    /// Open and due; has its seed, which waits until the ledger has recorded it, and then for a free
    /// call slot.
    Intended {
        injection: Injection,
        seed: Seed,
        recorded: bool,
    },
    /// Being seeded; the settings may change meanwhile.
    Seeding(Injection),
}

/// What a partition waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    ToOpen,
    ForSeed,
    /// For the call that injects the seed that it has.
    ForCall,
}

impl Phase {
    pub(super) fn waits(&self) -> Option<Waits> {
        match self {
            Self::ToOpen => Some(Waits::ToOpen),
            Self::Ready => Some(Waits::ForSeed),
            Self::Intended { recorded: true, .. } => Some(Waits::ForCall),
            _ => None,
        }
    }

    /// Whether the worker holds a session or opens one.
    pub(super) fn is_with_worker(&self) -> bool {
        !matches!(self, Self::Closed | Self::ToOpen)
    }
}

/// What stands between a partition and its next seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Its token, as the worker reported.
    Token(TokenFault),
    /// One of its calls hung.
    Hung,
    /// Its worker is down.
    WorkerDown,
}

impl Trouble {
    /// Whether only a seed can show that it is over.
    pub(super) fn is_of_seeding(self) -> bool {
        matches!(
            self,
            Self::Hung
                | Self::Token(
                    TokenFault::SeedingRefused
                        | TokenFault::Module
                        | TokenFault::General
                        | TokenFault::Length
                        | TokenFault::Device
                )
        )
    }
}

#[expect(clippy::struct_excessive_bools, reason = "none excludes another")]
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) settings: PartitionSettings,
    pub(super) worker: WorkerKey,
    pub(super) phase: Phase,
    /// The point of the cadence that the next seed is for.
    pub(super) due: Moment,
    pub(super) backoff: Backoff,
    pub(super) trouble: Option<Trouble>,
    pub(super) last_error: Option<Arc<str>>,
    /// When one of its calls last took long or took the worker down.
    pub(super) last_offence: Option<Moment>,
    /// Its call and others were in flight when the worker crashed: until one ends well, suspects
    /// are called one at a time.
    pub(super) suspect: bool,
    /// When its last call began.
    pub(super) last_call: Moment,
    /// Something changed while it was being opened: if that fails, it is tried again soon.
    pub(super) retry_soon: bool,
    /// `CKR_GENERAL_ERROR` in a row.
    pub(super) general_errors: u32,
    pub(super) added: Moment,
    pub(super) last_seed: Option<Moment>,
    /// Its seed is overdue.
    pub(super) late: bool,
    /// The state that the engine counts it in.
    pub(super) counted: Option<PartitionState>,
    /// With `once`: it was seeded or given up.
    pub(super) finished: bool,
}

impl Partition {
    pub(super) fn new(settings: PartitionSettings, now: Moment) -> Self {
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
            retry_soon: false,
            general_errors: 0,
            added: now,
            last_seed: None,
            late: false,
            counted: None,
            finished: false,
            settings,
        }
    }

    pub(super) fn named(&self) -> Named<PartitionId> {
        Named {
            id: self.settings.id,
            name: self.settings.name.clone(),
        }
    }

    /// How long it has gone without a seed, in thousandths of its own period.
    pub(super) fn urgency(&self, now: Moment) -> u128 {
        let waiting = match self.last_seed {
            Some(last) => now.since(last),
            None => now.since(self.added) + 2 * self.settings.period,
        };
        waiting.as_millis() * 1000 / self.settings.period.as_millis().max(1)
    }

    pub(super) fn view(&self) -> PartitionView {
        PartitionView {
            id: self.settings.id,
            name: self.settings.name.clone(),
            state: self.counted.unwrap_or(PartitionState::Starting),
            seeded: self.last_seed.is_some(),
            last_error: self.last_error.clone(),
        }
    }
}
