//! What the configuration asks for, taken on at the start and at each SIGHUP.

use qseed_config::{Level, Login};
use qseed_engine::{Event, PartitionState};
use qseed_tokens::wire::ToWorker;

use super::Daemon;
use crate::assemble::Plan;
use crate::exit::{Code, Failure};
use crate::guard_file::{self, GuardFile};
use crate::log::Entry;
use crate::run::config_source::Pins;
use crate::run::manager::notify;
use crate::run::usage;
use crate::say;
use crate::state_dir::{StateDir, StateDirError};

impl Daemon {
    /// SIGHUP: reads the configuration again. What is wrong is said, and nothing changes.
    pub(super) fn reload(&mut self) {
        if let Ok(now) = sd_notify::NotifyState::monotonic_usec_now() {
            notify(&[sd_notify::NotifyState::Reloading, now]);
        }
        match self.try_reload() {
            Ok(()) => self
                .reports
                .write(Entry::info("reloaded", "The configuration was read again.")),
            Err(failure) => {
                let message = format!(
                    "The configuration stays as it was, since the new one is wrong: {failure}"
                );
                self.reports
                    .write(Entry::new(Level::Error, "reload-failed", message));
            }
        }
        notify(&[sd_notify::NotifyState::Ready]);
    }

    fn try_reload(&mut self) -> Result<(), Failure> {
        let (prepared, warnings) = self.config_source.read_again()?;
        self.sources.renew_roots();
        let adapters = self.sources.open(&prepared.plan);
        self.secret_files
            .watch(&prepared.plan)
            .map_err(|error| Failure::internal("cannot start a thread", error))?;
        let (plan, pins) = self.config_source.accept(prepared);
        // The files in the old one are open.
        let state_dir = std::mem::take(&mut self.plan.config.state_dir);
        let moved = state_dir != plan.config.state_dir;
        let audit = self.plan.config.audit.take();
        self.plan = plan;
        self.reports.configure(&self.plan);
        if moved {
            let old = state_dir.display();
            let message = format!(
                "A new `state_dir` takes effect at the next start; until then it is {old}."
            );
            self.reports
                .write(Entry::new(Level::Warn, "configuration", message));
            self.plan.config.state_dir = state_dir;
        }
        self.configure_ledger(audit);
        for warning in say::configuration::warnings(&self.plan, &warnings) {
            self.reports.write(warning);
        }
        self.start_sources(adapters);
        self.tell_pins(&pins);
        drop(pins);
        self.forget_missing_tokens();
        self.handle(Event::Configured(self.plan.engine_settings()));
        self.tell_budgets();
        Ok(())
    }

    /// After the configuration was read again: gives the PINs to workers that run.
    fn tell_pins(&mut self, pins: &Pins) {
        for view in self.engine.workers() {
            for (partition, pin) in pins.get(&view.module).into_iter().flatten() {
                let (partition, pin) = (*partition, pin.clone());
                self.workers
                    .send(view.worker, ToWorker::Pin { partition, pin });
            }
        }
    }

    /// After the configuration was read again: a slot may have another token than before.
    fn forget_missing_tokens(&mut self) {
        for view in self.engine.partitions() {
            if view.state == PartitionState::TokenMissing {
                self.reports.forget_token(view.id);
            }
        }
    }
}

/// Opens the state directory, and makes it if it is missing. The inner error is why it cannot be
/// used now.
///
/// # Errors
/// That others could have written in it.
pub(super) fn open_state_dir(plan: &Plan) -> Result<Result<StateDir, String>, Failure> {
    trusted(StateDir::create(&plan.config.state_dir).and_then(|dir| {
        dir.judge_secret(guard_file::KEY)?;
        dir.judge(usage::NAME)?;
        Ok(dir)
    }))
}

/// Opens the guard's file, if a partition logs in with a PIN. The inner error is why it cannot be
/// written now.
///
/// # Errors
/// That others could have written it.
pub(super) fn open_guard(
    plan: &Plan,
    dir: Result<StateDir, String>,
) -> Result<Result<Option<GuardFile>, String>, Failure> {
    let mut partitions = plan.partitions.values();
    if partitions.all(|partition| partition.login == Login::None) {
        return Ok(Ok(None));
    }
    let opened = dir.map(|dir| trusted(GuardFile::open(dir).map(Some)));
    opened.unwrap_or_else(|why| Ok(Err(why)))
}

/// Ends the start where files are not to be trusted. What the system refuses may pass.
fn trusted<T>(opened: Result<T, StateDirError>) -> Result<Result<T, String>, Failure> {
    match opened {
        Ok(opened) => Ok(Ok(opened)),
        Err(why @ StateDirError::Io { .. }) => Ok(Err(why.to_string())),
        Err(why) => Err(Failure::new(Code::Permission, why.to_string())),
    }
}
