//! Lines about modules and their worker processes.

use std::time::Duration;

use qseed_config::Level;
use qseed_engine::announcer::Repeats;
use qseed_engine::{Process, WorkerFact, WorkerFailure, WorkerRole};

use super::{failed_before, next_step, sentence};
use crate::log::{Entry, format_duration};

/// The line for what happened to a worker process.
pub(super) fn entry(
    process: &Process,
    fact: &WorkerFact,
    repeats: Option<Repeats>,
) -> Option<Entry> {
    let module = &*process.module.name;
    let number = process.worker.0;
    let role = match process.role {
        WorkerRole::Common => "",
        WorkerRole::Slow => " for slow partitions",
        WorkerRole::Quarantine => " for the quarantine",
    };
    let entry = match fact {
        WorkerFact::Started => {
            let message = format!("worker process {number}{role} starts.");
            Entry::new(Level::Debug, "worker-started", message)
        }
        WorkerFact::Failed { failure, next } => {
            let (entry, error) = match failure {
                WorkerFailure::NotLoaded(text)
                | WorkerFailure::Died(text)
                | WorkerFailure::Misbehaved(text) => {
                    (Entry::new(Level::Error, "module-down", ""), text.clone())
                }
                WorkerFailure::Hung {
                    partition,
                    deadline,
                } => hung(partition.as_ref().map(|of| &*of.name), *deadline),
            };
            let sentence = sentence(&error, repeats, "start");
            let message = format!("{sentence} {}", next_step(*next));
            let entry = Entry { message, ..entry };
            entry.with("error", error).repeats(repeats).next(*next)
        }
        WorkerFact::Ended => {
            let message = format!("worker process {number}{role} ended.");
            Entry::new(Level::Debug, "worker-ended", message)
        }
        WorkerFact::Stuck => {
            let message = "SIGKILL did not end its worker process, which hangs in the kernel, \
                           probably in the HSM's driver. qseed does not start another one. Check \
                           the driver or restart the host.";
            Entry::new(Level::Error, "worker-stuck", message)
        }
        WorkerFact::Recovered => {
            let before = failed_before(repeats?, "start");
            Entry::info("module-recovered", format!("works again after {before}.")).repeats(repeats)
        }
    };
    Some(entry.about("module", module))
}

/// A call for a partition, or the module's initialisation, is past its deadline.
fn hung(partition: Option<&str>, deadline: Duration) -> (Entry, String) {
    let call = partition.map_or("loading it".to_owned(), |name| format!("a call for {name}"));
    let entry = Entry::new(Level::Error, "module-hung", "")
        .with("partition", partition)
        .with("deadline_seconds", deadline.as_secs_f64());
    (
        entry,
        format!("{call} has hung for {}", format_duration(deadline)),
    )
}
