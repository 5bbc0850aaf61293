//! Checks the configuration, the files that it refers to, and the state directory.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use qseed_config::{Config, LoadError, Login, Report, Warning};
use qseed_secrets::SecretError;
use rustix::fs::Access;

use super::verdict::Subject;
use crate::advice::RESET;
use crate::assemble::shortages;
use crate::exit::Code;
use crate::guard_file;
use crate::harden::Hardening;
use crate::print::count;
use crate::run::{USAGE, unreadable};
use crate::state_dir::{StateDir, StateDirError};

/// A configuration that cannot be used: a verdict for each fault.
pub(super) fn refused(file: &Path, error: &LoadError) -> Subject {
    let mut subject = subject(file);
    match error {
        LoadError::Unreadable { source, .. } => {
            let (code, fix) = unreadable(source);
            subject.fault_of(code, "readable", error.to_string(), fix);
        }
        LoadError::Faulty(report) => faults(&mut subject, report),
        LoadError::Exposed(exposures) => {
            for exposure in exposures {
                let (text, fix) = (exposure.text(), exposure.fix());
                subject.fault_of(Code::Permission, "secrets", text, fix);
            }
        }
    }
    subject
}

fn subject(file: &Path) -> Subject {
    Subject::new("configuration", file.to_string_lossy())
}

fn faults(subject: &mut Subject, report: &Report) {
    let file = report.file_name();
    let mut fault = |text, fix: &str| {
        subject.fault_of(Code::Configuration, "content", text, fix);
    };
    for it in report.faults() {
        let (line, column) = (it.place.line, it.place.column);
        let text = format!("{file}:{line}:{column}: {}", it.message);
        fault(text, it.help.as_deref().unwrap_or_default());
    }
    let more = report.omitted();
    if more > 0 {
        fault(format!("{file}: {more} more faults are not shown"), "");
    }
}

/// A configuration that is valid but cannot be carried out: a line for each fault.
pub(super) fn impossible(file: &Path, faults: &str) -> Subject {
    let mut subject = subject(file);
    for line in faults.lines() {
        subject.fault_of(Code::Configuration, "content", line, "");
    }
    subject
}

/// What a configuration that can be used contains, and what may be wrong with it.
pub(super) fn accepted(file: &Path, config: &Config, warnings: &[Warning]) -> Vec<Subject> {
    let mut subject = subject(file);
    let text = format!(
        "{}: {}, {}, {}",
        file.display(),
        count(config.sources.len(), "source"),
        count(config.modules.len(), "module"),
        count(config.partitions.len(), "partition"),
    );
    subject.ok("content", text);
    let mut all_readable = true;
    for warning in warnings {
        match warning {
            Warning::Content(text) => subject.warning("content", text, ""),
            Warning::Exposed(exposure) => {
                subject.warning("secrets", exposure.text(), exposure.fix());
            }
            Warning::Secret { why, .. } => {
                all_readable = false;
                secret(&mut subject, warning.to_string(), why);
            }
        }
    }
    let secrets = config.secrets().len();
    if all_readable && secrets > 0 {
        let all = count(secrets, "secret");
        subject.ok("secrets", format!("{all}: there and readable"));
    }
    if presents_pins(config) {
        state_dir(&mut subject, config);
    }
    let mut subjects = vec![subject];
    for shortage in shortages(config) {
        let mut source = Subject::new("source", shortage.source);
        source.warning(shortage.check, shortage.text, shortage.fix);
        subjects.push(source);
    }
    subjects
}

/// What protects qseed's processes on this machine. Whether memory can be locked depends on the
/// limits of the service, which are not those of this command.
pub(super) fn hardening(hardening: &Hardening) -> Subject {
    let mut subject = Subject::new("hardening", "this machine");
    for measure in hardening.measures() {
        match measure.name {
            "landlock" | "system-calls" if !measure.is_granted() => {
                subject.warning(
                    measure.name,
                    &measure.text,
                    "use a newer kernel with Landlock",
                );
            }
            "memory" | "core-dumps" => {}
            _ => subject.ok(measure.name, format!("{}: {}", measure.name, measure.text)),
        }
    }
    subject
}

/// A secret that cannot be read. One that is not there yet may come later.
fn secret(subject: &mut Subject, text: String, why: &SecretError) {
    let (code, fix) = match why {
        SecretError::Unreadable { source, .. } if source.kind() == ErrorKind::PermissionDenied => (
            Some(Code::Permission),
            "let the user that qseed runs as read it (chown, or a group and mode 0640)",
        ),
        SecretError::Unreadable { source, .. } if source.kind() == ErrorKind::NotFound => {
            let fix = "write the secret into that file, mode 0600, or correct the reference";
            (None, fix)
        }
        SecretError::Unreadable { .. } => (
            Some(Code::Configuration),
            "write the secret into a regular file, mode 0600, or correct the reference",
        ),
        SecretError::NoVariable(..) => (None, "set it where qseed is started, or refer to a file"),
        SecretError::NoCredentials(_) => {
            (None, "add LoadCredential= to the unit, or refer to a file")
        }
    };
    match code {
        Some(code) => subject.fault_of(code, "secrets", text, fix),
        None => subject.warning("secrets", text, fix),
    }
}

/// Whether the PIN guard can be written.
fn state_dir(subject: &mut Subject, config: &Config) {
    const CHECK: &str = "state";
    let folder = &config.state_dir;
    let name = folder.display();
    match writable(folder) {
        Ok(there) if there == *folder => subject.ok(CHECK, format!("{name} is writable")),
        Ok(above) => {
            let above = above.display();
            let text = format!("{name} is not there yet and can be made in {above}");
            subject.ok(CHECK, text);
        }
        Err(error) => {
            let code = match error.kind() {
                ErrorKind::NotADirectory => Code::Configuration,
                _ => Code::Permission,
            };
            let text =
                format!("{name} cannot be written: {error}; until it can, qseed presents no PIN");
            let fix = "let the user that qseed runs as write there, or set `state_dir`";
            subject.fault_of(code, CHECK, text, fix);
        }
    }
    let Ok(dir) =
        guard_file::operators_dir(folder).inspect_err(|error| untrusted(subject, folder, error))
    else {
        return;
    };
    guard_file(subject, &dir);
    for judged in [dir.judge_secret(guard_file::KEY), dir.judge(USAGE)] {
        if let Err(error) = judged {
            untrusted(subject, folder, &error);
        }
    }
}

/// Whether the configuration asks for logins.
pub(super) fn presents_pins(config: &Config) -> bool {
    let mut partitions = config.partitions.iter();
    partitions.any(|partition| partition.login != Login::None)
}

/// A folder if it can be written, or the nearest one above it if it can be made there.
pub(super) fn writable(folder: &Path) -> io::Result<PathBuf> {
    let absolute = std::path::absolute(folder)?;
    let is_missing = |place: &Path| {
        std::fs::metadata(place).is_err_and(|error| error.kind() == ErrorKind::NotFound)
    };
    let mut above = absolute.ancestors();
    let there = above.find(|place| !is_missing(place)).unwrap_or(&absolute);
    if !std::fs::metadata(there)?.is_dir() {
        return Err(ErrorKind::NotADirectory.into());
    }
    rustix::fs::access(there, Access::WRITE_OK | Access::EXEC_OK)?;
    // The kernel lets root write to /proc, and makes no folder there.
    if there != absolute && rustix::fs::statfs(there)?.f_type == rustix::fs::PROC_SUPER_MAGIC {
        return Err(ErrorKind::ReadOnlyFilesystem.into());
    }
    Ok(there.to_owned())
}

/// Notes that qseed does not use the state directory, or a file in it.
fn untrusted(subject: &mut Subject, folder: &Path, error: &StateDirError) {
    // Whether the folder can be used has a verdict already.
    if matches!(error, StateDirError::Io { path, .. } if path == folder) {
        return;
    }
    let fix = error.fix();
    let fix = fix.unwrap_or_else(|| "let the user that qseed runs as use it".to_owned());
    subject.fault_of(Code::Permission, "state", error.what(), fix);
}

/// Whether the PIN guard's file can be used.
fn guard_file(subject: &mut Subject, dir: &StateDir) {
    let contents = match guard_file::read(dir) {
        Ok(contents) => contents,
        Err(error) => return untrusted(subject, dir.path(), &error),
    };
    if let Some(lost) = contents.records.lost() {
        let why = "qseed presents no PIN, since records of refused PINs may be missing";
        subject.fault_of(Code::Permission, "guard", format!("{lost}; {why}"), RESET);
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::writable;

    #[test]
    fn a_folder_that_is_not_there_is_judged_by_the_one_above() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(writable(folder.path()).expect("writable"), folder.path());
        let missing = folder.path().join("a/b");
        let above = writable(&missing).expect("can be made");
        assert_eq!(above, folder.path());
        assert!(writable("/proc/qseed".as_ref()).is_err());
        let file = folder.path().join("file");
        std::fs::write(&file, "").expect("written");
        for wrong in [file.clone(), file.join("below")] {
            let error = writable(&wrong).expect_err("a file is in the way");
            assert_eq!(error.kind(), ErrorKind::NotADirectory);
        }
    }
}
