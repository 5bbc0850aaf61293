//! What sources and workers say, turned into events for the engine.

use std::sync::Arc;

use qseed_config::Level;
use qseed_engine::guard::{HeldBack, PinAnswer};
use qseed_engine::{Event, JobId, PartitionId, PinTag, TokenFailure, TokenFault, WorkerId};
use qseed_sources::Link;
use qseed_tokens::directory::TokenInfo;
use qseed_tokens::failure::FailureClass;
use qseed_tokens::supervisor::{Stream, WorkerEvent};
use qseed_tokens::wire::{FromWorker, PinFlags, PinOutcome};

use super::FromWorkers;
use super::daemon::Daemon;
use super::sources::{SourceEvent, SourceSaid, engine_limits};
use crate::log::{Entry, format_time, printable};

impl Daemon {
    pub(super) fn source_says(&mut self, event: SourceEvent) {
        let SourceEvent { source, revision, what } = event;
        if self.sources.get(&source).is_none_or(|task| task.revision != revision) {
            return;
        }
        match what {
            SourceSaid::Delivered { request, entropy, sent, link } => {
                self.say_link(source, link);
                self.handle(Event::Fetched { source, request, entropy, sent });
            }
            SourceSaid::Failed { request, failure, link } => {
                self.say_link(source, link);
                self.handle(Event::FetchFailed { source, request, failure });
            }
            SourceSaid::Limits(limits) => {
                self.handle(Event::LimitsLearnt { source, limits: engine_limits(&limits) });
            }
        }
    }

    /// Says how a source is reached, when that changes.
    fn say_link(&mut self, source: qseed_engine::SourceId, link: Option<Arc<Link>>) {
        let Some(link) = link else { return };
        let now = (link.version.to_owned(), link.group.clone());
        if self.links.insert(source, now.clone()).as_ref() == Some(&now) {
            return;
        }
        let Some(planned) = self.plan.sources.get(&source) else { return };
        let name = &planned.config.name;
        let expires = link.certificate_expires.map(format_time);
        let until =
            expires.as_ref().map_or(String::new(), |at| format!(", certificate valid until {at}"));
        let message = format!("{name}: connected with {}, {}{until}.", link.version, link.group);
        self.log.write(
            Entry::info("connected", message)
                .with("source", name.as_str())
                .with("tls_version", link.version)
                .with("tls_group", link.group.as_str())
                .with("certificate_expires", expires),
        );
    }

    pub(super) fn worker_says(&mut self, (life, _, event): FromWorkers) {
        let worker = WorkerId(life.into());
        match event {
            WorkerEvent::Message(message) => self.worker_tells(worker, message),
            WorkerEvent::Output { stream, line } => {
                let message = format!("{}: {line}", self.module_of(worker));
                let stream = match stream {
                    Stream::Output => "stdout",
                    Stream::Error => "stderr",
                };
                self.log.write(Entry::info("module-output", message).with("stream", stream));
            }
            WorkerEvent::OutputWithheld { lines, .. } => {
                let message = format!(
                    "{}: wrote {lines} more lines to its output, which are left out.",
                    self.module_of(worker)
                );
                self.log.write(Entry::info("module-output", message).with("count", lines));
            }
            WorkerEvent::ProtocolError(error) => {
                let text = format!("its worker process does not speak the protocol: {error}");
                self.handle(Event::WorkerFailed { worker, text });
                self.end_worker(worker, true);
            }
            WorkerEvent::Exited(status) => {
                self.workers.remove(&worker);
                let text = format!("its worker process ended ({status})");
                self.handle(Event::WorkerExited { worker, text });
            }
        }
    }

    fn worker_tells(&mut self, worker: WorkerId, message: FromWorker) {
        let partition = PartitionId;
        match message {
            FromWorker::Ready(_) => self.handle(Event::WorkerReady(worker)),
            FromWorker::InitFailed(failure) => {
                self.handle(Event::WorkerFailed { worker, text: failure.to_string() });
            }
            FromWorker::Opened { partition: id, token } => {
                self.say_opened(partition(id), &token);
                self.handle(Event::Opened { worker, partition: partition(id) });
            }
            FromWorker::OpenFailed { partition: id, failure } => {
                let failure = self.token_failure(partition(id), failure);
                self.handle(Event::OpenFailed { worker, partition: partition(id), failure });
            }
            FromWorker::PinAsk { partition: id, ask, tag, flags } => {
                self.say_count_low(partition(id), flags);
                let tag = PinTag(tag.0);
                self.handle(Event::PinAsked { worker, partition: partition(id), ask, tag });
            }
            FromWorker::PinOutcome { partition: id, outcome, .. } => {
                self.token_said = outcome_text(outcome);
                let answer = pin_answer(outcome);
                self.handle(Event::PinAnswered { worker, partition: partition(id), answer });
                self.carry_out();
                self.token_said = None;
            }
            FromWorker::Seeded { partition: id, job, .. } => {
                self.handle(Event::Seeded { worker, partition: partition(id), job: JobId(job) });
            }
            FromWorker::SeedFailed { partition: id, job, failure, .. } => {
                let failure = self.token_failure(partition(id), failure);
                let (partition, job) = (partition(id), JobId(job));
                self.handle(Event::SeedFailed { worker, partition, job, failure });
            }
            FromWorker::Progress { partition: Some(id) } => {
                self.handle(Event::Progress { worker, partition: partition(id) });
            }
            FromWorker::Waits { partition: id } => {
                self.handle(Event::Waits { worker, partition: partition(id) });
            }
            FromWorker::Progress { partition: None }
            | FromWorker::Closed { .. }
            | FromWorker::Slot { .. }
            | FromWorker::Listed { .. } => {}
        }
    }

    /// `SLOT #<slot id> (<slot description>): <token label>`, as the original says it.
    fn say_opened(&mut self, id: PartitionId, token: &TokenInfo) {
        let Some(planned) = self.plan.partitions.get(&id) else { return };
        let message = format!(
            "SLOT #{} ({}): {}",
            token.slot_id,
            printable(&token.slot_description),
            printable(&token.label)
        );
        let level = if self.plan.sums_up() { Level::Debug } else { Level::Info };
        self.log.write(
            Entry::new(level, "token-opened", message)
                .with("partition", planned.config.name.as_str())
                .with("slot", token.slot_id)
                .with("slot_description", token.slot_description.as_str())
                .with("label", token.label.as_str())
                .with("serial", token.serial.as_str())
                .with("model", token.model.as_str()),
        );
    }

    fn say_count_low(&mut self, id: PartitionId, flags: PinFlags) {
        let Some(planned) = self.plan.partitions.get(&id).filter(|_| flags.count_low) else {
            return;
        };
        let name = &planned.config.name;
        let message = format!(
            "{name}: the token says that a wrong PIN was entered since the last login. If it was \
             not you, find out who tries PINs on it."
        );
        let entry = Entry::new(Level::Warn, "pin-count-low", message);
        self.log.write(entry.with("partition", name.as_str()));
    }

    fn token_failure(
        &mut self,
        id: PartitionId,
        failure: qseed_tokens::failure::TokenFailure,
    ) -> TokenFailure {
        let held_back = self.held_back.remove(&id);
        let text = match (failure.class, held_back) {
            (FailureClass::PinHeld, Some(reason)) => held_back_text(reason).to_owned(),
            _ => failure.to_string(),
        };
        TokenFailure { fault: token_fault(failure.class), text }
    }

    /// A module's name for the log: the file's name says enough.
    pub(super) fn module_of(&self, worker: WorkerId) -> String {
        let view = self.engine.workers().find(|view| view.worker == worker);
        let module = view.and_then(|view| self.plan.modules.get(&view.module));
        module.map_or("a module".to_owned(), |module| {
            let name = module.path.file_name().unwrap_or(module.path.as_os_str());
            name.to_string_lossy().into_owned()
        })
    }
}

fn held_back_text(reason: HeldBack) -> &'static str {
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

fn pin_answer(outcome: PinOutcome) -> PinAnswer {
    match outcome {
        PinOutcome::Accepted => PinAnswer::Accepted,
        PinOutcome::Refused(_) => PinAnswer::Refused,
        PinOutcome::AlreadyLoggedIn | PinOutcome::NotJudged(_) => PinAnswer::NotJudged,
        PinOutcome::Unclear(_) => PinAnswer::Unclear,
    }
}

fn outcome_text(outcome: PinOutcome) -> Option<String> {
    match outcome {
        PinOutcome::Refused(ckr) | PinOutcome::NotJudged(ckr) | PinOutcome::Unclear(ckr) => {
            Some(format!("C_Login: {ckr}"))
        }
        PinOutcome::Accepted | PinOutcome::AlreadyLoggedIn => None,
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
        FailureClass::TokenMissing => TokenFault::Missing,
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
