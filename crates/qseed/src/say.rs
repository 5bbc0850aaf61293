//! What the engine notes, in words: what happened, what qseed does next and when, and what the
//! operator is to do where only they can.

use std::time::Duration;

use jiff::Timestamp;
use qseed_config::{Form, Level};
use qseed_engine::{Next, Note, Repeats, TokenFailure, TokenFault};
use serde_json::{Value, json};

use crate::assemble::Plan;
use crate::log::{Entry, format_duration, format_time};

/// The entry for a note, or none where the configuration sums injections up.
pub(crate) fn entry(note: &Note, plan: &Plan) -> Option<Entry> {
    Some(match note {
        Note::Seeded { name, bytes, made_of, .. } => {
            if plan.sums_up() {
                return None;
            }
            let target = if plan.config.form == Form::Flat { "the HSM" } else { &**name };
            let message = format!("Pushed {bytes} bytes of quantum seed material to {target}.");
            let mut sources: Vec<_> = made_of
                .iter()
                .filter_map(|portion| plan.sources.get(&portion.source))
                .map(|source| source.config.name.as_str())
                .collect();
            sources.dedup();
            Entry::info("seeded", message)
                .with("partition", &**name)
                .with("bytes", *bytes)
                .with("sources", sources)
        }
        Note::Summary { seeds, bytes, partitions, troubled } => {
            let trouble = match troubled {
                0 => String::new(),
                1 => " 1 partition is in trouble.".to_owned(),
                n => format!(" {n} partitions are in trouble."),
            };
            let message = format!(
                "Pushed {bytes} bytes of quantum seed material in {seeds} seeds to {partitions} \
                 partitions in the last minute.{trouble}"
            );
            Entry::info("summary", message)
                .with("seeds", *seeds)
                .with("bytes", *bytes)
                .with("partitions", *partitions)
                .with("troubled", *troubled)
        }
        Note::PartitionFailed { name, failure, repeats, next, .. } => {
            partition_failed(name, failure, *repeats, *next)
        }
        Note::PartitionRecovered { name, repeats, .. } => {
            let message = format!("{name}: seeded again after {}.", trouble_was(*repeats));
            Entry::info("partition-recovered", message)
                .with("partition", &**name)
                .repeats(*repeats)
        }
        Note::MorePartitionsFailed { count } => Entry::new(
            Level::Warn,
            "more-partitions-failed",
            format!("{count} more partitions failed in the last 10 s."),
        )
        .with("count", *count),
        Note::MorePartitionsRecovered { count } => Entry::info(
            "more-partitions-recovered",
            format!("{count} more partitions are seeded again."),
        )
        .with("count", *count),
        Note::Isolated { name, .. } => Entry::new(
            Level::Warn,
            "partition-isolated",
            format!(
                "{name}: its calls took the module down again and again; it has a worker process \
                 of its own from now on, so that the module's other partitions are left in peace."
            ),
        )
        .with("partition", &**name),
        Note::SourceFailed { name, text, code, repeats, next, .. } => {
            let message = format!("{name}: {text}{}. {}", again(*repeats), next_step(*next));
            Entry::new(Level::Warn, "source-failed", message)
                .with("source", &**name)
                .with("error", text.as_str())
                .with("code", *code)
                .repeats(*repeats)
                .next(*next)
        }
        Note::CheckFailed { name, check, bytes, in_a_row, next, .. } => {
            let message = format!(
                "{name}: {bytes} bytes were dropped because they failed the delivery check {}: {}. \
                 {} {}",
                check.name(),
                check.meaning(),
                match in_a_row {
                    1 => "Nothing of it was injected.".to_owned(),
                    n => format!("That was delivery {n} in a row; nothing of it was injected."),
                },
                next_step(*next)
            );
            Entry::new(Level::Error, "check-failed", message)
                .with("source", &**name)
                .with("check", check.name())
                .with("bytes", *bytes)
                .with("in_a_row", *in_a_row)
                .next(*next)
        }
        Note::SourceRecovered { name, repeats, .. } => {
            let message = format!("{name}: delivers again after {}.", trouble_was(*repeats));
            Entry::info("source-recovered", message).with("source", &**name).repeats(*repeats)
        }
        Note::WorkerFailed { name, text, repeats, next, .. } => {
            let message = format!("{name}: {text}{}. {}", again(*repeats), next_step(*next));
            Entry::new(Level::Error, "module-down", message)
                .with("module", &**name)
                .with("error", text.as_str())
                .repeats(*repeats)
                .next(*next)
        }
        Note::ModuleHung { name, partition, deadline, .. } => {
            let whose = partition.as_ref().map_or("its start".to_owned(), |partition| {
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
            Entry::info("module-recovered", message).with("module", &**name).repeats(*repeats)
        }
    })
}

fn partition_failed(name: &str, failure: &TokenFailure, repeats: Repeats, next: Next) -> Entry {
    let advice = advice(failure.fault, name);
    let level = if advice.is_empty() { Level::Warn } else { Level::Error };
    let message = format!(
        "{name}: {}{}. {advice}{}",
        failure.text.trim_end_matches('.'),
        again(repeats),
        next_step(next)
    );
    Entry::new(level, "partition-failed", message)
        .with("partition", name)
        .with("error", failure.text.as_str())
        .with("fault", fault_name(failure.fault))
        .repeats(repeats)
        .next(next)
}

/// What the operator is to do, with a blank behind it; empty where time may mend it.
fn advice(fault: TokenFault, name: &str) -> String {
    match fault {
        TokenFault::PinRefused => format!(
            "This PIN will not be presented to this token again. Put the right PIN into the \
             configuration, or, if the token was mended instead, run: qseed guard --clear {name}. "
        ),
        TokenFault::PinHeld => format!(
            "No PIN was presented. Put the right PIN into the configuration, or, if the PIN is \
             right and the token is in order, run: qseed guard --clear {name}. "
        ),
        TokenFault::PinFlagged => "No PIN was presented, since the next wrong one could lock the \
             token or it is locked already. Log in once with the vendor's tool, or have the \
             security officer reset the PIN. "
            .to_owned(),
        TokenFault::PinUnavailable => "No PIN was presented. ".to_owned(),
        TokenFault::SeedingRefused => "This token takes no seed material, by its vendor's design; \
             remove the partition from the configuration if that is not expected to change. "
            .to_owned(),
        TokenFault::Length => "The token does not take a seed of this length: set `chunk` (try \
             32) or another `size` for this partition. "
            .to_owned(),
        TokenFault::AnotherLogin => "The token is logged in otherwise; use one login for it. "
            .to_owned(),
        TokenFault::Mismatch => "Correct the configuration. ".to_owned(),
        TokenFault::Missing
        | TokenFault::Module
        | TokenFault::General
        | TokenFault::Device => String::new(),
    }
}

/// The stable name of a fault.
pub(crate) fn fault_name(fault: TokenFault) -> &'static str {
    match fault {
        TokenFault::Missing => "token-missing",
        TokenFault::Mismatch => "mismatch",
        TokenFault::PinRefused => "pin-refused",
        TokenFault::PinFlagged => "pin-flagged",
        TokenFault::PinHeld => "pin-held",
        TokenFault::PinUnavailable => "pin-unavailable",
        TokenFault::AnotherLogin => "another-login",
        TokenFault::SeedingRefused => "seeding-refused",
        TokenFault::Module => "module",
        TokenFault::General => "general",
        TokenFault::Length => "length",
        TokenFault::Device => "device",
    }
}

/// ` (12 times in 5 min)`, where it is not the first time.
fn again(repeats: Repeats) -> String {
    match repeats.count {
        1 => String::new(),
        n => format!(" ({n} times in {})", format_duration(repeats.lasting)),
    }
}

/// `3 failures in 40 s`.
fn trouble_was(repeats: Repeats) -> String {
    let failures = if repeats.count == 1 { "failure" } else { "failures" };
    format!("{} {failures} in {}", repeats.count, format_duration(repeats.lasting))
}

fn next_step(next: Next) -> String {
    let at = |wait: Duration| {
        Timestamp::now()
            .checked_add(wait)
            .map_or_else(|_| "later".to_owned(), |at| format!("at {}", format_time(at)))
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
        self.with("count", repeats.count).with("lasting_seconds", repeats.lasting.as_secs_f64())
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
