//! Reading the file, with bounds, and judging who else can read it and the secrets' files.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use qseed_secrets::{NotRead, SecretRef, read_regular, readable_by_others};
use zeroize::Zeroizing;

use crate::config::Config;
use crate::report::{Place, Report, single};
use crate::token_uri::JudgeUri;
use crate::{Loaded, MAX_CONFIG_BYTES, parse_judging};

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
    /// Other users can read secrets.
    #[error("{}", lines(.0))]
    ReadableByOthers(Vec<Exposure>),
}

/// A file with a secret in it that other users can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// The file.
    pub path: PathBuf,
    /// What of it is secret.
    pub what: String,
}

impl Exposure {
    /// The shell command that mends it.
    #[must_use]
    pub fn remedy(&self) -> String {
        format!("chmod o-rwx {}", quoted(&self.path.to_string_lossy()))
    }
}

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, what) = (self.path.display(), &self.what);
        write!(
            f,
            "{path}: other users can read {what}; run: {}",
            self.remedy()
        )
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
    let text = text_of(&bytes, &file_name).map_err(LoadError::Faulty)?;
    let Loaded {
        config,
        mut warnings,
    } = parse_judging(text, &file_name, judge).map_err(LoadError::Faulty)?;
    let exposures = exposures(path, &config, &mut warnings);
    if options.allow_readable_secrets {
        warnings.extend(exposures.iter().map(Exposure::to_string));
    } else if !exposures.is_empty() {
        return Err(LoadError::ReadableByOthers(exposures));
    }
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

/// The files with secrets that others can read. Secrets that are not there yet are warned of:
/// whoever reads them later says so if they are still missing.
fn exposures(path: &Path, config: &Config, warnings: &mut Vec<String>) -> Vec<Exposure> {
    let mut exposures = Vec::new();
    let secrets = config.secrets();
    if let Some(literal) = secrets.iter().find(|secret| secret.reference.is_literal()) {
        // The file has just been read; one that has gone since exposes nothing.
        if readable_by_others(path).unwrap_or(false) {
            exposures.push(Exposure {
                path: path.to_owned(),
                what: literal.what.clone(),
            });
        }
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
        match readable_by_others(&file) {
            Ok(true) => exposures.push(Exposure {
                path: file,
                what: secret.what.clone(),
            }),
            Ok(false) => {}
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
