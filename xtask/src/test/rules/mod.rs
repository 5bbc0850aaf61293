//! The house's rules: what docs/architecture.md promises of the code and no compiler checks.

mod circles;
mod dependencies;
mod documents;
mod rooms;
mod sources;
mod walls;

use std::fs;
use std::path::{Path, PathBuf};

use super::steps::{Outcome, Steps};
use crate::failure::Failure;

/// Each rule is a step of its own.
pub(super) async fn check(steps: &mut Steps<'_>) -> Result<(), Failure> {
    let workspace = steps.workspace();
    if steps.begin("rooms") {
        let faults = rooms::faults(workspace).await.and_then(|mut faults| {
            faults.extend(circles::faults(workspace.root())?);
            faults.extend(walls::faults(workspace.root())?);
            Ok(faults)
        });
        steps.end(outcome(faults)?);
    }
    if steps.begin("dependencies") {
        let faults = dependencies::faults(workspace).await;
        steps.end(outcome(faults)?);
    }
    if steps.begin("unsafe") {
        let faults = sources::outside_the_fences(workspace.root());
        steps.end(outcome(faults)?);
    }
    if steps.begin("lengths") {
        let faults = sources::too_long(workspace.root());
        steps.end(outcome(faults)?);
    }
    if steps.begin("documents") {
        let faults = documents::faults(workspace.root());
        steps.end(outcome(faults)?);
    }
    Ok(())
}

/// Lines that each name a place and what is wrong there.
type Faults = Vec<String>;

fn outcome(faults: Result<Faults, Failure>) -> Result<Outcome, Failure> {
    Outcome::of(faults.and_then(|faults| {
        if faults.is_empty() {
            Ok(())
        } else {
            Err(Failure::said(faults.join("\n")))
        }
    }))
}

/// The files of a kind below a folder of the repository, hidden ones and built ones left out.
fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    let mut to_look_at = vec![folder.to_owned()];
    while let Some(folder) = to_look_at.pop() {
        let context = || Failure::io(folder.display().to_string());
        for entry in fs::read_dir(&folder).map_err(context())? {
            let path = entry.map_err(context())?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let is_folder = path.is_dir() && !path.is_symlink();
            if is_folder && !name.starts_with('.') && name != "target" && name != "corpus" {
                to_look_at.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(Failure::io(path.display().to_string()))
}

/// A path as people write it in the repository.
fn from_root(path: &Path, root: &Path) -> String {
    path.strip_prefix(root)
        .unwrap_or(path)
        .display()
        .to_string()
}
