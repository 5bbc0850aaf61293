//! What sources and workers say, turned into events for the engine.

use jiff::Timestamp;
use qseed_config::{Module, Output};
use qseed_engine::{Event, FetchFault, JobId, PartitionId, SourceId, TokenFailure, WorkerId};
use qseed_sources::Traffic;
use qseed_tokens::supervisor::WorkerEvent;
use qseed_tokens::wire::FromWorker;
use tokio::sync::oneshot;

use super::Daemon;
use crate::advice::token_failure;
use crate::run::FromWorkers;
use crate::run::sources::{SourceEvent, SourceReport};
use crate::run::usage::Question;
use crate::run::watch::Whose;
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
            SourceReport::Fetched {
                request,
                fetched,
                traffic: Traffic { sent, link },
            } => {
                self.secret_was_read(Whose::Source(source));
                self.reports.link(source, link, &self.plan);
                let downloaded = match &fetched {
                    Ok(entropy) => Some(entropy.len() as u64),
                    // What was no entropy was downloaded all the same.
                    Err(failure) => match failure.kind {
                        FetchFault::Invalid(_) => None,
                        _ => Some(0),
                    },
                };
                self.count_answer(source, downloaded, sent);
                self.handle(match fetched {
                    Ok(entropy) => Event::Fetched {
                        source,
                        request,
                        entropy,
                        sent,
                    },
                    Err(failure) => Event::FetchFailed {
                        source,
                        request,
                        failure,
                    },
                });
            }
            SourceReport::OlderApi => {
                if let Some(planned) = self.plan.sources.get(&source) {
                    self.reports.write(shell::older_api(&planned.config.name));
                }
            }
            SourceReport::Limits(limits) => {
                self.handle(Event::LimitsLearnt { source, limits });
            }
        }
    }

    /// Counts a request before it leaves. Where its source has a budget, it waits to hear whether
    /// that allows it.
    pub(super) fn count_question(
        &mut self,
        id: SourceId,
        bytes: usize,
        spare_attempt: bool,
    ) -> Option<oneshot::Receiver<bool>> {
        let source = &self.plan.sources.get(&id)?.config;
        if source.budget.is_none() && source.rate_limit.is_none() {
            return None;
        }
        let allowed = self.usage.ask(&Question {
            source: &source.name,
            budget: source.budget,
            rate_limit: source.rate_limit,
            now: Timestamp::now(),
            bytes: bytes as u64,
            requests: 1 + u32::from(spare_attempt),
        });
        self.state_files.write_usage();
        allowed
    }

    /// Counts what became of a request, before anything else does; `None`: it brought what it was
    /// to bring.
    fn count_answer(&mut self, id: SourceId, bytes: Option<u64>, sent: u32) {
        let Some(planned) = self.plan.sources.get(&id) else {
            return;
        };
        let now = Timestamp::now();
        self.usage.answered(&planned.config.name, now, bytes, sent);
        self.tell_budget(id);
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
        let partition = self.plan.partitions.get(&id);
        let held_back = self.held_back.get(&id).copied();
        token_failure(failure, partition, self.reports.token(id), held_back)
    }
}
