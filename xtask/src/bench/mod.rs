//! `cargo xtask bench`: qseed compared with a client that makes a new connection for each request and
//! reads the system's authorities for it, which is the way of the program that qseed replaces.
//!
//! Both run at once, against one service, with one bundle of authorities, and what is judged is
//! the ratio: figures of two machines, or of two hours on one, do not compare.

mod checks;
mod client;
mod daemons;
mod ledger;
mod procfs;
mod recording;
mod stage;
mod starts;

use std::time::Duration;

use clap::Args;

use crate::failure::Failure;
use crate::packages;
use crate::process::{Stop, run_shown};
use crate::workspace::Workspace;
use stage::Stage;

/// `cargo xtask bench`
#[derive(Args)]
pub(crate) struct BenchArgs {
    /// Ten minutes instead of one, and 10^10 bytes through the delivery checks
    #[arg(long)]
    long: bool,
}

/// One line of the table, and whether it is as good as it has to be.
struct Row {
    what: String,
    qseed: String,
    compared_with: String,
    verdict: String,
    good: bool,
}

/// Measures. Whether every target was met.
pub(crate) async fn bench(
    args: &BenchArgs,
    workspace: &Workspace,
    stop: &mut Stop,
) -> Result<bool, Failure> {
    packages::install(packages::BENCH, stop).await?;
    println!("Building for release …");
    let packages = [
        "qseed",
        "qseed-entropy-service",
        "qseed-faulty-token",
        "qseed-checks-speed",
    ];
    let build = packages.iter().flat_map(|package| ["--package", package]);
    let build: Vec<_> = ["build", "--release", "--locked"]
        .into_iter()
        .chain(build)
        .collect();
    run_shown(&mut workspace.cargo(&build), stop).await?;
    let programs = workspace.target().join("release");
    tokio::select! {
        rows = measure(args, &programs) => {
            let rows = rows?;
            print_table(&rows);
            Ok(rows.iter().all(|row| row.good))
        }
        () = stop.asked() => Err(Failure::Stopped),
    }
}

async fn measure(args: &BenchArgs, programs: &std::path::Path) -> Result<Vec<Row>, Failure> {
    let (window, bytes) = if args.long {
        (Duration::from_secs(600), 10_000_000_000)
    } else {
        (Duration::from_secs(60), 500_000_000)
    };
    let stage = Stage::set(programs).await?;
    let mut rows = vec![starts::compare(&stage).await?];
    rows.extend(daemons::compare(&stage, window).await?);
    rows.extend(ledger::compare(&stage.service, programs, window).await?);
    rows.push(checks::compare(&programs.join("checks-speed"), bytes).await?);
    stage.service.end().await?;
    Ok(rows)
}

fn print_table(rows: &[Row]) {
    println!("\n| measured | qseed | compared with | result |\n|---|---|---|---|");
    for Row {
        what,
        qseed,
        compared_with,
        verdict,
        good,
    } in rows
    {
        let mark = if *good { "" } else { " **missed**" };
        println!("| {what} | {qseed} | {compared_with} | {verdict}{mark} |");
    }
}

/// The middle one of several measurements.
fn median(mut of: Vec<Duration>) -> Duration {
    of.sort();
    of.get(of.len() / 2).copied().unwrap_or_default()
}

/// Milliseconds, for people.
fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}
