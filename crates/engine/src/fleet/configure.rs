//! A new configuration: what is unchanged is not disturbed.

use std::collections::BTreeMap;

use super::Fleet;
use super::partition::{Partition, Phase};
use super::worker::WorkerState;
use crate::context::Context;
use crate::fact::{Fact, PartitionFact};
use crate::ids::{PartitionId, WorkerKey};
use crate::settings::{ModuleSettings, PartitionSettings};
use crate::timers::Timer;

impl Fleet {
    /// Takes in the modules and partitions that are configured. Returns the partitions that are
    /// gone.
    pub(crate) fn configure(
        &mut self,
        context: &mut Context,
        modules: Vec<ModuleSettings>,
        partitions: Vec<PartitionSettings>,
    ) -> Vec<PartitionId> {
        self.configure_modules(context, modules);
        let wanted: BTreeMap<_, _> = partitions.into_iter().map(|p| (p.id, p)).collect();
        let mut gone: Vec<_> = self.partitions.keys().copied().collect();
        gone.retain(|id| !wanted.contains_key(id));
        for id in &gone {
            self.remove_partition(context, *id);
        }
        for (id, settings) in wanted {
            if self.partitions.contains_key(&id) {
                self.adjust_partition(context, id, settings);
            } else {
                self.add_partition(context, settings);
            }
        }
        let mut empty: Vec<_> = self.workers.keys().copied().collect();
        empty.retain(|key| self.workers[key].members.is_empty());
        for key in empty {
            self.end_worker(context, key, false);
            if matches!(self.worker(key).state, WorkerState::Down) {
                self.workers.remove(&key);
                context.timers.set(Timer::Worker(key), None);
            }
        }
        gone
    }

    fn configure_modules(&mut self, context: &mut Context, wanted: Vec<ModuleSettings>) {
        let mut before = std::mem::take(&mut self.modules);
        for module in wanted {
            let id = module.id;
            let changed = before
                .remove(&id)
                .is_some_and(|known| known.revision != module.revision);
            self.modules.insert(id, module);
            let mut workers: Vec<WorkerKey> = self.workers.keys().copied().collect();
            workers.retain(|key| key.module == id);
            for key in workers {
                if changed {
                    self.restart_worker(context, key);
                } else if matches!(self.worker(key).state, WorkerState::Down) {
                    // Whatever the operator mended is tried at once.
                    self.start_worker(context, key);
                }
            }
        }
        // Modules that are gone are known by name until their workers have ended.
        before.retain(|id, _| self.workers.keys().any(|key| key.module == *id));
        self.modules.append(&mut before);
    }

    fn remove_partition(&mut self, context: &mut Context, id: PartitionId) {
        let partition = self.partition(id);
        let (named, key) = (partition.named(), partition.worker);
        let with_worker = partition.phase.is_with_worker();
        self.drop_session(context, id);
        context.timers.set(Timer::Partition(id), None);
        if let Some(partition) = self.partitions.remove(&id) {
            self.end_to_count(context, &partition);
        }
        context.emit(Fact::Partition(named, PartitionFact::Removed));
        self.worker(key).members.remove(&id);
        // A call on it may still be in flight and holds its slot until its worker answers.
        if with_worker {
            self.close(context, key, id);
        }
    }

    /// Size and period change without touching the session.
    fn adjust_partition(
        &mut self,
        context: &mut Context,
        id: PartitionId,
        settings: PartitionSettings,
    ) {
        let partition = self
            .partitions
            .get_mut(&id)
            .expect("the caller looked it up");
        if matches!(partition.phase, Phase::Ready) {
            self.ready_bytes -= partition.settings.size;
            self.ready_bytes += settings.size;
        }
        let other_size =
            matches!(&partition.phase, Phase::Intended { seed, .. } if seed.len() != settings.size);
        let new_period = partition.settings.period != settings.period;
        partition.settings = settings;
        if new_period && partition.due > context.now {
            partition.due = context.now.next_multiple(partition.settings.period);
            if matches!(partition.phase, Phase::Idle) {
                context
                    .timers
                    .set(Timer::Partition(id), Some(partition.due));
            }
        }
        if !partition.late {
            self.expect_by(context, id);
        }
        if other_size {
            self.wait_for_seed(context, id);
        }
        // Whatever the operator mended is tried at once; the guard still protects the token.
        self.retry_now(context, id);
    }

    fn add_partition(&mut self, context: &mut Context, settings: PartitionSettings) {
        let id = settings.id;
        let partition = Partition::new(settings, context.now);
        let key = partition.worker;
        self.partitions.insert(id, partition);
        self.begin_to_count(context, id);
        self.join(context, id, key);
    }
}
