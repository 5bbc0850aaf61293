//! `[2024-02-29T15:49:11.316Z] Pushed 48 bytes of quantum seed material to the HSM.`

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
