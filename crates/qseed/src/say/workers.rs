//! Lines about modules and their worker processes.

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
            let (event, error) = match failure {
                WorkerFailure::NotLoaded(text)
                | WorkerFailure::Died(text)
                | WorkerFailure::Misbehaved(text) => ("module-down", text.clone()),
                WorkerFailure::Hung {
                    partition,
                    deadline,
                } => {
                    let call = partition.as_ref().map_or("loading it".to_owned(), |of| {
                        format!("a call for {}", of.name)
                    });
                    let time = format_duration(*deadline);
                    ("module-hung", format!("{call} has hung for {time}"))
                }
            };
            let sentence = sentence(&error, repeats, "start");
            let message = format!("{sentence} {}", next_step(*next));
            let entry = Entry::new(Level::Error, event, message);
            let entry = match failure {
                WorkerFailure::Hung {
                    partition,
                    deadline,
                } => entry
                    .with("partition", partition.as_ref().map(|of| &*of.name))
                    .with("deadline_seconds", deadline.as_secs_f64()),
                _ => entry,
            };
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
