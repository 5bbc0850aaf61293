//! Which partition gets the next free call slot of its worker.

use std::cmp::Reverse;
use std::time::Duration;

use qseed_entropy::Seed;

use super::Fleet;
use super::partition::{Phase, Waits};
use super::worker::{Call, WorkerState};
use crate::action::Action;
use crate::context::Context;
use crate::ids::{JobId, PartitionId, WorkerKey, WorkerRole};
use crate::reservoir::{Injection, MadeOf};
use crate::time::Moment;

impl Fleet {
    /// The most urgent partition that can have a seed now, and the size of its seed.
    pub(crate) fn next_for_seed(&mut self, now: Moment) -> Option<(PartitionId, usize)> {
        if self.ready_bytes == 0 || self.ledger.holds_back() {
            return None;
        }
        let keys: Vec<_> = self.workers.keys().copied().collect();
        let mut best = None;
        for key in keys {
            if self.opens_first(key) {
                continue;
            }
            if let Some(id) = self.first_waiting(key, Waits::ForSeed) {
                best = best.max(Some((self.partitions[&id].urgency(now), id)));
            }
        }
        best.map(|(_, id)| (id, self.partitions[&id].settings.size))
    }

    /// Openings and seeds take turns: whether a worker's next call is to open a partition.
    pub(super) fn opens_first(&mut self, key: WorkerKey) -> bool {
        self.workers[&key].opens_next && self.next_to_open(key).is_some()
    }

    pub(crate) fn seed(
        &mut self,
        context: &mut Context,
        partition: PartitionId,
        seed: Seed,
        made_of: MadeOf,
    ) {
        self.jobs_made += 1;
        let injection = Injection {
            job: JobId(self.jobs_made),
            bytes: seed.len(),
            made_of,
        };
        if self.ledger.comes_first {
            self.intend(context, partition, injection, seed);
        } else {
            self.inject(context, (partition, Waits::ForSeed), injection, seed);
        }
    }

    /// Begins the call that injects a seed.
    pub(super) fn inject(
        &mut self,
        context: &mut Context,
        (partition, waited): (PartitionId, Waits),
        injection: Injection,
        seed: Seed,
    ) {
        let (job, made_of) = (injection.job, injection.made_of.clone());
        let worker = self.begin_call(context, partition, waited, Some(job));
        self.set_phase(context, partition, Phase::Seeding(injection));
        context.act(Action::Seed {
            worker,
            partition,
            job,
            seed,
            made_of,
        });
    }

    /// Opens the next partition that waits for that. Returns whether there is one.
    pub(crate) fn open_next(&mut self, context: &mut Context) -> bool {
        let mut keys: Vec<_> = self.workers.keys().copied().collect();
        keys.retain(|key| !self.workers[key].to_open.is_empty());
        let next = keys.into_iter().find_map(|key| self.next_to_open(key));
        let Some(partition) = next else {
            return false;
        };
        let worker = self.begin_call(context, partition, Waits::ToOpen, None);
        self.set_phase(context, partition, Phase::Opening);
        context.act(Action::Open { worker, partition });
        true
    }

    /// The first partition that can be opened now. In the quarantine, one whose last call failed
    /// waits until the others are open and seeded once: it may take the worker down.
    fn next_to_open(&mut self, key: WorkerKey) -> Option<PartitionId> {
        let first = self.first_waiting(key, Waits::ToOpen)?;
        let failed = |id| self.partitions[id].backoff.failures() > 0;
        if key.role != WorkerRole::Quarantine || !failed(&first) {
            return Some(first);
        }
        let others_are_called = self.workers[&key].calls.keys().any(|id| !failed(id));
        let WorkerState::Up { since } = self.workers[&key].state else {
            return None;
        };
        let next_seed = self.first_waiting(key, Waits::ForSeed);
        let waits = |id| self.partitions[&id].last_seed < Some(since);
        let others_wait = next_seed.is_some_and(waits) || self.any_intended(key, waits);
        (!others_are_called && !others_wait).then_some(first)
    }

    /// Whether a worker has a member with a seed that the ledger is to record first.
    fn any_intended(&self, key: WorkerKey, which: impl Fn(PartitionId) -> bool) -> bool {
        let mut members = self.workers[&key].members.iter();
        members.any(|id| matches!(self.partitions[id].phase, Phase::Intended { .. }) && which(*id))
    }

    /// Sorts the partitions that wait for entropy: if it is short, the one whose last seed is
    /// oldest in terms of its own period comes first.
    pub(crate) fn sort_by_urgency(&mut self, now: Moment) {
        for worker in self.workers.values_mut() {
            let queue = worker.ready.make_contiguous();
            queue.sort_by_cached_key(|id| Reverse(self.partitions.get(id).map(|p| p.urgency(now))));
        }
    }

    /// The first partition that waits for a call that its worker can make now. Suspects that wait
    /// for another suspect's call hold up nobody behind them.
    pub(super) fn first_waiting(&mut self, key: WorkerKey, waits: Waits) -> Option<PartitionId> {
        let worker = self.workers.get_mut(&key).filter(|worker| worker.is_up())?;
        let concurrency = self.modules.get(&key.module)?.concurrency;
        if !worker.has_free_slot(concurrency, false) {
            return None;
        }
        let takes_suspects = worker.has_free_slot(concurrency, true);
        let queue = worker.queue(waits);
        let mut at = 0;
        loop {
            let id = *queue.get(at)?;
            let waiting = self
                .partitions
                .get(&id)
                .filter(|p| p.worker == key && p.phase.waits() == Some(waits));
            match waiting {
                Some(partition) if partition.suspect && !takes_suspects => at += 1,
                Some(_) => return Some(id),
                None => {
                    queue.remove(at);
                }
            }
        }
    }

    fn begin_call(
        &mut self,
        context: &mut Context,
        id: PartitionId,
        waited: Waits,
        job: Option<JobId>,
    ) -> crate::WorkerId {
        let partition = self.partition(id);
        partition.last_call = context.now;
        let (key, suspect) = (partition.worker, partition.suspect);
        let worker = self.worker(key);
        worker.leave_queue(waited, id);
        worker.opens_next = job.is_some();
        let call = Call {
            began: context.now,
            runs_since: Some(context.now),
            ran: Duration::ZERO,
            job,
            pins_asked: 0,
            suspect,
        };
        worker.calls.insert(id, call);
        let process = worker.process;
        self.set_worker_timer(context, key);
        process
    }
}
