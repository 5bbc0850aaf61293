//! Which partition gets the next free call, and which bytes.

use qseed_entropy::Seed;

use super::Engine;
use crate::action::Action;
use crate::ids::{JobId, PartitionId, WorkerKey};
use crate::partition::Phase;
use crate::reservoir::MadeOf;
use crate::worker::Call;

impl Engine {
    /// Makes the calls that there are places and bytes for: seeds first, but so that openings get
    /// their share of the places.
    pub(super) fn dispatch(&mut self) {
        self.dispatch_seeds(true);
        self.dispatch_openings();
        self.dispatch_seeds(false);
    }

    fn dispatch_seeds(&mut self, opens_first: bool) {
        while let Some((key, partition, doubtful)) = self.most_urgent(opens_first) {
            if self.sources.available() < self.size_of(partition) {
                break;
            }
            let size = self.size_of(partition);
            let (sources, mut turn) = self.with_sources();
            let Some((seed, made_of)) = sources.take(&mut turn, size) else {
                continue;
            };
            self.take_from_line(key, partition, doubtful, false);
            self.seed(key, partition, doubtful, seed, made_of);
        }
    }

    fn dispatch_openings(&mut self) {
        let keys: Vec<_> = self
            .workers
            .iter()
            .filter(|(_, worker)| worker.is_up() && !worker.to_open.is_empty())
            .map(|(key, _)| *key)
            .collect();
        for key in keys {
            for doubtful in [false, true] {
                while let Some(partition) = self.first_in_line(key, doubtful, true, true) {
                    self.take_from_line(key, partition, doubtful, true);
                    self.open(key, partition, doubtful);
                }
            }
        }
    }

    /// Sorts those that wait for entropy: where it is short, the one whose last seed is oldest in
    /// terms of its own period comes first.
    pub(super) fn sort_by_urgency(&mut self) {
        for worker in self.workers.values_mut() {
            for doubtful in [false, true] {
                let line = worker.ready.line(doubtful).make_contiguous();
                line.sort_by_cached_key(|id| {
                    std::cmp::Reverse(self.partitions.get(id).map(|p| p.urgency(self.now)))
                });
            }
        }
    }

    fn size_of(&self, partition: PartitionId) -> usize {
        self.partitions
            .get(&partition)
            .map_or(0, |p| p.settings.size)
    }

    /// Among the first in line of every worker that has a place for it, the most urgent one.
    fn most_urgent(&mut self, opens_first: bool) -> Option<(WorkerKey, PartitionId, bool)> {
        if self.ready_bytes == 0 {
            return None;
        }
        let keys: Vec<_> = self
            .workers
            .iter()
            .filter(|(_, worker)| worker.is_up() && !worker.ready.is_empty())
            .map(|(key, _)| *key)
            .collect();
        let mut best: Option<(u128, WorkerKey, PartitionId, bool)> = None;
        for key in keys {
            for doubtful in [false, true] {
                let Some(partition) = self.first_in_line(key, doubtful, false, opens_first) else {
                    continue;
                };
                let urgency = self.partitions[&partition].urgency(self.now);
                if best.is_none_or(|(most, ..)| urgency > most) {
                    best = Some((urgency, key, partition, doubtful));
                }
            }
        }
        best.map(|(_, key, partition, doubtful)| (key, partition, doubtful))
    }

    /// The first partition of a line that still belongs there, if there is a place for its call.
    fn first_in_line(
        &mut self,
        key: WorkerKey,
        doubtful: bool,
        opens: bool,
        opens_first: bool,
    ) -> Option<PartitionId> {
        let now = self.now;
        let worker = self.workers.get_mut(&key)?;
        let places = self.modules.get(&key.module)?.concurrency;
        loop {
            let first = *worker.line(doubtful, opens).front()?;
            let belongs = self.partitions.get(&first).filter(|partition| {
                partition.worker == key
                    && match partition.phase {
                        Phase::ToOpen => opens,
                        Phase::Ready => !opens,
                        _ => false,
                    }
            });
            let Some(partition) = belongs else {
                worker.line(doubtful, opens).pop_front();
                continue;
            };
            let call = Call {
                began: now,
                deadline: None,
                doubtful,
                job: (!opens).then_some(JobId(0)),
                pins_asked: 0,
                suspect: partition.is_suspect(now),
            };
            return worker.has_place(places, call, opens_first).then_some(first);
        }
    }

    fn take_from_line(
        &mut self,
        key: WorkerKey,
        partition: PartitionId,
        doubtful: bool,
        opens: bool,
    ) {
        let worker = self.workers.get_mut(&key).expect("it was just looked at");
        let first = worker.line(doubtful, opens).pop_front();
        debug_assert_eq!(first, Some(partition));
    }

    fn begin_call(
        &mut self,
        key: WorkerKey,
        partition: PartitionId,
        doubtful: bool,
        job: Option<JobId>,
    ) {
        let deadline = self.now + self.modules[&key.module].deadline;
        let suspect = self.partitions[&partition].is_suspect(self.now);
        let worker = self.workers.get_mut(&key).expect("it was just looked at");
        let call = Call {
            began: self.now,
            deadline: Some(deadline),
            doubtful,
            job,
            pins_asked: 0,
            suspect,
        };
        worker.opened_last = job.is_none();
        worker.calls.insert(partition, call);
        self.arm_worker(key);
    }

    fn open(&mut self, key: WorkerKey, partition: PartitionId, doubtful: bool) {
        self.set_phase(partition, Phase::Opening);
        self.begin_call(key, partition, doubtful, None);
        let worker = self.workers[&key].life;
        self.act(Action::Open { worker, partition });
    }

    fn seed(
        &mut self,
        key: WorkerKey,
        partition: PartitionId,
        doubtful: bool,
        seed: Seed,
        made_of: MadeOf,
    ) {
        let job = self.new_job();
        self.set_phase(
            partition,
            Phase::Seeding {
                job,
                bytes: seed.len(),
                made_of: made_of.clone(),
            },
        );
        self.begin_call(key, partition, doubtful, Some(job));
        let worker = self.workers[&key].life;
        self.act(Action::Seed {
            worker,
            partition,
            job,
            seed,
            made_of,
        });
    }
}
