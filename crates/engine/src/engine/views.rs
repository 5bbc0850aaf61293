//! What the engine knows, for those who ask.

use std::time::Duration;

use super::Engine;
use crate::event::TokenFault;
use crate::ids::{PartitionId, SourceId};
use crate::partition::{Partition, Phase, Trouble};
use crate::timers::Timer;
use crate::view::{PartitionState, PartitionView, SourceView, WorkerView};
use crate::worker::Worker;

/// A seed counts as late when it is overdue by this or by half a period, whichever is more.
const LATE: Duration = Duration::from_secs(5);

impl Engine {
    /// Every partition as it stands.
    pub fn partitions(&self) -> impl Iterator<Item = PartitionView> {
        self.partitions
            .values()
            .map(|partition| self.view(partition))
    }

    /// One partition as it stands.
    #[must_use]
    pub fn partition(&self, id: PartitionId) -> Option<PartitionView> {
        self.partitions
            .get(&id)
            .map(|partition| self.view(partition))
    }

    /// Every source as it stands, in the configuration's order.
    pub fn sources(&self) -> impl Iterator<Item = SourceView> {
        self.source_order.iter().filter_map(|id| self.source(*id))
    }

    /// One source as it stands.
    #[must_use]
    pub fn source(&self, id: SourceId) -> Option<SourceView> {
        let source = self.sources.get(&id)?;
        let failing = source.failing_since;
        let known = source.up_since.is_some() || failing.is_some();
        Some(SourceView {
            id,
            name: source.settings.name.clone(),
            up: known.then_some(!source.is_out()),
            refused: source.refused,
            since: failing.or(source.up_since),
            not_before: source.not_before,
            counts: source.counts.clone(),
            reserved: source.reservoir.available() as u64,
            last_error: source.last_error.clone(),
        })
    }

    /// Every worker as it stands.
    pub fn workers(&self) -> impl Iterator<Item = WorkerView> {
        self.workers.iter().map(|(key, worker)| WorkerView {
            module: key.module,
            alone: key.alone,
            worker: worker.life,
            up: worker.is_up(),
            hung: worker.hung,
            restarts: worker.restarts,
        })
    }

    /// Whether every partition has been seeded or is known to be out of reach, and at least one
    /// has been seeded.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let mut seeded = false;
        for partition in self.partitions.values() {
            if partition.seeds > 0 {
                seeded = true;
            } else if partition.trouble.is_none() {
                return false;
            }
        }
        seeded
    }

    /// Whether no source delivers.
    #[must_use]
    pub fn entropy_is_out(&self) -> bool {
        let out = |id: &SourceId| self.sources[id].is_out();
        match self.combine {
            crate::Combine::Failover => self.source_order.iter().all(out),
            crate::Combine::Xor => self.source_order.iter().any(out),
        }
    }

    /// How many things the engine keeps track of at this moment, whatever they are. It depends on
    /// the configuration and what is in flight, not on how long the engine has been running.
    #[must_use]
    pub fn entries(&self) -> usize {
        let lines = |worker: &Worker| {
            worker.calls.len() + worker.members.len() + worker.to_open.len() + worker.ready.len()
        };
        self.sources.len()
            + self.modules.len()
            + self.partitions.len()
            + self.lives.len()
            + self.workers.values().map(lines).sum::<usize>()
            + self.timers.len()
            + self.guard.under_way()
            + self.actions.len()
            + self.facts.len()
    }

    fn view(&self, partition: &Partition) -> PartitionView {
        let (state, since) = self.state(partition);
        let id = partition.settings.id;
        let next_seed = match partition.phase {
            Phase::Closed => self.timers.get(Timer::Partition(id)),
            _ => Some(partition.due),
        };
        PartitionView {
            id,
            name: partition.settings.name.clone(),
            state,
            since,
            last_seed: partition.last_seed,
            next_seed,
            seeds: partition.seeds,
            failures: partition.failures,
            last_error: partition.last_error.clone(),
        }
    }

    fn state(&self, partition: &Partition) -> (PartitionState, crate::Moment) {
        if let Some((trouble, since)) = &partition.trouble {
            let state = match trouble {
                Trouble::Hung => PartitionState::ModuleHung,
                Trouble::WorkerDown => PartitionState::ModuleDown,
                Trouble::Token(fault) => token_state(*fault),
            };
            return (state, *since);
        }
        if matches!(partition.phase, Phase::Ready) && self.entropy_is_out() {
            let since = self
                .sources
                .values()
                .filter_map(|source| source.failing_since)
                .max();
            let since = since.unwrap_or(partition.due).max(partition.due);
            return (PartitionState::WaitingForEntropy, since);
        }
        if partition.last_seed.is_none() {
            return (PartitionState::Starting, partition.healthy_since);
        }
        let grace = (partition.settings.period / 2).max(LATE);
        if self.now.since(partition.due) > grace {
            return (PartitionState::Late, partition.due);
        }
        (PartitionState::Seeded, partition.healthy_since)
    }
}

fn token_state(fault: TokenFault) -> PartitionState {
    match fault {
        TokenFault::Missing => PartitionState::TokenMissing,
        TokenFault::PinRefused => PartitionState::PinRefused,
        TokenFault::PinFlagged | TokenFault::PinHeld => PartitionState::PinGuarded,
        TokenFault::SeedingRefused => PartitionState::SeedingRefused,
        TokenFault::Mismatch
        | TokenFault::PinUnavailable
        | TokenFault::AnotherLogin
        | TokenFault::Module
        | TokenFault::General
        | TokenFault::Length
        | TokenFault::Device => PartitionState::Error,
    }
}
