//! `qseed check`: reads the configuration, checks everything that it names, and prints a verdict a
//! line: how it stands, what will happen, and how to fix what is wrong.
//!
//! It changes nothing: it presents no PIN without `--login`, seeds no token without `--probe`, and
//! spends no entropy. Sources and modules are checked side by side, so that one that hangs delays no
//! other.

mod anchors;
mod configuration;
mod ledger;
mod login;
mod modules;
mod partitions;
mod probe;
mod sources;
mod verdict;

use std::sync::Arc;

use qseed_config::Loaded;
use qseed_http::SystemRoots;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::assemble::load;
use crate::cli::CheckArgs;
use crate::exit::{Code, Failure};
use crate::harden::Hardening;
use crate::module_worker::block_on;
use crate::print::{count, print, print_json};
use crate::run::ConfigSource;
use crate::state_dir::Acting;
use login::PinGuard;
use modules::Shared;
use verdict::{Finding, Subject};

/// Checks everything and prints a verdict a line.
pub(crate) fn check(args: &CheckArgs) -> Result<(), Failure> {
    let hardening = Hardening::begin();
    let mut report = Report {
        args,
        subjects: Vec::new(),
    };
    let file = &args.config.config;
    let Loaded { config, warnings } = match load(&args.config, Acting::ForOwner) {
        Ok(loaded) => loaded,
        Err(error) => return report.refuse(configuration::refused(file, &error)),
    };
    let mut first = configuration::accepted(file, &config, &warnings);
    first.extend(ledger::check(&config));
    let (config_source, plan) = match ConfigSource::new(args.config.clone(), config) {
        Ok(accepted) => accepted,
        Err(failure) => {
            return report.refuse(configuration::impossible(file, &failure.to_string()));
        }
    };
    let hardening = hardening.of(&plan.config, file);
    report.add(first)?;
    report.add(vec![configuration::hardening(&hardening)])?;
    let state_dir = &plan.config.state_dir;
    let guard = match configuration::presents_pins(&plan.config) {
        true if args.login => Some(PinGuard::presenting(state_dir)),
        true => PinGuard::reading(state_dir).map(Ok),
        false => None,
    };
    let shared = Shared {
        plan,
        config_source,
        guard,
        probe: args.probe,
    };
    block_on(check_all(Arc::new(shared), &mut report))??;
    report.conclude()
}

/// Checks all sources and modules at once, and reports in the configuration's order.
async fn check_all(shared: Arc<Shared>, report: &mut Report<'_>) -> Result<(), Failure> {
    let roots = SystemRoots::default();
    let sources = shared.plan.config.sources.iter();
    let mut checks: Vec<JoinHandle<Vec<Subject>>> = sources
        .map(|source| tokio::spawn(sources::check(source.clone(), roots.clone())))
        .collect();
    if let Some(audit) = &shared.plan.config.audit {
        let newest = anchors::newest(audit, &shared.plan.config.state_dir);
        let witnesses = audit.witnesses.iter().cloned();
        checks.extend(
            witnesses.map(|it| tokio::spawn(anchors::witness(it, newest.clone(), roots.clone()))),
        );
        checks.extend(
            audit
                .anchor
                .clone()
                .map(|it| tokio::spawn(async move { vec![anchors::command(&it)] })),
        );
    }
    let modules = shared.plan.modules.iter();
    checks.extend(modules.map(|(id, module)| {
        tokio::spawn(modules::check(Arc::clone(&shared), *id, module.clone()))
    }));
    for check in checks {
        let subjects = check.await;
        report.add(subjects.map_err(|error| Failure::internal("a check failed", error))?)?;
    }
    Ok(())
}

/// What is printed: lines as they come, or one document at the end.
struct Report<'args> {
    args: &'args CheckArgs,
    subjects: Vec<Subject>,
}

impl Report<'_> {
    fn add(&mut self, subjects: Vec<Subject>) -> Result<(), Failure> {
        if !self.args.json {
            let lines = subjects.iter().map(ToString::to_string);
            print(&lines.collect::<String>())?;
        }
        self.subjects.extend(subjects);
        Ok(())
    }

    /// Ends with a configuration that cannot be used: on standard error, as `qseed run` does.
    fn refuse(mut self, configuration: Subject) -> Result<(), Failure> {
        let complaints = configuration.complaints();
        self.subjects.push(configuration);
        self.print_document()?;
        let code = match self.worst() {
            Finding::Fault(code) => code,
            Finding::Ok | Finding::Warning => Code::Configuration,
        };
        Err(Failure::new(code, complaints))
    }

    fn conclude(self) -> Result<(), Failure> {
        self.print_document()?;
        let number = |name| {
            let found = self.findings().filter(|finding| finding.name() == name);
            count(found.count(), name)
        };
        let warnings = number("warning");
        match self.worst() {
            Finding::Fault(code) => {
                let faults = number("fault");
                let text = format!("{faults}, {warnings}: see the fix next to each");
                Err(Failure::new(code, text))
            }
            _ if self.args.json => Ok(()),
            Finding::Warning => print(&format!("No faults, {warnings}.\n")),
            Finding::Ok => print("All is well.\n"),
        }
    }

    fn findings(&self) -> impl Iterator<Item = Finding> {
        self.subjects.iter().flat_map(Subject::findings)
    }

    /// The gravest finding. A fault of the configuration is graver than one of permission, and that
    /// graver than what is out of reach, which may follow from either.
    fn worst(&self) -> Finding {
        self.findings().max().unwrap_or(Finding::Ok)
    }

    fn print_document(&self) -> Result<(), Failure> {
        if !self.args.json {
            return Ok(());
        }
        let verdicts: Vec<_> = self.subjects.iter().flat_map(Subject::documents).collect();
        print_json(&json!({
            "version": env!("CARGO_PKG_VERSION"),
            "config": self.args.config.config.to_string_lossy(),
            "login": self.args.login,
            "probe": self.args.probe,
            "verdicts": verdicts,
            "result": self.worst().name(),
        }))
    }
}
