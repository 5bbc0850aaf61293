//! A new configuration: what is unchanged is not disturbed.

use std::collections::BTreeMap;

use super::Engine;
use crate::action::Action;
use crate::fact::{Fact, PartitionFact};
use crate::ids::{ModuleId, PartitionId, WorkerKey};
use crate::partition::{Partition, Phase};
use crate::settings::{ModuleSettings, PartitionSettings, Settings};
use crate::timers::Timer;
use crate::worker::WorkerState;

impl Engine {
    pub(super) fn configure(&mut self, settings: Settings) {
        let (sources, mut turn) = self.with_sources();
        sources.configure(
            &mut turn,
            settings.combine,
            settings.reserve,
            settings.sources,
        );
        self.sources.mix_local = settings.mix_local;
        self.configure_modules(settings.modules);
        self.configure_partitions(settings.partitions);
        self.sources.serve(&self.partitions);
    }

    fn configure_modules(&mut self, wanted: Vec<ModuleSettings>) {
        let mut before = std::mem::take(&mut self.modules);
        for module in wanted {
            let id = module.id;
            let changed = before
                .remove(&id)
                .is_some_and(|known| known.revision != module.revision);
            self.modules.insert(id, module);
            for key in self.workers_of(id) {
                if changed {
                    self.restart_worker(key);
                } else if matches!(self.workers[&key].state, WorkerState::Down) {
                    // Whatever the operator mended is tried at once.
                    self.start_worker(key);
                }
            }
        }
        // Those that are gone are known by name until their workers have ended.
        before.retain(|id, _| self.workers.keys().any(|key| key.module == *id));
        self.modules.append(&mut before);
    }

    fn workers_of(&self, module: ModuleId) -> Vec<WorkerKey> {
        self.workers
            .keys()
            .filter(|key| key.module == module)
            .copied()
            .collect()
    }

    fn configure_partitions(&mut self, wanted: Vec<PartitionSettings>) {
        let wanted: BTreeMap<_, _> = wanted
            .into_iter()
            .map(|settings| (settings.id, settings))
            .collect();
        let gone: Vec<PartitionId> = self
            .partitions
            .keys()
            .filter(|id| !wanted.contains_key(id))
            .copied()
            .collect();
        for id in gone {
            self.remove_partition(id);
        }
        for (id, settings) in wanted {
            if self.partitions.contains_key(&id) {
                self.adjust_partition(id, settings);
            } else {
                self.add_partition(settings);
            }
        }
        let empty: Vec<_> = self
            .workers
            .iter()
            .filter(|(_, worker)| worker.members.is_empty())
            .map(|(key, _)| *key)
            .collect();
        for key in empty {
            self.end_worker(key, false);
            if matches!(self.workers[&key].state, WorkerState::Down) {
                self.workers.remove(&key);
                self.timers.set(Timer::Worker(key), None);
            }
        }
    }

    fn remove_partition(&mut self, id: PartitionId) {
        let Some(partition) = self.partitions.get(&id) else {
            return;
        };
        let (key, with_worker) = (partition.worker, partition.phase.is_with_worker());
        let named = partition.named();
        self.drop_session(id);
        self.pins.drop_partition(id);
        self.timers.set(Timer::Partition(id), None);
        if let Some(partition) = self.partitions.remove(&id) {
            self.end_to_count(&partition);
        }
        self.emit(Fact::Partition(named, PartitionFact::Removed));
        if let Some(worker) = self.workers.get_mut(&key) {
            worker.members.remove(&id);
            // A call on it may still be in flight and holds its place until its worker answers.
            if with_worker && worker.is_up() {
                let worker = worker.life;
                self.act(Action::Close {
                    worker,
                    partition: id,
                });
            }
        }
    }

    /// Size and period change without touching the session.
    fn adjust_partition(&mut self, id: PartitionId, settings: PartitionSettings) {
        let now = self.now;
        let ready = {
            let partition = self.partitions.get(&id).expect("the caller looked it up");
            matches!(partition.phase, Phase::Ready)
        };
        if ready {
            self.ready_bytes -= self.partitions[&id].settings.size;
            self.ready_bytes += settings.size;
        }
        let partition = self
            .partitions
            .get_mut(&id)
            .expect("the caller looked it up");
        let new_period = partition.settings.period != settings.period;
        partition.settings = settings;
        if new_period && partition.due > now {
            partition.due = now.next_multiple(partition.settings.period);
            if matches!(partition.phase, Phase::Idle) {
                let due = partition.due;
                self.timers.set(Timer::Partition(id), Some(due));
            }
        }
        if !self.partitions[&id].late {
            self.expect_by(id);
        }
        // Whatever the operator mended is tried at once; the guard still protects the token.
        self.look_at_once(id);
    }

    fn add_partition(&mut self, settings: PartitionSettings) {
        let id = settings.id;
        let partition = Partition::new(settings, self.now);
        let key = partition.worker;
        self.partitions.insert(id, partition);
        self.begin_to_count(id);
        self.join(id, key);
    }
}
