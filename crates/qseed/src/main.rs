//! qseed seeds PKCS#11 hardware security modules with entropy from entropy services.
//!
//! `docs/architecture.md` is the way in; [`run`] is the daemon.

mod advice;
mod assemble;
mod audit;
mod check;
mod cli;
mod closed;
mod exit;
mod guard;
mod guard_file;
mod harden;
mod ledger;
mod log;
mod module_worker;
mod print;
mod random;
mod run;
mod say;
mod slots;
mod state_dir;

use std::process::ExitCode;

use clap::error::ErrorKind;

use cli::Command;
use exit::{Code, Failure};

/// Wipes all memory that is freed, in the daemon and in workers: what hyper, rustls, serde and the
/// standard library copy as well as what this program does. Its unit tests may link the faulty
/// token, which has one of its own.
#[cfg(not(test))]
#[global_allocator]
static WIPES: zeroizing_alloc::ZeroAlloc<std::alloc::System> =
    zeroizing_alloc::ZeroAlloc(std::alloc::System);

fn main() -> ExitCode {
    let command = match cli::parse(std::env::args_os()) {
        Ok(command) => command,
        Err(error) => return not_parsed(&error),
    };
    let result = match command {
        Command::Run(args) => run::run(args),
        Command::Worker => return qseed_tokens::worker::run(),
        Command::Check(args) => check::check(&args),
        Command::Slots(args) => slots::slots(&args),
        Command::Guard(args) => guard::guard(&args),
        Command::Audit(args) => audit::audit(&args.command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn not_parsed(error: &clap::Error) -> ExitCode {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        // They are asked for and go to standard output.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    Failure::new(Code::Usage, log::printable(&cli::complaint(error))).report()
}
