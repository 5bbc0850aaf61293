//! What the engine decided, carried out.

use std::sync::atomic::Ordering;

use qseed_engine::{
    Action, CallEvent, Event, Fact, Injection, ModuleId, Named, PartitionFact, PartitionId,
    WorkerId,
};
use qseed_entropy::Seed;
use qseed_model::pins::{HeldBack, PinAnswer};
use qseed_model::{Login, TokenChoice};
use qseed_sources::Ask;
use qseed_tokens::directory::TokenInfo;
use qseed_tokens::wire::ToWorker;

use super::Daemon;
use crate::module_worker::configured_spec;
use crate::random::random_bytes;

impl Daemon {
    /// Carries out everything that the engine decided; at the end, only what concerns PINs.
    pub(super) fn carry_out(&mut self) {
        loop {
            self.hand_out_facts();
            let Some(action) = self.engine.next_action() else {
                let now = self.now();
                if let Some(desk) = &mut self.ledger {
                    desk.hand_over(now);
                }
                return;
            };
            let of_pin = matches!(
                action,
                Action::PresentPin { .. } | Action::RecordPin { .. } | Action::Verdict { .. }
            );
            if !self.stopping || of_pin {
                self.act(action);
            }
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Fetch {
                source,
                request,
                shape,
                spare_attempt,
            } => {
                let counted = self.count_request(source, shape.bytes(), spare_attempt);
                let ask = Ask {
                    shape,
                    spare_attempt,
                };
                self.sources.fetch(source, request, ask, counted);
            }
            Action::RecordIntent {
                partition,
                injection,
            } => self.record_intent(partition, &injection),
            Action::PresentPin { partition, tags } => {
                let partition = self.plan.partitions.get(&partition);
                let name = partition.map(|partition| partition.name.clone());
                self.state_files.present(tags, name.unwrap_or_default());
            }
            Action::RecordPin {
                tag, answer, text, ..
            } => self.state_files.record(tag, answer, text),
            Action::Verdict {
                worker,
                partition,
                ask,
                held_back,
            } => self.give_verdict(worker, partition, ask, held_back),
            Action::StartWorker { worker, module } => self.start_worker(worker, module),
            Action::EndWorker { worker, kill: true } => self.workers.kill(worker),
            Action::EndWorker { worker, .. } => self.workers.send(worker, ToWorker::Shutdown),
            Action::Open { worker, partition } => self.open(worker, partition),
            Action::Close { worker, partition } => {
                let partition = partition.0;
                self.workers.send(worker, ToWorker::Close { partition });
            }
            Action::Seed {
                worker,
                partition,
                job,
                mut seed,
                made_of,
            } => {
                if made_of.mix_local {
                    seed.xor(Seed::new(random_bytes(seed.len())));
                }
                let (partition, job) = (partition.0, job.0);
                let seed = ToWorker::Seed {
                    partition,
                    job,
                    seed,
                };
                self.workers.send(worker, seed);
            }
        }
    }

    /// Hands out everything that happened; at the end of the daemon, nothing more is announced.
    pub(super) fn hand_out_facts(&mut self) {
        let now = self.now();
        if !self.stopping {
            self.reports.due(now, &self.plan);
        }
        while let Some(fact) = self.engine.next_fact() {
            if self.once
                && let Fact::Partition(partition, PartitionFact::Failed { failure, .. }) = &fact
            {
                self.failures.insert(partition.id, failure.clone());
            }
            let desk = self.ledger.as_mut();
            let waits = desk.is_some_and(|desk| desk.take(now, &fact, self.reports.tokens()));
            if !self.stopping && !waits {
                self.reports.take(now, &fact, &self.plan);
            }
        }
    }

    fn record_intent(&mut self, id: PartitionId, injection: &Injection) {
        let now = self.now();
        if let Some((desk, partition)) = self.ledger.as_mut().zip(self.plan.partitions.get(&id)) {
            let name = partition.name.as_str().into();
            let partition = Named { id, name };
            desk.intend(now, &partition, injection, self.reports.tokens());
        }
    }

    fn give_verdict(
        &mut self,
        worker: WorkerId,
        partition: PartitionId,
        ask: u64,
        held_back: Option<HeldBack>,
    ) {
        let is_recorded = held_back.is_none();
        // The worker ends in any case.
        let held_back = held_back.or(self.stopping.then_some(HeldBack::NotRecorded));
        let message = ToWorker::Verdict {
            partition: partition.0,
            ask,
            held_back,
        };
        self.workers.send(worker, message);
        if is_recorded && held_back.is_some() {
            // It was recorded as presented and then was not, so the record before holds.
            self.handle(Event::Call {
                worker,
                partition,
                event: CallEvent::PinAnswered {
                    answer: PinAnswer::NotJudged,
                    text: None,
                },
            });
        }
    }

    fn start_worker(&mut self, worker: WorkerId, module: ModuleId) {
        let Some(config) = self.plan.modules.get(&module) else {
            let text = "its module is not configured".to_owned();
            return self.handle(Event::WorkerExited { worker, text });
        };
        let source = &self.config_source;
        let variables = source.secret_variables();
        let mut spec = configured_spec(config, &self.plan.config, source.path(), variables);
        let mut partitions = self.plan.partitions.values();
        spec.guard_key_may_be_made = self.state_files.key_may_be_made.load(Ordering::Relaxed)
            && partitions.any(|it| it.module == config.path && it.login != Login::None);
        let pins = self.config_source.kept_pins(module);
        if let Err(text) = self.workers.start(worker, &spec, pins) {
            self.handle(Event::WorkerExited { worker, text });
        }
    }

    fn open(&mut self, worker: WorkerId, id: PartitionId) {
        let Some(mut open) = self.plan.open_message(id) else {
            return;
        };
        open.guard_key_may_be_made = self.state_files.key_may_be_made.load(Ordering::Relaxed);
        if matches!(open.token, TokenChoice::Slot(_)) {
            open.first = self.reports.token(id).map(TokenInfo::name);
        }
        self.workers.send(worker, ToWorker::Open(open));
    }
}
