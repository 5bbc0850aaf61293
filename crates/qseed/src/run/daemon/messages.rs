//! What sources and workers say, turned into events for the engine.

use qseed_config::{Module, Output};
use qseed_engine::{CallEvent, Event, JobId, PartitionId, PartitionState, TokenFailure, WorkerId};
use qseed_tokens::supervisor::WorkerEvent;
use qseed_tokens::wire::FromWorker;

use super::Daemon;
use crate::advice::token_failure;
use crate::run::FromWorkers;
use crate::run::secret_files::Owner;
use crate::say::shell;

impl Daemon {
    pub(super) fn worker_event(&mut self, (life, event): FromWorkers) {
        let worker = WorkerId(life.into());
        match event {
            WorkerEvent::Message(message) => self.worker_message(worker, message),
            WorkerEvent::Output { stream, line } => {
                let (name, _) = self.module_of(worker);
                self.reports
                    .write(shell::module_wrote(&name, stream, &line));
            }
            WorkerEvent::OutputWithheld { lines, .. } => {
                let (name, output) = self.module_of(worker);
                self.reports.module_wrote_more(&name, output, lines);
            }
            WorkerEvent::Misbehaves(how) => {
                let text = how.to_string();
                self.handle(Event::WorkerMisbehaves { worker, text });
            }
            WorkerEvent::Exited(status) => {
                self.workers.ended(worker);
                let text = format!("its worker process ended ({status})");
                self.handle(Event::WorkerExited { worker, text });
            }
        }
    }

    /// A module's name for the log, its file's, and what the log has of its output.
    fn module_of(&self, worker: WorkerId) -> (String, Output) {
        let view = self.engine.workers().find(|view| view.worker == worker);
        let module = view.and_then(|view| self.plan.modules.get(&view.module));
        let name = |module: &Module| {
            let name = module.path.file_name().unwrap_or(module.path.as_os_str());
            name.to_string_lossy().into_owned()
        };
        module.map_or(("a module".to_owned(), Output::Count), |module| {
            (name(module), module.output)
        })
    }

    fn worker_message(&mut self, worker: WorkerId, message: FromWorker) {
        let call = |partition, event| Event::Call {
            worker,
            partition: PartitionId(partition),
            event,
        };
        match message {
            FromWorker::Ready { missing, .. } => {
                if !missing.is_empty() {
                    let (name, _) = self.module_of(worker);
                    self.reports.less_confined(&name, &missing);
                }
                self.handle(Event::WorkerReady(worker));
            }
            FromWorker::InitFailed(failure) => {
                let text = failure.to_string();
                self.handle(Event::WorkerFailed { worker, text });
            }
            FromWorker::Opened { partition, token } => {
                let event = call(partition, CallEvent::Opened(Ok(())));
                if self.engine.expects(&event) {
                    self.reports.set_token(PartitionId(partition), token);
                }
                self.handle(event);
            }
            FromWorker::OpenFailed { partition, failure } => {
                let failure = self.token_failure(PartitionId(partition), &failure);
                self.handle(call(partition, CallEvent::Opened(Err(failure))));
            }
            FromWorker::Seeded { partition, job, .. } => {
                let (job, result) = (JobId(job), Ok(()));
                self.handle(call(partition, CallEvent::Seeded { job, result }));
            }
            FromWorker::SeedFailed {
                partition,
                job,
                failure,
                ..
            } => {
                let result = Err(self.token_failure(PartitionId(partition), &failure));
                let job = JobId(job);
                self.handle(call(partition, CallEvent::Seeded { job, result }));
            }
            FromWorker::Progress {
                partition: Some(partition),
            } => self.handle(call(partition, CallEvent::Progress)),
            FromWorker::Waits { partition } => self.handle(call(partition, CallEvent::Waits)),
            FromWorker::PinAsk {
                partition,
                ask,
                tags,
                count_low,
            } => {
                let event = call(partition, CallEvent::PinAsked { ask, tags });
                if self.engine.expects(&event) {
                    let partition = PartitionId(partition);
                    self.secret_was_read(Owner::Partition(partition));
                    if count_low {
                        self.warn_of_low_pin_count(partition);
                    }
                }
                self.handle(event);
            }
            FromWorker::PinOutcome {
                partition,
                answer,
                ckr,
                ..
            } => {
                let text = ckr.map(|ckr| format!("C_Login: {ckr}"));
                self.handle(call(partition, CallEvent::PinAnswered { answer, text }));
            }
            FromWorker::Closed { .. } => {}
            // The daemon lists no slots.
            FromWorker::Progress { partition: None }
            | FromWorker::Slot { .. }
            | FromWorker::Listed { .. } => {
                let text = "its worker process lists slots that qseed did not ask for".to_owned();
                self.handle(Event::WorkerMisbehaves { worker, text });
            }
        }
    }

    /// Warns that somebody entered a wrong PIN, unless it was qseed, which has logged that.
    fn warn_of_low_pin_count(&mut self, id: PartitionId) {
        let Some(view) = self.engine.partition(id) else {
            return;
        };
        let known = matches!(
            view.state,
            PartitionState::PinRefused | PartitionState::PinGuarded
        );
        if !known && !self.engine.is_pin_held(id) {
            self.reports.write(shell::pin_count_low(&view.name));
        }
    }

    fn token_failure(
        &self,
        id: PartitionId,
        failure: &qseed_tokens::failure::TokenFailure,
    ) -> TokenFailure {
        let partition = self.plan.partitions.get(&id);
        token_failure(failure, partition, self.reports.token(id))
    }
}
