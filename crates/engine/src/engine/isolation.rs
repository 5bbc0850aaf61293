//! Finds the partition that takes a worker down, and gives it a worker of its own.
//!
//! A crash with one call in flight is that partition's. With several, those become suspects, which
//! are called one at a time until they have been seeded, so that the next crash tells more. A
//! partition that took its worker down
//! twice within an hour gets a worker process of its own, and comes back after half a day without
//! trouble. A module has a few such workers at most: an outage of all its tokens must not become
//! as many processes.

use std::time::Duration;

use super::Engine;
use crate::action::Action;
use crate::fact::Fact;
use crate::ids::{ModuleId, PartitionId, WorkerKey};
use crate::timers::Timer;
use crate::worker::{RECOVERED_AFTER, Worker, WorkerState};

/// A partition whose calls took its worker down this often within an hour is kept apart.
const STRIKES: u32 = 2;
/// Workers of a module that serve one partition alone, at most.
const KEPT_APART_AT_MOST: usize = 8;
/// A partition comes back to the others when it has given no cause for this long.
const BACK_AFTER: Duration = Duration::from_secs(12 * 3600);
/// Suspects are called one at a time for this long after a crash, if they are not seeded before.
const CAUTION: Duration = Duration::from_secs(5 * 60);

impl Engine {
    /// A worker crashed while the calls of `at_work` were in flight.
    pub(super) fn blame(&mut self, key: WorkerKey, at_work: &[PartitionId]) {
        let now = self.now;
        let suspects: Vec<_> = at_work
            .iter()
            .filter(|id| self.partitions.get(id).is_some_and(|p| p.is_suspect(now)))
            .copied()
            .collect();
        // Any of them may have done it.
        for id in at_work {
            if let Some(partition) = self.partitions.get_mut(id) {
                partition.suspect_until = Some(now + CAUTION);
            }
        }
        if let ([culprit], _) | (_, [culprit]) = (at_work, suspects.as_slice()) {
            self.strike(key, *culprit);
            self.give_up(*culprit, "its call took the module down");
        }
    }

    /// The call of `id` took the worker down, or holds its only place up. Again and again: the
    /// partition gets a worker of its own.
    pub(super) fn strike(&mut self, key: WorkerKey, id: PartitionId) {
        let now = self.now;
        let Some(partition) = self.partitions.get_mut(&id).filter(|_| !self.once) else {
            return;
        };
        if partition.strike(now) >= STRIKES {
            self.isolate(key, id);
        }
    }

    /// One partition says that its library is out of order. Where others were seeded since its
    /// trouble began, or a restart did not help, it is isolated; else the worker restarts.
    pub(super) fn library_out_of_order(&mut self, key: WorkerKey, id: PartitionId) {
        let now = self.now;
        let Some(worker) = self.workers.get(&key) else {
            return;
        };
        // A worker that ends anyway answers no question.
        let WorkerState::Up { since } = worker.state else {
            return;
        };
        let Some(partition) = self.partitions.get_mut(&id) else {
            return;
        };
        let strikes = partition.strike(now);
        let trouble_began = partition.trouble.as_ref().map(|(_, since)| *since);
        let others_well = worker.last_seed > trouble_began;
        if (others_well || strikes >= STRIKES) && self.isolate(key, id) {
            return;
        }
        if now.since(since) >= RECOVERED_AFTER {
            self.restart_worker(key);
        } else {
            // A restart did not help: no more of them than the worker's back-off allows.
            self.end_worker(key, false);
        }
    }

    fn kept_apart(&self, module: ModuleId) -> usize {
        self.workers
            .keys()
            .filter(|key| key.module == module && key.alone.is_some())
            .count()
    }

    /// Gives a partition a worker of its own, where it has neighbours and there are not too many
    /// such workers. Returns whether it did.
    pub(super) fn isolate(&mut self, from: WorkerKey, id: PartitionId) -> bool {
        let has_neighbours = self
            .workers
            .get(&from)
            .is_some_and(|worker| worker.members.len() > 1);
        if from.alone.is_some()
            || !has_neighbours
            || self.kept_apart(from.module) >= KEPT_APART_AT_MOST
        {
            return false;
        }
        let alone = WorkerKey {
            module: from.module,
            alone: Some(id),
        };
        self.move_to(id, alone);
        // The others need not wait for what it did.
        if let Some(worker) = self.workers.get_mut(&from) {
            worker.backoff.succeeded();
        }
        if let Some(partition) = self.partitions.get(&id) {
            self.emit(Fact::Isolated(partition.named()));
        }
        true
    }

    /// Brings a partition that was just seeded back to the others, if it has given no cause for
    /// long enough.
    pub(super) fn end_isolation(&mut self, id: PartitionId) {
        let Some(partition) = self.partitions.get(&id) else {
            return;
        };
        let (_, last_strike) = partition.strikes;
        let named = partition.named();
        let alone = partition.worker;
        if alone.alone.is_none() || self.now.since(last_strike) < BACK_AFTER {
            return;
        }
        let common = WorkerKey {
            module: alone.module,
            alone: None,
        };
        self.move_to(id, common);
        self.end_worker(alone, false);
        self.emit(Fact::Rejoined(named));
    }

    /// Moves a partition, which has no call in flight, to another worker.
    fn move_to(&mut self, id: PartitionId, to: WorkerKey) {
        let Some(partition) = self.partitions.get_mut(&id) else {
            return;
        };
        let from = std::mem::replace(&mut partition.worker, to);
        let has_session = partition.phase.is_with_worker();
        if let Some(worker) = self.workers.get_mut(&from) {
            worker.members.remove(&id);
            if has_session && worker.is_up() {
                let worker = worker.life;
                self.act(Action::Close {
                    worker,
                    partition: id,
                });
            }
        }
        self.drop_session(id);
        self.timers.set(Timer::Partition(id), None);
        self.join(id, to);
    }

    /// Makes a partition a member of a worker, which is started if there is none.
    pub(super) fn join(&mut self, id: PartitionId, key: WorkerKey) {
        let now = self.now;
        let worker = self.workers.entry(key).or_insert_with(|| Worker::new(now));
        worker.members.insert(id);
        match worker.state {
            WorkerState::Up { .. } => self.open_now(id),
            // Alone on a worker that waits or ends, it need not wait longer than that one's end.
            _ if worker.members.len() == 1 => self.start_when_ended(key),
            _ => {}
        }
    }
}
