//! qseed seeds PKCS#11 hardware security modules with entropy from entropy services.
//!
//! `docs/architecture.md` is the way in; [`run`] is the daemon.

mod assemble;
mod cli;
mod exit;
mod guard_file;
mod harden;
mod log;
mod run;
mod say;

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
        Command::Check(_) | Command::Slots(_) | Command::Guard(_) => todo!(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
