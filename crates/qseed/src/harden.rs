//! What keeps the daemon's secrets in its memory.

use qseed_config::Level;
use qseed_secrets::memory;

use crate::log::Entry;

/// Hardens this process as far as the system allows. Returns what is to be said about the rest.
pub(crate) fn harden() -> Vec<Entry> {
    let mut shortcomings = Vec::new();
    if let Err(why) = memory::forbid_dumps() {
        let message = format!("A core dump of qseed could hold secrets: {why}.");
        shortcomings.push(Entry::new(Level::Warn, "dumpable", message));
    }
    if let Err(why) = memory::forbid_new_privileges() {
        let message = format!("A program that qseed starts could get more privileges: {why}.");
        shortcomings.push(Entry::new(Level::Warn, "new-privileges", message));
    }
    if let Err(why) = memory::lock() {
        let message = format!("Memory is not locked, so secrets could reach swap: {why}.");
        shortcomings.push(Entry::new(Level::Warn, "memory-not-locked", message));
    }
    shortcomings
}
