//! docs/dependencies.md has a line for each dependency, and none for what is no longer one.

use std::collections::BTreeSet;

use super::{Faults, read};
use crate::failure::Failure;
use crate::workspace::Workspace;

const FILE: &str = "docs/dependencies.md";

pub(super) async fn faults(workspace: &Workspace) -> Result<Faults, Failure> {
    let mut used = BTreeSet::new();
    for manifest in ["Cargo.toml", "fuzz/Cargo.toml"] {
        for package in workspace.packages(manifest).await? {
            used.extend(package.from_registry);
        }
    }
    let described = described(&read(&workspace.root().join(FILE))?);
    let missing = used.difference(&described);
    let missing = missing.map(|name| format!("{FILE}: a line for {name} is missing"));
    let stale = described.difference(&used);
    let stale = stale.map(|name| format!("{FILE}: nothing uses {name}"));
    Ok(missing.chain(stale).collect())
}

/// The crates that a row of a table begins with, between backquotes.
fn described(text: &str) -> BTreeSet<String> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let names = rows.filter_map(|row| row.split('`').next());
    names.map(str::to_owned).collect()
}
