//! What is said of partitions.

use qseed_config::{Form, Level};
use qseed_engine::{Next, Note, Portion, Repeats, TokenFailure, TokenFault};

use super::{again, next_step, trouble_was};
use crate::assemble::Plan;
use crate::log::Entry;

/// The entry for a note on a partition's trouble.
pub(super) fn entry(note: &Note) -> Option<Entry> {
    Some(match note {
        Note::PartitionFailed {
            name,
            failure,
            repeats,
            next,
            ..
        } => partition_failed(name, failure, *repeats, *next),
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
        _ => return None,
    })
}

/// An injection, in the original's words.
pub(super) fn seeded(name: &str, bytes: usize, made_of: &[Portion], plan: &Plan) -> Entry {
    let target = if plan.config.form == Form::Flat {
        "the HSM"
    } else {
        name
    };
    let message = format!("Pushed {bytes} bytes of quantum seed material to {target}.");
    let mut sources: Vec<_> = made_of
        .iter()
        .filter_map(|portion| plan.sources.get(&portion.source))
        .map(|source| source.config.name.as_str())
        .collect();
    sources.dedup();
    Entry::info("seeded", message)
        .with("partition", name)
        .with("bytes", bytes)
        .with("sources", sources)
}

fn partition_failed(name: &str, failure: &TokenFailure, repeats: Repeats, next: Next) -> Entry {
    let advice = advice(failure.fault, name);
    let level = if advice.is_empty() {
        Level::Warn
    } else {
        Level::Error
    };
    let message = format!(
        "{name}: {}{}. {advice}{}",
        failure.text.trim_end_matches('.'),
        again(repeats),
        next_step(next)
    );
    Entry::new(level, "partition-failed", message)
        .with("partition", name)
        .with("error", failure.text.as_str())
        .with("fault", failure.fault.name())
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
        TokenFault::AnotherLogin => {
            "The token is logged in otherwise; use one login for it. ".to_owned()
        }
        TokenFault::Mismatch => "Correct the configuration. ".to_owned(),
        TokenFault::Missing | TokenFault::Module | TokenFault::General | TokenFault::Device => {
            String::new()
        }
    }
}
