//! Which intents have no outcome.

use std::collections::BTreeMap;

use super::report::{OpenIntent, Report};
use crate::record::Injection;

/// Most intents that are remembered as open, and most that a report lists. A daemon has as many open
/// as it has calls in flight; a ledger that is not a daemon's must not fill the memory.
const MOST: usize = 100_000;

/// The intents of the daemon that runs at this point of the ledger.
#[derive(Debug, Default)]
pub(super) struct Intents {
    /// By the number of the injection, which counts from the start of the daemon.
    open: BTreeMap<u64, (u64, String)>,
}

impl Intents {
    pub(super) fn intend(&mut self, seq: u64, injection: &Injection, report: &mut Report) {
        for outcome in injection.outcomes() {
            let Some(job) = outcome.job else { continue };
            if self.open.len() >= MOST {
                report.more_open_intents += 1;
                continue;
            }
            let before = self.open.insert(job, (seq, outcome.partition.clone()));
            if let Some(before) = before {
                give_up(report, job, before);
            }
        }
    }

    pub(super) fn done(&mut self, injection: &Injection) {
        for outcome in injection.outcomes() {
            if let Some(job) = outcome.job {
                self.open.remove(&job);
            }
        }
    }

    /// No outcome can come any more: another daemon starts, or the ledger ends.
    pub(super) fn end(&mut self, report: &mut Report) {
        for (job, intent) in std::mem::take(&mut self.open) {
            give_up(report, job, intent);
        }
    }
}

fn give_up(report: &mut Report, job: u64, (seq, partition): (u64, String)) {
    if report.open_intents.len() < MOST {
        report.open_intents.push(OpenIntent {
            seq,
            partition,
            job,
        });
    } else {
        report.more_open_intents += 1;
    }
}
