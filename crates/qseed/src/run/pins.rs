//! The PIN guard's decisions, written down and passed on.

use qseed_config::Level;
use qseed_engine::guard::{HeldBack, PinAnswer, Standing};
use qseed_engine::{Event, PartitionId, PinTag, WorkerId};
use qseed_tokens::wire::{FromWorker, ToWorker, Verdict};

use super::daemon::Daemon;
use super::keeper::ToRecord;
use crate::log::Entry;
use crate::pin_outcome;

impl Daemon {
    pub(super) fn worker_tells_of_pin(&mut self, worker: WorkerId, message: &FromWorker) {
        let partition = PartitionId;
        match *message {
            FromWorker::PinAsk {
                partition: id,
                ask,
                tag,
                flags,
            } => {
                self.say_count_low(partition(id), flags);
                let tag = PinTag(tag.0);
                self.handle(Event::PinAsked {
                    worker,
                    partition: partition(id),
                    ask,
                    tag,
                });
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
        if let Some(process) = self.workers.get(&worker) {
            let verdict = if go { Verdict::Go } else { Verdict::Hold };
            process.send(ToWorker::Verdict {
                partition: partition.0,
                ask,
                verdict,
            });
        }
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

    pub(super) fn say_guard_file(&mut self, state: Result<(), String>) {
        let folder = self.plan.config.state_dir.display().to_string();
        self.log.write(match state {
            Ok(()) => Entry::info("guard-file", "The PIN guard can write again."),
            Err(why) => {
                let message = format!(
                    "The PIN guard cannot write: {why}. Until it can, no PIN is presented that is \
                     not known to be right. Make {folder} writable for qseed."
                );
                Entry::new(Level::Error, "guard-file", message)
            }
        });
    }
}

pub(super) fn held_back_text(reason: HeldBack) -> &'static str {
    match reason {
        HeldBack::Refused => "the token refused this very PIN before",
        HeldBack::OutcomeUnknown => {
            "this very PIN was presented before, its outcome was never learnt, and it may have been \
             refused"
        }
        HeldBack::NotRecorded => {
            "that the PIN is presented could not be written to the state directory"
        }
    }
}
