//! `--once`: each partition is seeded once or given up, and then left alone.

use super::Fleet;
use crate::action::Next;
use crate::context::Context;
use crate::ids::{PartitionId, WorkerKey};
use crate::timers::Timer;
use crate::view::PartitionState;

/// A worker that ends while it makes no call is started this often.
pub(super) const STARTS: u64 = 3;

impl Fleet {
    /// Whether each partition was seeded or given up, or waits for entropy that no source delivers.
    pub(crate) fn is_finished(&self) -> bool {
        self.unfinished == self.count(PartitionState::WaitingForEntropy)
    }

    /// Whether a worker that ended starts again. With `once`, one that is needed no more does not.
    pub(super) fn is_needed(&self, context: &Context, key: WorkerKey) -> bool {
        let mut members = self.workers[&key].members.iter();
        !context.once || members.any(|id| !self.partitions[id].finished)
    }

    /// What follows the forced end of a worker.
    pub(super) fn restart_or_give_up(&self, context: &Context, key: WorkerKey) -> Next {
        if self.is_needed(context, key) {
            Next::RestartWorker
        } else {
            Next::GiveUp
        }
    }

    /// With `once`: leaves a partition alone from now on.
    pub(super) fn finish(&mut self, context: &mut Context, id: PartitionId) {
        if let Some(partition) = self.partitions.get_mut(&id).filter(|_| context.once)
            && !std::mem::replace(&mut partition.finished, true)
        {
            self.unfinished -= 1;
            context.timers.set(Timer::Late(id), None);
        }
    }

    /// With `once`: gives up a partition whose token is not to blame.
    pub(super) fn give_up(&mut self, context: &mut Context, id: PartitionId, why: &str) {
        if let Some(partition) = self.partitions.get_mut(&id).filter(|_| context.once)
            && !partition.finished
        {
            partition.last_error = Some(why.into());
            self.finish(context, id);
        }
    }

    /// With `once`: gives up all partitions of a worker.
    pub(super) fn give_up_members(&mut self, context: &mut Context, key: WorkerKey, why: &str) {
        if context.once {
            for id in self.workers[&key].members.clone() {
                self.give_up(context, id, why);
            }
        }
    }
}
