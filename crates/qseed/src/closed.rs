//! The files of qseed's own that are closed to modules.

use std::path::{Path, PathBuf};

use qseed_config::{Config, Module};
use qseed_sandbox::{Closed, is_closable};

use crate::print::count;

/// Files that a module must not open: qseed's configuration, state and ledger, and every secret
/// but the PINs of the module's own partitions.
pub(crate) fn closed_to(module: &Module, config: &Config, file: &Path) -> Vec<Closed> {
    let partitions = config.partitions.iter();
    let own = partitions.filter(|it| it.module == module.path);
    let own = own.filter_map(|it| it.secret()?.reference.path());
    let own: Vec<_> = own.map(real).collect();
    let mut all = all(config, file);
    all.retain(|closed| !matches!(closed, Closed::File(path) if own.contains(&real(path.clone()))));
    all
}

/// A file, whatever links lead to it.
fn real(path: PathBuf) -> PathBuf {
    std::fs::canonicalize(&path).unwrap_or(path)
}

/// What is closed to one module or another.
fn all(config: &Config, file: &Path) -> Vec<Closed> {
    let mut all = vec![
        Closed::File(file.to_owned()),
        Closed::FilesIn(config.state_dir.clone()),
    ];
    all.extend(config.audit.iter().filter_map(|audit| {
        let ledger = config.state_dir.join(&audit.file);
        let is_elsewhere = ledger.parent() != Some(&config.state_dir);
        is_elsewhere.then(|| Closed::BeginningWith(ledger.with_extension("")))
    }));
    let secrets = config.secrets();
    let secrets = secrets.iter().filter_map(|secret| secret.reference.path());
    all.extend(secrets.map(Closed::File));
    all.sort_unstable();
    all.dedup();
    all
}

/// What a module can open although it should not, since of what lies beside it a module may need
/// something that is made later.
pub(crate) fn open_to_modules(config: &Config, file: &Path) -> Option<String> {
    let all = all(config, file);
    let mut folders: Vec<PathBuf> = all
        .into_iter()
        .filter(|closed| !is_closable(closed))
        .filter_map(|closed| match closed {
            Closed::FilesIn(folder) => Some(folder),
            Closed::File(path) | Closed::BeginningWith(path) => path.parent().map(Path::to_owned),
        })
        .collect();
    folders.sort_unstable();
    folders.dedup();
    let first = folders.first()?.display();
    let more = match folders.len() - 1 {
        0 => String::new(),
        more => format!(" and {}", count(more, "more folder")),
    };
    Some(format!(
        "Modules can open qseed's files in {first}{more}: qseed closes only files below /etc, /run, \
         /srv and /var to them, since elsewhere modules may make files of their own"
    ))
}
