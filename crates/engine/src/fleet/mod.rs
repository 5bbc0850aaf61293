//! The partitions, the workers that serve them, and the calls that the workers make.

mod answers;
mod calls;
mod configure;
mod deadlines;
mod intents;
mod once;
mod partition;
mod partitions;
mod quarantine;
mod seeding;
mod standing;
mod worker;
mod workers;

use std::collections::BTreeMap;

use crate::action::Action;
use crate::context::Context;
use crate::fact::{Fact, PartitionFact, Process, WorkerFact};
use crate::ids::{ModuleId, Named, PartitionId, WorkerId, WorkerKey};
use crate::settings::ModuleSettings;
use crate::timers::Timer;
use crate::view::{PartitionView, WorkerView};

use intents::Ledger;
use partition::{Partition, Phase};
use standing::Counts;
use worker::{Worker, WorkerState};

pub(crate) use calls::Heard;
pub(crate) use partitions::Partitions;

#[derive(Debug, Default)]
pub(crate) struct Fleet {
    modules: BTreeMap<ModuleId, ModuleSettings>,
    workers: BTreeMap<WorkerKey, Worker>,
    partitions: Partitions,
    counts: Counts,
    workers_started: u64,
    jobs_made: u64,
    /// The bytes that partitions which are due and open wait for.
    ready_bytes: usize,
    ledger: Ledger,
    /// With `once`: partitions that were neither seeded nor given up.
    unfinished: usize,
}

impl Fleet {
    pub(crate) fn partitions(&self) -> &Partitions {
        &self.partitions
    }

    pub(crate) fn ready_bytes(&self) -> usize {
        self.ready_bytes
    }

    /// Whether partitions are being opened that will want a seed in a moment.
    pub(crate) fn is_opening(&self) -> bool {
        self.workers.values().any(Worker::is_opening)
    }

    pub(crate) fn wakes(&mut self, context: &mut Context, timer: Timer, available: usize) {
        match timer {
            Timer::Partition(id) => match self.partitions[&id].phase {
                Phase::Idle => self.wait_for_seed(context, id),
                Phase::Closed => self.open_now(context, id),
                _ => {}
            },
            Timer::Late(id) => self.may_be_late(context, id, available),
            Timer::Worker(key) => self.worker_wakes(context, key),
            Timer::Source(_) | Timer::Expiry(_) | Timer::Gather => {}
        }
    }

    /// Moves a partition on and keeps count of what waits for entropy.
    fn set_phase(&mut self, context: &mut Context, id: PartitionId, phase: Phase) {
        let partition = self.partition(id);
        let size = partition.settings.size;
        let was_ready = matches!(partition.phase, Phase::Ready);
        let is_ready = matches!(phase, Phase::Ready);
        let before = std::mem::replace(&mut partition.phase, phase);
        self.ready_bytes += if is_ready { size } else { 0 };
        self.ready_bytes -= if was_ready { size } else { 0 };
        self.lose_seed(context, id, before);
        self.review(context, id);
    }

    /// A partition that is configured.
    fn partition(&mut self, id: PartitionId) -> &mut Partition {
        self.partitions.get_mut(&id).expect("it is configured")
    }

    /// A worker that has members, or has not ended yet.
    fn worker(&mut self, key: WorkerKey) -> &mut Worker {
        self.workers.get_mut(&key).expect("it is kept until then")
    }

    /// The worker of which this is the present process.
    fn current(&self, process: WorkerId) -> Option<WorkerKey> {
        let mut workers = self.workers.iter();
        let (key, _) = workers.find(|(_, worker)| {
            worker.process == process && !matches!(worker.state, WorkerState::Down)
        })?;
        Some(*key)
    }

    fn emit(&self, context: &mut Context, id: PartitionId, fact: PartitionFact) {
        context.emit(Fact::Partition(self.partitions[&id].named(), fact));
    }

    fn emit_worker(&self, context: &mut Context, key: WorkerKey, fact: WorkerFact) {
        let process = Process {
            module: Named {
                id: key.module,
                name: self.modules[&key.module].name.clone(),
            },
            role: key.role,
            worker: self.workers[&key].process,
        };
        context.emit(Fact::Worker(process, fact));
    }

    /// Closes the session that a worker may hold for a partition.
    fn close(&self, context: &mut Context, key: WorkerKey, partition: PartitionId) {
        let worker = &self.workers[&key];
        if worker.is_up() {
            context.act(Action::Close {
                worker: worker.process,
                partition,
            });
        }
    }

    pub(crate) fn views(&self) -> impl Iterator<Item = PartitionView> {
        self.partitions.values().map(Partition::view)
    }

    pub(crate) fn view(&self, id: PartitionId) -> Option<PartitionView> {
        self.partitions.get(&id).map(Partition::view)
    }

    pub(crate) fn workers(&self) -> impl Iterator<Item = WorkerView> {
        self.workers.iter().map(|(key, worker)| WorkerView {
            module: key.module,
            role: key.role,
            worker: worker.process,
        })
    }

    /// How many things it keeps track of.
    pub(crate) fn entries(&self) -> usize {
        let kept = |worker: &Worker| {
            let waiting = worker.to_open.len() + worker.ready.len() + worker.recorded.len();
            worker.calls.len() + worker.members.len() + waiting
        };
        let workers: usize = self.workers.values().map(kept).sum();
        self.modules.len() + self.partitions.len() + workers
    }
}
