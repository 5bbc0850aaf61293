//! Cargo's subcommands that the steps need, installed where they are missing.

use std::time::Duration;

use super::steps::{Outcome, Steps};
use crate::failure::Failure;
use crate::process::output_of;

/// Longest time for building a tool.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

pub(super) async fn need_cargo_fuzz(steps: &mut Steps<'_>) -> Result<(), Failure> {
    need(steps, "fuzz", "cargo-fuzz", "^0.13").await
}

pub(super) async fn need_cargo_deny(steps: &mut Steps<'_>) -> Result<(), Failure> {
    need(steps, "deny", "cargo-deny", "^0.20").await
}

async fn need(
    steps: &mut Steps<'_>,
    subcommand: &str,
    package: &str,
    version: &str,
) -> Result<(), Failure> {
    let mut there = steps.workspace().cargo(&[subcommand, "--version"]);
    if output_of(&mut there).await.is_ok() {
        return Ok(());
    }
    Steps::mention(&format!("installing {package}"));
    let install = ["install", "--locked", package, "--version", version];
    let mut command = steps.workspace().cargo(&install);
    match steps.run(&mut command, PATIENCE).await? {
        Outcome::Passed(_) => Ok(()),
        Outcome::Failed(why) => Err(Failure::said(why)),
    }
}
