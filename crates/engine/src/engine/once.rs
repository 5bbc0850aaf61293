//! `--once`: each partition is seeded once or given up, and then left alone.

use super::Engine;
use crate::action::Next;
use crate::ids::{PartitionId, WorkerKey};
use crate::timers::Timer;
use crate::view::PartitionState;

/// A worker that ends while it makes no call is started this often.
pub(super) const STARTS: u64 = 3;

impl Engine {
    /// With `once`: whether each partition was seeded or given up, or waits for entropy that no
    /// source delivers.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.once && self.unfinished == self.count(PartitionState::WaitingForEntropy)
    }

    /// With `once`, nothing that failed by itself is tried again.
    pub(super) fn once_or(&self, next: Next) -> Next {
        if self.once { Next::GiveUp } else { next }
    }

    /// Whether a worker that ended starts again. With `once`, one that is needed no more does not.
    pub(super) fn is_needed(&self, key: WorkerKey) -> bool {
        let is_open = |id: &PartitionId| self.partitions.get(id).is_some_and(|p| !p.finished);
        let members = self.workers.get(&key).map(|worker| &worker.members);
        !self.once || members.is_some_and(|members| members.iter().any(is_open))
    }

    /// What follows the forced end of a worker.
    pub(super) fn restart_or_give_up(&self, key: WorkerKey) -> Next {
        if self.is_needed(key) {
            Next::RestartWorker
        } else {
            Next::GiveUp
        }
    }

    /// With `once`: leaves a partition alone from now on.
    pub(super) fn finish(&mut self, id: PartitionId) {
        let Some(partition) = self.partitions.get_mut(&id).filter(|_| self.once) else {
            return;
        };
        if !std::mem::replace(&mut partition.finished, true) {
            self.unfinished -= 1;
            self.timers.set(Timer::Late(id), None);
        }
    }

    /// With `once`: gives a partition up that is not to blame on its token.
    pub(super) fn give_up(&mut self, id: PartitionId, why: &str) {
        if let Some(partition) = self.partitions.get_mut(&id).filter(|p| !p.finished)
            && self.once
        {
            partition.failures += 1;
            partition.last_error = Some(why.into());
            self.finish(id);
        }
    }

    /// With `once`: gives all partitions of a worker up.
    pub(super) fn give_up_members(&mut self, key: WorkerKey, why: &str) {
        if let Some(worker) = self.workers.get(&key).filter(|_| self.once) {
            for id in worker.members.clone() {
                self.give_up(id, why);
            }
        }
    }
}
