//! Worker processes: what the engine wants of them, done.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use qseed_engine::{Event, JobId, ModuleId, PartitionId, PartitionState, WorkerId};
use qseed_entropy::Seed;
use qseed_tokens::directory::TokenInfo;
use qseed_tokens::supervisor::{LOOK_AGAIN_AFTER, Output, WorkerSpec};
use qseed_tokens::wire::{ToWorker, TokenChoice};
use zeroize::Zeroizing;

use super::Daemon;
use crate::run::config_source::Pins;
use crate::visit::guard_key_in;

/// The program that is running, even where a newer one has taken its place on disk: two versions
/// must not mix.
const THIS_PROGRAM: &str = "/proc/self/exe";

impl Daemon {
    pub(super) fn start_worker(&mut self, worker: WorkerId, module: ModuleId) {
        let spec = self.worker_spec(module);
        let pins = self.config_source.kept_pins(module);
        if let Err(text) = self.workers.start(worker, &spec, pins) {
            self.handle(Event::WorkerExited { worker, text });
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
            withheld: self.config_source.secret_variables(),
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

    /// After the configuration was read again: gives the PINs to workers that run.
    pub(super) fn tell_pins(&mut self, pins: &Pins) {
        for view in self.engine.workers() {
            for (partition, pin) in pins.get(&view.module).into_iter().flatten() {
                let (partition, pin) = (*partition, pin.clone());
                self.workers
                    .send(view.worker, ToWorker::Pin { partition, pin });
            }
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

    pub(super) fn seed(&mut self, worker: WorkerId, id: PartitionId, job: JobId, seed: Seed) {
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
pub(super) fn mix_local(seed: &mut Seed) {
    let mut bytes = Zeroizing::new(vec![0; seed.len()]);
    let mut filled = 0;
    while filled < bytes.len() {
        let flags = rustix::rand::GetRandomFlags::empty();
        // Interrupted, at worst: the kernel's generator has long been seeded.
        filled += rustix::rand::getrandom(&mut bytes[filled..], flags).unwrap_or(0);
    }
    seed.xor(Seed::new(std::mem::take(&mut bytes)));
}
