//! Lines about partitions.

use qseed_config::{Form, Level};
use qseed_engine::announcer::Repeats;
use qseed_engine::{MadeOf, Named, Next, PartitionId, TokenFailure, TokenFault};

use super::{Context, next_step, sentence};
use crate::advice::advice;
use crate::assemble::Plan;
use crate::log::{Entry, printable};

/// `SLOT #<slot id> (<slot description>): <token label>`, as the original has it.
pub(super) fn opened(id: PartitionId, again: bool, context: &Context<'_>) -> Option<Entry> {
    let planned = context.plan.partitions.get(&id)?;
    let (token, is_new) = context.known.token(id)?;
    let message = format!(
        "SLOT #{} ({}): {}",
        token.slot_id,
        printable(&token.slot_description),
        printable(&token.label)
    );
    // A token that is opened again and again and takes no seeds is no news.
    let level = if (again && !is_new) || context.plan.sums_up() {
        Level::Debug
    } else {
        Level::Info
    };
    Some(
        Entry::new(level, "token-opened", message)
            .with("partition", planned.name.as_str())
            .with("slot", token.slot_id)
            .with("slot_description", token.slot_description.as_str())
            .with("label", token.label.as_str())
            .with("serial", token.serial.as_str())
            .with("model", token.model.as_str()),
    )
}

/// A partition that could not be opened or seeded, and what to do about it.
pub(super) fn failed(
    partition: &Named<PartitionId>,
    failure: &TokenFailure,
    repeats: Repeats,
    next: Next,
    plan: &Plan,
) -> Entry {
    let name = &partition.name;
    let planned = plan.partitions.get(&partition.id);
    let advice = planned.map_or(String::new(), |planned| advice(failure, planned));
    let level = if advice.is_empty() && failure.fault != TokenFault::PinUnavailable {
        Level::Warn
    } else {
        Level::Error
    };
    let message = format!(
        "{name}: {} {}{}",
        sentence(&failure.text, repeats, "attempt"),
        as_sentence(&advice),
        next_step(next)
    );
    Entry::new(level, "partition-failed", message)
        .with("partition", &**name)
        .with("error", failure.text.as_str())
        .with("fault", failure.fault.name())
        .repeats(repeats)
        .next(next)
}

/// With a capital and a full stop; with a blank, if there is anything.
fn as_sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| {
        format!("{}{}. ", first.to_uppercase(), letters.as_str())
    })
}

pub(super) fn more_failed(count: usize) -> Entry {
    let message = format!("{count} more attempts to open or seed partitions failed in 10 s.");
    Entry::new(Level::Warn, "more-partitions-failed", message).with("count", count)
}

pub(super) fn quarantined(name: &str) -> Entry {
    let message = format!(
        "{name}: repeatedly crashed or blocked the module; moved to the module's quarantine worker \
         process."
    );
    Entry::new(Level::Warn, "partition-quarantined", message).with("partition", name)
}

pub(super) fn rejoined(name: &str) -> Entry {
    let message =
        format!("{name}: caused no trouble for an hour; back in the common worker process.");
    Entry::info("partition-rejoined", message).with("partition", name)
}

/// An injection, in the original's words.
pub(super) fn seeded(name: &str, bytes: usize, made_of: &MadeOf, plan: &Plan) -> Entry {
    let target = if plan.config.form == Form::Flat {
        "the HSM"
    } else {
        name
    };
    let message = format!("Pushed {bytes} bytes of quantum seed material to {target}.");
    let mut sources: Vec<_> = made_of
        .portions
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
