//! Reading the file, with bounds, and judging who else can read it and the secrets' files.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use qseed_secrets::{Exposed, NotRead, SecretRef, exposed, read_regular};
use zeroize::Zeroizing;

use crate::config::Config;
use crate::report::{Place, Report, single};
use crate::token_uri::JudgeUri;
use crate::{Loaded, MAX_CONFIG_BYTES, parse_in};

/// How strictly a configuration is loaded.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadOptions {
    /// Whether secrets that other users can read are warned of instead of refused.
    pub allow_readable_secrets: bool,
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

/// A file that other users can read or change, and should not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// The file.
    pub path: PathBuf,
    /// What of it is secret or trusted.
    pub what: String,
    /// What other users can do with it.
    pub fault: Exposed,
}

impl Exposure {
    /// The shell command that mends it.
    #[must_use]
    pub fn remedy(&self) -> String {
        let path = quoted(&self.path.to_string_lossy());
        match self.fault {
            Exposed::Readable => format!("chmod o-rwx {path}"),
            Exposed::Writable => format!("chmod go-w {path}"),
            Exposed::Owned(_) => {
                let user = rustix::process::geteuid().as_raw();
                format!("chown {user} {path}")
            }
        }
    }

    /// The fault without its remedy.
    #[must_use]
    pub fn text(&self) -> String {
        let (path, what) = (self.path.display(), &self.what);
        match self.fault {
            Exposed::Readable => format!("{path}: other users can read {what}"),
            Exposed::Writable => format!("{path}: other users can change {what}"),
            Exposed::Owned(user) => format!("{path}: user {user} owns and can change {what}"),
        }
    }
}

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; run: {}", self.text(), self.remedy())
    }
}

/// Reads, validates and judges the configuration at `path`. Of a file of any length, at most
/// 1 MiB is read. Secrets' files are looked at, not read. Of the tokens' URIs, only what they say
/// of PINs and modules is judged.
///
/// # Errors
/// [`LoadError`], with every fault at once.
pub fn load(path: &Path, options: &LoadOptions) -> Result<Loaded, LoadError> {
    load_judging(path, options, |_| Vec::new())
}

/// Loads a configuration like [`load()`], and has `judge` read the tokens' URIs.
///
/// # Errors
/// [`LoadError`], with every fault at once, those of the URIs among them.
pub fn load_judging(
    path: &Path,
    options: &LoadOptions,
    judge: JudgeUri,
) -> Result<Loaded, LoadError> {
    let bytes = read(path)?;
    let file_name = path.display().to_string();
    // Only an empty path has no folder and was not read.
    let folder = std::path::absolute(path).unwrap_or_default();
    let folder = folder.parent().unwrap_or(&folder).to_owned();
    let text = text_of(&bytes, &file_name).map_err(LoadError::Faulty)?;
    let Loaded {
        config,
        mut warnings,
    } = parse_in(folder, text, &file_name, judge).map_err(LoadError::Faulty)?;
    let (allowed, refused): (Vec<_>, Vec<_>) = exposures(path, &config, &mut warnings)
        .into_iter()
        .partition(|it| options.allow_readable_secrets && it.fault == Exposed::Readable);
    if !refused.is_empty() {
        return Err(LoadError::Exposed(refused));
    }
    warnings.extend(allowed.iter().map(Exposure::to_string));
    Ok(Loaded { config, warnings })
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, LoadError> {
    let unreadable = |source| LoadError::Unreadable {
        path: path.to_owned(),
        source,
    };
    read_regular(path, MAX_CONFIG_BYTES).map_err(|why| match why {
        NotRead::Io(source) => unreadable(source),
        NotRead::NoFile(what) => unreadable(io::Error::new(io::ErrorKind::InvalidInput, what)),
        NotRead::TooLong => LoadError::Faulty(crate::too_long(&path.display().to_string())),
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

/// The files that others can read or change. Secrets that are not there yet are warned of:
/// whoever reads them later says so if they are still missing.
fn exposures(path: &Path, config: &Config, warnings: &mut Vec<String>) -> Vec<Exposure> {
    let mut exposures = Vec::new();
    let secrets = config.secrets();
    let literal = secrets.iter().find(|secret| secret.reference.is_literal());
    // The file has just been read; one that has gone since exposes nothing.
    for fault in exposed(path).unwrap_or_default() {
        let what = match (fault, literal) {
            (Exposed::Readable, Some(literal)) => literal.what.clone(),
            (Exposed::Readable, None) => continue,
            _ => "the configuration".to_owned(),
        };
        exposures.push(Exposure {
            path: path.to_owned(),
            what,
            fault,
        });
    }
    let mut seen = BTreeSet::new();
    for secret in &secrets {
        if let Some(missing) = missing(secret.reference) {
            warnings.push(format!("{}: {missing}", secret.what));
        }
        let Some(file) = secret
            .reference
            .path()
            .filter(|file| seen.insert(file.clone()))
        else {
            continue;
        };
        match exposed(&file) {
            Ok(faults) => exposures.extend(faults.into_iter().map(|fault| Exposure {
                path: file.clone(),
                what: secret.what.clone(),
                fault,
            })),
            Err(error) => {
                warnings.push(format!(
                    "{}: cannot look at {}: {error}",
                    secret.what,
                    file.display()
                ));
            }
        }
    }
    exposures
}

/// What a reference without a file lacks now.
fn missing(reference: &SecretRef) -> Option<String> {
    match reference {
        SecretRef::Environment(name) if std::env::var_os(name).is_none() => {
            Some(format!("the environment variable {name} is not set"))
        }
        SecretRef::Credential(name) if reference.path().is_none() => Some(format!(
            "credential:{name} needs $CREDENTIALS_DIRECTORY, which systemd sets for LoadCredential="
        )),
        _ => None,
    }
}

fn lines(exposures: &[Exposure]) -> String {
    exposures
        .iter()
        .map(Exposure::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

/// A word as a shell takes it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,=".contains(c);
    if !word.is_empty() && word.chars().all(plain) && !word.starts_with('-') {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}
