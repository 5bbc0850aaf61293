//! What the configuration asks for, taken on at the start and at each SIGHUP.

use jiff::Timestamp;
use qseed_config::{Level, Login};
use qseed_engine::{Event, SourceId};

use super::Daemon;
use crate::assemble::Plan;
use crate::exit::{Code, Failure};
use crate::guard_file::GuardFile;
use crate::log::Entry;
use crate::run::manager::notify;
use crate::run::sources::Adapter;
use crate::run::watch::Watch;
use crate::say;
use crate::state_dir::{StateDir, StateDirError};

impl Daemon {
    /// Starts the tasks of new sources and ends those of sources that are gone.
    pub(super) fn start_sources(&mut self, adapters: Vec<Adapter>) {
        for adapter in &adapters {
            self.reports.forget_link(adapter.id);
            if let Some(planned) = self.plan.sources.get(&adapter.id) {
                self.usage.give_up(&planned.config.name);
            }
        }
        self.sources.start(&self.plan, adapters);
    }

    /// Tells the engine what each source has delivered in its present month.
    pub(super) fn tell_budgets(&mut self) {
        let sources: Vec<_> = self.plan.sources.keys().copied().collect();
        for source in sources {
            self.tell_budget(source);
        }
    }

    pub(super) fn tell_budget(&mut self, source: SourceId) {
        let Some(planned) = self.plan.sources.get(&source) else {
            return;
        };
        let budget = planned.config.budget;
        let spent = budget.map_or(0, |budget| {
            let name = &planned.config.name;
            self.usage.spent(name, budget.resets_on, Timestamp::now())
        });
        self.handle(Event::Budget {
            source,
            spent,
            limit: budget.map(|budget| budget.bytes),
        });
    }

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
        let adapters = self.sources.open(&prepared.plan)?;
        let (plan, pins) = self.config_source.accept(prepared);
        // The files in the old one are open.
        let state_dir = std::mem::take(&mut self.plan.config.state_dir);
        let moved = state_dir != plan.config.state_dir;
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
        for warning in say::configuration::warnings(&self.plan, &warnings) {
            self.reports.write(warning);
        }
        self.watch = Watch::new(&self.plan);
        self.start_sources(adapters);
        self.tell_pins(&pins);
        drop(pins);
        self.forget_missing_tokens();
        self.handle(Event::Configured(self.plan.engine_settings()));
        self.tell_budgets();
        Ok(())
    }
}

/// Opens the state directory, and makes it if it is missing. The inner error is why it cannot be
/// used now.
///
/// # Errors
/// That others could have written in it.
pub(super) fn open_state_dir(plan: &Plan) -> Result<Result<StateDir, String>, Failure> {
    trusted(StateDir::create(&plan.config.state_dir))
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
