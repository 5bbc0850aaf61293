//! Verdicts over PINs: the guard judges, the disk is written, the worker is told.

use super::Engine;
use crate::action::Action;
use crate::guard::{HeldBack, Judgement, PinAnswer, Recorded, Recording, Standing, Wish};
use crate::ids::{DeviceTag, PartitionId, PinTag, WorkerId};
use crate::partition::Partition;
use crate::worker::{Ending, WorkerState};

impl Engine {
    pub(super) fn pin_asked(
        &mut self,
        worker: WorkerId,
        partition: PartitionId,
        ask: u64,
        tag: PinTag,
        device: DeviceTag,
    ) {
        // A worker that was killed meanwhile, or whose call is none of ours, gets no answer: nobody
        // would ever tell how the presentation went.
        if !self.may_present(worker) || !self.set_call_deadline(worker, partition, false) {
            return;
        }
        let wish = Wish {
            worker,
            partition,
            ask,
            device,
        };
        self.judge(tag, wish);
    }

    /// Whether a worker still listens to verdicts.
    fn may_present(&mut self, life: WorkerId) -> bool {
        self.current(life).is_some_and(|(_, worker)| {
            let asked = Ending::Asked;
            worker.is_up()
                || matches!(worker.state, WorkerState::Ending { step, .. } if step == asked)
        })
    }

    fn judge(&mut self, tag: PinTag, wish: Wish) {
        match self.guard.wish(tag, wish) {
            Judgement::Record(standing) => {
                self.record(tag, wish.partition, Some(standing), true);
            }
            Judgement::Hold(reason) => self.hold(tag, wish, reason),
            Judgement::Wait => {}
        }
    }

    fn record(
        &mut self,
        tag: PinTag,
        partition: PartitionId,
        standing: Option<Standing>,
        answer: bool,
    ) {
        self.act(Action::RecordPin {
            tag,
            partition,
            standing,
            answer,
        });
    }

    fn hold(&mut self, tag: PinTag, wish: Wish, reason: HeldBack) {
        if let Some(partition) = self.partitions.get_mut(&wish.partition) {
            partition.held_tag = Some(tag);
            partition.held_device = (reason == HeldBack::DeviceInDoubt).then_some(wish.device);
        }
        self.tell(wish, Some(reason));
    }

    fn tell(&mut self, wish: Wish, held_back: Option<HeldBack>) {
        let Wish {
            worker,
            partition,
            ask,
            device: _,
        } = wish;
        self.set_call_deadline(worker, partition, true);
        self.act(Action::Verdict {
            worker,
            partition,
            ask,
            held_back,
        });
    }

    pub(super) fn pin_recorded(&mut self, tag: PinTag, recording: Recording) {
        match self.guard.recorded(tag, recording) {
            Recorded::Present(wish) => self.tell(wish, None),
            Recorded::Hold(wish, reason, again) => {
                self.hold(tag, wish, reason);
                self.judge_again(tag, again);
            }
            Recorded::Withdrawn(partition, standing) => {
                self.record(tag, partition, standing, false);
            }
            Recorded::Nothing => {}
        }
    }

    pub(super) fn pin_answered(&mut self, life: WorkerId, id: PartitionId, answer: PinAnswer) {
        if answer == PinAnswer::NotJudged {
            // It may have been given up before the word was given: then none is.
            self.guard.gave_up(life, id);
        }
        let Some(tag) = self.guard.presented_by(life, id) else {
            return;
        };
        let device = self.guard.device_of(tag);
        let (standing, again) = self.guard.answered(tag, answer);
        self.record(tag, id, standing, false);
        if answer == PinAnswer::Accepted {
            self.look_at_those_in_doubt(|held| Some(held) == device);
        }
        if let Some(partition) = self.partitions.get_mut(&id) {
            partition.held_tag = match answer {
                PinAnswer::Accepted | PinAnswer::NotJudged => None,
                PinAnswer::Refused | PinAnswer::Unclear => Some(tag),
            };
        }
        self.judge_again(tag, again);
    }

    /// The operation of a partition ended. If it was told to present a PIN and did not say how
    /// that went, nobody knows.
    pub(super) fn pin_unanswered(&mut self, life: WorkerId, id: PartitionId) {
        self.guard.gave_up(life, id);
        self.pin_answered(life, id, PinAnswer::Unclear);
    }

    fn judge_again(&mut self, tag: PinTag, wishes: Vec<Wish>) {
        for wish in wishes {
            self.judge(tag, wish);
        }
    }

    /// Lets those take their turn who waited for another partition of their worker.
    pub(super) fn judge_next_in_line(&mut self) {
        for (tag, wish) in self.guard.next_in_line() {
            self.judge(tag, wish);
        }
    }

    /// A worker is gone: what it presented is unknown, and others take their turn.
    pub(super) fn pins_of_dead_worker(&mut self, life: WorkerId) {
        for (tag, wish) in self.guard.worker_died(life) {
            self.judge(tag, wish);
        }
    }

    pub(super) fn guard_changed(&mut self, tag: PinTag, standing: Option<Standing>) {
        self.guard.changed(tag, standing);
        if standing.is_some() {
            return;
        }
        self.look_at_those_held(|partition| partition.held_tag == Some(tag));
        // It may have been what put others' device in doubt.
        self.look_at_those_in_doubt(|_| true);
    }

    /// Something changed about a device that others' PINs are held back for.
    fn look_at_those_in_doubt(&mut self, of: impl Fn(DeviceTag) -> bool) {
        self.look_at_those_held(|partition| partition.held_device.is_some_and(&of));
    }

    fn look_at_those_held(&mut self, which: impl Fn(&Partition) -> bool) {
        let held: Vec<_> = self
            .partitions
            .iter()
            .filter(|(_, partition)| which(partition))
            .map(|(id, _)| *id)
            .collect();
        for id in held {
            if let Some(partition) = self.partitions.get_mut(&id) {
                partition.held_tag = None;
                partition.held_device = None;
            }
            self.look_at_once(id);
        }
    }
}
