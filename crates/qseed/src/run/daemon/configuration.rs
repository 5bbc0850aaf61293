//! What the configuration asks for, taken on at the start and at each SIGHUP.

use std::collections::HashMap;

use jiff::Timestamp;
use qseed_config::{Config, Level, Login, Partition, Scheme, Warning};
use qseed_engine::{Event, SourceId};

use super::Daemon;
use crate::assemble::{Plan, shortages};
use crate::exit::{Code, Failure};
use crate::guard_file::GuardFile;
use crate::log::{Entry, Log, Style};
use crate::print::count;
use crate::run::manager::notify;
use crate::run::sources::Adapter;
use crate::run::watch::Watch;
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
        let moved = self.plan.config.state_dir != plan.config.state_dir;
        let restart = moved.then(|| {
            let old = self.plan.config.state_dir.display();
            format!("A new `state_dir` takes effect at the next start; until then it is {old}.")
        });
        for entry in restart
            .map(warning)
            .into_iter()
            .chain(warned_of(&plan, warnings))
        {
            self.reports.write(entry);
        }
        // Its files are open.
        let state_dir = std::mem::take(&mut self.plan.config.state_dir);
        self.plan = plan;
        self.plan.config.state_dir = state_dir;
        self.reports.configure(style(&self.plan), &self.plan);
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

pub(super) fn style(plan: &Plan) -> Style {
    Style {
        format: plan.config.log.format,
        level: plan.config.log.level,
    }
}

pub(super) fn say_start(
    log: &mut Log,
    plan: &Plan,
    warnings: Vec<Warning>,
    shortcomings: Vec<Entry>,
) {
    let message = format!(
        "qseed {} starts: {}, {}, {}.",
        env!("CARGO_PKG_VERSION"),
        count(plan.sources.len(), "source"),
        count(plan.modules.len(), "module"),
        count(plan.partitions.len(), "partition"),
    );
    log.write(Entry::info("started", message).with("version", env!("CARGO_PKG_VERSION")));
    for entry in warned_of(plan, warnings).chain(shortcomings) {
        log.write(entry);
    }
}

/// What of a configuration may not be meant.
fn warned_of(plan: &Plan, warnings: Vec<Warning>) -> impl Iterator<Item = Entry> {
    let texts = warnings.into_iter().map(|warning| warning.to_string());
    let entries = texts.chain(cautions(plan)).map(warning);
    entries.chain(shortages(&plan.config).into_iter().map(Entry::from))
}

fn warning(text: String) -> Entry {
    Entry::new(Level::Warn, "configuration", text)
}

/// What the configuration asks for and this version does not do yet, and what it gives away.
fn cautions(plan: &Plan) -> Vec<String> {
    let config = &plan.config;
    let asked = [
        (
            "listen",
            config.listen.is_some(),
            "no web page or metrics are served",
        ),
        ("audit", config.audit.is_some(), "no ledger is written"),
    ];
    let without_effect = asked
        .into_iter()
        .filter(|(_, asked, _)| *asked)
        .map(|(key, _, what)| format!("`{key}` has no effect in this version: {what}."));
    let in_the_clear = config.sources.iter().filter_map(|source| {
        let url = &source.kind.http()?.url;
        let open = url.scheme == Scheme::Http && !url.host.is_loopback();
        open.then(|| {
            format!(
                "{}: plain HTTP (`insecure_http`): whoever listens on the way knows the entropy \
                 and the access token.",
                source.name
            )
        })
    });
    let mut cautions: Vec<_> = without_effect.chain(in_the_clear).collect();
    cautions.extend(excluding_logins(config));
    cautions
}

/// Partitions that name one token and log in to it in ways that exclude each other.
fn excluding_logins(config: &Config) -> Vec<String> {
    let mut logins: HashMap<_, &Partition> = HashMap::new();
    let mut conflicts = Vec::new();
    for partition in &config.partitions {
        if partition.login == Login::None {
            continue;
        }
        let token = (&partition.module, &partition.token);
        let first = *logins.entry(token).or_insert(partition);
        if partition.login.excludes(first.login) {
            conflicts.push(format!(
                "{} and {} are the same token and log in as {} and {}: a process can be logged in \
                 to a token in one way only, so only one of them is seeded. Use one login.",
                first.name, partition.name, first.login, partition.login
            ));
        }
    }
    conflicts
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
