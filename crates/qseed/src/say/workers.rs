//! Lines about modules and their worker processes.

use std::time::Duration;

use qseed_config::Level;
use qseed_engine::announcer::Repeats;
use qseed_engine::{Process, WorkerFact, WorkerFailure, WorkerRole};

use super::{next_step, sentence};
use crate::log::{Entry, format_duration};
use crate::print::count;

/// The line for what happened to a worker process.
pub(super) fn entry(
    process: &Process,
    fact: &WorkerFact,
    repeats: Option<Repeats>,
) -> Option<Entry> {
    let module = &*process.module.name;
    let number = process.worker.0;
    let (role, its) = match process.role {
        WorkerRole::Common => ("common", ""),
        WorkerRole::Slow => ("slow", " (slow partitions)"),
        WorkerRole::Quarantine => ("quarantine", " (quarantine)"),
    };
    let entry = match fact {
        WorkerFact::Started => {
            let message = format!("worker process {number} starts.");
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
            let sentence = sentence(&error, repeats, "failure");
            let message = format!("{sentence} {}", next_step(*next));
            let entry = Entry { message, ..entry };
            entry.with("error", error).repeats(repeats).next(*next)
        }
        WorkerFact::Ended => {
            let message = format!("worker process {number} ended.");
            Entry::new(Level::Debug, "worker-ended", message)
        }
        WorkerFact::Stuck => {
            let message = "SIGKILL did not end its worker process, which hangs in the kernel, \
                           probably in the HSM's driver. qseed does not start another one. Check \
                           the driver or restart the host.";
            Entry::new(Level::Error, "worker-stuck", message)
        }
        WorkerFact::Recovered => {
            let before = count(repeats?.count, "failure");
            // The engine waits for a minute before it says so.
            let message = format!("works again: no failure for a minute, after {before}.");
            Entry::info("module-recovered", message).repeats(repeats)
        }
    };
    let message = format!("{module}{its}: {}", entry.message);
    let entry = Entry { message, ..entry };
    Some(entry.with("module", module).with("worker", role))
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use qseed_engine::announcer::Repeats;
    use qseed_engine::{
        ModuleId, Named, Next, Process, WorkerFact, WorkerFailure, WorkerId, WorkerRole,
    };

    use super::entry;

    #[test]
    fn lines_of_two_workers_of_one_module_differ() {
        let line = |role, fact: &WorkerFact| {
            let module = Named {
                id: ModuleId(1),
                name: "lib.so".into(),
            };
            let process = Process {
                module,
                worker: WorkerId(3),
                role,
            };
            let repeats = Repeats {
                count: 2,
                lasting: Duration::from_secs(70),
            };
            entry(&process, fact, Some(repeats)).map(|entry| entry.message)
        };
        let died = WorkerFact::Failed {
            failure: WorkerFailure::Died("its worker process ended".to_owned()),
            next: Next::RestartWorker,
        };
        assert_eq!(
            line(WorkerRole::Quarantine, &died).as_deref(),
            Some(
                "lib.so (quarantine): its worker process ended (2 failures in 70 s). Restarting \
                 the module's worker process."
            )
        );
        assert_eq!(
            line(WorkerRole::Common, &WorkerFact::Recovered).as_deref(),
            Some("lib.so: works again: no failure for a minute, after 2 failures.")
        );
    }
}
