//! What the engine notes, in words: what happened, what qseed does next and when, and what the
//! operator is to do where only they can.

mod modules;
mod partitions;
mod sources;

use std::time::Duration;

use jiff::Timestamp;
use qseed_engine::{Next, Note, Repeats};
use serde_json::{Value, json};

use crate::assemble::Plan;
use crate::log::{Entry, format_duration, format_time};

/// The entry for a note, or none where the configuration sums injections up.
pub(crate) fn entry(note: &Note, plan: &Plan) -> Option<Entry> {
    match note {
        Note::Seeded { .. } if plan.sums_up() => None,
        Note::Seeded {
            name,
            bytes,
            made_of,
            ..
        } => Some(partitions::seeded(name, *bytes, made_of, plan)),
        Note::Summary {
            seeds,
            bytes,
            partitions,
            troubled,
        } => Some(summary(*seeds, *bytes, *partitions, *troubled)),
        _ => partitions::entry(note, plan)
            .or_else(|| sources::entry(note, plan))
            .or_else(|| modules::entry(note)),
    }
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

/// What failed as a sentence: `… (12 failures in 5 min).` where it is not the first one. Failures
/// of other kinds that came before are counted as well, until something succeeds.
fn sentence(what: &str, repeats: Repeats) -> String {
    let what = what.trim_end_matches('.');
    match repeats.count {
        1 if what.ends_with(['?', '!']) => what.to_owned(),
        1 => format!("{what}."),
        _ => format!("{what} ({}).", trouble_was(repeats)),
    }
}

/// `3 failures in 40 s`.
fn trouble_was(repeats: Repeats) -> String {
    let failures = if repeats.count == 1 {
        "failure"
    } else {
        "failures"
    };
    format!(
        "{} {failures} in {}",
        repeats.count,
        format_duration(repeats.lasting)
    )
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
            format!("Trying again in {}, {}.", format_duration(wait), at(wait))
        }
        Next::Operator(wait) => {
            format!("Looking again in {}, {}.", format_duration(wait), at(wait))
        }
        Next::RestartWorker => "The module's worker process is started anew.".to_owned(),
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
        };
        self.with("next", action).with("next_in_seconds", wait)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use qseed_engine::Repeats;

    use super::sentence;

    #[test]
    fn a_sentence_has_one_mark_and_counts_failures() {
        let times = |count| Repeats {
            count,
            lasting: Duration::from_secs(40),
        };
        assert_eq!(sentence("it hangs", times(1)), "it hangs.");
        assert_eq!(sentence("it hangs.", times(1)), "it hangs.");
        assert_eq!(sentence("a wrong url?", times(1)), "a wrong url?");
        assert_eq!(
            sentence("a wrong url?", times(3)),
            "a wrong url? (3 failures in 40 s)."
        );
    }
}
