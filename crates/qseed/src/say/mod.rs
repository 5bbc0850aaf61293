//! The lines of the log, in words: what happened, what qseed does next and when, and what the
//! operator is to do where only they can.

pub(crate) mod configuration;
mod lateness;
pub(crate) mod ledger;
mod partitions;
pub(crate) mod shell;
mod sources;
mod workers;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use qseed_config::Level;
use qseed_engine::announcer::{Announcement, Repeats, Summary};
use qseed_engine::{Fact, Next, PartitionId, PartitionState};
use qseed_tokens::directory::TokenInfo;
use serde_json::{Value, json};

use crate::assemble::Plan;
use crate::log::{Entry, format_duration, format_time};
use crate::print::count;

/// The token that each partition was opened on.
pub(crate) type Tokens = BTreeMap<PartitionId, TokenInfo>;

/// The line for a fact; `None` if another line says it.
pub(crate) fn fact(
    fact: &Fact,
    announcement: Announcement,
    plan: &Plan,
    tokens: &Tokens,
) -> Option<Entry> {
    let Announcement { is_news, repeats } = announcement;
    let mut entry = match fact {
        Fact::Source(source, fact) => sources::entry(source, fact, repeats, plan)?,
        Fact::Partition(partition, fact) => {
            partitions::entry(partition, fact, repeats, plan, tokens)?
        }
        Fact::Worker(process, fact) => workers::entry(process, fact, repeats)?,
        Fact::ReserveEmpty => Entry::new(
            Level::Error,
            "reserve-empty",
            "The reserve is empty: qseed seeds no partition until a source delivers.",
        ),
    };
    if !is_news {
        entry.level = Level::Debug;
    }
    Some(entry)
}

/// The line for several facts.
pub(crate) fn summary(summary: &Summary, plan: &Plan) -> Option<Entry> {
    Some(match summary {
        Summary::Composition { sources, mix_local } => {
            return sources::composition(sources, *mix_local, plan);
        }
        Summary::Seeds {
            seeds,
            bytes,
            partitions,
            troubled,
        } => summary_of_seeds(*seeds, *bytes, *partitions, *troubled),
        Summary::Late {
            partitions,
            unseeded,
            period,
            causes,
        } => lateness::late(partitions, *unseeded, *period, causes),
        Summary::SeededAgain {
            partitions,
            gap,
            repeats,
        } => lateness::seeded_again(partitions, *gap, *repeats),
        Summary::MoreFailures { count } => {
            let message =
                format!("{count} more attempts to open or seed partitions failed in 10 s.");
            Entry::new(Level::Warn, "more-partitions-failed", message).with("count", *count)
        }
    })
}

/// How the partitions stand, for the service manager.
pub(crate) fn standing(count: impl Fn(PartitionState) -> usize) -> String {
    let counts = PartitionState::ALL.map(|state| (state, count(state)));
    let all: usize = counts.iter().map(|(_, count)| count).sum();
    let others = counts
        .iter()
        .filter(|(state, count)| *state != PartitionState::Seeded && *count > 0)
        .map(|(state, count)| format!("{count} {}", state.name()));
    let others = others.collect::<Vec<_>>().join(", ");
    let seeded = count(PartitionState::Seeded);
    let dash = if others.is_empty() { "" } else { "; " };
    format!(
        "{seeded} of {} seeded{dash}{others}",
        crate::print::count(all, "partition")
    )
}

/// The line of a minute in which partitions were too many to be named.
fn summary_of_seeds(seeds: u64, bytes: u64, partitions: usize, troubled: usize) -> Entry {
    let trouble = match troubled {
        0 => String::new(),
        1 => " 1 partition is in trouble.".to_owned(),
        n => format!(" {n} partitions are in trouble."),
    };
    let message = format!(
        "Pushed {bytes} bytes of quantum seed material in {} to {} in the last minute.{trouble}",
        count(seeds, "seed"),
        count(partitions, "partition")
    );
    Entry::info("summary", message)
        .with("seeds", seeds)
        .with("bytes", bytes)
        .with("partitions", partitions)
        .with("troubled", troubled)
}

/// What failed as a sentence: `… (12 failed requests in 5 min).` where it is not the first
/// failure. Failures of other kinds that came before are counted as well, until something succeeds.
fn sentence(what: &str, repeats: Option<Repeats>, of: &str) -> String {
    let what = what.trim_end_matches('.');
    match repeats.filter(|repeats| repeats.count > 1) {
        None if what.ends_with(['?', '!']) => what.to_owned(),
        None => format!("{what}."),
        Some(repeats) => format!("{what} ({}).", failed_before(repeats, of)),
    }
}

/// `3 failed requests in 40 s`.
fn failed_before(repeats: Repeats, of: &str) -> String {
    let failures = count(repeats.count, of);
    format!("{failures} in {}", format_duration(repeats.lasting))
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
    /// Names the thing that the line is about.
    fn about(mut self, kind: &str, name: &str) -> Self {
        self.message = format!("{name}: {}", self.message);
        self.with(kind, name)
    }

    fn repeats(self, repeats: Option<Repeats>) -> Self {
        let Some(repeats) = repeats else { return self };
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

    use qseed_engine::PartitionState;

    use super::{sentence, standing};

    #[test]
    fn the_standing_counts_what_is_seeded_and_what_is_not() {
        let count = |state| match state {
            PartitionState::Seeded => 297,
            PartitionState::Late => 2,
            PartitionState::TokenMissing => 1,
            _ => 0,
        };
        assert_eq!(
            standing(count),
            "297 of 300 partitions seeded; 2 late, 1 token-missing"
        );
        let one = |state| usize::from(state == PartitionState::Seeded);
        assert_eq!(standing(one), "1 of 1 partition seeded");
    }

    #[test]
    fn a_sentence_has_one_mark_and_counts_failures() {
        let times = |count| {
            Some(Repeats {
                count,
                lasting: Duration::from_secs(40),
            })
        };
        assert_eq!(sentence("it hangs", times(1), "failure"), "it hangs.");
        assert_eq!(sentence("it hangs.", times(1), "failure"), "it hangs.");
        assert_eq!(
            sentence("a wrong url?", times(1), "failed request"),
            "a wrong url?"
        );
        assert_eq!(
            sentence("a wrong url?", times(3), "failed request"),
            "a wrong url? (3 failed requests in 40 s)."
        );
    }
}
