//! What is said of modules and their worker processes.

use qseed_config::Level;
use qseed_engine::Note;

use super::{next_step, sentence, trouble_was};
use crate::log::{Entry, format_duration};

/// The entry for a note on a module.
pub(super) fn entry(note: &Note) -> Option<Entry> {
    Some(match note {
        Note::WorkerFailed {
            name,
            text,
            repeats,
            next,
            ..
        } => {
            let message = format!("{name}: {} {}", sentence(text, *repeats), next_step(*next));
            Entry::new(Level::Error, "module-down", message)
                .with("module", &**name)
                .with("error", text.as_str())
                .repeats(*repeats)
                .next(*next)
        }
        Note::ModuleHung {
            name,
            partition,
            deadline,
            ..
        } => {
            let whose = partition
                .as_ref()
                .map_or("its start".to_owned(), |partition| {
                    format!("a call for {partition}")
                });
            let message = format!(
                "{name}: {whose} has hung for {}. Its worker process is killed and started anew.",
                format_duration(*deadline)
            );
            Entry::new(Level::Error, "module-hung", message)
                .with("module", &**name)
                .with("partition", partition.as_deref())
                .with("deadline_seconds", deadline.as_secs_f64())
        }
        Note::WorkerStuck { name, .. } => Entry::new(
            Level::Error,
            "worker-stuck",
            format!(
                "{name}: its worker process was killed and is still there: it hangs in the kernel, \
                 probably in the HSM's driver. No second one is started behind it; look at the \
                 driver or restart the host."
            ),
        )
        .with("module", &**name),
        Note::WorkerRecovered { name, repeats, .. } => {
            let message = format!("{name}: works again after {}.", trouble_was(*repeats));
            Entry::info("module-recovered", message)
                .with("module", &**name)
                .repeats(*repeats)
        }
        _ => return None,
    })
}
