//! The configuration, the files that it refers to, and the state directory.

use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use qseed_config::{Config, LoadError, Login, Pin, Report};
use qseed_secrets::{NotRead, SecretError, SecretRef, open_regular};
use rustix::fs::Access;

use super::verdict::{Kind, Subject, Verdict};
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
                let fix = format!("run: {}", exposure.remedy());
                subject.fault_of(Code::Permission, "secrets", exposure.text(), fix)
            })
            .collect(),
    }
}

fn subject(file: &Path) -> Subject {
    Subject::new(Kind::Configuration, file.display().to_string())
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
pub(super) fn accepted(file: &Path, config: &Config, warnings: &[String]) -> Vec<Verdict> {
    let subject = subject(file);
    let text = format!(
        "{}: {}, {}, {}",
        file.display(),
        count(config.sources.len(), "source"),
        count(config.modules.len(), "module"),
        count(config.partitions.len(), "partition"),
    );
    let mut verdicts = vec![subject.ok("content", text)];
    // Warnings without a place are of secrets that are not there; they get verdicts of their own.
    let placed = format!("{}:", file.display());
    for warning in warnings {
        if let Some((text, fix)) = warning.split_once("; run: ") {
            verdicts.push(subject.warning("secrets", text, format!("run: {fix}")));
        } else if warning.starts_with(&placed) {
            verdicts.push(subject.warning("content", warning, ""));
        }
    }
    verdicts.extend(secrets(&subject, config));
    verdicts.extend(state_dir(&subject, config));
    verdicts.extend(rate_limits(config));
    verdicts.extend(budgets(config));
    verdicts
}

/// Sources that cannot bring in time what the partitions need.
fn rate_limits(config: &Config) -> impl Iterator<Item = Verdict> {
    shortfalls(config).into_iter().map(|shortfall| {
        let source = Subject::new(Kind::Source, shortfall.source.as_str());
        source.warning("rate-limit", shortfall.text(), shortfall.fix())
    })
}

/// Sources whose budgets are too small for a seed.
fn budgets(config: &Config) -> impl Iterator<Item = Verdict> {
    small_budgets(config).into_iter().map(|small| {
        let source = Subject::new(Kind::Source, small.source.as_str());
        source.warning("budget", small.text(), SmallBudget::FIX)
    })
}

/// Whether each secret can be read, as far as that can be seen without reading it.
fn secrets(subject: &Subject, config: &Config) -> Vec<Verdict> {
    let secrets = named_secrets(config);
    let mut faults: Vec<_> = secrets
        .iter()
        .filter_map(|(what, secret)| {
            let error = available(secret).err()?;
            let (code, fix) = remedy(&error);
            Some(subject.fault_of(code, "secrets", format!("{what}: {error}"), fix))
        })
        .collect();
    if faults.is_empty() && !secrets.is_empty() {
        let all = count(secrets.len(), "secret");
        faults.push(subject.ok("secrets", format!("{all}: there and readable")));
    }
    faults
}

fn named_secrets(config: &Config) -> Vec<(String, &SecretRef)> {
    let mut secrets = Vec::new();
    for source in &config.sources {
        let Some(http) = source.kind.http() else {
            continue;
        };
        let token = http.access_token.iter();
        secrets.extend(token.map(|it| (format!("the access token of source {}", source.name), it)));
        let key = http.tls.client_key.iter();
        secrets.extend(key.map(|it| (format!("the client key of source {}", source.name), it)));
    }
    for partition in &config.partitions {
        if let Pin::Given(pin) = &partition.pin {
            secrets.push((format!("the PIN of partition {}", partition.name), pin));
        }
    }
    let audit = config.audit.iter();
    let keys = audit.filter_map(|audit| audit.signing_key.as_ref());
    secrets.extend(keys.map(|key| ("the ledger's signing key".to_owned(), key)));
    secrets
}

/// Opens a secret's file without reading it: the process that talks to the network has no
/// business with PINs.
fn available(secret: &SecretRef) -> Result<(), SecretError> {
    let path = match secret {
        SecretRef::Literal(_) => return Ok(()),
        SecretRef::Environment(name) => {
            return match std::env::var_os(name) {
                Some(value) if value.is_empty() => Err(SecretError::EmptyVariable(name.clone())),
                Some(_) => Ok(()),
                None => Err(SecretError::NoVariable(name.clone())),
            };
        }
        SecretRef::File(path) => path.clone(),
        SecretRef::Credential(name) => secret
            .path()
            .ok_or_else(|| SecretError::NoCredentials(name.clone()))?,
    };
    let unreadable = |source| SecretError::Unreadable {
        path: path.clone(),
        source,
    };
    let unusable = |why| SecretError::Unusable {
        path: path.clone(),
        why,
    };
    match open_regular(&path) {
        Ok((_, about)) if about.len() == 0 => Err(unusable("it is empty")),
        Ok(_) => Ok(()),
        Err(NotRead::NoFile(what)) => Err(unusable(what)),
        Err(NotRead::Io(source)) => Err(unreadable(source)),
        Err(NotRead::TooLong) => Err(unusable("it is longer than 64 KiB")),
    }
}

fn remedy(error: &SecretError) -> (Code, &'static str) {
    match error {
        SecretError::Unreadable { source, .. } if source.kind() == ErrorKind::PermissionDenied => (
            Code::Permission,
            "let the user that qseed runs as read it (chown, or a group and mode 0640)",
        ),
        SecretError::Unreadable { .. } | SecretError::Unusable { .. } => (
            Code::Configuration,
            "write the secret into that file, mode 0600, or correct the reference",
        ),
        SecretError::NoVariable(_) | SecretError::EmptyVariable(_) => (
            Code::Configuration,
            "set it where qseed is started, or refer to a file",
        ),
        SecretError::NoCredentials(_) => (
            Code::Configuration,
            "add LoadCredential= to the unit, or refer to a file",
        ),
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

    use qseed_secrets::SecretRef;

    use super::{available, writable};

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

    #[test]
    fn secrets_that_are_not_there_are_noticed() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("pin");
        let secret = SecretRef::File(file.clone());
        assert!(available(&secret).is_err());
        std::fs::write(&file, "").expect("written");
        assert!(available(&secret).is_err());
        std::fs::write(&file, "1234").expect("written");
        assert!(available(&secret).is_ok());
        assert!(available(&SecretRef::File(folder.path().to_owned())).is_err());
        assert!(available(&SecretRef::Environment("QSEED_TEST_NOT_SET".into())).is_err());
    }
}
