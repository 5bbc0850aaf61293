//! Worker processes: what the engine wants of them, done.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use qseed_config::{Level, Pin};
use qseed_engine::{Event, JobId, ModuleId, PartitionId, PartitionState, WorkerId};
use qseed_entropy::Seed;
use qseed_secrets::{Secret, SecretRef};
use qseed_tokens::directory::TokenInfo;
use qseed_tokens::supervisor::{LOOK_AGAIN_AFTER, Output, WorkerSpec};
use qseed_tokens::wire::{ToWorker, TokenChoice};
use zeroize::Zeroizing;

use super::Daemon;
use crate::log::Entry;
use crate::run::load;
use crate::visit::guard_key_in;

/// The program that is running, even where a newer one has taken its place on disk: two versions
/// must not mix.
const THIS_PROGRAM: &str = "/proc/self/exe";

impl Daemon {
    pub(super) fn start_worker(&mut self, worker: WorkerId, module: ModuleId) {
        let spec = self.worker_spec(module);
        match self.workers.start(worker, &spec) {
            Ok(()) => self.tell_pins(worker, module),
            Err(text) => self.handle(Event::WorkerExited { worker, text }),
        }
    }

    fn worker_spec(&self, module: ModuleId) -> WorkerSpec {
        let config = self.plan.modules.get(&module);
        WorkerSpec {
            program: PathBuf::from(THIS_PROGRAM),
            module: config.map(|module| module.path.clone()).unwrap_or_default(),
            init_args: config.and_then(|module| module.init_args.clone()),
            environment: config
                .map(|module| module.environment.clone())
                .unwrap_or_default(),
            withheld: self.plan.config.secret_variables(),
            guard_key: guard_key_in(&self.plan.config.state_dir),
            guard_key_may_be_made: self.keeper.key_may_be_made.load(Ordering::Relaxed),
            concurrency: config.map_or(1, |module| module.concurrency),
            look_again_after: LOOK_AGAIN_AFTER,
            output: match config.map(|module| module.output) {
                Some(qseed_config::Output::Log) => Output::Lines,
                Some(qseed_config::Output::Count) | None => Output::Count,
            },
        }
    }

    /// Tells a worker the PINs that it cannot read itself: those that the configuration spells out
    /// and those in environment variables, which it does not inherit. They pass through here and
    /// are wiped.
    fn tell_pins(&mut self, worker: WorkerId, module: ModuleId) {
        let told = |pin: &Pin| matches!(pin, Pin::Taken | Pin::Given(SecretRef::Environment(_)));
        let path = self
            .plan
            .modules
            .get(&module)
            .map(|module| module.path.clone());
        let wanted: Vec<_> = self
            .plan
            .partitions
            .iter()
            .filter(|(_, planned)| {
                Some(&planned.config.module) == path.as_ref() && told(&planned.config.pin)
            })
            .map(|(id, planned)| (*id, planned.config.name.clone(), planned.config.pin.clone()))
            .collect();
        let spelt_out = if wanted.iter().any(|(_, _, pin)| *pin == Pin::Taken) {
            self.literal_pins()
        } else {
            Vec::new()
        };
        for (id, name, pin) in wanted {
            let pin = match pin {
                Pin::Given(reference) => reference.read().ok(),
                _ => spelt_out
                    .iter()
                    .find(|(of, _)| *of == name)
                    .map(|(_, pin)| pin.clone()),
            };
            if let Some(pin) = pin {
                let partition = id.0;
                self.workers.send(worker, ToWorker::Pin { partition, pin });
            }
        }
    }

    fn literal_pins(&mut self) -> Vec<(String, Secret)> {
        match load(&self.args.config) {
            Ok(mut loaded) => loaded.config.take_literal_pins(),
            Err(failure) => {
                let message = format!(
                    "The PINs in the configuration cannot be read for a new worker process: \
                     {failure}"
                );
                self.reports
                    .write(Entry::new(Level::Error, "pins-unreadable", message));
                Vec::new()
            }
        }
    }

    /// After the configuration was read again: the workers' PINs may be others.
    pub(super) fn tell_pins_again(&mut self) {
        let running: Vec<_> = self
            .engine
            .workers()
            .filter(|view| self.workers.runs(view.worker))
            .map(|view| (view.worker, view.module))
            .collect();
        for (worker, module) in running {
            self.tell_pins(worker, module);
        }
    }

    pub(super) fn end_worker(&mut self, worker: WorkerId, kill: bool) {
        if kill {
            self.workers.kill(worker);
        } else {
            self.workers.send(worker, ToWorker::Shutdown);
        }
    }

    pub(super) fn open(&mut self, worker: WorkerId, id: PartitionId) {
        let Some(mut open) = self.plan.open_message(id) else {
            return;
        };
        if matches!(open.token, TokenChoice::Slot(_)) {
            open.first = self.reports.token(id).map(TokenInfo::name);
        }
        self.workers.send(worker, ToWorker::Open(open));
    }

    /// After the configuration was read again: a slot may have another token than before.
    pub(super) fn forget_missing_tokens(&mut self) {
        for view in self.engine.partitions() {
            if view.state == PartitionState::TokenMissing {
                self.reports.forget_token(view.id);
            }
        }
    }

    pub(super) fn close(&mut self, worker: WorkerId, id: PartitionId) {
        let close = ToWorker::Close { partition: id.0 };
        self.workers.send(worker, close);
    }

    pub(super) fn seed(&mut self, worker: WorkerId, id: PartitionId, job: JobId, mut seed: Seed) {
        if self.plan.config.mix_local {
            mix_local(&mut seed);
        }
        let (partition, job) = (id.0, job.0);
        self.workers.send(
            worker,
            ToWorker::Seed {
                partition,
                job,
                seed,
            },
        );
    }
}

/// XORs the kernel's random bytes in.
fn mix_local(seed: &mut Seed) {
    let mut bytes = Zeroizing::new(vec![0; seed.len()]);
    let mut filled = 0;
    while filled < bytes.len() {
        let flags = rustix::rand::GetRandomFlags::empty();
        // Interrupted, at worst: the kernel's generator has long been seeded.
        filled += rustix::rand::getrandom(&mut bytes[filled..], flags).unwrap_or(0);
    }
    seed.xor(Seed::new(std::mem::take(&mut bytes)));
}
