//! Checks whether the ledger can be written and goes on. Changes nothing.

use std::path::Path;

use qseed_config::{Audit, AuditMode, Config};

use super::configuration::writable;
use super::verdict::Subject;
use crate::exit::Code;
use crate::ledger::examine::{Examined, examine};
use crate::ledger::key::{KeyError, KeyPlace};
use crate::ledger::{self, folder_of};
use crate::state_dir::Acting;

/// The verdicts on the ledger, if there is to be one.
pub(super) fn check(config: &Config) -> Option<Subject> {
    let audit = config.audit.as_ref()?;
    let file = ledger::file(audit, &config.state_dir);
    let mut subject = Subject::new("ledger", file.to_string_lossy());
    folder(&mut subject, &file, audit.mode);
    key(&mut subject, audit, &config.state_dir);
    content(&mut subject, &file, audit, &config.state_dir);
    Some(subject)
}

/// Whether its folder can be written.
fn folder(subject: &mut Subject, file: &Path, mode: AuditMode) {
    const CHECK: &str = "folder";
    let folder = folder_of(file);
    let name = folder.display();
    match writable(folder) {
        Ok(there) if there == *folder => subject.ok(CHECK, format!("{name} is writable")),
        Ok(above) => subject.ok(
            CHECK,
            format!(
                "{name} is not there yet and can be made in {}",
                above.display()
            ),
        ),
        Err(why) => {
            let what = match mode {
                AuditMode::BestEffort => "qseed goes on without a ledger",
                AuditMode::Required => "qseed injects no seed",
            };
            let text = format!("{name} cannot be written: {why}; until it can, {what}");
            let fix = "let the user that qseed runs as write there, or set `audit.file`";
            subject.fault_of(Code::Permission, CHECK, text, fix);
        }
    }
}

/// Whether its key can be read.
fn key(subject: &mut Subject, audit: &Audit, state_dir: &Path) {
    const CHECK: &str = "key";
    let place = KeyPlace::new(audit.signing_key.as_ref(), state_dir);
    match place.read(Acting::ForOwner) {
        Ok(_) => subject.ok(CHECK, "the signing key is there"),
        Err(KeyError::Missing(path)) => {
            let path = path.display();
            subject.ok(
                CHECK,
                format!("qseed makes the signing key {path} at its first start"),
            );
        }
        Err(why) => {
            let fix = match &why {
                KeyError::File(why) => why.fix().unwrap_or_default(),
                _ => "make one: openssl rand -base64 32 >FILE; chmod 600 FILE".to_owned(),
            };
            let text = match &why {
                KeyError::File(why) => why.what(),
                why => why.to_string(),
            };
            subject.fault_of(why.code(), CHECK, text, fix);
        }
    }
}

/// Whether it goes on where it ended, and how much it may grow.
fn content(subject: &mut Subject, file: &Path, audit: &Audit, state_dir: &Path) {
    const CHECK: &str = "content";
    let place = KeyPlace::new(audit.signing_key.as_ref(), state_dir);
    match examine(file, &place) {
        Ok(Examined::Nothing) => subject.ok(CHECK, "a new ledger begins at the next start"),
        Ok(Examined::InUse) => subject.ok(CHECK, "a qseed process writes it now"),
        Ok(Examined::GoesOn { records, cut: 0 }) => {
            subject.ok(CHECK, format!("goes on after {records} records"));
        }
        Ok(Examined::GoesOn { records, cut }) => subject.warning(
            CHECK,
            format!(
                "the last write was interrupted: {cut} bytes after record {records} are no record"
            ),
            "none needed: the next start cuts them off and records that",
        ),
        Ok(Examined::MustBegin { because }) => subject.warning(
            CHECK,
            format!(
                "cannot be continued: {because}; the next start sets it aside and begins a new one"
            ),
            "find out who changed it: qseed audit verify",
        ),
        // Others say so already.
        Err(why) if why.is_of_folder_or_key() => {}
        Err(why) => {
            let code = why.ends_start().unwrap_or(Code::Permission);
            subject.fault_of(code, CHECK, why.to_string(), "");
        }
    }
    room(subject, file, audit);
}

/// Whether the disk has room for all that the ledger may grow to.
fn room(subject: &mut Subject, file: &Path, audit: &Audit) {
    let Ok(stat) = rustix::fs::statvfs(folder_of(file)) else {
        return;
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let files = audit.rotate.keep as u64 + 1;
    let most = audit.rotate.size.saturating_mul(files);
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    if free < most {
        let text = format!(
            "the ledger may grow to {} MiB, and its disk has {} MiB free",
            mib(most),
            free >> 20
        );
        let fix = "free disk space, or set `audit.rotate` to fewer or smaller files";
        subject.warning("room", text, fix);
    }
}
