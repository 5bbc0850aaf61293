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
use super::verdict::Subject;
use crate::assemble::Plan;
use crate::module_worker::{Listing, ModuleFailure, ModuleWorker, configured_spec, list};
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
    /// Absent: nothing asks the PIN guard. An error: no PIN may be presented.
    pub(super) guard: Option<Result<PinGuard, String>>,
    pub(super) probe: bool,
}

impl Shared {
    fn worker_spec(&self, module: &config::Module) -> WorkerSpec {
        let source = &self.config_source;
        let variables = source.secret_variables();
        configured_spec(module, &self.plan.config, source.path(), variables)
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
) -> Vec<Subject> {
    let mut subject = Subject::new("module", module.path.to_string_lossy());
    let mut listing = list(shared.worker_spec(&module), module.deadline).await;
    match &listing.failure {
        Some(failure) => {
            subject.fault_of(failure.code, "module", &failure.text, &failure.advice);
        }
        None => subject.ok("module", loaded(&listing)),
    }
    let mut tokens = Tokens {
        shared: &shared,
        id,
        module: &module,
        worker: None,
        failures: 0,
        output: std::mem::take(&mut listing.output),
    };
    let mut partitions = tokens.check(&listing).await;
    for line in tokens.output.iter().take(MAX_OUTPUT) {
        subject.ok("output", format!("it wrote: {line}"));
    }
    let more = tokens.output.len().saturating_sub(MAX_OUTPUT);
    if more > 0 {
        subject.ok("output", format!("it wrote {}", count(more, "more line")));
    }
    partitions.insert(0, subject);
    partitions
}

fn loaded(listing: &Listing) -> String {
    let tokens = listing.slots.iter().filter_map(SlotReport::token);
    let tokens = tokens.filter(|token| token.has(TokenFlag::TokenInitialized));
    format!(
        "loads: {}; {}, {}",
        listing.library_name(),
        count(listing.slots.len(), "slot"),
        count(tokens.count(), "token"),
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
    /// What the module wrote.
    output: Vec<String>,
}

impl Tokens<'_> {
    async fn check(&mut self, listing: &Listing) -> Vec<Subject> {
        let mut partitions: Vec<Result<Found<'_>, Subject>> = Vec::new();
        for (id, partition) in self.shared.partitions(self.module) {
            let mut partition = find(listing, partition, self.module);
            if let Ok(found) = &mut partition {
                found.token();
                self.try_token(id, found).await;
                found.seeding(listing, partitions.iter().flatten());
            }
            partitions.push(partition);
        }
        self.end_worker().await;
        let subject =
            |partition: Result<Found<'_>, _>| partition.map_or_else(|it| it, |it| it.subject);
        partitions.into_iter().map(subject).collect()
    }

    async fn end_worker(&mut self) {
        if let Some(worker) = self.worker.take() {
            let output = worker.end().await;
            // Each worker of a module writes the same when it loads the module.
            if self.output.is_empty() {
                self.output = output;
            }
        }
    }

    /// Logs in, or asks the PIN guard, and seeds, as far as the command line says so.
    async fn try_token(&mut self, id: PartitionId, found: &mut Found<'_>) {
        let has_login = found.partition.login != Login::None;
        let guard = match &self.shared.guard {
            Some(Err(why)) if has_login => {
                return login::not_recorded(&mut found.subject, why);
            }
            Some(Ok(guard)) if has_login => Some(guard),
            _ => None,
        };
        if guard.is_none() && !self.shared.probe {
            return;
        }
        if self.failures >= MAX_FAILURES {
            let text = "not tried, since the module repeatedly hung or crashed before";
            return found
                .subject
                .fault("session", text, "see the partitions before it");
        }
        if let Err(failure) = self.try_calls(id, found, guard).await {
            self.failures += 1;
            self.end_worker().await;
            let mut text = failure.text;
            let check = if found.is_open {
                "seeding"
            } else if guard.is_some_and(PinGuard::presents) {
                text += "; if qseed was presenting the PIN, it presents it once more and then holds \
                         it back";
                "login"
            } else {
                "session"
            };
            found.subject.fault(check, text, failure.advice);
        }
    }

    async fn try_calls(
        &mut self,
        id: PartitionId,
        found: &mut Found<'_>,
        guard: Option<&PinGuard>,
    ) -> Result<(), ModuleFailure> {
        let Some(open) = self.shared.plan.open_message(id) else {
            return Ok(());
        };
        // The probe tries whole lengths.
        let open = Open {
            guard_key_may_be_made: guard.is_some_and(PinGuard::key_may_be_made),
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
                let mut spec = self.shared.worker_spec(self.module);
                spec.guard_key_may_be_made = guard.is_some_and(PinGuard::key_may_be_made);
                let source = &self.shared.config_source;
                let guard = self.shared.guard.as_ref();
                let pins = guard.and_then(|_| source.kept_pins(self.id));
                none.insert(ModuleWorker::start(&spec, pins, self.module.deadline)?)
            }
        };
        if let Some(guard) = guard {
            login::open(worker, Some(guard), found, open).await?;
        }
        if self.shared.probe {
            if !found.is_open && !guard.is_some_and(PinGuard::presents) {
                login::open(worker, None, found, without_login).await?;
            }
            if found.is_open {
                probe::probe(worker, id.0, found).await?;
            }
        }
        worker.send(ToWorker::Close { partition: id.0 });
        while !matches!(worker.answer().await?, FromWorker::Closed { .. }) {}
        Ok(())
    }
}
