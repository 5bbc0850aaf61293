//! How the partitions stand: which state each is in, how many are in which, and who is late.

use std::time::Duration;

use super::Engine;
use crate::event::TokenFault;
use crate::fact::{Fact, PartitionFact};
use crate::ids::PartitionId;
use crate::partition::{Counted, Partition, Phase, Trouble};
use crate::timers::Timer;
use crate::view::PartitionState;

/// A partition counts as late when its seed is overdue by this or by half a period, whichever is
/// more.
const LATE: Duration = Duration::from_secs(5);
/// The first seed may take this long, or a period: thousands of partitions open one after the other.
const FIRST_LATE: Duration = Duration::from_secs(30);

/// Counts of partitions, kept at each change, so that nobody walks over all of them to know.
#[derive(Debug, Default)]
pub(super) struct Tally {
    states: [usize; PartitionState::ALL.len()],
    /// Partitions without a seed that nothing known keeps from one.
    awaited: usize,
    /// Partitions with a seed.
    seeded: usize,
    /// No source delivered when it was last checked.
    entropy_is_out: bool,
    /// The reserve was found empty since then.
    reserve_is_empty: bool,
}

impl Engine {
    /// How many partitions are in a state.
    #[must_use]
    pub fn count(&self, state: PartitionState) -> usize {
        self.tally.states[state as usize]
    }

    /// Whether every partition has been seeded or is known to be out of reach, and at least one
    /// has been seeded.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.tally.seeded > 0 && self.tally.awaited == 0
    }

    /// Whether something fails that the operator may mend by changing a file.
    #[must_use]
    pub fn waits_for_operator(&self) -> bool {
        let states = [
            PartitionState::PinRefused,
            PartitionState::PinGuarded,
            PartitionState::Error,
        ];
        self.sources.any_is_out() || states.iter().any(|of| self.count(*of) > 0)
    }

    /// Counts a new partition, and says when it would be late.
    pub(super) fn begin_to_count(&mut self, id: PartitionId) {
        self.unfinished += 1;
        self.review(id);
        self.expect_by(id);
    }

    /// Counts a partition no longer.
    pub(super) fn end_to_count(&mut self, partition: &Partition) {
        self.unfinished -= usize::from(!partition.finished);
        self.timers.set(Timer::Late(partition.settings.id), None);
        self.tally.count(partition, |count| *count -= 1);
    }

    /// Notices when the state of a partition changed.
    pub(super) fn review(&mut self, id: PartitionId) {
        let out = self.tally.entropy_is_out;
        let Some(partition) = self.partitions.get_mut(&id) else {
            return;
        };
        let counted = Counted {
            state: state(partition, out),
            awaited: partition.seeds == 0 && partition.trouble.is_none(),
            seeded: partition.seeds > 0,
        };
        let before = partition.counted;
        if before == Some(counted) {
            return;
        }
        self.tally.count(partition, |count| *count -= 1);
        partition.counted = Some(counted);
        self.tally.count(partition, |count| *count += 1);
        let before = before.map(|before| before.state);
        if before != Some(counted.state) {
            let (named, state) = (partition.named(), counted.state);
            let fact = PartitionFact::StateChanged { state, before };
            self.emit(Fact::Partition(named, fact));
        }
    }

    /// Sets when a partition would be late.
    pub(super) fn expect_by(&mut self, id: PartitionId) {
        let at = self.partitions.get(&id).map(Partition::late_at);
        self.timers.set(Timer::Late(id), at);
    }

    /// A partition may be late. It was seeded meanwhile where it is not.
    pub(super) fn may_be_late(&mut self, id: PartitionId) {
        let now = self.now;
        let available = self.sources.available();
        let Some(partition) = self.partitions.get_mut(&id) else {
            return;
        };
        if partition.late_at() > now {
            self.expect_by(id);
            return;
        }
        partition.late = true;
        let lacks_entropy =
            matches!(partition.phase, Phase::Ready) && available < partition.settings.size;
        let named = partition.named();
        let fact = PartitionFact::Late {
            unseeded: partition.last_seed.map(|last| now.since(last)),
            period: partition.settings.period,
            cause: if lacks_entropy {
                PartitionState::WaitingForEntropy
            } else {
                state(partition, false)
            },
        };
        self.review(id);
        self.emit(Fact::Partition(named, fact));
    }

    /// Notices when no source delivers any more, when one does again, and when the reserve is
    /// empty in between.
    pub(super) fn review_entropy(&mut self) {
        let out = self.entropy_is_out();
        if out != self.tally.entropy_is_out {
            self.tally.entropy_is_out = out;
            self.tally.reserve_is_empty = false;
            let waiting = self.workers.values().flat_map(|worker| &worker.ready);
            for id in waiting.copied().collect::<Vec<_>>() {
                self.review(id);
            }
        }
        let short = self.ready_bytes > 0 && self.sources.reserve_is_empty();
        if out && short && !self.tally.reserve_is_empty {
            self.tally.reserve_is_empty = true;
            self.emit(Fact::ReserveEmpty);
        }
    }
}

impl Tally {
    fn count(&mut self, partition: &Partition, change: impl Fn(&mut usize)) {
        let Some(counted) = partition.counted else {
            return;
        };
        change(&mut self.states[counted.state as usize]);
        if counted.awaited {
            change(&mut self.awaited);
        }
        if counted.seeded {
            change(&mut self.seeded);
        }
    }
}

impl Partition {
    /// The state that it is counted in.
    pub(super) fn state(&self) -> PartitionState {
        let counted = self.counted.map(|counted| counted.state);
        counted.unwrap_or(PartitionState::Starting)
    }

    /// When it is late, if it is not seeded before.
    fn late_at(&self) -> crate::Moment {
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
        Some((Trouble::Hung, _)) => PartitionState::ModuleHung,
        Some((Trouble::WorkerDown, _)) => PartitionState::ModuleDown,
        Some((Trouble::Token(fault), _)) => token_state(fault),
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
