//! Worker processes: what the engine wants of them, done.

use std::sync::atomic::Ordering;

use qseed_engine::{Event, JobId, ModuleId, PartitionId, PartitionState, WorkerId};
use qseed_entropy::Seed;
use qseed_model::TokenChoice;
use qseed_tokens::directory::TokenInfo;
use qseed_tokens::supervisor::WorkerSpec;
use qseed_tokens::wire::ToWorker;

use super::Daemon;
use crate::module_worker::worker_spec;
use crate::random::random_bytes;
use crate::run::config_source::Pins;

impl Daemon {
    pub(super) fn start_worker(&mut self, worker: WorkerId, module: ModuleId) {
        let Some(config) = self.plan.modules.get(&module) else {
            let text = "its module is not configured".to_owned();
            return self.handle(Event::WorkerExited { worker, text });
        };
        let withheld = self.config_source.secret_variables();
        let spec = WorkerSpec {
            guard_key_may_be_made: self.state_files.key_may_be_made.load(Ordering::Relaxed),
            ..worker_spec(config, withheld, &self.plan.config.state_dir)
        };
        let pins = self.config_source.kept_pins(module);
        if let Err(text) = self.workers.start(worker, &spec, pins) {
            self.handle(Event::WorkerExited { worker, text });
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

/// XORs random bytes of the kernel in.
pub(super) fn mix_local(seed: &mut Seed) {
    seed.xor(Seed::new(random_bytes(seed.len())));
}
