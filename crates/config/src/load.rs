//! Reading the file, with bounds, and judging who else can read it and the secrets' files.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use qseed_secrets::{Exposed, SecretError, exposed, read_regular};
use zeroize::Zeroizing;

use crate::config::Config;
use crate::exposure::{Exposure, NamedSecret};
use crate::report::{Place, Report, single};
use crate::{Loaded, MAX_CONFIG_BYTES, parse_in};

/// How strictly a configuration is loaded.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadOptions {
    /// Whether secrets that other users can read are warned of instead of refused.
    pub allow_readable_secrets: bool,
    /// Whether root may act for a daemon of another user: files that the state directory's owner
    /// owns are trusted, and those of other users are warned of.
    pub for_another_user: bool,
}

impl LoadOptions {
    /// For root that acts for a daemon: the daemon's user, as far as anybody can tell.
    fn owner_whose_files_are_trusted(self, config: &Config) -> Option<u32> {
        let acts = self.for_another_user && rustix::process::geteuid().is_root();
        acts.then(|| std::fs::metadata(&config.state_dir).map_or(0, |folder| folder.uid()))
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file is missing, may not be read, or is no file.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file says something wrong.
    #[error("{0}")]
    Faulty(Report),
    /// Other users can read secrets, or write what qseed trusts.
    #[error("{}", lines(.0))]
    Exposed(Vec<Exposure>),
}

/// What works but is probably not meant, or does not work yet.
#[derive(Debug, thiserror::Error)]
pub enum Warning {
    /// Something in the file, behind `FILE:LINE:COLUMN: `.
    #[error("{0}")]
    Content(String),
    /// Other users can do more with a file than they should.
    #[error("{0}")]
    Exposed(Exposure),
    /// A secret cannot be read now.
    #[error("{what}: {why}")]
    Secret {
        /// What it is for.
        what: String,
        /// Why it cannot be read.
        why: SecretError,
    },
}

/// Reads, validates and judges the configuration at `path`. Of a file of any length, at most
/// 1 MiB is read. The permissions of secrets' files are checked; the files are not read.
///
/// # Errors
/// [`LoadError`], with every fault at once.
pub fn load(path: &Path, options: &LoadOptions) -> Result<Loaded, LoadError> {
    let bytes = read(path)?;
    let file_name = path.display().to_string();
    // Only an empty path has no folder and was not read.
    let folder = std::path::absolute(path).unwrap_or_default();
    let folder = folder.parent().unwrap_or(&folder).to_owned();
    let text = text_of(&bytes, &file_name).map_err(LoadError::Faulty)?;
    let Loaded {
        config,
        mut warnings,
    } = parse_in(folder, text, &file_name).map_err(LoadError::Faulty)?;
    let owner = options.owner_whose_files_are_trusted(&config);
    let (allowed, refused): (Vec<_>, Vec<_>) = exposures(path, &config, &mut warnings)
        .into_iter()
        .filter(|it| !matches!(it.fault, Exposed::Owned(user) if Some(user) == owner))
        .partition(|it| match it.fault {
            Exposed::Readable => options.allow_readable_secrets,
            Exposed::Owned(_) => owner.is_some(),
            Exposed::Writable => false,
        });
    if !refused.is_empty() {
        return Err(LoadError::Exposed(refused));
    }
    warnings.extend(allowed.into_iter().map(Warning::Exposed));
    Ok(Loaded { config, warnings })
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, LoadError> {
    let unreadable = |source| LoadError::Unreadable {
        path: path.to_owned(),
        source,
    };
    read_regular(path, MAX_CONFIG_BYTES).map_err(|why| match why.kind() {
        io::ErrorKind::FileTooLarge => {
            LoadError::Faulty(crate::too_long(&path.display().to_string()))
        }
        _ => unreadable(why),
    })
}

fn text_of<'bytes>(bytes: &'bytes [u8], file_name: &str) -> Result<&'bytes str, Report> {
    std::str::from_utf8(bytes).map_err(|error| {
        let valid = &bytes[..error.valid_up_to()];
        let before = String::from_utf8_lossy(valid);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        let place = Place {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        };
        single(file_name, place, "not UTF-8", "save the file as UTF-8")
    })
}

/// The files that others can read or change. Secrets that cannot be read now are warned of: they
/// may come later.
fn exposures(path: &Path, config: &Config, warnings: &mut Vec<Warning>) -> Vec<Exposure> {
    let mut exposures = Vec::new();
    let secrets = config.secrets();
    let literal = secrets.iter().find(|secret| secret.reference.is_literal());
    // The file has just been read; one that has gone since exposes nothing.
    for fault in exposed(path).unwrap_or_default() {
        let what = match (fault, literal) {
            (Exposed::Readable, Some(literal)) => &literal.what,
            (Exposed::Readable, None) => continue,
            _ => "the configuration",
        };
        exposures.push(Exposure::new(path, what, fault));
    }
    let mut seen = BTreeSet::new();
    for NamedSecret { what, reference } in secrets {
        if let Some(file) = reference.path()
            && seen.insert(file.clone())
        {
            exposures.extend(Exposure::of_secret(&file, &what));
        }
        if let Err(why) = reference.examine() {
            warnings.push(Warning::Secret { what, why });
        }
    }
    if let Some(anchor) = config
        .audit
        .as_ref()
        .and_then(|audit| audit.anchor.as_ref())
    {
        let program = &anchor.program;
        let faults = exposed(program).unwrap_or_default();
        let changes = faults.into_iter().filter(|it| *it != Exposed::Readable);
        exposures.extend(changes.map(|fault| Exposure::new(program, "the anchor command", fault)));
    }
    exposures
}

fn lines(exposures: &[Exposure]) -> String {
    exposures
        .iter()
        .map(Exposure::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}
