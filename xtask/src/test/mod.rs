//! `cargo xtask test`: everything that has to hold, step by step.

mod rules;
mod steps;
mod tools;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::failure::Failure;
use crate::packages;
use crate::process::Stop;
use crate::workspace::Workspace;
use steps::{Outcome, Steps};

/// `cargo xtask test`
#[derive(Args)]
pub(crate) struct TestArgs {
    /// Only the steps whose names begin so, for example `clippy` or `fuzz`; `quick` checks in under
    /// two minutes what an edit breaks most often: format, clippy, unit tests, the engine's
    /// simulation in short, and the house's rules
    #[arg(value_name = "STEP")]
    steps: Vec<String>,
    /// How long each fuzz target runs, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    fuzz: u32,
}

const MINUTE: Duration = Duration::from_secs(60);

/// The word that asks for [`quick`] instead of everything.
const QUICK: &str = "quick";

/// Runs the steps, each even when one before it failed. Whether all passed.
pub(crate) async fn test(
    args: &TestArgs,
    workspace: &Workspace,
    stop: &mut Stop,
) -> Result<bool, Failure> {
    let is_quick = args.steps == [QUICK];
    let only = if is_quick { &[] } else { &args.steps[..] };
    let mut steps = Steps::new(workspace, only, stop)?;
    if is_quick {
        quick(&mut steps).await?;
    } else {
        everything(&mut steps, args.fuzz).await?;
    }
    rules::check(&mut steps).await?;
    steps.finish()
}

async fn everything(steps: &mut Steps<'_>, fuzz_seconds: u32) -> Result<(), Failure> {
    if steps.begin("packages") {
        let installed = packages::install(packages::TEST, steps.stop()).await;
        steps.end(Outcome::of(installed)?);
    }
    // Every test finds the programs and the module that it starts.
    steps
        .cargo("build", &["build", "--workspace", "--locked"], 20 * MINUTE)
        .await?;
    lints(steps).await?;
    let mut docs = steps
        .workspace()
        .cargo(&["doc", "--workspace", "--no-deps", "--locked"]);
    docs.env("RUSTDOCFLAGS", "-D warnings");
    steps.command("docs", &mut docs, 15 * MINUTE).await?;
    let tests = ["test", "--workspace", "--locked", "--no-fail-fast"];
    let mut tests = steps.workspace().cargo(&tests);
    // Most of them wait for a daemon most of the time.
    tests.env("RUST_TEST_THREADS", "8");
    steps.tests("tests", &mut tests, 30 * MINUTE).await?;
    fuzz(steps, fuzz_seconds).await?;
    licences(steps).await
}

/// What an edit breaks most often. It starts no daemon and needs no token; of the packages it needs
/// the compiler for C++ alone.
async fn quick(steps: &mut Steps<'_>) -> Result<(), Failure> {
    lints(steps).await?;
    let target = steps.workspace().target().join("fuzz");
    let fuzzers = ["check", "--manifest-path", "fuzz/Cargo.toml", "--locked"];
    let mut fuzzers = steps.workspace().cargo(&fuzzers);
    fuzzers.arg("--target-dir").arg(target);
    steps
        .command("check fuzz", &mut fuzzers, 15 * MINUTE)
        .await?;
    let tests = ["test", "--workspace", "--locked", "--no-fail-fast"];
    let mut tests = steps.workspace().cargo(&tests);
    tests.args(["--lib", "--bins"]);
    for name in QUICK_TESTS {
        tests.args(["--test", name]);
    }
    tests.env("QSEED_SIMULATION_RUNS", "20");
    steps.tests("quick tests", &mut tests, 15 * MINUTE).await
}

/// The test programs of the engine and of the configuration, which need nothing but themselves.
const QUICK_TESTS: &[&str] = &[
    "scenarios",
    "simulation",
    "faults",
    "files",
    "forms",
    "secrets",
];

async fn lints(steps: &mut Steps<'_>) -> Result<(), Failure> {
    steps
        .cargo("format", &["fmt", "--all", "--", "--check", "-l"], MINUTE)
        .await?;
    let fuzzers = ["fmt", "--manifest-path", "fuzz/Cargo.toml"];
    let fuzzers = [&fuzzers[..], &["--", "--check", "-l"]].concat();
    steps.cargo("format fuzz", &fuzzers, MINUTE).await?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--locked"];
    let clippy = [&clippy[..], &["--", "-D", "warnings"]].concat();
    steps.cargo("clippy", &clippy, 15 * MINUTE).await
}

/// Each fuzz target, for a short while from its corpus. What it finds new stays out of the corpus.
async fn fuzz(steps: &mut Steps<'_>, seconds: u32) -> Result<(), Failure> {
    let workspace = steps.workspace();
    if !steps.wants("fuzz") {
        return Ok(());
    }
    let targets = match fuzz_targets(workspace).await {
        Ok(targets) => targets,
        Err(failure) => {
            steps.begin("fuzz");
            steps.end(Outcome::of(Err(failure))?);
            return Ok(());
        }
    };
    for target in targets {
        steps.begin(&format!("fuzz {target}"));
        let outcome = match tools::need_cargo_fuzz(steps).await {
            Ok(()) => fuzz_target(steps, workspace, &target, seconds).await,
            Err(failure) => Outcome::of(Err(failure)),
        };
        steps.end(outcome?);
    }
    Ok(())
}

async fn fuzz_targets(workspace: &Workspace) -> Result<Vec<String>, Failure> {
    let packages = workspace.packages("fuzz/Cargo.toml").await?;
    let targets: Vec<_> = packages
        .into_iter()
        .flat_map(|package| package.programs)
        .collect();
    if targets.is_empty() {
        return Err(Failure::said("fuzz/Cargo.toml names no fuzz target"));
    }
    Ok(targets)
}

async fn fuzz_target(
    steps: &mut Steps<'_>,
    workspace: &Workspace,
    target: &str,
    seconds: u32,
) -> Result<Outcome, Failure> {
    let found = tempfile::tempdir().map_err(Failure::io("a folder for the fuzzer"))?;
    let corpus = workspace.root().join("fuzz/corpus").join(target);
    let mut command = workspace.cargo(&["fuzz", "run", "--sanitizer", "none"]);
    command
        .env("RUSTC_BOOTSTRAP", "1")
        .arg("--target-dir")
        .arg(workspace.target().join("fuzz"))
        .arg(target)
        .arg(found.path());
    if corpus.is_dir() {
        command.arg(corpus);
    }
    command.args(["--", &format!("-max_total_time={seconds}")]);
    if let Some(dictionary) = dictionary(workspace, target) {
        command.arg(format!("-dict={}", dictionary.display()));
    }
    let deadline = 10 * MINUTE + Duration::from_secs(seconds.into());
    steps.run(&mut command, deadline).await
}

/// The words of a target's language: `config.dict` for `config`, `answer.dict` for `kib_answer`.
fn dictionary(workspace: &Workspace, target: &str) -> Option<PathBuf> {
    let kind = target.rsplit('_').next().unwrap_or(target);
    let file = workspace.root().join("fuzz").join(format!("{kind}.dict"));
    file.is_file().then_some(file)
}

/// The licences, sources and duplicates of the dependencies, as deny.toml wants them.
async fn licences(steps: &mut Steps<'_>) -> Result<(), Failure> {
    if !steps.begin("licences") {
        return Ok(());
    }
    let outcome = match tools::need_cargo_deny(steps).await {
        Ok(()) => {
            let check = ["deny", "--locked", "check", "licenses", "bans", "sources"];
            let mut command = steps.workspace().cargo(&check);
            steps.run(&mut command, 5 * MINUTE).await
        }
        Err(failure) => Outcome::of(Err(failure)),
    };
    steps.end(outcome?);
    Ok(())
}
