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
use crate::assemble::{Plan, Planned};
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

    fn partitions(&self, module: &config::Module) -> impl Iterator<Item = (PartitionId, &Planned)> {
        let all = self.plan.partitions.iter();
        all.filter(|(_, planned)| planned.config.module == module.path)
            .map(|(id, planned)| (*id, planned))
    }
}

/// Checks a module and its partitions. One call may take as long as the module's deadline.
pub(super) async fn check(
    shared: Arc<Shared>,
    id: ModuleId,
    module: config::Module,
) -> Vec<Verdict> {
    let subject = Subject::new("module", module.path.to_string_lossy());
    let (listing, mut output) = list(shared.worker_spec(&module), module.deadline).await;
    let mut partitions = Vec::new();
    let verdict = match &listing {
        Ok(listing) => {
            let mut tokens = Tokens {
                shared: &shared,
                id,
                module: &module,
                worker: None,
                failures: 0,
                output: &mut output,
            };
            partitions = tokens.check(listing).await;
            match &listing.failure {
                Some(failure) => failed(&subject, failure, &module),
                None => loaded(&subject, listing),
            }
        }
        Err(failure) => {
            let text = format!("its module does not answer: {failure}");
            for (_, planned) in shared.partitions(&module) {
                let partition = Subject::new("partition", planned.config.name.as_str());
                partitions.push(partition.fault("token", &text, "see the module's verdict"));
            }
            failed(&subject, failure, &module)
        }
    };
    let shown = output.iter().take(MAX_OUTPUT);
    let shown = shown.map(|line| format!("it wrote: {line}"));
    let more = output.len().saturating_sub(MAX_OUTPUT);
    let more = (more > 0).then(|| format!("it wrote {}", count(more, "more line")));
    let output = shown.chain(more).map(|text| subject.ok("output", text));
    let verdicts = std::iter::once(verdict).chain(output);
    verdicts.chain(partitions).collect()
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

fn failed(subject: &Subject, failure: &ModuleFailure, module: &config::Module) -> Verdict {
    let code = failure.code(&module.path);
    subject.fault_of(
        code,
        "module",
        failure.to_string(),
        failure.advice(&module.path),
    )
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
        for (id, planned) in self.shared.partitions(self.module) {
            match find(listing, planned, self.module) {
                Ok(found) => {
                    let tried = self.try_token(id, &found).await;
                    let same = earlier.iter().find(|other| other.is_same_slot(&found));
                    verdicts.extend(found.verdicts(listing, tried.verdicts, tried.took_seeds));
                    verdicts.extend(same.map(|other| found.shares_token_with(other.partition)));
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
            let mut text = failure.to_string();
            if tried.check == "login" {
                text += "; if qseed was presenting the PIN, it presents it once more and then holds \
                         it back";
            }
            let advice = failure.advice(&self.module.path);
            tried
                .verdicts
                .push(found.subject.fault(tried.check, text, advice));
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
