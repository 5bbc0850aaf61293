//! Which state each partition is in, how many are in which, and which are late.

use std::time::Duration;

use super::Fleet;
use super::intents::NOT_RECORDED;
use super::partition::{Partition, Phase, Trouble};
use crate::context::Context;
use crate::event::TokenFault;
use crate::fact::PartitionFact;
use crate::ids::PartitionId;
use crate::time::Moment;
use crate::timers::Timer;
use crate::view::PartitionState;

/// A partition counts as late when its seed is overdue by this or by half a period, whichever is
/// more.
const LATE: Duration = Duration::from_secs(5);
/// The first seed may take this long, or a period: thousands of partitions open one after the other.
const FIRST_LATE: Duration = Duration::from_secs(30);

/// Counts of partitions, kept at each change, so that no event walks over all of them.
#[derive(Debug, Default)]
pub(super) struct Counts {
    states: [usize; PartitionState::ALL.len()],
    /// No source delivered when that was last checked.
    entropy_is_out: bool,
}

impl Fleet {
    /// How many partitions are in a state.
    pub(crate) fn count(&self, state: PartitionState) -> usize {
        self.counts.states[state as usize]
    }

    /// Counts a new partition, and sets when it would be late.
    pub(super) fn begin_to_count(&mut self, context: &mut Context, id: PartitionId) {
        self.unfinished += 1;
        self.review(context, id);
        self.expect_by(context, id);
    }

    /// Counts a partition no longer.
    pub(super) fn end_to_count(&mut self, context: &mut Context, partition: &Partition) {
        self.unfinished -= usize::from(!partition.finished);
        let id = partition.settings.id;
        context.timers.set(Timer::Late(id), None);
        if let Some(state) = partition.counted {
            self.counts.states[state as usize] -= 1;
        }
    }

    /// Notices when the state of a partition changed.
    pub(super) fn review(&mut self, context: &mut Context, id: PartitionId) {
        let out = self.counts.entropy_is_out;
        let held_back = self.ledger.holds_back();
        let partition = self.partitions.get_mut(&id).expect("it is configured");
        let state = if partition.waits_for_ledger(held_back) {
            partition.last_error = Some(NOT_RECORDED.into());
            PartitionState::Error
        } else {
            state(partition, out)
        };
        let before = partition.counted;
        if before == Some(state) {
            return;
        }
        if let Some(before) = before {
            self.counts.states[before as usize] -= 1;
        }
        self.counts.states[state as usize] += 1;
        partition.counted = Some(state);
        self.emit(context, id, PartitionFact::StateChanged { state, before });
    }

    /// Sets when a partition would be late.
    pub(super) fn expect_by(&self, context: &mut Context, id: PartitionId) {
        let at = self.partitions[&id].late_at();
        context.timers.set(Timer::Late(id), Some(at));
    }

    /// A partition may be late. It was seeded meanwhile if it is not.
    pub(super) fn may_be_late(&mut self, context: &mut Context, id: PartitionId, available: usize) {
        let now = context.now;
        let held_back = self.ledger.holds_back();
        let partition = self.partition(id);
        if partition.late_at() > now {
            self.expect_by(context, id);
            return;
        }
        partition.late = true;
        let lacks_entropy =
            matches!(partition.phase, Phase::Ready) && available < partition.settings.size;
        let fact = PartitionFact::Late {
            unseeded: partition.last_seed.map(|last| now.since(last)),
            period: partition.settings.period,
            cause: if partition.waits_for_ledger(held_back) {
                PartitionState::Error
            } else if lacks_entropy {
                PartitionState::WaitingForEntropy
            } else {
                state(partition, false)
            },
        };
        self.review(context, id);
        self.emit(context, id, fact);
    }

    /// Takes in whether no source delivers.
    pub(crate) fn set_entropy_is_out(&mut self, context: &mut Context, out: bool) {
        if std::mem::replace(&mut self.counts.entropy_is_out, out) != out {
            let waiting = self.workers.values().flat_map(|worker| &worker.ready);
            let mut waiting: Vec<_> = waiting.copied().collect();
            waiting.retain(|id| self.partitions.contains_key(id));
            for id in waiting {
                self.review(context, id);
            }
        }
    }
}

impl Partition {
    /// Whether nothing else is wrong than that the ledger cannot be written, or does not answer.
    fn waits_for_ledger(&self, held_back: bool) -> bool {
        let waits = match self.phase {
            Phase::Ready => held_back,
            Phase::Intended { recorded, .. } => held_back || (!recorded && self.late),
            _ => false,
        };
        waits && self.trouble.is_none()
    }

    /// When it is late, if it is not seeded before.
    fn late_at(&self) -> Moment {
        let period = self.settings.period;
        self.due
            + if self.last_seed.is_some() {
                (period / 2).max(LATE)
            } else {
                period.max(FIRST_LATE)
            }
    }
}

fn state(partition: &Partition, entropy_is_out: bool) -> PartitionState {
    match partition.trouble {
        Some(Trouble::Hung) => PartitionState::ModuleHung,
        Some(Trouble::WorkerDown) => PartitionState::ModuleDown,
        Some(Trouble::Token(fault)) => token_state(fault),
        None if matches!(partition.phase, Phase::Ready) && entropy_is_out => {
            PartitionState::WaitingForEntropy
        }
        None if partition.last_seed.is_none() => PartitionState::Starting,
        None if partition.late => PartitionState::Late,
        None => PartitionState::Seeded,
    }
}

fn token_state(fault: TokenFault) -> PartitionState {
    match fault {
        TokenFault::Missing | TokenFault::AnotherToken => PartitionState::TokenMissing,
        TokenFault::PinRefused => PartitionState::PinRefused,
        TokenFault::PinFlagged | TokenFault::PinHeld | TokenFault::GuardLost => {
            PartitionState::PinGuarded
        }
        TokenFault::SeedingRefused => PartitionState::SeedingRefused,
        TokenFault::Mismatch
        | TokenFault::PinUnavailable
        | TokenFault::PinNotSet
        | TokenFault::AnotherLogin
        | TokenFault::Module
        | TokenFault::General
        | TokenFault::Length
        | TokenFault::Device => PartitionState::Error,
    }
}
