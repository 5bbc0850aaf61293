//! `qseed check`: reads the configuration, looks at everything that it names, and says in a line
//! each how it stands, what will happen, and what to do about what is wrong.
//!
//! Nothing is changed by it: no PIN is presented without `--login`, no token is seeded without
//! `--probe`, no entropy is spent. Sources and modules are looked at side by side, so that one that
//! hangs holds up no other.

mod configuration;
mod modules;
mod partitions;
mod pins;
mod probe;
mod sources;
mod trial;
mod verdict;

use std::path::Path;
use std::sync::{Arc, Mutex};

use qseed_config::Loaded;
use qseed_model::pins::Standing;
use qseed_sources::SystemRoots;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::assemble::{Numbers, Plan, load};
use crate::cli::CheckArgs;
use crate::exit::{Code, Failure};
use crate::guard_file;
use crate::harden::harden;
use crate::print::{count, print, print_json};
use crate::state_dir::Acting;
use crate::visit::block_on;
use modules::Scene;
use pins::PinBook;
use verdict::{Finding, Verdict};

/// Looks at everything and prints a verdict a line.
pub(crate) fn check(args: &CheckArgs) -> Result<(), Failure> {
    harden();
    let mut report = Report::new(args);
    let file = &args.config.config;
    let loaded = match load(&args.config, Acting::ForOwner) {
        Ok(loaded) => loaded,
        Err(error) => return report.refuse(configuration::refused(file, &error)),
    };
    let Loaded {
        mut config,
        warnings,
    } = loaded;
    let first = configuration::accepted(file, &config, &warnings);
    let pins = config.take_literal_pins();
    let plan = match Plan::new(config, file, &mut Numbers::default()) {
        Ok(plan) => plan,
        Err(failure) => {
            return report.refuse(configuration::impossible(file, &failure.to_string()));
        }
    };
    report.say(first)?;
    let book = match configuration::presents_pins(&plan.config) {
        true if args.login => Some(PinBook::open(&plan.config.state_dir)),
        true => held_back(&plan.config.state_dir),
        false => None,
    };
    let scene = Scene {
        plan,
        spelt_out: if book.is_some() { pins } else { Vec::new() },
        book: book.map(Mutex::new),
        probe: args.probe,
    };
    block_on(look(Arc::new(scene), &mut report))??;
    report.conclude()
}

/// Looks at all sources and modules at once, and says what was found in the configuration's order.
async fn look(scene: Arc<Scene>, report: &mut Report<'_>) -> Result<(), Failure> {
    let roots = SystemRoots::default();
    let sources = scene.plan.config.sources.iter();
    let mut looks: Vec<JoinHandle<Vec<Verdict>>> = sources
        .map(|source| tokio::spawn(sources::look(source.clone(), roots.clone())))
        .collect();
    let modules = scene.plan.modules.values();
    looks.extend(
        modules.map(|module| tokio::spawn(modules::look(Arc::clone(&scene), module.clone()))),
    );
    for look in looks {
        let verdicts = look
            .await
            .map_err(|error| Failure::internal("a look ended before its time", error))?;
        report.say(verdicts)?;
    }
    Ok(())
}

/// The PIN guard's file where it holds a PIN back: then it is worth asking it about each PIN. One
/// that cannot be read has a verdict already.
fn held_back(state_dir: &Path) -> Option<PinBook> {
    let dir = guard_file::operators_dir(state_dir).ok()?;
    let contents = guard_file::read(&dir).ok().flatten()?;
    let holds = contents.records.lost().is_some()
        || contents.records.iter().any(|record| {
            let held_back = |it: Standing| it.held_back().is_some();
            record.standing.is_some_and(held_back)
        });
    holds.then_some(PinBook::Asks(contents))
}

/// What is printed: lines as they come, or one document at the end.
struct Report<'args> {
    args: &'args CheckArgs,
    verdicts: Vec<Verdict>,
}

impl<'args> Report<'args> {
    fn new(args: &'args CheckArgs) -> Self {
        Self {
            args,
            verdicts: Vec::new(),
        }
    }

    fn say(&mut self, verdicts: Vec<Verdict>) -> Result<(), Failure> {
        if !self.args.json && !verdicts.is_empty() {
            let lines: Vec<_> = verdicts.iter().map(ToString::to_string).collect();
            print(
                &(lines.join(
                    "
",
                ) + "
"),
            )?;
        }
        self.verdicts.extend(verdicts);
        Ok(())
    }

    /// Ends with a configuration that cannot be used: on standard error, as `qseed run` does.
    fn refuse(mut self, verdicts: Vec<Verdict>) -> Result<(), Failure> {
        let lines: Vec<_> = verdicts.iter().map(Verdict::complaint).collect();
        self.verdicts = verdicts;
        if self.args.json {
            self.print_document()?;
        }
        let code = self.code().unwrap_or(Code::Configuration);
        Err(Failure::new(code, lines.join("\n")))
    }

    fn conclude(self) -> Result<(), Failure> {
        if self.args.json {
            self.print_document()?;
        }
        let number = |name| {
            self.verdicts
                .iter()
                .filter(|v| v.finding.name() == name)
                .count()
        };
        let (faults, warnings) = (number("fault"), number("warning"));
        if let Some(code) = self.code() {
            let found = format!("{}, {}", count(faults, "fault"), count(warnings, "warning"));
            let text = format!("{found}: see the fix next to each");
            return Err(Failure::new(code, text));
        }
        if self.args.json {
            return Ok(());
        }
        print(&match warnings {
            0 => "All is well.\n".to_owned(),
            n => format!("No faults, {}.\n", count(n, "warning")),
        })
    }

    /// What the command exits with: a fault of the configuration before one of permission, and
    /// that before what is out of reach, which may follow from either.
    fn code(&self) -> Option<Code> {
        let has = |code| {
            self.verdicts
                .iter()
                .any(|v| v.finding == Finding::Fault(code))
        };
        let codes = [Code::Configuration, Code::Permission, Code::Unavailable];
        codes.into_iter().find(|code| has(*code))
    }

    fn print_document(&self) -> Result<(), Failure> {
        let has = |name: &str| self.verdicts.iter().any(|v| v.finding.name() == name);
        let result = ["fault", "warning"].into_iter().find(|name| has(name));
        let verdicts: Vec<_> = self.verdicts.iter().map(Verdict::document).collect();
        print_json(&json!({
            "version": env!("CARGO_PKG_VERSION"),
            "config": self.args.config.config.to_string_lossy(),
            "login": self.args.login,
            "probe": self.args.probe,
            "verdicts": verdicts,
            "result": result.unwrap_or("ok"),
        }))
    }
}
