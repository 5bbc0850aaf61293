//! The configuration, the files that it refers to, and the state directory.

use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use qseed_config::{Config, LoadError, Login, Report, Warning};
use qseed_secrets::SecretError;
use rustix::fs::Access;

use super::verdict::{Subject, Verdict};
use crate::assemble::{SmallBudget, shortfalls, small_budgets};
use crate::exit::Code;
use crate::guard_file;
use crate::print::count;
use crate::state_dir::StateDirError;

/// What a configuration that cannot be used is wrong in: a verdict for each fault.
pub(super) fn refused(file: &Path, error: &LoadError) -> Vec<Verdict> {
    let subject = subject(file);
    match error {
        LoadError::Unreadable { source, .. } => {
            let text = error.to_string();
            vec![if source.kind() == ErrorKind::PermissionDenied {
                let fix = "let the user that qseed runs as read it";
                subject.fault_of(Code::Permission, "readable", text, fix)
            } else {
                let fix = "write it there, or name another one with --config FILE or \
                           $QSEED_CONFIG_FILE";
                subject.fault_of(Code::Configuration, "readable", text, fix)
            }]
        }
        LoadError::Faulty(report) => faults(&subject, report),
        LoadError::Exposed(exposures) => exposures
            .iter()
            .map(|exposure| {
                subject.fault_of(Code::Permission, "secrets", exposure.text(), exposure.fix())
            })
            .collect(),
    }
}

fn subject(file: &Path) -> Subject {
    Subject::new("configuration", file.display().to_string())
}

fn faults(subject: &Subject, report: &Report) -> Vec<Verdict> {
    let file = report.file_name();
    let mut verdicts: Vec<_> = report
        .faults()
        .iter()
        .map(|fault| {
            let (line, column) = (fault.place.line, fault.place.column);
            let text = format!("{file}:{line}:{column}: {}", fault.message);
            let fix = fault.help.clone().unwrap_or_default();
            subject.fault_of(Code::Configuration, "content", text, fix)
        })
        .collect();
    if report.omitted() > 0 {
        let text = format!("{file}: {} more faults are not shown", report.omitted());
        verdicts.push(subject.fault_of(Code::Configuration, "content", text, ""));
    }
    verdicts
}

/// What of the configuration was understood but cannot be carried out, a line each.
pub(super) fn impossible(file: &Path, faults: &str) -> Vec<Verdict> {
    let subject = subject(file);
    let fault = |line: &str| subject.fault_of(Code::Configuration, "content", line, "");
    faults.lines().map(fault).collect()
}

/// What a configuration that can be used says, warns of and needs.
pub(super) fn accepted(file: &Path, config: &Config, warnings: &[Warning]) -> Vec<Verdict> {
    let subject = subject(file);
    let text = format!(
        "{}: {}, {}, {}",
        file.display(),
        count(config.sources.len(), "source"),
        count(config.modules.len(), "module"),
        count(config.partitions.len(), "partition"),
    );
    let mut verdicts = vec![subject.ok("content", text)];
    let mut unreadable = false;
    for warning in warnings {
        verdicts.push(match warning {
            Warning::Content(text) => subject.warning("content", text, ""),
            Warning::Exposed(exposure) => {
                subject.warning("secrets", exposure.text(), exposure.fix())
            }
            Warning::Secret { why, .. } => {
                unreadable = true;
                secret(&subject, warning.to_string(), why)
            }
        });
    }
    let secrets = config.secrets().len();
    if !unreadable && secrets > 0 {
        let all = count(secrets, "secret");
        verdicts.push(subject.ok("secrets", format!("{all}: there and readable")));
    }
    verdicts.extend(state_dir(&subject, config));
    verdicts.extend(rate_limits(config));
    verdicts.extend(budgets(config));
    verdicts
}

/// Sources that cannot bring in time what the partitions need.
fn rate_limits(config: &Config) -> impl Iterator<Item = Verdict> {
    shortfalls(config).into_iter().map(|shortfall| {
        let source = Subject::new("source", shortfall.source.as_str());
        source.warning("rate-limit", shortfall.text(), shortfall.fix())
    })
}

/// Sources whose budgets are too small for a seed.
fn budgets(config: &Config) -> impl Iterator<Item = Verdict> {
    small_budgets(config).into_iter().map(|small| {
        let source = Subject::new("source", small.source.as_str());
        source.warning("budget", small.text(), SmallBudget::FIX)
    })
}

/// What a secret that cannot be read asks for. One that is not there yet may come later.
fn secret(subject: &Subject, text: String, why: &SecretError) -> Verdict {
    match why {
        SecretError::Unreadable { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
            let fix = "let the user that qseed runs as read it (chown, or a group and mode 0640)";
            subject.fault_of(Code::Permission, "secrets", text, fix)
        }
        SecretError::Unreadable { source, .. } if source.kind() == ErrorKind::NotFound => {
            let fix = "write the secret into that file, mode 0600, or correct the reference";
            subject.warning("secrets", text, fix)
        }
        SecretError::Unreadable { .. } | SecretError::Unusable { .. } => {
            let fix = "write the secret into a regular file, mode 0600, or correct the reference";
            subject.fault_of(Code::Configuration, "secrets", text, fix)
        }
        SecretError::NoVariable(_) | SecretError::EmptyVariable(_) => {
            let fix = "set it where qseed is started, or refer to a file";
            subject.warning("secrets", text, fix)
        }
        SecretError::NoCredentials(_) => {
            let fix = "add LoadCredential= to the unit, or refer to a file";
            subject.warning("secrets", text, fix)
        }
    }
}

/// Whether the guard of PINs and the ledger can be kept.
fn state_dir(subject: &Subject, config: &Config) -> Vec<Verdict> {
    let presents_pins = presents_pins(config);
    if !presents_pins && config.audit.is_none() {
        return Vec::new();
    }
    let folder = &config.state_dir;
    let name = folder.display();
    let verdict = match writable(folder) {
        Ok(None) => subject.ok("state", format!("{name} is writable")),
        Ok(Some(above)) => subject.ok(
            "state",
            format!(
                "{name} is not there yet and can be made in {}",
                above.display()
            ),
        ),
        Err(error) => {
            let code = match error.kind() {
                ErrorKind::NotADirectory => Code::Configuration,
                _ => Code::Permission,
            };
            let what = if presents_pins {
                "no PIN is presented"
            } else {
                "no ledger can be written"
            };
            let text = format!("{name} cannot be written: {error}; until it can, {what}");
            let fix = "let the user that qseed runs as write there, or set `state_dir`";
            subject.fault_of(code, "state", text, fix)
        }
    };
    std::iter::once(verdict)
        .chain(guard_verdict(subject, folder))
        .collect()
}

/// Whether the configuration asks for logins, which the guard of PINs keeps a record of.
pub(super) fn presents_pins(config: &Config) -> bool {
    let mut partitions = config.partitions.iter();
    partitions.any(|partition| partition.login != Login::None)
}

/// Whether a folder can be written, or the nearest one above it that is there, which is returned
/// then.
fn writable(folder: &Path) -> io::Result<Option<PathBuf>> {
    let absolute = std::path::absolute(folder)?;
    let mut place: &Path = &absolute;
    loop {
        match std::fs::metadata(place) {
            Ok(about) if about.is_dir() => break,
            Ok(_) => return Err(ErrorKind::NotADirectory.into()),
            Err(error) if error.kind() == ErrorKind::NotFound => match place.parent() {
                Some(above) => place = above,
                None => return Err(error),
            },
            Err(error) => return Err(error),
        }
    }
    rustix::fs::access(place, Access::WRITE_OK | Access::EXEC_OK)?;
    // The kernel lets root write to /proc, and makes no folder there.
    if place != absolute && rustix::fs::statfs(place)?.f_type == rustix::fs::PROC_SUPER_MAGIC {
        return Err(ErrorKind::ReadOnlyFilesystem.into());
    }
    Ok((place != absolute).then(|| place.to_owned()))
}

fn guard_verdict(subject: &Subject, folder: &Path) -> Option<Verdict> {
    let read = guard_file::operators_dir(folder).and_then(|dir| guard_file::read(&dir));
    let (text, fix) = match read {
        // That the folder cannot be used has a verdict already.
        Err(StateDirError::Io { path, .. }) if path == folder => return None,
        Err(error) => (
            format!("the PIN guard's file cannot be used: {error}"),
            "without it no PIN is presented".to_owned(),
        ),
        Ok(contents) => {
            let lost = contents?.records.lost()?.to_owned();
            (
                format!(
                    "{lost}; no PIN is presented, since records of refused PINs may be missing"
                ),
                "once the tokens are in order, run: qseed guard --reset".to_owned(),
            )
        }
    };
    Some(subject.fault_of(Code::Permission, "guard", text, fix))
}

/// The other user to whom the state directory belongs, who could not use what this one makes there.
pub(super) fn belongs_to_other_user(state_dir: &Path) -> Option<u32> {
    let owner = std::fs::metadata(state_dir).ok()?.uid();
    (owner != rustix::process::geteuid().as_raw()).then_some(owner)
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::writable;

    #[test]
    fn a_folder_that_is_not_there_is_judged_by_the_one_above() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(writable(folder.path()).expect("writable"), None);
        let missing = folder.path().join("a/b");
        let above = writable(&missing).expect("can be made");
        assert_eq!(above.as_deref(), Some(folder.path()));
        assert!(writable("/proc/qseed".as_ref()).is_err());
        let file = folder.path().join("file");
        std::fs::write(&file, "").expect("written");
        for wrong in [file.clone(), file.join("below")] {
            let error = writable(&wrong).expect_err("a file is in the way");
            assert_eq!(error.kind(), ErrorKind::NotADirectory);
        }
    }
}
