//! Where things are in the workspace, and how cargo is called.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::process::Command;

use crate::failure::Failure;
use crate::process::output_of;

/// The workspace that this program was built from.
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

/// A package of the workspace.
pub(crate) struct Package {
    pub(crate) name: String,
    /// Names of its programs.
    pub(crate) programs: Vec<String>,
    /// What it needs in use, not only for building or testing, and on any system.
    pub(crate) uses: BTreeSet<String>,
    /// Everything that it names in its Cargo.toml and that comes from a registry.
    pub(crate) from_registry: BTreeSet<String>,
}

impl Workspace {
    /// Finds it from where this program's source was.
    pub(crate) fn find() -> Result<Self, Failure> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = here
            .parent()
            .filter(|root| root.join("Cargo.lock").is_file());
        let root = root.ok_or_else(|| {
            let here = here.display();
            Failure::said(format!(
                "{here} is gone: run `cargo xtask` in the workspace"
            ))
        })?;
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from);
        Ok(Self {
            root: root.to_owned(),
            target: root.join(target),
        })
    }

    /// The repository's folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where cargo puts what it makes.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Cargo, called in the workspace.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.current_dir(&self.root).args(arguments);
        // What `cargo run` tells this program about itself is not for the packages it builds.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                command.env_remove(name.as_ref());
            }
        }
        command
    }

    /// The packages of the workspace, or of the one whose Cargo.toml is given.
    pub(crate) async fn packages(&self, manifest: &str) -> Result<Vec<Package>, Failure> {
        let mut command = self.cargo(&["metadata", "--no-deps", "--locked", "--format-version=1"]);
        let text = output_of(command.args(["--manifest-path", manifest])).await?;
        let metadata: Value = serde_json::from_str(&text)
            .map_err(|error| Failure::said(format!("cargo metadata: {error}")))?;
        Ok(list(&metadata["packages"]).map(package).collect())
    }
}

fn package(value: &Value) -> Package {
    let named = |wanted: &dyn Fn(&Value) -> bool| {
        let found = list(&value["dependencies"]).filter(|dependency| wanted(dependency));
        found.map(|dependency| text(&dependency["name"])).collect()
    };
    let programs =
        list(&value["targets"]).filter(|target| list(&target["kind"]).any(|kind| kind == "bin"));
    Package {
        name: text(&value["name"]),
        programs: programs.map(|target| text(&target["name"])).collect(),
        uses: named(&|dependency| dependency["kind"].is_null()),
        from_registry: named(&|dependency| !dependency["source"].is_null()),
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
