//! Lines about what the program meets by itself, beside the engine's facts.

use std::fmt::Display;

use qseed_config::{Exposure, Level};
use qseed_http::Link;
use qseed_tokens::supervisor::Stream;

use crate::log::{Entry, format_time};
use crate::print::count;

/// How a source is reached.
pub(crate) fn connected(level: Level, name: &str, link: &Link) -> Entry {
    let expires = link.certificate_expires.map(format_time);
    let until = expires.as_ref().map_or(String::new(), |at| {
        format!(", certificate valid until {at}")
    });
    let (version, group) = (link.version, &link.group);
    let message = format!("{name}: connected with {version}, {group}{until}.");
    Entry::new(level, "connected", message)
        .with("source", name)
        .with("tls_version", version)
        .with("tls_group", group.as_str())
        .with("certificate_expires", expires)
}

/// A worker could not be confined as it should.
pub(crate) fn less_confined(name: &str, why: &str) -> Entry {
    let message = format!("{name} can do more than it should: {why}.");
    Entry::new(Level::Warn, "module-less-confined", message).with("module", name)
}

/// The PIN guard lets nobody log in, or does again.
pub(crate) fn guard_file(fault: Option<&impl Display>) -> Entry {
    match fault {
        None => Entry::info("guard-file", "The PIN guard works again."),
        Some(why) => {
            let message = format!("The PIN guard lets nobody log in: {why}");
            Entry::new(Level::Error, "guard-file", message)
        }
    }
}

/// A service knows Qrypt's older call alone.
pub(crate) fn older_api(source: &str) -> Entry {
    let message = format!(
        "{source}: the service does not know POST /api/v1/entropy, so qseed uses the older \
         GET /api/v1/quantum-entropy. `type: qrypt-kib` skips the first try."
    );
    Entry::info("older-api", message).with("source", source)
}

/// The file of what sources were asked for cannot be used, or can be again.
pub(crate) fn usage_file(fault: Option<&str>) -> Entry {
    match fault {
        None => Entry::info(
            "usage-file",
            "Budgets and rate limits are kept across restarts again.",
        ),
        Some(why) => {
            let message = format!("Budgets and rate limits are not kept across restarts: {why}.");
            Entry::new(Level::Error, "usage-file", message)
        }
    }
}

/// Other users can use a secret that qseed has read.
pub(crate) fn exposed(exposure: &Exposure) -> Entry {
    let message = format!("{exposure}; qseed does not start with such a file.");
    Entry::new(Level::Warn, "secret-exposed", message)
}

/// Somebody entered a wrong PIN at a token.
pub(crate) fn pin_count_low(name: &str) -> Entry {
    let message = format!(
        "{name}: the token says that a login failed since the last good one. A module that crashes \
         during a login can cause this, and so can a wrong PIN. If you know of neither (see qseed \
         guard), find out who tries PINs on the token."
    );
    Entry::new(Level::Warn, "pin-count-low", message).with("partition", name)
}

/// A line that a module wrote.
pub(crate) fn module_wrote(name: &str, stream: Stream, line: &str) -> Entry {
    let stream = match stream {
        Stream::Output => "stdout",
        Stream::Error => "stderr",
    };
    let entry = Entry::info("module-output", format!("{name}: {line}"));
    entry.with("module", name).with("stream", stream)
}

/// A module wrote more lines than are logged.
pub(crate) fn module_wrote_too_much(name: &str, lines: u64) -> Entry {
    let message = format!("{name}: wrote {lines} more lines, too many to log.");
    let entry = Entry::info("module-output", message);
    entry.with("module", name).with("count", lines)
}

/// A module wrote so many lines so far, of which none is logged.
pub(crate) fn module_wrote_in_all(name: &str, so_far: u64) -> Entry {
    let lines = count(so_far, "line");
    let message = format!(
        "{name}: wrote {lines} to its standard output and error so far. qseed does not log them, \
         since they may hold PINs and seeds; `output: log` for this module does."
    );
    let entry = Entry::info("module-output", message);
    entry.with("module", name).with("count", so_far)
}
