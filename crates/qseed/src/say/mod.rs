//! The lines of the log, in words: what happened, what qseed does next and when, and what the
//! operator is to do where only they can.

pub(crate) mod details;
mod known;
mod lateness;
mod modules;
mod partitions;
pub(crate) mod shell;
mod sources;

use std::time::Duration;

use jiff::Timestamp;
use qseed_config::Level;
use qseed_engine::Next;
use qseed_engine::announcer::{Line, Repeats};

use serde_json::{Value, json};

use crate::assemble::Plan;
use crate::log::{Entry, format_duration, format_time};
pub(crate) use known::Known;

/// What a line needs beside what it says.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) known: &'a Known,
}

/// The entry for a line, or none where it tells nothing new.
pub(crate) fn entry(line: &Line, context: &Context<'_>) -> Option<Entry> {
    let plan = context.plan;
    Some(match line {
        Line::Seeded {
            partition,
            bytes,
            made_of,
        } => partitions::seeded(&partition.name, *bytes, made_of, plan),
        Line::Composition { sources, mix_local } => {
            return sources::composition(sources, *mix_local, plan);
        }
        Line::Summary {
            seeds,
            bytes,
            partitions,
            troubled,
        } => summary(*seeds, *bytes, *partitions, *troubled),
        Line::Opened { partition, again } => {
            return partitions::opened(*partition, *again, context);
        }
        Line::PartitionFailed {
            partition,
            failure,
            repeats,
            next,
        } => partitions::failed(partition, failure, *repeats, *next, plan),
        Line::MorePartitionsFailed { count } => partitions::more_failed(*count),
        Line::Late {
            partitions,
            count,
            unseeded,
            period,
            causes,
        } => lateness::late(partitions, *count, *unseeded, *period, causes),
        Line::SeededAgain {
            partitions,
            count,
            gap,
            repeats,
        } => lateness::seeded_again(partitions, *count, *gap, *repeats),
        Line::ReserveEmpty => Entry::new(
            Level::Error,
            "reserve-empty",
            "The reserve is empty: qseed seeds no partition until a source delivers.",
        ),
        Line::Quarantined(partition) => partitions::quarantined(&partition.name),
        Line::Rejoined(partition) => partitions::rejoined(&partition.name),
        Line::SourceFailed { .. }
        | Line::CheckFailed { .. }
        | Line::BudgetLow { .. }
        | Line::BudgetSpent { .. }
        | Line::SourceRecovered { .. } => return sources::entry(line, plan),
        Line::WorkerFailed { .. }
        | Line::ModuleHung { .. }
        | Line::WorkerStuck(_)
        | Line::WorkerRecovered { .. } => return modules::entry(line),
    })
}

/// The line of a minute in which partitions were too many to be named.
fn summary(seeds: u64, bytes: u64, partitions: usize, troubled: usize) -> Entry {
    let trouble = match troubled {
        0 => String::new(),
        1 => " 1 partition is in trouble.".to_owned(),
        n => format!(" {n} partitions are in trouble."),
    };
    let message = format!(
        "Pushed {bytes} bytes of quantum seed material in {seeds} seeds to {partitions} partitions \
         in the last minute.{trouble}"
    );
    Entry::info("summary", message)
        .with("seeds", seeds)
        .with("bytes", bytes)
        .with("partitions", partitions)
        .with("troubled", troubled)
}

/// What failed as a sentence: `… (12 failed requests in 5 min).` where it is not the first
/// failure. Failures of other kinds that came before are counted as well, until something succeeds.
fn sentence(what: &str, repeats: Repeats, of: &str) -> String {
    let what = what.trim_end_matches('.');
    match repeats.count {
        1 if what.ends_with(['?', '!']) => what.to_owned(),
        1 => format!("{what}."),
        _ => format!("{what} ({}).", failed_before(repeats, of)),
    }
}

/// `3 failed requests in 40 s`.
fn failed_before(repeats: Repeats, of: &str) -> String {
    let several = if repeats.count == 1 { "" } else { "s" };
    let time = format_duration(repeats.lasting);
    format!("{} failed {of}{several} in {time}", repeats.count)
}

fn next_step(next: Next) -> String {
    let at = |wait: Duration| {
        Timestamp::now().checked_add(wait).map_or_else(
            |_| "later".to_owned(),
            |at| format!("at {}", format_time(at)),
        )
    };
    match next {
        Next::TryAgain(wait) => {
            format!("Retrying in {}, {}.", format_duration(wait), at(wait))
        }
        Next::Operator(wait) => {
            format!("Checking again in {}, {}.", format_duration(wait), at(wait))
        }
        Next::RestartWorker => "Restarting the module's worker process.".to_owned(),
        Next::GiveUp => "qseed does not try again, since it runs with --once.".to_owned(),
    }
}

impl Entry {
    fn repeats(self, repeats: Repeats) -> Self {
        self.with("count", repeats.count)
            .with("lasting_seconds", repeats.lasting.as_secs_f64())
    }

    fn next(self, next: Next) -> Self {
        let (action, wait) = match next {
            Next::TryAgain(wait) => ("try-again", json!(wait.as_secs_f64())),
            Next::Operator(wait) => ("look-again", json!(wait.as_secs_f64())),
            Next::RestartWorker => ("restart-worker", Value::Null),
            Next::GiveUp => ("give-up", Value::Null),
        };
        self.with("next", action).with("next_in_seconds", wait)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use qseed_engine::announcer::Repeats;

    use super::sentence;

    #[test]
    fn a_sentence_has_one_mark_and_counts_failures() {
        let times = |count| Repeats {
            count,
            lasting: Duration::from_secs(40),
        };
        assert_eq!(sentence("it hangs", times(1), "call"), "it hangs.");
        assert_eq!(sentence("it hangs.", times(1), "call"), "it hangs.");
        assert_eq!(
            sentence("a wrong url?", times(1), "request"),
            "a wrong url?"
        );
        assert_eq!(
            sentence("a wrong url?", times(3), "request"),
            "a wrong url? (3 failed requests in 40 s)."
        );
    }
}
