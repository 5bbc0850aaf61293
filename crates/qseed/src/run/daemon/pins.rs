//! The PIN guard's decisions, written down and passed on.

use qseed_engine::guard::{HeldBack, PinAnswer, Standing};
use qseed_engine::{DeviceTag, Event, PartitionId, PartitionState, PinTag, TokenFault, WorkerId};
use qseed_tokens::wire::{FromWorker, ToWorker, Verdict};

use super::Daemon;
use crate::pin_outcome;
use crate::run::keeper::ToRecord;
use crate::say::shell;

impl Daemon {
    pub(super) fn worker_tells_of_pin(&mut self, worker: WorkerId, message: &FromWorker) {
        let partition = PartitionId;
        match *message {
            FromWorker::PinAsk {
                partition: id,
                ask,
                tag,
                device,
                flags,
            } => {
                let tag = PinTag(tag.0);
                let event = Event::PinAsked {
                    worker,
                    partition: partition(id),
                    ask,
                    tag,
                    device: DeviceTag(device.device.0),
                };
                if self.engine.expects(&event) {
                    let state = self.engine.partition(partition(id)).map(|view| view.state);
                    // qseed entered it itself, and the log has it.
                    let is_own = matches!(
                        state,
                        Some(PartitionState::PinRefused | PartitionState::PinGuarded)
                    );
                    if flags.count_low
                        && !is_own
                        && let Some(planned) = self.plan.partitions.get(&partition(id))
                    {
                        self.reports
                            .write(shell::pin_count_low(&planned.config.name));
                    }
                    self.devices.insert(tag, device.into());
                }
                self.handle(event);
            }
            FromWorker::PinOutcome {
                partition: id,
                outcome,
                ..
            } => {
                self.token_said = pin_outcome::for_people(outcome);
                let answer = pin_outcome::answer(outcome);
                self.handle(Event::PinAnswered {
                    worker,
                    partition: partition(id),
                    answer,
                });
                self.carry_out();
                self.token_said = None;
            }
            _ => {}
        }
    }

    pub(super) fn record_pin(
        &mut self,
        tag: PinTag,
        partition: PartitionId,
        standing: Option<Standing>,
        answer: bool,
    ) {
        let name = self
            .plan
            .partitions
            .get(&partition)
            .map(|planned| planned.config.name.clone());
        self.keeper.record(ToRecord {
            tag,
            partition: name.unwrap_or_default(),
            standing,
            answer,
            token_said: self.token_said.clone(),
            device: self.devices.get(&tag).copied(),
        });
    }

    pub(super) fn give_verdict(
        &mut self,
        worker: WorkerId,
        partition: PartitionId,
        ask: u64,
        held_back: Option<HeldBack>,
    ) {
        let go = held_back.is_none() && !self.stopping;
        if let Some(reason) = held_back {
            self.held_back.insert(partition, reason);
        }
        let message = ToWorker::Verdict {
            partition: partition.0,
            ask,
            verdict: if go { Verdict::Go } else { Verdict::Hold },
        };
        self.workers.send(worker, message);
        if held_back.is_none() && !go {
            // Written down as presented, and then it was not: what was known before holds.
            let answer = PinAnswer::NotJudged;
            self.handle(Event::PinAnswered {
                worker,
                partition,
                answer,
            });
        }
    }
}

/// What a PIN that was held back asks of the schedule, and why it was, for people.
pub(super) fn held_back(reason: HeldBack) -> (TokenFault, String) {
    let (fault, text) = match reason {
        HeldBack::Refused => (
            TokenFault::PinHeld,
            "the token refused this very PIN before",
        ),
        HeldBack::OutcomeUnknown => (
            TokenFault::PinHeld,
            "this very PIN was presented before, its outcome was never learnt, and it may have been \
             refused",
        ),
        // Nothing is wrong with the PIN: it is tried again soon, since nobody says when the disk
        // can be written to.
        HeldBack::NotRecorded => (
            TokenFault::PinUnavailable,
            "that the PIN is presented could not be written to the state directory",
        ),
        // Nor here, as far as anybody knows.
        HeldBack::DeviceInDoubt => (
            TokenFault::PinUnavailable,
            "the device has refused the PIN of another partition, it may count wrong PINs of all its \
             tokens together, and this one was never accepted: mend the other one (`qseed guard` \
             lists it) or, where that is done, run qseed guard --clear for it",
        ),
    };
    (fault, text.to_owned())
}
