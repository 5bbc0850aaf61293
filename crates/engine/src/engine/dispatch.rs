//! Which partition gets the next free call, and which bytes.

use qseed_entropy::Seed;

use super::Engine;
use crate::action::Action;
use crate::ids::{JobId, PartitionId, WorkerKey};
use crate::partition::{Phase, Waits};
use crate::reservoir::MadeOf;
use crate::worker::Call;

impl Engine {
    /// Makes the calls that there are places and bytes for. Seeds and openings take turns at each
    /// worker.
    pub(super) fn dispatch(&mut self) {
        while self.dispatch_seed() || self.dispatch_opening() {}
    }

    fn dispatch_seed(&mut self) -> bool {
        let Some((key, partition)) = self.most_urgent() else {
            return false;
        };
        let size = self.partitions[&partition].settings.size;
        if self.sources.available() < size {
            return false;
        }
        let (sources, mut turn) = self.with_sources();
        // Two sources that deliver the same make no seed, and their bytes are gone.
        if let Some((seed, made_of)) = sources.take(&mut turn, size) {
            self.seed(key, partition, seed, made_of);
        }
        true
    }

    fn dispatch_opening(&mut self) -> bool {
        let keys: Vec<_> = self.workers.keys().copied().collect();
        let first = keys
            .into_iter()
            .find_map(|key| Some((key, self.first_in_line(key, Waits::ToOpen)?)));
        if let Some((key, partition)) = first {
            self.open(key, partition);
        }
        first.is_some()
    }

    /// Sorts those that wait for entropy: where it is short, the one whose last seed is oldest in
    /// terms of its own period comes first.
    pub(super) fn sort_by_urgency(&mut self) {
        for worker in self.workers.values_mut() {
            worker.ready.make_contiguous().sort_by_cached_key(|id| {
                std::cmp::Reverse(self.partitions.get(id).map(|p| p.urgency(self.now)))
            });
        }
    }

    /// Among the first in line of every worker that has a place for a seed, the most urgent one.
    fn most_urgent(&mut self) -> Option<(WorkerKey, PartitionId)> {
        if self.ready_bytes == 0 {
            return None;
        }
        let keys: Vec<_> = self.workers.keys().copied().collect();
        let mut best = None;
        for key in keys {
            if self.workers[&key].opens_next && self.first_in_line(key, Waits::ToOpen).is_some() {
                continue;
            }
            if let Some(id) = self.first_in_line(key, Waits::ForSeed) {
                let urgency = self.partitions[&id].urgency(self.now);
                best = best.max(Some((urgency, key, id)));
            }
        }
        best.map(|(_, key, id)| (key, id))
    }

    /// The first partition that waits for a call, if its worker may make one now.
    fn first_in_line(&mut self, key: WorkerKey, waits: Waits) -> Option<PartitionId> {
        let worker = self.workers.get_mut(&key).filter(|worker| worker.is_up())?;
        let concurrency = self.modules.get(&key.module)?.concurrency;
        loop {
            let first = *worker.line(waits).front()?;
            let belongs = self
                .partitions
                .get(&first)
                .filter(|p| p.worker == key && p.phase.waits() == Some(waits));
            if let Some(partition) = belongs {
                return worker
                    .has_place(concurrency, partition.suspect)
                    .then_some(first);
            }
            worker.line(waits).pop_front();
        }
    }

    fn begin_call(&mut self, key: WorkerKey, id: PartitionId, job: Option<JobId>) {
        let now = self.now;
        let worker = self.workers.get_mut(&key).expect("it was just looked at");
        let partition = self.partitions.get_mut(&id).expect("it was just looked at");
        partition.last_call = now;
        let waits = if job.is_some() {
            Waits::ForSeed
        } else {
            Waits::ToOpen
        };
        worker.line(waits).pop_front();
        worker.opens_next = job.is_some();
        let call = Call {
            began: now,
            runs_since: Some(now),
            ran: std::time::Duration::ZERO,
            job,
            pins_asked: 0,
            suspect: partition.suspect,
        };
        worker.calls.insert(id, call);
        self.arm_worker(key);
    }

    fn open(&mut self, key: WorkerKey, partition: PartitionId) {
        self.begin_call(key, partition, None);
        self.set_phase(partition, Phase::Opening);
        let worker = self.workers[&key].life;
        self.act(Action::Open { worker, partition });
    }

    fn seed(&mut self, key: WorkerKey, partition: PartitionId, seed: Seed, made_of: MadeOf) {
        let job = self.new_job();
        self.begin_call(key, partition, Some(job));
        let phase = Phase::Seeding {
            job,
            bytes: seed.len(),
            made_of: made_of.clone(),
        };
        self.set_phase(partition, phase);
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
