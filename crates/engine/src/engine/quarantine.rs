//! Moves a partition that delays others to another worker process of its module, and back.

use std::time::Duration;

use super::Engine;
use crate::action::Action;
use crate::fact::{Fact, PartitionFact};
use crate::ids::{PartitionId, WorkerKey, WorkerRole};
use crate::timers::Timer;
use crate::worker::{RECOVERED_AFTER, Worker, WorkerState};

/// A partition comes back when its calls gave no cause for this long.
const BACK_AFTER: Duration = Duration::from_secs(3600);

impl Engine {
    /// A worker crashed while the calls of `in_flight` were made. With several, each may have done
    /// it: they become suspects, which are called one at a time.
    pub(super) fn crashed(&mut self, key: WorkerKey, in_flight: &[PartitionId]) {
        let mut suspects = Vec::new();
        for id in in_flight {
            if let Some(partition) = self.partitions.get_mut(id)
                && std::mem::replace(&mut partition.suspect, true)
            {
                suspects.push(*id);
            }
        }
        if let ([culprit], _) | (_, [culprit]) = (in_flight, suspects.as_slice()) {
            self.give_up(*culprit, "its call took the module down");
            self.retry_later(*culprit);
            self.offends(key, *culprit, WorkerRole::Quarantine);
        }
    }

    /// A call of the partition took long or took the worker down. The second time within an hour,
    /// the partition moves, if calls on others went well in between: where they did not, it is the
    /// module's trouble and not the partition's. Returns whether it moved.
    pub(super) fn offends(&mut self, key: WorkerKey, id: PartitionId, to: WorkerRole) -> bool {
        let now = self.now;
        if key.role > to || self.once {
            return false;
        }
        let Some(partition) = self.partitions.get_mut(&id) else {
            return false;
        };
        let before = partition.last_offence.replace(now);
        let before = before.filter(|at| now.since(*at) <= BACK_AFTER);
        let Some(worker) = self.workers.get_mut(&key) else {
            return false;
        };
        let others_well = match to {
            WorkerRole::Slow => worker.last_quick_seed,
            _ => worker.last_success,
        };
        let moves = before.is_some() && others_well > before;
        if !moves || key.role == to || worker.members.len() == 1 {
            return false;
        }
        // The others need not wait for what it did.
        worker.backoff.succeeded();
        self.move_to(id, to);
        true
    }

    /// One partition's call says that the library is out of order.
    pub(super) fn library_out_of_order(&mut self, key: WorkerKey, id: PartitionId) {
        let now = self.now;
        // A worker that ends anyway answers no question.
        let Some(WorkerState::Up { since }) = self.workers.get(&key).map(|worker| worker.state)
        else {
            return;
        };
        if self.offends(key, id, WorkerRole::Quarantine) {
            return;
        }
        if now.since(since) >= RECOVERED_AFTER {
            self.restart_worker(key);
        } else {
            // A restart did not help: no more of them than the worker's back-off allows.
            self.end_worker(key, false);
        }
    }

    /// An open partition need not be called now. It comes back if it gave no cause for long enough.
    pub(super) fn may_come_back(&mut self, id: PartitionId) {
        let Some(partition) = self.partitions.get_mut(&id) else {
            return;
        };
        partition.suspect = false;
        let offence = partition.last_offence;
        let recent = offence.is_some_and(|at| self.now.since(at) < BACK_AFTER);
        if partition.worker.role != WorkerRole::Common && !recent {
            self.move_to(id, WorkerRole::Common);
        }
    }

    /// Moves a partition, which has no call in flight, to another worker.
    fn move_to(&mut self, id: PartitionId, role: WorkerRole) {
        let Some(partition) = self.partitions.get_mut(&id) else {
            return;
        };
        let from = partition.worker;
        partition.worker.role = role;
        let to = partition.worker;
        let fact = PartitionFact::Moved {
            from: from.role,
            to: role,
        };
        let moved = Fact::Partition(partition.named(), fact);
        let has_session = partition.phase.is_with_worker();
        if let Some(worker) = self.workers.get_mut(&from) {
            worker.members.remove(&id);
            let is_empty = worker.members.is_empty();
            if has_session && worker.is_up() {
                let worker = worker.life;
                self.act(Action::Close {
                    worker,
                    partition: id,
                });
            }
            if is_empty {
                self.end_worker(from, false);
            }
        }
        self.drop_session(id);
        self.emit(moved);
        self.join(id, to);
    }

    /// Makes a partition a member of a worker, which is started if there is none.
    pub(super) fn join(&mut self, id: PartitionId, key: WorkerKey) {
        let now = self.now;
        let worker = self.workers.entry(key).or_insert_with(|| Worker::new(now));
        worker.members.insert(id);
        match worker.state {
            WorkerState::Up { .. } if self.timers.get(Timer::Partition(id)).is_none() => {
                self.open_now(id);
            }
            // Alone on a worker that waits or ends, it need not wait longer than that one's end.
            _ if worker.members.len() == 1 => self.start_when_ended(key),
            _ => {}
        }
    }
}
