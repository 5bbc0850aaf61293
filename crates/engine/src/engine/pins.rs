//! PINs: the engine puts wishes in order, the guard's file judges and records, the worker is told.

use qseed_model::pins::{DeviceTag, HeldBack, PinAnswer, PinTag, PinTags};

use super::Engine;
use crate::action::Action;
use crate::guard::{Judged, Wish};
use crate::ids::{PartitionId, WorkerId};
use crate::worker::{Ending, WorkerState};

impl Engine {
    pub(super) fn pin_asked(
        &mut self,
        worker: WorkerId,
        partition: PartitionId,
        ask: u64,
        tags: PinTags,
    ) {
        // A worker that was killed meanwhile, or whose call is none of ours, gets no answer: nobody
        // would ever say how the presentation went.
        if !self.may_present(worker) || !self.set_call_deadline(worker, partition, false) {
            return;
        }
        self.wish(Wish {
            worker,
            partition,
            ask,
            tags,
        });
    }

    /// Whether a worker still listens to verdicts.
    fn may_present(&mut self, life: WorkerId) -> bool {
        self.current(life).is_some_and(|(_, worker)| {
            let asked = Ending::Asked;
            worker.is_up()
                || matches!(worker.state, WorkerState::Ending { step, .. } if step == asked)
        })
    }

    fn wish(&mut self, wish: Wish) {
        if self.pins.wish(wish) {
            self.act(Action::PresentPin {
                partition: wish.partition,
                tags: wish.tags,
            });
        }
    }

    fn wish_all(&mut self, wishes: Vec<Wish>) {
        for wish in wishes {
            self.wish(wish);
        }
    }

    fn record(
        &mut self,
        tag: PinTag,
        partition: PartitionId,
        answer: PinAnswer,
        text: Option<String>,
    ) {
        self.act(Action::RecordPin {
            tag,
            partition,
            answer,
            text,
        });
    }

    fn tell(&mut self, wish: Wish, held_back: Option<HeldBack>) {
        self.set_call_deadline(wish.worker, wish.partition, true);
        self.act(Action::Verdict {
            worker: wish.worker,
            partition: wish.partition,
            ask: wish.ask,
            held_back,
        });
    }

    pub(super) fn pin_judged(&mut self, tag: PinTag, held_back: Option<HeldBack>) {
        let (judged, waited) = self.pins.judged(tag, held_back);
        match judged {
            Judged::Present(wish) | Judged::Hold(wish) => self.tell(wish, held_back),
            Judged::TakeBack(partition) => self.record(tag, partition, PinAnswer::NotJudged, None),
            Judged::Nothing => {}
        }
        self.wish_all(waited);
    }

    pub(super) fn pin_answered(
        &mut self,
        life: WorkerId,
        id: PartitionId,
        answer: PinAnswer,
        text: Option<String>,
    ) {
        if answer == PinAnswer::NotJudged {
            // The worker may have given up before it was told.
            self.pins.gave_up(life, id);
        }
        let Some((wish, waited)) = self.pins.answered(life, id, answer) else {
            return;
        };
        self.record(wish.tags.tag, id, answer, text);
        if answer == PinAnswer::Accepted {
            self.look_at_those_held(Some(wish.tags.device));
        }
        self.wish_all(waited);
    }

    /// The operation of a partition ended. If it was told to present a PIN and did not say how
    /// that went, nobody knows.
    pub(super) fn pin_unanswered(&mut self, life: WorkerId, id: PartitionId) {
        self.pins.gave_up(life, id);
        self.pin_answered(life, id, PinAnswer::Unclear, None);
    }

    /// A token refused a partition's PIN in another call than the login, as it does with one that
    /// has expired.
    pub(super) fn pin_revoked(&mut self, id: PartitionId) {
        if let Some(tag) = self.pins.revoked(id) {
            self.record(tag, id, PinAnswer::Refused, None);
        }
    }

    /// Lets those take their turn who waited for another partition of their worker or device.
    pub(super) fn pins_next_in_line(&mut self) {
        let next = self.pins.next_in_line();
        self.wish_all(next);
    }

    /// A worker is gone: nobody knows what became of what it presented.
    pub(super) fn pins_of_dead_worker(&mut self, life: WorkerId) {
        let (lost, waited) = self.pins.worker_died(life);
        for (tag, partition) in lost {
            self.record(tag, partition, PinAnswer::Unclear, None);
        }
        self.wish_all(waited);
    }

    /// Something changed about PINs that are held back: at one device, or at all.
    pub(super) fn look_at_those_held(&mut self, device: Option<DeviceTag>) {
        for id in self.pins.release_at(device) {
            self.look_at_once(id);
        }
    }
}
