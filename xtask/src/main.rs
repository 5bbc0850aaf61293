//! What the README's commands run: `cargo xtask test`, `demo` and `bench`.

mod bench;
mod daemon;
mod demo;
mod failure;
mod packages;
mod process;
mod softhsm;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::Failure;
use process::Stop;
use workspace::Workspace;

/// Works on qseed: tests it, shows it, measures it
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Checks everything; installs what that needs. The last line says how it went
    Test(test::TestArgs),
    /// Seeds three software tokens from a simulated entropy service, before your eyes
    Demo(demo::DemoArgs),
    /// Measures qseed against a client that opens a connection for each request
    Bench(bench::BenchArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli.task) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Failure::Stopped) => {
            eprintln!("xtask: stopped");
            // As a shell reports a program that SIGINT ended.
            ExitCode::from(130)
        }
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the task found everything as it should be.
fn run(task: Task) -> Result<bool, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::io("starting"))?;
    runtime.block_on(async {
        let workspace = Workspace::find()?;
        let mut stop = Stop::listen()?;
        match task {
            Task::Test(args) => test::test(&args, &workspace, &mut stop).await,
            Task::Demo(args) => demo::demo(&args, &workspace, &mut stop).await,
            Task::Bench(args) => bench::bench(&args, &workspace, &mut stop).await,
        }
    })
}
