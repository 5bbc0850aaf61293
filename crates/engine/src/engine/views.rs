//! What the engine knows, for those who ask.

use super::Engine;
use crate::ids::{PartitionId, SourceId};
use crate::partition::{Partition, Phase};
use crate::timers::Timer;
use crate::view::{PartitionState, PartitionView, SourceView, WorkerView};
use crate::worker::Worker;

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
        self.sources.views()
    }

    /// One source as it stands.
    #[must_use]
    pub fn source(&self, id: SourceId) -> Option<SourceView> {
        self.sources.view(id)
    }

    /// Every worker as it stands.
    pub fn workers(&self) -> impl Iterator<Item = WorkerView> {
        self.workers.iter().map(|(key, worker)| WorkerView {
            module: key.module,
            role: key.role,
            worker: worker.life,
            up: worker.is_up(),
            hung: worker.hung,
            restarts: worker.restarts,
        })
    }

    /// Whether no source delivers.
    #[must_use]
    pub fn entropy_is_out(&self) -> bool {
        self.sources.are_out()
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
            + self.pins.entries()
            + self.actions.len()
            + self.facts.len()
    }

    fn view(&self, partition: &Partition) -> PartitionView {
        let state = partition.state();
        let since = self.since(partition, state);
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

    /// Since when a partition is in a state.
    fn since(&self, partition: &Partition, state: PartitionState) -> crate::Moment {
        match (state, &partition.trouble) {
            (_, Some((_, since))) => *since,
            (PartitionState::WaitingForEntropy, _) => {
                let failing = self.sources.failing_since();
                failing.unwrap_or(partition.due).max(partition.due)
            }
            (PartitionState::Late, _) => partition.due,
            _ => partition.healthy_since,
        }
    }
}
