//! `qseed run`: the daemon.
//!
//! One thread waits for the next thing that happens, hands it to the engine, and carries out what
//! the engine decides. Sources are tasks on that thread; modules are processes; the files of the
//! state directory, which wait for a disk, have a thread of their own.

mod anchors;
mod config_source;
mod daemon;
mod ledger_desk;
mod manager;
mod orphans;
mod processes;
mod records;
mod reports;
mod secret_files;
mod service;
mod sources;
mod state_files;
mod timer;
mod usage;

use std::sync::Arc;

use qseed_config::{LoadError, Loaded};
use qseed_engine::Event;
use qseed_ledger::record::Body;
use qseed_secrets::environment;
use qseed_tokens::supervisor::WorkerEvent;

pub(crate) use config_source::ConfigSource;
pub(crate) use usage::NAME as USAGE;

use crate::cli::{ConfigArgs, RunArgs};
use crate::exit::{Code, Failure};
use crate::harden::Hardening;
use crate::log::Entry;
use crate::state_dir::Acting;

/// What sources and the thread of the state files report to the daemon.
#[derive(Debug)]
enum Incoming {
    /// A source reports something.
    Source(sources::SourceEvent),
    /// Something for the engine.
    Engine(Event),
    /// A line for the log.
    Log(Entry),
    /// Something for the ledger.
    Record(Box<Body>),
}

/// Workers' events come with the number of the worker's life.
type FromWorkers = (u32, WorkerEvent);

/// Runs the daemon until it is stopped, or, with `--once`, until every partition was tried.
pub(crate) fn run(args: RunArgs) -> Result<(), Failure> {
    let mut hardening = Hardening::begin();
    let taken = environment::take_over();
    let Loaded { config, warnings } = load(&args.config, Acting::ForItself)?;
    // Returns only if there are none, or if they stay where they are.
    let taken = taken.and_then(|()| environment::execute_without(&config.secret_variables()));
    hardening.add_environment(taken);
    let hardening = hardening.of(&config, &args.config.config);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .thread_stack_size(256 * 1024)
        .build()
        .map_err(|error| Failure::internal("cannot start", error))?;
    // A task, and not the runtime's root: waking the root costs two system calls each time.
    let daemon = runtime.spawn(async move {
        daemon::Daemon::start(args, config, &warnings, &hardening)?
            .run()
            .await
    });
    let result = runtime
        .block_on(daemon)
        .unwrap_or_else(|error| Err(Failure::internal("the daemon ended", error)));
    // A name that is still being looked up must not hold the end up.
    runtime.shutdown_background();
    result
}

/// Loads the configuration, for any command.
pub(crate) fn load(args: &ConfigArgs, acting: Acting) -> Result<Loaded, Failure> {
    crate::assemble::load(args, acting).map_err(|error| load_failure(&error))
}

fn load_failure(error: &LoadError) -> Failure {
    match error {
        LoadError::Unreadable { source, .. } => {
            let (code, advice) = unreadable(source);
            Failure::new(code, format!("{error}; {advice}"))
        }
        LoadError::Faulty(report) => Failure::new(Code::Configuration, report.to_string()),
        LoadError::Exposed(_) => Failure::new(Code::Permission, error.to_string()),
    }
}

/// What a configuration file that cannot be read means, and what to do.
pub(crate) fn unreadable(error: &std::io::Error) -> (Code, &'static str) {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            (Code::Permission, "let the user that qseed runs as read it")
        }
        std::io::ErrorKind::NotFound => (
            Code::Configuration,
            "write it there, or name another one with --config FILE or $QSEED_CONFIG_FILE",
        ),
        _ => (Code::Configuration, "name a configuration file"),
    }
}

/// What the daemon and the thread of the state files share.
type Flag = Arc<std::sync::atomic::AtomicBool>;
