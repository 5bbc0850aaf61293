//! The configuration of qseed: both forms of the YAML file, validated, into one [`Config`].
//!
//! [`load()`] reads a file and judges who else can read its secrets; [`parse`] does everything that
//! needs no file. Each gives a configuration in which all is in range and consistent, or a
//! [`Report`] of every fault with its place. `docs/configuration.md` describes each key.
//!
//! The way through: text → `yaml` (a tree of marked nodes; anchors, tags and duplicate keys are
//! refused) → `section`, `scalar` (keys and values, each fault noted, reading goes on) → `decode`
//! (defaults and contradictions) → [`Config`].
//!
//! No fault and no warning shows a secret, or a value that may hold one.

mod audit;
mod config;
mod decode;
mod exposure;
mod keys;
mod load;
mod partition;
mod quantity;
mod report;
mod scalar;
mod section;
mod source;
mod suggest;
mod yaml;

pub use audit::{Anchor, Audit, AuditMode, Rotate, Witness};
pub use config::{Config, Form, Level, Log, LogFormat, Seeds};
pub use exposure::{Exposure, NamedSecret, shell_quoted};
pub use load::{LoadError, LoadOptions, Warning, load};
pub use partition::{Module, Partition, Pin};
pub use qseed_model::{
    Combine, Host, Login, Output, PostQuantum, Rate, Reserve, Scheme, TokenChoice, Url,
};
pub use report::{Fault, Place, Report};
pub use source::{Auth, Budget, Http, Source, SourceKind, Tls};
pub use suggest::near;

use std::path::PathBuf;

use report::{Findings, single};

/// The longest configuration that is read, in bytes: 1 MiB, room for thousands of partitions.
pub const MAX_CONFIG_BYTES: usize = 1 << 20;

/// A configuration that can be used.
#[derive(Debug)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// What works but is probably not meant, or does not work yet.
    pub warnings: Vec<Warning>,
}

/// Reads a configuration from `text`. `file_name` is what faults call the file.
///
/// # Errors
/// [`Report`] with every fault, at least one.
pub fn parse(text: &str, file_name: &str) -> Result<Loaded, Report> {
    parse_in(PathBuf::new(), text, file_name)
}

/// Reads a configuration whose relative paths count from `folder`.
fn parse_in(folder: PathBuf, text: &str, file_name: &str) -> Result<Loaded, Report> {
    if text.len() > MAX_CONFIG_BYTES {
        return Err(too_long(file_name));
    }
    let findings = Findings::new(folder);
    let config = yaml::read(text, &findings).and_then(|root| decode::config(&root, &findings));
    let (config, warnings) = findings.conclude(config, file_name)?;
    let warnings = warnings.into_iter().map(Warning::Content).collect();
    Ok(Loaded { config, warnings })
}

fn too_long(file_name: &str) -> Report {
    single(
        file_name,
        report::Place::START,
        "the file is longer than 1 MiB",
        "is it the right one? what partitions share belongs in `defaults`",
    )
}
