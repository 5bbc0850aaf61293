//! What sources and workers say, turned into events for the engine.

use jiff::Timestamp;
use qseed_config::{Budget, Module, Output};
use qseed_engine::{
    Event, FetchFault, JobId, PartitionId, Returned, SourceId, TokenFailure, TokenFault, WorkerId,
};
use qseed_tokens::failure::FailureClass;
use qseed_tokens::supervisor::WorkerEvent;
use qseed_tokens::wire::FromWorker;
use tokio::sync::oneshot;

use super::Daemon;
use crate::log::printable;
use crate::run::FromWorkers;
use crate::run::sources::{SourceEvent, SourceSaid, engine_limits};
use crate::say::shell;

impl Daemon {
    pub(super) fn source_says(&mut self, event: SourceEvent) {
        let SourceEvent {
            source,
            revision,
            what,
        } = event;
        if !self.sources.runs(source, revision) {
            return;
        }
        match what {
            SourceSaid::Delivered {
                request,
                entropy,
                sent,
                link,
            } => {
                self.reports.link(source, link, &self.plan);
                self.count_delivery(source, entropy.len() as u64);
                self.handle(Event::Fetched {
                    source,
                    request,
                    entropy,
                    sent,
                });
            }
            SourceSaid::Failed {
                request,
                failure,
                link,
            } => {
                self.reports.link(source, link, &self.plan);
                self.count_failure(source, failure.kind);
                self.handle(Event::FetchFailed {
                    source,
                    request,
                    failure,
                });
            }
            SourceSaid::OlderApi => {
                if let Some(planned) = self.plan.sources.get(&source) {
                    self.reports.write(shell::older_api(&planned.config.name));
                }
            }
            SourceSaid::Limits(limits) => {
                self.handle(Event::LimitsLearnt {
                    source,
                    limits: engine_limits(&limits),
                });
            }
        }
    }

    /// Writes down that bytes are about to be asked for, where their source has a budget. Returns
    /// what the request has to wait for.
    pub(super) fn count_ask(
        &mut self,
        id: SourceId,
        bytes: usize,
    ) -> Option<oneshot::Receiver<()>> {
        let (name, budget) = self.budget_of(id)?;
        let now = Timestamp::now();
        self.budgets.ask(&name, budget.resets_on, now, bytes as u64);
        Some(self.keeper.write_budgets(self.budgets.text()))
    }

    /// Counts a request that brought nothing to use towards its source's budget.
    fn count_failure(&mut self, id: SourceId, fault: FetchFault) {
        let Some((name, _)) = self.budget_of(id) else {
            return;
        };
        let bytes = match fault {
            // What was no entropy was downloaded all the same.
            FetchFault::Invalid(_) => self.budgets.asked(&name),
            FetchFault::Transient | FetchFault::Refused | FetchFault::Limits => 0,
        };
        self.count_delivery(id, bytes);
    }

    fn budget_of(&self, id: SourceId) -> Option<(String, Budget)> {
        let source = &self.plan.sources.get(&id)?.config;
        Some((source.name.clone(), source.budget?))
    }

    /// Counts a delivery towards its source's budget, before anything else becomes of it.
    fn count_delivery(&mut self, id: SourceId, bytes: u64) {
        let Some((name, budget)) = self.budget_of(id) else {
            return;
        };
        let now = Timestamp::now();
        let spent = self.budgets.count(&name, budget.resets_on, now, bytes);
        // Nothing waits for it.
        drop(self.keeper.write_budgets(self.budgets.text()));
        let limit = Some(budget.bytes);
        self.handle(Event::Budget {
            source: id,
            spent,
            limit,
        });
    }

    pub(super) fn worker_says(&mut self, (life, event): FromWorkers) {
        let worker = WorkerId(life.into());
        match event {
            WorkerEvent::Message(message) => self.worker_tells(worker, message),
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

    fn worker_tells(&mut self, worker: WorkerId, message: FromWorker) {
        match message {
            FromWorker::Ready(_) => self.handle(Event::WorkerReady(worker)),
            FromWorker::InitFailed(failure) => {
                let text = failure.to_string();
                self.handle(Event::WorkerFailed { worker, text });
            }
            FromWorker::Opened { partition, token } => {
                let partition = PartitionId(partition);
                let event = Event::Opened { worker, partition };
                if self.engine.expects(&event) {
                    self.reports.set_token(partition, token);
                }
                self.handle(event);
            }
            FromWorker::OpenFailed { partition, failure } => {
                let partition = PartitionId(partition);
                let event = Event::OpenFailed {
                    worker,
                    partition,
                    failure: self.token_failure(partition, &failure),
                };
                self.handle_failure(partition, event);
            }
            FromWorker::Seeded { partition, job, .. } => {
                self.handle(Event::Seeded {
                    worker,
                    partition: PartitionId(partition),
                    job: JobId(job),
                });
            }
            FromWorker::SeedFailed {
                partition,
                job,
                failure,
                ..
            } => {
                let partition = PartitionId(partition);
                let event = Event::SeedFailed {
                    worker,
                    partition,
                    job: JobId(job),
                    failure: self.token_failure(partition, &failure),
                };
                self.handle_failure(partition, event);
            }
            FromWorker::Progress {
                partition: Some(partition),
            } => {
                let partition = PartitionId(partition);
                self.handle(Event::Progress { worker, partition });
            }
            FromWorker::Waits { partition } => {
                let partition = PartitionId(partition);
                self.handle(Event::Waits { worker, partition });
            }
            FromWorker::PinAsk { .. } | FromWorker::PinOutcome { .. } => {
                self.worker_tells_of_pin(worker, &message);
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

    fn handle_failure(&mut self, id: PartitionId, event: Event) {
        if self.engine.expects(&event) {
            self.held_back.remove(&id);
        }
        self.handle(event);
    }

    fn token_failure(
        &self,
        id: PartitionId,
        failure: &qseed_tokens::failure::TokenFailure,
    ) -> TokenFailure {
        let held_back = self.held_back.get(&id);
        let (fault, text) = match (failure.class, held_back) {
            (FailureClass::PinHeld, Some(reason)) => super::pins::held_back(*reason),
            // It is the vendor's decision, so the vendor is named.
            (FailureClass::Permanent, _) => {
                let vendor = self.reports.token(id).map_or(String::new(), |token| {
                    let made = format!("{} {}", token.manufacturer, token.model);
                    format!(", as {} has it", printable(made.trim()))
                });
                (TokenFault::SeedingRefused, format!("{failure}{vendor}"))
            }
            (class, _) => (token_fault(class), failure.to_string()),
        };
        let returned = failure.function.zip(failure.ckr);
        TokenFailure {
            fault,
            text,
            returned: returned.map(|(function, ckr)| Returned {
                function: function.name(),
                value: ckr.0,
            }),
        }
    }
}

/// What a failure asks of the schedule.
fn token_fault(class: FailureClass) -> TokenFault {
    match class {
        FailureClass::Permanent => TokenFault::SeedingRefused,
        FailureClass::PinRefused => TokenFault::PinRefused,
        FailureClass::PinHeld => TokenFault::PinHeld,
        FailureClass::PinGuarded => TokenFault::PinFlagged,
        FailureClass::PinUnavailable | FailureClass::GuardKeyMissing => TokenFault::PinUnavailable,
        FailureClass::ReloadModule => TokenFault::Module,
        FailureClass::General => TokenFault::General,
        FailureClass::TokenMissing | FailureClass::NotInitialised => TokenFault::Missing,
        FailureClass::AnotherToken => TokenFault::AnotherToken,
        FailureClass::AmbiguousUri => TokenFault::Mismatch,
        FailureClass::AnotherLogin => TokenFault::AnotherLogin,
        FailureClass::Length => TokenFault::Length,
        FailureClass::Device
        | FailureClass::SessionLost
        | FailureClass::SessionsFull
        | FailureClass::NotLoggedIn
        | FailureClass::NotOpen
        | FailureClass::Other => TokenFault::Device,
    }
}
