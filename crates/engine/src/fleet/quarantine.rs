//! Moves a partition that delays others to another worker process of its module, and back.

use std::time::Duration;

use super::Fleet;
use super::worker::{RECOVERED_AFTER, Worker, WorkerState};
use crate::context::Context;
use crate::fact::PartitionFact;
use crate::ids::{PartitionId, WorkerKey, WorkerRole};
use crate::timers::Timer;

/// A partition comes back when its calls gave no cause for this long.
const BACK_AFTER: Duration = Duration::from_secs(3600);

impl Fleet {
    /// A worker crashed while the calls of `in_flight` were made. With several, each may have done
    /// it: they become suspects, which are called one at a time.
    pub(super) fn crashed(
        &mut self,
        context: &mut Context,
        key: WorkerKey,
        in_flight: &[PartitionId],
    ) {
        let mut suspects = Vec::new();
        for id in in_flight {
            if let Some(partition) = self.partitions.get_mut(id)
                && std::mem::replace(&mut partition.suspect, true)
            {
                suspects.push(*id);
            }
        }
        if let ([culprit], _) | (_, [culprit]) = (in_flight, suspects.as_slice()) {
            self.give_up(context, *culprit, "its call took the module down");
            self.took_down(context, key, *culprit);
        }
    }

    /// The partition's call hung or took its worker down. That counts as a failure, so that the
    /// next worker opens the others first.
    pub(super) fn took_down(&mut self, context: &mut Context, key: WorkerKey, id: PartitionId) {
        if let Some(partition) = self.partitions.get_mut(&id) {
            partition.backoff.failed(&mut context.random);
            self.offends(context, key, id, WorkerRole::Quarantine);
        }
    }

    /// A call of the partition took long or took the worker down. The second time within an hour,
    /// the partition moves, if calls on others went well in between: otherwise it is the module's
    /// trouble and not the partition's. Returns whether it moved.
    pub(super) fn offends(
        &mut self,
        context: &mut Context,
        key: WorkerKey,
        id: PartitionId,
        to: WorkerRole,
    ) -> bool {
        let now = context.now;
        if key.role > to || context.once {
            return false;
        }
        let before = self.partition(id).last_offence.replace(now);
        let before = before.filter(|at| now.since(*at) <= BACK_AFTER);
        let worker = self.worker(key);
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
        self.move_to(context, id, to);
        true
    }

    /// One partition's call says that the library is out of order.
    pub(super) fn library_out_of_order(
        &mut self,
        context: &mut Context,
        key: WorkerKey,
        id: PartitionId,
    ) {
        // A worker that ends anyway answers no question.
        let WorkerState::Up { since } = self.worker(key).state else {
            return;
        };
        if self.offends(context, key, id, WorkerRole::Quarantine) {
            return;
        }
        if context.now.since(since) >= RECOVERED_AFTER {
            self.restart_worker(context, key);
        } else {
            // A restart did not help: no more of them than the worker's back-off allows.
            self.end_worker(context, key, false);
        }
    }

    /// An open partition need not be called now. It comes back if it gave no cause for long enough.
    pub(super) fn may_come_back(&mut self, context: &mut Context, id: PartitionId) {
        let partition = self.partition(id);
        partition.suspect = false;
        let offence = partition.last_offence;
        let recent = offence.is_some_and(|at| context.now.since(at) < BACK_AFTER);
        if partition.worker.role != WorkerRole::Common && !recent {
            self.move_to(context, id, WorkerRole::Common);
        }
    }

    /// Moves a partition, which has no call in flight, to another worker.
    fn move_to(&mut self, context: &mut Context, id: PartitionId, role: WorkerRole) {
        let partition = self.partition(id);
        let from = partition.worker;
        partition.worker.role = role;
        let to = partition.worker;
        if partition.phase.is_with_worker() {
            self.close(context, from, id);
        }
        self.drop_session(context, id);
        let worker = self.worker(from);
        worker.members.remove(&id);
        if worker.members.is_empty() {
            self.end_worker(context, from, false);
        }
        let (from, to_role) = (from.role, role);
        self.emit(context, id, PartitionFact::Moved { from, to: to_role });
        self.join(context, id, to);
    }

    /// Makes a partition a member of a worker, which is started if there is none.
    pub(super) fn join(&mut self, context: &mut Context, id: PartitionId, key: WorkerKey) {
        let worker = self
            .workers
            .entry(key)
            .or_insert_with(|| Worker::new(context.now));
        worker.members.insert(id);
        if worker.is_up() {
            if context.timers.get(Timer::Partition(id)).is_none() {
                self.open_now(context, id);
            }
        } else if worker.members.len() == 1 {
            // It need not wait longer than for the end of the worker's process.
            self.start_when_ended(context, key);
        }
    }
}
