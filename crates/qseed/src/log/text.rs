//! `[2024-02-29T15:49:11.316Z] Pushed 48 bytes of quantum seed material to the HSM.`, or `<6>Pushed …`
//! for systemd's journal, which has a time of its own.

use jiff::Timestamp;
use qseed_config::Level;

use super::{Entry, format_time, printable};

pub(super) fn line(time: Timestamp, entry: &Entry) -> String {
    let time = format_time(time);
    let mark = match entry.level {
        Level::Error => "ERROR ",
        Level::Warn => "WARNING ",
        Level::Info | Level::Debug => "",
    };
    format!("[{time}] {mark}{}\n", printable(&entry.message))
}

/// The line for the journal, which reads the priority (`sd-daemon(3)`).
pub(super) fn journal_line(entry: &Entry) -> String {
    let priority = match entry.level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug => 7,
    };
    format!("<{priority}>{}\n", printable(&entry.message))
}
