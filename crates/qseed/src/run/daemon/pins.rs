//! The PIN guard's decisions, recorded and passed on.

use qseed_engine::{Event, PartitionId, PartitionState, WorkerId};
use qseed_model::pins::{HeldBack, PinAnswer, PinTags};
use qseed_tokens::wire::{FromWorker, ToWorker};

use super::Daemon;
use crate::run::watch::Whose;
use crate::say::shell;

impl Daemon {
    pub(super) fn worker_tells_of_pin(&mut self, worker: WorkerId, message: &FromWorker) {
        let partition = PartitionId;
        match *message {
            FromWorker::PinAsk {
                partition: id,
                ask,
                tags,
                count_low,
            } => {
                let event = Event::PinAsked {
                    worker,
                    partition: partition(id),
                    ask,
                    tags,
                };
                if self.engine.expects(&event) {
                    self.secret_was_read(Whose::Partition(partition(id)));
                    let state = self.engine.partition(partition(id)).map(|view| view.state);
                    // qseed entered it itself, and the log has it.
                    let is_own = matches!(
                        state,
                        Some(PartitionState::PinRefused | PartitionState::PinGuarded)
                    );
                    if count_low
                        && !is_own
                        && let Some(partition) = self.plan.partitions.get(&partition(id))
                    {
                        self.reports.write(shell::pin_count_low(&partition.name));
                    }
                }
                self.handle(event);
            }
            FromWorker::PinOutcome {
                partition: id,
                answer,
                ckr,
                ..
            } => {
                self.token_said = ckr.map(|ckr| format!("C_Login: {ckr}"));
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

    pub(super) fn present_pin(&mut self, tags: PinTags, partition: PartitionId) {
        let partition = self.plan.partitions.get(&partition);
        let name = partition.map(|partition| partition.name.clone());
        self.state_files.present(tags, name.unwrap_or_default());
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
            present: go,
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
