//! Checks a module and the partitions that are reached through it.

use std::sync::Arc;

use qseed_config as config;
use qseed_config::Login;
use qseed_engine::{ModuleId, PartitionId};
use qseed_tokens::directory::{SlotReport, TokenFlag};
use qseed_tokens::supervisor::WorkerSpec;
use qseed_tokens::wire::{FromWorker, Open, PinSource, ToWorker};

use super::login::{self, PinGuard};
use super::partitions::{Found, find};
use super::probe;
use super::verdict::{Subject, Verdict};
use crate::assemble::Plan;
use crate::module_worker::{Listing, ModuleFailure, ModuleWorker, list, worker_spec};
use crate::print::count;
use crate::run::ConfigSource;

/// Lines of a module's output that are shown.
const MAX_OUTPUT: usize = 5;
/// How often a module may hang or crash before the rest of its partitions is not tried.
const MAX_FAILURES: usize = 2;

/// What the checks of all modules share.
pub(super) struct Shared {
    pub(super) plan: Plan,
    pub(super) config_source: ConfigSource,
    /// Absent: nothing asks the PIN guard.
    pub(super) guard: Option<PinGuard>,
    pub(super) probe: bool,
}

impl Shared {
    fn worker_spec(&self, module: &config::Module) -> WorkerSpec {
        let variables = self.config_source.secret_variables();
        WorkerSpec {
            guard_key_may_be_made: self.guard.as_ref().is_some_and(PinGuard::key_may_be_made),
            ..worker_spec(module, variables, &self.plan.config.state_dir)
        }
    }

    fn partitions(
        &self,
        module: &config::Module,
    ) -> impl Iterator<Item = (PartitionId, &config::Partition)> {
        let all = self.plan.partitions.iter();
        all.filter(|(_, partition)| partition.module == module.path)
            .map(|(id, partition)| (*id, partition))
    }
}

/// Checks a module and its partitions. One call may take as long as the module's deadline.
pub(super) async fn check(
    shared: Arc<Shared>,
    id: ModuleId,
    module: config::Module,
) -> Vec<Verdict> {
    let subject = Subject::new("module", module.path.to_string_lossy());
    let mut listing = list(shared.worker_spec(&module), module.deadline).await;
    let mut output = std::mem::take(&mut listing.output);
    let mut verdicts = vec![match &listing.failure {
        Some(failure) => subject.fault_of(failure.code, "module", &failure.text, &failure.advice),
        None => loaded(&subject, &listing),
    }];
    let mut tokens = Tokens {
        shared: &shared,
        id,
        module: &module,
        worker: None,
        failures: 0,
        output: &mut output,
    };
    let partitions = tokens.check(&listing).await;
    let shown = output.iter().take(MAX_OUTPUT);
    let shown = shown.map(|line| format!("it wrote: {line}"));
    let more = output.len().saturating_sub(MAX_OUTPUT);
    let more = (more > 0).then(|| format!("it wrote {}", count(more, "more line")));
    verdicts.extend(shown.chain(more).map(|text| subject.ok("output", text)));
    verdicts.extend(partitions);
    verdicts
}

fn loaded(subject: &Subject, listing: &Listing) -> Verdict {
    let tokens = listing.slots.iter().filter_map(SlotReport::token);
    let tokens = tokens.filter(|token| token.has(TokenFlag::TokenInitialized));
    let text = format!(
        "loads: {}; {}, {}",
        listing.library_name(),
        count(listing.slots.len(), "slot"),
        count(tokens.count(), "token"),
    );
    subject.ok("module", text)
}

/// The tokens of one module's partitions.
struct Tokens<'a> {
    shared: &'a Shared,
    id: ModuleId,
    module: &'a config::Module,
    /// The worker for logins and seeds: absent before the first one, and after a failure.
    worker: Option<ModuleWorker>,
    failures: usize,
    /// What the module wrote while it listed its slots.
    output: &'a mut Vec<String>,
}

/// What was tried on a token, and what came of it.
struct Tried {
    verdicts: Vec<Verdict>,
    took_seeds: bool,
    /// What is being tried.
    check: &'static str,
}

impl Tokens<'_> {
    async fn check(&mut self, listing: &Listing) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        let mut earlier: Vec<Found<'_>> = Vec::new();
        for (id, partition) in self.shared.partitions(self.module) {
            match find(listing, partition, self.module) {
                Ok(found) => {
                    let mut tried = self.try_token(id, &found).await;
                    let same = earlier.iter().find(|other| other.is_same_slot(&found));
                    let same = same.map(|other| found.shares_token_with(other.partition));
                    tried.verdicts.extend(same);
                    verdicts.extend(found.verdicts(listing, tried.verdicts, tried.took_seeds));
                    earlier.push(found);
                }
                Err(missing) => verdicts.push(missing),
            }
        }
        self.end_worker().await;
        verdicts
    }

    async fn end_worker(&mut self) {
        if let Some(worker) = self.worker.take() {
            let output = worker.end().await;
            // Each worker of a module writes the same when it loads the module.
            if self.output.is_empty() {
                *self.output = output;
            }
        }
    }

    /// Logs in, or asks the PIN guard, and seeds, as far as the command line says so.
    async fn try_token(&mut self, id: PartitionId, found: &Found<'_>) -> Tried {
        let has_login = found.partition.login != Login::None;
        let guard = self.shared.guard.as_ref().filter(|_| has_login);
        let presents_pin = guard.is_some_and(PinGuard::presents);
        let mut tried = Tried {
            verdicts: Vec::new(),
            took_seeds: false,
            check: if presents_pin { "login" } else { "session" },
        };
        if guard.is_none() && !self.shared.probe {
            return tried;
        }
        if self.failures >= MAX_FAILURES {
            let text = "not tried, since the module repeatedly hung or crashed before";
            let fix = "see the partitions before it";
            tried
                .verdicts
                .push(found.subject.fault("session", text, fix));
            return tried;
        }
        if let Err(failure) = self.try_calls(id, found, guard, &mut tried).await {
            self.failures += 1;
            self.end_worker().await;
            let mut text = failure.text;
            if tried.check == "login" {
                text += "; if qseed was presenting the PIN, it presents it once more and then holds \
                         it back";
            }
            let verdict = found.subject.fault(tried.check, text, failure.advice);
            tried.verdicts.push(verdict);
        }
        tried
    }

    async fn try_calls(
        &mut self,
        id: PartitionId,
        found: &Found<'_>,
        guard: Option<&PinGuard>,
        tried: &mut Tried,
    ) -> Result<(), ModuleFailure> {
        let Some(open) = self.shared.plan.open_message(id) else {
            return Ok(());
        };
        // The probe tries whole lengths.
        let open = Open {
            chunk: None,
            ..open
        };
        let without_login = Open {
            login: Login::None,
            pin: PinSource::None,
            ..open.clone()
        };
        let worker = match &mut self.worker {
            Some(worker) => worker,
            none => {
                let spec = self.shared.worker_spec(self.module);
                let source = &self.shared.config_source;
                let guard = self.shared.guard.as_ref();
                let pins = guard.and_then(|_| source.kept_pins(self.id));
                none.insert(ModuleWorker::start(&spec, pins, self.module.deadline)?)
            }
        };
        let mut is_open = false;
        if let Some(guard) = guard {
            is_open = login::open(worker, Some(guard), found, open, &mut tried.verdicts).await?;
            tried.check = "session";
        }
        if self.shared.probe {
            if !is_open && !guard.is_some_and(PinGuard::presents) {
                is_open =
                    login::open(worker, None, found, without_login, &mut tried.verdicts).await?;
            }
            if is_open {
                tried.check = "seeding";
                let probe = probe::probe(worker, id.0, found.partition).await?;
                tried.took_seeds = probe.took_any();
                tried.verdicts.push(probe.verdict(found));
            }
        }
        worker.send(ToWorker::Close { partition: id.0 });
        while !matches!(worker.answer().await?, FromWorker::Closed { .. }) {}
        Ok(())
    }
}
