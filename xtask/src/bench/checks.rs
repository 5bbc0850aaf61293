//! The delivery checks compared with a plain digest of the same bytes.

use std::path::Path;

use serde_json::Value;
use tokio::process::Command;

use super::Row;
use crate::failure::Failure;
use crate::process::output_of;

/// Least throughput of the checks, in MB/s on one core: far above the 0.8 MB/s that Qrypt's rate limit allows.
const LEAST: f64 = 20.0;

pub(super) async fn compare(program: &Path, bytes: u64) -> Result<Row, Failure> {
    println!("Checking {bytes} bytes …");
    let said = output_of(Command::new(program).arg(bytes.to_string())).await?;
    let facts: Value = serde_json::from_str(&said).unwrap_or_default();
    let number = |name: &str| {
        let number = facts[name].as_f64();
        number.ok_or_else(|| Failure::said(format!("checks-speed does not tell its {name}")))
    };
    let (bytes, alarms) = (number("bytes")?, number("alarms")?);
    let speed = |seconds: f64| bytes / seconds / 1e6;
    let checks = speed(number("checks_seconds")?);
    let digest = speed(number("sha256_seconds")?);
    Ok(Row {
        what: format!("delivery checks and SHA-256, over the same {bytes:.1e} bytes"),
        qseed: format!("{checks:.0} MB/s, {alarms} alarms"),
        compared_with: format!("{digest:.0} MB/s"),
        verdict: format!(
            "{:.2} of SHA-256's speed; at least {LEAST:.0} MB/s, no alarm",
            checks / digest
        ),
        good: alarms == 0.0 && checks >= LEAST,
    })
}
