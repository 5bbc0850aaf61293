//! qseed seeds PKCS#11 hardware security modules with entropy from entropy services.
//!
//! `docs/architecture.md` is the way in; [`run`] is the daemon.

mod assemble;
mod check;
mod cli;
mod exit;
mod guard;
mod guard_file;
mod harden;
mod log;
mod pin_outcome;
mod print;
mod run;
mod say;
mod slots;
mod visit;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use cli::{Cli, Command};
use exit::Code;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are asked for and go to standard output.
            let _ = error.print();
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
                _ => ExitCode::from(Code::Usage as u8),
            };
        }
    };
    let result = match cli.command.unwrap_or(Command::Run(cli.run)) {
        Command::Run(args) => run::run(args),
        Command::Worker => return qseed_tokens::worker::run(),
        Command::Check(args) => check::check(&args),
        Command::Slots(args) => slots::slots(&args),
        Command::Guard(args) => guard::guard(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
