//! A look at a module and at the partitions that are reached through it.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use qseed_config as config;
use qseed_config::{Login, Pin};
use qseed_engine::PartitionId;
use qseed_secrets::{Secret, SecretRef};
use qseed_tokens::directory::{SlotReport, TokenFlag, TokenInfo};
use qseed_tokens::supervisor::Output;
use qseed_tokens::wire::{FromWorker, Open, PinSource, ToWorker};

use super::partitions::{self, Directory, Missing};
use super::pins::{self, PinBook};
use super::probe;
use super::trial::{Trial, open_without_login};
use super::verdict::{Finding, Kind, Subject, Verdict};
use crate::assemble::{Plan, Planned};
use crate::exit::Code;
use crate::print::count;
use crate::visit::{Lost, Visit, worker_spec};

/// Lines of a module's output that are shown.
const MAX_OUTPUT: usize = 5;
/// How often a module may hang or crash in a trial before the rest of its partitions is let be.
const MAX_LOSSES: usize = 2;

/// What all modules' looks share.
pub(super) struct Scene {
    pub(super) plan: Plan,
    /// The PINs that the configuration spells out, by partition, where they are needed.
    pub(super) spelt_out: Vec<(String, Secret)>,
    /// There where PINs are to be presented, or the guard is to be asked about them.
    pub(super) book: Option<Mutex<PinBook>>,
    pub(super) probe: bool,
}

/// Looks at a module and its partitions. One call may take as long as the module's deadline.
pub(super) async fn look(scene: Arc<Scene>, module: config::Module) -> Vec<Verdict> {
    let mut look = Look {
        subject: Subject::new(Kind::Module, module.path.to_string_lossy()),
        scene,
        module,
        output: Vec::new(),
    };
    let mut verdicts = Vec::new();
    let directory = look.read(&mut verdicts).await;
    let partitions = match directory {
        Ok(directory) => look.partitions(&directory).await,
        Err(lost) => look.unreached(&lost),
    };
    verdicts.extend(look.output());
    verdicts.extend(partitions);
    verdicts
}

struct Look {
    scene: Arc<Scene>,
    module: config::Module,
    subject: Subject,
    output: Vec<String>,
}

impl Look {
    /// Starts a worker. What a module writes that got PINs or seeds is not shown unless asked for.
    fn begin(&self, gets_secrets: bool) -> Result<Visit, Lost> {
        let config = &self.scene.plan.config;
        let mut spec = worker_spec(&self.module, config.secret_variables(), &config.state_dir);
        let book = self.scene.book.as_ref();
        if gets_secrets && self.module.output == config::Output::Count {
            spec.output = Output::Count;
        }
        spec.guard_key_may_be_made = book.is_some_and(|book| lock(book).key_may_be_made());
        Visit::begin(&spec, self.module.deadline)
    }

    async fn end(&mut self, visit: Visit, lost: bool) {
        let output = visit.end(lost).await;
        // A worker that is started again says the same again.
        if self.output.is_empty() {
            self.output = output;
        }
    }

    fn partitions_of_it(&self) -> impl Iterator<Item = (PartitionId, &Planned)> {
        let all = self.scene.plan.partitions.iter();
        all.filter(|(_, planned)| planned.config.module == self.module.path)
            .map(|(id, planned)| (*id, planned))
    }

    /// Loads the module and reads its slots.
    async fn read(&mut self, verdicts: &mut Vec<Verdict>) -> Result<Directory, Lost> {
        let mut visit = self
            .begin(false)
            .inspect_err(|lost| verdicts.push(self.fault(lost)))?;
        let read = read(&mut visit).await;
        let lost = match &read {
            Ok(directory) => directory.lost.as_ref(),
            Err(lost) => Some(lost),
        };
        let is_lost = lost.is_some();
        verdicts.extend(lost.map(|lost| self.fault(lost)));
        if let Ok(directory) = &read
            && !is_lost
        {
            verdicts.push(self.loaded(directory));
        }
        self.end(visit, is_lost).await;
        read
    }

    fn loaded(&self, directory: &Directory) -> Verdict {
        let library = &directory.library;
        let tokens = directory.slots.iter().filter_map(SlotReport::token);
        let tokens = tokens.filter(|token| token.has(TokenFlag::TokenInitialized));
        let name = [library.manufacturer.as_str(), library.description.as_str()].join(" ");
        let text = format!(
            "loads: {}, version {}, Cryptoki {}; {}, {}",
            name.trim(),
            library.version,
            library.cryptoki_version,
            count(directory.slots.len(), "slot"),
            count(tokens.count(), "token"),
        );
        self.subject.ok("module", text)
    }

    fn fault(&self, lost: &Lost) -> Verdict {
        let path = &self.module.path;
        if lost.is_permission(path) {
            let fix = "let the user that qseed runs as read the module and what it needs";
            let text = lost.to_string();
            return self.subject.fault_of(Code::Permission, "module", text, fix);
        }
        self.subject
            .fault("module", lost.to_string(), lost.fix(path))
    }

    fn output(&self) -> Vec<Verdict> {
        let shown = self.output.iter().take(MAX_OUTPUT);
        let said = |line: &String| self.subject.ok("output", format!("it wrote: {line}"));
        let mut verdicts: Vec<_> = shown.map(said).collect();
        let more = self.output.len().saturating_sub(MAX_OUTPUT);
        if more > 0 {
            verdicts.push(
                self.subject
                    .ok("output", format!("it wrote {}", count(more, "more line"))),
            );
        }
        verdicts
    }

    /// Partitions of a module that cannot be asked.
    fn unreached(&self, lost: &Lost) -> Vec<Verdict> {
        let unknown = |(_, planned): (_, &Planned)| {
            let subject = subject(planned);
            let text = format!("its module cannot be asked: {lost}");
            subject.fault("token", text, "see the module's verdict")
        };
        self.partitions_of_it().map(unknown).collect()
    }

    async fn partitions(&mut self, directory: &Directory) -> Vec<Verdict> {
        let slots = slots_command(&self.module);
        let scene = Arc::clone(&self.scene);
        let found: Vec<_> = scene
            .plan
            .partitions
            .iter()
            .filter(|(_, planned)| planned.config.module == self.module.path)
            .map(|(id, planned)| (*id, planned, directory.find(&planned.token, &slots)))
            .collect();
        let mut trials = Trials::default();
        let mut verdicts = Vec::new();
        for (index, (id, planned, token)) in found.iter().enumerate() {
            let subject = subject(planned);
            match token {
                Ok(token) => {
                    let trial = self.try_on(&mut trials, *id, planned).await;
                    let mut said = self.verdicts(directory, planned, token, &trial);
                    let same = found[..index].iter().find(|(_, _, other)| {
                        other
                            .as_ref()
                            .is_ok_and(|other| other.slot_id == token.slot_id)
                    });
                    said.extend(same.map(|(_, other, _)| {
                        partitions::shared(&subject, &planned.config, &other.config)
                    }));
                    verdicts.extend(said);
                }
                Err(Missing(text, fix)) => verdicts.push(subject.fault("token", text, fix)),
            }
        }
        if let Some(visit) = trials.visit {
            self.end(visit, false).await;
        }
        verdicts
    }

    fn verdicts(
        &self,
        directory: &Directory,
        planned: &Planned,
        token: &TokenInfo,
        trial: &Trial,
    ) -> Vec<Verdict> {
        let subject = subject(planned);
        let partition = &planned.config;
        let took_seeds = trial.took_seeds();
        let mut verdicts = vec![partitions::token(&subject, token)];
        verdicts.extend(partitions::generator(
            &subject,
            &directory.library,
            token,
            took_seeds,
        ));
        verdicts.extend(partitions::login(&subject, partition, token, took_seeds));
        verdicts.extend(trial.verdicts(&subject, partition, self.presents_pins(partition)));
        let is_fault = |verdict: &Verdict| matches!(verdict.finding, Finding::Fault(_));
        if !verdicts.iter().any(is_fault) {
            verdicts.push(partitions::plan(&subject, partition));
        }
        verdicts
    }

    fn presents_pins(&self, partition: &config::Partition) -> bool {
        let book = self.scene.book.as_ref();
        partition.login != Login::None && book.is_some_and(|book| lock(book).presents())
    }

    /// Logs in, or asks the guard, and seeds, as far as the command line asks for it.
    async fn try_on(&mut self, trials: &mut Trials, id: PartitionId, planned: &Planned) -> Trial {
        let asks = self.scene.book.is_some() && planned.config.login != Login::None;
        if !asks && !self.scene.probe {
            return Trial::default();
        }
        if trials.losses >= MAX_LOSSES {
            return Trial {
                not_tried: true,
                ..Trial::default()
            };
        }
        let mut trial = Trial::default();
        let mut visit = match self.visit_again(trials).await {
            Ok(visit) => visit,
            Err(lost) => {
                trials.losses += 1;
                trial.lost = Some(lost);
                return trial;
            }
        };
        match self.try_with(&mut visit, id, planned, &mut trial).await {
            Ok(()) => trials.visit = Some(visit),
            Err(lost) => {
                trials.losses += 1;
                trial.lost = Some(lost);
                self.end(visit, true).await;
            }
        }
        trial
    }

    /// The worker that the last trial left in order, or another one.
    async fn visit_again(&mut self, trials: &mut Trials) -> Result<Visit, Lost> {
        if let Some(visit) = trials.visit.take() {
            return Ok(visit);
        }
        let mut visit = self.begin(true)?;
        match visit.ready().await {
            Ok(_) => Ok(visit),
            Err(lost) => {
                self.end(visit, true).await;
                Err(lost)
            }
        }
    }

    async fn try_with(
        &self,
        visit: &mut Visit,
        id: PartitionId,
        planned: &Planned,
        trial: &mut Trial,
    ) -> Result<(), Lost> {
        let partition = &planned.config;
        let mut is_open = false;
        if let Some(book) = self
            .scene
            .book
            .as_ref()
            .filter(|_| partition.login != Login::None)
            && let Some(open) = self.open_message(visit, id, partition)
        {
            let opening = pins::open(visit, book, &partition.name, open).await?;
            is_open = opening.result.is_ok();
            trial.opening = Some(opening);
        }
        if self.scene.probe {
            if !is_open
                && !self.presents_pins(partition)
                && let Some(open) = self.scene.plan.open_message(id)
            {
                let result = open_without_login(visit, open).await?;
                is_open = result.is_ok();
                trial.no_session = result.err();
            }
            if is_open {
                trial.probe = Some(probe::probe(visit, id.0, partition).await?);
            }
        }
        visit.send(ToWorker::Close { partition: id.0 });
        while !matches!(visit.message().await?, FromWorker::Closed { .. }) {}
        Ok(())
    }

    /// How a partition is opened, with its login; the PIN is told first where the worker cannot
    /// read it.
    fn open_message(
        &self,
        visit: &Visit,
        id: PartitionId,
        partition: &config::Partition,
    ) -> Option<Open> {
        let mut open = self.scene.plan.open_message(id)?;
        // The probe tries whole lengths.
        open.chunk = None;
        if let Some(pin) = self.told(partition) {
            open.pin = PinSource::Told;
            visit.send(ToWorker::Pin {
                partition: id.0,
                pin,
            });
        }
        Some(open)
    }

    /// A PIN that the worker cannot read itself: one that the configuration spells out, or one in
    /// an environment variable, which it does not inherit.
    fn told(&self, partition: &config::Partition) -> Option<Secret> {
        match &partition.pin {
            Pin::Taken => {
                let mut spelt_out = self.scene.spelt_out.iter();
                let (_, pin) = spelt_out.find(|(of, _)| *of == partition.name)?;
                Some(pin.clone())
            }
            Pin::Given(reference @ SecretRef::Environment(_)) => reference.read().ok(),
            Pin::Given(_) | Pin::Absent => None,
        }
    }
}

/// The worker for trials, and how often one was lost.
#[derive(Default)]
struct Trials {
    visit: Option<Visit>,
    losses: usize,
}

/// What the module said, even where it failed before the end.
async fn read(visit: &mut Visit) -> Result<Directory, Lost> {
    let library = visit.ready().await?.library;
    let mut slots = Vec::new();
    let lost = visit.list(&mut slots).await.err();
    Ok(Directory {
        library,
        slots,
        lost,
    })
}

fn subject(planned: &Planned) -> Subject {
    Subject::new(Kind::Partition, planned.config.name.as_str())
}

/// The command that shows what a module has.
fn slots_command(module: &config::Module) -> String {
    let path: &Path = &module.path;
    let names = module.environment.iter().map(|(name, _)| name.as_str());
    let variables: String = names.flat_map(|name| [name, "=… "]).collect();
    let init_args = module.init_args.as_ref().map_or("", |_| " --init-args …");
    format!(
        "{variables}qseed slots --module {}{init_args}",
        path.display()
    )
}

fn lock(book: &Mutex<PinBook>) -> std::sync::MutexGuard<'_, PinBook> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}
