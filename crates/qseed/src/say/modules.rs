//! Lines about modules and their worker processes.

use qseed_config::Level;
use qseed_engine::announcer::Line;

use super::{failed_before, next_step, sentence};
use crate::log::{Entry, format_duration};

/// The entry for a line about a module.
pub(super) fn entry(line: &Line) -> Option<Entry> {
    Some(match line {
        Line::WorkerFailed {
            module,
            text,
            repeats,
            next,
        } => {
            let message = format!(
                "{}: {} {}",
                module.name,
                sentence(text, *repeats, "start"),
                next_step(*next)
            );
            Entry::new(Level::Error, "module-down", message)
                .with("module", &*module.name)
                .with("error", text.as_str())
                .repeats(*repeats)
                .next(*next)
        }
        Line::ModuleHung {
            module,
            partition,
            deadline,
            next,
        } => {
            let call = partition
                .as_ref()
                .map_or("loading it".to_owned(), |partition| {
                    format!("a call for {partition}")
                });
            let message = format!(
                "{}: {call} has hung for {}. {}",
                module.name,
                format_duration(*deadline),
                next_step(*next)
            );
            Entry::new(Level::Error, "module-hung", message)
                .with("module", &*module.name)
                .with("partition", partition.as_deref())
                .with("deadline_seconds", deadline.as_secs_f64())
        }
        Line::WorkerStuck(module) => Entry::new(
            Level::Error,
            "worker-stuck",
            format!(
                "{}: SIGKILL did not end its worker process, which hangs in the kernel, probably in \
                 the HSM's driver. qseed does not start another one. Check the driver or restart \
                 the host.",
                module.name
            ),
        )
        .with("module", &*module.name),
        Line::WorkerRecovered { module, repeats } => {
            let before = failed_before(*repeats, "start");
            let message = format!("{}: works again after {before}.", module.name);
            Entry::info("module-recovered", message)
                .with("module", &*module.name)
                .repeats(*repeats)
        }
        _ => return None,
    })
}
