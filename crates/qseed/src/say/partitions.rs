//! Lines about partitions.

use qseed_config::{Form, Level};
use qseed_engine::announcer::Repeats;
use qseed_engine::{
    Injection, Named, Next, PartitionFact, PartitionId, TokenFailure, TokenFault, WorkerRole,
};
use qseed_tokens::directory::TokenInfo;

use super::{Tokens, next_step, sentence};
use crate::advice::advice;
use crate::assemble::Plan;
use crate::log::{Entry, printable};

/// The line for what happened to a partition.
pub(super) fn entry(
    partition: &Named<PartitionId>,
    fact: &PartitionFact,
    repeats: Option<Repeats>,
    plan: &Plan,
    tokens: &Tokens,
) -> Option<Entry> {
    let name = &*partition.name;
    let entry = match fact {
        PartitionFact::Opened { .. } => {
            return tokens.get(&partition.id).map(|token| opened(name, token));
        }
        PartitionFact::Seeded { injection, .. } => return Some(seeded(name, injection, plan)),
        PartitionFact::Failed { failure, next, .. } => {
            let planned = plan.partitions.get(&partition.id);
            let advice = planned.map_or(String::new(), |it| advice(failure, it));
            failed(&advice, failure, repeats, *next)
        }
        PartitionFact::SeedLost { injection, given } => seed_lost(injection.bytes, *given),
        PartitionFact::StateChanged { state, before } => {
            let before = before.map_or(String::new(), |before| format!("{} -> ", before.name()));
            let message = format!("state {before}{}.", state.name());
            Entry::new(Level::Debug, "state", message)
        }
        PartitionFact::Mended => {
            let message = "something about it changed; retrying now.";
            Entry::new(Level::Debug, "retry-now", message)
        }
        PartitionFact::Moved { from, to } => moved(*from, *to),
        // Lateness is gathered first.
        PartitionFact::Late { .. } | PartitionFact::Removed => return None,
    };
    Some(entry.about("partition", name))
}

/// `SLOT #<slot id> (<slot description>): <token label>`, as the original has it.
fn opened(name: &str, token: &TokenInfo) -> Entry {
    let message = format!(
        "SLOT #{} ({}): {}",
        token.slot_id,
        printable(&token.slot_description),
        printable(&token.label)
    );
    Entry::info("token-opened", message)
        .with("partition", name)
        .with("slot", token.slot_id)
        .with("slot_description", token.slot_description.as_str())
        .with("label", token.label.as_str())
        .with("serial", token.serial.as_str())
        .with("model", token.model.as_str())
}

/// An injection, in the original's words.
fn seeded(name: &str, injection: &Injection, plan: &Plan) -> Entry {
    let Injection { bytes, made_of, .. } = injection;
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
        .with("bytes", *bytes)
        .with("sources", sources)
}

/// Other lines say why.
fn seed_lost(bytes: usize, given: bool) -> Entry {
    let message = if given {
        format!("its worker did not answer for a seed of {bytes} bytes.")
    } else {
        format!("dropped a seed of {bytes} bytes that was not injected.")
    };
    Entry::new(Level::Debug, "seed-lost", message).with("bytes", bytes)
}

fn failed(advice: &str, failure: &TokenFailure, repeats: Option<Repeats>, next: Next) -> Entry {
    let level = if advice.is_empty() && failure.fault != TokenFault::PinUnavailable {
        Level::Warn
    } else {
        Level::Error
    };
    let message = format!(
        "{} {}{}",
        sentence(&failure.text, repeats, "failed attempt"),
        as_sentence(advice),
        next_step(next)
    );
    Entry::new(level, "partition-failed", message)
        .with("error", failure.text.as_str())
        .with("fault", failure.fault.name())
        .repeats(repeats)
        .next(next)
}

/// With a capital, unless it begins with the program's name, and a full stop; with a blank, if there
/// is anything.
fn as_sentence(text: &str) -> String {
    if text.starts_with("qseed ") {
        return format!("{text}. ");
    }
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| {
        format!("{}{}. ", first.to_uppercase(), letters.as_str())
    })
}

fn moved(from: WorkerRole, to: WorkerRole) -> Entry {
    match (from, to) {
        (_, WorkerRole::Quarantine) => {
            let message = "repeatedly crashed or blocked the module; moved to the module's \
                           quarantine worker process.";
            Entry::new(Level::Warn, "partition-quarantined", message)
        }
        (WorkerRole::Quarantine, _) => {
            let message = "caused no trouble for an hour; back in the common worker process.";
            Entry::info("partition-rejoined", message)
        }
        (_, WorkerRole::Slow) => {
            let message = "its seeds take long; moved to the worker process for slow partitions.";
            Entry::new(Level::Debug, "partition-moved", message)
        }
        (_, WorkerRole::Common) => {
            let message = "its seeds are quick again; back in the common worker process.";
            Entry::new(Level::Debug, "partition-moved", message)
        }
    }
}
