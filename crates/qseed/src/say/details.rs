//! What `log.level: debug` adds: a line for each fact that has none of its own.

use std::time::Duration;

use qseed_config::Level;
use qseed_engine::{
    Fact, FetchFailure, Named, PartitionId, Process, RequestId, TokenFailure, WorkerRole,
};

use crate::log::{Entry, format_duration};

/// The line for a fact that the announcer had nothing to say about; none where another fact tells
/// the same.
pub(crate) fn entry(fact: &Fact) -> Option<Entry> {
    let (event, message) = match fact {
        Fact::Delivered {
            source,
            request,
            bytes,
            duration,
        } => {
            let time = format_duration(*duration);
            let text = format!("request {} brought {bytes} bytes in {time}", request.0);
            ("delivered", format!("{}: {text}.", source.name))
        }
        Fact::DeliveryRejected {
            source,
            request,
            check,
            bytes,
            ..
        } => {
            let (name, number) = (check.name(), request.0);
            let text = format!("dropped the {bytes} bytes of request {number}: check {name}");
            ("delivery-rejected", format!("{}: {text}.", source.name))
        }
        Fact::FetchFailed {
            source,
            request,
            failure,
            ..
        } => (
            "fetch-failed",
            format!("{}: {}", source.name, fetch_failed(*request, failure)),
        ),
        Fact::Expired { source, bytes } => (
            "expired",
            format!("{}: wiped {bytes} bytes that became too old.", source.name),
        ),
        Fact::OpenFailed {
            partition,
            failure,
            duration,
            ..
        } => (
            "open-failed",
            attempt("opening", partition, failure, *duration),
        ),
        Fact::Refused {
            partition,
            failure,
            duration,
            ..
        } => (
            "seed-refused",
            attempt("seeding", partition, failure, *duration),
        ),
        Fact::Seeded {
            partition,
            bytes,
            duration,
            ..
        } => {
            let time = format_duration(*duration);
            let text = format!("seeded with {bytes} bytes in {time}");
            ("seeded", format!("{}: {text}.", partition.name))
        }
        Fact::StateChanged {
            partition,
            state,
            before,
        } => {
            let before = before.map_or(String::new(), |before| format!("{} -> ", before.name()));
            let text = format!("state {before}{}", state.name());
            ("state", format!("{}: {text}.", partition.name))
        }
        Fact::Mended(partition) => (
            "retry-now",
            format!(
                "{}: something about it changed; retrying now.",
                partition.name
            ),
        ),
        Fact::WorkerStarted(process) => ("worker-started", format!("{} starts.", named(process))),
        Fact::WorkerEnded { process, .. } => ("worker-ended", format!("{} ended.", named(process))),
        Fact::ModuleHung { process, .. } | Fact::WorkerMisbehaves { process, .. } => {
            ("worker-killed", format!("{}: killing it.", named(process)))
        }
        // These have a line always, or one with other facts together, or tell nothing more.
        Fact::BudgetLow { .. }
        | Fact::BudgetSpent { .. }
        | Fact::ReserveEmpty
        | Fact::SourceRemoved(_)
        | Fact::Opened { .. }
        | Fact::Late { .. }
        | Fact::Moved { .. }
        | Fact::PartitionRemoved(_)
        | Fact::WorkerStuck(_)
        | Fact::WorkerRecovered(_) => return None,
    };
    Some(Entry::new(Level::Debug, event, message))
}

fn fetch_failed(request: RequestId, failure: &FetchFailure) -> String {
    let text = failure.text.trim_end_matches('.');
    format!("request {} failed: {text}.", request.0)
}

fn attempt(
    what: &str,
    partition: &Named<PartitionId>,
    failure: &TokenFailure,
    duration: Duration,
) -> String {
    let time = format_duration(duration);
    let text = failure.text.trim_end_matches('.');
    format!("{}: {what} failed in {time}: {text}.", partition.name)
}

fn named(process: &Process) -> String {
    let role = match process.role {
        WorkerRole::Common => "",
        WorkerRole::Slow => " for slow partitions",
        WorkerRole::Quarantine => " for the quarantine",
    };
    let number = process.worker.0;
    format!("{}: worker process {number}{role}", process.module.name)
}
