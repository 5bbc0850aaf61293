//! The client that qseed is measured against: libcurl's, with a new connection a request.

use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::Command;

use super::procfs::cpu_of_ended_children;
use super::stage::{PIN, Stage, label};
use crate::failure::Failure;
use crate::process::name_of;

/// One run of a program: CPU and wall-clock time.
#[derive(Clone, Copy, Default)]
pub(super) struct Spent {
    pub(super) cpu: Duration,
    pub(super) wall: Duration,
}

/// Gets 48 bytes: reads the authorities, connects, asks, ends.
pub(super) async fn request(stage: &Stage) -> Result<Spent, Failure> {
    let mut command = Command::new("curl");
    command
        .args([
            "--silent",
            "--show-error",
            "--fail",
            "--output",
            "/dev/null",
            "--cacert",
        ])
        .arg(&stage.bundle)
        .args([
            "--header",
            &format!("Authorization: Bearer {}", stage.service.token),
        ])
        .args(["--header", "Content-Type: application/json"])
        .args(["--data", r#"{"block_size":48,"block_count":1}"#])
        .arg(format!("{}/api/v1/entropy", stage.service.url));
    run(&mut command).await
}

/// Starts and ends: what of a [`request`] is no part of it, since the program that qseed replaces
/// stays running.
pub(super) async fn start_only() -> Result<Spent, Failure> {
    run(Command::new("curl").arg("--version")).await
}

/// Loads the module that qseed loads, logs in, and makes one call of the generator's. It draws 48
/// bytes where qseed seeds 48: no program of the distribution calls `C_SeedRandom`.
pub(super) async fn use_token(stage: &Stage) -> Result<Spent, Failure> {
    let mut command = Command::new("pkcs11-tool");
    command
        .arg("--module")
        .arg(stage.module())
        .args(["--token-label", &label(0), "--login", "--pin"])
        .arg(PIN)
        .args(["--generate-random", "48"])
        .env("SOFTHSM2_CONF", stage.softhsm_configuration());
    run(&mut command).await
}

async fn run(command: &mut Command) -> Result<Spent, Failure> {
    let cpu = cpu_of_ended_children()?;
    let began = Instant::now();
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .env_remove("CURL_CA_BUNDLE")
        .kill_on_drop(true)
        .status()
        .await
        .map_err(Failure::io(name_of(command)))?;
    let wall = began.elapsed();
    if !status.success() {
        let name = name_of(command);
        return Err(Failure::said(format!("{name} did not succeed ({status})")));
    }
    let cpu = cpu_of_ended_children()?.saturating_sub(cpu);
    Ok(Spent { cpu, wall })
}
