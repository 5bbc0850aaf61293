//! The lines of the log about witnesses and the anchor command.

use std::io;
use std::time::Duration;

use qseed_config::Level;

use super::command::{Run, end};
use super::standing::Works;
use super::witness::Trouble;
use crate::log::{Entry, format_duration};
use crate::print::count;

/// A witness cosigned a checkpoint.
pub(super) fn cosigned(witness: &str, size: u64, works: Works) -> Entry {
    let records = count(size, "record");
    let (level, again) = match works {
        Works::First => (Level::Info, String::new()),
        Works::Again(lasted) => (
            Level::Info,
            format!(" again, after {}", format_duration(lasted)),
        ),
        Works::Still => (Level::Debug, String::new()),
    };
    let message = format!("{witness}: cosigned the ledger's {records}{again}.");
    Entry::new(level, "witnessed", message)
        .with("witness", witness)
        .with("size", size)
}

/// A witness did not cosign a checkpoint.
pub(super) fn not_cosigned(witness: &str, trouble: &Trouble, retry: Option<Duration>) -> Entry {
    let level = match trouble {
        Trouble::KnowsMore { .. } | Trouble::Differs | Trouble::Answer(_) | Trouble::Confused => {
            Level::Error
        }
        Trouble::Out(_) | Trouble::Unknown | Trouble::Refused | Trouble::Proof(_) => Level::Warn,
    };
    let next = match retry {
        Some(wait) => format!("Retrying in {}.", format_duration(wait)),
        None => "qseed asks it again with the next hourly checkpoint.".to_owned(),
    };
    let message = format!("{witness}: the witness did not cosign the ledger: {trouble}. {next}");
    let wait = retry.map(|wait| wait.as_secs_f64());
    Entry::new(level, "not-witnessed", message)
        .with("witness", witness)
        .with("next_in_seconds", wait)
}

/// A witness cosigned more records than it remembers.
pub(super) fn forgot(witness: &str, records: u64) -> Entry {
    let records = count(records, "record");
    let message = format!(
        "{witness}: the witness has forgotten {records} that it had cosigned; tell its operator."
    );
    Entry::new(Level::Warn, "witness-forgot", message).with("witness", witness)
}

/// Cosignatures cannot be kept beside the ledger.
pub(super) fn not_kept(why: &io::Error) -> Entry {
    let message = format!(
        "The witnesses' signatures could not be written beside the ledger, which has them as \
         records too: {why}."
    );
    Entry::new(Level::Warn, "witnessed-file", message)
}

/// The anchor command ended.
pub(super) fn anchored(size: u64, run: &Run) -> Entry {
    let records = count(size, "record");
    let said = run.said.as_ref();
    let quoted = said.map_or_else(String::new, |said| format!(" It said: {said}"));
    let entry = match &run.ended {
        Ok(status) if status.success() => {
            let message = format!("The anchor command took the checkpoint of {records}.{quoted}");
            Entry::info("anchored", message)
        }
        ended => {
            let why = match ended {
                Ok(status) => end(*status),
                Err(fault) => fault.to_string(),
            };
            let message = format!(
                "The anchor command failed with the checkpoint of {records}: {why}.{quoted} qseed \
                 runs it again with the next hourly checkpoint."
            );
            Entry::new(Level::Error, "not-anchored", message)
        }
    };
    entry
        .with("size", size)
        .with("exit_code", run.code())
        .with("said", said.cloned())
}
