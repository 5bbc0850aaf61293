//! `aics-tlog` checks a folder.

use std::path::Path;

use serde::Deserialize;

use crate::python;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/check.py");

/// How much of each kind was checked and found true.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The size and the root, in base64, that were computed from the lines for each checkpoint.
    pub checkpoints: Vec<(u64, String)>,
    /// The checkpoints that have an ML-DSA-44 signature too.
    pub strong: usize,
    /// Proofs of single records.
    pub proofs: usize,
    /// Consistency proofs.
    pub consistency: usize,
    /// The files of the tiles, of hashes and of entries.
    pub tiles: usize,
}

/// Checks what is in the folder, whose parts are all but the first two optional:
///
/// - `vkeys`: the ledger's keys, one a line, the Ed25519 key first
/// - `lines`: the ledger from its first line on
/// - `checkpoints/*`: signed notes
/// - `proofs/*.tlog-proof`: with the record's line as `extra`
/// - `consistency/*`: as a body for a witness' `add-checkpoint`
/// - `tiles/checkpoint` and `tiles/tile/…`
///
/// # Errors
/// What did not hold, as Python says it.
pub fn check(folder: &Path) -> Result<Report, String> {
    let mut command = python::command(&python::interpreter());
    let output = command.arg(SCRIPT).arg(folder).output();
    let output = output.expect("Python is there");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(serde_json::from_slice(&output.stdout).expect("a report"))
}
