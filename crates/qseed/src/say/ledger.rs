//! Lines about the ledger.

use std::path::Path;

use qseed_config::{AuditMode, Level};

use crate::ledger::{News, Opened};
use crate::log::{Entry, format_duration};
use crate::print::count;

/// How the ledger was opened, if that is worth a line.
pub(crate) fn opened(opened: &Opened, file: &Path) -> Option<Entry> {
    let file = file.display();
    Some(match opened {
        Opened::Continued => return None,
        Opened::Recovered { cut_bytes, because } => {
            let bytes = count(*cut_bytes, "byte");
            let message = format!(
                "Cut {bytes} off the end of the ledger {file} ({because}): qseed or its host was \
                 interrupted while it wrote. The ledger goes on, and has a record of this."
            );
            Entry::new(Level::Warn, "ledger-recovered", message).with("bytes", *cut_bytes)
        }
        Opened::First => Entry::info("ledger-began", format!("A new ledger begins: {file}.")),
        Opened::NewOrigin { because, set_aside } => {
            let moved = match set_aside {
                Some(name) => format!(" qseed moved the old file to {name}."),
                None => String::new(),
            };
            let message = format!(
                "The ledger {file} cannot be continued: {because}.{moved} A new ledger begins, and \
                 its first record says so. Find out who changed the old one; `qseed audit verify` \
                 shows what is wrong with it."
            );
            Entry::new(Level::Error, "ledger-began", message).with("because", because.as_str())
        }
    })
}

/// Whether the ledger can be written.
pub(crate) fn news(news: &News, file: &Path, mode: AuditMode) -> Entry {
    let file = file.display();
    match news {
        News::Fails { why } => {
            let meanwhile = match mode {
                AuditMode::BestEffort => {
                    "qseed goes on seeding (`audit.mode: best-effort`), keeps records in memory for \
                     a while, and counts those that it has to drop"
                }
                AuditMode::Required => {
                    "qseed injects no seed until it can be written (`audit.mode: required`)"
                }
            };
            let message = format!("Cannot write the ledger {file}: {why}. Meanwhile, {meanwhile}.");
            Entry::new(Level::Error, "ledger", message)
        }
        News::StillFails { why, lasts, lost } => {
            let (lasts, dropped) = (format_duration(*lasts), dropped(*lost));
            let message =
                format!("Still cannot write the ledger {file}, for {lasts} now: {why}. {dropped}");
            Entry::new(Level::Error, "ledger", message).with("lost", *lost)
        }
        News::Works { lasted, lost } => {
            let (lasted, dropped) = (format_duration(*lasted), dropped(*lost));
            let message = format!("The ledger {file} is written again, after {lasted}. {dropped}");
            Entry::info("ledger", message).with("lost", *lost)
        }
    }
}

/// Records that the daemon could not write before its end.
pub(crate) fn unrecorded(records: u64, file: &Path) -> Entry {
    let (count, file) = (count(records, "record"), file.display());
    let message = format!("The ledger {file} ends too early: {count} could not be written.");
    Entry::new(Level::Error, "ledger", message).with("lost", records)
}

fn dropped(lost: u64) -> String {
    match lost {
        0 => "No record was dropped.".to_owned(),
        1 => "1 record was dropped.".to_owned(),
        lost => format!("{lost} records were dropped."),
    }
}
